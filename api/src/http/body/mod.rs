//! Bodies of requests: read up to a limit, and into types.
//!
//! A body is JSON whatever its `Content-Type` says (1.12). A property of our own that stands twice in one object is
//! refused, and so is a list where an object should be; a `null` is the same as leaving an optional property out; properties that we do not know are passed over.

pub mod account;
pub mod batch;
pub mod collection;
pub mod delivery;
pub mod flow;
pub mod instance;
pub mod profile;
pub mod property;
mod read;
pub mod segment;
pub mod service;
pub mod source;
pub mod storage;
mod strict;
pub mod webhook;

pub use read::{Body, read};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::limits;
use super::problem::Problem;
use strict::Strict;

/// Reads a JSON body.
///
/// # Errors
/// [`Problem::Invalid`], naming the field, where it is not JSON, too deep, or no `T`.
pub fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    named("", body)
}

/// Reads a JSON body that is the property with this name.
///
/// # Errors
/// As [`json`].
pub fn named<'a, T: Deserialize<'a>>(name: &str, body: &'a [u8]) -> Result<T, Problem> {
    let text = str::from_utf8(body).map_err(|_| Problem::invalid("the body: it is not UTF-8"))?;
    if is_too_deep(body) {
        return Err(Problem::invalid(format!("the body is nested more than {} deep", limits::DEPTH)));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = T::deserialize(Strict(&mut deserializer)).and_then(|value| deserializer.end().map(|()| value));
    // Keeping track of the path costs about as much as reading, so it is done for those bodies only that have a mistake.
    read.map_err(|_| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(Strict(&mut deserializer)) {
            Err(error) => invalid(name, &error),
            Ok(_) => Problem::invalid("the body: something follows the JSON value"),
        }
    })
}

/// Reads a JSON body that is an object.
///
/// # Errors
/// As [`json`]; where it is anything else, in plainer words.
pub fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => json(body),
        _ => Err(Problem::invalid("the body: it is not a JSON object")),
    }
}

/// Reads a part of a body, named `path` in messages, that was read as any JSON before.
///
/// # Errors
/// [`Problem::Invalid`], naming the field.
pub fn part<T: DeserializeOwned>(path: &str, value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Strict(value.into_deserializer()))
        .map_err(|error: serde_path_to_error::Error<serde_json::Error>| invalid(path, &error))
}

fn invalid(prefix: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = match (prefix, error.path().to_string()) {
        (prefix, path) if path == "." => prefix.to_owned(),
        ("", path) => path,
        (prefix, path) if path.starts_with('[') => format!("{prefix}{path}"),
        (prefix, path) => format!("{prefix}.{path}"),
    };
    let place = if path.is_empty() { "the body".to_owned() } else { path };
    Problem::invalid(format!("{place}: {}", error.inner()))
}

/// Whether arrays and objects are nested too deep, in JSON or what pretends to be. `serde_json` guards its own stack,
/// but reads what it passes over to any depth.
fn is_too_deep(body: &[u8]) -> bool {
    let mut depth = 0;
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => drop(bytes.next()),
                    Some(b'"') | None => break,
                    Some(_) => {}
                }
            },
            b'[' | b'{' => {
                depth += 1;
                if depth > limits::DEPTH {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only reading it matters")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only reading it matters")]
        number: u32,
    }

    fn refusal(body: &[u8]) -> String {
        json::<Outer>(body).map(|_| "read").map_err(|problem| problem.to_string()).expect_err("it is refused")
    }

    #[test]
    fn a_refusal_names_the_path_of_the_field() {
        assert!(refusal(br#"{"inner":[{"number":1},{"number":"2"}]}"#).starts_with("inner[1].number: "));
        assert!(refusal(br#"{"inner":[{}]}"#).starts_with("inner[0]: missing field `number`"));
        assert!(refusal(b"[").starts_with("the body: "));
        assert!(refusal(b"").starts_with("the body: "));
        assert!(refusal(br#"{"inner":[]} {}"#).contains("follows"));
        assert!(refusal(b"{\"inner\":[],\"x\":\"\xff\"}").contains("UTF-8"));
        let value = serde_json::json!([{ "number": -1 }]);
        assert!(part::<Vec<Inner>>("list", value).expect_err("negative").to_string().starts_with("list[0].number: "));
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        assert!(refusal(b"[[]]").starts_with("the body: "));
        assert!(refusal(br#"{"inner":[[1]]}"#).starts_with("inner[0]: "));
        assert!(part::<Vec<Inner>>("list", serde_json::json!([[1]])).is_err());
    }

    #[test]
    fn depth_is_limited_also_in_what_is_passed_over() {
        let nested = |depth: usize| format!(r#"{{"inner":[],"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(json::<Outer>(nested(limits::DEPTH - 1).as_bytes()).is_ok());
        assert!(refusal(nested(limits::DEPTH).as_bytes()).contains("nested"));
        assert!(refusal("[".repeat(10_000).as_bytes()).contains("nested"));
        let brackets_in_text = format!(r#"{{"inner":[],"x":"\"{}"}}"#, "[".repeat(1000));
        assert!(json::<Outer>(brackets_in_text.as_bytes()).is_ok());
    }
}
