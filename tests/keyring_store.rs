//! The store in a keyring keeps the contract of credential stores on `keyring-core`'s mock and on a keyring whose entries are
//! small, and an interruption at any moment loses nothing.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, Entry, Error, mock};
use postroom::Secret;
use postroom::credentials::{CredentialStore, KeyringStore, RecordKey, Save, Saved};

/// A keyring as small as Windows', which can be told to fail from some change on, as if the process had been killed.
#[derive(Clone, Default, Debug)]
struct SmallKeyring(Arc<Mutex<Contents>>);

#[derive(Default, Debug)]
struct Contents {
    entries: BTreeMap<String, Vec<u8>>,
    changes_left: Option<usize>,
}

impl Contents {
    fn change(&mut self) -> keyring_core::Result<()> {
        match &mut self.changes_left {
            Some(0) => Err(Error::PlatformFailure("the process was killed".into())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Windows' limit.
const LIMIT: usize = 2_560;

#[derive(Debug)]
struct SmallEntry {
    keyring: SmallKeyring,
    name: String,
}

impl CredentialApi for SmallEntry {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        let mut contents = self.keyring.0.lock().unwrap();
        if secret.len() > LIMIT {
            return Err(Error::TooLong("secret".to_owned(), 2_560));
        }
        contents.change()?;
        contents.entries.insert(self.name.clone(), secret.to_vec());
        Ok(())
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        let contents = self.keyring.0.lock().unwrap();
        contents
            .entries
            .get(&self.name)
            .cloned()
            .ok_or(Error::NoEntry)
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        let mut contents = self.keyring.0.lock().unwrap();
        if !contents.entries.contains_key(&self.name) {
            return Err(Error::NoEntry);
        }
        contents.change()?;
        contents.entries.remove(&self.name);
        Ok(())
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl CredentialStoreApi for SmallKeyring {
    fn vendor(&self) -> String {
        "test".to_owned()
    }

    fn id(&self) -> String {
        "small".to_owned()
    }

    fn build(
        &self,
        service: &str,
        user: &str,
        _modifiers: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        // Windows takes upper and lower case for the same, and no more than 513 characters.
        assert!(user.len() <= 513 && user.is_ascii() && !user.contains(char::is_control));
        Ok(Entry::new_with_credential(Arc::new(SmallEntry {
            keyring: self.clone(),
            name: format!("{service}/{user}").to_lowercase(),
        })))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn in_small(keyring: &SmallKeyring) -> KeyringStore {
    let lock = tempfile::tempdir()
        .unwrap()
        .keep()
        .join("made")
        .join("lock");
    KeyringStore::new(Arc::new(keyring.clone()), "postroom tests", lock).with_entry_limit(LIMIT)
}

mod in_the_mock {
    async fn store() -> postroom::credentials::KeyringStore {
        let lock = tempfile::tempdir().unwrap().keep().join("lock");
        let keyring = keyring_core::mock::Store::new().unwrap();
        postroom::credentials::KeyringStore::new(keyring, "postroom tests", lock)
    }

    postroom::credential_store_tests!(store);
}

mod where_entries_are_small {
    async fn store() -> postroom::credentials::KeyringStore {
        super::in_small(&super::SmallKeyring::default())
    }

    postroom::credential_store_tests!(store);
}

mod encrypted {
    use postroom::credentials::{Encrypted, EncryptionKey, EncryptionKeys, KeyringStore};

    async fn store() -> Encrypted<KeyringStore> {
        let store = super::in_small(&super::SmallKeyring::default());
        let key = EncryptionKey::generate().unwrap();
        Encrypted::new(store, EncryptionKeys::new("1", key))
    }

    postroom::credential_store_tests!(store);
}

async fn text(store: &KeyringStore, key: &RecordKey) -> Option<String> {
    let stored = store.load(key).await.unwrap();
    stored.map(|stored| stored.record.expose().to_owned())
}

async fn save(store: &KeyringStore, key: &RecordKey, text: &str) {
    let saved = store.save(key, &Secret::new(text), Save::Always).await;
    assert!(matches!(saved.unwrap(), Saved::Written(_)));
}

/// What the store does in the next test, whose first `changes` changes of the keyring succeed.
async fn interrupted<T>(
    keyring: &SmallKeyring,
    changes: usize,
    work: impl Future<Output = T>,
) -> T {
    keyring.0.lock().unwrap().changes_left = Some(changes);
    let outcome = work.await;
    keyring.0.lock().unwrap().changes_left = None;
    outcome
}

#[tokio::test]
async fn a_save_that_is_cut_off_at_any_change_leaves_a_whole_record_and_no_remains() {
    let key = RecordKey::account("reader");
    let other = RecordKey::account("other");
    let (small, large, larger) = ("s".repeat(10), "l".repeat(7_000), "m".repeat(12_000));
    let mut cut_off = 0;
    for (old, new) in [
        (None, &small),
        (None, &large),
        (Some(&small), &large),
        (Some(&large), &small),
        (Some(&large), &larger),
        (Some(&larger), &large),
    ] {
        for changes in 0.. {
            let keyring = SmallKeyring::default();
            let store = in_small(&keyring);
            save(&store, &other, "other").await;
            if let Some(old) = old {
                save(&store, &key, old).await;
            }
            let new_record = Secret::new(new.as_str());
            let saving = store.save(&key, &new_record, Save::Always);
            let outcome = interrupted(&keyring, changes, saving).await;

            let found = text(&store, &key).await;
            let whole = found.as_ref() == old || found.as_ref() == Some(new);
            assert!(whole, "{changes} changes of a save");
            let mut listed = store.list(None).await.unwrap();
            listed.sort();
            let expected = if found.is_some() {
                vec![&other, &key]
            } else {
                vec![&other]
            };
            let expected: Vec<_> = expected.iter().map(|key| key.account.clone()).collect();
            assert_eq!(listed, expected);

            // Whoever comes next can save, and nothing is left of it when both are gone.
            save(&store, &key, "next").await;
            assert_eq!(text(&store, &key).await.as_deref(), Some("next"));
            store.remove(&key).await.unwrap();
            store.remove(&other).await.unwrap();
            let contents = keyring.0.lock().unwrap();
            let names: Vec<_> = contents.entries.keys().collect();
            assert_eq!(names, ["postroom tests/index"]);
            if outcome.is_ok() {
                break;
            }
            cut_off += 1;
        }
    }
    assert!(cut_off > 30, "only {cut_off} moments were tried");
}

#[tokio::test]
async fn a_removal_that_is_cut_off_is_finished_with_the_next_change_of_accounts() {
    let (key, other) = (RecordKey::account("reader"), RecordKey::account("other"));
    for changes in 0.. {
        let keyring = SmallKeyring::default();
        let store = in_small(&keyring);
        save(&store, &key, &"planted-token".repeat(1_000)).await;
        let outcome = interrupted(&keyring, changes, store.remove(&key)).await;
        let found = text(&store, &key).await;
        assert_eq!(
            store.list(None).await.unwrap().len(),
            usize::from(found.is_some())
        );
        if changes > 0 {
            assert_eq!(found, None);
            save(&store, &other, "other").await;
            let contents = keyring.0.lock().unwrap();
            let mut kept = contents.entries.values();
            assert!(!kept.any(|entry| entry.starts_with(b"planted") || entry.len() > 500));
            assert_eq!(contents.entries.len(), 2, "an index and a record");
        }
        if outcome.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn stores_over_one_keyring_and_one_lock_are_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let keyring = mock::Store::new().unwrap();
    let key = RecordKey::account("reader");
    let writers = (0..8).map(|_| {
        let lock = directory.path().join("lock");
        let store = KeyringStore::new(Arc::clone(&keyring) as _, "postroom tests", lock);
        let key = key.clone();
        tokio::spawn(async move {
            let saved = store.save(&key, &Secret::new("{}"), Save::IfAbsent).await;
            usize::from(saved.unwrap() != Saved::Superseded)
        })
    });
    let mut written = 0;
    for writer in writers.collect::<Vec<_>>() {
        written += writer.await.unwrap();
    }
    assert_eq!(written, 1);
}

#[tokio::test]
async fn the_entry_limit_may_change() {
    let keyring = SmallKeyring::default();
    let key = RecordKey::account("reader");
    let (one, two) = ("1".repeat(9_000), "2".repeat(9_000));
    save(&in_small(&keyring), &key, &one).await;
    let narrower = in_small(&keyring).with_entry_limit(0);
    assert_eq!(text(&narrower, &key).await.unwrap(), one);
    save(&narrower, &key, &two).await;
    let entries = keyring.0.lock().unwrap().entries.clone();
    assert!(entries.values().all(|entry| entry.len() <= 512));
    assert_eq!(text(&in_small(&keyring), &key).await.unwrap(), two);
}

#[tokio::test]
async fn an_entry_that_is_too_small_is_an_error_that_says_so() {
    let keyring = SmallKeyring::default();
    let store = in_small(&keyring).with_entry_limit(10_000);
    let record = Secret::new("planted-token".repeat(1_000));
    let key = RecordKey::account("reader");
    let error = store.save(&key, &record, Save::Always).await.unwrap_err();
    assert!(error.to_string().contains("with_entry_limit"), "{error}");
    assert!(!format!("{error:?}").contains("planted"));
}

#[tokio::test]
async fn damage_is_seen_not_quoted_and_repaired_by_a_new_sign_in() {
    let keyring = SmallKeyring::default();
    let store = in_small(&keyring);
    let key = RecordKey::account("reader");
    let record = "planted-token".repeat(1_000);
    save(&store, &key, &record).await;
    let whole = keyring.0.lock().unwrap().entries.clone();
    let of_the_record = |name: &&String| name.contains("account=reader");
    assert!(whole.keys().filter(of_the_record).count() > 3);
    for name in whole.keys().filter(of_the_record) {
        for damage in [&b"planted-token"[..], b"{}\nplanted-token", b"\xff\xfe"] {
            let mut damaged = whole.clone();
            damaged.insert(name.clone(), damage.to_vec());
            keyring.0.lock().unwrap().entries = damaged;
            let error = store.load(&key).await.unwrap_err();
            assert!(!format!("{error:?} {error}").contains("planted"));
            save(&store, &key, "repaired").await;
            assert_eq!(text(&store, &key).await.as_deref(), Some("repaired"));
        }
    }
    // Parts of an older record are not taken for those of this one.
    let mut mixed = whole.clone();
    let part = whole
        .keys()
        .rfind(|name| name.contains("account=reader"))
        .unwrap();
    mixed.insert(part.clone(), vec![b'x'; whole[part].len()]);
    keyring.0.lock().unwrap().entries = mixed;
    assert!(store.load(&key).await.is_err());
}

#[tokio::test]
async fn no_secret_of_the_keyrings_own_errors_is_told() {
    let keyring = mock::Store::new().unwrap();
    let lock = tempfile::tempdir().unwrap().keep().join("lock");
    let store = KeyringStore::new(Arc::clone(&keyring) as _, "postroom tests", lock);
    let key = RecordKey::account("reader");
    save(&store, &key, "planted-token").await;
    for error in [
        Error::BadEncoding(b"planted-token".to_vec()),
        Error::BadDataFormat(b"planted-token".to_vec(), "planted-token".into()),
        Error::Invalid("secret".to_owned(), "planted-token".to_owned()),
    ] {
        let entry = keyring
            .build("postroom tests", "account=reader", None)
            .unwrap();
        let credential: &mock::Cred = entry.as_any().downcast_ref().unwrap();
        credential.set_error(error);
        let error = store.load(&key).await.unwrap_err();
        let shown = format!("{error:?} {error} {store:?}");
        assert!(!shown.contains("planted"), "{shown}");
        assert!(!shown.contains("112, 108"), "{shown}");
    }
    assert_eq!(text(&store, &key).await.as_deref(), Some("planted-token"));
}
