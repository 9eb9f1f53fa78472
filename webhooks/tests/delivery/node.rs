//! A node: a sequencer, tables that are the write-side state once more, and a dispatcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tapelog_commands::{Command, CreateWebhook, Expected, FlowMetadata, PutFlow, Request, State, Switch, Technical};
use tapelog_events::{
    Access, CommitId, DeadLetter, Event, EventPosition, FlowId, Format, Notification, Record, SealedSecret, Seq,
    SourceId, Subscription, Tags, TechnicalMetadata, Webhook, WebhookId, WebhookStatus, codec,
};
use tapelog_store::bucket::{Bucket, BucketSettings};
use tapelog_store::guard::{Guard, Networks};
use tapelog_store::log::jetstream::{Connection, JetStreamLog, JetStreamSettings};
use tapelog_store::log::{Head, Log, Tail, replay};
use tapelog_store::nats_server::{NatsServer, NatsServerSettings};
use tapelog_store::sequencer::{Delivery, Sequencer, SequencerSettings};
use tapelog_webhooks::{
    AttemptLog, AttemptSettings, Client, ClientSettings, DeliverySettings, Directory, Dispatcher, DispatcherParts,
    LeaseSettings, Notice, PositionSettings, Render, ScheduleSettings, Secrets, Transforms, notices,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Far longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that will surely come.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("what was waited for did not come")
}

/// A nats-server in a folder of its own.
pub struct Server {
    nats: NatsServer,
    pub folder: TempDir,
}

impl Server {
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let nats = NatsServer::start(NatsServerSettings::new(folder.path().join("log"))).await.unwrap();
        Self { nats, folder }
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.nats.url(), self.nats.connect_options()).await.unwrap()
    }

    pub async fn bucket(&self) -> Bucket {
        let settings = BucketSettings {
            name: "TAPELOG_delivery".to_owned(),
            description: "positions".to_owned(),
            replicas: 1,
            request_timeout: Duration::from_secs(2),
        };
        Bucket::open(&self.connect().await, settings).await.unwrap()
    }
}

/// Settings with which nothing takes long.
pub fn quick() -> DeliverySettings {
    DeliverySettings {
        lease: LeaseSettings { renew_every: Duration::from_millis(50), expires_after: Duration::from_secs(5) },
        positions: PositionSettings { every: Duration::from_millis(5), passed_every: Duration::from_millis(20) },
        schedule: ScheduleSettings {
            unreachable: vec![Duration::from_millis(1), Duration::from_millis(4)],
            refused: vec![Duration::from_millis(1)],
            give_up_after: Duration::from_secs(3600),
        },
        stop_grace: Duration::from_secs(2),
    }
}

/// The tables, as far as a dispatcher asks for them.
struct Tables {
    state: RwLock<State>,
    applied: watch::Sender<Seq>,
}

impl Directory for Tables {
    fn webhooks(&self) -> Vec<Arc<Webhook>> {
        self.state.read().registry().webhooks.values().cloned().map(Arc::new).collect()
    }

    fn webhook(&self, id: WebhookId) -> Option<Arc<Webhook>> {
        self.state.read().registry().webhooks.get(&id).cloned().map(Arc::new)
    }

    fn to_redeliver(&self) -> Vec<DeadLetter> {
        let state = self.state.read();
        state.registry().dead_letters.values().filter(|letter| letter.redelivery.is_some()).cloned().collect()
    }

    fn changed(&self) -> Seq {
        // Every record may have.
        *self.applied.borrow()
    }

    fn applied(&self) -> watch::Receiver<Seq> {
        self.applied.subscribe()
    }
}

/// Renders positions; or fails, where it is told to.
#[derive(Default)]
pub struct Plain {
    pub fails_once: AtomicBool,
}

impl Render for Plain {
    fn event(&self, notice: &Notice<'_>, _: &Transforms, _: &Access, out: &mut Vec<u8>) {
        assert!(!self.fails_once.swap(false, Ordering::Relaxed), "it is told to fail");
        out.extend_from_slice(format!("{{\"position\":\"{}\"}}", notice.position).as_bytes());
    }
}

struct Open;

impl Secrets for Open {
    fn open(&self, sealed: &SealedSecret) -> Option<String> {
        String::from_utf8(sealed.sealed.clone()).ok()
    }
}

pub struct Node {
    pub log: Arc<JetStreamLog>,
    pub dispatcher: Dispatcher<JetStreamLog>,
    pub render: Arc<Plain>,
    sequencer: Sequencer,
    tables: Arc<Tables>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Node {
    pub async fn start(server: &Server, name: &str, settings: DeliverySettings) -> Self {
        let connection = server.connect().await;
        let folder = server.folder.path().join(name);
        let now = SystemTime::now().into();
        let (stream, marker) = (JetStreamSettings::default(), folder.join("log.json"));
        let log = Arc::new(JetStreamLog::open(&connection, &stream, &marker, now).await.unwrap());
        let mut state = State::default();
        let each = |_, record: Record| record.commits.iter().try_for_each(|commit| state.fold(commit));
        let head = replay(&*log, Head::START, log.tip().await.unwrap(), each).await.unwrap();
        let tables = Arc::new(Tables { state: RwLock::new(state.clone()), applied: watch::Sender::new(head.seq) });
        let (sink, deliveries) = mpsc::channel(8);
        tokio::spawn(project(Arc::clone(&tables), deliveries));
        let clock = || SystemTime::now().into();
        let (sequencer, _) = Sequencer::start(Arc::clone(&log), state, head, clock, SequencerSettings::default(), sink);

        let stop = CancellationToken::new();
        let attempts = AttemptSettings::default();
        let (attempts, mut tasks) =
            AttemptLog::start(connection, attempts, &folder.join("attempts"), stop.clone()).await.unwrap();
        let client = ClientSettings { timeout: Duration::from_secs(3), per_origin: 64, ..ClientSettings::default() };
        let guard = Guard::new(Networks::parse(["127.0.0.0/8"]).unwrap(), []);
        let render = Arc::new(Plain::default());
        let (dispatcher, more) = Dispatcher::start(DispatcherParts {
            tail: Tail::new(Arc::clone(&log)),
            bucket: server.bucket().await,
            sequencer: sequencer.clone(),
            directory: Arc::clone(&tables) as Arc<dyn Directory>,
            render: Arc::clone(&render) as Arc<dyn Render>,
            secrets: Arc::new(Open),
            client: Client::new(&client, guard),
            attempts,
            settings,
            node: name.to_owned(),
            folder: Uuid::nil(),
            incarnation: log.incarnation(),
            log: Arc::clone(&log),
            stop: stop.clone(),
        });
        tasks.spawn(async move { _ = more.join_all().await });
        Self { log, dispatcher, render, sequencer, tables, tasks, stop }
    }

    /// Stops it as a server stops that is told to.
    pub async fn stop(self) {
        self.stop.cancel();
        soon(self.tasks.join_all()).await;
    }

    /// Stops it as a crash does: nothing is finished.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    pub async fn submit(&self, command: Command) {
        let request = Request {
            command,
            commit_id: CommitId::from_uuid(Uuid::now_v7()),
            actor: "test".to_owned(),
            access: Arc::new(Access::Unrestricted),
            request_id: None,
            idempotency: None,
        };
        soon(self.sequencer.submit(request)).await.unwrap();
    }

    /// Makes so many events of Flows happen, in records of their own, from this Flow on.
    pub async fn happen(&self, flows: std::ops::Range<u128>) {
        for number in flows {
            self.submit(put_flow(number)).await;
        }
    }

    /// Registers a webhook that is told everything.
    pub async fn register(&self, url: &str) -> WebhookId {
        let webhook_id = WebhookId::from_uuid(Uuid::new_v4());
        let signing_secret = SealedSecret { sealed: b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec() };
        let command = CreateWebhook { webhook_id, subscription: subscription(url), switch: Switch::On, signing_secret };
        self.submit(Command::CreateWebhook(Box::new(command))).await;
        webhook_id
    }

    /// Waits until the tables show a webhook to be like this.
    pub async fn becomes(&self, id: WebhookId, wanted: impl Fn(&Webhook, &[DeadLetter]) -> bool) {
        let shows = |_: &Seq| {
            let state = self.tables.state.read();
            let letters: Vec<_> = state.registry().dead_letters_of(id).cloned().collect();
            state.registry().webhooks.get(&id).is_some_and(|webhook| wanted(webhook, &letters))
        };
        soon(self.tables.applied.subscribe().wait_for(shows)).await.unwrap();
    }

    pub async fn started(&self, id: WebhookId) {
        self.becomes(id, |webhook, _| webhook.status == WebhookStatus::Started).await;
    }

    /// Where everything is that a webhook is to be told, from its registration on.
    pub async fn told(&self, id: WebhookId) -> Vec<EventPosition> {
        let mut told = None::<Vec<_>>;
        for seq in 1..=self.log.tip().await.unwrap().0 {
            let record = codec::decode(&self.log.read(Seq(seq)).await.unwrap().unwrap()).unwrap();
            if let Some(told) = &mut told {
                told.extend(notices(Seq(seq), &record).map(|notice| notice.position));
            }
            let mut events = record.commits.iter().flat_map(|commit| &commit.events);
            if events.any(|event| matches!(event, Event::WebhookCreated(event) if event.webhook.id == id)) {
                told = Some(Vec::new());
            }
        }
        told.unwrap()
    }
}

async fn project(tables: Arc<Tables>, mut deliveries: mpsc::Receiver<Delivery>) {
    while let Some(delivery) = deliveries.recv().await {
        match delivery {
            Delivery::Record(committed) => {
                for commit in &committed.record.commits {
                    tables.state.write().fold(commit).unwrap();
                }
                tables.applied.send_replace(committed.head.seq);
                committed.receipts.release();
            }
            Delivery::Confirmed(confirmed) => confirmed.receipts.release(),
        }
    }
}

pub fn subscription(url: &str) -> Subscription {
    Subscription {
        url: url.to_owned(),
        events: Notification::ALL.to_vec(),
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
        tags: Tags::default(),
    }
}

fn put_flow(number: u128) -> Command {
    Command::PutFlow(Box::new(PutFlow {
        expected: Expected::Any,
        flow_id: FlowId::from_uuid(Uuid::from_u128(number)),
        metadata: FlowMetadata {
            source_id: SourceId::from_uuid(Uuid::from_u128(number)),
            label: None,
            description: None,
            created_by: None,
            updated_by: None,
            tags: Tags::default(),
            metadata_version: None,
            generation: None,
            status: None,
            read_only: None,
            max_bit_rate: None,
            flow_collection: None,
            technical: Technical::Own(Box::new(TechnicalMetadata {
                format: Format::Data,
                codec: Some("application/octet-stream".to_owned()),
                container: Some("video/mp2t".to_owned()),
                avg_bit_rate: None,
                segment_duration: None,
                container_mapping: None,
                essence_parameters: None,
            })),
        },
    }))
}
