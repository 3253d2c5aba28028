//! Header lines of a host's own. What they may be named and hold is decided here; how they are encoded and folded is `mime/`'s.

use std::fmt;

/// A header line that a host adds to a message: a field name of [RFC 5322 §3.6.8](https://www.rfc-editor.org/rfc/rfc5322#section-3.6.8)
/// and any text. It cannot break out of its line, and cannot be one that is written here or by the service.
///
/// ```
/// use postroom::{HeaderError, OutgoingHeader};
///
/// let header = OutgoingHeader::new("X-Ticket", "4711 — München")?;
/// assert_eq!(header.name(), "X-Ticket");
/// assert_eq!(OutgoingHeader::new("Bcc", "all@desk.example"), Err(HeaderError::Reserved));
/// assert_eq!(OutgoingHeader::new("X-Ticket", "1\r\nBcc: all@desk.example"), Err(HeaderError::Value));
/// # Ok::<(), HeaderError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingHeader {
    name: String,
    value: String,
}

/// Why a header line cannot be added to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is empty, longer than 76 characters, or has others than printable ASCII without a colon.
    #[error(
        "a header's name is printable ASCII without spaces and colons, at most 76 characters long"
    )]
    Name,
    /// The line is written from other fields of the message, or by the services that send and receive it.
    #[error("this header is written by postroom or by the service")]
    Reserved,
    /// The value is empty or has control characters.
    #[error("a header's value is some text without control characters")]
    Value,
}

/// Lines that are written from other fields of an [`Outgoing`](crate::Outgoing), and lines about a message's way, which
/// only the services on it may write (<https://www.rfc-editor.org/rfc/rfc5322#section-3.6.7>).
const RESERVED: &[&str] = &[
    "apparently-to",
    "authentication-results",
    "bcc",
    "cc",
    "date",
    "delivered-to",
    "disposition-notification-to",
    "dkim-signature",
    "from",
    "importance",
    "in-reply-to",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "message-id",
    "mime-version",
    "received",
    "received-spf",
    "references",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
    "x-priority",
];

/// The beginnings of such names.
const RESERVED_BEGINNINGS: &[&str] = &["arc-", "content-", "resent-", "x-postroom-"];

impl OutgoingHeader {
    /// A header line; spaces around the value are left out.
    ///
    /// # Errors
    /// When there can be no such line, or it is not the host's to write.
    pub fn new(name: impl Into<String>, value: impl AsRef<str>) -> Result<Self, HeaderError> {
        let name = name.into();
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        if name.is_empty() || name.len() > 76 || !name.bytes().all(plain) {
            return Err(HeaderError::Name);
        }
        let lower = name.to_ascii_lowercase();
        let begins = |beginning: &&str| lower.starts_with(*beginning);
        if RESERVED.contains(&lower.as_str()) || RESERVED_BEGINNINGS.iter().any(begins) {
            return Err(HeaderError::Reserved);
        }
        let value = value.as_ref().trim();
        if value.is_empty() || value.contains(char::is_control) {
            return Err(HeaderError::Value);
        }
        Ok(Self {
            name,
            value: value.to_owned(),
        })
    }

    /// The field name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, not encoded.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for OutgoingHeader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OutgoingHeader")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
