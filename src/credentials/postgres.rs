//! A store in PostgreSQL (feature `postgres`): one table that the workers of many machines share, with the server's
//! clock. The table's statements are `sql`'s.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgPool, PgQueryResult};
use sqlx::{Executor, Postgres};

use super::sql::{Refusal, Table, TableName, failure, key_columns, namespace_column};
use super::store::{
    CredentialStore, RecordKey, RecordKind, Revision, Save, Saved, StoreError, StoredRecord,
};
use crate::model::AccountId;
use crate::secret::Secret;

/// The table's history. What was published stays as it is; changes are appended.
const MIGRATIONS: &[&str] = &[include_str!("sql/postgres_1.sql")];

/// How often a statement is repeated that the server gave up for another transaction's sake. Each time somebody else
/// got on, so only a bug comes to the end of it.
pub(crate) const ATTEMPTS: usize = 50;

/// Records in a table of a PostgreSQL database.
///
/// * Every save is one statement, so whoever is interrupted leaves the old record or the new one; it may run at any
///   isolation level that the pool's connections have.
/// * Leases end by the server's clock, which all workers see alike.
/// * The records are as secret as what is in them and are not encrypted; `Encrypted` (feature `encryption`) is for that.
/// * A namespace and an account must together fit an entry of PostgreSQL's indexes, about 2,600 bytes, and their
///   characters its database's encoding: UTF-8 has all of them. What does not fit is an error.
///
/// The pool is the host's, and so is how it connects; with this feature, `sqlx` can do so by TLS, trusting whom the
/// operating system trusts. It does so where the server offers it; `sslmode=verify-full` in the address insists.
/// [`migrate`](Self::migrate) makes the table:
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use postroom::credentials::PostgresStore;
///
/// let pool = sqlx::PgPool::connect("postgres://mail@db.example/app?sslmode=verify-full").await?;
/// let store = PostgresStore::new(pool).with_table("mail.credentials")?;
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    table: Table,
}

impl PostgresStore {
    /// The store in the table `postroom_records`, in whatever schema the pool's connections look in first.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            table: Table::default(),
        }
    }

    /// The same store in another table: a name of ASCII letters, digits and underscores, if need be after the name of a
    /// schema, which must exist, and a dot. Capitals count.
    ///
    /// # Errors
    /// It is no such name.
    pub fn with_table(mut self, name: &str) -> Result<Self, StoreError> {
        self.table = Table::new(TableName::new(name)?);
        Ok(self)
    }

    /// Makes the table, or brings it up to date. It may run in several processes at once, and again at every start;
    /// where nothing is to be done it needs no right to change the schema.
    ///
    /// # Errors
    /// The server is out of reach, or refused.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrate(&self.pool, &self.table.name, MIGRATIONS)
            .await
            .map_err(|error| self.failure("make the table", error))
    }

    /// What [`migrate`](Self::migrate) runs, in order, for hosts that change their databases by means of their own.
    #[must_use]
    pub fn migrations(&self) -> Vec<String> {
        let migrations = MIGRATIONS.iter();
        migrations
            .map(|migration| self.table.name.fill(migration))
            .collect()
    }

    fn failure(&self, action: &'static str, error: sqlx::Error) -> StoreError {
        failure(action, &self.table.name, error, told)
    }

    async fn try_save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: &Save,
        revision: &Revision,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let (statement, over) = match save {
            Save::Always => (&self.table.save_always, None),
            Save::IfAbsent => (&self.table.save_if_absent, None),
            Save::IfRevision(over) => (&self.table.save_if_revision, Some(over)),
        };
        let (namespace, kind, account) = key_columns(key);
        let mut query = sqlx::query(statement)
            .bind(escaped(&namespace))
            .bind(kind)
            .bind(escaped(account))
            .bind(revision.as_str())
            .bind(record.expose().as_bytes());
        if let Some(over) = over {
            query = query.bind(over.as_str());
        }
        query.execute(&self.pool).await
    }

    async fn try_remove(&self, key: &RecordKey) -> Result<(), sqlx::Error> {
        let (namespace, kind, account) = key_columns(key);
        sqlx::query(&self.table.remove)
            .bind(escaped(&namespace))
            .bind(kind)
            .bind(escaped(account))
            .execute(&self.pool)
            .await
            .map(drop)
    }
}

/// Brings a table up to date.
pub(crate) async fn migrate(
    pool: &PgPool,
    table: &TableName,
    migrations: &[&str],
) -> Result<(), sqlx::Error> {
    let latest = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    match last_migration(pool, table).await {
        Ok(done) if done >= latest => return Ok(()),
        Err(error) if code(&error).as_deref() != Some(UNDEFINED_TABLE) => return Err(error),
        _ => {}
    }
    // What the lock protects is looked at after it was taken, which other levels would not do.
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
    let mut transaction = pool.begin_with(begin).await?;
    // CREATE TABLE IF NOT EXISTS fails where two do it at once.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(lock(table))
        .execute(&mut *transaction)
        .await?;
    transaction
        .execute(table.create_migrations().as_str())
        .await?;
    let done = last_migration(&mut *transaction, table).await?;
    for (number, migration) in (1_i64..).zip(migrations) {
        if number > done {
            transaction.execute(table.fill(migration).as_str()).await?;
            sqlx::query(&table.note_migration())
                .bind(number)
                .execute(&mut *transaction)
                .await?;
        }
    }
    transaction.commit().await
}

async fn last_migration<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    table: &TableName,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(&table.last_migration())
        .fetch_one(executor)
        .await
}

/// The number of the lock that migrations of this table exclude each other by.
fn lock(table: &TableName) -> i64 {
    let digest = Sha256::digest(format!("postroom {}", table.as_str()));
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

const UNDEFINED_TABLE: &str = "42P01";

/// How often reading is repeated where the server gives up a serializable transaction for another one.
pub(crate) const READING_REPEATS: u32 = 10;

/// Whether the server gave a statement up for another transaction's sake, and it can be tried again: a serialization
/// failure or a deadlock (<https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html>).
pub(crate) fn may_be_repeated(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Of most refusals the code alone is told, because the server's words may quote values: of data that do not fit,
/// of constraints, of a trigger's own making. These classes are about the connection, rights, tables and resources
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(crate) fn told(error: &dyn DatabaseError) -> Refusal {
    const WITH_WORDS: &[&str] = &[
        "08", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58",
    ];
    let code = error.code().unwrap_or_default();
    if code == UNDEFINED_TABLE || code == "42703" {
        Refusal::NoTable
    } else if WITH_WORDS.iter().any(|class| code.starts_with(class)) {
        Refusal::Told(format!("{} (SQLSTATE {code})", error.message()))
    } else {
        Refusal::Told(format!("the server refused with SQLSTATE {code}"))
    }
}

/// Any text in characters that PostgreSQL's texts can hold: U+0000 is `\0`, and a backslash is two.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\0', "\\0")
}

/// The text that [`escaped`] was given.
pub(crate) fn unescaped(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        unescaped.push(match character {
            '\\' => match characters.next() {
                Some('0') => '\0',
                _ => '\\',
            },
            other => other,
        });
    }
    unescaped
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PostgresStore")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialStore for PostgresStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let (namespace, kind, account) = key_columns(key);
        let mut repeats = 0..READING_REPEATS;
        let row: Option<(Vec<u8>, String)> = loop {
            let row = sqlx::query_as(&self.table.load)
                .bind(escaped(&namespace))
                .bind(kind.clone())
                .bind(escaped(account))
                .fetch_optional(&self.pool)
                .await;
            match row {
                Err(error) if may_be_repeated(&error) && repeats.next().is_some() => {}
                row => break row.map_err(|error| self.failure("load a record", error))?,
            }
        };
        row.map(|(record, revision)| {
            // The cause would show the record.
            let record = String::from_utf8(record)
                .map_err(|_| StoreError::new("a record in the database is not text"))?;
            Ok(StoredRecord::new(
                Secret::new(record),
                Revision::new(revision),
            ))
        })
        .transpose()
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        let revision = Revision::random()?;
        let mut attempts = 1;
        loop {
            match self.try_save(key, record, &save, &revision).await {
                Ok(done) if done.rows_affected() == 0 => return Ok(Saved::Superseded),
                Ok(_) => return Ok(Saved::Written(revision)),
                Err(error) if may_be_repeated(&error) && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(self.failure("save a record", error)),
            }
        }
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        let mut attempts = 1;
        loop {
            match self.try_remove(key).await {
                Ok(()) => return Ok(()),
                Err(error) if may_be_repeated(&error) && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(self.failure("remove a record", error)),
            }
        }
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let mut repeats = 0..READING_REPEATS;
        let accounts: Vec<String> = loop {
            let accounts = sqlx::query_scalar(&self.table.list)
                .bind(escaped(&namespace_column(namespace)))
                .bind(RecordKind::Account.name().into_owned())
                .fetch_all(&self.pool)
                .await;
            match accounts {
                Err(error) if may_be_repeated(&error) && repeats.next().is_some() => {}
                accounts => {
                    break accounts.map_err(|error| self.failure("list the accounts", error))?;
                }
            }
        };
        let accounts = accounts.iter();
        Ok(accounts
            .map(|account| AccountId::new(unescaped(account)))
            .collect())
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        // The time of the statement, not of the transaction, in microseconds: what the server itself reckons with.
        let statement = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint";
        let microseconds: i64 = sqlx::query_scalar(statement)
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.failure("ask for the time", error))?;
        DateTime::from_timestamp_micros(microseconds)
            .ok_or_else(|| StoreError::new("the server's clock is out of range"))
    }
}
