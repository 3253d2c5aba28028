//! What a sync says, page by page, and what it asks the host. What the data means is in `model/sync.rs`, how hosts run one in
//! `mailbox/syncing.rs`.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::model::{
    Folder, FolderId, KnownMessage, Message, MessageId, MessageUpdate, SyncCursor, SyncPhase,
    SyncProgress, Uncertainty,
};

/// What the host already has, read while a sync reconciles after its cursor was lost, and by audits. Without it neither
/// deletions nor "fetch only what is missing" could be right.
#[async_trait]
pub trait Known: fmt::Debug + Send + Sync {
    /// The host's messages of this mailbox that follow `after`, sorted by id as bytes, at most `limit` of them; fewer only
    /// at the end. A message that could not be read counts, too.
    ///
    /// # Errors
    /// Whatever the host's storage reports; it ends the sync, which can be resumed.
    async fn page(&self, after: Option<&MessageId>, limit: usize) -> Result<Vec<KnownMessage>>;
}

/// One page of a sync.
///
/// The host stores the changes and [`cursor`](Self::cursor) in one transaction, and only if the cursor it has is
/// still [`after`](Self::after): a worker that was overtaken then changes nothing.
#[derive(Debug)]
#[non_exhaustive]
pub struct SyncPage {
    /// What the page says about messages that it does not mention.
    pub phase: SyncPhase,
    /// What changed, each message at most once.
    pub changes: Vec<SyncChange>,
    /// The cursor that this page follows; `None` for the first page of all.
    pub after: Option<SyncCursor>,
    /// The cursor to store with this page.
    pub cursor: SyncCursor,
    /// Whether more is there already; otherwise the round is complete.
    pub more: bool,
    /// Set if something was lost on the service's side, or is not given for now: since when, and of which folders.
    pub uncertain: Option<Uncertainty>,
    /// How far the sync has got.
    pub progress: SyncProgress,
}

impl SyncPage {
    /// A page without changes that ends its round.
    #[must_use]
    pub fn new(phase: SyncPhase, after: Option<SyncCursor>, cursor: SyncCursor) -> Self {
        Self {
            phase,
            changes: Vec::new(),
            after,
            cursor,
            more: false,
            uncertain: None,
            progress: SyncProgress::default(),
        }
    }
}

/// One change that a sync found. Pages may come again after a crash, so that every change can be applied twice.
///
/// What a host does with each:
///
/// | Change | To its copy |
/// |---|---|
/// | [`Message`](Self::Message) | puts the message in place of what it has of it. It is new if it has nothing, and changed otherwise |
/// | [`Moved`](Self::Moved) | the same; what it had of it lay in other folders |
/// | [`Updated`](Self::Updated) | [applies](MessageUpdate::apply) the folders and keywords, if it has the message |
/// | [`Unreadable`](Self::Unreadable) | notes that there is such a message |
/// | [`OutOfScope`](Self::OutOfScope), [`Deleted`](Self::Deleted) | removes the message |
/// | [`Folder`](Self::Folder), [`FolderDeleted`](Self::FolderDeleted) | puts the folder in place, or removes it |
///
/// [`message`](Self::message) gives the whole message of the first two, and [`is_move`](Self::is_move) tells whether a message went
/// from one folder to another, however the service tells it.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncChange {
    /// A message is new to the scope, or its content changed; this is its latest state. Services do not say which of the two: it
    /// is new to a host that does not have it.
    Message(Box<Message>),
    /// A message lies elsewhere now. It comes whole, since a service that tells a move as leaving one folder and being in
    /// another says nothing of what else happened to it: to a host that does not have the message, which can be, it is new.
    Moved {
        /// Its latest state, with the folders that it is in now.
        message: Box<Message>,
        /// Folders of the scope that it left.
        out_of: BTreeSet<FolderId>,
    },
    /// A message is in other folders or has other keywords. It is nothing to a host that does not have the message: that
    /// one is out of scope, or still to come.
    Updated(MessageUpdate),
    /// A message could not be read, for the reason that the error gives: it is there, or was when last heard of. It counts among
    /// those that the host has; what the host has of it already stays. It is tried again when something happens to it, and in
    /// every audited round until it was read.
    Unreadable(MessageId, Error),
    /// A message is no longer within the scope. It is still in the mailbox, or was when it was last within the scope.
    OutOfScope(MessageId),
    /// A message is gone for good.
    Deleted(MessageId),
    /// A folder is new, or was renamed, moved or changed otherwise; this is what it is now.
    Folder(Folder),
    /// A folder is gone. What becomes of its messages is told for each of them.
    FolderDeleted(FolderId),
}

impl SyncChange {
    /// The message that comes whole with it, if one does.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) | Self::Moved { message, .. } => Some(message),
            _ => None,
        }
    }

    /// The message it is about, if it is about one.
    #[must_use]
    pub fn message_id(&self) -> Option<&MessageId> {
        match self {
            Self::Message(message) | Self::Moved { message, .. } => Some(&message.id),
            Self::Updated(update) => Some(&update.id),
            Self::Unreadable(id, _) | Self::OutOfScope(id) | Self::Deleted(id) => Some(id),
            Self::Folder(_) | Self::FolderDeleted(_) => None,
        }
    }

    /// Whether it says that a message is in other folders than it was.
    #[must_use]
    pub fn is_move(&self) -> bool {
        match self {
            Self::Moved { .. } => true,
            Self::Updated(update) => update.is_move(),
            _ => false,
        }
    }

    /// A message that is said to have left folders: moved, unless it lies in all of them after all.
    #[cfg(any(feature = "gmail", feature = "outlook"))]
    pub(crate) fn of(message: Message, left: impl IntoIterator<Item = FolderId>) -> Self {
        let left = left.into_iter().filter(|folder| !message.is_in(folder));
        let out_of: BTreeSet<FolderId> = left.collect();
        let message = Box::new(message);
        if out_of.is_empty() {
            Self::Message(message)
        } else {
            Self::Moved { message, out_of }
        }
    }

    /// What became of its message has changed since it was made.
    #[cfg(any(feature = "gmail", feature = "outlook"))]
    pub(crate) fn stay_true(&mut self) {
        if let Self::Moved { message, out_of } = self {
            out_of.retain(|folder| !message.is_in(folder));
        }
    }
}
