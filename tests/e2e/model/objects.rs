//! Objects: allocated for a Flow, registered by their first segment, gone with their last one (sections 5.6, 7 and 8).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::expect::{Refusals, same_set};
use super::http::{Reply, Request};
use super::listing::is_tagged;
use super::segments::is_wrong_url_filter;
use super::store::{Flow, Model, Object, ObjectState, is_id};

impl Model {
    pub fn allocate(&mut self, id: &str, request: &Request, reply: &Reply) {
        let body = request.body.clone().unwrap_or_else(|| json!({}));
        let flow = self.flow(id);
        let ids: Option<Vec<_>> =
            body["object_ids"].as_array().map(|ids| ids.iter().map(|id| id.as_str().unwrap_or_default()).collect());
        let named = ids.clone().unwrap_or_default();
        let distinct: BTreeSet<_> = named.iter().collect();
        let held = |wanted: fn(&ObjectState) -> bool| {
            named.iter().any(|id| self.object(id).is_some_and(|object| wanted(&object.state)))
        };
        let is_held = held(|state| *state != ObjectState::Stray);
        let limit = &body["limit"];
        let content_type = body["content_type"].as_str();
        let mut refusals = Refusals::default();
        refusals
            .must(flow.is_none(), 404, "no such flow")
            .must(flow.is_some_and(Flow::is_read_only), 403, "read-only")
            .must(flow.is_some_and(|flow| !flow.document.contains_key("container")), 400, "no container")
            .must(ids.is_some() && !limit.is_null(), 400, "limit and object_ids")
            .must(!limit.is_null() && limit.as_u64().is_none_or(|limit| limit == 0), 400, "limit")
            .must(distinct.len() < named.len() || named.contains(&""), 400, "object_ids")
            .must(body["storage_id"].as_str().is_some_and(|id| id != self.backend.id), 400, "storage_id")
            .must(content_type.is_some_and(|text| !text.contains('/')), 400, "content_type")
            .must(is_held, 400, "already exist")
            .may(held(|state| *state == ObjectState::Stray), 400, "already exist, perhaps")
            .may(named.iter().any(|id| self.used_up.contains(*id)), 400, "it was another object's id");
        if !refusals.decide(reply, &[201]) {
            return;
        }
        let flow = flow.expect("it was checked");
        let content_type = content_type.or(flow.document["container"].as_str()).map(str::to_owned);
        let allocated = reply.body["media_objects"].as_array().expect("media_objects is a list").clone();
        let given: Vec<_> = allocated.iter().map(|object| object["object_id"].as_str().expect("an id")).collect();
        match ids {
            Some(ids) => assert_eq!(given, ids, "{}", reply.first),
            None => {
                let new: BTreeSet<_> = given.iter().filter(|id| self.object(id).is_none()).collect();
                assert_eq!(new.len(), given.len(), "{}: an id that was there", reply.first);
                assert!(limit.is_null() || limit.as_u64() == Some(given.len() as u64), "{}", reply.first);
            }
        }
        for object in &allocated {
            assert_eq!(object["put_url"]["content-type"].as_str(), content_type.as_deref(), "{object}");
            let object_id = object["object_id"].as_str().expect("an id").to_owned();
            self.objects.retain(|known| known.id != object_id);
            self.touch_object(&object_id);
            self.objects.push(Object {
                id: object_id,
                state: ObjectState::Allocated { flow: id.to_owned() },
                controlled: true,
                put: object.clone(),
                ..Object::default()
            });
        }
    }

    /// Forgets the media objects that no segment uses, and then the init objects that no media object uses (9.4).
    pub fn forget_unused_objects(&mut self) {
        let used: BTreeSet<_> =
            self.flows.values().flat_map(|flow| &flow.segments).map(|segment| &segment.object).collect();
        let used = used.into_iter().cloned().collect();
        self.forget_objects(|object| matches!(object.state, ObjectState::Media { .. }), &used);
        let inits = self.objects.iter().filter_map(|object| object.init().map(str::to_owned)).collect();
        self.forget_objects(|object| matches!(object.state, ObjectState::Init { .. }), &inits);
        let left: Vec<_> = self
            .objects
            .iter()
            .map(|object| object.first().is_some_and(|first| !self.users(&object.id).contains(&first)))
            .collect();
        for (object, left) in self.objects.iter_mut().zip(left) {
            object.was_left |= left;
        }
    }

    /// Forgets objects of a kind, but for those that are used.
    fn forget_objects(&mut self, is_of_kind: fn(&Object) -> bool, used: &BTreeSet<String>) {
        let goes = |object: &Object| is_of_kind(object) && !used.contains(&object.id);
        let gone: Vec<_> = self.objects.iter().filter(|object| goes(object)).map(|object| object.id.clone()).collect();
        self.objects.retain(|object| !goes(object));
        self.touched.objects.extend(gone.iter().cloned());
        self.used_up.extend(gone);
    }

    /// The Flows whose segments use an object, or use media objects that have it as their init object.
    pub fn users(&self, id: &str) -> Vec<&str> {
        let uses = |flow: &Flow| {
            flow.segments
                .iter()
                .any(|segment| segment.object == id || self.object(&segment.object).and_then(Object::init) == Some(id))
        };
        self.flows.iter().filter(|(_, flow)| uses(flow)).map(|(id, _)| id.as_str()).collect()
    }

    pub fn read_object(&mut self, id: &str, request: &Request, reply: &Reply) {
        let object = self.object(id).filter(|object| object.is_registered());
        let mut refusals = Refusals::default();
        let wrong = is_wrong_url_filter(request) || request.parameter("limit") == Some("0");
        refusals.must(object.is_none(), 404, "it is not registered").must(wrong, 400, "a parameter");
        if !refusals.decide(reply, &[200]) {
            return;
        }
        let object = object.expect("it was checked");
        let body = &reply.body;
        assert_eq!(body["id"], id);
        let users = self.users(id);
        let passes = |user: &str| {
            let tags = &self.flows[user].document;
            request.query.iter().all(|(name, value)| is_tagged(tags, "flow_tag", name, value))
        };
        let found: Vec<_> = users.iter().filter(|user| passes(user)).map(|user| json!(user)).collect();
        let said = body["referenced_by_flows"].as_array().expect("referenced_by_flows is a list");
        same_set(said, &found, &request.to_string());
        let first = match &object.state {
            ObjectState::Media { range, key_frame_count, init, first } => {
                assert_eq!(body["timerange"], range.to_string(), "{request}");
                assert_eq!(body.get("key_frame_count"), key_frame_count.as_ref(), "{request}");
                self.check_init(&body["init_object"], "id", init.as_deref(), request);
                first
            }
            ObjectState::Init { first } => {
                assert_eq!((&body["timerange"], &body["init_object"]), (&Value::Null, &Value::Null), "{request}");
                first
            }
            state => panic!("{state:?} is not registered"),
        };
        // It may become unset when that Flow goes.
        let said = &body["first_referenced_by_flow"];
        assert!(said == first || (object.was_left && said.is_null()), "{}: the first was {first}", reply.first);
        self.check_urls(&body["get_urls"], object, request);
    }

    /// Checks the init object beside a media object, with its URLs.
    pub fn check_init(&self, actual: &Value, name: &str, init: Option<&str>, request: &Request) {
        assert_eq!(actual.get(name).and_then(Value::as_str), init, "the init object of {request}");
        if let Some(init) = init {
            self.check_urls(&actual["get_urls"], self.object(init).expect("a media object keeps it"), request);
        }
    }

    /// Checks the URLs of an object after all filters (1.9).
    pub fn check_urls(&self, actual: &Value, object: &Object, request: &Request) {
        let is_verbose = request.is_set("verbose_storage");
        let own = json!({ "label": self.backend.label, "presigned": true, "controlled": true, "storage_id": self.backend.id });
        let others = object
            .urls
            .iter()
            .map(|(label, url)| json!({ "label": label, "url": url, "presigned": false, "controlled": false }));
        let passes = |url: &Value| {
            request.query.iter().all(|(name, value)| match name.as_str() {
                "accept_get_urls" => value.split(',').any(|label| url["label"] == label),
                "accept_storage_ids" => value.is_empty() || value.split(',').any(|id| url["storage_id"] == id),
                "presigned" => url["presigned"].as_bool() == value.parse().ok(),
                _ => true,
            })
        };
        let of_store = object.controlled.then_some(own);
        let mut expected: Vec<_> = of_store.into_iter().chain(others).filter(passes).collect();
        let mut said = actual.as_array().cloned().unwrap_or_default();
        for url in &mut said {
            let members = url.as_object_mut().expect("a URL is an object");
            members.entry("presigned").or_insert(json!(false));
            if members["label"] == self.backend.label {
                members.remove("url");
            }
            members
                .retain(|name, _| matches!(name.as_str(), "label" | "url" | "presigned" | "controlled" | "storage_id"));
        }
        if !is_verbose {
            for url in &mut expected {
                let members = url.as_object_mut().expect("it was made above");
                members.retain(|name, _| !matches!(name.as_str(), "controlled" | "storage_id"));
            }
        }
        same_set(&said, &expected, &format!("get_urls of {} by {request}", object.id));
    }

    pub fn add_instance(&mut self, id: &str, request: &Request, reply: &Reply) {
        let body = request.body.as_ref().expect("a POST of an instance has a body");
        let object = self.object(id).filter(|object| object.is_registered());
        let (label, url) = (body["label"].as_str(), body["url"].as_str());
        let storage = body["storage_id"].as_str();
        let is_taken = |label: &str| {
            label == self.backend.label
                || object.is_some_and(|object| object.urls.iter().any(|(known, _)| known == label))
        };
        let mut refusals = Refusals::default();
        refusals
            .must(object.is_none(), 404, "it is not registered")
            .must(storage.is_some() == url.is_some() || label.is_some() != url.is_some(), 400, "one or the other")
            .must(label.is_some_and(is_taken), 400, "label")
            .must(storage.is_some_and(|storage| storage != self.backend.id), 400, "storage_id")
            .may(storage.is_some(), 400, "it is there already");
        self.touch_object(id);
        if refusals.decide(reply, &[201])
            && let (Some(label), Some(url)) = (label, url)
        {
            let object = self.object_mut(id).expect("it was checked");
            object.urls.push((label.to_owned(), url.to_owned()));
        }
    }

    pub fn delete_instance(&mut self, id: &str, request: &Request, reply: &Reply) {
        let object = self.object(id).filter(|object| object.is_registered());
        let (label, storage) = (request.parameter("label"), request.parameter("storage_id"));
        let is_controlled = storage.is_some();
        let is_there = object.is_some_and(|object| match (label, storage) {
            (Some(label), _) => object.urls.iter().any(|(known, _)| known == label),
            (None, storage) => object.controlled && storage == Some(self.backend.id.as_str()),
        });
        let is_last = object.is_some_and(|object| object.urls.len() + usize::from(object.controlled) == 1);
        let mut refusals = Refusals::default();
        refusals
            .must(object.is_none(), 404, "it is not registered")
            .must(label.is_none() && storage.is_none(), 400, "which one?")
            .must(storage.is_some_and(|storage| !is_id(storage)), 400, "storage_id")
            .must(!is_there, 404, "no such instance")
            .must(!is_there, 400, "no such instance");
        for status in [400, 403] {
            refusals.must(is_there && is_last, status, "the last one").may(
                is_controlled,
                status,
                "the last of the store's",
            );
        }
        self.touch_object(id);
        if refusals.decide(reply, &[204]) {
            let object = self.object_mut(id).expect("it was checked");
            if is_controlled {
                (object.controlled, object.bytes) = (false, None);
            } else {
                object.urls.retain(|(known, _)| Some(known.as_str()) != label);
            }
        }
    }
}

impl Object {
    /// The Flow that registered it.
    fn first(&self) -> Option<&str> {
        match &self.state {
            ObjectState::Media { first, .. } | ObjectState::Init { first } => Some(first),
            ObjectState::Allocated { .. } | ObjectState::Stray => None,
        }
    }

    /// The init object that it has.
    pub fn init(&self) -> Option<&str> {
        match &self.state {
            ObjectState::Media { init, .. } => init.as_deref(),
            ObjectState::Init { .. } | ObjectState::Allocated { .. } | ObjectState::Stray => None,
        }
    }
}
