//! Line 57: every item once, in order, whatever is inserted meanwhile.

use serde_json::json;
use tapelog_tests::server::Server;
use tapelog_tests::store::{
    all, create_flow, fill, new_id, pluck, post_segments, put_flow, second, segment, video_flow, with,
};

/// Pages through a thousand segments by seven, with a segment inserted behind the cursor after each page.
#[tokio::test]
async fn a_thousand_segments_come_once_each_in_both_directions() {
    let server = Server::start().await;
    let api = server.api();
    let flow = create_flow(api).await;
    fill(api, &flow, 1000..2000).await;
    let mut before = 0;
    for reverse in [false, true] {
        let mut inserted = 0;
        let mut seen = Vec::new();
        let mut next = Some(format!("/flows/{flow}/segments?limit=7&reverse_order={reverse}&accept_get_urls="));
        while let Some(url) = next {
            let page = api.get(&url).await.expect(200);
            let ranges = pluck(&page.list(), "timerange");
            assert!(!ranges.is_empty() && ranges.len() <= 7, "{page}");
            next = page.next();
            assert!(next.is_none() || ranges.len() == 7, "a short page is the last: {page}");
            seen.extend(ranges);
            // Behind the cursor, in reading direction.
            let behind = if reverse { 2000 + inserted } else { 999 - inserted };
            post_segments(api, &flow, &segment(&new_id(), &second(behind))).await.expect(201);
            inserted += 1;
        }
        // What was inserted while reading forwards is ahead of a reader who reads backwards.
        let mut expected: Vec<_> = (1000 - before..2000).map(second).collect();
        if reverse {
            expected.reverse();
        }
        before = inserted;
        assert!(seen == expected, "reverse_order={reverse}: {} are seen, {} expected", seen.len(), expected.len());
    }
}

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
