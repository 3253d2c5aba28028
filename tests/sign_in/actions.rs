//! Every error says who must act, and an error whose cause lies with one party never sends another.

use std::time::Duration;

use crate::scripted::{Reply, Scripted};
use postroom::{Access, Action, Error, ErrorKind};

#[test]
fn an_action_follows_from_the_kind_unless_something_better_is_known() {
    let of = |kind| Error::new(kind, "it failed").action();
    for (kind, action) in [
        (ErrorKind::SignInRequired, Action::SignInAgain),
        (ErrorKind::Declined, Action::SignInAgain),
        (ErrorKind::InvalidCallback, Action::SignInAgain),
        (ErrorKind::MailboxUnavailable, Action::UseAnotherAccount),
        (ErrorKind::Suspended, Action::CorrectTheCall),
        (ErrorKind::CapReached, Action::CorrectTheCall),
        (ErrorKind::DeadlineExceeded, Action::TryAgain),
        (ErrorKind::AlreadyConnected, Action::UseAnotherAccount),
        (ErrorKind::PermissionDenied, Action::GrantMore(Access::NONE)),
        (ErrorKind::AdminConsentRequired, Action::AdministratorActs),
        (ErrorKind::Configuration, Action::DeveloperFixes),
        (ErrorKind::CredentialStore, Action::DeveloperFixes),
        (ErrorKind::SendJournal, Action::DeveloperFixes),
        (ErrorKind::Protocol, Action::DeveloperFixes),
        (ErrorKind::RateLimited, Action::Wait(None)),
        (ErrorKind::QuotaExceeded, Action::Wait(None)),
        (ErrorKind::Unavailable, Action::TryAgain),
        (ErrorKind::Network, Action::TryAgain),
        (ErrorKind::NotFound, Action::CorrectTheCall),
        (ErrorKind::Conflict, Action::CorrectTheCall),
        (ErrorKind::InvalidRequest, Action::CorrectTheCall),
        (ErrorKind::CursorExpired, Action::CorrectTheCall),
        (ErrorKind::Unsupported, Action::CorrectTheCall),
        (ErrorKind::Content, Action::CorrectTheCall),
    ] {
        assert_eq!(of(kind), action, "{kind:?}");
    }
    let minute = Duration::from_secs(60);
    for kind in [
        ErrorKind::RateLimited,
        ErrorKind::QuotaExceeded,
        ErrorKind::Unavailable,
    ] {
        let error = Error::new(kind, "it failed").with_retry_after(minute);
        assert_eq!(error.action(), Action::Wait(Some(minute)), "{kind:?}");
    }
    let error = Error::new(ErrorKind::PermissionDenied, "a policy forbids it")
        .with_action(Action::AdministratorActs);
    assert_eq!(error.action(), Action::AdministratorActs);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn an_action_can_be_told_to_a_person() {
    for (action, words) in [
        (
            Action::GrantMore(Access::SEND),
            "the user signs in again and also allows: send",
        ),
        (
            Action::Wait(Some(Duration::from_millis(1500))),
            "wait 2 s, then try again",
        ),
    ] {
        assert_eq!(action.to_string(), words);
    }
    assert!(Action::SignInAgain.is_the_users() && !Action::SignInAgain.is_to_wait());
    assert!(Action::TryAgain.is_to_wait() && !Action::DeveloperFixes.is_the_users());
}

#[tokio::test]
async fn gmail_says_who_must_act() {
    for (status, reason, kind, action) in [
        (
            401,
            "authError",
            ErrorKind::SignInRequired,
            Action::SignInAgain,
        ),
        (
            403,
            "insufficientPermissions",
            ErrorKind::PermissionDenied,
            Action::GrantMore(Access::NONE),
        ),
        (
            403,
            "domainPolicy",
            ErrorKind::AdminConsentRequired,
            Action::AdministratorActs,
        ),
        (
            403,
            "accessNotConfigured",
            ErrorKind::Configuration,
            Action::DeveloperFixes,
        ),
        (
            403,
            "dailyLimitExceeded",
            ErrorKind::QuotaExceeded,
            // It is just past midnight where Google's days begin.
            Action::Wait(Some(Duration::from_secs(24 * 60 * 60))),
        ),
        (404, "notFound", ErrorKind::NotFound, Action::CorrectTheCall),
    ] {
        let body = serde_json::json!({"error": {"code": status, "errors": [{"reason": reason}]}});
        let transport = Scripted::new(move |_| Reply::error(status, &body));
        let gmail = postroom::Gmail::new(transport.connection()).unwrap();
        let error = postroom::Mailbox::new(gmail).profile().await.unwrap_err();
        assert_eq!((error.kind(), error.action()), (kind, action), "{reason}");
    }
}

#[tokio::test]
async fn outlook_says_who_must_act() {
    for (status, code, kind, action) in [
        (
            401,
            "InvalidAuthenticationToken",
            ErrorKind::SignInRequired,
            Action::SignInAgain,
        ),
        (
            403,
            "ErrorAccessDenied",
            ErrorKind::PermissionDenied,
            Action::GrantMore(Access::NONE),
        ),
        (
            403,
            "ErrorSendAsDenied",
            ErrorKind::PermissionDenied,
            Action::AdministratorActs,
        ),
        (
            403,
            "ErrorAccountSuspend",
            ErrorKind::PermissionDenied,
            Action::SignInAgain,
        ),
        (
            404,
            "MailboxNotEnabledForRESTAPI",
            ErrorKind::MailboxUnavailable,
            Action::UseAnotherAccount,
        ),
        (
            507,
            "ErrorQuotaExceeded",
            ErrorKind::QuotaExceeded,
            Action::CorrectTheCall,
        ),
    ] {
        let body = serde_json::json!({"error": {"code": code, "message": "planted"}});
        let transport = Scripted::new(move |_| Reply::error(status, &body));
        let outlook = postroom::Outlook::new(transport.connection()).unwrap();
        let error = postroom::Mailbox::new(outlook).profile().await.unwrap_err();
        assert_eq!((error.kind(), error.action()), (kind, action), "{code}");
    }
}

#[tokio::test]
async fn what_was_not_granted_is_named_and_what_the_host_restricted_is_not_the_users() {
    let transport = Scripted::new(|_| Reply::status(500));
    let gmail = postroom::Gmail::new(transport.connection())
        .unwrap()
        .with_access(Access::READ);
    let id = postroom::MessageId::new("1");
    let seen = postroom::Change::Trash;
    let mailbox = postroom::Mailbox::new(gmail);
    let outcome = mailbox.apply(std::slice::from_ref(&id), &seen).await;
    let error = outcome.unwrap_err();
    assert_eq!(
        error.action(),
        Action::GrantMore(Access::READ_WRITE),
        "{error}"
    );

    let gmail = postroom::Gmail::new(transport.connection()).unwrap();
    let restricted = postroom::Mailbox::new(gmail).restrict(Access::READ);
    let error = restricted.apply(&[id], &seen).await.unwrap_err();
    assert_eq!(error.action(), Action::CorrectTheCall, "{error}");
}
