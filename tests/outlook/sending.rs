//! Sending over Graph: what is prepared reaches nobody, what was dispatched is not dispatched again by itself, and a lost
//! answer can be settled.

mod attaching;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::outlook::{batched, connect};
use crate::scripted::{Reply, Request, Scripted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom::{
    Access, Confirmation, Content, Delivery, ErrorKind, MailProvider, Outgoing, OutgoingAttachment,
    SendKey, SendTicket, Sent,
};
use serde_json::json;

const DRAFTS: &str = "POST /v1.0/me/messages";
const ATTACH: &str = "POST /v1.0/me/messages/d1/attachments";
const ATTACHED: &str = "GET /v1.0/me/messages/d1";
const LOOK: &str = "GET /v1.0/me/mailFolders/drafts/messages";
const MARK: &str = "PATCH /v1.0/me/messages/d1";
const SEND: &str = "POST /v1.0/me/messages/d1/send";
const START: &str = "POST /v1.0/me/messages/d1/attachments/createUploadSession";
const SESSION: &str = "https://outlook.office.com/api/session?authtoken=planted-secret";

fn outgoing() -> Outgoing {
    Outgoing::new()
        .to("support@desk.example".parse().unwrap())
        .bcc("archive@desk.example".parse().unwrap())
        .subject("The report")
        .text("Attached.")
}

fn key() -> SendKey {
    SendKey::new("outbox-7")
}

fn created() -> Reply {
    Reply::error(
        201,
        json!({"id": "d1", "conversationId": "c1", "isDraft": true}),
    )
}

/// A service whose drafts hold nothing under the key, and take it.
fn without_leftovers(
    script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    move |request| match request.line().as_str() {
        LOOK => Reply::json(json!({"value": []})),
        MARK => Reply::json(json!({"id": "d1"})),
        _ => script(request),
    }
}

fn draft_ticket() -> SendTicket {
    SendTicket::new(
        r#"{"version":1,"outlook":"draft","draft":"d1","thread":"c1","key":"outbox-7"}"#,
    )
}

/// Where the draft is, and what the folders are in which it must not be.
fn place(request: &Request, folder: &str) -> Reply {
    match request.path() {
        "/v1.0/me/messages/d1" => Reply::json(
            json!({"id": "d1", "isDraft": true, "conversationId": "c1", "parentFolderId": folder}),
        ),
        "/v1.0/me/mailFolders/outbox" => Reply::json(json!({"id": "f-outbox"})),
        "/v1.0/me/mailFolders/deleteditems" => Reply::json(json!({"id": "f-trash"})),
        _ => Reply::status(500),
    }
}

/// A file whose bytes tell where they stand.
fn file(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place / 1000) as u8).collect()
}

#[tokio::test]
async fn a_message_is_prepared_as_one_draft_and_sent_by_its_id() {
    let service = batched(without_leftovers(|request| match request.line().as_str() {
        DRAFTS => created(),
        SEND => Reply::status(202),
        _ => place(request, "f-drafts"),
    }));
    let outlook = connect(&service);
    let html = outgoing()
        .html("<p>Attached.</p>")
        .attach(OutgoingAttachment::new(
            "report.csv",
            "text/csv",
            b"a,b\n".to_vec(),
        ));
    let ticket = outlook.prepare(&html, &key()).await.unwrap();
    assert_eq!(
        service.lines(),
        [LOOK, DRAFTS, MARK],
        "nothing was sent yet"
    );
    let draft = service.requests().remove(1);
    assert_eq!(draft.header("content-type"), "text/plain");
    let mime = String::from_utf8(STANDARD.decode(&draft.body).unwrap()).unwrap();
    for part in [
        "Bcc: archive@desk.example",
        "Subject: The report",
        "multipart/alternative",
        "YSxiCg==",
    ] {
        assert!(mime.contains(part), "{part} is missing in {mime}");
    }
    assert!(!mime.contains("outbox-7"), "recipients see it: {mime}");
    let marked = service.requests().remove(2).json();
    assert_eq!(
        marked,
        json!({"singleValueExtendedProperties": [{
            "id": "String {00020329-0000-0000-C000-000000000046} Name PostroomKey", "value": "outbox-7",
        }]})
    );
    let sent = outlook.dispatch(&ticket).await.unwrap();
    assert_eq!(sent, Sent::new(Some("d1".into()), Some("c1".into())));
    // Whether it is still there is looked for first.
    assert_eq!(service.lines()[3..], ["POST /v1.0/$batch", SEND]);
    let send = service.requests().remove(4);
    assert!(send.body.is_empty());
}

#[tokio::test]
async fn a_draft_that_could_not_be_completed_is_not_left_behind() {
    for (session, kind) in [
        ("https://files.example/session", ErrorKind::Protocol),
        ("http://outlook.office.com/session", ErrorKind::Protocol),
        ("", ErrorKind::Protocol),
    ] {
        let service = Scripted::new(without_leftovers(move |request| {
            match request.line().as_str() {
                DRAFTS => created(),
                START => Reply::error(201, json!({"uploadUrl": session})),
                "DELETE /v1.0/me/messages/d1" => Reply::status(204),
                _ => Reply::status(500),
            }
        }));
        let message = outgoing().attach(OutgoingAttachment::new(
            "large.zip",
            "application/zip",
            file(4_000_000),
        ));
        let failure = connect(&service)
            .prepare(&message, &key())
            .await
            .unwrap_err();
        assert_eq!(failure.kind(), kind);
        assert_eq!(
            service.lines(),
            [LOOK, DRAFTS, START, "DELETE /v1.0/me/messages/d1"]
        );
        assert!(!format!("{failure} {failure:?}").contains("session"));
    }
}

#[tokio::test]
async fn a_draft_whose_answer_was_lost_is_found_and_not_made_twice() {
    for found in [true, false] {
        let looked = Mutex::new(0);
        let service = Scripted::new(move |request| match request.line().as_str() {
            DRAFTS => Reply::Lost,
            LOOK => {
                let mut looked = looked.lock().unwrap();
                *looked += 1;
                // What an earlier process left under the key, and then what the lost request made.
                match (*looked, found) {
                    (2, true) => Reply::json(json!({"value": [{"id": "d1", "isDraft": true}]})),
                    _ => Reply::json(json!({"value": []})),
                }
            }
            MARK => Reply::json(json!({"id": "d1"})),
            _ => Reply::status(500),
        });
        let prepared = connect(&service).prepare(&outgoing(), &key()).await;
        assert_eq!(prepared.is_ok(), found);
        let made = service
            .lines()
            .iter()
            .filter(|line| *line == DRAFTS)
            .count();
        assert_eq!(made, 1);
        // The second look is for the message's own id, which no other draft has.
        let second = service.requests().remove(2);
        let query: BTreeMap<_, _> = second.url.query_pairs().into_owned().collect();
        assert!(query["$filter"].starts_with("internetMessageId eq '<"));
    }
}

#[tokio::test]
async fn what_a_dead_process_left_under_the_key_is_thrown_away() {
    let property = |value: &str| json!([{"id": "string {00020329-0000-0000-c000-000000000046} name postroomkey", "value": value}]);
    let service = Scripted::new(move |request| match request.line().as_str() {
        DRAFTS => created(),
        LOOK => Reply::json(json!({"value": [
            {"id": "left", "isDraft": true, "lastModifiedDateTime": "2026-11-22T07:50:00Z", "singleValueExtendedProperties": property("outbox-7")},
            // Somebody may be sending it.
            {"id": "recent", "isDraft": true, "lastModifiedDateTime": "2026-11-22T07:50:01Z", "singleValueExtendedProperties": property("outbox-7")},
            {"id": "undated", "isDraft": true, "singleValueExtendedProperties": property("outbox-7")},
            {"id": "others", "isDraft": true, "lastModifiedDateTime": "2026-11-22T07:00:00Z", "singleValueExtendedProperties": property("OUTBOX-7")},
            {"id": "unknown", "isDraft": true, "lastModifiedDateTime": "2026-11-22T07:00:00Z"},
        ]})),
        MARK => Reply::json(json!({"id": "d1"})),
        "DELETE /v1.0/me/messages/left" => Reply::status(204),
        _ => Reply::status(500),
    });
    connect(&service)
        .prepare(&outgoing(), &key())
        .await
        .unwrap();
    let lines = service.lines();
    assert_eq!(lines, [LOOK, "DELETE /v1.0/me/messages/left", DRAFTS, MARK]);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is_asked() {
    let service = Scripted::new(|_| Reply::status(500));
    let outlook = connect(&service);
    let endless = Content::new(151 * 1024 * 1024, |_| async {
        Err::<postroom::ByteStream, _>(std::io::Error::other("never read"))
    });
    let too_large = outgoing().attach(OutgoingAttachment::new("x", "application/zip", endless));
    for message in [Outgoing::new().text("to nobody"), too_large] {
        let failure = outlook.prepare(&message, &key()).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::InvalidRequest);
    }
    let only_sends = connect(&service).with_access(Access::SEND);
    let message = outgoing().attach(OutgoingAttachment::new(
        "x",
        "application/zip",
        file(3_200_000),
    ));
    let failure = only_sends.prepare(&message, &key()).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::PermissionDenied);
    for text in [
        "",
        "{}",
        r#"{"version":2,"outlook":"draft","draft":"d1","key":"k"}"#,
        r#"{"version":1,"gmail":"draft","draft":"d1","key":"k"}"#,
    ] {
        let ticket = SendTicket::new(text);
        let failures = [
            outlook.dispatch(&ticket).await.err(),
            outlook.confirm(&ticket).await.err(),
        ];
        assert!(
            failures
                .iter()
                .all(|failure| failure.as_ref().unwrap().kind() == ErrorKind::InvalidRequest)
        );
    }
    assert!(service.requests().is_empty());
}

#[tokio::test]
async fn a_send_is_repeated_only_after_a_refusal() {
    let error = |code: &str| json!({"error": {"code": code}});
    let cases = [
        (Reply::Lost, ErrorKind::Network, Delivery::Unknown, false),
        (
            Reply::error(504, error("")),
            ErrorKind::Unavailable,
            Delivery::Unknown,
            false,
        ),
        (
            Reply::error(503, error("ErrorServerBusy")),
            ErrorKind::Unavailable,
            Delivery::Unknown,
            false,
        ),
        (
            Reply::error(429, error("ApplicationThrottled")),
            ErrorKind::RateLimited,
            Delivery::NotSent,
            true,
        ),
        (
            Reply::error(403, error("ErrorSendAsDenied")),
            ErrorKind::PermissionDenied,
            Delivery::Answered,
            false,
        ),
        (
            Reply::error(404, error("ErrorItemNotFound")),
            ErrorKind::NotFound,
            Delivery::Unknown,
            false,
        ),
    ];
    let whole =
        SendTicket::new(r#"{"version":1,"outlook":"message","mime":"U3ViamVjdDogeA0K","key":"k"}"#);
    for (reply, kind, delivery, repeated) in cases {
        for ticket in [draft_ticket(), whole.clone()] {
            let script = reply.clone();
            let gone = matches!(&script, Reply::Answer(answer) if answer.status == 404);
            let asked = Arc::new(AtomicBool::new(false));
            let service = batched(move |request| {
                if request.line().contains("/send") {
                    asked.store(true, Ordering::SeqCst);
                    return script.clone();
                }
                match request.path() {
                    "/v1.0/me/mailFolders/sentitems/messages" => Reply::json(json!({"value": []})),
                    "/v1.0/me/messages/d1" if gone && asked.load(Ordering::SeqCst) => {
                        script.clone()
                    }
                    _ => place(request, "f-drafts"),
                }
            });
            let failure = connect(&service).dispatch(&ticket).await.unwrap_err();
            let sends = |line: &&String| line.contains("/send");
            let lines = service.lines();
            let sends = lines.iter().filter(sends).count();
            let delivery = match (kind, lines[0].as_str()) {
                (ErrorKind::NotFound, "POST /v1.0/me/sendMail") => Delivery::Answered,
                _ => delivery,
            };
            assert_eq!((failure.kind(), failure.delivery()), (kind, delivery));
            assert_eq!(sends > 1, repeated, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn what_became_of_a_draft_is_told_by_the_draft() {
    let ask = |draft: Reply| async move {
        let service = batched(move |request| match request.path() {
            "/v1.0/me/mailFolders/outbox" => Reply::json(json!({"id": "f-outbox"})),
            "/v1.0/me/messages/d1" => draft.clone(),
            "/v1.0/me/mailFolders/sentitems/messages" => Reply::json(json!({"value": []})),
            _ => Reply::status(500),
        });
        connect(&service).confirm(&draft_ticket()).await.unwrap()
    };
    let state = |draft: bool, folder: &str| {
        Reply::json(
            json!({"id": "d1", "isDraft": draft, "conversationId": "c2", "parentFolderId": folder}),
        )
    };
    assert_eq!(ask(state(true, "f-drafts")).await, Confirmation::NotSent);
    let sent = Sent::new(Some("d1".into()), Some("c2".into()));
    assert_eq!(ask(state(false, "f-sent")).await, Confirmation::Sent(sent));
    let gone = Reply::error(404, json!({"error": {"code": "ErrorItemNotFound"}}));
    for unsettled in [
        state(true, "f-outbox"),
        gone,
        Reply::json(json!({"id": "d1", "isDraft": null})),
    ] {
        let Confirmation::StillUnknown {
            ask_again_at: Some(_),
        } = ask(unsettled).await
        else {
            panic!("only what is proved is told");
        };
    }
}

#[tokio::test]
async fn a_draft_whose_id_did_not_last_is_known_by_its_sent_copy() {
    let key = "string {00020329-0000-0000-c000-000000000046} name postroomkey";
    for (value, is_draft, sent) in [
        ("outbox-7", false, true),
        ("outbox-7", true, false),
        ("outbox-8", false, false),
    ] {
        let service = batched(move |request| match request.path() {
            "/v1.0/me/mailFolders/outbox" => Reply::json(json!({"id": "f-outbox"})),
            "/v1.0/me/messages/d1" => {
                Reply::error(404, json!({"error": {"code": "ErrorItemNotFound"}}))
            }
            "/v1.0/me/mailFolders/sentitems/messages" => Reply::json(json!({"value": [{
                "id": "s1", "isDraft": is_draft, "conversationId": "c1",
                "singleValueExtendedProperties": [{"id": key, "value": value}],
            }]})),
            "/v1.0/me/messages/d1/send" => {
                Reply::error(404, json!({"error": {"code": "ErrorItemNotFound"}}))
            }
            _ => Reply::status(500),
        });
        let outlook = connect(&service);
        let copy = Sent::new(Some("s1".into()), Some("c1".into()));
        let confirmed = outlook.confirm(&draft_ticket()).await.unwrap();
        assert_eq!(confirmed == Confirmation::Sent(copy.clone()), sent);
        assert_eq!(
            matches!(confirmed, Confirmation::StillUnknown { .. }),
            !sent
        );
        // Dispatched again, it says that it was sent.
        match outlook.dispatch(&draft_ticket()).await {
            Ok(told) => assert!(sent && told == copy),
            Err(error) => assert!(!sent && error.delivery() == Delivery::Unknown),
        }
    }
}

#[tokio::test]
async fn with_the_right_to_send_alone_the_ticket_holds_the_message() {
    let service = Scripted::new(|_| Reply::status(202));
    let outlook = connect(&service).with_access(Access::SEND);
    let ticket = outlook.prepare(&outgoing(), &key()).await.unwrap();
    assert!(service.requests().is_empty());
    assert_eq!(outlook.dispatch(&ticket).await.unwrap(), Sent::default());
    let sent = service.requests().remove(0);
    assert_eq!(
        (sent.line().as_str(), sent.header("content-type")),
        ("POST /v1.0/me/sendMail", "text/plain")
    );
    let mime = String::from_utf8(STANDARD.decode(&sent.body).unwrap()).unwrap();
    assert!(!mime.contains("outbox-7"), "recipients see it: {mime}");
    let failure = outlook.confirm(&ticket).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Unsupported);
}
