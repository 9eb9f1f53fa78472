//! JSON schemas of what has a written form of its own. Those of the other types are derived.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    AccountName, AudioEssence, CommitId, DataEssence, DeletionRequestId, EssenceParameters, FlowId, ImageEssence,
    Instant, MultiEssence, ObjectId, ProfileId, SourceId, StorageId, TagValue, TimeRange, Timestamp, TokenId,
    VideoEssence, WebhookId,
};

/// The form of ids that TAMS gives them (1.4).
const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";

macro_rules! texts {
    ($($name:ident: $description:literal, $schema:tt;)*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("type".to_owned(), "string".into());
                schema.insert("description".to_owned(), $description.into());
                schema
            }
        }
    )*};
}

texts! {
    CommitId: "Names a commit.", { "pattern": UUID };
    FlowId: "Names a flow.", { "pattern": UUID };
    SourceId: "Names a source.", { "pattern": UUID };
    StorageId: "Names a storage backend.", { "pattern": UUID };
    ProfileId: "Names a profile.", { "pattern": UUID };
    WebhookId: "Names a webhook.", { "pattern": UUID };
    DeletionRequestId: "Names a deletion request.", { "pattern": UUID };
    TokenId: "Names a token. It is not secret.", { "pattern": UUID };
    ObjectId: "Names an object: any text without control characters.", { "minLength": 1, "maxLength": 1024 };
    AccountName: "Names an account.", { "pattern": "^[A-Za-z0-9._@-]{1,128}$" };
    Instant: "A moment by the clock, in UTC.", { "format": "date-time" };
    Timestamp: "A moment of media time: seconds and nanoseconds, both counted.",
        { "pattern": "^-?(0|[1-9][0-9]*):(0|[1-9][0-9]{0,8})$" };
    TimeRange: "A stretch of media time: square brackets include an end, round ones do not; a missing end is open.",
        { "pattern": r"^(\[|\()?(-?(0|[1-9][0-9]*):(0|[1-9][0-9]{0,8}))?(_(-?(0|[1-9][0-9]*):(0|[1-9][0-9]{0,8}))?)?(\]|\))?$" };
}

impl JsonSchema for TagValue {
    fn schema_name() -> Cow<'static, str> {
        "TagValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The value of a tag: a text, or a list of texts.",
            "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}

/// What is allowed depends on the format that stands beside them.
impl JsonSchema for EssenceParameters {
    fn schema_name() -> Cow<'static, str> {
        "EssenceParameters".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What the format needs said about it.",
            "anyOf": [
                generator.subschema_for::<VideoEssence>(),
                generator.subschema_for::<AudioEssence>(),
                generator.subschema_for::<ImageEssence>(),
                generator.subschema_for::<DataEssence>(),
                generator.subschema_for::<MultiEssence>(),
            ],
        })
    }
}
