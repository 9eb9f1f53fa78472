//! A thread for the tasks that stand between a request and its acknowledgement: the sequencer and the connection to the
//! log.
//!
//! Each record passes both several times. Among the tasks of HTTP connections each step would wait for its turn behind
//! dozens of requests; on a thread of their own they wait for nothing but each other. The projector is not among them:
//! it applies a record while the next one is on its way.

use std::thread::JoinHandle;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The thread. Dropping it lets the thread end.
pub struct LogThread {
    handle: Handle,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl LogThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("no runtime for the log")?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || runtime.block_on(stopped.cancelled()))
            .context("no thread for the log")?;
        Ok(Self { handle, stop, thread: Some(thread) })
    }

    /// Runs a future on the thread, with all the tasks that it spawns.
    ///
    /// # Errors
    /// What the future answers, or that it panicked.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        self.handle.spawn(future).await?
    }

    /// Calls a function whose tasks belong on the thread.
    pub fn within<T>(&self, spawn: impl FnOnce() -> T) -> T {
        let _context = self.handle.enter();
        spawn()
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the log panicked");
        }
    }
}
