//! The data of staying in step with a mailbox: cursors, scopes, what the host says it has, and what changed of a message.
//! The contract itself is in `provider.rs`.

mod cursor;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Detail, FolderId, FolderRole, Keyword, MessageId};

pub use cursor::SyncCursor;

/// Which part of the mailbox a sync covers. A cursor belongs to its scope; with another one, what the change brings is
/// told, and nothing else again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Scope {
    /// Only messages received since then, in whole seconds; all if unset.
    pub since: Option<DateTime<Utc>>,
    /// Only messages in one of these folders, or in one of [`roles`](Self::roles); all if both are empty.
    pub folders: Vec<FolderId>,
    /// Only messages in the folders of these roles, or in one of [`folders`](Self::folders).
    ///
    /// A role that the service has no folder for is [`Unsupported`](crate::ErrorKind::Unsupported), in a sync and in an audit:
    /// [`Archive`](FolderRole::Archive) on Gmail, [`Flagged`](FolderRole::Flagged) and [`Important`](FolderRole::Important) on
    /// Outlook.
    pub roles: Vec<FolderRole>,
    /// How much of each new message comes with it.
    pub detail: Detail,
    /// Whether spam and trash are covered. What goes there is out of scope otherwise, and comes back as new.
    pub junk_and_trash: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            since: None,
            folders: Vec::new(),
            roles: Vec::new(),
            detail: Detail::Headers,
            junk_and_trash: false,
        }
    }
}

impl Scope {
    /// Everything that is in the mailbox, spam and trash included.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            junk_and_trash: true,
            ..Self::default()
        }
    }

    /// Whether only some folders are covered.
    #[must_use]
    pub fn names_folders(&self) -> bool {
        !self.folders.is_empty() || !self.roles.is_empty()
    }
}

/// One message as the host has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownMessage {
    /// Its id.
    pub id: MessageId,
    /// The folders that the host has it in.
    pub folders: Vec<FolderId>,
    /// The keywords that the host has for it.
    pub keywords: Vec<Keyword>,
}

impl KnownMessage {
    /// A message as the host has it.
    #[must_use]
    pub fn new(id: MessageId, folders: Vec<FolderId>, keywords: Vec<Keyword>) -> Self {
        Self {
            id,
            folders,
            keywords,
        }
    }
}

/// What changed of a message that the host has: in which folders it is, and its keywords. What is not mentioned stays as
/// it was. [`apply`](Self::apply) does what it says; doing it twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageUpdate {
    /// Which message.
    pub id: MessageId,
    /// All the folders that it is in now, where the service tells all of them.
    pub folders: Option<Vec<FolderId>>,
    /// The folders that it came into.
    pub into: BTreeSet<FolderId>,
    /// The folders that it left.
    pub out_of: BTreeSet<FolderId>,
    /// The keywords that it has now.
    pub set: BTreeSet<Keyword>,
    /// The keywords that it does not have any longer.
    pub cleared: BTreeSet<Keyword>,
    /// All the [custom](Keyword::Custom) keywords that it has now, where the service tells all of them.
    pub custom: Option<BTreeSet<String>>,
}

impl MessageUpdate {
    /// Nothing changed yet.
    #[must_use]
    pub fn new(id: MessageId) -> Self {
        Self {
            id,
            folders: None,
            into: BTreeSet::new(),
            out_of: BTreeSet::new(),
            set: BTreeSet::new(),
            cleared: BTreeSet::new(),
            custom: None,
        }
    }

    /// Whether the message is in other folders now.
    #[must_use]
    pub fn is_move(&self) -> bool {
        self.folders.is_some() || !self.into.is_empty() || !self.out_of.is_empty()
    }

    /// Whether the message has other keywords now.
    #[must_use]
    pub fn is_about_keywords(&self) -> bool {
        self.custom.is_some() || !self.set.is_empty() || !self.cleared.is_empty()
    }

    /// Brings what the host has up to date.
    pub fn apply(&self, folders: &mut Vec<FolderId>, keywords: &mut BTreeSet<Keyword>) {
        if let Some(now) = &self.folders {
            folders.clone_from(now);
        }
        folders.retain(|folder| !self.out_of.contains(folder));
        for folder in &self.into {
            if !folders.contains(folder) {
                folders.push(folder.clone());
            }
        }
        if let Some(custom) = &self.custom {
            keywords.retain(|keyword| !matches!(keyword, Keyword::Custom(_)));
            keywords.extend(custom.iter().cloned().map(Keyword::Custom));
        }
        keywords.retain(|keyword| !self.cleared.contains(keyword));
        keywords.extend(self.set.iter().cloned());
    }

    /// Takes in what happened after this: of what both tell, the later one holds.
    #[cfg(any(feature = "gmail", feature = "outlook"))]
    pub(crate) fn go_on(&mut self, later: Self) {
        if later.folders.is_some() {
            self.folders = later.folders;
            self.into.clear();
            self.out_of.clear();
        }
        for folder in later.out_of {
            self.left(folder);
        }
        for folder in later.into {
            self.came_into(folder);
        }
        if later.custom.is_some() {
            let is_custom = |keyword: &Keyword| matches!(keyword, Keyword::Custom(_));
            self.custom = later.custom;
            self.set.retain(|keyword| !is_custom(keyword));
            self.cleared.retain(|keyword| !is_custom(keyword));
        }
        for keyword in later.cleared {
            self.has(keyword, false);
        }
        for keyword in later.set {
            self.has(keyword, true);
        }
    }

    /// Notes that the message came into a folder, whatever was noted before.
    pub fn came_into(&mut self, folder: FolderId) {
        self.out_of.remove(&folder);
        self.into.insert(folder);
    }

    /// Notes that the message left a folder, whatever was noted before.
    pub fn left(&mut self, folder: FolderId) {
        self.into.remove(&folder);
        self.out_of.insert(folder);
    }

    /// Notes that the message has a keyword, or has not, whatever was noted before.
    pub fn has(&mut self, keyword: Keyword, set: bool) {
        if set {
            self.cleared.remove(&keyword);
            self.set.insert(keyword);
        } else {
            self.set.remove(&keyword);
            self.cleared.insert(keyword);
        }
    }
}

/// What a page of a sync says about messages that it does not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SyncPhase {
    /// Part of a listing. Absence means nothing: what is gone is told as such.
    Snapshot,
    /// Changes since the cursor. What is not mentioned has not changed.
    Delta,
}

/// Something was lost on the service's side (a cursor that it no longer knows, an answer that ended early), and what the
/// host has was compared with what is there; or the service gives nothing of some folders for now, and what the host has of them is
/// compared as soon as it does. The changes that this brings are told as any others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uncertainty {
    /// Since when changes may not have been told at the time; unset if that is not known.
    pub since: Option<DateTime<Utc>>,
    /// In which folders; in all if empty.
    pub folders: Vec<FolderId>,
}

/// How far a sync has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncProgress {
    /// Messages done in this phase.
    pub done: u64,
    /// Messages expected in this phase, where the service tells; an estimate.
    pub expected: Option<u64>,
    /// About how many quota units this page took, where the service counts those.
    pub units: u64,
    /// About how many requests this page took; the parts of a batch count each.
    pub requests: u64,
}

/// Which messages an audit compares: those received within a time. Unset ends are open, and what is less than a second of an
/// end does not count: that is as exactly as services tell. And how much it tells of what differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AuditWindow {
    /// Received then or later.
    pub from: Option<DateTime<Utc>>,
    /// Received before then.
    pub until: Option<DateTime<Utc>>,
    most_told: Option<usize>,
}

impl AuditWindow {
    /// All messages.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Messages received then or later.
    #[must_use]
    pub fn since(from: DateTime<Utc>) -> Self {
        Self {
            from: Some(from),
            ..Self::default()
        }
    }

    /// Only those received before then.
    #[must_use]
    pub fn until(mut self, until: DateTime<Utc>) -> Self {
        self.until = Some(until);
        self
    }

    /// Tells no more than so many differences of each kind, of 1 to [`Audit::MOST_TOLD`], and only counts the others. Each message
    /// that only the host has costs a request or a part of one, as it is asked for, until so many are told: a host that just wants
    /// to know does with few.
    #[must_use]
    pub fn telling(mut self, most: usize) -> Self {
        self.most_told = Some(most);
        self
    }

    /// How many differences of each kind are told at most.
    #[must_use]
    pub fn most_told(&self) -> usize {
        let most = self.most_told.unwrap_or(Audit::MOST_TOLD);
        most.clamp(1, Audit::MOST_TOLD)
    }
}

/// What an audit found: how what the host has differs from what the service has. Of each kind of difference it tells at most
/// [as many as were wanted](AuditWindow::telling), and [counts](Self::untold) the others, so that it takes no more memory for a
/// copy that is wrong from end to end than for one that is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// How many messages the service has within the window.
    pub checked: u64,
    /// Messages that the host does not have; if there are more than are told, the newest.
    pub missing: Vec<MessageId>,
    /// Messages that only the host has; if there are more than are told, the first by id. The service was asked for each of
    /// them by itself, and does not have it, or not within the scope.
    pub extra: Vec<MessageId>,
    /// What is different of messages that both have; if there are more than are told, of the first by id.
    pub stale: Vec<MessageUpdate>,
    /// How many more differ than are told.
    pub untold: UntoldDifferences,
    /// About how many quota units it took, where the service counts those.
    pub units: u64,
    /// About how many requests it took; the parts of a batch count each.
    pub requests: u64,
}

impl Audit {
    /// How many differences of each kind are told at most: 10,000.
    pub const MOST_TOLD: usize = 10_000;

    /// Whether the host has just what the service has.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty()
            && self.extra.is_empty()
            && self.stale.is_empty()
            && self.untold.total() == 0
    }
}

/// How many differences an audit found that it does not tell one by one. Of a kind of which it tells fewer than the
/// [most](AuditWindow::most_told) it tells all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UntoldDifferences {
    /// Further messages that the host does not have.
    pub missing: u64,
    /// Further messages that no listing of the service's had. They were not asked for one by one as those that are told were, so
    /// that this is the most that there can be: one that was moved from folder to folder while these were listed may be among
    /// them.
    pub extra: u64,
    /// Further messages that both have and that are different.
    pub stale: u64,
}

impl UntoldDifferences {
    /// How many there are of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.missing + self.extra + self.stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_tells_something_and_never_without_bound() {
        let all = AuditWindow::all();
        assert_eq!(all.most_told(), Audit::MOST_TOLD);
        for (wanted, told) in [(0, 1), (7, 7), (usize::MAX, Audit::MOST_TOLD)] {
            let window = all.telling(wanted);
            assert_eq!(window.most_told(), told);
            // Nor where it comes from a file.
            let kept = serde_json::to_string(&window).unwrap_or_default();
            let read: Option<AuditWindow> = serde_json::from_str(&kept).ok();
            assert_eq!(read.map(|read| read.most_told()), Some(told));
        }
    }

    #[test]
    fn what_is_not_told_is_no_less_different() {
        let mut audit = Audit::default();
        assert!(audit.is_clean());
        audit.untold.extra = 1;
        assert!(!audit.is_clean());
    }
}
