//! What the program prints: tables for people, one JSON document for programs. Everything that came by mail is stripped
//! of control characters first, which a terminal would obey.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Row, Table, TableComponent, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use postroom::credentials::Service;
use postroom::facts::{Authentication, Facts};
use postroom::oauth::{Finding, Seen};
use postroom::view::{fold_text, new_text};
use postroom::{
    Account, AccountId, AccountStatus, Address, AutomaticReply, Disconnected, Folder, Keyword,
    Message, MessageId, Obstacle, ReplySchedule, Sent, Thread,
};
use serde::Serialize;
use serde_json::json;

use crate::reading::told;

/// Prints a line to standard output.
macro_rules! say {
    ($($arguments:tt)*) => {
        print_line(format_args!($($arguments)*))
    };
}

/// Whoever reads may have enough before the end (`mail list | head -1`): that is no failure, and everything that the
/// program does is done before it prints.
fn print_line(line: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("error: cannot write to standard output: {error}");
        std::process::exit(1);
    }
}

#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// What `doctor` found, for people.
    pub(crate) fn findings(&self, findings: &[&Finding]) {
        for finding in findings {
            let code = finding.code.as_ref().map(|code| format!(" ({code})"));
            let doubt = if finding.certain || finding.seen == Seen::VendorPage {
                ""
            } else {
                "Maybe: "
            };
            say!("• {doubt}{}{}", finding.what, code.unwrap_or_default());
            say!("  Seen in: {}", finding.seen);
            say!("  {}. See {}", finding.remedy, finding.guide);
        }
    }

    pub(crate) fn document(&self, document: &impl Serialize) {
        match serde_json::to_string_pretty(document) {
            Ok(text) => say!("{text}"),
            Err(error) => eprintln!("error: cannot be written as JSON: {error}"),
        }
    }

    pub(crate) fn accounts(&self, accounts: &[Account]) {
        if self.json {
            return self.document(&json!({ "accounts": accounts }));
        }
        if accounts.is_empty() {
            say!("No account is connected. See `mail connect --help`.");
            return;
        }
        let rows = accounts.iter().map(|account| row(account).to_vec());
        print_table(
            &["Account", "Service", "Address", "Access", "State"],
            rows.collect(),
        );
    }

    pub(crate) fn account(&self, account: &Account) {
        if self.json {
            return self.document(account);
        }
        let [name, service, mut address, access, state] = row(account);
        if address.is_empty() {
            address = "a mailbox whose address is not known".to_owned();
        }
        say!("Connected {name}: {address} ({service}), access {access}, {state}.");
        if !account.missing.is_empty() {
            say!("Not granted, although asked for: {}.", account.missing);
        }
    }

    pub(crate) fn disconnected(&self, account: &AccountId, disconnected: &Disconnected) {
        if self.json {
            return self.document(&json!({ "account": account, "revoked": disconnected.revoked }));
        }
        say!("Disconnected {account}.");
        if !disconnected.revoked {
            say!(
                "The grant still stands at the service; the user can end it in the settings of their account."
            );
        }
    }

    pub(crate) fn folders(&self, folders: &[Folder]) {
        if self.json {
            return self.document(&json!({ "folders": folders }));
        }
        let count = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
        let rows = folders.iter().map(|folder| {
            let role = folder.role.map_or("", |role| role.as_str());
            vec![
                clean(folder.id.as_str()),
                clean(&folder.name),
                role.to_owned(),
                count(folder.total),
                count(folder.unread),
            ]
        });
        print_table(&["Id", "Name", "For", "Messages", "Unread"], rows.collect());
    }

    pub(crate) fn messages(&self, messages: &[Message]) {
        if self.json {
            return self.document(&json!({ "messages": messages }));
        }
        if messages.is_empty() {
            say!("No messages.");
            return;
        }
        let rows = messages.iter().map(|message| {
            vec![
                clean(message.id.as_str()),
                marks(message),
                received(message),
                message.from.first().map(short).unwrap_or_default(),
                subject(message),
            ]
        });
        print_table(&["Id", "", "Received", "From", "Subject"], rows.collect());
    }

    /// A message with what is known of it; `all` of its text, or what is new.
    pub(crate) fn read(
        &self,
        message: &Message,
        facts: &Facts,
        found: Option<&Authentication>,
        all: bool,
    ) {
        if self.json {
            let mut document = json!(message);
            if let Some(document) = document.as_object_mut() {
                document.insert("facts".to_owned(), json!(facts));
                document.insert("authentication".to_owned(), json!(found));
            }
            return self.document(&document);
        }
        self.show(message, &told(facts, found), all);
    }

    /// One line, whatever is printed otherwise.
    pub(crate) fn line(&self, line: &str) {
        say!("{line}");
    }

    /// Text as it is, for other programs to read.
    pub(crate) fn text(&self, text: &str) {
        if self.json {
            return self.document(&json!({ "html": text }));
        }
        say!("{text}");
    }

    fn show(&self, message: &Message, told: &[(&str, String)], all: bool) {
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
                say!("{name:>8}: {value}");
            }
        }
        for (name, value) in told {
            say!("{name:>8}: {}", clean(value));
        }
        let text = message.text_view().unwrap_or_default();
        let sections = fold_text(&text);
        let shown = if all {
            text.clone()
        } else {
            new_text(&sections)
        };
        say!("\n{}", clean_text(shown.trim_end()));
        if shown.len() < text.len() {
            say!("\n[what it quotes is left out; see it with `mail read --all`]");
        }
        if !message.attachments.is_empty() {
            let rows = message.attachments.iter().map(|attachment| {
                let size = attachment.size.map(|size| size.to_string());
                vec![
                    clean(attachment.id.as_str()),
                    clean(attachment.name.as_deref().unwrap_or("(no name)")),
                    clean(&attachment.media_type),
                    // Outlook counts what it stores around the bytes as well.
                    size.unwrap_or_default(),
                    if attachment.inline { "yes" } else { "" }.to_owned(),
                ]
            });
            say!("");
            print_table(&["Part", "Name", "Type", "Size", "Inline"], rows.collect());
        }
    }

    pub(crate) fn saved(&self, path: &Path, length: u64) {
        if self.json {
            return self.document(&json!({ "file": path, "bytes": length }));
        }
        say!("Saved {} ({length} bytes).", path.display());
    }

    /// A message that was sent, or that the service sends at the time it was given.
    pub(crate) fn sent(&self, sent: &Sent, at: Option<DateTime<Utc>>) {
        if self.json {
            return self.document(sent);
        }
        let done = match at {
            Some(at) => format!("Given to the service, which sends it at {at:?}"),
            None => "Sent".to_owned(),
        };
        match &sent.id {
            Some(id) => say!("{done} as {id}."),
            None => say!("{done}."),
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
                Ok(()) => say!("{id}: done"),
                Err(error) => eprintln!("{id}: {error}"),
            }
        }
    }

    pub(crate) fn exported(&self, path: &Path, written: u64, there_already: u64) {
        if self.json {
            return self.document(&json!({
                "path": path, "written": written, "there_already": there_already,
            }));
        }
        say!("Wrote {} to {}.", messages(written), path.display());
        if there_already > 0 {
            say!("{there_already} were there already.");
        }
    }

    pub(crate) fn thread(&self, thread: &Thread) {
        if self.json {
            let messages: Vec<&Message> = thread.readable().collect();
            let unreadable = thread.messages.len() - messages.len();
            return self.document(&json!({
                "id": thread.id, "messages": messages, "unreadable": unreadable,
            }));
        }
        for (number, message) in thread.messages.iter().enumerate() {
            if number > 0 {
                say!("\n{}\n", "─".repeat(60));
            }
            match message {
                Ok(message) => self.show(message, &told(&message.facts(), None), false),
                Err(error) => eprintln!("A message cannot be read: {error}"),
            }
        }
    }

    /// Progress of something that consists of so many parts.
    pub(crate) fn bar(&self, what: &'static str, parts: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(parts), target());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} ({eta})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar
    }

    /// Progress of so many bytes.
    pub(crate) fn bar_of_bytes(&self, what: &'static str, bytes: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(bytes), target());
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} ({eta})";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar
    }

    /// A list of objects: as it is for programs, and of each object some texts for people.
    pub(crate) fn rows(&self, what: &str, columns: &[&str], rows: &[serde_json::Value]) {
        if self.json {
            return self.document(&json!({ what: rows }));
        }
        if rows.is_empty() {
            say!("No {what}.");
            return;
        }
        let cell = |row: &serde_json::Value, column: &&str| {
            let cell = row.get(*column).and_then(serde_json::Value::as_str);
            clean(cell.unwrap_or_default())
        };
        let rows = rows
            .iter()
            .map(|row| columns.iter().map(|column| cell(row, column)).collect());
        print_table(columns, rows.collect());
    }

    /// What the mailbox answers by itself.
    pub(crate) fn automatic_reply(&self, reply: &AutomaticReply) {
        if self.json {
            return self.document(reply);
        }
        let day = |instant: Option<DateTime<Utc>>| {
            instant.map_or_else(
                || "any time".to_owned(),
                |instant| instant.format("%Y-%m-%d %H:%M").to_string(),
            )
        };
        match reply.schedule {
            ReplySchedule::Never => say!("The automatic reply is off."),
            ReplySchedule::Between { from, until } => {
                say!(
                    "The automatic reply is on from {} until {}.",
                    day(from),
                    day(until)
                );
            }
            _ => say!("The automatic reply is on."),
        }
        let text = reply.message.text.as_ref().or(reply.message.html.as_ref());
        if let Some(text) = text {
            say!("\n{}", clean_text(text.trim_end()));
        }
    }

    /// Something was done that leaves nothing to show.
    pub(crate) fn done(&self, what: &str) {
        if self.json {
            return self.document(&json!({ "done": true }));
        }
        say!("{what}");
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

pub(crate) fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// Longer ids than this get a line of their own on a terminal, where they would be broken up otherwise.
const ID_COLUMN: usize = 24;

/// A table whose first column says what to call each row. On a terminal it is as wide as that; elsewhere each row is one
/// line, however long. Columns that nothing is known for are left out.
fn print_table(header: &[&str], rows: Vec<Vec<String>>) {
    let on_terminal = std::io::stdout().is_terminal();
    let long = |row: &Vec<String>| row.first().is_some_and(|id| id.len() > ID_COLUMN);
    let ids_below = on_terminal && rows.iter().any(long);
    let shown: Vec<usize> = (usize::from(ids_below)..header.len())
        .filter(|column| {
            rows.iter()
                .any(|row| row.get(*column).is_some_and(|cell| !cell.is_empty()))
        })
        .collect();
    let pick = |row: &[String]| -> Vec<String> {
        let cells = shown.iter().filter_map(|column| row.get(*column).cloned());
        cells.collect()
    };
    let header: Vec<String> = header.iter().map(|&title| title.to_owned()).collect();
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(if on_terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        })
        .set_header(pick(&header));
    if on_terminal {
        table
            .set_style(TableComponent::HeaderLines, '─')
            .set_style(TableComponent::MiddleHeaderIntersections, '─');
    }
    for row in &rows {
        let mut cells = Row::from(pick(row));
        cells.max_height(1);
        table.add_row(cells);
    }
    let head = if on_terminal { 2 } else { 1 };
    for (index, line) in table.lines().enumerate() {
        say!("{}", line.trim_end());
        let row = index.checked_sub(head).and_then(|index| rows.get(index));
        if let Some(id) = row.and_then(|row| row.first()).filter(|_| ids_below) {
            say!("   {id}");
        }
    }
}

/// So many messages, in words.
pub(crate) fn messages(count: u64) -> String {
    match count {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

fn row(account: &Account) -> [String; 5] {
    [
        clean(account.id.as_str()),
        account
            .service
            .as_ref()
            .map_or("", Service::name)
            .to_owned(),
        account.address.as_deref().map(clean).unwrap_or_default(),
        account.granted.to_string(),
        match &account.status {
            AccountStatus::Active => "active".to_owned(),
            AccountStatus::NeedsSignIn { reason, .. } => format!("sign-in needed: {reason}"),
            AccountStatus::Suspended { .. } => "suspended".to_owned(),
            AccountStatus::Unusable { obstacle } => match obstacle {
                Obstacle::NoConfiguration => "its registration is gone",
                Obstacle::WrongConfiguration => "its registration cannot be right",
                _ => "its record cannot be read",
            }
            .to_owned(),
            _ => String::new(),
        },
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
pub(crate) fn clean(text: &str) -> String {
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
