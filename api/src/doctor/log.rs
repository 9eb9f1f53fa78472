//! The log: the program of the private nats-server, or the NATS that is named.

use tapelog_store::log::jetstream::{Connection, Inspection, inspect};
use tapelog_store::nats_server::{Installed, NatsServerSettings, installed};
use tokio::time::timeout;

use super::{Finding, PATIENCE, causes, folder};
use crate::settings::NatsSettings;

/// What a message may have at least, in bytes: the largest body that is answered as one piece, and what a record adds.
const LEAST_PAYLOAD: usize = 9 << 20;

pub(super) async fn examine(settings: &NatsSettings) -> Vec<Finding> {
    match &settings.url {
        Some(url) => examine_server(url, settings).await,
        None => vec![examine_program(settings).await],
    }
}

async fn examine_program(settings: &NatsSettings) -> Finding {
    const CHECK: &str = "nats-server";
    // The folder is not looked at: nothing is started.
    let server = NatsServerSettings {
        program: settings.server.clone(),
        config: settings.config.clone(),
        ..NatsServerSettings::new("")
    };
    match installed(&server).await {
        Ok(Installed { program, version, durability }) => {
            let found = format!("{version} at {}: {durability}", program.display());
            match durability.warning() {
                None => Finding::ok(CHECK, found),
                Some(_) => Finding::warn(
                    CHECK,
                    found,
                    "install nats-server 2.10 or later (./setup.sh does), and leave sync_interval: always in its \
                     configuration",
                ),
            }
        }
        Err(error) => Finding::fail(CHECK, causes(&error), "run ./setup.sh, or set nats.server or nats.url"),
    }
}

async fn examine_server(url: &str, settings: &NatsSettings) -> Vec<Finding> {
    let stream = settings.stream_settings();
    let connection = match timeout(PATIENCE, Connection::open(url, Default::default())).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            let advice = "start it, or set nats.url to where it is, with user and password where it asks for them";
            return vec![Finding::fail("NATS", causes(&error), advice)];
        }
        Err(_) => {
            let advice = "see that nothing between here and there drops packets";
            return vec![Finding::fail("NATS", "it does not answer", advice)];
        }
    };
    let inspection = match timeout(PATIENCE, inspect(&connection, &stream)).await {
        Ok(Ok(inspection)) => inspection,
        Ok(Err(error)) => {
            let advice = "enable JetStream in its configuration, for the account that tapelog uses";
            return vec![Finding::fail("JetStream", causes(&error), advice)];
        }
        Err(_) => {
            return vec![Finding::fail("JetStream", "it does not answer", "see whether its cluster has a leader")];
        }
    };
    told(&inspection, settings)
}

fn told(inspection: &Inspection, settings: &NatsSettings) -> Vec<Finding> {
    let Inspection { version, max_payload, stream } = inspection;
    let name = &settings.stream;
    let mut findings = vec![if *max_payload < LEAST_PAYLOAD {
        Finding::warn(
            "NATS",
            format!("{version}, with messages of {} at most", folder::bytes(*max_payload as u64)),
            "set max_payload: 16MB, or large requests are refused",
        )
    } else {
        Finding::ok("NATS", version.clone())
    }];
    findings.push(match stream {
        None => Finding::ok("stream", format!("{name} does not exist yet; the first start makes it")),
        Some(stream) if !stream.differences.is_empty() => Finding::fail(
            "stream",
            format!("{name} is not as a log must be: {}", stream.differences.join("; ")),
            "change it with `nats stream edit`, or set nats.stream to another name",
        ),
        Some(stream) if stream.replicas != settings.replicas => Finding::warn(
            "stream",
            format!("{name} has {} replicas, and nats.replicas is {}", stream.replicas, settings.replicas),
            format!("nats stream edit {name} --replicas={}", settings.replicas),
        ),
        Some(stream) => Finding::ok(
            "stream",
            format!(
                "{name} has {} records, {}, on {} server(s)",
                stream.records,
                folder::bytes(stream.bytes),
                stream.replicas
            ),
        ),
    });
    findings.push(Finding::warn(
        "durability",
        "whether an acknowledged record is on disk is up to the configuration of that server",
        "see that it has sync_interval: always, and nats.replicas 3 in a cluster",
    ));
    findings
}
