//! Section 2.6 of what the log is for: a write that is sent again under its `Idempotency-Key` is answered as the first time
//! and done once.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::eventually;
use tapelog_tests::receiver::{self, Receiver, Reply};
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{
    allocate, create_flow, encoded, new_id, object_path, post_segments, put_flow, second, segment, segment_at,
    video_flow, with,
};

/// The writes that ignore the key, each for the reason that its description says.
const EXCEPTIONS: [&str; 8] = [
    "POST /admin/rebuild",
    "POST /admin/verify",
    "POST /auth/accounts",
    "POST /auth/accounts/{account}/tokens",
    "POST /oauth2/token",
    "POST /service/webhooks/{webhookId}/ping",
    "PUT /auth/accounts/{account}",
    "PUT /objects/{objectId}/content",
];

/// The writes that the server describes: those that know a repetition, and those that do not.
async fn writes(api: &Api) -> [BTreeSet<String>; 2] {
    let document = api.read("/openapi.json").await;
    let (mut known, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for (template, path) in document["paths"].as_object().unwrap() {
        for method in ["put", "post", "delete"] {
            let Some(operation) = path.get(method) else { continue };
            let takes_key = operation["parameters"].to_string().contains("Idempotency-Key");
            let set = if takes_key { &mut known } else { &mut unknown };
            set.insert(format!("{} {template}", method.to_uppercase()));
        }
    }
    [known, unknown]
}

/// What there is to write to.
struct Store {
    flow: String,
    source: String,
    /// An object of the Flow's first segment, which lies elsewhere.
    object: String,
}

async fn store(api: &Api) -> Store {
    let (flow, object) = (create_flow(api).await, new_id());
    post_segments(api, &flow, &segment(&object, &second(0))).await.expect(201);
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].as_str().unwrap().to_owned();
    for resource in [format!("/flows/{flow}"), format!("/sources/{source}"), segment_path(&flow)] {
        api.put(&format!("{resource}/tags"), &json!({ "t": "1" })).await.expect(204);
    }
    for (resource, value) in [
        (format!("/flows/{flow}/description"), json!("x")),
        (format!("/flows/{flow}/max_bit_rate"), json!(7)),
        (format!("/flows/{flow}/avg_bit_rate"), json!(7)),
        (format!("/flows/{flow}/flow_collection"), json!([{ "id": create_flow(api).await }])),
        (format!("/sources/{source}/label"), json!("x")),
        (format!("/sources/{source}/description"), json!("x")),
    ] {
        api.put(&resource, &value).await.expect(204);
    }
    Store { flow, source, object }
}

fn segment_path(flow: &str) -> String {
    format!("/flows/{flow}/segments/{}", encoded(&second(0)))
}

/// Another Flow of the same Source.
async fn sibling(api: &Api, store: &Store) -> String {
    let id = new_id();
    put_flow(api, &with(video_flow(&id), "source_id", json!(store.source))).await.expect(201);
    id
}

async fn webhook(api: &Api) -> Value {
    let body = json!({ "url": "https://receiver.example/", "events": ["flows/deleted"], "status": "disabled" });
    api.post("/service/webhooks", &body).await.expect(201).json()
}

/// A disabled webhook whose receiver has refused an event for good: its path, and the event.
async fn dead_letter(api: &Api) -> (String, String) {
    let (receiver, id) = (Receiver::start().await, new_id());
    receiver.respond_with(Reply::Status(400));
    let body = json!({ "url": receiver.url(), "events": ["flows/created"], "flow_ids": [id] });
    let webhook = api.post("/service/webhooks", &body).await.expect(201).json();
    let path = format!("/service/webhooks/{}", webhook["id"].as_str().unwrap());
    put_flow(api, &video_flow(&id)).await.expect(201);
    let event = eventually("an event is refused for good", PATIENCE, async || {
        let letters = api.read(&format!("{path}/dead-letters")).await;
        Some(letters[0]["event"].as_str()?.to_owned())
    })
    .await;
    // Nothing is delivered to it any more, so that only what is asked for changes anything.
    api.put(&path, &with(webhook, "status", json!("disabled"))).await.expect(201);
    (path, event)
}

async fn account(api: &Api) -> String {
    let name = format!("account-{}", &new_id()[..8]);
    api.post("/auth/accounts", &json!({ "name": name, "scopes": ["tams-api/read"] })).await.expect(201);
    name
}

/// A request of each kind that leads to a commit, on whatever it needs: its path, and its body.
async fn request(api: &Api, operation: &str) -> (String, Value) {
    let it = store(api).await;
    let (flow, source) = (format!("/flows/{}", it.flow), format!("/sources/{}", it.source));
    let tags = format!("{}/tags", segment_path(&it.flow));
    match operation {
        "POST /service" => ("/service".to_owned(), json!({ "name": new_id() })),
        "POST /service/profiles/{profileId}" => {
            let (id, flow) = (new_id(), video_flow(&new_id()));
            let metadata: Value = ["format", "codec", "container", "essence_parameters"]
                .iter()
                .map(|name| ((*name).to_owned(), flow[*name].clone()))
                .collect();
            (format!("/service/profiles/{id}"), json!({ "id": id, "label": "p", "flow_metadata": metadata }))
        }
        "POST /service/webhooks" => {
            let body = json!({ "url": "https://receiver.example/", "events": ["flows/deleted"], "status": "disabled" });
            ("/service/webhooks".to_owned(), body)
        }
        "PUT /service/webhooks/{webhookId}" => {
            let webhook = webhook(api).await;
            let path = format!("/service/webhooks/{}", webhook["id"].as_str().unwrap());
            (path, with(webhook, "events", json!(["sources/deleted"])))
        }
        "DELETE /service/webhooks/{webhookId}" => {
            (format!("/service/webhooks/{}", webhook(api).await["id"].as_str().unwrap()), Value::Null)
        }
        "DELETE /service/webhooks/{webhookId}/dead-letters/{eventId}" => {
            let (webhook, event) = dead_letter(api).await;
            (format!("{webhook}/dead-letters/{event}"), Value::Null)
        }
        "POST /service/webhooks/{webhookId}/dead-letters/redeliver" => {
            (format!("{}/dead-letters/redeliver", dead_letter(api).await.0), json!({}))
        }
        "POST /service/webhooks/{webhookId}/replay" => {
            let path = format!("/service/webhooks/{}/replay", webhook(api).await["id"].as_str().unwrap());
            (path, json!({ "from": api.position().await }))
        }
        "POST /service/webhooks/{webhookId}/secret" => {
            let path = format!("/service/webhooks/{}/secret", webhook(api).await["id"].as_str().unwrap());
            (path, json!({}))
        }
        "POST /sources" => ("/sources".to_owned(), json!([{ "id": it.source, "label": "another" }])),
        "DELETE /sources/{sourceId}" => {
            sibling(api, &it).await;
            (format!("{source}?cascade=true"), Value::Null)
        }
        "POST /sources/{sourceId}/restore" => {
            sibling(api, &it).await;
            api.delete(&format!("{source}?cascade=true&soft_delete=true")).await.expect(204);
            (format!("{source}/restore"), json!({}))
        }
        "PUT /sources/{sourceId}/tags" => (format!("{source}/tags"), json!({ "u": "2" })),
        "DELETE /sources/{sourceId}/tags" => (format!("{source}/tags?confirm=true"), Value::Null),
        "PUT /sources/{sourceId}/tags/{name}" => (format!("{source}/tags/u"), json!("2")),
        "DELETE /sources/{sourceId}/tags/{name}" => (format!("{source}/tags/t"), Value::Null),
        "PUT /sources/{sourceId}/label" => (format!("{source}/label"), json!("y")),
        "DELETE /sources/{sourceId}/label" => (format!("{source}/label"), Value::Null),
        "PUT /sources/{sourceId}/description" => (format!("{source}/description"), json!("y")),
        "DELETE /sources/{sourceId}/description" => (format!("{source}/description"), Value::Null),
        "POST /flows" => ("/flows".to_owned(), json!([video_flow(&new_id()), video_flow(&new_id())])),
        "PUT /flows/{flowId}" => {
            let id = new_id();
            (format!("/flows/{id}"), video_flow(&id))
        }
        "DELETE /flows/{flowId}" => (flow, Value::Null),
        "POST /flows/{flowId}/restore" => {
            api.delete(&format!("{flow}?soft_delete=true")).await.expect(204);
            (format!("{flow}/restore"), json!({}))
        }
        "PUT /flows/{flowId}/tags" => (format!("{flow}/tags"), json!({ "u": "2" })),
        "DELETE /flows/{flowId}/tags" => (format!("{flow}/tags?confirm=true"), Value::Null),
        "PUT /flows/{flowId}/tags/{name}" => (format!("{flow}/tags/u"), json!("2")),
        "DELETE /flows/{flowId}/tags/{name}" => (format!("{flow}/tags/t"), Value::Null),
        "PUT /flows/{flowId}/label" => (format!("{flow}/label"), json!("y")),
        "DELETE /flows/{flowId}/label" => (format!("{flow}/label"), Value::Null),
        "PUT /flows/{flowId}/description" => (format!("{flow}/description"), json!("y")),
        "DELETE /flows/{flowId}/description" => (format!("{flow}/description"), Value::Null),
        "PUT /flows/{flowId}/read_only" => (format!("{flow}/read_only"), json!(true)),
        "PUT /flows/{flowId}/flow_collection" => (format!("{flow}/flow_collection"), json!([])),
        "DELETE /flows/{flowId}/flow_collection" => (format!("{flow}/flow_collection"), Value::Null),
        "PUT /flows/{flowId}/max_bit_rate" => (format!("{flow}/max_bit_rate"), json!(8)),
        "DELETE /flows/{flowId}/max_bit_rate" => (format!("{flow}/max_bit_rate"), Value::Null),
        "PUT /flows/{flowId}/avg_bit_rate" => (format!("{flow}/avg_bit_rate"), json!(8)),
        "DELETE /flows/{flowId}/avg_bit_rate" => (format!("{flow}/avg_bit_rate"), Value::Null),
        // One of them overlaps, and is told so both times.
        "POST /flows/{flowId}/segments" => (format!("{flow}/segments"), json!([segment_at(0), segment_at(1)])),
        "DELETE /flows/{flowId}/segments" => (format!("{flow}/segments"), Value::Null),
        "PUT /flows/{flowId}/segments/{segment}/tags" => (tags, json!({ "u": "2" })),
        "DELETE /flows/{flowId}/segments/{segment}/tags" => (tags, Value::Null),
        "PUT /flows/{flowId}/segments/{segment}/tags/{name}" => (format!("{tags}/u"), json!("2")),
        "DELETE /flows/{flowId}/segments/{segment}/tags/{name}" => (format!("{tags}/t"), Value::Null),
        "POST /flows/{flowId}/storage" => (format!("{flow}/storage"), json!({ "limit": 2 })),
        "POST /objects" => ("/objects".to_owned(), json!({ "limit": 2 })),
        "DELETE /objects/{objectId}" => {
            let object = allocate(api, &it.flow, 1).await[0]["object_id"].as_str().unwrap().to_owned();
            (object_path(&object, "?confirm=true"), Value::Null)
        }
        "POST /objects/{objectId}/instances" => {
            let instance = json!({ "url": "https://other.example/media", "label": "other" });
            (object_path(&it.object, "/instances"), instance)
        }
        "DELETE /objects/{objectId}/instances" => {
            let instance = json!({ "url": "https://other.example/media", "label": "other" });
            api.post(&object_path(&it.object, "/instances"), &instance).await.expect(201);
            (object_path(&it.object, "/instances?label=other"), Value::Null)
        }
        "POST /collections" => ("/collections".to_owned(), json!({ "members": [{ "id": it.flow }] })),
        "POST /source-collections" => ("/source-collections".to_owned(), json!({ "members": [{ "id": it.source }] })),
        "DELETE /auth/accounts/{account}" => (format!("/auth/accounts/{}", account(api).await), Value::Null),
        "DELETE /auth/accounts/{account}/tokens/{tokenId}" => {
            let tokens = format!("/auth/accounts/{}/tokens", account(api).await);
            let token = api.post(&tokens, &json!({})).await.expect(201).json();
            (format!("{tokens}/{}", token["id"].as_str().unwrap()), Value::Null)
        }
        other => panic!("nobody has said what becomes of {other} when it is repeated"),
    }
}

async fn keyed(api: &Api, method: &Method, path: &str, body: &Value, key: &str) -> Answer {
    let request = api.request(method.clone(), path).header("idempotency-key", key);
    Answer::to(if body.is_null() { request } else { request.json(body) }).await
}

/// A body without what is signed or timed anew for each answer.
fn essence(answer: &Answer) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, _| !matches!(name.as_str(), "put_url" | "get_urls" | "time"));
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut body = if answer.body.is_empty() { Value::Null } else { answer.json() };
    strip(&mut body);
    body
}

#[tokio::test]
async fn every_write_is_answered_as_the_first_time_and_done_once() {
    let server = Server::start_with(receiver::options()).await;
    let api = server.api();
    let [known, unknown] = writes(api).await;
    assert_eq!(unknown, EXCEPTIONS.map(str::to_owned).into());
    for operation in &known {
        let (path, body) = request(api, operation).await;
        let method: Method = operation.split_once(' ').unwrap().0.parse().unwrap();
        let key = new_id();
        let before = api.position().await;
        let first = keyed(api, &method, &path, &body, &key).await;
        assert!((200..300).contains(&first.status), "{operation}: {first}");
        let after = api.position().await;
        assert_ne!(after, before, "{operation} leads to a commit");
        let again = keyed(api, &method, &path, &body, &key).await;
        assert_eq!((again.status, essence(&again)), (first.status, essence(&first)), "{operation}");
        assert_eq!(again.header("location"), first.header("location"), "{operation}");

        let other = if path.contains('?') { format!("{path}&x=1") } else { format!("{path}?x=1") };
        let refused = keyed(api, &method, &other, &body, &key).await;
        assert_eq!(refused.status, 422, "{operation}: {refused}");
        assert!(refused.message().contains("Idempotency-Key"), "{operation}: {refused}");
        assert_eq!(api.position().await, after, "{operation} is done once");
    }
    server.verify().await;
}

/// What was refused may succeed later, and what one client called so is nothing to another.
#[tokio::test]
async fn a_key_is_its_clients_own_and_a_refusal_is_not_remembered() {
    let server = Server::start_with(Options::protected()).await;
    let token = std::fs::read_to_string(server.data().join("admin-token")).unwrap();
    let admin = server.api().as_bearer(token.trim());
    let scopes = json!(["tams-api/read", "tams-api/write", "tams-api/delete"]);
    let mut clients = Vec::new();
    for name in ["ann", "bob"] {
        admin.post("/auth/accounts", &json!({ "name": name, "scopes": scopes })).await.expect(201);
        let token = admin.post(&format!("/auth/accounts/{name}/tokens"), &json!({})).await.expect(201).json();
        clients.push(server.api().as_bearer(token["token"].as_str().unwrap()));
    }
    let [ann, bob] = &clients[..] else { unreachable!() };

    let id = new_id();
    let (storage, asked) = (format!("/flows/{id}/storage"), json!({ "limit": 1 }));
    let allocate = async |client: &Api| keyed(client, &Method::POST, &storage, &asked, "mine").await;
    allocate(ann).await.expect(404);
    put_flow(ann, &video_flow(&id)).await.expect(201);
    let first = allocate(ann).await.expect(201);
    assert_eq!(essence(&allocate(ann).await.expect(201)), essence(&first));
    assert_ne!(essence(&allocate(bob).await.expect(201)), essence(&first));

    // The same key on another path or with another method is another name.
    let label = format!("/flows/{id}/label");
    keyed(ann, &Method::PUT, &label, &json!("x"), "mine").await.expect(204);
    keyed(ann, &Method::DELETE, &label, &Value::Null, "mine").await.expect(204);
    ann.get(&label).await.expect(404);
}

/// A collection of sources is told of as it was made, also when those are gone.
#[tokio::test]
async fn what_a_request_was_made_of_may_be_gone_when_it_is_repeated() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].clone();
    let asked = json!({ "members": [{ "id": source }] });
    let make = async || keyed(api, &Method::POST, "/source-collections", &asked, "made").await;
    let made = make().await.expect(201).json();
    api.delete(&format!("/flows/{flow}")).await.expect(204);
    assert_eq!(make().await.expect(201).json()["id"], made["id"]);
    api.post("/source-collections", &asked).await.expect(400);
}
