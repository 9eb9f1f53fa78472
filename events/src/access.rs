//! Who may do what: coarse scopes and fine-grained access by `auth_classes` (section 14, AppNote 0016).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{TagValue, Tags};

/// The tag that names the classes which a resource belongs to, as a list or as a text with commas (14.2).
pub const AUTH_CLASSES: &str = "auth_classes";

/// What a token allows over the whole store (14.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// `tams-api/read`
    Read,
    /// `tams-api/write`
    Write,
    /// `tams-api/delete`
    Delete,
    /// `tams-api/audit`: reads the audit of all changes. An extension.
    Audit,
    /// `tams-api/admin`: passes everywhere.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Delete, Self::Audit, Self::Admin];

    /// The scope as tokens name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "tams-api/read",
            Self::Write => "tams-api/write",
            Self::Delete => "tams-api/delete",
            Self::Audit => "tams-api/audit",
            Self::Admin => "tams-api/admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not one of tams-api/read, tams-api/write, tams-api/delete, tams-api/audit, tams-api/admin")]
pub struct InvalidScope;

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(InvalidScope)
    }
}

/// What may be done with one resource (14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// See it.
    Read,
    /// Change it.
    Write,
    /// Delete it.
    Delete,
}

/// What somebody may do with resources, by the classes that these belong to (14.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// All resources, whatever their classes.
    #[default]
    Unrestricted,
    /// Resources of these classes, and those of none.
    Classes(BTreeMap<String, BTreeSet<Permission>>),
}

/// What an [`Access`] makes of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Granted,
    /// Not this, though something else: the resource may be known to exist (403).
    Refused,
    /// Nothing at all: the resource is not to be known (404).
    Hidden,
}

impl Access {
    /// What may be done with a resource that has these tags. One class that permits it is enough.
    pub fn judge(&self, permission: Permission, tags: &Tags) -> Verdict {
        self.judge_classes(permission, tags.get(AUTH_CLASSES))
    }

    /// What may be done with a resource that belongs to these classes: the value of its tag `auth_classes`, if it has one.
    pub fn judge_classes(&self, permission: Permission, classes: Option<&TagValue>) -> Verdict {
        let Self::Classes(granted) = self else { return Verdict::Granted };
        let Some(classes) = classes else { return Verdict::Granted };
        let mut verdict = Verdict::Hidden;
        for permissions in classes_in(classes).filter_map(|class| granted.get(class)) {
            if permissions.contains(&permission) {
                return Verdict::Granted;
            }
            if !permissions.is_empty() {
                verdict = Verdict::Refused;
            }
        }
        verdict
    }

    /// Whether the classes of a resource may be changed like this: only ones in which one may write come or go, and a
    /// resource that has any keeps some, since one of none is open to all.
    pub fn may_reclassify(&self, before: &Tags, after: &Tags) -> bool {
        let Self::Classes(granted) = self else { return true };
        let classes = |tags: &Tags| -> BTreeSet<String> {
            tags.get(AUTH_CLASSES).into_iter().flat_map(classes_in).map(str::to_owned).collect()
        };
        let (before, after) = (classes(before), classes(after));
        let may_write = |class: &String| granted.get(class).is_some_and(|all| all.contains(&Permission::Write));
        before.symmetric_difference(&after).all(may_write) && (before.is_empty() || !after.is_empty())
    }

    /// Whether a resource that has these tags may be seen.
    pub fn may_read(&self, tags: &Tags) -> bool {
        self.judge(Permission::Read, tags) == Verdict::Granted
    }
}

fn classes_in(value: &TagValue) -> impl Iterator<Item = &str> {
    value.texts().iter().flat_map(|text| text.split(',')).map(str::trim).filter(|class| !class.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gives_away_a_class_that_is_not_theirs() {
        let access = Access::Classes(BTreeMap::from([
            ("news".to_owned(), BTreeSet::from([Permission::Read, Permission::Write])),
            ("sport".to_owned(), BTreeSet::from([Permission::Read])),
        ]));
        let may = |before: &str, after: &str| {
            let tags = |classes: &str| match classes {
                "" => Tags::new(),
                _ => Tags::from([(AUTH_CLASSES.to_owned(), TagValue::One(classes.to_owned()))]),
            };
            access.may_reclassify(&tags(before), &tags(after))
        };
        assert!(may("", "news") && may("sport", "sport,news") && may("news,sport", "sport") && may("", ""));
        assert!(!may("news", "") && !may("news", "news,drama") && !may("sport,news", "news") && !may("", "sport"));
    }

    #[test]
    fn one_permitting_class_is_enough_and_none_hides_the_resource() {
        let access = Access::Classes(BTreeMap::from([
            ("news".to_owned(), BTreeSet::from([Permission::Read])),
            ("sport".to_owned(), BTreeSet::from([Permission::Read, Permission::Write])),
        ]));
        let tags = |value: &str| -> Tags { serde_json::from_str(value).unwrap() };
        for (classes, read, write) in [
            (r#"{"auth_classes":"news"}"#, Verdict::Granted, Verdict::Refused),
            (r#"{"auth_classes":"drama, sport"}"#, Verdict::Granted, Verdict::Granted),
            (r#"{"auth_classes":["drama","news"]}"#, Verdict::Granted, Verdict::Refused),
            (r#"{"auth_classes":["drama"]}"#, Verdict::Hidden, Verdict::Hidden),
            (r#"{"auth_classes":""}"#, Verdict::Hidden, Verdict::Hidden),
            ("{}", Verdict::Granted, Verdict::Granted),
        ] {
            let tags = tags(classes);
            assert_eq!(access.judge(Permission::Read, &tags), read, "{classes}");
            assert_eq!(access.judge(Permission::Write, &tags), write, "{classes}");
            assert_eq!(Access::Unrestricted.judge(Permission::Delete, &tags), Verdict::Granted);
        }
    }
}
