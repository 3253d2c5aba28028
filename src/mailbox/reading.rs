//! What [`Mailbox`] reads as a whole: conversations and attached messages. Listings and single messages are in
//! `mailbox.rs`; several mailboxes as one are `merged`'s.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Mailbox, pages};
use crate::error::{Error, ErrorKind, Result};
use crate::mime;
use crate::model::{
    Access, Attachment, AttachmentId, AttachmentKind, Change, Detail, Message, MessageId, Page,
    PageRequest, Query, ThreadId,
};
use crate::provider::Thread;

/// As many conversations of a listing are remembered, in about two megabytes.
const MOST_TOLD: usize = 100_000;

/// Which conversations a listing told lately. Of each only a number is kept, which two share about once in a billion
/// listings.
#[derive(Default)]
struct Told {
    numbers: HashSet<u64>,
    /// The oldest first.
    order: VecDeque<u64>,
    numbering: RandomState,
}

impl Told {
    fn is_new(&mut self, id: &ThreadId) -> bool {
        let number = self.numbering.hash_one(id);
        if !self.numbers.insert(number) {
            return false;
        }
        self.order.push_back(number);
        if self.order.len() > MOST_TOLD
            && let Some(oldest) = self.order.pop_front()
        {
            self.numbers.remove(&oldest);
        }
        true
    }
}

/// The largest message that is read from its bytes.
const LARGEST_ATTACHED: usize = 64 * 1024 * 1024;

impl Mailbox {
    /// A whole conversation with its messages, oldest first, wherever they lie.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it has no message any more,
    /// [`ErrorKind::Unsupported`] where the service has no conversations.
    pub async fn thread(&self, id: &ThreadId) -> Result<Thread> {
        self.thread_with(id, Detail::Full).await
    }

    /// A whole conversation, each message read as far as `detail` asks.
    ///
    /// # Errors
    /// As [`thread`](Self::thread).
    pub async fn thread_with(&self, id: &ThreadId, detail: Detail) -> Result<Thread> {
        self.require(Access::READ)?;
        self.provider.thread(id, detail).await
    }

    /// The conversations in which a message is what `query` means, those with the newest such message first, each once (one
    /// that comes again more than 100,000 others later is told again: what is remembered of them does not grow with a mailbox).
    /// All their messages come with them, as far as a list shows messages. A conversation costs about as much as two
    /// messages on Gmail and one request on Outlook; see [`threads_with`](Self::threads_with) for less.
    pub fn threads(&self, query: Query) -> Threads {
        self.threads_with(query, Detail::Headers, PageRequest::first())
    }

    /// The conversations in which a message is what `query` means, from `page` on. With [`Detail::Ids`] they come without
    /// their messages, which costs no more than listing messages.
    pub fn threads_with(&self, query: Query, detail: Detail, page: PageRequest) -> Threads {
        if let Err(error) = self.require(Access::READ) {
            return Threads(stream::once(async { Err(error) }).boxed());
        }
        let provider = Arc::clone(&self.provider);
        let query = Arc::new(query);
        let pages = pages(page, move |page| {
            let (provider, query) = (Arc::clone(&provider), Arc::clone(&query));
            async move { provider.threads(&query, detail, page).await }
        });
        let mut told = Told::default();
        let threads = pages.map(|item| item.and_then(|thread| thread));
        let threads = threads.filter(move |thread| {
            let new = match thread {
                Ok(thread) => told.is_new(&thread.id),
                Err(_) => true,
            };
            std::future::ready(new)
        });
        Threads(threads.boxed())
    }

    /// A message that is attached to another one, read from its bytes. It is held in memory with its attachments, and may have
    /// at most 64 MiB; larger ones can be had as a stream with [`attachment`](Self::attachment).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it or its message is gone, [`ErrorKind::Content`] if it is too large, and
    /// [`ErrorKind::Unsupported`] if it is no message: Outlook attaches events and contacts in the same way.
    pub async fn attached_message(
        &self,
        message: &MessageId,
        attachment: &AttachmentId,
    ) -> Result<AttachedMessage> {
        let mut stream = self.attachment(message, attachment).await?;
        let mut raw = BytesMut::new();
        while let Some(chunk) = stream.try_next().await.map_err(broken)? {
            if raw.len() + chunk.len() > LARGEST_ATTACHED {
                return Err(Error::new(
                    ErrorKind::Content,
                    "the attached message is larger than 64 MiB",
                ));
            }
            raw.extend_from_slice(&chunk);
        }
        let raw = raw.freeze();
        if [b"BEGIN:VCALENDAR".as_slice(), b"BEGIN:VCARD"]
            .iter()
            .any(|start| raw.starts_with(start))
        {
            return Err(Error::unsupported(
                "the attachment is an event or a contact, not a message",
            ));
        }
        Ok(AttachedMessage::read(attachment, raw))
    }

    /// One page of conversations. A later page may name one again, which [`threads`](Self::threads) leaves out.
    ///
    /// # Errors
    /// As [`MailProvider`](crate::MailProvider) says; the same page can be asked for again.
    pub async fn thread_page(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Thread>>> {
        self.require(Access::READ)?;
        self.provider.threads(query, detail, page).await
    }

    /// Applies one change to all messages of these conversations but drafts: one answer per id, in order. What was
    /// [`archived`](Change::Archive) or [`moved`](Change::MoveTo) leaves sent mail where it is.
    ///
    /// # Errors
    /// When the change cannot be asked for at all; what went wrong with one conversation is in its place. It may then be
    /// changed in part, and the call can be repeated.
    pub async fn apply_to_threads(
        &self,
        ids: &[ThreadId],
        change: &Change,
    ) -> Result<Vec<Result<()>>> {
        self.require(change.access())?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.provider.apply_to_threads(ids, change).await
    }
}

/// The conversations that a query means; see [`Mailbox::threads`]. An error about one conversation is followed by the next
/// one; an error about a page ends the stream.
#[must_use = "streams do nothing unless polled"]
pub struct Threads(BoxStream<'static, Result<Thread>>);

impl Stream for Threads {
    type Item = Result<Thread>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Threads")
    }
}

/// A message that came as an attachment of another one; see [`Mailbox::attached_message`].
#[derive(Clone)]
#[non_exhaustive]
pub struct AttachedMessage {
    /// The message. It is in no mailbox: its id is that of the attachment, it has neither folders nor keywords, and its
    /// attachments are read with [`attachment`](Self::attachment).
    pub message: Message,
    raw: Bytes,
    attachments: Vec<(AttachmentId, Bytes)>,
}

impl AttachedMessage {
    /// Reads a message from its bytes. Whatever they are, something is read.
    #[must_use]
    pub fn read(id: &AttachmentId, raw: impl Into<Bytes>) -> Self {
        let raw = raw.into();
        let whole = mime::read_whole(MessageId::new(id.as_str()), &raw);
        Self {
            message: whole.message,
            raw,
            attachments: whole.attachments,
        }
    }

    /// The message as it came.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The bytes of one of its attachments, decoded.
    #[must_use]
    pub fn attachment(&self, id: &AttachmentId) -> Option<Bytes> {
        let mut attachments = self.attachments.iter();
        attachments
            .find(|(known, _)| known == id)
            .map(|(_, bytes)| bytes.clone())
    }

    /// A message that is attached to this one in turn.
    #[must_use]
    pub fn attached_message(&self, id: &AttachmentId) -> Option<Self> {
        let mut known = self.message.attachments.iter();
        let is_message = |attachment: &&Attachment| {
            attachment.id == *id && attachment.kind == AttachmentKind::Message
        };
        known.find(is_message)?;
        Some(Self::read(id, self.attachment(id)?))
    }
}

impl std::fmt::Debug for AttachedMessage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AttachedMessage")
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

fn broken(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Network,
        "the attached message broke off while it was read",
    )
    .with_source(error)
}
