//! Segments: each of a request is judged on its own (section 6), and deleted if it lies inside of a range (9.1).

use serde_json::{Map, Value, json};

use super::expect::Refusals;
use super::http::{Reply, Request};
use super::listing::Listing;
use super::range::{self, Range};
use super::store::{Flow, Model, Object, ObjectState, Segment, is_id};

/// What is to be thought of one segment of a request.
enum Judgement {
    Accept,
    Refuse(&'static str),
    /// The specification leaves it open.
    Open,
    /// It is there already, in all its parts: it may be refused, and changes nothing if it is not.
    Again,
}

/// A segment as it was posted, as far as it can be read.
struct Posted {
    segment: Segment,
    offset: i128,
    object_range: Option<Range>,
    urls: Vec<(String, String)>,
}

impl Model {
    pub fn post_segments(&mut self, id: &str, request: &Request, reply: &Reply) {
        let flow = self.flow(id);
        let items = match request.body.as_ref().expect("a POST of segments has a body") {
            Value::Array(items) => items.clone(),
            item => vec![item.clone()],
        };
        let is_list = request.body.as_ref().is_some_and(Value::is_array);
        let is_malformed = items.iter().any(|item| self.posted(item).is_none());
        let mut refusals = Refusals::default();
        refusals
            .must(flow.is_none(), 404, "no such flow")
            .must(flow.is_some_and(Flow::is_read_only), 403, "read-only")
            .must(flow.is_some_and(|flow| !flow.document.contains_key("container")), 400, "no container")
            .may(is_malformed, 400, "a segment is malformed");
        self.touch_flow(id);
        // Alone, a segment that fails is a request that fails.
        let judged: &[u16] = if is_list { &[200, 201] } else { &[201, 400] };
        if !refusals.decide(reply, judged) {
            return;
        }
        let failed = match (is_list, reply.status) {
            (true, 200) => reply.body["failed_segments"].as_array().expect("failed_segments is a list").clone(),
            (false, 400) => items.clone(),
            _ => Vec::new(),
        };
        assert_eq!(reply.status == 201, failed.is_empty(), "{}", reply.first);
        let mut left = &failed[..];
        for item in &items {
            let is_next = |failure: &Value| {
                ["object_id", "timerange"].iter().all(|name| same_text(&failure[*name], &item[*name]))
            };
            let has_failed = left.first().is_some_and(is_next);
            let judgement = self.judge_segment(id, item);
            let fails = match judgement {
                Judgement::Accept => false,
                Judgement::Refuse(why) => {
                    assert!(has_failed, "{}: {item} should fail: {why}", reply.first);
                    true
                }
                Judgement::Open | Judgement::Again => has_failed,
            };
            if fails {
                left = &left[1..];
            } else if !matches!(judgement, Judgement::Again) {
                self.store_segment(id, item);
            }
        }
        assert!(left.is_empty(), "{}: nothing is wrong with {left:?}", reply.first);
    }

    /// Reads what was posted; none where it is malformed by the schema.
    fn posted(&self, item: &Value) -> Option<Posted> {
        let object = item["object_id"].as_str().filter(|id| !id.is_empty())?.to_owned();
        let range = Range::parse(item["timerange"].as_str()?).filter(Range::is_of_segment)?;
        let stamp = |name: &str| match &item[name] {
            Value::Null => Some(0),
            value => range::timestamp(value.as_str()?),
        };
        let (offset, last_duration) = (stamp("ts_offset")?, stamp("last_duration")?);
        let object_range = match &item["object_timerange"] {
            Value::Null => None,
            value => Some(Range::parse(value.as_str()?).filter(Range::is_of_segment)?),
        };
        let mut urls = Vec::new();
        for given in item["get_urls"].as_array().into_iter().flatten() {
            let (label, url) = (given["label"].as_str()?.to_owned(), given["url"].as_str()?.to_owned());
            if label == self.backend.label || urls.iter().any(|(known, _)| *known == label) {
                return None;
            }
            urls.push((label, url));
        }
        let is_count = |name: &str| item[name].is_null() || item[name].is_u64();
        let mut document = item.as_object()?.clone();
        document.retain(|name, _| {
            matches!(name.as_str(), "last_duration" | "sample_offset" | "sample_count" | "key_frame_count")
        });
        if offset != 0 {
            document.insert("ts_offset".to_owned(), json!(range::text(offset)));
        }
        let segment = Segment { object, range, document };
        (last_duration >= 0 && is_count("key_frame_count")).then_some(Posted { segment, offset, object_range, urls })
    }

    fn judge_segment(&self, flow_id: &str, item: &Value) -> Judgement {
        let Some(Posted { segment, offset, object_range, urls }) = self.posted(item) else {
            return Judgement::Refuse("it is malformed");
        };
        let flow = &self.flows[flow_id];
        let on_object = segment.range.shifted(-offset);
        let init = item["init_object_id"].as_str();
        let overlapping: Vec<_> = flow.segments.iter().filter(|stored| stored.range.overlaps(&segment.range)).collect();
        match overlapping[..] {
            [] => {}
            [stored] if stored.range == segment.range && stored.object == segment.object => return Judgement::Again,
            _ => return Judgement::Refuse("it overlaps"),
        }
        let object = self.object(&segment.object);
        let known_range = match object.map(|object| &object.state) {
            None if urls.is_empty() => return Judgement::Refuse("its object is unknown"),
            Some(ObjectState::Init { .. }) => return Judgement::Refuse("its object is an init object"),
            Some(ObjectState::Allocated { flow }) if flow != flow_id => {
                return Judgement::Refuse("allocated elsewhere");
            }
            None | Some(ObjectState::Allocated { .. } | ObjectState::Stray) => {
                if let Some(why) = self.judge_init(flow_id, &segment.object, init) {
                    return Judgement::Refuse(why);
                }
                object_range.unwrap_or(on_object)
            }
            Some(ObjectState::Media { range, key_frame_count, init: known_init, .. }) => {
                let differs = |name: &str, known: Option<&Value>| !item[name].is_null() && Some(&item[name]) != known;
                if object_range.is_some_and(|given| given != *range)
                    || differs("key_frame_count", key_frame_count.as_ref())
                    || init.is_some_and(|init| Some(init) != known_init.as_deref())
                {
                    return Judgement::Refuse("its object is another");
                }
                if known_init.is_some() != flow.has_init_segments() {
                    return Judgement::Refuse("either all objects of a flow have an init object, or none");
                }
                *range
            }
        };
        if !known_range.contains(&on_object) {
            return Judgement::Refuse("it reaches beyond its object");
        }
        let clashes = |(label, url): &(String, String)| {
            object.is_some_and(|object| object.urls.iter().any(|known| known.0 == *label && known.1 != *url))
        };
        match object {
            Some(_) if urls.iter().any(clashes) => Judgement::Refuse("another URL has its label"),
            Some(_) if !urls.is_empty() => Judgement::Open,
            _ => Judgement::Accept,
        }
    }

    /// Why a new media object cannot have this init object on this Flow (5.6).
    fn judge_init(&self, flow: &str, object: &str, init: Option<&str>) -> Option<&'static str> {
        let needs_init = self.flows[flow].has_init_segments();
        match init {
            None => needs_init.then_some("it has no init object"),
            Some(_) if !needs_init => Some("its flow has no init objects"),
            Some(init) if init == object => Some("an object cannot be its own init object"),
            Some(init) => match self.object(init).map(|init| &init.state) {
                Some(ObjectState::Init { .. }) => None,
                Some(ObjectState::Allocated { flow: of }) if of == flow => None,
                _ => Some("its init object is none"),
            },
        }
    }

    fn store_segment(&mut self, flow_id: &str, item: &Value) {
        let Posted { segment, offset, object_range, urls } = self.posted(item).expect("it was judged");
        if self.object(&segment.object).is_none() {
            self.objects.push(Object { id: segment.object.clone(), ..Object::default() });
        }
        let init = item["init_object_id"].as_str().map(str::to_owned);
        if let Some(init) = init.as_deref().and_then(|init| self.object_mut(init))
            && !init.is_registered()
        {
            init.state = ObjectState::Init { first: flow_id.to_owned() };
        }
        let object = self.object_mut(&segment.object).expect("it was just put there");
        if !object.is_registered() {
            object.state = ObjectState::Media {
                range: object_range.unwrap_or_else(|| segment.range.shifted(-offset)),
                key_frame_count: item.get("key_frame_count").cloned(),
                init: init.clone(),
                first: flow_id.to_owned(),
            };
        }
        for url in urls {
            if !object.urls.contains(&url) {
                object.urls.push(url);
            }
        }
        self.touch_object(&segment.object);
        self.touched.objects.extend(init);
        let flow = self.flows.get_mut(flow_id).expect("it was judged");
        flow.segments.push(segment);
        flow.segments.sort_by_key(|segment| segment.range.from());
        flow.chosen.change("segments_updated");
    }

    pub fn delete_segments(&mut self, id: &str, request: &Request, reply: &Reply) {
        let range = request.parameter("timerange").map_or(Some(Range::EVER), Range::parse);
        let mut refusals = Refusals::default();
        refusals
            .must(!self.flows.contains_key(id), 404, "no such flow")
            .must(self.flow(id).is_some_and(Flow::is_read_only), 403, "read-only")
            .must(range.is_none(), 400, "timerange");
        self.touch_flow(id);
        if !refusals.decide(reply, &[204]) {
            return;
        }
        let range = range.expect("it was checked");
        let object = request.parameter("object_id");
        let flow = self.flows.get_mut(id).expect("it was checked");
        let goes =
            |segment: &Segment| range.contains(&segment.range) && object.is_none_or(|object| object == segment.object);
        let (gone, kept): (Vec<_>, Vec<_>) = flow.segments.drain(..).partition(goes);
        flow.segments = kept;
        if !gone.is_empty() {
            flow.chosen.change("segments_updated");
        }
        for segment in &gone {
            self.touch_object(&segment.object);
        }
        self.forget_unused_objects();
    }

    pub fn list_segments(&mut self, id: &str, request: &Request, reply: &Reply) {
        let range = request.parameter("timerange").map_or(Some(Range::EVER), Range::parse);
        let mut refusals = Refusals::default();
        refusals
            .must(!is_id(id), 404, "the id in the path")
            .must(range.is_none(), 400, "timerange")
            .must(Listing::new(request, &[]).is_wrong(), 400, "a parameter")
            .must(is_wrong_url_filter(request), 400, "a parameter");
        if !refusals.decide(reply, &[200]) {
            return;
        }
        let range = range.expect("it was checked");
        let object = request.parameter("object_id");
        let stored = self.flow(id).map_or(&[][..], |flow| &flow.segments);
        let found =
            |segment: &&Segment| segment.range.overlaps(&range) && object.is_none_or(|object| object == segment.object);
        let mut expected: Vec<_> = stored.iter().filter(found).collect();
        if reply.pages == 1 {
            let ranges: Vec<_> = expected.iter().map(|segment| segment.range).collect();
            let covered = Range::hull(&ranges).to_string();
            assert_eq!(reply.first.header("x-paging-timerange"), Some(covered.as_str()), "{}", reply.first);
        }
        if request.is_set("reverse_order") {
            expected.reverse();
        }
        let ranges: Vec<_> = expected.iter().map(|segment| json!(segment.range.to_string())).collect();
        let actual: Vec<_> = reply.items().iter().map(|item| item["timerange"].clone()).collect();
        assert_eq!(actual, ranges, "{request}");
        for (segment, item) in expected.into_iter().zip(reply.items()) {
            self.check_segment(segment, item, request);
        }
    }

    fn check_segment(&self, segment: &Segment, actual: &Value, request: &Request) {
        let object = self.object(&segment.object).expect("a segment has an object");
        let ObjectState::Media { range, key_frame_count, init, .. } = &object.state else {
            panic!("the object of {segment:?} is {:?}", object.state);
        };
        let mut said = actual.as_object().expect("a segment is an object").clone();
        let mut expected: Map<_, _> = segment.document.clone();
        expected.insert("object_id".to_owned(), json!(segment.object));
        expected.insert("timerange".to_owned(), json!(segment.range.to_string()));
        // What holds of the object holds of each of its segments, and need not be said of those that were posted without.
        if let (Some(count), true) = (key_frame_count, said.contains_key("key_frame_count")) {
            expected.insert("key_frame_count".to_owned(), count.clone());
        }
        if said.get("ts_offset") == Some(&json!("0:0")) {
            said.remove("ts_offset");
        }
        let offset =
            segment.document.get("ts_offset").and_then(|offset| range::timestamp(offset.as_str()?)).unwrap_or(0);
        let is_default = segment.range.shifted(-offset) == *range;
        if request.is_set("include_object_timerange") && !(is_default && actual["object_timerange"].is_null()) {
            expected.insert("object_timerange".to_owned(), json!(range.to_string()));
        }
        let urls = said.remove("get_urls").unwrap_or_default();
        self.check_urls(&urls, object, request);
        self.check_init(&said.remove("init_object").unwrap_or_default(), "object_id", init.as_deref(), request);
        assert_eq!(Value::Object(said), Value::Object(expected), "{request}");
    }
}

/// Whether a filter of `get_urls` cannot be read (1.9).
pub fn is_wrong_url_filter(request: &Request) -> bool {
    let is_no_flag = |name: &str| request.parameter(name).is_some_and(|text| !matches!(text, "true" | "false"));
    let is_no_id = |text: &str| !text.is_empty() && !text.split(',').all(is_id);
    is_no_flag("presigned")
        || is_no_flag("verbose_storage")
        || is_no_flag("include_object_timerange")
        || request.parameter("accept_storage_ids").is_some_and(is_no_id)
}

/// Whether two values are the same as they were sent, or the same range.
fn same_text(said: &Value, sent: &Value) -> bool {
    let range = |value: &Value| value.as_str().and_then(Range::parse);
    said == sent || (range(said).is_some() && range(said) == range(sent)) || (said.is_null() && range(sent).is_none())
}
