//! Graph's errors and the one shape that all of them have. When which one is due is left to the files
//! that read requests.
//! <https://learn.microsoft.com/en-us/graph/errors>

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

/// An error answer.
#[derive(Debug)]
pub(crate) struct GraphError {
    pub(crate) status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    /// Further header fields.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl GraphError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The token is missing, over, or somebody else's.
    pub(crate) fn unauthorized(message: &'static str) -> Self {
        let mut error = Self::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            message,
        );
        error.headers.push((
            "www-authenticate",
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
             client_id=\"00000003-0000-0000-c000-000000000000\""
                .to_owned(),
        ));
        error
    }

    /// The token does not allow it.
    pub(crate) fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "ErrorAccessDenied",
            "Access is denied. Check credentials and try again.",
        )
    }

    /// The account has no mailbox that this API reaches.
    pub(crate) fn no_mailbox() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    }

    pub(crate) fn item_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ErrorItemNotFound",
            "The specified object was not found in the store., The process failed to get the correct properties.",
        )
    }

    pub(crate) fn folder_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ErrorItemNotFound",
            "The specified folder could not be found in the store.",
        )
    }

    pub(crate) fn malformed_id() -> Self {
        Self::bad_request("ErrorInvalidIdMalformed", "Id is malformed.")
    }

    pub(crate) fn no_such_segment(segment: &str) -> Self {
        let message = format!("Resource not found for the segment '{segment}'.");
        Self::bad_request("BadRequest", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            "Specified HTTP method is not allowed for the request target.",
        )
    }

    /// The URL's query cannot be read.
    pub(crate) fn query(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request("RequestBroker--ParseUri", message)
    }

    /// The body is not what the operation takes.
    pub(crate) fn body(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request("RequestBodyRead", message)
    }

    /// <https://learn.microsoft.com/en-us/graph/throttling-limits#outlook-service-limits>
    pub(crate) fn throttled() -> Self {
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "ApplicationThrottled",
            "Application is over its MailboxConcurrency limit.",
        );
        // Nearly always one second, whatever the load:
        // <https://github.com/microsoftgraph/msgraph-sdk-javascript/issues/297>
        error.headers.push(("retry-after", "1".to_owned()));
        error
    }

    /// The body, with the ids that support asks for.
    pub(crate) fn to_json(&self, now: DateTime<Utc>, request_id: &str, client_id: &str) -> Value {
        json!({"error": {
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": now.format("%Y-%m-%dT%H:%M:%S").to_string(),
                "request-id": request_id,
                "client-request-id": client_id,
            },
        }})
    }
}
