//! Bodies that are one resource or a list of them, each judged on its own.

use serde_json::Value;

use crate::http::limits;
use crate::http::problem::Problem;

/// The items of a body, or the one that it is.
///
/// # Errors
/// [`Problem::Invalid`] where it is no JSON, or has too many items.
pub fn items(body: &[u8]) -> Result<Vec<Value>, Problem> {
    let items = match super::json(body)? {
        Value::Array(items) => items,
        item => vec![item],
    };
    limits::count("the body", items.len(), limits::BATCH)?;
    Ok(items)
}
