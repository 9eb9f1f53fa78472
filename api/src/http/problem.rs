//! What goes wrong, as an answer: the one place that knows the status codes of refusals and failures.
//!
//! A body has what the specification's `error.json` requires (`type`, `summary`, `time`), the members of RFC 9457, and
//! `message`, which clients of other servers read (1.2). Causes stay in this server's log.

use std::time::Duration;

use hyper::header::{ACCEPT_ENCODING, ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::Rejection;
use tapelog_events::{Instant, Position, SegmentFailureKind, Seq};
use tapelog_projections::InvalidCursor;
use tapelog_store::sequencer::SubmitError;

use super::response::{self, Response};

/// Why a request has no other answer. The text is for the client: a sentence that names the parameter or field.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A parameter, a header or the body is not as it must be.
    #[error("{0}")]
    Invalid(String),
    /// What the path names is not there.
    #[error("{0}")]
    NotFound(String),
    /// The request has no credentials, or none that hold (1.1).
    #[error("{text}")]
    Unauthenticated {
        /// Why they do not hold.
        text: String,
        /// How a client may say who it is.
        challenge: HeaderValue,
    },
    /// Credentials are not looked at, after too many wrong ones.
    #[error("there were too many wrong passwords; try again in {} seconds", retry_after.as_secs().max(1))]
    TooManyAttempts {
        /// After how long they are.
        retry_after: Duration,
    },
    /// Whoever asks may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// Something stands in the way, which the client can put right.
    #[error("{0}")]
    Conflict(String),
    /// The path names something that has other methods.
    #[error("the method is not one of {allow}")]
    MethodNotAllowed {
        /// The methods that it has, as in the header `Allow`.
        allow: String,
    },
    /// The body is longer than may be.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLarge {
        /// What may be, in bytes.
        limit: usize,
    },
    /// The body came too slowly.
    #[error("the body did not come within {seconds} seconds")]
    BodyTooSlow {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The server has as many large bodies as it can hold.
    #[error("the server reads too many large bodies at once")]
    Busy,
    /// The body is compressed in a way that is not known.
    #[error("header Content-Encoding: {0} is not known; bodies may come with gzip or none")]
    Encoding(String),
    /// The server has as many requests at work as it may have.
    #[error("the server has too many requests at work")]
    Overloaded,
    /// The answer takes too long.
    #[error("the answer was not there within {seconds} seconds")]
    TooSlow {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The request was refused, or could not be written.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The tables did not reach the client's position in time.
    #[error("position {wanted} is not reached yet; this server is at record {reached}")]
    PositionNotReached {
        /// Where the tables should be.
        wanted: Position,
        /// Where they are.
        reached: Seq,
    },
    /// The client's position is one of another life of the log.
    #[error("position {wanted} is not one of this log, whose positions begin with {present}")]
    PositionOfOtherLife {
        /// The client's position.
        wanted: Position,
        /// A position of this life.
        present: Position,
    },
    /// The object storage did not do what it should.
    #[error("the object storage does not answer as it should")]
    StorageUnavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// A part of the server that the answer needs is not ready.
    #[error("not ready: {0}")]
    NotReady(String),
    /// The same, where it is a truth about the tables: at which record it was seen.
    #[error("{problem}")]
    Seen {
        /// What is wrong.
        problem: Box<Problem>,
        /// The last record that the tables held.
        seq: Seq,
    },
    /// A fault of the server's.
    #[error("the server failed; its log says why, under this request id")]
    Internal,
}

/// How a problem is told.
struct Form {
    status: StatusCode,
    kind: &'static str,
    retry_after: Option<Duration>,
}

impl Form {
    const fn new(status: StatusCode, kind: &'static str) -> Self {
        Self { status, kind, retry_after: None }
    }

    const fn later(kind: &'static str, retry_after: Duration) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, kind, retry_after: Some(retry_after) }
    }
}

/// After what a client may try again where nothing better is known.
const SOON: Duration = Duration::from_secs(1);

/// `error.json` and RFC 9457 in one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Body<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    summary: &'a str,
    message: &'a str,
    instance: &'a str,
    time: Instant,
}

impl Problem {
    /// A parameter, a header or the body is not as it must be.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// The answer, which names the request by its id.
    pub fn response(&self, request_id: &str, time: Instant) -> Response {
        let Form { status, kind, retry_after } = self.form();
        let text = self.to_string();
        let mut response = response::json(
            status,
            response::encode(&Body {
                r#type: kind,
                title: status.canonical_reason().unwrap_or(kind),
                status: status.as_u16(),
                detail: &text,
                summary: &text,
                message: &text,
                instance: request_id,
                time,
            }),
        );
        let headers = response.headers_mut();
        if let Some(pause) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs().max(1)));
        }
        if let Self::Encoding(_) = self {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Self::Unauthenticated { challenge, .. } = self {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        if let Self::MethodNotAllowed { allow } = self {
            headers.insert(ALLOW, HeaderValue::try_from(allow).expect("names of methods are visible characters"));
        }
        response
    }

    /// The same problem, seen in the tables as they are at this record.
    pub fn seen_at(self, seq: Seq) -> Self {
        Self::Seen { problem: Box::new(self), seq }
    }

    /// The record at which this became known, where it is a truth about the tables.
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Self::Submit(SubmitError::Rejected { seq, .. }) | Self::Seen { seq, .. } => Some(*seq),
            _ => None,
        }
    }

    /// Whether it passes, so that the request may be sent again as it is.
    pub fn is_passing(&self) -> bool {
        self.form().retry_after.is_some()
    }

    /// Its status and its kind, for where it stands inside another answer.
    pub fn status_and_kind(&self) -> (u16, &'static str) {
        let Form { status, kind, .. } = self.form();
        (status.as_u16(), kind)
    }

    fn form(&self) -> Form {
        match self {
            Self::Invalid(_) => Form::new(StatusCode::BAD_REQUEST, "invalid_request"),
            Self::NotFound(_) => Form::new(StatusCode::NOT_FOUND, "not_found"),
            Self::Unauthenticated { .. } => Form::new(StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::TooManyAttempts { retry_after } => Form {
                retry_after: Some(*retry_after),
                ..Form::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts")
            },
            Self::Forbidden(_) => Form::new(StatusCode::FORBIDDEN, "forbidden"),
            Self::Conflict(_) => Form::new(StatusCode::CONFLICT, "conflict"),
            Self::MethodNotAllowed { .. } => Form::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodyTooLarge { .. } => Form::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BodyTooSlow { .. } => Form::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Self::Busy => Form::later("busy", SOON),
            Self::Overloaded => Form::later("overloaded", SOON),
            Self::TooSlow { .. } => Form::later("too_slow", SOON),
            Self::Encoding(_) => Form::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
            Self::Submit(error) => submit_form(error),
            Self::PositionNotReached { .. } => Form::later("position_not_reached", SOON),
            Self::PositionOfOtherLife { .. } => Form::new(StatusCode::PRECONDITION_FAILED, "position_of_other_log"),
            Self::StorageUnavailable { retry_after } => Form::later("storage_unavailable", *retry_after),
            Self::NotReady(_) => Form::later("not_ready", SOON),
            Self::Seen { problem, .. } => problem.form(),
            Self::Internal => Form::new(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

fn submit_form(error: &SubmitError) -> Form {
    match error {
        SubmitError::Rejected { rejection, .. } => rejection_form(rejection),
        SubmitError::Busy { retry_after } => Form::later("busy", *retry_after),
        SubmitError::Unavailable { retry_after } => Form::later("log_unavailable", *retry_after),
        SubmitError::TooLarge { .. } => Form::new(StatusCode::PAYLOAD_TOO_LARGE, "record_too_large"),
        // Not 503, which says that nothing happened.
        SubmitError::OutcomeUnknown => Form::new(StatusCode::INTERNAL_SERVER_ERROR, "outcome_unknown"),
        SubmitError::Halted => Form::new(StatusCode::SERVICE_UNAVAILABLE, "log_broken"),
        SubmitError::ShuttingDown => Form::later("shutting_down", SOON),
    }
}

fn rejection_form(rejection: &Rejection) -> Form {
    let (status, kind) = match rejection {
        Rejection::FlowNotFound(_) => (StatusCode::NOT_FOUND, "flow_not_found"),
        Rejection::FlowExists(_) => (StatusCode::CONFLICT, "flow_exists"),
        Rejection::SourceNotFound(_) => (StatusCode::NOT_FOUND, "source_not_found"),
        Rejection::TagNotFound(_) => (StatusCode::NOT_FOUND, "tag_not_found"),
        Rejection::ReadOnly(_) => (StatusCode::FORBIDDEN, "flow_read_only"),
        Rejection::FormatOfSource { .. } => (StatusCode::BAD_REQUEST, "format_of_source"),
        Rejection::FormatOfFlow { .. } => (StatusCode::BAD_REQUEST, "format_of_flow"),
        Rejection::UnknownMember(_) => (StatusCode::BAD_REQUEST, "unknown_member"),
        Rejection::CollectionCycle(_) => (StatusCode::BAD_REQUEST, "collection_cycle"),
        Rejection::UnknownProfile(_) => (StatusCode::BAD_REQUEST, "unknown_profile"),
        Rejection::FromProfile => (StatusCode::BAD_REQUEST, "value_from_profile"),
        Rejection::NoContainer(_) => (StatusCode::BAD_REQUEST, "no_container"),
        Rejection::HasSegments(_) => (StatusCode::BAD_REQUEST, "flow_has_segments"),
        Rejection::ObjectsExist(_) => (StatusCode::BAD_REQUEST, "objects_exist"),
        Rejection::ObjectTwice(_) => (StatusCode::BAD_REQUEST, "object_twice"),
        Rejection::Segment(kind) => (StatusCode::BAD_REQUEST, segment_failure_type(kind)),
        Rejection::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
        Rejection::Reclassified => (StatusCode::FORBIDDEN, "classes_not_yours"),
        Rejection::BeingDeleted(_) => (StatusCode::FORBIDDEN, "flow_being_deleted"),
        Rejection::HasDependents(_) => (StatusCode::CONFLICT, "has_dependents"),
        Rejection::FlowInTrash(_) => (StatusCode::BAD_REQUEST, "flow_in_trash"),
        Rejection::NotInTrash(_) => (StatusCode::NOT_FOUND, "not_in_trash"),
        Rejection::SegmentNotFound(_) => (StatusCode::NOT_FOUND, "segment_not_found"),
        Rejection::SegmentAmbiguous(_) => (StatusCode::BAD_REQUEST, "segment_ambiguous"),
        Rejection::ProfileExists(_) => (StatusCode::BAD_REQUEST, "profile_exists"),
        Rejection::StillLinked => (StatusCode::BAD_REQUEST, "flow_linked_to_profile"),
        Rejection::WebhookNotFound(_) => (StatusCode::NOT_FOUND, "webhook_not_found"),
        Rejection::DeadLetterNotFound(..) => (StatusCode::NOT_FOUND, "dead_letter_not_found"),
        Rejection::WebhookInError => (StatusCode::BAD_REQUEST, "webhook_in_error"),
        Rejection::ObjectNotFound(_) => (StatusCode::NOT_FOUND, "object_not_found"),
        Rejection::ObjectInUse(_) => (StatusCode::CONFLICT, "object_in_use"),
        Rejection::InstanceExists(_) => (StatusCode::BAD_REQUEST, "instance_exists"),
        Rejection::InstanceNotFound(_) => (StatusCode::NOT_FOUND, "instance_not_found"),
        Rejection::LastInstance(_) => (StatusCode::BAD_REQUEST, "last_instance"),
        Rejection::LabelOfBackend(_) => (StatusCode::BAD_REQUEST, "label_of_backend"),
        Rejection::LabelTaken(_) => (StatusCode::BAD_REQUEST, "label_taken"),
        Rejection::AccountNotFound(_) => (StatusCode::NOT_FOUND, "account_not_found"),
        Rejection::AccountExists(_) => (StatusCode::CONFLICT, "account_exists"),
        Rejection::AccountDisabled(_) => (StatusCode::FORBIDDEN, "account_disabled"),
        Rejection::TokenNotFound(_) => (StatusCode::NOT_FOUND, "token_not_found"),
        Rejection::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
    };
    Form::new(status, kind)
}

/// The error type of one refused segment.
pub fn segment_failure_type(kind: &SegmentFailureKind) -> &'static str {
    match kind {
        SegmentFailureKind::Invalid { .. } => "segment_invalid",
        SegmentFailureKind::InitRequired => "segment_init_required",
        SegmentFailureKind::InitForbidden => "segment_init_forbidden",
        SegmentFailureKind::UnknownInitObject => "segment_unknown_init_object",
        SegmentFailureKind::OtherUse { .. } => "segment_object_used_otherwise",
        SegmentFailureKind::NotReadable => "segment_object_not_readable",
        SegmentFailureKind::BeingDeleted { .. } => "segment_being_deleted",
        SegmentFailureKind::Overlap { .. } => "segment_overlap",
        SegmentFailureKind::UnknownObject => "segment_unknown_object",
        SegmentFailureKind::AllocatedElsewhere => "segment_allocated_elsewhere",
        SegmentFailureKind::ObjectDiffers { .. } => "segment_object_differs",
        SegmentFailureKind::OutsideObject { .. } => "segment_outside_object",
        SegmentFailureKind::LabelOfBackend { .. } => "segment_label_of_backend",
        SegmentFailureKind::LabelTaken { .. } => "segment_label_taken",
    }
}

impl From<InvalidCursor> for Problem {
    fn from(error: InvalidCursor) -> Self {
        Self::Invalid(format!("query parameter page: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tapelog_events::ObjectId;

    use super::*;

    fn rejected(rejection: Rejection) -> Problem {
        SubmitError::Rejected { rejection, seq: Seq(7) }.into()
    }

    async fn told(problem: Problem) -> (Response, serde_json::Value) {
        let response = problem.response("request-1", Instant::from_micros(0));
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&body).unwrap();
        (Response::from_parts(head, body.into()), value)
    }

    #[tokio::test]
    async fn a_body_satisfies_the_error_schema_rfc_9457_and_clients_that_read_message() {
        let ids: Vec<ObjectId> = vec!["a".parse().unwrap()];
        let (response, body) = told(rejected(Rejection::ObjectsExist(ids))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(body["status"], 400);
        assert_eq!(body["type"], "objects_exist");
        assert_eq!(body["instance"], "request-1");
        assert_eq!(body["time"], "1970-01-01T00:00:00.000000Z");
        assert!(body["message"].as_str().unwrap().contains("already exist"), "{body}");
        for member in ["title", "detail", "summary"] {
            assert!(body[member].is_string(), "{member}");
        }
    }

    #[tokio::test]
    async fn what_passes_says_when_to_try_again_and_what_may_have_happened_is_no_503() {
        let retry_after = Duration::from_millis(200);
        let (busy, _) = told(SubmitError::Busy { retry_after }.into()).await;
        assert_eq!(
            (busy.status(), &busy.headers()[RETRY_AFTER]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
        let (unknown, _) = told(SubmitError::OutcomeUnknown.into()).await;
        assert_eq!(unknown.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let (method, _) = told(Problem::MethodNotAllowed { allow: "GET, HEAD".to_owned() }).await;
        assert_eq!(method.headers()[ALLOW], "GET, HEAD");
    }

    #[test]
    fn a_locked_flow_is_403_and_what_is_missing_404() {
        let flow = "4f79cfd1-c057-47f4-8e4d-1b126ca7bf34".parse().unwrap();
        for (rejection, status) in [
            (Rejection::ReadOnly(flow), StatusCode::FORBIDDEN),
            (Rejection::FlowNotFound(flow), StatusCode::NOT_FOUND),
            (Rejection::TagNotFound("t".to_owned()), StatusCode::NOT_FOUND),
            (Rejection::NoContainer(flow), StatusCode::BAD_REQUEST),
            (Rejection::Segment(SegmentFailureKind::UnknownObject), StatusCode::BAD_REQUEST),
            (Rejection::IdempotencyKeyReused, StatusCode::UNPROCESSABLE_ENTITY),
        ] {
            let problem = rejected(rejection);
            assert_eq!(problem.form().status, status, "{problem}");
            assert_eq!(problem.seq(), Some(Seq(7)));
        }
    }
}
