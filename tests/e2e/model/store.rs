//! The naive store: lists and maps, searched from end to end, by the behaviour map of the API alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::expect::Chosen;
use super::http::{Reply, Request};
use super::range::Range;

/// All that a client can know of a store.
#[derive(Debug, Default)]
pub struct Model {
    pub flows: BTreeMap<String, Flow>,
    pub sources: BTreeMap<String, Source>,
    /// In the order in which they came about.
    pub objects: Vec<Object>,
    /// Ids of objects that are gone: nobody says whether such an id may be used again.
    pub used_up: BTreeSet<String>,
    pub profiles: BTreeMap<String, Profile>,
    /// In the order in which they were made.
    pub webhooks: Vec<Webhook>,
    /// Name and description.
    pub service: Map<String, Value>,
    pub backend: Backend,
    /// What the steps since the last look have touched.
    pub touched: Touched,
}

/// A Flow with its segments.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// What clients have said of it.
    pub document: Map<String, Value>,
    pub chosen: Chosen,
    /// In order of time.
    pub segments: Vec<Segment>,
    /// As it was last read.
    pub seen: Value,
}

/// A Source, without what follows from the collections of its Flows.
#[derive(Debug, Clone, Default)]
pub struct Source {
    pub document: Map<String, Value>,
    pub chosen: Chosen,
}

/// A segment of a Flow.
#[derive(Debug, Clone)]
pub struct Segment {
    pub object: String,
    pub range: Range,
    /// What else was posted of the segment itself.
    pub document: Map<String, Value>,
}

/// An object, from its allocation to its last segment.
#[derive(Debug, Clone, Default)]
pub struct Object {
    pub id: String,
    pub state: ObjectState,
    /// Whether the store holds a copy.
    pub controlled: bool,
    /// The uncontrolled copies: label and URL.
    pub urls: Vec<(String, String)>,
    /// Whether the Flow that registered it has been without it since.
    pub was_left: bool,
    /// Where its bytes go.
    pub put: Value,
    /// The bytes that were uploaded.
    pub bytes: Option<String>,
}

/// What an object is used as.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ObjectState {
    /// By nothing yet: only the Flow that it was allocated for may register it.
    Allocated { flow: String },
    /// By nothing, and the Flow that it was allocated for is gone: nobody says what becomes of it.
    #[default]
    Stray,
    /// By segments.
    Media { range: Range, key_frame_count: Option<Value>, init: Option<String>, first: String },
    /// By media objects.
    Init { first: String },
}

/// A profile.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    pub document: Map<String, Value>,
    pub chosen: Chosen,
}

/// A webhook.
#[derive(Debug, Clone, Default)]
pub struct Webhook {
    pub id: String,
    pub document: Map<String, Value>,
    pub disabled: bool,
}

/// The only storage backend.
#[derive(Debug, Clone, Default)]
pub struct Backend {
    pub id: String,
    pub label: String,
}

/// Ids of what has been touched.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    pub flows: BTreeSet<String>,
    pub objects: BTreeSet<String>,
}

impl Model {
    /// Holds an answer against what it has to be, and takes over what it changes.
    ///
    /// # Panics
    /// When they disagree.
    pub fn judge(&mut self, request: &Request, reply: &Reply) {
        let parts = request.parts();
        match (request.method.as_str(), &parts[..]) {
            ("GET", ["service"]) => self.read_service(reply),
            ("POST", ["service"]) => self.rename_service(request, reply),
            ("GET", ["service", "profiles"]) => self.list_profiles(request, reply),
            ("GET", ["service", "profiles", id]) => self.read_profile(id, reply),
            ("POST", ["service", "profiles", id]) => self.create_profile(id, request, reply),
            ("GET", ["service", "webhooks"]) => self.list_webhooks(request, reply),
            ("POST", ["service", "webhooks"]) => self.create_webhook(request, reply),
            ("GET", ["service", "webhooks", id]) => self.read_webhook(id, reply),
            ("PUT", ["service", "webhooks", id]) => self.replace_webhook(id, request, reply),
            ("DELETE", ["service", "webhooks", id]) => self.delete_webhook(id, reply),
            ("GET", ["sources"]) => self.list_sources(request, reply),
            ("GET", ["sources", id]) => self.read_source(id, reply),
            (method, ["sources", id, "tags", name]) => self.source_tag(method, id, name, request, reply),
            ("GET", ["sources", id, property]) => self.read_source_property(id, property, reply),
            (_, ["sources", id, property]) => self.set_source_property(id, property, request, reply),
            ("GET", ["flows"]) => self.list_flows(request, reply),
            ("GET", ["flows", id]) => self.read_flow(id, request, reply),
            ("PUT", ["flows", id]) => self.put_flow(id, request, reply),
            ("DELETE", ["flows", id]) => self.delete_flow(id, reply),
            (method, ["flows", id, "tags", name]) => self.flow_tag(method, id, name, request, reply),
            ("GET", ["flows", id, "segments"]) => self.list_segments(id, request, reply),
            ("POST", ["flows", id, "segments"]) => self.post_segments(id, request, reply),
            ("DELETE", ["flows", id, "segments"]) => self.delete_segments(id, request, reply),
            ("POST", ["flows", id, "storage"]) => self.allocate(id, request, reply),
            ("GET", ["flows", id, property]) => self.read_flow_property(id, property, reply),
            (_, ["flows", id, property]) => self.set_flow_property(id, property, request, reply),
            ("GET", ["objects", id]) => self.read_object(id, request, reply),
            ("POST", ["objects", id, "instances"]) => self.add_instance(id, request, reply),
            ("DELETE", ["objects", id, "instances"]) => self.delete_instance(id, request, reply),
            _ => panic!("the model knows nothing of {request}"),
        }
    }

    /// The Flow, if there is one.
    pub fn flow(&self, id: &str) -> Option<&Flow> {
        self.flows.get(id)
    }

    /// The object, if it is known in any state.
    pub fn object(&self, id: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.id == id)
    }

    /// The object, to be changed.
    pub fn object_mut(&mut self, id: &str) -> Option<&mut Object> {
        self.objects.iter_mut().find(|object| object.id == id)
    }

    /// Notes that a Flow has been touched, to be looked at after the step.
    pub fn touch_flow(&mut self, id: &str) {
        self.touched.flows.insert(id.to_owned());
    }

    /// Notes that an object has been touched.
    pub fn touch_object(&mut self, id: &str) {
        self.touched.objects.insert(id.to_owned());
    }
}

impl Flow {
    /// Whether nothing but `read_only` can be changed.
    pub fn is_read_only(&self) -> bool {
        self.document.get("read_only") == Some(&Value::Bool(true))
    }

    /// Whether every one of its objects has an init object (5.6).
    pub fn has_init_segments(&self) -> bool {
        self.document.get("essence_parameters").is_some_and(|essence| essence["init_segments"] == true)
    }

    /// The ids of its members, in their order.
    pub fn members(&self) -> Vec<&str> {
        let items = self.document.get("flow_collection").and_then(Value::as_array);
        items.into_iter().flatten().filter_map(|item| item["id"].as_str()).collect()
    }

    /// The id of its Source.
    pub fn source(&self) -> &str {
        self.document["source_id"].as_str().expect("a flow has a source")
    }
}

impl Object {
    /// Whether segments or media objects use it.
    pub fn is_registered(&self) -> bool {
        matches!(self.state, ObjectState::Media { .. } | ObjectState::Init { .. })
    }
}

/// Whether a text is an id as 1.4 wants it.
pub fn is_id(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
        && matches!(groups[2].as_bytes()[0], b'1'..=b'5')
        && matches!(groups[3].as_bytes()[0], b'8' | b'9' | b'a' | b'b')
}

/// The value of a tag: a text or several.
pub fn is_tag(value: &Value) -> bool {
    value.is_string() || value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}
