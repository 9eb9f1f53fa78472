//! The list of things that implementers of TAMS get wrong: one test for each of its lines, named by its number and what
//! it asks for. Where a line leaves a choice, its test holds us to ours, and says why.

mod collections;
mod deletion;
mod flows;
mod listings;
mod profiles;
mod robustness;
mod segments;
mod service;
mod storage;
mod timeranges;
mod webhooks;

use tapelog_tests::receiver;
use tapelog_tests::server::Options;
use tapelog_tests::shared::{SharedServer, Visit};

static STORE: SharedServer = SharedServer::new(receiver::options);
static PROTECTED: SharedServer = SharedServer::new(Options::protected);

/// The store that these tests share.
async fn store() -> Visit {
    STORE.visit().await
}

/// One that asks for credentials.
async fn protected() -> Visit {
    PROTECTED.visit().await
}
