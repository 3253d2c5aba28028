//! What [`Mailbox`] makes of a message that is answered or forwarded: it reads the original and fetches what goes along. The
//! rules are `reply`'s; sending is the host's next step.

use super::Mailbox;
use crate::error::{Error, ErrorKind, Result};
use crate::mime;
use crate::model::{
    Access, Address, AnswerKind, Answers, Attachment, AttachmentKind, ByteStream, Content,
    FolderRole, Message, MessageId, Outgoing, OutgoingAttachment, SpoolError,
};
use crate::reply::{Forward, Reply, shown_images};

/// What is attached where Outlook attaches an event or a contact: its beginning, type and the ending of its name.
const NOT_MESSAGES: [(&[u8], &str, &str); 2] = [
    (b"BEGIN:VCALENDAR", "text/calendar", ".ics"),
    (b"BEGIN:VCARD", "text/vcard", ".vcf"),
];

impl Mailbox {
    /// The answer to a message: to whom it goes, in its conversation, with the original quoted as
    /// [`Reply::outgoing`] says. Change what is to be changed, and send it with [`send`](Self::send) or
    /// [`send_once`](Self::send_once).
    ///
    /// The original is read and not marked as read. The mailbox's own address comes from [`profile`](Self::profile), its
    /// aliases from [`identities`](Self::identities) where the service tells them; where it fails to, those that
    /// [`Reply::own_addresses`] names remain.
    /// Pictures that the quoted HTML shows are fetched to temporary files.
    ///
    /// ```no_run
    /// # async fn example(mailbox: postroom::Mailbox, id: postroom::MessageId) -> postroom::Result<()> {
    /// use postroom::reply::Reply;
    ///
    /// let answer = mailbox.reply(&id, &Reply::to_everyone().text("Monday is fine.")).await?;
    /// mailbox.send(&answer).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the original is gone, and as [`Reply::outgoing`].
    pub async fn reply(&self, id: &MessageId, reply: &Reply) -> Result<Outgoing> {
        self.require(Access::READ)?;
        let mut original = self.message(id).await?;
        let reply = match self.profile().await {
            Ok(profile) => {
                let own = Address::received(profile.display_name, profile.address);
                reply.of_mailbox(own).own_addresses(self.aliases().await)
            }
            // Who may read mail may not always ask whose it is; a host that names the addresses needs not.
            Err(_) if reply.knows_own_addresses() => reply.clone(),
            Err(error) => return Err(error),
        };
        if reply.depends_on_who_sent(&original) && self.is_sent(&original).await? {
            // Where its recipients are to answer. The user goes on writing to them.
            original.reply_to.clear();
        }
        let kind = if reply.is_to_everyone() {
            AnswerKind::ReplyAll
        } else {
            AnswerKind::Reply
        };
        let mut outgoing = reply.outgoing(&original)?;
        let shown = shown_images(outgoing.html.as_deref().unwrap_or_default());
        for attachment in &original.attachments {
            if is_shown(attachment, &shown) {
                outgoing = outgoing.attach(self.fetched(&original, attachment, true).await?);
            }
        }
        Ok(outgoing.answers(Answers::new(original.id, kind)))
    }

    /// The message that forwards another one, as [`Forward::outgoing`] says, with its attachments. Change what is to be
    /// changed, and send it with [`send`](Self::send) or [`send_once`](Self::send_once).
    ///
    /// The original is read and not marked as read. What goes along is fetched to temporary files, so that it can be sent
    /// however large it is, and again where a send has to be repeated.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the original is gone. [`ErrorKind::Unsupported`] if one of its attachments is only a link to
    /// a file elsewhere, which cannot be fetched: forward it [as an attachment](Forward::as_attachment), or
    /// [without](Forward::without) that one. Otherwise as [`Forward::outgoing`].
    pub async fn forward(&self, id: &MessageId, forward: &Forward) -> Result<Outgoing> {
        self.require(Access::READ)?;
        let original = self.message(id).await?;
        let mut outgoing = forward.outgoing(&original)?;
        if forward.is_as_attachment() {
            let message = spooled(self.raw(id).await?).await?;
            let name = file_name(original.subject.as_deref().unwrap_or_default());
            outgoing = outgoing.attach(attached_message(name, message).await?);
        } else {
            let shown = shown_images(outgoing.html.as_deref().unwrap_or_default());
            for attachment in &original.attachments {
                if !forward.leaves_out(&attachment.id) {
                    let shown = is_shown(attachment, &shown);
                    outgoing = outgoing.attach(self.fetched(&original, attachment, shown).await?);
                }
            }
        }
        Ok(outgoing.answers(Answers::new(original.id, AnswerKind::Forward)))
    }

    /// The aliases that the service tells and that are proved. Anybody's address can be claimed, and whose it is must not
    /// go without an answer for that.
    async fn aliases(&self) -> Vec<Address> {
        if !self.capabilities().identities {
            return Vec::new();
        }
        let listed = match self.identities() {
            Ok(identities) => identities.list().await,
            Err(error) => Err(error),
        };
        let identities = listed.unwrap_or_else(|error| {
            tracing::debug!(kind = ?error.kind(), "the aliases of a mailbox were not told");
            Vec::new()
        });
        let proved = identities
            .into_iter()
            .filter(|identity| identity.verified != Some(false));
        proved.map(|identity| identity.address).collect()
    }

    /// Whether a message lies among the sent ones.
    async fn is_sent(&self, message: &Message) -> Result<bool> {
        match self.folder(FolderRole::Sent).await {
            Ok(sent) => Ok(message.is_in(&sent.id)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One of the original's attachments, to go along.
    async fn fetched(
        &self,
        original: &Message,
        attachment: &Attachment,
        shown: bool,
    ) -> Result<OutgoingAttachment> {
        if attachment.kind == AttachmentKind::Link {
            return Err(Error::unsupported(
                "an attachment is a link to a file elsewhere, which does not go along",
            ));
        }
        let content = spooled(self.attachment(&original.id, &attachment.id).await?).await?;
        let name = attachment.name.clone().unwrap_or_default();
        if attachment.kind == AttachmentKind::Message {
            let beginning = content
                .range(0, 16)
                .to_bytes(16)
                .await
                .map_err(unreadable)?;
            let other = NOT_MESSAGES
                .into_iter()
                .find(|(begins, _, _)| beginning.starts_with(begins));
            return match other {
                Some((_, media_type, ending)) => {
                    let name = named(name, ending);
                    Ok(OutgoingAttachment::new(name, media_type, content))
                }
                None => attached_message(named(name, ".eml"), content).await,
            };
        }
        let media_type = match attachment.media_type.as_str() {
            known if mime::is_media_type(known) => known,
            _ => "application/octet-stream",
        };
        let name = named(name, "");
        let file = OutgoingAttachment::new(name, media_type, content);
        let id = attachment.content_id.as_deref().filter(|_| shown);
        Ok(match id.and_then(mime::usable_id) {
            Some(id) => file.inline(id),
            None => file,
        })
    }
}

fn is_shown(attachment: &Attachment, shown: &std::collections::BTreeSet<String>) -> bool {
    let id = attachment.content_id.as_deref();
    id.is_some_and(|id| shown.contains(&id.to_ascii_lowercase()))
}

async fn attached_message(name: String, message: Content) -> Result<OutgoingAttachment> {
    let attached = OutgoingAttachment::message(name, message).await;
    attached.map_err(unreadable)
}

async fn spooled(stream: ByteStream) -> Result<Content> {
    Content::spool_stream(stream)
        .await
        .map_err(|error| match error {
            SpoolError::Source(error) => Error::new(
                ErrorKind::Network,
                "the original broke off while it was fetched",
            )
            .with_source(error),
            SpoolError::File(error) => unreadable(error),
        })
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Content,
        "what is forwarded could not be kept in a temporary file",
    )
    .with_source(error)
}

/// A name for what has none, with the ending that programs know it by.
fn named(name: String, ending: &str) -> String {
    let name = match name.trim() {
        "" => "attachment",
        name => name,
    };
    if name.to_lowercase().ends_with(ending) {
        name.to_owned()
    } else {
        format!("{name}{ending}")
    }
}

/// A message's subject as the name of a file.
fn file_name(subject: &str) -> String {
    let plain = subject.replace(|c: char| c.is_control() || "/\\:*?\"<>|".contains(c), " ");
    let short: String = plain.trim().chars().take(100).collect();
    match short.trim_end_matches(['.', ' ']) {
        "" => "message.eml".to_owned(),
        name => format!("{name}.eml"),
    }
}
