//! What stands in a ticket of Outlook's, as text.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{SendKey, SendTicket};

const VERSION: u32 = 1;

/// For how long a draft that nobody else was told of is taken for what it was.
const NEW: Duration = Duration::from_secs(60);

/// What the second step needs to know, as text of this shape.
#[derive(Serialize, Deserialize)]
struct Ticket {
    version: u32,
    #[serde(flatten)]
    way: Way,
}

/// How a message is sent.
#[derive(Serialize, Deserialize)]
#[serde(tag = "outlook", rename_all = "snake_case")]
pub(super) enum Way {
    /// A draft that is complete.
    Draft(Draft),
    /// The whole message, in base64.
    Message { mime: String, key: String },
}

/// A draft that only needs to be sent, and what it is known by afterwards.
#[derive(Serialize, Deserialize)]
pub(super) struct Draft {
    #[serde(rename = "draft")]
    pub(super) id: String,
    pub(super) thread: Option<String>,
    /// The host's key, which the message carries too.
    pub(super) key: String,
    /// Its `Message-ID`, if it has one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message_id: Option<String>,
    /// When the service is to send it, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) send_at: Option<DateTime<Utc>>,
    /// When the first step was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prepared_at: Option<DateTime<Utc>>,
    /// What the draft was like when the user's own draft was prepared: another one is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<String>,
}

impl Draft {
    pub(super) fn key(&self) -> SendKey {
        SendKey::new(self.key.as_str())
    }

    /// Whether a draft that must be what it was is another by now.
    pub(super) fn is_changed(&self, revision: Option<&str>) -> bool {
        let prepared = self.revision.as_deref();
        prepared.is_some() && prepared != revision
    }

    /// Whether somebody may have got at the draft since it was prepared. Nobody knows of one that is about to be sent under a
    /// key that was made for it.
    pub(super) fn may_have_changed(&self, now: DateTime<Utc>) -> bool {
        let is_new = self.prepared_at.is_some_and(|at| {
            let age = (now - at).to_std();
            age.is_ok_and(|age| age < NEW)
        });
        !is_new || self.revision.is_some() || !self.key().is_unrepeated()
    }
}

pub(super) fn write(way: Way) -> SendTicket {
    let ticket = Ticket {
        version: VERSION,
        way,
    };
    // A ticket holds text and numbers, which can always be written.
    SendTicket::new(serde_json::to_string(&ticket).unwrap_or_default())
}

pub(super) fn read(ticket: &SendTicket) -> Result<Way> {
    // The parser's own error could quote the ticket.
    let ticket: Option<Ticket> = serde_json::from_str(ticket.expose()).ok();
    ticket
        .filter(|ticket| ticket.version == VERSION)
        .map(|ticket| ticket.way)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "this is no ticket of Outlook's, or one of another version",
            )
        })
}
