//! Gmail as it is at its most awkward: what the provider asks for, and what it makes of answers that no careful server
//! would give.

use crate::scripted;
use std::time::Duration;

use crate::gmail::{batched, connect, parts};
use crate::scripted::{Reply, Scripted, read};
use postroom::{
    AttachmentId, Delivery, Detail, ErrorKind, FolderId, Gmail, Keyword, MailProvider, MessageId,
    PageRequest, Query,
};
use serde_json::{Value, json};

fn ids(ids: &[&str]) -> Vec<MessageId> {
    ids.iter().map(|id| MessageId::from(*id)).collect()
}

fn message(id: &str) -> Value {
    json!({
        "id": id, "threadId": "t1", "labelIds": ["INBOX", "UNREAD"],
        "internalDate": "1763798400000", "snippet": "Tom &amp; Ann&#39;s &lt;plan&gt;", "sizeEstimate": 1234,
        "payload": {"headers": [
            {"name": "From", "value": "=?UTF-8?Q?B=C3=BCro?= <billing@shop.example>"},
            {"name": "Subject", "value": format!("About {id}")},
        ]},
    })
}

/// The id in `/gmail/v1/users/me/messages/{id}`.
fn asked_for(request: &scripted::Request) -> String {
    let mut segments = request.path().split('/').skip(6);
    segments.next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_page_has_every_message_in_order_but_those_that_vanished() {
    let service = batched(|request| match asked_for(request).as_str() {
        "" => Reply::json(json!({
            "messages": [{"id": "a", "threadId": "t"}, {"id": "gone"}, {"id": "bad"}, {"threadId": "no id"}, null, {"id": "b"}],
            "nextPageToken": "more",
        })),
        "gone" => Reply::error(404, json!({"error": {"code": 404}})),
        "bad" => Reply::json("[1, 2"),
        id => Reply::json(message(id)),
    });
    let page = connect(&service)
        .list(&Query::inbox(), Detail::Headers, PageRequest::first())
        .await
        .unwrap();
    let read: Vec<_> = page.items.iter().flatten().collect();
    assert_eq!(
        ids(&["a", "b"]),
        read.iter().map(|m| m.id.clone()).collect::<Vec<_>>()
    );
    assert_eq!(read[0].subject.as_deref(), Some("About a"));
    assert_eq!(read[0].from[0].name(), Some("Büro"));
    assert_eq!(read[0].preview.as_deref(), Some("Tom & Ann's <plan>"));
    assert_eq!(read[0].received_at.unwrap().timestamp(), 1_763_798_400);
    assert!(!read[0].has(&Keyword::Seen) && read[0].is_in(&FolderId::from("INBOX")));
    assert!(!read[0].is_in(&FolderId::from("UNREAD")));
    let failed: Vec<_> = page
        .items
        .iter()
        .filter_map(|item| item.as_ref().err())
        .collect();
    assert_eq!(
        failed.len(),
        2,
        "what cannot be read or named is an error in its place"
    );
    assert!(
        failed
            .iter()
            .all(|error| error.kind() == ErrorKind::Protocol)
    );
    assert_eq!(page.next.unwrap().as_str(), "more");
    assert_eq!(service.requests().len(), 2, "one listing, one batch");
}

#[tokio::test]
async fn an_answer_of_nothing_but_nulls_is_an_empty_page_or_a_named_error() {
    let nulls = json!({
        "messages": null, "nextPageToken": null, "labels": null, "id": null, "threadId": null, "labelIds": null,
        "payload": null, "snippet": null, "internalDate": null, "emailAddress": null, "messagesTotal": null,
    });
    let service = Scripted::new(move |_| Reply::json(&nulls));
    let gmail = connect(&service);
    let page = gmail
        .list(&Query::All, Detail::Full, PageRequest::first())
        .await
        .unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    assert!(gmail.folders().await.unwrap().is_empty());
    let message = gmail.get(&ids(&["a"]), Detail::Full).await.unwrap();
    assert_eq!(message[0].as_ref().unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(
        gmail.profile().await.unwrap_err().kind(),
        ErrorKind::Protocol
    );
}

#[tokio::test]
async fn a_page_that_fails_as_a_whole_is_an_error_and_not_a_page_of_errors() {
    let service = batched(|request| match asked_for(request).as_str() {
        "" => Reply::json(json!({"messages": [{"id": "a"}, {"id": "b"}]})),
        _ => Reply::error(
            403,
            json!({"error": {"errors": [{"reason": "dailyLimitExceeded"}]}}),
        ),
    });
    let page = connect(&service)
        .list(&Query::All, Detail::Headers, PageRequest::first())
        .await;
    assert_eq!(page.unwrap_err().kind(), ErrorKind::QuotaExceeded);
}

#[tokio::test]
async fn only_the_parts_of_a_batch_that_failed_for_a_while_are_sent_again() {
    let service = batched({
        let tries = std::sync::atomic::AtomicU32::new(0);
        move |request| match asked_for(request).as_str() {
            "slow" | "slower" if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 => {
                Reply::error(
                    429,
                    json!({"error": {"errors": [{"reason": "rateLimitExceeded"}]}}),
                )
                .with_header("retry-after", "7")
            }
            "wrong" => Reply::error(400, json!({"error": {"status": "INVALID_ARGUMENT"}})),
            id => Reply::json(message(id)),
        }
    });
    let messages = connect(&service)
        .get(
            &ids(&["a", "slow", "wrong", "slower", "b"]),
            Detail::Headers,
        )
        .await
        .unwrap();
    let subjects: Vec<_> = messages
        .iter()
        .map(|message| {
            message
                .as_ref()
                .map(|m| m.id.as_str().to_owned())
                .map_err(|e| e.kind())
        })
        .collect();
    assert_eq!(
        subjects,
        [
            Ok("a"),
            Ok("slow"),
            Err(ErrorKind::InvalidRequest),
            Ok("slower"),
            Ok("b")
        ]
        .map(|id| id.map(str::to_owned)),
    );
    let sizes: Vec<_> = service
        .requests()
        .iter()
        .map(|request| parts(request).len())
        .collect();
    assert_eq!(sizes, [5, 2]);
    assert!(service.waited() >= Duration::from_secs(7));
}

#[tokio::test]
async fn a_part_that_never_comes_back_fails_alone() {
    let service = batched(|request| match asked_for(request).as_str() {
        "lost" | "lost2" => Reply::Lost,
        id => Reply::json(message(id)),
    });
    let messages = connect(&service)
        .get(&ids(&["lost", "a", "lost2"]), Detail::Headers)
        .await
        .unwrap();
    assert!(messages[1].is_ok());
    for lost in [&messages[0], &messages[2]] {
        let error = lost.as_ref().unwrap_err();
        assert!(error.is_transient() && error.delivery() == Delivery::Unknown);
    }
}

#[tokio::test]
async fn a_token_that_parts_of_a_batch_refuse_is_renewed_once() {
    let service = batched({
        let tries = std::sync::atomic::AtomicU32::new(0);
        move |request| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0..3 => Reply::error(401, json!({"error": {"errors": [{"reason": "authError"}]}})),
            _ => Reply::json(message(&asked_for(request))),
        }
    });
    let messages = connect(&service)
        .get(&ids(&["a", "b", "c"]), Detail::Headers)
        .await
        .unwrap();
    assert!(messages.iter().all(Result::is_ok));

    let service = batched(|_| Reply::error(401, json!({"error": {"code": 401}})));
    let messages = connect(&service)
        .get(&ids(&["a", "b", "c"]), Detail::Headers)
        .await
        .unwrap();
    let signed_out = |error: &postroom::Error| error.kind() == ErrorKind::SignInRequired;
    assert!(
        messages
            .iter()
            .all(|message| message.as_ref().is_err_and(signed_out))
    );
    assert!(service.requests().len() < 6, "and not again and again");
}

#[tokio::test]
async fn a_batch_never_has_more_than_25_parts_and_every_id_gets_its_answer() {
    let service = batched(|request| Reply::json(message(&asked_for(request))));
    let asked: Vec<_> = (0..60)
        .map(|number| MessageId::from(format!("m{number}")))
        .collect();
    let messages = connect(&service).get(&asked, Detail::Ids).await.unwrap();
    let answered: Vec<_> = messages
        .into_iter()
        .map(|message| message.unwrap().id)
        .collect();
    assert_eq!(answered, asked);
    assert!(
        service
            .requests()
            .iter()
            .all(|request| parts(request).len() <= 25)
    );
}

#[tokio::test]
async fn an_id_is_data_and_never_another_path() {
    let service = batched(|request| Reply::json(message(&asked_for(request))));
    let strange = ids(&["../settings?x=", "..", "", "a/b#c", "ok\r\nGET /evil"]);
    let messages = connect(&service).get(&strange, Detail::Ids).await.unwrap();
    for refused in [&messages[1], &messages[2]] {
        assert_eq!(
            refused.as_ref().unwrap_err().kind(),
            ErrorKind::InvalidRequest
        );
    }
    for request in service.requests() {
        let inner = parts(&request);
        assert_eq!(inner.len(), 3);
        assert!(
            inner
                .iter()
                .all(|part| part.path().starts_with("/gmail/v1/users/me/messages/"))
        );
        assert!(inner.iter().all(|part| part.path().split('/').count() == 7));
    }
}

#[tokio::test]
async fn the_text_is_found_wherever_it_is_and_files_are_not_text() {
    // The HTML has a Content-ID and is too long to come with the message; the plain text is in another charset.
    let full = json!({
        "id": "a",
        "payload": {"mimeType": "multipart/mixed", "partId": "", "filename": "", "headers": [], "parts": [
            {"mimeType": "multipart/related", "partId": "0", "parts": [
                {"mimeType": "multipart/alternative", "partId": "0.0", "parts": [
                    {"mimeType": "text/plain", "partId": "0.0.0", "filename": "",
                     "headers": [{"name": "content-type", "value": "text/plain; charset=\"iso-8859-1\""}],
                     "body": {"size": 4, "data": "R3L832U"}},
                    {"mimeType": "TEXT/HTML", "partId": "0.0.1", "filename": "",
                     "headers": [{"name": "Content-ID", "value": "<body@shop.example>"}],
                     "body": {"size": 90000, "attachmentId": "token-of-html"}},
                ]},
                {"mimeType": "image/png", "partId": "0.1", "filename": "logo.png",
                 "headers": [{"name": "Content-ID", "value": "<logo@shop.example>"}],
                 "body": {"size": 3, "attachmentId": "token-of-logo"}},
            ]},
            {"mimeType": "text/plain", "partId": "1", "filename": "notes.txt",
             "headers": [{"name": "Content-Disposition", "value": "attachment; filename=notes.txt"}],
             "body": {"size": 3, "data": "YWJj"}},
            {"mimeType": "message/rfc822", "partId": "2", "filename": "", "body": {"size": 10}, "parts": [
                {"mimeType": "text/plain", "partId": "2.0", "body": {"data": "bm90IG91cnM"}},
            ]},
            {"mimeType": "image/gif", "filename": "=?UTF-8?Q?Gr=C3=BC=C3=9Fe.gif?=", "partId": null, "body": null, "headers": null},
            null,
        ]},
    });
    let service = Scripted::new(move |request| match request.path() {
        path if path.ends_with("/attachments/token-of-html") => {
            Reply::json(json!({"size": 9, "data": "PGltZyBzcmM9ImNpZDpsb2dvQHNob3AuZXhhbXBsZSI-"}))
        }
        _ => Reply::json(&full),
    });
    let messages = connect(&service)
        .get(&ids(&["a"]), Detail::Full)
        .await
        .unwrap();
    let message = messages[0].as_ref().unwrap();
    assert_eq!(message.body.text.as_deref(), Some("Grüße"));
    assert_eq!(
        message.body.html.as_deref(),
        Some("<img src=\"cid:logo@shop.example\">")
    );
    let attachments: Vec<_> = message
        .attachments
        .iter()
        .map(|a| {
            (
                a.id.as_str(),
                a.name.as_deref(),
                a.media_type.as_str(),
                a.inline,
            )
        })
        .collect();
    assert_eq!(
        attachments,
        [
            ("0.1", Some("logo.png"), "image/png", true),
            ("1", Some("notes.txt"), "text/plain", false),
            ("2", None, "message/rfc822", false),
            ("3", Some("Grüße.gif"), "image/gif", false),
        ]
    );
    assert!(
        message.folders.as_ref().unwrap().is_empty(),
        "no labels come as no list"
    );
    assert!(message.has(&Keyword::Seen));
}

#[tokio::test]
async fn text_in_the_first_place_is_the_body_even_with_a_name() {
    let service = Scripted::new(|_| {
        let named = json!({
            "mimeType": "text/plain", "filename": "note.txt", "headers": [{"name": "Content-Disposition", "value": "inline"}],
            "body": {"size": 5, "data": "aGVsbG8="},
        });
        Reply::json(
            json!({"id": "a", "payload": {"mimeType": "multipart/mixed", "parts": [named, named]}}),
        )
    });
    let messages = connect(&service)
        .get(&ids(&["a"]), Detail::Full)
        .await
        .unwrap();
    let message = messages[0].as_ref().unwrap();
    assert_eq!(message.body.text.as_deref(), Some("hello"));
    assert_eq!(message.attachments.len(), 1, "the second one is a file");
}

#[tokio::test]
async fn a_body_that_is_not_base64_leaves_the_rest_of_the_message() {
    let service = Scripted::new(|_| {
        Reply::json(
            json!({"id": "a", "sizeEstimate": "7", "internalDate": true, "payload": {
                "mimeType": "text/html", "headers": [{"name": "Subject", "value": "Still here"}, {"name": null}],
                "body": {"size": 5, "data": "%%%%"},
            }}),
        )
    });
    let messages = connect(&service)
        .get(&ids(&["a"]), Detail::Full)
        .await
        .unwrap();
    let message = messages[0].as_ref().unwrap();
    assert_eq!(message.subject.as_deref(), Some("Still here"));
    assert_eq!(message.size, Some(7));
    assert_eq!((&message.body.html, message.received_at), (&None, None));
}

#[tokio::test]
async fn a_body_is_read_in_either_alphabet_and_in_lines() {
    for data in ["Pz8_Pj8-", "Pz8/Pj8+", "Pz8/\r\nPj8+\r\n"] {
        let service = Scripted::new(move |_| {
            Reply::json(json!({"id": "a", "payload": {
                "mimeType": "text/plain", "body": {"size": 6, "data": data},
            }}))
        });
        let gmail = connect(&service);
        let messages = gmail.get(&ids(&["a"]), Detail::Full).await.unwrap();
        let message = messages[0].as_ref().unwrap();
        assert_eq!(message.body.text.as_deref(), Some("???>?>"), "{data}");
    }
}

#[tokio::test]
async fn an_attachment_that_does_not_come_is_no_empty_file() {
    for (size, empty) in [(json!(5), false), (json!(0), true), (Value::Null, false)] {
        let service = Scripted::new(move |request| {
            if request.path().contains("/attachments/") {
                return Reply::json(json!({"size": 5}));
            }
            let body = json!({"size": size, "attachmentId": "token"});
            let part = json!({"mimeType": "application/pdf", "partId": "0", "body": body});
            Reply::json(json!({"payload": {"mimeType": "multipart/mixed", "parts": [part]}}))
        });
        let gmail = connect(&service);
        let (message, attachment) = (MessageId::from("a"), AttachmentId::from("0"));
        let stream = gmail.attachment(&message, &attachment).await.unwrap();
        let bytes = read(stream).await;
        assert_eq!(bytes.is_ok_and(|bytes| bytes.is_empty()), empty);
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_fetched_now_is_no_empty_body() {
    let service = Scripted::new(|request| {
        if request.path().contains("/attachments/") {
            return Reply::status(503);
        }
        Reply::json(json!({"id": "a", "payload": {
            "mimeType": "text/plain", "body": {"size": 90000, "attachmentId": "token"},
        }}))
    });
    let messages = connect(&service)
        .get(&ids(&["a"]), Detail::Full)
        .await
        .unwrap();
    assert_eq!(
        messages[0].as_ref().unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn a_raw_message_comes_whole_however_it_is_cut_and_padded() {
    for text in [
        r#"{"raw":"RnJvbTogYUBiLmV4YW1wbGUNCg0KPz8_Pg"}"#,
        r#"{"raw":"RnJvbTogYUBiLmV4YW1wbGUNCg0KPz8_Pg=="}"#,
        "{\n \"raw\" : \"RnJvbTogYUBiLmV4YW1wbGUNCg0KPz8/Pg\\u003d\\u003d\"\n}\n",
    ] {
        for size in [1, 3, 7, 1000] {
            let service = Scripted::new(move |_| {
                let pieces = text
                    .as_bytes()
                    .chunks(size)
                    .map(bytes::Bytes::copy_from_slice);
                Reply::status(200).with_body(pieces.collect())
            });
            let stream = connect(&service).raw(&MessageId::from("a")).await.unwrap();
            assert_eq!(
                read(stream).await.unwrap(),
                b"From: a@b.example\r\n\r\n???>"
            );
        }
    }
}

#[tokio::test]
async fn a_raw_message_that_is_not_one_is_an_error_of_its_stream() {
    for text in [
        r#"{"raw":"RnJvbTo"#,
        r#"{"raw":"RnJvbTo""#,
        r#"{"raw":null}"#,
        r#"{"id":"raw","x":{"raw":"RnJvbTo"}}"#,
        r#"{"raw":"not base64"}"#,
        "<html>raw</html>",
        "",
    ] {
        let service = Scripted::new(move |_| Reply::text(200, text));
        let stream = connect(&service).raw(&MessageId::from("a")).await.unwrap();
        let error = read(stream).await.unwrap_err();
        assert!(!error.to_string().contains("RnJ"), "{error}");
    }
}

#[tokio::test]
async fn an_attachment_is_looked_up_by_its_place_each_time() {
    let service = Scripted::new({
        let count = std::sync::atomic::AtomicU32::new(0);
        move |request| {
            if let Some((_, token)) = request.path().split_once("/attachments/") {
                let data = if token == "token-1" {
                    "Zmlyc3Q"
                } else {
                    "c2Vjb25k"
                };
                return Reply::json(json!({"data": data}));
            }
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            Reply::json(json!({"payload": {"mimeType": "multipart/mixed", "parts": [
                {"mimeType": "application/pdf", "partId": "0", "body": {"size": 5, "attachmentId": format!("token-{number}")}},
                {"mimeType": "application/pdf", "partId": "1", "body": {"size": 3, "data": "YWJj"}},
                {"mimeType": "application/pdf", "partId": "2", "body": {"size": 0}},
            ]}}))
        }
    });
    let gmail = connect(&service);
    let mut contents = Vec::new();
    for part in ["0", "0", "1", "2"] {
        let stream = gmail
            .attachment(&MessageId::from("a"), &AttachmentId::from(part))
            .await
            .unwrap();
        contents.push(String::from_utf8(read(stream).await.unwrap()).unwrap());
    }
    assert_eq!(contents, ["first", "second", "abc", ""]);
    let missing = gmail
        .attachment(&MessageId::from("a"), &AttachmentId::from("9"))
        .await;
    assert_eq!(missing.err().unwrap().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_attached_message_that_the_service_does_not_hand_out_is_taken_from_the_whole() {
    let whole = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee below\r\n\
                 --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nHello\r\n--b--\r\n";
    let service = Scripted::new(move |request| {
        if request.query("format") == ["raw"] {
            use base64::Engine as _;
            let raw = base64::engine::general_purpose::URL_SAFE.encode(whole);
            return Reply::json(json!({"raw": raw}));
        }
        Reply::json(json!({"payload": {"mimeType": "multipart/mixed", "parts": [
            {"mimeType": "text/plain", "partId": "0", "body": {"data": "U2VlIGJlbG93"}},
            {"mimeType": "message/rfc822", "partId": "1", "body": {"size": 23}},
        ]}}))
    });
    let stream = connect(&service)
        .attachment(&MessageId::from("a"), &AttachmentId::from("1"))
        .await
        .unwrap();
    let inner = String::from_utf8(read(stream).await.unwrap()).unwrap();
    assert_eq!(inner.trim_end(), "Subject: Inner\r\n\r\nHello");
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_never_what_the_service_wrote() {
    use ErrorKind::*;
    let reason = |reason: &str| json!({"error": {"message": "planted", "errors": [{"reason": reason, "message": "planted"}]}});
    let info = |reason: &str| json!({"error": {"status": "PERMISSION_DENIED", "details": [{"@type": "x", "reason": reason}]}});
    let cases: Vec<(u16, String, ErrorKind, Option<&str>, Delivery)> = vec![
        (400, reason("invalidArgument").to_string(), InvalidRequest, Some("invalidArgument"), Delivery::Answered),
        (400, json!({"error": {"message": "Mail service not enabled", "errors": [{"reason": "failedPrecondition"}]}}).to_string(),
            MailboxUnavailable, Some("failedPrecondition"), Delivery::Answered),
        (400, reason("failedPrecondition").to_string(), InvalidRequest, Some("failedPrecondition"), Delivery::Answered),
        (401, reason("authError").to_string(), SignInRequired, Some("authError"), Delivery::NotSent),
        (403, reason("insufficientPermissions").to_string(), PermissionDenied, Some("insufficientPermissions"), Delivery::Answered),
        (403, info("ACCESS_TOKEN_SCOPE_INSUFFICIENT").to_string(), PermissionDenied, Some("ACCESS_TOKEN_SCOPE_INSUFFICIENT"), Delivery::Answered),
        (403, reason("rateLimitExceeded").to_string(), RateLimited, Some("rateLimitExceeded"), Delivery::NotSent),
        (403, reason("userRateLimitExceeded").to_string(), RateLimited, Some("userRateLimitExceeded"), Delivery::NotSent),
        (403, info("RATE_LIMIT_EXCEEDED").to_string(), RateLimited, Some("RATE_LIMIT_EXCEEDED"), Delivery::NotSent),
        (429, reason("quotaExceeded").to_string(), QuotaExceeded, Some("quotaExceeded"), Delivery::NotSent),
        (403, reason("domainPolicy").to_string(), AdminConsentRequired, Some("domainPolicy"), Delivery::Answered),
        (403, reason("forbidden").to_string(), PermissionDenied, Some("forbidden"), Delivery::Answered),
        (403, info("SERVICE_DISABLED").to_string(), Configuration, Some("SERVICE_DISABLED"), Delivery::Answered),
        (404, reason("notFound").to_string(), NotFound, Some("notFound"), Delivery::Answered),
        (409, json!({"error": {"status": "ALREADY_EXISTS"}}).to_string(), Conflict, Some("ALREADY_EXISTS"), Delivery::Answered),
        (409, json!({"error": {"status": "ABORTED"}}).to_string(), Unavailable, Some("ABORTED"), Delivery::Answered),
        (413, "<html>planted</html>".to_owned(), InvalidRequest, None, Delivery::Answered),
        (429, String::new(), RateLimited, None, Delivery::NotSent),
        (500, reason("backendError").to_string(), Unavailable, Some("backendError"), Delivery::Unknown),
        (502, "planted".to_owned(), Unavailable, None, Delivery::Unknown),
        (504, "[]".to_owned(), Unavailable, None, Delivery::Unknown),
        (418, json!({"error": "planted"}).to_string(), InvalidRequest, None, Delivery::Answered),
        (400, json!({"error": {"errors": [{"reason": "planted with spaces"}], "status": ["planted"]}}).to_string(), InvalidRequest, None, Delivery::Answered),
        (302, "planted".to_owned(), Protocol, None, Delivery::Answered),
    ];
    for (status, body, kind, code, delivery) in cases {
        let row = format!("{status} {body}");
        let service = Scripted::new(move |_| Reply::text(status, body.clone()));
        let gmail = Gmail::new(
            service
                .connection()
                .with_retry(postroom::http::RetryPolicy::never()),
        )
        .unwrap();
        let error = gmail.profile().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.delivery()),
            (kind, code, delivery),
            "{row}"
        );
        assert_eq!(error.status(), Some(status), "{row}");
        assert!(
            !format!("{error} {error:?}").contains("planted"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_lockout_is_waited_for_by_the_services_clock() {
    let service = Scripted::new(|_| {
        Reply::error(
            429,
            json!({"error": {"message": "User-rate limit exceeded.  Retry after 2030-01-01T00:15:00.000Z (Mail sending)"}}),
        )
        .with_header("date", "Tue, 01 Jan 2030 00:00:00 GMT")
    });
    let error = connect(&service).profile().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(900)));
    assert_eq!(
        service.requests().len(),
        1,
        "knocking during a lockout makes it longer"
    );
}

#[tokio::test]
async fn another_mailbox_and_another_endpoint_are_only_other_addresses() {
    let service = batched(|request| Reply::json(message(&asked_for(request))));
    let gmail = Gmail::new(service.connection())
        .unwrap()
        .with_user("team@gmail.example")
        .with_api_endpoint("http://127.0.0.1:9/google".parse().unwrap())
        .unwrap();
    gmail.get(&ids(&["a", "b"]), Detail::Ids).await.unwrap();
    let request = service.requests().remove(0);
    assert_eq!(request.url.host_str(), Some("127.0.0.1"));
    assert_eq!(request.line(), "POST /google/batch/gmail/v1");
    let inner = parts(&request);
    assert!(inner.iter().all(|part| {
        part.path()
            .starts_with("/gmail/v1/users/team@gmail.example/messages/")
    }));
    for endpoint in ["http://mail.example/", "ftp://127.0.0.1/", "data:x"] {
        let refused = Gmail::new(service.connection())
            .unwrap()
            .with_api_endpoint(endpoint.parse().unwrap());
        assert_eq!(
            refused.unwrap_err().kind(),
            ErrorKind::Configuration,
            "{endpoint}"
        );
    }
}
