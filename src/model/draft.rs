//! Messages that are being written and are kept by the service: what one is, and what can be changed of it. How a service
//! keeps them is each provider's.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Address, AttachmentId, DraftId, Message, OutgoingAttachment};

/// A message that is being written, as the service has it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Draft {
    /// Its id among the drafts, which stays when it is changed. On Gmail that is not the id of its message.
    pub id: DraftId,
    /// What it is like now; every change gives it another.
    pub revision: DraftRevision,
    /// The message, read as far as was asked for. Of one that was just made or changed, only what the service tells
    /// without another request. On Gmail every change gives it another id.
    pub message: Message,
}

impl Draft {
    /// A draft as a service has it.
    #[must_use]
    pub fn new(id: DraftId, revision: DraftRevision, message: Message) -> Self {
        Self {
            id,
            revision,
            message,
        }
    }
}

/// What a draft was like when it was read. Give it back with a change, and the change is refused if somebody else made one
/// meanwhile. Its text is opaque and the service's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DraftRevision(String);

impl DraftRevision {
    /// Takes the service's own text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The service's own text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is to be changed of a draft. What it does not name stays as it is: files and pictures above all, and headers that
/// this crate knows nothing of.
///
/// ```
/// use postroom::{DraftEdit, OutgoingAttachment};
///
/// let edit = DraftEdit::new()
///     .subject("The report, corrected")
///     .text("Please see the new file.")
///     .attach(OutgoingAttachment::new("report.csv", "text/csv", b"a,b\n".to_vec()));
/// assert!(!edit.is_empty());
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct DraftEdit {
    /// The author. The service must know it as the user's.
    pub from: Option<Address>,
    /// Where replies should go; none for the author.
    pub reply_to: Option<Vec<Address>>,
    /// Primary recipients.
    pub to: Option<Vec<Address>>,
    /// Other recipients.
    pub cc: Option<Vec<Address>>,
    /// Recipients that the others do not see.
    pub bcc: Option<Vec<Address>>,
    /// The subject.
    pub subject: Option<String>,
    /// The text, all of it: what was written before is gone, in either form.
    pub body: Option<DraftBody>,
    /// Files to be added.
    pub attach: Vec<OutgoingAttachment>,
    /// Files to be taken away, by their ids in the draft's message as it was last read.
    pub detach: Vec<AttachmentId>,
}

/// The text of a draft, in one form or in both.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DraftBody {
    /// Plain.
    pub text: Option<String>,
    /// As HTML.
    pub html: Option<String>,
}

impl DraftEdit {
    /// No change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from.is_none()
            && self.reply_to.is_none()
            && self.to.is_none()
            && self.cc.is_none()
            && self.bcc.is_none()
            && self.subject.is_none()
            && self.body.is_none()
            && self.attach.is_empty()
            && self.detach.is_empty()
    }

    /// Sets the author.
    #[must_use]
    pub fn from(mut self, address: Address) -> Self {
        self.from = Some(address);
        self
    }

    /// Sets where replies should go.
    #[must_use]
    pub fn reply_to(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.reply_to = Some(addresses.into_iter().collect());
        self
    }

    /// Sets the primary recipients.
    #[must_use]
    pub fn to(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.to = Some(addresses.into_iter().collect());
        self
    }

    /// Sets the other recipients.
    #[must_use]
    pub fn cc(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.cc = Some(addresses.into_iter().collect());
        self
    }

    /// Sets the hidden recipients.
    #[must_use]
    pub fn bcc(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.bcc = Some(addresses.into_iter().collect());
        self
    }

    /// Sets the subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets the plain text. Unless [`html`](Self::html) is set too, the draft has none any more.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.body.get_or_insert_default().text = Some(text.into());
        self
    }

    /// Sets the HTML. Unless [`text`](Self::text) is set too, the draft has no plain text any more.
    #[must_use]
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.body.get_or_insert_default().html = Some(html.into());
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn attach(mut self, attachment: OutgoingAttachment) -> Self {
        self.attach.push(attachment);
        self
    }

    /// Takes a file away.
    #[must_use]
    pub fn detach(mut self, attachment: AttachmentId) -> Self {
        self.detach.push(attachment);
        self
    }
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for DraftEdit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DraftEdit")
            .field("body", &self.body.is_some())
            .field("attach", &self.attach)
            .field("detach", &self.detach)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DraftBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DraftBody(..)")
    }
}
