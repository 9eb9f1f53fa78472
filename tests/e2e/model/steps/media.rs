//! What clients do with media: storage, segments, copies of objects.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::http::Request;
use super::super::range::{self, Range};
use super::super::store::{Model, Object, ObjectState};
use super::{Step, Steps};

/// Nanoseconds between two points of the grid on which segments lie.
const GRID: i128 = 500_000_000;
/// Points of the grid.
const POINTS: usize = 40;

impl Steps {
    pub fn allocate(&mut self, model: &Model) -> Step {
        let id = self.flow_with_container(model);
        let mut body = match self.number(20) {
            0 => return Step::Ask(Request::new(Method::POST, &["flows", &id, "storage"])),
            1 => json!({ "limit": 0 }),
            2 => json!({ "limit": 1, "object_ids": [self.object_id()] }),
            3 => json!({ "storage_id": self.new_id() }),
            4 => json!({ "object_ids": ["twice", "twice"] }),
            5 => json!({ "content_type": "nonsense" }),
            6..13 => json!({ "limit": self.number(3) + 1 }),
            _ => {
                let mut ids: Vec<_> = (0..=self.number(2)).map(|_| self.free_object(model)).collect();
                ids.dedup();
                if self.chance(25) {
                    ids = vec![self.object_id()];
                }
                json!({ "object_ids": ids })
            }
        };
        if self.chance(25) {
            body["content_type"] = json!("video/mp4");
        }
        if self.chance(10) {
            body["storage_id"] = json!(model.backend.id);
        }
        Step::Ask(Request::post(&["flows", &id, "storage"], body))
    }

    pub fn upload(&mut self, model: &Model) -> Step {
        let waits =
            |object: &&Object| object.controlled && object.bytes.is_none() && object.state != ObjectState::Stray;
        let waiting: Vec<_> = model.objects.iter().filter(waits).map(|object| object.id.clone()).collect();
        match self.pick_if_any(&waiting) {
            Some(object) => Step::Upload { bytes: format!("{object} {}", self.number(1000)), object },
            None => self.allocate(model),
        }
    }

    pub fn post_segment(&mut self, model: &Model) -> Step {
        let id = self.flow_with_container(model);
        let segment = self.segment(&id, model);
        Step::Ask(Request::post(&["flows", &id, "segments"], segment))
    }

    /// A list, of which some may fail.
    pub fn post_segments(&mut self, model: &Model) -> Step {
        let id = self.flow_with_container(model);
        let count = self.number(6);
        let segments: Vec<_> = (0..count).map(|_| self.segment(&id, model)).collect();
        Step::Ask(Request::post(&["flows", &id, "segments"], Value::Array(segments)))
    }

    fn segment(&mut self, flow_id: &str, model: &Model) -> Value {
        let usable = |of: fn(&ObjectState, &str) -> bool| -> Vec<&Object> {
            model.objects.iter().filter(|object| of(&object.state, flow_id)).collect()
        };
        let mut segment = match self.number(20) {
            0..8 => match self.pick_if_any(&usable(|state, _| matches!(state, ObjectState::Media { .. }))) {
                Some(object) => self.reuse(object),
                None => self.external(model),
            },
            8..15 => match self
                .pick_if_any(&usable(|state, flow| matches!(state, ObjectState::Allocated { flow: of } if of == flow)))
            {
                Some(object) => json!({ "object_id": object.id, "timerange": self.timerange() }),
                None => self.external(model),
            },
            15 => json!({ "object_id": "unknown", "timerange": self.timerange() }),
            16 => match self.pick_if_any(&usable(|state, _| *state != ObjectState::Stray)) {
                Some(object) => json!({ "object_id": object.id, "timerange": self.timerange() }),
                None => self.external(model),
            },
            _ => self.external(model),
        };
        let is_new = model
            .object(segment["object_id"].as_str().unwrap_or_default())
            .is_none_or(|object| !object.is_registered());
        if is_new && self.chance(20) {
            segment["key_frame_count"] = json!(self.number(3));
        }
        if is_new && self.chance(15) {
            // A part of a longer object, or more than it has.
            let range = Range::parse(segment["timerange"].as_str().expect("it has one")).expect("a range");
            let longer = Range { end: range.end.map(|(end, _)| (end + 2 * GRID, false)), ..range };
            segment["object_timerange"] =
                json!(if self.chance(80) { longer } else { longer.shifted(GRID) }.to_string());
        }
        if is_new && self.chance(15) {
            segment["ts_offset"] = json!(range::text((self.number(5) as i128 - 2) * GRID));
        }
        let has_init = model.flow(flow_id).is_some_and(super::super::store::Flow::has_init_segments);
        if has_init != self.chance(8) && (is_new || self.chance(20)) {
            let inits = usable(|state, flow| {
                matches!(state, ObjectState::Init { .. })
                    || matches!(state, ObjectState::Allocated { flow: of } if of == flow)
            });
            let init = self.pick_if_any(&inits).map_or("unknown".to_owned(), |object| object.id.clone());
            segment["init_object_id"] = json!(init);
        }
        if self.chance(10) {
            segment["sample_offset"] = json!(self.number(100));
            segment["sample_count"] = json!(25);
            segment["last_duration"] = json!("0:40000000");
        }
        if self.chance(8) {
            self.corrupt(&mut segment);
        }
        segment
    }

    fn corrupt(&mut self, segment: &mut Value) {
        let (name, value) = self.pick(&[
            ("timerange", json!("(0:0_1:0)")),
            ("timerange", json!("_")),
            ("timerange", json!("()")),
            ("timerange", json!("[0:0_")),
            ("timerange", json!("[0:0_1:0000000001)")),
            ("timerange", json!(5)),
            ("object_id", json!("")),
            ("object_id", json!(5)),
            ("ts_offset", json!("1.5")),
            ("last_duration", json!("-1:0")),
            ("key_frame_count", json!(-1)),
            ("get_urls", json!([{ "url": "https://a.example/1" }])),
            (
                "get_urls",
                json!([{ "url": "https://a.example/1", "label": "x" }, { "url": "https://a.example/2", "label": "x" }]),
            ),
        ]);
        segment[name] = value;
    }

    /// A segment of an object that lies outside of the store.
    fn external(&mut self, model: &Model) -> Value {
        let id = self.free_object(model);
        let label = self.pick(&["elsewhere", "mirror"]);
        json!({
            "object_id": id,
            "timerange": self.timerange(),
            "get_urls": [{ "url": format!("https://{label}.example/media"), "label": label }],
        })
    }

    /// A segment of an object that others use: at another time, all of it, a part of it, or more than it has.
    fn reuse(&mut self, object: &Object) -> Value {
        let ObjectState::Media { range, key_frame_count, init, .. } = &object.state else {
            panic!("{object:?} is no media object");
        };
        let offset = self.number(POINTS) as i128 * GRID - range.from();
        let mut part = *range;
        if self.chance(20) {
            part.end = Some((part.from() + GRID, false));
        } else if self.chance(8) {
            part.end = part.end.map(|(end, _)| (end + GRID, false));
        }
        let mut segment = json!({ "object_id": object.id, "timerange": part.shifted(offset).to_string() });
        if offset != 0 {
            segment["ts_offset"] = json!(range::text(offset));
        }
        if self.chance(15) {
            segment["object_timerange"] = json!(range.shifted(if self.chance(30) { GRID } else { 0 }).to_string());
        }
        if let (Some(count), true) = (key_frame_count, self.chance(30)) {
            segment["key_frame_count"] = count.clone();
        } else if self.chance(4) {
            segment["key_frame_count"] = json!(7);
        }
        if let (Some(init), true) = (init, self.chance(30)) {
            segment["init_object_id"] = json!(init);
        }
        if self.chance(8) {
            segment["get_urls"] = json!([{ "url": "https://mirror.example/media", "label": "mirror" }]);
        }
        segment
    }

    /// A range on the grid, now and then an instant or one that ends with its last sample.
    fn timerange(&mut self) -> String {
        let start = self.number(POINTS) as i128 * GRID;
        let length = (self.number(4) as i128 + 1) * GRID;
        let end = match self.number(20) {
            0..2 => (start, true),
            2..4 => (start + length, true),
            _ => (start + length, false),
        };
        Range { start: Some((start, true)), end: Some(end) }.to_string()
    }

    /// A range to look for, in all the ways in which clients write one.
    pub fn filter(&mut self) -> String {
        let mut bound = || range::text(self.number(POINTS + 4) as i128 * GRID - GRID);
        let (start, end) = (bound(), bound());
        match self.number(16) {
            0 => "_".to_owned(),
            1 => "()".to_owned(),
            2 => "bad".to_owned(),
            3 => "[0:0_1:0000000001)".to_owned(),
            4 => format!("[{start}_"),
            5 => format!("({start}_)"),
            6 => format!("_{end})"),
            7 => format!("_{end}]"),
            8 => format!("[{start}]"),
            9 => start,
            10 => format!("{start}_{end}"),
            11 => format!("({start}_{end}]"),
            _ => format!("[{start}_{end})"),
        }
    }

    pub fn delete_segments(&mut self, model: &Model) -> Step {
        let id = self.flow_id(model);
        let mut request = Request::delete(&["flows", &id, "segments"]);
        if !self.chance(8) {
            request = request.and("timerange", self.filter());
        }
        if self.chance(25) {
            request = request.and("object_id", self.known_object(model));
        }
        Step::Ask(request)
    }

    pub fn add_instance(&mut self, model: &Model) -> Step {
        let id = self.known_object(model);
        let is_controlled = model.object(&id).is_some_and(|object| object.controlled);
        let body = match self.number(12) {
            0 => json!({}),
            1 => json!({ "url": "https://mirror.example/media" }),
            2 => json!({ "url": "https://mirror.example/media", "label": model.backend.label }),
            3 => json!({ "storage_id": self.new_id() }),
            4 => json!({ "url": "https://a.example", "label": "a", "storage_id": model.backend.id }),
            5 if is_controlled => json!({ "storage_id": model.backend.id }),
            _ => {
                let label = self.pick(&["archive", "mirror", "elsewhere", "second"]);
                json!({ "url": format!("https://{label}.example/copy"), "label": label })
            }
        };
        Step::Ask(Request::post(&["objects", &id, "instances"], body))
    }

    pub fn delete_instance(&mut self, model: &Model) -> Step {
        // Mostly one of several.
        let has_others =
            |object: &&Object| object.is_registered() && object.urls.len() + usize::from(object.controlled) > 1;
        let several: Vec<_> = model.objects.iter().filter(has_others).collect();
        if let (Some(object), true) = (self.pick_if_any(&several), self.chance(60)) {
            let request = Request::delete(&["objects", &object.id, "instances"]);
            return Step::Ask(match self.pick_if_any(&object.urls) {
                Some((label, _)) if self.chance(75) => request.and("label", label),
                _ => request.and("storage_id", &model.backend.id),
            });
        }
        let id = self.known_object(model);
        let request = Request::delete(&["objects", &id, "instances"]);
        Step::Ask(match self.number(12) {
            0 => request,
            1 => request.and("storage_id", self.new_id()),
            2..4 => request.and("storage_id", &model.backend.id),
            _ => request.and("label", self.pick(&["mirror", "archive", "elsewhere", "nosuch"])),
        })
    }

    /// A Flow that takes segments, mostly.
    fn flow_with_container(&mut self, model: &Model) -> String {
        let takes: Vec<_> = model
            .flows
            .iter()
            .filter(|(_, flow)| flow.document.contains_key("container") && !flow.is_read_only())
            .map(|(id, _)| id.clone())
            .collect();
        match self.pick_if_any(&takes) {
            Some(id) if self.chance(92) => id,
            _ => self.flow_id(model),
        }
    }

    /// An object, mostly one that segments use.
    pub fn known_object(&mut self, model: &Model) -> String {
        let known: Vec<_> =
            model.objects.iter().filter(|object| object.is_registered()).map(|object| object.id.clone()).collect();
        match self.pick_if_any(&known) {
            Some(id) if self.chance(85) => id,
            _ => self.object_id(),
        }
    }

    /// The id of an object that is not there and never was. Whether a segment may bring back one that was is not for a
    /// naive store to know.
    fn free_object(&mut self, model: &Model) -> String {
        let is_free = |id: &&String| model.object(id).is_none() && !model.used_up.contains(*id);
        let free: Vec<_> = self.objects.iter().filter(is_free).cloned().collect();
        self.pick_if_any(&free).unwrap_or_else(|| self.new_id())
    }

    fn object_id(&mut self) -> String {
        self.pick(&self.objects.clone())
    }
}
