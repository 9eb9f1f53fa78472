//! From events to what subscribers are told, and who of them is.

use std::collections::HashSet;
use std::sync::Arc;

use tapelog_events::{
    AUTH_CLASSES, Access, Event, EventPosition, Flow, FlowId, Instant, Membership, Notification, Permission, Record,
    SegmentsAdded, SegmentsDeleted, Seq, Source, SourceCollectionItem, SourceId, Subscription, TagValue, Verdict,
};

/// Something that subscribers are told of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Notice<'a> {
    /// The event. Stable: a repetition has the same.
    pub position: EventPosition,
    /// When it happened.
    pub at: Instant,
    /// What kind of event it is.
    pub notification: Notification,
    /// What it is about, as it was then.
    pub subject: Subject<'a>,
}

/// What a notice is about, as it was right after the event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Subject<'a> {
    /// A Flow that is there.
    Flow {
        /// Its metadata.
        flow: &'a Flow,
        /// When its segments changed last.
        segments_updated: Option<Instant>,
        /// What collects it.
        collected_by: &'a Membership,
    },
    /// A Flow that is not there any more.
    FlowGone {
        /// The Flow.
        flow_id: FlowId,
        /// Its Source.
        source_id: SourceId,
        /// What collected it until then.
        collected_by: &'a Membership,
    },
    /// Segments that were added.
    Segments(&'a SegmentsAdded),
    /// Segments that were deleted.
    SegmentsGone(&'a SegmentsDeleted),
    /// A Source that is there.
    Source {
        /// Its metadata.
        source: &'a Source,
        /// The Sources that collect it.
        collected_by: &'a [SourceId],
        /// The Sources that it collects.
        source_collection: &'a [SourceCollectionItem],
    },
    /// A Source that is not there any more.
    SourceGone {
        /// The Source.
        source_id: SourceId,
        /// The Sources that collected it until then.
        collected_by: &'a [SourceId],
        /// The classes that it belonged to.
        auth_classes: Option<&'a TagValue>,
    },
}

/// What subscribers are told of a record, in log order.
pub fn notices(seq: Seq, record: &Record) -> impl Iterator<Item = Notice<'_>> {
    record.commits.iter().zip(0..).flat_map(move |(commit, index)| {
        commit.events.iter().zip(0..).filter_map(move |(event, number)| {
            let (notification, subject) = told(event)?;
            let position = EventPosition { seq, commit: index, event: number };
            Some(Notice { position, at: commit.at, notification, subject })
        })
    })
}

/// A Flow that is put aside is gone for all who look, and created when it is back.
fn told(event: &Event) -> Option<(Notification, Subject<'_>)> {
    Some(match event {
        Event::FlowCreated(event) => {
            let (flow, collected_by) = (&event.flow, &event.collected_by);
            (Notification::FlowCreated, Subject::Flow { flow, segments_updated: None, collected_by })
        }
        Event::FlowRestored(event) => {
            let (flow, segments_updated, collected_by) = (&event.flow, event.segments_updated, &event.collected_by);
            (Notification::FlowCreated, Subject::Flow { flow, segments_updated, collected_by })
        }
        Event::FlowUpdated(event) => {
            let (flow, segments_updated, collected_by) = (&event.flow, event.segments_updated, &event.collected_by);
            (Notification::FlowUpdated, Subject::Flow { flow, segments_updated, collected_by })
        }
        Event::FlowDeleted(event) => {
            let (flow_id, source_id, collected_by) = (event.flow_id, event.source_id, &event.collected_by);
            (Notification::FlowDeleted, Subject::FlowGone { flow_id, source_id, collected_by })
        }
        Event::FlowTrashed(event) => {
            let (flow_id, source_id, collected_by) = (event.flow_id, event.source_id, &event.collected_by);
            (Notification::FlowDeleted, Subject::FlowGone { flow_id, source_id, collected_by })
        }
        Event::SegmentsAdded(event) => (Notification::SegmentsAdded, Subject::Segments(event)),
        Event::SegmentsDeleted(event) => (Notification::SegmentsDeleted, Subject::SegmentsGone(event)),
        Event::SourceCreated(event) => {
            let subject = Subject::Source { source: &event.source, collected_by: &[], source_collection: &[] };
            (Notification::SourceCreated, subject)
        }
        Event::SourceUpdated(event) => {
            let (source, collected_by) = (&event.source, event.collected_by.as_slice());
            let source_collection = event.source_collection.as_slice();
            (Notification::SourceUpdated, Subject::Source { source, collected_by, source_collection })
        }
        Event::SourceDeleted(event) => {
            let (source_id, collected_by) = (event.source_id, event.collected_by.as_slice());
            let auth_classes = event.auth_classes.as_ref();
            (Notification::SourceDeleted, Subject::SourceGone { source_id, collected_by, auth_classes })
        }
        Event::LogStarted(_)
        | Event::ServiceUpdated(_)
        | Event::FlowPurged(_)
        | Event::SegmentTagged(_)
        | Event::ObjectsAllocated(_)
        | Event::ObjectsCondemned(_)
        | Event::ObjectsDeleted(_)
        | Event::ProfileCreated(_)
        | Event::InstanceAdded(_)
        | Event::InstanceRemoved(_)
        | Event::InstanceErased(_)
        | Event::CopyRequested(_)
        | Event::CopyFailed(_)
        | Event::DeletionRequested(_)
        | Event::DeletionAdvanced(_)
        | Event::DeletionForgotten(_)
        | Event::WebhookCreated(_)
        | Event::WebhookUpdated(_)
        | Event::WebhookDeleted(_)
        | Event::DeadLettered(_)
        | Event::RedeliveryRequested(_)
        | Event::DeadLetterResolved(_)
        | Event::ReplayRequested(_)
        | Event::AccountSet(_)
        | Event::AccountDeleted(_)
        | Event::TokenIssued(_)
        | Event::TokenRevoked(_) => return None,
    })
}

/// Who is told what: the filters of a subscription (12.3) and what its owner may see (AppNote 0016). All must agree.
#[derive(Debug, Clone)]
pub struct Filter {
    /// What is notified.
    pub events: HashSet<Notification>,
    /// Only these Flows; absent, all.
    pub flow_ids: Option<HashSet<FlowId>>,
    /// Only these Sources and their Flows; absent, all.
    pub source_ids: Option<HashSet<SourceId>>,
    /// Only Flows that one of these collects; empty, only those that nothing collects; absent, all.
    pub flow_collected_by_ids: Option<HashSet<FlowId>>,
    /// Only Sources that one of these collects, and their Flows; empty, only what nothing collects; absent, all.
    pub source_collected_by_ids: Option<HashSet<SourceId>>,
    /// What whoever is told may see.
    pub access: Arc<Access>,
}

impl Filter {
    /// The filter of a subscription whose owner may see this.
    pub fn of(subscription: &Subscription, access: Arc<Access>) -> Self {
        Self {
            events: subscription.events.iter().copied().collect(),
            flow_ids: set(&subscription.flow_ids),
            source_ids: set(&subscription.source_ids),
            flow_collected_by_ids: set(&subscription.flow_collected_by_ids),
            source_collected_by_ids: set(&subscription.source_collected_by_ids),
            access,
        }
    }

    /// Whether a notice is for this subscriber.
    pub fn matches(&self, notice: &Notice<'_>) -> bool {
        self.events.contains(&notice.notification)
            && match notice.subject {
                Subject::Flow { flow, collected_by, .. } => {
                    self.of_flow(flow.id, flow.source_id, collected_by) && self.may_read(flow.tags.get(AUTH_CLASSES))
                }
                Subject::FlowGone { flow_id, source_id, collected_by } => {
                    self.of_flow(flow_id, source_id, collected_by) && self.may_read(collected_by.auth_classes.as_ref())
                }
                Subject::Segments(SegmentsAdded { flow_id, source_id, collected_by, .. })
                | Subject::SegmentsGone(SegmentsDeleted { flow_id, source_id, collected_by, .. }) => {
                    self.of_flow(*flow_id, *source_id, collected_by)
                        && self.may_read(collected_by.auth_classes.as_ref())
                }
                Subject::Source { source, collected_by, .. } => {
                    self.of_source(source.id, collected_by) && self.may_read(source.tags.get(AUTH_CLASSES))
                }
                Subject::SourceGone { source_id, collected_by, auth_classes } => {
                    self.of_source(source_id, collected_by) && self.may_read(auth_classes)
                }
            }
    }

    fn of_flow(&self, flow_id: FlowId, source_id: SourceId, collected_by: &Membership) -> bool {
        self.flow_ids.as_ref().is_none_or(|ids| ids.contains(&flow_id))
            && collected(self.flow_collected_by_ids.as_ref(), &collected_by.flow)
            && self.of_source(source_id, &collected_by.source)
    }

    fn of_source(&self, source_id: SourceId, collected_by: &[SourceId]) -> bool {
        self.source_ids.as_ref().is_none_or(|ids| ids.contains(&source_id))
            && collected(self.source_collected_by_ids.as_ref(), collected_by)
    }

    fn may_read(&self, classes: Option<&TagValue>) -> bool {
        self.access.judge_classes(Permission::Read, classes) == Verdict::Granted
    }
}

fn set<Id: Copy + Eq + std::hash::Hash>(ids: &Option<Vec<Id>>) -> Option<HashSet<Id>> {
    ids.as_ref().map(|ids| ids.iter().copied().collect())
}

fn collected<Id: Eq + std::hash::Hash>(wanted: Option<&HashSet<Id>>, by: &[Id]) -> bool {
    match wanted {
        None => true,
        Some(wanted) if wanted.is_empty() => by.is_empty(),
        Some(wanted) => by.iter().any(|id| wanted.contains(id)),
    }
}
