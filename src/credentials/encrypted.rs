//! Encryption at rest (feature `encryption`): [`Encrypted`] around any store, and its keys. Where the records are kept
//! is the inner store's; where the keys come from is the host's.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::store::{CredentialStore, RecordKey, RecordKind, Save, Saved, StoreError, StoredRecord};
use crate::model::AccountId;
use crate::secret::Secret;

/// A key for [`Encrypted`]: 256 random bits. It is never printed, and wiped when its last clone is dropped.
///
/// It belongs where the records are not: in a secret manager, a file of another machine, the environment.
#[derive(Clone)]
pub struct EncryptionKey(Arc<Zeroizing<[u8; 32]>>);

impl EncryptionKey {
    /// A key that nobody had before.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn generate() -> Result<Self, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(&mut *bytes)?;
        Ok(Self(Arc::new(bytes)))
    }

    /// The key with these bytes. They must be random: a password is no key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// Reads 32 bytes in base64, as [`to_base64`](Self::to_base64) and `openssl rand -base64 32` write them.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_base64(text: &Secret) -> Result<Self, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        // The buffer is larger than the key, so that what is too long is seen to be.
        let mut buffer = Zeroizing::new([0; 64]);
        let length = STANDARD.decode_slice(text.expose().trim(), &mut *buffer);
        // A parser's message would quote the key.
        let decoded = length.ok().and_then(|length| buffer.get(..length));
        match decoded {
            Some(decoded) if decoded.len() == bytes.len() => bytes.copy_from_slice(decoded),
            _ => {
                return Err(StoreError::new(
                    "an encryption key is 32 bytes in base64, 44 characters; `openssl rand -base64 32` makes one",
                ));
            }
        }
        Ok(Self(Arc::new(bytes)))
    }

    /// The key as text, to be kept in a secret place.
    #[must_use]
    pub fn to_base64(&self) -> Secret {
        Secret::new(STANDARD.encode(**self.0))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(**self.0))
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EncryptionKey(..)")
    }
}

/// The keys of an [`Encrypted`] store: one that writes, and any number that only read.
///
/// Each has a name that is kept beside what it encrypted. A name belongs to one key for good.
///
/// To replace a key, first give the new one to every process [as a reading one](Self::and_read_with), so that each can
/// read what any of them will write; then make it the writing one everywhere, and keep the old one as a reading one; then call
/// [`Encrypted::reencrypt`] for every namespace, after which nothing needs the old one.
#[derive(Clone, Debug)]
pub struct EncryptionKeys {
    writing: (String, EncryptionKey),
    reading: Vec<(String, EncryptionKey)>,
}

impl EncryptionKeys {
    /// One key, by this name.
    #[must_use]
    pub fn new(name: impl Into<String>, key: EncryptionKey) -> Self {
        Self {
            writing: (name.into(), key),
            reading: Vec::new(),
        }
    }

    /// Reads what this other key wrote as well.
    #[must_use]
    pub fn and_read_with(mut self, name: impl Into<String>, key: EncryptionKey) -> Self {
        self.reading.push((name.into(), key));
        self
    }

    fn all(&self) -> impl Iterator<Item = &(String, EncryptionKey)> {
        std::iter::once(&self.writing).chain(&self.reading)
    }
}

/// A store whose accounts' records are encrypted before they reach the store inside.
///
/// * XChaCha20-Poly1305 under one of [`EncryptionKeys`], with a random nonce for every save.
/// * What is encrypted is bound to its namespace, account and kind: a record that was copied to another account's place, or
///   changed, is an error. That an older record of the same account was put back cannot be seen.
/// * Account names, revisions and leases are in the clear. They are no secrets, and leases must outlive the keys.
///
/// ```
/// # async fn example() -> Result<(), postroom::credentials::StoreError> {
/// use postroom::credentials::{Encrypted, EncryptionKey, EncryptionKeys, FileStore};
///
/// // In a host: EncryptionKey::from_base64(&Secret::new(std::env::var("CREDENTIALS_KEY")?))
/// let key = EncryptionKey::generate()?;
/// let store = Encrypted::new(FileStore::new("accounts"), EncryptionKeys::new("2026", key));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Encrypted<S> {
    store: S,
    keys: EncryptionKeys,
    plain: bool,
}

impl<S: CredentialStore> Encrypted<S> {
    /// The store around `store`.
    #[must_use]
    pub fn new(store: S, keys: EncryptionKeys) -> Self {
        Self {
            store,
            keys,
            plain: false,
        }
    }

    /// Reads records that are not encrypted too, as a store has them that was in use before. They are encrypted when
    /// they are next saved, or by [`reencrypt`](Self::reencrypt).
    ///
    /// Only for that time: whoever can write to the store inside can otherwise plant records without having a key.
    #[must_use]
    pub fn reading_plain_records(mut self) -> Self {
        self.plain = true;
        self
    }

    /// The store inside.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// Encrypts with the writing key whatever accounts of this namespace have that is encrypted otherwise or not at
    /// all, and returns how many that were. It may run while the store is in use, and again.
    ///
    /// # Errors
    /// The store failed, or a record cannot be read with any of the keys. What was done until then is done.
    pub async fn reencrypt(&self, namespace: Option<&str>) -> Result<usize, StoreError> {
        let mut changed = 0;
        for account in self.store.list(namespace).await? {
            let mut key = RecordKey::account(account);
            key.namespace = namespace.map(str::to_owned);
            while let Some(stored) = self.store.load(&key).await? {
                let envelope = Envelope::read(&stored.record);
                if envelope.is_some_and(|envelope| envelope.key == self.keys.writing.0) {
                    break;
                }
                let record = self.decrypt(&key, &stored.record)?;
                let save = Save::IfRevision(stored.revision);
                // Whoever saved meanwhile may have an older key, so that is looked at again.
                if self.save(&key, &record, save).await? != Saved::Superseded {
                    changed += 1;
                    break;
                }
            }
        }
        Ok(changed)
    }

    fn encrypt(&self, key: &RecordKey, record: &Secret) -> Result<Secret, StoreError> {
        self.keys
            .encrypt(record, &|name| associated_data(key, name))
    }

    fn decrypt(&self, key: &RecordKey, stored: &Secret) -> Result<Secret, StoreError> {
        let what = format!("the record of {}", key.account);
        let bound_to = |name: &str| associated_data(key, name);
        match self.keys.decrypt(stored, &bound_to, &what)? {
            Some(record) => Ok(record),
            None if self.plain => Ok(stored.clone()),
            None => Err(StoreError::unreadable(format!(
                "{what} is not encrypted; if it is older than the encryption, allow that by reading_plain_records"
            ))),
        }
    }
}

impl EncryptionKeys {
    /// A text encrypted with the writing key, and bound to what is said of it for the name of that key.
    pub(crate) fn encrypt(
        &self,
        text: &Secret,
        bound_to: &(dyn Fn(&str) -> Vec<u8> + Sync),
    ) -> Result<Secret, StoreError> {
        let (name, encryption_key) = &self.writing;
        let mut nonce = [0; 24];
        random(&mut nonce)?;
        let payload = Payload {
            msg: text.expose().as_bytes(),
            aad: &bound_to(name),
        };
        let encrypted = encryption_key
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| StoreError::new("the record is too large to be encrypted"))?;
        let envelope = Envelope {
            encryption: ALGORITHM.to_owned(),
            key: name.clone(),
            nonce: STANDARD.encode(nonce),
            text: STANDARD.encode(encrypted),
        };
        serde_json::to_string(&envelope)
            .map(Secret::new)
            .map_err(|error| {
                StoreError::new("an encrypted record cannot be written").with_source(error)
            })
    }

    /// The text that was [encrypted](Self::encrypt); `None` if it is not encrypted at all. `what` names it in errors.
    pub(crate) fn decrypt(
        &self,
        stored: &Secret,
        bound_to: &(dyn Fn(&str) -> Vec<u8> + Sync),
        what: &str,
    ) -> Result<Option<Secret>, StoreError> {
        let Some(envelope) = Envelope::read(stored) else {
            return Ok(None);
        };
        if envelope.encryption != ALGORITHM {
            return Err(StoreError::unreadable(format!(
                "{what} is encrypted in a way that this version does not know"
            )));
        }
        let mut candidates = self
            .all()
            .filter(|(name, _)| *name == envelope.key)
            .peekable();
        if candidates.peek().is_none() {
            let known: Vec<_> = self.all().map(|(name, _)| name).collect();
            return Err(StoreError::unreadable(format!(
                "{what} is encrypted with the key {:?}, which is not among those given: {known:?}",
                envelope.key
            )));
        }
        let aad = bound_to(&envelope.key);
        let decrypted = envelope.bytes().and_then(|(nonce, text)| {
            candidates.find_map(|(_, encryption_key)| {
                let payload = Payload {
                    msg: &text,
                    aad: &aad,
                };
                let cipher = encryption_key.cipher();
                cipher.decrypt(&XNonce::from(nonce), payload).ok()
            })
        });
        decrypted
            .and_then(|decrypted| match String::from_utf8(decrypted) {
                Ok(text) => Some(Secret::new(text)),
                Err(error) => {
                    drop(Zeroizing::new(error.into_bytes()));
                    None
                }
            })
            .map(Some)
            .ok_or_else(|| {
                StoreError::unreadable(format!(
                    "{what} cannot be decrypted: the key {:?} is another one than it was encrypted \
                     with, or the record was changed or is another account's",
                    envelope.key
                ))
            })
    }
}

#[async_trait]
impl<S: CredentialStore> CredentialStore for Encrypted<S> {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let Some(stored) = self.store.load(key).await? else {
            return Ok(None);
        };
        let record = match key.kind {
            RecordKind::Account => self.decrypt(key, &stored.record)?,
            RecordKind::Lease(_) => stored.record,
        };
        Ok(Some(StoredRecord::new(record, stored.revision)))
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        match key.kind {
            RecordKind::Account => {
                let encrypted = self.encrypt(key, record)?;
                self.store.save(key, &encrypted, save).await
            }
            RecordKind::Lease(_) => self.store.save(key, record, save).await,
        }
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.store.remove(key).await
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        self.store.list(namespace).await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        self.store.now().await
    }
}

/// The only way of encryption yet, and the version of the envelope.
const ALGORITHM: &str = "XChaCha20-Poly1305";

/// What the store inside keeps.
#[derive(Serialize, Deserialize)]
struct Envelope {
    encryption: String,
    /// The key's name.
    key: String,
    nonce: String,
    text: String,
}

impl Envelope {
    /// `None`: it is not encrypted.
    fn read(stored: &Secret) -> Option<Self> {
        serde_json::from_str(stored.expose()).ok()
    }

    fn bytes(&self) -> Option<([u8; 24], Vec<u8>)> {
        let nonce = STANDARD.decode(&self.nonce).ok()?;
        let text = STANDARD.decode(&self.text).ok()?;
        Some((nonce.try_into().ok()?, text))
    }
}

/// What a record is bound to. Every part has its length before it, so that no two keys give the same.
fn associated_data(key: &RecordKey, name: &str) -> Vec<u8> {
    let kind = key.kind.name();
    // Only a namespace makes a last part, so that none is not the empty one.
    let namespace = key.namespace.as_deref();
    binding(
        name,
        [&*kind, key.account.as_str()].into_iter().chain(namespace),
    )
}

/// What a text is bound to by these parts and the name of its key.
pub(crate) fn binding<'a>(name: &'a str, parts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut data = Vec::new();
    for part in ["postroom", ALGORITHM, name].into_iter().chain(parts) {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::new("no random numbers").with_source(error))
}
