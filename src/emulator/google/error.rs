//! Google's refusals: the JSON that its APIs send with 4xx and 5xx, and the page that its front end
//! sends where no API is. When to refuse is said where the rule is.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/handle-errors>

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::super::server::html;

/// A request that is refused. Boxed, as it is carried through every result.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Box<Refusal>);

#[derive(Clone, Debug)]
struct Refusal {
    code: u16,
    status: &'static str,
    domain: &'static str,
    reason: &'static str,
    message: String,
    /// The parameter or header at fault, and which of the two it is.
    location: Option<(String, &'static str)>,
    details: Option<Value>,
    authenticate: Option<String>,
}

impl Failure {
    fn new(
        code: u16,
        status: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self(Box::new(Refusal {
            code,
            status,
            domain: "global",
            reason,
            message: message.into(),
            location: None,
            details: None,
            authenticate: None,
        }))
    }

    /// 400: the method does not take this value.
    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", "invalidArgument", message)
    }

    /// 400: the state of things does not allow it.
    pub(crate) fn failed_precondition(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", "failedPrecondition", message)
    }

    /// 400: the request is not formed as the API wants it.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", "badRequest", message)
    }

    /// 400: the body is no JSON.
    pub(crate) fn parse_error(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", "parseError", message)
    }

    /// 400: media of a kind that is not taken.
    pub(crate) fn bad_content(media_type: &str) -> Self {
        let message =
            format!("Media type '{media_type}' is not supported. Valid media types: [message/*]");
        Self::new(400, "INVALID_ARGUMENT", "badContent", message)
    }

    /// 400: a field or parameter that does not exist or does not take this value.
    pub(crate) fn invalid_payload(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let mut failure = Self::bad_request(message.clone());
        failure.0.details = Some(json!([{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": message}],
        }]));
        failure
    }

    /// 400: a `fields` parameter that selects what is not there.
    pub(crate) fn invalid_fields(selection: &str) -> Self {
        let message = format!("Invalid field selection {selection}");
        let mut failure = Self::new(400, "INVALID_ARGUMENT", "invalidParameter", message);
        failure.0.location = Some(("fields".to_owned(), "parameter"));
        failure
    }

    /// 401: no token.
    pub(crate) fn login_required() -> Self {
        let mut failure = Self::new(
            401,
            "UNAUTHENTICATED",
            "required",
            "Request is missing required authentication credential. Expected OAuth 2 access token, \
             login cookie or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
        );
        failure.0.location = Some(("Authorization".to_owned(), "header"));
        failure.0.details = Some(error_info("CREDENTIALS_MISSING", "googleapis.com"));
        failure.0.authenticate = Some("Bearer realm=\"https://accounts.google.com/\"".to_owned());
        failure
    }

    /// 401: a token that is worth nothing, or nothing any more.
    pub(crate) fn invalid_credentials() -> Self {
        let mut failure = Self::new(
            401,
            "UNAUTHENTICATED",
            "authError",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login \
             cookie or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project.",
        );
        failure.0.location = Some(("Authorization".to_owned(), "header"));
        failure.0.details = Some(error_info("ACCESS_TOKEN_EXPIRED", "googleapis.com"));
        failure.0.authenticate = Some(
            "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"".to_owned(),
        );
        failure
    }

    /// 403: the token lacks every scope that would do.
    pub(crate) fn insufficient_scope(sufficient: &[&str]) -> Self {
        let mut failure = Self::new(
            403,
            "PERMISSION_DENIED",
            "insufficientPermissions",
            "Request had insufficient authentication scopes.",
        );
        failure.0.details = Some(error_info(
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "googleapis.com",
        ));
        failure.0.authenticate = Some(format!(
            "Bearer realm=\"https://accounts.google.com/\", error=\"insufficient_scope\", \
             scope=\"{}\"",
            sufficient.join(" ")
        ));
        failure
    }

    /// 403: what the scope allows, but not like this.
    pub(crate) fn metadata_scope(message: &str) -> Self {
        Self::new(403, "PERMISSION_DENIED", "forbidden", message)
    }

    /// 403: the mailbox of somebody else.
    pub(crate) fn delegation_denied(user: &str) -> Self {
        let message = format!("Delegation denied for {user}");
        Self::new(403, "PERMISSION_DENIED", "forbidden", message)
    }

    /// 403: the units of this minute are spent.
    pub(crate) fn quota_exceeded() -> Self {
        let mut failure = Self::new(
            403,
            "PERMISSION_DENIED",
            "rateLimitExceeded",
            "Quota exceeded for quota metric 'Total Query Cost' and limit 'Units per minute per \
             user' of service 'gmail.googleapis.com' for consumer 'project_number:318250479861'.",
        );
        failure.0.domain = "usageLimits";
        failure.0.details = Some(json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": {
                "service": "gmail.googleapis.com",
                "quota_limit": "UnitsPerMinutePerUser",
                "quota_location": "global",
            },
        }]));
        failure
    }

    /// 429: too much at once.
    pub(crate) fn too_many_concurrent() -> Self {
        Self::new(
            429,
            "RESOURCE_EXHAUSTED",
            "rateLimitExceeded",
            "Too many concurrent requests for user.",
        )
    }

    /// 404: no such message, thread, draft or label.
    pub(crate) fn not_found_because(message: impl Into<String>) -> Self {
        Self::new(404, "NOT_FOUND", "notFound", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            404,
            "NOT_FOUND",
            "notFound",
            "Requested entity was not found.",
        )
    }

    /// 409: there is one already.
    pub(crate) fn already_exists(message: &str) -> Self {
        Self::new(409, "ALREADY_EXISTS", "aborted", message)
    }

    /// 413: more than the method takes.
    pub(crate) fn too_large() -> Self {
        Self::new(
            413,
            "INVALID_ARGUMENT",
            "uploadTooLarge",
            "The message exceeds the maximum message size.",
        )
    }

    pub(crate) fn body(&self) -> Value {
        let mut error = json!({
            "message": self.0.message,
            "domain": self.0.domain,
            "reason": self.0.reason,
        });
        if let (Some((location, kind)), Some(error)) = (&self.0.location, error.as_object_mut()) {
            error.insert("location".to_owned(), json!(location));
            error.insert("locationType".to_owned(), json!(kind));
        }
        let mut body = json!({
            "code": self.0.code,
            "message": self.0.message,
            "errors": [error],
            "status": self.0.status,
        });
        if let (Some(details), Some(body)) = (&self.0.details, body.as_object_mut()) {
            body.insert("details".to_owned(), details.clone());
        }
        json!({ "error": body })
    }

    pub(crate) fn into_response(self, pretty: bool) -> Response<Body> {
        let body = self.body();
        let text = if pretty {
            format!("{body:#}\n")
        } else {
            body.to_string()
        };
        let mut builder = Response::builder()
            .status(self.0.code)
            .header(header::CONTENT_TYPE, "application/json; charset=UTF-8");
        if let Some(authenticate) = &self.0.authenticate {
            builder = builder.header(header::WWW_AUTHENTICATE, authenticate);
        }
        builder
            .body(Body::from(text))
            .unwrap_or_else(|_| malformed())
    }
}

fn error_info(reason: &str, domain: &str) -> Value {
    json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": {"service": "gmail.googleapis.com"},
    }])
}

/// The front end's page for a path that leads nowhere.
pub(crate) fn nowhere(path: &str) -> Response<Body> {
    let path = html_escape::encode_text(path);
    html(
        StatusCode::NOT_FOUND,
        format!(
            "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n\
             <p><b>404.</b> <ins>That\u{2019}s an error.</ins>\n<p>The requested URL \
             <code>{path}</code> was not found on this server.  <ins>That\u{2019}s all we \
             know.</ins>\n"
        ),
    )
}

/// The front end's page for what is hardly HTTP.
pub(crate) fn malformed() -> Response<Body> {
    html(
        StatusCode::BAD_REQUEST,
        "<!DOCTYPE html>\n<html lang=en>\n<title>Error 400 (Bad Request)!!1</title>\n\
         <p><b>400.</b> <ins>That\u{2019}s an error.</ins>\n<p>Your client has issued a malformed \
         or illegal request.  <ins>That\u{2019}s all we know.</ins>\n",
    )
}
