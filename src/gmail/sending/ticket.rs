//! What the second step of a send needs to know, as text of Gmail's own.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::mime;
use crate::model::{DraftId, DraftRevision, SendKey, SendTicket};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Ticket {
    version: u32,
    #[serde(flatten)]
    way: Way,
}

/// How a message waits for its second step.
#[derive(Serialize, Deserialize)]
#[serde(tag = "gmail", rename_all = "snake_case")]
pub(super) enum Way {
    /// As a draft that is complete.
    Draft {
        draft: String,
        message: Option<String>,
        thread: Option<String>,
        #[serde(flatten)]
        mark: Mark,
        /// Whether it is a draft of the user's, which is sent only as it was.
        #[serde(default)]
        pinned: bool,
    },
    /// As an upload of which only the end is missing.
    Upload {
        session: Url,
        length: u64,
        /// Where the end starts.
        start: u64,
        /// The end, in base64.
        rest: String,
        /// Tickets of earlier versions have none.
        #[serde(flatten)]
        mark: Option<Mark>,
    },
}

/// What a sent copy is found by.
#[derive(Serialize, Deserialize)]
pub(super) struct Mark {
    /// What the message's key header says.
    pub(super) key: String,
    /// When it was made, in seconds since 1970.
    pub(super) prepared_at: i64,
}

impl Mark {
    /// A mark that no other send has, not even an earlier one under the same key.
    pub(super) fn new(now: DateTime<Utc>) -> Result<Self> {
        Ok(Self {
            key: mime::random_word()?,
            prepared_at: now.timestamp(),
        })
    }

    /// The same for a draft, which tells whoever knows the draft by its id, what it was before and the key that it is the
    /// mark of that. Recipients know no ids of drafts, so that to them it is as random as the others.
    pub(super) fn for_draft(
        draft: &DraftId,
        before: &DraftRevision,
        key: &SendKey,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let mark = Self::new(now)?;
        let proof = proof(&mark.key, draft, before, key);
        Ok(Self {
            key: format!("{}.{proof}", mark.key),
            ..mark
        })
    }

    /// A mark that a draft carries, if it is of this draft, what it was before, and this key.
    pub(super) fn of_draft(
        mark: String,
        draft: &DraftId,
        before: &DraftRevision,
        key: &SendKey,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let (word, given) = mark.split_once('.')?;
        (given == proof(word, draft, before, key)).then(|| Self {
            prepared_at: now.timestamp(),
            key: mark.clone(),
        })
    }
}

fn proof(word: &str, draft: &DraftId, before: &DraftRevision, key: &SendKey) -> String {
    let mut hash = Sha256::new();
    for part in [word, draft.as_str(), before.as_str(), key.as_str()] {
        // With its length each part ends where it ends.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Way {
    pub(super) fn into_ticket(self) -> SendTicket {
        let ticket = Ticket {
            version: VERSION,
            way: self,
        };
        // A ticket holds text and numbers, which can always be written.
        SendTicket::new(serde_json::to_string(&ticket).unwrap_or_default())
    }

    pub(super) fn read(ticket: &SendTicket) -> Result<Self> {
        // The parser's own error could quote the ticket.
        let ticket: Option<Ticket> = serde_json::from_str(ticket.expose()).ok();
        ticket
            .filter(|ticket| ticket.version == VERSION)
            .map(|ticket| ticket.way)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    "this is no ticket of Gmail's, or one of another version",
                )
            })
    }
}
