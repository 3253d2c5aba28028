//! Single terms as operators of `q`.
//!
//! An unknown operator or a broken query is no error at Gmail: it finds nothing. So nothing of a value may be read as an
//! operator: every value goes out as a quoted phrase, without quotes of its own.

use super::LANGUAGE;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Keyword, Language, NativeQuery, Query, Told, is_address, words};

/// Operators of `q`. Only single ones are ever negated, so that brackets never stand behind a minus.
pub(super) struct Operators;

impl Language for Operators {
    type Refusal = Error;

    const AND: &'static str = " ";
    const OR: &'static str = " OR ";

    fn term(&self, term: &Query, negated: bool) -> Result<Told> {
        let exactly = |text: String| {
            Ok(Told::Exactly(if negated {
                format!("-{text}")
            } else {
                text
            }))
        };
        // What is found too much must not be excluded.
        let roughly = |text: String| {
            Ok(if negated {
                Told::Not
            } else {
                Told::Roughly(text)
            })
        };
        let instant = |name: &str, second: i64| Ok(Told::Exactly(format!("{name}:{second}")));
        match term {
            Query::From(value) | Query::Cc(value) | Query::Bcc(value) | Query::To(value)
                if is_oneself(value) =>
            {
                Ok(Told::Not)
            }
            // An address is looked for as words, which names and longer addresses have too.
            Query::From(value) if is_address(value) => roughly(phrase("from:", value)?),
            Query::Cc(value) if is_address(value) => roughly(phrase("cc:", value)?),
            Query::Bcc(value) if is_address(value) => roughly(phrase("bcc:", value)?),
            Query::From(value) => exactly(phrase("from:", value)?),
            Query::Cc(value) => exactly(phrase("cc:", value)?),
            Query::Bcc(value) => exactly(phrase("bcc:", value)?),
            // It finds other recipients too (<https://webapps.stackexchange.com/q/18713>).
            Query::To(value) => roughly(phrase("to:", value)?),
            Query::Subject(value) => exactly(phrase("subject:", value)?),
            Query::AttachmentName(value) => exactly(phrase("filename:", value)?),
            Query::Word(value) | Query::Phrase(value) => exactly(phrase("", value)?),
            Query::HasAttachment => exactly("has:attachment".to_owned()),
            Query::InFolder(label) => match place(label.as_str()) {
                Some(place) => exactly(place.to_owned()),
                // `label:` takes a name, in which spaces and slashes look alike, and no id.
                None => Ok(Told::Not),
            },
            Query::Has(keyword) => exactly(keyword_operator(keyword)?.to_owned()),
            // Instants are given as seconds: dates alone mean midnight in a time zone that Gmail chooses.
            Query::After(instant) if instant.timestamp() <= 0 => Ok(Told::Everything),
            Query::Before(instant) if instant.timestamp() <= 0 => Ok(Told::Nothing),
            Query::After(from) => instant("after", from.timestamp()),
            Query::Before(until) => instant("before", until.timestamp()),
            Query::Larger(size) => exactly(format!("larger:{size}")),
            Query::Smaller(size) => exactly(format!("smaller:{size}")),
            Query::Native(native) if native.language() == LANGUAGE => {
                exactly(format!("({})", balanced(native)?))
            }
            Query::Native(_) => Err(Error::unsupported(
                "this is a native query of another service",
            )),
            _ => Err(Error::unsupported("Gmail has no way to ask for this")),
        }
    }
}

/// `from:me` and its like mean the mailbox's own addresses, and not the word.
fn is_oneself(value: &str) -> bool {
    words(value) == ["me"]
}

/// An operator with a value as a phrase. Quotes of any shape become spaces: punctuation is not searched anyway.
fn phrase(operator: &str, value: &str) -> Result<String> {
    let quote = |character: char| {
        matches!(character, '"' | '\u{201c}'..='\u{201f}' | '\u{ff02}') || character.is_control()
    };
    let parts = value.replace(quote, " ");
    let parts: Vec<&str> = parts.split_whitespace().collect();
    // Gmail may find everything with a phrase of nothing, or nothing.
    if words(value).is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "a search for no words means nothing",
        ));
    }
    Ok(format!("{operator}\"{}\"", parts.join(" ")))
}

/// The operator for one of Gmail's own labels.
fn place(label: &str) -> Option<&'static str> {
    Some(match label {
        "INBOX" => "in:inbox",
        "SENT" => "in:sent",
        "DRAFT" => "in:draft",
        "SPAM" => "in:spam",
        "TRASH" => "in:trash",
        "STARRED" => "is:starred",
        "IMPORTANT" => "is:important",
        _ => return None,
    })
}

fn keyword_operator(keyword: &Keyword) -> Result<&'static str> {
    match keyword {
        Keyword::Seen => Ok("is:read"),
        Keyword::Flagged => Ok("is:starred"),
        Keyword::Draft => Ok("in:draft"),
        Keyword::Important => Ok("is:important"),
        Keyword::Answered => Err(Error::unsupported("Gmail does not mark what was answered")),
        Keyword::Custom(_) => Err(Error::unsupported(
            "Gmail has labels, which are folders here, and no other tags",
        )),
    }
}

/// A native query that stays within its brackets: Gmail would answer one that does not with nothing.
fn balanced(native: &NativeQuery) -> Result<&str> {
    let mut open = Vec::new();
    let mut quoted = false;
    for character in native.text().chars() {
        match character {
            '"' => quoted = !quoted,
            '(' | '{' if !quoted => open.push(character),
            ')' if !quoted && open.pop() != Some('(') => return Err(unbalanced()),
            '}' if !quoted && open.pop() != Some('{') => return Err(unbalanced()),
            _ => {}
        }
    }
    if quoted || !open.is_empty() || native.text().trim().is_empty() {
        return Err(unbalanced());
    }
    Ok(native.text())
}

fn unbalanced() -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        "the brackets or quotes of a native query do not close, or there is nothing in it",
    )
}
