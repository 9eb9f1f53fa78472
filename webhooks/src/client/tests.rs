use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use standardwebhooks::Webhook as Verifier;
use tapelog_events::{
    Access, RetiredSecret, SealedSecret, Signing, Subscription, Tags, Webhook, WebhookId, WebhookStatus,
};
use tapelog_store::guard::Networks;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::*;
use crate::{Secrets, Unusable};

/// What a receiver was sent.
struct Received {
    head: HeaderMap,
    body: Vec<u8>,
}

/// What a receiver does with a request.
enum Answer {
    /// Writes this.
    Bytes(String),
    /// Writes a beginning, and goes on for ever.
    Endless,
    /// Reads, and says nothing.
    Hangs,
    /// Reads, and closes.
    Closes,
}

/// A receiver whose answers depend on the path it is asked for.
struct Receiver {
    port: u16,
    received: mpsc::UnboundedReceiver<Received>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, received) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (Arc::clone(&connections), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(connection, sender.clone(), Arc::clone(&answer)));
            }
        });
        Self { port, received, connections }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

async fn serve(
    connection: TcpStream,
    sender: mpsc::UnboundedSender<Received>,
    answer: Arc<impl Fn(&str) -> Answer>,
) -> Option<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let (mut path, mut head) = (String::new(), HeaderMap::new());
        connection.read_line(&mut path).await.ok()?;
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            head.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let mut body = vec![0; head.get("content-length")?.to_str().unwrap().parse().unwrap()];
        connection.read_exact(&mut body).await.ok()?;
        sender.send(Received { head, body }).ok();
        match answer(path.split(' ').nth(1)?) {
            Answer::Bytes(bytes) => connection.write_all(bytes.as_bytes()).await.ok()?,
            Answer::Endless => {
                connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                loop {
                    connection.write_all(&[b'x'; 1000]).await.ok()?;
                }
            }
            Answer::Hangs => std::future::pending().await,
            Answer::Closes => return None,
        }
    }
}

fn status(status: &str, headers: &str, body: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

/// Seals nothing.
struct Open;

impl Secrets for Open {
    fn open(&self, sealed: &SealedSecret) -> Option<String> {
        String::from_utf8(sealed.sealed.clone()).ok()
    }
}

fn sealed(text: &str) -> SealedSecret {
    SealedSecret { sealed: text.as_bytes().to_vec() }
}

fn secret(text: &str) -> String {
    format!("whsec_{}", STANDARD.encode(text))
}

fn webhook(url: String) -> Webhook {
    Webhook {
        id: WebhookId::from_uuid(Uuid::from_u128(1)),
        subscription: Subscription {
            url,
            events: vec![],
            api_key_name: None,
            api_key_value: None,
            flow_ids: None,
            source_ids: None,
            flow_collected_by_ids: None,
            source_collected_by_ids: None,
            accept_get_urls: None,
            accept_storage_ids: None,
            presigned: None,
            verbose_storage: None,
            include_object_timerange: None,
            tags: Tags::new(),
        },
        status: WebhookStatus::Started,
        created: Instant::default(),
        owner: "test".to_owned(),
        access: Access::Unrestricted,
        signing: None,
        replay: None,
    }
}

fn target(url: String) -> Target {
    Target::of(&webhook(url), &Open, now()).unwrap()
}

fn now() -> Instant {
    SystemTime::now().into()
}

fn client(timeout: Duration) -> Client {
    let guard = Guard::new(Networks::parse(["127.0.0.0/8"]).unwrap(), []);
    Client::new(&ClientSettings { timeout, ..ClientSettings::default() }, guard)
}

/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const BODY: Bytes = Bytes::from_static(br#"{"event_type":"flows/created"}"#);

async fn post(client: &Client, url: String) -> Attempted {
    client.post(&target(url), "1.2.3", BODY, Lane::Usual).await
}

#[tokio::test]
async fn a_notification_comes_with_its_key_and_with_signatures_that_can_be_verified() {
    let mut receiver = Receiver::start(|_| status("204", "", "")).await;
    let mut webhook = webhook(receiver.url("/hook?token=x"));
    webhook.subscription.api_key_name = Some("X-Api-Key".to_owned());
    webhook.subscription.api_key_value = Some(sealed("the key"));
    let retired = |until| Some(RetiredSecret { secret: sealed(&secret("old")), until });
    let signing = |previous| Some(Signing { secret: sealed(&secret("new")), previous });
    let client = client(PATIENCE);
    let verifies = |received: &Received, text| {
        Verifier::new(&secret(text)).unwrap().verify(&received.body, &received.head).is_ok()
    };

    webhook.signing = signing(retired(now().saturating_add(PATIENCE)));
    let rotating = Target::of(&webhook, &Open, now()).unwrap();
    let attempted = client.post(&rotating, "1.2.3", BODY, Lane::Usual).await;
    assert_eq!(attempted.result, AttemptResult::Delivered { status: 204 });
    assert_eq!(attempted.excerpt, None);
    let received = receiver.received.recv().await.unwrap();
    assert_eq!(received.body, BODY);
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-api-key", "the key"),
        ("webhook-id", "1.2.3"),
        ("user-agent", concat!("tapelog/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(received.head[name], value);
    }
    assert!(verifies(&received, "new") && verifies(&received, "old") && !verifies(&received, "other"));
    let told = format!("{rotating:?} {attempted:?}");
    assert!(!told.contains("the key") && !told.contains("token"), "{told}");

    // The old secret ends while its target is still in use.
    webhook.signing = signing(retired(now()));
    let rotated = Target::of(&webhook, &Open, now().saturating_sub(PATIENCE)).unwrap();
    client.post(&rotated, "1.2.3", BODY, Lane::Usual).await;
    let received = receiver.received.recv().await.unwrap();
    assert!(verifies(&received, "new") && !verifies(&received, "old"));
}

#[test]
fn what_cannot_be_posted_to_is_said_before() {
    let unusable = |change: fn(&mut Webhook)| {
        let mut webhook = webhook("http://receiver.example/".to_owned());
        change(&mut webhook);
        Target::of(&webhook, &Open, Instant::default()).unwrap_err()
    };
    assert_eq!(unusable(|webhook| webhook.subscription.url = "x".to_owned()), Unusable::Url);
    assert_eq!(
        unusable(|webhook| {
            let secret = SealedSecret { sealed: vec![0xff] };
            webhook.signing = Some(Signing { secret, previous: None });
        }),
        Unusable::Sealed
    );
    assert_eq!(
        unusable(|webhook| webhook.signing = Some(Signing { secret: sealed("whsec_%"), previous: None })),
        Unusable::Secret
    );
    assert_eq!(
        unusable(|webhook| {
            webhook.subscription.api_key_name = Some("Content-Length".to_owned());
            webhook.subscription.api_key_value = Some(sealed("0"));
        }),
        Unusable::Header
    );
}

#[tokio::test]
async fn what_an_attempt_came_to_follows_from_the_status() {
    let receiver = Receiver::start(|path| match &path[1..] {
        "302" => status("302", "location: http://169.254.169.254/\r\n", ""),
        "429" => status("429", "retry-after: 17\r\n", ""),
        "503" => status("503", "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\r\n", "full\u{1b}[2J"),
        code => status(code, "", ""),
    })
    .await;
    let client = client(PATIENCE);
    let unreachable = |status, seconds: Option<u64>| AttemptResult::Unreachable {
        reason: Reason::Status,
        status: Some(status),
        retry_after: seconds.map(Duration::from_secs),
    };
    for (status, expected) in [
        (200, AttemptResult::Delivered { status: 200 }),
        (202, AttemptResult::Delivered { status: 202 }),
        (302, unreachable(302, None)),
        (304, unreachable(304, None)),
        (400, AttemptResult::Refused { status: 400 }),
        (404, AttemptResult::Refused { status: 404 }),
        (408, unreachable(408, None)),
        (410, AttemptResult::Gone),
        (425, unreachable(425, None)),
        (429, unreachable(429, Some(17))),
        (500, unreachable(500, None)),
        (503, unreachable(503, Some(3600))),
        (699, AttemptResult::Refused { status: 699 }),
    ] {
        let attempted = post(&client, receiver.url(&format!("/{status}"))).await;
        assert_eq!(attempted.result, expected);
        assert_eq!(attempted.excerpt.as_deref(), (status == 503).then_some("full [2J"));
    }
}

#[tokio::test]
async fn what_an_attempt_came_to_without_an_answer_follows_from_the_kind_of_failure() {
    let receiver = Receiver::start(|path| match path {
        "/hangs" => Answer::Hangs,
        "/closes" => Answer::Closes,
        _ => Answer::Bytes("SMTP\r\n\r\n".to_owned()),
    })
    .await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = plain.accept().await {
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            std::future::pending().await
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let reason = async |client: Client, url: String| match post(&client, url).await.result {
        AttemptResult::Unreachable { reason, status: None, retry_after: None } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(client(Duration::from_millis(100)), receiver.url("/hangs")).await, Reason::Timeout);
    let url = |path| receiver.url(path);
    for (url, expected) in [
        (url("/closes"), Reason::Broken),
        (url("/smtp"), Reason::Broken),
        (format!("https://127.0.0.1:{plain_port}/"), Reason::Tls),
        (format!("http://{closed}/"), Reason::Connect),
        ("http://receiver.invalid/".to_owned(), Reason::Name),
        ("http://169.254.169.254/".to_owned(), Reason::Forbidden),
        ("http://[::ffff:10.0.0.1]/".to_owned(), Reason::Forbidden),
    ] {
        assert_eq!(reason(client(PATIENCE), url.clone()).await, expected, "{url}");
    }
}

#[tokio::test]
async fn a_receiver_that_talks_for_ever_is_cut_short() {
    let receiver = Receiver::start(|path| match path {
        "/endless" => Answer::Endless,
        _ => Answer::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nslow".to_owned()),
    })
    .await;
    let client = client(PATIENCE);
    let attempted = post(&client, receiver.url("/endless")).await;
    assert_eq!(attempted.result, AttemptResult::Delivered { status: 200 });
    assert_eq!(attempted.excerpt.map(|excerpt| excerpt.len()), Some(1024));
    let attempted = post(&client, receiver.url("/slow")).await;
    assert_eq!(attempted.result, AttemptResult::Delivered { status: 200 });
    assert_eq!(attempted.excerpt.as_deref(), Some("slow"));
    assert!(attempted.took < PATIENCE, "what comes after the status is not waited for");
}

#[tokio::test]
async fn a_receiver_that_takes_one_after_the_other_is_connected_to_once() {
    let receiver = Receiver::start(|_| status("200", "", "thank you")).await;
    let client = client(PATIENCE);
    for _ in 0..10 {
        assert_eq!(post(&client, receiver.url("/")).await.excerpt.as_deref(), Some("thank you"));
    }
    assert_eq!(receiver.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn receivers_that_hang_after_they_failed_hold_up_none_that_answer() {
    let receiver = Receiver::start(|path| match path {
        "/hangs" => Answer::Hangs,
        _ => status("200", "", ""),
    })
    .await;
    let client = client(PATIENCE);
    let hanging = target(receiver.url("/hangs"));
    let hang = (0..20).map(|_| client.post(&hanging, "1.2.3", BODY, Lane::Probe));
    let answered = post(&client, receiver.url("/"));
    tokio::select! {
        attempted = answered => assert_eq!(attempted.result, AttemptResult::Delivered { status: 200 }),
        hung = futures::future::select_all(hang.map(Box::pin)) => panic!("{:?}", hung.0),
    }
}
