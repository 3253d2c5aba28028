//! A journal in PostgreSQL (feature `postgres`): one table that the workers of many machines share. The table's statements
//! are `sql`'s.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgPool;

use super::sql::{Table, key_columns, read, scope_columns, written};
use super::{
    JournalEntry, JournalKey, Revision, Save, Saved, SendJournal, SendScope, SendState, StoreError,
};
use crate::credentials::postgres::{ATTEMPTS, escaped, may_be_repeated, migrate, told, unescaped};
use crate::credentials::sql::{TableName, failure};
use crate::model::SendKey;

/// The table's history. What was published stays as it is; changes are appended.
const MIGRATIONS: &[&str] = &[include_str!("postgres_1.sql")];

/// Sends in a table of a PostgreSQL database, perhaps the one that
/// [`PostgresStore`](crate::credentials::PostgresStore) keeps credentials in.
///
/// * Every put is one statement, so whoever is interrupted leaves the old entry or the new one; it may run at any
///   isolation level that the pool's connections have.
/// * Tickets are as secret as tokens and are not encrypted; `EncryptedJournal` (feature `encryption`) is for that.
/// * A namespace, an account and a key must together fit an entry of PostgreSQL's indexes, about 2,600 bytes.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use postroom::PostgresJournal;
///
/// let pool = sqlx::PgPool::connect("postgres://mail@db.example/app?sslmode=verify-full").await?;
/// let journal = PostgresJournal::new(pool).with_table("mail.sends")?;
/// journal.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresJournal {
    pool: PgPool,
    table: Table,
}

impl PostgresJournal {
    /// The journal in the table `postroom_sends`, in whatever schema the pool's connections look in first.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            table: Table::default(),
        }
    }

    /// The same journal in another table: a name of ASCII letters, digits and underscores, if need be after the name of a
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

    /// Runs a statement until the server does not give it up for another transaction's sake.
    async fn repeated<T, F: Future<Output = Result<T, sqlx::Error>> + Send>(
        &self,
        action: &'static str,
        statement: impl Fn() -> F + Send,
    ) -> Result<T, StoreError> {
        let mut attempts = 1;
        loop {
            match statement().await {
                Err(error) if may_be_repeated(&error) && attempts < ATTEMPTS => attempts += 1,
                outcome => return outcome.map_err(|error| self.failure(action, error)),
            }
        }
    }
}

impl fmt::Debug for PostgresJournal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PostgresJournal")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

fn text(record: Vec<u8>) -> Result<String, StoreError> {
    // The cause would show the record.
    String::from_utf8(record).map_err(|_| StoreError::unreadable("an entry is not text"))
}

#[async_trait]
impl SendJournal for PostgresJournal {
    async fn get(&self, key: &JournalKey) -> Result<Option<JournalEntry>, StoreError> {
        let (namespace, account, send_key) = key_columns(key);
        let row: Option<(Vec<u8>, String)> = self
            .repeated("read an entry", || {
                sqlx::query_as(&self.table.get)
                    .bind(escaped(&namespace))
                    .bind(escaped(&account))
                    .bind(escaped(&send_key))
                    .fetch_optional(&self.pool)
            })
            .await?;
        row.map(|(record, revision)| {
            let state = read(&text(record)?)?;
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
        let record = written(state)?;
        let (statement, over) = match &save {
            Save::Always => (&self.table.put_always, None),
            Save::IfAbsent => (&self.table.put_if_absent, None),
            Save::IfRevision(over) => (&self.table.put_if_revision, Some(over)),
        };
        let (namespace, account, send_key) = key_columns(key);
        let done = self
            .repeated("note a send", || {
                let mut query = sqlx::query(statement)
                    .bind(escaped(&namespace))
                    .bind(escaped(&account))
                    .bind(escaped(&send_key))
                    .bind(revision.as_str())
                    .bind(state.name())
                    .bind(state.at().timestamp_millis())
                    .bind(record.as_bytes());
                if let Some(over) = over {
                    query = query.bind(over.as_str());
                }
                query.execute(&self.pool)
            })
            .await?;
        Ok(if done.rows_affected() == 0 {
            Saved::Superseded
        } else {
            Saved::Written(revision)
        })
    }

    async fn remove(&self, key: &JournalKey) -> Result<(), StoreError> {
        let (namespace, account, send_key) = key_columns(key);
        self.repeated("remove an entry", || {
            sqlx::query(&self.table.remove)
                .bind(escaped(&namespace))
                .bind(escaped(&account))
                .bind(escaped(&send_key))
                .execute(&self.pool)
        })
        .await
        .map(drop)
    }

    async fn list(
        &self,
        scope: &SendScope,
        after: Option<&SendKey>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let (namespace, account) = scope_columns(scope);
        let after = after.map_or_else(String::new, |key| format!("={}", key.as_str()));
        let rows: Vec<(String, Vec<u8>, String)> = self
            .repeated("list the entries", || {
                sqlx::query_as(&self.table.list)
                    .bind(escaped(&namespace))
                    .bind(escaped(&account))
                    .bind(escaped(&after))
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(&self.pool)
            })
            .await?;
        let entries = rows.into_iter().map(|(key, record, revision)| {
            let key = unescaped(&key);
            let key = SendKey::new(key.strip_prefix('=').unwrap_or(&key));
            let state = read(&text(record)?)?;
            Ok(JournalEntry::new(key, state, Revision::new(revision)))
        });
        entries.collect()
    }

    async fn sent_since(
        &self,
        scope: &SendScope,
        since: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>, StoreError> {
        let (namespace, account) = scope_columns(scope);
        let times: Vec<i64> = self
            .repeated("read when messages were sent", || {
                sqlx::query_scalar(&self.table.sent_since)
                    .bind(escaped(&namespace))
                    .bind(escaped(&account))
                    .bind(since.timestamp_millis())
                    .fetch_all(&self.pool)
            })
            .await?;
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
        let done = self
            .repeated("remove entries", || {
                sqlx::query(&self.table.forget_sent)
                    .bind(escaped(&namespace))
                    .bind(escaped(&account))
                    .bind(before.timestamp_millis())
                    .execute(&self.pool)
            })
            .await?;
        Ok(done.rows_affected())
    }
}
