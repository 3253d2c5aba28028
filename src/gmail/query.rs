//! Says a [`Query`] in Gmail's search language (<https://support.google.com/mail/answer/7190>), with labels where those
//! are exact. What cannot be said exactly is refused with a reason.
//!
//! An unknown operator or a broken query is no error at Gmail: it finds nothing. So nothing of a value may be read as an
//! operator: every value goes out as a quoted phrase, without quotes of its own.

use chrono::{DateTime, Utc};

use super::convert::role_label;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{FolderRole, Keyword, Query};

/// Nesting that no person types and no stack minds.
const DEEPEST: usize = 64;

/// A query as `messages.list` takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// `q`.
    pub(super) text: Option<String>,
    /// `labelIds`: the message has all of them.
    pub(super) labels: Vec<String>,
    /// `includeSpamTrash`: without it neither is searched.
    pub(super) junk_and_trash: bool,
}

/// What a term means.
enum Meaning {
    Everything,
    Nothing,
    Text(String),
}

/// What to ask for; `None` if the query means no message at all.
///
/// Instants are cut to whole seconds, outwards: that is all that Gmail compares.
pub(super) fn compile(query: &Query) -> Result<Option<Search>> {
    let mut search = Search::default();
    let mut terms = Vec::new();
    let mut conjuncts = Vec::new();
    flatten(query, &mut conjuncts, 0)?;
    for conjunct in conjuncts {
        let label = match conjunct {
            Query::InFolder(id) => Some(id.as_str()),
            Query::InRole(role) => role_label(*role),
            _ => None,
        };
        if let Some(label) = label {
            search.junk_and_trash |= matches!(label, "SPAM" | "TRASH");
            search.labels.push(label.to_owned());
            continue;
        }
        match meaning(conjunct, false, &mut search.junk_and_trash, 0)? {
            Meaning::Everything => {}
            Meaning::Nothing => return Ok(None),
            Meaning::Text(text) => terms.push(text),
        }
    }
    search.text = (!terms.is_empty()).then(|| terms.join(" "));
    Ok(Some(search))
}

/// The terms that must all hold.
fn flatten<'a>(query: &'a Query, terms: &mut Vec<&'a Query>, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(too_deep());
    }
    match query {
        Query::And(all) => all
            .iter()
            .try_for_each(|term| flatten(term, terms, depth + 1)),
        term => {
            terms.push(term);
            Ok(())
        }
    }
}

/// One term. Only single operators are ever negated, so that brackets never stand behind a minus: `negated` is carried
/// inwards and swaps "and" with "or" on its way.
fn meaning(query: &Query, negated: bool, hidden: &mut bool, depth: usize) -> Result<Meaning> {
    if depth > DEEPEST {
        return Err(too_deep());
    }
    let operator = |text: String| {
        Ok(Meaning::Text(if negated {
            format!("-{text}")
        } else {
            text
        }))
    };
    match query {
        Query::All if negated => Ok(Meaning::Nothing),
        Query::All => Ok(Meaning::Everything),
        Query::From(value) => operator(format!("from:{}", quoted(value)?)),
        Query::To(value) => operator(format!("to:{}", quoted(value)?)),
        Query::Cc(value) => operator(format!("cc:{}", quoted(value)?)),
        Query::Subject(value) => operator(format!("subject:{}", quoted(value)?)),
        Query::Word(value) | Query::Phrase(value) => operator(quoted(value)?),
        Query::HasAttachment => operator("has:attachment".to_owned()),
        Query::InFolder(id) => operator(location(id.as_str(), negated, hidden)?.to_owned()),
        // Gmail has no such label: it is what is left of the mail that was received.
        Query::InRole(FolderRole::Archive) if negated => Ok(Meaning::Text(
            "(in:inbox OR in:sent OR in:draft OR in:spam OR in:trash)".to_owned(),
        )),
        Query::InRole(FolderRole::Archive) => Ok(Meaning::Text(
            "(-in:inbox -in:sent -in:draft -in:spam -in:trash)".to_owned(),
        )),
        Query::InRole(role) => {
            let label = role_label(*role).unwrap_or_default();
            operator(location(label, negated, hidden)?.to_owned())
        }
        Query::Has(keyword) => operator(keyword_operator(keyword)?.to_owned()),
        Query::After(instant) if negated => Ok(before(*instant)),
        Query::After(instant) => Ok(after(*instant)),
        Query::Before(instant) if negated => Ok(after(*instant)),
        Query::Before(instant) => Ok(before(*instant)),
        Query::Not(term) => meaning(term, !negated, hidden, depth + 1),
        Query::And(terms) => combine(terms, !negated, negated, hidden, depth),
        Query::Or(terms) => combine(terms, negated, negated, hidden, depth),
    }
}

/// All of the terms, or any of them.
fn combine(
    terms: &[Query],
    all: bool,
    negated: bool,
    hidden: &mut bool,
    depth: usize,
) -> Result<Meaning> {
    let mut texts = Vec::new();
    for term in terms {
        match (meaning(term, negated, hidden, depth + 1)?, all) {
            (Meaning::Text(text), _) => texts.push(text),
            (Meaning::Everything, true) | (Meaning::Nothing, false) => {}
            (Meaning::Nothing, true) => return Ok(Meaning::Nothing),
            (Meaning::Everything, false) => return Ok(Meaning::Everything),
        }
    }
    Ok(match texts.len() {
        0 if all => Meaning::Everything,
        0 => Meaning::Nothing,
        1 => Meaning::Text(texts.swap_remove(0)),
        _ => Meaning::Text(format!("({})", texts.join(if all { " " } else { " OR " }))),
    })
}

/// A value as a phrase. Quotes of any shape become spaces: punctuation is not searched anyway.
fn quoted(value: &str) -> Result<String> {
    let quote = |character: char| {
        matches!(character, '"' | '\u{201c}'..='\u{201f}' | '\u{ff02}') || character.is_control()
    };
    let value = value.replace(quote, " ");
    let words: Vec<&str> = value.split_whitespace().collect();
    if words.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "a search for no words means nothing",
        ));
    }
    Ok(format!("\"{}\"", words.join(" ")))
}

/// The operator for a label within a larger term. `label:` wants a name, in which spaces and slashes look alike, so that
/// only Gmail's own labels can be said exactly.
fn location(label: &str, negated: bool, hidden: &mut bool) -> Result<&'static str> {
    let operator = match label {
        "INBOX" => "in:inbox",
        "SENT" => "in:sent",
        "DRAFT" => "in:draft",
        "SPAM" => "in:spam",
        "TRASH" => "in:trash",
        "STARRED" => "is:starred",
        "IMPORTANT" => "is:important",
        "UNREAD" => "is:unread",
        _ => {
            return Err(Error::unsupported(
                "Gmail can search within a label of the user's own only where all else must hold too",
            ));
        }
    };
    *hidden |= !negated && matches!(label, "SPAM" | "TRASH");
    Ok(operator)
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

/// Instants are given as seconds: dates alone mean midnight in a time zone that Gmail chooses.
fn after(instant: DateTime<Utc>) -> Meaning {
    Meaning::Text(format!("after:{}", instant.timestamp().max(0)))
}

fn before(instant: DateTime<Utc>) -> Meaning {
    let second = instant.timestamp() + i64::from(instant.timestamp_subsec_nanos() > 0);
    Meaning::Text(format!("before:{}", second.max(0)))
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidRequest, "the query is nested too deep")
}
