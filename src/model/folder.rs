//! Folders: Gmail's labels and Outlook's folders in one shape, after RFC 8621 §2.

use serde::{Deserialize, Serialize};

use super::FolderId;

/// A Gmail label or an Outlook folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Folder {
    /// The service's id.
    pub id: FolderId,
    /// The last part of its name, as people see it; localized on Outlook.
    pub name: String,
    /// The folder it lies in.
    pub parent: Option<FolderId>,
    /// What it is for, if it is one of the service's own.
    pub role: Option<FolderRole>,
    /// Whether the service keeps it out of its own list of folders.
    pub hidden: bool,
    /// How it is shown, where folders have colours.
    pub color: Option<FolderColor>,
    /// Messages in it, where the service tells without extra cost. See [`counts`](crate::Mailbox::counts).
    pub total: Option<u64>,
    /// Unread messages in it, where the service tells without extra cost.
    pub unread: Option<u64>,
}

impl Folder {
    /// A folder of which only id and name are known.
    #[must_use]
    pub fn new(id: FolderId, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            parent: None,
            role: None,
            hidden: false,
            color: None,
            total: None,
            unread: None,
        }
    }
}

/// The two colours of a folder, as `#rrggbb`. Only Gmail's labels have them, from a palette of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FolderColor {
    /// Of the ground.
    pub background: String,
    /// Of the text on it.
    pub text: String,
}

impl FolderColor {
    /// This ground and this text.
    #[must_use]
    pub fn new(background: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            background: background.into(),
            text: text.into(),
        }
    }
}

/// How many messages are in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FolderCounts {
    /// All of them.
    pub total: u64,
    /// Those that nobody has read.
    pub unread: u64,
}

impl FolderCounts {
    /// So many messages, and so many of them unread.
    #[must_use]
    pub fn new(total: u64, unread: u64) -> Self {
        Self { total, unread }
    }
}

/// What can be done to folders. The service's own folders stay what and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FolderEdit {
    /// Makes a folder. No two in the same place have the same name, whatever its case.
    Create {
        /// Its name.
        name: String,
        /// The folder that it is to lie in.
        parent: Option<FolderId>,
        /// Its colour, where folders have one.
        color: Option<FolderColor>,
    },
    /// Gives it another name. What lies in it stays in it.
    Rename {
        /// Which one.
        folder: FolderId,
        /// Its new name.
        name: String,
    },
    /// Puts it, with all that lies in it, into another folder, or with `None` into none.
    Move {
        /// Which one.
        folder: FolderId,
        /// Where it goes.
        parent: Option<FolderId>,
    },
    /// Gives it another colour, or none. Unsupported where folders have no colours.
    Color {
        /// Which one.
        folder: FolderId,
        /// Its new colour.
        color: Option<FolderColor>,
    },
    /// Deletes it, and the folders that lie in it. What becomes of the messages is the service's way: on Gmail they lose
    /// the label and stay, on Outlook they go to the deleted items with their folder.
    Delete(FolderId),
}

/// What one of the service's own folders is for (RFC 8621 §2, RFC 6154).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FolderRole {
    /// Where new mail arrives.
    Inbox,
    /// Mail kept out of the inbox. Gmail has no such label.
    Archive,
    /// Mail being written.
    Drafts,
    /// Mail that was sent.
    Sent,
    /// Mail about to be deleted.
    Trash,
    /// Unwanted mail.
    Junk,
    /// Mail that was marked important; a label of Gmail's.
    Important,
    /// Mail that was starred; a label of Gmail's.
    Flagged,
}

impl FolderRole {
    /// The role's name in English, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Archive => "archive",
            Self::Drafts => "drafts",
            Self::Sent => "sent",
            Self::Trash => "trash",
            Self::Junk => "junk",
            Self::Important => "important",
            Self::Flagged => "flagged",
        }
    }
}
