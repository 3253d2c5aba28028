//! The store in SQLite keeps the contract of credential stores, and the journal beside it that of send journals, in a file of its own and in a database of the host's,
//! and what it leaves there is private and whole.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postroom::Secret;
use postroom::clock::Clock;
use postroom::credentials::{
    Acquired, CredentialStore, Lease, RecordKey, Save, Saved, SqliteStore,
};
use postroom::testing::VirtualClock;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

mod killed_writer;
mod support;

mod in_a_file {
    async fn store() -> postroom::credentials::SqliteStore {
        let directory = tempfile::tempdir().unwrap().keep();
        let path = directory.join("credentials.sqlite");
        postroom::credentials::SqliteStore::open(path)
            .await
            .unwrap()
    }

    postroom::credential_store_tests!(store);
}

mod in_a_pool_of_one_connection {
    async fn store() -> postroom::credentials::SqliteStore {
        let path = tempfile::tempdir().unwrap().keep().join("host.sqlite");
        let options = super::SqliteConnectOptions::new().filename(path);
        let pool = super::SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect_lazy_with(options.create_if_missing(true));
        let store = postroom::credentials::SqliteStore::new(pool);
        let store = store.with_table("main.Order").unwrap();
        store.migrate().await.unwrap();
        store
    }

    postroom::credential_store_tests!(store);
}

mod the_journal_in_the_file_of_a_store {
    async fn journal() -> postroom::SqliteJournal {
        let path = tempfile::tempdir().unwrap().keep().join("mail.sqlite");
        let store = postroom::credentials::SqliteStore::open(&path);
        let journal = postroom::SqliteJournal::open(&path);
        let (store, journal) = futures_util::join!(store, journal);
        store.unwrap();
        journal.unwrap()
    }

    postroom::send_journal_tests!(journal);
}

mod the_journal_in_a_pool_of_one_connection {
    async fn journal() -> postroom::SqliteJournal {
        let path = tempfile::tempdir().unwrap().keep().join("host.sqlite");
        let options = super::SqliteConnectOptions::new().filename(path);
        let pool = super::SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect_lazy_with(options.create_if_missing(true));
        let journal = postroom::SqliteJournal::new(pool);
        let journal = journal.with_table("main.Order").unwrap();
        journal.migrate().await.unwrap();
        journal
    }

    postroom::send_journal_tests!(journal);
}

fn pool_in_memory() -> SqlitePool {
    let options = SqlitePoolOptions::new().max_connections(1);
    options.connect_lazy_with(SqliteConnectOptions::new().in_memory(true))
}

#[tokio::test]
async fn stores_over_one_file_are_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.sqlite");
    let key = RecordKey::account("reader@gmail.example");
    // They open it at the same time as well: who comes first makes the table.
    let writers = (0..6).map(|_| {
        let (path, key) = (path.clone(), key.clone());
        tokio::spawn(async move {
            let store = SqliteStore::open(path).await.unwrap();
            let saved = store.save(&key, &Secret::new("{}"), Save::IfAbsent).await;
            (store, saved.unwrap())
        })
    });
    let mut written = 0;
    for writer in writers.collect::<Vec<_>>() {
        let (store, saved) = writer.await.unwrap();
        written += usize::from(saved != Saved::Superseded);
        assert!(store.load(&key).await.unwrap().is_some());
    }
    assert_eq!(written, 1);
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("credentials.sqlite"));
    let store = store.await.unwrap();
    let key = RecordKey::account("reader");
    let record = Secret::new("x");
    store.save(&key, &record, Save::Always).await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        seen += 1;
    }
    assert!(seen >= 2, "the database and its log");
}

#[tokio::test]
async fn a_table_may_be_made_again_and_beside_others() {
    let pool = pool_in_memory();
    let first = SqliteStore::new(pool.clone());
    let second = SqliteStore::new(pool.clone()).with_table("second").unwrap();
    let key = RecordKey::account("reader");
    for store in [&first, &second, &first] {
        store.migrate().await.unwrap();
    }
    let record = Secret::new("first");
    first.save(&key, &record, Save::IfAbsent).await.unwrap();
    first.migrate().await.unwrap();
    assert!(first.load(&key).await.unwrap().is_some());
    assert!(second.load(&key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_host_may_make_the_table_itself() {
    let pool = pool_in_memory();
    let store = SqliteStore::new(pool.clone()).with_table("mine").unwrap();
    for migration in store.migrations() {
        sqlx::raw_sql(&migration).execute(&pool).await.unwrap();
    }
    let (key, record) = (RecordKey::account("reader"), Secret::new("x"));
    store.save(&key, &record, Save::IfAbsent).await.unwrap();
    // And let the store take over.
    store.migrate().await.unwrap();
    assert!(store.load(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn a_table_that_is_not_there_is_said_to_be_missing() {
    let store = SqliteStore::new(pool_in_memory());
    let error = store.load(&RecordKey::account("reader")).await.unwrap_err();
    assert!(error.to_string().contains("migrate()"), "{error}");
    assert!(error.to_string().contains("postroom_records"), "{error}");
}

#[tokio::test]
async fn what_is_no_name_is_no_table() {
    let long = "x".repeat(49);
    for name in [
        "",
        " ",
        "1st",
        "a b",
        "a;b",
        "a\"b",
        "a-b",
        "größe",
        "a.b.c",
        ".a",
        "a.",
        "a\0b",
        &long,
        "records; DROP TABLE users; --",
    ] {
        let store = SqliteStore::new(pool_in_memory()).with_table(name);
        assert!(store.is_err(), "{name:?}");
    }
    for name in ["a", "_", "select", "Main.t1", &long[1..]] {
        let store = SqliteStore::new(pool_in_memory()).with_table(name);
        assert!(store.is_ok(), "{name:?}");
    }
}

#[tokio::test]
async fn errors_quote_no_record() {
    let pool = pool_in_memory();
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    sqlx::raw_sql("ALTER TABLE postroom_records ADD COLUMN later TEXT CHECK (later IS NOT NULL)")
        .execute(&pool)
        .await
        .unwrap();
    let (key, record) = (RecordKey::account("reader"), Secret::new("planted-token"));
    let error = store.save(&key, &record, Save::Always).await;
    let error = error.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("planted-token"));
    pool.close().await;
    let error = store.save(&key, &record, Save::Always).await;
    let error = error.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("planted-token"));
    assert!(!format!("{store:?}").contains("planted-token"));
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    let notes = "not a database, and nothing to lose ".repeat(40);
    std::fs::write(&path, &notes).unwrap();
    assert!(SqliteStore::open(&path).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
    let nowhere = directory.path().join("no directory").join("file");
    assert!(SqliteStore::open(nowhere).await.is_err());
}

#[tokio::test]
async fn what_was_replaced_or_removed_is_overwritten_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.sqlite");
    let store = SqliteStore::open(&path).await.unwrap();
    let key = RecordKey::account("reader");
    let large = "planted-token ".repeat(5_000);
    store
        .save(&key, &Secret::new(large), Save::Always)
        .await
        .unwrap();
    store
        .save(&key, &Secret::new("short"), Save::Always)
        .await
        .unwrap();
    let checkpoint = |path: &Path| {
        let options = SqliteConnectOptions::new().filename(path);
        async {
            let pool = SqlitePool::connect_with(options).await.unwrap();
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            sqlx::raw_sql(checkpoint).execute(&pool).await.unwrap();
            pool.close().await;
        }
    };
    checkpoint(&path).await;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let found = bytes.windows(13).any(|window| window == b"planted-token");
        assert!(!found);
    }
}

/// The test below runs it as a process of its own.
#[tokio::test]
#[ignore = "it is the process that the next test kills"]
async fn a_process_that_writes_until_it_is_killed() {
    if let Some(path) = killed_writer::told() {
        let store = SqliteStore::open(path).await.unwrap();
        killed_writer::write_until_killed(&store, &RecordKey::account("reader")).await;
    }
}

#[tokio::test]
async fn a_process_killed_while_it_writes_leaves_the_last_record_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.sqlite");
    let store = SqliteStore::open(&path).await.unwrap();
    killed_writer::finished_saves_survive(
        &store,
        &RecordKey::account("reader"),
        "a_process_that_writes_until_it_is_killed",
        path.as_os_str(),
    )
    .await;
}

#[tokio::test]
async fn leases_end_by_the_clock_of_the_store() {
    let clock = VirtualClock::by_hand("2026-01-02T03:04:05Z".parse().unwrap());
    let store = SqliteStore::new(pool_in_memory()).with_clock(Arc::new(clock.clone()));
    store.migrate().await.unwrap();
    let store: Arc<dyn CredentialStore> = Arc::new(store);
    let key = RecordKey::account("reader").lease("test");
    let minute = Duration::from_secs(60);
    let acquire =
        |holder: &'static str| Lease::acquire(Arc::clone(&store), key.clone(), holder, minute);
    let Acquired::Held(lease) = acquire("one").await.unwrap() else {
        panic!("a free lease is to be had");
    };
    assert_eq!(lease.until(), clock.now() + minute);
    clock.advance(Duration::from_secs(59));
    assert!(matches!(
        acquire("two").await.unwrap(),
        Acquired::Busy { .. }
    ));
    clock.advance(Duration::from_secs(1));
    assert!(matches!(acquire("two").await.unwrap(), Acquired::Held(_)));
}
