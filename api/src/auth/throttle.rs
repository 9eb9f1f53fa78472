//! Guessing passwords takes longer with every wrong one.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;

/// Wrong passwords that cost no time: people mistype.
const FREE: u32 = 5;
/// What the next ones cost: this, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// What they cost at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long it takes until all is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Pairs of account and address that are watched: those that were tried last.
const WATCHED: NonZeroUsize = NonZeroUsize::new(16 * 1024).expect("not zero");

/// Counts wrong passwords by account and address.
pub struct Throttle(Mutex<LruCache<Key, Failures>>);

/// The name of an account may be anything that a client sends, so its hash stands for it.
type Key = (blake3::Hash, IpAddr);

struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// Until when no further password is looked at.
    fn until(&self) -> Instant {
        let Some(beyond) = self.count.checked_sub(FREE) else { return self.last };
        let pause = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(beyond)).min(LONGEST_PAUSE);
        self.last + pause
    }
}

impl Throttle {
    /// Watches nobody yet.
    pub fn new() -> Self {
        Self(Mutex::new(LruCache::new(WATCHED)))
    }

    /// Lets a try pass.
    ///
    /// # Errors
    /// After how long the next one is looked at.
    pub fn check(&self, account: &str, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut watched = self.0.lock();
        let Some(failures) = watched.get(&key(account, address)) else { return Ok(()) };
        let wait = failures.until().saturating_duration_since(now);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Counts a wrong password.
    pub fn failed(&self, account: &str, address: IpAddr, now: Instant) {
        let mut watched = self.0.lock();
        let failures = watched.get_or_insert_mut(key(account, address), || Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) > FORGOTTEN {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }

    /// Forgets the wrong passwords before a right one.
    pub fn succeeded(&self, account: &str, address: IpAddr) {
        self.0.lock().pop(&key(account, address));
    }
}

fn key(account: &str, address: IpAddr) -> Key {
    // Whoever has one address of version 6 has a network of them.
    let network = match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    };
    (blake3::hash(account.as_bytes()), network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_further_wrong_password_costs_more_for_that_account_from_that_address() {
        let throttle = Throttle::new();
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        let mut now = Instant::now();
        for _ in 0..FREE - 1 {
            throttle.failed("ann", here, now);
            assert_eq!(throttle.check("ann", here, now), Ok(()));
        }
        for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            throttle.failed("ann", here, now);
            let pause = Duration::from_secs(pause);
            assert_eq!(throttle.check("ann", here, now), Err(pause));
            assert_eq!(throttle.check("ann", "2001:db8::2".parse().unwrap(), now), Err(pause));
            assert_eq!(throttle.check("bob", here, now), Ok(()));
            assert_eq!(throttle.check("ann", "192.0.2.1".parse().unwrap(), now), Ok(()));
            now += pause;
            assert_eq!(throttle.check("ann", here, now), Ok(()));
        }
        throttle.succeeded("ann", here);
        throttle.failed("ann", here, now);
        assert_eq!(throttle.check("ann", here, now), Ok(()));
    }
}
