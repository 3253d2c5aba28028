//! One way to say which messages are meant, for both services. Each provider's `query.rs` compiles it to what its
//! service understands, or says that it cannot.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};

use super::{FolderId, FolderRole, Keyword};

/// Which messages are meant.
///
/// Words are matched as the services do: whole words, in any case, not parts of words.
///
/// ```
/// use postroom::Query;
///
/// let query: Query = "from:billing@shop.example is:unread -newsletter".parse()?;
/// assert_eq!(query.to_string(), "from:billing@shop.example -is:read -newsletter");
/// # Ok::<(), postroom::QueryError>(())
/// ```
///
/// The text form knows `from: to: cc: subject: in: is: has:attachment after: before:`, words, `"phrases"`, `-` for not,
/// `OR` between two terms and round brackets. Dates are `2026-11-22` (midnight UTC) or RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// Every message, spam and trash excepted.
    #[default]
    All,
    /// The author's address or name.
    From(String),
    /// A primary recipient's address or name.
    To(String),
    /// Another recipient's address or name.
    Cc(String),
    /// Words in the subject.
    Subject(String),
    /// A word anywhere in the message.
    Word(String),
    /// Words that follow each other anywhere in the message.
    Phrase(String),
    /// Messages with attachments.
    HasAttachment,
    /// Messages in a folder.
    InFolder(FolderId),
    /// Messages in one of the service's own folders.
    InRole(FolderRole),
    /// Messages with a keyword.
    Has(Keyword),
    /// Messages received at or after an instant.
    After(DateTime<Utc>),
    /// Messages received before an instant.
    Before(DateTime<Utc>),
    /// All of these.
    And(Vec<Self>),
    /// At least one of these.
    Or(Vec<Self>),
    /// Not this one.
    Not(Box<Self>),
}

impl Query {
    /// Messages in the inbox.
    #[must_use]
    pub fn inbox() -> Self {
        Self::InRole(FolderRole::Inbox)
    }

    /// Messages that are not read.
    #[must_use]
    pub fn unread() -> Self {
        Self::Has(Keyword::Seen).negated()
    }

    /// This and `other`.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, query) | (query, Self::All) => query,
            (Self::And(mut all), Self::And(more)) => {
                all.extend(more);
                Self::And(all)
            }
            (Self::And(mut all), query) => {
                all.push(query);
                Self::And(all)
            }
            (query, other) => Self::And(vec![query, other]),
        }
    }

    /// This or `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Or(mut any), query) => {
                any.push(query);
                Self::Or(any)
            }
            (query, other) => Self::Or(vec![query, other]),
        }
    }

    /// Not this.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(query) => *query,
            query => Self::Not(Box::new(query)),
        }
    }
}

/// Why a text is not a query.
///
/// ```
/// use postroom::Query;
///
/// let error = "is:new".parse::<Query>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "`is:` cannot be `new`, but read, unread, starred, flagged, important or draft"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A field that there is not.
    #[error(
        "there is no field `{0}:`; there are from, to, cc, subject, in, is, has, after and before"
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
        "is" => "read, unread, starred, flagged, important or draft",
        "has" => "attachment",
        "after" | "before" => {
            "a date such as 2026-11-22, or an instant such as 2026-11-22T08:00:00Z"
        }
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
            Ok(query)
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
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() || self.rest.starts_with(')') {
                break;
            }
            if self.take_or() {
                let left = terms.pop().ok_or(QueryError::Incomplete)?;
                self.rest = self.rest.trim_start();
                if self.rest.is_empty() || self.rest.starts_with(')') {
                    return Err(QueryError::Incomplete);
                }
                let right = self.term()?;
                terms.push(Query::or(left, right));
            } else {
                let term = self.term()?;
                terms.push(term);
            }
        }
        Ok(match terms.len() {
            0 => Query::All,
            1 => terms.swap_remove(0),
            _ => Query::And(terms),
        })
    }

    fn take_or(&mut self) -> bool {
        match self.rest.strip_prefix("OR") {
            Some(rest) if rest.is_empty() || rest.starts_with([' ', '\t', ')', '(']) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn term(&mut self) -> Result<Query, QueryError> {
        if let Some(rest) = self.rest.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            self.rest = rest;
            self.deeper()?;
            let query = self.term()?;
            self.depth -= 1;
            return Ok(query.negated());
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
        let end = self
            .rest
            .find([' ', '\t', '(', ')', '"', ':'])
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let Some(rest) = rest.strip_prefix(':') else {
            self.rest = rest;
            return if word.is_empty() {
                Err(QueryError::Incomplete)
            } else {
                Ok(Query::Word(word.to_owned()))
            };
        };
        self.rest = rest;
        let value = if self.rest.starts_with('"') {
            self.quoted()?
        } else {
            let end = self
                .rest
                .find([' ', '\t', '(', ')', '"'])
                .unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            value.to_owned()
        };
        field(word, value)
    }

    fn deeper(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(QueryError::TooLarge);
        }
        Ok(())
    }

    fn quoted(&mut self) -> Result<String, QueryError> {
        let text = self.rest.strip_prefix('"').unwrap_or(self.rest);
        let (quoted, rest) = text.split_once('"').ok_or(QueryError::Incomplete)?;
        self.rest = rest;
        Ok(quoted.to_owned())
    }
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
        "subject" => Query::Subject(value),
        "in" => match role(&value) {
            Some(role) => Query::InRole(role),
            None => Query::InFolder(FolderId::new(value)),
        },
        "is" => match value.to_ascii_lowercase().as_str() {
            "read" => Query::Has(Keyword::Seen),
            "unread" => Query::unread(),
            "starred" | "flagged" => Query::Has(Keyword::Flagged),
            "important" => Query::Has(Keyword::Important),
            "draft" => Query::Has(Keyword::Draft),
            _ => return Err(wrong(value)),
        },
        "has" if value.eq_ignore_ascii_case("attachment") => Query::HasAttachment,
        "has" => return Err(wrong(value)),
        "after" => Query::After(instant(&value).ok_or_else(|| wrong(value))?),
        "before" => Query::Before(instant(&value).ok_or_else(|| wrong(value))?),
        _ => return Err(QueryError::UnknownField(name.to_owned())),
    })
}

fn role(name: &str) -> Option<FolderRole> {
    use FolderRole::{Archive, Drafts, Inbox, Junk, Sent, Trash};
    [Inbox, Archive, Drafts, Sent, Trash, Junk]
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

/// The text form. Whatever was parsed comes out as it would be parsed again; quotes inside a value, which the text form
/// cannot hold, become spaces.
impl fmt::Display for Query {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &str| {
            let plain = !value.is_empty()
                && !value.contains(|c: char| c.is_whitespace() || "()\"".contains(c));
            if plain {
                value.to_owned()
            } else {
                format!("\"{}\"", value.replace('"', " "))
            }
        };
        match self {
            Self::All => Ok(()),
            Self::From(text) => write!(formatter, "from:{}", value(text)),
            Self::To(text) => write!(formatter, "to:{}", value(text)),
            Self::Cc(text) => write!(formatter, "cc:{}", value(text)),
            Self::Subject(text) => write!(formatter, "subject:{}", value(text)),
            Self::Word(text) => formatter.write_str(text),
            Self::Phrase(text) => write!(formatter, "\"{}\"", text.replace('"', " ")),
            Self::HasAttachment => formatter.write_str("has:attachment"),
            Self::InFolder(id) => write!(formatter, "in:{}", value(id.as_str())),
            Self::InRole(role) => write!(formatter, "in:{}", role.as_str()),
            Self::Has(keyword) => write!(
                formatter,
                "is:{}",
                match keyword {
                    Keyword::Seen => "read",
                    Keyword::Flagged => "starred",
                    Keyword::Draft => "draft",
                    Keyword::Answered => "answered",
                    Keyword::Important => "important",
                    Keyword::Custom(name) => name,
                }
            ),
            Self::After(instant) => write!(formatter, "after:{}", instant.format("%FT%TZ")),
            Self::Before(instant) => write!(formatter, "before:{}", instant.format("%FT%TZ")),
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
