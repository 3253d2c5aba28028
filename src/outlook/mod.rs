//! Outlook as a [`MailProvider`]: its public type, and which file does what. `api.rs` has the endpoints, `wire.rs` their
//! JSON, `convert.rs` what it means in the model, `query.rs` searches, `quota.rs` limits, `batch.rs` many calls in one,
//! `reading.rs`, `attachments.rs`, `threads.rs`, `changing.rs`, `folders.rs`, `settings.rs`, `identities.rs`, `drafts.rs`,
//! `importing.rs`, `sending.rs`, `sync.rs` and `watch.rs` what takes several calls, `error.rs` refusals.

mod api;
mod attachments;
mod batch;
mod changing;
mod convert;
mod drafts;
mod error;
mod folders;
mod identities;
mod importing;
mod query;
mod quota;
mod reading;
mod sending;
mod settings;
mod sync;
mod threads;
mod watch;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use url::Url;

use self::api::Api;
use self::reading::OwnFolders;
use crate::error::{Action, Error, ErrorKind, Result};
use crate::http::Connection;
use crate::model::{
    Access, AccountType, AttachmentId, Audit, AuditWindow, AuthenticationServer, ByteStream,
    Change, Confirmation, Content, Detail, Estimate, Folder, FolderCounts, FolderEdit, FolderId,
    ImportOptions, Imported, Lane, Message, MessageId, NativeQuery, Outgoing, Page, PageRequest,
    Profile, Query, QueryPlan, Scope, SendKey, SendTicket, SendingLimits, Sent, Spent, SyncCursor,
    Terms, ThreadId, WatchKind, Work,
};
use crate::provider::{
    AutomaticReplies, Capabilities, Categories, Drafts, FoldersPerMessage, Identities, Known,
    MailProvider, Rules, SyncPage, Thread, Watching,
};
use crate::sync::{Guards, Mode};

/// An Outlook mailbox, at work, at school or personal, over Microsoft Graph.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use postroom::credentials::TokenSource;
/// use postroom::http::{Connection, ReqwestTransport};
/// use postroom::{Detail, MailProvider, Outlook, PageRequest, Query};
///
/// # async fn newest(tokens: Arc<dyn TokenSource>) -> postroom::Result<()> {
/// let transport = Arc::new(ReqwestTransport::new()?);
/// let outlook = Outlook::new(Connection::new(transport, tokens))?;
/// let page = outlook
///     .list(&Query::inbox(), Detail::Headers, PageRequest::first())
///     .await?;
/// for message in page.items {
///     println!("{}", message?.subject.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What is particular to Outlook
/// * A message is in exactly one folder; its id is the immutable one, which survives moves within the mailbox
///   (<https://learn.microsoft.com/graph/outlook-immutable-id>).
/// * [`Keyword::Custom`](crate::Keyword::Custom) is a category. What was answered is not told.
/// * [`Change::Archive`] moves to the archive folder from wherever the message lies, [`Change::Trash`] to the deleted
///   items, and [`Change::MoveTo`] from whichever folder it is in. [`Change::Restore`] and [`Change::NotJunk`] put it
///   into the inbox: where it had been before is not told.
/// * Changes go in batches of 20, and what became of each message is told. A category takes two requests for each, since a
///   message's categories are one list; with [`Access::SETTINGS`] one that is not in the mailbox's list yet is put there, with
///   a colour.
/// * A folder is deleted by moving it to the deleted items, messages and all; from there it is not deleted by this crate.
///   Hidden folders are listed as [`hidden`](Folder::hidden). Folders have no colours.
/// * Rules are those of the inbox. What they ask for beyond the model (exceptions, say) or do (forwarding) is shown and not
///   made. A condition with exact addresses is read as one that looks for them.
/// * A body is either HTML or text: what Outlook keeps of a message that had both is the HTML, made safe by the service;
///   [`with_text_bodies`](Self::with_text_bodies) has it made into text.
///   Bytes of [`raw`](MailProvider::raw) are written anew and are not those that were received.
/// * An invitation comes apart: that a message is one is known by its header, and only the raw message, which
///   [`Mailbox::facts`](crate::Mailbox::facts) reads, has the iCalendar part. Drafts and mail that was sent from here have no header
///   lines to tell anything from.
/// * An attached message, event or contact is an attachment like others; which of them it is takes one more request for
///   each when a message is read whole. A link to a file elsewhere has neither bytes nor, at Graph, an address.
/// * [`list`](MailProvider::list) takes one request whatever the detail. Unless the query names a folder, Graph lists
///   junk and deleted items too; they are left out of each page here, so that pages may be short.
/// * A conversation is read in one request that looks through all folders, and changed message by message, in batches. A list
///   of conversations is made of pages of messages, and takes one more request for each whose messages are wanted.
///   Archived or moved as a whole, its sent messages stay where they are, and of an archived one only what is in the inbox
///   leaves its folder.
/// * A query goes out either as comparisons or as a search for words: Graph takes not both at once. Comparisons (`From` with
///   a whole address, folders, keywords, instants, `HasAttachment`) are exact. A search for words (every other value,
///   names of attachments, sizes) finds words by their beginnings, so that what it finds is read and filtered here, with
///   whatever else the query asks; for `Word` and `Phrase` that reads whole messages.
///   [`plan`](MailProvider::plan) tells. It finds what was sent last first, and 1,000 messages at a time; it is then
///   asked again. Refused are words without anything that narrows them down (`Or` with a keyword, say), and sizes beside
///   what only comparisons can say, in an `Or`. `HasAttachment` does not see attachments that are only shown within the
///   text.
/// * With [`Access::READ_WRITE`] or [`Access::DRAFT`] a send is a draft that is then sent: files of up to 150 MB, an id
///   for what was sent, and [`confirm`](MailProvider::confirm). A message of more than about 2.6 MB is put together from its
///   parts: it has one body, the HTML if there is one, and what Outlook cannot say of it then (an invitation, header lines
///   other than five that begin with `X-`, leaving a list by one click, a receipt to somebody else) is refused. How large a
///   message may be as a whole, 35 MB unless an administrator says otherwise, is told when it is sent. With [`Access::SEND`]
///   alone the ticket holds the message, of at most 3 MB, nothing can be scheduled, and a lost answer stays unknown:
///   [`Capabilities::confirm_send`] says so beforehand.
/// * A send under a key of the host's takes three requests more. One looks for a draft that a process left under the key
///   when it died, which is thrown away once it has lain for ten minutes (a younger one stays: somebody may be sending it),
///   one marks the draft, and one looks before the draft is dispatched whether it is still there: what lies among the deleted
///   items is not sent. [`Mailbox::send`](crate::Mailbox::send), whose key nobody can repeat, does without. Two tickets that
///   were prepared under one key within ten minutes are two messages.
/// * `confirm` says [`NotSent`](Confirmation::NotSent) of what is still a draft, also among the deleted items. Of a draft that is gone for
///   good it says nothing, unless a copy among the sent items carries the key.
/// * A message with [`send_at`](Outgoing::send_at) waits in the outbox once it was dispatched (a property of Exchange's that
///   Graph documents as such only, and does not promise). [`Drafts::discard`] with the id of what was sent calls it back.
/// * A draft's id is its message's. What is discarded lies among the deleted items. An edit is not one step: its files are
///   added and taken away one by one after the rest. Graph sends no draft on a condition; that nobody changed it since it was
///   prepared is looked for just before.
/// * The [identities](MailProvider::identities) are the addresses at which the mailbox receives mail. Whether it may send
///   from others than the first is the organisation's to allow, and not told.
/// * Mail that is [imported](MailProvider::import) is written anew: as received, with its dates, header, text and files of up
///   to 3 MB each, 36 MB in all; other forms of the text, signatures and encryption are lost. It is in one folder. Without a folder it goes
///   to the archive. That Exchange takes a message for one that was received is not documented at Graph; where it does not,
///   the import is refused and leaves nothing.
/// * A round of a [`sync`](MailProvider::sync) asks every folder of its scope, and the tree of folders, 20 to the HTTP request.
///   What is new in a folder is read one by one, in batches; what only changed its state is told without. Whether what
///   left a folder is deleted takes one request each, unless it is seen in another folder. A folder whose changes the
///   service no longer knows is walked through anew, 1,000 states in a request.
/// * With ids that never change, Graph forgets a message that left a folder and came back between two rounds. It is found when
///   it leaves; that it is later changed or deleted is found in audited rounds.
/// * What happens is told to an address of the host's, in all folders or in one; a [watch](crate::Mailbox::watch) takes one
///   request and lasts for almost seven days. Graph calls that address before it agrees, so that it must be up. A mailbox that
///   is somebody else's can be watched by an application only ([`with_application_tokens`](Self::with_application_tokens)),
///   not with a user's tokens.
/// * An [`audit`](MailProvider::audit) lists the state of every message, 1,000 in a request.
#[derive(Clone, Debug)]
pub struct Outlook {
    api: Api,
    own_folders: Arc<OwnFolders>,
    access: Access,
    guards: Guards,
    /// Whether a category that is set may be put into the mailbox's list, if the grant covers it.
    lists_categories: bool,
    /// Whether the tokens are an application's own.
    is_application: bool,
    capabilities: Capabilities,
    sending_limits: SendingLimits,
}

impl Outlook {
    /// The mailbox of the user whose tokens `connection` carries, with [`Access::default`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when the service's address cannot be used.
    pub fn new(connection: Connection) -> Result<Self> {
        let endpoint = Url::parse(api::ENDPOINT).map_err(|error| {
            Error::new(ErrorKind::Configuration, "the endpoint is no address").with_source(error)
        })?;
        let access = Access::default();
        Ok(Self {
            api: Api::new(&connection, endpoint, "me".to_owned())?,
            own_folders: Arc::default(),
            access,
            guards: Guards::default(),
            lists_categories: true,
            is_application: false,
            capabilities: capabilities(access),
            sending_limits: quota::sending_limits(AccountType::default()),
        })
    }

    /// Uses another service with Graph's own paths, which begin with `v1.0/` below this address: a sovereign cloud, a proxy
    /// or an emulator.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] unless it is `https`, or `http` on a loopback address.
    pub fn with_api_endpoint(mut self, endpoint: Url) -> Result<Self> {
        self.api = self.api.at(endpoint)?;
        self.own_folders = Arc::default();
        Ok(self)
    }

    /// Asks for bodies as text, which the service makes of the HTML that it keeps: for hosts that show or search text alone.
    /// Nothing is [`inline`](crate::Attachment::inline) then, since no HTML refers to it.
    #[must_use]
    pub fn with_text_bodies(mut self) -> Self {
        self.api = self.api.with_text_bodies(true);
        self
    }

    /// Says what the user has granted. Calls beyond it are refused before anything is sent.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self.capabilities = capabilities(access);
        self.watching_what_may_be()
    }

    /// Says that the tokens are an application's own and not a user's. Only an application is told what happens in
    /// mailboxes of others than the user of its tokens.
    #[must_use]
    pub fn with_application_tokens(mut self) -> Self {
        self.is_application = true;
        self.watching_what_may_be()
    }

    fn watching_what_may_be(mut self) -> Self {
        let may =
            self.access.contains(Access::READ) && (self.is_application || !self.api.is_anothers());
        self.capabilities.watch = may.then_some(WatchKind::Webhook);
        self
    }

    /// Opens the mailbox of another user, by id or address: one shared with the user of the tokens, or any that an
    /// application may open.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.api = self.api.with_user(user.into());
        self.own_folders = Arc::default();
        self.watching_what_may_be()
    }

    /// Says whose account it is, which decides how much may be sent from it
    /// ([`sending_limits`](MailProvider::sending_limits)). Without this it is taken for a person's own.
    #[must_use]
    pub fn with_account_type(self, account: AccountType) -> Self {
        self.with_sending_limits(quota::sending_limits(account))
    }

    /// Says how much may be sent from this account, where that is known better.
    #[must_use]
    pub fn with_sending_limits(mut self, limits: SendingLimits) -> Self {
        self.sending_limits = limits;
        self
    }

    /// The same mailbox, for calls that are less urgent (or more): they give way to those of a more urgent lane. Handles
    /// made from one another share their limits.
    #[must_use]
    pub fn with_lane(mut self, lane: Lane) -> Self {
        self.api.client.lane = lane;
        self
    }

    /// Syncs without one of the rules that keep mail safe: for tests that want to see what becomes of it.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    #[must_use]
    pub fn without_sync_rule(mut self, rule: crate::sync::SyncRule) -> Self {
        self.guards = Guards::without(rule);
        self
    }

    /// What was asked of the service through this handle and those that share its limits.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.api.client.limiter.spent()
    }

    /// A query as Graph's `$filter` on messages (<https://learn.microsoft.com/graph/filter-query-parameter>), for what
    /// [`Query`] has no word for. It is sent as it is.
    #[must_use]
    pub fn native_filter(text: impl Into<String>) -> Query {
        Query::Native(NativeQuery::new(query::FILTER, text))
    }

    /// A query in the language of Graph's `$search` on messages, without the quotes around it
    /// (<https://learn.microsoft.com/graph/search-query-parameter>). It is sent as it is.
    #[must_use]
    pub fn native_search(text: impl Into<String>) -> Query {
        Query::Native(NativeQuery::new(query::SEARCH, text))
    }

    fn require(&self, access: Access) -> Result<()> {
        if self.access.contains(access) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "this needs the access `{}`, and what was granted is `{}`",
                access, self.access
            ),
        )
        .with_action(Action::GrantMore(access)))
    }
}

fn capabilities(access: Access) -> Capabilities {
    let change = access.contains(Access::READ_WRITE);
    Capabilities {
        folders_per_message: FoldersPerMessage::One,
        change,
        delete: access.contains(Access::DELETE),
        copy: change,
        edit_folders: change,
        counts: access.contains(Access::READ),
        rules: access.contains(Access::SETTINGS),
        automatic_replies: access.contains(Access::SETTINGS),
        categories: access.contains(Access::SETTINGS),
        send: access.contains(Access::SEND),
        scheduled_send: access.contains(Access::SEND) && sending::keeps_drafts(access),
        drafts: sending::keeps_drafts(access),
        identities: access.contains(Access::READ) || access.contains(Access::SETTINGS),
        import: change,
        confirm_send: access.contains(Access::SEND) && sending::keeps_drafts(access),
        plan_queries: true,
        custom_keywords: access.contains(Access::READ_WRITE),
        authentication_server: Some(AuthenticationServer::Unnamed),
        sync: access.contains(Access::READ),
        sync_moves: access.contains(Access::READ),
        audit: access.contains(Access::READ),
        watch: access.contains(Access::READ).then_some(WatchKind::Webhook),
        threads: access.contains(Access::READ),
        ..Capabilities::new("outlook")
    }
}

#[async_trait]
impl MailProvider for Outlook {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn restricted(&self, access: Access) -> Option<Arc<dyn MailProvider>> {
        // The list of categories is a setting, which marking a message with a new one writes too.
        let mut restricted = self.clone();
        restricted.lists_categories &= access.contains(Access::SETTINGS);
        Some(Arc::new(restricted))
    }

    fn sending_limits(&self) -> Option<SendingLimits> {
        Some(self.sending_limits.clone())
    }

    fn on_terms(&self, terms: &Terms) -> Option<Arc<dyn MailProvider>> {
        let mut provider = self.clone();
        provider.api.client.agree(terms);
        Some(Arc::new(provider))
    }

    fn spent(&self) -> Option<Spent> {
        Some(self.api.client.limiter.spent())
    }

    fn cost(&self, work: &Work<'_>) -> Result<Estimate> {
        Ok(quota::estimate(work))
    }

    async fn profile(&self) -> Result<Profile> {
        convert::profile(self.api.profile().await?)
    }

    async fn probe(&self) -> Result<()> {
        // Whoever may write drafts here may read.
        if !self.access.contains(Access::DRAFT) {
            self.require(Access::READ)?;
        }
        reading::probe(&self.api).await
    }

    async fn folders(&self) -> Result<Vec<Folder>> {
        self.require(Access::READ)?;
        reading::folders(&self.api, &self.own_folders).await
    }

    async fn list(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Message>>> {
        self.require(Access::READ)?;
        reading::list(&self.api, &self.own_folders, query, detail, &page).await
    }

    fn messages(
        &self,
        query: &Query,
        detail: Detail,
        page: &PageRequest,
    ) -> Option<BoxStream<'static, Result<Message>>> {
        self.require(Access::READ).ok()?;
        if page.token.is_some() || !query::divides(query) {
            return None;
        }
        reading::stream(&self.api, &self.own_folders, query, detail, page.size)
    }

    fn plan(&self, query: &Query) -> Result<QueryPlan> {
        query::plan(query)
    }

    async fn get(&self, ids: &[MessageId], detail: Detail) -> Result<Vec<Result<Message>>> {
        self.require(Access::READ)?;
        reading::get(&self.api, ids, detail).await
    }

    async fn raw(&self, id: &MessageId) -> Result<ByteStream> {
        self.require(Access::READ)?;
        self.api.raw(id.as_str()).await
    }

    async fn attachment(
        &self,
        message: &MessageId,
        attachment: &AttachmentId,
    ) -> Result<ByteStream> {
        self.require(Access::READ)?;
        attachments::attachment(&self.api, message, attachment).await
    }

    async fn apply(&self, ids: &[MessageId], change: &Change) -> Result<Vec<Result<()>>> {
        self.require(change.access())?;
        let lists_categories = self.lists_categories && self.access.contains(Access::SETTINGS);
        changing::apply(&self.api, ids, change, lists_categories).await
    }

    async fn copy(&self, ids: &[MessageId], to: &FolderId) -> Result<Vec<Result<MessageId>>> {
        self.require(Access::READ_WRITE)?;
        Ok(changing::copy(&self.api, ids, to).await)
    }

    async fn edit_folder(&self, edit: &FolderEdit) -> Result<Option<Folder>> {
        self.require(Access::READ_WRITE)?;
        folders::edit(&self.api, &self.own_folders, edit).await
    }

    async fn counts(&self, folders: &[FolderId]) -> Result<Vec<Result<FolderCounts>>> {
        self.require(Access::READ)?;
        folders::counts(&self.api, folders).await
    }

    async fn import(&self, message: &Content, options: &ImportOptions) -> Result<Imported> {
        self.require(Access::READ_WRITE)?;
        importing::import(&self.api, &self.own_folders, message, options).await
    }

    fn watching(&self) -> Option<&dyn Watching> {
        Some(self)
    }

    fn drafts(&self) -> Option<&dyn Drafts> {
        Some(self)
    }

    fn identities(&self) -> Option<&dyn Identities> {
        Some(self)
    }

    fn rules(&self) -> Option<&dyn Rules> {
        Some(self)
    }

    fn automatic_replies(&self) -> Option<&dyn AutomaticReplies> {
        Some(self)
    }

    fn categories(&self) -> Option<&dyn Categories> {
        Some(self)
    }

    async fn prepare(&self, outgoing: &Outgoing, key: &SendKey) -> Result<SendTicket> {
        self.require(Access::SEND)?;
        sending::prepare(&self.api, self.access, outgoing, key).await
    }

    async fn dispatch(&self, ticket: &SendTicket) -> Result<Sent> {
        self.require(Access::SEND)?;
        sending::dispatch(&self.api, ticket).await
    }

    async fn abandon(&self, ticket: &SendTicket) -> Result<()> {
        self.require(Access::SEND)?;
        sending::abandon(&self.api, ticket).await
    }

    async fn confirm(&self, ticket: &SendTicket) -> Result<Confirmation> {
        self.require(Access::SEND)?;
        sending::confirm(&self.api, ticket).await
    }

    async fn sync(
        &self,
        cursor: Option<&SyncCursor>,
        scope: &Scope,
        known: &dyn Known,
    ) -> Result<SyncPage> {
        self.require(Access::READ)?;
        sync::page(
            &self.api,
            &self.own_folders,
            cursor,
            scope,
            known,
            Mode::new(self.guards, false),
        )
        .await
    }

    async fn sync_audited(
        &self,
        cursor: Option<&SyncCursor>,
        scope: &Scope,
        known: &dyn Known,
    ) -> Result<SyncPage> {
        self.require(Access::READ)?;
        sync::page(
            &self.api,
            &self.own_folders,
            cursor,
            scope,
            known,
            Mode::new(self.guards, true),
        )
        .await
    }

    async fn audit(&self, scope: &Scope, window: AuditWindow, known: &dyn Known) -> Result<Audit> {
        self.require(Access::READ)?;
        sync::audit(&self.api, &self.own_folders, scope, window, known).await
    }

    async fn thread(&self, id: &ThreadId, detail: Detail) -> Result<Thread> {
        self.require(Access::READ)?;
        threads::get(&self.api, id, detail).await
    }

    async fn threads(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Thread>>> {
        self.require(Access::READ)?;
        threads::list(&self.api, &self.own_folders, query, detail, page).await
    }

    async fn apply_to_threads(&self, ids: &[ThreadId], change: &Change) -> Result<Vec<Result<()>>> {
        self.require(change.access())?;
        let lists_categories = self.lists_categories && self.access.contains(Access::SETTINGS);
        threads::apply(&self.api, &self.own_folders, ids, change, lists_categories).await
    }
}
