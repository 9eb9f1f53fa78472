//! Parameters that filter by tags (1.8): `tag.{name}=a,b` and `tag_exists.{name}=true`, and their kin.

use tapelog_projections::{TagCondition, TagFilter};

use super::problem::Problem;
use super::query::{self, Query};

/// The conditions in the parameters `<family>.{name}` and `<family>_exists.{name}`. All must be met.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter, for a list with an empty item, and for a `_exists` that
/// is neither true nor false.
pub fn parse(query: &Query<'_>, family: &str) -> Result<Vec<TagFilter>, Problem> {
    let values = query.with_prefix(family).filter_map(|(rest, value)| Some((rest.strip_prefix('.')?, value)));
    let values = values.map(|(name, value)| {
        // An empty list is met by nothing.
        let texts = query::list(&format!("{family}.{name}"), value)?;
        Ok(TagFilter { name: name.to_owned(), condition: TagCondition::AnyOf(texts) })
    });
    let presence = query.with_prefix(family).filter_map(|(rest, value)| Some((rest.strip_prefix("_exists.")?, value)));
    let presence = presence.map(|(name, value)| {
        let condition = match query::boolean(&format!("{family}_exists.{name}"), value)? {
            true => TagCondition::Present,
            false => TagCondition::Absent,
        };
        Ok(TagFilter { name: name.to_owned(), condition })
    });
    values.chain(presence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &str, family: &str) -> Result<Vec<TagFilter>, String> {
        parse(&Query::parse(raw).unwrap(), family).map_err(|problem| problem.to_string())
    }

    fn any_of(name: &str, texts: &[&str]) -> TagFilter {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        TagFilter { name: name.to_owned(), condition: TagCondition::AnyOf(texts) }
    }

    #[test]
    fn families_do_not_mix() {
        let raw = "tag.a=1,2&tag_exists.b=TRUE&flow_tag.c=3&tags.d=4&tag.e.f=";
        let absent_or_present = TagFilter { name: "b".to_owned(), condition: TagCondition::Present };
        assert_eq!(of(raw, "tag").unwrap(), [any_of("a", &["1", "2"]), any_of("e.f", &[]), absent_or_present]);
        assert_eq!(of(raw, "flow_tag").unwrap(), [any_of("c", &["3"])]);
        assert_eq!(of(raw, "storage_backend_tag").unwrap(), []);
    }

    #[test]
    fn a_refusal_names_the_parameter() {
        assert!(of("flow_tag.x=a,", "flow_tag").unwrap_err().contains("flow_tag.x"));
        assert!(of("tag_exists.x=maybe", "tag").unwrap_err().contains("tag_exists.x"));
        assert_eq!(of("tag_exists.x=false", "tag").unwrap()[0].condition, TagCondition::Absent);
    }
}
