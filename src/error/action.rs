//! Who has to do something about an error, and what: [`Action`]. The kinds of errors are the parent module's; that one
//! code of a vendor's asks for something else than its kind is said by the vendor's own table.

use std::fmt;
use std::time::Duration;

use super::{Error, ErrorKind};
use crate::model::Access;

/// Who must act before the same thing can succeed, and how. Every [`Error`] has one: [`Error::action`].
///
/// [`ErrorKind`] says what went wrong, for code that handles it; this says what to tell people. None of them calls for
/// tokens to be deleted: an account whose application is configured wrongly works again once that is mended.
///
/// ```
/// use postroom::{Action, Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Configuration, "the client secret has expired");
/// assert_eq!(error.action(), Action::DeveloperFixes);
/// assert!(!error.action().is_the_users());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// The user signs in (again), with the same account.
    SignInAgain,
    /// The user signs in with another account: this one has no mailbox, is not let in, or is connected already.
    UseAnotherAccount,
    /// The user grants more: ask for this access and for what is granted already. [`Access::NONE`] if the service does not
    /// say what is missing.
    GrantMore(Access),
    /// An administrator of the user's organisation consents, or changes a policy or a licence.
    AdministratorActs,
    /// Whoever runs the application mends its registration, its settings or its surroundings. Users and their tokens are
    /// fine.
    DeveloperFixes,
    /// Nobody; the same call can succeed after this time. Without one the service did not say how long: for a limit
    /// of requests some seconds, for a daily limit hours.
    Wait(Option<Duration>),
    /// Nobody; the same call can succeed if it is repeated, with longer and longer pauses. For a send look at
    /// [`Error::delivery`] first.
    TryAgain,
    /// The calling code does something else: what it asked for is not there, not possible, or no longer as it was.
    CorrectTheCall,
}

impl Action {
    /// Whether it is for the user whose mailbox it is.
    #[must_use]
    pub fn is_the_users(self) -> bool {
        matches!(
            self,
            Self::SignInAgain | Self::UseAnotherAccount | Self::GrantMore(_)
        )
    }

    /// Whether nobody has to do anything but wait.
    #[must_use]
    pub fn is_to_wait(self) -> bool {
        matches!(self, Self::Wait(_) | Self::TryAgain)
    }
}

/// One sentence for a person.
impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignInAgain => formatter.write_str("the user signs in again"),
            Self::UseAnotherAccount => formatter.write_str("the user signs in with another account"),
            Self::GrantMore(access) if access.is_empty() => {
                formatter.write_str("the user signs in again and allows everything that is asked for")
            }
            Self::GrantMore(access) => {
                write!(formatter, "the user signs in again and also allows: {access}")
            }
            Self::AdministratorActs => {
                formatter.write_str("an administrator of the user's organisation has to allow it")
            }
            Self::DeveloperFixes => formatter.write_str(
                "whoever runs this application mends its registration or its settings; users need not do anything",
            ),
            Self::Wait(Some(delay)) => {
                // Half a second is still a second to wait.
                let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
                write!(formatter, "wait {seconds} s, then try again")
            }
            Self::Wait(None) => formatter.write_str("wait, then try again"),
            Self::TryAgain => formatter.write_str("try again"),
            Self::CorrectTheCall => formatter.write_str("this call cannot succeed as it is"),
        }
    }
}

impl Error {
    /// Who must act, and how. It follows from the kind, unless the vendor's code says better: a user whom a policy keeps out
    /// cannot help it by granting more.
    ///
    /// | kind | action |
    /// |---|---|
    /// | `SignInRequired`, `Declined`, `InvalidCallback` | [`Action::SignInAgain`] |
    /// | `MailboxUnavailable`, `AlreadyConnected` | [`Action::UseAnotherAccount`] |
    /// | `PermissionDenied` | [`Action::GrantMore`] |
    /// | `AdminConsentRequired` | [`Action::AdministratorActs`] |
    /// | `Configuration`, `CredentialStore`, `SendJournal`, `Protocol` | [`Action::DeveloperFixes`] |
    /// | `RateLimited`, `QuotaExceeded` | [`Action::Wait`] |
    /// | `Unavailable`, `Network`, `DeadlineExceeded` | [`Action::TryAgain`], or [`Action::Wait`] if the service says how long |
    /// | `NotFound`, `Conflict`, `InvalidRequest`, `CursorExpired`, `Unsupported`, `Content`, `CapReached` | [`Action::CorrectTheCall`] |
    #[must_use]
    pub fn action(&self) -> Action {
        if let Some(action) = self.0.action {
            return action;
        }
        match self.kind() {
            ErrorKind::SignInRequired | ErrorKind::Declined | ErrorKind::InvalidCallback => {
                Action::SignInAgain
            }
            ErrorKind::MailboxUnavailable | ErrorKind::AlreadyConnected => {
                Action::UseAnotherAccount
            }
            ErrorKind::PermissionDenied => Action::GrantMore(Access::NONE),
            ErrorKind::AdminConsentRequired => Action::AdministratorActs,
            ErrorKind::Configuration
            | ErrorKind::CredentialStore
            | ErrorKind::SendJournal
            | ErrorKind::Protocol => Action::DeveloperFixes,
            ErrorKind::RateLimited | ErrorKind::QuotaExceeded => Action::Wait(self.retry_after()),
            ErrorKind::Unavailable | ErrorKind::Network | ErrorKind::DeadlineExceeded => {
                match self.retry_after() {
                    Some(delay) => Action::Wait(Some(delay)),
                    None => Action::TryAgain,
                }
            }
            ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::Suspended
            | ErrorKind::CapReached
            | ErrorKind::InvalidRequest
            | ErrorKind::CursorExpired
            | ErrorKind::Unsupported
            | ErrorKind::Content => Action::CorrectTheCall,
        }
    }

    /// Says who must act, where the kind alone says it wrongly.
    #[must_use]
    pub fn with_action(mut self, action: Action) -> Self {
        self.0.action = Some(action);
        self
    }
}
