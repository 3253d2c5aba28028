//! What can be done to messages that exist. How a service does it, and what it cannot do, is each provider's.

use serde::{Deserialize, Serialize};

use super::{Access, FolderId};

/// A state or tag of a message, in the sense of RFC 8621 §4.1.1.
///
/// Gmail keeps them as labels (`UNREAD`, `STARRED`, `IMPORTANT`, `DRAFT`), Outlook as properties
/// (`isRead`, `flag`, `importance`, `isDraft`) and categories.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Keyword {
    /// Read by the user.
    Seen,
    /// Starred or flagged for follow-up.
    Flagged,
    /// Not sent yet.
    Draft,
    /// Replied to.
    Answered,
    /// Important: Gmail's marker or Outlook's high importance.
    Important,
    /// A tag with a name: an Outlook category.
    Custom(String),
}

/// One change, applied to any number of messages at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Sets a keyword.
    Set(Keyword),
    /// Clears a keyword.
    Clear(Keyword),
    /// Afterwards the message is in `to` and not in `from`; other folders it is in are left alone. Without `from`
    /// it leaves where it lies: on Outlook its one folder, on Gmail inbox, spam and trash, while labels stay.
    MoveTo {
        /// Where it goes.
        to: FolderId,
        /// Where it comes from.
        from: Option<FolderId>,
    },
    /// Puts the message into one more folder. Unsupported where a message has exactly one folder: move it, or
    /// [copy](crate::Mailbox::copy_to) it.
    AddTo(FolderId),
    /// Takes the message out of a folder. Unsupported where a message has exactly one folder.
    RemoveFrom(FolderId),
    /// Puts the message into some folders and takes it out of others, in one step. Unsupported where a message has
    /// exactly one folder.
    Refile {
        /// Where it goes.
        into: Vec<FolderId>,
        /// Where it comes from.
        out_of: Vec<FolderId>,
    },
    /// Takes the message out of the inbox and keeps it.
    Archive,
    /// Puts the message into the trash, from where the service deletes it some day.
    Trash,
    /// Takes the message out of the trash and puts it into the inbox. Neither service tells where it had been; on
    /// Gmail it still has the labels that it had.
    Restore,
    /// Puts the message among the unwanted ones.
    Junk,
    /// Takes the message out from among the unwanted ones and puts it into the inbox.
    NotJunk,
    /// Deletes the message for good: nobody can bring it back. A message that is not there, or no longer, counts as
    /// deleted. It needs [`Access::DELETE`].
    Delete,
}

impl Change {
    /// What a grant or a handle must allow for this change.
    #[must_use]
    pub fn access(&self) -> Access {
        match self {
            Self::Delete => Access::DELETE,
            _ => Access::READ_WRITE,
        }
    }
}
