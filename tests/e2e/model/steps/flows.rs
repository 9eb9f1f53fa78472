//! What clients do to Flows and Sources.

use serde_json::{Value, json};

use super::super::http::Request;
use super::super::store::Model;
use super::{AUDIO, DATA, LABELS, MULTI, Step, Steps, TAGS, VIDEO};

impl Steps {
    /// A Flow: a new one, another in its place, or what was read of it.
    pub fn put_flow(&mut self, model: &Model) -> Step {
        let index = self.number(self.flows.len());
        let (id, format) = self.flows[index].clone();
        let body = match model.flow(&id) {
            Some(flow) if self.chance(30) => flow.seen.clone(),
            Some(_) if self.chance(20) => return self.set_flow_property(model),
            Some(_) | None => self.flow(&id, format, model),
        };
        let body = if self.chance(10) { self.corrupted(body) } else { body };
        let path_id = match self.number(60) {
            0 => "not-an-id".to_owned(),
            1 => self.pick(&self.flows.clone()).0,
            _ => id,
        };
        Step::Ask(Request::put(&["flows", &path_id], body))
    }

    fn flow(&mut self, id: &str, format: &'static str, model: &Model) -> Value {
        let sources: Vec<_> = self.sources.iter().filter(|(_, of)| *of == format).cloned().collect();
        let sources = if self.chance(5) { self.sources.clone() } else { sources };
        let mut flow = json!({ "id": id, "source_id": self.pick(&sources).0 });
        let profiles: Vec<_> = model.profiles.keys().cloned().collect();
        match self.pick_if_any(&profiles) {
            Some(profile) if matches!(format, VIDEO | AUDIO) && self.chance(25) => flow["profile_id"] = json!(profile),
            _ => self.describe(&mut flow, format),
        }
        if self.chance(60) {
            flow["label"] = json!(self.pick(&LABELS));
        }
        if self.chance(30) {
            flow["description"] = json!("made by chance");
        }
        if self.chance(50) {
            flow["tags"] = json!({ self.pick(&TAGS): self.pick(&["1", "2 2"]), "of": ["x", "y"] });
        }
        if self.chance(20) {
            flow["status"] = json!(self.pick(&["ingesting", "closed_complete"]));
        }
        if self.chance(20) {
            flow["generation"] = json!(self.number(3));
        }
        if self.chance(20) {
            flow["max_bit_rate"] = json!(self.number(3) * 1000);
        }
        if self.chance(10) {
            flow["metadata_version"] = json!(self.pick(&["v1", "v2", "v3"]));
        }
        if self.chance(4) {
            flow["read_only"] = json!(self.chance(50));
        }
        if self.chance(if format == MULTI { 60 } else { 5 }) {
            flow["flow_collection"] = self.collection(model);
        }
        if self.chance(5) {
            flow["timerange"] = json!("[0:0_9:0)");
            flow["created"] = json!("1999-01-01T00:00:00Z");
            flow["segments_updated"] = json!("1999-01-01T00:00:00Z");
            flow["collected_by"] = json!([id]);
        }
        flow
    }

    /// Technical metadata: those with init segments are in MP4.
    fn describe(&mut self, flow: &mut Value, format: &'static str) {
        let has_init = flow["id"] == self.flows[1].0 || flow["id"] == self.flows[3].0;
        let has_init = has_init != self.chance(5);
        let (codec, container, mut essence) = match format {
            VIDEO => {
                let (width, rate) = (self.pick(&[1920, 1280]), json!({ "numerator": 25, "denominator": 1 }));
                ("video/h264", "video/mp2t", json!({ "frame_width": width, "frame_height": 720, "frame_rate": rate }))
            }
            AUDIO => ("audio/aac", "audio/aac", json!({ "sample_rate": 48000, "channels": 2 })),
            DATA => ("application/json", "application/json", json!({ "data_type": "urn:x-ibc:events" })),
            _ => ("video/mp2t", "video/mp2t", json!({})),
        };
        if has_init {
            essence["init_segments"] = json!(true);
        }
        flow["format"] = json!(format);
        flow["essence_parameters"] = essence;
        if format != MULTI {
            flow["codec"] = json!(codec);
        }
        if self.chance(if format == MULTI { 30 } else { 92 }) {
            flow["container"] = json!(if has_init { "video/mp4" } else { container });
        }
        if self.chance(20) {
            flow["avg_bit_rate"] = json!(5000);
        }
    }

    /// A Flow with something wrong in it.
    fn corrupted(&mut self, mut flow: Value) -> Value {
        let (name, value) = self.pick(&[
            ("format", json!("urn:x-nmos:format:image")),
            ("format", json!(VIDEO)),
            ("source_id", json!("not-an-id")),
            ("label", json!(5)),
            ("tags", json!({ "k": 5 })),
            ("tags", json!(["k"])),
            ("status", json!("finished")),
            ("generation", json!(-1)),
            ("read_only", json!("true")),
            ("max_bit_rate", json!(1.5)),
            ("essence_parameters", json!({ "frame_width": 1 })),
            ("essence_parameters", json!({ "unknown": 1 })),
            ("codec", json!("h264")),
            ("container", json!("mpeg ts")),
            ("flow_collection", json!([{ "role": "without an id" }])),
            ("profile_id", json!("4f79cfd1-c057-47f4-8e4d-1b126ca7bf34")),
        ]);
        flow[name] = value;
        flow
    }

    /// Members of a collection: mostly Flows that are there, in any order.
    fn collection(&mut self, model: &Model) -> Value {
        let count = self.number(4);
        let items = (0..count).map(|_| {
            let mut item = json!({ "id": self.flow_id(model) });
            if self.chance(50) {
                item["role"] = json!(self.pick(&["sound", "picture"]));
            }
            if self.chance(20) {
                item["container_mapping"] = json!({ "track_index": self.number(3) });
            }
            item
        });
        Value::Array(items.collect())
    }

    pub fn set_flow_property(&mut self, model: &Model) -> Step {
        let id = self.flow_id(model);
        let (property, value) = match self.number(20) {
            0 => ("label", json!(5)),
            1 => ("description", json!(["a"])),
            2 => ("max_bit_rate", json!(-1)),
            3 => ("avg_bit_rate", json!("5")),
            4 => ("read_only", json!("true")),
            5 => ("read_only", json!(null)),
            6..8 => ("read_only", json!(true)),
            8..12 => ("label", json!(self.pick(&LABELS))),
            12..15 => ("description", json!(format!("changed {}", self.number(3)))),
            15..18 => ("max_bit_rate", json!(self.number(3) * 1000)),
            _ => ("avg_bit_rate", json!(self.number(3) * 1000)),
        };
        Step::Ask(Request::put(&["flows", &id, property], value))
    }

    pub fn unset_flow_property(&mut self, model: &Model) -> Step {
        let id = self.flow_id(model);
        let property = self.pick(&["label", "description", "max_bit_rate", "avg_bit_rate", "flow_collection"]);
        Step::Ask(Request::delete(&["flows", &id, property]))
    }

    /// A Flow that is read-only may be written again.
    pub fn unlock(&mut self, model: &Model) -> Step {
        let locked: Vec<_> =
            model.flows.iter().filter(|(_, flow)| flow.is_read_only()).map(|(id, _)| id.clone()).collect();
        match self.pick_if_any(&locked) {
            Some(id) => Step::Ask(Request::put(&["flows", &id, "read_only"], json!(false))),
            None => self.put_flow(model),
        }
    }

    pub fn flow_tag(&mut self, model: &Model) -> Step {
        let (id, name) = (self.flow_id(model), self.pick(&TAGS));
        let path = ["flows", &id, "tags", name];
        Step::Ask(if self.chance(65) { Request::put(&path, self.tag()) } else { Request::delete(&path) })
    }

    pub fn collect(&mut self, model: &Model) -> Step {
        let multi = self.number(2) + 5;
        let id = if self.chance(75) { self.flows[multi].0.clone() } else { self.flow_id(model) };
        let path = ["flows", &id, "flow_collection"];
        Step::Ask(if self.chance(85) { Request::put(&path, self.collection(model)) } else { Request::delete(&path) })
    }

    pub fn delete_flow(&mut self, model: &Model) -> Step {
        Step::Ask(Request::delete(&["flows", &self.flow_id(model)]))
    }

    pub fn source_property(&mut self, _: &Model) -> Step {
        let (id, property) = (self.source_id(), self.pick(&["label", "description"]));
        let path = ["sources", &id, property];
        Step::Ask(match self.number(10) {
            0 => Request::put(&path, json!(5)),
            1..7 => Request::put(&path, json!(self.pick(&LABELS))),
            _ => Request::delete(&path),
        })
    }

    pub fn source_tag(&mut self, _: &Model) -> Step {
        let (id, name) = (self.source_id(), self.pick(&TAGS));
        let path = ["sources", &id, "tags", name];
        Step::Ask(if self.chance(65) { Request::put(&path, self.tag()) } else { Request::delete(&path) })
    }
}
