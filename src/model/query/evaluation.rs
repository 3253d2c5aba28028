//! Holding a message against a query: the meaning that every provider keeps to.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use mail_parser::decoders::html::html_to_text;

use super::Query;
use super::words::{has_words, is_among, is_named, words};
use crate::model::{Body, Detail, Folder, FolderId, FolderRole, Keyword, Message};

impl Query {
    /// Whether the query means a message, as far as the message tells: `None` if more of it would have to be read, or if
    /// only its service knows. `folders` are those of its mailbox; without them roles are not known.
    ///
    /// What lies in spam and trash is treated like everything else here: whether a listing leaves it out is the
    /// listing's business.
    ///
    /// ```
    /// use postroom::{Message, Query};
    ///
    /// let mut message = Message::new("1".into());
    /// message.subject = Some("The plan, as PDF".into());
    /// assert_eq!(Query::Subject("the PLAN".into()).matches(&message, &[]), None);
    /// message.detail = postroom::Detail::Headers;
    /// assert_eq!(Query::Subject("the PLAN".into()).matches(&message, &[]), Some(true));
    /// assert_eq!(Query::Subject("pla".into()).matches(&message, &[]), Some(false));
    /// assert_eq!(Query::Word("budget".into()).matches(&message, &[]), None);
    /// ```
    #[must_use]
    pub fn matches(&self, message: &Message, folders: &[Folder]) -> Option<bool> {
        match self {
            Self::Not(term) => term.matches(message, folders).map(|holds| !holds),
            Self::And(terms) => every(terms.iter().map(|term| term.matches(message, folders))),
            Self::Or(terms) => {
                let terms = terms.iter().map(|term| term.matches(message, folders));
                every(terms.map(|holds| holds.map(|holds| !holds))).map(|none| !none)
            }
            Self::All => Some(true),
            Self::InFolder(id) => is_in(message, id),
            Self::InRole(role) => has_role(message, *role, folders),
            Self::Has(keyword) => has(message, keyword),
            Self::After(instant) => Some(second(message.received_at?) >= second(*instant)),
            Self::Before(instant) => Some(second(message.received_at?) < second(*instant)),
            Self::Larger(size) => Some(message.size? >= *size),
            Self::Smaller(size) => Some(message.size? < *size),
            Self::Native(_) => None,
            Self::From(value) => told(message, |message| is_among(&message.from, value)),
            Self::To(value) => told(message, |message| is_among(&message.to, value)),
            Self::Cc(value) => told(message, |message| is_among(&message.cc, value)),
            Self::Bcc(value) => told(message, |message| is_among(&message.bcc, value)),
            Self::Subject(value) => told(message, |message| in_subject(message, &words(value))),
            Self::Word(value) | Self::Phrase(value) => anywhere(message, &words(value)),
            Self::HasAttachment => {
                let mut attachments = message.attachments.iter();
                let has = attachments.any(|attachment| !attachment.inline);
                (message.detail == Detail::Full).then_some(has)
            }
            Self::AttachmentName(value) => {
                let has = has_file(message, &words(value));
                (has || message.detail == Detail::Full).then_some(has)
            }
        }
    }

    /// How much of a message has to be read before the query can be held against it.
    #[must_use]
    pub fn detail(&self) -> Detail {
        match self {
            Self::All | Self::Native(_) => Detail::Ids,
            Self::Word(_) | Self::Phrase(_) | Self::HasAttachment | Self::AttachmentName(_) => {
                Detail::Full
            }
            Self::Not(term) => term.detail(),
            Self::And(terms) | Self::Or(terms) => {
                let details = terms.iter().map(Self::detail);
                details.max().unwrap_or(Detail::Ids)
            }
            _ => Detail::Headers,
        }
    }
}

/// One that does not hold settles it, whatever is not known of the others.
fn every(terms: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for term in terms {
        match term {
            Some(true) => {}
            Some(false) => return Some(false),
            None => known = None,
        }
    }
    known
}

fn second(instant: DateTime<Utc>) -> i64 {
    instant.timestamp()
}

fn is_in(message: &Message, folder: &FolderId) -> Option<bool> {
    Some(message.folders.as_ref()?.contains(folder))
}

fn has_role(message: &Message, role: FolderRole, folders: &[Folder]) -> Option<bool> {
    use FolderRole::{Archive, Drafts, Flagged, Important, Inbox, Junk, Sent, Trash};
    let with_role = |role| folders.iter().find(|folder| folder.role == Some(role));
    if let Some(folder) = with_role(role) {
        return is_in(message, &folder.id);
    }
    match role {
        Flagged => has(message, &Keyword::Flagged),
        Important => has(message, &Keyword::Important),
        // A service without such a folder archives by taking mail out of all others.
        Archive if with_role(Inbox).is_some() => every(
            [Inbox, Drafts, Sent, Trash, Junk]
                .into_iter()
                .filter_map(with_role)
                .map(|folder| is_in(message, &folder.id).map(|is_in| !is_in)),
        ),
        _ => None,
    }
}

fn has(message: &Message, keyword: &Keyword) -> Option<bool> {
    let keywords = message.keywords.as_ref()?;
    Some(match keyword {
        // A category is the same in any case.
        Keyword::Custom(name) => {
            let name = name.to_lowercase();
            keywords.iter().any(
                |keyword| matches!(keyword, Keyword::Custom(other) if other.to_lowercase() == name),
            )
        }
        keyword => keywords.contains(keyword),
    })
}

/// What headers tell.
fn told(message: &Message, holds: impl FnOnce(&Message) -> bool) -> Option<bool> {
    (message.detail >= Detail::Headers).then(|| holds(message))
}

fn in_subject(message: &Message, wanted: &[String]) -> bool {
    has_words(message.subject.as_deref().unwrap_or_default(), wanted)
}

fn has_file(message: &Message, wanted: &[String]) -> bool {
    let names = message.attachments.iter();
    let mut names = names.filter_map(|attachment| attachment.name.as_deref());
    names.any(|name| has_words(name, wanted))
}

fn anywhere(message: &Message, wanted: &[String]) -> Option<bool> {
    let people = [&message.from, &message.to, &message.cc, &message.bcc];
    let found = in_subject(message, wanted)
        || people
            .into_iter()
            .flatten()
            .any(|person| is_named(person, wanted))
        || has_file(message, wanted)
        || has_words(&text(&message.body), wanted);
    (found || message.detail == Detail::Full).then_some(found)
}

/// The text that a reader sees.
fn text(body: &Body) -> Cow<'_, str> {
    match (&body.text, &body.html) {
        (Some(text), _) => Cow::Borrowed(text),
        (None, Some(html)) => Cow::Owned(html_to_text(html)),
        (None, None) => Cow::Borrowed(""),
    }
}
