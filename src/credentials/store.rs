//! What a place that keeps credentials must do: [`CredentialStore`], its keys, revisions and errors. What the
//! records say is `record`'s; the stores themselves have a file each.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::error::{Error, ErrorKind};
use crate::model::AccountId;
use crate::secret::Secret;

/// A place that keeps secret records, each under a [`RecordKey`].
///
/// The records are opaque text: a store never reads them, and treats every one of them as a secret. A store of a
/// host's own is a table with the columns namespace, account, kind, revision and record; or a map from
/// [`RecordKey::text`] to revision and record, as in the example `custom_store`, which is a page of code.
///
/// # Contract
/// * A save is atomic: after a crash the key holds the whole old record or the whole new one.
/// * Every successful save gives the key a revision that it never had before, not even before it was removed
///   ([`Revision::random`] is enough).
/// * Conditional saves compare and write as one step, against every process that shares the store. Of several
///   [`Save::IfRevision`] with the same revision exactly one is [`Saved::Written`]; likewise [`Save::IfAbsent`].
/// * A save that came second is [`Saved::Superseded`], an answer and not an error.
/// * Keys are compared byte for byte: any text, of any language, is a different account.
/// * No error holds anything of a record. One about a record that is there and cannot be read, should a store have such,
///   is [`StoreError::unreadable`], so that the other accounts go on.
#[async_trait]
pub trait CredentialStore: fmt::Debug + Send + Sync + 'static {
    /// The record under `key`, if there is one.
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError>;

    /// Writes `record` under `key` if `save` allows it.
    async fn save(&self, key: &RecordKey, record: &Secret, save: Save)
    -> Result<Saved, StoreError>;

    /// Forgets the record. That there is none is fine.
    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError>;

    /// The accounts of this namespace that have a record of kind [`RecordKind::Account`], in any order.
    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError>;

    /// The store's clock, by which leases end. Whoever shares the store must see the same one, so a store on a server
    /// answers with the server's; the default is this machine's.
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(Utc::now())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CredentialStore + ?Sized> CredentialStore for Arc<S> {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        (**self).load(key).await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        (**self).save(key, record, save).await
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        (**self).remove(key).await
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        (**self).list(namespace).await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        (**self).now().await
    }
}

/// What a record is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RecordKey {
    /// The tenant of the host that the account belongs to, for hosts that have several.
    pub namespace: Option<String>,
    /// The account.
    pub account: AccountId,
    /// Which of the account's records.
    pub kind: RecordKind,
}

impl RecordKey {
    /// The key of an account's own record, outside any namespace.
    #[must_use]
    pub fn account(account: impl Into<AccountId>) -> Self {
        Self {
            namespace: None,
            account: account.into(),
            kind: RecordKind::Account,
        }
    }

    /// The same key within a namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The key as one text, for stores whose keys are text. No two keys have the same, and the text of an account's own
    /// record is [`accounts`](Self::accounts) with the account after it.
    ///
    /// ```
    /// use postroom::credentials::RecordKey;
    ///
    /// let key = RecordKey::account("user 7").in_namespace("shop");
    /// assert_eq!(key.text(), "account/4:shop/user 7");
    /// assert_eq!(key.text().strip_prefix(&RecordKey::accounts(Some("shop"))), Some("user 7"));
    /// ```
    #[must_use]
    pub fn text(&self) -> String {
        let kind = self.kind.name();
        format!(
            "{kind}/{}/{}",
            in_text(self.namespace.as_deref()),
            self.account
        )
    }

    /// How the texts of all accounts' own records in this namespace begin, and no others: what a store lists by.
    #[must_use]
    pub fn accounts(namespace: Option<&str>) -> String {
        format!("{}/{}/", RecordKind::Account.name(), in_text(namespace))
    }

    /// The key of the account's lease for `purpose`.
    #[must_use]
    pub fn lease(&self, purpose: &'static str) -> Self {
        Self {
            kind: RecordKind::Lease(purpose),
            ..self.clone()
        }
    }
}

/// A namespace within a key's text. With its length it ends where it ends, whatever is in it.
fn in_text(namespace: Option<&str>) -> String {
    namespace.map_or_else(String::new, |name| format!("{}:{name}", name.len()))
}

impl From<AccountId> for RecordKey {
    fn from(account: AccountId) -> Self {
        Self::account(account)
    }
}

/// Which of an account's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// The account itself: credential, grant, identity.
    Account,
    /// A lease for this purpose: who may do something at the moment.
    Lease(&'static str),
}

impl RecordKind {
    /// The kind as text, for a column: `account`, or `lease-` and the purpose.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Account => Cow::Borrowed("account"),
            Self::Lease(purpose) => Cow::Owned(format!("lease-{purpose}")),
        }
    }
}

/// A record and the revision it has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredRecord {
    /// The record's text.
    pub record: Secret,
    /// What to compare with when saving.
    pub revision: Revision,
}

impl StoredRecord {
    /// A record as a store found it.
    #[must_use]
    pub fn new(record: Secret, revision: Revision) -> Self {
        Self { record, revision }
    }
}

/// The mark of one write of one record: opaque text that changes with every write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision(Arc<str>);

impl Revision {
    /// A revision as a store keeps it: a counter, an entity tag, anything that is never used twice for a key.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// A revision that nobody had before.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn random() -> Result<Self, StoreError> {
        random_text().map(Self::new)
    }

    /// The text to keep.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Under which condition a save writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Save {
    /// Whatever is there.
    Always,
    /// Only where there is no record.
    IfAbsent,
    /// Only over the record with this revision.
    IfRevision(Revision),
}

impl Save {
    /// Whether a save under this condition writes where `current` is what is there.
    #[must_use]
    pub fn allows(&self, current: Option<&Revision>) -> bool {
        match self {
            Self::Always => true,
            Self::IfAbsent => current.is_none(),
            Self::IfRevision(revision) => current == Some(revision),
        }
    }
}

/// What became of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Saved {
    /// It is written and has this revision.
    Written(Revision),
    /// The condition did not hold: somebody was faster. Load again and decide.
    Superseded,
}

/// The store failed. Its message and source hold nothing of any record.
#[derive(Debug)]
pub struct StoreError {
    message: Cow<'static, str>,
    unreadable: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// An error with a sentence for people. It must hold nothing of a record.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            unreadable: false,
            source: None,
        }
    }

    /// An error about one record that is there and cannot be read, as [`new`](Self::new): damaged, or of another kind. The
    /// store itself works, and its other records are fine.
    #[must_use]
    pub fn unreadable(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            unreadable: true,
            ..Self::new(message)
        }
    }

    /// Whether it is about one record only, which is there and cannot be read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// Adds the error underneath. It must hold nothing of a record either: beware of parsers that quote.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// Only the kind is kept: what else an error says may quote what was read.
impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::new(format!("the store's storage failed: {}", error.kind()))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::new(ErrorKind::CredentialStore, "the credential store failed").with_source(error)
    }
}

/// 128 random bits as text.
pub(super) fn random_text() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::new("no random numbers").with_source(error))?;
    Ok(hexadecimal(&bytes))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
