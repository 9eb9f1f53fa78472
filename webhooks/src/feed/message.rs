//! Notifications as messages of NATS.

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use tapelog_events::{Access, EventPosition, Incarnation, Notification, Record, SegmentsAdded};

use crate::{Notice, Render, Subject, Transforms, body, write_body};

/// The header that names the event: `<incarnation>.<sequence>.<commit>.<event>`, as everywhere else.
pub const EVENT_ID: &str = "Tapelog-Event-Id";
/// The header that says what kind of event it is, as in the body.
const EVENT_TYPE: &str = "Tapelog-Event-Type";
/// The header of each message of a notification that did not fit into one: which part it is of how many, `1/3`.
pub const PART: &str = "Tapelog-Part";

/// How far the feed is: what is to be published next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The first event of which something is missing.
    pub event: EventPosition,
    /// How many parts of that are there.
    pub parts: usize,
}

impl Place {
    /// Nothing of this event or of a later one is there.
    pub fn before(event: EventPosition) -> Self {
        Self { event, parts: 0 }
    }

    /// The place after the message with these headers, if it is one of this life of the log.
    pub fn after(headers: &HeaderMap, incarnation: Incarnation) -> Option<Self> {
        let (life, event) = headers.get(EVENT_ID)?.as_str().split_once('.')?;
        if life.parse() != Ok(incarnation) {
            return None;
        }
        let event: EventPosition = event.parse().ok()?;
        let part = headers.get(PART).and_then(|part| part.as_str().split_once('/'));
        let part = part.and_then(|(part, of)| Some((part.parse::<usize>().ok()?, of.parse::<usize>().ok()?)));
        Some(match part {
            Some((parts, of)) if parts < of => Self { event, parts },
            Some(_) | None => Self::before(EventPosition { event: event.event.saturating_add(1), ..event }),
        })
    }
}

/// A message.
pub struct Outgoing {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Vec<u8>,
}

/// The subject of a notification about the Flow or Source with this id.
pub fn subject(prefix: &str, notification: Notification, id: &str) -> String {
    format!("{prefix}.{}.{id}", notification.as_str().replace('/', "."))
}

/// Makes messages.
pub struct Messages {
    pub render: Arc<dyn Render>,
    pub incarnation: Incarnation,
    pub prefix: String,
    pub transforms: Arc<Transforms>,
    pub access: Arc<Access>,
}

impl Messages {
    /// Those of a notification: one, or several where it is larger than one may be, each a part of its segments. None
    /// where it cannot be made smaller.
    pub async fn of(&self, record: &Arc<Record>, notice: &Notice<'_>, most_bytes: usize) -> Vec<Outgoing> {
        let whole = body(&self.render, record, notice, &self.transforms, &self.access).await;
        let bodies = match notice.subject {
            _ if whole.len() <= most_bytes => vec![whole],
            Subject::Segments(added) => self.parts(notice, added, most_bytes),
            Subject::Flow { .. }
            | Subject::FlowGone { .. }
            | Subject::SegmentsGone(_)
            | Subject::Source { .. }
            | Subject::SourceGone { .. } => Vec::new(),
        };
        let subject = subject(&self.prefix, notice.notification, &about(notice));
        let id = format!("{}.{}", self.incarnation, notice.position);
        let count = bodies.len();
        let outgoing = |(number, payload): (usize, Vec<u8>)| {
            let mut headers = HeaderMap::new();
            headers.insert(EVENT_ID, id.as_str());
            headers.insert(EVENT_TYPE, notice.notification.as_str());
            match count {
                1 => headers.insert(NATS_MESSAGE_ID, id.as_str()),
                _ => {
                    headers.insert(PART, format!("{number}/{count}"));
                    headers.insert(NATS_MESSAGE_ID, format!("{id}/{number}"));
                }
            }
            Outgoing { subject: subject.clone(), headers, payload }
        };
        (1..).zip(bodies).map(outgoing).collect()
    }

    /// The bodies of ever smaller parts, until each fits; none where that cannot be.
    fn parts(&self, notice: &Notice<'_>, added: &SegmentsAdded, most_bytes: usize) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        let mut left = vec![&*added.segments];
        while let Some(segments) = left.pop() {
            let part = SegmentsAdded {
                flow_id: added.flow_id,
                source_id: added.source_id,
                collected_by: added.collected_by.clone(),
                instances: added.instances.clone(),
                init_objects: added.init_objects.clone(),
                segments: segments.to_vec(),
            };
            let mut rendered = Vec::new();
            let notice = Notice { subject: Subject::Segments(&part), ..*notice };
            write_body(&*self.render, &notice, &self.transforms, &self.access, &mut rendered);
            match segments {
                _ if rendered.len() <= most_bytes => bodies.push(rendered),
                [] | [_] => return Vec::new(),
                _ => {
                    let (first, second) = segments.split_at(segments.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        bodies
    }
}

/// The id of the Flow or Source that it is about.
fn about(notice: &Notice<'_>) -> String {
    match notice.subject {
        Subject::Flow { flow, .. } => flow.id.to_string(),
        Subject::FlowGone { flow_id, .. } => flow_id.to_string(),
        Subject::Segments(added) => added.flow_id.to_string(),
        Subject::SegmentsGone(deleted) => deleted.flow_id.to_string(),
        Subject::Source { source, .. } => source.id.to_string(),
        Subject::SourceGone { source_id, .. } => source_id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tapelog_events::{Instance, Instant, Membership, Segment, Seq};
    use uuid::Uuid;

    use super::*;

    /// Tells a segment by its object, in a hundred bytes.
    struct Plain;

    impl Render for Plain {
        fn event(&self, notice: &Notice<'_>, _: &Transforms, _: &Access, out: &mut Vec<u8>) {
            let Subject::Segments(added) = notice.subject else { panic!("{notice:?}") };
            for segment in &added.segments {
                out.extend_from_slice(format!("{:<100}", segment.object_id.to_string()).as_bytes());
            }
        }
    }

    /// One of several lives of a log.
    fn incarnation(number: u128) -> Incarnation {
        Incarnation::from_uuid(Uuid::from_u128(0x4f79_cfd1_c057_47f4_8e4d_1b12_6ca7_bf34 + number))
    }

    fn messages() -> Messages {
        Messages {
            render: Arc::new(Plain),
            incarnation: incarnation(0),
            prefix: "p".to_owned(),
            transforms: Arc::default(),
            access: Arc::default(),
        }
    }

    fn added(count: u64) -> SegmentsAdded {
        let segment = |number: u64| Segment {
            object_id: format!("object-{number}").parse().unwrap(),
            timerange: format!("[{number}:0_{}:0)", number + 1).parse().unwrap(),
            ts_offset: "0:0".parse().unwrap(),
            last_duration: None,
            sample_offset: None,
            sample_count: None,
            object_timerange: None,
            key_frame_count: None,
            init_object: None,
            instances: [0].as_slice().into(),
        };
        SegmentsAdded {
            flow_id: "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34".parse().unwrap(),
            source_id: "2aa143ac-0ab7-4d75-bc32-5c00c13d186f".parse().unwrap(),
            collected_by: Membership::default(),
            instances: vec![Instance::Uncontrolled { url: "https://a.example/".to_owned(), label: "a".to_owned() }],
            init_objects: Vec::new(),
            segments: (0..count).map(segment).collect(),
        }
    }

    async fn sent(added: &SegmentsAdded, most_bytes: usize) -> Vec<Outgoing> {
        let position = EventPosition { seq: Seq(3), commit: 2, event: 1 };
        let (notification, subject) = (Notification::SegmentsAdded, Subject::Segments(added));
        let notice = Notice { position, at: Instant::from_micros(0), notification, subject };
        let record = Record { format: 1, prev_hash: Default::default(), commits: Vec::new() };
        messages().of(&Arc::new(record), &notice, most_bytes).await
    }

    #[tokio::test]
    async fn what_is_too_large_for_a_message_comes_in_parts_that_are_counted() {
        let added = added(5);
        let [whole] = &sent(&added, 10_000).await[..] else { panic!("one message") };
        assert_eq!(whole.subject, "p.flows.segments_added.4f79cfd1-c057-47f4-8e4d-1b126ca7bf34");
        assert!(whole.headers.get(PART).is_none());
        let parts = sent(&added, 350).await;
        let text: String = parts.iter().map(|part| String::from_utf8_lossy(&part.payload).into_owned()).collect();
        let places: Vec<_> = (0..5).map(|number| text.find(&format!("object-{number} ")).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(parts.len() > 1 && parts.iter().all(|part| part.payload.len() <= 350));
        let ids: Vec<_> = parts.iter().map(|part| part.headers.get(NATS_MESSAGE_ID).unwrap().as_str()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
        assert!(sent(&added, 50).await.is_empty(), "one segment is larger than that");
    }

    #[tokio::test]
    async fn the_headers_of_the_last_message_say_where_to_go_on() {
        let (incarnation, other) = (incarnation(0), incarnation(1));
        let event = EventPosition { seq: Seq(3), commit: 2, event: 1 };
        let next = EventPosition { event: 2, ..event };
        let after = |outgoing: &Outgoing| Place::after(&outgoing.headers, incarnation);
        let added = added(4);
        assert_eq!(after(&sent(&added, 10_000).await[0]), Some(Place::before(next)));
        let parts = sent(&added, 350).await;
        assert_eq!(after(&parts[0]), Some(Place { event, parts: 1 }));
        assert_eq!(after(parts.last().unwrap()), Some(Place::before(next)));
        assert_eq!(Place::after(&parts[0].headers, other), None);
        assert_eq!(Place::after(&HeaderMap::new(), incarnation), None);
    }
}
