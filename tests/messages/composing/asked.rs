//! Messages of whatever people and programs write, made at random, and what they should read back as.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postroom::{
    Address, Content, Importance, Invitation, ListUnsubscribe, Outgoing, OutgoingAttachment,
    OutgoingHeader,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) subject: String,
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
    pub(crate) reply_to: Vec<Address>,
    pub(crate) receipt: Option<Address>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) invitation: bool,
    pub(crate) importance: Importance,
    pub(crate) leave: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) references: Vec<String>,
    pub(crate) files: Vec<(String, &'static str, Vec<u8>, Option<String>)>,
    /// A message to attach, and whether it is plain lines.
    pub(crate) message: Option<(String, bool)>,
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
        1 => "[a-z0-9]{300,800}@x\\.example",
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
    pub(crate) async fn outgoing(&self) -> Outgoing {
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
    pub(crate) fn expected(&self) -> Value {
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
                "application/octet-stream"
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
pub(crate) fn squeezed(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn bracketed<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    ids.map(|id| format!("<{id}>")).collect()
}

pub(crate) fn with_lf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// So many messages, the same for the same seed.
pub(crate) fn generated(seed: [u8; 32], count: usize) -> Vec<Asked> {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let asked = asked();
    let mut one = || asked.new_tree(&mut runner).unwrap().current();
    (0..count).map(|_| one()).collect()
}
