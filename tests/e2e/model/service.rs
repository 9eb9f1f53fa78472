//! The service itself, profiles (5.5) and webhooks as resources (12.1, 12.2).

use serde_json::{Map, Value, json};

use super::expect::{Refusals, same_set};
use super::flows::{is_valid_technical, plain};
use super::http::{Reply, Request};
use super::listing::{Listing, is_tagged};
use super::store::{Model, Profile, Webhook, is_id, is_tag};

/// What can be subscribed to.
const EVENTS: [&str; 8] = [
    "flows/created",
    "flows/updated",
    "flows/deleted",
    "flows/segments_added",
    "flows/segments_deleted",
    "sources/created",
    "sources/updated",
    "sources/deleted",
];

impl Model {
    pub fn read_service(&mut self, reply: &Reply) {
        assert_eq!(reply.status, 200, "{}", reply.first);
        for (name, value) in &self.service {
            assert_eq!(&reply.body[name], value, "{}", reply.first);
        }
    }

    pub fn rename_service(&mut self, request: &Request, reply: &Reply) {
        let body = request.body.as_ref().and_then(Value::as_object).expect("it is renamed by an object");
        let is_wrong = body.values().any(|value| !value.is_string());
        if Refusals::default().must(is_wrong, 400, "no text").decide(reply, &[200]) {
            self.service.extend(body.clone());
        }
    }

    pub fn create_profile(&mut self, id: &str, request: &Request, reply: &Reply) {
        let body = request.body.as_ref().expect("a profile has a body");
        let is_valid = body["flow_metadata"]
            .as_object()
            .is_some_and(|flow| is_valid_technical(flow) && flow["format"] != "urn:x-nmos:format:multi");
        let is_other = body["id"].as_str() != Some(id);
        let mut refusals = Refusals::default();
        refusals
            .must(!is_id(id), 404, "the id in the path")
            .must(self.profiles.contains_key(id), 400, "it exists")
            .must(is_other, 400, "another id in the body")
            .must(is_other, 404, "another id in the body")
            .must(!is_valid, 400, "flow_metadata");
        if refusals.decide(reply, &[201]) {
            let document = body.as_object().expect("it was checked").clone();
            self.profiles.insert(id.to_owned(), Profile { document, ..Profile::default() });
            self.check_profile(&reply.body);
        }
    }

    pub fn read_profile(&mut self, id: &str, reply: &Reply) {
        if Refusals::default().must(!self.profiles.contains_key(id), 404, "no such profile").decide(reply, &[200]) {
            assert_eq!(reply.body["id"], id);
            self.check_profile(&reply.body);
        }
    }

    pub fn list_profiles(&mut self, request: &Request, reply: &Reply) {
        let mut refusals = Refusals::default();
        refusals.must(Listing::new(request, &[]).is_wrong(), 400, "a parameter");
        if !refusals.decide(reply, &[200]) {
            return;
        }
        let is_found = |profile: &Map<String, Value>| {
            request.query.iter().all(|(name, value)| match name.as_str() {
                "format" | "codec" => profile["flow_metadata"][name] == *value,
                "label" => profile.get(name).and_then(Value::as_str) == Some(value),
                _ => true,
            })
        };
        let found: Vec<_> = self.profiles.iter().filter(|(_, profile)| is_found(&profile.document)).collect();
        let found: Vec<_> = found.into_iter().map(|(id, _)| json!(id)).collect();
        let ids: Vec<_> = reply.items().iter().map(|item| item["id"].clone()).collect();
        same_set(&ids, &found, &request.to_string());
        for item in reply.items() {
            self.check_profile(item);
        }
    }

    fn check_profile(&mut self, actual: &Value) {
        let id = actual["id"].as_str().expect("a profile has an id");
        let profile = self.profiles.get_mut(id).unwrap_or_else(|| panic!("{actual} was never made"));
        let mut said = actual.as_object().expect("a profile is an object").clone();
        for name in ["created", "created_by"] {
            profile.chosen.check(name, &said.remove(name).unwrap_or_default(), actual);
        }
        assert_eq!(plain(&said), plain(&profile.document), "profile {id}");
    }

    pub fn create_webhook(&mut self, request: &Request, reply: &Reply) {
        let body = request.body.as_ref().expect("a webhook has a body");
        let wrong = is_wrong_webhook(body);
        if Refusals::default().must(wrong, 400, "the body").decide(reply, &[201]) {
            let id = reply.body["id"].as_str().filter(|id| is_id(id)).expect("a webhook has an id").to_owned();
            assert!(self.webhooks.iter().all(|webhook| webhook.id != id), "{}: not a new one", reply.first);
            self.webhooks.push(Webhook { id, ..Webhook::default() });
            self.store_webhook(self.webhooks.len() - 1, body, &reply.body);
        }
    }

    pub fn replace_webhook(&mut self, id: &str, request: &Request, reply: &Reply) {
        let body = request.body.as_ref().expect("a webhook has a body");
        let index = self.webhooks.iter().position(|webhook| webhook.id == id);
        let is_other = body["id"] != id;
        let mut refusals = Refusals::default();
        refusals
            .must(index.is_none(), 404, "no such webhook")
            .must(is_wrong_webhook(body) || body["status"].is_null(), 400, "the body")
            .must(is_other, 400, "another id in the body")
            .must(is_other, 404, "another id in the body");
        if refusals.decide(reply, &[201]) {
            self.store_webhook(index.expect("it was checked"), body, &reply.body);
        }
    }

    /// Takes over all that is said of a webhook; its key is never told again.
    fn store_webhook(&mut self, index: usize, body: &Value, answered: &Value) {
        let webhook = &mut self.webhooks[index];
        webhook.disabled = body["status"] == "disabled";
        webhook.document = body.as_object().expect("it was checked").clone();
        webhook.document.retain(|name, _| !matches!(name.as_str(), "id" | "status" | "api_key_value"));
        webhook.check(answered);
    }

    pub fn read_webhook(&mut self, id: &str, reply: &Reply) {
        let webhook = self.webhooks.iter().find(|webhook| webhook.id == id);
        if Refusals::default().must(webhook.is_none(), 404, "no such webhook").decide(reply, &[200]) {
            webhook.expect("it was checked").check(&reply.body);
        }
    }

    pub fn delete_webhook(&mut self, id: &str, reply: &Reply) {
        let is_there = self.webhooks.iter().any(|webhook| webhook.id == id);
        if Refusals::default().must(!is_there, 404, "no such webhook").decide(reply, &[204]) {
            self.webhooks.retain(|webhook| webhook.id != id);
        }
    }

    pub fn list_webhooks(&mut self, request: &Request, reply: &Reply) {
        let listing = Listing::new(request, &["url"]);
        // No status is written down for a wrong parameter (1.5).
        if !Refusals::default().may(listing.is_wrong(), 400, "a parameter").decide(reply, &[200]) {
            return;
        }
        let is_found = |webhook: &&Webhook| {
            request.query.iter().all(|(name, value)| is_tagged(&webhook.document, "tag", name, value))
        };
        let found: Vec<_> = self.webhooks.iter().filter(is_found).collect();
        let ids: Vec<_> = reply.items().iter().map(|item| item["id"].clone()).collect();
        same_set(&ids, &found.iter().map(|webhook| json!(webhook.id)).collect::<Vec<_>>(), &request.to_string());
        listing.check_order(reply);
        for item in reply.items() {
            found.iter().find(|webhook| item["id"] == webhook.id).expect("it was found").check(item);
        }
    }
}

impl Webhook {
    fn check(&self, actual: &Value) {
        let mut said = plain(actual.as_object().expect("a webhook is an object"));
        assert_eq!(said.remove("id"), Some(json!(self.id)), "{actual}");
        let status = said.remove("status").unwrap_or_default();
        let is_right = if self.disabled { status == "disabled" } else { status == "created" || status == "started" };
        assert!(is_right, "{actual}: disabled is {}", self.disabled);
        assert_eq!(said, plain(&self.document), "{actual}");
    }
}

fn is_wrong_webhook(body: &Value) -> bool {
    let is_event = |event: &Value| EVENTS.map(Value::from).contains(event);
    let is_status = |status: &Value| status.is_null() || status == "created" || status == "disabled";
    let is_tags = |tags: &Value| tags.is_null() || tags.as_object().is_some_and(|tags| tags.values().all(is_tag));
    !body["url"].as_str().is_some_and(|url| url.starts_with("http"))
        || !body["events"].as_array().is_some_and(|events| events.iter().all(is_event))
        || !is_status(&body["status"])
        || !is_tags(&body["tags"])
}
