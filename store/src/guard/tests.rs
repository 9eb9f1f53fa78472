//! The table of ways to have a server ask what it must not.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers as it is told to, one lookup after the other; then it knows nothing.
struct Script(Mutex<VecDeque<Vec<IpAddr>>>);

impl Script {
    fn new(answers: &[&[&str]]) -> Self {
        let parsed = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Self(Mutex::new(answers.iter().map(parsed).collect()))
    }
}

impl Lookup for Script {
    fn look_up<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async move { self.0.lock().pop_front().ok_or(io::ErrorKind::NotFound.into()) }.boxed()
    }
}

/// Never answers.
struct Silence;

impl Lookup for Silence {
    fn look_up<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        std::future::pending().boxed()
    }
}

fn networks(texts: &[&str]) -> Networks {
    Networks::parse(texts).unwrap()
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

/// A guard whose names lead where the script says.
fn scripted(allowed: &[&str], answers: &[&[&str]]) -> Guard {
    Guard::with_lookup(networks(allowed), [], Script::new(answers))
}

fn check(text: &str) -> Result<(), Refused> {
    Guard::new(Networks::default(), []).check_url(&url(text))
}

#[test]
fn addresses_that_are_not_public_are_refused_however_they_are_spelt() {
    for refused in [
        // Loopback.
        "http://127.0.0.1/",
        "https://127.8.9.10:8443/",
        "http://[::1]/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://receiver.localhost/",
        // Private.
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://[fd00::1]/",
        // Link-local, with the metadata of clouds.
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        // IPv4 within IPv6: mapped, compatible, NAT64, 6to4, Teredo.
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::a9fe:a9fe]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:7f00:1::1]/",
        // Numbers in one part, in fewer parts, octal, hexadecimal, with a dot at their end, in other digits, encoded.
        "http://2130706433/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://0x7f000001/",
        "http://127.0.0.1./",
        "http://１２７.0.0.1/",
        "http://%31%32%37.0.0.1/",
        // Everybody, and nobody yet.
        "http://224.0.0.1/",
        "http://[ff02::1]/",
        "http://255.255.255.255/",
        "http://240.0.0.1/",
    ] {
        assert_eq!(check(refused), Err(Refused::Address), "{refused}");
    }
    for accepted in ["http://1.1.1.1/", "https://[2606:4700::1111]:8443/", "https://receiver.example/a?b=c"] {
        assert_eq!(check(accepted), Ok(()), "{accepted}");
    }
}

#[test]
fn only_http_without_credentials_is_asked() {
    for (text, refused) in [
        ("ftp://receiver.example/", Refused::Scheme),
        ("file:///etc/passwd", Refused::Scheme),
        ("data:,x", Refused::Scheme),
        ("http://user@receiver.example/", Refused::Credentials),
        ("http://user:password@receiver.example/", Refused::Credentials),
        ("http://:password@receiver.example/", Refused::Credentials),
    ] {
        assert_eq!(check(text), Err(refused), "{text}");
    }
}

#[test]
fn listed_networks_may_be_asked_in_every_spelling() {
    let guard = Guard::new(networks(&["127.0.0.0/8"]), []);
    for accepted in ["http://127.0.0.1:9000/", "http://[::ffff:127.0.0.1]/", "http://2130706433/", "http://localhost/"]
    {
        assert_eq!(guard.check_url(&url(accepted)), Ok(()), "{accepted}");
    }
    for refused in ["http://10.0.0.1/", "http://[::1]/", "http://[64:ff9b::7f00:1]/"] {
        assert_eq!(guard.check_url(&url(refused)), Err(Refused::Address), "{refused}");
    }
}

#[tokio::test]
async fn what_the_store_itself_uses_is_not_asked_unless_its_network_is_listed() {
    let own = || [("1.1.1.1".to_owned(), 4222), ("Objects.example".to_owned(), 443), ("[2a00::1]".to_owned(), 80)];
    let with = |allowed: &[&str]| {
        Guard::with_lookup(networks(allowed), own(), Script::new(&[&["1.1.1.1"], &["2a00::1"], &["2a00::2"]]))
    };
    let guard = with(&[]);
    for refused in
        ["http://1.1.1.1:4222/", "https://objects.EXAMPLE./", "http://objects.example:443/", "http://[2a00::1]/"]
    {
        assert_eq!(guard.check_url(&url(refused)), Err(Refused::Address), "{refused}");
    }
    for accepted in ["http://1.1.1.2:4222/", "http://objects.example/", "http://[2a00::2]/"] {
        assert_eq!(guard.check_url(&url(accepted)), Ok(()), "{accepted}");
    }
    let receiver = url("http://receiver.example/");
    assert_eq!(guard.check_resolved(&receiver).await, Err(Refused::Address));
    assert_eq!(guard.check_resolved(&receiver).await, Err(Refused::Address));
    assert_eq!(guard.check_resolved(&receiver).await, Ok(()));
    assert_eq!(with(&["1.1.1.0/24"]).check_url(&url("http://1.1.1.1:4222/")), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_refused_if_any_address_it_leads_to_is() {
    let receiver = url("https://receiver.example/");
    for (answer, expected) in [
        (&["93.184.215.14"][..], Ok(())),
        (&["10.0.0.1"][..], Err(Refused::Address)),
        (&["93.184.215.14", "127.0.0.1"][..], Err(Refused::Address)),
        (&["2606:4700::1111", "::ffff:169.254.169.254"][..], Err(Refused::Address)),
        (&["64:ff9b::a00:1"][..], Err(Refused::Address)),
    ] {
        assert_eq!(scripted(&[], &[answer]).check_resolved(&receiver).await, expected, "{answer:?}");
    }
    assert_eq!(scripted(&[], &[]).check_resolved(&receiver).await, Ok(()), "one that is not known yet may be later");
    let silent = Guard::with_lookup(Networks::default(), [], Silence);
    assert_eq!(silent.check_resolved(&receiver).await, Ok(()));
}

/// A receiver on all addresses of this machine, which answers all requests with `answer`. Gives its port, and to which
/// address each connection went.
async fn receiver(answer: &'static str) -> (u16, Arc<Mutex<Vec<IpAddr>>>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            seen.lock().push(connection.local_addr().unwrap().ip());
            let mut request = [0; 4096];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, connections)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_name_that_leads_elsewhere_a_moment_later_leads_to_no_connection_there() {
    let (port, connections) = receiver(OK).await;
    let guard =
        scripted(&["127.0.0.1"], &[&["93.184.215.14"], &["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1", "127.0.0.2"]]);
    let client = guard.client().build().unwrap();
    let rebound = url(&format!("http://rebinding.example:{port}/"));
    assert_eq!(guard.check_resolved(&rebound).await, Ok(()));

    assert_eq!(client.get(rebound.clone()).send().await.unwrap().status(), 200, "one lookup, one connection");
    for _ in 0..2 {
        let refused = client.get(rebound.clone()).send().await.unwrap_err();
        assert!(Guard::has_refused(&refused), "{refused:?}");
    }
    let unknown = client.get(rebound).send().await.unwrap_err();
    assert!(!Guard::has_refused(&unknown) && unknown.is_dns(), "{unknown:?}");
    assert_eq!(*connections.lock(), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
}

#[tokio::test]
async fn a_redirect_to_metadata_is_not_followed() {
    let answer = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let (port, _) = receiver(answer).await;
    let client = Guard::new(networks(&["127.0.0.0/8"]), []).client().build().unwrap();
    let answer = client.get(format!("http://127.0.0.1:{port}/")).send().await.unwrap();
    assert_eq!(answer.status(), 302);
}
