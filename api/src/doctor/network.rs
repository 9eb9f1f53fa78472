//! Where a server is reached: its ports, the URL that clients use, its certificate; and whom it asks about tokens.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tapelog_media::client::http_client;
use tokio::net::TcpListener;
use tokio::time::timeout;
use url::{Host, Url};

use super::{Finding, PATIENCE, causes};
use crate::auth::count_keys;
use crate::claim::Owner;
use crate::server;
use crate::settings::{AuthMode, IssuerSettings, Settings};

/// How far a clock may be off before signatures and tokens begin to fail: they allow a few minutes.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// What the server says of itself that runs on the data folder.
pub(super) async fn running(owner: &Owner) -> Vec<Finding> {
    const CHECK: &str = "server";
    #[derive(Deserialize)]
    struct Readiness {
        parts: Vec<Part>,
    }
    #[derive(Deserialize)]
    struct Part {
        name: String,
        ready: bool,
        detail: String,
    }

    let Some(url) = &owner.url else {
        let found = format!("process {} is starting up, or is a command that uses the data folder", owner.pid);
        return vec![Finding::ok(CHECK, found)];
    };
    let asked = async { http_client().get(format!("{url}/readyz")).send().await?.json::<Readiness>().await };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(readiness)) => {
            let wrong: Vec<_> = readiness
                .parts
                .iter()
                .filter(|part| !part.ready)
                .map(|part| format!("{}: {}", part.name, part.detail))
                .collect();
            vec![if wrong.is_empty() {
                Finding::ok(CHECK, format!("process {} serves {url} and is ready", owner.pid))
            } else {
                let found = format!("process {} serves {url} and is not ready: {}", owner.pid, wrong.join("; "));
                Finding::fail(CHECK, found, "see its log, and what else is found here")
            }]
        }
        Ok(Err(error)) => {
            let found = format!("process {} does not answer at {url}: {}", owner.pid, causes(&error));
            vec![Finding::fail(CHECK, found, "see its log; a certificate of your own is not known here")]
        }
        Err(_) => {
            let found = format!("process {} does not answer at {url}", owner.pid);
            vec![Finding::fail(CHECK, found, "see its log, and whether the machine has too much to do")]
        }
    }
}

/// Whether what a server would listen on is free.
pub(super) async fn ports(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![port("listen", settings.listen).await];
    for (index, backend) in settings.storage_backends().enumerate() {
        if let (None, Some(address)) = (&backend.endpoint, backend.listen) {
            findings.push(port(if index == 0 { "media.listen" } else { "storage.listen" }, address).await);
        }
    }
    findings
}

async fn port(check: &'static str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => Finding::ok(check, format!("{address} is free")),
        Err(error) => {
            let advice = format!("end what uses it (ss -ltnp shows it), or set {check} to another address and port");
            Finding::fail(check, format!("{address} cannot be listened on: {error}"), advice)
        }
    }
}

/// Whether clients can use the URLs that they are told.
pub(super) fn public_url(settings: &Settings) -> Finding {
    const CHECK: &str = "public_url";
    let Some(text) = &settings.public_url else {
        return Finding::ok(CHECK, "not set: clients are told the URL that their requests name");
    };
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        Ok(_) | Err(_) => {
            let advice = "set it to the URL of the API's root, such as https://tams.example.org";
            return Finding::fail(CHECK, format!("{text} is no URL of http or https"), advice);
        }
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Finding::fail(CHECK, format!("{text} has a query or a fragment"), "leave only scheme, host and path");
    }
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if here {
        return Finding::warn(
            CHECK,
            text,
            "clients on other machines reach themselves by it: set a name that they know",
        );
    }
    Finding::ok(CHECK, text)
}

/// Whether connections can be encrypted.
pub(super) fn tls(settings: &Settings) -> Finding {
    const CHECK: &str = "TLS";
    match server::acceptor(&settings.tls) {
        Ok(Some(_)) => Finding::ok(CHECK, "certificate and key can be used"),
        Ok(None) if settings.listen.ip().is_loopback() => Finding::ok(CHECK, "not set; only this machine can connect"),
        Ok(None) if settings.auth.mode == AuthMode::None => Finding::fail(
            CHECK,
            "everybody on the network may do everything, unencrypted",
            "set auth.mode to required, or listen on a loopback address: the server refuses to start like this",
        ),
        Ok(None) => Finding::warn(
            CHECK,
            "not set, and other machines can connect: tokens and passwords are sent unencrypted",
            "set tls.certificate and tls.key, unless a proxy before the server encrypts",
        ),
        Err(error) => Finding::fail(
            CHECK,
            format!("{error:#}"),
            "give the user that runs tapelog the right to read both files, which must be PEM and belong together",
        ),
    }
}

/// Whether the identity providers can be asked for their keys.
pub(super) async fn identity_providers(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for issuer in &settings.auth.issuers {
        let url = match &issuer.jwks_url {
            Some(url) => url.to_string(),
            None => format!("{}/.well-known/openid-configuration", issuer.issuer.trim_end_matches('/')),
        };
        findings.push(identity_provider(issuer, &url).await);
    }
    findings
}

async fn identity_provider(settings: &IssuerSettings, url: &str) -> Finding {
    const CHECK: &str = "identity provider";
    let issuer = &settings.issuer;
    let advice = "see that auth.issuers names it as its tokens do, and that this machine may connect to it";
    let asked = async { http_client().get(url).send().await?.error_for_status() };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => match skew(answer.headers().get("date").and_then(|date| date.to_str().ok())) {
            Some(skew) if !is_near(skew) => clock(CHECK, issuer, skew),
            Some(_) | None => match count_keys(settings).await {
                Ok(keys) => Finding::ok(CHECK, format!("{issuer} answers; keys for tokens: {keys}")),
                Err(error) => Finding::fail(CHECK, format!("{issuer}: {error:#}"), advice),
            },
        },
        Ok(Err(error)) => Finding::fail(CHECK, format!("{issuer}: {}", causes(&error)), advice),
        Err(_) => Finding::fail(CHECK, format!("{issuer} does not answer at {url}"), advice),
    }
}

/// That the clock is not that of somebody else.
pub(super) fn clock(check: &'static str, whose: &str, skew: Duration) -> Finding {
    let found = format!("the clock of this machine and that of {whose} are {} seconds apart", skew.as_secs());
    Finding::fail(check, found, "set the clock, best by NTP: signatures and tokens are refused when it is off")
}

/// How far the clock of this machine is from a `Date` that was just received.
pub(super) fn skew(date: Option<&str>) -> Option<Duration> {
    let theirs = httpdate::parse_http_date(date?).ok()?;
    let ours = SystemTime::now();
    Some(ours.duration_since(theirs).unwrap_or_else(|early| early.duration()))
}

/// Whether a clock that is this far off does no harm.
pub(super) fn is_near(skew: Duration) -> bool {
    skew <= CLOCK_SKEW
}
