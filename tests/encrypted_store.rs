//! `Encrypted` keeps the contract of credential stores around every store, keeps records from whoever has no key, and
//! lets keys be replaced. (Around PostgreSQL: `postgres_store`; around a keyring: `keyring_store`.)
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::sync::Arc;

use postroom::Secret;
use postroom::credentials::{
    CredentialStore, Encrypted, EncryptionKey, EncryptionKeys, FileStore, MemoryStore, RecordKey,
    Save, Saved, SqliteStore, StoreError,
};

fn keys(name: &str) -> EncryptionKeys {
    EncryptionKeys::new(name, EncryptionKey::generate().unwrap())
}

mod around_memory {
    async fn store() -> impl postroom::credentials::CredentialStore {
        super::Encrypted::new(super::MemoryStore::new(), super::keys("1"))
    }

    postroom::credential_store_tests!(store);
}

mod around_files {
    async fn store() -> impl postroom::credentials::CredentialStore {
        let directory = tempfile::tempdir().unwrap().keep();
        super::Encrypted::new(super::FileStore::new(directory), super::keys("1"))
    }

    postroom::credential_store_tests!(store);
}

mod around_sqlite {
    async fn store() -> impl postroom::credentials::CredentialStore {
        let directory = tempfile::tempdir().unwrap().keep();
        let store = super::SqliteStore::open(directory.join("file"));
        super::Encrypted::new(store.await.unwrap(), super::keys("1"))
    }

    postroom::credential_store_tests!(store);
}

mod around_whatever_a_host_chose {
    use std::sync::Arc;

    async fn store() -> impl postroom::credentials::CredentialStore {
        let chosen: Arc<dyn super::CredentialStore> = Arc::new(super::MemoryStore::new());
        super::Encrypted::new(chosen, super::keys("1"))
    }

    postroom::credential_store_tests!(store);
}

async fn save(store: &dyn CredentialStore, key: &RecordKey, text: &str) {
    let saved = store.save(key, &Secret::new(text), Save::Always).await;
    assert!(matches!(saved.unwrap(), Saved::Written(_)));
}

async fn text(store: &dyn CredentialStore, key: &RecordKey) -> Result<Option<String>, StoreError> {
    let stored = store.load(key).await?;
    Ok(stored.map(|stored| stored.record.expose().to_owned()))
}

/// Puts what is kept under one key in the place of another, as somebody with access to the store inside could.
async fn copy(store: &MemoryStore, from: &RecordKey, to: &RecordKey) {
    let stored = store.load(from).await.unwrap().unwrap();
    store.save(to, &stored.record, Save::Always).await.unwrap();
}

#[tokio::test]
async fn the_store_inside_holds_nothing_in_the_clear_and_nothing_twice_alike() {
    let inside = MemoryStore::new();
    let store = Encrypted::new(inside.clone(), keys("key of 2026"));
    let (one, two) = (RecordKey::account("one"), RecordKey::account("two"));
    save(&store, &one, "planted-token").await;
    let first = text(&inside, &one).await.unwrap().unwrap();
    save(&store, &one, "planted-token").await;
    save(&store, &two, "planted-token").await;
    let again = text(&inside, &one).await.unwrap().unwrap();
    let other = text(&inside, &two).await.unwrap().unwrap();
    for kept in [&first, &again, &other] {
        assert!(!kept.contains("planted"));
        assert!(
            kept.contains("key of 2026"),
            "the key's name is kept beside it"
        );
    }
    let parts = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        (value["nonce"].to_string(), value["text"].to_string())
    };
    assert_ne!(parts(&first).0, parts(&again).0);
    assert_ne!(parts(&first).1, parts(&again).1);
    assert_ne!(parts(&again).1, parts(&other).1);
    assert_eq!(text(&store, &one).await.unwrap().unwrap(), "planted-token");
}

#[tokio::test]
async fn a_record_is_bound_to_its_place() {
    let inside = MemoryStore::new();
    let store = Encrypted::new(inside.clone(), keys("1"));
    let one = RecordKey::account("one");
    save(&store, &one, "planted-token").await;
    for other in [
        RecordKey::account("two"),
        RecordKey::account("one").in_namespace(""),
        RecordKey::account("one").in_namespace("tenant"),
        RecordKey::account("").in_namespace("one"),
    ] {
        copy(&inside, &one, &other).await;
        let error = text(&store, &other).await.unwrap_err();
        assert!(error.to_string().contains("another account's"), "{error}");
        assert!(!format!("{error:?} {error}").contains("planted"));
    }
}

#[tokio::test]
async fn a_record_that_was_changed_is_refused() {
    let inside = MemoryStore::new();
    let store = Encrypted::new(inside.clone(), keys("1"));
    let key = RecordKey::account("reader");
    save(&store, &key, "planted-token").await;
    let kept = text(&inside, &key).await.unwrap().unwrap();
    let value: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let sealed = value["text"].as_str().unwrap();
    let other = if sealed.starts_with('A') { 'B' } else { 'A' };
    for (field, changed) in [
        ("text", "AAAA".to_owned()),
        ("text", String::new()),
        ("text", format!("{other}{}", &sealed[1..])),
        ("text", "no base64!".to_owned()),
        ("nonce", "AAAA".to_owned()),
        ("nonce", "A".repeat(32)),
        ("key", "2".to_owned()),
        ("encryption", "ROT13".to_owned()),
    ] {
        let mut value = value.clone();
        assert_ne!(value[field], changed);
        value[field] = changed.into();
        save(&inside, &key, &value.to_string()).await;
        let error = text(&store, &key).await.unwrap_err();
        assert!(error.to_string().contains("reader"), "{error}");
    }
    save(&inside, &key, &kept).await;
    assert!(text(&store, &key).await.is_ok());
}

#[tokio::test]
async fn a_missing_key_and_a_wrong_key_are_told_apart() {
    let inside = MemoryStore::new();
    let key = RecordKey::account("reader");
    save(&Encrypted::new(inside.clone(), keys("old")), &key, "x").await;

    let missing = Encrypted::new(inside.clone(), keys("new"));
    let error = text(&missing, &key).await.unwrap_err().to_string();
    assert!(
        error.contains("\"old\"") && error.contains("[\"new\"]"),
        "{error}"
    );

    let wrong = Encrypted::new(inside.clone(), keys("old"));
    let error = text(&wrong, &key).await.unwrap_err().to_string();
    assert!(error.contains("\"old\" is another one"), "{error}");

    // Neither keeps the account from being listed, removed, or signed in to again.
    assert_eq!(missing.list(None).await.unwrap().len(), 1);
    save(&missing, &key, "y").await;
    assert_eq!(text(&missing, &key).await.unwrap().unwrap(), "y");
}

#[tokio::test]
async fn keys_are_replaced_while_the_store_is_in_use() {
    let inside = MemoryStore::new();
    let (old, new) = (
        EncryptionKey::generate().unwrap(),
        EncryptionKey::generate().unwrap(),
    );
    let with = |keys| Encrypted::new(inside.clone(), keys);
    let key = |account: &str| RecordKey::account(account).in_namespace("tenant");
    let before = with(EncryptionKeys::new("old", old.clone()));
    for account in ["one", "two", "three"] {
        save(&before, &key(account), account).await;
    }

    // Every process learns the new key before any of them writes with it.
    let prepared = with(EncryptionKeys::new("old", old.clone()).and_read_with("new", new.clone()));
    let replaced = with(EncryptionKeys::new("new", new.clone()).and_read_with("old", old));
    save(&replaced, &key("one"), "one again").await;
    let read = text(&prepared, &key("one")).await.unwrap();
    assert_eq!(read.as_deref(), Some("one again"));
    let read = text(&replaced, &key("two")).await.unwrap();
    assert_eq!(read.as_deref(), Some("two"));

    let revision = inside.load(&key("two")).await.unwrap().unwrap().revision;
    assert_eq!(replaced.reencrypt(Some("tenant")).await.unwrap(), 2);
    assert_eq!(replaced.reencrypt(Some("tenant")).await.unwrap(), 0);
    let after = with(EncryptionKeys::new("new", new));
    for (account, expected) in [("one", "one again"), ("two", "two"), ("three", "three")] {
        let read = text(&after, &key(account)).await.unwrap();
        assert_eq!(read.as_deref(), Some(expected));
    }
    // Who read before that does not undo it.
    let (two, late) = (key("two"), Secret::new("late"));
    let late = before.save(&two, &late, Save::IfRevision(revision));
    assert_eq!(late.await.unwrap(), Saved::Superseded);
}

#[tokio::test]
async fn a_store_that_was_in_use_can_become_an_encrypted_one() {
    let inside = MemoryStore::new();
    let key = RecordKey::account("reader");
    save(&inside, &key, "{\"version\": 1}").await;
    let keys = keys("1");
    let strict = Encrypted::new(inside.clone(), keys.clone());
    let error = text(&strict, &key).await.unwrap_err().to_string();
    assert!(error.contains("not encrypted"), "{error}");
    assert!(strict.reencrypt(None).await.is_err());

    let lenient = strict.clone().reading_plain_records();
    assert_eq!(
        text(&lenient, &key).await.unwrap().unwrap(),
        "{\"version\": 1}"
    );
    assert_eq!(lenient.reencrypt(None).await.unwrap(), 1);
    assert_eq!(
        text(&strict, &key).await.unwrap().unwrap(),
        "{\"version\": 1}"
    );
}

#[tokio::test]
async fn a_lease_outlives_the_keys() {
    let inside = MemoryStore::new();
    let lease = RecordKey::account("reader").lease("refresh");
    save(&Encrypted::new(inside.clone(), keys("old")), &lease, "{}").await;
    let other = Encrypted::new(inside, keys("new"));
    assert_eq!(text(&other, &lease).await.unwrap().as_deref(), Some("{}"));
}

#[test]
fn keys_are_written_read_and_never_shown() {
    let key = EncryptionKey::from_bytes(*b"planted key of thirty-two bytes.");
    let text = key.to_base64();
    assert_eq!(
        text.expose(),
        "cGxhbnRlZCBrZXkgb2YgdGhpcnR5LXR3byBieXRlcy4="
    );
    let padded = Secret::new(format!(" {}\n", text.expose()));
    let again = EncryptionKey::from_base64(&padded).unwrap();
    assert_eq!(again.to_base64().expose(), text.expose());
    assert_eq!(format!("{key:?}"), "EncryptionKey(..)");
    let store = Encrypted::new(MemoryStore::new(), EncryptionKeys::new("name", key));
    assert!(!format!("{store:?}").contains("112, 108"));

    for wrong in ["", "planted", "cGxhbnRlZA==", &"cGxhbnRlZCB".repeat(10)] {
        let error = EncryptionKey::from_base64(&Secret::new(wrong)).unwrap_err();
        let shown = format!("{error:?}");
        assert!(wrong.is_empty() || !shown.contains(wrong), "{shown}");
    }
    let one = EncryptionKey::generate().unwrap().to_base64();
    let two = EncryptionKey::generate().unwrap().to_base64();
    assert_ne!(one.expose(), two.expose());
}

/// What this version writes, so that later ones can read it. It was made by another implementation of the same algorithm.
#[tokio::test]
async fn the_stored_form_is_read_by_later_versions() {
    let inside = MemoryStore::new();
    let key = RecordKey::account("reader").in_namespace("tenant");
    let kept = r#"{
        "encryption": "XChaCha20-Poly1305",
        "key": "2026",
        "nonce": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
        "text": "0UGj1I9Y03ouFJLMIdq9DmSZfLj7fqDomuzXe3Cm"
    }"#;
    save(&inside, &key, kept).await;
    let encryption_key = EncryptionKey::from_bytes(*b"an example of thirty-two bytes..");
    let store = Encrypted::new(inside, EncryptionKeys::new("2026", encryption_key));
    let store: Arc<dyn CredentialStore> = Arc::new(store);
    assert_eq!(
        text(&*store, &key).await.unwrap().unwrap(),
        "{\"version\": 1}"
    );
}
