//! The text form of a query: what people type, and what plans and logs show.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use super::{NativeQuery, Query};
use crate::model::{FolderId, FolderRole, Keyword};

/// Why a text is not a query.
///
/// ```
/// use postroom::Query;
///
/// let error = "is:new".parse::<Query>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "`is:` cannot be `new`, but read, unread, starred, flagged, important, answered or draft"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A field that there is not.
    #[error(
        "there is no field `{0}:`; there are from, to, cc, bcc, subject, word, filename, in, folder, is, category, has, \
         after, before, larger, smaller and native"
    )]
    UnknownField(String),
    /// A value that its field cannot have.
    #[error("`{field}:` cannot be `{value}`, but {}", possible(.field))]
    Value {
        /// The field.
        field: String,
        /// The value given.
        value: String,
    },
    /// Quotes or brackets that do not close, or an `OR` without a term on both sides.
    #[error("a quote, a bracket or an OR is not complete")]
    Incomplete,
    /// Longer than 4,096 bytes or nested deeper than 32 brackets.
    #[error("the query is too long or too deep")]
    TooLarge,
}

/// What a value of a field can be, for a person who guessed wrong.
fn possible(field: &str) -> &'static str {
    match field.to_ascii_lowercase().as_str() {
        "is" => "read, unread, starred, flagged, important, answered or draft",
        "has" => "attachment",
        "after" | "before" => {
            "a date such as 2026-11-22, or an instant such as 2026-11-22T08:00:00Z"
        }
        "larger" | "smaller" => "a number of bytes such as 5000, 20K or 5M",
        "native" => "a language and a text such as gmail:\"has:drive\"",
        _ => "some text",
    }
}

/// Longest text and deepest nesting that are read; both far above what a person types.
const LONGEST: usize = 4_096;
const DEEPEST: usize = 32;

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LONGEST {
            return Err(QueryError::TooLarge);
        }
        let mut parser = Parser {
            rest: text,
            depth: 0,
        };
        let query = parser.all_of()?;
        if parser.rest.is_empty() {
            Ok(query.simplified())
        } else {
            Err(QueryError::Incomplete)
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn all_of(&mut self) -> Result<Query, QueryError> {
        let mut terms = Vec::new();
        while !self.is_at_end() {
            if self.take_word("OR") {
                let left = terms.pop().ok_or(QueryError::Incomplete)?;
                if self.is_at_end() {
                    return Err(QueryError::Incomplete);
                }
                let right = self.term()?;
                terms.push(Query::or(left, right));
            } else if !self.take_word("AND") {
                let term = self.term()?;
                terms.push(term);
            }
        }
        Ok(Query::And(terms))
    }

    fn is_at_end(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.is_empty() || self.rest.starts_with(')')
    }

    /// Takes an operator that is written as a word.
    fn take_word(&mut self, word: &str) -> bool {
        let ends = |rest: &&str| {
            let mut next = rest.chars();
            next.next()
                .is_none_or(|next| next.is_whitespace() || "()".contains(next))
        };
        match self.rest.strip_prefix(word).filter(ends) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn term(&mut self) -> Result<Query, QueryError> {
        let minus = self.rest.strip_prefix('-').filter(|rest| !rest.is_empty());
        if let Some(rest) = minus {
            self.rest = rest;
            return self.negated();
        }
        if self.take_word("NOT") {
            if self.is_at_end() {
                return Err(QueryError::Incomplete);
            }
            return self.negated();
        }
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            self.deeper()?;
            let query = self.all_of()?;
            self.depth -= 1;
            self.rest = self.rest.strip_prefix(')').ok_or(QueryError::Incomplete)?;
            return Ok(query);
        }
        if self.rest.starts_with('"') {
            return self.quoted().map(Query::Phrase);
        }
        let word = self.until(|character| is_separator(character) || character == ':');
        let Some(rest) = self.rest.strip_prefix(':') else {
            return match word.as_str() {
                "" => Err(QueryError::Incomplete),
                "*" => Ok(Query::All),
                _ => Ok(Query::Word(word)),
            };
        };
        self.rest = rest;
        if word.eq_ignore_ascii_case("native") {
            return self.native(&word);
        }
        let value = self.value(is_separator)?;
        field(&word, value)
    }

    fn negated(&mut self) -> Result<Query, QueryError> {
        self.deeper()?;
        let query = self.term()?;
        self.depth -= 1;
        Ok(query.negated())
    }

    fn deeper(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(QueryError::TooLarge);
        }
        Ok(())
    }

    fn native(&mut self, name: &str) -> Result<Query, QueryError> {
        let language = self.value(|character| is_separator(character) || character == ':')?;
        let wrong = |value| QueryError::Value {
            field: name.to_owned(),
            value,
        };
        let Some(rest) = self.rest.strip_prefix(':') else {
            return Err(wrong(language));
        };
        self.rest = rest;
        let text = self.value(is_separator)?;
        if language.trim().is_empty() || text.trim().is_empty() {
            return Err(wrong(language));
        }
        Ok(Query::Native(NativeQuery::new(language, text)))
    }

    /// A text in quotes, or else up to where it `ends`.
    fn value(&mut self, ends: impl Fn(char) -> bool) -> Result<String, QueryError> {
        if self.rest.starts_with('"') {
            self.quoted()
        } else {
            Ok(self.until(ends))
        }
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text.to_owned()
    }

    /// A text in quotes. A backslash makes a quote or another backslash a part of it, and is one itself elsewhere.
    fn quoted(&mut self) -> Result<String, QueryError> {
        let inner = self.rest.strip_prefix('"').unwrap_or(self.rest);
        let mut text = String::new();
        let mut characters = inner.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = inner.get(at + 1..).unwrap_or_default();
                    return Ok(text);
                }
                '\\' => {
                    let escaped = characters.next_if(|(_, next)| matches!(next, '"' | '\\'));
                    text.push(escaped.map_or('\\', |(_, escaped)| escaped));
                }
                other => text.push(other),
            }
        }
        Err(QueryError::Incomplete)
    }
}

fn is_separator(character: char) -> bool {
    character.is_whitespace() || "()\"".contains(character)
}

fn field(name: &str, value: String) -> Result<Query, QueryError> {
    let wrong = |value: String| QueryError::Value {
        field: name.to_owned(),
        value,
    };
    if value.trim().is_empty() {
        return Err(wrong(value));
    }
    Ok(match name.to_ascii_lowercase().as_str() {
        "from" => Query::From(value),
        "to" => Query::To(value),
        "cc" => Query::Cc(value),
        "bcc" => Query::Bcc(value),
        "subject" => Query::Subject(value),
        "word" => Query::Word(value),
        "filename" => Query::AttachmentName(value),
        "folder" => Query::InFolder(FolderId::new(value)),
        "in" => match role(&value) {
            Some(role) => Query::InRole(role),
            None => Query::InFolder(FolderId::new(value)),
        },
        "is" => match value.to_ascii_lowercase().as_str() {
            "read" => Query::Has(Keyword::Seen),
            "unread" => Query::unread(),
            "starred" | "flagged" => Query::Has(Keyword::Flagged),
            "important" => Query::Has(Keyword::Important),
            "answered" => Query::Has(Keyword::Answered),
            "draft" => Query::Has(Keyword::Draft),
            _ => return Err(wrong(value)),
        },
        "category" => Query::category(value),
        "has" if value.eq_ignore_ascii_case("attachment") => Query::HasAttachment,
        "has" => return Err(wrong(value)),
        "after" => Query::After(instant(&value).ok_or_else(|| wrong(value))?),
        "before" => Query::Before(instant(&value).ok_or_else(|| wrong(value))?),
        "larger" => Query::Larger(size(&value).ok_or_else(|| wrong(value))?),
        "smaller" => Query::Smaller(size(&value).ok_or_else(|| wrong(value))?),
        _ => return Err(QueryError::UnknownField(name.to_owned())),
    })
}

fn role(name: &str) -> Option<FolderRole> {
    use FolderRole::{Archive, Drafts, Flagged, Important, Inbox, Junk, Sent, Trash};
    [
        Inbox, Archive, Drafts, Sent, Trash, Junk, Important, Flagged,
    ]
    .into_iter()
    .find(|role| role.as_str().eq_ignore_ascii_case(name))
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return date.and_hms_opt(0, 0, 0).map(|midnight| midnight.and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|instant| instant.to_utc())
}

fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_024),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1_024 * 1_024),
            None => (text, 1),
        },
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The text form, which is read as the same query again, [`simplified`](Query::simplified), unless a value is blank.
impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut field = |name: &str, text: &str| write!(formatter, "{name}:{}", value(text));
        match self {
            Self::All => formatter.write_str("*"),
            Self::From(text) => field("from", text),
            Self::To(text) => field("to", text),
            Self::Cc(text) => field("cc", text),
            Self::Bcc(text) => field("bcc", text),
            Self::Subject(text) => field("subject", text),
            Self::Word(text) if is_plain_word(text) => formatter.write_str(text),
            Self::Word(text) => field("word", text),
            Self::Phrase(text) => formatter.write_str(&quote(text)),
            Self::HasAttachment => formatter.write_str("has:attachment"),
            Self::AttachmentName(text) => field("filename", text),
            Self::InFolder(id) if role(id.as_str()).is_some() => field("folder", id.as_str()),
            Self::InFolder(id) => field("in", id.as_str()),
            Self::InRole(role) => field("in", role.as_str()),
            Self::Has(Keyword::Seen) => formatter.write_str("is:read"),
            Self::Has(Keyword::Flagged) => formatter.write_str("is:starred"),
            Self::Has(Keyword::Draft) => formatter.write_str("is:draft"),
            Self::Has(Keyword::Answered) => formatter.write_str("is:answered"),
            Self::Has(Keyword::Important) => formatter.write_str("is:important"),
            Self::Has(Keyword::Custom(name)) => field("category", name),
            Self::After(instant) => write!(formatter, "after:{}", written(*instant)),
            Self::Before(instant) => write!(formatter, "before:{}", written(*instant)),
            Self::Larger(size) => write!(formatter, "larger:{size}"),
            Self::Smaller(size) => write!(formatter, "smaller:{size}"),
            Self::Native(native) => {
                let language = match native.language() {
                    plain if !plain.contains(':') => value(plain),
                    other => quote(other),
                };
                write!(formatter, "native:{language}:{}", quote(native.text()))
            }
            Self::And(terms) if terms.is_empty() => formatter.write_str("*"),
            Self::Or(terms) if terms.is_empty() => formatter.write_str("-*"),
            Self::And(terms) => join(formatter, terms, " "),
            Self::Or(terms) => join(formatter, terms, " OR "),
            Self::Not(term) => match term.as_ref() {
                Self::And(_) | Self::Or(_) => write!(formatter, "-({term})"),
                term => write!(formatter, "-{term}"),
            },
        }
    }
}

fn join(formatter: &mut fmt::Formatter<'_>, terms: &[Query], separator: &str) -> fmt::Result {
    for (index, term) in terms.iter().enumerate() {
        if index > 0 {
            formatter.write_str(separator)?;
        }
        match term {
            Query::And(_) | Query::Or(_) => write!(formatter, "({term})")?,
            term => write!(formatter, "{term}")?,
        }
    }
    Ok(())
}

/// A value as it stands behind its field.
fn value(text: &str) -> String {
    if text.is_empty() || text.contains(is_separator) {
        quote(text)
    } else {
        text.to_owned()
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether a word by itself is read as that word.
fn is_plain_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains(|character| is_separator(character) || character == ':')
        && !matches!(text, "AND" | "OR" | "NOT" | "*")
}

fn written(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
