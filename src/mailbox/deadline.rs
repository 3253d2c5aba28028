//! Calls that end in time: a provider whose every call is given up when the host's time for it runs out. Whoever repeats a
//! failed request, and waits before that, is dropped with it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};

use super::Mailbox;
use crate::clock::Clock;
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::model::{
    Access, AttachmentId, Audit, AuditWindow, AutomaticReply, ByteStream, Category, CategoryColor,
    CategoryId, Change, Confirmation, Content, Detail, Draft, DraftEdit, DraftId, DraftRevision,
    Estimate, Folder, FolderCounts, FolderEdit, FolderId, Identity, ImportOptions, Imported,
    Message, MessageId, NewRule, Outgoing, Page, PageRequest, Profile, Query, QueryPlan, Renewed,
    Rule, RuleId, Scope, SendKey, SendTicket, SendingLimits, Sent, Spent, SyncCursor, Terms,
    ThreadId, Watch, WatchTarget, Work,
};
use crate::provider::{
    AutomaticReplies, Capabilities, Categories, Drafts, Identities, Known, MailProvider, Rules,
    SyncPage, Thread, Watching,
};

impl Mailbox {
    /// The same mailbox for calls that must end in time: each request of a provider's that takes longer (waiting for its
    /// turn and repeating what failed included) is given up, and is [`ErrorKind::DeadlineExceeded`]. A stream has as long
    /// for each item, and each step of a send has as long for itself; bytes that are streamed have no deadline once they
    /// began to come.
    ///
    /// What was sent may still take effect at the service: the error's [`delivery`](Error::delivery) is
    /// [`Delivery::Unknown`] where that matters, so that a send is looked for before it is repeated.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let mut handle = self.clone();
        handle.provider = Arc::new(InTime {
            inner: Arc::clone(&self.provider),
            clock: Arc::clone(&self.clock),
            deadline,
        });
        handle
    }
}

/// A provider whose calls end in time.
#[derive(Clone, Debug)]
struct InTime {
    inner: Arc<dyn MailProvider>,
    clock: Arc<dyn Clock>,
    deadline: Duration,
}

impl InTime {
    /// What reads, or prepares without an effect.
    async fn read<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let done = self.in_time(work).await;
        done.unwrap_or_else(|| Err(exceeded().with_delivery(Delivery::NotSent)))
    }

    /// What changes something, perhaps after it was given up.
    async fn change<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let done = self.in_time(work).await;
        done.unwrap_or_else(|| Err(exceeded().with_delivery(Delivery::Unknown)))
    }

    async fn in_time<T>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        let work = pin!(work);
        match select(work, self.clock.sleep(self.deadline)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    fn around(&self, inner: Arc<dyn MailProvider>) -> Arc<dyn MailProvider> {
        Arc::new(Self {
            inner,
            ..self.clone()
        })
    }

    /// A part that the provider has if it said so.
    fn part<T>(part: Option<T>) -> Result<T> {
        part.ok_or_else(|| Error::unsupported("this provider has nothing of the kind"))
    }
}

fn exceeded() -> Error {
    Error::new(
        ErrorKind::DeadlineExceeded,
        "the time that the host gave for this ran out",
    )
}

#[async_trait]
impl MailProvider for InTime {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn restricted(&self, access: Access) -> Option<Arc<dyn MailProvider>> {
        let inner = self.inner.restricted(access)?;
        Some(self.around(inner))
    }

    fn on_terms(&self, terms: &Terms) -> Option<Arc<dyn MailProvider>> {
        let inner = self.inner.on_terms(terms)?;
        Some(self.around(inner))
    }

    fn spent(&self) -> Option<Spent> {
        self.inner.spent()
    }

    fn cost(&self, work: &Work<'_>) -> Result<Estimate> {
        self.inner.cost(work)
    }

    async fn profile(&self) -> Result<Profile> {
        self.read(self.inner.profile()).await
    }

    async fn probe(&self) -> Result<()> {
        self.read(self.inner.probe()).await
    }

    async fn folders(&self) -> Result<Vec<Folder>> {
        self.read(self.inner.folders()).await
    }

    async fn list(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Message>>> {
        self.read(self.inner.list(query, detail, page)).await
    }

    fn messages(
        &self,
        query: &Query,
        detail: Detail,
        page: &PageRequest,
    ) -> Option<BoxStream<'static, Result<Message>>> {
        let messages = self.inner.messages(query, detail, page)?;
        let next = |state: Option<(BoxStream<'static, Result<Message>>, Self)>| async move {
            let (mut messages, terms) = state?;
            match terms.in_time(messages.next()).await {
                Some(message) => Some((message?, Some((messages, terms)))),
                None => Some((Err(exceeded()), None)),
            }
        };
        Some(stream::unfold(Some((messages, self.clone())), next).boxed())
    }

    fn plan(&self, query: &Query) -> Result<QueryPlan> {
        self.inner.plan(query)
    }

    async fn get(&self, ids: &[MessageId], detail: Detail) -> Result<Vec<Result<Message>>> {
        self.read(self.inner.get(ids, detail)).await
    }

    async fn hydrate(&self, listed: &[Message], detail: Detail) -> Result<Vec<Result<Message>>> {
        self.read(self.inner.hydrate(listed, detail)).await
    }

    async fn raw(&self, id: &MessageId) -> Result<ByteStream> {
        self.read(self.inner.raw(id)).await
    }

    async fn attachment(
        &self,
        message: &MessageId,
        attachment: &AttachmentId,
    ) -> Result<ByteStream> {
        self.read(self.inner.attachment(message, attachment)).await
    }

    async fn apply(&self, ids: &[MessageId], change: &Change) -> Result<Vec<Result<()>>> {
        self.change(self.inner.apply(ids, change)).await
    }

    async fn copy(&self, ids: &[MessageId], to: &FolderId) -> Result<Vec<Result<MessageId>>> {
        self.change(self.inner.copy(ids, to)).await
    }

    async fn import(&self, message: &Content, options: &ImportOptions) -> Result<Imported> {
        self.change(self.inner.import(message, options)).await
    }

    async fn edit_folder(&self, edit: &FolderEdit) -> Result<Option<Folder>> {
        self.change(self.inner.edit_folder(edit)).await
    }

    async fn counts(&self, folders: &[FolderId]) -> Result<Vec<Result<FolderCounts>>> {
        self.read(self.inner.counts(folders)).await
    }

    fn rules(&self) -> Option<&dyn Rules> {
        self.inner.rules().map(|_| self as &dyn Rules)
    }

    fn automatic_replies(&self) -> Option<&dyn AutomaticReplies> {
        self.inner
            .automatic_replies()
            .map(|_| self as &dyn AutomaticReplies)
    }

    fn categories(&self) -> Option<&dyn Categories> {
        self.inner.categories().map(|_| self as &dyn Categories)
    }

    fn watching(&self) -> Option<&dyn Watching> {
        self.inner.watching().map(|_| self as &dyn Watching)
    }

    fn drafts(&self) -> Option<&dyn Drafts> {
        self.inner.drafts().map(|_| self as &dyn Drafts)
    }

    fn identities(&self) -> Option<&dyn Identities> {
        self.inner.identities().map(|_| self as &dyn Identities)
    }

    async fn prepare(&self, outgoing: &Outgoing, key: &SendKey) -> Result<SendTicket> {
        self.read(self.inner.prepare(outgoing, key)).await
    }

    async fn dispatch(&self, ticket: &SendTicket) -> Result<Sent> {
        self.change(self.inner.dispatch(ticket)).await
    }

    async fn abandon(&self, ticket: &SendTicket) -> Result<()> {
        self.change(self.inner.abandon(ticket)).await
    }

    async fn confirm(&self, ticket: &SendTicket) -> Result<Confirmation> {
        self.read(self.inner.confirm(ticket)).await
    }

    fn sending_limits(&self) -> Option<SendingLimits> {
        self.inner.sending_limits()
    }

    async fn sync(
        &self,
        cursor: Option<&SyncCursor>,
        scope: &Scope,
        known: &dyn Known,
    ) -> Result<SyncPage> {
        self.read(self.inner.sync(cursor, scope, known)).await
    }

    async fn sync_audited(
        &self,
        cursor: Option<&SyncCursor>,
        scope: &Scope,
        known: &dyn Known,
    ) -> Result<SyncPage> {
        self.read(self.inner.sync_audited(cursor, scope, known))
            .await
    }

    async fn audit(&self, scope: &Scope, window: AuditWindow, known: &dyn Known) -> Result<Audit> {
        self.read(self.inner.audit(scope, window, known)).await
    }

    async fn thread(&self, id: &ThreadId, detail: Detail) -> Result<Thread> {
        self.read(self.inner.thread(id, detail)).await
    }

    async fn threads(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Thread>>> {
        self.read(self.inner.threads(query, detail, page)).await
    }

    async fn apply_to_threads(&self, ids: &[ThreadId], change: &Change) -> Result<Vec<Result<()>>> {
        self.change(self.inner.apply_to_threads(ids, change)).await
    }
}

#[async_trait]
impl Rules for InTime {
    async fn list(&self) -> Result<Vec<Rule>> {
        self.read(Self::part(self.inner.rules())?.list()).await
    }

    async fn create(&self, rule: &NewRule) -> Result<Rule> {
        self.change(Self::part(self.inner.rules())?.create(rule))
            .await
    }

    async fn delete(&self, rule: &RuleId) -> Result<()> {
        self.change(Self::part(self.inner.rules())?.delete(rule))
            .await
    }
}

#[async_trait]
impl AutomaticReplies for InTime {
    async fn get(&self) -> Result<AutomaticReply> {
        self.read(Self::part(self.inner.automatic_replies())?.get())
            .await
    }

    async fn set(&self, reply: &AutomaticReply) -> Result<AutomaticReply> {
        self.change(Self::part(self.inner.automatic_replies())?.set(reply))
            .await
    }
}

#[async_trait]
impl Watching for InTime {
    async fn watch(&self, target: &WatchTarget) -> Result<Watch> {
        self.change(Self::part(self.inner.watching())?.watch(target))
            .await
    }

    async fn renew(&self, watch: &Watch) -> Result<Renewed> {
        self.change(Self::part(self.inner.watching())?.renew(watch))
            .await
    }

    async fn unwatch(&self, watch: &Watch) -> Result<()> {
        self.change(Self::part(self.inner.watching())?.unwatch(watch))
            .await
    }
}

#[async_trait]
impl Categories for InTime {
    async fn list(&self) -> Result<Vec<Category>> {
        self.read(Self::part(self.inner.categories())?.list()).await
    }

    async fn create(&self, name: &str, color: Option<CategoryColor>) -> Result<Category> {
        self.change(Self::part(self.inner.categories())?.create(name, color))
            .await
    }

    async fn set_color(
        &self,
        category: &CategoryId,
        color: Option<CategoryColor>,
    ) -> Result<Category> {
        let categories = Self::part(self.inner.categories())?;
        self.change(categories.set_color(category, color)).await
    }

    async fn delete(&self, category: &CategoryId) -> Result<()> {
        self.change(Self::part(self.inner.categories())?.delete(category))
            .await
    }
}

#[async_trait]
impl Identities for InTime {
    async fn list(&self) -> Result<Vec<Identity>> {
        self.read(Self::part(self.inner.identities())?.list()).await
    }
}

#[async_trait]
impl Drafts for InTime {
    async fn create(&self, outgoing: &Outgoing) -> Result<Draft> {
        self.change(Self::part(self.inner.drafts())?.create(outgoing))
            .await
    }

    async fn list(&self, detail: Detail, page: PageRequest) -> Result<Page<Result<Draft>>> {
        self.read(Self::part(self.inner.drafts())?.list(detail, page))
            .await
    }

    async fn get(&self, draft: &DraftId, detail: Detail) -> Result<Draft> {
        self.read(Self::part(self.inner.drafts())?.get(draft, detail))
            .await
    }

    async fn find(&self, message: &MessageId) -> Result<Draft> {
        self.read(Self::part(self.inner.drafts())?.find(message))
            .await
    }

    async fn update(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
        edit: &DraftEdit,
    ) -> Result<Draft> {
        let drafts = Self::part(self.inner.drafts())?;
        self.change(drafts.update(draft, expected, edit)).await
    }

    async fn prepare(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
        key: &SendKey,
    ) -> Result<SendTicket> {
        let drafts = Self::part(self.inner.drafts())?;
        self.read(drafts.prepare(draft, expected, key)).await
    }

    async fn discard(&self, draft: &DraftId) -> Result<()> {
        self.change(Self::part(self.inner.drafts())?.discard(draft))
            .await
    }
}
