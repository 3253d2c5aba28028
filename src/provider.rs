//! What a mail service must be able to do: [`MailProvider`], the contract behind every mailbox, and
//! [`Capabilities`], what each implementation says of itself. Conveniences are `Mailbox`'s.

mod facets;
mod syncing;
mod trail;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::error::{Error, Result};
use crate::model::{
    Access, AttachmentId, Audit, AuditWindow, AuthenticationServer, ByteStream, Change,
    Confirmation, Content, Detail, Estimate, Folder, FolderCounts, FolderEdit, FolderId,
    ImportOptions, Imported, Message, MessageId, Outgoing, Page, PageRequest, Profile, Query,
    QueryPlan, Scope, SendKey, SendTicket, SendingLimits, Sent, Spent, SyncCursor, Terms, ThreadId,
    WatchKind, Work,
};

pub use facets::{AutomaticReplies, Categories, Drafts, Identities, Rules, Watching};
pub use syncing::{Known, SyncChange, SyncPage};
pub(crate) use trail::Trail;

/// A mail service, seen through one mailbox.
///
/// The trait is small on purpose: bulk in, page out. Hosts hold a [`Mailbox`](crate::Mailbox), which is built on it.
///
/// # Contract
/// * Every call may be dropped at any await without harm; what it had sent may still take effect.
/// * `get` and `apply` answer one result per id, in the order of the ids. One bad message never fails the others.
/// * A page that is short or empty is not the last one unless it has no token.
/// * What [`capabilities`](Self::capabilities) claims is what happens; everything else is
///   [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) with a reason.
/// * Nothing repeats a send that may have taken effect.
/// * No error holds tokens or mail content.
///
/// Methods added later answer `Unsupported` by default.
#[async_trait]
pub trait MailProvider: fmt::Debug + Send + Sync + 'static {
    /// What this provider can do with this mailbox.
    fn capabilities(&self) -> &Capabilities;

    /// The same mailbox for a handle that may do no more than `access`; see [`Mailbox::restrict`](crate::Mailbox::restrict),
    /// which refuses calls beyond it by itself. A provider that does something else beside what a call asks for gives
    /// one that leaves this out where `access` does not cover it. By default there is nothing to leave out.
    fn restricted(&self, access: Access) -> Option<Arc<dyn MailProvider>> {
        let _ = access;
        None
    }

    /// The same mailbox for calls on these terms; see [`Mailbox::with_lane`](crate::Mailbox::with_lane) and
    /// [`Mailbox::with_cap`](crate::Mailbox::with_cap). `None`, as by default, from a provider that cannot keep to them.
    fn on_terms(&self, terms: &Terms) -> Option<Arc<dyn MailProvider>> {
        let _ = terms;
        None
    }

    /// What was asked of the service so far, by all who share the mailbox's limits, if that is known.
    fn spent(&self) -> Option<Spent> {
        None
    }

    /// What something will cost. It asks nothing.
    fn cost(&self, work: &Work<'_>) -> Result<Estimate> {
        let _ = work;
        Err(Error::unsupported(
            "this provider does not tell what its calls cost",
        ))
    }

    /// Whose mailbox it is. Where the service allows it, this needs no access: [`Access::NONE`] tells as much.
    async fn profile(&self) -> Result<Profile>;

    /// Looks whether the mailbox is there, as cheaply as the service allows.
    /// [`ErrorKind::MailboxUnavailable`](crate::ErrorKind::MailboxUnavailable) says that it is not; any other error that
    /// nobody knows. By default it asks for the profile.
    async fn probe(&self) -> Result<()> {
        self.profile().await.map(drop)
    }

    /// Every folder, the service's own first.
    async fn folders(&self) -> Result<Vec<Folder>>;

    /// One page of the messages that `query` means, newest first, read as far as `detail` asks. A message that
    /// vanished meanwhile is left out; one that could not be read is an error in its place.
    async fn list(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Message>>>;

    /// All messages that `query` means from `page` on, in the order of [`list`](Self::list), for a provider that can read them for
    /// less than page after page, knowing what comes later. What is asked for at once is no longer than the page is to be. An
    /// error about the listing ends the stream. With `None`, the pages of `list` are followed.
    fn messages(
        &self,
        query: &Query,
        detail: Detail,
        page: &PageRequest,
    ) -> Option<BoxStream<'static, Result<Message>>> {
        let _ = (query, detail, page);
        None
    }

    /// What [`list`](Self::list) does to find what `query` means: whether the service finds just that, what is filtered
    /// here, and what it costs. It asks nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) for a query that is none. One that cannot be found
    /// out is no error: the plan says so.
    fn plan(&self, query: &Query) -> Result<QueryPlan> {
        let _ = query;
        Err(Error::unsupported(
            "this provider does not tell how it searches",
        ))
    }

    /// The messages with these ids, read as far as `detail` asks: one answer per id, in order.
    async fn get(&self, ids: &[MessageId], detail: Detail) -> Result<Vec<Result<Message>>>;

    /// The messages that a listing named, read as far as `detail` asks: one answer each, in order. What the listing told of
    /// them (their conversations, say) may make that cheaper than [`get`](Self::get), which is what it is by default.
    async fn hydrate(&self, listed: &[Message], detail: Detail) -> Result<Vec<Result<Message>>> {
        let ids: Vec<MessageId> = listed.iter().map(|message| message.id.clone()).collect();
        self.get(&ids, detail).await
    }

    /// The whole message as RFC 5322, as a stream.
    async fn raw(&self, id: &MessageId) -> Result<ByteStream>;

    /// The bytes of one attachment, decoded, as a stream.
    async fn attachment(
        &self,
        message: &MessageId,
        attachment: &AttachmentId,
    ) -> Result<ByteStream>;

    /// Applies one change to these messages: one answer per id, in order. `Ok` says that the message has the change,
    /// or, beyond [`missing_told_up_to`](Capabilities::missing_told_up_to), that it has it if it is still there.
    async fn apply(&self, ids: &[MessageId], change: &Change) -> Result<Vec<Result<()>>>;

    /// Copies these messages into a folder: the id of each copy, in order. A copy whose answer is lost is not made
    /// again; its error's [`delivery`](Error::delivery) says that it may be there.
    async fn copy(&self, ids: &[MessageId], to: &FolderId) -> Result<Vec<Result<MessageId>>> {
        let _ = (ids, to);
        Err(Error::unsupported("this provider makes no copies"))
    }

    /// Puts a message that exists elsewhere, as RFC 5322, into this mailbox. One whose answer is lost is not put there
    /// again; the error's [`delivery`](Error::delivery) says that it may be there.
    async fn import(&self, message: &Content, options: &ImportOptions) -> Result<Imported> {
        let _ = (message, options);
        Err(Error::unsupported("this provider imports no messages"))
    }

    /// Changes the folders. What was made or changed is given back; what was deleted is not.
    async fn edit_folder(&self, edit: &FolderEdit) -> Result<Option<Folder>> {
        let _ = edit;
        Err(Error::unsupported("this provider does not change folders"))
    }

    /// How many messages are in each of these folders: one answer per folder, in order.
    async fn counts(&self, folders: &[FolderId]) -> Result<Vec<Result<FolderCounts>>> {
        let _ = folders;
        Err(Error::unsupported("this provider does not count messages"))
    }

    /// The rules that the service applies to arriving mail, if it has any.
    fn rules(&self) -> Option<&dyn Rules> {
        None
    }

    /// What the mailbox answers by itself, if it can.
    fn automatic_replies(&self) -> Option<&dyn AutomaticReplies> {
        None
    }

    /// The list of categories, if there is one.
    fn categories(&self) -> Option<&dyn Categories> {
        None
    }

    /// Being told of what happens, if the service tells it.
    fn watching(&self) -> Option<&dyn Watching> {
        None
    }

    /// Messages that are being written, if the service keeps them.
    fn drafts(&self) -> Option<&dyn Drafts> {
        None
    }

    /// Who the mailbox may write as, if the service tells.
    fn identities(&self) -> Option<&dyn Identities> {
        None
    }

    /// The first step of a send. It checks and uploads, has no effect that anyone receives, and gives a ticket that
    /// the host can store. `key` marks the send at the service where that can be done, and where no recipient sees it.
    async fn prepare(&self, outgoing: &Outgoing, key: &SendKey) -> Result<SendTicket>;

    /// The second step of a send. If its answer is lost, the error's [`delivery`](Error::delivery) is
    /// [`Unknown`](crate::Delivery::Unknown), and [`confirm`](Self::confirm) may settle it. A
    /// [`Conflict`](crate::ErrorKind::Conflict) that is [`NotSent`](crate::Delivery::NotSent) says that the ticket is no longer
    /// good: the message is prepared anew, and sent. One of the service's own is no proof of that.
    async fn dispatch(&self, ticket: &SendTicket) -> Result<Sent>;

    /// Takes back what a first step left at the service, such as a draft, for a ticket that is not dispatched and never was.
    /// A draft that the user wrote stays. By default there is nothing to take back.
    async fn abandon(&self, ticket: &SendTicket) -> Result<()> {
        let _ = ticket;
        Ok(())
    }

    /// Whether a ticket was sent, as the service has it now: see [`Confirmation::NotSent`] for what that proves.
    async fn confirm(&self, ticket: &SendTicket) -> Result<Confirmation>;

    /// How much may be sent from this mailbox, as far as that is known, for
    /// [`Mailbox::send_many`](crate::Mailbox::send_many). By default nothing is.
    fn sending_limits(&self) -> Option<SendingLimits> {
        None
    }

    /// One page of a sync; see [`Mailbox::sync`](crate::Mailbox::sync). `known` is asked only while reconciling.
    async fn sync(
        &self,
        cursor: Option<&SyncCursor>,
        scope: &Scope,
        known: &dyn Known,
    ) -> Result<SyncPage> {
        let _ = (cursor, scope, known);
        Err(Error::unsupported("this provider does not sync"))
    }

    /// The same for the first page of an audited round: one that also finds what the service itself has forgotten to tell.
    /// Where it forgets nothing, that is a round like any other.
    async fn sync_audited(
        &self,
        cursor: Option<&SyncCursor>,
        scope: &Scope,
        known: &dyn Known,
    ) -> Result<SyncPage> {
        self.sync(cursor, scope, known).await
    }

    /// Compares what the service has within `scope` and `window` with what the host has; see
    /// [`Mailbox::audit`](crate::Mailbox::audit).
    async fn audit(&self, scope: &Scope, window: AuditWindow, known: &dyn Known) -> Result<Audit> {
        let _ = (scope, window, known);
        Err(Error::unsupported("this provider does not audit"))
    }

    /// A whole conversation, each message read as far as `detail` asks.
    async fn thread(&self, id: &ThreadId, detail: Detail) -> Result<Thread> {
        let _ = (id, detail);
        Err(no_threads())
    }

    /// One page of the conversations in which a message is what `query` means, those with the newest such message first.
    /// With [`Detail::Ids`] they come without their messages, otherwise whole. A later page may name one again.
    async fn threads(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Thread>>> {
        let _ = (query, detail, page);
        Err(no_threads())
    }

    /// Applies one change to all messages of these conversations but drafts: one answer per id, in order.
    async fn apply_to_threads(&self, ids: &[ThreadId], change: &Change) -> Result<Vec<Result<()>>> {
        let _ = (ids, change);
        Err(no_threads())
    }
}

fn no_threads() -> Error {
    Error::unsupported("this provider does not group messages into conversations")
}

/// A conversation, as the service groups messages.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Thread {
    /// Its id in this mailbox.
    pub id: ThreadId,
    /// The first words of its newest message, where the service tells them beside a list.
    pub preview: Option<String>,
    /// All of its messages, oldest first, wherever they lie: sent, junk, trash and drafts included. One that could not be
    /// read is an error, after the others. A list with [`Detail::Ids`] tells none of them.
    pub messages: Vec<Result<Message>>,
}

impl Thread {
    /// A conversation of which only the id is known.
    #[must_use]
    pub fn new(id: ThreadId) -> Self {
        Self {
            id,
            preview: None,
            messages: Vec::new(),
        }
    }

    /// The messages that could be read, oldest first.
    pub fn readable(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.iter().flatten()
    }

    /// Puts the messages in order: oldest first, by when they reached the mailbox and then by when they were sent; what
    /// could not be read comes last, and what cannot be told apart stays as it was.
    pub fn sort(&mut self) {
        self.messages.sort_by(|one, other| match (one, other) {
            (Ok(one), Ok(other)) => {
                (one.received_at, one.sent_at).cmp(&(other.received_at, other.sent_at))
            }
            (one, other) => one.is_err().cmp(&other.is_err()),
        });
    }
}

/// What a provider can do with a mailbox. Ask it before offering something to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The provider's name, such as `gmail`.
    pub provider: &'static str,
    /// In how many folders a message can be.
    pub folders_per_message: FoldersPerMessage,
    /// Whether messages can be changed.
    pub change: bool,
    /// Up to how many messages in one call `apply` tells of each whether it is there. Of more at once, some services say
    /// nothing about single ones, and what became of a message that is gone is told as if it were there.
    pub missing_told_up_to: usize,
    /// Whether messages can be deleted for good.
    pub delete: bool,
    /// Whether messages can be copied.
    pub copy: bool,
    /// Whether folders can be made, renamed, moved and deleted.
    pub edit_folders: bool,
    /// Whether folders can have colours.
    pub folder_colors: bool,
    /// Whether `counts` works.
    pub counts: bool,
    /// Whether there are rules, and access to them.
    pub rules: bool,
    /// Whether there are automatic replies, and access to them.
    pub automatic_replies: bool,
    /// Whether there is a list of categories, and access to it.
    pub categories: bool,
    /// Whether messages can be sent.
    pub send: bool,
    /// Whether a lost send can be settled with `confirm`: always that of a message, and that of a draft of the user's
    /// where messages may be read, too.
    pub confirm_send: bool,
    /// Whether a message can be given to the service now, to be sent later.
    pub scheduled_send: bool,
    /// Whether drafts can be kept, changed and sent, and access to them.
    pub drafts: bool,
    /// Whether the service tells who the mailbox may write as.
    pub identities: bool,
    /// Whether messages that exist elsewhere can be put into the mailbox.
    pub import: bool,
    /// Whether tags of any name can be set.
    pub custom_keywords: bool,
    /// Whether `sync` works.
    pub sync: bool,
    /// Whether a `sync` tells of a message that goes to another folder as [moved](SyncChange::is_move), and not as one that is
    /// there anew.
    pub sync_moves: bool,
    /// Whether `audit` works.
    pub audit: bool,
    /// How the service tells that something happened; `None` where it does not, and asking it now and then is all that
    /// can be done. Graph watches no mailbox that is somebody else's and only shared with the user of the tokens
    /// (<https://learn.microsoft.com/graph/outlook-change-notifications-overview>).
    pub watch: Option<WatchKind>,
    /// By what name the service signs what it found about who sent a message, for
    /// [`Message::authentication`](crate::Message::authentication); `None` if it does not tell.
    pub authentication_server: Option<AuthenticationServer>,
    /// Whether conversations can be read, listed and (with [`change`](Self::change)) changed as wholes.
    pub threads: bool,
    /// Whether `plan` tells what a query takes.
    pub plan_queries: bool,
}

impl Capabilities {
    /// A provider that only reads, with one folder per message. Set what else it can do.
    #[must_use]
    pub fn new(provider: &'static str) -> Self {
        Self {
            provider,
            folders_per_message: FoldersPerMessage::One,
            change: false,
            missing_told_up_to: usize::MAX,
            delete: false,
            copy: false,
            edit_folders: false,
            folder_colors: false,
            counts: false,
            rules: false,
            automatic_replies: false,
            categories: false,
            send: false,
            confirm_send: false,
            scheduled_send: false,
            drafts: false,
            identities: false,
            import: false,
            custom_keywords: false,
            sync: false,
            sync_moves: false,
            audit: false,
            watch: None,
            authentication_server: None,
            plan_queries: false,
            threads: false,
        }
    }
}

impl Capabilities {
    /// What is left of them on a handle that may do no more than `access`.
    pub(crate) fn within(&self, access: Access) -> Self {
        let may = |needed| access.contains(needed);
        let (read, change) = (may(Access::READ), may(Access::READ_WRITE));
        let (send, settings) = (may(Access::SEND), may(Access::SETTINGS));
        Self {
            change: self.change && change,
            delete: self.delete && may(Access::DELETE),
            copy: self.copy && change,
            edit_folders: self.edit_folders && change,
            folder_colors: self.folder_colors && change,
            counts: self.counts && read,
            rules: self.rules && settings,
            automatic_replies: self.automatic_replies && settings,
            categories: self.categories && settings,
            send: self.send && send,
            confirm_send: self.confirm_send && send,
            scheduled_send: self.scheduled_send && send,
            drafts: self.drafts && may(Access::DRAFT),
            identities: self.identities && (read || settings),
            import: self.import && change,
            custom_keywords: self.custom_keywords && change,
            sync: self.sync && read,
            sync_moves: self.sync_moves && read,
            audit: self.audit && read,
            watch: self.watch.filter(|_| read),
            threads: self.threads && read,
            plan_queries: self.plan_queries && read,
            ..self.clone()
        }
    }
}

/// In how many folders one message can be (RFC 8621 §1.3.1, `maxMailboxesPerEmail`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FoldersPerMessage {
    /// Exactly one: Outlook.
    One,
    /// Any number: Gmail's labels.
    Many,
}
