//! Plain data that both providers speak: messages, folders, queries, what to send, what changed. It knows no
//! vendor, no network and no credentials, and imports nothing else of the crate but the type of secrets. How a message is
//! parsed and composed is `mime`'s, what it is beside its text `facts`', how it is shown `view`'s.

mod access;
mod address;
mod authentication;
mod automatic_reply;
mod category;
mod change;
mod content;
mod draft;
mod folder;
mod identity;
mod ids;
mod importing;
mod message;
mod outgoing;
mod page;
mod query;
mod rule;
mod sending;
mod sending_limits;
mod spending;
mod sync;
mod unknown;
mod watch;
mod watch_health;

pub use access::Access;
pub(crate) use address::addresses_of;
pub use address::{Address, AddressError};
pub use authentication::AuthenticationServer;
pub use automatic_reply::{AutomaticReply, ReplyAudience, ReplySchedule, ReplyText};
pub use category::{Category, CategoryColor, UnknownColor};
pub use change::{Change, Keyword};
pub(crate) use content::SpoolError;
pub use content::{ByteStream, Content};
pub use draft::{Draft, DraftBody, DraftEdit, DraftRevision};
pub use folder::{Folder, FolderColor, FolderCounts, FolderEdit, FolderRole};
pub use identity::Identity;
pub use ids::{
    AccountId, AttachmentId, CategoryId, DraftId, FolderId, MessageId, RuleId, SubscriptionId,
    ThreadId,
};
pub use importing::{ImportDate, ImportLoss, ImportOptions, ImportWay, Imported};
pub use message::{Attachment, AttachmentKind, Body, Detail, Flowed, Header, Message, Profile};
pub use outgoing::{
    AnswerKind, Answers, HeaderError, Importance, Invitation, InvitationError, ListUnsubscribe,
    ListUnsubscribeError, Outgoing, OutgoingAttachment, OutgoingHeader,
};
pub use page::{Page, PageRequest, PageToken};
pub use query::{Exactness, NativeQuery, Query, QueryError, QueryPlan};
#[cfg(any(feature = "gmail", feature = "outlook"))]
pub(crate) use query::{Language, Residue, Told, approximate, is_address, normal, words};
pub use rule::{NewRule, Rule, RuleActions, RuleConditions, RulePart};
pub use sending::{Confirmation, SendKey, SendTicket, Sent};
pub use sending_limits::{AccountType, SendingLimits};
pub use spending::{Cap, Estimate, Lane, Purse, Spent, Terms, Work};
pub use sync::{
    Audit, AuditWindow, KnownMessage, MessageUpdate, Scope, SyncCursor, SyncPhase, SyncProgress,
    Uncertainty, UntoldDifferences,
};
pub use unknown::UnknownFields;
#[cfg(any(feature = "gmail", feature = "outlook"))]
pub(crate) use watch::renewal_before;
pub use watch::{Renewed, Watch, WatchKind, WatchPlace, WatchTarget};
pub use watch_health::{WatchHealth, WatchState};
