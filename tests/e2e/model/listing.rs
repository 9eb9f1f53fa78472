//! What listings have in common: order and tags (1.7, 1.8).

use serde_json::{Map, Value};

use super::http::{Reply, Request};

/// How a listing was asked for.
pub struct Listing<'a> {
    request: &'a Request,
    keys: &'a [&'a str],
}

impl<'a> Listing<'a> {
    /// A listing with these keys to sort by, the first one unless asked.
    pub fn new(request: &'a Request, keys: &'a [&'a str]) -> Self {
        Self { request, keys }
    }

    /// Whether a parameter that all listings have is wrong.
    pub fn is_wrong(&self) -> bool {
        let parameter = |name: &str| self.request.parameter(name);
        let is_no_flag = |text: &str| !matches!(text, "true" | "false");
        parameter("limit").is_some_and(|limit| limit.parse::<u64>().is_ok_and(|limit| limit == 0) || limit.parse::<u64>().is_err())
            // Where there is nothing to choose from it is an unknown parameter, and those are passed over.
            || (self.keys.len() > 1 && parameter("sort_by").is_some_and(|key| !self.keys.contains(&key)))
            || parameter("reverse_order").is_some_and(is_no_flag)
            || self.request.query.iter().any(|(name, value)| name.starts_with("tag_exists.") && is_no_flag(value))
    }

    /// Checks that items stand in the order that was asked for: the newest first, labels from A to Z, those without a
    /// label last by their ids; the other way round when reversed.
    pub fn check_order(&self, reply: &Reply) {
        let key = self.request.parameter("sort_by").unwrap_or(self.keys[0]);
        let mut items: Vec<_> = reply.items().iter().collect();
        let is_reversed = self.request.is_set("reverse_order");
        assert_eq!(
            reply.first.header("x-paging-reverse-order"),
            Some(is_reversed.to_string().as_str()),
            "{}",
            reply.first
        );
        if is_reversed {
            items.reverse();
        }
        let text = |item: &Value, name: &str| item[name].as_str().map(str::to_owned);
        for pair in items.windows(2) {
            let in_order = if matches!(key, "label" | "url") {
                let rank = |item: &Value| (item[key].is_null(), text(item, key), text(item, "id"));
                rank(pair[0]) < rank(pair[1])
            } else {
                text(pair[0], key) >= text(pair[1], key)
            };
            assert!(in_order, "{}: {} stands before {}", self.request, pair[0], pair[1]);
        }
    }
}

/// Whether a resource passes a filter by tags, such as `tag.name` or `tag_exists.name`. Other parameters filter nothing.
pub fn is_tagged(document: &Map<String, Value>, prefix: &str, name: &str, value: &str) -> bool {
    let held = |tag: &str| document.get("tags").and_then(|tags| tags.get(tag));
    let Some((kind, tag)) = name.split_once('.') else { return true };
    if kind == prefix {
        let wanted: Vec<_> = value.split(',').collect();
        match held(tag) {
            Some(Value::String(held)) => wanted.contains(&held.as_str()),
            Some(Value::Array(held)) => held.iter().any(|held| wanted.contains(&held.as_str().unwrap_or_default())),
            _ => false,
        }
    } else if kind == format!("{prefix}_exists") {
        held(tag).is_some().to_string() == value
    } else {
        true
    }
}
