//! What an answer is held against: refusals that apply, and values that the server chooses.

use std::collections::BTreeMap;

use serde_json::Value;

use super::http::Reply;

/// The reasons for which a request has to be refused, and those for which the specification leaves it open.
#[derive(Debug, Default)]
pub struct Refusals {
    must: Vec<(u16, String)>,
    may: Vec<(u16, String)>,
}

impl Refusals {
    /// Such a request has to be refused.
    pub fn must(&mut self, when: bool, status: u16, why: impl Into<String>) -> &mut Self {
        if when {
            self.must.push((status, why.into()));
        }
        self
    }

    /// Such a request may be refused.
    pub fn may(&mut self, when: bool, status: u16, why: impl Into<String>) -> &mut Self {
        if when {
            self.may.push((status, why.into()));
        }
        self
    }

    /// Whether the request has succeeded, with one of these statuses.
    ///
    /// # Panics
    /// When it should not have, or was refused for none of the reasons.
    pub fn decide(&self, reply: &Reply, success: &[u16]) -> bool {
        let given = |reasons: &[(u16, String)]| reasons.iter().any(|(status, _)| *status == reply.status);
        if self.must.is_empty() && success.contains(&reply.status) {
            return true;
        }
        let refused = given(&self.must) || given(&self.may);
        assert!(refused, "{}: expected {success:?} unless {:?}, or {:?}", reply.first, self.must, self.may);
        assert!(reply.body["message"].is_string(), "{} has no message", reply.first);
        false
    }
}

/// Members of a resource whose values the server chooses: learned when first seen, and held against from then on.
#[derive(Debug, Clone, Default)]
pub struct Chosen(BTreeMap<&'static str, Choice>);

#[derive(Debug, Clone)]
enum Choice {
    /// It is this.
    Known(Value),
    /// It is another than this, and later where it is a date.
    Changed(Value),
    /// It is this, or has changed.
    Either(Value),
}

impl Chosen {
    /// Something has happened that changes this member.
    pub fn change(&mut self, name: &'static str) {
        if let Some(choice) = self.0.get_mut(name) {
            let (Choice::Known(value) | Choice::Changed(value) | Choice::Either(value)) = choice;
            *choice = Choice::Changed(value.take());
        }
    }

    /// Something has happened after which this member may have changed.
    pub fn may_change(&mut self, name: &'static str) {
        if let Some(choice) = self.0.get_mut(name)
            && let Choice::Known(value) = choice
        {
            *choice = Choice::Either(value.take());
        }
    }

    /// The client has said what it is.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.0.insert(name, Choice::Known(value));
    }

    /// Holds what was read, null for nothing, against what is known of it.
    pub fn check(&mut self, name: &'static str, actual: &Value, of: &Value) {
        let later = |before: &Value| match (before, actual) {
            (Value::String(before), Value::String(actual)) => actual > before,
            (before, actual) => before != actual,
        };
        match self.0.get(name) {
            None => {}
            // No order is implied by it.
            Some(Choice::Either(_)) if name == "metadata_version" => {}
            Some(Choice::Known(value)) => assert_eq!(actual, value, "{name} of {of} has changed for no reason"),
            Some(Choice::Changed(before)) if name == "metadata_version" => {
                assert_ne!(actual, before, "{name} of {of} has not changed");
            }
            Some(Choice::Changed(before)) => assert!(later(before), "{name} of {of} is not later than {before}"),
            Some(Choice::Either(before)) => {
                assert!(actual == before || later(before), "{name} of {of} is earlier than {before}");
            }
        }
        self.0.insert(name, Choice::Known(actual.clone()));
    }
}

/// Compares two lists whose order means nothing.
pub fn same_set(actual: &[Value], expected: &[Value], what: &str) {
    let sorted = |items: &[Value]| {
        let mut texts: Vec<_> = items.iter().map(Value::to_string).collect();
        texts.sort();
        texts
    };
    assert_eq!(sorted(actual), sorted(expected), "{what}");
}
