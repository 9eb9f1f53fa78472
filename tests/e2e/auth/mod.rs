//! Who may do what (sections 1.1 and 14).

mod accounts;
mod classes;
mod issuers;
mod routes;

use std::fs;

use tapelog_tests::api::Api;
use tapelog_tests::server::Server;

/// The API as the first administrator sees it.
pub fn administrator(server: &Server) -> Api {
    let token = fs::read_to_string(server.data().join("admin-token")).unwrap();
    server.api().as_bearer(token.trim())
}
