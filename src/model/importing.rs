//! Putting messages that exist elsewhere into a mailbox. How a service takes them is each provider's.

use chrono::{DateTime, Utc};

use super::{FolderId, Keyword, MessageId, ThreadId};

/// How a message that exists elsewhere is put into a mailbox.
///
/// ```
/// use postroom::{FolderId, ImportOptions, Keyword};
///
/// let options = ImportOptions::new()
///     .folder(FolderId::from("INBOX"))
///     .keyword(Keyword::Seen);
/// assert_eq!(options.folders.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportOptions {
    /// The folders that it goes into. Without any it goes where the service keeps mail that is in none, or else into its
    /// archive.
    pub folders: Vec<FolderId>,
    /// What it is marked with. Without [`Keyword::Seen`] it is unread.
    pub keywords: Vec<Keyword>,
    /// When it counts as received.
    pub date: ImportDate,
    /// The conversation that it belongs to, where the service does not see that by itself.
    pub thread: Option<ThreadId>,
    /// How much the service looks at it.
    pub way: ImportWay,
}

/// When an imported message counts as received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportDate {
    /// When it says that it was sent: its `Date` header.
    #[default]
    Kept,
    /// At this moment.
    At(DateTime<Utc>),
    /// Now.
    Now,
}

/// How much a service looks at an imported message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportWay {
    /// Not at all: it is put where it should be, as it is, even if the mailbox has it already.
    #[default]
    Append,
    /// As if it arrived: the service classifies it, may take it for junk, and need not keep it twice.
    Receive,
    /// As if it arrived, but it is never taken for junk.
    ReceiveTrusted,
}

impl ImportOptions {
    /// As it is, in no folder, unread, with its own date.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts it into this folder, too.
    #[must_use]
    pub fn folder(mut self, folder: FolderId) -> Self {
        self.folders.push(folder);
        self
    }

    /// Marks it.
    #[must_use]
    pub fn keyword(mut self, keyword: Keyword) -> Self {
        self.keywords.push(keyword);
        self
    }

    /// Says when it counts as received.
    #[must_use]
    pub fn date(mut self, date: ImportDate) -> Self {
        self.date = date;
        self
    }

    /// Puts it into this conversation.
    #[must_use]
    pub fn thread(mut self, thread: ThreadId) -> Self {
        self.thread = Some(thread);
        self
    }

    /// Says how much the service looks at it.
    #[must_use]
    pub fn way(mut self, way: ImportWay) -> Self {
        self.way = way;
        self
    }
}

/// A message that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Its id in this mailbox.
    pub id: MessageId,
    /// The conversation that it went into, where the service tells.
    pub thread: Option<ThreadId>,
    /// What of it, or of the options, could not be kept. It is there all the same.
    pub lost: Vec<ImportLoss>,
}

impl Imported {
    /// A message of which everything was kept.
    #[must_use]
    pub fn new(id: MessageId) -> Self {
        Self {
            id,
            thread: None,
            lost: Vec::new(),
        }
    }
}

/// Something that a service did not keep of an imported message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportLoss {
    /// It counts as received at another time.
    Date,
    /// It is not in this folder.
    Folder(FolderId),
    /// It is not marked so.
    Keyword(Keyword),
    /// It is not in the conversation that was named.
    Thread,
    /// The service wrote it anew: it is not the same byte by byte. A line that says where it came from is none of its own.
    Bytes,
}
