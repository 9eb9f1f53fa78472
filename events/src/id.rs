//! Ids. Each kind is its own type, so that a function taking a `FlowId` cannot be given a `SourceId`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A text that is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not a UUID in the form that TAMS asks for.
    #[error("not a UUID of version 1 to 5 in lower case")]
    Uuid,
    /// An object id outside its limits.
    #[error("an object id has 1 to {} bytes and no control characters", ObjectId::MAX_BYTES)]
    Object,
}

/// TAMS 8.2 `uuid.json`: lower case with hyphens, version 1 to 5, RFC variant.
fn parse_tams_uuid(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    let in_form = bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => matches!(byte, b'1'..=b'5'),
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
    if in_form { Uuid::try_parse(text).ok() } else { None }
}

macro_rules! tams_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with this value, whatever its version: for ids that this store made or read back.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The value as a UUID.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_tams_uuid(text).map(Self).ok_or(InvalidId::Uuid)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(FromStrVisitor::<Self>::new("a UUID in lower case"))
                } else {
                    Uuid::deserialize(deserializer).map(Self)
                }
            }
        }
    )*};
}

/// Reads a value from text by its `FromStr`.
struct FromStrVisitor<T> {
    expected: &'static str,
    kind: std::marker::PhantomData<T>,
}

impl<T> FromStrVisitor<T> {
    fn new(expected: &'static str) -> Self {
        Self { expected, kind: std::marker::PhantomData }
    }
}

impl<T: FromStr<Err = InvalidId>> Visitor<'_> for FromStrVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

tams_id! {
    /// Names a Flow: one technical rendition of a Source.
    FlowId;
    /// Names a Source: an editorial identity.
    SourceId;
    /// Names a storage backend of this store.
    StorageId;
    /// Names a profile: technical metadata that Flows share.
    ProfileId;
    /// Names a webhook.
    WebhookId;
    /// Names a deletion that goes on after it was answered.
    DeletionRequestId;
    /// Names a token that this store gave out.
    TokenId;
    /// Names one command's outcome in the log. A UUIDv7, so that ids sort by the time they were made.
    CommitId;
    /// Names one life of the log, so that a recreated log is never mistaken for the old one.
    Incarnation;
}

/// Names a media object: any text, as the TAMS specification leaves it open (1.4), within [`ObjectId::MAX_BYTES`].
///
/// Most object ids are UUIDs. Those are kept as their 16 bytes, in memory and in the log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Repr);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    Uuid([u8; 16]),
    Text(Arc<str>),
}

impl ObjectId {
    /// The longest object id, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 1024;

    /// The id with this UUID as its text. `None` unless the UUID has a form that TAMS allows.
    pub fn from_uuid(uuid: Uuid) -> Option<Self> {
        let allowed = (1..=5).contains(&uuid.get_version_num()) && uuid.get_variant() == uuid::Variant::RFC4122;
        allowed.then(|| Self(Repr::Uuid(uuid.into_bytes())))
    }

    /// The id as it is kept.
    pub fn view(&self) -> ObjectIdView<'_> {
        match &self.0 {
            Repr::Uuid(bytes) => ObjectIdView::Uuid(bytes),
            Repr::Text(text) => ObjectIdView::Text(text),
        }
    }

    /// Rebuilds an id from the bytes that [`Self::view`] gave.
    pub const fn from_uuid_bytes(bytes: [u8; 16]) -> Self {
        Self(Repr::Uuid(bytes))
    }
}

/// An [`ObjectId`] as it is kept: for compact stores of many.
#[derive(Debug, Clone, Copy)]
pub enum ObjectIdView<'a> {
    /// The bytes of a UUID of version 1 to 5 that is written in canonical form.
    Uuid(&'a [u8; 16]),
    /// Any other text.
    Text(&'a Arc<str>),
}

impl FromStr for ObjectId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if let Some(uuid) = parse_tams_uuid(text) {
            return Ok(Self(Repr::Uuid(uuid.into_bytes())));
        }
        let allowed = (1..=Self::MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if allowed { Ok(Self(Repr::Text(text.into()))) } else { Err(InvalidId::Object) }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Uuid(bytes) => Uuid::from_bytes(*bytes).as_hyphenated().fmt(f),
            Repr::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Uuid(bytes) if serializer.is_human_readable() => Uuid::from_bytes(*bytes).serialize(serializer),
            Repr::Uuid(bytes) => serializer.serialize_bytes(bytes),
            Repr::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectIdVisitor;

        impl Visitor<'_> for ObjectIdVisitor {
            type Value = ObjectId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ObjectId, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<ObjectId, E> {
                let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &"16 bytes"))?;
                ObjectId::from_uuid(Uuid::from_bytes(bytes)).ok_or_else(|| E::custom(InvalidId::Uuid))
            }
        }

        if deserializer.is_human_readable() {
            deserializer.deserialize_str(ObjectIdVisitor)
        } else {
            deserializer.deserialize_any(ObjectIdVisitor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uuid_form_of_the_specification_is_an_id() {
        assert!("4f79cfd1-c057-47f4-8e4d-1b126ca7bf34".parse::<FlowId>().is_ok());
        for refused in [
            "4F79CFD1-c057-47f4-8e4d-1b126ca7bf34",
            "018f9a3e-7b7c-7c57-9e4d-1b126ca7bf34",
            "00000000-0000-0000-0000-000000000000",
            "4f79cfd1c05747f48e4d1b126ca7bf34",
            "4f79cfd1-c057-47f4-ce4d-1b126ca7bf34",
            "",
        ] {
            assert_eq!(refused.parse::<FlowId>(), Err(InvalidId::Uuid), "{refused}");
        }
    }

    #[test]
    fn an_object_id_is_returned_letter_for_letter() {
        for text in ["4f79cfd1-c057-47f4-8e4d-1b126ca7bf34", "4F79CFD1-C057-47F4-8E4D-1B126CA7BF34", "a/b ü", ".."] {
            let id: ObjectId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            let packed = rmp_serde::to_vec_named(&id).unwrap();
            assert_eq!(rmp_serde::from_slice::<ObjectId>(&packed).unwrap(), id);
            assert_eq!(serde_json::from_str::<ObjectId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }
        assert!("".parse::<ObjectId>().is_err());
        assert!("a\u{0}b".parse::<ObjectId>().is_err());
        assert!("x".repeat(1025).parse::<ObjectId>().is_err());
    }
}
