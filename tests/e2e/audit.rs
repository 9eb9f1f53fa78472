//! Who changed what, and when: told in full, by index, and in a form that a third party can check.

use std::path::Path;

use serde_json::{Value, json};
use tapelog_tests::api::Api;
use tapelog_tests::server::Server;
use tapelog_tests::store::{create_flow, post_segments, segment};

/// The commits that an audit lists, page by page.
async fn audit(api: &Api, query: &str) -> Vec<Value> {
    let (mut commits, mut next) = (Vec::new(), Some(format!("/audit?limit=3&{query}")));
    while let Some(url) = next {
        let page = api.get(&url).await.expect(200);
        commits.extend(page.list());
        next = page.next();
    }
    commits
}

/// The types of the events of each commit.
fn types(commits: &[Value]) -> Vec<Vec<&str>> {
    fn of(commit: &Value) -> Vec<&str> {
        commit["changes"].as_array().unwrap().iter().map(|change| change["type"].as_str().unwrap()).collect()
    }
    commits.iter().map(of).collect()
}

#[tokio::test]
async fn every_commit_that_touched_a_resource_is_listed_with_what_it_changed() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let other = create_flow(api).await;
    let source = api.read(&format!("/flows/{flow}")).await["source_id"].as_str().unwrap().to_owned();
    api.put(&format!("/flows/{flow}/label"), &json!("one")).await.expect(204);
    let middle = api.put(&format!("/flows/{flow}/label"), &json!("two")).await.expect(204);
    let position = middle.position();
    post_segments(api, &flow, &segment("o-1", "[0:0_1:0)")).await.expect(201);
    api.put(&format!("/sources/{source}/label"), &json!("kept")).await.expect(204);
    api.put(&format!("/flows/{other}/label"), &json!("else")).await.expect(204);
    api.delete(&format!("/flows/{flow}/segments")).await.expect(204);

    let commits = audit(api, &format!("flow_id={flow}&reverse_order=true")).await;
    let expected: [&[&str]; 5] = [
        &["source_created", "flow_created"],
        &["flow_updated"],
        &["flow_updated"],
        &["segments_added"],
        &["segments_deleted"],
    ];
    assert_eq!(types(&commits), expected);
    let change = &commits[2]["changes"][0];
    assert_eq!((&change["before"]["label"], &change["after"]["label"]), (&json!("one"), &json!("two")));
    assert!(change["after"].get("source_id").is_none(), "only what changed is told: {change}");

    let newest_first = audit(api, &format!("flow_id={flow}")).await;
    assert_eq!(newest_first, commits.iter().rev().cloned().collect::<Vec<_>>());
    let of_source = audit(api, &format!("source_id={source}&type=source_updated")).await;
    assert_eq!(types(&of_source), [["source_updated"]]);
    assert_eq!(types(&audit(api, "object_id=o-1").await), [["segments_added"]]);
    assert_eq!(
        types(&audit(api, &format!("flow_id={flow}&from={position}&type=flow_updated")).await),
        [["flow_updated"]]
    );
    assert_eq!(audit(api, &format!("flow_id={flow}&to={position}")).await.len(), 3);
    let time = commits[3]["time"].as_str().unwrap();
    assert_eq!(audit(api, &format!("flow_id={flow}&from={time}")).await.len(), 2);
    assert!(audit(api, "actor=nobody").await.is_empty());
    for wrong in ["flow_id=x", "type=flow_moved", "from=yesterday", "page=first", "format=xml"] {
        let name = wrong.split_once('=').unwrap().0;
        assert!(api.get(&format!("/audit?{wrong}")).await.expect(400).message().contains(name), "{wrong}");
    }
    let table = api.get(&format!("/audit?flow_id={flow}&format=csv")).await.expect(200);
    assert_eq!(String::from_utf8_lossy(&table.body).lines().count(), 1 + 6, "{table}");
}

#[tokio::test]
async fn an_export_is_checked_without_the_server_and_no_altered_one_passes() {
    let mut server = Server::start().await;
    let flow = create_flow(server.api()).await;
    server.api().put(&format!("/flows/{flow}/label"), &json!("one")).await.expect(204);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.jsonl");
    let export = server.run_with("audit", &["--flow-id", &flow, "--export", file.to_str().unwrap()]).await;
    assert!(export.status.success(), "{export:?}");
    let key = server.run_with("audit", &["--key"]).await;
    let key = String::from_utf8(key.stdout).unwrap().trim().to_owned();
    server.stop().await;

    let check = async |file: &Path, key: &str| {
        let arguments = ["--export", file.to_str().unwrap(), "--key", key];
        server.run_with("verify", &arguments).await.status.success()
    };
    assert!(check(&file, &key).await);
    assert!(!check(&file, &"0".repeat(64)).await);
    let altered = std::fs::read_to_string(&file).unwrap().replacen("\"seq\":2", "\"seq\":3", 1);
    std::fs::write(&file, altered).unwrap();
    assert!(!check(&file, &key).await);
}
