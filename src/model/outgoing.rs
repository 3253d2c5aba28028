//! What to send. How it becomes MIME is `mime/`; how it is sent is each provider's. Whatever is in here can be put into a
//! header without breaking out of it: parts that could are types that refuse it, or are checked before a header is written.

mod attachment;
mod header;
mod invitation;
mod unsubscribe;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Address, MessageId, ThreadId};

pub use attachment::OutgoingAttachment;
pub use header::{HeaderError, OutgoingHeader};
pub use invitation::{Invitation, InvitationError};
pub use unsubscribe::{ListUnsubscribe, ListUnsubscribeError};

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
    /// The author, where it is not the mailbox's own address. The service must know it as the user's: Gmail writes the
    /// mailbox's own address in place of one that was not proved, and sends the message without a word of that
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.settings.sendAs>). [`Mailbox::identities`](crate::Mailbox::identities) tells which are.
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
    /// The text, plain. A message of more than about 2.6 MB goes from Outlook without it if there is HTML: the service then
    /// keeps one form of the text.
    pub text: Option<String>,
    /// The text, as HTML.
    pub html: Option<String>,
    /// An invitation to a meeting or an answer to one, shown in place of the text by programs that know calendars.
    pub invitation: Option<Invitation>,
    /// Files that go with it.
    pub attachments: Vec<OutgoingAttachment>,
    /// How urgent its author finds it.
    pub importance: Importance,
    /// Who is to be told when a recipient has seen it ([RFC 8098](https://www.rfc-editor.org/rfc/rfc8098#section-2.1)):
    /// the author, as a rule. Most programs ask their reader first, or never tell.
    pub read_receipt_to: Option<Address>,
    /// How to leave the list that it is sent to.
    pub list_unsubscribe: Option<ListUnsubscribe>,
    /// Further header lines. Outlook keeps only those whose name begins with `X-` in some ways of sending.
    pub headers: Vec<OutgoingHeader>,
    /// When it is to be sent, if not at once. The service holds it until then;
    /// [`Capabilities`](crate::Capabilities) say where there is such a thing.
    pub send_at: Option<DateTime<Utc>>,
    /// The conversation it belongs to in the sender's own mailbox.
    pub thread: Option<ThreadId>,
    /// The `Message-ID` of the message it answers, without angle brackets.
    pub in_reply_to: Option<String>,
    /// The `Message-ID`s of the conversation so far, oldest first, without angle brackets.
    pub references: Vec<String>,
    /// The message of this mailbox that it answers or forwards, for services that note that of the original.
    pub answers: Option<Answers>,
}

/// Which message of the sender's mailbox an outgoing one answers or forwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answers {
    /// The original.
    pub message: MessageId,
    /// What is done about it.
    pub kind: AnswerKind,
}

impl Answers {
    /// What is done about which message.
    #[must_use]
    pub fn new(message: MessageId, kind: AnswerKind) -> Self {
        Self { message, kind }
    }
}

/// What a message does about the one it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnswerKind {
    /// It answers the author.
    Reply,
    /// It answers the author and everyone else who has the original.
    ReplyAll,
    /// It passes the original on to others.
    Forward,
}

/// How urgent a message is to its author.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Importance {
    /// It can wait.
    Low,
    /// Nothing is said about it.
    #[default]
    Normal,
    /// It should be read before others.
    High,
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

    /// Sets the invitation.
    #[must_use]
    pub fn invitation(mut self, invitation: Invitation) -> Self {
        self.invitation = Some(invitation);
        self
    }

    /// Adds an attachment.
    #[must_use]
    pub fn attach(mut self, attachment: OutgoingAttachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// Sets how urgent it is.
    #[must_use]
    pub fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }

    /// Asks to be told when it was seen.
    #[must_use]
    pub fn read_receipt_to(mut self, address: Address) -> Self {
        self.read_receipt_to = Some(address);
        self
    }

    /// Says how to leave the list that it is sent to.
    #[must_use]
    pub fn list_unsubscribe(mut self, unsubscribe: ListUnsubscribe) -> Self {
        self.list_unsubscribe = Some(unsubscribe);
        self
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, header: OutgoingHeader) -> Self {
        self.headers.push(header);
        self
    }

    /// Sends it later, where the service can do that.
    #[must_use]
    pub fn send_at(mut self, instant: DateTime<Utc>) -> Self {
        self.send_at = Some(instant);
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

    /// Says which message of the mailbox it answers or forwards.
    #[must_use]
    pub fn answers(mut self, answers: Answers) -> Self {
        self.answers = Some(answers);
        self
    }

    /// Every recipient: primary, other and hidden.
    pub fn recipients(&self) -> impl Iterator<Item = &Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Outgoing")
            .field("recipients", &self.recipients().count())
            .field("attachments", &self.attachments)
            .field("headers", &self.headers)
            .field("send_at", &self.send_at)
            .field("answers", &self.answers)
            .finish_non_exhaustive()
    }
}
