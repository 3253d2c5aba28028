//! [`Mailbox`]: what hosts call. It adds to a provider what can be written once for all of them: streams over pages,
//! sends that know whether they happened, handles that may do less. What a service understands is the provider's; what a
//! message is and how it is shown is told by `facts` and `view`; of tokens and accounts nothing is known here.

mod costing;
mod deadline;
mod drafting;
mod merged;
mod organising;
mod reading;
mod replying;
mod searching;
mod sending;
mod sending_many;
mod syncing;
mod watching;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::{Clock, SystemClock};
use crate::error::{Action, Error, ErrorKind, Result};
use crate::facts::Facts;
use crate::model::{
    Access, AttachmentId, ByteStream, Detail, Folder, FolderRole, Message, MessageId, Page,
    PageRequest, Profile, Purse, Query,
};
use crate::provider::{Capabilities, MailProvider, Trail};

pub use self::merged::{Merged, merged};
pub use self::reading::{AttachedMessage, Threads};
use self::sending::Outbox;
pub use self::sending::{OutboxEntries, SETTLED_AFTER};
pub use self::sending_many::{Campaign, Outcome, Progress, SendMany, Stopped};
pub use self::syncing::SyncPages;
pub(crate) use self::syncing::{SyncTurn, SyncTurns};

/// How much of a message is examined for what it says of itself: reports and invitations come before long attachments.
const EXAMINED: usize = 8 * 1024 * 1024;

/// A handle to one mailbox, the same whichever service is behind it. Clones are cheap and share everything.
///
/// ```no_run
/// # async fn example(mailbox: postroom::Mailbox) -> postroom::Result<()> {
/// use futures_util::TryStreamExt;
/// use postroom::Query;
///
/// let mut unread = mailbox.messages(Query::inbox().and(Query::unread()));
/// while let Some(message) = unread.try_next().await? {
///     println!("{}", message.subject.as_deref().unwrap_or("(no subject)"));
///     mailbox.mark_read(&[message.id]).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Mailbox {
    provider: Arc<dyn MailProvider>,
    outbox: Outbox,
    /// Held by the sync that runs.
    syncing: Arc<tokio::sync::Mutex<()>>,
    /// Whose turn it is to sync, beyond this process.
    turns: Option<Arc<dyn SyncTurns>>,
    clock: Arc<dyn Clock>,
    access: Option<Access>,
    /// What its calls are paid from, if they are capped.
    purse: Option<Purse>,
    /// What is left of the provider's capabilities on a restricted handle.
    capabilities: Option<Arc<Capabilities>>,
}

impl Mailbox {
    /// A handle to what `provider` sees. [`Accounts::open`](crate::Accounts::open) makes one for a connected account.
    pub fn new(provider: impl MailProvider) -> Self {
        Self {
            provider: Arc::new(provider),
            outbox: Outbox::default(),
            syncing: Arc::default(),
            turns: None,
            clock: Arc::new(SystemClock::new()),
            access: None,
            purse: None,
            capabilities: None,
        }
    }

    /// Tells from another clock than the system's how long ago a send was begun.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Syncs when these say that it is its turn.
    pub(crate) fn with_turns(mut self, turns: Arc<dyn SyncTurns>) -> Self {
        self.turns = Some(turns);
        self
    }

    /// A handle that may do no more than `access`, for code that should not be able to. It cannot be widened again.
    #[must_use]
    pub fn restrict(&self, access: Access) -> Self {
        let access = self.access.map_or(access, |held| held.intersection(access));
        let mut restricted = self.clone();
        restricted.access = Some(access);
        restricted.capabilities = Some(Arc::new(self.capabilities().within(access)));
        if let Some(provider) = self.provider.restricted(access) {
            restricted.provider = provider;
        }
        restricted
    }

    /// What can be done with this mailbox through this handle.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        let restricted = self.capabilities.as_deref();
        restricted.unwrap_or_else(|| self.provider.capabilities())
    }

    /// The provider behind it, for what only that one can do.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] on a restricted handle, which would be no restriction otherwise.
    pub fn provider(&self) -> Result<&dyn MailProvider> {
        match self.access {
            None => Ok(self.provider.as_ref()),
            Some(_) => Err(restricted()),
        }
    }

    /// Whose mailbox it is. Every handle tells, even one that is restricted to [`Access::NONE`]. Of a grant, Gmail asks for
    /// [`Access::READ`] or [`Access::DRAFT`], and Outlook for nothing.
    ///
    /// # Errors
    /// As [`MailProvider`] says.
    pub async fn profile(&self) -> Result<Profile> {
        self.provider.profile().await
    }

    /// Looks whether the mailbox is there: some accounts of both services have none. Every handle may look, since this tells
    /// nothing of what is in it. Of a grant, both services ask for [`Access::READ`] or [`Access::DRAFT`].
    ///
    /// # Errors
    /// [`ErrorKind::MailboxUnavailable`] if it is not; otherwise as [`MailProvider`] says.
    pub async fn probe(&self) -> Result<()> {
        self.provider.probe().await
    }

    /// Every folder, the service's own first.
    ///
    /// # Errors
    /// As [`MailProvider`] says.
    pub async fn folders(&self) -> Result<Vec<Folder>> {
        self.require(Access::READ)?;
        self.provider.folders().await
    }

    /// The service's own folder for a purpose.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the service has none, such as an archive on Gmail.
    pub async fn folder(&self, role: FolderRole) -> Result<Folder> {
        self.folders()
            .await?
            .into_iter()
            .find(|folder| folder.role == Some(role))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("this mailbox has no folder for {}", role.as_str()),
                )
            })
    }

    /// The messages that `query` means, newest first, with what a list of messages shows.
    pub fn messages(&self, query: Query) -> Messages {
        self.messages_with(query, Detail::Headers, PageRequest::first())
    }

    /// The messages that `query` means, newest first, read as far as `detail` asks, from `page` on. How long the pages are, and
    /// how many of them are on their way at once, is the provider's to decide; none is longer than `page` says, if it does.
    pub fn messages_with(&self, query: Query, detail: Detail, page: PageRequest) -> Messages {
        if let Err(error) = self.require(Access::READ) {
            return Messages(stream::once(async { Err(error) }).boxed());
        }
        if let Some(messages) = self.provider.messages(&query, detail, &page) {
            return Messages(messages);
        }
        let provider = Arc::clone(&self.provider);
        let query = Arc::new(query);
        let pages = pages(page, move |page| {
            let (provider, query) = (Arc::clone(&provider), Arc::clone(&query));
            async move { provider.list(&query, detail, page).await }
        });
        // An item may be an error of its own; it does not end the stream as an error about a page does.
        Messages(pages.map(|item| item.and_then(|message| message)).boxed())
    }

    /// One page of the messages that `query` means. A message that could not be read is an error in its place.
    ///
    /// # Errors
    /// As [`MailProvider`] says; the same page can be asked for again.
    pub async fn page(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Message>>> {
        self.require(Access::READ)?;
        self.provider.list(query, detail, page).await
    }

    /// A whole message.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it is gone.
    pub async fn message(&self, id: &MessageId) -> Result<Message> {
        let mut messages = self
            .messages_by_id(std::slice::from_ref(id), Detail::Full)
            .await?;
        messages.pop().unwrap_or_else(|| Err(unanswered()))
    }

    /// The messages with these ids: one answer per id, in order.
    ///
    /// # Errors
    /// When none could be asked for; what went wrong with one message is in its place.
    pub async fn messages_by_id(
        &self,
        ids: &[MessageId],
        detail: Detail,
    ) -> Result<Vec<Result<Message>>> {
        self.require(Access::READ)?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.provider.get(ids, detail).await
    }

    /// The messages that were listed with [`Detail::Ids`], read further: one answer each, in order. Give it as many at once as
    /// are wanted: at Gmail, three or more messages of one conversation are then had for the price of two.
    ///
    /// # Errors
    /// As [`messages_by_id`](Self::messages_by_id).
    pub async fn hydrate(
        &self,
        listed: &[Message],
        detail: Detail,
    ) -> Result<Vec<Result<Message>>> {
        self.require(Access::READ)?;
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        self.provider.hydrate(listed, detail).await
    }

    /// A whole message as RFC 5322. Outlook writes it anew, so it is not what was received byte by byte.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it is gone.
    pub async fn raw(&self, id: &MessageId) -> Result<ByteStream> {
        self.require(Access::READ)?;
        self.provider.raw(id).await
    }

    /// Everything that can be told of a message beside its text, such as what became of it for whom if it is a bounce, or
    /// the text of an invitation. [`Message::facts`] tells most of it without another request.
    ///
    /// The message itself is read, as [`raw`](Self::raw) gives it, but no more than its first 8 MiB, however long it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it is gone.
    pub async fn facts(&self, id: &MessageId) -> Result<Facts> {
        let mut stream = self.raw(id).await?;
        let mut beginning = Vec::new();
        while beginning.len() < EXAMINED {
            match stream.try_next().await {
                Ok(Some(chunk)) => beginning.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    return Err(
                        Error::new(ErrorKind::Network, "the message broke off").with_source(error)
                    );
                }
            }
        }
        beginning.truncate(EXAMINED);
        Ok(Facts::from_raw(&beginning))
    }

    /// The bytes of an attachment, as they come: none is held in memory as a whole. The exception is a message attached at
    /// Gmail to which the service gives no way of its own; `Gmail` says what that takes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if it or its message is gone.
    pub async fn attachment(
        &self,
        message: &MessageId,
        attachment: &AttachmentId,
    ) -> Result<ByteStream> {
        self.require(Access::READ)?;
        self.provider.attachment(message, attachment).await
    }

    fn require(&self, needed: Access) -> Result<()> {
        match self.access {
            Some(held) if !held.contains(needed) => Err(restricted()),
            _ => Ok(()),
        }
    }
}

/// The messages that a query means; see [`Mailbox::messages`]. An error about one message is followed by the next
/// message; an error about a page ends the stream.
#[must_use = "streams do nothing unless polled"]
pub struct Messages(BoxStream<'static, Result<Message>>);

impl Stream for Messages {
    type Item = Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Messages")
    }
}

/// The one place that follows page tokens. An empty page with a token is not the end; pages that lead round and round are an
/// error, because they would never end.
fn pages<T, F, Fut>(first: PageRequest, fetch: F) -> impl Stream<Item = Result<T>> + Send + 'static
where
    T: Send + 'static,
    F: Fn(PageRequest) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Page<T>>> + Send + 'static,
{
    let size = first.size;
    let begin = (fetch, Some(first), Trail::default());
    stream::unfold(begin, move |(fetch, next, mut trail)| async move {
        let page = fetch(next?).await.and_then(|page| {
            if let Some(next) = &page.next {
                trail.go_on(next.as_str())?;
            }
            Ok(page)
        });
        Some(match page {
            Ok(page) => {
                let next = page.next.map(|token| PageRequest {
                    size,
                    token: Some(token),
                });
                (
                    Ok(stream::iter(page.items.into_iter().map(Ok))),
                    (fetch, next, trail),
                )
            }
            Err(error) => (Err(error), (fetch, None, trail)),
        })
    })
    .try_flatten()
}

fn restricted() -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        "this handle to the mailbox is restricted",
    )
    // By the host, whom the user's grant does not concern.
    .with_action(Action::CorrectTheCall)
}

fn unanswered() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the provider gave no answer for the message",
    )
}
