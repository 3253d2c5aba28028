//! The data of staying in step with a mailbox: cursors, scopes, and what the host says it has. The contract itself is
//! in `provider.rs`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Detail, FolderId, Keyword, MessageId};

/// Where a sync has got to: opaque, kept by the host in the same transaction as the page it came with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyncCursor(String);

impl SyncCursor {
    /// Takes a provider's text, or one that was stored.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Outlook's cursors hold whole addresses, which are nobody's to read in a log.
impl fmt::Debug for SyncCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SyncCursor(..)")
    }
}

/// Which part of the mailbox a sync covers. A cursor belongs to its scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scope {
    /// Only messages received since then; all if unset.
    pub since: Option<DateTime<Utc>>,
    /// Only these folders; all if empty.
    pub folders: Vec<FolderId>,
    /// How much of each message a change carries.
    pub detail: Detail,
    /// Whether spam and trash are covered.
    pub junk_and_trash: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            since: None,
            folders: Vec::new(),
            detail: Detail::Headers,
            junk_and_trash: false,
        }
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

/// What a page of a sync says about messages that it does not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SyncPhase {
    /// Part of a listing. Absence means something only once the listing is complete.
    Snapshot,
    /// Changes since the cursor. What is not mentioned has not changed.
    Delta,
}

/// How far a sync has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncProgress {
    /// Messages done in this phase.
    pub done: u64,
    /// Messages expected in this phase, where the service tells; an estimate.
    pub expected: Option<u64>,
    /// Quota units spent on this page.
    pub units: u64,
}
