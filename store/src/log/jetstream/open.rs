//! Opening the log: making it where there never was one, and refusing anything that is not the log that was there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType, Stream,
};
use tapelog_events::{CommitId, Incarnation, Instant, Seq};
use tracing::{info, warn};
use uuid::Uuid;

use super::{JetStreamSettings, unreachable};
use crate::log::genesis::{genesis, incarnation_of};
use crate::log::marker::{Marker, MarkerError};
use crate::log::{Broken, Unreachable};

/// The log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// There was one, and it is gone.
    #[error(
        "stream {stream} is not there, though {marker} says that it held {last_seq} records: either this is the wrong \
         server, or the log is lost; point tapelog at the right server or restore the stream from a backup, and delete \
         the marker only to start with an empty store"
    )]
    Lost {
        /// The name of the stream.
        stream: String,
        /// The marker file.
        marker: PathBuf,
        /// How far the log is known to have gone.
        last_seq: Seq,
    },
    /// It is not what it was.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The marker is that of a log with another name.
    #[error("marker {marker} belongs to the log {found}, not to {stream}: use another data folder, or the right name")]
    OtherLog {
        /// The name that was asked for.
        stream: String,
        /// The name in the marker.
        found: String,
        /// The marker file.
        marker: PathBuf,
    },
    /// The stream holds something else.
    #[error("stream {stream} is not a log of tapelog: its first message is not the first record of one")]
    NotALog {
        /// Its name.
        stream: String,
    },
    /// The stream could lose records, or take what is not a record.
    #[error("stream {stream} is not configured as a log must be: {}", differences.join("; "))]
    Configuration {
        /// Its name.
        stream: String,
        /// What differs, one sentence each.
        differences: Vec<String>,
    },
    /// The marker file.
    #[error(transparent)]
    Marker(#[from] MarkerError),
}

/// In the metadata of a stream for as long as it is being restored, and so is not yet the whole log.
pub(super) const RESTORING: &str = "tapelog-restoring";

/// What is known of the log once it is open.
pub(super) struct Opened {
    pub stream: Stream<()>,
    pub marker: Marker,
    pub max_message: usize,
}

/// The one subject of a stream.
pub(super) fn subject(stream: &str) -> String {
    format!("{stream}.records")
}

pub(super) async fn open(
    context: &Context,
    settings: &JetStreamSettings,
    path: &Path,
    now: Instant,
) -> Result<Opened, OpenError> {
    let name = &settings.stream;
    let marker = marker_of(path, name)?;
    let info = match (find(context, name).await?, &marker) {
        (Some(info), _) => info,
        (None, None) => create(context, settings).await?,
        (None, Some(marker)) => {
            return Err(OpenError::Lost { stream: name.clone(), marker: path.to_owned(), last_seq: marker.last_seq });
        }
    };
    check(&info.config, settings)?;
    let stream = context.get_stream_no_info(name).await.map_err(unreachable)?;
    let tip = Seq(info.state.last_sequence);
    if let Some(marker) = &marker
        && tip < marker.last_seq
    {
        return Err(Broken::Rewound(marker.last_seq).into());
    }
    if tip == Seq::ZERO {
        start(context, name, now).await?;
    }
    let found = first_incarnation(&stream, name).await?;
    let marker = match marker {
        Some(marker) if marker.incarnation == found => marker,
        Some(marker) => return Err(Broken::Replaced { expected: marker.incarnation, found }.into()),
        None => {
            let marker = Marker { stream: name.clone(), incarnation: found, last_seq: tip.max(Seq(1)) };
            marker.store(path)?;
            marker
        }
    };
    let max_message = usize::try_from(info.config.max_message_size).ok().filter(|size| *size > 0);
    Ok(Opened { stream, marker, max_message: max_message.unwrap_or(usize::MAX) })
}

/// What the marker says of the log with this name, where there is one.
pub(super) fn marker_of(path: &Path, stream: &str) -> Result<Option<Marker>, OpenError> {
    let marker = Marker::load(path)?;
    match marker {
        Some(marker) if marker.stream != stream => {
            Err(OpenError::OtherLog { stream: stream.to_owned(), found: marker.stream, marker: path.to_owned() })
        }
        marker => Ok(marker),
    }
}

pub(super) async fn find(context: &Context, name: &str) -> Result<Option<Info>, Unreachable> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(unreachable(error)),
        },
    }
}

async fn create(context: &Context, settings: &JetStreamSettings) -> Result<Info, Unreachable> {
    create_as(context, settings, configuration(settings)).await
}

/// Makes the stream with this configuration.
pub(super) async fn create_as(
    context: &Context,
    settings: &JetStreamSettings,
    configuration: Config,
) -> Result<Info, Unreachable> {
    match context.create_stream(configuration).await {
        Ok(stream) => {
            info!(stream = settings.stream, replicas = settings.replicas, "a stream for the log was made");
            Ok(stream.cached_info().clone())
        }
        // Another node made it at the same moment, with settings of its own.
        Err(error) if already_exists(&error) => match find(context, &settings.stream).await? {
            Some(info) => Ok(info),
            None => Err(unreachable(error)),
        },
        Err(error) => Err(unreachable(error)),
    }
}

fn already_exists(error: &CreateStreamError) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

/// Writes the first record. Of several nodes that try, one wins, and all read what it wrote.
async fn start(context: &Context, name: &str, now: Instant) -> Result<(), OpenError> {
    use async_nats::jetstream::context::PublishErrorKind;
    use async_nats::jetstream::message::PublishMessage;

    let incarnation = Incarnation::from_uuid(Uuid::new_v4());
    let payload = genesis(incarnation, CommitId::from_uuid(Uuid::now_v7()), now);
    let publish = PublishMessage::build().expected_last_sequence(0).expected_stream(name).payload(payload);
    let sent = context.send_publish(subject(name), publish).await.map_err(unreachable)?;
    match sent.await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
        Err(error) => Err(unreachable(error).into()),
    }
}

/// Which life of the log its first record names.
pub(super) async fn first_incarnation(stream: &Stream<()>, name: &str) -> Result<Incarnation, OpenError> {
    match stream.get_raw_message(1).await {
        Ok(message) => incarnation_of(&message.payload).ok_or_else(|| OpenError::NotALog { stream: name.to_owned() }),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Err(Broken::Missing(Seq(1)).into()),
        Err(error) => Err(unreachable(error).into()),
    }
}

/// What a new stream is made with.
pub(super) fn configuration(settings: &JetStreamSettings) -> Config {
    Config {
        name: settings.stream.clone(),
        subjects: vec![subject(&settings.stream)],
        description: Some("The log of a tapelog store: the truth that all of its tables are made from".to_owned()),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        // A full log refuses records; it never forgets old ones.
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_bytes: -1,
        max_age: Duration::ZERO,
        num_replicas: settings.replicas,
        deny_delete: true,
        deny_purge: true,
        // Only the leader may answer: another replica may be behind.
        allow_direct: false,
        ..Config::default()
    }
}

/// Refuses a stream that could lose records or take what is not a record. Servers drop fields that they do not know, so
/// a new stream is checked as well.
pub(super) fn check(found: &Config, settings: &JetStreamSettings) -> Result<(), OpenError> {
    let differences = differences(found, settings);
    if !differences.is_empty() {
        return Err(OpenError::Configuration { stream: settings.stream.clone(), differences });
    }
    if found.num_replicas != settings.replicas {
        warn!(found = found.num_replicas, asked = settings.replicas, "the log has another number of replicas");
    }
    Ok(())
}

/// What is not as it must be, one sentence each.
pub(super) fn differences(found: &Config, settings: &JetStreamSettings) -> Vec<String> {
    let asked = configuration(settings);
    let unlimited = |limit: i64| limit <= 0;
    let rules = [
        (found.subjects == asked.subjects, "its only subject must be <stream>.records"),
        (found.storage == asked.storage, "storage must be file"),
        (found.retention == asked.retention, "retention must be limits"),
        (found.discard == asked.discard, "discard must be new"),
        (unlimited(found.max_messages), "max_msgs must be unlimited"),
        (unlimited(found.max_messages_per_subject), "max_msgs_per_subject must be unlimited"),
        (found.max_age == asked.max_age, "max_age must be 0"),
        (found.deny_delete, "deny_delete must be true"),
        (found.deny_purge, "deny_purge must be true"),
        (!found.allow_rollup, "allow_rollup_hdrs must be false"),
        (!found.no_ack, "no_ack must be false"),
        (!found.sealed, "it must not be sealed"),
        (found.mirror.is_none() && found.sources.is_none(), "it must have neither mirror nor sources"),
        (found.subject_transform.is_none(), "it must have no subject_transform"),
        (found.persist_mode != Some(PersistenceMode::Async), "persist_mode must not be async"),
        (
            !found.metadata.contains_key(RESTORING),
            "it is being restored from an archive: let `tapelog log import` end, or run it again if it was interrupted",
        ),
    ];
    rules.into_iter().filter(|(holds, _)| !holds).map(|(_, rule)| rule.to_owned()).collect()
}
