//! Filters by tag (section 1.8).

use std::collections::BTreeSet;

use tapelog_events::Tags;

/// What the value of one tag must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter {
    /// The tag.
    pub name: String,
    /// What is asked of it.
    pub condition: TagCondition,
}

/// What is asked of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagCondition {
    /// `tag.{name}=a,b`: its text, or one of its texts, is exactly one of these.
    AnyOf(Vec<String>),
    /// `tag_exists.{name}=true`.
    Present,
    /// `tag_exists.{name}=false`.
    Absent,
}

impl TagFilter {
    /// Whether the tags of a resource meet the condition.
    pub fn matches(&self, tags: &Tags) -> bool {
        let value = tags.get(&self.name);
        match &self.condition {
            TagCondition::AnyOf(wanted) => {
                value.is_some_and(|value| value.texts().iter().any(|text| wanted.contains(text)))
            }
            TagCondition::Present => value.is_some(),
            TagCondition::Absent => value.is_none(),
        }
    }
}

/// A tag, or one of its texts, that resources are found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TagKey {
    /// They have the tag.
    Name(Box<str>),
    /// They have the tag with this text.
    Text(Box<str>, Box<str>),
}

impl TagKey {
    /// What of tags they are found by, each once.
    pub fn all_of(tags: &Tags) -> impl Iterator<Item = Self> {
        tags.iter().flat_map(|(name, value)| {
            let texts: BTreeSet<&String> = value.texts().iter().collect();
            let texts = texts.into_iter().map(|text| Self::Text(name.as_str().into(), text.as_str().into()));
            std::iter::once(Self::Name(name.as_str().into())).chain(texts)
        })
    }

    /// What of tags one of must be there for a condition to be met; `None` where it is met without.
    pub fn asked_for<Key>(filter: &TagFilter, key: impl Fn(Self) -> Key) -> Option<Vec<Key>> {
        let name = || filter.name.as_str().into();
        match &filter.condition {
            TagCondition::AnyOf(texts) => {
                Some(texts.iter().map(|text| key(Self::Text(name(), text.as_str().into()))).collect())
            }
            TagCondition::Present => Some(vec![key(Self::Name(name()))]),
            TagCondition::Absent => None,
        }
    }
}
