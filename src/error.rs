//! What went wrong, said for the one who must act: [`Error`], its [`ErrorKind`] (what the host should do
//! next), its [`Action`] (who has to do something) and its [`Delivery`] (whether the request may have taken effect). How a vendor's answer becomes
//! one of these is each provider's own `error.rs`.

mod action;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use self::action::Action;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any failure of this crate.
///
/// `Display` is one sentence about this level only; causes are reached through
/// [`source`](StdError::source). No error holds a response body, a token, a code, a secret or mail content.
///
/// ```
/// use postroom::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::RateLimited, "the service asks to slow down")
///     .with_retry_after(std::time::Duration::from_secs(30));
/// assert!(error.is_transient());
/// assert_eq!(error.to_string(), "the service asks to slow down");
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    action: Option<Action>,
    message: Cow<'static, str>,
    operation: Option<&'static str>,
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    delivery: Delivery,
    admin_consent_url: Option<Url>,
    // Shared, so that an error can be told to everyone who waited for the same thing.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What the host should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The grant is gone (revoked, expired, password changed). Run the sign-in again for this account;
    /// its record is kept.
    SignInRequired,
    /// The user said no on the consent page. Offer to try again.
    Declined,
    /// An administrator of the user's organisation must allow the application first.
    AdminConsentRequired,
    /// The callback does not belong to the authorization it was given for, or carries nothing usable.
    /// Start a new sign-in; [`Error::code`] says what was wrong.
    InvalidCallback,
    /// The application is registered or configured wrongly (client id, secret, redirect address, tenant, an
    /// API that is not enabled). Its developer or administrator must act; users and tokens are fine.
    Configuration,
    /// The grant does not cover this call, or a policy forbids it. Ask for more access.
    PermissionDenied,
    /// The account has no mailbox that the service's API can reach.
    MailboxUnavailable,
    /// The host suspended the account. [Resume](crate::Accounts::resume) it first.
    Suspended,
    /// The mailbox is already connected under another account.
    AlreadyConnected,
    /// What was named does not exist, or no longer.
    NotFound,
    /// Somebody changed it meanwhile, or the name is taken. Read it again, then decide.
    Conflict,
    /// The request cannot be right as it is. Correct the call.
    InvalidRequest,
    /// Too many requests. Wait for [`Error::retry_after`] if given, then try again.
    RateLimited,
    /// A daily or sending limit is used up. Try again much later.
    QuotaExceeded,
    /// It would cost more than is left of the [`Cap`](crate::Cap) that the host gave the handle. Nothing was asked.
    CapReached,
    /// The time that the host gives its calls ran out: see [`Mailbox::with_deadline`](crate::Mailbox::with_deadline). For a send
    /// look at [`Error::delivery`].
    DeadlineExceeded,
    /// The service is failing. Try again later.
    Unavailable,
    /// The service could not be reached, or the connection broke. [`Error::delivery`] says whether the request
    /// may have taken effect.
    Network,
    /// The sync cursor is no longer known to the service. Sync again from the start of its scope.
    CursorExpired,
    /// This provider cannot do it, with a reason. Check the capabilities before offering it.
    Unsupported,
    /// The credential store failed; see the source.
    CredentialStore,
    /// The send journal failed; see the source. Unless [`Error::delivery`] says otherwise, nothing was sent.
    SendJournal,
    /// A local file or stream given to the crate could not be read.
    Content,
    /// The service answered something that its documentation does not allow, or an address that no token may be
    /// sent to.
    Protocol,
}

/// Whether a failed request may have taken effect at the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// It never left, or was explicitly refused: nothing happened.
    NotSent,
    /// The service answered it, and the answer says that it failed.
    Answered,
    /// It left, and no answer came that settles the matter: it may or may not have happened. Of a change that was tried
    /// several times, this is told if it is so of any try.
    Unknown,
}

impl Error {
    /// An error of `kind` with a sentence for people. The sentence must not hold tokens or mail content.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            action: None,
            message: message.into(),
            operation: None,
            status: None,
            code: None,
            request_id: None,
            retry_after: None,
            delivery: Delivery::NotSent,
            admin_consent_url: None,
            source: None,
        }))
    }

    /// An [`ErrorKind::Unsupported`] with the reason.
    #[must_use]
    pub fn unsupported(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unsupported, reason)
    }

    /// Adds the error underneath. It must hold no secrets: its `Debug` and `Display` become reachable.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Adds the vendor's own error code. What is not a plain word of at most 64 characters is no code, and is left out:
    /// the field comes from outside and is printed.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into()).filter(|code| is_plain(code));
        self
    }

    /// Adds the HTTP status of the answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds the vendor's name for this request, for their support; left out as a code is.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.0.request_id = Some(id.into()).filter(|id| is_plain(id));
        self
    }

    /// Adds how long to wait at least before trying again.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Says whether the request may have taken effect. Without this it is [`Delivery::NotSent`].
    #[must_use]
    pub fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.0.delivery = delivery;
        self
    }

    /// Adds where an administrator gives the consent that is missing.
    #[must_use]
    pub fn with_admin_consent_url(mut self, url: Url) -> Self {
        self.0.admin_consent_url = Some(url);
        self
    }

    /// Names the operation that failed, such as `gmail.messages.get`; `Display` begins with it.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// What the host should do next.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without anybody acting. A transient error is not a licence to
    /// repeat a send: see [`delivery`](Self::delivery).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Network
        )
    }

    /// Whether the service itself failed at what it was asked: perhaps at this alone.
    #[cfg_attr(
        not(any(feature = "gmail", feature = "outlook")),
        allow(dead_code, reason = "only the providers read messages")
    )]
    pub(crate) fn is_failure(&self) -> bool {
        self.0.kind == ErrorKind::Unavailable && self.0.status.is_some_and(|status| status >= 500)
    }

    /// Whether it is about the service or the account rather than about the one message that was asked for.
    #[cfg_attr(
        not(any(feature = "gmail", feature = "outlook")),
        allow(dead_code, reason = "only the providers send batches")
    )]
    pub(crate) fn concerns_all(&self) -> bool {
        !matches!(
            self.0.kind,
            ErrorKind::NotFound
                | ErrorKind::Conflict
                | ErrorKind::InvalidRequest
                | ErrorKind::Unsupported
                | ErrorKind::Content
                | ErrorKind::Protocol
        )
    }

    /// How long to wait at least before trying again, if the service said.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the request may have taken effect.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// Where an administrator of the user's organisation gives the consent that is missing, where the service has such a
    /// page: with [`ErrorKind::AdminConsentRequired`], and whenever nobody has consented. Show or send it to one.
    #[must_use]
    pub fn admin_consent_url(&self) -> Option<&Url> {
        self.0.admin_consent_url.as_ref()
    }

    /// The vendor's own code, such as `invalid_grant`, `ErrorItemNotFound` or `AADSTS50173`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The vendor's name for the failed request, for their support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The operation that failed, such as `gmail.messages.get`.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }
}

fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&word.len()) && word.bytes().all(plain)
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(operation) = self.0.operation {
            write!(formatter, "{operation}: ")?;
        }
        formatter.write_str(&self.0.message)?;
        match (self.0.status, &self.0.code) {
            (Some(status), Some(code)) => write!(formatter, " (HTTP {status}, {code})"),
            (Some(status), None) => write!(formatter, " (HTTP {status})"),
            (None, Some(code)) => write!(formatter, " ({code})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("action", &self.action())
            .field("message", &self.0.message)
            .field("operation", &self.0.operation)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("request_id", &self.0.request_id)
            .field("retry_after", &self.0.retry_after)
            .field("delivery", &self.0.delivery)
            .field(
                "admin_consent_url",
                &self.0.admin_consent_url.as_ref().map(Url::as_str),
            )
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
