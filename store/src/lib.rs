//! What keeps bytes: the log, the sequencer that writes it, object storage, the supervised nats-server.
//!
//! Guarantees: a request is answered as done only when its commit is in the log, and as not done only when it never
//! will be; every record follows from the one before it (L1, L2); a record that cannot be read, or cannot have happened,
//! stops the reader instead of being skipped. Assumes that the log's server keeps what it acknowledged, and notices when
//! it did not. Knows neither HTTP nor tables.

pub mod bucket;
pub mod guard;
pub mod log;
pub mod media;
pub mod nats_server;
pub mod sequencer;
pub mod stream;
