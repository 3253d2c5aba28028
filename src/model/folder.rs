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
    /// Messages in it, where the service tells without extra cost.
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
            total: None,
            unread: None,
        }
    }
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
