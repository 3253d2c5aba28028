//! What the service's refusals mean.

use postroom::{Delivery, Detail, ErrorKind, MailProvider, MessageId, PageRequest, Query};
use serde_json::json;

use super::{error, ids};
use crate::outlook::connect;
use crate::scripted::{Reply, Scripted};

#[tokio::test]
async fn refusals_mean_what_the_service_means_and_quote_nothing() {
    use ErrorKind as Kind;
    let rows = [
        (
            400,
            "ErrorInvalidIdMalformed",
            Kind::InvalidRequest,
            Delivery::Answered,
        ),
        (
            400,
            "InefficientFilter",
            Kind::Unsupported,
            Delivery::Answered,
        ),
        (
            400,
            "ErrorQuotaExceeded",
            Kind::QuotaExceeded,
            Delivery::Answered,
        ),
        (400, "", Kind::InvalidRequest, Delivery::Answered),
        (
            401,
            "InvalidAuthenticationToken",
            Kind::SignInRequired,
            Delivery::NotSent,
        ),
        (
            403,
            "ErrorAccessDenied",
            Kind::PermissionDenied,
            Delivery::Answered,
        ),
        (
            403,
            "ErrorSendAsDenied",
            Kind::PermissionDenied,
            Delivery::Answered,
        ),
        (
            403,
            "ErrorExceededMessageLimit",
            Kind::QuotaExceeded,
            Delivery::Answered,
        ),
        (404, "errorITEMnotfound", Kind::NotFound, Delivery::Answered),
        (
            404,
            "MailboxNotEnabledForRESTAPI",
            Kind::MailboxUnavailable,
            Delivery::Answered,
        ),
        (
            400,
            "MailboxNotSupportedForRESTAPI",
            Kind::MailboxUnavailable,
            Delivery::Answered,
        ),
        (
            405,
            "ErrorInvalidRequest",
            Kind::Unsupported,
            Delivery::Answered,
        ),
        (
            409,
            "ErrorIrresolvableConflict",
            Kind::Conflict,
            Delivery::Answered,
        ),
        (
            410,
            "SyncStateNotFound",
            Kind::CursorExpired,
            Delivery::Answered,
        ),
        (412, "", Kind::Conflict, Delivery::Answered),
        (413, "", Kind::InvalidRequest, Delivery::Answered),
        (429, "TooManyRequests", Kind::RateLimited, Delivery::NotSent),
        (500, "UnknownError", Kind::Unavailable, Delivery::Unknown),
        (503, "ErrorServerBusy", Kind::Unavailable, Delivery::Unknown),
        (504, "", Kind::Unavailable, Delivery::Unknown),
        (
            507,
            "quotaLimitReached",
            Kind::QuotaExceeded,
            Delivery::Unknown,
        ),
        (302, "", Kind::Protocol, Delivery::Answered),
    ];
    for (status, code, kind, delivery) in rows {
        for body in [
            error(code),
            // The inner code is the exact one; its object is spelled in two ways.
            json!({"error": {"code": "UnknownError", "message": "planted content", "innererror": {
                "code": code, "message": "planted content", "request-id": "r-1"}}}),
        ] {
            let service = Scripted::new(move |_| Reply::error(status, &body));
            let failure = connect(&service)
                .raw(&MessageId::from("a"))
                .await
                .err()
                .unwrap();
            assert_eq!(
                (failure.kind(), failure.delivery()),
                (kind, delivery),
                "{status} {code}"
            );
            assert_eq!(failure.status(), Some(status));
            assert_eq!(failure.request_id(), Some("r-1"));
            assert!(!format!("{failure} {failure:?}").contains("planted"));
        }
    }
    for body in [
        "<html>planted content</html>",
        "",
        "{\"error\": \"planted content\"}",
        "[1",
    ] {
        let service = Scripted::new(move |_| Reply::text(404, body));
        let failure = connect(&service)
            .raw(&MessageId::from("a"))
            .await
            .err()
            .unwrap();
        assert_eq!(
            (failure.kind(), failure.code()),
            (ErrorKind::NotFound, None)
        );
        assert!(!format!("{failure} {failure:?}").contains("planted"));
    }
    // A code that is a sentence is none.
    let service = Scripted::new(|_| Reply::error(400, error("planted content of a mail")));
    let failure = connect(&service)
        .raw(&MessageId::from("a"))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.code(), None);
}

#[tokio::test]
async fn answers_of_nothing_but_nulls_are_errors_that_quote_nothing() {
    let service = Scripted::new(|_| {
        Reply::json(json!({
            "value": null, "@odata.nextLink": null, "responses": null, "mail": null, "userPrincipalName": null, "id": null,
        }))
    });
    let outlook = connect(&service);
    let failures = [
        outlook.profile().await.err(),
        outlook.folders().await.err(),
        outlook
            .list(&Query::inbox(), Detail::Full, PageRequest::first())
            .await
            .err(),
        outlook
            .list(&Query::All, Detail::Full, PageRequest::first())
            .await
            .err(),
        outlook
            .get(&ids(&["a"]), Detail::Full)
            .await
            .unwrap()
            .remove(0)
            .err(),
        outlook
            .get(&ids(&["a", "b"]), Detail::Full)
            .await
            .unwrap()
            .remove(1)
            .err(),
    ];
    for failure in failures {
        let failure = failure.unwrap();
        assert_eq!(failure.kind(), ErrorKind::Protocol);
        assert!(failure.operation().is_some(), "{failure}");
    }
}
