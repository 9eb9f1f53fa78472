//! Tokens that the store gives out and remembers: API tokens, refresh tokens, and the one by which commands on this
//! machine talk to the server.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use tapelog_events::TokenId;
use uuid::Uuid;

use super::secret_file;

/// What each begins with, so that they are told from other tokens, and found where they should not be.
pub const PREFIX: &str = "tapelog_";

/// A token as its holder has it: `tapelog_<id>_<secret>`.
#[derive(Clone)]
pub struct TokenText {
    /// Names it; not secret.
    pub id: TokenId,
    secret: [u8; 32],
}

impl TokenText {
    /// A fresh one.
    pub fn random() -> Self {
        Self { id: TokenId::from_uuid(Uuid::new_v4()), secret: rand::random() }
    }

    /// The token with this text.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, digits) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let mut secret = [0; 32];
        hex::decode_to_slice(digits, &mut secret).ok()?;
        Some(Self { id: TokenId::from_uuid(Uuid::try_parse(id).ok()?), secret })
    }

    /// What is remembered of it. The secret has too many bits to be guessed, so a fast hash will do.
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key("tapelog 2026 token", &self.secret)
    }

    /// Whether this is what is remembered of it. Takes as long whatever the difference.
    pub fn has_hash(&self, hash: &[u8; 32]) -> bool {
        blake3::Hash::from_bytes(self.hash()) == blake3::Hash::from_bytes(*hash)
    }

    /// The text, to be given to its holder and kept nowhere.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id.as_uuid().simple(), hex::encode(self.secret))
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({})", self.id)
    }
}

/// Makes a token for the commands of this machine: whoever may read the data folder may do everything. Each start makes
/// a fresh one.
pub(super) fn write_local(file: &Path) -> Result<TokenText> {
    let token = TokenText::random();
    secret_file::write(file, &token.expose()).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(token)
}

/// The token by which commands talk to the server that runs on a data folder, from its file there.
///
/// # Errors
/// When the file cannot be read.
pub fn local_token(file: &Path) -> Result<String> {
    let unreadable = || format!("the server's token for commands, {}, cannot be read", file.display());
    secret_file::read(file).with_context(unreadable)?.with_context(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_its_secret_is_in_no_debug_text() {
        let token = TokenText::random();
        let read = TokenText::parse(&token.expose()).unwrap();
        assert!(read.id == token.id && read.has_hash(&token.hash()));
        assert!(!TokenText { id: token.id, ..TokenText::random() }.has_hash(&token.hash()));
        assert!(!format!("{token:?}").contains(&hex::encode(token.secret)));
        for text in ["", "tapelog_", "tapelog_a_b", &token.expose()[8..], &format!("{}0", token.expose())] {
            assert!(TokenText::parse(text).is_none(), "{text}");
        }
    }
}
