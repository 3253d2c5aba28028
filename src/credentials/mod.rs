//! Keeping a credential: the account's record, the stores it can be kept in, and the token source that serves
//! and renews it. How a credential is obtained and renewed at a service is `oauth`'s; nothing here knows mail,
//! OAuth or HTTP.
//!
//! # Which store
//!
//! * [`MemoryStore`]: for tests and trials; it forgets everything.
//! * [`FileStore`]: one directory, one file per record, shared by the processes of one machine.
//! * [`KeyringStore`] (feature `keyring`): the operating system's keyring, for the few accounts of a desktop host.
//! * [`SqliteStore`] (feature `sqlite`): a table in an embedded database, for many accounts on one machine.
//! * [`PostgresStore`] (feature `postgres`): a table on a server, for workers on many machines.
//! * [`Encrypted`] (feature `encryption`): any of these, with the records encrypted before they reach it.
//! * A store of the host's own: implement [`CredentialStore`], which keeps opaque text under a key and knows nothing
//!   of what is in it. The suite in `testing` (feature `testing`) shows whether it keeps the contract.

#[cfg(feature = "encryption")]
mod encrypted;
mod file;
#[cfg(feature = "keyring")]
mod keyring;
mod lease;
mod lifetime;
mod memory;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod record;
mod refreshing;
mod renewal;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod sql;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod store;
mod tokens;

pub use crate::model::UnknownFields;
#[cfg(feature = "encryption")]
pub(crate) use encrypted::binding;
#[cfg(feature = "encryption")]
pub use encrypted::{Encrypted, EncryptionKey, EncryptionKeys};
pub use file::FileStore;
#[cfg(feature = "keyring")]
pub use keyring::KeyringStore;
pub use lease::{Acquired, Lease};
#[cfg(feature = "app-only")]
pub(crate) use lifetime::APPLICATION_MAILBOX;
pub(crate) use lifetime::Facts;
pub use lifetime::{CertainEnd, GrantLifetime, Lapse, PossibleEnd};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use record::{
    AccountRecord, AccountState, Credential, Failures, Identity, LoadedAccount, Service,
    UpkeepRecord,
};
pub use refreshing::{Refresh, Refreshed};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use store::{
    CredentialStore, RecordKey, RecordKind, Revision, Save, Saved, StoreError, StoredRecord,
};
pub use tokens::{AccessToken, StaticToken, StoredTokens, TokenOptions, TokenSource};
pub(crate) use tokens::{LeaseTerms, TellToken, TokenNews};
