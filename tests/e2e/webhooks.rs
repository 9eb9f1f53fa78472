//! Webhooks as resources, beyond what the list of implementers says: their listing, and their secrets.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::server::Server;
use tapelog_tests::store::{all, pluck, with, without};

const PATH: &str = "/service/webhooks";

async fn create(api: &Api, url: &str, tags: Value) -> Value {
    let webhook = json!({ "url": url, "events": ["flows/created"], "tags": tags });
    api.post(PATH, &webhook).await.expect(201).json()
}

/// The specification gives the listing no 400: what cannot be read is as good as absent.
#[tokio::test]
async fn webhooks_are_listed_by_url_in_pages_and_found_by_tags() {
    let server = Server::start().await;
    let api = server.api();
    let urls = ["https://a.example/", "https://b.example/1", "https://b.example/2", "https://c.example/"];
    for number in [2, 0, 3, 1] {
        let tags = if number % 2 == 0 { json!({ "team": "even" }) } else { json!({ "team": ["odd", "b"] }) };
        create(api, urls[number], tags).await;
    }
    assert_eq!(pluck(&all(api, &format!("{PATH}?limit=3")).await, "url"), urls);
    let reversed: Vec<_> = urls.iter().rev().copied().collect();
    assert_eq!(pluck(&all(api, &format!("{PATH}?limit=1&reverse_order=true")).await, "url"), reversed);
    let odd = api.get(&format!("{PATH}?tag.team=b,x")).await.expect(200);
    assert_eq!(pluck(&odd.list(), "url"), [urls[1], urls[3]]);
    assert_eq!(odd.header("x-paging-count"), Some("2"));
    assert_eq!(odd.header("x-paging-reverse-order"), Some("false"));
    assert_eq!(api.read(&format!("{PATH}?tag_exists.team=false")).await, json!([]));
    for unreadable in ["limit=many", "reverse_order=perhaps", "page=!", "tag_exists.team=2", "x=%ff"] {
        let listed = api.get(&format!("{PATH}?{unreadable}")).await.expect(200).list();
        assert_eq!(pluck(&listed, "url"), urls, "{unreadable}");
    }
}

/// Addresses that nothing can be delivered to, and those that nothing may be, are refused at once.
#[tokio::test]
async fn a_webhook_that_can_never_be_delivered_to_is_refused() {
    let server = Server::start().await;
    let api = server.api();
    let webhook =
        json!({ "url": "https://receiver.example/", "events": [], "api_key_name": "X-Key", "api_key_value": "k" });
    let created = api.post(PATH, &webhook).await.expect(201).json();
    let path = format!("{PATH}/{}", created["id"].as_str().unwrap());
    let put = with(with(webhook, "id", created["id"].clone()), "status", json!("created"));
    for (member, value) in [
        ("url", json!("receiver.example/path")),
        ("url", json!("ftp://receiver.example/")),
        ("url", json!("https://user:password@receiver.example/")),
        ("url", json!("http://127.0.0.1:9/")),
        ("url", json!("http://localhost:9/")),
        ("url", json!("http://[::ffff:10.0.0.1]/")),
        ("url", json!("http://0x7f000001/")),
        ("url", json!("http://169.254.169.254/latest/meta-data/")),
        ("api_key_name", json!("not a header")),
        ("api_key_name", json!("Content-Type")),
        ("api_key_name", json!("host")),
        ("api_key_name", json!("Webhook-Signature")),
        ("api_key_value", json!("two\nlines")),
        ("id", json!("4f79cfd1-c057-47f4-8e4d-1b126ca7bf34")),
    ] {
        let refused = api.put(&path, &with(put.clone(), member, value)).await.expect(400);
        assert!(refused.message().contains(member), "{refused} does not name {member}");
    }
    let refused = api.put(&path, &without(put.clone(), "api_key_name")).await.expect(400);
    assert!(refused.message().contains("api_key_name"), "{refused}");
    assert_eq!(without(api.read(&path).await, "status"), without(created, "status"));
    let keyless = without(without(put, "api_key_name"), "api_key_value");
    assert_eq!(api.put(&path, &keyless).await.expect(201).json().get("api_key_name"), None);
}

/// What a receiver trusts must not lie about in files, logs or answers, where anybody may come by it.
#[tokio::test]
async fn no_secret_stands_in_the_clear_in_anything_that_is_kept() {
    const SECRET: &str = "q7-the-secret-of-a-webhook-7q";
    let mut server = Server::start().await;
    let webhook = json!({
        "url": "https://receiver.example/", "events": ["flows/created"], "api_key_name": "X-Key", "api_key_value": SECRET,
    });
    let created = server.api().post(PATH, &webhook).await.expect(201);
    assert!(!created.to_string().contains(SECRET));
    let id = created.json()["id"].as_str().unwrap().to_owned();
    server.stop().await;
    assert!(!server.log().contains(SECRET));
    assert!(files(&server.data()).iter().any(|file| contains(file, b"receiver.example")), "the webhook is kept");
    assert!(!files(&server.data()).iter().any(|file| contains(file, SECRET.as_bytes())));
    server.start_again().await;
    let read = server.api().read(&format!("{PATH}/{id}")).await;
    assert_eq!(without(read, "status"), without(created.json(), "status"));
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The content of every file of a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![fs::read(path).unwrap()] }).collect()
}
