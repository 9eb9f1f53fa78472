//! Sources: they come and go with their Flows, and what they collect follows from what their Flows collect (section 4).

use serde_json::{Map, Value, json};

use super::expect::{Chosen, Refusals, same_set};
use super::flows::{plain, set, set_tag};
use super::http::{Reply, Request};
use super::listing::{Listing, is_tagged};
use super::store::{Model, Source, is_id, is_tag};

impl Source {
    /// A Source as its first Flow makes it.
    pub fn of_first_flow(id: &str, flow: &Map<String, Value>) -> Self {
        let mut document = flow.clone();
        document.retain(|name, _| matches!(name.as_str(), "format" | "label" | "description" | "tags"));
        document.insert("id".to_owned(), json!(id));
        Self { document, chosen: Chosen::default() }
    }
}

impl Model {
    /// A Source without a Flow is none (L8).
    pub fn forget_lonely_sources(&mut self) {
        let flows = &self.flows;
        self.sources.retain(|id, _| flows.values().any(|flow| flow.source() == id));
    }

    /// Collections may have changed: nobody says whether that updates a Source.
    pub fn sources_may_have_changed(&mut self) {
        for source in self.sources.values_mut() {
            source.chosen.may_change("updated");
        }
    }

    pub fn list_sources(&mut self, request: &Request, reply: &Reply) {
        let listing = Listing::new(request, &["created", "updated", "label"]);
        let mut refusals = Refusals::default();
        let is_no_id = |text: &str| !text.is_empty() && !text.split(',').all(is_id);
        refusals
            .must(listing.is_wrong(), 400, "a parameter")
            .must(request.parameter("format").is_some_and(|format| !format.starts_with("urn:")), 400, "format")
            .must(request.parameter("collected_by_ids").is_some_and(is_no_id), 400, "collected_by_ids");
        if !refusals.decide(reply, &[200]) {
            return;
        }
        let is_found = |id: &str, source: &Source| {
            request.query.iter().all(|(name, value)| match name.as_str() {
                "format" | "label" => source.document.get(name).and_then(Value::as_str) == Some(value),
                "collected_by_ids" if value.is_empty() => self.source_collectors(id).is_empty(),
                "collected_by_ids" => self.source_collectors(id).iter().any(|by| value.split(',').any(|id| by == id)),
                _ => is_tagged(&source.document, "tag", name, value),
            })
        };
        let found: Vec<_> =
            self.sources.iter().filter(|(id, source)| is_found(id, source)).map(|(id, _)| json!(id)).collect();
        let ids: Vec<_> = reply.items().iter().map(|item| item["id"].clone()).collect();
        same_set(&ids, &found, &request.to_string());
        listing.check_order(reply);
        for item in reply.items() {
            self.check_source(item);
        }
    }

    pub fn read_source(&mut self, id: &str, reply: &Reply) {
        if Refusals::default().must(!self.sources.contains_key(id), 404, "no such source").decide(reply, &[200]) {
            assert_eq!(reply.body["id"], id);
            self.check_source(&reply.body);
        }
    }

    /// Holds a Source that was read against what is known of it.
    fn check_source(&mut self, actual: &Value) {
        let id = actual["id"].as_str().expect("a source has an id");
        let collectors: Vec<_> = self.source_collectors(id).into_iter().map(Value::from).collect();
        let collected = self.source_collection(id);
        let source = self.sources.get_mut(id).unwrap_or_else(|| panic!("{actual} has no flow"));
        for name in ["created", "created_by", "updated"] {
            source.chosen.check(name, &actual[name], actual);
        }
        let list = |name: &str| actual[name].as_array().cloned().unwrap_or_default();
        same_set(&list("collected_by"), &collectors, &format!("L9: collected_by of source {id}"));
        same_set(&list("source_collection"), &collected, &format!("source_collection of {id}"));
        let mut said = plain(actual.as_object().expect("a source is an object"));
        for name in ["created", "updated", "created_by", "updated_by", "collected_by", "source_collection"] {
            said.remove(name);
        }
        assert_eq!(Value::Object(said), Value::Object(plain(&source.document)), "source {id}");
    }

    /// What the Flows of a Source collect, as Sources with roles, each once.
    fn source_collection(&self, id: &str) -> Vec<Value> {
        let mut items = Vec::new();
        for flow in self.flows.values().filter(|flow| flow.source() == id) {
            for member in flow.document.get("flow_collection").and_then(Value::as_array).into_iter().flatten() {
                let member_id = member["id"].as_str().expect("a member has an id");
                let mut item = json!({ "id": self.flows[member_id].source() });
                if let Some(role) = member.get("role") {
                    item["role"] = role.clone();
                }
                if !items.contains(&item) {
                    items.push(item);
                }
            }
        }
        items
    }

    /// The Sources whose Flows collect a Flow of this one.
    fn source_collectors(&self, id: &str) -> Vec<String> {
        let collects = |other: &&String| self.source_collection(other).iter().any(|item| item["id"] == id);
        self.sources.keys().filter(collects).cloned().collect()
    }

    pub fn source_tag(&mut self, method: &str, id: &str, name: &str, request: &Request, reply: &Reply) {
        let held = self
            .sources
            .get(id)
            .map(|source| source.document.get("tags").map_or(Value::Null, |tags| tags[name].clone()));
        let value = request.body.clone();
        let mut refusals = Refusals::default();
        refusals
            .must(held.is_none(), 404, "no such source")
            .must(method != "PUT" && held == Some(Value::Null), 404, "no such tag")
            .must(value.as_ref().is_some_and(|value| !is_tag(value)), 400, "no tag");
        if !refusals.decide(reply, if method == "GET" { &[200] } else { &[204] }) {
            return;
        }
        match method {
            "GET" => assert_eq!(Some(&reply.body), held.as_ref(), "{}", reply.first),
            _ => self.change_source(id, |document| set_tag(document, name, value)),
        }
    }

    pub fn read_source_property(&mut self, id: &str, property: &str, reply: &Reply) {
        let held = self.sources.get(id).map(|source| source.document.get(property).cloned());
        let mut refusals = Refusals::default();
        refusals.must(held.is_none(), 404, "no such source");
        let held = held.flatten();
        refusals.may(held.is_none() && property != "tags", 404, "it is not set");
        if refusals.decide(reply, &[200]) {
            let unset = if property == "tags" { json!({}) } else { Value::Null };
            assert_eq!(reply.body, held.unwrap_or(unset), "{}", reply.first);
        }
    }

    pub fn set_source_property(&mut self, id: &str, property: &str, request: &Request, reply: &Reply) {
        let value = request.body.clone();
        let mut refusals = Refusals::default();
        refusals.must(!self.sources.contains_key(id), 404, "no such source").must(
            value.as_ref().is_some_and(|value| !value.is_string()),
            400,
            "no text",
        );
        if refusals.decide(reply, &[204]) {
            self.change_source(id, |document| set(document, property, value));
        }
    }

    fn change_source(&mut self, id: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let source = self.sources.get_mut(id).expect("it is there");
        let before = plain(&source.document);
        change(&mut source.document);
        if plain(&source.document) != before {
            source.chosen.change("updated");
        }
    }
}
