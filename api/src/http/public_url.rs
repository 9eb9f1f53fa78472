//! The URL by which a client reached the server, for links that it can follow (1.6).

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HOST};

/// The absolute URL of a path below the base path of the API, as its client would write it.
///
/// In this order: the deployment's setting; what a proxy says in `Forwarded` or `X-Forwarded-Proto`, `-Host` and
/// `-Prefix`; the header `Host`, and the scheme that this server itself speaks. What is no scheme, authority or path is
/// passed over, since headers may hold anything.
pub fn absolute(setting: Option<&str>, own_scheme: &str, headers: &HeaderMap, base_path: &str, path: &str) -> String {
    if let Some(setting) = setting {
        return format!("{}{path}", setting.trim_end_matches('/'));
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(first_of_list);
    let forwarded = headers.get(FORWARDED).and_then(|value| value.to_str().ok()).map(first_of_list);
    let forwarded = |key: &str| forwarded.and_then(|element| parameter(element, key));
    let scheme = forwarded("proto").or_else(|| header("x-forwarded-proto"));
    let scheme = scheme.filter(|scheme| matches!(*scheme, "http" | "https")).unwrap_or(own_scheme);
    let host = forwarded("host").or_else(|| header("x-forwarded-host")).filter(|host| is_authority(host));
    let host = host.or_else(|| header(HOST.as_str()).filter(|host| is_authority(host))).unwrap_or("localhost");
    let prefix = header("x-forwarded-prefix").filter(|prefix| is_prefix(prefix)).unwrap_or_default();
    format!("{scheme}://{host}{}{base_path}{path}", prefix.trim_end_matches('/'))
}

/// Each proxy adds to the list; the first is the one that the client spoke to.
fn first_of_list(value: &str) -> &str {
    value.split(',').next().unwrap_or_default().trim()
}

/// The value of a parameter of a `Forwarded` element, without its quotes.
fn parameter<'a>(element: &'a str, key: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case(key).then(|| value.trim().trim_matches('"'))
    })
}

fn is_authority(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}

fn is_prefix(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.-_~%".contains(&byte))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn of(setting: Option<&str>, headers: &[(&'static str, &'static str)]) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        absolute(setting, "http", &headers, "/v8", "/flows")
    }

    #[test]
    fn the_url_is_the_one_that_the_client_used() {
        let host = ("host", "127.0.0.1:4010");
        assert_eq!(of(None, &[host]), "http://127.0.0.1:4010/v8/flows");
        assert_eq!(
            of(None, &[host, ("x-forwarded-proto", "https"), ("x-forwarded-host", "tams.example, inner")]),
            "https://tams.example/v8/flows"
        );
        assert_eq!(of(None, &[host, ("x-forwarded-prefix", "/a/b/")]), "http://127.0.0.1:4010/a/b/v8/flows");
        assert_eq!(
            of(None, &[host, ("forwarded", "for=1.2.3.4;Proto=https;host=\"[::1]:8443\", for=5.6.7.8")]),
            "https://[::1]:8443/v8/flows"
        );
        assert_eq!(of(Some("https://x.example/tams/"), &[host]), "https://x.example/tams/flows");
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("a.example"))]);
        assert_eq!(absolute(None, "https", &headers, "", "/flows"), "https://a.example/flows");
    }

    #[test]
    fn headers_that_make_no_url_are_passed_over() {
        let host = ("host", "a.example");
        assert_eq!(of(None, &[host, ("x-forwarded-host", "evil>; rel=\"next\"")]), "http://a.example/v8/flows");
        assert_eq!(of(None, &[host, ("x-forwarded-proto", "javascript")]), "http://a.example/v8/flows");
        assert_eq!(of(None, &[host, ("x-forwarded-prefix", "//x;y")]), "http://a.example/v8/flows");
    }
}
