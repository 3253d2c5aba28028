//! Gmail as a [`MailProvider`]: its public type, and which file does what. `api.rs` has the endpoints, `wire.rs` their
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
    AutomaticReplies, Capabilities, Drafts, FoldersPerMessage, Identities, Known, MailProvider,
    Rules, SyncPage, Thread, Watching,
};
use crate::sync::{Guards, Mode};

/// A Gmail mailbox, personal or of a Workspace, over its REST API.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use postroom::credentials::TokenSource;
/// use postroom::http::{Connection, ReqwestTransport};
/// use postroom::{Detail, Gmail, MailProvider, PageRequest, Query};
///
/// # async fn newest(tokens: Arc<dyn TokenSource>) -> postroom::Result<()> {
/// let transport = Arc::new(ReqwestTransport::new()?);
/// let gmail = Gmail::new(Connection::new(transport, tokens))?;
/// let page = gmail
///     .list(&Query::inbox(), Detail::Headers, PageRequest::first())
///     .await?;
/// for message in page.items {
///     println!("{}", message?.subject.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What is particular to Gmail
/// * Labels are folders, and a message can be in any number of them. Read, starred, important and draft are keywords;
///   there are no others, and drafts are made and unmade by Gmail alone. A label whose name has slashes is a child of
///   the label that is called as what stands before one, if there is such a label.
/// * [`Change::Archive`] takes a message out of the inbox; its labels stay. [`Change::MoveTo`] without `from` takes it out of
///   inbox, spam and trash. Nothing can be moved into or out of sent mail and drafts. [`Change::Restore`] and
///   [`Change::NotJunk`] put a message into the inbox, wherever it had been before.
/// * More than ten messages are changed in one request for each thousand, which costs 50 units and says nothing about
///   single messages: one that is gone is told as changed. [`with_every_outcome`](Self::with_every_outcome) asks for each.
///   A few are deleted one by one, more in one request for each thousand.
/// * Attachments come as they are read, but for messages attached to others, to which Gmail often gives no way of its own:
///   the whole message around one is then read into memory, up to 72 MiB.
/// * A label that is renamed or moved takes those below it along, one request for each 25; Gmail itself does not. If some of
///   them cannot be renamed, the others have their new names. A label that is deleted goes with those below it, and its
///   messages stay. Colours are Gmail's own 113. [`counts`](MailProvider::counts) costs one unit for each label.
/// * Rules are filters: without names, at most 1,000, and none is the same twice. What they ask for beyond the model (a
///   search, say) or do (a star, forwarding) is shown and not made.
/// * Every message read costs 20 quota units with any detail, so a page of [`Detail::Ids`] costs 5 and one of 50 messages
///   1,005 (<https://developers.google.com/workspace/gmail/api/reference/quota>).
/// * Of messages that a listing named, three or more of one conversation are read as a conversation, for 40 units;
///   [`hydrate`](MailProvider::hydrate) does so too, and [`messages`](MailProvider::messages) looks up to 3,000 messages ahead
///   for them.
/// * [`Message::facts`] knows which part is an invitation or a delivery report; their bytes are attachments to fetch.
/// * A conversation is read in one request of 40 units, and changed in one of 10, all of its messages but drafts; a list of
///   conversations costs 10, and 40 more for each whose messages are wanted.
/// * Most queries are exact. Filtered here, from headers, are whole addresses (Gmail finds their words, in longer addresses
///   and in names too), `To` (Gmail finds other recipients too), and labels of the user's own within `Or` and `Not`:
///   [`plan`](MailProvider::plan) tells. `Answered` and custom keywords are refused, as Gmail has neither.
///   `InRole(Archive)` is received mail that is not in the inbox; an attachment is what Gmail's `has:attachment` finds.
/// * An attachment's id is its place in the message. [`attachment`](MailProvider::attachment) takes two requests: Gmail's own
///   name for its bytes does not last.
/// * A round of a [`sync`](MailProvider::sync) in which nothing happened is one request of 3 units. Labels that came or went
///   are told without reading the message; new messages, and what comes back into the scope, cost 20 units each. Gmail
///   remembers what happened for about a week. After that, and after a change of scope, the host's ids are compared with
///   Gmail's, label by label, at 5 units for 500 ids; an [`audit`](MailProvider::audit) does the same.
/// * What happens is told to a topic of Google Cloud Pub/Sub, of the project in which the application is registered; a
///   [watch](crate::Mailbox::watch) takes 101 units, lasts for a week, and is the registration's only one for the mailbox: one
///   for another topic is ended first, as Gmail refuses a second. What is told names the mailbox by its address.
/// * With [`Access::READ_WRITE`], or [`Access::DRAFT`] beside [`Access::READ`], a send is a draft that is then sent. What became
///   of it is told once its copy is there; that it was not sent, while the draft is there. A draft that somebody threw away
///   stays unknown. With less the message is uploaded but for its end, which the ticket holds, for as long as Gmail keeps an
///   upload: about a week, and so long it tells what became of it, by an older guide of Google's. After that only the copy
///   does, with [`Access::READ`]. Messages have at most 35 MiB, files in base64 included. Gmail gives every message a
///   `Message-ID` of its own.
/// * What is sent goes into the conversation that it names if it answers one of its messages and has the same subject, and into
///   one of its own otherwise (<https://developers.google.com/workspace/gmail/api/guides/threads>): [`Sent::thread`] tells.
///   Nothing can be scheduled: a ticket can be kept and dispatched later.
/// * The revision of a draft is the id of its message, which each change replaces, here and in Gmail's own programs. Gmail has
///   no conditional change: the revision is looked at after everything was read and just before it is written. A change of a
///   draft takes 55 units, 20 more where no revision is given, and brings its message here and back; to
///   [prepare](Drafts::prepare) it is such a change, of 75 units, and sending it 100 more. Gmail's programs may give an edited
///   draft another id (<https://github.com/taylorwilsdon/google_workspace_mcp/issues/943>).
/// * Authors are the `sendAs` addresses. Mail from any other is sent as from the mailbox's own, by Gmail.
/// * Imported messages have at most 150 MiB, no tags and no answered mark, and go among no drafts. They count as received when
///   they say that they were sent, or now. [`ImportWay::Append`](crate::ImportWay::Append) is Gmail's `insert`, the others are
///   its `import`, which refuses messages without an author and gives a message that is there already only its labels. Both
///   put a `Received` line before the message.
#[derive(Clone, Debug)]
pub struct Gmail {
    api: Api,
    access: Access,
    guards: Guards,
    /// Held while a watch is set up or ended: two at once would be in each other's way.
    watching: Arc<tokio::sync::Mutex<()>>,
    /// Up to how many messages are changed one by one.
    one_by_one: usize,
    capabilities: Capabilities,
    sending_limits: SendingLimits,
}

impl Gmail {
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
            access,
            guards: Guards::default(),
            watching: Arc::default(),
            one_by_one: changing::ONE_BY_ONE,
            capabilities: capabilities(access, changing::ONE_BY_ONE),
            sending_limits: quota::sending_limits(AccountType::default()),
        })
    }

    /// Uses another service with Gmail's own paths below this address, which begin with `gmail/v1/`, `upload/gmail/v1/` and
    /// `batch/gmail/v1`: a proxy or an emulator.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] unless it is `https`, or `http` on a loopback address.
    pub fn with_api_endpoint(mut self, endpoint: Url) -> Result<Self> {
        self.api = self.api.at(endpoint)?;
        Ok(self)
    }

    /// Says what the user has granted. Calls beyond it are refused before anything is sent.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self.capabilities = capabilities(access, self.one_by_one);
        self
    }

    /// Tells of every message that is changed whether it was there, however many there are. Many messages are then changed
    /// in 40 times as many requests, at up to 100 times the quota units: 5 for each.
    ///
    /// Two things stay as they are: [`Change::Delete`] still takes many messages at once and tells none that is gone, which
    /// is what was asked for; and a change of conversations is told for each conversation, not for its messages.
    #[must_use]
    pub fn with_every_outcome(mut self) -> Self {
        self.one_by_one = usize::MAX;
        self.capabilities = capabilities(self.access, self.one_by_one);
        self
    }

    /// Opens the mailbox of another user, by address. Gmail allows it to a service account that acts for this user.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.api = self.api.with_user(user.into());
        self
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

    /// A query in Gmail's own search language (<https://support.google.com/mail/answer/7190>), for what [`Query`] has no
    /// word for. It is sent as it is: an operator that Gmail does not know finds nothing, without an error.
    #[must_use]
    pub fn native_query(text: impl Into<String>) -> Query {
        Query::Native(NativeQuery::new(query::LANGUAGE, text))
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

fn capabilities(access: Access, one_by_one: usize) -> Capabilities {
    let change = access.contains(Access::READ_WRITE);
    Capabilities {
        folders_per_message: FoldersPerMessage::Many,
        change,
        missing_told_up_to: one_by_one,
        delete: access.contains(Access::DELETE),
        edit_folders: change,
        folder_colors: change,
        counts: access.contains(Access::READ),
        rules: access.contains(Access::SETTINGS),
        automatic_replies: access.contains(Access::SETTINGS),
        send: access.contains(Access::SEND),
        confirm_send: access.contains(Access::SEND),
        drafts: sending::keeps_drafts(access),
        identities: access.contains(Access::READ) || access.contains(Access::SETTINGS),
        import: change,
        // As in the examples of <https://support.google.com/a/answer/13198639>.
        authentication_server: Some(AuthenticationServer::Named("mx.google.com".to_owned())),
        sync: access.contains(Access::READ),
        sync_moves: access.contains(Access::READ),
        audit: access.contains(Access::READ),
        watch: access.contains(Access::READ).then_some(WatchKind::Topic),
        threads: access.contains(Access::READ),
        plan_queries: true,
        ..Capabilities::new("gmail")
    }
}

#[async_trait]
impl MailProvider for Gmail {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
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
        Ok(quota::estimate(&self.api.client, work, self.one_by_one))
    }

    async fn profile(&self) -> Result<Profile> {
        if !self.access.contains(Access::DRAFT) {
            self.require(Access::READ)?;
        }
        convert::profile(self.api.profile().await?)
    }

    async fn folders(&self) -> Result<Vec<Folder>> {
        self.require(Access::READ)?;
        folders::list(&self.api).await
    }

    async fn list(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Message>>> {
        self.require(Access::READ)?;
        reading::list(&self.api, query, detail, &page).await
    }

    fn messages(
        &self,
        query: &Query,
        detail: Detail,
        page: &PageRequest,
    ) -> Option<BoxStream<'static, Result<Message>>> {
        self.require(Access::READ).ok()?;
        if page.token.is_some() || page.size.is_some() {
            return None;
        }
        reading::stream(&self.api, query, detail)
    }

    fn plan(&self, query: &Query) -> Result<QueryPlan> {
        query::plan(query)
    }

    async fn get(&self, ids: &[MessageId], detail: Detail) -> Result<Vec<Result<Message>>> {
        self.require(Access::READ)?;
        Ok(reading::get(&self.api, ids, detail).await)
    }

    async fn hydrate(&self, listed: &[Message], detail: Detail) -> Result<Vec<Result<Message>>> {
        self.require(Access::READ)?;
        let wanted: Vec<reading::Listed> = listed.iter().map(reading::Listed::new).collect();
        Ok(reading::hydrate(&self.api, &wanted, detail).await)
    }

    async fn raw(&self, id: &MessageId) -> Result<ByteStream> {
        self.require(Access::READ)?;
        reading::raw(&self.api, id).await
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
        changing::apply(&self.api, ids, change, self.one_by_one).await
    }

    async fn edit_folder(&self, edit: &FolderEdit) -> Result<Option<Folder>> {
        self.require(Access::READ_WRITE)?;
        folders::edit(&self.api, edit).await
    }

    async fn counts(&self, folders: &[FolderId]) -> Result<Vec<Result<FolderCounts>>> {
        self.require(Access::READ)?;
        folders::counts(&self.api, folders).await
    }

    fn rules(&self) -> Option<&dyn Rules> {
        Some(self)
    }

    fn automatic_replies(&self) -> Option<&dyn AutomaticReplies> {
        Some(self)
    }

    async fn import(&self, message: &Content, options: &ImportOptions) -> Result<Imported> {
        self.require(Access::READ_WRITE)?;
        importing::import(&self.api, message, options).await
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

    async fn prepare(&self, outgoing: &Outgoing, _: &SendKey) -> Result<SendTicket> {
        self.require(Access::SEND)?;
        sending::prepare(&self.api, self.access, outgoing).await
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
        sending::confirm(&self.api, self.access, ticket).await
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
            cursor,
            scope,
            known,
            Mode::new(self.guards, true),
        )
        .await
    }

    async fn audit(&self, scope: &Scope, window: AuditWindow, known: &dyn Known) -> Result<Audit> {
        self.require(Access::READ)?;
        sync::audit(&self.api, scope, window, known).await
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
        threads::list(&self.api, query, detail, &page).await
    }

    async fn apply_to_threads(&self, ids: &[ThreadId], change: &Change) -> Result<Vec<Result<()>>> {
        self.require(change.access())?;
        threads::apply(&self.api, ids, change).await
    }
}
