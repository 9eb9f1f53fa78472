//! The description of the API holds for the server that gives it.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;
use tapelog_tests::api::Answer;
use tapelog_tests::server::{Options, Server};
use tapelog_tests::shared::SharedServer;

static SERVER: SharedServer = SharedServer::new(Options::default);

const METHODS: [&str; 5] = ["get", "head", "put", "post", "delete"];

/// A path of a template: with ids that nothing has.
fn filled(template: &str) -> String {
    let steps = template.split('/').map(|step| match step {
        "{name}" | "{account}" | "{segment}" => "nothing",
        "{eventId}" => "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34.7.0.1",
        step if step.starts_with('{') => "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34",
        step => step,
    });
    steps.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn it_is_there_for_everybody_with_a_page_to_browse_it() {
    let server = Server::start_with(Options::default().and("TAPELOG_AUTH__MODE", "required")).await;
    let api = server.api();
    let document = api.get("/openapi.json").await.expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], api.base());
    let page = api.get("/docs").await.expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(!page.body.windows(4).any(|text| text == b"src="), "the page loads nothing from elsewhere");
}

#[tokio::test]
async fn each_path_has_the_methods_that_are_described_and_no_others() {
    let api = SERVER.visit().await;
    let document = api.get("/openapi.json").await.expect(200).json();
    for (template, path) in document["paths"].as_object().unwrap() {
        let described: BTreeSet<&str> = METHODS.into_iter().filter(|method| path.get(method).is_some()).collect();
        for method in METHODS.into_iter().filter(|method| !described.contains(method)) {
            let method: Method = method.to_uppercase().parse().unwrap();
            Answer::to(api.request(method, &filled(template))).await.expect(405);
        }
        for method in &described {
            let method: Method = method.to_uppercase().parse().unwrap();
            // The one answer without end is asked for in a way that is refused.
            let query = if template == "/events" { "?from=nowhere" } else { "" };
            let answer = Answer::to(api.request(method, &format!("{}{query}", filled(template)))).await;
            let unknown = answer.status == 404 && answer.body.windows(15).any(|text| text == b"not a path of t");
            assert!(answer.status < 500 && !unknown, "{answer}");
        }
    }
}

#[tokio::test]
async fn the_server_knows_every_parameter_that_is_described() {
    let api = SERVER.visit().await;
    let document = api.get("/openapi.json").await.expect(200).json();
    // The specification gives these no 400: what cannot be read is as good as absent.
    let lenient = ["/service/storage-backends", "/service/webhooks", "/flow-delete-requests"];
    for (template, path) in document["paths"].as_object().unwrap() {
        for parameter in path["get"]["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap().replace("{name}", "x");
            let takes_any_text = parameter["schema"]["type"] == "string" && parameter["schema"].get("enum").is_none();
            let takes_any_list = parameter["schema"]["items"]["type"] == "string";
            if lenient.contains(&template.as_str()) || takes_any_text && name != "codec" || takes_any_list {
                continue;
            }
            let answer = api.get(&format!("{}?{name}=%2A%2A", filled(template))).await;
            assert_eq!(answer.status, 400, "{answer}");
            assert!(answer.message().contains(&name), "{answer}");
        }
    }
}

/// The official document is not part of this project; where it stands beside the checkout, it is the measure.
#[tokio::test]
async fn what_the_specification_has_is_described_as_it_has_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/spec/TimeAddressableMediaStore.yaml");
    let Ok(official) = std::fs::read_to_string(folder) else { return };
    let api = SERVER.visit().await;
    let document = api.get("/openapi.json").await.expect(200).json();
    let ours: BTreeMap<&str, BTreeSet<&str>> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(template, path)| {
            let methods = METHODS.into_iter();
            let of_tams = |method: &&str| {
                path.get(method).is_some_and(|of| of.get("x-tapelog-extension") != Some(&Value::Bool(true)))
            };
            (template.as_str(), methods.filter(of_tams).collect::<BTreeSet<_>>())
        })
        .filter(|(_, methods)| !methods.is_empty())
        .collect();
    assert_eq!(ours, operations(&official));
}

/// The paths and methods of a document in YAML, as far as their indentation tells.
fn operations(yaml: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut path = None;
    for line in yaml.lines().skip_while(|line| *line != "paths:").skip(1) {
        if !line.starts_with(' ') && !line.is_empty() && !line.starts_with('#') {
            break;
        }
        match (line.strip_prefix("  "), line.strip_prefix("    ")) {
            (_, Some(rest)) if !rest.starts_with(' ') => {
                if let Some((path, method)) = path.zip(rest.strip_suffix(':').filter(|name| METHODS.contains(name))) {
                    found.entry(path).or_default().insert(method);
                }
            }
            (Some(rest), None) if rest.starts_with('/') || rest.starts_with('"') || rest.starts_with('\'') => {
                path = rest.strip_suffix(':').map(|path| path.trim_matches(['"', '\'']));
            }
            _ => {}
        }
    }
    found
}
