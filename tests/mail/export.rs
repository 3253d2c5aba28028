//! `mail thread` and `mail export` as their users meet them: another process, files on disk, exit codes.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::programs::{Emulator, Mail};
use mail_parser::MessageParser;
use mail_parser::mailbox::mbox::MessageIterator;
use serde_json::Value;

const SERVICES: [(&str, &str); 2] = [
    ("google", "reader@gmail.example"),
    ("microsoft", "reader@outlook.example"),
];

/// `mail`, connected to one mailbox.
struct Connected(Mail);

impl Connected {
    fn new(emulator: &Emulator, service: &str, address: &str) -> Self {
        let mail = Self(Mail::new());
        mail.json(&emulator.ready_made(service, address));
        mail
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.0.run([&["--account", "work"], arguments].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.0.json("work", arguments)
    }

    fn list(&self, query: &str) -> Vec<Value> {
        let document = self.json(&["list", "--limit", "100", query]);
        document["messages"].as_array().unwrap().clone()
    }
}

/// With what is in `folder` in every mailbox.
fn emulator(folder: &Path) -> Emulator {
    Emulator::start_with(&["--mail".as_ref(), folder.as_ref()])
}

fn subjects(messages: &[Value]) -> BTreeSet<String> {
    let subjects = messages.iter().map(|message| &message["subject"]);
    subjects
        .map(|subject| subject.as_str().unwrap_or_default().trim().to_owned())
        .collect()
}

fn subject(raw: &[u8]) -> String {
    let message = MessageParser::new().parse(raw);
    let subject = message.as_ref().and_then(|message| message.subject());
    subject.unwrap_or_default().trim().to_owned()
}

/// What must be told from the beginning of a message, at all depths of quoting, and lines that only look alike.
const TRICKY: &str = "From nobody in particular\r\n>From the second\r\n>>From the third\r\nFromage\r\n > From\r\nFrom\r\n\r\nFrom the last";

fn tricky() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let raw = format!("From: sender@shop.example\r\nSubject: Tricky lines\r\n\r\n{TRICKY}");
    fs::write(folder.path().join("tricky.eml"), raw).unwrap();
    folder
}

#[test]
fn an_mbox_holds_every_message_and_never_overwrites() {
    let folder = tricky();
    let emulator = emulator(folder.path());
    for (service, address) in SERVICES {
        let mail = Connected::new(&emulator, service, address);
        let listed = mail.list("in:inbox");
        let told = mail.json(&[
            "export", "--format", "mbox", "--out", "all.mbox", "in:inbox",
        ]);
        assert_eq!(told["written"], listed.len(), "{service}");
        let mbox = fs::read(mail.path("all.mbox")).unwrap();
        assert!(!mbox.contains(&b'\r'));
        let messages: Vec<_> = MessageIterator::new(Cursor::new(&mbox))
            .map(|message| message.unwrap())
            .collect();
        assert_eq!(messages.len(), listed.len(), "{service}");
        let exported: BTreeSet<String> = messages
            .iter()
            .map(|message| subject(message.contents()))
            .collect();
        for subject in subjects(&listed) {
            assert!(
                exported.contains(&subject),
                "{service}: {subject} is missing"
            );
        }
        // Each depth of quoting has one more in the file, and loses it on the way back.
        let text = String::from_utf8_lossy(&mbox);
        for line in [
            "\n>From nobody in particular\n>>From the second\n>>>From the third\n",
            "\nFromage\n > From\nFrom\n\n>From the last\n\n",
        ] {
            assert!(text.contains(line), "{service}: {line}");
        }
        // The oldest come first, as in a mailbox that grew.
        let dates: Vec<u64> = messages
            .iter()
            .map(|message| message.internal_date())
            .collect();
        assert!(dates.is_sorted(), "{service}: {dates:?}");

        let again = mail.run(&["export", "--format", "mbox", "--out", "all.mbox"]);
        assert_eq!(again.status.code(), Some(2));
        assert_eq!(fs::read(mail.path("all.mbox")).unwrap(), mbox);
    }
}

#[test]
fn a_folder_gets_a_file_for_each_message_and_what_is_missing_the_next_time() {
    let folder = tricky();
    let emulator = emulator(folder.path());
    for (service, address) in SERVICES {
        let mail = Connected::new(&emulator, service, address);
        let listed = mail.list("in:inbox");
        let export = ["export", "--out", "copy", "in:inbox"];
        let told = mail.json(&export);
        assert_eq!(told["written"], listed.len());
        let files: Vec<PathBuf> = fs::read_dir(mail.path("copy"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), listed.len());
        let tricky = files.iter().find(|file| {
            let raw = fs::read(file).unwrap();
            subject(&raw) == "Tricky lines"
        });
        let raw = fs::read(tricky.unwrap()).unwrap();
        assert!(raw.ends_with(TRICKY.as_bytes()), "{service}");
        fs::remove_file(tricky.unwrap()).unwrap();
        let told = mail.json(&export);
        assert_eq!(told["written"], 1);
        assert_eq!(told["there_already"], listed.len() - 1);
        assert_eq!(fs::read(tricky.unwrap()).unwrap(), raw, "{service}");
    }
}

#[test]
fn a_conversation_is_shown_and_changed_from_any_of_its_messages() {
    let folder = tricky();
    let emulator = emulator(folder.path());
    for (service, address) in SERVICES {
        let mail = Connected::new(&emulator, service, address);
        let inbox = mail.list("in:inbox");
        let answered = inbox.iter().find(|message| {
            let subject = message["subject"].as_str().unwrap_or_default();
            let thread = &message["thread"];
            subject.starts_with("Re:")
                && inbox
                    .iter()
                    .filter(|other| other["thread"] == *thread)
                    .count()
                    > 1
        });
        let id = answered.unwrap()["id"].as_str().unwrap();
        let thread = mail.json(&["thread", id]);
        let messages = thread["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 3, "{service}");
        assert_eq!(messages[2]["id"], id);
        assert!(
            messages
                .iter()
                .all(|message| message["thread"] == thread["id"])
        );
        let shown = mail.run(&["thread", id]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert_eq!(shown.matches(" Subject: ").count(), 3, "{shown}");

        mail.json(&["thread", id, "--apply", "archive"]);
        let left = mail.list("in:inbox");
        assert!(
            left.iter().all(|message| message["thread"] != thread["id"]),
            "{service}"
        );
        let unknown = mail.run(&["thread", "0000000000000000000000000000000000000000000000"]);
        assert_eq!(unknown.status.code(), Some(4));
    }
}
