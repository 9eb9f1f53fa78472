//! The limit of deliveries: a bare loop of requests for each receiver, in a process of its own, as the server is.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use tokio::process::Command;
use tokio::task::JoinSet;

/// Sends these bodies to receivers, to each its share, one after the other, and says how long that took.
///
/// # Errors
/// When one is not taken.
pub async fn run(urls: &[String], bodies: &[Bytes]) -> Result<Duration> {
    let mut file = tempfile::NamedTempFile::new()?;
    for body in bodies {
        file.write_all(&u32::try_from(body.len())?.to_le_bytes())?;
        file.write_all(body)?;
    }
    file.flush()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(crate::BARE_LOOP).arg(file.path()).args(urls).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    ensure!(output.status.success(), "the bare loop ended so: {}", String::from_utf8_lossy(&output.stderr));
    let seconds: f64 =
        String::from_utf8(output.stdout)?.trim().parse().context("the bare loop says how long it took")?;
    Ok(Duration::from_secs_f64(seconds))
}

/// The loops themselves: what the process does. Prints how many seconds they took.
///
/// # Errors
/// When a body is not taken.
async fn post(file: &Path, urls: Vec<String>) -> Result<()> {
    let bodies = read(file)?;
    // Nobody else has installed one in this process.
    rustls::crypto::ring::default_provider().install_default().ok();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let share = bodies.len() / urls.len();
    let mut shares: Vec<Vec<Bytes>> = bodies.chunks(share).map(<[Bytes]>::to_vec).collect();
    shares.truncate(urls.len());
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (url, bodies) in urls.into_iter().zip(shares) {
        let http = http.clone();
        tasks.spawn(async move {
            for body in bodies {
                let request = http.post(&url).header("content-type", "application/json").body(body);
                request.send().await?.error_for_status()?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    writeln!(std::io::stdout(), "{}", begun.elapsed().as_secs_f64())?;
    Ok(())
}

fn read(file: &Path) -> Result<Vec<Bytes>> {
    let mut left = Bytes::from(std::fs::read(file)?);
    let mut bodies = Vec::new();
    while left.len() >= size_of::<u32>() {
        let length = left.split_to(size_of::<u32>());
        let length = u32::from_le_bytes(length.as_ref().try_into().context("four bytes")?);
        ensure!(left.len() >= length as usize, "the file of bodies is cut off");
        bodies.push(left.split_to(length as usize));
    }
    Ok(bodies)
}

/// Arguments of the process.
#[derive(Debug, clap::Args)]
pub struct BareLoop {
    /// The bodies, each with its length before it
    file: PathBuf,
    /// Where they go
    urls: Vec<String>,
}

impl BareLoop {
    /// Does it.
    ///
    /// # Errors
    /// When a body is not taken.
    pub async fn run(self) -> Result<()> {
        post(&self.file, self.urls).await
    }
}
