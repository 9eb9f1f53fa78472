//! Pages: nothing lost at their edges, nothing empty in between.

use serde_json::json;
use tapelog_tests::server::Server;
use tapelog_tests::store::{all, create_flow, new_id, pluck, post_segments, put_flow, segment, video_flow, with};

/// 3.8: a segment that ends where an instant lies is another one.
#[tokio::test]
async fn pages_do_not_lose_an_instant_at_their_edge() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    let ranges = ["[0:0_1:0)", "[1:0]", "[1:1_2:0)", "[2:0_3:0)", "[3:0]", "[4:0_5:0]", "[5:1_6:0)"];
    for range in ranges.iter().rev() {
        post_segments(api, &flow, &segment(&new_id(), range)).await.expect(201);
    }
    for (reverse, limit) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let found = all(api, &format!("/flows/{flow}/segments?limit={limit}&reverse_order={reverse}")).await;
        let mut found = pluck(&found, "timerange");
        if reverse {
            found.reverse();
        }
        assert_eq!(found, ranges, "limit={limit} reverse_order={reverse}");
    }
}

/// 1.6: filters apply before pages are cut, and no page is empty.
#[tokio::test]
async fn filtered_listings_have_full_pages() {
    let server = Server::start().await;
    let api = server.api();
    let mut kept = Vec::new();
    for number in 0..60 {
        let id = new_id();
        let label = if number % 6 == 0 { "kept" } else { "other" };
        put_flow(api, &with(video_flow(&id), "label", json!(label))).await.expect(201);
        if label == "kept" {
            kept.push(id);
        }
    }
    kept.reverse();
    assert_eq!(pluck(&all(api, "/flows?label=kept&limit=3").await, "id"), kept);
    let first = api.get("/flows?label=kept&limit=3").await;
    assert_eq!(first.list().len(), 3);
    let exact = api.get("/flows?label=kept&limit=10").await;
    assert_eq!(exact.next(), None, "no next page that would be empty");
    assert_eq!(all(api, "/sources?label=kept&limit=4&sort_by=label").await.len(), 10);
    assert_eq!(api.read("/flows").await.as_array().unwrap().len(), 60, "a hundred unless asked");
}
