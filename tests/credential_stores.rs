//! Every store keeps the contract of credential stores, and what a file store leaves on the disk is readable, private
//! and whole at any moment.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use postroom::clock::Clock;
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, FileStore, Identity, MemoryStore, RecordKey,
    Save, Saved, Service,
};
use postroom::testing::VirtualClock;
use postroom::{Access, Secret, Watch};

mod killed_writer;
mod support;

mod memory {
    async fn store() -> postroom::credentials::MemoryStore {
        postroom::credentials::MemoryStore::new()
    }

    postroom::credential_store_tests!(store);
}

mod file {
    async fn store() -> postroom::credentials::FileStore {
        let directory = tempfile::tempdir().unwrap().keep();
        postroom::credentials::FileStore::new(directory.join("made by the store"))
    }

    postroom::credential_store_tests!(store);
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn two_file_stores_over_one_directory_are_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let key = RecordKey::account("reader@gmail.example");
    let stores: Vec<_> = (0..4).map(|_| FileStore::new(directory.path())).collect();
    let writers = stores.iter().cloned().map(|store| {
        let key = key.clone();
        tokio::spawn(async move { store.save(&key, &Secret::new("{}"), Save::IfAbsent).await })
    });
    let mut written = 0;
    for writer in writers.collect::<Vec<_>>() {
        written += usize::from(writer.await.unwrap().unwrap() != Saved::Superseded);
    }
    assert_eq!(written, 1);
    for store in &stores {
        assert!(store.load(&key).await.unwrap().is_some());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("store");
    let store = FileStore::new(&directory);
    let key = RecordKey::account("reader").in_namespace("tenant");
    store
        .save(&key, &Secret::new("x"), Save::Always)
        .await
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let mut seen = 0;
    for path in files(&directory) {
        if path.is_dir() {
            assert_eq!(mode(&path), 0o700);
            for path in files(&path) {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                seen += 1;
            }
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
    assert_eq!(seen, 1);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_not_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let key = RecordKey::account("reader");
    store
        .save(&key, &Secret::new("x"), Save::Always)
        .await
        .unwrap();
    let path = files(directory.path())
        .into_iter()
        .find(|path| path.extension().is_some())
        .unwrap();
    fs::write(&path, "{\"revision\": \"planted-token").unwrap();
    for error in [
        store.load(&key).await.unwrap_err(),
        store
            .save(&key, &Secret::new("x"), Save::IfAbsent)
            .await
            .unwrap_err(),
    ] {
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert!(!format!("{error:?} {error}").contains("planted-token"));
    }
    // The account is still listed, and a new sign-in repairs it.
    assert_eq!(
        store.list(None).await.unwrap(),
        std::slice::from_ref(&key.account)
    );
    store
        .save(&key, &Secret::new("y"), Save::Always)
        .await
        .unwrap();
    assert!(store.load(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_of_another_account_is_not_taken_for_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let (one, two) = (RecordKey::account("one"), RecordKey::account("two"));
    store
        .save(&one, &Secret::new("1"), Save::Always)
        .await
        .unwrap();
    let path = files(directory.path())
        .into_iter()
        .find(|path| path.extension().is_some())
        .unwrap();
    fs::copy(&path, path.to_str().unwrap().replace("one", "two")).unwrap();
    assert!(store.load(&two).await.is_err());
}

#[tokio::test]
async fn what_an_interrupted_writer_leaves_behind_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let key = RecordKey::account("reader");
    store
        .save(&key, &Secret::new("whole"), Save::Always)
        .await
        .unwrap();
    fs::write(directory.path().join(".writing-abc"), "{\"account\": \"hal").unwrap();
    assert_eq!(
        store.load(&key).await.unwrap().unwrap().record.expose(),
        "whole"
    );
    assert_eq!(
        store.list(None).await.unwrap(),
        std::slice::from_ref(&key.account)
    );
    // A writer whose caller has gone leaves a whole record too.
    let large = Secret::new("n".repeat(1_000_000));
    for _ in 0..20 {
        let (store, key, large) = (store.clone(), key.clone(), large.clone());
        let writer = tokio::spawn(async move { store.save(&key, &large, Save::Always).await });
        tokio::task::yield_now().await;
        writer.abort();
    }
    let record = store.load(&key).await.unwrap().unwrap().record;
    assert!(record.expose() == "whole" || record.expose() == large.expose());
}

#[tokio::test]
async fn with_an_account_goes_what_interrupted_writers_left_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    let key = RecordKey::account("reader");
    let record = Secret::new("x");
    store.save(&key, &record, Save::Always).await.unwrap();
    fs::write(directory.path().join(".writing-abc"), "a token").unwrap();
    store.remove(&key).await.unwrap();
    assert_eq!(files(directory.path()), [directory.path().join(".lock")]);
}

/// The test below runs it as a process of its own.
#[tokio::test]
#[ignore = "it is the process that the next test kills"]
async fn a_process_that_writes_until_it_is_killed() {
    if let Some(directory) = killed_writer::told() {
        let store = FileStore::new(directory);
        killed_writer::write_until_killed(&store, &RecordKey::account("reader")).await;
    }
}

#[tokio::test]
async fn a_process_killed_while_it_writes_leaves_the_last_record_whole() {
    let directory = tempfile::tempdir().unwrap();
    killed_writer::finished_saves_survive(
        &FileStore::new(directory.path()),
        &RecordKey::account("reader"),
        "a_process_that_writes_until_it_is_killed",
        directory.path().as_os_str(),
    )
    .await;
}

#[tokio::test]
async fn leases_end_by_the_clock_of_the_store() {
    use postroom::credentials::{Acquired, Lease};
    use std::time::Duration;

    let clock = VirtualClock::by_hand(instant("2026-01-02T03:04:05Z"));
    let store: Arc<dyn CredentialStore> =
        Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    let key = RecordKey::account("reader").lease("test");
    let minute = Duration::from_secs(60);
    let acquire =
        |holder: &'static str| Lease::acquire(Arc::clone(&store), key.clone(), holder, minute);
    let Acquired::Held(lease) = acquire("one").await.unwrap() else {
        panic!("a free lease is to be had");
    };
    assert_eq!(lease.until(), clock.now() + minute);
    clock.advance(Duration::from_secs(59));
    let Acquired::Busy { remaining, .. } = acquire("two").await.unwrap() else {
        panic!("it is held for another second");
    };
    assert_eq!(remaining, Duration::from_secs(1));
    clock.advance(Duration::from_secs(1));
    assert!(matches!(acquire("two").await.unwrap(), Acquired::Held(_)));
}

/// What this version writes. A change here breaks every stored account: only additions are allowed.
const SNAPSHOT: &str = r#"{
  "version": 1,
  "account": "reader",
  "configuration": "company",
  "service": "microsoft",
  "tenant": "common",
  "identity": {
    "service": "microsoft",
    "subject": "tid/oid"
  },
  "addresses": [
    "reader@outlook.example"
  ],
  "display_name": "Reader",
  "granted": [
    "read_write",
    "send"
  ],
  "scopes": [
    "Mail.ReadWrite",
    "Mail.Send"
  ],
  "credential": {
    "access_token": "access",
    "expires_at": "2026-01-02T04:04:05Z",
    "obtained_at": "2026-01-02T03:04:05Z",
    "refresh_token": "refresh",
    "refresh_token_expires_at": "2026-04-02T03:04:05Z",
    "token_type": "Bearer",
    "later_in_credential": "secret?"
  },
  "state": {
    "name": "needs_sign_in",
    "since": "2026-01-02T03:04:05Z",
    "code": "invalid_grant"
  },
  "suspended_since": "2026-01-03T03:04:05Z",
  "mailbox_seen": "2026-01-01T03:04:05Z",
  "subscriptions": [
    {
      "id": "subscription",
      "expires_at": "2026-01-09T03:04:05Z",
      "later_in_subscription": null
    }
  ],
  "settings": {
    "api": "http://127.0.0.1:1"
  },
  "later": {
    "a": [
      1
    ]
  }
}"#;

#[test]
fn the_stored_form_of_an_account_is_read_and_written_unchanged() {
    let record = AccountRecord::from_secret(&Secret::new(SNAPSHOT)).unwrap();
    assert_eq!(record.service, Service::Microsoft);
    assert_eq!(
        record.identity,
        Some(Identity::new(Service::Microsoft, "tid/oid"))
    );
    assert_eq!(record.granted, Access::READ_WRITE | Access::SEND);
    assert_eq!(
        record.credential.refresh_token.as_ref().unwrap().expose(),
        "refresh"
    );
    assert_eq!(
        record.state,
        AccountState::NeedsSignIn {
            since: instant("2026-01-02T03:04:05Z"),
            code: Some("invalid_grant".to_owned())
        }
    );
    let written = record.to_secret().unwrap();
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(written.expose()), value(SNAPSHOT));
}

#[test]
fn a_record_with_nothing_but_its_names_is_read() {
    let least = r#"{"version": 1, "account": "a", "configuration": "c", "service": "imap-bridge",
        "granted": ["read", "telepathy"], "state": {"name": "hibernating", "until": "spring"}}"#;
    let mut record = AccountRecord::from_secret(&Secret::new(least)).unwrap();
    assert_eq!(record.service, Service::Other("imap-bridge".to_owned()));
    assert_eq!(record.granted, Access::READ);
    assert!(matches!(record.state, AccountState::Unknown(_)));
    record.subscriptions.push(Watch::new("s", None));
    let again = AccountRecord::from_secret(&record.to_secret().unwrap()).unwrap();
    assert_eq!(again.state, record.state);
    assert!(!format!("{again:?}").contains("spring"));
}

#[test]
fn what_is_no_record_is_refused_without_being_quoted() {
    for text in [
        "",
        "planted-token",
        "[]",
        r#"{"version": 1, "account": "a", "configuration": "planted-token"}"#,
        r#"{"version": 2, "account": "planted-token", "configuration": "c", "service": "google"}"#,
        r#"{"version": 1, "account": "a", "configuration": "c", "service": "google", "credential": {"expires_at": "planted-token"}}"#,
        r#"{"version": 1, "account": "a", "configuration": "c", "service": "google", "credential": "planted-token"}"#,
    ] {
        let error = AccountRecord::from_secret(&Secret::new(text)).unwrap_err();
        assert!(
            !format!("{error:?} {error}").contains("planted-token"),
            "{error:?}"
        );
    }
}
