//! `tapelog doctor`: looks at each thing that a server with these settings needs, and says what to do about what is wrong.
//!
//! It works beside a running server and without one. It changes nothing that stays: what it writes to try something out,
//! it takes away again.

mod archive;
mod folder;
mod log;
mod network;
mod storage;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::claim::{Asked, Claim, Owner};
use crate::settings::{DataFolder, Settings};

/// How long anything may take that is asked of somebody else.
const PATIENCE: Duration = Duration::from_secs(10);

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A server works, but somebody should look.
    Warn,
    /// A server does not work like this.
    Fail,
}

/// What was found out about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, check, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, check, found: found.into(), advice: Some(advice.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, check, found: found.into(), advice: Some(advice.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        write!(f, "{verdict}  {}: {}", self.check, self.found)?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, " - {advice}"))
    }
}

/// Looks at everything.
pub async fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = folder::examine(&settings.data, &settings.limits).await;
    let owner = owner(settings, &mut findings);
    if let Some(owner) = &owner {
        findings.extend(network::running(owner).await);
    } else {
        findings.extend(network::ports(settings).await);
    }
    findings.push(network::public_url(settings));
    findings.push(network::tls(settings));
    findings.extend(network::identity_providers(settings).await);
    findings.extend(log::examine(&settings.nats).await);
    findings.extend(storage::examine(settings).await);
    findings.extend(archive::examine(settings, owner.as_ref()).await);
    findings
}

/// The server that runs on the data folder, if one does.
fn owner(settings: &Settings, findings: &mut Vec<Finding>) -> Option<Owner> {
    const CHECK: &str = "server";
    if !settings.data.is_dir() {
        findings.push(Finding::ok(CHECK, "none has used the data folder yet"));
        return None;
    }
    let asked = DataFolder::open(&settings.data).and_then(|data| Claim::ask(&data.lock()));
    match asked {
        Ok(Asked::Ours(_)) => {
            findings.push(Finding::ok(CHECK, "none runs on the data folder"));
            None
        }
        Ok(Asked::Taken(owner)) => Some(owner),
        Err(error) => {
            let advice = "let nothing but tapelog use the data folder";
            findings.push(Finding::fail(CHECK, format!("{error:#}"), advice));
            None
        }
    }
}

/// The causes of an error, in one line.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_wrong_and_what_to_do() {
        assert_eq!(Finding::ok("disk", "100 GB free").to_string(), "ok    disk: 100 GB free");
        let line = Finding::fail("disk", "full", "delete something").to_string();
        assert_eq!(line, "FAIL  disk: full - delete something");
    }
}
