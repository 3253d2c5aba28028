//! What is composed reads back as what was asked for, by two parsers of other people's: mail-parser, and the `email` package of
//! Python. Its lines are ASCII, at most 998 octets long, and end in CR and LF.
//!
//! `POSTROOM_COMPOSED` says how many messages are tried beyond those of every run, from a new seed each time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failure in a test is a panic"
)]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use postroom::{
    Address, AddressError, Content, Detail, FolderRole, HeaderError, Importance, Invitation,
    InvitationError, ListUnsubscribe, Mailbox, Outgoing, OutgoingAttachment, OutgoingHeader,
    PageRequest, Query, SendKey,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use support::GMAIL;

/// What is asked for.
#[derive(Clone, Debug)]
struct Asked {
    subject: String,
    to: Vec<Address>,
    cc: Vec<Address>,
    bcc: Vec<Address>,
    reply_to: Vec<Address>,
    receipt: Option<Address>,
    text: Option<String>,
    html: Option<String>,
    invitation: bool,
    importance: Importance,
    leave: Option<String>,
    headers: BTreeMap<String, String>,
    references: Vec<String>,
    files: Vec<(String, &'static str, Vec<u8>, Option<String>)>,
    /// A message to attach, and whether it is plain lines.
    message: Option<(String, bool)>,
}

/// One line of whatever people and programs write.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z,.:;?!()<>@\"\\\\]{1,12}( [a-zA-Z,.:;?!()<>@\"\\\\]{1,12}){0,30}",
        2 => "\\PC{1,120}",
        1 => "[äöüßéα-ω中文日本語😀 ]{1,90}",
        1 => "[a-z]{200,1200}",
        1 => "[ a-z]{1,60}=\\?utf-8\\?B\\?QQ==\\?=[ a-z]{0,20}",
        1 => "[a-z]{1,5}  [a-z]{1,5}\t[a-z]{1,5} ",
    ]
}

/// A line that can be a name or a header's value.
fn plain_line() -> impl Strategy<Value = String> {
    line().prop_map(|line| line.replace(char::is_control, "").trim().to_owned())
}

fn text() -> impl Strategy<Value = String> {
    let lines = prop_oneof![
        6 => line(),
        1 => Just("From here on".to_owned()),
        1 => Just(".".to_owned()),
        1 => Just(String::new()),
        1 => Just("-- ".to_owned()),
        1 => Just("a = b=20=".to_owned()),
        1 => "[a-z=é]{70,80}",
        1 => Just("\u{0}\u{7}\u{1b}[0m\u{7f}\u{85}\u{2028}".to_owned()),
    ];
    let breaks = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    prop::collection::vec((lines, breaks), 0..12).prop_map(|lines| {
        let lines = lines.into_iter().map(|(line, end)| line + end);
        lines.collect()
    })
}

fn address() -> impl Strategy<Value = Address> {
    let local = prop_oneof![
        4 => "[a-z0-9]{1,12}(\\.[a-z0-9]{1,6}){0,2}",
        1 => "[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}",
        1 => "\"[a-z]{1,6}[ @,;<>()]{1,3}[a-z]{1,6}\"",
    ];
    let domain = prop_oneof![
        Just("shop.example"),
        Just("bücher.example"),
        Just("例え.テスト"),
        Just("a-very-long-label-that-goes-on-and-on.and-another-one.example"),
    ];
    let name = prop_oneof![1 => Just(String::new()), 3 => plain_line()];
    (local, domain, name).prop_map(|(local, domain, name)| {
        Address::new(format!("{local}@{domain}"))
            .unwrap()
            .with_name(name)
    })
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[A-Za-z0-9.$%!#_=+-]{1,60}@[a-z0-9.-]{1,30}",
        1 => "[a-z0-9]{300,800}@x.example",
    ]
}

fn file() -> impl Strategy<Value = (String, &'static str, Vec<u8>, Option<String>)> {
    let media_type = prop_oneof![
        Just("application/pdf"),
        Just("text/csv"),
        Just("image/png"),
        Just("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ];
    let name = prop_oneof![
        3 => "[a-zA-Z0-9 _-]{1,30}\\.[a-z]{3}",
        1 => plain_line().prop_filter("a name", |name| !name.is_empty()),
    ];
    let id = prop::option::of("[a-z0-9.]{1,20}@[a-z]{1,8}");
    let bytes = prop::collection::vec(any::<u8>(), 0..400);
    (name, media_type, bytes, id)
}

fn message() -> impl Strategy<Value = (String, bool)> {
    let subject = "[a-z]{1,20}";
    (subject, 0..4).prop_map(|(subject, kind)| {
        let head = format!("Subject: {subject}\r\nFrom: support@desk.example\r\n\r\n");
        match kind {
            0 => (format!("{head}Plain\r\nlines"), true),
            1 => (format!("{head}Gr\u{fc}n\r\n"), false),
            2 => (format!("{head}bare\nlines\r\n"), false),
            _ => (format!("{head}{}\r\n", "long".repeat(300)), false),
        }
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let people = (
        prop::collection::vec(address(), 1..4),
        prop::collection::vec(address(), 0..3),
        prop::collection::vec(address(), 0..2),
        prop::collection::vec(address(), 0..3),
        prop::option::weighted(0.2, address()),
    );
    let importance = prop_oneof![
        Just(Importance::Low),
        Just(Importance::Normal),
        Just(Importance::High)
    ];
    let words = (
        line(),
        prop::option::weighted(0.8, text()),
        prop::option::weighted(0.6, text()),
        importance,
        prop::option::weighted(0.3, "[a-z0-9]{1,700}"),
    );
    let value = plain_line().prop_filter("a value", |value| !value.is_empty());
    let rest = (
        prop::bool::weighted(0.2),
        prop::collection::btree_map("X-Case-[A-Za-z0-9]{1,50}", value, 0..3),
        prop::collection::vec(id(), 0..12),
        prop::collection::vec(file(), 0..4),
        prop::option::weighted(0.3, message()),
    );
    (people, words, rest).prop_map(|(people, words, rest)| Asked {
        to: people.0,
        cc: people.1,
        bcc: people.2,
        reply_to: people.3,
        receipt: people.4,
        subject: words.0,
        text: words.1,
        html: words.2,
        importance: words.3,
        leave: words.4,
        invitation: rest.0,
        headers: rest.1,
        references: rest.2,
        files: rest.3,
        message: rest.4,
    })
}

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Grün\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

impl Asked {
    async fn outgoing(&self) -> Outgoing {
        let mut outgoing = Outgoing::new()
            .subject(self.subject.as_str())
            .importance(self.importance);
        outgoing.to.clone_from(&self.to);
        outgoing.cc.clone_from(&self.cc);
        outgoing.bcc.clone_from(&self.bcc);
        outgoing.reply_to.clone_from(&self.reply_to);
        outgoing.read_receipt_to.clone_from(&self.receipt);
        outgoing.text.clone_from(&self.text);
        outgoing.html.clone_from(&self.html);
        outgoing.in_reply_to = self.references.last().cloned();
        outgoing.references.clone_from(&self.references);
        if self.invitation {
            outgoing = outgoing.invitation(Invitation::new(CALENDAR).unwrap());
        }
        if let Some(reader) = &self.leave {
            let page = format!("https://shop.example/leave?reader={reader}");
            let leave = ListUnsubscribe::one_click(page.parse().unwrap()).unwrap();
            let mail = "leave@shop.example".parse().unwrap();
            outgoing = outgoing.list_unsubscribe(leave.with_mail(&mail, "Leave, please").unwrap());
        }
        for (name, value) in &self.headers {
            outgoing = outgoing.header(OutgoingHeader::new(name, value).unwrap());
        }
        for (name, media_type, bytes, id) in &self.files {
            let file = OutgoingAttachment::new(name, *media_type, bytes.clone());
            outgoing = outgoing.attach(match id {
                Some(id) => file.inline(id),
                None => file,
            });
        }
        if let Some((message, _)) = &self.message {
            let message = Content::from_bytes(message.clone());
            let attached = OutgoingAttachment::message("it.eml", message).await;
            outgoing = outgoing.attach(attached.unwrap());
        }
        outgoing
    }

    /// What it should read back as, but for what only one of the parsers tells.
    fn expected(&self) -> Value {
        let list = |list: &[Address]| -> Vec<Value> {
            let each = |one: &Address| {
                json!([
                    squeezed(one.name().unwrap_or_default()),
                    one.to_ascii().unwrap()
                ])
            };
            list.iter().map(each).collect()
        };
        let headers = self.headers.iter();
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name, squeezed(value)))
            .collect();
        json!({
            "subject": squeezed(&self.subject),
            "to": list(&self.to),
            "cc": list(&self.cc),
            "bcc": list(&self.bcc),
            "reply_to": list(&self.reply_to),
            "receipt": list(self.receipt.as_slice()),
            "in_reply_to": bracketed(self.references.last().into_iter()),
            "references": bracketed(self.references.iter()),
            "importance": match self.importance {
                Importance::Low => json!("Low"),
                Importance::High => json!("High"),
                _ => Value::Null,
            },
            "leave": self.leave.as_ref().map(|reader| format!(
                "<https://shop.example/leave?reader={reader}>, <mailto:leave@shop.example?subject=Leave%2C%20please>"
            )),
            "headers": headers,
            "leaves": self.leaves(),
        })
    }

    fn leaves(&self) -> Vec<Value> {
        let text = |kind: &str, text: &str| json!({"type": kind, "data": STANDARD.encode(with_lf(text)), "name": null, "id": null, "method": null});
        let file = |(name, kind, bytes, id): &(String, &str, Vec<u8>, Option<String>)| json!({"type": kind, "name": squeezed(name), "id": id, "data": STANDARD.encode(bytes), "method": null});
        let mut leaves = Vec::new();
        leaves.extend(self.text.as_ref().map(|given| text("text/plain", given)));
        leaves.extend(self.html.as_ref().map(|given| text("text/html", given)));
        let shown =
            |one: &&(String, &str, Vec<u8>, Option<String>)| one.3.is_some() && self.html.is_some();
        leaves.extend(self.files.iter().filter(shown).map(file));
        if self.invitation {
            let mut calendar = text("text/calendar", CALENDAR);
            calendar["method"] = json!("REQUEST");
            leaves.push(calendar);
        }
        if leaves.is_empty() {
            leaves.push(text("text/plain", ""));
        }
        leaves.extend(self.files.iter().filter(|one| !shown(one)).map(file));
        if let Some((message, plain)) = &self.message {
            let kind = if *plain {
                "message/rfc822"
            } else {
                "message/global"
            };
            let data = STANDARD.encode(message);
            leaves.push(
                json!({"type": kind, "name": "it.eml", "id": null, "data": data, "method": null}),
            );
        }
        leaves
    }
}

/// White space as one space: parsers differ in what they keep of it.
fn squeezed(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn bracketed<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    ids.map(|id| format!("<{id}>")).collect()
}

fn with_lf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// What mail-parser reads.
fn by_mail_parser(raw: &[u8], names: impl Iterator<Item = String>) -> Value {
    let message = MessageParser::new().parse(raw).unwrap();
    let decoded = |name: &str| {
        let raw = message.header_raw(name)?;
        let subject = format!("Subject:{raw}\r\n\r\n");
        let parsed = MessageParser::new().parse_headers(subject.as_bytes())?;
        parsed.subject().map(squeezed)
    };
    let addresses = |name: &str| -> Vec<Value> {
        let Some(raw) = message.header_raw(name) else {
            return Vec::new();
        };
        let raw = format!("To:{raw}\r\n\r\n");
        let parsed = MessageParser::new().parse_headers(raw.as_bytes()).unwrap();
        let list = parsed.to().unwrap();
        let each = |one: &mail_parser::Addr<'_>| {
            json!([
                squeezed(one.name().unwrap_or_default()),
                one.address().unwrap()
            ])
        };
        list.iter().map(each).collect()
    };
    let ids = |value: &mail_parser::HeaderValue<'_>| {
        let ids = value.as_text_list().unwrap_or_default();
        ids.iter().map(|id| format!("<{id}>")).collect::<Vec<_>>()
    };
    let leaves: Vec<Value> = message
        .parts
        .iter()
        .filter(|part| !matches!(part.body, PartType::Multipart(_)))
        .map(|part| {
            let kind = part.content_type().unwrap();
            let kind_text = format!("{}/{}", kind.c_type, kind.subtype().unwrap());
            let data = match &part.body {
                PartType::Text(text) | PartType::Html(text) if part.attachment_name().is_none() => {
                    with_lf(text).into_bytes()
                }
                PartType::Message(inner) => inner.raw_message().to_vec(),
                _ => part.contents().to_vec(),
            };
            json!({
                "type": kind_text,
                "name": part.attachment_name().map(squeezed),
                "id": part.content_id(),
                "data": STANDARD.encode(data),
                "method": kind.attribute("method"),
            })
        })
        .collect();
    let headers: BTreeMap<_, _> = names.map(|name| (name.clone(), decoded(&name))).collect();
    json!({
        "subject": squeezed(message.subject().unwrap_or_default()),
        "to": addresses("To"),
        "cc": addresses("Cc"),
        "bcc": addresses("Bcc"),
        "reply_to": addresses("Reply-To"),
        "receipt": addresses("Disposition-Notification-To"),
        "in_reply_to": ids(message.in_reply_to()),
        "references": ids(message.references()),
        "importance": decoded("Importance"),
        "leave": decoded("List-Unsubscribe"),
        "headers": headers,
        "leaves": leaves,
    })
}

/// What Python reads, where there is one; in CI there must be.
fn by_python(raw: &[Vec<u8>]) -> Option<Vec<Value>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/composing/read.py");
    let python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut python = match python {
        Ok(python) => python,
        Err(error) if std::env::var("CI").as_deref() == Ok("true") => panic!("no python3: {error}"),
        Err(_) => {
            eprintln!("skipped what Python reads: there is no python3");
            return None;
        }
    };
    // It reads everything before it writes anything.
    let mut input = python.stdin.take().unwrap();
    for message in raw {
        writeln!(input, "{}", STANDARD.encode(message)).unwrap();
    }
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

/// In the shape of the other one's: white space squeezed, what only Python tells taken out and held here.
fn comparable(mut read: Value, asked: &Asked) -> Value {
    let fields = read.as_object_mut().unwrap();
    let defects = fields.remove("defects").unwrap();
    assert_eq!(defects, json!([]), "{asked:?}");
    for name in ["subject", "leave"] {
        if let Some(text) = fields[name].as_str() {
            fields[name] = json!(squeezed(text));
        }
    }
    for name in ["to", "cc", "bcc", "reply_to", "receipt"] {
        for one in fields[name].as_array_mut().unwrap() {
            one[0] = json!(squeezed(one[0].as_str().unwrap()));
        }
    }
    for value in fields["headers"].as_object_mut().unwrap().values_mut() {
        *value = json!(squeezed(value.as_str().unwrap()));
    }
    for leaf in fields["leaves"].as_array_mut().unwrap() {
        let leaf = leaf.as_object_mut().unwrap();
        let shown = leaf["id"].is_string() && asked.html.is_some();
        let disposition = leaf.remove("disposition").unwrap();
        match leaf["name"].as_str().map(squeezed) {
            Some(name) => {
                leaf["name"] = json!(name);
                assert_eq!(disposition, if shown { "inline" } else { "attachment" });
                // Outside of HTML nothing refers to it.
            }
            None => {
                assert_eq!(disposition, Value::Null);
                let data = STANDARD.decode(leaf["data"].as_str().unwrap()).unwrap();
                let text = with_lf(std::str::from_utf8(&data).unwrap());
                leaf["data"] = json!(STANDARD.encode(text));
            }
        }
        if let Some(subject) = leaf.remove("subject") {
            let (message, _) = asked.message.as_ref().unwrap();
            assert!(message.starts_with(&format!("Subject: {}\r\n", subject.as_str().unwrap())));
            leaf.insert("data".to_owned(), json!(STANDARD.encode(message)));
        }
    }
    read
}

/// The messages as they reached the service, in order.
async fn composed(mailbox: &Mailbox, asked: &[Asked]) -> Vec<Vec<u8>> {
    for (index, asked) in asked.iter().enumerate() {
        let outgoing = asked.outgoing().await;
        let key = SendKey::new(format!("case-{index}"));
        mailbox
            .prepare(&outgoing, &key)
            .await
            .unwrap_or_else(|error| panic!("{error:?}: {asked:?}"));
    }
    let drafts = Query::InRole(FolderRole::Drafts);
    let mut drafts = mailbox.messages_with(drafts, Detail::Ids, PageRequest::first());
    let mut found = BTreeMap::new();
    while let Some(draft) = drafts.try_next().await.unwrap() {
        let raw = mailbox.raw(&draft.id).await.unwrap();
        let raw = raw.try_collect::<Vec<_>>().await.unwrap().concat();
        let message = MessageParser::new().parse_headers(&raw).unwrap();
        let key = message.header_raw("X-Postroom-Key").unwrap();
        let index: usize = key.trim().strip_prefix("case-").unwrap().parse().unwrap();
        found.insert(index, raw);
    }
    assert_eq!(found.len(), asked.len());
    found.into_values().collect()
}

fn lines_are_plain(raw: &[u8]) {
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        assert!(text.len() <= 998, "{}", String::from_utf8_lossy(text));
        let plain = |byte: &u8| byte.is_ascii() && !matches!(byte, 0 | b'\r' | b'\n');
        assert!(text.iter().all(plain), "{}", String::from_utf8_lossy(text));
    }
}

async fn reads_back(asked: Vec<Asked>) {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let mailbox = support::unpaced(&emulator, GMAIL);
    let composed = composed(&mailbox, &asked).await;
    for (asked, raw) in asked.iter().zip(&composed) {
        lines_are_plain(raw);
        let read = by_mail_parser(raw, asked.headers.keys().cloned());
        assert_eq!(read, asked.expected(), "{}", String::from_utf8_lossy(raw));
    }
    let Some(read) = by_python(&composed) else {
        return;
    };
    assert_eq!(read.len(), asked.len());
    for ((asked, raw), read) in asked.iter().zip(&composed).zip(read) {
        let read = comparable(read, asked);
        assert_eq!(read, asked.expected(), "{}", String::from_utf8_lossy(raw));
    }
}

fn generated(seed: [u8; 32], count: usize) -> Vec<Asked> {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let asked = asked();
    let mut one = || asked.new_tree(&mut runner).unwrap().current();
    (0..count).map(|_| one()).collect()
}

#[tokio::test]
async fn what_is_composed_reads_back_as_what_was_asked_for() {
    reads_back(generated([7; 32], 100)).await;
}

#[tokio::test]
async fn what_is_composed_at_length_reads_back_too() {
    let count = std::env::var("POSTROOM_COMPOSED").map_or(0, |count| count.parse().unwrap());
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    for round in 0..count / 100 {
        seed[0] = seed[0].wrapping_add(1);
        eprintln!("round {round}, seed {seed:?}");
        reads_back(generated(seed, 100)).await;
    }
}

#[test]
fn addresses_are_read_as_people_write_them() {
    let read = |text: &str| {
        let list = Address::parse_all(text).unwrap();
        let list: Vec<_> = list.iter().map(ToString::to_string).collect();
        list.join(" | ")
    };
    for (text, expected) in [
        ("a@x.example", "a@x.example"),
        (" <a@x.example> ", "a@x.example"),
        ("Ann B. Clark <a@x.example>", "Ann B. Clark <a@x.example>"),
        (
            "\"Clark, Ann\" <a@x.example>,b@x.example",
            "\"Clark, Ann\" <a@x.example> | b@x.example",
        ),
        (
            "\"say \\\"hi\\\"\" <a@x.example>",
            "\"say \\\"hi\\\"\" <a@x.example>",
        ),
        (
            "a@x.example (Ann (the first))",
            "\"Ann (the first)\" <a@x.example>",
        ),
        (
            "(before) Ann (middle) <a@x.example> (after)",
            "Ann <a@x.example>",
        ),
        (
            "Team: a@x.example, Ann <b@x.example>;, c@x.example",
            "a@x.example | Ann <b@x.example> | c@x.example",
        ),
        ("Nobody:;", ""),
        ("\"a b\"@x.example", "\"a b\"@x.example"),
        ("\"ab\"@x.example", "ab@x.example"),
        ("Grün <a@bücher.example>, , ", "Grün <a@bücher.example>"),
        ("o'neil+tag@x.example", "o'neil+tag@x.example"),
        ("a..b@x.example", "a..b@x.example"),
    ] {
        assert_eq!(read(text), expected, "{text}");
        assert_eq!(read(expected), expected, "what is shown reads back");
    }
}

#[test]
fn addresses_that_mail_cannot_be_sent_to_are_refused_with_the_reason() {
    for (text, reason) in [
        ("", AddressError::Incomplete),
        ("ann", AddressError::Incomplete),
        ("@x.example", AddressError::Incomplete),
        ("a@", AddressError::Incomplete),
        ("a@x.example b@x.example", AddressError::Several),
        ("a@x.example, b@x.example", AddressError::Several),
        ("a@x.example\r\nBcc: b@x.example", AddressError::Forbidden),
        ("a b@x.example", AddressError::Forbidden),
        ("Clark, Ann <a@x.example>", AddressError::Incomplete),
        ("Ann <a@x.example", AddressError::Forbidden),
        ("Team: a@x.example", AddressError::Incomplete),
        ("a@[127.0.0.1]", AddressError::Domain),
        ("a@x..example", AddressError::Domain),
        ("a@-x.example", AddressError::Domain),
        ("grün@x.example", AddressError::NotAscii),
        // Characters that are a comma or a dot and a bracket once they are plain.
        ("a@x，b.example", AddressError::Forbidden),
    ] {
        let found = text.parse::<Address>();
        assert_eq!(found.unwrap_err(), reason, "{text}");
    }
    let long = format!("{}@x.example", "a".repeat(65));
    assert_eq!(long.parse::<Address>().unwrap_err(), AddressError::TooLong);
    let long = format!("a@{}example", "label.".repeat(50));
    assert_eq!(long.parse::<Address>().unwrap_err(), AddressError::TooLong);
    let plain: Address = "a@Bücher.example".parse().unwrap();
    assert_eq!(plain.to_ascii().unwrap(), "a@xn--bcher-kva.example");
    let same: Address = "A@BÜCHER.example".parse().unwrap();
    assert!(plain.is_same_mailbox(&same));
}

#[test]
fn nothing_that_a_host_adds_breaks_out_of_its_place() {
    for name in ["", "X Y", "X:", "Grün", "X\r\nBcc", &"X".repeat(77)] {
        assert_eq!(
            OutgoingHeader::new(name, "1"),
            Err(HeaderError::Name),
            "{name}"
        );
    }
    for name in [
        "bcc",
        "Subject",
        "CONTENT-TYPE",
        "X-Postroom-Key",
        "Resent-To",
        "Received",
    ] {
        assert_eq!(
            OutgoingHeader::new(name, "1"),
            Err(HeaderError::Reserved),
            "{name}"
        );
    }
    for value in ["", "  ", "a\nb", "a\u{0}"] {
        assert_eq!(
            OutgoingHeader::new("X-Y", value),
            Err(HeaderError::Value),
            "{value:?}"
        );
    }
    let invitation = |text: &str| Invitation::new(text).map(|read| read.method().to_owned());
    assert_eq!(invitation("Hello"), Err(InvitationError::NoCalendar));
    let without = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nMETHOD:REQUEST\nEND:VEVENT\n";
    assert_eq!(invitation(without), Err(InvitationError::NoMethod));
    let hostile = "BEGIN:VCALENDAR\nMETHOD:A; charset=x\n";
    assert_eq!(invitation(hostile), Err(InvitationError::NoMethod));
    assert_eq!(
        invitation("begin:vcalendar\nmethod:cancel\n"),
        Ok("CANCEL".to_owned())
    );
    assert!(ListUnsubscribe::one_click("http://shop.example".parse().unwrap()).is_err());
    assert!(ListUnsubscribe::page("javascript:x".parse().unwrap()).is_err());
    let hostile = Address::received(None, "a@x.example>, <https://x.example");
    assert!(ListUnsubscribe::mail(&hostile, "").is_err());
    let mail = ListUnsubscribe::mail(&"a@x.example".parse().unwrap(), "x>,\r\nBcc: <").unwrap();
    let address = mail.addresses().next().unwrap().to_string();
    assert_eq!(
        address,
        "mailto:a@x.example?subject=x%3E%2C%0D%0ABcc%3A%20%3C"
    );
}
