//! A calendar part of an outgoing message (<https://www.rfc-editor.org/rfc/rfc6047>). Its text is a calendar's work; here only
//! the one thing is read that the part's header must repeat.

use std::fmt;

/// An iCalendar text that goes with a message: an invitation, a change, a cancellation, or an answer to one.
///
/// ```
/// use postroom::Invitation;
///
/// let text = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
/// assert_eq!(Invitation::new(text)?.method(), "REQUEST");
/// # Ok::<(), postroom::InvitationError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    method: String,
    text: String,
}

/// Why a text cannot be sent as an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// It does not begin with `BEGIN:VCALENDAR`.
    #[error("the text is no calendar")]
    NoCalendar,
    /// It has no `METHOD`, without which it invites nobody to anything
    /// ([RFC 6047 §2.4](https://www.rfc-editor.org/rfc/rfc6047#section-2.4)).
    #[error("the calendar has no METHOD of letters, digits and hyphens")]
    NoMethod,
}

impl Invitation {
    /// Takes an iCalendar text. Its `METHOD` becomes the part's, which must be the same for programs to believe either.
    ///
    /// # Errors
    /// When it is none, or has no method.
    pub fn new(text: impl Into<String>) -> Result<Self, InvitationError> {
        let text = text.into();
        let mut lines = text.lines().map(str::trim_end);
        if !lines
            .next()
            .is_some_and(|line| line.eq_ignore_ascii_case("BEGIN:VCALENDAR"))
        {
            return Err(InvitationError::NoCalendar);
        }
        // The calendar's own properties stand before its first component (RFC 5545 §3.6).
        let method = lines
            .take_while(|line| !line.to_ascii_uppercase().starts_with("BEGIN:"))
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let name = name.split(';').next()?;
                name.eq_ignore_ascii_case("METHOD").then(|| value.trim())
            })
            .ok_or(InvitationError::NoMethod)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if method.is_empty() || method.len() > 76 || !method.bytes().all(plain) {
            return Err(InvitationError::NoMethod);
        }
        Ok(Self {
            method: method.to_ascii_uppercase(),
            text,
        })
    }

    /// What it asks for, such as `REQUEST` or `CANCEL`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The iCalendar text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What can be read in a mail is not printed: debug texts end in logs.
impl fmt::Debug for Invitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Invitation")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
