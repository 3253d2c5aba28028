//! Says a [`Query`] in Graph's terms: as `$filter` for what can be compared exactly, as `$search` for words, and as the
//! folder's own path for a folder. What cannot be said exactly is refused with a reason.
//!
//! The two do not mix: Graph refuses `$search` beside `$filter` or `$orderby` on messages
//! (<https://learn.microsoft.com/graph/search-query-parameter>).

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::convert::{Roles, named_role, role_folder};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Address, FolderId, FolderRole, Keyword, Query};

/// Nesting that no person types and no stack minds.
const DEEPEST: usize = 64;

/// Every message was received after it. What `$orderby` names must come first in `$filter`, or the service finds the
/// query too complex (<https://learn.microsoft.com/graph/api/user-list-messages#using-filter-and-orderby-in-the-same-query>).
const RECEIVED_AT_ALL: &str = "receivedDateTime ge 1970-01-01T00:00:00Z";
const NEWEST_FIRST: &str = "receivedDateTime desc";

/// A query as `messages` takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// The folder whose messages are listed, by id or well-known name; all folders if unset.
    pub(super) folder: Option<String>,
    /// `$filter`.
    filter: Option<String>,
    /// `$search`. Its results come newest first by themselves.
    words: Option<String>,
    /// Folders that the query asks for somewhere within: what lies there is meant, even if it is junk or trash.
    pub(super) named: Vec<FolderId>,
}

impl Search {
    pub(super) fn parameters(&self) -> Vec<(&'static str, &str)> {
        match (&self.words, &self.filter) {
            (Some(words), _) => vec![("$search", words)],
            (None, Some(filter)) => vec![("$filter", filter), ("$orderby", NEWEST_FIRST)],
            (None, None) => vec![("$orderby", NEWEST_FIRST)],
        }
    }
}

/// What a term means.
enum Meaning {
    Everything,
    Nothing,
    Text(String),
}

/// Whether [`compile`] needs the ids of the service's own folders: `$filter` takes no well-known names
/// (<https://github.com/elie222/inbox-zero/issues/1844>).
pub(super) fn needs_roles(query: &Query) -> bool {
    let mut terms = Vec::new();
    if flatten(query, &mut terms, 0).is_err() {
        return false;
    }
    take_folder(&mut terms);
    let any = |test: &dyn Fn(&Query) -> bool| terms.iter().any(|term| mentions(term, test, 0));
    any(&|term| folder_role(term).is_some()) && !any(&is_words)
}

/// What to ask for; `None` if the query means no message at all.
///
/// Instants are cut to whole seconds, outwards: that is all that Outlook shows of them.
pub(super) fn compile(query: &Query, roles: &Roles) -> Result<Option<Search>> {
    let mut terms = Vec::new();
    flatten(query, &mut terms, 0)?;
    let mut search = Search {
        folder: take_folder(&mut terms),
        ..Search::default()
    };
    let words = terms
        .iter()
        .any(|term| mentions(term, &|term| is_words(term), 0));
    let mut texts = Vec::new();
    for term in terms {
        let meaning = if words {
            in_words(term, false, 0)?
        } else {
            in_filter(term, false, roles, &mut search.named, 0)?
        };
        match meaning {
            Meaning::Everything => {}
            Meaning::Nothing => return Ok(None),
            Meaning::Text(text) => texts.push(text),
        }
    }
    if texts.is_empty() {
        return Ok(Some(search));
    }
    if words {
        let text = texts.join(" AND ").replace('"', "\\\"");
        search.words = Some(format!("\"{text}\""));
    } else {
        if !texts.iter().any(|text| is_received(text)) {
            texts.push(RECEIVED_AT_ALL.to_owned());
        }
        texts.sort_by_key(|text| !is_received(text));
        search.filter = Some(texts.join(" and "));
    }
    Ok(Some(search))
}

fn is_received(text: &str) -> bool {
    text.starts_with("receivedDateTime")
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

/// Takes out the first term that is a folder: the path says it exactly, whatever else is asked.
fn take_folder(terms: &mut Vec<&Query>) -> Option<String> {
    let folder = |term: &&Query| match term {
        Query::InFolder(id) => Some(id.as_str().to_owned()),
        Query::InRole(role) => role_folder(*role).map(str::to_owned),
        _ => None,
    };
    let position = terms.iter().position(|term| folder(term).is_some())?;
    folder(&terms.remove(position))
}

/// Whether `test` holds for a term somewhere within.
fn mentions(query: &Query, test: &dyn Fn(&Query) -> bool, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    match query {
        Query::Not(term) => mentions(term, test, depth + 1),
        Query::And(terms) | Query::Or(terms) => {
            terms.iter().any(|term| mentions(term, test, depth + 1))
        }
        term => test(term),
    }
}

/// The role of a folder that is named by its role or its well-known name.
fn folder_role(term: &Query) -> Option<FolderRole> {
    match term {
        Query::InRole(role) => role_folder(*role).map(|_| *role),
        Query::InFolder(id) => named_role(id.as_str()),
        _ => None,
    }
}

/// What only `$search` can look for. Whole addresses can be compared.
fn is_words(term: &Query) -> bool {
    match term {
        Query::From(value) => Address::new(value.as_str()).is_err(),
        Query::To(_) | Query::Cc(_) | Query::Subject(_) | Query::Word(_) | Query::Phrase(_) => true,
        _ => false,
    }
}

/// One term as `$filter`. `negated` is carried inwards and swaps "and" with "or" on its way, so that only single
/// comparisons are negated.
fn in_filter(
    query: &Query,
    negated: bool,
    roles: &Roles,
    named: &mut Vec<FolderId>,
    depth: usize,
) -> Result<Meaning> {
    if depth > DEEPEST {
        return Err(too_deep());
    }
    let equals = if negated { "ne" } else { "eq" };
    let text = |text: String| Ok(Meaning::Text(text));
    match query {
        Query::All if negated => Ok(Meaning::Nothing),
        Query::All => Ok(Meaning::Everything),
        Query::From(value) => text(format!(
            "from/emailAddress/address {equals} {}",
            literal(value)
        )),
        Query::HasAttachment => text(format!("hasAttachments eq {}", !negated)),
        Query::InRole(FolderRole::Flagged) => keyword(&Keyword::Flagged, negated),
        Query::InRole(FolderRole::Important) => keyword(&Keyword::Important, negated),
        Query::InRole(_) | Query::InFolder(_) => {
            let id = match (folder_role(query), query) {
                (Some(role), _) => roles.id(role),
                (None, Query::InFolder(id)) => Some(id),
                _ => None,
            };
            match id {
                Some(id) => {
                    if !negated {
                        named.push(id.clone());
                    }
                    text(format!("parentFolderId {equals} {}", literal(id.as_str())))
                }
                None if negated => Ok(Meaning::Everything),
                None => Ok(Meaning::Nothing),
            }
        }
        Query::Has(tag) => keyword(tag, negated),
        Query::After(instant) if negated => text(before(*instant)),
        Query::After(instant) => text(after(*instant)),
        Query::Before(instant) if negated => text(after(*instant)),
        Query::Before(instant) => text(before(*instant)),
        Query::Not(term) => in_filter(term, !negated, roles, named, depth + 1),
        Query::And(terms) | Query::Or(terms) => {
            let all = matches!(query, Query::And(_)) != negated;
            let meanings = terms
                .iter()
                .map(|term| in_filter(term, negated, roles, named, depth + 1));
            combine(meanings, all, if all { " and " } else { " or " })
        }
        Query::To(_) | Query::Cc(_) | Query::Subject(_) | Query::Word(_) | Query::Phrase(_) => {
            Err(Error::unsupported("Outlook finds words by search only"))
        }
    }
}

/// One term as KQL (<https://learn.microsoft.com/graph/search-query-parameter>).
fn in_words(query: &Query, negated: bool, depth: usize) -> Result<Meaning> {
    if depth > DEEPEST {
        return Err(too_deep());
    }
    let term = |text: String| {
        Ok(Meaning::Text(if negated {
            format!("NOT {text}")
        } else {
            text
        }))
    };
    match query {
        Query::All if negated => Ok(Meaning::Nothing),
        Query::All => Ok(Meaning::Everything),
        Query::From(value) => term(format!("from:{}", word(value)?)),
        Query::To(value) => term(format!("to:{}", word(value)?)),
        Query::Cc(value) => term(format!("cc:{}", word(value)?)),
        Query::Subject(value) => term(format!("subject:{}", word(value)?)),
        Query::Word(value) | Query::Phrase(value) => term(word(value)?),
        Query::HasAttachment => Ok(Meaning::Text(format!("hasAttachments:{}", !negated))),
        Query::Has(Keyword::Important) | Query::InRole(FolderRole::Important) => {
            term("importance:high".to_owned())
        }
        Query::Not(inner) => in_words(inner, !negated, depth + 1),
        Query::And(terms) | Query::Or(terms) => {
            let all = matches!(query, Query::And(_)) != negated;
            let meanings = terms.iter().map(|term| in_words(term, negated, depth + 1));
            combine(meanings, all, if all { " AND " } else { " OR " })
        }
        Query::Has(_) | Query::InRole(FolderRole::Flagged) => Err(Error::unsupported(
            "Outlook cannot look for words and for a keyword at once",
        )),
        Query::After(_) | Query::Before(_) => Err(Error::unsupported(
            "Outlook cannot look for words and compare instants at once",
        )),
        Query::InFolder(_) | Query::InRole(_) => Err(Error::unsupported(
            "Outlook looks for words in one folder or in all of them",
        )),
    }
}

/// All of the terms, or any of them.
fn combine(
    meanings: impl Iterator<Item = Result<Meaning>>,
    all: bool,
    separator: &str,
) -> Result<Meaning> {
    let mut texts = Vec::new();
    let mut settled = None;
    for meaning in meanings {
        // Every term is looked at, so that one that cannot be said is refused wherever it stands.
        match (meaning?, all) {
            (Meaning::Text(text), _) => texts.push(text),
            (Meaning::Everything, true) | (Meaning::Nothing, false) => {}
            (Meaning::Nothing, true) => settled = Some(Meaning::Nothing),
            (Meaning::Everything, false) => settled = Some(Meaning::Everything),
        }
    }
    Ok(match (settled, texts.len()) {
        (Some(settled), _) => settled,
        (None, 0) if all => Meaning::Everything,
        (None, 0) => Meaning::Nothing,
        (None, 1) => Meaning::Text(texts.swap_remove(0)),
        (None, _) => Meaning::Text(format!("({})", texts.join(separator))),
    })
}

fn keyword(keyword: &Keyword, negated: bool) -> Result<Meaning> {
    let equals = if negated { "ne" } else { "eq" };
    Ok(Meaning::Text(match keyword {
        Keyword::Seen => format!("isRead eq {}", !negated),
        Keyword::Draft => format!("isDraft eq {}", !negated),
        Keyword::Flagged => format!("flag/flagStatus {equals} 'flagged'"),
        Keyword::Important => format!("importance {equals} 'high'"),
        Keyword::Custom(name) => {
            let any = format!("categories/any(c:c eq {})", literal(name));
            if negated { format!("not ({any})") } else { any }
        }
        Keyword::Answered => {
            return Err(Error::unsupported("Graph does not tell what was answered"));
        }
    }))
}

/// A text of OData: quotes within are doubled
/// (<https://docs.oasis-open.org/odata/odata/v4.01/odata-v4.01-part2-url-conventions.html>).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Instants are given without quotes and in whole seconds.
fn after(instant: DateTime<Utc>) -> String {
    format!("receivedDateTime ge {}", seconds(instant.trunc_subsecs(0)))
}

fn before(instant: DateTime<Utc>) -> String {
    let whole = instant.trunc_subsecs(0);
    let part = TimeDelta::seconds(i64::from(whole < instant));
    format!("receivedDateTime lt {}", seconds(whole + part))
}

fn seconds(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A value of KQL: bare if nothing in it could be read as an operator, else as a phrase. Quotes, backslashes and the
/// asterisk of prefixes become spaces: punctuation is not searched anyway.
fn word(value: &str) -> Result<String> {
    let operator = |character: char| {
        matches!(
            character,
            '"' | '\\' | '*' | '\u{201c}'..='\u{201f}' | '\u{ff02}'
        ) || character.is_control()
    };
    let value = value.replace(operator, " ");
    let words: Vec<&str> = value.split_whitespace().collect();
    match words.as_slice() {
        [] => Err(Error::new(
            ErrorKind::InvalidRequest,
            "a search for no words means nothing",
        )),
        [word] if is_bare(word) => Ok((*word).to_owned()),
        words => Ok(format!("\"{}\"", words.join(" "))),
    }
}

fn is_bare(word: &str) -> bool {
    const OPERATORS: [&str; 7] = ["AND", "OR", "NOT", "NEAR", "ONEAR", "XRANK", "WORDS"];
    let plain = |character: char| character.is_alphanumeric() || "@._-".contains(character);
    word.starts_with(char::is_alphanumeric)
        && word.chars().all(plain)
        && !OPERATORS
            .iter()
            .any(|operator| operator.eq_ignore_ascii_case(word))
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidRequest, "the query is nested too deep")
}
