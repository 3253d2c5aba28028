//! A store in SQLite (feature `sqlite`): one table in a database of the host's or in a file of its own, for many
//! accounts and for the processes of one machine. The table's statements are `sql`'s.

use std::fmt;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::Executor;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::sql::{Refusal, Table, TableName, failure, key_columns, namespace_column};
use super::store::{
    CredentialStore, RecordKey, RecordKind, Revision, Save, Saved, StoreError, StoredRecord,
};
use crate::clock::{Clock, SystemClock};
use crate::model::AccountId;
use crate::secret::Secret;

/// The table's history. What was published stays as it is; changes are appended.
const MIGRATIONS: &[&str] = &[include_str!("sql/sqlite_1.sql")];

/// Records in a table of a SQLite database.
///
/// * Every save is one statement, so whoever is interrupted leaves the old record or the new one.
/// * Processes of one machine may share the database; SQLite's own locks keep them apart. Over a network file system
///   they do not (<https://sqlite.org/faq.html#q5>).
/// * The records are as secret as what is in them and are not encrypted; `Encrypted` (feature `encryption`) is for that.
///
/// [`open`](Self::open) keeps a file of the store's own. A host that has a pool already gives that to
/// [`new`](Self::new), and runs [`migrate`](Self::migrate) when it starts:
///
/// ```no_run
/// # async fn example(pool: sqlx::SqlitePool) -> Result<(), postroom::credentials::StoreError> {
/// use postroom::credentials::SqliteStore;
///
/// let store = SqliteStore::new(pool).with_table("mail_credentials")?;
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    table: Table,
    clock: Arc<dyn Clock>,
}

/// How often and after how long a file is tried again that somebody else is opening: for half a minute.
const OPENING_ATTEMPTS: u32 = 600;
const OPENING_PAUSE: Duration = Duration::from_millis(50);

/// `SQLITE_BUSY`, plain or extended (<https://www.sqlite.org/rescode.html#busy>).
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}

impl SqliteStore {
    /// The store in the table `postroom_records` of a database that the host has opened.
    ///
    /// A connection with `synchronous = NORMAL` and a write-ahead log may lose the last saves when the power fails
    /// (<https://sqlite.org/pragma.html#pragma_synchronous>), and with them a refresh token that was just rotated:
    /// `FULL` is right for credentials. A database in memory is gone with its connection, and a pool may close that when a
    /// caller is dropped while it waits.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self {
            pool,
            table: Table::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The store in a file, which is made if need be, readable by its owner only, with its table.
    ///
    /// It has a write-ahead log, every save is on the disk before it returns, and what is removed or replaced is
    /// overwritten in the file; in the log beside it, it stays until that begins anew.
    ///
    /// # Errors
    /// The file cannot be opened, or is no database.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self, StoreError> {
        let store = Self::new(file(path.as_ref())?);
        migrate_file(&store.pool, &store.table.name, MIGRATIONS)
            .await
            .map_err(|error| store.failure("make the table", error))?;
        Ok(store)
    }

    /// The same store in another table: a name of ASCII letters, digits and underscores, if need be after the name of an
    /// attached database and a dot.
    ///
    /// # Errors
    /// It is no such name.
    pub fn with_table(mut self, name: &str) -> Result<Self, StoreError> {
        self.table = Table::new(TableName::new(name)?);
        Ok(self)
    }

    /// The same store, whose leases end by this clock. All processes that share the database must see the same time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the table, or brings it up to date. It may run in several processes at once, and again at every start.
    ///
    /// # Errors
    /// The database refused.
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
}

/// A pool for a file, which is made if need be, readable by its owner only. It has a write-ahead log, every transaction is on
/// the disk before it returns, and what is removed or replaced is overwritten.
pub(crate) fn file(path: &Path) -> Result<SqlitePool, StoreError> {
    let cannot = |error: std::io::Error| {
        StoreError::new(format!("cannot open {}", path.display())).with_source(error)
    };
    // SQLite gives its other files the rights of this one, and would give this one whatever the process's mask leaves.
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(cannot)?;

    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(30))
        .pragma("secure_delete", "ON");
    let pool = SqlitePoolOptions::new().max_connections(4);
    Ok(pool.connect_lazy_with(options))
}

/// Brings a table up to date.
pub(crate) async fn migrate(
    pool: &SqlitePool,
    table: &TableName,
    migrations: &[&str],
) -> Result<(), sqlx::Error> {
    // A transaction that would only later begin to write could not wait for another one that writes.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    transaction
        .execute(table.create_migrations().as_str())
        .await?;
    let done: i64 = sqlx::query_scalar(&table.last_migration())
        .fetch_one(&mut *transaction)
        .await?;
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

/// [`migrate`] for a file that others may be opening at the same moment: turning its log on does not wait for them, as
/// everything else does.
pub(crate) async fn migrate_file(
    pool: &SqlitePool,
    table: &TableName,
    migrations: &[&str],
) -> Result<(), sqlx::Error> {
    for _ in 0..OPENING_ATTEMPTS {
        match migrate(pool, table, migrations).await {
            Err(error) if is_busy(&error) => tokio::time::sleep(OPENING_PAUSE).await,
            outcome => return outcome,
        }
    }
    migrate(pool, table, migrations).await
}

/// SQLite's messages name tables, columns and files, and quote no values.
pub(crate) fn told(error: &dyn DatabaseError) -> Refusal {
    let message = error.message();
    if message.starts_with("no such table") || message.starts_with("no such column") {
        Refusal::NoTable
    } else {
        Refusal::Told(message.to_owned())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SqliteStore")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialStore for SqliteStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let (namespace, kind, account) = key_columns(key);
        let row: Option<(String, String)> = sqlx::query_as(&self.table.load)
            .bind(namespace)
            .bind(kind)
            .bind(account)
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.failure("load a record", error))?;
        Ok(row.map(|(record, revision)| {
            StoredRecord::new(Secret::new(record), Revision::new(revision))
        }))
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        let revision = Revision::random()?;
        let (statement, over) = match &save {
            Save::Always => (&self.table.save_always, None),
            Save::IfAbsent => (&self.table.save_if_absent, None),
            Save::IfRevision(over) => (&self.table.save_if_revision, Some(over)),
        };
        let (namespace, kind, account) = key_columns(key);
        let mut query = sqlx::query(statement)
            .bind(namespace)
            .bind(kind)
            .bind(account)
            .bind(revision.as_str())
            .bind(record.expose());
        if let Some(over) = over {
            query = query.bind(over.as_str());
        }
        let done = query.execute(&self.pool).await;
        match done.map_err(|error| self.failure("save a record", error))? {
            done if done.rows_affected() == 0 => Ok(Saved::Superseded),
            _ => Ok(Saved::Written(revision)),
        }
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        let (namespace, kind, account) = key_columns(key);
        sqlx::query(&self.table.remove)
            .bind(namespace)
            .bind(kind)
            .bind(account)
            .execute(&self.pool)
            .await
            .map_err(|error| self.failure("remove a record", error))?;
        Ok(())
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let accounts: Vec<String> = sqlx::query_scalar(&self.table.list)
            .bind(namespace_column(namespace))
            .bind(RecordKind::Account.name().into_owned())
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.failure("list the accounts", error))?;
        Ok(accounts.into_iter().map(AccountId::new).collect())
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.clock.now())
    }
}
