//! One way to say which messages are meant, for every service: the tree and how it is built. Its text form is in `text`,
//! what it means in `evaluation` and `words`, what becomes of it at a service in `plan`. Each provider compiles it to
//! what its service understands, with the help of `approximation`.

#[cfg(any(feature = "gmail", feature = "outlook"))]
mod approximation;
mod evaluation;
mod normal;
mod plan;
mod text;
mod words;

use chrono::{DateTime, Utc};

use super::{FolderId, FolderRole, Keyword};

#[cfg(any(feature = "gmail", feature = "outlook"))]
pub(crate) use self::approximation::{Language, Residue, Told, approximate};
#[cfg(any(feature = "gmail", feature = "outlook"))]
pub(crate) use self::normal::normal;
pub use self::plan::{Exactness, QueryPlan};
pub use self::text::QueryError;
#[cfg(any(feature = "gmail", feature = "outlook"))]
pub(crate) use self::words::{is_address, words};

/// Which messages are meant.
///
/// ```
/// use postroom::Query;
///
/// let query: Query = "from:billing@shop.example is:unread -newsletter".parse()?;
/// assert_eq!(query.to_string(), "from:billing@shop.example -is:read -newsletter");
/// assert_eq!(query, Query::From("billing@shop.example".into())
///     .and(Query::unread())
///     .and(Query::Word("newsletter".into()).negated()));
/// # Ok::<(), postroom::QueryError>(())
/// ```
///
/// # What it means
/// The same on every service, whatever that service can be asked: what it cannot be asked is filtered here, and
/// [`Mailbox::plan`](crate::Mailbox::plan) tells beforehand. [`matches`](Self::matches) holds a message against it.
///
/// * **Words.** A text is cut into words: letters and digits that stand side by side. Everything else separates them:
///   spaces, punctuation, hyphens, the `@` and dots of addresses. Upper and lower case are the same, accents are not.
///   Chinese, Japanese, Thai and other writing without spaces has a word per character. A value that has several words
///   means them one directly after the other. So `Word("plan")` is in "The plan, as PDF" and not in "planet", and
///   `Word("2026-11")` is in "11/2026-11-22". A value without any word means nothing and is refused.
/// * **People** ([`From`](Self::From), [`To`](Self::To), [`Cc`](Self::Cc), [`Bcc`](Self::Bcc)): a whole address such as
///   `billing@shop.example` is compared as a whole, in any case; anything else is looked for as words, in the name and
///   in the address.
/// * **Anywhere** ([`Word`](Self::Word), [`Phrase`](Self::Phrase)): in the subject, the text, the names and addresses of
///   author and recipients, or the name of an attachment. The text is the plain one, or the HTML's if there is none.
/// * **Instants** are compared as whole seconds of UTC, fractions cut off. No server's time zone plays a part.
/// * **Spam and trash** are not meant unless the query names the one that a message lies in, other than by excluding it.
/// * What a keyword, an attachment or a size is, the service says: see [`Gmail`](crate::Gmail) and
///   [`Outlook`](crate::Outlook).
///
/// A service may find more or less where it splits a text into words in another way than this. Where the plan is exact,
/// its answer stands.
///
/// # Text form
/// It knows `from: to: cc: bcc: subject: word: filename: in: folder: is: category: has:attachment after: before: larger:
/// smaller: native:`, words, `"phrases"`, `-` or `NOT`, `OR` between two terms, round brackets, and `*` for every message.
/// Within quotes `\"` is a quote and `\\` a backslash. Dates are `2026-11-22` (midnight UTC) or RFC 3339, sizes bytes, or
/// with `K` or `M`. [`in:`](Self::InRole) takes a role such as `inbox` or a folder's id, `folder:` always an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// Every message, spam and trash excepted.
    #[default]
    All,
    /// The author's address, or words of it or of the name.
    From(String),
    /// A primary recipient's address, or words of it or of the name.
    To(String),
    /// Another recipient's address, or words of it or of the name.
    Cc(String),
    /// A hidden recipient's address, or words of it or of the name: only mail that was sent from here has any.
    Bcc(String),
    /// Words in the subject.
    Subject(String),
    /// A word anywhere in the message.
    Word(String),
    /// Words that follow each other anywhere in the message.
    Phrase(String),
    /// Messages with attachments.
    HasAttachment,
    /// Words in the name of an attachment; its ending is one.
    AttachmentName(String),
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
    /// Messages of at least so many bytes.
    Larger(u64),
    /// Messages of fewer bytes.
    Smaller(u64),
    /// What only one service understands.
    Native(NativeQuery),
    /// All of these.
    And(Vec<Self>),
    /// At least one of these.
    Or(Vec<Self>),
    /// Not this one.
    Not(Box<Self>),
}

/// A query in a service's own language, given to it as it is; every other service refuses it.
///
/// Make one with [`Gmail::native_query`](crate::Gmail::native_query),
/// [`Outlook::native_filter`](crate::Outlook::native_filter) or
/// [`Outlook::native_search`](crate::Outlook::native_search). Nothing protects a service from what stands in it: it is not
/// for texts of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeQuery {
    language: String,
    text: String,
}

impl NativeQuery {
    /// A text in a language that some provider understands, by the name that the provider has for it.
    #[must_use]
    pub fn new(language: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            language: language.into(),
            text: text.into(),
        }
    }

    /// The name of the language.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
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

    /// Messages with a tag of this name: an Outlook category.
    #[must_use]
    pub fn category(name: impl Into<String>) -> Self {
        Self::Has(Keyword::Custom(name.into()))
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
