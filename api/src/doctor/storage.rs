//! Object storage: that the server can use the bucket, and that browsers can use the URLs.

use std::time::SystemTime;

use bytes::Bytes;
use http::Method;
use tapelog_media::client::http_client;
use tapelog_store::media::{MediaError, MediaMetrics, MediaStore};
use tokio::time::timeout;
use uuid::Uuid;

use super::network::{clock, is_near, skew};
use super::{Finding, PATIENCE, causes};
use crate::settings::Settings;
use crate::storage;

const CHECK: &str = "object storage";
/// What is written to try it out.
const CONTENT: &[u8] = b"tapelog doctor was here";
const CONTENT_TYPE: &str = "text/plain";
/// A page that might show media.
const ORIGIN: &str = "https://player.example.org";

pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for backend in settings.storage_backends() {
        let label = &backend.label;
        findings.extend(match storage::remote(backend, MediaMetrics::default()) {
            Ok(Some(store)) => examine_store(label, &store).await,
            Ok(None) => vec![Finding::ok(CHECK, format!("{label}: tapelog's own, in a folder of this machine"))],
            Err(error) => {
                let advice = "correct the settings of media or storage, or set the credentials in the environment";
                vec![Finding::fail(CHECK, format!("{error:#}"), advice)]
            }
        });
    }
    findings
}

async fn examine_store(name: &str, store: &MediaStore) -> Vec<Finding> {
    match timeout(PATIENCE, store.check()).await {
        Ok(Ok(())) => {}
        Ok(Err(MediaError::NotFound { name: bucket })) => {
            let found = format!("{name}: bucket {bucket} does not exist yet; the first start makes it");
            return vec![Finding::warn(CHECK, found, "make it yourself, if tapelog may not make buckets")];
        }
        Ok(Err(error)) => {
            let advice = match error {
                MediaError::Refused { .. } => "see that the credentials are right and may use the bucket",
                MediaError::Unavailable { .. } | MediaError::NotFound { .. } => {
                    "see that media.endpoint is right, and that this machine may connect to it"
                }
            };
            return vec![Finding::fail(CHECK, format!("{name}: {}", causes(&error)), advice)];
        }
        Err(_) => {
            let advice = "see that media.endpoint is right, and that nothing between here and there drops packets";
            return vec![Finding::fail(CHECK, format!("{name} does not answer"), advice)];
        }
    }
    let key = format!("tapelog-doctor/{}", Uuid::new_v4());
    let mut findings = vec![match use_bucket(store, &key).await {
        Ok(()) => Finding::ok(CHECK, format!("{name}: objects can be written, read and deleted")),
        Err(error) => Finding::fail(
            CHECK,
            format!("{name}: {}", causes(&error)),
            "give the credentials the rights s3:PutObject, s3:GetObject and s3:DeleteObject on the bucket",
        ),
    }];
    findings.push(examine_urls(name, store, &key).await);
    findings
}

async fn use_bucket(store: &MediaStore, key: &str) -> Result<(), MediaError> {
    store.put(key, CONTENT_TYPE, Bytes::from_static(CONTENT)).await?;
    let read = store.get(key).await;
    store.delete(key).await?;
    read.map(drop)
}

/// Asks as a browser does before it uploads: whether it may, from a page of another origin.
async fn examine_urls(name: &str, store: &MediaStore, key: &str) -> Finding {
    const CHECK: &str = "CORS";
    let url = store.presign_put(key, CONTENT_TYPE, &store.signing_time(SystemTime::now())).url;
    let preflight = http_client()
        .request(Method::OPTIONS, url)
        .header("origin", ORIGIN)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type");
    let advice = "set media.public_endpoint to an address of the object storage that clients can reach";
    let answer = match timeout(PATIENCE, preflight.send()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            // The URL is signed, and not for a log.
            return Finding::fail(CHECK, format!("{name}: {}", causes(&error.without_url())), advice);
        }
        Err(_) => return Finding::fail(CHECK, format!("{name} does not answer where clients are sent"), advice),
    };
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(skew) = skew(header("date")).filter(|skew| !is_near(*skew)) {
        return clock("clock", name, skew);
    }
    let allowed = header("access-control-allow-origin").is_some_and(|origin| origin == "*" || origin == ORIGIN);
    if answer.status().is_success() && allowed {
        return Finding::ok(CHECK, format!("{name}: browsers may upload and play"));
    }
    Finding::warn(
        CHECK,
        format!("{name}: browsers may not upload ({})", answer.status()),
        "add a CORS rule to the bucket: origins *, methods GET, HEAD and PUT, headers *, exposed headers ETag, \
         Content-Range and Content-Length",
    )
}
