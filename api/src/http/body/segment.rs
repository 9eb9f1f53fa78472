//! The body of `POST /flows/{flowId}/segments` (section 6): one segment or a list of them.
//!
//! What the specification's schema refuses is refused with the whole request, and so is a time that no timestamp can
//! hold. What the schema allows and no segment can have refuses that segment only, as the store would.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use tapelog_commands::{NewSegment, PostSegments, RequestShape, UncontrolledInstance};
use tapelog_events::time::{TimeRangeError, parse_segment};
use tapelog_events::{FlowId, ObjectId, SegmentFailure, SegmentFailureKind, TimeRange, Timestamp};

use crate::http::limits;
use crate::http::problem::Problem;

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(rename = "SegmentPost")]
pub struct SegmentBody {
    object_id: ObjectId,
    #[schemars(with = "TimeRange")]
    timerange: Range,
    ts_offset: Option<Timestamp>,
    #[schemars(with = "Option<TimeRange>")]
    object_timerange: Option<Range>,
    last_duration: Option<Timestamp>,
    sample_offset: Option<i64>,
    sample_count: Option<i64>,
    key_frame_count: Option<i64>,
    init_object_id: Option<ObjectId>,
    get_urls: Option<Vec<UrlBody>>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(rename = "UncontrolledUrl")]
struct UrlBody {
    url: String,
    label: String,
}

/// A time range, and whether a segment can have it.
struct Range {
    given: TimeRange,
    flaw: Option<TimeRangeError>,
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RangeVisitor;

        impl Visitor<'_> for RangeVisitor {
            type Value = Range;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time range such as [0:0_10:0)")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Range, E> {
                match parse_segment(text) {
                    Ok(given) => Ok(Range { given, flaw: None }),
                    Err(flaw) => {
                        let given = text.parse().map_err(E::custom)?;
                        Ok(Range { given, flaw: Some(flaw) })
                    }
                }
            }
        }

        deserializer.deserialize_str(RangeVisitor)
    }
}

/// Reads the segments for the Flow with this id. `reserved_labels` are those of the storage backends.
///
/// # Errors
/// [`Problem::Invalid`], naming segment and field, where the body is not what the schema says.
pub fn read(flow_id: FlowId, body: &[u8], reserved_labels: Arc<[String]>) -> Result<PostSegments, Problem> {
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let (segments, shape) = if is_list {
        let bodies: Vec<SegmentBody> = super::json(body)?;
        limits::count("the body", bodies.len(), limits::SEGMENTS)?;
        let segments = bodies.into_iter().enumerate().map(|(index, body)| body.judged(&|| format!("[{index}].")));
        (segments.collect::<Result<_, _>>()?, RequestShape::List)
    } else {
        let body: SegmentBody = super::object(body)?;
        (vec![body.judged(&String::new)?], RequestShape::Single)
    };
    Ok(PostSegments { flow_id, segments, shape, reserved_labels })
}

impl SegmentBody {
    /// The segment, or why it can be none. `place` is where it stands in the body.
    fn judged(self, place: &dyn Fn() -> String) -> Result<Result<NewSegment, SegmentFailure>, Problem> {
        if let Some(urls) = &self.get_urls {
            limits::count(&format!("{}get_urls", place()), urls.len(), limits::URLS)?;
            for (index, UrlBody { url, label }) in urls.iter().enumerate() {
                let field = |name| format!("{}get_urls[{index}].{name}", place());
                limits::text(&field("url"), url, limits::URL_BYTES)?;
                limits::text(&field("label"), label, limits::LABEL_BYTES)?;
            }
        }
        if let Some(reason) = self.flaw() {
            return Ok(Err(SegmentFailure {
                object_id: self.object_id,
                timerange: self.timerange.given,
                kind: SegmentFailureKind::Invalid { reason },
            }));
        }
        let urls = self.get_urls.into_iter().flatten();
        Ok(Ok(NewSegment {
            object_id: self.object_id,
            timerange: self.timerange.given,
            ts_offset: self.ts_offset.unwrap_or_default(),
            object_timerange: self.object_timerange.map(|range| range.given),
            last_duration: self.last_duration,
            sample_offset: self.sample_offset,
            sample_count: self.sample_count,
            key_frame_count: self.key_frame_count.map(i64::cast_unsigned),
            init_object_id: self.init_object_id,
            get_urls: urls.map(|UrlBody { url, label }| UncontrolledInstance { url, label }).collect(),
        }))
    }

    /// What no segment can have, whatever stands in the store.
    fn flaw(&self) -> Option<String> {
        if let Some(flaw) = &self.timerange.flaw {
            return Some(format!("timerange: {flaw}"));
        }
        if let Some(flaw) = self.object_timerange.as_ref().and_then(|range| range.flaw.as_ref()) {
            return Some(format!("object_timerange: {flaw}"));
        }
        if self.last_duration.is_some_and(Timestamp::is_negative) {
            return Some("last_duration is negative".to_owned());
        }
        if self.key_frame_count.is_some_and(i64::is_negative) {
            return Some("key_frame_count is negative".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<PostSegments, Problem> {
        read("4f79cfd1-c057-47f4-8e4d-1b126ca7bf34".parse().unwrap(), body.as_bytes(), Arc::from([]))
    }

    #[test]
    fn one_segment_and_a_list_of_one_are_told_apart() {
        let one = r#"{"object_id":"a/b","timerange":"[0:0_1:0)","ts_offset":"-1:5","key_frame_count":3}"#;
        let single = of(one).unwrap();
        assert_eq!(single.shape, RequestShape::Single);
        let list = of(&format!(" [{one}]")).unwrap();
        assert_eq!((list.shape, list.segments), (RequestShape::List, single.segments));
        assert_eq!(of("[]").unwrap().segments, []);
    }

    #[test]
    fn what_the_schema_refuses_is_refused_with_the_request_and_named() {
        let second = |fields: &str| of(&format!(r#"[{{"object_id":"o","timerange":"[0:0_1:0)"}},{{{fields}}}]"#));
        for (fields, place) in [
            (r#""timerange":"[0:0_1:0)""#, "[1]: missing field `object_id`"),
            (r#""object_id":"o""#, "[1]: missing field `timerange`"),
            (r#""object_id":"","timerange":"[0:0_1:0)""#, "[1].object_id"),
            (r#""object_id":"o","timerange":"soon""#, "[1].timerange"),
            (r#""object_id":"o","timerange":"[0:0_281474976710656:0)""#, "[1].timerange"),
            (r#""object_id":"o","timerange":5"#, "[1].timerange"),
            (r#""object_id":"o","timerange":"[0:0_1:0)","ts_offset":"1""#, "[1].ts_offset"),
            (r#""object_id":"o","timerange":"[0:0_1:0)","sample_count":1.5"#, "[1].sample_count"),
            (r#""object_id":"o","timerange":"[0:0_1:0)","init_object_id":"""#, "[1].init_object_id"),
            (r#""object_id":"o","timerange":"[0:0_1:0)","get_urls":[{"url":"u"}]"#, "[1].get_urls[0]: missing"),
            (r#""object_id":"o","object_id":"p","timerange":"[0:0_1:0)""#, "duplicate field `object_id`"),
        ] {
            let refused = second(fields).expect_err(fields).to_string();
            assert!(refused.contains(place), "{fields}: {refused}");
        }
        let long =
            format!(r#""object_id":"o","timerange":"[0:0]","get_urls":[{{"url":"{}","label":"l"}}]"#, "u".repeat(9000));
        assert!(second(&long).unwrap_err().to_string().starts_with("[1].get_urls[0].url "));
        assert!(of("5").is_err() && of("").is_err() && of("null").is_err());
    }

    #[test]
    fn what_no_segment_can_have_refuses_that_segment_only() {
        for (fields, reason) in [
            (r#""timerange":"_""#, "timerange: "),
            (r#""timerange":"()""#, "timerange: "),
            (r#""timerange":"(0:0_1:0)""#, "timerange: "),
            (r#""timerange":"[0:0_1:0)","object_timerange":"[0:0_""#, "object_timerange: "),
            (r#""timerange":"[0:0_1:0)","last_duration":"-0:1""#, "last_duration"),
            (r#""timerange":"[0:0_1:0)","key_frame_count":-1"#, "key_frame_count"),
        ] {
            let read =
                of(&format!(r#"[{{"object_id":"o",{fields}}},{{"object_id":"p","timerange":"[5:0]"}}]"#)).unwrap();
            let failure = read.segments[0].as_ref().unwrap_err();
            assert!(failure.kind.to_string().starts_with(reason), "{fields}: {}", failure.kind);
            assert!(read.segments[1].is_ok());
        }
    }
}
