//! Media in and out through presigned URLs, against the local S3 endpoint as clients and browsers see it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::presigning::PresigningConfig;
use bytes::Bytes;
use reqwest::{Client, Method, StatusCode};
use tapelog_store::media::{
    Addressing, Conditional, Expected, FetchError, FetchSettings, Fetcher, LocalCredentials, LocalS3, LocalS3Error,
    LocalS3Settings, MediaError, MediaMetrics, MediaStore, S3Settings, Secret, object_key,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

const VALIDITY: Duration = Duration::from_secs(3600);
const BUCKET: &str = "media";

/// A local endpoint in a folder of its own, its client, and a browser.
struct Fixture {
    folder: TempDir,
    local: LocalS3,
    store: MediaStore,
    http: Client,
}

impl Fixture {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (local, store) = serve(&folder).await.unwrap();
        store.ensure_bucket().await.unwrap();
        Self { folder, local, store, http: Client::builder().no_proxy().build().unwrap() }
    }

    fn get_url(&self, key: &str) -> String {
        let mut url = String::new();
        self.store.presign_get(key, &self.store.signing_time(SystemTime::now()), &mut url);
        url
    }

    fn put_url(&self, key: &str, content_type: &str) -> String {
        self.store.presign_put(key, content_type, &self.store.signing_time(SystemTime::now())).url
    }

    async fn upload(&self, key: &str, content_type: &str, body: impl Into<reqwest::Body>) -> StatusCode {
        let request = self.http.put(self.put_url(key, content_type)).header("content-type", content_type);
        request.body(body).send().await.unwrap().status()
    }
}

fn local_settings(folder: &TempDir) -> LocalS3Settings {
    LocalS3Settings {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        folder: folder.path().to_owned(),
        bucket: BUCKET.to_owned(),
        access_key: "user".to_owned(),
        secret: Secret::new("a secret"),
    }
}

async fn serve(folder: &TempDir) -> Result<(LocalS3, MediaStore), LocalS3Error> {
    // reqwest was built without a default for TLS, and wants one although nothing here uses it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let local = LocalS3::start(local_settings(folder)).await?;
    let store = MediaStore::new(s3_settings(&local.endpoint(), Addressing::Path)).unwrap();
    Ok((local, store))
}

fn s3_settings(endpoint: &str, addressing: Addressing) -> S3Settings {
    S3Settings {
        endpoint: endpoint.parse().unwrap(),
        public_endpoint: None,
        region: "us-east-1".to_owned(),
        bucket: BUCKET.to_owned(),
        access_key: "user".to_owned(),
        secret: Secret::new("a secret"),
        addressing,
        url_validity: VALIDITY,
        metrics: MediaMetrics::default(),
    }
}

#[tokio::test]
async fn our_presigned_urls_are_those_of_the_aws_sdk_to_the_letter() {
    for (endpoint, addressing) in [
        ("http://127.0.0.1:9000", Addressing::Path),
        ("https://s3.eu-west-1.example.com", Addressing::Path),
        ("https://s3.eu-west-1.example.com", Addressing::VirtualHost),
    ] {
        let store = MediaStore::new(s3_settings(endpoint, addressing)).unwrap();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .force_path_style(addressing == Addressing::Path)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("user", "a secret", None, None, "test"))
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let sdk = aws_sdk_s3::Client::from_conf(config);
        let at = store.signing_time(SystemTime::now());
        let presigning = PresigningConfig::builder().start_time(at.start()).expires_in(VALIDITY + VALIDITY / 4);
        let presigning = presigning.build().unwrap();

        for key in ["a", "7f/4f1b8a52-6d5c-4b57", "a folder/ä ö/日本語 +&=?#%~'()*!.ts", "../x//y", "emoji 🎬"] {
            let mut get = String::new();
            store.presign_get(key, &at, &mut get);
            let theirs = sdk.get_object().bucket(BUCKET).key(key).presigned(presigning.clone()).await.unwrap();
            assert_eq!(get, theirs.uri(), "GET {key}");

            let mut head = String::new();
            store.presign_head(key, &at, &mut head);
            let theirs = sdk.head_object().bucket(BUCKET).key(key).presigned(presigning.clone()).await.unwrap();
            assert_eq!(head, theirs.uri(), "HEAD {key}");

            let put = store.presign_put(key, "video/mp4; codecs=\"avc1\"", &at);
            let request = sdk.put_object().bucket(BUCKET).key(key).content_type(&put.content_type);
            let theirs = request.presigned(presigning.clone()).await.unwrap();
            assert_eq!(put.url, theirs.uri(), "PUT {key}");
        }
    }
}

#[tokio::test]
async fn a_url_stays_the_same_for_a_quarter_of_its_validity_and_is_valid_for_all_of_it() {
    let store = MediaStore::new(s3_settings("http://127.0.0.1:9000", Addressing::Path)).unwrap();
    let url = |seconds| {
        let mut url = String::new();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        store.presign_get("key", &store.signing_time(now), &mut url);
        url
    };
    let window = 1_800_000_000 / 900 * 900;
    assert_eq!(url(window), url(window + 899));
    assert_ne!(url(window), url(window + 900));
    // Signed at the start of the window and asked for at its end, an hour is left.
    assert!(url(window + 899).contains("X-Amz-Expires=4500"));
}

#[tokio::test]
async fn what_was_uploaded_with_a_presigned_url_is_read_with_one() {
    let fixture = Fixture::start().await;
    let key = object_key("4f1b8a52-6d5c-4b57-9c1e-0a2f6f3c9d11");
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(fixture.upload(&key, "video/mp2t", bytes.clone()).await, StatusCode::OK);

    let answer = fixture.http.get(fixture.get_url(&key)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "video/mp2t");
    assert_eq!(answer.headers()["accept-ranges"], "bytes");
    let etag = answer.headers()["etag"].clone();
    assert_eq!(answer.bytes().await.unwrap(), bytes);

    let mut url = String::new();
    fixture.store.presign_head(&key, &fixture.store.signing_time(SystemTime::now()), &mut url);
    let answer = fixture.http.head(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-length"], "1000000");
    assert_eq!(answer.headers()["content-type"], "video/mp2t");

    let answer = fixture.http.get(fixture.get_url(&key)).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    fixture.local.shutdown().await;
}

#[tokio::test]
async fn an_upload_of_unknown_length_is_taken_whole() {
    let fixture = Fixture::start().await;
    let parts = (0..64_u8).map(|n| Ok::<_, std::io::Error>(Bytes::from(vec![n; 10_000])));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(parts));
    assert_eq!(fixture.upload("chunked", "video/mp4", body).await, StatusCode::OK);
    assert_eq!(fixture.store.head("chunked").await.unwrap().length, 640_000);
}

#[tokio::test]
async fn ranges_are_answered_as_players_ask_for_them() {
    let fixture = Fixture::start().await;
    fixture.store.put("key", "text/plain", Bytes::from_static(b"0123456789")).await.unwrap();
    for (range, part, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let answer = fixture.http.get(fixture.get_url("key")).header("range", range).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(answer.headers()["content-range"], content_range);
        assert_eq!(answer.text().await.unwrap(), part);
    }
    let answer = fixture.http.get(fixture.get_url("key")).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn what_was_not_signed_is_refused() {
    let fixture = Fixture::start().await;
    let put =
        |url: String, content_type| fixture.http.put(url).header("content-type", content_type).body("bytes").send();
    let wrong_type = put(fixture.put_url("key", "video/mp2t"), "text/html").await.unwrap();
    assert_eq!(wrong_type.status(), StatusCode::FORBIDDEN);
    let other_key = fixture.put_url("key", "video/mp2t").replace("/key?", "/yek?");
    assert_eq!(put(other_key, "video/mp2t").await.unwrap().status(), StatusCode::FORBIDDEN);
    let read_only = fixture.get_url("key");
    assert_eq!(put(read_only, "video/mp2t").await.unwrap().status(), StatusCode::FORBIDDEN);
    let unsigned = format!("{}/{BUCKET}/key", fixture.local.endpoint());
    assert_eq!(put(unsigned, "video/mp2t").await.unwrap().status(), StatusCode::FORBIDDEN);

    let mut expired = String::new();
    let two_hours_ago = SystemTime::now() - 2 * VALIDITY;
    fixture.store.presign_get("key", &fixture.store.signing_time(two_hours_ago), &mut expired);
    assert_eq!(fixture.http.get(expired).send().await.unwrap().status(), StatusCode::FORBIDDEN);

    assert!(matches!(fixture.store.head("key").await, Err(MediaError::NotFound { .. })));
}

#[tokio::test]
async fn a_browser_may_read_every_answer_also_the_errors() {
    let fixture = Fixture::start().await;
    let preflight = fixture
        .http
        .request(Method::OPTIONS, format!("{}/{BUCKET}/any", fixture.local.endpoint()))
        .header("origin", "https://player.example")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type, range, authorization, x-amz-checksum-sha256")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert_eq!(preflight.headers()["access-control-allow-methods"], "GET, HEAD, PUT, DELETE");
    assert_eq!(
        preflight.headers()["access-control-allow-headers"],
        "content-type, range, authorization, x-amz-checksum-sha256"
    );

    let missing = fixture.get_url("missing");
    let forbidden = missing.replace("missing", "other");
    for (url, status) in [(missing, StatusCode::NOT_FOUND), (forbidden, StatusCode::FORBIDDEN)] {
        let answer = fixture.http.get(url).header("origin", "https://player.example").send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap().to_owned();
        for header in ["ETag", "Content-Range", "Accept-Ranges", "Content-Length", "Content-Type"] {
            assert!(exposed.contains(header), "{exposed}");
        }
    }
}

#[tokio::test]
async fn any_object_id_can_be_stored_and_nothing_leaves_the_folder() {
    let fixture = Fixture::start().await;
    let long = "x".repeat(2000);
    let ids = ["a/b", "../../etc/passwd", "..", ".", "", "日本語 🎬", "A", "a", "with space?&#%", "~x", "nul\0", &long];
    for id in ids {
        assert_eq!(fixture.upload(&object_key(id), "video/mp2t", id.to_owned()).await, StatusCode::OK, "{id}");
    }
    for id in ids {
        let answer = fixture.http.get(fixture.get_url(&object_key(id))).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), id);
    }
    // Keys that are no object's, and which the client sends as they are.
    for key in ["../outside", "a/../../outside", "/outside", ".hidden", "a//b"] {
        let answer = fixture.store.put(key, "text/plain", Bytes::from_static(b"x")).await;
        assert!(
            matches!(&answer, Err(MediaError::Refused { detail, .. }) if detail.contains("InvalidArgument")),
            "{key}: {answer:?}"
        );
    }
    let mut names: Vec<_> = fixture.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["incoming", "lock", "objects"]);
}

#[tokio::test]
async fn an_upload_that_is_cut_off_is_never_seen() {
    let fixture = Fixture::start().await;
    let url: url::Url = fixture.put_url("key", "text/plain").parse().unwrap();
    let address = url.socket_addrs(|| None).unwrap()[0];
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let target = &url[url::Position::BeforePath..];
    let head =
        format!("PUT {target} HTTP/1.1\r\nhost: {address}\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&[b'x'; 500]).await.unwrap();
    drop(connection);
    fixture.local.shutdown().await;

    let (_local, store) = serve(&fixture.folder).await.unwrap();
    assert!(matches!(store.head("key").await, Err(MediaError::NotFound { .. })));
    assert_eq!(fixture.folder.path().join("incoming").read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn the_client_stores_reads_and_deletes_and_objects_outlive_a_restart() {
    let fixture = Fixture::start().await;
    let bytes = Bytes::from(vec![7; 300_000]);
    fixture.store.put("folder/key", "application/octet-stream", bytes.clone()).await.unwrap();
    fixture.local.shutdown().await;

    let (_local, store) = serve(&fixture.folder).await.unwrap();
    assert_eq!(store.get("folder/key").await.unwrap(), bytes);
    let head = store.head("folder/key").await.unwrap();
    assert_eq!(head.content_type.as_deref(), Some("application/octet-stream"));
    store.delete("folder/key").await.unwrap();
    store.delete("folder/key").await.unwrap();
    assert!(matches!(store.get("folder/key").await, Err(MediaError::NotFound { .. })));
}

#[tokio::test]
async fn of_two_writers_that_expect_the_same_object_one_replaces_it() {
    let Fixture { store, folder: _folder, local: _local, .. } = Fixture::start().await;
    let put = async |text: &'static str, expected: &Expected| {
        store.put_if("a/key", "text/plain", Bytes::from_static(text.as_bytes()), expected).await.unwrap()
    };
    assert_eq!(put("nobody's", &Expected::Tag("\"other\"".to_owned())).await, Conditional::Changed);
    let Conditional::Stored(told) = put("first", &Expected::Nothing).await else { panic!("nothing stood there") };
    assert_eq!(put("late", &Expected::Nothing).await, Conditional::Changed);
    let (bytes, tag) = store.get_tagged("a/key").await.unwrap();
    assert_eq!((&bytes[..], &told), (&b"first"[..], &tag));
    let expected = Expected::Tag(tag.unwrap());
    let (one, other) = tokio::join!(put("one", &expected), put("other", &expected));
    let winner = match (&one, &other) {
        (Conditional::Stored(_), Conditional::Changed) => "one",
        (Conditional::Changed, Conditional::Stored(_)) => "other",
        both => panic!("{both:?}"),
    };
    assert_eq!(store.get("a/key").await.unwrap(), winner);
}

#[tokio::test]
async fn an_object_is_copied_from_one_backend_to_another() {
    let (from, to) = (Fixture::start().await, Fixture::start().await);
    let bytes = Bytes::from((0..3_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    from.store.put("key", "video/mp2t", bytes.clone()).await.unwrap();
    to.store.copy_from(&from.store, "key").await.unwrap();
    assert_eq!(to.store.get("key").await.unwrap(), bytes);
    assert_eq!(to.store.head("key").await.unwrap().content_type.as_deref(), Some("video/mp2t"));
    let missing = to.store.copy_from(&from.store, "missing").await;
    assert!(matches!(missing, Err(MediaError::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn what_a_client_names_is_fetched_from_public_addresses_only_unless_a_setting_says_otherwise() {
    let (from, to) = (Fixture::start().await, Fixture::start().await);
    from.store.put("key", "video/mp2t", Bytes::from_static(b"0123456789")).await.unwrap();
    let fetcher = |allow_private, most_bytes| Fetcher::new(FetchSettings { allow_private, most_bytes });
    let url = from.get_url("key");
    let careful = fetcher(false, 10);
    for private in [url.clone(), url.replace("127.0.0.1", "localhost"), "http://[::ffff:10.0.0.1]/".to_owned()] {
        let refused = to.store.fetch_from_url(&careful, &private, "copy").await.unwrap_err();
        assert!(matches!(refused, FetchError::Private) && !refused.may_pass(), "{private}: {refused:?}");
    }
    for wrong in ["ftp://a.example/b", "http://user:password@a.example/", "a/b", "data:,x"] {
        let refused = to.store.fetch_from_url(&careful, wrong, "copy").await;
        assert!(matches!(refused, Err(FetchError::Url)), "{wrong}: {refused:?}");
    }
    let long = to.store.fetch_from_url(&fetcher(true, 9), &url, "copy").await;
    assert!(matches!(long, Err(FetchError::TooLong { length: 10, most: 9 })), "{long:?}");
    let missing = to.store.fetch_from_url(&fetcher(true, 10), &from.get_url("missing"), "copy").await;
    assert!(matches!(missing, Err(FetchError::Status(404))), "{missing:?}");
    assert!(matches!(to.store.head("copy").await, Err(MediaError::NotFound { .. })));

    to.store.fetch_from_url(&fetcher(true, 10), &url, "copy").await.unwrap();
    assert_eq!(to.store.get("copy").await.unwrap(), Bytes::from_static(b"0123456789"));
    assert_eq!(to.store.head("copy").await.unwrap().content_type.as_deref(), Some("video/mp2t"));
}

#[tokio::test]
async fn one_endpoint_at_a_time_serves_a_folder() {
    let fixture = Fixture::start().await;
    assert!(matches!(serve(&fixture.folder).await, Err(LocalS3Error::InUse { .. })));
}

#[test]
fn credentials_are_made_once_and_only_their_owner_can_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.json");
    let made = LocalCredentials::load_or_create(&path).unwrap();
    let read = LocalCredentials::load_or_create(&path).unwrap();
    assert_eq!(made.access_key, read.access_key);
    assert!(made.secret == read.secret);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
