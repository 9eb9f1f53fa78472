//! Passwords: hashed with Argon2id, which costs on purpose, so that not every request may cost it.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Hashes at work at once: each takes a core, and 19 MiB of memory.
const AT_ONCE: usize = 2;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// For how long a password that was right is known to be.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Passwords that are known to be right, at most: as many as there are programs that log in with one.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// Bytes of the shortest password.
pub const LEAST_BYTES: usize = 8;
/// Bytes of the longest password.
pub const MOST_BYTES: usize = 1024;

/// Too many passwords are being checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at once")]
pub struct TooMany;

/// Checks and hashes passwords.
pub struct Passwords {
    turns: Semaphore,
    /// Of this process only, so that what is remembered says nothing to anybody else.
    key: [u8; 32],
    /// Digest of account, hash and password, and until when it holds.
    right: Mutex<LruCache<[u8; 32], Instant>>,
    /// What a password of nobody is held against, so that it takes as long as one of somebody.
    decoy: String,
}

impl Passwords {
    /// Knows none yet.
    pub fn new() -> Self {
        let decoy: [u8; 16] = rand::random();
        Self {
            turns: Semaphore::new(AT_ONCE),
            key: rand::random(),
            right: Mutex::new(LruCache::new(MOST_REMEMBERED)),
            decoy: hash_now(&decoy),
        }
    }

    /// Whether this is known to be the password behind a hash. Costs nothing.
    pub fn is_known(&self, name: &str, hash: &str, password: &str) -> bool {
        let digest = self.digest(name, hash, password);
        self.right.lock().get(&digest).is_some_and(|until| Instant::now() < *until)
    }

    /// Whether this is the password behind a hash. Without one, it takes as long to say no.
    ///
    /// # Errors
    /// When its turn does not come.
    pub async fn check(&self, name: &str, hash: Option<&str>, password: &str) -> Result<bool, TooMany> {
        let against = hash.unwrap_or(&self.decoy).to_owned();
        let given = password.as_bytes().to_vec();
        let fits = self
            .in_turn(move || {
                PasswordHash::new(&against).is_ok_and(|hash| Argon2::default().verify_password(&given, &hash).is_ok())
            })
            .await?;
        match hash {
            Some(hash) if fits => {
                let digest = self.digest(name, hash, password);
                self.right.lock().put(digest, Instant::now() + REMEMBERED);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// The hash of a password, in PHC form.
    ///
    /// # Errors
    /// When its turn does not come.
    pub async fn hash(&self, password: &str) -> Result<String, TooMany> {
        let password = password.as_bytes().to_vec();
        self.in_turn(move || hash_now(&password)).await
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, TooMany> {
        let _turn = timeout(TURN, self.turns.acquire()).await.map_err(|_| TooMany)?.map_err(|_| TooMany)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| TooMany)
    }

    fn digest(&self, name: &str, hash: &str, password: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [name, hash, password] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

fn hash_now(password: &[u8]) -> String {
    let hash: PasswordHash = Argon2::default().hash_password(password).expect("the usual parameters are valid");
    hash.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_right_password_is_remembered_and_no_other_is() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(!passwords.is_known("ann", &hash, "correct horse"));
        assert_eq!(passwords.check("ann", Some(&hash), "wrong").await, Ok(false));
        assert_eq!(passwords.check("ann", Some(&hash), "correct horse").await, Ok(true));
        assert!(passwords.is_known("ann", &hash, "correct horse"));
        assert!(!passwords.is_known("ann", &hash, "wrong"));
        assert!(!passwords.is_known("bob", &hash, "correct horse"));
        let changed = passwords.hash("correct horse").await.unwrap();
        assert!(!passwords.is_known("ann", &changed, "correct horse"), "a new hash is a new password");
        assert_eq!(passwords.check("nobody", None, "correct horse").await, Ok(false));
    }
}
