//! Accounts, tokens and passwords of the store's own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::nats::Nats;
use tapelog_tests::program;
use tapelog_tests::server::{Options, Server};
use tapelog_tests::store::{all, create_flow, pluck};

use super::administrator;

const PASSWORD: &str = "correct horse";

async fn account(admin: &Api, name: &str, more: Value) {
    let mut body = json!({ "name": name, "scopes": ["tams-api/read", "tams-api/write"] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = admin.post("/auth/accounts", &body).await.expect(201);
    assert_eq!(made.header("location"), Some(format!("/auth/accounts/{name}").as_str()));
    assert!(!made.to_string().contains("argon2"), "{made}");
}

async fn api_token(admin: &Api, name: &str, body: Value) -> Value {
    admin.post(&format!("/auth/accounts/{name}/tokens"), &body).await.expect(201).json()
}

async fn basic(api: &Api, name: &str, password: &str) -> Answer {
    Answer::to(api.request(Method::GET, "/auth/me").basic_auth(name, Some(password))).await
}

async fn grant(api: &Api, form: &[(&str, &str)]) -> Answer {
    Answer::to(api.request(Method::POST, "/oauth2/token").form(form)).await
}

#[tokio::test]
async fn the_first_start_makes_an_administrator_whose_token_only_the_owner_of_the_folder_reads() {
    let mut server = Server::start_with(Options::protected()).await;
    let file = server.data().join("admin-token");
    let token = fs::read_to_string(&file).unwrap();
    for secret in [&file, &server.data().join("local-token"), &server.data().join("secrets.key")] {
        assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600, "{}", secret.display());
    }
    assert!(server.log().contains("admin-token") && !server.log().contains(token.trim()));
    let me = administrator(&server).read("/auth/me").await;
    assert_eq!((&me["name"], &me["classes"]), (&json!("admin"), &Value::Null));
    server.stop().await;
    server.start_again().await;
    assert_eq!(fs::read_to_string(&file).unwrap(), token, "there is one administrator, not one for each start");
    administrator(&server).read("/auth/me").await;
    server.verify().await;
}

#[tokio::test]
async fn accounts_are_made_listed_changed_and_ended_by_administrators() {
    let server = Server::start_with(Options::protected()).await;
    let admin = &administrator(&server);
    for name in ["ann", "bob", "cid"] {
        account(admin, name, json!({})).await;
    }
    admin.post("/auth/accounts", &json!({ "name": "ann" })).await.expect(409);
    for (body, named) in [
        (json!({ "name": "a b" }), "name"),
        (json!({}), "name"),
        (json!({ "name": "dan", "password": "short" }), "password"),
        (json!({ "name": "dan", "scopes": ["read"] }), "scopes[0]"),
        (json!({ "name": "dan", "classes": { "news": ["fly"] } }), "classes.news"),
    ] {
        let refused = admin.post("/auth/accounts", &body).await.expect(400);
        assert!(refused.message().starts_with(named), "{refused}");
    }
    assert_eq!(pluck(&all(admin, "/auth/accounts?limit=3").await, "name"), ["admin", "ann", "bob", "cid"]);
    let page = admin.get("/auth/accounts?limit=1&reverse_order=true").await.expect(200);
    assert_eq!((pluck(&page.list(), "name"), page.header("x-paging-count")), (vec!["cid".to_owned()], Some("1")));

    let token = api_token(admin, "ann", json!({ "label": "player" })).await;
    let ann = server.api().as_bearer(token["token"].as_str().unwrap());
    ann.get("/auth/accounts").await.expect(403);
    let listed = admin.read("/auth/accounts/ann/tokens").await;
    assert_eq!((&listed[0]["id"], &listed[0]["label"]), (&token["id"], &json!("player")));
    assert!(listed[0].get("token").is_none() && !listed.to_string().contains("hash"), "{listed}");
    let flow = create_flow(&ann).await;
    assert_eq!(ann.read(&format!("/flows/{flow}")).await["created_by"], "ann");

    admin.put("/auth/accounts/ann", &json!({ "scopes": ["tams-api/read"], "label": "Ann" })).await.expect(200);
    ann.put(&format!("/flows/{flow}/label"), &json!("x")).await.expect(403);
    admin.put("/auth/accounts/ann", &json!({ "disabled": true })).await.expect(200);
    ann.get("/flows").await.expect(401);
    admin.put("/auth/accounts/ann", &json!({ "disabled": false })).await.expect(200);
    ann.get("/flows").await.expect(200);
    let path = format!("/auth/accounts/ann/tokens/{}", token["id"].as_str().unwrap());
    admin.delete(&path.replace("/ann/", "/bob/")).await.expect(404);
    admin.delete(&path).await.expect(204);
    ann.get("/flows").await.expect(401);

    let token =
        api_token(admin, "bob", json!({ "scopes": ["tams-api/read"], "expires": "2999-01-01T00:00:00Z" })).await;
    let bob = server.api().as_bearer(token["token"].as_str().unwrap());
    assert_eq!(bob.read("/auth/me").await["scopes"], json!(["tams-api/read"]));
    let refused = admin.post("/auth/accounts/bob/tokens", &json!({ "scopes": ["tams-api/delete"] })).await.expect(400);
    assert!(refused.message().starts_with("scopes"), "{refused}");
    admin.post("/auth/accounts/bob/tokens", &json!({ "expires": "1999-01-01T00:00:00Z" })).await.expect(400);
    admin.delete("/auth/accounts/bob").await.expect(204);
    bob.get("/flows").await.expect(401);
    admin.get("/auth/accounts/bob").await.expect(404);
}

#[tokio::test]
async fn a_password_opens_by_basic_and_guessing_one_takes_ever_longer() {
    let server = Server::start_with(Options::protected()).await;
    let (api, admin) = (server.api(), &administrator(&server));
    account(admin, "ann", json!({ "password": PASSWORD })).await;
    account(admin, "bob", json!({})).await;
    assert_eq!(basic(api, "ann", PASSWORD).await.expect(200).json()["name"], "ann");
    let token = api_token(admin, "bob", json!({})).await;
    let token = token["token"].as_str().unwrap();
    basic(api, "bob", token).await.expect(200);
    basic(api, "ann", token).await.expect(401);
    basic(api, "bob", "").await.expect(401);

    let mut refused = basic(api, "ann", "wrong").await;
    for _ in 0..5 {
        refused = basic(api, "ann", "wrong").await;
    }
    assert!(refused.expect(429).header("retry-after").is_some());
    basic(api, "ann", PASSWORD).await.expect(200);
    let unknown = basic(api, "nobody", "wrong").await.expect(401);
    assert_eq!(unknown.message(), basic(api, "bob", "wrong").await.expect(401).message(), "names cannot be found out");

    let log = admin.read("/auth/log?limit=1000").await;
    let of_ann = |outcome: &str| {
        log.as_array()
            .unwrap()
            .iter()
            .any(|it| it["outcome"] == outcome && it["principal"] == "ann" && it["remote"] == "127.0.0.1")
    };
    assert!(of_ann("failed") && of_ann("throttled"), "{log}");
    assert!(
        !log.to_string().contains("wrong\"") && !log.to_string().contains(PASSWORD) && !log.to_string().contains(token)
    );
    let since = log[0]["time"].as_str().unwrap();
    let newest = admin.get(&format!("/auth/log?since={since}")).await.expect(200);
    assert_eq!(newest.list()[0], log[0]);
    let paged = all(admin, "/auth/log?limit=1").await;
    assert!(paged.len() >= log.as_array().unwrap().len());
}

#[tokio::test]
async fn credentials_are_traded_for_short_lived_tokens_and_a_refresh_token_is_good_once() {
    let server = Server::start_with(Options::protected().and("TAPELOG_AUTH__ACCESS_TOKEN_SECONDS", 600)).await;
    let (api, admin) = (server.api(), &administrator(&server));
    account(admin, "ann", json!({ "password": PASSWORD })).await;
    let client = [("grant_type", "client_credentials"), ("client_id", "ann"), ("client_secret", PASSWORD)];

    let granted = grant(api, &client).await.expect(200);
    assert_eq!(granted.header("cache-control"), Some("no-store"));
    let granted = granted.json();
    assert_eq!((&granted["token_type"], &granted["expires_in"]), (&json!("Bearer"), &json!(600)));
    assert_eq!(granted["scope"], "tams-api/read tams-api/write");
    assert!(granted.get("refresh_token").is_none(), "a refresh token comes to who asks for it");
    api.as_bearer(granted["access_token"].as_str().unwrap()).get("/flows").await.expect(200);

    let narrow = [client.as_slice(), &[("scope", "openid tams-api/read offline_access")]].concat();
    let granted = grant(api, &narrow).await.expect(200).json();
    assert_eq!(granted["scope"], "tams-api/read");
    let narrow = api.as_bearer(granted["access_token"].as_str().unwrap());
    narrow.get("/flows").await.expect(200);
    narrow.put("/flows/4f79cfd1-c057-47f4-8e4d-1b126ca7bf34", &json!({})).await.expect(403);

    let first = granted["refresh_token"].as_str().unwrap();
    api.as_bearer(first).get("/flows").await.expect(401);
    let refresh = |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        Answer::to(api.request(Method::POST, "/oauth2/token").form(&form))
    };
    let granted = refresh(first).await.expect(200).json();
    assert_eq!(granted["scope"], "tams-api/read");
    let again = refresh(first).await.expect(400);
    assert_eq!(again.json()["error"], "invalid_grant");
    refresh(granted["refresh_token"].as_str().unwrap()).await.expect(200);

    for (form, status, error) in [
        (vec![("grant_type", "password")], 400, "unsupported_grant_type"),
        (vec![], 400, "invalid_request"),
        (vec![("grant_type", "refresh_token")], 400, "invalid_request"),
        (vec![("grant_type", "client_credentials")], 401, "invalid_client"),
        (
            vec![("grant_type", "client_credentials"), ("client_id", "ann"), ("client_secret", "wrong")],
            401,
            "invalid_client",
        ),
        ([client.as_slice(), &[("scope", "tams-api/admin")]].concat(), 400, "invalid_scope"),
    ] {
        let refused = grant(api, &form).await.expect(status);
        assert_eq!(refused.json()["error"], error, "{refused}");
        assert!(!refused.message().is_empty());
        assert_eq!(refused.header("www-authenticate").is_some(), status == 401);
    }
    let by_header = api.request(Method::POST, "/oauth2/token").basic_auth("ann", Some(PASSWORD));
    Answer::to(by_header.form(&[("grant_type", "client_credentials")])).await.expect(200);
    admin.delete("/auth/accounts/ann").await.expect(204);
    narrow.get("/flows").await.expect(401);
    let log = admin.read("/auth/log").await;
    assert!(log.as_array().unwrap().iter().any(|it| it["outcome"] == "granted" && it["principal"] == "ann"), "{log}");
}

#[tokio::test]
async fn a_token_in_the_url_lets_in_and_is_repeated_nowhere() {
    let server = Server::start_with(Options::protected().and("TAPELOG_LOG__LEVEL", "debug")).await;
    let admin = administrator(&server);
    for _ in 0..2 {
        create_flow(&admin).await;
    }
    account(&admin, "ann", json!({})).await;
    let token = api_token(&admin, "ann", json!({})).await;
    let token = token["token"].as_str().unwrap();
    let page = server.api().get(&format!("/flows?limit=1&access_token={token}")).await.expect(200);
    let next = page.next().unwrap();
    assert!(next.contains("limit=1") && !next.contains("access_token"), "{next}");
    server.api().get(&format!("{next}&access_token={token}")).await.expect(200);
    assert!(!server.log().contains(token));

    let strict = Options::protected().and("TAPELOG_AUTH__URL_TOKEN", false).and("TAPELOG_AUTH__BASIC", false);
    let server = Server::start_with(strict).await;
    let admin = fs::read_to_string(server.data().join("admin-token")).unwrap();
    let refused = server.api().get(&format!("/flows?access_token={}", admin.trim())).await.expect(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"tapelog\""));
    basic(server.api(), "admin", admin.trim()).await.expect(401);
}

#[tokio::test]
async fn the_log_says_who_did_what_and_holds_no_secret() {
    let nats = Nats::start().await;
    let server = Server::start_with(Options { protected: true, ..Options::on(&nats.url()) }).await;
    let admin = &administrator(&server);
    account(admin, "annabel", json!({ "password": PASSWORD })).await;
    let token = api_token(admin, "annabel", json!({})).await["token"].as_str().unwrap().to_owned();
    create_flow(&server.api().as_bearer(&token)).await;
    let key = "a webhook's own key";
    let webhook = json!({ "url": "https://hook.test/", "events": [], "api_key_name": "X-Key", "api_key_value": key });
    admin.post("/service/webhooks", &webhook).await.expect(201);

    let mut stream = nats.jetstream().await.get_stream("TAPELOG").await.unwrap();
    let state = stream.info().await.unwrap().state.clone();
    let mut log = Vec::new();
    for seq in state.first_sequence..=state.last_sequence {
        log.extend(stream.get_raw_message(seq).await.unwrap().payload);
    }
    let holds = |text: &str| log.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("annabel") && holds("admin") && holds("$argon2id$"));
    let administrators = fs::read_to_string(server.data().join("admin-token")).unwrap();
    for secret in [PASSWORD, key, token.rsplit_once('_').unwrap().1, administrators.trim().rsplit_once('_').unwrap().1]
    {
        assert!(!holds(secret));
    }
}

#[tokio::test]
async fn whoever_may_read_the_folder_of_a_running_server_manages_its_accounts() {
    let server = Server::start_with(Options::protected()).await;
    let run = async |arguments: &[&str]| {
        let output = server.run_with("account", arguments).await;
        assert!(output.status.success(), "{}", program::said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let made: Value =
        serde_json::from_str(&run(&["add", "ann", "--scope", "read", "--class", "news:read,write"]).await).unwrap();
    assert_eq!(made["scopes"], json!(["tams-api/read"]));
    assert_eq!(made["classes"], json!({ "news": ["read", "write"] }));
    let token = run(&["token", "ann", "--days", "1"]).await;
    let ann = server.api().as_bearer(token.trim());
    ann.get("/flows").await.expect(200);
    run(&["disable", "ann"]).await;
    ann.get("/flows").await.expect(401);
    assert_eq!(run(&["list"]).await.lines().count(), 2);
    run(&["delete", "ann"]).await;
    let output = server.run_with("account", &["delete", "ann"]).await;
    assert!(!output.status.success() && program::said(&output).contains("ann"), "{}", program::said(&output));
}
