//! What clients do with profiles, webhooks and the service.

use serde_json::{Value, json};

use super::super::http::Request;
use super::super::store::Model;
use super::{AUDIO, LABELS, MULTI, Step, Steps, VIDEO};

impl Steps {
    pub fn rename_service(&mut self, _: &Model) -> Step {
        let body = match self.number(8) {
            0 => json!({}),
            1 => json!({ "name": 5 }),
            2..5 => json!({ "description": self.pick(&LABELS) }),
            _ => json!({ "name": self.pick(&LABELS) }),
        };
        Step::Ask(Request::post(&["service"], body))
    }

    pub fn create_profile(&mut self, _: &Model) -> Step {
        let id = self.pick(&self.profiles.clone());
        let video = json!({
            "format": VIDEO, "codec": "video/h264", "container": "video/mp2t", "avg_bit_rate": 5000,
            "essence_parameters": {
                "frame_width": 1920, "frame_height": 1080, "frame_rate": { "numerator": 25, "denominator": 1 },
            },
        });
        let audio = json!({
            "format": AUDIO, "codec": "audio/aac", "container": "audio/mp4",
            "essence_parameters": { "sample_rate": 48000, "channels": 2, "init_segments": true },
        });
        let metadata = match self.number(10) {
            0 => json!({ "format": MULTI }),
            1 => json!({ "format": VIDEO, "codec": "video/h264" }),
            2 => Value::Null,
            3..6 => audio,
            _ => video,
        };
        let mut body = json!({ "id": id, "flow_metadata": metadata, "label": self.pick(&LABELS) });
        if self.chance(30) {
            body["tags"] = json!({ "k": "1" });
        }
        let path_id = match self.number(20) {
            0 => "not-an-id".to_owned(),
            1 => self.pick(&self.profiles.clone()),
            _ => id,
        };
        Step::Ask(Request::post(&["service", "profiles", &path_id], body))
    }

    /// A webhook whose receiver does not exist, with or without a key.
    fn webhook(&mut self) -> Value {
        let mut body = json!({
            "url": self.pick(&["https://receiver.example/a", "https://receiver.example/b"]),
            "events": self.pick(&[json!([]), json!(["flows/created", "flows/segments_added"]), json!(["sources/updated"])]),
        });
        if self.chance(40) {
            body["api_key_name"] = json!("Authorization");
            body["api_key_value"] = json!("a secret");
        }
        if self.chance(40) {
            body["tags"] = json!({ self.pick(&super::TAGS): "1" });
        }
        if self.chance(30) {
            body["flow_ids"] = json!([self.flows[0].0]);
        }
        if self.chance(30) {
            body["status"] = json!(self.pick(&["disabled", "created"]));
        }
        match self.number(12) {
            0 => body["events"] = json!(["flows/exploded"]),
            1 => drop(body.as_object_mut().expect("it is one").remove("url")),
            2 => body["status"] = json!("started"),
            _ => {}
        }
        body
    }

    pub fn create_webhook(&mut self, model: &Model) -> Step {
        if model.webhooks.len() >= 6 {
            return self.change_webhook(model);
        }
        Step::Ask(Request::post(&["service", "webhooks"], self.webhook()))
    }

    pub fn change_webhook(&mut self, model: &Model) -> Step {
        let known: Vec<_> = model.webhooks.iter().map(|webhook| webhook.id.clone()).collect();
        let id = match self.pick_if_any(&known) {
            Some(id) if self.chance(90) => id,
            _ => self.new_id(),
        };
        let path = ["service", "webhooks", &id];
        if self.chance(40) {
            return Step::Ask(Request::delete(&path));
        }
        let mut body = self.webhook();
        body["id"] = json!(id);
        if self.chance(85) && body["status"].is_null() {
            body["status"] = json!(self.pick(&["created", "disabled"]));
        }
        Step::Ask(Request::put(&path, body))
    }
}
