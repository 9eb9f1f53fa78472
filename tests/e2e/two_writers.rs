//! Two servers write to one log, each as if it were alone.

use std::collections::BTreeSet;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::eventually;
use tapelog_tests::nats::Nats;
use tapelog_tests::server::{Options, PATIENCE, Server, digest};
use tapelog_tests::store::{
    check_invariants, contents, create_flow, multi_flow, new_id, pluck, post_segments, put_flow, second, segment,
    segments, video_flow, with,
};

/// Two servers on one log. They are dropped before it.
struct Pair {
    servers: [Server; 2],
    _nats: Nats,
}

impl Pair {
    async fn start() -> Self {
        let nats = Nats::start().await;
        let options = Options::on(&nats.url());
        let servers = [Server::start_with(options.clone()).await, Server::start_with(options).await];
        Self { servers, _nats: nats }
    }

    fn api(&self, number: usize) -> &Api {
        self.servers[number % 2].api()
    }
}

/// A read on one node sees what another has written, once it says so.
async fn read_after(api: &Api, path: &str, position: &str) -> Answer {
    Answer::to(api.request(Method::GET, path).header("tams-min-position", position)).await
}

#[tokio::test]
async fn of_two_segments_at_one_time_exactly_one_is_taken() {
    let pair = Pair::start().await;
    let flow = create_flow(pair.api(0)).await;
    eventually("the other node knows the flow", PATIENCE, async || {
        (pair.api(1).get(&format!("/flows/{flow}")).await.status == 200).then_some(())
    })
    .await;
    for round in 0..40 {
        let posts = join_all((0..4).map(|number| {
            let object = format!("{round}/{number}");
            let api = pair.api(number);
            let flow = &flow;
            async move { (post_segments(api, flow, &segment(&object, &second(round))).await, object) }
        }));
        let answers = posts.await;
        let taken: Vec<_> = answers.iter().filter(|(answer, _)| answer.status == 201).collect();
        assert_eq!(taken.len(), 1, "round {round}: {answers:?}");
        assert!(answers.iter().all(|(answer, _)| matches!(answer.status, 201 | 400)), "{answers:?}");
        let (answer, object) = taken[0];
        for number in 0..2 {
            let path = format!("/flows/{flow}/segments?timerange={}", second(round));
            let read = read_after(pair.api(number), &path, &answer.position()).await.expect(200);
            assert_eq!(pluck(&read.list(), "object_id"), [object.as_str()], "L11");
        }
    }
    check_invariants(pair.api(0)).await;
}

/// A refusal is true: what was written elsewhere just before is not "unknown" here.
#[tokio::test]
async fn a_node_refuses_only_what_is_wrong_at_the_end_of_the_log() {
    let pair = Pair::start().await;
    for round in 0..40 {
        let flow = create_flow(pair.api(round)).await;
        post_segments(pair.api(round + 1), &flow, &segment(&new_id(), &second(0))).await.expect(201);
        pair.api(round).put(&format!("/flows/{flow}/label"), &json!("l")).await.expect(204);
        pair.api(round + 1).delete(&format!("/flows/{flow}")).await.expect(204);
        post_segments(pair.api(round), &flow, &segment(&new_id(), &second(1))).await.expect(404);
    }
}

/// Random commands of several clients that get in each other's way on both nodes.
#[tokio::test]
async fn colliding_writers_leave_a_consistent_store() {
    let pair = Pair::start().await;
    let flows: Vec<_> = (0..4).map(|_| new_id()).collect();
    let sources = [new_id(), new_id()];
    let clients = (0..6).map(|number| {
        let (api, flows, sources) = (pair.api(number), &flows, &sources);
        async move {
            let mut random = StdRng::seed_from_u64(number as u64);
            let mut created_and_deleted = Vec::new();
            for _ in 0..80 {
                let flow = &flows[random.random_range(0..flows.len())];
                let path = format!("/flows/{flow}");
                let answer = match random.random_range(0..10) {
                    0 | 1 => {
                        let source = &sources[random.random_range(0..2)];
                        put_flow(api, &with(video_flow(flow), "source_id", json!(source))).await
                    }
                    2 => api.delete(&path).await,
                    3 => {
                        let members: Vec<_> = flows.iter().filter(|_| random.random()).map(String::as_str).collect();
                        let items = multi_flow(flow, &members)["flow_collection"].clone();
                        api.put(&format!("{path}/flow_collection"), &items).await
                    }
                    4 => api.put(&format!("{path}/label"), &json!(new_id())).await,
                    5 => api.delete(&format!("{path}/segments?timerange=[0:0_{}:0)", random.random_range(1..30))).await,
                    6 => {
                        let list: Vec<Value> = (0..5).map(|at| segment(&new_id(), &second(at * 3))).collect();
                        post_segments(api, flow, &Value::Array(list)).await
                    }
                    _ => post_segments(api, flow, &segment(&new_id(), &second(random.random_range(0..30)))).await,
                };
                assert!(matches!(answer.status, 200 | 201 | 204 | 400 | 404), "{answer}");
                if answer.asked.ends_with(&path) && matches!(answer.status, 201 | 204) {
                    created_and_deleted.push((flow.clone(), answer.asked.starts_with("DELETE"), answer.status));
                }
            }
            created_and_deleted
        }
    });
    // A Flow is created and deleted in turns, whoever does it.
    for flow in &flows {
        let exists_before = pair.api(0).get(&format!("/flows/{flow}")).await.status == 200;
        assert!(!exists_before);
    }
    let events: Vec<_> = join_all(clients).await.into_iter().flatten().collect();
    let marker = pair.api(0).post("/service", &json!({ "name": "end" })).await.expect(200);
    for flow in &flows {
        let count = |deleted: bool, status: u16| {
            events
                .iter()
                .filter(|(id, was_deleted, code)| id == flow && *was_deleted == deleted && *code == status)
                .count()
        };
        let exists = read_after(pair.api(1), &format!("/flows/{flow}"), &marker.position()).await.status == 200;
        assert_eq!(count(false, 201), count(true, 204) + usize::from(exists), "creations and deletions of {flow}");
    }
    for number in 0..2 {
        read_after(pair.api(number), "/service", &marker.position()).await.expect(200);
        check_invariants(pair.api(number)).await;
    }
    let [first, other] = [contents(pair.api(0)).await, contents(pair.api(1)).await];
    assert_eq!(first, other, "both nodes tell the same");
    let told = [pair.api(0).read("/admin/projections").await, pair.api(1).read("/admin/projections").await];
    assert_eq!((&told[0]["position"], &told[0]["hash"]), (&told[1]["position"], &told[1]["hash"]));
    let [first, other] = [pair.servers[0].run("verify").await, pair.servers[1].run("verify").await];
    assert_eq!(digest(&first), digest(&other), "L5");
}

/// One node is killed under load: the other goes on, and the killed one comes back with everything.
#[tokio::test]
async fn a_node_goes_on_when_the_other_is_killed() {
    let mut pair = Pair::start().await;
    let flow = create_flow(pair.api(0)).await;
    let mut taken = BTreeSet::new();
    for round in 0..3 {
        let api = pair.api(1).clone();
        let flow_id = flow.clone();
        let writing = tokio::spawn(async move {
            let mut taken = Vec::new();
            for number in 0..60 {
                let at = round * 1000 + number;
                let object = format!("{round}/{number}");
                if post_segments(&api, &flow_id, &segment(&object, &second(at))).await.status == 201 {
                    taken.push(object);
                }
            }
            taken
        });
        for number in 500..520 {
            let object = format!("{round}/{number}");
            let posted = segment(&object, &second(round * 1000 + number));
            post_segments(pair.api(0), &flow, &posted).await.expect(201);
            taken.insert(object);
        }
        pair.servers[0].kill();
        let others = writing.await.unwrap();
        assert_eq!(others.len(), 60, "the other node goes on");
        taken.extend(others);
        pair.servers[0].start_again().await;
        let stored: BTreeSet<_> = pluck(&segments(pair.api(0), &flow).await, "object_id").into_iter().collect();
        assert_eq!(stored, taken);
    }
    pair.servers[0].verify().await;
}
