//! Tokens of identity providers.

use serde_json::json;
use tapelog_tests::eventually;
use tapelog_tests::issuer::{Issuer, Signer};
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::store::{create_flow, new_id, put_flow, video_flow};

const ALL: &str = "tams-api/read tams-api/write tams-api/delete";

#[tokio::test]
async fn keys_may_change_while_the_server_runs() {
    let mut issuer = Issuer::start(Signer::rsa()).await;
    let options = Options::protected().and("TAPELOG_AUTH__ISSUERS", issuer.setting());
    let server = Server::start_with(options).await;
    let old = server.api().as_bearer(&issuer.token(ALL, json!({})));
    old.get("/flows").await.expect(200);
    assert!(!server.data().join("admin-token").exists(), "who has an identity provider needs no other administrator");

    issuer.rotate(Signer::elliptic());
    let new = server.api().as_bearer(&issuer.token(ALL, json!({})));
    eventually("the new key is known", PATIENCE, async || (new.get("/flows").await.status == 200).then_some(())).await;
    old.get("/flows").await.expect(401);

    let fetched = issuer.fetched();
    for _ in 0..20 {
        let unknown = Signer::elliptic().sign(&issuer.claims(ALL, json!({})));
        server.api().as_bearer(&unknown).get("/flows").await.expect(401);
    }
    assert!(issuer.fetched() <= fetched + 1, "tokens with unknown keys are no burden to their issuer");
}

#[tokio::test]
async fn who_asks_is_recorded_and_classes_of_the_token_hold() {
    let issuer = Issuer::start(Signer::elliptic()).await;
    let server =
        Server::start_with(Options::protected().and("TAPELOG_AUTH__ISSUERS", issuer.setting_with_classes())).await;
    let token = |sub: &str, classes: serde_json::Value| {
        server.api().as_bearer(&issuer.token(ALL, json!({ "sub": sub, "classes": classes })))
    };
    let (ann, bob) = (token("ann", json!({ "news": ["read", "write"] })), token("bob", json!(["news:read"])));
    let mut flow = video_flow(&new_id());
    flow["tags"] = json!({ "auth_classes": ["news"] });
    let path = format!("/flows/{}", flow["id"].as_str().unwrap());
    put_flow(&ann, &flow).await.expect(201);
    assert_eq!(bob.read(&path).await["created_by"], "ann");
    bob.put(&format!("{path}/label"), &json!("mine")).await.expect(403);
    ann.put(&format!("{path}/label"), &json!("ours")).await.expect(204);
    token("eve", json!({ "sport": ["read", "write", "delete"] })).get(&path).await.expect(404);

    let open = create_flow(&bob).await;
    bob.put(&format!("/flows/{open}/label"), &json!("anybody's")).await.expect(204);
    assert_eq!(ann.read(&format!("/flows/{open}")).await["updated_by"], "bob");
}

#[tokio::test]
async fn a_token_of_an_issuer_that_is_away_is_not_called_wrong() {
    let issuer = Issuer::start(Signer::elliptic()).await;
    let (setting, token) = (issuer.setting(), issuer.token(ALL, json!({})));
    drop(issuer);
    let server = Server::start_with(Options::protected().and("TAPELOG_AUTH__ISSUERS", setting)).await;
    let answer = server.api().as_bearer(&token).get("/flows").await.expect(503);
    assert!(answer.header("retry-after").is_some(), "{answer}");
}
