//! What is composed reads back as what was asked for, by two parsers of other people's: mail-parser, and the `email` package of
//! Python. Its lines are ASCII, at most 998 octets long, and end in CR and LF.
//!
//! `POSTROOM_COMPOSED` says how many messages are tried beyond those of every run, from a new seed each time.

mod asked;

use crate::support;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::GMAIL;
use asked::{Asked, generated, squeezed, with_lf};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use postroom::{
    Address, AddressError, Detail, FolderRole, HeaderError, Invitation, InvitationError,
    ListUnsubscribe, Mailbox, OutgoingHeader, PageRequest, Query, SendKey,
};
use serde_json::{Value, json};

/// The fields that hold addresses.
const PEOPLE: [&str; 5] = ["to", "cc", "bcc", "reply_to", "receipt"];

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
                one.address().unwrap_or_default()
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
                // It takes the bytes of any text for characters.
                PartType::Text(_) | PartType::Html(_) => {
                    let lines =
                        &raw[part.raw_body_offset() as usize..part.raw_end_offset() as usize];
                    let lines = lines.iter().filter(|byte| !byte.is_ascii_whitespace());
                    STANDARD.decode(lines.copied().collect::<Vec<_>>()).unwrap()
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
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/messages/composing/read.py"
    );
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

/// Some versions of Python keep the white space between the encoded words of a name, which is none of it
/// (<https://github.com/python/cpython/issues/128110>).
fn without_spaces_in_names(mut read: Value) -> Value {
    for name in PEOPLE {
        for one in read[name].as_array_mut().unwrap() {
            let name = one[0].as_str().unwrap();
            one[0] = json!(name.split_whitespace().collect::<String>());
        }
    }
    read
}

/// The messages as they reached the service, in order.
async fn composed(mailbox: &Mailbox, asked: &[Asked]) -> Vec<Vec<u8>> {
    for (index, asked) in asked.iter().enumerate() {
        // The key is the host's, and in no message.
        let number = OutgoingHeader::new("X-Case", index.to_string()).unwrap();
        let outgoing = asked.outgoing().await.header(number);
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
        let number = message.header_raw("X-Case").unwrap();
        let index: usize = number.trim().parse().unwrap();
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

fn same(read: &Value, expected: &Value, raw: &[u8]) {
    for (name, value) in expected.as_object().unwrap() {
        let raw = String::from_utf8_lossy(raw);
        assert_eq!(&read[name], value, "{name} of\n{raw}");
    }
}

async fn reads_back(asked: Vec<Asked>) {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let mailbox = support::unpaced(&emulator, GMAIL);
    let composed = composed(&mailbox, &asked).await;
    for (asked, raw) in asked.iter().zip(&composed) {
        lines_are_plain(raw);
        let read = by_mail_parser(raw, asked.headers.keys().cloned());
        let mut expected = asked.expected();
        // It takes what stands in quotes before an @ for a name.
        let quoted = |list: &Value| list.to_string().contains(r#"\"@"#);
        let fields = expected.as_object_mut().unwrap();
        fields.retain(|name, list| !PEOPLE.contains(&name.as_str()) || !quoted(list));
        same(&read, &expected, raw);
    }
    let Some(read) = by_python(&composed) else {
        return;
    };
    assert_eq!(read.len(), asked.len());
    for ((asked, raw), read) in asked.iter().zip(&composed).zip(read) {
        let read = without_spaces_in_names(comparable(read, asked));
        same(&read, &without_spaces_in_names(asked.expected()), raw);
    }
}

#[tokio::test]
async fn what_is_composed_reads_back_as_what_was_asked_for() {
    reads_back(generated([7; 32], 60)).await;
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
        assert_eq!(
            read(&expected.replace(" |", ",")),
            expected,
            "what is shown reads back"
        );
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
