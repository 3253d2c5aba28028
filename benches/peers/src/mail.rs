//! The mailbox that all clients read: the same messages every time, written once in the JSON of each service. What is asked
//! for and when is the server's.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// When the newest message was received; each next one is a minute older.
const NEWEST: i64 = 1_795_334_400;

/// A message in the JSON of both services.
pub struct Mail {
    pub id: String,
    pub thread: String,
    pub received: i64,
    pub gmail: Bytes,
    pub graph: Bytes,
    /// What a copy asks for of Graph's to follow what changes: nothing that the message says.
    pub graph_state: Bytes,
}

/// The one folder that has messages at Graph.
pub fn folder() -> String {
    "AQMkADAwATM0MDAAMS0".repeat(3)
}

/// What a state has of a message.
const STATE: [&str; 9] = [
    "id",
    "parentFolderId",
    "isRead",
    "isDraft",
    "flag",
    "importance",
    "categories",
    "receivedDateTime",
    "lastModifiedDateTime",
];

/// A steady stream of numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn text(&mut self, words: u64) -> String {
        const WORDS: [&str; 16] = [
            "invoice", "November", "attached", "please", "für", "delivery", "order", "thanks",
            "meeting", "schedule", "the", "and", "with", "größe", "offer", "& more",
        ];
        let mut text = String::new();
        for index in 0..words {
            if index > 0 {
                text.push(if index % 12 == 0 { '\n' } else { ' ' });
            }
            text.push_str(WORDS[self.below(16) as usize]);
        }
        text
    }
}

/// How the messages form conversations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// Each is one of its own.
    Single,
    /// 60 % have one message, 20 % two, 10 % three or four, 10 % five to twelve, eight on average. Answers come up to 40
    /// messages later.
    Mixed,
}

/// All messages, newest first.
pub fn mailbox(count: usize, threads: Threads) -> Vec<Mail> {
    let places = places(count, threads);
    (0..count).map(|index| mail(index, places[index])).collect()
}

/// How long the longest tenth of conversations is: five to twelve messages with a mean of eight.
const LONG_CONVERSATIONS: [u64; 10] = [5, 6, 6, 7, 7, 8, 9, 9, 11, 12];

/// The conversation of each message.
fn places(count: usize, threads: Threads) -> Vec<usize> {
    if threads == Threads::Single {
        return (0..count).collect();
    }
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut places: Vec<Option<usize>> = vec![None; count];
    let mut thread = 0;
    let mut first = 0;
    while let Some(start) = places.iter().skip(first).position(Option::is_none) {
        first += start;
        let length = match numbers.below(10) {
            0..=5 => 1,
            6 | 7 => 2,
            8 => 3 + numbers.below(2),
            _ => LONG_CONVERSATIONS[numbers.below(LONG_CONVERSATIONS.len() as u64) as usize],
        };
        let mut place = first;
        for _ in 0..length {
            while places.get(place).is_some_and(Option::is_some) {
                place += 1;
            }
            let Some(free) = places.get_mut(place) else {
                break;
            };
            *free = Some(thread);
            place += 1 + numbers.below(40) as usize;
        }
        thread += 1;
    }
    places.into_iter().map(Option::unwrap_or_default).collect()
}

/// The fewest units with which Gmail gives all of these: 20 for a message, 40 for a conversation, and 5 for each list of 500.
pub fn optimum(mails: &[Mail]) -> u64 {
    let mut threads = std::collections::HashMap::new();
    for mail in mails {
        *threads.entry(mail.thread.as_str()).or_insert(0_u64) += 1;
    }
    let reading: u64 = threads.values().map(|count| (count * 20).min(40)).sum();
    reading + mails.len().div_ceil(500) as u64 * 5
}

fn mail(index: usize, thread: usize) -> Mail {
    let mut numbers = Numbers(0x2545_F491_4F6C_DD1D ^ (index as u64 + 1).wrapping_mul(0x9E37_79B9));
    for _ in 0..4 {
        numbers.next();
    }
    let id = format!("{:016x}", 0x1_9aa0_0000_0000_u64 + index as u64);
    let thread = format!("{:016x}", 0x1_9aa0_0000_0000_u64 + thread as u64);
    let received = NEWEST - 60 * index as i64;
    let subject = format!("{} {index}", numbers.text(5).replace('\n', " "));
    let sender = numbers.below(200);
    let name = format!("Büro {sender}");
    let address = format!("sender{sender}@shop.example");
    let words = 120 + numbers.below(400);
    let text = numbers.text(words);
    let words = 600 + numbers.below(900);
    let rest = numbers.text(words);
    let html = format!(
        "<html><body><table><tr><td>{}</td></tr></table><p>{}</p></body></html>",
        text.replace('&', "&amp;").replace('\n', "<br>\n"),
        rest.replace('&', "&amp;")
    );
    let gmail = gmail(
        &mut numbers,
        &id,
        &thread,
        received,
        &subject,
        &name,
        &address,
        &text,
        &html,
    );
    let graph = graph(
        &mut numbers,
        &id,
        &thread,
        received,
        &subject,
        &name,
        &address,
        &text,
    );
    let state: serde_json::Map<String, Value> = STATE
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), graph.get(name)?.clone())))
        .collect();
    Mail {
        gmail: Bytes::from(gmail.to_string()),
        graph_state: Bytes::from(Value::Object(state).to_string()),
        graph: Bytes::from(graph.to_string()),
        id,
        thread,
        received,
    }
}

/// A header value with an encoded word, as senders write what is no ASCII.
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    format!("=?UTF-8?B?{}?=", STANDARD.encode(text))
}

#[expect(clippy::too_many_arguments, reason = "they are what a message is")]
fn gmail(
    numbers: &mut Numbers,
    id: &str,
    thread: &str,
    received: i64,
    subject: &str,
    name: &str,
    address: &str,
    text: &str,
    html: &str,
) -> Value {
    let date = DateTime::<Utc>::from_timestamp(received - 2, 0).unwrap_or_default();
    let noise =
        |name: &str, length: usize| json!({"name": name, "value": "a1b2c3d4 ".repeat(length)});
    let header = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut headers = vec![
        header("Delivered-To", "reader@gmail.example"),
        noise("Received", 16),
        noise("X-Google-Smtp-Source", 9),
        noise("ARC-Seal", 40),
        noise("ARC-Message-Signature", 60),
        noise("ARC-Authentication-Results", 30),
        header("Return-Path", &format!("<{address}>")),
        noise("Received", 20),
        noise("Received-SPF", 16),
        noise("Authentication-Results", 30),
        noise("DKIM-Signature", 60),
        header("From", &format!("{} <{address}>", encoded(name))),
        header("To", "Reader <reader@gmail.example>, support@desk.example"),
        header("Cc", "\"Billing, Shop\" <billing@shop.example>"),
        header("Subject", &encoded(subject)),
        header("Date", &date.to_rfc2822()),
        header("Message-ID", &format!("<{id}@shop.example>")),
        header("MIME-Version", "1.0"),
        header("Content-Type", "multipart/alternative; boundary=\"b1\""),
        noise("List-Unsubscribe", 8),
        noise("X-Mailer", 2),
    ];
    if id != thread {
        headers.push(header("In-Reply-To", &format!("<{thread}@shop.example>")));
        headers.push(header("References", &format!("<{thread}@shop.example>")));
    }
    // One in ten is in the charset of older programs.
    let (charset, text) = if numbers.below(10) == 0 {
        let latin = text
            .chars()
            .map(|character| u8::try_from(character).unwrap_or(b'?'));
        ("iso-8859-1", latin.collect())
    } else {
        ("utf-8", text.as_bytes().to_vec())
    };
    let part = |number: &str, media_type: &str, bytes: &[u8]| {
        json!({
            "partId": number, "mimeType": media_type, "filename": "",
            "headers": [
                header("Content-Type", &format!("{media_type}; charset=\"{}\"",
                    if media_type == "text/plain" { charset } else { "utf-8" })),
                header("Content-Transfer-Encoding", "quoted-printable"),
            ],
            "body": {"size": bytes.len(), "data": URL_SAFE.encode(bytes)},
        })
    };
    let alternatives = vec![
        part("0", "text/plain", &text),
        part("1", "text/html", html.as_bytes()),
    ];
    // Two in ten have a file.
    let (media_type, parts) = if numbers.below(5) == 0 {
        let file = json!({
            "partId": "1", "mimeType": "application/pdf", "filename": "invoice.pdf",
            "headers": [
                header("Content-Type", "application/pdf; name=\"invoice.pdf\""),
                header("Content-Disposition", "attachment; filename=\"invoice.pdf\""),
                header("Content-Transfer-Encoding", "base64"),
            ],
            "body": {"attachmentId": "ANGjdJ".repeat(40), "size": 48_213},
        });
        let both = json!({
            "partId": "0", "mimeType": "multipart/alternative", "filename": "",
            "headers": [header("Content-Type", "multipart/alternative; boundary=\"b2\"")],
            "body": {"size": 0}, "parts": alternatives,
        });
        ("multipart/mixed", vec![both, file])
    } else {
        ("multipart/alternative", alternatives)
    };
    json!({
        "id": id, "threadId": thread, "labelIds": ["INBOX", "UNREAD", "IMPORTANT", "CATEGORY_UPDATES"],
        "snippet": snippet(subject).replace('&', "&amp;"), "historyId": "987654",
        "internalDate": (received * 1000).to_string(), "sizeEstimate": 4_000 + html.len(),
        "payload": {
            "partId": "", "mimeType": media_type, "filename": "", "headers": headers,
            "body": {"size": 0}, "parts": parts,
        },
    })
}

fn snippet(subject: &str) -> String {
    format!("Tom & Ann write about {subject}")
}

#[expect(clippy::too_many_arguments, reason = "they are what a message is")]
fn graph(
    numbers: &mut Numbers,
    id: &str,
    thread: &str,
    received: i64,
    subject: &str,
    name: &str,
    address: &str,
    text: &str,
) -> Value {
    let person =
        |name: &str, address: &str| json!({"emailAddress": {"name": name, "address": address}});
    let instant = |seconds| {
        let at = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or_default();
        at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let preview: String = text.chars().take(255).collect();
    json!({
        "@odata.etag": "W/\"CQAAABYAAAD\"", "id": format!("AAkALgAAAAAAHYQDEapm{}{id}AAA=", "Ab3".repeat(28)),
        "receivedDateTime": instant(received), "lastModifiedDateTime": instant(received), "sentDateTime": instant(received - 2),
        "hasAttachments": numbers.below(5) == 0, "internetMessageId": format!("<{id}@shop.example>"),
        "subject": subject, "bodyPreview": preview, "importance": "normal",
        "parentFolderId": folder(), "conversationId": format!("AAQkADAwATM0MDAA{thread}"),
        "isRead": numbers.below(2) == 0, "isDraft": false, "categories": ["Shop"],
        "flag": {"flagStatus": "notFlagged"}, "from": person(name, address), "sender": person(name, address),
        "toRecipients": [person("Reader", "reader@outlook.example"), person("Support", "support@desk.example")],
        "ccRecipients": [person("Billing, Shop", "billing@shop.example")], "bccRecipients": [], "replyTo": [],
    })
}
