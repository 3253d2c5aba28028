//! The store in PostgreSQL keeps the contract of credential stores, and the journal that of send journals, on a real server, whose address is in the variable
//! POSTROOM_POSTGRES. Without it each test says that it was left out, and passes; where CI is set it fails.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use postroom::Secret;
use postroom::credentials::{
    Acquired, CredentialStore, Lease, PostgresStore, RecordKey, Revision, Save, Saved,
};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

mod killed_writer;
mod support;

/// The server's address, if there is one.
fn server() -> Option<String> {
    support::elsewhere::named_by("POSTROOM_POSTGRES")
}

fn pool_of(server: &str, options: &[(&str, &str)]) -> PgPool {
    let connect: PgConnectOptions = server.parse().unwrap();
    let connect = connect.options(options.iter().copied());
    PgPoolOptions::new()
        .max_connections(5)
        .connect_lazy_with(connect)
}

/// A store in a table of its own, and a pool to look at it with.
async fn own_table() -> Option<(PostgresStore, PgPool, String)> {
    let pool = pool_of(&server()?, &[]);
    let table = format!("test_{}", Revision::random().unwrap().as_str());
    let store = PostgresStore::new(pool.clone()).with_table(&table).unwrap();
    Some((store, pool, table))
}

async fn drop_table(pool: &PgPool, table: &str) {
    let statement = format!("DROP TABLE IF EXISTS {table}, {table}_migrations");
    sqlx::raw_sql(&statement).execute(pool).await.unwrap();
}

mod as_the_server_is_set_up {
    async fn store() -> Option<super::PostgresStore> {
        let store = super::PostgresStore::new(super::pool_of(&super::server()?, &[]));
        store.migrate().await.unwrap();
        Some(store)
    }

    postroom::credential_store_tests!(optional: store);
}

mod the_journal {
    async fn journal() -> Option<postroom::PostgresJournal> {
        let pool = super::pool_of(&super::server()?, &[]);
        let journal = postroom::PostgresJournal::new(pool);
        journal.migrate().await.unwrap();
        Some(journal)
    }

    postroom::send_journal_tests!(optional: journal);
}

mod the_journal_where_transactions_are_serializable {
    async fn journal() -> Option<postroom::PostgresJournal> {
        let level = [("default_transaction_isolation", "serializable")];
        let pool = super::pool_of(&super::server()?, &level);
        let journal = postroom::PostgresJournal::new(pool);
        let journal = journal.with_table("serializable_Sends").unwrap();
        journal.migrate().await.unwrap();
        Some(journal)
    }

    postroom::send_journal_tests!(optional: journal);
}

mod where_transactions_are_serializable {
    async fn store() -> Option<super::PostgresStore> {
        let level = [("default_transaction_isolation", "serializable")];
        let store = super::PostgresStore::new(super::pool_of(&super::server()?, &level));
        store.migrate().await.unwrap();
        Some(store)
    }

    postroom::credential_store_tests!(optional: store);
}

mod encrypted {
    use postroom::credentials::{Encrypted, EncryptionKey, EncryptionKeys};

    async fn store() -> Option<Encrypted<super::PostgresStore>> {
        let store = super::PostgresStore::new(super::pool_of(&super::server()?, &[]));
        store.migrate().await.unwrap();
        let key = EncryptionKey::generate().unwrap();
        Some(Encrypted::new(store, EncryptionKeys::new("1", key)))
    }

    postroom::credential_store_tests!(optional: store);
}

#[tokio::test]
async fn workers_that_start_together_make_one_table_and_one_store() {
    let Some((store, pool, table)) = own_table().await else {
        return;
    };
    let key = RecordKey::account("reader@gmail.example");
    let workers = (0..8).map(|_| {
        let (table, key) = (table.clone(), key.clone());
        tokio::spawn(async move {
            let pool = pool_of(&server().unwrap(), &[]);
            let store = PostgresStore::new(pool).with_table(&table).unwrap();
            store.migrate().await.unwrap();
            let saved = store.save(&key, &Secret::new("{}"), Save::IfAbsent).await;
            saved.unwrap() != Saved::Superseded
        })
    });
    let mut written = 0;
    for worker in workers.collect::<Vec<_>>() {
        written += usize::from(worker.await.unwrap());
    }
    assert_eq!(written, 1);
    store.migrate().await.unwrap();
    assert!(store.load(&key).await.unwrap().is_some());
    drop_table(&pool, &table).await;
}

#[tokio::test]
async fn leases_end_by_the_clock_of_the_server() {
    let Some((store, pool, table)) = own_table().await else {
        return;
    };
    store.migrate().await.unwrap();
    let before: f64 = sqlx::query_scalar("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8")
        .fetch_one(&pool)
        .await
        .unwrap();
    let now = store.now().await.unwrap();
    let after: f64 = sqlx::query_scalar("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8")
        .fetch_one(&pool)
        .await
        .unwrap();
    let now_there = now.timestamp_micros() as f64 / 1e6;
    // A float has about a quarter of a microsecond here.
    assert!(before - 1e-5 <= now_there && now_there <= after + 1e-5);

    // Time passes within a transaction and a connection too, so a lease is over when it is over.
    let store: Arc<dyn CredentialStore> = Arc::new(store);
    let key = RecordKey::account("reader").lease("test");
    let brief = Duration::from_millis(1);
    let first = Lease::acquire(Arc::clone(&store), key.clone(), "first", brief).await;
    let Acquired::Held(first) = first.unwrap() else {
        panic!("a free lease is to be had");
    };
    loop {
        let again = Lease::acquire(Arc::clone(&store), key.clone(), "second", brief).await;
        if let Acquired::Held(second) = again.unwrap() {
            assert!(second.until() >= first.until() + brief);
            break;
        }
    }
    drop_table(&pool, &table).await;
}

#[tokio::test]
async fn a_host_may_make_the_table_itself_in_a_schema_of_its_own() {
    let Some((_, pool, schema)) = own_table().await else {
        return;
    };
    let statement = format!("CREATE SCHEMA {schema}");
    sqlx::raw_sql(&statement).execute(&pool).await.unwrap();
    let name = format!("{schema}.Order");
    let store = PostgresStore::new(pool.clone()).with_table(&name).unwrap();
    for migration in store.migrations() {
        sqlx::raw_sql(&migration).execute(&pool).await.unwrap();
    }
    let (key, record) = (RecordKey::account("reader"), Secret::new("x"));
    store.save(&key, &record, Save::IfAbsent).await.unwrap();
    // And let the store take over.
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    assert!(store.load(&key).await.unwrap().is_some());
    let statement = format!("DROP SCHEMA {schema} CASCADE");
    sqlx::raw_sql(&statement).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn a_table_that_is_not_there_is_said_to_be_missing() {
    let Some((store, _, table)) = own_table().await else {
        return;
    };
    let error = store.load(&RecordKey::account("reader")).await.unwrap_err();
    assert!(error.to_string().contains("migrate()"), "{error}");
    assert!(error.to_string().contains(&table), "{error}");
}

#[tokio::test]
async fn errors_quote_no_record() {
    let Some((store, pool, table)) = own_table().await else {
        return;
    };
    store.migrate().await.unwrap();
    let (key, record) = (RecordKey::account("reader"), Secret::new("planted-token"));
    let quoting = format!(
        "CREATE FUNCTION pg_temp.quote() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN RAISE EXCEPTION ''refused: %'', convert_from(NEW.record, ''UTF8''); END';
         CREATE TRIGGER quote BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION pg_temp.quote()"
    );
    // PostgreSQL quotes the whole row that a constraint refuses, and a trigger what it likes.
    let constraint = format!("ALTER TABLE {table} ADD CONSTRAINT short CHECK (length(record) < 5)");
    let mut connection = pool.acquire().await.unwrap();
    for (obstacle, code) in [(quoting.as_str(), "P0001"), (&constraint, "23514")] {
        sqlx::raw_sql(obstacle)
            .execute(&mut *connection)
            .await
            .unwrap();
        let error = store.save(&key, &record, Save::Always).await.unwrap_err();
        assert!(error.to_string().contains(code), "{error}");
        let shown = format!("{error:?} {error}");
        assert!(
            !shown.contains("planted") && !shown.contains("706c616e"),
            "{shown}"
        );
        let statement = format!("DROP TRIGGER IF EXISTS quote ON {table}");
        sqlx::raw_sql(&statement)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    drop(connection);
    drop_table(&pool, &table).await;
}

#[tokio::test]
async fn a_server_out_of_reach_is_an_error_without_the_password() {
    // Nothing listens on port 1; no server is needed for that.
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(2));
    let pool = pool.connect_lazy("postgres://mail:planted-password@127.0.0.1:1/app");
    let store = PostgresStore::new(pool.unwrap());
    let error = store.load(&RecordKey::account("reader")).await.unwrap_err();
    let shown = format!("{error:?} {error} {store:?}");
    assert!(!shown.contains("planted"), "{shown}");
    assert!(store.migrate().await.is_err());
    assert!(store.now().await.is_err());
}

#[tokio::test]
async fn what_is_no_name_is_no_table() {
    let pool = PgPoolOptions::new()
        .connect_lazy("postgres://127.0.0.1:1/app")
        .unwrap();
    for name in ["", "a b", "a\"; DROP TABLE users; --", "a.b.c", "größe"] {
        let store = PostgresStore::new(pool.clone()).with_table(name);
        assert!(store.is_err(), "{name:?}");
    }
}

/// The test below runs it as a process of its own.
#[tokio::test]
#[ignore = "it is the process that the next test kills"]
async fn a_process_that_writes_until_it_is_killed() {
    if let Some(account) = killed_writer::told() {
        let store = PostgresStore::new(pool_of(&server().unwrap(), &[]));
        killed_writer::write_until_killed(&store, &RecordKey::account(account)).await;
    }
}

#[tokio::test]
async fn a_process_killed_while_it_writes_leaves_the_last_record_whole() {
    let Some(server) = server() else { return };
    let store = PostgresStore::new(pool_of(&server, &[]));
    store.migrate().await.unwrap();
    let account = format!("killed {}", Revision::random().unwrap().as_str());
    let key = RecordKey::account(account.as_str());
    killed_writer::finished_saves_survive(
        &store,
        &key,
        "a_process_that_writes_until_it_is_killed",
        OsStr::new(&account),
    )
    .await;
    store.remove(&key).await.unwrap();
}
