//! Notifications in the form in which the API tells the same things (12.5).

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use smallvec::SmallVec;
use tapelog_events::{Access, Instance, InstanceIndexes, Segment, SegmentsAdded, SegmentsDeleted};
use tapelog_projections::{FlowDocument, ListedInit, ListedSegment, Live, SourceDocument};
use tapelog_webhooks::{Notice, Render, Subject, Transforms};

use super::backend::Backends;
use super::segment::{Include, SEGMENT_BYTES, write_segment};
use super::urls::Urls;

/// Renders notifications. What an event says is told as it was then; whether somebody may see what it says of other
/// resources is judged by the tables as they are now, since the event does not know their classes.
pub struct Notifier {
    backends: Arc<Backends>,
    tables: Arc<Live>,
}

impl Notifier {
    /// Renders with URLs of these backends.
    pub fn new(backends: Arc<Backends>, tables: Arc<Live>) -> Self {
        Self { backends, tables }
    }

    fn segments(&self, added: &SegmentsAdded, transforms: &Transforms, access: &Access, out: &mut Vec<u8>) {
        let urls = Urls::new(&self.backends, access, transforms, SystemTime::now());
        let include = Include { object_timerange: transforms.include_object_timerange, tags: false };
        let (mut text, mut key) = (String::with_capacity(added.segments.len() * SEGMENT_BYTES), String::new());
        push(out, format_args!("{{\"flow_id\":\"{}\",\"segments\":[", added.flow_id));
        for (index, segment) in added.segments.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            write_segment(&listed(added, segment), &urls, include, &mut key, &mut text);
        }
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"]}");
    }
}

impl Render for Notifier {
    fn event(&self, notice: &Notice<'_>, transforms: &Transforms, access: &Access, out: &mut Vec<u8>) {
        match notice.subject {
            Subject::Flow { flow, segments_updated, collected_by } => {
                let document =
                    FlowDocument { flow, segments_updated, collected_by: &collected_by.flow, timerange: None };
                out.extend_from_slice(b"{\"flow\":");
                self.tables.read(|tables| document.write_json(out, |id| tables.may_read_flow(access, id)));
                out.push(b'}');
            }
            Subject::Source { source, collected_by, source_collection } => {
                let document = SourceDocument { source, source_collection, collected_by };
                out.extend_from_slice(b"{\"source\":");
                self.tables.read(|tables| document.write_json(out, |id| tables.may_read_source(access, id)));
                out.push(b'}');
            }
            Subject::Segments(added) => self.segments(added, transforms, access, out),
            // None of these has a character that JSON escapes.
            Subject::SegmentsGone(SegmentsDeleted { flow_id, timerange, .. }) => {
                push(out, format_args!("{{\"flow_id\":\"{flow_id}\",\"timerange\":\"{timerange}\"}}"));
            }
            Subject::FlowGone { flow_id, .. } => push(out, format_args!("{{\"flow_id\":\"{flow_id}\"}}")),
            Subject::SourceGone { source_id, .. } => push(out, format_args!("{{\"source_id\":\"{source_id}\"}}")),
        }
    }
}

fn push(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory cannot fail");
}

/// A segment of an event as a listing would have had it right after.
fn listed(added: &SegmentsAdded, segment: &Segment) -> ListedSegment {
    let instances = |indexes: &InstanceIndexes| -> SmallVec<[Instance; 1]> {
        indexes.iter().filter_map(|index| added.instances.get(*index as usize)).cloned().collect()
    };
    let init = segment.init_object.and_then(|index| added.init_objects.get(index as usize));
    ListedSegment {
        object_id: segment.object_id.clone(),
        timerange: segment.timerange,
        ts_offset: segment.ts_offset,
        last_duration: segment.last_duration,
        sample_offset: segment.sample_offset,
        sample_count: segment.sample_count,
        object_timerange: segment.whole_object().unwrap_or(segment.timerange),
        key_frame_count: segment.key_frame_count,
        instances: instances(&segment.instances),
        init: init.map(|init| ListedInit { object_id: init.object_id.clone(), instances: instances(&init.instances) }),
        tags: None,
    }
}
