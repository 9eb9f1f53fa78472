//! A server that several tests share, since each start costs a second. Such tests leave alone what they have not made,
//! and look for what they have made by its ids, tags or labels.

use std::ops::Deref;
use std::process::{Child, Command, Stdio};

use tokio::sync::OnceCell;

use crate::api::Api;
use crate::server::{Options, Server};

/// Ends a server, and removes its folder, once nobody holds the other end of its standard input. Being asked to stop,
/// the server takes its nats-server with it. What interrupts the tests interrupts the whole group of processes.
const KEEPER: &str = r#"trap '' INT
cat
kill "$1"
tries=0
while [ -e "/proc/$1/exe" ] && [ $((tries += 1)) -lt 300 ]; do sleep 0.1; done
rm -rf "$2""#;

/// A server for the static of a suite. It starts with the first test that visits it, and ends after the process of the
/// tests, however that ends: nothing drops a static.
pub struct SharedServer {
    options: fn() -> Options,
    running: OnceCell<Running>,
}

struct Running {
    server: Server,
    /// Holds the keeper's standard input open for as long as this process lives.
    _keeper: Child,
}

impl SharedServer {
    /// One that is not started yet.
    pub const fn new(options: fn() -> Options) -> Self {
        Self { options, running: OnceCell::const_new() }
    }

    /// The server, for one test.
    pub async fn visit(&'static self) -> Visit {
        let Running { server, .. } = self.running.get_or_init(|| Running::start((self.options)())).await;
        // Connections belong to the runtime of the test that has opened them.
        Visit { server, api: Api::new(server.api().base()) }
    }
}

impl Running {
    async fn start(options: Options) -> Self {
        let server = Server::start_with(options).await;
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", &server.id().expect("it has just started").to_string()])
            .arg(server.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self { server, _keeper: keeper.expect("there is a shell") }
    }
}

/// One test's use of a shared server. If the test fails, the end of the server's log is printed.
pub struct Visit {
    server: &'static Server,
    api: Api,
}

impl Deref for Visit {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.server.explain_failure();
    }
}
