//! Reading from the request to the model: a page of 500 messages with what a list of messages shows, and one batch of 25
//! whole messages.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use postroom::{Detail, Mailbox, MessageId, PageRequest, Query};
use postroom_benches::Scripted;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const MESSAGES: usize = 500;

fn gmail_message(id: &str) -> Value {
    let headers = [
        ("From", "Billing <billing@shop.example>"),
        ("To", "Reader <reader@gmail.example>, support@desk.example"),
        (
            "Subject",
            "=?UTF-8?B?SWhyZSBSZWNobnVuZyBmw7xyIE5vdmVtYmVy?=",
        ),
        ("Date", "Sun, 22 Nov 2026 08:00:00 +0000"),
        ("Message-ID", "<invoice-2026-11@shop.example>"),
        (
            "References",
            "<order-7@shop.example> <order-8@shop.example>",
        ),
    ];
    let headers = headers.map(|(name, value)| json!({"name": name, "value": value}));
    json!({
        "id": id, "threadId": id, "labelIds": ["INBOX", "UNREAD", "IMPORTANT"],
        "snippet": "Your invoice for November is attached. Tom &amp; Ann", "sizeEstimate": 48_213,
        "internalDate": "1795334400000",
        "payload": {"mimeType": "multipart/mixed", "headers": headers},
    })
}

/// Answers listings, and batches with as many parts as were asked for.
fn gmail() -> Mailbox {
    let ids: Vec<Value> = (0..MESSAGES)
        .map(|index| json!({"id": format!("{index:016x}"), "threadId": "1a"}))
        .collect();
    let list = Bytes::from(json!({"messages": ids}).to_string());
    let message = gmail_message("00000000000000aa").to_string();
    Scripted::reading(move |_, url, body| {
        if !url.contains("/batch/") {
            return ("application/json", list.clone());
        }
        let asked = String::from_utf8_lossy(body)
            .matches("Content-ID: <i")
            .count();
        let mut answer = String::new();
        for index in 0..asked {
            let _ = write!(
                answer,
                "--b\r\nContent-Type: application/http\r\nContent-ID: <response-i{index}>\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{message}\r\n"
            );
        }
        answer.push_str("--b--\r\n");
        ("multipart/mixed; boundary=b", Bytes::from(answer))
    })
    .gmail()
}

fn graph_message(index: usize) -> Value {
    let person =
        |name: &str, address: &str| json!({"emailAddress": {"name": name, "address": address}});
    json!({
        "@odata.etag": "W/\"CQAAABYAAAD\"", "id": format!("AAkALgAAAAAAHYQDEapm{index:06}AAA="),
        "receivedDateTime": "2026-11-22T08:00:00Z", "sentDateTime": "2026-11-22T07:59:58Z",
        "hasAttachments": true, "internetMessageId": "<invoice-2026-11@shop.example>",
        "subject": "Ihre Rechnung für November", "bodyPreview": "Your invoice for November is attached.",
        "importance": "normal", "parentFolderId": "AQMkADAwATM0MDAAMS0", "conversationId": "AAQkADAwATM0MDAA",
        "isRead": false, "isDraft": false, "categories": ["Shop"], "flag": {"flagStatus": "notFlagged"},
        "from": person("Billing", "billing@shop.example"), "sender": person("Billing", "billing@shop.example"),
        "toRecipients": [person("Reader", "reader@outlook.example"), person("Support", "support@desk.example")],
        "ccRecipients": [], "bccRecipients": [], "replyTo": [],
    })
}

/// Answers with a page of messages, and in batches that there is no such folder.
fn outlook() -> Mailbox {
    let messages: Vec<Value> = (0..MESSAGES).map(graph_message).collect();
    let page = Bytes::from(json!({"value": messages}).to_string());
    Scripted::reading(move |_, url, body| {
        if !url.ends_with("/$batch") {
            return ("application/json", page.clone());
        }
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let requests = asked["requests"].as_array().into_iter().flatten();
        let missing = json!({"error": {"code": "ErrorItemNotFound", "message": "Not found"}});
        let responses: Vec<Value> = requests
            .map(|request| json!({"id": request["id"], "status": 404, "headers": {}, "body": missing}))
            .collect();
        let answer = json!({"responses": responses}).to_string();
        ("application/json", Bytes::from(answer))
    })
    .outlook()
}

fn reading(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("reading");
    group
        .throughput(Throughput::Elements(MESSAGES as u64))
        .sample_size(20);
    for (name, mailbox) in [("500 from Gmail", gmail()), ("500 from Graph", outlook())] {
        let query = Query::inbox();
        group.bench_function(name, |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let page = PageRequest::first().with_size(MESSAGES as u32);
                let page = mailbox
                    .page(&query, Detail::Headers, page)
                    .await
                    .expect("a page");
                let read = page.items.into_iter().filter(Result::is_ok).count();
                assert_eq!(read, MESSAGES);
            });
        });
    }
    group.finish();
}

/// A message with both forms of its text, as a batch brings it.
fn whole_message(id: &str) -> Value {
    let text = "Your invoice for November is attached.\n".repeat(40);
    let html = format!("<p>{}</p>", text.replace('\n', "<br>\n").repeat(4));
    let part = |number: &str, media_type: &str, text: &str| {
        json!({
            "partId": number, "mimeType": media_type, "filename": "",
            "headers": [{"name": "Content-Type", "value": format!("{media_type}; charset=utf-8")}],
            "body": {"size": text.len(), "data": URL_SAFE.encode(text)},
        })
    };
    let mut message = gmail_message(id);
    let signature = json!({"name": "DKIM-Signature", "value": "a1b2c3d4 ".repeat(60)});
    if let Some(headers) = message["payload"]["headers"].as_array_mut() {
        headers.extend(vec![signature; 6]);
    }
    message["payload"]["mimeType"] = json!("multipart/alternative");
    message["payload"]["parts"] = json!([
        part("0", "text/plain", &text),
        part("1", "text/html", &html)
    ]);
    message
}

fn batch(criterion: &mut Criterion) {
    const PARTS: usize = 25;
    let runtime = Runtime::new().expect("a runtime");
    let mut answer = String::new();
    for index in 0..PARTS {
        let message = whole_message(&format!("{index:016x}"));
        let _ = write!(
            answer,
            "--b\r\nContent-Type: application/http\r\nContent-ID: <response-i{index}>\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{message}\r\n"
        );
    }
    answer.push_str("--b--\r\n");
    let length = answer.len() as u64;
    let answer = Bytes::from(answer);
    let mailbox =
        Scripted::reading(move |_, _, _| ("multipart/mixed; boundary=b", answer.clone())).gmail();
    let ids: Vec<MessageId> = (0..PARTS)
        .map(|index| MessageId::new(format!("{index:016x}")))
        .collect();
    let mut group = criterion.benchmark_group("reading");
    group.throughput(Throughput::Bytes(length)).sample_size(20);
    group.bench_function("a batch of 25 whole messages from Gmail", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let read = mailbox
                .messages_by_id(&ids, Detail::Full)
                .await
                .expect("a batch");
            assert!(read.iter().all(Result::is_ok));
        });
    });
    group.finish();
}

criterion_group!(benches, reading, batch);
criterion_main!(benches);
