//! A write that is repeated under its key after it broke off half-way.

use tapelog_events::Seq;
use tapelog_store::log::memory::Faults;
use tapelog_store::sequencer::Status;

use super::*;

const KEY: [(&str, &str); 1] = [("idempotency-key", "batch")];
const LONG: Duration = Duration::from_secs(3600);

fn numbered(number: usize) -> Value {
    let mut flow = flow();
    flow["id"] = json!(format!("4f79cfd1-c057-47f4-8e4d-{number:012}"));
    flow
}

impl App {
    /// Sends a request, has the log go away when this record is written, and come back after the answer.
    async fn broken_off(&self, log: &MemoryLog, after: Seq, method: &str, path: &str, body: &str) -> Told {
        let outage = async {
            self.parts.tables.wait_for(after, LONG).await.unwrap();
            log.go_out_for(LONG);
        };
        let (told, ()) = tokio::join!(self.send(method, path, &KEY, body.to_owned()), outage);
        log.set_faults(Faults::NONE);
        self.parts.sequencer.status().wait_for(|status| *status == Status::Writing).await.unwrap();
        told
    }

    fn counts(&self) -> usize {
        self.parts.tables.read(|tables| tables.counts().flows)
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_broke_off_half_way_is_completed_by_its_repetition_and_not_done_twice() {
    let log = Arc::new(MemoryLog::reliable());
    let app = app_on(Arc::clone(&log)).await;
    let flows: Vec<_> = (0..500).map(numbered).collect();
    let body = json!(flows).to_string();
    let broken_off = app.broken_off(&log, Seq(3), "POST", "/flows", &body).await;
    assert_ne!(broken_off.status, 201, "{}", broken_off.text);
    assert!((1..500).contains(&app.counts()), "{} flows were made", app.counts());

    let whole = json!({ "created": 500, "updated": 0, "failed": [] });
    let completed = app.send("POST", "/flows", &KEY, body.clone()).await;
    assert_eq!((completed.status, completed.json(), app.counts()), (201, whole.clone(), 500));
    let position = app.parts.tables.position();
    let again = app.send("POST", "/flows", &KEY, body).await;
    assert_eq!((again.status, again.json()), (201, whole));

    // However it is cut: none of it is done before it is seen that it is another.
    for other in [json!([numbered(900)]), json!([numbered(900), numbered(901)])] {
        let refused = app.send("POST", "/flows", &KEY, other.to_string()).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.json()["message"].as_str().unwrap().contains("Idempotency-Key"), "{}", refused.text);
    }
    assert_eq!(app.parts.tables.position(), position);
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_deletion_broke_off_half_way_is_deleted_by_its_repetition_and_told_gone_ever_after() {
    let log = Arc::new(MemoryLog::reliable());
    let app = app_on(Arc::clone(&log)).await;
    for number in 0..20 {
        let flow = numbered(number);
        let path = format!("/flows/{}", flow["id"].as_str().unwrap());
        assert_eq!(app.write("PUT", &path, flow).await.status, 201);
    }
    let path = format!("/sources/{SOURCE}?cascade=true");
    let third = Seq(app.parts.tables.position().0 + 3);
    let broken_off = app.broken_off(&log, third, "DELETE", &path, "").await;
    assert_ne!(broken_off.status, 204, "{}", broken_off.text);
    assert!((1..20).contains(&app.counts()), "{} flows are left", app.counts());
    assert_eq!(app.send("DELETE", &path, &KEY, "").await.status, 204);
    assert_eq!(app.counts(), 0);

    // What has come since is not part of what was asked for then.
    let flow = numbered(0);
    assert_eq!(app.write("PUT", &format!("/flows/{}", flow["id"].as_str().unwrap()), flow).await.status, 201);
    assert_eq!(app.send("DELETE", &path, &KEY, "").await.status, 204);
    assert_eq!(app.counts(), 1);
    assert_eq!(app.send("DELETE", &format!("{path}&soft_delete=true"), &KEY, "").await.status, 422);
}
