//! Each change asks for what it says and nothing else.

use std::sync::atomic::{AtomicU32, Ordering};

use postroom::{Access, Change, Detail, ErrorKind, Keyword, MailProvider};
use serde_json::json;

use super::{error, ids, message};
use crate::outlook::{asked_for, batched, calls, connect};
use crate::scripted::{Reply, Request, Scripted};

#[tokio::test]
async fn each_change_changes_what_it_says_and_nothing_else() {
    let to = Change::MoveTo {
        to: "AAk=".into(),
        from: Some("elsewhere".into()),
    };
    let cases = [
        (Change::Set(Keyword::Seen), "PATCH", json!({"isRead": true})),
        (
            Change::Clear(Keyword::Seen),
            "PATCH",
            json!({"isRead": false}),
        ),
        (
            Change::Set(Keyword::Flagged),
            "PATCH",
            json!({"flag": {"flagStatus": "flagged"}}),
        ),
        (
            Change::Clear(Keyword::Flagged),
            "PATCH",
            json!({"flag": {"flagStatus": "notFlagged"}}),
        ),
        (
            Change::Set(Keyword::Important),
            "PATCH",
            json!({"importance": "high"}),
        ),
        (
            Change::Clear(Keyword::Important),
            "PATCH",
            json!({"importance": "normal"}),
        ),
        (Change::Archive, "POST", json!({"destinationId": "archive"})),
        (
            Change::Trash,
            "POST",
            json!({"destinationId": "deleteditems"}),
        ),
        (to, "POST", json!({"destinationId": "AAk="})),
    ];
    for (change, method, body) in cases {
        let service = batched(|request| match asked_for(request).as_str() {
            "gone" => Reply::error(404, error("ErrorItemNotFound")),
            id => Reply::json(message(id)),
        });
        let answers = connect(&service)
            .apply(&ids(&["a", "gone", "b"]), &change)
            .await
            .unwrap();
        let kinds: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().err().map(|e| e.kind()))
            .collect();
        assert_eq!(kinds, [None, Some(ErrorKind::NotFound), None], "{change:?}");
        for call in calls(&service) {
            assert_eq!(
                (call.method.as_str(), call.json()),
                (method, body.clone()),
                "{change:?}"
            );
            assert_eq!(call.path().ends_with("/move"), method == "POST");
        }
    }
    let service = Scripted::new(|_| Reply::status(500));
    for change in [
        Change::AddTo("AAk=".into()),
        Change::RemoveFrom("AAk=".into()),
        Change::Set(Keyword::Draft),
        Change::Set(Keyword::Answered),
    ] {
        let refused = connect(&service).apply(&ids(&["a"]), &change).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert!(service.requests().is_empty());
}

#[tokio::test]
async fn a_category_is_added_without_losing_what_others_did_meanwhile() {
    let version = AtomicU32::new(1);
    let service = batched(move |request| {
        let now = version.load(Ordering::SeqCst);
        let etag = format!("W/\"{now}\"");
        match (asked_for(request).as_str(), request.method.as_str()) {
            ("has", "GET") => {
                Reply::json(json!({"id": "has", "@odata.etag": etag, "categories": ["INVOICES"]}))
            }
            ("gone", _) => Reply::error(404, error("ErrorItemNotFound")),
            (id, "GET") => Reply::json(
                json!({"id": id, "@odata.etag": etag, "categories": [format!("of {now}")]}),
            ),
            (_, _) if now == 1 => {
                version.store(2, Ordering::SeqCst);
                Reply::error(412, error("ErrorIrresolvableConflict"))
            }
            (_, _) if request.header("if-match") == etag => Reply::json(json!({})),
            _ => Reply::error(412, error("ErrorIrresolvableConflict")),
        }
    });
    let change = Change::Set(Keyword::Custom("Invoices".into()));
    let answers = connect(&service)
        .apply(&ids(&["a", "has", "gone"]), &change)
        .await
        .unwrap();
    let kinds: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().err().map(|e| e.kind()))
        .collect();
    assert_eq!(kinds, [None, None, Some(ErrorKind::NotFound)]);
    let written: Vec<_> = calls(&service)
        .iter()
        .filter(|call| call.method == "PATCH")
        .map(Request::json)
        .collect();
    assert_eq!(
        written,
        [
            json!({"categories": ["of 1", "Invoices"]}),
            json!({"categories": ["of 2", "Invoices"]})
        ]
    );
    let service = Scripted::new(|_| Reply::error(412, error("ErrorIrresolvableConflict")));
    let answers = connect(&service)
        .apply(&ids(&["a"]), &change)
        .await
        .unwrap();
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn what_was_not_granted_is_refused_before_anything_is_asked() {
    let service = Scripted::new(|_| Reply::status(500));
    let outlook = connect(&service).with_access(Access::SEND);
    assert!(!outlook.capabilities().change && !outlook.capabilities().confirm_send);
    let refused = [
        outlook.folders().await.err(),
        outlook.get(&ids(&["a"]), Detail::Ids).await.err(),
        outlook.raw(&"a".into()).await.err(),
        outlook.apply(&ids(&["a"]), &Change::Trash).await.err(),
    ];
    let reader = connect(&service).with_access(Access::READ);
    assert!(!reader.capabilities().send);
    let outgoing = postroom::Outgoing::new().to("support@desk.example".parse().unwrap());
    let more = [
        reader.apply(&ids(&["a"]), &Change::Trash).await.err(),
        reader
            .prepare(&outgoing, &postroom::SendKey::new("k"))
            .await
            .err(),
    ];
    for failure in refused.into_iter().chain(more) {
        assert_eq!(failure.unwrap().kind(), ErrorKind::PermissionDenied);
    }
    assert!(service.requests().is_empty());
}
