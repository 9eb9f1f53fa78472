//! Fine-grained access by the classes of resources (14.2).

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::server::{Options, Server};
use tapelog_tests::store::{new_id, pluck, put_flow, video_flow};

use super::administrator;

/// The API as somebody with these classes sees it.
async fn somebody(server: &Server, name: &str, classes: Value) -> Api {
    let admin = administrator(server);
    let scopes = ["tams-api/read", "tams-api/write", "tams-api/delete"];
    let account = json!({ "name": name, "scopes": scopes, "classes": classes });
    admin.post("/auth/accounts", &account).await.expect(201);
    let token = admin.post(&format!("/auth/accounts/{name}/tokens"), &json!({})).await.expect(201).json();
    server.api().as_bearer(token["token"].as_str().unwrap())
}

/// A Flow of these classes.
fn flow(classes: &[&str]) -> Value {
    let mut flow = video_flow(&new_id());
    if !classes.is_empty() {
        flow["tags"] = json!({ "auth_classes": classes });
    }
    flow
}

fn id(flow: &Value) -> &str {
    flow["id"].as_str().unwrap()
}

#[tokio::test]
async fn listings_leave_out_what_is_not_for_the_caller_and_their_pages_stay_full() {
    let server = Server::start_with(Options::protected()).await;
    let admin = administrator(&server);
    let news = somebody(&server, "ann", json!({ "news": ["read"] })).await;
    let mut visible = Vec::new();
    for number in 0..12 {
        let flow = flow([["news"].as_slice(), &["sport"], &["sport", "news"], &[]][number % 4]);
        put_flow(&admin, &flow).await.expect(201);
        if number % 4 != 1 {
            visible.push(id(&flow).to_owned());
        }
    }
    for listing in ["/flows?limit=2", "/sources?limit=2"] {
        let (mut found, mut next) = (0, Some(listing.to_owned()));
        while let Some(path) = next {
            let page = news.get(&path).await.expect(200);
            next = page.next();
            let count = page.list().len();
            assert!(count == 2 || next.is_none(), "{page}");
            assert_eq!(page.header("x-paging-count"), Some(count.to_string().as_str()));
            found += count;
        }
        assert_eq!(found, visible.len(), "{listing}");
    }
    let mut seen = pluck(&news.get("/flows?limit=100").await.expect(200).list(), "id");
    seen.sort();
    visible.sort();
    assert_eq!(seen, visible);
    assert_eq!(admin.get("/flows?limit=100").await.list().len(), 12);
}

#[tokio::test]
async fn what_is_not_for_the_caller_at_all_is_not_there_and_what_is_for_reading_is_forbidden_to_change() {
    let server = Server::start_with(Options::protected()).await;
    let admin = administrator(&server);
    let ann = somebody(&server, "ann", json!({ "news": ["read"], "local": ["read", "write"] })).await;
    for (classes, read, write, delete) in [
        (["sport"].as_slice(), 404, 404, 404),
        (&["news"], 200, 403, 403),
        (&["local"], 200, 204, 403),
        (&[], 200, 204, 204),
    ] {
        let flow = flow(classes);
        put_flow(&admin, &flow).await.expect(201);
        let path = format!("/flows/{}", id(&flow));
        ann.get(&path).await.expect(read);
        ann.head(&path).await.expect(read);
        ann.get(&format!("{path}/label")).await.expect(read);
        ann.put(&format!("{path}/label"), &json!("a")).await.expect(write);
        ann.put(&format!("{path}/tags/place"), &json!("a")).await.expect(write);
        ann.put(&path, &flow).await.expect(write);
        let storage = ann.post(&format!("{path}/storage"), &json!({ "limit": 1 })).await;
        storage.expect(if write == 204 { 201 } else { write });
        ann.delete(&format!("{path}/segments")).await.expect(delete);
        ann.delete(&path).await.expect(delete);
        let source = format!("/sources/{}", flow["source_id"].as_str().unwrap());
        if delete != 204 {
            ann.get(&source).await.expect(read);
            ann.put(&format!("{source}/label"), &json!("a")).await.expect(write);
        }
    }
}

#[tokio::test]
async fn objects_are_for_who_may_read_a_flow_that_uses_them() {
    let server = Server::start_with(Options::protected()).await;
    let admin = administrator(&server);
    let ann = somebody(&server, "ann", json!({ "news": ["read", "write"] })).await;
    let (sport, news) = (flow(&["sport"]), flow(&["news"]));
    for flow in [&sport, &news] {
        put_flow(&admin, flow).await.expect(201);
    }
    let allocated =
        admin.post(&format!("/flows/{}/storage", id(&sport)), &json!({ "limit": 1 })).await.expect(201).json();
    let object = allocated["media_objects"][0]["object_id"].as_str().unwrap();
    let segment = json!({ "object_id": object, "timerange": "[0:0_1:0)" });
    admin.post(&format!("/flows/{}/segments", id(&sport)), &segment).await.expect(201);
    let path = format!("/objects/{object}");
    ann.get(&path).await.expect(404);
    let borrowed = ann.post(&format!("/flows/{}/segments", id(&news)), &segment).await;
    assert!((400..500).contains(&borrowed.status), "an object that one may not read cannot be borrowed: {borrowed}");
    ann.get(&path).await.expect(404);

    admin.post(&format!("/flows/{}/segments", id(&news)), &segment).await.expect(201);
    assert_eq!(ann.read(&path).await["referenced_by_flows"], json!([id(&news)]));
    assert_eq!(admin.read(&path).await["referenced_by_flows"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_gets_at_more_by_changing_classes_or_by_a_webhook() {
    let server = Server::start_with(Options::protected()).await;
    let admin = administrator(&server);
    let ann = somebody(&server, "ann", json!({ "news": ["read", "write", "delete"], "sport": ["read"] })).await;
    let (news, sport, drama) = (flow(&["news"]), flow(&["sport"]), flow(&["drama"]));
    for flow in [&news, &sport, &drama] {
        put_flow(&admin, flow).await.expect(201);
    }
    let classes = format!("/flows/{}/tags/auth_classes", id(&news));
    for more in [json!("news,drama"), json!(["sport", "news"]), json!("drama"), json!([])] {
        ann.put(&classes, &more).await.expect(403);
    }
    ann.delete(&classes).await.expect(403);
    put_flow(&ann, &flow(&["drama"])).await.expect(403);
    ann.put(&format!("/flows/{}/tags/auth_classes", id(&sport)), &json!("sport,news")).await.expect(403);
    assert_eq!(admin.read(&classes).await, json!(["news"]));
    let mut joining = flow(&["news"]);
    joining["source_id"] = drama["source_id"].clone();
    let joined = put_flow(&ann, &joining).await;
    assert!(matches!(joined.status, 403 | 404), "a Flow joins a Source that one may change: {joined}");

    let webhook =
        |flow: &Value| json!({ "url": "https://hook.test/", "events": ["flows/updated"], "flow_ids": [id(flow)] });
    ann.post("/service/webhooks", &webhook(&sport)).await.expect(201);
    ann.post("/service/webhooks", &webhook(&drama)).await.expect(403);
    let mut hidden = webhook(&drama);
    hidden["tags"] = json!({ "auth_classes": "drama" });
    let hidden = admin.post("/service/webhooks", &hidden).await.expect(201).json();
    let path = format!("/service/webhooks/{}", hidden["id"].as_str().unwrap());
    ann.get(&path).await.expect(404);
    ann.delete(&path).await.expect(404);
    assert_eq!(ann.read("/service/webhooks").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn bytes_on_a_storage_backend_are_for_who_may_use_that() {
    let vault = r#"[{"label": "vault", "bucket": "vault-media", "tags": {"auth_classes": "vault"}}]"#;
    let server = Server::start_with(Options::protected().and("TAPELOG_STORAGE", vault)).await;
    let admin = administrator(&server);
    let ann = somebody(&server, "ann", json!({ "news": ["read", "write"] })).await;
    let backends = admin.read("/service/storage-backends").await;
    let vault = backends.as_array().unwrap().iter().find(|backend| backend["label"] == "vault").unwrap();
    assert_eq!(ann.read("/service/storage-backends").await.as_array().unwrap().len(), 1);
    let news = flow(&["news"]);
    put_flow(&admin, &news).await.expect(201);
    let asked = json!({ "limit": 1, "storage_id": vault["id"] });
    let allocated = admin.post(&format!("/flows/{}/storage", id(&news)), &asked).await.expect(201).json();
    let object = allocated["media_objects"][0]["object_id"].as_str().unwrap();
    let content = format!("/objects/{object}/content");
    ann.put(&content, &json!("bytes")).await.expect(403);
    admin.put(&content, &json!("bytes")).await.expect(201);
    let segment = json!({ "object_id": object, "timerange": "[0:0_1:0)" });
    admin.post(&format!("/flows/{}/segments", id(&news)), &segment).await.expect(201);
    assert_eq!(ann.read(&format!("/objects/{object}")).await["get_urls"], json!([]));
    ann.head(&content).await.expect(404);
}
