//! What to send. How it becomes MIME is `mime/`; how it is sent is each provider's.

use std::fmt;

use super::{Address, Content, ThreadId};

/// A message to be sent.
///
/// ```
/// use postroom::{Outgoing, OutgoingAttachment};
///
/// let outgoing = Outgoing::new()
///     .to("support@desk.example".parse()?)
///     .subject("The report")
///     .text("Attached.")
///     .attach(OutgoingAttachment::new("report.csv", "text/csv", b"a,b\n".to_vec()));
/// # Ok::<(), postroom::AddressError>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Outgoing {
    /// The author, where it is not the mailbox's own address. The service must know it as the user's.
    pub from: Option<Address>,
    /// Where replies should go, if not to the author.
    pub reply_to: Vec<Address>,
    /// Primary recipients.
    pub to: Vec<Address>,
    /// Other recipients.
    pub cc: Vec<Address>,
    /// Recipients that the others do not see.
    pub bcc: Vec<Address>,
    /// The subject.
    pub subject: String,
    /// The text, plain.
    pub text: Option<String>,
    /// The text, as HTML.
    pub html: Option<String>,
    /// Files that go with it.
    pub attachments: Vec<OutgoingAttachment>,
    /// The conversation it belongs to in the sender's own mailbox.
    pub thread: Option<ThreadId>,
    /// The `Message-ID` of the message it answers, without angle brackets.
    pub in_reply_to: Option<String>,
    /// The `Message-ID`s of the conversation so far, oldest first, without angle brackets.
    pub references: Vec<String>,
}

impl Outgoing {
    /// An empty message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the author.
    #[must_use]
    pub fn from(mut self, address: Address) -> Self {
        self.from = Some(address);
        self
    }

    /// Adds a primary recipient.
    #[must_use]
    pub fn to(mut self, address: Address) -> Self {
        self.to.push(address);
        self
    }

    /// Adds another recipient.
    #[must_use]
    pub fn cc(mut self, address: Address) -> Self {
        self.cc.push(address);
        self
    }

    /// Adds a hidden recipient.
    #[must_use]
    pub fn bcc(mut self, address: Address) -> Self {
        self.bcc.push(address);
        self
    }

    /// Adds an address for replies.
    #[must_use]
    pub fn reply_to(mut self, address: Address) -> Self {
        self.reply_to.push(address);
        self
    }

    /// Sets the subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Sets the plain text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sets the HTML.
    #[must_use]
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.html = Some(html.into());
        self
    }

    /// Adds an attachment.
    #[must_use]
    pub fn attach(mut self, attachment: OutgoingAttachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// Makes it an answer to the message with this `Message-ID`, in this conversation.
    #[must_use]
    pub fn answering(mut self, message_id: impl Into<String>, thread: Option<ThreadId>) -> Self {
        let message_id = message_id.into();
        self.references.push(message_id.clone());
        self.in_reply_to = Some(message_id);
        self.thread = thread;
        self
    }

    /// Every recipient: primary, other and hidden.
    pub fn recipients(&self) -> impl Iterator<Item = &Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }
}

/// A file that goes with a message. Its bytes are read when they are sent, perhaps more than once.
#[derive(Clone)]
#[non_exhaustive]
pub struct OutgoingAttachment {
    /// Its file name.
    pub name: String,
    /// Its media type, such as `application/pdf`.
    pub media_type: String,
    /// Its bytes.
    pub content: Content,
    /// Set for a file that is shown within the HTML, which refers to it as `cid:` and this id.
    pub content_id: Option<String>,
}

impl OutgoingAttachment {
    /// A file beside the text.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        media_type: impl Into<String>,
        content: impl Into<Content>,
    ) -> Self {
        Self {
            name: name.into(),
            media_type: media_type.into(),
            content: content.into(),
            content_id: None,
        }
    }

    /// Shows it within the HTML, which refers to it as `cid:` and this id.
    #[must_use]
    pub fn inline(mut self, content_id: impl Into<String>) -> Self {
        self.content_id = Some(content_id.into());
        self
    }
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Outgoing")
            .field("recipients", &self.recipients().count())
            .field("attachments", &self.attachments)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OutgoingAttachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OutgoingAttachment")
            .field("media_type", &self.media_type)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}
