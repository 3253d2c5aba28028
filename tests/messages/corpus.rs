//! Real and malformed mail through both emulated services: nothing panics, every part can be reached, and subject,
//! addresses, text and attachments are what somebody else's parser says they are.
//!
//! The mail is that of the `mail-parser` package, with what its authors expect of each message. `POSTROOM_CORPUS` names a
//! folder of other `.eml` files that is read in the same way, without those expectations.

use crate::support;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{GMAIL, OUTLOOK};
use futures_util::TryStreamExt;
use mail_parser::decoders::html::html_to_text;
use postroom::emulator::Emulator;
use postroom::{
    Address, AttachedMessage, Attachment, AttachmentId, AttachmentKind, Detail, Mailbox, Message,
    PageRequest, Query,
};
use serde_json::Value;

/// Where the sources of `mail-parser` are on this machine. What other platforms build need not have been downloaded, so that
/// only this one is asked about.
fn package() -> PathBuf {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let platform = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            platform,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| {
        let version = package["version"].as_str().unwrap();
        package["name"] == "mail-parser" && version.starts_with("0.11.")
    });
    let manifest = package.unwrap()["manifest_path"].as_str().unwrap();
    Path::new(manifest).parent().unwrap().to_owned()
}

/// The `.eml` files in a folder and those in it, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The lines of a message as they travel.
fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(raw.len());
    for byte in raw {
        match byte {
            b'\r' => {}
            b'\n' => lines.extend_from_slice(b"\r\n"),
            byte => lines.push(*byte),
        }
    }
    lines
}

/// What a mailbox makes of mail: whole messages in the order in which they were delivered.
async fn through(emulator: &Emulator, address: &str, mail: &[(String, Vec<u8>)]) -> Read {
    for (_, raw) in mail {
        emulator.deliver(address, raw);
    }
    let mailbox = support::unpaced(emulator, address);
    let page = PageRequest::first().with_size(50);
    let listed = mailbox.messages_with(Query::inbox(), Detail::Full, page);
    let mut messages: Vec<Message> = listed.try_collect().await.unwrap();
    assert_eq!(messages.len(), mail.len());
    messages.reverse();
    Read { mailbox, messages }
}

struct Read {
    mailbox: Mailbox,
    messages: Vec<Message>,
}

async fn bytes(mailbox: &Mailbox, message: &Message, attachment: &AttachmentId) -> Vec<u8> {
    let stream = mailbox.attachment(&message.id, attachment).await.unwrap();
    stream.try_collect::<Vec<_>>().await.unwrap().concat()
}

/// Opens all that is in an attached message.
fn open(attached: &AttachedMessage) {
    for attachment in &attached.message.attachments {
        assert!(attached.attachment(&attachment.id).is_some());
        if let Some(inner) = attached.attached_message(&attachment.id) {
            open(&inner);
        }
    }
}

/// What can be compared of texts that were written anew: their words.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The header lines of a message.
fn raw_head(raw: &[u8]) -> &[u8] {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n");
    &raw[..end.unwrap_or(raw.len())]
}

/// The two forms of a body, as the package lists them.
const BOTH: [&str; 2] = ["text_body", "html_body"];

/// What the package expects of a message.
struct Expected(Value);

impl Expected {
    fn read(file: &Path) -> Self {
        let json = std::fs::read(file.with_extension("crlf.json")).unwrap();
        Self(serde_json::from_slice(&json).unwrap())
    }

    fn part(&self, index: &Value) -> &Value {
        &self.0["parts"][usize::try_from(index.as_u64().unwrap()).unwrap()]
    }

    fn parts(&self, list: &str) -> impl Iterator<Item = &Value> {
        let indices = self.0[list].as_array().unwrap();
        indices.iter().map(|index| self.part(index))
    }

    /// The last header of a name, which is the one that counts for the package.
    fn header(&self, name: &str) -> Option<&Value> {
        let headers = self.0["parts"][0]["headers"].as_array().unwrap();
        let named = headers.iter().rev().find(|header| header["name"] == name);
        named.map(|header| &header["value"])
    }

    fn subject(&self) -> Option<&str> {
        self.header("subject")?["Text"].as_str()
    }

    fn addresses(&self, name: &str) -> Vec<String> {
        let value = match self.header(name) {
            Some(value) => &value["Address"],
            None => return Vec::new(),
        };
        let mut people: Vec<&Value> = value["List"].as_array().into_iter().flatten().collect();
        for group in value["Group"].as_array().into_iter().flatten() {
            people.extend(group["addresses"].as_array().into_iter().flatten());
        }
        let addresses = people.into_iter().filter_map(|one| one["address"].as_str());
        addresses.map(|address| address.trim().to_owned()).collect()
    }
}

impl Expected {
    fn content_type(part: &Value) -> Option<String> {
        let headers = part["headers"].as_array().unwrap();
        let header = headers
            .iter()
            .find(|header| header["name"] == "content_type")?;
        let kind = &header["value"]["ContentType"];
        Some(format!(
            "{}/{}",
            kind["c_type"].as_str()?,
            kind["c_subtype"].as_str()?
        ))
    }

    fn check_headers(&self, name: &str, message: &Message) {
        let trimmed = |subject: Option<&str>| subject.unwrap_or_default().trim().to_owned();
        assert_eq!(
            trimmed(message.subject.as_deref()),
            trimmed(self.subject()),
            "{name}"
        );
        for (field, list) in [
            ("from", &message.from),
            ("to", &message.to),
            ("cc", &message.cc),
            ("reply_to", &message.reply_to),
        ] {
            assert_eq!(addresses(list), self.addresses(field), "{name}: {field}");
        }
    }

    /// Of these forms of the body the first text is said by the body itself, and the others somewhere. Where the package
    /// met bytes of no charset it knew, it wrote U+FFFD, and nothing can be compared; nor can texts beyond the first that
    /// became files, if those have lost their charset.
    fn check_texts(
        &self,
        name: &str,
        message: &Message,
        attachments: &[(Attachment, Vec<u8>)],
        forms: &[&str],
        charsets: bool,
    ) {
        let body_alone = said(message, &[]);
        let everything = said(message, attachments);
        for form in forms {
            let parts: Vec<&Value> = self.parts(form).collect();
            // Where there is HTML it is the HTML form, whatever plain text stands before it.
            let html = parts
                .iter()
                .position(|part| part["body"]["Html"].is_string());
            let first = html.filter(|_| *form == "html_body").unwrap_or_default();
            for (index, part) in parts.into_iter().enumerate() {
                self.check_text(
                    name,
                    part,
                    index == first,
                    (&body_alone, &everything),
                    charsets,
                );
            }
        }
    }

    fn check_text(
        &self,
        name: &str,
        part: &Value,
        is_body: bool,
        (body, everything): (&str, &str),
        charsets: bool,
    ) {
        let Some(text) = text(part) else {
            return;
        };
        let text = words(text).concat();
        if !is_body && !charsets && !text.is_ascii() {
            return;
        }
        let said = if is_body { body } else { everything };
        assert!(
            text.contains('\u{fffd}') || said.contains(&text),
            "{name}: {text:.200}\n{said:.400}"
        );
    }

    /// What the package calls attachments, but for texts that it calls so because they are broken.
    fn files(&self) -> usize {
        let listed = self.parts("attachments");
        listed.filter(|part| !is_broken(part)).count()
    }

    /// What Exchange calls attachments: those, and every text but the body and its other form. Of several texts only one
    /// is the body, the first HTML or else the first plain text; the others become files such as `ATT00001.txt`.
    fn files_at_exchange(&self) -> usize {
        let lists = ["text_body", "html_body", "attachments"];
        let listed = lists
            .iter()
            .flat_map(|list| self.0[list].as_array().unwrap());
        let mut places: Vec<u64> = listed.map(|index| index.as_u64().unwrap()).collect();
        places.sort_unstable();
        places.dedup();
        let part = |place: &u64| self.part(&Value::from(*place));
        let attached = self.0["attachments"].as_array().unwrap();
        places.retain(|place| {
            let is_file = attached.contains(&Value::from(*place)) && !is_broken(part(place));
            // An empty text is no file.
            !is_file && text(part(place)).is_some_and(|text| !text.is_empty())
        });
        // Of two types of a part that lacks its beginning the last is that of the text.
        let of_type = |place: &&u64, wanted: &str| {
            let headers = part(place)["headers"].as_array().unwrap().iter().rev();
            let mut types = headers.filter(|header| header["name"] == "content_type");
            types.next().map_or(wanted == "text/plain", |header| {
                let kind = &header["value"]["ContentType"];
                wanted.split_once('/').is_some_and(|(kind_of, subtype)| {
                    kind["c_type"] == kind_of && kind["c_subtype"] == subtype
                })
            })
        };
        let html = places.iter().find(|place| of_type(place, "text/html"));
        let body = html.or_else(|| places.iter().find(|place| of_type(place, "text/plain")));
        let Some(body) = body else {
            return self.files() + places.len();
        };
        let alternatives = self.0["parts"].as_array().unwrap().iter().filter(|part| {
            Self::content_type(part).as_deref() == Some("multipart/alternative")
                && self.holds(part, *body)
        });
        let other_forms: BTreeSet<u64> = alternatives
            .flat_map(children)
            .filter(|child| places.contains(child))
            .filter(|child| Self::content_type(part(child)) != Self::content_type(part(body)))
            .collect();
        self.files() + places.len() - 1 - other_forms.len()
    }

    fn holds(&self, part: &Value, place: u64) -> bool {
        children(part).any(|child| child == place || self.holds(self.part(&child.into()), place))
    }

    /// Every file and attached message is there with its bytes. Outlook has links for files that lie elsewhere.
    fn check_files(&self, name: &str, message: &Message, attachments: &[(Attachment, Vec<u8>)]) {
        let mut attached = message.attachments.iter();
        let links = attached.any(|attachment| attachment.kind == AttachmentKind::Link);
        for part in self.parts("attachments") {
            let elsewhere = Self::content_type(part).as_deref() == Some("message/external-body");
            if elsewhere && links {
                continue;
            }
            let body = &part["body"];
            let bytes = body["Binary"]
                .as_array()
                .or(body["InlineBinary"].as_array());
            if let Some(bytes) = bytes {
                let bytes: Vec<u8> = bytes
                    .iter()
                    .map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap())
                    .collect();
                let found = attachments.iter().any(|(_, known)| *known == bytes);
                assert!(found, "{name}: a file of {} bytes is missing", bytes.len());
            } else if body["Message"].is_object() {
                let messages = attachments.iter();
                let found = messages
                    .filter(|(attachment, _)| attachment.kind == AttachmentKind::Message)
                    .count();
                assert!(found > 0, "{name}: an attached message is missing");
            }
        }
    }
}

fn text(part: &Value) -> Option<&str> {
    let body = &part["body"];
    body["Text"].as_str().or(body["Html"].as_str())
}

/// The places of the parts in a part.
fn children(part: &Value) -> impl Iterator<Item = u64> {
    let children = part["body"]["Multipart"].as_array().into_iter().flatten();
    children.map(|child| child.as_u64().unwrap())
}

fn addresses(list: &[Address]) -> Vec<String> {
    let addresses = list
        .iter()
        .map(|address| address.address().trim().to_owned());
    addresses.filter(|address| !address.is_empty()).collect()
}

/// The mail of the package, each message by the name of its file, with what is expected of it.
fn package_mail() -> (Vec<(String, Vec<u8>)>, Vec<Expected>) {
    let folder = package().join("resources").join("eml");
    let files = files(&folder);
    assert!(files.len() >= 107, "only {} messages", files.len());
    let mail = files.iter().map(|file| read(&folder, file)).collect();
    (
        mail,
        files.iter().map(|file| Expected::read(file)).collect(),
    )
}

fn read(folder: &Path, file: &Path) -> (String, Vec<u8>) {
    let name = file.strip_prefix(folder).unwrap().display().to_string();
    (name, with_crlf(&std::fs::read(file).unwrap()))
}

/// The bytes of every attachment; those of attached messages are opened as well.
async fn fetch(read: &Read, message: &Message) -> Vec<(Attachment, Vec<u8>)> {
    let mut fetched = Vec::new();
    for attachment in &message.attachments {
        // A link has no bytes anywhere.
        if attachment.kind == AttachmentKind::Link {
            continue;
        }
        let bytes = bytes(&read.mailbox, message, &attachment.id).await;
        if attachment.kind == AttachmentKind::Message {
            open(&AttachedMessage::read(&attachment.id, bytes.clone()));
        }
        fetched.push((attachment.clone(), bytes));
    }
    fetched
}

/// Everything a message says, however it is written.
fn said(message: &Message, attachments: &[(Attachment, Vec<u8>)]) -> String {
    let mut all = message.body.text.clone().unwrap_or_default();
    if let Some(html) = &message.body.html {
        all += html;
        all += &html_to_text(html);
    }
    for (attachment, bytes) in attachments {
        if attachment.media_type.starts_with("text/") {
            all += "\n";
            all += &String::from_utf8_lossy(bytes);
            // An attached text is not decoded: its charset is the host's to see to.
            all.extend(bytes.iter().copied().map(char::from));
        }
    }
    words(&all).concat()
}

/// Whether the package has lost the end of a part, and calls attachment what is text.
fn is_broken(part: &Value) -> bool {
    let text = part["body"]["Text"].is_string() || part["body"]["Html"].is_string();
    let kind = Expected::content_type(part).unwrap_or_else(|| "text/plain".to_owned());
    let multipart = kind.starts_with("multipart/");
    let is_text = kind == "text/plain" || kind == "text/html";
    text && (multipart || (is_text && part["is_encoding_problem"] == true))
}

#[tokio::test]
async fn gmail_reads_mail_as_others_do() {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let (mail, expected) = package_mail();
    let read = through(&emulator, GMAIL, &mail).await;
    for (((name, raw), expected), message) in mail.iter().zip(&expected).zip(&read.messages) {
        let attachments = fetch(&read, message).await;
        // Bytes beyond ASCII in a header are not kept by the service.
        if raw_head(raw).is_ascii() {
            expected.check_headers(name, message);
        }
        expected.check_texts(name, message, &attachments, &BOTH, true);
        expected.check_files(name, message, &attachments);
        assert_eq!(message.attachments.len(), expected.files(), "{name}");
    }
}

#[tokio::test]
async fn messages_are_read_from_their_bytes_as_by_others() {
    let (mail, expected) = package_mail();
    for ((name, raw), expected) in mail.iter().zip(&expected) {
        let attached = AttachedMessage::read(&AttachmentId::new("0"), raw.clone());
        open(&attached);
        let bytes = |attachment: &Attachment| attached.attachment(&attachment.id).unwrap().to_vec();
        let attachments: Vec<_> = attached
            .message
            .attachments
            .iter()
            .map(|attachment| (attachment.clone(), bytes(attachment)))
            .collect();
        expected.check_headers(name, &attached.message);
        expected.check_texts(name, &attached.message, &attachments, &BOTH, true);
        expected.check_files(name, &attached.message, &attachments);
        let count = attached.message.attachments.len();
        assert_eq!(count, expected.files(), "{name}");
    }
}

#[tokio::test]
async fn outlook_reads_what_exchange_keeps_of_mail_as_others_do() {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let (mail, expected) = package_mail();
    let read = through(&emulator, OUTLOOK, &mail).await;
    for (((name, _), expected), message) in mail.iter().zip(&expected).zip(&read.messages) {
        let attachments = fetch(&read, message).await;
        expected.check_headers(name, message);
        // Of several forms of the text the HTML is kept.
        expected.check_texts(name, message, &attachments, &["html_body"], false);
        expected.check_files(name, message, &attachments);
        let count = message.attachments.len();
        assert_eq!(count, expected.files_at_exchange(), "{name}");
    }
}

#[tokio::test]
async fn mail_of_ones_own_is_read_alike_everywhere() {
    let folder = match std::env::var_os("POSTROOM_CORPUS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("src/emulator/seed"),
    };
    let mail: Vec<_> = files(&folder)
        .iter()
        .map(|file| read(&folder, file))
        .collect();
    assert!(!mail.is_empty(), "no .eml file in {}", folder.display());
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let gmail = through(&emulator, GMAIL, &mail).await;
    let outlook = through(&emulator, OUTLOOK, &mail).await;
    let both = gmail.messages.iter().zip(&outlook.messages);
    for ((name, raw), (at_gmail, at_outlook)) in mail.iter().zip(both) {
        let attached = AttachedMessage::read(&AttachmentId::new("0"), raw.clone());
        open(&attached);
        let whole = attached.message;
        fetch(&outlook, at_outlook).await;
        if raw_head(raw).is_ascii() {
            assert_eq!(at_gmail.subject, whole.subject, "{name}");
            assert_eq!(at_gmail.from, whole.from, "{name}");
            assert_eq!(at_gmail.to, whole.to, "{name}");
        }
        assert_eq!(at_gmail.body, whole.body, "{name}");
        let files = fetch(&gmail, at_gmail).await;
        assert_eq!(files.len(), whole.attachments.len(), "{name}");
    }
}
