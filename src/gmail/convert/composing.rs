//! Between Gmail's JSON and the model, for what is written: authors, and the labels of what is imported.

use super::UNREAD;
use crate::gmail::wire;
use crate::model::{Address, FolderId, Identity, ImportLoss, ImportOptions, Keyword};

/// An author; `None` for one without an address.
pub(in crate::gmail) fn identity(send_as: wire::SendAs) -> Option<Identity> {
    let some = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let address = some(send_as.send_as_email)?;
    let primary = send_as.is_primary.unwrap_or(false);
    let mut identity = Identity::new(Address::received(some(send_as.display_name), address));
    identity.primary = primary;
    identity.default = send_as.is_default.unwrap_or(false);
    // The mailbox's own address and those of its organisation need no proof, and come without one.
    identity.verified = match send_as.verification_status.as_deref() {
        Some("accepted") => Some(true),
        Some("pending") => Some(false),
        _ if primary => Some(true),
        _ => None,
    };
    identity.reply_to = some(send_as.reply_to_address).map(|to| Address::received(None, to));
    identity.signature = some(send_as.signature);
    Some(identity)
}

/// The labels that a message is imported with, and what there is no label for.
pub(in crate::gmail) struct Marks<'a> {
    pub(in crate::gmail) labels: Vec<&'a str>,
    pub(in crate::gmail) lost: Vec<ImportLoss>,
}

/// Drafts and chats are Gmail's own to make.
pub(in crate::gmail) fn may_be_put(folder: &FolderId) -> bool {
    !matches!(folder.as_str(), "DRAFT" | "CHAT")
}

pub(in crate::gmail) fn marks(options: &ImportOptions) -> Marks<'_> {
    let mut marks = Marks {
        labels: Vec::new(),
        lost: Vec::new(),
    };
    for folder in &options.folders {
        if may_be_put(folder) {
            marks.labels.push(folder.as_str());
        } else {
            marks.lost.push(ImportLoss::Folder(folder.clone()));
        }
    }
    if !options.keywords.contains(&Keyword::Seen) {
        marks.labels.push(UNREAD);
    }
    for keyword in &options.keywords {
        match keyword {
            Keyword::Seen => {}
            Keyword::Flagged => marks.labels.push("STARRED"),
            Keyword::Important => marks.labels.push("IMPORTANT"),
            other => marks.lost.push(ImportLoss::Keyword(other.clone())),
        }
    }
    marks.labels.sort_unstable();
    marks.labels.dedup();
    marks
}
