//! Flows as clients read and find them (2.4).

use serde_json::{Map, Value, json};

use super::expect::{Refusals, same_set};
use super::flows::plain;
use super::http::{Reply, Request};
use super::listing::{Listing, is_tagged};
use super::range::Range;
use super::store::{Flow, Model, is_id};

/// What the server chooses of a Flow.
const CHOSEN: [&str; 5] = ["created", "created_by", "metadata_updated", "metadata_version", "segments_updated"];

impl Model {
    pub fn list_flows(&mut self, request: &Request, reply: &Reply) {
        let listing = Listing::new(request, &["created", "metadata_updated", "label"]);
        let mut refusals = Refusals::default();
        refusals.must(listing.is_wrong() || self.is_wrong_filter(request), 400, "a parameter");
        if !refusals.decide(reply, &[200]) {
            return;
        }
        let found: Vec<_> = self.flows.iter().filter(|(id, flow)| self.is_found(id, flow, request)).collect();
        let found = found.into_iter().map(|(id, _)| json!(id)).collect::<Vec<_>>();
        let ids: Vec<_> = reply.items().iter().map(|item| item["id"].clone()).collect();
        same_set(&ids, &found, &request.to_string());
        listing.check_order(reply);
        for item in reply.items() {
            let id = item["id"].as_str().expect("a flow has an id").to_owned();
            assert_eq!(item["timerange"], Value::Null, "{item} in a listing");
            self.check_flow(&id, item);
        }
    }

    fn is_wrong_filter(&self, request: &Request) -> bool {
        let is_wrong =
            |name: &str, is_right: fn(&str) -> bool| request.parameter(name).is_some_and(|text| !is_right(text));
        is_wrong("timerange", |text| Range::parse(text).is_some())
            || is_wrong("source_id", is_id)
            || is_wrong("format", |text| text.starts_with("urn:"))
            || is_wrong("codec", |text| text.contains('/'))
            || is_wrong("collected_by_ids", |text| text.is_empty() || text.split(',').all(is_id))
            || is_wrong("frame_width", |text| text.parse::<u64>().is_ok())
            || is_wrong("init_segments", |text| matches!(text, "true" | "false"))
    }

    /// Whether a Flow passes all filters.
    fn is_found(&self, id: &str, flow: &Flow, request: &Request) -> bool {
        let document = &flow.document;
        request.query.iter().all(|(name, value)| match name.as_str() {
            "source_id" | "format" | "codec" | "label" | "status" | "profile_id" => {
                document.get(name).and_then(Value::as_str) == Some(value)
            }
            "frame_width" => {
                document.get("essence_parameters").is_some_and(|essence| essence[name].as_u64() == value.parse().ok())
            }
            "init_segments" => flow.has_init_segments().to_string() == *value,
            "timerange" => match Range::parse(value).expect("it was checked") {
                Range::EVER => true,
                Range::NEVER => flow.segments.is_empty(),
                range => flow.segments.iter().any(|segment| segment.range.overlaps(&range)),
            },
            "collected_by_ids" if value.is_empty() => self.collectors(id).is_empty(),
            "collected_by_ids" => {
                self.collectors(id).iter().any(|collector| value.split(',').any(|id| id == *collector))
            }
            _ => is_tagged(document, "tag", name, value),
        })
    }

    pub fn read_flow(&mut self, id: &str, request: &Request, reply: &Reply) {
        let asked = request.parameter("timerange").map_or(Some(Range::EVER), Range::parse);
        let mut refusals = Refusals::default();
        refusals.must(!self.flows.contains_key(id), 404, "no such flow").must(asked.is_none(), 400, "timerange");
        if !refusals.decide(reply, &[200]) {
            return;
        }
        let asked = asked.expect("it was checked");
        let ranges: Vec<_> = self.flows[id].segments.iter().map(|segment| segment.range).collect();
        let found: Vec<_> = ranges.into_iter().filter(|range| range.overlaps(&asked)).collect();
        // 3.6 can be read in two ways, which differ where the range asked for cuts a segment.
        let whole = Range::hull(&found);
        let clipped = whole.intersection(&asked);
        let actual = &reply.body["timerange"];
        if request.is_set("include_timerange") {
            let is_right = *actual == whole.to_string() || *actual == clipped.to_string();
            assert!(is_right, "{}: the range is {whole} or {clipped}", reply.first);
        } else {
            assert_eq!(*actual, Value::Null, "{}", reply.first);
        }
        self.check_flow(id, &reply.body);
    }

    /// Holds a Flow that was read against what is known of it.
    pub fn check_flow(&mut self, id: &str, actual: &Value) {
        let collectors: Vec<_> = self.collectors(id).into_iter().map(Value::from).collect();
        let flow = self.flows.get_mut(id).unwrap_or_else(|| panic!("{actual} was never stored"));
        for name in CHOSEN {
            flow.chosen.check(name, &actual[name], actual);
        }
        same_set(actual["collected_by"].as_array().map_or(&[][..], Vec::as_slice), &collectors, "L9: collected_by");
        flow.seen = actual.clone();
        let mut said = plain(actual.as_object().expect("a flow is an object"));
        for name in CHOSEN.iter().chain(&["updated_by", "timerange", "collected_by"]) {
            said.remove(*name);
        }
        let mut expected: Map<_, _> = plain(&flow.document);
        expected.insert("id".to_owned(), json!(id));
        assert_eq!(Value::Object(said), Value::Object(expected), "flow {id}");
    }

    /// The Flows that collect a Flow.
    pub fn collectors(&self, id: &str) -> Vec<&str> {
        let collects = |flow: &Flow| flow.members().contains(&id);
        self.flows.iter().filter(|(_, flow)| collects(flow)).map(|(id, _)| id.as_str()).collect()
    }
}
