//! Single terms as comparisons of `$filter`, and as KQL for `$search`
//! (<https://learn.microsoft.com/graph/filter-query-parameter>,
//! <https://learn.microsoft.com/graph/search-query-parameter>).

use chrono::{DateTime, Datelike, Days, Utc};

use super::{FILTER, SEARCH};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Keyword, Language, Query, Told, is_address, words};

/// `$filter`. Only single comparisons are ever negated.
pub(super) struct Comparisons;

impl Language for Comparisons {
    type Refusal = Error;

    const AND: &'static str = " and ";
    const OR: &'static str = " or ";

    fn term(&self, term: &Query, negated: bool) -> Result<Told> {
        let equals = if negated { "ne" } else { "eq" };
        check_words(term)?;
        Ok(match term {
            Query::From(value) if is_address(value) => Told::Exactly(format!(
                "from/emailAddress/address {equals} {}",
                literal(value)
            )),
            Query::HasAttachment => Told::Exactly(format!("hasAttachments eq {}", !negated)),
            Query::InFolder(id) => {
                Told::Exactly(format!("parentFolderId {equals} {}", literal(id.as_str())))
            }
            Query::Has(tag) => Told::Exactly(keyword(tag, negated)?),
            Query::After(from) => match place(*from) {
                Place::Before => Told::Everything,
                Place::Within => Told::Exactly(format!("receivedDateTime ge {}", second(*from))),
                Place::Beyond => Told::Nothing,
            },
            Query::Before(until) => match place(*until) {
                Place::Before => Told::Nothing,
                Place::Within => Told::Exactly(format!("receivedDateTime lt {}", second(*until))),
                Place::Beyond => Told::Everything,
            },
            Query::Native(native) if native.language() == FILTER => {
                let text = balanced(native.text(), '\'')?;
                Told::Exactly(if negated {
                    format!("not ({text})")
                } else {
                    format!("({text})")
                })
            }
            Query::Native(native) if native.language() != SEARCH => return Err(foreign()),
            _ => Told::Not,
        })
    }
}

/// `$search`, in KQL. It finds words by their beginnings, so that no word is ever excluded.
pub(super) struct Words;

impl Language for Words {
    type Refusal = Error;

    const AND: &'static str = " AND ";
    const OR: &'static str = " OR ";

    fn term(&self, term: &Query, negated: bool) -> Result<Told> {
        let exactly =
            |text: String| Told::Exactly(if negated { format!("NOT {text}") } else { text });
        check_words(term)?;
        let word = match term {
            Query::From(value) => format!("from:{}", word(value)),
            Query::To(value) => format!("to:{}", word(value)),
            Query::Cc(value) => format!("cc:{}", word(value)),
            Query::Bcc(value) => format!("bcc:{}", word(value)),
            Query::Subject(value) => format!("subject:{}", word(value)),
            Query::AttachmentName(value) => format!("attachment:{}", word(value)),
            // Without a property only author, subject and text are searched.
            Query::Word(value) | Query::Phrase(value) => {
                let word = word(value);
                format!("({word} OR recipients:{word} OR attachment:{word})")
            }
            Query::HasAttachment => {
                return Ok(Told::Exactly(format!("hasAttachments:{}", !negated)));
            }
            Query::Has(Keyword::Important) => return Ok(exactly("importance:high".to_owned())),
            Query::Has(Keyword::Answered) => return Err(answered()),
            Query::Larger(size) => return Ok(exactly(format!("size>={size}"))),
            Query::Smaller(size) => return Ok(exactly(format!("size<{size}"))),
            // Days begin in whatever time zone the service takes for the mailbox's.
            Query::After(from) => return Ok(day(*from, -1, "received>=", Place::Before)),
            Query::Before(until) => return Ok(day(*until, 2, "received<=", Place::Beyond)),
            Query::Native(native) if native.language() == SEARCH => {
                let text = balanced(native.text(), '"')?;
                return Ok(exactly(format!("({text})")));
            }
            Query::Native(native) if native.language() != FILTER => return Err(foreign()),
            _ => return Ok(Told::Not),
        };
        Ok(if negated {
            Told::Not
        } else {
            Told::Roughly(word)
        })
    }
}

/// A day near an instant, so that the instant's own day is within whatever the time zone.
fn day(instant: DateTime<Utc>, days: i64, comparison: &str, everything: Place) -> Told {
    match place(instant) {
        Place::Within => Told::Roughly(format!("{comparison}{}", day_near(instant, days))),
        place if place == everything => Told::Everything,
        _ => Told::Nothing,
    }
}

/// A date so many days before or after an instant's.
pub(super) fn day_near(instant: DateTime<Utc>, days: i64) -> String {
    let date = instant.date_naive();
    let span = Days::new(days.unsigned_abs());
    let moved = if days < 0 {
        date.checked_sub_days(span)
    } else {
        date.checked_add_days(span)
    };
    moved.unwrap_or(date).format("%Y-%m-%d").to_string()
}

/// Where an instant lies: mail is not older than 1970, and years have four digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Within,
    Beyond,
}

fn place(instant: DateTime<Utc>) -> Place {
    match instant.year() {
        ..1970 => Place::Before,
        1970..9999 => Place::Within,
        _ => Place::Beyond,
    }
}

fn keyword(keyword: &Keyword, negated: bool) -> Result<String> {
    let equals = if negated { "ne" } else { "eq" };
    Ok(match keyword {
        Keyword::Seen => format!("isRead eq {}", !negated),
        Keyword::Draft => format!("isDraft eq {}", !negated),
        Keyword::Flagged => format!("flag/flagStatus {equals} 'flagged'"),
        Keyword::Important => format!("importance {equals} 'high'"),
        Keyword::Custom(name) => {
            let any = format!("categories/any(c:c eq {})", literal(name));
            if negated { format!("not ({any})") } else { any }
        }
        Keyword::Answered => return Err(answered()),
    })
}

fn answered() -> Error {
    Error::unsupported("Graph does not tell what was answered")
}

fn foreign() -> Error {
    Error::unsupported("this is a native query of another service")
}

/// A text of OData: quotes within are doubled
/// (<https://docs.oasis-open.org/odata/odata/v4.01/odata-v4.01-part2-url-conventions.html>).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Instants are given without quotes and in whole seconds.
fn second(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Refuses a search for no words.
fn check_words(term: &Query) -> Result<()> {
    let (Query::From(value)
    | Query::To(value)
    | Query::Cc(value)
    | Query::Bcc(value)
    | Query::Subject(value)
    | Query::AttachmentName(value)
    | Query::Word(value)
    | Query::Phrase(value)) = term
    else {
        return Ok(());
    };
    if words(value).is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "a search for no words means nothing",
        ));
    }
    Ok(())
}

/// A value of KQL: bare if nothing in it could be read as an operator, else as a phrase. Quotes, backslashes and the
/// asterisk of prefixes become spaces: punctuation is not searched anyway.
fn word(value: &str) -> String {
    let operator = |character: char| {
        matches!(
            character,
            '"' | '\\' | '*' | '\u{201c}'..='\u{201f}' | '\u{ff02}'
        ) || character.is_control()
    };
    let value = value.replace(operator, " ");
    let words: Vec<&str> = value.split_whitespace().collect();
    match words.as_slice() {
        [word] if is_bare(word) => (*word).to_owned(),
        words => format!("\"{}\"", words.join(" ")),
    }
}

fn is_bare(word: &str) -> bool {
    const OPERATORS: [&str; 10] = [
        "ALL", "AND", "ANY", "NEAR", "NONE", "NOT", "ONEAR", "OR", "WORDS", "XRANK",
    ];
    let plain = |character: char| character.is_alphanumeric() || "@._-".contains(character);
    word.starts_with(char::is_alphanumeric)
        && word.chars().all(plain)
        && !OPERATORS
            .iter()
            .any(|operator| operator.eq_ignore_ascii_case(word))
}

/// A native query that stays within its brackets.
fn balanced(text: &str, quote: char) -> Result<&str> {
    let mut open = 0_usize;
    let mut quoted = false;
    let mut closes_more = false;
    for character in text.chars() {
        match character {
            character if character == quote => quoted = !quoted,
            '(' if !quoted => open += 1,
            ')' if !quoted => match open.checked_sub(1) {
                Some(left) => open = left,
                None => closes_more = true,
            },
            _ => {}
        }
    }
    let escapes = quote == '"' && text.contains('\\');
    if quoted || open > 0 || closes_more || escapes || text.trim().is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "the brackets or quotes of a native query do not close, or there is nothing in it",
        ));
    }
    Ok(text)
}
