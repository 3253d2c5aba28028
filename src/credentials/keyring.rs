//! A store in the operating system's keyring (feature `keyring`), for the few accounts of a desktop host. Which keyring
//! that is, is the host's choice among `keyring-core`'s stores.
//!
//! A keyring sets, gets and deletes small entries, one at a time, and cannot compare. So a lock on a file keeps
//! processes apart, and what is too large for an entry is split:
//!
//! * A *head* for each record, under the record's name: its revision, and either the record itself or how many parts
//!   it has and in which of two *slots*.
//! * Its parts, under the head's name, the slot's and a number. A save fills the slot that is not in use and then sets the
//!   head, which is the one moment at which the new record takes the old one's place.
//! * An index for each namespace, a record of its own: the accounts that may be there. It is written before an account is
//!   first saved and after it is removed, so at worst it names one that is not there; whoever lists looks.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::file::file_name;
use super::store::{
    CredentialStore, RecordKey, RecordKind, Revision, Save, Saved, StoreError, StoredRecord,
    hexadecimal,
};
use crate::clock::{Clock, SystemClock};
use crate::model::AccountId;
use crate::secret::Secret;

/// Windows keeps 2,560 bytes in an entry
/// (<https://learn.microsoft.com/windows/win32/api/wincred/ns-wincred-credentialw>), Linux's kernel 32,767
/// (<https://man7.org/linux/man-pages/man7/keyrings.7.html>); others have no limit of their own.
const ENTRY_LIMIT: usize = if cfg!(windows) { 2_500 } else { 30_000 };

/// The least that is useful: a head must fit.
const LEAST_ENTRY_LIMIT: usize = 512;

/// Records in a keyring.
///
/// * The keyring is any store of `keyring-core`, such as the `*-keyring-store` crates for each system. Its calls may
///   wait for the user, who is asked to unlock it, so they run where they may block.
/// * Processes that share the keyring exclude each other with a lock on one file, which all of them must name. It holds
///   no secrets, only the right to write.
/// * Whoever is interrupted leaves the old record or the new one, and at worst parts of a record that nobody reads; they
///   go with the next save of the account, or when any account is connected or removed.
/// * Some keyrings have room for little: Linux's kernel gives a user 20,000 bytes in all. Desktop keyrings are for a few
///   accounts; a server has none.
#[derive(Clone)]
pub struct KeyringStore {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
struct Shared {
    keyring: Arc<keyring_core::CredentialStore>,
    service: String,
    lock: PathBuf,
    entry_limit: usize,
}

impl KeyringStore {
    /// The store in `keyring`, as entries of `service`: the host's name, as users see it in their system's
    /// programs. `lock` is the file by which the host's processes exclude each other; it is made if need be.
    #[must_use]
    pub fn new(
        keyring: Arc<keyring_core::CredentialStore>,
        service: impl Into<String>,
        lock: impl Into<PathBuf>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                keyring,
                service: service.into(),
                lock: lock.into(),
                entry_limit: ENTRY_LIMIT,
            }),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The same store with entries of so many bytes at the most, 512 or more; what is larger is split. As it stands it is
    /// 2,500 on Windows and 30,000 elsewhere. It may be changed at any time.
    #[must_use]
    pub fn with_entry_limit(mut self, bytes: usize) -> Self {
        self.shared = Arc::new(Shared {
            entry_limit: bytes.max(LEAST_ENTRY_LIMIT),
            ..Shared::clone(&self.shared)
        });
        self
    }

    /// The same store, whose leases end by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Runs keyring work where it may block, under the lock. It runs to its end even if the caller is dropped.
    async fn locked<T: Send + 'static>(
        &self,
        lock: fn(&File) -> io::Result<()>,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            let _held = shared.lock(lock)?;
            work(&shared)
        })
        .await
        .map_err(|error| StoreError::new("keyring work was cut off").with_source(error))?
    }
}

impl fmt::Debug for KeyringStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A keyring's own form may show more than is good.
        formatter
            .debug_struct("KeyringStore")
            .field("service", &self.shared.service)
            .field("lock", &self.shared.lock)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialStore for KeyringStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let name = record_name(key);
        // Shared with other readers: between head and parts nobody may write.
        let read = self.locked(File::lock_shared, move |shared| shared.read(&name));
        let found = read.await?;
        Ok(found.map(|(head, record)| StoredRecord::new(record, Revision::new(head.revision))))
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        let (key, record) = (key.clone(), record.clone());
        let write = self.locked(File::lock, move |shared| shared.save(&key, &record, &save));
        write.await
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.locked(File::lock, move |shared| shared.remove(&key))
            .await
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let namespace = namespace.map(str::to_owned);
        let list = self.locked(File::lock_shared, move |shared| {
            let mut accounts = Vec::new();
            for account in shared.index(namespace.as_deref())? {
                let name = record_name(&account_key(namespace.as_deref(), &account));
                if shared.get(&name)?.is_some() {
                    accounts.push(account);
                }
            }
            Ok(accounts)
        });
        list.await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.clock.now())
    }
}

/// What stands before the record in a head, as one line.
#[derive(Serialize, Deserialize)]
struct Head {
    revision: String,
    /// Where the parts are, if the record is not in the head itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Parts>,
}

#[derive(Serialize, Deserialize)]
struct Parts {
    slot: Slot,
    count: usize,
    /// Of the whole record, so that parts which belong to another one are not taken for its own.
    digest: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Slot {
    A,
    B,
}

impl Slot {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn part(self, name: &str, number: usize) -> String {
        let slot = match self {
            Self::A => 'a',
            Self::B => 'b',
        };
        format!("{name}={slot}{number}")
    }
}

impl Shared {
    fn save(&self, key: &RecordKey, record: &Secret, save: &Save) -> Result<Saved, StoreError> {
        let name = record_name(key);
        let current = match (self.head(&name), save) {
            // A damaged record is repaired by whoever writes without a condition, by signing in again.
            (Err(_), Save::Always) => None,
            (current, _) => current?,
        };
        let revision = current
            .as_ref()
            .map(|head| Revision::new(head.revision.as_str()));
        if !save.allows(revision.as_ref()) {
            return Ok(Saved::Superseded);
        }
        if key.kind == RecordKind::Account && current.is_none() {
            let namespace = key.namespace.as_deref();
            self.change_index(namespace, |accounts| {
                if !accounts.contains(&key.account) {
                    accounts.push(key.account.clone());
                }
            })?;
        }
        self.write(&name, current, record).map(Saved::Written)
    }

    fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        let name = record_name(key);
        self.delete(&name)?;
        self.clear(&name, Slot::A, 0)?;
        self.clear(&name, Slot::B, 0)?;
        if key.kind == RecordKind::Account {
            let namespace = key.namespace.as_deref();
            self.change_index(namespace, |accounts| {
                accounts.retain(|account| *account != key.account);
            })?;
        }
        Ok(())
    }

    fn index(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let Some((_, index)) = self.read(&index_name(namespace))? else {
            return Ok(Vec::new());
        };
        serde_json::from_str(index.expose())
            .map_err(|_| StoreError::new("the keyring's list of accounts is damaged"))
    }

    fn change_index(
        &self,
        namespace: Option<&str>,
        change: impl FnOnce(&mut Vec<AccountId>),
    ) -> Result<(), StoreError> {
        let listed = self.index(namespace)?;
        let mut accounts = Vec::with_capacity(listed.len() + 1);
        for account in &listed {
            let name = record_name(&account_key(namespace, account));
            if self.get(&name)?.is_some() {
                accounts.push(account.clone());
            } else {
                // Whoever was to save or to remove it was interrupted, and may have left parts of it.
                self.clear(&name, Slot::A, 0)?;
                self.clear(&name, Slot::B, 0)?;
            }
        }
        change(&mut accounts);
        if accounts == listed {
            return Ok(());
        }
        let index = serde_json::to_string(&accounts)
            .map_err(|error| StoreError::new("a list cannot be written").with_source(error))?;
        let name = index_name(namespace);
        let head = self.head(&name)?;
        self.write(&name, head, &Secret::new(index)).map(drop)
    }

    fn head(&self, name: &str) -> Result<Option<Head>, StoreError> {
        let Some(entry) = self.get(name)? else {
            return Ok(None);
        };
        split_head(&entry).map(|(head, _)| Some(head))
    }

    fn read(&self, name: &str) -> Result<Option<(Head, Secret)>, StoreError> {
        let Some(entry) = self.get(name)? else {
            return Ok(None);
        };
        let (head, rest) = split_head(&entry)?;
        let record = match &head.parts {
            None => Zeroizing::new(rest.to_vec()),
            Some(parts) => {
                let mut found = Vec::new();
                for number in 0..parts.count {
                    let part = self.get(&parts.slot.part(name, number))?;
                    found.push(part.ok_or_else(damaged)?);
                }
                // Of its whole size from the start: what grows leaves copies behind.
                let size = found.iter().map(|part| part.len()).sum();
                let mut record = Zeroizing::new(Vec::with_capacity(size));
                for part in &found {
                    record.extend_from_slice(part);
                }
                if digest(&record) != parts.digest {
                    return Err(damaged());
                }
                record
            }
        };
        let record = std::str::from_utf8(&record).map_err(|_| damaged())?;
        let record = Secret::new(record);
        Ok(Some((head, record)))
    }

    /// Writes a record in the place of `current`, all at once for whoever reads.
    fn write(
        &self,
        name: &str,
        current: Option<Head>,
        record: &Secret,
    ) -> Result<Revision, StoreError> {
        let revision = Revision::random()?;
        let record = record.expose().as_bytes();
        let in_use = current.and_then(|head| head.parts).map(|parts| parts.slot);
        let head = |parts| -> Result<Zeroizing<Vec<u8>>, StoreError> {
            let head = Head {
                revision: revision.as_str().to_owned(),
                parts,
            };
            let mut entry = serde_json::to_vec(&head).map_err(|error| {
                StoreError::new("a keyring entry cannot be written").with_source(error)
            })?;
            entry.push(b'\n');
            Ok(Zeroizing::new(entry))
        };

        let mut entry = head(None)?;
        let slot = if entry.len() + record.len() <= self.entry_limit {
            entry.reserve_exact(record.len());
            entry.extend_from_slice(record);
            self.set(name, &entry)?;
            None
        } else {
            let slot = in_use.map_or(Slot::A, Slot::other);
            let mut count = 0;
            for part in record.chunks(self.entry_limit) {
                self.set(&slot.part(name, count), part)?;
                count += 1;
            }
            let digest = digest(record);
            self.set(
                name,
                &head(Some(Parts {
                    slot,
                    count,
                    digest,
                }))?,
            )?;
            Some((slot, count))
        };
        // The record is written. What it replaced is forgotten, and what others left who were interrupted.
        for unused in [Slot::A, Slot::B] {
            let from = slot.filter(|(slot, _)| *slot == unused);
            self.clear(name, unused, from.map_or(0, |(_, count)| count))?;
        }
        Ok(revision)
    }

    /// Deletes the parts of a slot from this number on, the last one first, so that whoever is interrupted leaves no gap
    /// behind which some would be forgotten.
    fn clear(&self, name: &str, slot: Slot, from: usize) -> Result<(), StoreError> {
        let mut end = from;
        while self.get(&slot.part(name, end))?.is_some() {
            end += 1;
        }
        for number in (from..end).rev() {
            self.delete(&slot.part(name, number))?;
        }
        Ok(())
    }

    fn entry(&self, name: &str) -> Result<keyring_core::Entry, StoreError> {
        self.keyring
            .build(&self.service, name, None)
            .map_err(|error| failure("find an entry of", error))
    }

    fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.entry(name)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(keyring_core::Error::NoEntry) => Ok(None),
            Err(error) => Err(failure("read", error)),
        }
    }

    fn set(&self, name: &str, secret: &[u8]) -> Result<(), StoreError> {
        let set = self.entry(name)?.set_secret(secret);
        set.map_err(|error| failure("write to", error))
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        match self.entry(name)?.delete_credential() {
            Ok(()) | Err(keyring_core::Error::NoEntry) => Ok(()),
            Err(error) => Err(failure("delete from", error)),
        }
    }

    /// The lock, held until the file is dropped.
    fn lock(&self, lock: fn(&File) -> io::Result<()>) -> Result<File, StoreError> {
        let cannot = |error: io::Error| {
            StoreError::new(format!("cannot lock {}", self.lock.display())).with_source(error)
        };
        if let Some(folder) = self.lock.parent().filter(|folder| *folder != Path::new("")) {
            fs::create_dir_all(folder).map_err(cannot)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.lock).map_err(cannot)?;
        lock(&file).map_err(cannot)?;
        Ok(file)
    }
}

fn account_key(namespace: Option<&str>, account: &AccountId) -> RecordKey {
    let key = RecordKey::account(account.clone());
    match namespace {
        None => key,
        Some(namespace) => key.in_namespace(namespace),
    }
}

/// The name of a record's head. Its parts are separated by a sign that none of them has, and begin with a word that
/// tells what they are; all are in characters that every keyring takes and keeps apart.
fn record_name(key: &RecordKey) -> String {
    let name = format!(
        "{}={}",
        file_name(&key.kind.name()),
        file_name(key.account.as_str())
    );
    in_namespace(key.namespace.as_deref(), &name)
}

fn index_name(namespace: Option<&str>) -> String {
    in_namespace(namespace, "index")
}

fn in_namespace(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        None => name.to_owned(),
        Some(namespace) => format!("namespace={}={name}", file_name(namespace)),
    }
}

fn split_head(entry: &[u8]) -> Result<(Head, &[u8]), StoreError> {
    let end = entry.iter().position(|byte| *byte == b'\n');
    let (head, rest) = end
        .and_then(|end| entry.split_at_checked(end))
        .ok_or_else(damaged)?;
    let head = serde_json::from_slice(head).map_err(|_| damaged())?;
    Ok((head, rest.get(1..).unwrap_or_default()))
}

fn digest(record: &[u8]) -> String {
    hexadecimal(&Sha256::digest(record))
}

fn damaged() -> StoreError {
    StoreError::unreadable("an entry of the keyring is damaged")
}

/// An error of the keyring. Some of them hold the secret that they are about, so only what is certainly none is kept.
fn failure(action: &str, error: keyring_core::Error) -> StoreError {
    use keyring_core::Error;
    let cannot = format!("cannot {action} the keyring");
    match error {
        Error::PlatformFailure(source) => StoreError::new(cannot).with_source(source),
        Error::NoStorageAccess(source) => {
            StoreError::new(format!("{cannot}: it is locked or not accessible")).with_source(source)
        }
        Error::TooLong(attribute, limit) => StoreError::new(format!(
            "{cannot}: its limit for {attribute} is {limit}; set a lower one by with_entry_limit"
        )),
        Error::NotSupportedByStore(_) => {
            StoreError::new(format!("{cannot}: it does not offer that"))
        }
        Error::Ambiguous(_) => StoreError::new(format!("{cannot}: several entries have one name")),
        _ => StoreError::new(cannot),
    }
}
