//! What clients look for.

use super::super::http::Request;
use super::super::store::Model;
use super::{AUDIO, DATA, LABELS, MULTI, Step, Steps, TAGS, VALUES, VIDEO};

impl Steps {
    pub fn list_flows(&mut self, _: &Model) -> Step {
        let mut request = Request::get(&["flows"]);
        for _ in 0..self.number(3) {
            let (name, value) = match self.number(13) {
                0 => ("source_id".to_owned(), self.pick(&self.sources.clone()).0),
                1 => ("format".to_owned(), self.pick(&[VIDEO, AUDIO, DATA, MULTI, "video"]).to_owned()),
                2 => ("codec".to_owned(), self.pick(&["video/h264", "audio/aac", "h264"]).to_owned()),
                3 => ("label".to_owned(), self.pick(&LABELS).to_owned()),
                4 => ("status".to_owned(), "ingesting".to_owned()),
                5 => ("frame_width".to_owned(), self.pick(&["1920", "1280", "wide"]).to_owned()),
                6 => ("init_segments".to_owned(), self.pick(&["true", "false", "2"]).to_owned()),
                7 => ("collected_by_ids".to_owned(), self.collectors(&self.flows.clone())),
                8 => ("profile_id".to_owned(), self.pick(&self.profiles.clone())),
                9..11 => ("timerange".to_owned(), self.filter()),
                _ => self.tag_filter("tag"),
            };
            // A parameter that is given twice means nothing that is written down.
            if request.parameter(&name).is_none() {
                request = request.and(name, value);
            }
        }
        Step::Ask(self.in_some_order(request, &["created", "metadata_updated", "label"]))
    }

    pub fn list_sources(&mut self, _: &Model) -> Step {
        let mut request = Request::get(&["sources"]);
        if self.chance(60) {
            let (name, value) = match self.number(4) {
                0 => ("format".to_owned(), self.pick(&[VIDEO, AUDIO, "video"]).to_owned()),
                1 => ("label".to_owned(), self.pick(&LABELS).to_owned()),
                2 => ("collected_by_ids".to_owned(), self.collectors(&self.sources.clone())),
                _ => self.tag_filter("tag"),
            };
            request = request.and(name, value);
        }
        Step::Ask(self.in_some_order(request, &["created", "updated", "label"]))
    }

    pub fn list_segments(&mut self, model: &Model) -> Step {
        let id = self.flow_id(model);
        let mut request = Request::get(&["flows", &id, "segments"]);
        if self.chance(60) {
            request = request.and("timerange", self.filter());
        }
        if self.chance(10) {
            request = request.and("object_id", self.known_object(model));
        }
        if self.chance(30) {
            request = request.and("include_object_timerange", self.pick(&["true", "false"]));
        }
        request = self.with_url_filter(request, model);
        Step::Ask(self.in_some_order(request, &[]))
    }

    /// One resource, or one of its properties.
    pub fn read_one(&mut self, model: &Model) -> Step {
        let (flow, source, tag) = (self.flow_id(model), self.source_id(), self.pick(&TAGS));
        let property = self.pick(&["label", "description", "tags"]);
        let of_flow = self.pick(&["read_only", "flow_collection", "max_bit_rate", "avg_bit_rate"]);
        Step::Ask(match self.number(12) {
            0 => Request::get(&["flows", &flow]),
            1 => Request::get(&["flows", &flow]).and("include_timerange", "true").and("timerange", self.filter()),
            2 => Request::get(&["flows", &flow, property]),
            3 => Request::get(&["flows", &flow, of_flow]),
            4 => Request::get(&["flows", &flow, "tags", tag]),
            5 => Request::get(&["sources", &source]),
            6 => Request::get(&["sources", &source, property]),
            7 => Request::get(&["sources", &source, "tags", tag]),
            8 => match self.number(3) {
                0 => Request::get(&["service"]),
                1 => Request::get(&["service", "profiles", &self.pick(&self.profiles.clone())]),
                _ => {
                    let request = Request::get(&["service", "webhooks"]);
                    let (name, value) = self.tag_filter("tag");
                    self.in_some_order(request.and(name, value), &[])
                }
            },
            _ => {
                let request = Request::get(&["objects", &self.known_object(model)]);
                let request = self.with_url_filter(request, model);
                let (name, value) = self.tag_filter("flow_tag");
                match self.number(4) {
                    0 => request.and(name, value),
                    1 => request.and("limit", self.number(3)),
                    _ => request,
                }
            }
        })
    }

    fn collectors(&mut self, known: &[(String, &'static str)]) -> String {
        match self.number(6) {
            0 => String::new(),
            1 => "not-an-id".to_owned(),
            2 => format!("{},{}", self.pick(known).0, self.pick(known).0),
            _ => self.pick(known).0,
        }
    }

    fn tag_filter(&mut self, prefix: &str) -> (String, String) {
        let tag = self.pick(&TAGS);
        if self.chance(50) {
            let values = [self.pick(&VALUES), self.pick(&VALUES)];
            (format!("{prefix}.{tag}"), values[self.number(2)..].join(","))
        } else {
            (format!("{prefix}_exists.{tag}"), self.pick(&["true", "false"]).to_owned())
        }
    }

    fn with_url_filter(&mut self, request: Request, model: &Model) -> Request {
        match self.number(10) {
            0 => request.and("accept_get_urls", ""),
            1 => request.and("accept_get_urls", format!("{},mirror", model.backend.label)),
            2 => request.and("accept_get_urls", "elsewhere"),
            3 => request.and("accept_storage_ids", self.pick(&["", &model.backend.id, "bad"])),
            4 => request.and("presigned", self.pick(&["true", "false", "maybe"])),
            5 => request.and("verbose_storage", "true"),
            6 => request.and("verbose_storage", "true").and("presigned", "true"),
            _ => request,
        }
    }

    /// By some key, in some direction, in pages of some size.
    fn in_some_order(&mut self, mut request: Request, keys: &[&str]) -> Request {
        if let (Some(key), true) = (self.pick_if_any(keys), self.chance(50)) {
            request = request.and("sort_by", key);
        }
        if self.chance(40) {
            request = request.and("reverse_order", self.chance(75));
        }
        match self.number(40) {
            0 => request.and("limit", "0"),
            1 => request.and("limit", "many"),
            2 if request.parameter("sort_by").is_none() => request.and("sort_by", "size"),
            3 if request.parameter("reverse_order").is_none() => request.and("reverse_order", "maybe"),
            4..28 => request.and("limit", self.number(4) + 1),
            _ => request,
        }
    }
}
