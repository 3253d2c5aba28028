//! Connect Gmail and Outlook mailboxes and work with them as one.

mod accounts;
pub mod clock;
pub mod credentials;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
#[cfg(feature = "gmail")]
mod gmail;
pub mod http;
mod journal;
mod mailbox;
mod mime;
mod model;
pub mod oauth;
#[cfg(feature = "outlook")]
mod outlook;
mod provider;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;

pub use accounts::{
    Account, Accounts, AccountsBuilder, Connecting, Disconnected, PendingConnection,
    ProviderConfiguration,
};
pub use error::{Delivery, Error, ErrorKind, Result};
#[cfg(feature = "gmail")]
pub use gmail::Gmail;
pub use journal::{MemoryJournal, SendJournal, SendState};
pub use mailbox::{Mailbox, Messages, SyncPages};
pub use model::*;
#[cfg(feature = "outlook")]
pub use outlook::Outlook;
pub use provider::{Capabilities, FoldersPerMessage, Known, MailProvider, SyncChange, SyncPage};
pub use secret::Secret;
