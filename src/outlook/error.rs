//! What Graph's refusals mean for a host. Of a body only codes and ids are kept: messages may quote mail.
//!
//! Sources: <https://learn.microsoft.com/graph/errors>, <https://learn.microsoft.com/graph/throttling>,
//! <https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode>.

use super::wire::{ErrorAnswer, Fault, salvage};
use crate::error::{Action, Delivery, Error, ErrorKind};
use crate::http::Answer;

/// One rule: answers with this status (any, if 0) and this code (any, if empty).
type Rule = (u16, &'static str, ErrorKind, &'static str);

const NOT_SIGNED_IN: &str = "Microsoft no longer accepts the access token";
const NOT_GRANTED: &str = "the access that was granted does not cover this call";
const FULL: &str = "the mailbox is full";
const NO_MAILBOX: &str = "the account has no mailbox in Exchange Online";
const NO_SUCH: &str = "Outlook does not have it, or no longer";
const CHANGED: &str = "it was changed meanwhile";
const TOO_COMPLEX: &str = "Outlook finds this query too complex";
const TOO_LARGE: &str = "the request is larger than Outlook accepts";
const EXPIRED: &str = "Outlook no longer knows this cursor";
const TOO_FAST: &str = "Outlook asks to slow down";
const TOO_MANY: &str = "too many requests at once for this mailbox";
const FAILING: &str = "Outlook is failing";
const UNREACHABLE: &str = "the address that is to be told does not answer Microsoft as it must";
const UNUSABLE: &str = "Outlook does not accept the request";

/// Stands for an `InvalidRequest` whose text says that the address of a subscription did not answer: no code says so.
const NOT_VALIDATED: &str = "SubscriptionNotValidated";

/// The first rule that fits holds. A code says more than a status: the same code comes with several.
const RULES: &[Rule] = &[
    (
        0,
        "InvalidAuthenticationToken",
        ErrorKind::SignInRequired,
        NOT_SIGNED_IN,
    ),
    (
        0,
        "ErrorAccessDenied",
        ErrorKind::PermissionDenied,
        NOT_GRANTED,
    ),
    (
        0,
        "Authorization_RequestDenied",
        ErrorKind::PermissionDenied,
        NOT_GRANTED,
    ),
    (0, "AccessDenied", ErrorKind::PermissionDenied, NOT_GRANTED),
    (
        0,
        "ErrorSendAsDenied",
        ErrorKind::PermissionDenied,
        "the account may not send as this author",
    ),
    (
        0,
        "ErrorMessageSubmissionBlocked",
        ErrorKind::PermissionDenied,
        "the account is blocked from sending",
    ),
    (
        0,
        "ErrorAccountSuspend",
        ErrorKind::PermissionDenied,
        "the account is suspended until its owner has verified it",
    ),
    (
        0,
        "ErrorExceededMessageLimit",
        ErrorKind::QuotaExceeded,
        "the account's sending limit is used up",
    ),
    (0, "ErrorQuotaExceeded", ErrorKind::QuotaExceeded, FULL),
    (0, "QuotaLimitReached", ErrorKind::QuotaExceeded, FULL),
    (
        0,
        "MailboxNotEnabledForRESTAPI",
        ErrorKind::MailboxUnavailable,
        NO_MAILBOX,
    ),
    (
        0,
        "MailboxNotSupportedForRESTAPI",
        ErrorKind::MailboxUnavailable,
        NO_MAILBOX,
    ),
    (0, "ErrorItemNotFound", ErrorKind::NotFound, NO_SUCH),
    (
        0,
        "ErrorFolderNotFound",
        ErrorKind::NotFound,
        "there is no such folder",
    ),
    (0, "ItemNotFound", ErrorKind::NotFound, NO_SUCH),
    (0, "ResourceNotFound", ErrorKind::NotFound, NO_SUCH),
    (0, "Request_ResourceNotFound", ErrorKind::NotFound, NO_SUCH),
    (
        0,
        "ErrorNonExistentMailbox",
        ErrorKind::MailboxUnavailable,
        "there is no such mailbox",
    ),
    (
        0,
        "ErrorFolderExists",
        ErrorKind::Conflict,
        "there is a folder of that name already",
    ),
    (0, "ErrorIrresolvableConflict", ErrorKind::Conflict, CHANGED),
    (0, "Conflict", ErrorKind::Conflict, CHANGED),
    (0, "PreconditionFailed", ErrorKind::Conflict, CHANGED),
    (0, "InefficientFilter", ErrorKind::Unsupported, TOO_COMPLEX),
    (
        0,
        "ErrorRestrictionTooComplex",
        ErrorKind::Unsupported,
        TOO_COMPLEX,
    ),
    (
        0,
        "ErrorMessageSizeExceeded",
        ErrorKind::InvalidRequest,
        "the message is larger than the mailbox may send",
    ),
    (
        0,
        "RequestEntityTooLarge",
        ErrorKind::InvalidRequest,
        TOO_LARGE,
    ),
    (
        0,
        "ErrorInvalidRecipients",
        ErrorKind::InvalidRequest,
        "a recipient was not accepted",
    ),
    (
        0,
        "ErrorInvalidIdMalformed",
        ErrorKind::InvalidRequest,
        "an id is not one of this service's",
    ),
    (0, "SyncStateNotFound", ErrorKind::CursorExpired, EXPIRED),
    (0, "SyncStateInvalid", ErrorKind::CursorExpired, EXPIRED),
    (0, "ResyncRequired", ErrorKind::CursorExpired, EXPIRED),
    (0, "ApplicationThrottled", ErrorKind::RateLimited, TOO_FAST),
    (0, "TooManyRequests", ErrorKind::RateLimited, TOO_FAST),
    (0, "ActivityLimitReached", ErrorKind::RateLimited, TOO_FAST),
    (0, "MailboxConcurrency", ErrorKind::RateLimited, TOO_MANY),
    (
        0,
        "ErrorTooManyObjectsOpened",
        ErrorKind::RateLimited,
        TOO_MANY,
    ),
    (
        0,
        "ErrorServerBusy",
        ErrorKind::Unavailable,
        "the service is busy",
    ),
    (
        0,
        "ErrorMailboxStoreUnavailable",
        ErrorKind::Unavailable,
        "the mailbox cannot be reached at the moment",
    ),
    (
        0,
        "ErrorInternalServerTransientError",
        ErrorKind::Unavailable,
        FAILING,
    ),
    (0, "ServiceNotAvailable", ErrorKind::Unavailable, FAILING),
    // The address was asked whether it wants to be told, and gave no answer or another one.
    (0, NOT_VALIDATED, ErrorKind::Configuration, UNREACHABLE),
    (0, "ValidationError", ErrorKind::Configuration, UNREACHABLE),
    (401, "", ErrorKind::SignInRequired, NOT_SIGNED_IN),
    (403, "", ErrorKind::PermissionDenied, NOT_GRANTED),
    (404, "", ErrorKind::NotFound, NO_SUCH),
    // An attachment that is a link to a file elsewhere answers so when its bytes are asked for.
    (
        405,
        "",
        ErrorKind::Unsupported,
        "Outlook cannot do this with such an item",
    ),
    (408, "", ErrorKind::Unavailable, FAILING),
    (409, "", ErrorKind::Conflict, CHANGED),
    (410, "", ErrorKind::CursorExpired, EXPIRED),
    (412, "", ErrorKind::Conflict, CHANGED),
    (413, "", ErrorKind::InvalidRequest, TOO_LARGE),
    (429, "", ErrorKind::RateLimited, TOO_FAST),
    (507, "", ErrorKind::QuotaExceeded, FULL),
];

/// What an answer that is no success means; a part of a batch is such an answer too. Its body may be Graph's JSON, a
/// proxy's HTML, or nothing.
pub(super) fn classify(answer: &Answer) -> Error {
    let status = answer.status.as_u16();
    let fault = salvage::<ErrorAnswer>(&answer.body).and_then(|answer| answer.error);
    let mut codes = codes(fault.as_ref());
    codes.extend(told(fault.as_ref()));
    // The innermost code is the most exact one that is known.
    let of_code = codes.iter().rev().find_map(|given| rule(0, given));
    let (kind, message) = match of_code.or_else(|| rule(status, "")) {
        Some((.., kind, message)) => (*kind, *message),
        None if answer.status.is_server_error() => (ErrorKind::Unavailable, FAILING),
        None if answer.status.is_client_error() => (ErrorKind::InvalidRequest, UNUSABLE),
        None => (
            ErrorKind::Protocol,
            "Outlook answered with a status that its documentation does not have",
        ),
    };
    let mut error = Error::new(kind, message).with_delivery(delivery(status));
    if let Some(action) = of_code.and_then(|(_, code, ..)| action(code)) {
        error = error.with_action(action);
    }
    if let Some(code) = of_code
        .map(|(_, code, ..)| *code)
        .filter(|code| *code != NOT_VALIDATED)
        .or_else(|| codes.first().copied())
    {
        error = error.with_code(code);
    }
    let request_id = answer.header("request-id").filter(|id| is_plain(id));
    if let Some(id) = request_id.or_else(|| inner_request_id(fault.as_ref())) {
        error = error.with_request_id(id);
    }
    error
}

/// Who must act, where the kind alone says it wrongly.
fn action(code: &str) -> Option<Action> {
    match code {
        // No scope helps: rights in Exchange, and blocks, are the organisation's.
        "ErrorSendAsDenied" | "ErrorMessageSubmissionBlocked" => Some(Action::AdministratorActs),
        // The user proves on Microsoft's pages who they are.
        "ErrorAccountSuspend" => Some(Action::SignInAgain),
        // Time makes no room in a full mailbox.
        "ErrorQuotaExceeded" | "QuotaLimitReached" => Some(Action::CorrectTheCall),
        _ => None,
    }
}

/// Codes are compared without regard to case, in which the services behind Graph differ.
fn rule(status: u16, code: &str) -> Option<&'static Rule> {
    RULES
        .iter()
        .find(|(of, known, ..)| *of == status && known.eq_ignore_ascii_case(code))
}

/// Only refusals prove that nothing happened: messages were delivered although the answer was a 504
/// (<https://learn.microsoft.com/answers/questions/2286986>).
fn delivery(status: u16) -> Delivery {
    match status {
        401 | 429 => Delivery::NotSent,
        408 | 500..=599 => Delivery::Unknown,
        _ => Delivery::Answered,
    }
}

/// The codes from the outermost to the innermost.
fn codes(mut fault: Option<&Fault>) -> Vec<&str> {
    let mut codes = Vec::new();
    while let Some(error) = fault {
        codes.extend(error.code.as_deref().filter(|code| is_plain(code)));
        fault = error.inner_error.as_deref();
    }
    codes
}

/// What only the text says. A failing handshake has had several codes, and always these words
/// (<https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#notificationurl-validation>).
fn told(fault: Option<&Fault>) -> Option<&'static str> {
    let text = fault?.message.as_ref()?.as_str()?;
    text.starts_with("Subscription validation request")
        .then_some(NOT_VALIDATED)
}

fn inner_request_id(fault: Option<&Fault>) -> Option<&str> {
    let mut fault = fault?;
    loop {
        let id = fault.request_id.as_deref().filter(|id| is_plain(id));
        if id.is_some() {
            return id;
        }
        fault = fault.inner_error.as_deref()?;
    }
}

/// Whether a text is a code or an id, and not a sentence that may quote something.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}
