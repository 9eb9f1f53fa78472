//! One kind of read beside its limit: a constant of the same size.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;

use super::{Bench, Scenario};
use crate::client::Endpoint;
use crate::limit_server::CONSTANT;
use crate::load::{Work, run};
use crate::report::{Row, Series, Target, grouped};

/// One kind of request over so many connections, and a constant of the same size over as many.
pub struct Case {
    name: String,
    store: Endpoint,
    connections: usize,
    requests: Arc<[Bytes]>,
    /// The status of each answer of the server's.
    expected: u16,
    /// The body of the first.
    body: String,
    server: Series,
    limit: Series,
}

impl Case {
    /// A client that wants the answers. Asks for the first of the paths once, to learn what one looks like.
    ///
    /// # Errors
    /// When the server does not answer with 200.
    pub async fn new(store: &Endpoint, name: &str, connections: usize, paths: &[String]) -> Result<Self> {
        Self::expecting(200, store, name, connections, paths).await
    }

    /// A client that has the answer already, and only wants to be told so.
    ///
    /// # Errors
    /// When the answer has no `ETag`, or the server does not answer with 304 to whoever knows it.
    pub async fn unchanged(store: &Endpoint, name: &str, connections: usize, path: String) -> Result<Self> {
        let mut connection = store.connect().await?;
        let answer = connection.exchange(&store.request("GET", &path, None)).await?.expect(200)?;
        let tag = answer.header("ETag").with_context(|| format!("GET {path}: the answer has no ETag"))?;
        let knowing = store.clone().with_header(&format!("If-None-Match: {tag}"))?;
        Self::expecting(304, &knowing, name, connections, &[path]).await
    }

    async fn expecting(
        expected: u16,
        store: &Endpoint,
        name: &str,
        connections: usize,
        paths: &[String],
    ) -> Result<Self> {
        let path = paths.first().context("there is nothing to ask for")?;
        let requests: Arc<[Bytes]> = paths.iter().map(|path| store.request("GET", path, None)).collect();
        let mut connection = store.connect().await?;
        let answer = connection.exchange(&requests[0]).await?.expect(expected);
        let body = String::from_utf8(answer.with_context(|| format!("GET {path}"))?.body.to_vec())?;
        let name = format!("{name}, {}", super::connections(connections));
        let series = || Series::new("requests", 1);
        let store = store.clone();
        Ok(Self { name, store, connections, requests, expected, body, server: series(), limit: series() })
    }

    /// The body of the first answer.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The line for the server, set against its limit, and the line for that.
    pub fn rows(&self, target: Option<Target>) -> (Row, Row) {
        let limit = self.limit.row(&format!("    limit: a constant of {} B", grouped(self.body.len() as f64)));
        (self.server.row(&self.name).of("its limit", &limit, target), limit)
    }

    async fn round(&mut self, limit: &Endpoint, longest: Duration) -> Result<()> {
        let mut connection = limit.connect().await?;
        let () = limit.ask(&mut connection, "PUT", CONSTANT, Some(&self.body), 204).await?;
        let work = Work::Repeated(Arc::clone(&self.requests), self.connections);
        self.limit.add(run(limit, work.clone(), longest, 200).await?);
        self.server.add(run(&self.store, work, longest, self.expected).await?);
        Ok(())
    }
}

/// Measures them all, in turn, as often as there are rounds.
///
/// # Errors
/// When a server does not answer as it did before.
pub async fn measure(bench: &Bench, scenario: Scenario, cases: &mut [Case]) -> Result<()> {
    for case in &mut *cases {
        bench.doing(format_args!("{scenario}: warm-up: {}", case.name));
        case.round(&bench.limit, bench.sizes.round / 4).await?;
        case.server.clear();
        case.limit.clear();
    }
    for round in 1..=bench.sizes.rounds {
        for case in &mut *cases {
            bench.doing(format_args!("{scenario}: {}, round {round}", case.name));
            case.round(&bench.limit, bench.sizes.round).await?;
        }
    }
    Ok(())
}
