//! `$search` over messages: a keyword query in quotation marks, read and held against messages. This is the
//! emulator's own reading of the language; it shares nothing with the providers.
//! <https://learn.microsoft.com/en-us/graph/search-query-parameter#using-search-on-message-collections>

use chrono::{Datelike as _, Days, NaiveDate};

use super::super::message::{Address, Mail};
use super::error::GraphError;
use super::mailbox::OutlookMessage;

/// No more than this is found.
pub(crate) const MOST: usize = 1000;

/// A query that can be read.
#[derive(Debug)]
pub(crate) struct Search(Node);

#[derive(Debug)]
enum Node {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// Property, comparison sign and value.
    Term(Option<String>, &'static str, String),
}

const PROPERTIES: [&str; 16] = [
    "attachment",
    "bcc",
    "body",
    "cc",
    "from",
    "hasattachments",
    "hasattachment",
    "importance",
    "kind",
    "participants",
    "received",
    "recipients",
    "sent",
    "size",
    "subject",
    "to",
];

impl Search {
    pub(crate) fn read(value: &str) -> Result<Self, GraphError> {
        let quoted = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .ok_or_else(|| syntax(value))?;
        let text = quoted.replace("\\\"", "\"");
        let mut words = words(&text);
        words.reverse();
        let node = or(&mut words, value)?;
        if words.is_empty() {
            Ok(Self(node))
        } else {
            Err(syntax(value))
        }
    }

    pub(crate) fn accepts(&self, message: &OutlookMessage, today: NaiveDate) -> bool {
        holds(&self.0, message, today)
    }
}

fn syntax(value: &str) -> GraphError {
    GraphError::bad_request(
        "BadRequest",
        format!("Syntax error in the search clause '{value}'."),
    )
}

/// What stands before a phrase that is quoted as a whole: nothing in it is an operator or a property.
const PHRASE: char = '"';

/// Brackets, operators and terms; a quoted phrase stays one word, with its property before it.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '"' => {
                if !quoted && word.is_empty() {
                    word.push(PHRASE);
                }
                quoted = !quoted;
            }
            '(' | ')' if !quoted => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                words.push(character.to_string());
            }
            other if other.is_whitespace() && !quoted => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            other => word.push(other),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The words come from the end of the list.
fn or(words: &mut Vec<String>, whole: &str) -> Result<Node, GraphError> {
    let mut parts = vec![and(words, whole)?];
    while words.last().is_some_and(|word| word == "OR") {
        words.pop();
        parts.push(and(words, whole)?);
    }
    Ok(Node::Or(parts))
}

fn and(words: &mut Vec<String>, whole: &str) -> Result<Node, GraphError> {
    let mut parts = vec![unary(words, whole)?];
    while let Some(word) = words.last() {
        if word == "OR" || word == ")" {
            break;
        }
        if word == "AND" {
            words.pop();
        }
        parts.push(unary(words, whole)?);
    }
    Ok(Node::And(parts))
}

fn unary(words: &mut Vec<String>, whole: &str) -> Result<Node, GraphError> {
    match words.pop().as_deref() {
        None | Some(")" | "AND" | "OR") => Err(syntax(whole)),
        Some("NOT") => Ok(Node::Not(Box::new(unary(words, whole)?))),
        Some("(") => {
            let node = or(words, whole)?;
            match words.pop().as_deref() {
                Some(")") => Ok(node),
                _ => Err(syntax(whole)),
            }
        }
        Some(word) => Ok(term(word)),
    }
}

fn term(word: &str) -> Node {
    if let Some(phrase) = word.strip_prefix(PHRASE) {
        return Node::Term(None, ":", phrase.to_lowercase());
    }
    if let Some(rest) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
        return Node::Not(Box::new(term(rest)));
    }
    for sign in [">=", "<=", ">", "<", "=", ":"] {
        if let Some((name, value)) = word.split_once(sign) {
            let name = name.to_ascii_lowercase();
            if PROPERTIES.contains(&name.as_str()) {
                return Node::Term(Some(name), sign, value.to_lowercase());
            }
        }
    }
    Node::Term(None, ":", word.to_lowercase())
}

fn holds(node: &Node, message: &OutlookMessage, today: NaiveDate) -> bool {
    match node {
        Node::And(parts) => parts.iter().all(|part| holds(part, message, today)),
        Node::Or(parts) => parts.iter().any(|part| holds(part, message, today)),
        Node::Not(part) => !holds(part, message, today),
        Node::Term(Some(name), sign, value) if name == "received" => {
            date_holds(sign, value, message.received.date_naive(), today)
        }
        Node::Term(Some(name), sign, value) if name == "sent" => {
            let sent = message.mail.parsed().date.unwrap_or(message.received);
            date_holds(sign, value, sent.date_naive(), today)
        }
        Node::Term(property, sign, value) => term_holds(property.as_deref(), sign, value, message),
    }
}

fn term_holds(property: Option<&str>, sign: &str, value: &str, message: &OutlookMessage) -> bool {
    let mail = message.mail.parsed();
    let subject = || has_words(mail.subject.as_deref().unwrap_or_default(), value);
    // Of a message with two forms Exchange keeps the HTML.
    let kept = mail.html_text.as_ref().or(mail.text.as_ref());
    let body = || has_words(kept.map_or("", String::as_str), value);
    let to = || has_address(&mail.to, value);
    let cc = || has_address(&mail.cc, value);
    let bcc = || has_address(&mail.bcc, value);
    let from = || has_address(&mail.from, value);
    match property {
        None => from() || subject() || body(),
        Some("subject") => subject(),
        Some("body") => body(),
        Some("from") => from(),
        Some("to") => to(),
        Some("cc") => cc(),
        Some("bcc") => bcc(),
        Some("recipients") => to() || cc() || bcc(),
        Some("participants") => from() || to() || cc() || bcc(),
        Some("attachment") => names(&message.mail)
            .iter()
            .any(|name| has_words(name, value)),
        Some("hasattachments" | "hasattachment") => {
            let has = !names(&message.mail).is_empty();
            has == matches!(value, "true" | "yes" | "1")
        }
        Some("importance") => match value {
            "medium" => message.importance == "normal",
            other => message.importance == other,
        },
        Some("kind") => value == "email",
        Some("size") => size_holds(sign, value, message.mail.raw().len()),
        Some(_) => false,
    }
}

/// Attachments that are listed beside the text.
fn names(mail: &Mail) -> Vec<&str> {
    super::attachments::parts(mail)
        .into_iter()
        .filter(|part| !part.is_inline())
        .map(|part| part.file_name.as_deref().unwrap_or_default())
        .collect()
}

/// Whether the words of `wanted` stand in `text` one after the other; the last may be the beginning of one.
fn has_words(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (split(text), split(wanted));
    let Some((last, before)) = wanted.split_last() else {
        return false;
    };
    text.windows(wanted.len()).any(|window| {
        window
            .split_last()
            .is_some_and(|(end, start)| start == before && end.starts_with(last.as_str()))
    })
}

/// The words of a text. Characters of writing without spaces (Thai to Burmese, Khmer, Japanese, Chinese) are words each.
fn split(text: &str) -> Vec<String> {
    let spaced: String = text
        .to_lowercase()
        .chars()
        .map(|character| match character {
            '\u{e00}'..='\u{eff}'
            | '\u{1000}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}'
            | '\u{3005}'..='\u{3007}'
            | '\u{3040}'..='\u{30ff}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff66}'..='\u{ff9f}'
            | '\u{20000}'..='\u{3ffff}' => format!(" {character} "),
            other => other.to_string(),
        })
        .collect();
    spaced
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn has_address(addresses: &[Address], value: &str) -> bool {
    addresses.iter().any(|person| {
        let name = person.name.as_deref().unwrap_or_default();
        person.address.eq_ignore_ascii_case(value)
            || has_words(&person.address, value)
            || has_words(name, value)
    })
}

fn size_holds(sign: &str, value: &str, size: usize) -> bool {
    let digits = value.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = match value.get(digits.len()..).unwrap_or_default() {
        "kb" | "k" => 1024,
        "mb" | "m" => 1024 * 1024,
        _ => 1,
    };
    let Ok(limit) = digits.parse::<usize>() else {
        return false;
    };
    ordered(sign, size.cmp(&limit.saturating_mul(unit)))
}

fn date_holds(sign: &str, value: &str, date: NaiveDate, today: NaiveDate) -> bool {
    if let Some((from, to)) = value.split_once("..") {
        return day(from).is_some_and(|from| date >= from) && day(to).is_some_and(|to| date <= to);
    }
    if let Some(limit) = day(value) {
        return ordered(sign, date.cmp(&limit));
    }
    match value {
        "today" => date == today,
        "yesterday" => today.checked_sub_days(Days::new(1)) == Some(date),
        "this week" => date.iso_week() == today.iso_week(),
        "this month" => (date.year(), date.month()) == (today.year(), today.month()),
        _ => false,
    }
}

fn day(text: &str) -> Option<NaiveDate> {
    let text = text.get(..10).unwrap_or(text);
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .or_else(|_| NaiveDate::parse_from_str(text, "%m/%d/%Y"))
        .ok()
}

fn ordered(sign: &str, ordering: std::cmp::Ordering) -> bool {
    match sign {
        ">=" => ordering.is_ge(),
        "<=" => ordering.is_le(),
        ">" => ordering.is_gt(),
        "<" => ordering.is_lt(),
        _ => ordering.is_eq(),
    }
}
