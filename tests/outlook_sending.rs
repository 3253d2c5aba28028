//! Sending over Graph: what is prepared reaches nobody, what was dispatched is not dispatched again by itself, and a lost
//! answer can be settled.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

#[path = "support/outlook.rs"]
mod outlook;
#[path = "support/scripted.rs"]
mod scripted;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outlook::{batched, connect};
use postroom::{
    Access, Confirmation, Content, Delivery, ErrorKind, MailProvider, Outgoing, OutgoingAttachment,
    SendKey, SendTicket, Sent,
};
use scripted::{Reply, Request, Scripted};
use serde_json::json;

const DRAFTS: &str = "POST /v1.0/me/messages";
const ATTACH: &str = "POST /v1.0/me/messages/d1/attachments";
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

fn draft_ticket() -> SendTicket {
    SendTicket::new(
        r#"{"version":1,"outlook":"draft","draft":"d1","thread":"c1","key":"outbox-7"}"#,
    )
}

/// A file whose bytes tell where they stand.
fn file(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place / 1000) as u8).collect()
}

#[tokio::test]
async fn a_message_is_prepared_as_one_draft_and_sent_by_its_id() {
    let service = Scripted::new(|request| match request.line().as_str() {
        DRAFTS => created(),
        "POST /v1.0/me/messages/d1/send" => Reply::status(202),
        _ => Reply::status(500),
    });
    let outlook = connect(&service);
    let html = outgoing()
        .html("<p>Attached.</p>")
        .attach(OutgoingAttachment::new(
            "report.csv",
            "text/csv",
            b"a,b\n".to_vec(),
        ));
    let ticket = outlook.prepare(&html, &key()).await.unwrap();
    let draft = service.requests().remove(0);
    assert_eq!(draft.header("content-type"), "text/plain");
    let mime = String::from_utf8(STANDARD.decode(&draft.body).unwrap()).unwrap();
    for part in [
        "Bcc: archive@desk.example",
        "X-Postroom-Key: outbox-7",
        "Subject: The report",
        "multipart/alternative",
        "YSxiCg==",
    ] {
        assert!(mime.contains(part), "{part} is missing in {mime}");
    }
    assert_eq!(service.requests().len(), 1, "nothing was sent yet");
    let sent = outlook.dispatch(&ticket).await.unwrap();
    assert_eq!(sent, Sent::new(Some("d1".into()), Some("c1".into())));
    let send = service.requests().remove(1);
    assert!(send.body.is_empty());
}

/// The service's side of drafts that are put together: files as they were attached, sessions in any number.
#[derive(Clone, Default)]
struct Drafts {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    uploaded: Arc<Mutex<Vec<u8>>>,
}

impl Drafts {
    fn answer(&self, request: &Request) -> Reply {
        match request.line().as_str() {
            DRAFTS => created(),
            ATTACH => {
                let file = request.json();
                let bytes = STANDARD
                    .decode(file["contentBytes"].as_str().unwrap())
                    .unwrap();
                let name = file["name"].as_str().unwrap().to_owned();
                self.files.lock().unwrap().insert(name, bytes);
                Reply::error(201, json!({"id": "a1"}))
            }
            START => Reply::error(
                201,
                json!({"uploadUrl": SESSION, "expirationDateTime": "2026-11-22T09:00:00Z", "nextExpectedRanges": ["0-"]}),
            ),
            "PUT /api/session" => self.put(request, usize::MAX),
            "GET /api/session" => self.state(),
            _ => Reply::status(500),
        }
    }

    /// Keeps at most so many bytes of a piece that follows what is there.
    fn put(&self, request: &Request, most: usize) -> Reply {
        assert!(
            !request.headers.contains_key("authorization"),
            "the address alone authorizes"
        );
        assert!(!request.headers.contains_key("prefer"));
        let range = request
            .header("content-range")
            .strip_prefix("bytes ")
            .unwrap();
        let (range, length) = range.split_once('/').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end, length] =
            [start, end, length].map(|number| number.parse::<usize>().unwrap());
        let mut uploaded = self.uploaded.lock().unwrap();
        assert_eq!(start, uploaded.len(), "pieces follow each other");
        assert_eq!(end + 1 - start, request.body.len());
        assert!(request.body.len() <= 4 * 1024 * 1024);
        uploaded.extend(request.body.iter().take(most));
        if uploaded.len() == length {
            return Reply::status(201);
        }
        let next = uploaded.len().to_string();
        Reply::json(
            json!({"ExpirationDateTime": "2026-11-22T09:00:00Z", "NextExpectedRanges": [next]}),
        )
    }

    fn state(&self) -> Reply {
        let next = format!("{}-", self.uploaded.lock().unwrap().len());
        Reply::json(json!({"nextExpectedRanges": [next]}))
    }
}

#[tokio::test]
async fn a_message_too_long_for_one_request_is_put_together_at_the_service() {
    let drafts = Drafts::default();
    let service = Scripted::new({
        let drafts = drafts.clone();
        move |request| drafts.answer(request)
    });
    let large = file(7_000_000);
    let message = outgoing()
        .html("<p><img src=\"cid:logo\"></p>")
        .answering("1@shop.example", None)
        .attach(OutgoingAttachment::new("small.png", "image/png", file(500)).inline("<logo>"))
        .attach(OutgoingAttachment::new(
            "large.zip",
            "application/zip",
            large.clone(),
        ));
    connect(&service).prepare(&message, &key()).await.unwrap();
    assert_eq!(drafts.files.lock().unwrap()["small.png"], file(500));
    assert_eq!(*drafts.uploaded.lock().unwrap(), large);
    let requests = service.requests();
    let draft = requests[0].json();
    assert_eq!(
        draft["body"],
        json!({"contentType": "html", "content": "<p><img src=\"cid:logo\"></p>"})
    );
    assert_eq!(
        draft["bccRecipients"],
        json!([{"emailAddress": {"address": "archive@desk.example"}}])
    );
    let properties = draft["singleValueExtendedProperties"].as_array().unwrap();
    let value = |id: &str| {
        properties
            .iter()
            .find(|p| p["id"].as_str().unwrap().contains(id))
            .unwrap()["value"]
            .clone()
    };
    assert_eq!(value("PostroomKey"), "outbox-7");
    assert_eq!(
        [value("0x1042"), value("0x1039")],
        ["<1@shop.example>", "<1@shop.example>"]
    );
    let inline = requests
        .iter()
        .find(|request| request.line() == ATTACH)
        .unwrap()
        .json();
    assert_eq!(
        (&inline["isInline"], &inline["contentId"]),
        (&json!(true), &json!("logo"))
    );
    let session = requests
        .iter()
        .find(|request| request.line() == START)
        .unwrap()
        .json();
    assert_eq!(session["AttachmentItem"]["size"], 7_000_000);
    assert_eq!(
        requests
            .iter()
            .filter(|request| request.method == "PUT")
            .count(),
        3
    );
}

#[tokio::test]
async fn an_upload_goes_on_where_it_broke() {
    let drafts = Drafts::default();
    let breaks = Mutex::new(vec![
        // Taken from the end: a short piece is kept; the service fails; a part arrives without an answer; all of it does.
        (usize::MAX, Some(Reply::Lost)),
        (1_000_000, Some(Reply::Lost)),
        (0, Some(Reply::status(503))),
        (1_000_000, None),
    ]);
    let service = Scripted::new({
        let drafts = drafts.clone();
        move |request| {
            if request.method == "PUT"
                && let Some((most, reply)) = breaks.lock().unwrap().pop()
            {
                let kept = drafts.put(request, most);
                return reply.unwrap_or(kept);
            }
            drafts.answer(request)
        }
    });
    let large = file(9_000_000);
    let message = outgoing().attach(OutgoingAttachment::new(
        "large.zip",
        "application/zip",
        large.clone(),
    ));
    connect(&service).prepare(&message, &key()).await.unwrap();
    assert_eq!(*drafts.uploaded.lock().unwrap(), large);
}

#[tokio::test]
async fn a_file_is_complete_only_if_the_service_says_so() {
    let service = Scripted::new(|request| match request.line().as_str() {
        DRAFTS => created(),
        START => Reply::error(
            201,
            json!({"uploadUrl": "https://outlook.office.com/session"}),
        ),
        "PUT /session" => Reply::Lost,
        "GET /session" => Reply::json(json!({"expirationDateTime": "2026-11-22T09:00:00Z"})),
        "DELETE /v1.0/me/messages/d1" => Reply::status(204),
        other => panic!("{other}"),
    });
    let file = OutgoingAttachment::new("large.zip", "application/zip", file(4_000_000));
    let message = outgoing().attach(file);
    let failure = connect(&service).prepare(&message, &key()).await;
    assert_eq!(failure.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_draft_that_could_not_be_completed_is_not_left_behind() {
    for (session, kind) in [
        ("https://files.example/session", ErrorKind::Protocol),
        ("http://outlook.office.com/session", ErrorKind::Protocol),
        ("", ErrorKind::Protocol),
    ] {
        let service = Scripted::new(move |request| match request.line().as_str() {
            DRAFTS => created(),
            START => Reply::error(201, json!({"uploadUrl": session})),
            "DELETE /v1.0/me/messages/d1" => Reply::status(204),
            _ => Reply::status(500),
        });
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
            [DRAFTS, START, "DELETE /v1.0/me/messages/d1"]
        );
        assert!(!format!("{failure} {failure:?}").contains("session"));
    }
    // An attachment that may be there already is not sent again: people would get it twice.
    let service = Scripted::new(move |request| match request.line().as_str() {
        DRAFTS => created(),
        ATTACH => Reply::Lost,
        _ => Reply::status(204),
    });
    let message = outgoing()
        .attach(OutgoingAttachment::new(
            "a.zip",
            "application/zip",
            file(2_000_000),
        ))
        .attach(OutgoingAttachment::new(
            "b.zip",
            "application/zip",
            file(2_000_000),
        ));
    let failure = connect(&service)
        .prepare(&message, &key())
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Network);
    assert_eq!(
        service.lines(),
        [DRAFTS, ATTACH, "DELETE /v1.0/me/messages/d1"]
    );
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
            let service = Scripted::new(move |_| script.clone());
            let failure = connect(&service).dispatch(&ticket).await.unwrap_err();
            let delivery = match (kind, service.lines()[0].as_str()) {
                (ErrorKind::NotFound, "POST /v1.0/me/sendMail") => Delivery::Answered,
                _ => delivery,
            };
            assert_eq!((failure.kind(), failure.delivery()), (kind, delivery));
            assert_eq!(service.requests().len() > 1, repeated, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn what_became_of_a_draft_is_told_by_the_draft() {
    let ask = |draft: Reply| async move {
        let service = batched(move |request| match request.path() {
            "/v1.0/me/mailFolders/outbox" => Reply::json(json!({"id": "f-outbox"})),
            "/v1.0/me/messages/d1" => draft.clone(),
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
    assert!(mime.contains("X-Postroom-Key: outbox-7"));
    let failure = outlook.confirm(&ticket).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Unsupported);
}
