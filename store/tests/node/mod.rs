//! What the suites share: a node, which is a sequencer and a projector whose only table is one more fold of the log; and
//! requests to it.

use std::sync::Arc;
use std::time::Duration;

use tapelog_commands::{Command, Expected, FlowMetadata, PutFlow, Request, State, Technical, UpdateService};
use tapelog_events::{Access, CommitId, FlowId, Format, Instant, Record, Seq, SourceId, Tags, TechnicalMetadata};
use tapelog_store::log::{Head, Log, replay};
use tapelog_store::sequencer::{Delivery, Halt, Sequencer, SequencerSettings, Stopped};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

pub struct Node {
    pub sequencer: Sequencer,
    /// Up to which record the projector has applied the log.
    pub applied: watch::Receiver<Seq>,
    pub task: JoinHandle<Result<Stopped, Halt>>,
    pub projector: JoinHandle<State>,
}

impl Node {
    /// Starts a node from nothing but the log. `lag` says how long the projector takes for the next delivery.
    pub async fn start<L: Log>(
        log: &Arc<L>,
        settings: SequencerSettings,
        clock: impl Fn() -> Instant + Send + 'static,
        lag: impl FnMut() -> Duration + Send + 'static,
    ) -> Self {
        let tip = loop {
            match log.tip().await {
                Ok(tip) => break tip,
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        };
        let mut state = State::default();
        let each = |_, record: Record| record.commits.iter().try_for_each(|commit| state.fold(commit));
        let head = replay(&**log, Head::START, tip, each).await.unwrap();
        // Small, so that a slow projector holds the sequencer up.
        let (sink, deliveries) = mpsc::channel(2);
        let (applied_sender, applied) = watch::channel(head.seq);
        let projector = tokio::spawn(project(state.clone(), head, deliveries, applied_sender, lag));
        let (sequencer, task) = Sequencer::start(Arc::clone(log), state, head, clock, settings, sink);
        Self { sequencer, applied, task, projector }
    }

    /// Closes the node. Gives back what its sequencer and its projector hold.
    pub async fn close(self) -> Result<(Stopped, State), Halt> {
        self.sequencer.close();
        let stopped = self.task.await.unwrap()?;
        Ok((stopped, self.projector.await.unwrap()))
    }
}

async fn project(
    mut state: State,
    mut head: Head,
    mut deliveries: mpsc::Receiver<Delivery>,
    applied: watch::Sender<Seq>,
    mut lag: impl FnMut() -> Duration,
) -> State {
    while let Some(delivery) = deliveries.recv().await {
        sleep(lag()).await;
        match delivery {
            Delivery::Record(committed) => {
                assert_eq!(committed.head.seq, head.seq.next(), "records are handed on in order, each once");
                assert_eq!(committed.record.prev_hash, head.hash, "L2");
                for commit in &committed.record.commits {
                    state.fold(commit).unwrap();
                }
                head = committed.head;
                applied.send_replace(head.seq);
                committed.receipts.release();
            }
            Delivery::Confirmed(confirmed) => {
                assert_eq!(confirmed.seq, head.seq, "answers follow all that was handed on before");
                confirmed.receipts.release();
            }
        }
    }
    state
}

pub fn flow_id(number: u128) -> FlowId {
    FlowId::from_uuid(Uuid::from_u128(number))
}

pub fn source_id(number: u128) -> SourceId {
    SourceId::from_uuid(Uuid::from_u128(number))
}

/// A request with an id of its own.
pub fn request(command: Command) -> Request {
    Request {
        access: Arc::new(Access::Unrestricted),
        command,
        commit_id: CommitId::from_uuid(Uuid::now_v7()),
        actor: "test".to_owned(),
        request_id: None,
        idempotency: None,
    }
}

pub fn put_flow(flow: u128, source: u128, label: &str) -> Command {
    Command::PutFlow(Box::new(PutFlow {
        expected: Expected::Any,
        flow_id: flow_id(flow),
        metadata: FlowMetadata {
            source_id: source_id(source),
            label: Some(label.to_owned()),
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

pub fn name_store(name: &str) -> Command {
    Command::UpdateService(UpdateService { name: Some(name.to_owned()), description: None })
}
