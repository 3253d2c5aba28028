//! Attachments of a message that is put together at the service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom::{ErrorKind, MailProvider, Outgoing, OutgoingAttachment};
use serde_json::json;

use super::{
    ATTACH, ATTACHED, DRAFTS, LOOK, SESSION, START, created, file, key, outgoing, without_leftovers,
};
use crate::outlook::connect;
use crate::scripted::{Reply, Request, Scripted};

/// The service's side of drafts that are put together: files as they were attached, sessions in any number.
#[derive(Clone, Default)]
struct Drafts {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    uploaded: Arc<Mutex<Vec<u8>>>,
    attached: Arc<Mutex<Vec<serde_json::Value>>>,
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
    let draft = requests[1].json();
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
async fn an_upload_that_arrived_is_not_made_again_although_nobody_could_ask_for_its_state() {
    let drafts = Drafts::default();
    let service = Scripted::new({
        let drafts = drafts.clone();
        move |request| match request.method.as_str() {
            // All of it arrives, and the answer to the last piece is lost.
            "PUT" => {
                let kept = drafts.put(request, usize::MAX);
                let attached = !drafts.attached.lock().unwrap().is_empty();
                if attached { Reply::Lost } else { kept }
            }
            "GET" if request.path() == "/api/session" => Reply::error(403, "{}"),
            _ => drafts.answer(request),
        }
    });
    let large = file(7_000_000);
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
    let service = Scripted::new(without_leftovers(|request| match request.line().as_str() {
        DRAFTS => created(),
        START => Reply::error(
            201,
            json!({"uploadUrl": "https://outlook.office365.com/session"}),
        ),
        "PUT /session" => Reply::Lost,
        "GET /session" => Reply::json(json!({"expirationDateTime": "2026-11-22T09:00:00Z"})),
        "DELETE /v1.0/me/messages/d1" => Reply::status(204),
        other => panic!("{other}"),
    }));
    let file = OutgoingAttachment::new("large.zip", "application/zip", file(4_000_000));
    let message = outgoing().attach(file);
    let failure = connect(&service).prepare(&message, &key()).await;
    assert_eq!(failure.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn an_attachment_whose_answer_was_lost_is_looked_for_before_it_is_sent_again() {
    for arrived in [true, false] {
        let drafts = Drafts::default();
        let lost = Mutex::new(true);
        let service = Scripted::new({
            let drafts = drafts.clone();
            move |request| {
                let is_lost =
                    request.line() == ATTACH && std::mem::take(&mut *lost.lock().unwrap());
                if is_lost && !arrived {
                    return Reply::Lost;
                }
                let reply = drafts.answer(request);
                if is_lost { Reply::Lost } else { reply }
            }
        });
        connect(&service)
            .prepare(&two_files(), &key())
            .await
            .unwrap();
        assert_eq!(drafts.attached.lock().unwrap().len(), 2);
        let sent = service
            .lines()
            .iter()
            .filter(|line| *line == ATTACH)
            .count();
        assert_eq!(sent, if arrived { 2 } else { 3 });
    }
}

#[tokio::test]
async fn nobody_is_sent_other_attachments_than_were_meant() {
    let listed = |change: fn(&mut Vec<serde_json::Value>)| async move {
        let drafts = Drafts::default();
        let service = Scripted::new(move |request| {
            if request.line() == ATTACHED {
                let mut attached = drafts.attached.lock().unwrap().clone();
                change(&mut attached);
                return Reply::json(json!({"attachments": attached}));
            }
            if request.method == "DELETE" {
                return Reply::status(204);
            }
            drafts.answer(request)
        });
        let image = OutgoingAttachment::new("logo.png", "image/png", file(900)).inline("logo");
        let message = two_files().html("<img src=\"cid:logo\">").attach(image);
        let prepared = connect(&service).prepare(&message, &key()).await;
        let lines = service.lines();
        let left = lines.last().is_none_or(|line| !line.starts_with("DELETE"));
        (prepared.map_err(|error| error.kind()).err(), left)
    };
    assert_eq!(listed(|_| ()).await, (None, true));
    let refused = (Some(ErrorKind::Protocol), false);
    assert_eq!(listed(|all| drop(all.pop())).await, refused);
    assert_eq!(listed(|all| all.push(all[0].clone())).await, refused);
    assert_eq!(
        listed(|all| all[0]["size"] = json!(1_999_999)).await,
        refused
    );
    assert_eq!(
        listed(|all| all[2]["contentId"] = json!(null)).await,
        refused
    );
}

fn two_files() -> Outgoing {
    let file = |name: &str| OutgoingAttachment::new(name, "application/zip", file(2_000_000));
    outgoing().attach(file("a.zip")).attach(file("b.zip"))
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
                self.attached.lock().unwrap().push(json!({
                    "id": "a1", "name": name, "size": bytes.len() + 120, "contentId": file["contentId"],
                }));
                self.files.lock().unwrap().insert(name, bytes);
                Reply::error(201, json!({"id": "a1"}))
            }
            START => Reply::error(
                201,
                json!({"uploadUrl": SESSION, "expirationDateTime": "2026-11-22T09:00:00Z", "nextExpectedRanges": ["0-"]}),
            ),
            "PUT /api/session" => self.put(request, usize::MAX),
            "GET /api/session" => self.state(),
            ATTACHED => Reply::json(json!({"attachments": *self.attached.lock().unwrap()})),
            LOOK => Reply::json(json!({"value": []})),
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
            let listed = json!({"id": "a2", "name": "large.zip", "size": length + 200});
            self.attached.lock().unwrap().push(listed);
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
