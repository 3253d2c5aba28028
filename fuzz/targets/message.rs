//! Whatever a message looks like: reading it neither panics nor prints it. JSON is given to the providers as the service's
//! answer; everything else is taken as mail, put into such an answer as Gmail would.
#![no_main]

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use postroom::MessageId;
use postroom_fuzz::{BENCH, printed};
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    let is_json = serde_json::from_slice::<Value>(data).is_ok();
    let body = if is_json {
        data.to_vec()
    } else {
        gmails(data).to_string().into_bytes()
    };
    BENCH.service.answers(StatusCode::OK, body);
    let id = MessageId::new("m1");
    for mailbox in &BENCH.mailboxes {
        match BENCH.runtime.block_on(mailbox.message(&id)) {
            Ok(message) => {
                let _ = message.subject;
            }
            Err(error) => assert!(!printed(&error).contains("planted")),
        }
    }
});

/// The message as Gmail shows one: header fields, and the rest as the body.
fn gmails(data: &[u8]) -> Value {
    let text = String::from_utf8_lossy(data);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let headers: Vec<Value> = head
        .split('\n')
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            json!({"name": name, "value": value})
        })
        .collect();
    let kind = headers
        .iter()
        .find(|header| header["name"] == "Content-Type")
        .map_or("text/plain", |header| {
            header["value"].as_str().unwrap_or_default().trim()
        });
    json!({
        "id": "m1", "threadId": "t1", "labelIds": ["INBOX"], "historyId": "1", "internalDate": "1767323045000",
        "payload": {
            "partId": "", "mimeType": kind.split(';').next(), "filename": "", "headers": headers,
            "body": {"size": body.len(), "data": BASE64_URL_SAFE.encode(body)},
        },
    })
}
