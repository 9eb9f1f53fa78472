//! A string that must not be seen.

use serde::Deserialize;

/// A secret, such as a key or a password. It has no `Debug`, `Display` or `Serialize`, so that it cannot
/// reach a log line or an answer by accident.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// A fresh secret of 256 random bits, as 64 hexadecimal digits.
    pub fn random() -> Self {
        Self(hex::encode(rand::random::<[u8; 32]>()))
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
