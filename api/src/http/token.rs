//! Tokens for who has credentials of this store (OAuth 2, RFC 6749).

use std::borrow::Cow;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue, PRAGMA};
use schemars::JsonSchema;
use serde::Serialize;
use tapelog_commands::{Command, Rejection};
use tapelog_store::sequencer::SubmitError;
use url::form_urlencoded;

use super::call::Call;
use super::problem::Problem;
use super::response::{self, Response};
use super::write::submit_once;
use crate::auth::{Grant, GrantError, scopes_text};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GrantedToken")]
pub struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// The members of 5.2, and those that every other problem of ours has.
#[derive(Serialize)]
struct ErrorResponse<'a> {
    error: &'a str,
    error_description: &'a str,
    message: &'a str,
    status: u16,
    instance: String,
}

/// A refusal in the words of the protocol.
struct Refusal {
    error: &'static str,
    description: String,
}

fn bad(description: impl Into<String>) -> Refusal {
    Refusal { error: "invalid_request", description: description.into() }
}

/// `POST /oauth2/token`.
pub async fn post(call: &Call<'_>) -> Result<Response, Problem> {
    let fields = form_urlencoded::parse(&call.body).collect::<Vec<_>>();
    let asked = match read(&fields) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refused(call, StatusCode::BAD_REQUEST, &refusal)),
    };
    let refreshed = matches!(asked.grant, Grant::RefreshToken(_));
    let granted = call.app.parts.authenticator.grant(call.head, asked.grant, asked.scope, call.id).await;
    let granted = match granted {
        Ok(granted) => granted,
        Err(GrantError::Client(problem)) => return client_refused(call, problem),
        Err(GrantError::Grant(description)) => return Ok(grant_refused(call, description)),
        Err(error @ GrantError::Scope) => {
            let refusal = Refusal { error: "invalid_scope", description: error.to_string() };
            return Ok(refused(call, StatusCode::BAD_REQUEST, &refusal));
        }
    };
    let refresh_token = match granted.refresh {
        None => None,
        Some((text, issue)) => match submit_once(call, granted.account.as_str(), Command::IssueToken(issue)).await {
            Ok(_) => Some(text.expose()),
            // Between the look at the token and now it was used by somebody else.
            Err(SubmitError::Rejected { rejection: Rejection::TokenNotFound(_), .. }) => {
                return Ok(grant_refused(call, "the refresh token has been used".to_owned()));
            }
            Err(error) => return Err(error.into()),
        },
    };
    call.app.parts.authenticator.note_grant(&granted.account, refreshed, call.head, call.id);
    let mut response = response::ok(&TokenResponse {
        access_token: &granted.access_token,
        token_type: "Bearer",
        expires_in: granted.validity.as_secs(),
        scope: scopes_text(&granted.scopes),
        refresh_token,
    });
    keep_nowhere(response.headers_mut());
    Ok(response)
}

struct Asked<'a> {
    grant: Grant,
    scope: Option<&'a str>,
}

/// What a form asks for.
fn read<'a>(fields: &'a [(Cow<'_, str>, Cow<'_, str>)]) -> Result<Asked<'a>, Refusal> {
    let field = |wanted: &str| {
        let mut values = fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_ref());
        match (values.next(), values.next()) {
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
            (_, Some(_)) => Err(bad(format!("{wanted} is there twice"))),
        }
    };
    let grant = match field("grant_type")? {
        Some("client_credentials") => Grant::ClientCredentials(match (field("client_id")?, field("client_secret")?) {
            (Some(id), Some(secret)) => Some((id.to_owned(), secret.to_owned())),
            (_, None) => None,
            (None, Some(_)) => return Err(bad("client_secret is there without client_id")),
        }),
        Some("refresh_token") => {
            let token = field("refresh_token")?.ok_or_else(|| bad("refresh_token is missing"))?;
            Grant::RefreshToken(token.to_owned())
        }
        Some(_) => {
            let description = "grant_type is neither client_credentials nor refresh_token".to_owned();
            return Err(Refusal { error: "unsupported_grant_type", description });
        }
        None => return Err(bad("grant_type is missing; the body is a form (application/x-www-form-urlencoded)")),
    };
    Ok(Asked { grant, scope: field("scope")? })
}

fn client_refused(call: &Call<'_>, problem: Problem) -> Result<Response, Problem> {
    match problem {
        Problem::Unauthenticated { text, challenge } => {
            let refusal = Refusal { error: "invalid_client", description: text };
            let mut response = refused(call, StatusCode::UNAUTHORIZED, &refusal);
            response.headers_mut().insert(hyper::header::WWW_AUTHENTICATE, challenge);
            Ok(response)
        }
        problem => Err(problem),
    }
}

fn grant_refused(call: &Call<'_>, description: String) -> Response {
    refused(call, StatusCode::BAD_REQUEST, &Refusal { error: "invalid_grant", description })
}

fn refused(call: &Call<'_>, status: StatusCode, Refusal { error, description }: &Refusal) -> Response {
    let body = ErrorResponse {
        error,
        error_description: description,
        message: description,
        status: status.as_u16(),
        instance: call.id.to_string(),
    };
    let mut response = response::json(status, response::encode(&body));
    keep_nowhere(response.headers_mut());
    response
}

/// Says that an answer holds a secret.
pub fn keep_nowhere(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
}
