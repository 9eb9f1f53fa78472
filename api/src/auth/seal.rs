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

    fn parse(text: &str) -> Result<Self> {
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key)?;
        Ok(Self(key))
    }

    /// The key for one purpose, whose name nothing else has.
    pub(super) fn derive(&self, purpose: &str) -> [u8; 32] {
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
pub struct Vault(XChaCha20Poly1305);

/// A sealed secret that this store's key does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret was sealed with another key than the one of this store, or was altered")]
pub struct CannotOpen;

impl Vault {
    /// The vault of a store with this key.
    pub fn new(key: &MasterKey) -> Self {
        Self(XChaCha20Poly1305::new(&Key::from(key.derive("tapelog 2026 sealed secrets"))))
    }

    /// Encrypts a secret. No two results are alike.
    pub fn seal(&self, secret: &str) -> SealedSecret {
        let nonce = XNonce::generate();
        let encrypted =
            self.0.encrypt(&nonce, secret.as_bytes()).expect("a secret is far shorter than the cipher's limit");
        SealedSecret { sealed: [nonce.as_slice(), &encrypted].concat() }
    }

    /// Decrypts a secret.
    ///
    /// # Errors
    /// When it was sealed with another key, or altered.
    pub fn open(&self, secret: &SealedSecret) -> Result<String, CannotOpen> {
        let (nonce, encrypted) = secret.sealed.split_first_chunk::<NONCE_BYTES>().ok_or(CannotOpen)?;
        let bytes = self.0.decrypt(&XNonce::from(*nonce), encrypted).map_err(|_| CannotOpen)?;
        String::from_utf8(bytes).map_err(|_| CannotOpen)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_only_and_not_when_altered() {
        let vault = Vault::new(&MasterKey::random());
        let mut sealed = vault.seal("Bearer ü");
        assert_ne!(sealed, vault.seal("Bearer ü"));
        assert_eq!(vault.open(&sealed).as_deref(), Ok("Bearer ü"));
        assert_eq!(Vault::new(&MasterKey::random()).open(&sealed), Err(CannotOpen));
        *sealed.sealed.last_mut().unwrap() ^= 1;
        assert_eq!(vault.open(&sealed), Err(CannotOpen));
        assert_eq!(vault.open(&SealedSecret { sealed: vec![1; 5] }), Err(CannotOpen));
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets.key");
        let sealed = Vault::new(&MasterKey::load(None, &file).unwrap()).seal("a");
        assert_eq!(Vault::new(&MasterKey::load(None, &file).unwrap()).open(&sealed).as_deref(), Ok("a"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(MasterKey::load(Some("abc"), &file).is_err());
    }
}
