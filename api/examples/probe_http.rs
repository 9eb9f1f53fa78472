//! temporary probe
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use tapelog_api::http::*;
use tapelog_commands::State;
use tapelog_events::*;
use tapelog_projections::{Live, Projector, Tables};
use tapelog_store::log::Head;
use tapelog_store::log::memory::MemoryLog;
use tapelog_store::media::{Addressing, MediaStore, S3Settings, Secret};
use tapelog_store::sequencer::{Sequencer, SequencerSettings};

fn main() {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run());
}
const FLOW: &str = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34";
async fn send(app: &App, method: &str, path: &str, body: Bytes) -> (u16, Bytes) {
    let r = Request::builder().method(method).uri(path).header("host", "h").body(Full::new(body)).unwrap();
    let (h, b) = answer(app, r).await.into_parts();
    (h.status.as_u16(), b.collect().await.unwrap().to_bytes())
}
async fn run() {
    let media = MediaStore::new(S3Settings { endpoint: "http://127.0.0.1:9".parse().unwrap(), public_endpoint: None, region: "us-east-1".into(), bucket: "media".into(), access_key: "key".into(), secret: Secret::new("s"), addressing: Addressing::Path, url_validity: Duration::from_secs(600) }).unwrap();
    let log = Arc::new(MemoryLog::reliable());
    let tables = Arc::new(Live::new(Tables::new()));
    let (sink, deliveries) = tokio::sync::mpsc::channel(64);
    let clock = || Instant::from_micros(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as i64);
    let (sequencer, _t) = Sequencer::start(Arc::clone(&log), State::default(), Head::START, clock, SequencerSettings::default(), sink);
    let (projector, _p) = Projector::start(Arc::clone(&tables), deliveries);
    let app = Arc::new(App::new(AppParts {
        sequencer, tables, projector: projector.status(), incarnation: log.incarnation(), log,
        backends: Backends::new(vec![StorageBackend { description: BackendDescription { id: "60af2ab4-e8a5-4c65-a09b-d35983680315".parse().unwrap(), label: Some("disk".into()), default_storage: true, place: BackendPlace { store_type: StoreType::HttpObjectStore, provider: "x".into(), region: None, availability_zone: None, store_product: "S3".into(), tags: Tags::new() } }, media: Arc::new(media) }]),
        service: ServiceFacts { version: "x".into(), min_object_timeout: Timestamp::from_parts(600, 0).unwrap(), min_presigned_url_timeout: Timestamp::from_parts(600, 0).unwrap() },
        limits: Limits::default(), public_url: None, base_path: String::new(),
    }));
    let f = r#"{"id":"4f79cfd1-c057-47f4-8e4d-1b126ca7bf34","source_id":"4f79cfd1-c057-47f4-8e4d-1b126ca7bf34","format":"urn:x-nmos:format:video","codec":"video/h264","container":"video/mp2t","essence_parameters":{"frame_width":16,"frame_height":9,"frame_rate":{"numerator":25}}}"#;
    println!("{:?}", send(&app, "PUT", &format!("/flows/{FLOW}"), f.into()).await.0);
    let n = 50_000u64;
    for chunk in 0..n / 10_000 {
        let (_, b) = send(&app, "POST", &format!("/flows/{FLOW}/storage"), r#"{"limit":10000}"#.into()).await;
        let v: serde_json::Value = serde_json::from_slice(&b).unwrap();
        let segs: Vec<_> = v["media_objects"].as_array().unwrap().iter().enumerate().map(|(i, o)| { let s = chunk * 10_000 + i as u64; serde_json::json!({"object_id": o["object_id"], "timerange": format!("[{s}:0_{}:0)", s + 1), "ts_offset": format!("{s}:0")}) }).collect();
        println!("{:?}", send(&app, "POST", &format!("/flows/{FLOW}/segments"), serde_json::to_vec(&segs).unwrap().into()).await);
    }
    for q in [""] {
        for _ in 0..2 {
            let t = Clock::now(); let k = 100_000u64; let mut len = 0;
            for i in 0..k { let s = (i * 7919) % (n - 100); let (st, b) = send(&app, "GET", &format!("/flows/{FLOW}/segments?limit=30&timerange=[{s}:0_{}:0){q}", s + 30), Bytes::new()).await; assert_eq!(st, if q == "&limit=1" { 400 } else { 200 }); len = b.len(); }
            println!("{q:20} {:?} per request, {len} bytes", t.elapsed() / k as u32);
        }
    }
    let t = Clock::now(); let k = 10u32;
    for _ in 0..k { send(&app, "GET", "/healthz", Bytes::new()).await; }
    println!("healthz {:?}", t.elapsed() / k);
    let body = r#"{"object_id":"4f79cfd1-c057-47f4-8e4d-1b126ca7bf34","timerange":"[0:0_1:0)","ts_offset":"0:0"}"#;
    let t = Clock::now();
    let mut tasks = vec![];
    for _ in 0..64 { let app = Arc::clone(&app); tasks.push(tokio::spawn(async move { for _ in 0..2 { let (s, _) = send(&app, "POST", &format!("/flows/{FLOW}/segments"), body.into()).await; assert_eq!(s, 400); } })); }
    for t in tasks { t.await.unwrap(); }
    println!("64 x post rejected {:?}", t.elapsed() / 128_000);
}
