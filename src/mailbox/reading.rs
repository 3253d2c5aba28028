//! What [`Mailbox`] reads as a whole: conversations, attached messages, and several mailboxes as one.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};

use super::{Mailbox, pages};
use crate::error::Result;
use crate::model::{Access, Change, Detail, Page, PageRequest, Query, ThreadId};
use crate::provider::Thread;

impl Mailbox {
    /// A whole conversation with its messages, oldest first, wherever they lie.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if it has no message any more,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the service has no conversations.
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

    /// The conversations in which a message is what `query` means, those with the newest such message first, each once.
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
        let mut told = HashSet::new();
        let threads = pages.map(|item| item.and_then(|thread| thread));
        let threads = threads.filter(move |thread| {
            let new = match thread {
                Ok(thread) => told.insert(thread.id.clone()),
                Err(_) => true,
            };
            std::future::ready(new)
        });
        Threads(threads.boxed())
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
        self.require(Access::READ_WRITE)?;
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
