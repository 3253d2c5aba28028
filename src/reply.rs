//! Answering and forwarding a message: who gets it, its subject, which conversation it belongs to, and what it quotes. All of it
//! is computed from the message that was read: nothing is asked of any service and the original is not touched.
//! [`Mailbox::reply`](crate::Mailbox::reply) and [`Mailbox::forward`](crate::Mailbox::forward) read the original and fetch what
//! goes along; what is made here is an [`Outgoing`], which the host may change before it is sent.

mod quotation;
mod recipients;
mod references;
mod subject;

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Address, AttachmentId, Message, Outgoing};

pub(crate) use quotation::shown_images;
pub use recipients::{Recipients, recipients};
pub use references::references;
pub use subject::{forward_subject, reply_subject};

/// How a message is answered.
///
/// ```
/// use postroom::reply::Reply;
/// use postroom::{Address, Message, MessageId};
///
/// let mut original = Message::new(MessageId::new("1"));
/// original.subject = Some("Delivery".to_owned());
/// original.from = vec!["Support <support@desk.example>".parse()?];
/// original.message_id = Some("2@desk.example".to_owned());
/// original.references = vec!["1@gmail.example".to_owned()];
/// original.body.text = Some("Is Monday fine?".to_owned());
///
/// let answer = Reply::to_author().text("Yes.").outgoing(&original)?;
/// assert_eq!(answer.subject, "Re: Delivery");
/// assert_eq!(answer.references, ["1@gmail.example", "2@desk.example"]);
/// assert!(answer.text.unwrap().ends_with("wrote:\n> Is Monday fine?\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Reply {
    everyone: bool,
    own: Vec<Address>,
    text: Option<String>,
    html: Option<String>,
    attribution: Option<String>,
    unquoted: bool,
}

impl Reply {
    /// An answer to the author, or to whom the author wants answers to go.
    #[must_use]
    pub fn to_author() -> Self {
        Self::default()
    }

    /// An answer to the author and to everyone else who has the message.
    #[must_use]
    pub fn to_everyone() -> Self {
        Self {
            everyone: true,
            ..Self::default()
        }
    }

    /// Tells which addresses are the user's own: none of them is answered, and an answer to a message that came to one of
    /// them is from that one. The mailbox's own address comes first; [`Mailbox::reply`](crate::Mailbox::reply) adds it by
    /// itself, and the aliases that the service tells; only others have to be named there.
    #[must_use]
    pub fn own_addresses(mut self, own: impl IntoIterator<Item = Address>) -> Self {
        self.own.extend(own);
        self
    }

    /// Sets the plain text, above what is quoted.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sets the HTML, above what is quoted. Without a text beside it, recipients get HTML alone.
    #[must_use]
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.html = Some(html.into());
        self
    }

    /// Sets the line before what is quoted, which is English otherwise. It should end in a colon, by which programs know it.
    #[must_use]
    pub fn attribution(mut self, line: impl Into<String>) -> Self {
        self.attribution = Some(line.into());
        self
    }

    /// Quotes nothing.
    #[must_use]
    pub fn without_quotation(mut self) -> Self {
        self.unquoted = true;
        self
    }

    /// Whether it is to everyone.
    #[must_use]
    pub fn is_to_everyone(&self) -> bool {
        self.everyone
    }

    pub(crate) fn of_mailbox(&self, own: Address) -> Self {
        let mut reply = self.clone();
        reply.own.insert(0, own);
        reply
    }

    pub(crate) fn knows_own_addresses(&self) -> bool {
        !self.own.is_empty()
    }

    /// Whether it matters for whom the answer goes to that the user sent the original.
    pub(crate) fn depends_on_who_sent(&self, original: &Message) -> bool {
        recipients::is_answered_elsewhere(original, &self.own)
    }

    /// The answer to a message that was read with [`Detail::Full`](crate::Detail::Full). Pictures that the quoted HTML
    /// shows within itself are not attached yet.
    ///
    /// * To whom, from which address: [`recipients()`].
    /// * [`reply_subject`] and [`references()`] keep it in its conversation, for recipients and in the user's own mailbox.
    /// * The original is quoted in the forms that the answer has; where it has none, in those of the original. Plain text gets
    ///   `>` before each line. HTML is made [safe](crate::view) and a `blockquote`, without what its sender has placed elsewhere.
    ///   That takes the feature `html`; without it the original's plain text is quoted, also in HTML.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] where the original names nobody who can be written to.
    pub fn outgoing(&self, original: &Message) -> Result<Outgoing> {
        let whom = recipients(original, &self.own, self.everyone);
        if whom.to.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "the message names nobody who can be answered",
            ));
        }
        let mut outgoing = Outgoing::new().subject(reply_subject(subject_of(original)));
        outgoing.from = whom.from;
        outgoing.to = whom.to;
        outgoing.cc = whom.cc;
        continue_conversation(&mut outgoing, original);
        outgoing.in_reply_to = outgoing
            .references
            .last()
            .filter(|last| Some(last.as_str()) == references::own_id(original))
            .cloned();
        let given = quotation::Given {
            text: self.text.as_deref(),
            html: self.html.as_deref(),
        };
        let forms = if self.unquoted {
            given.alone()
        } else {
            quotation::reply(original, &given, self.attribution.as_deref())
        };
        (outgoing.text, outgoing.html) = (forms.text, forms.html);
        Ok(outgoing)
    }
}

/// How a message is forwarded.
#[derive(Clone, Default)]
pub struct Forward {
    to: Vec<Address>,
    text: Option<String>,
    html: Option<String>,
    as_attachment: bool,
    left_out: Vec<AttachmentId>,
}

impl Forward {
    /// The original below a text, with its attachments.
    #[must_use]
    pub fn inline() -> Self {
        Self::default()
    }

    /// The original as an attachment, which is all of it as it came.
    #[must_use]
    pub fn as_attachment() -> Self {
        Self {
            as_attachment: true,
            ..Self::default()
        }
    }

    /// Adds a recipient.
    #[must_use]
    pub fn to(mut self, address: Address) -> Self {
        self.to.push(address);
        self
    }

    /// Sets the plain text, above what is forwarded.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sets the HTML, above what is forwarded.
    #[must_use]
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.html = Some(html.into());
        self
    }

    /// Leaves one of the original's attachments out.
    #[must_use]
    pub fn without(mut self, attachment: AttachmentId) -> Self {
        self.left_out.push(attachment);
        self
    }

    /// Whether the original goes as an attachment.
    #[must_use]
    pub fn is_as_attachment(&self) -> bool {
        self.as_attachment
    }

    pub(crate) fn leaves_out(&self, attachment: &AttachmentId) -> bool {
        self.left_out.contains(attachment)
    }

    /// The message that forwards another one, which was read with [`Detail::Full`](crate::Detail::Full). Nothing is attached
    /// to it yet.
    ///
    /// It belongs to the original's conversation ([`references()`]), but answers nothing. Below the host's text stand the
    /// original's header and text, in every form that it has. HTML is made [safe](crate::view), with the pictures that its sender
    /// has placed elsewhere. That takes the feature `html`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a message that is HTML alone where the feature `html` is not there to make it safe:
    /// forward it as an attachment.
    pub fn outgoing(&self, original: &Message) -> Result<Outgoing> {
        let mut outgoing = Outgoing::new().subject(forward_subject(subject_of(original)));
        outgoing.to.clone_from(&self.to);
        continue_conversation(&mut outgoing, original);
        let given = quotation::Given {
            text: self.text.as_deref(),
            html: self.html.as_deref(),
        };
        let forms = if self.as_attachment {
            given.alone()
        } else {
            quotation::forward(original, &given).ok_or_else(|| {
                Error::unsupported(
                    "a message of HTML alone is forwarded in a text only with the feature html",
                )
            })?
        };
        (outgoing.text, outgoing.html) = (forms.text, forms.html);
        Ok(outgoing)
    }
}

fn subject_of(original: &Message) -> &str {
    original.subject.as_deref().unwrap_or_default()
}

fn continue_conversation(outgoing: &mut Outgoing, original: &Message) {
    outgoing.thread.clone_from(&original.thread);
    outgoing.references = references(original);
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reply")
            .field("everyone", &self.everyone)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Forward")
            .field("recipients", &self.to.len())
            .field("as_attachment", &self.as_attachment)
            .finish_non_exhaustive()
    }
}
