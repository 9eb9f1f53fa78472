//! Threads for tasks that are to wait for nothing but each other.
//!
//! One is for what stands between a request and its acknowledgement: the sequencer and the connection to the log. Each
//! record passes both several times, and among the tasks of HTTP connections each step would wait for its turn behind
//! dozens of requests. The projector is not among them: it applies a record while the next one is on its way. Another is
//! for deliveries to webhooks: each passes from its worker to a connection and back, which costs less where no other
//! thread has to be woken, and however many there are, requests have all other threads.

use std::thread::JoinHandle;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// A thread. Dropping it lets it end.
pub struct TaskThread {
    name: &'static str,
    handle: Handle,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl TaskThread {
    /// Starts a thread with this name.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &'static str) -> Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().build().with_context(|| format!("no runtime for {name}"))?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(stopped.cancelled());
                // A name that is being looked up would hold up the end for as long as nobody answers.
                runtime.shutdown_background();
            })
            .with_context(|| format!("no thread for {name}"))?;
        Ok(Self { name, handle, stop, thread: Some(thread) })
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

impl Drop for TaskThread {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(thread = self.name, "a thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_ends_even_where_something_blocks() {
        let (blocks, blocked) = std::sync::mpsc::channel::<()>();
        let thread = TaskThread::start("blocked").unwrap();
        let _task = thread.within(|| tokio::task::spawn_blocking(move || blocked.recv()));
        drop(thread);
        drop(blocks);
    }
}
