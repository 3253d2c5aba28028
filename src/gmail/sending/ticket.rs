//! What the second step of a send needs to know, as text of Gmail's own.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::mime;
use crate::model::SendTicket;

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
