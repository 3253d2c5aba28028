//! The two steps of a send, and what is known of it afterwards.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{MessageId, ThreadId};

/// What keys begin with that were made for one send.
const UNREPEATED: &str = "postroom-once-";

/// The host's own name for one send: the same key never sends twice. Any text, such as the primary key of a row in the
/// host's outbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SendKey(String);

impl SendKey {
    /// Takes the host's key. In place of one of more than 128 bytes its SHA-256 is used, in hexadecimal, because some
    /// services keep it with the message, where recipients do not see it.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        let key = key.into();
        if key.len() <= 128 {
            return Self(key);
        }
        let hash = Sha256::digest(key.as_bytes());
        Self(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A key of these random bytes, for a send that nobody repeats.
    #[cfg_attr(
        not(any(feature = "gmail", feature = "outlook")),
        allow(dead_code, reason = "without a provider nothing is sent")
    )]
    pub(crate) fn unrepeated(random: [u8; 16]) -> Self {
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{UNREPEATED}{digits}"))
    }

    /// Whether it was made for one send and is known to nobody else, so that there is nothing to look for under it.
    #[cfg_attr(
        not(feature = "outlook"),
        allow(dead_code, reason = "other providers do not look")
    )]
    pub(crate) fn is_unrepeated(&self) -> bool {
        self.0.starts_with(UNREPEATED)
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SendKey {
    fn from(key: String) -> Self {
        Self::new(key)
    }
}

impl From<SendKey> for String {
    fn from(key: SendKey) -> Self {
        key.0
    }
}

/// A send that was prepared and can be dispatched: the host stores it between the two steps.
///
/// It is a secret, since whoever holds it beside a token can send, and it may hold the message itself. Its text is
/// opaque and belongs to the provider that made it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SendTicket(#[serde(serialize_with = "crate::secret::exposed")] crate::secret::Secret);

impl SendTicket {
    /// Wraps a provider's own text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(crate::secret::Secret::new(text))
    }

    /// The provider's own text, to be stored as carefully as a token.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for SendTicket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SendTicket(..)")
    }
}

/// A message that the service accepted for sending. That says nothing about its delivery to anyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sent {
    /// The sent copy's id, where the service tells.
    pub id: Option<MessageId>,
    /// The conversation it went into, where the service tells.
    pub thread: Option<ThreadId>,
}

impl Sent {
    /// A sent message as far as the service tells of it.
    #[must_use]
    pub fn new(id: Option<MessageId>, thread: Option<ThreadId>) -> Self {
        Self { id, thread }
    }
}

/// What is known about a dispatched ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Confirmation {
    /// It was sent.
    Sent(Sent),
    /// It was not sent: dispatching again cannot send twice. About a ticket whose dispatch was given up or lost it proves
    /// that only once the service can no longer be at work on it, which takes minutes;
    /// [`Mailbox::send_once`](crate::Mailbox::send_once) waits for that.
    NotSent,
    /// Neither can be proved yet.
    StillUnknown {
        /// When asking again may help; never, if unset.
        ask_again_at: Option<DateTime<Utc>>,
    },
}
