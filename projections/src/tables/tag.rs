//! Filters by tag (section 1.8).

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
