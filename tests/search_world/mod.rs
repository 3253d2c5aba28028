//! A random mailbox, random queries about it, and what they mean said once more: plainly, over what the test itself wrote
//! and what the emulated services keep, with nothing of the crate's own evaluation.

#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Written;
use mail_builder::headers::raw::Raw;
use postroom::{FolderId, FolderRole, Keyword, Query};

/// A source of chance that gives the same again for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(crate) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Words of which some begin others, some are several, and some are written without spaces.
const WORDS: [&str; 24] = [
    "plan",
    "plans",
    "planet",
    "Budget",
    "budgets",
    "März",
    "MARZ",
    "report",
    "2026",
    "2026-11",
    "foo-bar",
    "foo",
    "bar",
    "don't",
    "not",
    "OR",
    "from:shop",
    "会议",
    "会议室",
    "ประชุม",
    "c++",
    "a_b",
    "shop",
    "me",
];

/// What has a meaning in some query language, and no letters of its own.
const GRAMMAR: [&str; 20] = [
    "\"", "\\", "'", "''", "(", ")", "{", "}", " -", "*", ":", "|", "+", "\\\"", "”", "\r\n", ">=",
    "..", "#", "%",
];

/// People whose addresses and names hold one another.
const PEOPLE: [(&str, &str); 10] = [
    ("Billing", "billing@shop.example"),
    ("", "x-billing@shop.example"),
    ("Shop", "billing@shop.example.org"),
    ("billing@shop.example", "spoof@elsewhere.example"),
    ("Support Desk", "support@desk.example"),
    ("Desk Me", "me@desk.example"),
    ("", "Plan@Desk.example"),
    ("会议室", "room@desk.example"),
    ("Planet Shop", "newsletter@planet.example"),
    ("O'Desk", "o'desk@desk.example"),
];

const FILES: [&str; 6] = [
    "plan.pdf",
    "Budget 2026.xlsx",
    "foo-bar.tar.gz",
    "会议.docx",
    "planets.txt",
    "report.pdf",
];

/// A message as the test wrote it.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) number: usize,
    pub(crate) raw: Vec<u8>,
    from: Vec<(String, String)>,
    to: Vec<(String, String)>,
    cc: Vec<(String, String)>,
    bcc: Vec<(String, String)>,
    subject: String,
    text: String,
    files: Vec<String>,
    pub(crate) important: bool,
}

/// A message as a service keeps it now.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) written: Letter,
    pub(crate) folders: BTreeSet<FolderId>,
    pub(crate) categories: Vec<String>,
    pub(crate) seen: bool,
    pub(crate) flagged: bool,
    pub(crate) draft: bool,
    pub(crate) important: bool,
    pub(crate) received: DateTime<Utc>,
    pub(crate) size: u64,
}

/// What is particular to the mailbox that queries are about.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder of each role that has one.
    pub(crate) roles: BTreeMap<FolderRole, FolderId>,
    /// Folders that queries may name.
    pub(crate) folders: Vec<FolderId>,
}

fn text(chance: &mut Chance, most: usize) -> String {
    let count = chance.below(most + 1);
    let words: Vec<&str> = (0..count).map(|_| chance.pick(&WORDS)).collect();
    words.join(chance.pick(&[" ", ", ", " - "]))
}

fn people(chance: &mut Chance, most: usize) -> Vec<(String, String)> {
    let count = chance.below(most + 1);
    let one = |chance: &mut Chance| {
        let (name, address) = PEOPLE[chance.below(PEOPLE.len())];
        (name.to_owned(), address.to_owned())
    };
    (0..count).map(|_| one(chance)).collect()
}

fn list(people: &[(String, String)]) -> Written<'static> {
    let one = |(name, address): &(String, String)| {
        let name = Some(name.clone()).filter(|name| !name.is_empty());
        Written::new_address(name, address.clone())
    };
    Written::new_list(people.iter().map(one).collect())
}

/// When the first message was sent.
fn beginning() -> DateTime<Utc> {
    "2026-11-01T22:30:00Z".parse().unwrap()
}

fn moment(chance: &mut Chance) -> DateTime<Utc> {
    // Few enough that some fall on the same second.
    beginning() + TimeDelta::minutes(chance.below(2_000) as i64 * 7)
}

/// The message without its bytes.
impl std::fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let people = (&self.from, &self.to, &self.cc, &self.bcc);
        write!(
            formatter,
            "{} {people:?} {:?} {:?} {:?}",
            self.number, self.subject, self.text, self.files
        )
    }
}

impl Letter {
    pub(crate) fn new(number: usize, chance: &mut Chance) -> Self {
        let mut from = people(chance, 1);
        from.extend(from.is_empty().then(|| {
            let (name, address) = PEOPLE[0];
            (name.to_owned(), address.to_owned())
        }));
        let mut files: Vec<String> = Vec::new();
        while chance.one_in(5) {
            files.push(chance.pick(&FILES).to_owned());
        }
        let mut written = Self {
            number,
            raw: Vec::new(),
            from,
            to: people(chance, 2),
            cc: people(chance, 1),
            bcc: if chance.one_in(8) {
                people(chance, 1)
            } else {
                Vec::new()
            },
            subject: text(chance, 4),
            text: text(chance, 9),
            files,
            important: chance.one_in(5),
        };
        let mut builder = MessageBuilder::new()
            .message_id(format!("{number}@world.example"))
            .from(list(&written.from))
            .subject(written.subject.clone())
            .date(moment(chance).timestamp());
        for (name, people) in [
            ("To", &written.to),
            ("Cc", &written.cc),
            ("Bcc", &written.bcc),
        ] {
            if !people.is_empty() {
                builder = builder.header(name, list(people));
            }
        }
        if written.important {
            builder = builder.header("Importance", Raw::new("high"));
        }
        // Both forms say the same: a service may keep one of them only.
        let html = format!("<p>{}</p>", written.text.replace(' ', " <i></i>"));
        builder = match chance.below(3) {
            0 => builder.text_body(written.text.clone()),
            1 => builder.html_body(html),
            _ => builder.text_body(written.text.clone()).html_body(html),
        };
        for file in &written.files {
            let bytes = vec![b'x'; chance.below(3_000)];
            builder = builder.attachment("application/octet-stream", file.clone(), bytes);
        }
        written.raw = builder.write_to_vec().unwrap();
        written
    }
}

/// A query of a few terms, over what the messages hold.
pub(crate) fn query(chance: &mut Chance, place: &Place, depth: usize) -> Query {
    let term = |chance: &mut Chance| query(chance, place, depth - 1);
    match chance.below(if depth == 0 { 6 } else { 12 }) {
        6 | 7 => Query::And((0..chance.below(3) + 1).map(|_| term(chance)).collect()),
        8 | 9 => Query::Or((0..chance.below(3) + 1).map(|_| term(chance)).collect()),
        10 | 11 => Query::Not(Box::new(term(chance))),
        _ => leaf(chance, place),
    }
}

fn leaf(chance: &mut Chance, place: &Place) -> Query {
    let person = |chance: &mut Chance| {
        let (name, address) = PEOPLE[chance.below(PEOPLE.len())];
        match chance.below(4) {
            0 if !name.is_empty() => name.to_owned(),
            1 => chance
                .pick(&[
                    "shop",
                    "desk",
                    "me",
                    "@shop.example",
                    "SHOP example",
                    "plan",
                ])
                .to_owned(),
            _ => address
                .to_uppercase()
                .replacen("SHOP", "shop", chance.below(2)),
        }
    };
    let word = |chance: &mut Chance| loop {
        let count = if chance.one_in(4) { 2 } else { 1 };
        let mut words = String::new();
        for number in 0..count {
            let space = if number > 0 { " " } else { "" };
            words += space;
            // What services take for their own grammar is only punctuation in a value.
            while chance.one_in(6) {
                words += chance.pick(&GRAMMAR);
            }
            words += chance.pick(&WORDS);
            while chance.one_in(6) {
                words += chance.pick(&GRAMMAR);
            }
        }
        if !tokens(&words).is_empty() {
            return words;
        }
    };
    match chance.below(22) {
        0 | 1 => Query::From(person(chance)),
        2 => Query::To(person(chance)),
        3 => Query::Cc(person(chance)),
        4 => Query::Bcc(person(chance)),
        5 | 6 => Query::Subject(word(chance)),
        7 => Query::Word(word(chance)),
        8 => Query::Phrase(word(chance)),
        9 => Query::HasAttachment,
        10 => Query::AttachmentName(
            chance
                .pick(&["pdf", "plan", "tar.gz", "budget", "会", "2026"])
                .to_owned(),
        ),
        11 | 12 => Query::InFolder(place.folders[chance.below(place.folders.len())].clone()),
        13 | 14 => Query::InRole(
            [
                FolderRole::Inbox,
                FolderRole::Archive,
                FolderRole::Junk,
                FolderRole::Trash,
                FolderRole::Sent,
                FolderRole::Flagged,
                FolderRole::Important,
            ][chance.below(7)],
        ),
        15 | 16 => Query::Has(match chance.below(8) {
            0..=2 => Keyword::Seen,
            3 | 4 => Keyword::Flagged,
            5 => Keyword::Important,
            6 => Keyword::Draft,
            _ => Keyword::Custom(chance.pick(&["Red category", "green CATEGORY"]).to_owned()),
        }),
        17 | 18 => {
            let instant = moment(chance) + TimeDelta::milliseconds(chance.below(3) as i64 * 500);
            if chance.one_in(2) {
                Query::After(instant)
            } else {
                Query::Before(instant)
            }
        }
        19 => Query::Larger(chance.below(4_000) as u64),
        20 => Query::Smaller(chance.below(4_000) as u64),
        _ => Query::All,
    }
}

/// What a query means, plainly. What lies in spam or trash is meant only where that is named.
pub(crate) fn is_meant(query: &Query, kept: &Kept, place: &Place) -> bool {
    let hidden: Vec<FolderRole> = [FolderRole::Junk, FolderRole::Trash]
        .into_iter()
        .filter(|role| kept.folders.contains(&place.roles[role]))
        .collect();
    let shown = hidden.is_empty() || hidden.iter().any(|role| names(query, *role, true, place));
    shown && holds(query, kept, place)
}

fn names(query: &Query, role: FolderRole, wanted: bool, place: &Place) -> bool {
    match query {
        Query::And(terms) | Query::Or(terms) => {
            terms.iter().any(|term| names(term, role, wanted, place))
        }
        Query::Not(term) => names(term, role, !wanted, place),
        Query::InRole(named) => wanted && *named == role,
        Query::InFolder(id) => wanted && place.roles[&role] == *id,
        _ => false,
    }
}

fn holds(query: &Query, kept: &Kept, place: &Place) -> bool {
    let written = &kept.written;
    let anybody = |people: &[(String, String)], value: &str| {
        if value.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !value.contains(' ')
        }) {
            return people
                .iter()
                .any(|(_, address)| address.to_lowercase() == value.to_lowercase());
        }
        people
            .iter()
            .any(|(name, address)| says(name, value) || says(address, value))
    };
    match query {
        Query::All => true,
        Query::From(value) => anybody(&written.from, value),
        Query::To(value) => anybody(&written.to, value),
        Query::Cc(value) => anybody(&written.cc, value),
        Query::Bcc(value) => anybody(&written.bcc, value),
        Query::Subject(value) => says(&written.subject, value),
        Query::Word(value) | Query::Phrase(value) => {
            let people = [&written.from, &written.to, &written.cc, &written.bcc];
            let mut people = people.into_iter().flatten();
            says(&written.subject, value)
                || says(&written.text, value)
                || people.any(|(name, address)| says(name, value) || says(address, value))
                || written.files.iter().any(|file| says(file, value))
        }
        Query::HasAttachment => !written.files.is_empty(),
        Query::AttachmentName(value) => written.files.iter().any(|file| says(file, value)),
        Query::InFolder(id) => kept.folders.contains(id),
        Query::InRole(role) => match (place.roles.get(role), role) {
            (Some(folder), _) => kept.folders.contains(folder),
            (None, FolderRole::Flagged) => kept.flagged,
            (None, FolderRole::Important) => kept.important,
            (None, _) => ["INBOX", "SENT", "DRAFT", "SPAM", "TRASH"]
                .iter()
                .all(|label| !kept.folders.contains(&FolderId::from(*label))),
        },
        Query::Has(Keyword::Seen) => kept.seen,
        Query::Has(Keyword::Flagged) => kept.flagged,
        Query::Has(Keyword::Draft) => kept.draft,
        Query::Has(Keyword::Important) => kept.important,
        Query::Has(Keyword::Custom(name)) => kept
            .categories
            .iter()
            .any(|category| category.eq_ignore_ascii_case(name)),
        Query::After(instant) => kept.received.timestamp() >= instant.timestamp(),
        Query::Before(instant) => kept.received.timestamp() < instant.timestamp(),
        Query::Larger(size) => kept.size >= *size,
        Query::Smaller(size) => kept.size < *size,
        Query::And(terms) => terms.iter().all(|term| holds(term, kept, place)),
        Query::Or(terms) => terms.iter().any(|term| holds(term, kept, place)),
        Query::Not(term) => !holds(term, kept, place),
        other => panic!("{other} is not asked"),
    }
}

/// Whether the tokens of `words` stand in a row in `text`.
fn says(text: &str, words: &str) -> bool {
    let (text, words) = (tokens(text), tokens(words));
    (0..text.len()).any(|start| text[start..].starts_with(&words))
}

/// Runs of letters and digits; characters of Chinese and Thai by themselves.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![String::new()];
    for character in text.to_lowercase().chars() {
        let single = ('\u{e00}'..='\u{e7f}').contains(&character)
            || ('\u{4e00}'..='\u{9fff}').contains(&character);
        if single || !character.is_alphanumeric() {
            tokens.push(String::new());
        }
        if character.is_alphanumeric() {
            tokens.last_mut().unwrap().push(character);
        }
        if single {
            tokens.push(String::new());
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens
}
