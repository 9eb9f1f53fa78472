//! From a path to the resource that it names.
//!
//! Routes are a type and not a table of patterns, so that a handler gets ids and not texts, and so that whoever answers
//! for each resource, such as dispatch and authorization, is made by the compiler to think of every one. It also leaves
//! `HEAD` and `Allow` to us: a router would claim a length for answers that it never saw.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use hyper::Method;
use smallvec::SmallVec;
use tapelog_commands::SegmentName;
use tapelog_events::{
    AccountName, DeletionRequestId, EventId, FlowId, ObjectId, ProfileId, SourceId, TimeRange, TokenId, WebhookId,
};

use super::problem::Problem;
use super::query::decode_percent;

/// What can be done with a resource. `HEAD` is `GET` without a body; `OPTIONS` is answered for every path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `GET` and `HEAD`
    Get,
    /// `PUT`
    Put,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
}

impl Verb {
    /// The verb of a method, where it is one of any resource.
    pub fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::PUT => Some(Self::Put),
            Method::POST => Some(Self::Post),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    /// The methods as in the header `Allow`.
    const fn methods(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// Who may do something (14.1). Administrators may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Everybody, without credentials.
    Public,
    /// Everybody who is known.
    Known,
    /// Who has the scope `tams-api/read`.
    Read,
    /// Who has the scope `tams-api/write`.
    Write,
    /// Who has the scope `tams-api/delete`.
    Delete,
    /// Who has the scope `tams-api/audit`.
    Audit,
    /// Who has the scope `tams-api/admin`.
    Admin,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "none is needed",
            Self::Known => "any scope of tams-api",
            Self::Read => "tams-api/read",
            Self::Write => "tams-api/write",
            Self::Delete => "tams-api/delete",
            Self::Audit => "tams-api/audit",
            Self::Admin => "tams-api/admin",
        })
    }
}

/// One thing that can be done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The method.
    pub verb: Verb,
    /// Who may.
    pub rule: Rule,
    /// Whose operation it is.
    pub part: Part,
}

/// Whose an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The TAMS specification's.
    Tams,
    /// An extension of ours.
    Extension,
}

/// A path with what can be done there.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The path, with names in braces where it varies.
    pub template: &'static str,
    /// What can be done.
    pub operations: &'static [Operation],
}

impl Route {
    /// What a verb does here.
    pub fn operation(&self, verb: Verb) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| operation.verb == verb)
    }

    /// The methods of a part, as in the header `Allow`.
    pub fn allow(&self, wanted: impl Fn(&Operation) -> bool) -> String {
        let methods: Vec<_> =
            self.operations.iter().filter(|operation| wanted(operation)).map(|o| o.verb.methods()).collect();
        methods.join(", ")
    }
}

/// Declares [`Resource`] and, for each, its [`Route`]: what names an operation also says who may use it.
macro_rules! resources {
    ($life:lifetime; $($name:ident $(($($field:ty),*))? = $template:literal [$($verb:ident $rule:ident $part:ident),*];)*) => {
        /// What a path names: each is the path with its name.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Resource<$life> {
            $($name $(($($field),*))?,)*
        }

        #[derive(Clone, Copy)]
        enum RouteName {
            $($name,)*
        }

        /// Every route.
        pub const ROUTES: &[Route] = &[
            $(Route {
                template: $template,
                operations: &[$(Operation { verb: Verb::$verb, rule: Rule::$rule, part: Part::$part }),*],
            },)*
        ];

        impl Resource<'_> {
            /// The route that leads here.
            pub fn route(&self) -> &'static Route {
                let name = match self {
                    $(Self::$name { .. } => RouteName::$name,)*
                };
                &ROUTES[name as usize]
            }
        }
    };
}

resources! {
    'a;
    Root = "/" [Get Known Tams];
    Service = "/service" [Get Known Tams, Post Admin Tams];
    StorageBackends = "/service/storage-backends" [Get Known Tams];
    Profiles = "/service/profiles" [Get Read Tams];
    Profile(ProfileId) = "/service/profiles/{profileId}" [Get Read Tams, Post Write Tams];
    Webhooks = "/service/webhooks" [Get Read Tams, Post Write Tams];
    Webhook(WebhookId) = "/service/webhooks/{webhookId}" [Get Read Tams, Put Read Tams, Delete Read Tams];
    Delivery(WebhookId) = "/service/webhooks/{webhookId}/delivery" [Get Read Extension];
    Deliveries(WebhookId) = "/service/webhooks/{webhookId}/deliveries" [Get Read Extension];
    DeadLetters(WebhookId) = "/service/webhooks/{webhookId}/dead-letters" [Get Read Extension];
    DeadLetter(WebhookId, EventId) =
        "/service/webhooks/{webhookId}/dead-letters/{eventId}" [Get Read Extension, Delete Read Extension];
    Redelivery(WebhookId) = "/service/webhooks/{webhookId}/dead-letters/redeliver" [Post Read Extension];
    Replay(WebhookId) = "/service/webhooks/{webhookId}/replay" [Post Read Extension];
    Ping(WebhookId) = "/service/webhooks/{webhookId}/ping" [Post Read Extension];
    SigningSecret(WebhookId) = "/service/webhooks/{webhookId}/secret" [Get Read Extension, Post Read Extension];
    Sources = "/sources" [Get Read Tams, Post Write Extension];
    Source(SourceId) = "/sources/{sourceId}" [Get Read Tams, Delete Delete Extension];
    SourceTags(SourceId) = "/sources/{sourceId}/tags" [Get Read Tams, Put Write Extension, Delete Write Extension];
    SourceTag(SourceId, Cow<'a, str>) =
        "/sources/{sourceId}/tags/{name}" [Get Read Tams, Put Write Tams, Delete Write Tams];
    SourceLabel(SourceId) = "/sources/{sourceId}/label" [Get Read Tams, Put Write Tams, Delete Write Tams];
    SourceDescription(SourceId) = "/sources/{sourceId}/description" [Get Read Tams, Put Write Tams, Delete Write Tams];
    SourceRestore(SourceId) = "/sources/{sourceId}/restore" [Post Write Extension];
    Flows = "/flows" [Get Read Tams, Post Write Extension];
    Flow(FlowId) = "/flows/{flowId}" [Get Read Tams, Put Write Tams, Delete Delete Tams];
    FlowTags(FlowId) = "/flows/{flowId}/tags" [Get Read Tams, Put Write Extension, Delete Write Extension];
    FlowTag(FlowId, Cow<'a, str>) = "/flows/{flowId}/tags/{name}" [Get Read Tams, Put Write Tams, Delete Write Tams];
    FlowLabel(FlowId) = "/flows/{flowId}/label" [Get Read Tams, Put Write Tams, Delete Write Tams];
    FlowDescription(FlowId) = "/flows/{flowId}/description" [Get Read Tams, Put Write Tams, Delete Write Tams];
    ReadOnly(FlowId) = "/flows/{flowId}/read_only" [Get Read Tams, Put Write Tams];
    FlowCollection(FlowId) = "/flows/{flowId}/flow_collection" [Get Read Tams, Put Write Tams, Delete Write Tams];
    MaxBitRate(FlowId) = "/flows/{flowId}/max_bit_rate" [Get Read Tams, Put Write Tams, Delete Write Tams];
    AvgBitRate(FlowId) = "/flows/{flowId}/avg_bit_rate" [Get Read Tams, Put Write Tams, Delete Write Tams];
    FlowRestore(FlowId) = "/flows/{flowId}/restore" [Post Write Extension];
    Segments(FlowId) = "/flows/{flowId}/segments" [Get Read Tams, Post Write Tams, Delete Delete Tams];
    SegmentTags(FlowId, SegmentName) =
        "/flows/{flowId}/segments/{segment}/tags" [Get Read Extension, Put Write Extension, Delete Write Extension];
    SegmentTag(FlowId, SegmentName, Cow<'a, str>) =
        "/flows/{flowId}/segments/{segment}/tags/{name}" [Get Read Extension, Put Write Extension, Delete Write Extension];
    Storage(FlowId) = "/flows/{flowId}/storage" [Post Write Tams];
    Objects = "/objects" [Post Write Extension];
    Object(ObjectId) = "/objects/{objectId}" [Get Read Tams, Delete Delete Extension];
    Content(ObjectId) = "/objects/{objectId}/content" [Get Read Extension, Put Write Extension];
    Instances(ObjectId) = "/objects/{objectId}/instances" [Post Write Tams, Delete Write Tams];
    DeletionRequests = "/flow-delete-requests" [Get Admin Tams];
    DeletionRequest(DeletionRequestId) = "/flow-delete-requests/{request-id}" [Get Delete Tams];
    Trash = "/trash" [Get Delete Extension];
    TagNames = "/tags" [Get Read Extension];
    TagValues(Cow<'a, str>) = "/tags/{name}" [Get Read Extension];
    Collections = "/collections" [Get Read Extension, Post Write Extension];
    Collection(FlowId) = "/collections/{flowId}" [Get Read Extension];
    SourceCollections = "/source-collections" [Get Read Extension, Post Write Extension];
    SourceCollection(SourceId) = "/source-collections/{sourceId}" [Get Read Extension];
    Audit = "/audit" [Get Audit Extension];
    AuditExport = "/audit/export" [Get Admin Extension];
    AuditKey = "/audit/key" [Get Audit Extension];
    Events = "/events" [Get Read Extension];
    Token = "/oauth2/token" [Post Public Extension];
    Me = "/auth/me" [Get Known Extension];
    Accounts = "/auth/accounts" [Get Admin Extension, Post Admin Extension];
    Account(AccountName) = "/auth/accounts/{account}" [Get Admin Extension, Put Admin Extension, Delete Admin Extension];
    AccountTokens(AccountName) = "/auth/accounts/{account}/tokens" [Get Admin Extension, Post Admin Extension];
    AccountToken(AccountName, TokenId) = "/auth/accounts/{account}/tokens/{tokenId}" [Delete Admin Extension];
    AuthenticationLog = "/auth/log" [Get Admin Extension];
    Alive = "/healthz" [Get Public Extension];
    Ready = "/readyz" [Get Public Extension];
    Projections = "/admin/projections" [Get Admin Extension];
    Metrics = "/metrics" [Get Admin Extension];
    OpenApi = "/openapi.json" [Get Public Extension];
    Docs = "/docs" [Get Public Extension];
}

/// What is answered beside the API, by a router of its own, and belongs to it all the same.
pub const BESIDE: &[Route] = &[
    Route { template: "/admin/verify", operations: &[BEGIN] },
    Route { template: "/admin/rebuild", operations: &[BEGIN] },
];

/// Begins something that takes long.
const BEGIN: Operation = Operation { verb: Verb::Post, rule: Rule::Admin, part: Part::Extension };

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
            ["service", "profiles"] => Self::Profiles,
            ["service", "profiles", id] => Self::Profile(parsed("profile", id)?),
            ["service", "webhooks"] => Self::Webhooks,
            ["service", "webhooks", id] => Self::Webhook(parsed("webhook", id)?),
            ["service", "webhooks", id, "delivery"] => Self::Delivery(parsed("webhook", id)?),
            ["service", "webhooks", id, "deliveries"] => Self::Deliveries(parsed("webhook", id)?),
            ["service", "webhooks", id, "dead-letters"] => Self::DeadLetters(parsed("webhook", id)?),
            ["service", "webhooks", id, "dead-letters", "redeliver"] => Self::Redelivery(parsed("webhook", id)?),
            ["service", "webhooks", id, "dead-letters", event] => {
                Self::DeadLetter(parsed("webhook", id)?, parsed("event", event)?)
            }
            ["service", "webhooks", id, "replay"] => Self::Replay(parsed("webhook", id)?),
            ["service", "webhooks", id, "ping"] => Self::Ping(parsed("webhook", id)?),
            ["service", "webhooks", id, "secret"] => Self::SigningSecret(parsed("webhook", id)?),
            ["sources"] => Self::Sources,
            ["sources", id] => Self::Source(parsed("source", id)?),
            ["sources", id, "tags"] => Self::SourceTags(parsed("source", id)?),
            ["sources", id, "tags", name] => Self::SourceTag(parsed("source", id)?, decoded("tag", name)?),
            ["sources", id, "label"] => Self::SourceLabel(parsed("source", id)?),
            ["sources", id, "description"] => Self::SourceDescription(parsed("source", id)?),
            ["sources", id, "restore"] => Self::SourceRestore(parsed("source", id)?),
            ["flows"] => Self::Flows,
            ["flows", id] => Self::Flow(parsed("flow", id)?),
            ["flows", id, "tags"] => Self::FlowTags(parsed("flow", id)?),
            ["flows", id, "tags", name] => Self::FlowTag(parsed("flow", id)?, decoded("tag", name)?),
            ["flows", id, "label"] => Self::FlowLabel(parsed("flow", id)?),
            ["flows", id, "description"] => Self::FlowDescription(parsed("flow", id)?),
            ["flows", id, "read_only"] => Self::ReadOnly(parsed("flow", id)?),
            ["flows", id, "flow_collection"] => Self::FlowCollection(parsed("flow", id)?),
            ["flows", id, "max_bit_rate"] => Self::MaxBitRate(parsed("flow", id)?),
            ["flows", id, "avg_bit_rate"] => Self::AvgBitRate(parsed("flow", id)?),
            ["flows", id, "restore"] => Self::FlowRestore(parsed("flow", id)?),
            ["flows", id, "segments"] => Self::Segments(parsed("flow", id)?),
            ["flows", id, "segments", name, "tags"] => Self::SegmentTags(parsed("flow", id)?, segment(name)?),
            ["flows", id, "segments", name, "tags", tag] => {
                Self::SegmentTag(parsed("flow", id)?, segment(name)?, decoded("tag", tag)?)
            }
            ["flows", id, "storage"] => Self::Storage(parsed("flow", id)?),
            ["objects"] => Self::Objects,
            ["objects", id] => Self::Object(parsed("object", id)?),
            ["objects", id, "content"] => Self::Content(parsed("object", id)?),
            ["objects", id, "instances"] => Self::Instances(parsed("object", id)?),
            ["flow-delete-requests"] => Self::DeletionRequests,
            ["flow-delete-requests", id] => Self::DeletionRequest(parsed("deletion request", id)?),
            ["trash"] => Self::Trash,
            ["tags"] => Self::TagNames,
            ["tags", name] => Self::TagValues(decoded("tag", name)?),
            ["collections"] => Self::Collections,
            ["collections", id] => Self::Collection(parsed("collection", id)?),
            ["source-collections"] => Self::SourceCollections,
            ["source-collections", id] => Self::SourceCollection(parsed("source collection", id)?),
            ["audit"] => Self::Audit,
            ["audit", "export"] => Self::AuditExport,
            ["audit", "key"] => Self::AuditKey,
            ["events"] => Self::Events,
            ["oauth2", "token"] => Self::Token,
            ["auth", "me"] => Self::Me,
            ["auth", "accounts"] => Self::Accounts,
            ["auth", "accounts", name] => Self::Account(parsed("account", name)?),
            ["auth", "accounts", name, "tokens"] => Self::AccountTokens(parsed("account", name)?),
            ["auth", "accounts", name, "tokens", id] => {
                Self::AccountToken(parsed("account", name)?, parsed("token", id)?)
            }
            ["auth", "log"] => Self::AuthenticationLog,
            ["healthz"] => Self::Alive,
            ["readyz"] => Self::Ready,
            ["admin", "projections"] => Self::Projections,
            ["metrics"] => Self::Metrics,
            ["openapi.json"] => Self::OpenApi,
            ["docs"] => Self::Docs,
            _ => return Err(unknown()),
        })
    }
}

fn decoded<'a>(what: &str, step: &'a str) -> Result<Cow<'a, str>, Problem> {
    decode_percent(step).ok_or_else(|| Problem::NotFound(format!("{step} in the path is no {what}: not UTF-8")))
}

/// A segment is named by its time range, or by its object.
fn segment(step: &str) -> Result<SegmentName, Problem> {
    let text = decoded("segment", step)?;
    let range = if text.starts_with('[') { text.parse::<TimeRange>().ok() } else { None };
    match range.and_then(|range| range.start()) {
        Some((start, _)) => Ok(SegmentName::At(start)),
        None => parsed("segment", step).map(SegmentName::Object),
    }
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
    fn every_route_is_found_and_has_something_that_can_be_done() {
        for route in ROUTES {
            let path = route
                .template
                .replace("{name}", "a%2Fb")
                .replace("{eventId}", &format!("{ID}.7.0.1"))
                .replace("{account}", "ann")
                .replace("{segment}", "o-1");
            let path: Vec<_> = path.split('/').map(|step| if step.starts_with('{') { ID } else { step }).collect();
            let path = path.join("/");
            assert_eq!(Resource::parse("", &path).unwrap().route(), route, "{path}");
            assert!(!route.operations.is_empty(), "{path}");
        }
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
