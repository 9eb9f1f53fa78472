//! Managing deliveries: what was tried, what was refused, and what is delivered again.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook as Verifier;
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::eventually;
use tapelog_tests::receiver::{self, Received, Receiver, Reply};
use tapelog_tests::server::{Options, PATIENCE, Server};
use tapelog_tests::shared::{SharedServer, Visit};
use tapelog_tests::store::{all, encoded, new_id, pluck, put_flow, video_flow, with, without};

static STORE: SharedServer = SharedServer::new(receiver::options);

async fn store() -> Visit {
    STORE.visit().await
}

/// A webhook that is told of the creation and the changes of one Flow, and what it takes to watch it.
struct Hook {
    receiver: Receiver,
    path: String,
    flow: Value,
}

impl Hook {
    async fn new(api: &Api) -> Self {
        let (receiver, flow) = (Receiver::start().await, video_flow(&new_id()));
        let webhook = json!({
            "url": receiver.url(),
            "events": ["flows/created", "flows/updated"],
            "flow_ids": [flow["id"]],
            "api_key_name": "X-Key",
            "api_key_value": "a key",
        });
        let created = api.post("/service/webhooks", &webhook).await.expect(201).json();
        Self { receiver, path: format!("/service/webhooks/{}", created["id"].as_str().unwrap()), flow }
    }

    fn below(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    async fn create(&self, api: &Api) {
        put_flow(api, &self.flow).await.expect(201);
    }

    async fn label(&self, api: &Api, label: &str) {
        let path = format!("/flows/{}/label", self.flow["id"].as_str().unwrap());
        api.put(&path, &json!(label)).await.expect(204);
    }

    /// What its receiver has taken, by label.
    async fn labels(&self, count: usize) -> Vec<String> {
        self.receiver.takes(count, PATIENCE).await.iter().map(label_of).collect()
    }

    async fn dead_letters(&self, api: &Api, count: usize) -> Vec<Value> {
        eventually(&format!("there are {count} dead letters"), PATIENCE, async || {
            let letters = all(api, &format!("{}?limit=1", self.below("dead-letters"))).await;
            (letters.len() == count).then_some(letters)
        })
        .await
    }
}

fn label_of(received: &Received) -> String {
    received.json()["event"]["flow"]["label"].as_str().unwrap().to_owned()
}

/// The event of a notification, as answers name it: the id of the notification without the webhook.
fn event_of(received: &Received) -> &str {
    received.id().rsplit_once('.').unwrap().0
}

#[tokio::test]
async fn attempts_are_listed_newest_first_with_what_they_came_to() {
    let api = &store().await;
    let hook = Hook::new(api).await;
    hook.receiver.respond(|_, before| match before {
        0 => Reply::With(503, None, "not today".to_owned()),
        _ => Reply::Status(204),
    });
    hook.create(api).await;
    hook.label(api, "b").await;
    let told = hook.receiver.takes(2, PATIENCE).await;
    let deliveries = hook.below("deliveries");
    let listed = eventually("all attempts are listed", PATIENCE, async || {
        let listed = all(api, &format!("{deliveries}?limit=2")).await;
        (listed.len() == 3).then_some(listed)
    })
    .await;
    assert_eq!(pluck(&listed, "result"), ["delivered", "delivered", "failed"]);
    assert_eq!(pluck(&listed, "event_type"), ["flows/updated", "flows/created", "flows/created"]);
    assert_eq!(listed.iter().map(|attempt| attempt["attempt"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!(listed.iter().map(|attempt| attempt["status"].as_u64().unwrap()).collect::<Vec<_>>(), [204, 204, 503]);
    assert_eq!(listed[2]["excerpt"], "not today");
    assert_eq!(listed[1]["event"], event_of(&told[0]));
    for (query, count) in [
        ("result=failed".to_owned(), 1),
        ("event_type=flows/updated".to_owned(), 1),
        (format!("event={}", event_of(&told[0])), 2),
        (format!("to={}", listed[2]["started"].as_str().unwrap()), 0),
        (format!("from={}", listed[2]["started"].as_str().unwrap()), 3),
    ] {
        assert_eq!(all(api, &format!("{deliveries}?{query}")).await.len(), count, "{query}");
    }
    let reversed = all(api, &format!("{deliveries}?limit=1&reverse_order=true")).await;
    assert_eq!(reversed, listed.iter().rev().cloned().collect::<Vec<_>>());
    for wrong in ["result=lost", "event_type=flows/renamed", "event=1.2.3", "from=yesterday", "page=x", "limit=0"] {
        let refused = api.get(&format!("{deliveries}?{wrong}")).await.expect(400);
        assert!(refused.message().contains(wrong.split('=').next().unwrap()), "{refused}");
    }
    let state = api.read(&hook.below("delivery")).await;
    assert_eq!((&state["status"], &state["consecutive_failures"]), (&json!("started"), &json!(0)));
    assert!(state["node"].is_string() && state["last_attempt"].is_string(), "{state}");
    eventually("the webhook is up to date", PATIENCE, async || {
        (api.read(&hook.below("delivery")).await["lag_records"] == 0).then_some(())
    })
    .await;
    api.get(&format!("/service/webhooks/{}/deliveries", new_id())).await.expect(404);
}

/// What a receiver refuses for good holds up nothing, and is tried again when somebody asks for it.
#[tokio::test]
async fn what_is_refused_becomes_a_dead_letter_that_can_be_delivered_or_given_up() {
    let api = &store().await;
    let hook = Hook::new(api).await;
    hook.receiver.respond(|received, _| match label_of(received).starts_with("bad") {
        true => Reply::With(422, None, "no such label".to_owned()),
        false => Reply::Status(200),
    });
    hook.create(api).await;
    for label in ["bad 1", "good 1", "bad 2", "bad 3", "good 2"] {
        hook.label(api, label).await;
    }
    assert_eq!(hook.labels(3).await, ["a camera", "good 1", "good 2"]);
    let letters = hook.dead_letters(api, 3).await;
    let refused: BTreeSet<_> =
        hook.receiver.requests().iter().filter(|it| !it.is_taken()).map(|it| event_of(it).to_owned()).collect();
    assert_eq!(pluck(&letters, "event").into_iter().collect::<BTreeSet<_>>(), refused);
    let [first, second, third] =
        [0, 1, 2].map(|index| hook.below(&format!("dead-letters/{}", pluck(&letters, "event")[index])));
    let letter = api.read(&first).await;
    assert_eq!((&letter["event_type"], &letter["attempts"]), (&json!("flows/updated"), &json!(3)));
    assert!(letter["error"]["summary"].as_str().unwrap().contains("422"), "{letter}");
    assert_eq!(api.read(&hook.below("delivery")).await["dead_letters"], 3);

    let redeliver = hook.below("dead-letters/redeliver");
    for wrong in [json!({ "positions": ["7"] }), json!({ "positions": [] }), json!({ "positions": "all" })] {
        let refused = api.post(&redeliver, &wrong).await.expect(400);
        assert!(refused.message().contains("positions"), "{refused}");
    }
    let unknown = json!({ "positions": [letters[0]["event"].as_str().unwrap().replace(".0.", ".9.")] });
    api.post(&redeliver, &unknown).await.expect(404);
    api.delete(&third).await.expect(204);
    api.delete(&third).await.expect(404);
    api.get(&third).await.expect(404);

    // It is refused once more, and stays.
    let before = hook.receiver.count();
    api.post(&redeliver, &json!({ "positions": [letters[0]["event"]] })).await.expect(202);
    eventually("it is refused once more", PATIENCE, async || {
        let letter = api.read(&first).await;
        (hook.receiver.count() > before && letter.get("redelivery").is_none()).then_some(())
    })
    .await;

    hook.receiver.respond_with(Reply::Status(200));
    hook.receiver.forget();
    Answer::to(api.request(Method::POST, &redeliver)).await.expect(202);
    hook.dead_letters(api, 0).await;
    let again = hook.receiver.takes(2, PATIENCE).await;
    assert_eq!(again.iter().map(label_of).collect::<Vec<_>>(), ["bad 1", "bad 2"]);
    assert_eq!(again.iter().map(event_of).collect::<Vec<_>>(), pluck(&letters[..2], "event"));
    api.get(&second).await.expect(404);
}

#[tokio::test]
async fn notifications_are_delivered_again_from_a_position_or_a_time_with_the_ids_that_they_had() {
    let api = &store().await;
    let hook = Hook::new(api).await;
    hook.create(api).await;
    hook.label(api, "b").await;
    let position = api.position().await;
    hook.label(api, "c").await;
    let told = hook.receiver.takes(3, PATIENCE).await;
    let ids: Vec<_> = told.iter().map(|told| told.id().to_owned()).collect();
    let times: Vec<_> = told.iter().map(|told| told.json()["event_timestamp"].clone()).collect();
    for (from, expected) in [
        (json!(event_of(&told[1])), &ids[1..]),
        (json!(position), &ids[1..]),
        (times[2].clone(), &ids[2..]),
        (json!("2020-01-01T00:00:00Z"), &ids[..]),
    ] {
        hook.receiver.forget();
        api.post(&hook.below("replay"), &json!({ "from": from })).await.expect(202);
        let again = hook.receiver.takes(expected.len(), PATIENCE).await;
        assert_eq!(again.iter().map(Received::id).collect::<Vec<_>>(), *expected, "from {from}");
    }
    hook.label(api, "d").await;
    eventually("delivery goes on where it was", PATIENCE, async || {
        hook.receiver.taken().last().is_some_and(|last| label_of(last) == "d").then_some(())
    })
    .await;

    let (life, _) = position.split_once('.').unwrap();
    for wrong in [
        json!("yesterday"),
        json!("2999-01-01T00:00:00Z"),
        json!(format!("{life}.999999999")),
        json!(format!("{}.1", new_id())),
        json!(7),
    ] {
        let refused = api.post(&hook.below("replay"), &json!({ "from": wrong })).await.expect(400);
        assert!(refused.message().contains("from"), "{refused}");
    }
}

#[tokio::test]
async fn a_ping_says_at_once_whether_the_receiver_answers() {
    let api = &store().await;
    let mut hook = Hook::new(api).await;
    let ping = async || api.post(&hook.below("ping"), &json!({})).await.expect(200).json();
    let answered = ping().await;
    assert_eq!((&answered["result"], &answered["status"]), (&json!("delivered"), &json!(200)));
    let [told] = &hook.receiver.requests()[..] else { panic!("one request was sent") };
    assert_eq!((told.event_type().as_str(), told.header("x-key")), ("tapelog/ping", "a key"));
    hook.receiver.respond_with(Reply::With(418, None, "short and stout".to_owned()));
    let refused = ping().await;
    assert_eq!((&refused["status"], &refused["excerpt"]), (&json!(418), &json!("short and stout")));
    hook.receiver.respond_with(Reply::With(
        302,
        Some(("location", "http://169.254.169.254/".to_owned())),
        String::new(),
    ));
    assert_eq!(ping().await["status"], 302, "a redirect is not followed");
    hook.receiver.die().await;
    let unreachable = api.post(&hook.below("ping"), &json!({})).await.expect(200).json();
    assert_eq!((&unreachable["result"], unreachable.get("status")), (&json!("failed"), None));
    assert!(unreachable["summary"].as_str().unwrap().contains("connect"), "{unreachable}");
}

/// Signatures are those of Standard Webhooks, and there is always one that a receiver can check.
#[tokio::test]
async fn a_signing_secret_is_replaced_without_a_moment_that_a_receiver_cannot_verify() {
    let api = &store().await;
    let hook = Hook::new(api).await;
    let path = hook.below("secret");
    let answer = api.get(&path).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let old = answer.json()["secret"].as_str().unwrap().to_owned();
    assert!(!api.read(&hook.path).await.to_string().contains("secret"));
    hook.create(api).await;
    let verify = |secret: &str, told: &Received| Verifier::new(secret).unwrap().verify(&told.body, &told.headers);
    verify(&old, &hook.receiver.takes(1, PATIENCE).await[0]).unwrap();

    let rotated = api.post(&path, &json!({})).await.expect(200).json();
    let new = rotated["secret"].as_str().unwrap();
    assert_ne!(new, old);
    assert_eq!(rotated["previous"]["secret"], *old);
    assert_eq!(api.read(&path).await, rotated);
    hook.label(api, "signed twice").await;
    let told = &hook.receiver.takes(2, PATIENCE).await[1];
    verify(&old, told).unwrap();
    verify(new, told).unwrap();
    let altered = Received { body: told.body.slice(1..), ..told.clone() };
    assert!(verify(new, &altered).is_err());
    api.get(&format!("/service/webhooks/{}/secret", new_id())).await.expect(404);
}

#[tokio::test]
async fn a_secret_that_was_replaced_signs_no_longer_than_the_settings_say() {
    let options = receiver::options().and("TAPELOG_WEBHOOKS__SECRET_GRACE_HOURS", 0);
    let server = Server::start_with(options).await;
    let api = server.api();
    let hook = Hook::new(api).await;
    let old = api.read(&hook.below("secret")).await["secret"].as_str().unwrap().to_owned();
    let rotated = api.post(&hook.below("secret"), &json!({})).await.expect(200).json();
    assert_eq!(rotated.get("previous"), None);
    hook.create(api).await;
    let told = &hook.receiver.takes(1, PATIENCE).await[0];
    assert!(Verifier::new(&old).unwrap().verify(&told.body, &told.headers).is_err());
    Verifier::new(rotated["secret"].as_str().unwrap()).unwrap().verify(&told.body, &told.headers).unwrap();
}

/// A receiver that says 410 wants nothing more (12.2).
#[tokio::test]
async fn a_receiver_that_is_gone_for_good_has_its_webhook_stopped_at_once() {
    let api = &store().await;
    let hook = Hook::new(api).await;
    hook.receiver.respond_with(Reply::Status(410));
    hook.create(api).await;
    let webhook = eventually("the webhook is stopped", PATIENCE, async || {
        let webhook = api.read(&hook.path).await;
        (webhook["status"] == "error").then_some(webhook)
    })
    .await;
    assert!(webhook["error"]["summary"].as_str().unwrap().contains("410"), "{webhook}");
    assert_eq!(hook.receiver.count(), 1);
    hook.receiver.respond_with(Reply::Status(200));
    let again = with(without(webhook, "error"), "status", json!("created"));
    api.put(&hook.path, &again).await.expect(201);
    assert_eq!(hook.labels(1).await, ["a camera"], "it goes on with what was not taken");
}

#[tokio::test]
async fn a_receiver_that_hangs_or_never_ends_holds_up_nobody_else() {
    let api = &store().await;
    let (hanging, endless, well) = (Hook::new(api).await, Hook::new(api).await, Hook::new(api).await);
    hanging.receiver.respond_with(Reply::Hang);
    endless.receiver.respond_with(Reply::Endless);
    for hook in [&hanging, &endless, &well] {
        hook.create(api).await;
        hook.label(api, "b").await;
    }
    assert_eq!(well.labels(2).await, ["a camera", "b"]);
    assert_eq!(endless.labels(2).await, ["a camera", "b"], "its status is all that counts");
    eventually("the one that hangs is noticed", PATIENCE, async || {
        (api.read(&hanging.below("delivery")).await["consecutive_failures"].as_u64()? > 0).then_some(())
    })
    .await;
    hanging.receiver.respond_with(Reply::Status(200));
    assert_eq!(hanging.labels(2).await, ["a camera", "b"]);
}

/// Who may see a webhook may look at its deliveries; who may change it may do something about them.
#[tokio::test]
async fn deliveries_are_managed_by_who_may_change_the_webhook() {
    let server = Server::start_with(Options { protected: true, ..receiver::options() }).await;
    let token = std::fs::read_to_string(server.data().join("admin-token")).unwrap();
    let admin = server.api().as_bearer(token.trim());
    let receiver = Receiver::start().await;
    let webhook = json!({ "url": receiver.url(), "events": [], "tags": { "auth_classes": "news" } });
    let webhook = admin.post("/service/webhooks", &webhook).await.expect(201).json();
    let path = format!("/service/webhooks/{}", webhook["id"].as_str().unwrap());
    let looks = ["delivery", "deliveries", "dead-letters"];
    let acts = ["ping", "replay", "secret", "dead-letters/redeliver"];
    let from = json!({ "from": "2020-01-01T00:00:00Z" });
    for (name, classes, look, act) in [
        ("stranger", json!({}), 404, 404),
        ("reader", json!({ "news": ["read"] }), 200, 403),
        ("editor", json!({ "news": ["read", "write"] }), 200, 200),
    ] {
        let account = json!({ "name": name, "scopes": ["tams-api/read"], "classes": classes });
        admin.post("/auth/accounts", &account).await.expect(201);
        let token = admin.post(&format!("/auth/accounts/{name}/tokens"), &json!({})).await.expect(201).json();
        let api = server.api().as_bearer(token["token"].as_str().unwrap());
        for below in looks {
            api.get(&format!("{path}/{below}")).await.expect(look);
        }
        let secret = api.get(&format!("{path}/secret")).await;
        assert_eq!(secret.status, act, "{secret}");
        for below in acts {
            let body = if below == "replay" { from.clone() } else { json!({}) };
            let answer = api.post(&format!("{path}/{below}"), &body).await;
            assert!(answer.status == act || (act == 200 && answer.status == 202), "{answer}");
        }
    }
}

/// The key of the store is replaced in two starts, and what was sealed with the old one is sealed anew.
#[tokio::test]
async fn the_key_of_the_store_is_replaced_and_webhooks_go_on() {
    let (old, new) = ("aa".repeat(32), "bb".repeat(32));
    let mut server = Server::start_with(receiver::options().and("TAPELOG_SECRETS__KEY", &old)).await;
    let hook = Hook::new(server.api()).await;
    let secret = server.api().read(&hook.below("secret")).await;
    server.stop().await;
    server.set("TAPELOG_SECRETS__KEY", &new);
    server.set("TAPELOG_SECRETS__PREVIOUS_KEYS", format!("[{old:?}]"));
    server.start_again().await;
    assert_eq!(server.api().read(&hook.below("secret")).await, secret);
    server.stop().await;
    server.set("TAPELOG_SECRETS__PREVIOUS_KEYS", "[]");
    server.start_again().await;
    assert_eq!(server.api().read(&hook.below("secret")).await, secret);
    hook.create(server.api()).await;
    assert_eq!(hook.receiver.takes(1, PATIENCE).await[0].header("x-key"), "a key");
    server.verify().await;

    // With a key that opens nothing, the server says so and serves.
    server.stop().await;
    server.set("TAPELOG_SECRETS__KEY", "cc".repeat(32));
    server.start_again().await;
    hook.label(server.api(), "b").await;
    eventually("the state says why nothing is delivered", PATIENCE, async || {
        let state = server.api().read(&hook.below("delivery")).await;
        state.to_string().contains("key").then_some(())
    })
    .await;
    let refused = server.api().post(&hook.below("ping"), &json!({})).await.expect(409);
    assert!(refused.message().contains("key"), "{refused}");
    server.api().get(&hook.below("secret")).await.expect(409);
    assert_eq!(hook.receiver.count(), 1);
}

#[tokio::test]
async fn a_stop_waits_for_no_receiver() {
    let mut server = Server::start_with(receiver::options().and("TAPELOG_WEBHOOKS__REQUEST_SECONDS", 60)).await;
    let hook = Hook::new(server.api()).await;
    hook.receiver.respond_with(Reply::Hang);
    hook.create(server.api()).await;
    eventually("the receiver hangs", PATIENCE, async || (hook.receiver.count() > 0).then_some(())).await;
    let begun = std::time::Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    hook.receiver.respond_with(Reply::Status(200));
    server.start_again().await;
    assert_eq!(hook.labels(1).await, ["a camera"]);
    let deliveries = format!("{}?event_type={}", hook.below("deliveries"), encoded("flows/created"));
    eventually("attempts survive a stop", PATIENCE, async || {
        (!all(server.api(), &deliveries).await.is_empty()).then_some(())
    })
    .await;
}
