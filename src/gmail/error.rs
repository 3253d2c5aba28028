//! What Gmail's error answers mean. Only codes and ids are taken from them; their texts may quote mail, so they are
//! compared and never repeated.
//!
//! Sources: <https://developers.google.com/workspace/gmail/api/guides/handle-errors>,
//! <https://docs.cloud.google.com/apis/design/errors>.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::convert::{quota_named, until_next_day};
use super::wire::{ErrorAnswer, ErrorObject};
use crate::error::{Delivery, Error, ErrorKind};
use crate::http::{Answer, of_registration};

/// Stands for a `failedPrecondition` whose text says that the account has no mailbox: no code of Google's says so.
const MAIL_NOT_ENABLED: &str = "mailServiceNotEnabled";

/// The same for a filter that is there already.
const FILTER_EXISTS: &str = "filterExists";

/// The same for a watch that goes to another topic.
const WATCHED_ELSEWHERE: &str = "watchedElsewhere";

/// The same for a topic that Gmail may not publish to, or that belongs to another project.
const TOPIC_UNUSABLE: &str = "topicUnusable";

const OWN_CODES: [&str; 4] = [
    MAIL_NOT_ENABLED,
    FILTER_EXISTS,
    WATCHED_ELSEWHERE,
    TOPIC_UNUSABLE,
];

/// What a code means, whatever the status beside it: rate limits come as 403 and as 429. The first that is given
/// holds.
const BY_CODE: &[(&str, ErrorKind, &str)] = &[
    (
        MAIL_NOT_ENABLED,
        ErrorKind::MailboxUnavailable,
        "the account has no Gmail mailbox",
    ),
    (
        "dailyLimitExceeded",
        ErrorKind::QuotaExceeded,
        "a daily or sending limit is used up",
    ),
    (
        "quotaExceeded",
        ErrorKind::QuotaExceeded,
        "a daily or sending limit is used up",
    ),
    (
        "rateLimitExceeded",
        ErrorKind::RateLimited,
        "the service asks to slow down",
    ),
    (
        "userRateLimitExceeded",
        ErrorKind::RateLimited,
        "the service asks to slow down",
    ),
    (
        "RATE_LIMIT_EXCEEDED",
        ErrorKind::RateLimited,
        "the service asks to slow down",
    ),
    (
        "insufficientPermissions",
        ErrorKind::PermissionDenied,
        "the account's access does not cover this",
    ),
    (
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        ErrorKind::PermissionDenied,
        "the account's access does not cover this",
    ),
    (
        "domainPolicy",
        ErrorKind::AdminConsentRequired,
        "the organisation's administrators do not let this application use Gmail",
    ),
    (
        "accessNotConfigured",
        ErrorKind::Configuration,
        "the Gmail API is not enabled for the application's project",
    ),
    (
        "SERVICE_DISABLED",
        ErrorKind::Configuration,
        "the Gmail API is not enabled for the application's project",
    ),
    // The service gives a name that is taken the reason of what was overtaken; only its status tells them apart.
    (
        "ALREADY_EXISTS",
        ErrorKind::Conflict,
        "there is one of that name already",
    ),
    (
        "alreadyExists",
        ErrorKind::Conflict,
        "there is one of that name already",
    ),
    (
        "duplicate",
        ErrorKind::Conflict,
        "there is one of that name already",
    ),
    (
        FILTER_EXISTS,
        ErrorKind::Conflict,
        "there is the same filter already",
    ),
    (
        WATCHED_ELSEWHERE,
        ErrorKind::Conflict,
        "what happens in the mailbox is told to another topic already",
    ),
    (
        TOPIC_UNUSABLE,
        ErrorKind::Configuration,
        "the topic is of another project than the application, or gmail-api-push@system.gserviceaccount.com may not publish \
         to it",
    ),
    (
        "aborted",
        ErrorKind::Unavailable,
        "another change got in between",
    ),
    (
        "ABORTED",
        ErrorKind::Unavailable,
        "another change got in between",
    ),
    (
        "failedPrecondition",
        ErrorKind::InvalidRequest,
        "the mailbox is not in the state that this needs",
    ),
];

/// What a status means where no code says it better.
fn by_status(status: u16) -> (ErrorKind, &'static str) {
    match status {
        401 => (
            ErrorKind::SignInRequired,
            "the access token was not accepted",
        ),
        403 => (
            ErrorKind::PermissionDenied,
            "the account's access does not cover this",
        ),
        404 | 410 => (ErrorKind::NotFound, "there is no such item"),
        409 | 412 => (
            ErrorKind::Conflict,
            "the name is taken, or it was changed meanwhile",
        ),
        413 => (
            ErrorKind::InvalidRequest,
            "the message is larger than the service takes",
        ),
        429 => (ErrorKind::RateLimited, "the service asks to slow down"),
        408 | 500..=599 => (ErrorKind::Unavailable, "the service is failing"),
        400..=499 => (
            ErrorKind::InvalidRequest,
            "the service refused the request as wrong",
        ),
        _ => (
            ErrorKind::Protocol,
            "the service answered in a way that is not documented",
        ),
    }
}

/// The error that an unsuccessful answer means, whole or part of a batch. Its body may be Google's JSON, a proxy's HTML,
/// or nothing.
pub(super) fn classify(answer: &Answer) -> Error {
    let status = answer.status.as_u16();
    let object = answer
        .json::<ErrorAnswer>()
        .and_then(|answer| answer.error)
        .unwrap_or_default();
    let codes = codes(&object);
    let known = BY_CODE
        .iter()
        .find(|(known, ..)| status != 401 && codes.contains(known));
    let (mut kind, mut message) =
        known.map_or_else(|| by_status(status), |(_, kind, message)| (*kind, *message));
    let quota = matches!(kind, ErrorKind::RateLimited | ErrorKind::QuotaExceeded)
        .then(|| quota_named(&object, &codes));
    if let Some(quota) = quota.filter(|quota| quota.of_project) {
        (kind, message) = match quota.of_day {
            true => (
                ErrorKind::QuotaExceeded,
                "the application's quota of the day is used up",
            ),
            false => (
                ErrorKind::RateLimited,
                "the service asks the application to slow down",
            ),
        };
    }
    let mut error = Error::new(kind, message).with_delivery(delivery(status, kind));
    if let Some(code) = codes.iter().find(|code| !OWN_CODES.contains(code)) {
        error = error.with_code(*code);
    }
    let mut details = object.details.iter().flatten().flatten();
    if let Some(id) = details.find_map(|detail| code(detail.request_id.as_ref())) {
        error = error.with_request_id(id);
    }
    if let Some(quota) = quota {
        if quota.of_project {
            error = of_registration(error);
        }
        if quota.of_day
            && let Some(now) = answer.date()
        {
            error = error.with_retry_after(until_next_day(now));
        }
    }
    // A lockout names the instant of its end. It is one of Google's clock and is read against that clock.
    if let (Some(until), Some(now)) = (locked_until(&object), answer.date()) {
        let wait = (until - now).to_std().unwrap_or_default();
        error = error.with_retry_after(wait.max(Duration::from_secs(1)));
    }
    error
}

/// Only refusals prove that nothing happened.
fn delivery(status: u16, kind: ErrorKind) -> Delivery {
    match (status, kind) {
        (401, _) | (400..=499, ErrorKind::RateLimited | ErrorKind::QuotaExceeded) => {
            Delivery::NotSent
        }
        (408 | 500..=599, _) => Delivery::Unknown,
        _ => Delivery::Answered,
    }
}

/// Every code given, the most telling first.
fn codes(object: &ErrorObject) -> Vec<&str> {
    let errors = object.errors.iter().flatten().flatten();
    let details = object.details.iter().flatten().flatten();
    let told = match text(object.message.as_ref()) {
        Some("Mail service not enabled") => Some(MAIL_NOT_ENABLED),
        Some("Filter already exists") => Some(FILTER_EXISTS),
        // <https://github.com/Eagnir/GmailNotify-PubSub-GCP/issues/2>
        Some(text) if text.starts_with("Only one user push notification client allowed") => {
            Some(WATCHED_ELSEWHERE)
        }
        // <https://github.com/googleapis/google-api-nodejs-client/issues/2843>
        Some(text)
            if text.starts_with("Error sending test message to Cloud PubSub")
                || text.starts_with("Invalid topicName does not match") =>
        {
            Some(TOPIC_UNUSABLE)
        }
        _ => None,
    };
    told.into_iter()
        .chain(errors.filter_map(|item| code(item.reason.as_ref())))
        .chain(details.filter_map(|detail| code(detail.reason.as_ref())))
        .chain(code(object.status.as_ref()))
        .collect()
}

/// The instant in "User-rate limit exceeded.  Retry after 2026-08-11T11:38:10.449Z (Mail sending)".
fn locked_until(object: &ErrorObject) -> Option<DateTime<Utc>> {
    let (_, rest) = text(object.message.as_ref())?.split_once("Retry after ")?;
    let instant = rest.split_whitespace().next()?;
    let instant = DateTime::parse_from_rfc3339(instant).ok()?;
    Some(instant.to_utc())
}

fn text(value: Option<&serde_json::Value>) -> Option<&str> {
    value?.as_str()
}

/// A text, if it is a code or an id, and not a sentence that may quote something.
fn code(value: Option<&serde_json::Value>) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    text(value).filter(|text| (1..=64).contains(&text.len()) && text.bytes().all(plain))
}
