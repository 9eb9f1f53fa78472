//! From a path to the resource that it names.
//!
//! Routes are a type and not a table of patterns, so that a handler gets ids and not texts, and so that whoever answers
//! for each resource, such as dispatch and authorization, is made by the compiler to think of every one. It also leaves
//! `HEAD` and `Allow` to us: a router would claim a length for answers that it never saw.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use smallvec::SmallVec;
use tapelog_events::{FlowId, ObjectId, SourceId};

use super::problem::Problem;
use super::query::decode_percent;

/// What a path names: each is the path with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource<'a> {
    Root,
    Service,
    StorageBackends,
    Sources,
    Source(SourceId),
    SourceTags(SourceId),
    SourceTag(SourceId, Cow<'a, str>),
    SourceText(SourceId, Text),
    Flows,
    Flow(FlowId),
    FlowTags(FlowId),
    FlowTag(FlowId, Cow<'a, str>),
    FlowText(FlowId, Text),
    ReadOnly(FlowId),
    FlowCollection(FlowId),
    BitRate(FlowId, BitRate),
    Segments(FlowId),
    Storage(FlowId),
    Object(ObjectId),
    Alive,
    Ready,
    Projections,
}

/// A property of Flows and Sources that is a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// `label`
    Label,
    /// `description`
    Description,
}

/// A property of Flows that is a bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitRate {
    /// `max_bit_rate`
    Max,
    /// `avg_bit_rate`
    Average,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Label => "label",
            Self::Description => "description",
        })
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Max => "max_bit_rate",
            Self::Average => "avg_bit_rate",
        })
    }
}

impl<'a> Resource<'a> {
    /// The resource that a path names, below `base`.
    ///
    /// # Errors
    /// [`Problem::NotFound`] where it names none, or by an id that cannot be one (1.3).
    pub fn parse(base: &str, path: &'a str) -> Result<Self, Problem> {
        let unknown = || Problem::NotFound(format!("{path} is not a path of this API"));
        let below = path.strip_prefix(base).and_then(|path| path.strip_prefix('/')).ok_or_else(unknown)?;
        let steps: SmallVec<[&'a str; 5]> = below.split('/').collect();
        Ok(match *steps {
            [""] => Self::Root,
            ["service"] => Self::Service,
            ["service", "storage-backends"] => Self::StorageBackends,
            ["sources"] => Self::Sources,
            ["sources", id] => Self::Source(parsed("source", id)?),
            ["sources", id, "tags"] => Self::SourceTags(parsed("source", id)?),
            ["sources", id, "tags", name] => Self::SourceTag(parsed("source", id)?, decoded("tag", name)?),
            ["sources", id, "label"] => Self::SourceText(parsed("source", id)?, Text::Label),
            ["sources", id, "description"] => Self::SourceText(parsed("source", id)?, Text::Description),
            ["flows"] => Self::Flows,
            ["flows", id] => Self::Flow(parsed("flow", id)?),
            ["flows", id, "tags"] => Self::FlowTags(parsed("flow", id)?),
            ["flows", id, "tags", name] => Self::FlowTag(parsed("flow", id)?, decoded("tag", name)?),
            ["flows", id, "label"] => Self::FlowText(parsed("flow", id)?, Text::Label),
            ["flows", id, "description"] => Self::FlowText(parsed("flow", id)?, Text::Description),
            ["flows", id, "read_only"] => Self::ReadOnly(parsed("flow", id)?),
            ["flows", id, "flow_collection"] => Self::FlowCollection(parsed("flow", id)?),
            ["flows", id, "max_bit_rate"] => Self::BitRate(parsed("flow", id)?, BitRate::Max),
            ["flows", id, "avg_bit_rate"] => Self::BitRate(parsed("flow", id)?, BitRate::Average),
            ["flows", id, "segments"] => Self::Segments(parsed("flow", id)?),
            ["flows", id, "storage"] => Self::Storage(parsed("flow", id)?),
            ["objects", id] => Self::Object(parsed("object", id)?),
            ["healthz"] => Self::Alive,
            ["readyz"] => Self::Ready,
            ["admin", "projections"] => Self::Projections,
            _ => return Err(unknown()),
        })
    }
}

fn decoded<'a>(what: &str, step: &'a str) -> Result<Cow<'a, str>, Problem> {
    decode_percent(step).ok_or_else(|| Problem::NotFound(format!("{step} in the path is no {what}: not UTF-8")))
}

fn parsed<T: FromStr<Err: fmt::Display>>(what: &str, step: &str) -> Result<T, Problem> {
    let text = decoded(what, step)?;
    text.parse().map_err(|error| Problem::NotFound(format!("{text:?} in the path names no {what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34";

    #[test]
    fn names_of_tags_and_objects_may_have_any_character() {
        let tag = format!("/flows/{ID}/tags/a%2Fb%20c%C3%BC+");
        let expected = Resource::FlowTag(ID.parse().unwrap(), "a/b cü+".into());
        assert_eq!(Resource::parse("", &tag).unwrap(), expected);
        let object = Resource::parse("", "/objects/live%2F2026%2F%F0%9F%8E%AC").unwrap();
        assert_eq!(object, Resource::Object("live/2026/🎬".parse().unwrap()));
    }

    #[test]
    fn what_names_nothing_is_not_found() {
        for path in [
            "/flow",
            "/flows/",
            "/flows/x",
            "/flows/4F79CFD1-C057-47F4-8E4D-1B126CA7BF34",
            "/flows/x/segments",
            "/sources/4f79cfd1-c057-77f4-8e4d-1b126ca7bf34/tags",
            "/flows/4f79cfd1-c057-47f4-8e4d-1b126ca7bf34/tags/%ff",
            "/flows/4f79cfd1-c057-47f4-8e4d-1b126ca7bf34/tags/a/b",
            "/objects/",
            "/objects/a%00",
            "//flows",
            "",
            "*",
        ] {
            assert!(matches!(Resource::parse("", path), Err(Problem::NotFound(_))), "{path}");
        }
    }

    #[test]
    fn every_path_is_below_the_base_path() {
        assert_eq!(Resource::parse("/tams/v8.2", "/tams/v8.2/flows").unwrap(), Resource::Flows);
        assert_eq!(Resource::parse("/tams/v8.2", "/tams/v8.2/").unwrap(), Resource::Root);
        assert!(Resource::parse("/tams/v8.2", "/flows").is_err());
        assert!(Resource::parse("/tams/v8.2", "/tams/v8.2flows").is_err());
    }
}
