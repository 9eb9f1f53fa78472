//! Three nats-servers that keep one JetStream.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::server::PATIENCE;
use crate::{eventually, program};

/// How many servers there are.
pub const SERVERS: usize = 3;

/// A cluster of nats-servers with the project's `nats.conf`, each with a folder and ports of its own.
pub struct Cluster {
    folder: TempDir,
    /// The ports of each: for clients, and for the others.
    ports: [(u16, u16); SERVERS],
    processes: [Option<Child>; SERVERS],
}

impl Cluster {
    /// Starts one, and waits until it keeps streams on all of its servers.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tapelog-cluster-").tempdir().expect("a temporary folder");
        let mut cluster = Self { folder, ports: free_ports(), processes: [const { None }; SERVERS] };
        for server in 0..SERVERS {
            cluster.start_again(server);
        }
        cluster.is_whole().await;
        cluster
    }

    /// Where clients connect: the URLs of all servers.
    pub fn url(&self) -> String {
        self.ports.map(|(port, _)| format!("nats://127.0.0.1:{port}")).join(",")
    }

    /// Kills one.
    pub fn kill(&mut self, server: usize) {
        if let Some(mut process) = self.processes[server].take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts one again on its folder and ports.
    pub fn start_again(&mut self, server: usize) {
        assert!(self.processes[server].is_none(), "the server runs already");
        let (port, route) = self.ports[server];
        let folder = self.folder.path().join(server.to_string());
        let routes = self.ports.map(|(_, route)| format!("nats-route://127.0.0.1:{route}"));
        let process = Command::new(program::nats_server())
            .arg("-c")
            .arg(program::workspace().join("nats.conf"))
            .args(["-p", &port.to_string(), "--name", &format!("n{server}"), "-sd"])
            .arg(&folder)
            .args(["--cluster_name", "tapelog-test", "--cluster", &format!("nats://127.0.0.1:{route}")])
            .args(["--routes", &routes.join(",")])
            .arg("-l")
            .arg(self.folder.path().join(format!("{server}.log")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.processes[server] = Some(process.unwrap());
    }

    /// Waits until a new stream can be kept on all servers.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn is_whole(&self) {
        eventually("the cluster is whole", PATIENCE, async || {
            let first: async_nats::ServerAddr = self.url().split(',').next()?.parse().ok()?;
            let jetstream = async_nats::jetstream::new(async_nats::connect(first).await.ok()?);
            let probe = async_nats::jetstream::stream::Config {
                name: "PROBE".to_owned(),
                num_replicas: SERVERS,
                ..Default::default()
            };
            jetstream.create_stream(probe).await.ok()?;
            jetstream.delete_stream("PROBE").await.ok().map(drop)
        })
        .await;
    }
}

/// Ports that nothing listens on now. Servers of a cluster have to know each other's beforehand.
fn free_ports() -> [(u16, u16); SERVERS] {
    let listeners: Vec<_> = (0..2 * SERVERS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |index: usize| listeners[index].local_addr().unwrap().port();
    std::array::from_fn(|server| (port(2 * server), port(2 * server + 1)))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        (0..SERVERS).for_each(|server| self.kill(server));
    }
}
