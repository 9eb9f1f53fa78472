//! Secrets that have to be used again, such as the keys of webhooks: they are kept in the log, which is kept for ever and
//! copied, so they are encrypted before they become part of an event.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use chacha20poly1305::aead::{Aead as _, Generate as _, KeyInit as _};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use tapelog_events::SealedSecret;

use super::secret_file;

/// Bytes of the number used once that stands before what is sealed.
const NONCE_BYTES: usize = 24;

/// The secret of a store from which its keys are derived: all nodes of a log have the same.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// A fresh one.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The one that the settings name, or that of this file, which is made if it is not there.
    ///
    /// # Errors
    /// When it is no key, or the file cannot be read or written.
    pub fn load(setting: Option<&str>, file: &Path) -> Result<Self> {
        if let Some(text) = setting {
            return Self::parse(text).context("secrets.key must have 64 hexadecimal digits");
        }
        let unusable = || format!("{} cannot be used", file.display());
        if let Some(text) = secret_file::read(file).with_context(unusable)? {
            return Self::parse(&text).with_context(|| format!("{} must have 64 hexadecimal digits", file.display()));
        }
        let key = Self::random();
        secret_file::write(file, &hex::encode(key.0)).with_context(unusable)?;
        Ok(key)
    }

    /// The further ones that the settings name.
    ///
    /// # Errors
    /// When one is no key.
    pub fn load_previous(settings: &[String]) -> Result<Vec<Self>> {
        let parse =
            |text: &String| Self::parse(text).context("secrets.previous_keys must have 64 hexadecimal digits each");
        settings.iter().map(parse).collect()
    }

    fn parse(text: &str) -> Result<Self> {
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key)?;
        Ok(Self(key))
    }

    /// The key for one purpose, whose name nothing else has.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.0)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Encrypts secrets for the log, and decrypts them (XChaCha20-Poly1305).
#[derive(Clone)]
pub struct Vault {
    present: XChaCha20Poly1305,
    previous: Vec<XChaCha20Poly1305>,
}

/// A sealed secret that no key of this server opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret was sealed with a key that this server does not have, or was altered")]
pub struct CannotOpen;

impl Vault {
    /// The vault of a store with this key, which also opens what was sealed with one of the others.
    pub fn new(key: &MasterKey, previous: &[MasterKey]) -> Self {
        let cipher = |key: &MasterKey| XChaCha20Poly1305::new(&Key::from(key.derive("tapelog 2026 sealed secrets")));
        Self { present: cipher(key), previous: previous.iter().map(cipher).collect() }
    }

    /// Encrypts a secret. No two results are alike.
    pub fn seal(&self, secret: &str) -> SealedSecret {
        let nonce = XNonce::generate();
        let encrypted =
            self.present.encrypt(&nonce, secret.as_bytes()).expect("a secret is far shorter than the cipher's limit");
        SealedSecret { sealed: [nonce.as_slice(), &encrypted].concat() }
    }

    /// Decrypts a secret.
    ///
    /// # Errors
    /// When it was sealed with a key that this vault does not have, or altered.
    pub fn open(&self, secret: &SealedSecret) -> Result<String, CannotOpen> {
        let mut ciphers = std::iter::once(&self.present).chain(&self.previous);
        ciphers.find_map(|cipher| open_with(cipher, secret)).ok_or(CannotOpen)
    }

    /// The same secret sealed with the present key; `None` where it is.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reseal(&self, secret: &SealedSecret) -> Result<Option<SealedSecret>, CannotOpen> {
        if open_with(&self.present, secret).is_some() {
            return Ok(None);
        }
        self.open(secret).map(|text| Some(self.seal(&text)))
    }
}

fn open_with(cipher: &XChaCha20Poly1305, secret: &SealedSecret) -> Option<String> {
    let (nonce, encrypted) = secret.sealed.split_first_chunk::<NONCE_BYTES>()?;
    let bytes = cipher.decrypt(&XNonce::from(*nonce), encrypted).ok()?;
    String::from_utf8(bytes).ok()
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(key: &MasterKey) -> Vault {
        Vault::new(key, &[])
    }

    #[test]
    fn what_was_sealed_with_an_earlier_key_is_opened_and_sealed_anew() {
        let (old, new) = (MasterKey::random(), MasterKey::random());
        let sealed = vault(&old).seal("a");
        let rotated = Vault::new(&new, &[MasterKey::random(), old.clone()]);
        assert_eq!(rotated.open(&sealed).as_deref(), Ok("a"));
        let resealed = rotated.reseal(&sealed).unwrap().unwrap();
        assert_eq!(vault(&new).open(&resealed).as_deref(), Ok("a"));
        assert_eq!(vault(&old).open(&resealed), Err(CannotOpen));
        assert_eq!(rotated.reseal(&resealed), Ok(None));
        assert_eq!(vault(&new).reseal(&sealed), Err(CannotOpen));
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_only_and_not_when_altered() {
        let mine = vault(&MasterKey::random());
        let mut sealed = mine.seal("Bearer ü");
        assert_ne!(sealed, mine.seal("Bearer ü"));
        assert_eq!(mine.open(&sealed).as_deref(), Ok("Bearer ü"));
        assert_eq!(vault(&MasterKey::random()).open(&sealed), Err(CannotOpen));
        *sealed.sealed.last_mut().unwrap() ^= 1;
        assert_eq!(mine.open(&sealed), Err(CannotOpen));
        assert_eq!(mine.open(&SealedSecret { sealed: vec![1; 5] }), Err(CannotOpen));
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.key");
        let sealed = vault(&MasterKey::load(None, &file).unwrap()).seal("a");
        assert_eq!(vault(&MasterKey::load(None, &file).unwrap()).open(&sealed).as_deref(), Ok("a"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(MasterKey::load(Some("abc"), &file).is_err());
    }
}
