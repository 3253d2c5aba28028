//! A message as it was read, and the profile of the mailbox it is in. Everything a sender or a service may leave out is
//! optional.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Address, AttachmentId, FolderId, Keyword, MessageId, ThreadId};

/// How much of a message to read. More costs more: see each provider's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Detail {
    /// Its id, and what the service tells beside it for free.
    Ids,
    /// Folders, keywords, dates, addresses, subject and preview: what a list of messages shows.
    Headers,
    /// Headers, bodies and the list of attachments.
    Full,
}

/// A message in a mailbox.
///
/// Fields that [`detail`](Self::detail) does not cover, or that the mail does not have, are empty. `None` in
/// [`folders`](Self::folders) and [`keywords`](Self::keywords) means *not told*, never *none*.
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// Its id in this mailbox.
    pub id: MessageId,
    /// How much of it was read.
    pub detail: Detail,
    /// The conversation it belongs to.
    pub thread: Option<ThreadId>,
    /// The folders it is in.
    pub folders: Option<Vec<FolderId>>,
    /// Its keywords.
    pub keywords: Option<BTreeSet<Keyword>>,
    /// When it reached the mailbox, by the service's clock.
    pub received_at: Option<DateTime<Utc>>,
    /// When its sender says it was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// Its subject, decoded.
    pub subject: Option<String>,
    /// Its authors.
    pub from: Vec<Address>,
    /// Who sent it, where that is not its author.
    pub sender: Option<Address>,
    /// Where replies should go, if not to its authors.
    pub reply_to: Vec<Address>,
    /// Its primary recipients.
    pub to: Vec<Address>,
    /// Its other recipients.
    pub cc: Vec<Address>,
    /// Its hidden recipients; known only for mail that was sent from this mailbox.
    pub bcc: Vec<Address>,
    /// The `Message-ID` header, without angle brackets.
    pub message_id: Option<String>,
    /// The `In-Reply-To` header's ids, without angle brackets.
    pub in_reply_to: Vec<String>,
    /// The `References` header's ids, oldest first, without angle brackets.
    pub references: Vec<String>,
    /// The first words of its text, as the service shortens them.
    pub preview: Option<String>,
    /// About how many bytes it has.
    pub size: Option<u64>,
    /// Its headers as they came, in order; only with [`Detail::Full`], and not all services keep all of them.
    pub headers: Vec<Header>,
    /// Its text; only with [`Detail::Full`].
    pub body: Body,
    /// Its attachments; only with [`Detail::Full`].
    pub attachments: Vec<Attachment>,
}

impl Message {
    /// A message of which only the id is known.
    #[must_use]
    pub fn new(id: MessageId) -> Self {
        Self {
            id,
            detail: Detail::Ids,
            thread: None,
            folders: None,
            keywords: None,
            received_at: None,
            sent_at: None,
            subject: None,
            from: Vec::new(),
            sender: None,
            reply_to: Vec::new(),
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            message_id: None,
            in_reply_to: Vec::new(),
            references: Vec::new(),
            preview: None,
            size: None,
            headers: Vec::new(),
            body: Body::default(),
            attachments: Vec::new(),
        }
    }

    /// Whether it has `keyword`. Also `false` where keywords were not told.
    #[must_use]
    pub fn has(&self, keyword: &Keyword) -> bool {
        self.keywords
            .as_ref()
            .is_some_and(|keywords| keywords.contains(keyword))
    }

    /// Whether it is in `folder`. Also `false` where folders were not told.
    #[must_use]
    pub fn is_in(&self, folder: &FolderId) -> bool {
        self.folders
            .as_ref()
            .is_some_and(|folders| folders.contains(folder))
    }

    /// The first value of the header `name`, as it came.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }
}

/// One header line of a message, undecoded.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Header {
    /// Its name, in the case it came in.
    pub name: String,
    /// Its value; RFC 2047 words are not decoded.
    pub value: String,
}

impl Header {
    /// A header line.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// The text of a message, decoded from whatever charset it was written in.
///
/// Which parts are text follows [RFC 8621 §4.1.4](https://www.rfc-editor.org/rfc/rfc8621#section-4.1.4), whether or not they
/// have a Content-ID. Several texts that follow one another are one body, in order; where one of them is plain among HTML, it
/// is written as HTML there, and HTML among plain texts as text. Of alternatives, each form has its own.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Body {
    /// The plain text.
    pub text: Option<String>,
    /// The HTML, as it came: it may hold anything, and must be made safe before it is shown.
    pub html: Option<String>,
    /// How the plain text was wrapped by its sender, where that can be undone
    /// ([RFC 3676](https://www.rfc-editor.org/rfc/rfc3676)). The text itself is kept as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flowed: Option<Flowed>,
}

/// Plain text whose lines were wrapped with `format=flowed`: a line that ends in a space goes on in the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Flowed {
    /// Whether the space at the end of such a line is only a mark and no part of the text (`delsp=yes`).
    pub delete_space: bool,
}

impl Flowed {
    /// Text that was wrapped with or without `delsp=yes`.
    #[must_use]
    pub fn new(delete_space: bool) -> Self {
        Self { delete_space }
    }
}

/// What an attachment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AttachmentKind {
    /// A file.
    #[default]
    File,
    /// A message, which [`Mailbox::attached_message`](crate::Mailbox::attached_message) opens.
    Message,
    /// A link to a file that lies elsewhere. Its bytes cannot be read here.
    Link,
}

/// What is known of an attachment without reading it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// Its id within the message; not unique beyond it.
    pub id: AttachmentId,
    /// Its file name, decoded. It is only a name: it may hold separators, `..` or nothing sensible.
    pub name: Option<String>,
    /// What it is.
    #[serde(default)]
    pub kind: AttachmentKind,
    /// Its media type, such as `application/pdf`.
    pub media_type: String,
    /// About how many bytes it has.
    pub size: Option<u64>,
    /// Whether the HTML shows it within itself, by its [`content_id`](Self::content_id). What its sender says of it does
    /// not count: what nothing refers to is beside the text.
    pub inline: bool,
    /// The id by which HTML refers to it (`cid:`), without angle brackets.
    pub content_id: Option<String>,
}

impl Attachment {
    /// An attachment of which only id and media type are known.
    #[must_use]
    pub fn new(id: AttachmentId, media_type: impl Into<String>) -> Self {
        Self {
            id,
            name: None,
            kind: AttachmentKind::default(),
            media_type: media_type.into(),
            size: None,
            inline: false,
            content_id: None,
        }
    }
}

/// Who the mailbox belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// The mailbox's own address. It may change; see [`Identity`](crate::credentials::Identity) for what does not.
    pub address: String,
    /// The name of its owner, where the service tells.
    pub display_name: Option<String>,
    /// About how many messages it holds, where the service tells.
    pub messages: Option<u64>,
}

impl Profile {
    /// A profile of which only the address is known.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            display_name: None,
            messages: None,
        }
    }
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("id", &self.id)
            .field("detail", &self.detail)
            .field("thread", &self.thread)
            .field("folders", &self.folders)
            .field("keywords", &self.keywords)
            .field("received_at", &self.received_at)
            .field("size", &self.size)
            .field("body", &self.body)
            .field("attachments", &self.attachments)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Header")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |text: &Option<String>| text.as_ref().map(String::len);
        formatter
            .debug_struct("Body")
            .field("text_length", &length(&self.text))
            .field("html_length", &length(&self.html))
            .field("flowed", &self.flowed)
            .finish()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attachment")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("media_type", &self.media_type)
            .field("size", &self.size)
            .field("inline", &self.inline)
            .finish_non_exhaustive()
    }
}
