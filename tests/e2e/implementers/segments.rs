//! Lines 46 to 60: segments and their objects, the choice of URLs, and pages.

use reqwest::Method;
use serde_json::{Value, json};
use tapelog_tests::api::{Answer, Api};
use tapelog_tests::store::{
    allocate, create_flow, encoded, fill, init_flow, new_id, object_path, pluck, post_segments, put_flow, second,
    segment, segment_at, upload, with,
};

use super::store;

async fn ranges(api: &Api, flow: &str, query: &str) -> Vec<String> {
    pluck(&api.get(&format!("/flows/{flow}/segments?{query}")).await.expect(200).list(), "timerange")
}

/// An allocated object belongs to its Flow until it is registered there; then to all.
#[tokio::test]
async fn line_46_an_object_is_first_registered_where_it_was_allocated() {
    let api = &store().await;
    let (flow, other) = (create_flow(api).await, create_flow(api).await);
    let segment = json!({ "object_id": allocate(api, &flow, 1).await[0]["object_id"], "timerange": second(0) });
    post_segments(api, &other, &segment).await.expect(400);
    post_segments(api, &flow, &segment).await.expect(201);
    post_segments(api, &other, &segment).await.expect(201);
}

/// An object that the store has not allocated comes with its URLs, which are not the store's.
#[tokio::test]
async fn line_47_an_unknown_object_comes_with_its_urls() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let object = new_id();
    let unknown = post_segments(api, &flow, &json!({ "object_id": object, "timerange": second(0) })).await.expect(400);
    assert!(unknown.message().contains("object_id"), "{unknown}");
    post_segments(api, &flow, &segment(&object, &second(0))).await.expect(201);
    for (query, controlled) in [("", Value::Null), ("?verbose_storage=true", json!(false))] {
        let listed = api.read(&format!("/flows/{flow}/segments{query}")).await;
        let url = &listed[0]["get_urls"][0];
        assert_eq!((&url["label"], &url["controlled"]), (&json!("elsewhere"), &controlled), "{query}");
    }
}

/// A URL is chosen by its label: each has one, of its own, and none has the label of a backend.
#[tokio::test]
async fn line_48_urls_have_labels_of_their_own() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let backend = api.read("/service/storage-backends").await[0]["label"].clone();
    for urls in [
        json!([{ "url": "https://a.example/1" }]),
        json!([{ "url": "https://a.example/1", "label": backend }]),
        json!([{ "url": "https://a.example/1", "label": "x" }, { "url": "https://a.example/2", "label": "x" }]),
    ] {
        let refused = post_segments(api, &flow, &with(segment_at(0), "get_urls", urls)).await.expect(400);
        assert!(refused.message().contains("label"), "{refused}");
    }
}

/// What is known of an object may be left out, and not be contradicted.
#[tokio::test]
async fn line_49_a_segment_does_not_contradict_its_object() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let object = new_id();
    let first = with(segment(&object, &second(0)), "key_frame_count", json!(2));
    post_segments(api, &flow, &first).await.expect(201);
    let again = json!({ "object_id": object, "timerange": second(10), "ts_offset": "10:0" });
    for (member, differs) in [("object_timerange", json!("[0:0_2:0)")), ("key_frame_count", json!(3))] {
        let refused = post_segments(api, &flow, &with(again.clone(), member, differs)).await.expect(400);
        assert!(refused.message().contains(member), "{refused}");
    }
    post_segments(api, &flow, &again).await.expect(201);
    let repeated = json!({
        "object_id": object, "timerange": second(20), "ts_offset": "20:0", "object_timerange": second(0),
        "key_frame_count": 2,
    });
    post_segments(api, &flow, &repeated).await.expect(201);
}

/// A segment shows no more of its object than there is.
#[tokio::test]
async fn line_50_a_segment_lies_within_its_object() {
    let api = &store().await;
    let (flow, other) = (create_flow(api).await, create_flow(api).await);
    let object = new_id();
    let posted = json!({
        "object_id": object, "timerange": "[165:0_166:0)", "ts_offset": "145:0", "object_timerange": "[20:0_21:0)",
        "get_urls": [{ "url": "https://a.example/1", "label": "a" }],
    });
    post_segments(api, &flow, &posted).await.expect(201);
    let beyond = json!({ "object_id": object, "timerange": "[165:500000000_166:500000000)", "ts_offset": "145:0" });
    let refused = post_segments(api, &other, &beyond).await.expect(400);
    assert!(refused.message().contains("timerange"), "{refused}");
    post_segments(api, &other, &with(beyond, "timerange", json!("[165:500000000_166:0)"))).await.expect(201);
}

/// The first segment of an object says where the object lies on its own timeline.
#[tokio::test]
async fn line_51_an_object_has_the_range_of_its_first_segment() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let object = new_id();
    let shifted = with(segment(&object, "[10:0_20:0)"), "ts_offset", json!("4:0"));
    post_segments(api, &flow, &shifted).await.expect(201);
    assert_eq!(api.read(&object_path(&object, "")).await["timerange"], "[6:0_16:0)");
}

/// All that a segment was posted with is read again; the range of its object by those who ask for it.
#[tokio::test]
async fn line_52_a_segment_reads_as_it_was_posted() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let posted = json!({
        "object_id": new_id(), "timerange": "[100:0_101:0)", "ts_offset": "-5:500000000", "last_duration": "0:40000000",
        "object_timerange": "[100:0_200:0)", "sample_offset": 3, "sample_count": 25, "key_frame_count": 1,
        "get_urls": [{ "url": "https://a.example/1", "label": "a" }],
    });
    post_segments(api, &flow, &posted).await.expect(201);
    let path = format!("/flows/{flow}/segments");
    let mut stored = api.read(&format!("{path}?include_object_timerange=true")).await[0].clone();
    assert_eq!(stored["get_urls"], json!([{ "url": "https://a.example/1", "label": "a", "presigned": false }]));
    stored["get_urls"] = posted["get_urls"].clone();
    assert_eq!(stored, posted);
    assert_eq!(api.read(&path).await[0].get("object_timerange"), None);
}

/// A segment with an init object, each with a copy of the store's own and one elsewhere.
struct Chosen {
    api: super::Visit,
    paths: [String; 2],
    backend: Value,
}

impl Chosen {
    async fn new() -> Self {
        let api = store().await;
        let flow = new_id();
        put_flow(&api, &init_flow(&flow)).await.expect(201);
        let [media, init] =
            [allocate(&api, &flow, 1).await, allocate(&api, &flow, 1).await].map(|objects| objects[0].clone());
        for object in [&media, &init] {
            upload(&api, object, "bytes").await.expect(200);
        }
        let [media, init] = [&media, &init].map(|object| object["object_id"].as_str().unwrap());
        let segment = json!({ "object_id": media, "timerange": second(0), "init_object_id": init });
        post_segments(&api, &flow, &segment).await.expect(201);
        for object in [media, init] {
            let mine = json!({ "url": "https://a.example/1", "label": "mine" });
            api.post(&object_path(object, "/instances"), &mine).await.expect(201);
        }
        let backends = api.read("/service/storage-backends").await;
        let backend = backends.as_array().unwrap().iter().find(|backend| backend["default_storage"] == true);
        let paths = [format!("/flows/{flow}/segments"), object_path(media, "")];
        Self { paths, backend: backend.expect("one is the default").clone(), api }
    }

    /// The URLs that a query leaves, of the object and of its init object, in the listing and by the object itself.
    async fn urls(&self, query: &str) -> Vec<Vec<Value>> {
        let mut all = Vec::new();
        for path in &self.paths {
            let body = self.api.read(&format!("{path}?{query}")).await;
            let holder = if body.is_array() { &body[0] } else { &body };
            assert!(holder["init_object"].is_object(), "{holder}");
            for urls in [&holder["get_urls"], &holder["init_object"]["get_urls"]] {
                all.push(urls.as_array().cloned().unwrap_or_default());
            }
        }
        all
    }

    /// Holds the labels of the URLs that a query leaves against those that are expected, everywhere.
    async fn assert_labels(&self, query: &str, expected: &[&str]) {
        for urls in self.urls(query).await {
            assert_eq!(pluck(&urls, "label"), expected, "{query}: {urls:?}");
        }
    }

    fn label(&self) -> &str {
        self.backend["label"].as_str().unwrap()
    }
}

/// URLs are chosen by label; who wants none names none. The store's own comes first.
#[tokio::test]
async fn line_53_urls_are_chosen_by_label() {
    let chosen = Chosen::new().await;
    chosen.assert_labels("", &[chosen.label(), "mine"]).await;
    chosen.assert_labels("accept_get_urls=", &[]).await;
    chosen.assert_labels("accept_get_urls=nosuch", &[]).await;
    chosen.assert_labels("accept_get_urls=mine,nosuch", &["mine"]).await;
}

/// URLs are chosen by backend; here, naming none means any.
#[tokio::test]
async fn line_54_urls_are_chosen_by_storage_backend() {
    let chosen = Chosen::new().await;
    let id = chosen.backend["id"].as_str().unwrap();
    chosen.assert_labels("accept_storage_ids=", &[chosen.label(), "mine"]).await;
    chosen.assert_labels(&format!("accept_storage_ids={id}"), &[chosen.label()]).await;
    chosen.assert_labels(&format!("accept_storage_ids={},{id}", new_id()), &[chosen.label()]).await;
    chosen.assert_labels(&format!("accept_storage_ids={}", new_id()), &[]).await;
    for path in &chosen.paths {
        let refused = chosen.api.get(&format!("{path}?accept_storage_ids=bad")).await.expect(400);
        assert!(refused.message().contains("accept_storage_ids"), "{refused}");
    }
}

/// A signed URL says that it is, and is all that a player needs.
#[tokio::test]
async fn line_55_urls_are_chosen_by_being_signed() {
    let chosen = Chosen::new().await;
    chosen.assert_labels("presigned=true", &[chosen.label()]).await;
    chosen.assert_labels("presigned=false", &["mine"]).await;
    chosen.assert_labels(&format!("presigned=false&accept_get_urls={}", chosen.label()), &[]).await;
    for urls in chosen.urls("presigned=true").await {
        assert_eq!(urls[0]["presigned"], json!(true));
        let fetched = chosen.api.request(Method::GET, urls[0]["url"].as_str().unwrap());
        assert_eq!(Answer::to(fetched).await.expect(200).body, "bytes");
    }
    for urls in chosen.urls("presigned=false").await {
        assert_ne!(urls[0]["presigned"], json!(true));
    }
    for path in &chosen.paths {
        chosen.api.get(&format!("{path}?presigned=maybe")).await.expect(400);
    }
}

/// Where bytes lie is told to those who ask for it.
#[tokio::test]
async fn line_56_urls_tell_of_their_storage_on_demand() {
    let chosen = Chosen::new().await;
    for urls in chosen.urls("").await {
        let mut members: Vec<_> = urls.iter().flat_map(|url| url.as_object().unwrap().keys().cloned()).collect();
        members.sort();
        members.dedup();
        assert_eq!(members, ["label", "presigned", "url"]);
    }
    for urls in chosen.urls("verbose_storage=true").await {
        assert_eq!(urls[0]["storage_id"], chosen.backend["id"]);
        for member in ["store_type", "provider", "store_product"] {
            assert_eq!(urls[0][member], chosen.backend[member], "{member}");
        }
        assert_eq!((&urls[0]["controlled"], &urls[1]["controlled"]), (&json!(true), &json!(false)));
    }
}

/// A thousand segments by seven, with one inserted behind the cursor after each page: each comes once, in order.
#[tokio::test]
async fn line_57_pages_give_each_segment_once() {
    let api = &store().await;
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

/// A page says how many it has and what time they cover, in either direction.
#[tokio::test]
async fn line_58_a_page_says_what_it_covers() {
    let api = &store().await;
    let flow = create_flow(api).await;
    fill(api, &flow, 0..5).await;
    for (query, count, covered, reverse) in [
        ("limit=2", "2", "[0:0_2:0)", "false"),
        ("limit=2&reverse_order=true", "2", "[3:0_5:0)", "true"),
        ("timerange=[1:500000000_3:500000000)", "3", "[1:0_4:0)", "false"),
        ("timerange=[9:0_", "0", "()", "false"),
    ] {
        let page = api.get(&format!("/flows/{flow}/segments?{query}")).await.expect(200);
        assert_eq!(page.list().len().to_string(), count, "{query}");
        assert_eq!(page.header("x-paging-count"), Some(count), "{query}");
        assert_eq!(page.header("x-paging-timerange"), Some(covered), "{query}");
        assert_eq!(page.header("x-paging-reverse-order"), Some(reverse), "{query}");
    }
}

/// The next page is asked for by a whole URL, as it stands, with all that the first one was asked by.
#[tokio::test]
async fn line_59_a_link_is_followed_as_it_stands() {
    let api = &store().await;
    let flow = create_flow(api).await;
    fill(api, &flow, 0..5).await;
    let asked = format!("/flows/{flow}/segments?limit=2&timerange=[0:0_9:0)&accept_get_urls=a;b,elsewhere");
    let page = api.get(&asked).await.expect(200);
    // It holds neither comma nor semicolon: `next` looks.
    let next = page.next().unwrap();
    assert!(next.starts_with(&format!("{}/flows/{flow}/segments?", api.base())), "{next}");
    for parameter in ["limit=2", "timerange=", "accept_get_urls=a%3Bb%2Celsewhere", "page="] {
        assert!(next.contains(parameter), "{next} has lost {parameter}");
    }
    let by_link = api.get(&next).await.expect(200);
    assert_eq!(pluck(&by_link.list(), "timerange"), [second(2), second(3)]);
    assert_eq!(by_link.list()[0]["get_urls"][0]["label"], "elsewhere");
    let key = encoded(page.header("x-paging-nextkey").unwrap());
    assert_eq!(api.get(&format!("{asked}&page={key}")).await.expect(200).json(), by_link.json());
    assert_eq!(api.get(&by_link.next().unwrap()).await.expect(200).next(), None);
}

/// The segments of an object within a range.
#[tokio::test]
async fn line_60_object_and_time_are_asked_for_together() {
    let api = &store().await;
    let flow = create_flow(api).await;
    let object = new_id();
    fill(api, &flow, 0..3).await;
    post_segments(api, &flow, &segment(&object, &second(5))).await.expect(201);
    let again = json!({ "object_id": object, "timerange": second(6), "ts_offset": "1:0" });
    post_segments(api, &flow, &again).await.expect(201);
    let found = async |range: &str| ranges(api, &flow, &format!("object_id={object}&timerange={range}")).await;
    assert_eq!(found("_").await, [second(5), second(6)]);
    assert_eq!(found("[0:0_6:0)").await, [second(5)]);
    assert_eq!(found("[0:0_5:0)").await, Vec::<String>::new());
}
