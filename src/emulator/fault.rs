//! What goes wrong on request: which requests a fault strikes, how often, and with what. The server
//! applies it; ordinary refusals belong to the faces.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::{Value, json};

use super::Vendor;
use super::record::Exchange;

/// Something that goes wrong with certain requests.
///
/// ```
/// use http::Method;
/// use postroom::emulator::{Fault, FaultKind};
///
/// // The next two sends are carried out, and the connection is closed before the answer.
/// let fault = Fault::new(FaultKind::DropAfter).on(Method::POST, "/messages/send").times(2);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    kind: FaultKind,
    method: Option<Method>,
    path: String,
    is_end: bool,
    vendor: Option<Vendor>,
    skip: u32,
    times: u32,
}

/// In which way it goes wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FaultKind {
    /// This answer, with no effect. The functions of this type make those that the vendors give.
    Status {
        /// The status code.
        code: u16,
        /// The body; with `None`, what the vendor sends with this status.
        body: Option<String>,
        /// Further header fields.
        headers: Vec<(String, String)>,
    },
    /// The connection is closed with no effect and no answer.
    DropBefore,
    /// The request takes effect, then the connection is closed without an answer.
    DropAfter,
    /// The request takes effect; the answer is this status, as of a gateway that no longer waits for what is behind it
    /// (<https://learn.microsoft.com/answers/questions/2286986>: four such answers, four messages sent).
    FailAfter(u16),
    /// The answer is this status, as of a gateway that no longer waits; the request takes effect so much later, by the
    /// emulator's clock. Then is when the service gets its next request: nothing else looks at the clock.
    EffectLater {
        /// The status code.
        code: u16,
        /// How much later.
        delay: Duration,
    },
    /// The right answer with its right length, of which only the first half comes.
    Truncate,
    /// The request takes effect; the answer is so many bytes of nothing in particular.
    Garbage(usize),
    /// The request takes effect; the answer is a page of HTML with status 200.
    NotJson,
    /// The right answer, but for every value, which is null.
    Nulls,
    /// The right answer, later.
    Delay(Duration),
}

impl FaultKind {
    /// Too many requests, with or without saying when to come back.
    #[must_use]
    pub fn rate_limited(retry_after: Option<Duration>) -> Self {
        Self::status(429, retry_after)
    }

    /// The service is out for a moment.
    #[must_use]
    pub fn unavailable(retry_after: Option<Duration>) -> Self {
        Self::status(503, retry_after)
    }

    /// The service failed.
    #[must_use]
    pub fn internal_error() -> Self {
        Self::status(500, None)
    }

    /// The token is not accepted.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::status(401, None)
    }

    /// The token does not allow this.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::status(403, None)
    }

    /// There is no such thing. Both services say so of what is there, too: of messages that have just come, and of folders
    /// (<https://github.com/byeokim/gmailpush/issues/10>, <https://github.com/microsoftgraph/msgraph-sdk-dotnet/issues/259>).
    #[must_use]
    pub fn not_found() -> Self {
        Self::status(404, None)
    }

    /// What Gmail says now and then of a request that is right, whatever it asks for, and not when it is asked again: 400,
    /// `failedPrecondition`.
    /// <https://github.com/googleapis/google-api-php-client/issues/2558>,
    /// <https://github.com/googleapis/google-api-java-client-services/issues/15307>
    #[must_use]
    pub fn precondition_failed() -> Self {
        let message = "Precondition check failed.";
        let status = "FAILED_PRECONDITION";
        let body = google_error(400, status, "global", "failedPrecondition", message);
        Self::Status {
            code: 400,
            body: Some(body.to_string()),
            headers: Vec::new(),
        }
    }

    /// What Graph says now and then of what is there: 404, `ResourceNotFound`.
    /// <https://github.com/microsoftgraph/microsoft-graph-docs/issues/2914>
    #[must_use]
    pub fn resource_not_found() -> Self {
        Self::graph_error(404, "ResourceNotFound", "Resource could not be discovered.")
    }

    /// An error of Google's in its own JSON, for the many meanings of 403 and 429: such as 403,
    /// `dailyLimitExceeded`, "Daily Limit Exceeded".
    /// <https://developers.google.com/workspace/gmail/api/guides/handle-errors>
    #[must_use]
    pub fn google_error(code: u16, reason: &str, message: &str) -> Self {
        let domain = if reason.ends_with("LimitExceeded") || reason == "quotaExceeded" {
            "usageLimits"
        } else {
            "global"
        };
        let status = google_status(code);
        Self::Status {
            code,
            body: Some(google_error(code, status, domain, reason, message).to_string()),
            headers: Vec::new(),
        }
    }

    /// An error of Graph's in its own JSON, such as 403, `ErrorAccessDenied`.
    /// <https://learn.microsoft.com/graph/errors>
    #[must_use]
    pub fn graph_error(code: u16, name: &str, message: &str) -> Self {
        Self::Status {
            code,
            body: Some(json!({"error": {"code": name, "message": message}}).to_string()),
            headers: Vec::new(),
        }
    }

    /// A status with the vendor's body for it.
    fn status(code: u16, retry_after: Option<Duration>) -> Self {
        Self::Status {
            code,
            body: None,
            headers: retry_after
                .map(|wait| ("Retry-After".to_owned(), wait.as_secs().to_string()))
                .into_iter()
                .collect(),
        }
    }
}

impl Fault {
    /// Strikes the next request of all, once, unless told otherwise.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            method: None,
            path: String::new(),
            is_end: false,
            vendor: None,
            skip: 0,
            times: 1,
        }
    }

    /// Only requests with this method whose path contains `path`. Requests inside a batch are struck
    /// too, by faults that are an answer.
    pub fn on(mut self, method: Method, path: impl Into<String>) -> Self {
        self.method = Some(method);
        self.path = path.into();
        self
    }

    /// The same for requests whose path ends with `path`: for a list, and for nothing in it.
    pub fn on_end(mut self, method: Method, path: impl Into<String>) -> Self {
        self.is_end = true;
        self.on(method, path)
    }

    /// Only requests to this vendor.
    pub fn at(mut self, vendor: Vendor) -> Self {
        self.vendor = Some(vendor);
        self
    }

    /// Lets so many requests that it would strike pass first.
    pub fn after(mut self, requests: u32) -> Self {
        self.skip = requests;
        self
    }

    /// Strikes so often, then no more.
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    fn strikes(&self, vendor: Vendor, method: &Method, path: &str) -> bool {
        self.times > 0
            && self.vendor.is_none_or(|wanted| wanted == vendor)
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
            && if self.is_end {
                path.ends_with(&self.path)
            } else {
                path.contains(&self.path)
            }
    }
}

/// The faults still to come, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Mutex<Vec<Fault>>,
    late: Mutex<Vec<Late>>,
}

/// A request whose answer is given, and whose effect is still to come.
#[derive(Debug)]
struct Late {
    due: DateTime<Utc>,
    vendor: Vendor,
    exchange: Exchange,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    pub(crate) fn clear(&self) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Keeps a request until it is due.
    pub(crate) fn put_off(&self, due: DateTime<Utc>, vendor: Vendor, exchange: Exchange) {
        let late = Late {
            due,
            vendor,
            exchange,
        };
        self.late
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(late);
    }

    /// The requests to a service whose effect is due, the earliest first. They are kept no longer.
    pub(crate) fn due(&self, now: DateTime<Utc>, vendor: Vendor) -> Vec<Exchange> {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |late: &mut Late| late.vendor == vendor && late.due <= now;
        let mut due: Vec<Late> = late.extract_if(.., is_due).collect();
        due.sort_by_key(|late| late.due);
        due.into_iter().map(|late| late.exchange).collect()
    }

    /// What strikes this request, counted as having struck.
    pub(crate) fn strike(&self, vendor: Vendor, method: &Method, path: &str) -> Option<FaultKind> {
        self.strike_if(vendor, method, path, |_| true)
    }

    /// What strikes this request inside a batch: only an answer can.
    pub(crate) fn strike_inner(
        &self,
        vendor: Vendor,
        method: &Method,
        path: &str,
    ) -> Option<FaultKind> {
        self.strike_if(vendor, method, path, |kind| {
            matches!(kind, FaultKind::Status { .. })
        })
    }

    fn strike_if(
        &self,
        vendor: Vendor,
        method: &Method,
        path: &str,
        accepts: impl Fn(&FaultKind) -> bool,
    ) -> Option<FaultKind> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let position = waiting
            .iter()
            .position(|fault| accepts(&fault.kind) && fault.strikes(vendor, method, path))?;
        let fault = waiting.get_mut(position)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        let kind = fault.kind.clone();
        waiting.retain(|fault| fault.times > 0);
        Some(kind)
    }
}

/// The body that a vendor sends with a status of trouble.
pub(crate) fn vendor_body(vendor: Vendor, code: u16, now: DateTime<Utc>) -> String {
    match vendor {
        Vendor::Google => google_body(code),
        Vendor::Microsoft => microsoft_body(code, now),
    }
    .to_string()
}

fn google_body(code: u16) -> Value {
    let (message, reason) = match code {
        401 => ("Invalid Credentials", "authError"),
        403 => (
            "Request had insufficient authentication scopes.",
            "insufficientPermissions",
        ),
        404 => ("Requested entity was not found.", "notFound"),
        429 => (
            "Too many concurrent requests for user.",
            "rateLimitExceeded",
        ),
        503 => ("The service is currently unavailable.", "backendError"),
        _ => ("Internal error encountered.", "backendError"),
    };
    google_error(code, google_status(code), "global", reason, message)
}

fn google_error(code: u16, status: &str, domain: &str, reason: &str, message: &str) -> Value {
    json!({"error": {
        "code": code,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
        "status": status,
    }})
}

/// <https://cloud.google.com/apis/design/errors#handling_errors>
fn google_status(code: u16) -> &'static str {
    match code {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

/// <https://learn.microsoft.com/graph/errors>
fn microsoft_body(code: u16, now: DateTime<Utc>) -> Value {
    let (name, message) = match code {
        401 => (
            "InvalidAuthenticationToken",
            "Access token has expired or is not yet valid.",
        ),
        403 => (
            "ErrorAccessDenied",
            "Access is denied. Check credentials and try again.",
        ),
        404 => (
            "ErrorItemNotFound",
            "The specified object was not found in the store.",
        ),
        429 => (
            "ApplicationThrottled",
            "Application is over its MailboxConcurrency limit.",
        ),
        503 => (
            "ErrorServerBusy",
            "The server cannot service this request right now. Try again later.",
        ),
        _ => (
            "InternalServerError",
            "An internal server error occurred. Try again later.",
        ),
    };
    json!({"error": {
        "code": name,
        "message": message,
        "innerError": {
            "date": now.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": "00000000-0000-0000-0000-000000000000",
            "client-request-id": "00000000-0000-0000-0000-000000000000",
        },
    }})
}
