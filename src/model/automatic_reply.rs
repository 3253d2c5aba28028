//! What a mailbox answers by itself while its owner is away. Whether a message is such an answer is told by `facts`.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The automatic reply of a mailbox: when, to whom, with what.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AutomaticReply {
    /// When it is given.
    pub schedule: ReplySchedule,
    /// Who gets it.
    pub audience: ReplyAudience,
    /// Its subject. Gmail's only: Outlook writes one.
    pub subject: Option<String>,
    /// What it says.
    pub message: ReplyText,
    /// What it says to people outside the organisation, if that is something else. Outlook's only.
    pub external_message: Option<ReplyText>,
}

impl AutomaticReply {
    /// This text to everybody, from now on until it is switched off.
    #[must_use]
    pub fn new(message: ReplyText) -> Self {
        Self {
            schedule: ReplySchedule::Always,
            message,
            ..Self::default()
        }
    }

    /// Gives it in this time only.
    #[must_use]
    pub fn between(mut self, from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        self.schedule = ReplySchedule::Between {
            from: Some(from),
            until: Some(until),
        };
        self
    }

    /// Gives it to these people only.
    #[must_use]
    pub fn with_audience(mut self, audience: ReplyAudience) -> Self {
        self.audience = audience;
        self
    }
}

/// What people write in it is between them and their correspondents.
impl fmt::Debug for AutomaticReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AutomaticReply")
            .field("schedule", &self.schedule)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// When an automatic reply is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplySchedule {
    /// Not at all; what it says is kept.
    #[default]
    Never,
    /// Until it is switched off.
    Always,
    /// Within this time. Outlook needs both ends.
    Between {
        /// From then on.
        from: Option<DateTime<Utc>>,
        /// Not after that.
        until: Option<DateTime<Utc>>,
    },
}

/// Who gets an automatic reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplyAudience {
    /// Everybody who writes.
    #[default]
    Everyone,
    /// Those among the owner's contacts, and on Outlook everybody in the organisation.
    Contacts,
    /// Those in the organisation.
    Organisation,
    /// Those in the organisation who are among the owner's contacts. Gmail's only.
    ContactsInOrganisation,
}

/// A text, in one form or in both. HTML is what is sent where both are there; Outlook keeps HTML only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReplyText {
    /// As plain text.
    pub text: Option<String>,
    /// As HTML.
    pub html: Option<String>,
}

impl ReplyText {
    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
            html: None,
        }
    }

    /// HTML.
    #[must_use]
    pub fn html(html: impl Into<String>) -> Self {
        Self {
            text: None,
            html: Some(html.into()),
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let says = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        !says(&self.text) && !says(&self.html)
    }
}

impl fmt::Debug for ReplyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ReplyText")
    }
}
