//! Settings of what is delivered to webhooks (section 12).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tapelog_store::guard::Networks;

/// How notifications are delivered to webhooks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// Networks that receivers may be in beside the public internet, such as `["10.1.0.0/16", "192.0.2.7"]`. Whoever may
    /// register a webhook can have this server post to every address in them.
    #[schemars(with = "Vec<String>")]
    pub allow_networks: Networks,
    /// Seconds that a connection to a receiver may take to come about.
    pub connect_seconds: Amount,
    /// Seconds that a receiver may take to answer, with the time for the connection.
    pub request_seconds: Amount,
    /// How many notifications are under way to one host and port at once.
    pub per_host: usize,
    /// How many notifications are under way at once in all.
    pub at_once: usize,
    /// Seconds to wait at most after the first, second and further attempts that found a receiver unreachable; the last
    /// holds for all after it. Each wait is a random part of it, or longer where the receiver asks for that.
    pub retry_seconds: Vec<Amount>,
    /// Seconds to wait after the first, second and further attempts that a receiver refused. After one more attempt the
    /// notification becomes a dead letter, and the next one is delivered.
    pub refused_retry_seconds: Vec<Amount>,
    /// Hours that a receiver may be unreachable without interruption until its webhook is given up, which its status
    /// `error` tells.
    pub give_up_hours: Amount,
    /// Days that it is kept what each attempt came to.
    pub delivery_log_days: u32,
    /// Bytes that are kept of that at most.
    pub delivery_log_bytes: u64,
    /// Seconds after which another node delivers in the place of one that is gone.
    pub lease_seconds: Amount,
    /// Hours for which the signing secret before signs as well after another has taken its place.
    pub secret_grace_hours: Amount,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        let seconds = |list: &[u32]| list.iter().map(|seconds| Amount(f64::from(*seconds))).collect();
        Self {
            allow_networks: Networks::default(),
            connect_seconds: Amount(5.0),
            request_seconds: Amount(15.0),
            per_host: 4,
            at_once: 256,
            retry_seconds: seconds(&[5, 30, 120, 600, 1800, 3600]),
            refused_retry_seconds: seconds(&[5, 30, 120, 600, 1050]),
            give_up_hours: Amount(72.0),
            delivery_log_days: 30,
            delivery_log_bytes: 1 << 30,
            lease_seconds: Amount(5.0),
            secret_grace_hours: Amount(24.0),
        }
    }
}

/// How much of a unit that the name of the setting says. Not negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64")]
pub struct Amount(f64);

/// More than the lifetime of any server, and far less than a [`Duration`] can hold.
const LONGEST: f64 = 1e9;

impl Amount {
    /// It, where the unit is a second.
    pub fn seconds(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }

    /// It, where the unit is an hour.
    pub fn hours(self) -> Duration {
        Duration::from_secs_f64(self.0 * 3600.0)
    }
}

/// A number that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not between 0 and {LONGEST}")]
pub struct NoAmount(f64);

impl TryFrom<f64> for Amount {
    type Error = NoAmount;

    fn try_from(number: f64) -> Result<Self, NoAmount> {
        if (0.0..=LONGEST).contains(&number) { Ok(Self(number)) } else { Err(NoAmount(number)) }
    }
}
