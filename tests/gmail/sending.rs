//! Sending at Gmail: nothing is received before the second step, nothing is sent twice, and what became of a send is
//! said only with proof.

use std::sync::{Arc, Mutex};

use crate::gmail::connect;
use crate::scripted::{Reply, Request, Scripted};
use postroom::{
    Access, Confirmation, Content, Delivery, ErrorKind, MailProvider, Outgoing, OutgoingAttachment,
    SendKey, SendTicket, Sent,
};
use serde_json::json;

const UNIT: usize = 256 * 1024;

fn outgoing() -> Outgoing {
    Outgoing::new()
        .to("support@desk.example".parse().unwrap())
        .bcc("team@gmail.example".parse().unwrap())
        .subject("The report")
        .text("Attached.")
}

fn large(bytes: usize) -> Outgoing {
    outgoing().attach(OutgoingAttachment::new(
        "data.bin",
        "application/octet-stream",
        vec![7; bytes],
    ))
}

fn key() -> SendKey {
    SendKey::new("outbox-17")
}

fn draft() -> Reply {
    Reply::json(
        json!({"id": "r-1", "message": {"id": "m1", "threadId": "t1", "labelIds": ["DRAFT"]}}),
    )
}

/// A ticket that went into a host's database and came back.
fn stored(ticket: &SendTicket) -> SendTicket {
    serde_json::from_str(&serde_json::to_string(ticket).unwrap()).unwrap()
}

/// The ticket of a draft whose mark is known beforehand.
fn known_ticket() -> SendTicket {
    SendTicket::new(
        r#"{"version":1,"gmail":"draft","draft":"r-1","message":"m1","thread":"t1","key":"mark-17","prepared_at":1795334400}"#,
    )
}

/// The header line by which a sent copy is found.
fn mark_line(ticket: &SendTicket) -> String {
    let ticket: serde_json::Value = serde_json::from_str(ticket.expose()).unwrap();
    format!("X-Postroom-Key: {}\r\n", ticket["key"].as_str().unwrap())
}

#[tokio::test]
async fn preparing_makes_a_draft_and_dispatching_sends_that_draft() {
    let service = Scripted::new(|request| match request.line().as_str() {
        "POST /upload/gmail/v1/users/me/drafts" => draft(),
        _ => Reply::json(json!({"id": "m2", "threadId": "t1", "labelIds": ["SENT"]})),
    });
    let gmail = connect(&service);
    let mut outgoing = outgoing();
    outgoing.thread = Some("t1".into());
    let ticket = gmail.prepare(&outgoing, &key()).await.unwrap();
    assert_eq!(service.lines(), ["POST /upload/gmail/v1/users/me/drafts"]);
    let request = &service.requests()[0];
    assert_eq!(request.query("uploadType"), ["multipart"]);
    let boundary = request
        .header("content-type")
        .strip_prefix("multipart/related; boundary=")
        .unwrap();
    let parts: Vec<_> = request.text().split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4);
    let (head, metadata) = parts[1].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("application/json"));
    let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap();
    assert_eq!(metadata, json!({"message": {"threadId": "t1"}}));
    let (head, message) = parts[2].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("message/rfc822"));
    assert!(message.contains("Bcc: ") && message.contains(&mark_line(&ticket)));
    assert!(!message.contains("outbox-17"), "recipients see it");
    assert_eq!(parts[3], "--\r\n");

    let sent = gmail.dispatch(&stored(&ticket)).await.unwrap();
    assert_eq!(sent, Sent::new(Some("m2".into()), Some("t1".into())));
    let request = &service.requests()[1];
    assert_eq!(request.line(), "POST /gmail/v1/users/me/drafts/send");
    assert_eq!(request.json(), json!({"id": "r-1"}));
}

#[tokio::test]
async fn a_send_whose_answer_does_not_settle_it_is_never_repeated() {
    for (reply, kind) in [
        (Reply::Lost, ErrorKind::Network),
        (Reply::status(500), ErrorKind::Unavailable),
        (Reply::status(503), ErrorKind::Unavailable),
        (Reply::status(504), ErrorKind::Unavailable),
        (Reply::status(404), ErrorKind::NotFound),
        (Reply::status(409), ErrorKind::Conflict),
        (Reply::status(412), ErrorKind::Conflict),
    ] {
        for access in [Access::default(), Access::SEND] {
            let reply = reply.clone();
            let service = Scripted::new(move |request| match request.line().as_str() {
                "POST /upload/gmail/v1/users/me/drafts" => draft(),
                "POST /upload/gmail/v1/users/me/messages/send" => {
                    session("https://gmail.googleapis.com")
                }
                _ => reply.clone(),
            });
            let gmail = connect(&service).with_access(access);
            let ticket = gmail.prepare(&outgoing(), &key()).await.unwrap();
            let error = gmail.dispatch(&ticket).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.delivery()),
                (kind, Delivery::Unknown),
                "{reply_name:?}",
                reply_name = kind
            );
            assert_eq!(service.requests().len(), 2, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_first_step_that_fails_has_sent_nothing_however_it_failed() {
    for access in [Access::default(), Access::SEND] {
        let service = Scripted::new(|_| Reply::Lost);
        let gmail = connect(&service).with_access(access);
        let error = gmail.prepare(&outgoing(), &key()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        assert_eq!(error.delivery(), Delivery::NotSent);
    }
}

#[tokio::test]
async fn a_send_that_was_refused_for_its_rate_is_repeated() {
    let service = Scripted::new({
        let tries = Mutex::new(0);
        move |request| match request.line().as_str() {
            "POST /upload/gmail/v1/users/me/drafts" => draft(),
            _ => {
                let mut tries = tries.lock().unwrap();
                *tries += 1;
                match *tries {
                    1 => Reply::error(
                        403,
                        json!({"error": {"errors": [{"reason": "rateLimitExceeded"}]}}),
                    ),
                    2 => Reply::status(429),
                    _ => Reply::json(json!({"id": "m2", "threadId": "t1"})),
                }
            }
        }
    });
    let gmail = connect(&service);
    let ticket = gmail.prepare(&outgoing(), &key()).await.unwrap();
    let sent = Sent::new(Some("m2".into()), Some("t1".into()));
    assert_eq!(gmail.dispatch(&ticket).await.unwrap(), sent);
    assert_eq!(service.requests().len(), 4);
}

#[tokio::test]
async fn an_answer_that_names_no_message_proves_no_send() {
    for body in ["", "null", "<html>", "{\"id\": 7}"] {
        let service = Scripted::new(move |request| match request.line().as_str() {
            "POST /upload/gmail/v1/users/me/drafts" => draft(),
            _ => Reply::text(200, body),
        });
        let gmail = connect(&service);
        let ticket = gmail.prepare(&outgoing(), &key()).await.unwrap();
        let error = gmail.dispatch(&ticket).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::Unknown, "{body}");
    }
}

#[tokio::test]
async fn a_draft_that_is_there_was_not_sent_and_one_that_is_gone_may_have_been() {
    let copy = |labels: &str, mark: &str| {
        json!({"id": "m2", "threadId": "t1", "labelIds": [labels],
               "payload": {"headers": [{"name": "x-postroom-key", "value": mark}]}})
    };
    let sent = Confirmation::Sent(Sent::new(Some("m2".into()), Some("t1".into())));
    let later = |confirmation: &Confirmation| {
        matches!(
            confirmation,
            Confirmation::StillUnknown {
                ask_again_at: Some(_)
            }
        )
    };
    let confirm = async |draft_answer: Reply, thread: Reply, listed: serde_json::Value| {
        let listed = Reply::json(json!({"messages": listed}));
        let service = Scripted::new(move |request: &Request| match request.line().as_str() {
            "GET /gmail/v1/users/me/drafts/r-1" => draft_answer.clone(),
            "GET /gmail/v1/users/me/threads/t1" => thread.clone(),
            "GET /gmail/v1/users/me/messages" => listed.clone(),
            "GET /gmail/v1/users/me/messages/m2" => Reply::json(copy("SENT", "mark-17")),
            other => panic!("{other}"),
        });
        let gmail = connect(&service);
        gmail.confirm(&known_ticket()).await
    };
    let gone = || Reply::status(404);
    let thread = |messages: serde_json::Value| Reply::json(json!({"messages": messages}));
    let nothing = || thread(json!(null));

    assert_eq!(
        confirm(draft(), nothing(), json!(null)).await.unwrap(),
        Confirmation::NotSent
    );
    let found = thread(json!([null, {"id": "m0"}, copy("SENT", "mark-17")]));
    assert_eq!(confirm(gone(), found, json!(null)).await.unwrap(), sent);
    let another = thread(json!([copy("SENT", "mark-16"), copy("INBOX", "mark-17")]));
    assert!(later(&confirm(gone(), another, json!(null)).await.unwrap()));
    assert!(later(
        &confirm(gone(), nothing(), json!(null)).await.unwrap()
    ));
    assert!(later(&confirm(gone(), gone(), json!(null)).await.unwrap()));
    let elsewhere = confirm(gone(), gone(), json!([{"id": "m2"}])).await;
    assert_eq!(
        elsewhere.unwrap(),
        sent,
        "a sent draft may leave its conversation"
    );
    let failing = confirm(Reply::status(503), nothing(), json!(null)).await;
    assert_eq!(failing.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn without_reading_a_draft_that_is_gone_cannot_be_settled() {
    for (answer, expected) in [
        (draft(), Ok(Confirmation::NotSent)),
        (
            Reply::status(404),
            Ok(Confirmation::StillUnknown { ask_again_at: None }),
        ),
    ] {
        let service = Scripted::new(move |request: &Request| match request.line().as_str() {
            "GET /gmail/v1/users/me/drafts/r-1" => answer.clone(),
            other => panic!("{other}"),
        });
        let gmail = connect(&service).with_access(Access::SEND | Access::DRAFT);
        let confirmation = gmail
            .confirm(&known_ticket())
            .await
            .map_err(|error| error.kind());
        assert_eq!(confirmation, expected);
    }
}

#[tokio::test]
async fn what_is_typed_while_a_draft_is_prepared_is_not_overwritten() {
    let looks = Mutex::new(0);
    let service = Scripted::new(move |request: &Request| {
        assert_eq!(request.line(), "GET /gmail/v1/users/me/drafts/r-1");
        if request.query("format") == ["raw"] {
            // To: support@desk.example
            return Reply::json(
                json!({"message": {"raw": "VG86IHN1cHBvcnRAZGVzay5leGFtcGxlDQoNCg=="}}),
            );
        }
        let mut looks = looks.lock().unwrap();
        *looks += 1;
        Reply::json(json!({"id": "r-1", "message": {"id": format!("m{looks}")}}))
    });
    let gmail = connect(&service);
    let drafts = gmail.drafts().unwrap();
    let refused = drafts.prepare(&"r-1".into(), None, &key()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(service.lines().len(), 3);
}

#[tokio::test]
async fn a_copy_is_found_behind_a_campaign() {
    let service = Scripted::new(|request: &Request| match request.line().as_str() {
        "GET /gmail/v1/users/me/messages" => match request.query("pageToken").first() {
            None => Reply::json(json!({"messages": [{"id": "m1"}], "nextPageToken": "next"})),
            Some(_) => Reply::json(json!({"messages": [{"id": "m2"}]})),
        },
        "GET /gmail/v1/users/me/messages/m1" => Reply::json(json!({"id": "m1"})),
        "GET /gmail/v1/users/me/messages/m2" => Reply::json(json!({
            "id": "m2", "threadId": "t1", "labelIds": ["SENT"],
            "payload": {"headers": [{"name": "X-Postroom-Key", "value": "mark-17"}]}})),
        _ => Reply::status(404),
    });
    let confirmed = connect(&service).confirm(&known_ticket()).await.unwrap();
    let sent = Sent::new(Some("m2".into()), Some("t1".into()));
    assert_eq!(confirmed, Confirmation::Sent(sent));
}

/// Opens an upload session at the host.
fn session(host: &str) -> Reply {
    let location =
        format!("{host}/upload/gmail/v1/users/me/messages/send?uploadType=resumable&upload_id=u1");
    Reply::status(200).with_header("location", &location)
}

/// A server of upload sessions that keeps what it gets, and may lose its mind on the way.
#[derive(Clone, Default)]
struct Uploads {
    kept: Arc<Mutex<Vec<u8>>>,
    sent: Arc<Mutex<u32>>,
}

impl Uploads {
    fn answer(&self, request: &Request, keep: impl Fn(usize) -> usize) -> Reply {
        if request.method == "POST" {
            return session("https://gmail.googleapis.com");
        }
        let mut kept = self.kept.lock().unwrap();
        let (range, length) = request
            .header("content-range")
            .strip_prefix("bytes ")
            .unwrap()
            .split_once('/')
            .unwrap();
        let length: usize = length.parse().unwrap();
        if let Some((start, end)) = range.split_once('-') {
            let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
            assert_eq!(start, kept.len(), "every piece follows the last");
            assert_eq!(end + 1 - start, request.body.len());
            assert!(end + 1 == length || (end + 1 - start) % UNIT == 0);
            kept.extend_from_slice(&request.body.slice(..keep(request.body.len())));
            if kept.len() == length {
                *self.sent.lock().unwrap() += 1;
            }
        }
        if kept.len() == length {
            return Reply::json(json!({"id": "m2", "threadId": "t2"}));
        }
        if kept.is_empty() {
            return Reply::status(308);
        }
        Reply::status(308).with_header("range", &format!("bytes=0-{}", kept.len() - 1))
    }
}

#[tokio::test]
async fn with_the_right_to_send_alone_the_end_is_held_back_until_dispatch() {
    // Less than one piece, several pieces, and an end that is exactly as long as one unit.
    let alone = Access::SEND;
    // With drafts and no reading nobody could tell what became of a draft.
    for (size, access) in [
        (10, alone),
        (3 * UNIT, alone),
        (9 * 1024 * 1024, alone),
        (10, Access::SEND | Access::DRAFT),
    ] {
        let uploads = Uploads::default();
        let service = Scripted::new({
            let uploads = uploads.clone();
            move |request| uploads.answer(request, |length| length)
        });
        let gmail = connect(&service).with_access(access);
        let ticket = gmail.prepare(&large(size), &key()).await.unwrap();
        let start = &service.requests()[0];
        assert_eq!(start.query("uploadType"), ["resumable"]);
        assert_eq!(start.header("x-upload-content-type"), "message/rfc822");
        let length: usize = start.header("x-upload-content-length").parse().unwrap();
        assert_eq!(*uploads.sent.lock().unwrap(), 0);
        let left = length - uploads.kept.lock().unwrap().len();
        assert!((1..=UNIT).contains(&left), "{left}");
        assert_eq!(gmail.confirm(&ticket).await.unwrap(), Confirmation::NotSent);

        let sent = Sent::new(Some("m2".into()), Some("t2".into()));
        assert_eq!(gmail.dispatch(&stored(&ticket)).await.unwrap(), sent);
        assert_eq!(*uploads.sent.lock().unwrap(), 1);
        let kept = String::from_utf8_lossy(&uploads.kept.lock().unwrap()).into_owned();
        assert!(kept.contains(&mark_line(&ticket)) && kept.contains("data.bin"));
        assert_eq!(
            gmail.confirm(&ticket).await.unwrap(),
            Confirmation::Sent(sent)
        );
    }
}

#[tokio::test]
async fn a_message_of_whole_units_keeps_one_of_them_back() {
    let uploads = Uploads::default();
    let service = Scripted::new({
        let uploads = uploads.clone();
        move |request| uploads.answer(request, |length| length)
    });
    let gmail = connect(&service).with_access(Access::SEND);
    // Plain text alone has no boundaries, whose lengths differ from one message to the next.
    let mut text = "first\n".to_owned();
    let mut lengths = Vec::new();
    for _ in 0..2 {
        uploads.kept.lock().unwrap().clear();
        let ticket = gmail
            .prepare(&outgoing().text(&text), &key())
            .await
            .unwrap();
        gmail.dispatch(&ticket).await.unwrap();
        let length = uploads.kept.lock().unwrap().len();
        // Lines of 62 characters, which are 64 bytes with their ends.
        let missing = 2 * UNIT - length;
        text = format!("{}\n", "x".repeat(62)).repeat(missing / 64)
            + &"x".repeat(missing % 64)
            + &text;
        lengths.push(length);
    }
    assert_eq!(lengths[1], 2 * UNIT, "{lengths:?}");
    assert_eq!(*uploads.sent.lock().unwrap(), 2);
}

#[tokio::test]
async fn an_upload_goes_on_where_the_service_says_it_is() {
    let uploads = Uploads::default();
    let service = Scripted::new({
        let uploads = uploads.clone();
        let tries = Mutex::new(0);
        move |request| {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            match *tries {
                // Keeps one unit of the first piece, and then fails before it says so.
                2 => {
                    uploads.answer(request, |_| UNIT);
                    Reply::status(503)
                }
                // Half of the next, and a connection that breaks after it.
                4 => {
                    uploads.answer(request, |length| length / UNIT / 2 * UNIT);
                    Reply::Lost
                }
                _ => uploads.answer(request, |length| length),
            }
        }
    });
    let gmail = connect(&service).with_access(Access::SEND);
    let ticket = gmail.prepare(&large(7 * UNIT), &key()).await.unwrap();
    gmail.dispatch(&ticket).await.unwrap();
    assert_eq!(*uploads.sent.lock().unwrap(), 1);
}

#[tokio::test]
async fn an_end_of_which_only_some_arrived_is_completed() {
    let uploads = Uploads::default();
    let service = Scripted::new({
        let uploads = uploads.clone();
        let tries = Mutex::new(0);
        move |request| {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            let first_end = *tries == 2;
            uploads.answer(
                request,
                |length| if first_end { length / 2 } else { length },
            )
        }
    });
    let gmail = connect(&service).with_access(Access::SEND);
    let ticket = gmail.prepare(&outgoing(), &key()).await.unwrap();
    gmail.dispatch(&ticket).await.unwrap();
    assert_eq!(*uploads.sent.lock().unwrap(), 1);
    assert_eq!(service.requests().len(), 3);
}

#[tokio::test]
async fn a_session_that_forgot_the_beginning_sent_nothing_and_says_so() {
    let uploads = Uploads::default();
    let service = Scripted::new({
        let uploads = uploads.clone();
        move |request| match request.header("content-range") {
            // The end, which is shorter than a unit.
            range if !range.is_empty() && request.body.len() < UNIT => Reply::status(308),
            _ => uploads.answer(request, |length| length),
        }
    });
    let gmail = connect(&service).with_access(Access::SEND);
    let ticket = gmail.prepare(&large(UNIT), &key()).await.unwrap();
    let error = gmail.dispatch(&ticket).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Conflict, Delivery::NotSent)
    );
}

#[tokio::test]
async fn a_service_that_has_all_of_a_message_may_be_sending_it() {
    // It says so to the first end, or to what followed when it had kept only some of that.
    for kept_at_first in [usize::MAX, 100] {
        let uploads = Uploads::default();
        let service = Scripted::new({
            let uploads = uploads.clone();
            let tries = Mutex::new(0);
            move |request| {
                let mut tries = tries.lock().unwrap();
                *tries += 1;
                let kept = if *tries == 2 {
                    kept_at_first
                } else {
                    usize::MAX
                };
                let answer = uploads.answer(request, |length| length.min(kept));
                let stored = uploads.kept.lock().unwrap().len();
                match *uploads.sent.lock().unwrap() {
                    0 => answer,
                    _ => {
                        Reply::status(308).with_header("range", &format!("bytes=0-{}", stored - 1))
                    }
                }
            }
        });
        let gmail = connect(&service).with_access(Access::SEND);
        let ticket = gmail.prepare(&outgoing(), &key()).await.unwrap();
        let error = gmail.dispatch(&ticket).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
        let confirmed = gmail.confirm(&ticket).await.unwrap();
        assert!(
            matches!(confirmed, Confirmation::StillUnknown { .. }),
            "{confirmed:?}"
        );
    }
}

#[tokio::test]
async fn a_session_that_is_gone_proves_nothing() {
    for status in [404, 410] {
        let service = Scripted::new(move |request| match request.method.as_str() {
            "POST" => session("https://gmail.googleapis.com"),
            _ => Reply::status(status),
        });
        let gmail = connect(&service).with_access(Access::SEND);
        let ticket = gmail.prepare(&outgoing(), &key()).await.unwrap();
        let confirmation = gmail.confirm(&ticket).await.unwrap();
        assert_eq!(
            confirmation,
            Confirmation::StillUnknown { ask_again_at: None }
        );
    }
}

#[tokio::test]
async fn no_token_goes_to_an_upload_address_at_another_host() {
    for host in [
        "https://evil.example",
        "http://gmail.googleapis.com",
        "https://gmail.googleapis.com.evil.example",
    ] {
        let service = Scripted::new(move |request| match request.method.as_str() {
            "POST" => session(host),
            _ => Reply::status(308),
        });
        let gmail = connect(&service).with_access(Access::SEND);
        let refused = match gmail.prepare(&large(UNIT), &key()).await {
            Ok(ticket) => gmail.dispatch(&ticket).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(refused.code(), Some("foreign_host"), "{host}");
        assert_eq!(service.requests().len(), 1, "{host}");
    }
}

#[tokio::test]
async fn what_can_never_be_sent_is_refused_before_anything_is_uploaded() {
    let service = Scripted::new(|_| draft());
    let gmail = connect(&service);
    let unread = Content::new(36 * 1024 * 1024, |_| async {
        Err(std::io::Error::other("nobody reads it"))
    });
    let too_large = outgoing().attach(OutgoingAttachment::new("a", "text/csv", unread));
    for refused in [too_large, Outgoing::new().text("to nobody")] {
        let error = gmail.prepare(&refused, &key()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    }
    for text in [
        "",
        "{}",
        "not a ticket",
        r#"{"version":2,"gmail":"draft","draft":"r","key":"k"}"#,
    ] {
        let ticket = SendTicket::new(text);
        let error = gmail.dispatch(&ticket).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{text}");
        assert!(gmail.confirm(&ticket).await.is_err());
    }
    assert!(service.requests().is_empty());
}
