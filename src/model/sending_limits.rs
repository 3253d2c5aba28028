//! How much an account may send. The figures are each provider's own; keeping to them is
//! [`Mailbox::send_many`](crate::Mailbox::send_many)'s.

/// How much an account may send, over everything that it sends from anywhere.
///
/// Services stop an account that sends more, for hours or for a day. They count by recipients' complaints and an account's
/// age too, of which they tell nothing: what is here is what they publish, or less where they publish nothing.
///
/// ```
/// use postroom::SendingLimits;
///
/// let limits = SendingLimits::new().with_messages_per_minute(30).with_messages_per_day(1_000);
/// assert_eq!(limits.recipients_per_day, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendingLimits {
    /// Messages within any minute.
    pub messages_per_minute: Option<u32>,
    /// Messages within any 24 hours.
    pub messages_per_day: Option<u32>,
    /// Recipients within any 24 hours, all messages together.
    pub recipients_per_day: Option<u32>,
    /// Recipients of one message.
    pub recipients_per_message: Option<u32>,
    /// Bytes that go up within any five minutes, drafts and their attachments included. Nobody is kept waiting for it: a service
    /// that gets more says when to go on.
    pub uploaded_per_five_minutes: Option<u64>,
    /// Where the service says so, and when that was read; empty for limits of the host's own.
    pub source: &'static str,
}

impl SendingLimits {
    /// No limits at all.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            messages_per_minute: None,
            messages_per_day: None,
            recipients_per_day: None,
            recipients_per_message: None,
            uploaded_per_five_minutes: None,
            source: "",
        }
    }

    /// So many messages within any minute, at least one.
    #[must_use]
    pub const fn with_messages_per_minute(mut self, messages: u32) -> Self {
        self.messages_per_minute = Some(if messages == 0 { 1 } else { messages });
        self
    }

    /// So many messages within any 24 hours, at least one.
    #[must_use]
    pub const fn with_messages_per_day(mut self, messages: u32) -> Self {
        self.messages_per_day = Some(if messages == 0 { 1 } else { messages });
        self
    }

    /// So many bytes up within any five minutes.
    #[must_use]
    pub const fn with_uploaded_per_five_minutes(mut self, bytes: u64) -> Self {
        self.uploaded_per_five_minutes = Some(bytes);
        self
    }

    /// So many recipients within any 24 hours, at least one.
    #[must_use]
    pub const fn with_recipients_per_day(mut self, recipients: u32) -> Self {
        self.recipients_per_day = Some(if recipients == 0 { 1 } else { recipients });
        self
    }

    /// So many recipients of one message, at least one.
    #[must_use]
    pub const fn with_recipients_per_message(mut self, recipients: u32) -> Self {
        self.recipients_per_message = Some(if recipients == 0 { 1 } else { recipients });
        self
    }

    /// Says where the figures are from.
    #[must_use]
    pub const fn with_source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
}

/// Whose account a mailbox is, which decides how much may be sent from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountType {
    /// A person's own, such as at gmail.com or outlook.com: what is assumed of an account of which nothing is known.
    #[default]
    Personal,
    /// An organisation's, which pays for it: Google Workspace, Microsoft 365.
    Organisation,
    /// An organisation's that tries the service out.
    Trial,
}
