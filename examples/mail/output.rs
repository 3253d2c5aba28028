//! What the program prints: tables for people, one JSON document for programs. Everything that came by mail is stripped
//! of control characters first, which a terminal would obey.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use postroom::{
    Account, AccountId, Address, Disconnected, Folder, Keyword, Message, MessageId, Sent,
};
use serde::Serialize;
use serde_json::json;

#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    fn document(&self, document: &impl Serialize) {
        match serde_json::to_string_pretty(document) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("error: cannot be written as JSON: {error}"),
        }
    }

    pub(crate) fn accounts(&self, accounts: &[Account]) {
        if self.json {
            return self.document(&json!({ "accounts": accounts }));
        }
        if accounts.is_empty() {
            println!("No account is connected. See `mail connect --help`.");
            return;
        }
        let mut table = table(&["Account", "Service", "Address", "Access", "State"]);
        for account in accounts {
            table.add_row(row(account));
        }
        println!("{table}");
    }

    pub(crate) fn account(&self, account: &Account) {
        if self.json {
            return self.document(account);
        }
        let [name, service, address, access, state] = row(account);
        println!("Connected {name}: {address} ({service}), access {access}, {state}.");
        if !account.missing.is_empty() {
            println!("Not granted, although asked for: {}.", account.missing);
        }
    }

    pub(crate) fn disconnected(&self, account: &AccountId, disconnected: &Disconnected) {
        if self.json {
            return self.document(&json!({ "account": account, "revoked": disconnected.revoked }));
        }
        println!("Disconnected {account}.");
        if !disconnected.revoked {
            println!(
                "The grant still stands at the service; the user can end it in the settings of their account."
            );
        }
    }

    pub(crate) fn folders(&self, folders: &[Folder]) {
        if self.json {
            return self.document(&json!({ "folders": folders }));
        }
        let mut table = table(&["Id", "Name", "For", "Messages", "Unread"]);
        let count = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
        for folder in folders {
            let role = folder.role.map_or("", |role| role.as_str());
            table.add_row([
                clean(folder.id.as_str()),
                clean(&folder.name),
                role.to_owned(),
                count(folder.total),
                count(folder.unread),
            ]);
        }
        println!("{table}");
    }

    pub(crate) fn messages(&self, messages: &[Message]) {
        if self.json {
            return self.document(&json!({ "messages": messages }));
        }
        if messages.is_empty() {
            println!("No messages.");
            return;
        }
        let mut table = table(&["Id", "", "Received", "From", "Subject"]);
        for message in messages {
            table.add_row([
                clean(message.id.as_str()),
                marks(message),
                received(message),
                message.from.first().map(short).unwrap_or_default(),
                subject(message),
            ]);
        }
        println!("{table}");
    }

    pub(crate) fn message(&self, message: &Message) {
        if self.json {
            return self.document(message);
        }
        let list = |list: &[Address]| {
            list.iter()
                .map(|address| clean(&address.to_string()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        for (name, value) in [
            ("From", list(&message.from)),
            ("To", list(&message.to)),
            ("Cc", list(&message.cc)),
            ("Bcc", list(&message.bcc)),
            ("Subject", subject(message)),
            ("Received", received(message)),
        ] {
            if !value.is_empty() {
                println!("{name:>8}: {value}");
            }
        }
        let text = match (&message.body.text, &message.body.html) {
            (Some(text), _) => text.clone(),
            (None, Some(html)) => mail_parser::decoders::html::html_to_text(html),
            (None, None) => String::new(),
        };
        println!("\n{}", clean_text(text.trim_end()));
        if !message.attachments.is_empty() {
            let mut table = table(&["Part", "Name", "Type", "Bytes", "Inline"]);
            for attachment in &message.attachments {
                table.add_row([
                    clean(attachment.id.as_str()),
                    clean(attachment.name.as_deref().unwrap_or("(no name)")),
                    clean(&attachment.media_type),
                    attachment
                        .size
                        .map_or_else(String::new, |size| size.to_string()),
                    if attachment.inline { "yes" } else { "" }.to_owned(),
                ]);
            }
            println!("\n{table}");
        }
    }

    pub(crate) fn saved(&self, path: &Path, length: u64) {
        if self.json {
            return self.document(&json!({ "file": path, "bytes": length }));
        }
        println!("Saved {} ({length} bytes).", path.display());
    }

    pub(crate) fn sent(&self, sent: &Sent) {
        if self.json {
            return self.document(sent);
        }
        match &sent.id {
            Some(id) => println!("Sent as {id}."),
            None => println!("Sent."),
        }
    }

    pub(crate) fn outcomes(&self, ids: &[MessageId], outcomes: &[postroom::Result<()>]) {
        let outcomes = ids.iter().zip(outcomes);
        if self.json {
            let outcomes: Vec<_> = outcomes
                .map(|(id, outcome)| json!({ "id": id, "error": outcome.as_ref().err().map(ToString::to_string) }))
                .collect();
            return self.document(&json!({ "outcomes": outcomes }));
        }
        for (id, outcome) in outcomes {
            match outcome {
                Ok(()) => println!("{id}: done"),
                Err(error) => eprintln!("{id}: {error}"),
            }
        }
    }

    /// Progress of something without a known end; hidden unless standard error is a terminal.
    pub(crate) fn spinner(&self, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, target());
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// Progress in bytes.
    pub(crate) fn bytes(&self, what: &'static str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, target());
        if let Ok(style) = ProgressStyle::with_template("{msg} {bytes} ({bytes_per_sec})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar
    }
}

fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(if std::io::stdout().is_terminal() {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        })
        .set_header(header);
    table
}

fn row(account: &Account) -> [String; 5] {
    [
        clean(account.id.as_str()),
        account.service.name().to_owned(),
        account.address.as_deref().map(clean).unwrap_or_default(),
        account.granted.to_string(),
        if account.needs_sign_in {
            "sign-in needed"
        } else {
            "active"
        }
        .to_owned(),
    ]
}

fn marks(message: &Message) -> String {
    let unread = message.keywords.is_some() && !message.has(&Keyword::Seen);
    let mut marks = String::new();
    for (set, mark) in [
        (unread, '●'),
        (message.has(&Keyword::Flagged), '★'),
        (message.has(&Keyword::Draft), '✎'),
    ] {
        if set {
            marks.push(mark);
        }
    }
    marks
}

fn received(message: &Message) -> String {
    let received = message.received_at.or(message.sent_at);
    received.map_or_else(String::new, |instant| {
        instant.format("%Y-%m-%d %H:%M").to_string()
    })
}

fn short(address: &Address) -> String {
    clean(address.name().unwrap_or(address.address()))
}

fn subject(message: &Message) -> String {
    message
        .subject
        .as_deref()
        .filter(|subject| !subject.trim().is_empty())
        .map_or_else(|| "(no subject)".to_owned(), clean)
}

/// One line without control characters.
fn clean(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

/// Lines without other control characters.
fn clean_text(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control() || matches!(character, '\n' | '\t'))
        .collect()
}

/// A name that mail gave to a file, made safe: without directories, control characters or leading dots.
pub(crate) fn file_name(given: Option<&str>) -> String {
    let name = given.unwrap_or_default();
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = clean(name).trim().trim_start_matches('.').to_owned();
    if name.is_empty() {
        "attachment".to_owned()
    } else {
        name
    }
}
