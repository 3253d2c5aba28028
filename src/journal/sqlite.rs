//! A journal in SQLite (feature `sqlite`): one table in a database of the host's or in a file, for the processes of one
//! machine. The table's statements are `sql`'s.

use std::path::Path;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqlitePool;

use super::sql::{Table, key_columns, read, scope_columns, written};
use super::{
    JournalEntry, JournalKey, Revision, Save, Saved, SendJournal, SendScope, SendState, StoreError,
};
use crate::credentials::sql::{TableName, failure};
use crate::credentials::sqlite::{file, migrate, migrate_file, told};
use crate::model::SendKey;

/// The table's history. What was published stays as it is; changes are appended.
const MIGRATIONS: &[&str] = &[include_str!("sqlite_1.sql")];

/// Sends in a table of a SQLite database, perhaps the one that
/// [`SqliteStore`](crate::credentials::SqliteStore) keeps credentials in.
///
/// * Every put is one statement, so whoever is interrupted leaves the old entry or the new one.
/// * Processes of one machine may share the database, though not over a network file system
///   (<https://sqlite.org/faq.html#q5>).
/// * Tickets are as secret as tokens and are not encrypted; `EncryptedJournal` (feature `encryption`) is for that.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = std::sync::Arc::new(postroom::credentials::MemoryStore::new());
/// use std::sync::Arc;
///
/// use postroom::{Accounts, SqliteJournal};
///
/// let journal = SqliteJournal::open("mail.sqlite").await?;
/// let accounts = Accounts::builder(store).journal(Arc::new(journal)).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteJournal {
    pool: SqlitePool,
    table: Table,
}

impl SqliteJournal {
    /// The journal in the table `postroom_sends` of a database that the host has opened; see
    /// [`SqliteStore::new`](crate::credentials::SqliteStore::new) for what its connections must keep. Run
    /// [`migrate`](Self::migrate) when the host starts.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self {
            pool,
            table: Table::default(),
        }
    }

    /// The journal in a file, which is made if need be, readable by its owner only, with its table. It may be the file of
    /// a store.
    ///
    /// # Errors
    /// The file cannot be opened, or is no database.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self, StoreError> {
        let journal = Self::new(file(path.as_ref())?);
        migrate_file(&journal.pool, &journal.table.name, MIGRATIONS)
            .await
            .map_err(|error| journal.failure("make the table", error))?;
        Ok(journal)
    }

    /// The same journal in another table: a name of ASCII letters, digits and underscores, if need be after the name of an
    /// attached database and a dot.
    ///
    /// # Errors
    /// It is no such name.
    pub fn with_table(mut self, name: &str) -> Result<Self, StoreError> {
        self.table = Table::new(TableName::new(name)?);
        Ok(self)
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

#[async_trait]
impl SendJournal for SqliteJournal {
    async fn get(&self, key: &JournalKey) -> Result<Option<JournalEntry>, StoreError> {
        let (namespace, account, send_key) = key_columns(key);
        let row: Option<(String, String)> = sqlx::query_as(&self.table.get)
            .bind(namespace)
            .bind(account)
            .bind(send_key)
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.failure("read an entry", error))?;
        row.map(|(record, revision)| {
            let state = read(&record)?;
            let revision = Revision::new(revision);
            Ok(JournalEntry::new(key.key.clone(), state, revision))
        })
        .transpose()
    }

    async fn put(
        &self,
        key: &JournalKey,
        state: &SendState,
        save: Save,
    ) -> Result<Saved, StoreError> {
        let revision = Revision::random()?;
        let (statement, over) = match &save {
            Save::Always => (&self.table.put_always, None),
            Save::IfAbsent => (&self.table.put_if_absent, None),
            Save::IfRevision(over) => (&self.table.put_if_revision, Some(over)),
        };
        let (namespace, account, send_key) = key_columns(key);
        let mut query = sqlx::query(statement)
            .bind(namespace)
            .bind(account)
            .bind(send_key)
            .bind(revision.as_str())
            .bind(state.name())
            .bind(state.at().timestamp_millis())
            .bind(written(state)?);
        if let Some(over) = over {
            query = query.bind(over.as_str());
        }
        let done = query.execute(&self.pool).await;
        match done.map_err(|error| self.failure("note a send", error))? {
            done if done.rows_affected() == 0 => Ok(Saved::Superseded),
            _ => Ok(Saved::Written(revision)),
        }
    }

    async fn remove(&self, key: &JournalKey) -> Result<(), StoreError> {
        let (namespace, account, send_key) = key_columns(key);
        sqlx::query(&self.table.remove)
            .bind(namespace)
            .bind(account)
            .bind(send_key)
            .execute(&self.pool)
            .await
            .map_err(|error| self.failure("remove an entry", error))?;
        Ok(())
    }

    async fn list(
        &self,
        scope: &SendScope,
        after: Option<&SendKey>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let (namespace, account) = scope_columns(scope);
        let after = after.map_or_else(String::new, |key| format!("={}", key.as_str()));
        let rows: Vec<(String, String, String)> = sqlx::query_as(&self.table.list)
            .bind(namespace)
            .bind(account)
            .bind(after)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.failure("list the entries", error))?;
        let entries = rows.into_iter().map(|(key, record, revision)| {
            let key = key.strip_prefix('=').unwrap_or(&key);
            let (key, revision) = (SendKey::new(key), Revision::new(revision));
            Ok(JournalEntry::new(key, read(&record)?, revision))
        });
        entries.collect()
    }

    async fn sent_since(
        &self,
        scope: &SendScope,
        since: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>, StoreError> {
        let (namespace, account) = scope_columns(scope);
        let times: Vec<i64> = sqlx::query_scalar(&self.table.sent_since)
            .bind(namespace)
            .bind(account)
            .bind(since.timestamp_millis())
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.failure("read when messages were sent", error))?;
        Ok(times
            .into_iter()
            .filter_map(DateTime::from_timestamp_millis)
            .collect())
    }

    async fn forget_sent(
        &self,
        scope: &SendScope,
        before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let (namespace, account) = scope_columns(scope);
        let done = sqlx::query(&self.table.forget_sent)
            .bind(namespace)
            .bind(account)
            .bind(before.timestamp_millis())
            .execute(&self.pool)
            .await
            .map_err(|error| self.failure("remove entries", error))?;
        Ok(done.rows_affected())
    }
}
