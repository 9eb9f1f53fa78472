//! Flows as clients write them (section 5).

use serde_json::{Map, Value};

use super::expect::Refusals;
use super::http::{Reply, Request};
use super::store::{Flow, Model, ObjectState, Source, is_id, is_tag};

/// What the server manages of a Flow, and ignores in what clients send.
const MANAGED: [&str; 9] = [
    "id",
    "timerange",
    "created",
    "metadata_updated",
    "segments_updated",
    "collected_by",
    "created_by",
    "updated_by",
    "metadata_version",
];

/// What a profile says of its Flows (5.5).
pub const TECHNICAL: [&str; 7] =
    ["format", "codec", "container", "essence_parameters", "avg_bit_rate", "segment_duration", "container_mapping"];

impl Model {
    pub fn put_flow(&mut self, id: &str, request: &Request, reply: &Reply) {
        let body = request.body.as_ref().expect("a PUT has a body");
        self.touch_flow(id);
        let before = self.flows.get(id);
        let mut refusals = Refusals::default();
        refusals
            .must(!is_id(id), 404, "the id in the path")
            .must(before.is_some_and(Flow::is_read_only), 403, "read-only")
            .must(body["id"] != id, 400, "another id in the body")
            .must(body["id"] != id, 404, "another id in the body");
        let Some(document) = self.document(body) else {
            refusals.must(true, 400, "the body").decide(reply, &[]);
            return;
        };
        let linked = before.is_some_and(|flow| flow.document.contains_key("profile_id"));
        let unlinks = linked && !body["profile_id"].is_string();
        let format_of = |document: &Map<String, Value>| document["format"].clone();
        let source = document["source_id"].as_str().expect("it was checked");
        let source_format = self.sources.get(source).map(|source| format_of(&source.document));
        let has_segments = before.is_some_and(|flow| !flow.segments.is_empty());
        let probe = Flow { document: document.clone(), ..Flow::default() };
        refusals
            .must(before.is_some_and(|flow| format_of(&flow.document) != format_of(&document)), 400, "its own format")
            .must(source_format.is_some_and(|format| format != format_of(&document)), 400, "the format of its source")
            .must(self.is_wrong_collection(id, &probe.members()), 400, "flow_collection")
            .may(unlinks, 400, "profile_id should be empty to unlink")
            .may(has_segments && !document.contains_key("container"), 400, "it has segments")
            .may(
                has_segments && before.is_some_and(|flow| flow.has_init_segments() != probe.has_init_segments()),
                400,
                "it has segments",
            );
        let success = if before.is_some() { 204 } else { 201 };
        if !refusals.decide(reply, &[success]) {
            return;
        }
        self.store_flow(id, document, body);
        if reply.status == 201 {
            self.check_flow(id, &reply.body);
        } else {
            assert_eq!(reply.body, Value::Null, "{}", reply.first);
        }
    }

    /// What a body makes of a Flow: all that it says, and what its profile says. None where the body is wrong.
    fn document(&self, body: &Value) -> Option<Map<String, Value>> {
        let mut document = body.as_object()?.clone();
        document.retain(|name, _| !MANAGED.contains(&name.as_str()));
        match document.get("profile_id").cloned() {
            None => {}
            Some(Value::String(none)) if none.is_empty() => drop(document.remove("profile_id")),
            Some(profile) => {
                let profile = self.profiles.get(profile.as_str()?)?;
                if TECHNICAL.iter().any(|name| document.contains_key(*name)) {
                    return None;
                }
                document.extend(profile.document["flow_metadata"].as_object()?.clone());
            }
        }
        is_valid(&document).then_some(document)
    }

    /// Takes over a Flow, and what follows for its Sources.
    fn store_flow(&mut self, id: &str, document: Map<String, Value>, body: &Value) {
        let version = body.get("metadata_version");
        let source = document["source_id"].as_str().expect("it was checked").to_owned();
        self.touch_members(id);
        let flow = self.flows.entry(id.to_owned()).or_default();
        let left = flow.document.get("source_id").cloned();
        flow.turn_into(document);
        // Another version than the one that is there is taken as it is; alone, nobody says whether it is a change.
        if let Some(version) = version
            && flow.seen["metadata_version"] != *version
        {
            flow.chosen.set("metadata_version", version.clone());
            flow.chosen.may_change("metadata_updated");
        }
        let document = flow.document.clone();
        self.sources.entry(source.clone()).or_insert_with(|| Source::of_first_flow(&source, &document));
        self.touch_members(id);
        if left.is_some_and(|left| left != source) {
            self.forget_lonely_sources();
        }
        self.sources_may_have_changed();
    }

    pub fn delete_flow(&mut self, id: &str, reply: &Reply) {
        let mut refusals = Refusals::default();
        refusals.must(!self.flows.contains_key(id), 404, "no such flow").must(
            self.flow(id).is_some_and(Flow::is_read_only),
            403,
            "read-only",
        );
        self.touch_flow(id);
        if !refusals.decide(reply, &[204]) {
            return;
        }
        self.touch_members(id);
        let flow = self.flows.remove(id).expect("it is there");
        for (collector, other) in &mut self.flows {
            if let Some(Value::Array(items)) = other.document.get_mut("flow_collection")
                && items.iter().any(|item| item["id"] == id)
            {
                items.retain(|item| item["id"] != id);
                other.chosen.change("metadata_updated");
                other.chosen.change("metadata_version");
                self.touched.flows.insert(collector.clone());
            }
        }
        for segment in &flow.segments {
            self.touch_object(&segment.object);
        }
        for object in &mut self.objects {
            if object.state == (ObjectState::Allocated { flow: id.to_owned() }) {
                object.state = ObjectState::Stray;
            }
        }
        self.forget_unused_objects();
        self.forget_lonely_sources();
        self.sources_may_have_changed();
    }

    pub fn flow_tag(&mut self, method: &str, id: &str, name: &str, request: &Request, reply: &Reply) {
        let held = self.flow(id).map(|flow| flow.document.get("tags").map_or(Value::Null, |tags| tags[name].clone()));
        let mut refusals = Refusals::default();
        refusals.must(held.is_none(), 404, "no such flow");
        if method == "GET" {
            refusals.must(held == Some(Value::Null), 404, "no such tag");
            if refusals.decide(reply, &[200]) {
                assert_eq!(Some(&reply.body), held.as_ref(), "{}", reply.first);
            }
            return;
        }
        let value = request.body.clone();
        refusals
            .must(self.flow(id).is_some_and(Flow::is_read_only), 403, "read-only")
            .must(value.is_none() && held == Some(Value::Null), 404, "no such tag")
            .must(value.as_ref().is_some_and(|value| !is_tag(value)), 400, "no tag");
        if refusals.decide(reply, &[204]) {
            self.change_flow(id, |document| set_tag(document, name, value));
        }
    }

    pub fn read_flow_property(&mut self, id: &str, property: &str, reply: &Reply) {
        let held = self.flow(id).map(|flow| flow.document.get(property).cloned());
        let mut refusals = Refusals::default();
        refusals.must(held.is_none(), 404, "no such flow");
        // What is not set is not found, or null, or an empty list (2.7).
        let unset = match property {
            "tags" => Value::Object(Map::new()),
            "read_only" => Value::Bool(false),
            "flow_collection" => Value::Array(Vec::new()),
            _ => Value::Null,
        };
        let held = held.flatten().unwrap_or_else(|| unset.clone());
        refusals.may(held == unset && !matches!(property, "tags" | "read_only"), 404, "it is not set");
        if refusals.decide(reply, &[200]) {
            assert_eq!(reply.body, held, "{}", reply.first);
        }
    }

    pub fn set_flow_property(&mut self, id: &str, property: &str, request: &Request, reply: &Reply) {
        let value = request.body.clone();
        let flow = self.flow(id);
        let is_wrong = match (property, &value) {
            (_, None) => false,
            ("label" | "description", Some(value)) => !value.is_string(),
            ("read_only", Some(value)) => !value.is_boolean(),
            ("max_bit_rate" | "avg_bit_rate", Some(value)) => !value.is_u64(),
            ("flow_collection", Some(value)) => !is_collection(value),
            _ => panic!("the model knows nothing of {request}"),
        };
        let probe = Map::from_iter([("flow_collection".to_owned(), value.clone().unwrap_or_default())]);
        let probe = Flow { document: probe, ..Flow::default() };
        let locks = property != "read_only" && flow.is_some_and(Flow::is_read_only);
        let linked = property == "avg_bit_rate" && flow.is_some_and(|flow| flow.document.contains_key("profile_id"));
        let mut refusals = Refusals::default();
        refusals
            .must(flow.is_none(), 404, "no such flow")
            .must(locks, 403, "read-only")
            .must(is_wrong, 400, "the body")
            .must(linked, 400, "its profile says so")
            .must(self.is_wrong_collection(id, &probe.members()), 400, "flow_collection");
        self.touch_flow(id);
        if refusals.decide(reply, &[204]) {
            self.touch_members(id);
            self.change_flow(id, |document| set(document, property, value));
            self.touch_members(id);
            self.sources_may_have_changed();
        }
    }

    /// Changes what clients say of a Flow, and with it its version if that is a change.
    fn change_flow(&mut self, id: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let flow = self.flows.get_mut(id).expect("it is there");
        let mut document = flow.document.clone();
        change(&mut document);
        flow.turn_into(document);
        self.touch_flow(id);
    }

    /// Whether members are missing, or lead back to the collecting Flow (5.3).
    fn is_wrong_collection(&self, collector: &str, members: &[&str]) -> bool {
        members.iter().any(|member| match self.flow(member) {
            _ if *member == collector => true,
            None => true,
            Some(flow) => self.is_wrong_collection(collector, &flow.members()),
        })
    }

    /// Notes that the members of a Flow have to be looked at.
    fn touch_members(&mut self, id: &str) {
        let members: Vec<_> = self.flow(id).map(Flow::members).into_iter().flatten().map(str::to_owned).collect();
        self.touched.flows.extend(members);
    }
}

impl Flow {
    /// Takes over what clients say, and notes what that does to the version. Nobody says whether it is a change to set
    /// a property to what holds without it.
    fn turn_into(&mut self, document: Map<String, Value>) {
        for name in ["metadata_updated", "metadata_version"] {
            if plain(&self.document) != plain(&document) {
                self.chosen.change(name);
            } else if self.document != document {
                self.chosen.may_change(name);
            }
        }
        self.document = document;
    }
}

/// Whether what clients say of a Flow is valid by the schemas (5.1).
pub fn is_valid(flow: &Map<String, Value>) -> bool {
    let is = |name: &str, kind: fn(&Value) -> bool| flow.get(name).is_none_or(kind);
    let is_status = |value: &Value| {
        ["awaiting_content", "ingesting", "replication_in_progress", "closed_complete"].map(Value::from).contains(value)
    };
    let is_tags = |value: &Value| value.as_object().is_some_and(|tags| tags.values().all(is_tag));
    flow.get("source_id").and_then(Value::as_str).is_some_and(is_id)
        && is("label", Value::is_string)
        && is("description", Value::is_string)
        && is("tags", is_tags)
        && is("generation", Value::is_u64)
        && is("status", is_status)
        && is("read_only", Value::is_boolean)
        && is("max_bit_rate", Value::is_u64)
        && is("flow_collection", is_collection)
        && is_valid_technical(flow)
}

/// Whether technical metadata are valid: which parameters there are goes by the format.
pub fn is_valid_technical(flow: &Map<String, Value>) -> bool {
    let is_mime = |value: Option<&Value>| {
        let parts = value.and_then(Value::as_str).map(|text| text.split('/').collect::<Vec<_>>());
        parts.is_some_and(|parts| parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && !part.contains(' ')))
    };
    let nothing = Value::Object(Map::new());
    let essence = flow.get("essence_parameters").unwrap_or(&nothing);
    let (required, optional): (&[&str], &[&str]) = match flow.get("format").and_then(Value::as_str) {
        Some("urn:x-nmos:format:video") if essence["vfr"] == true => {
            (&["frame_width", "frame_height", "vfr"], &["init_segments"])
        }
        Some("urn:x-nmos:format:video") => (&["frame_width", "frame_height", "frame_rate"], &["vfr", "init_segments"]),
        Some("urn:x-nmos:format:audio") => (&["sample_rate", "channels"], &["init_segments"]),
        Some("urn:x-nmos:format:data") => (&[], &["data_type", "init_segments"]),
        Some("urn:x-nmos:format:multi") => (&[], &["init_segments"]),
        _ => return false,
    };
    let is_multi = flow["format"] == "urn:x-nmos:format:multi";
    essence.as_object().is_some_and(|essence| {
        required.iter().all(|name| essence.contains_key(*name))
            && essence.keys().all(|name| required.contains(&name.as_str()) || optional.contains(&name.as_str()))
    }) && (is_multi || flow.contains_key("essence_parameters"))
        && (is_mime(flow.get("codec")) || (is_multi && !flow.contains_key("codec")))
        && (is_mime(flow.get("container")) || !flow.contains_key("container"))
        && flow.get("avg_bit_rate").is_none_or(Value::is_u64)
}

fn is_collection(value: &Value) -> bool {
    let is_item =
        |item: &Value| item["id"].as_str().is_some_and(is_id) && (item["role"].is_null() || item["role"].is_string());
    value.as_array().is_some_and(|items| items.iter().all(is_item))
}

/// Sets a member, or takes it away.
pub fn set(document: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => drop(document.insert(name.to_owned(), value)),
        None => drop(document.remove(name)),
    }
}

/// Sets a tag, or takes it away.
pub fn set_tag(document: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    let tags = document.entry("tags").or_insert_with(|| Value::Object(Map::new()));
    set(tags.as_object_mut().expect("tags are an object"), name, value);
}

/// Without members that say what holds without them, too.
pub fn plain(document: &Map<String, Value>) -> Map<String, Value> {
    let says_something = |value: &Value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(set) => *set,
        _ => true,
    };
    let mut document = document.clone();
    document.retain(|name, value| {
        says_something(value)
            || !matches!(name.as_str(), "tags" | "flow_collection" | "collected_by" | "source_collection" | "read_only")
    });
    document
}
