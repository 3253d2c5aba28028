//! A host's copy of a mailbox in SQLite: what each page of a sync does to its tables, in one transaction with the cursor, and
//! what the copy has. Running the sync is left to the programs: `mirror` and `mail sync`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use postroom::{
    Error, ErrorKind, FolderId, Keyword, Known, KnownMessage, Message, MessageId, SyncChange,
    SyncCursor, SyncPage,
};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool};

/// SQLite compares text byte by byte unless it is told otherwise, as a sync wants ids sorted.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS place (mailbox TEXT NOT NULL, cursor TEXT);
    CREATE TABLE IF NOT EXISTS folders (id TEXT PRIMARY KEY, name TEXT NOT NULL, parent TEXT, role TEXT);
    CREATE TABLE IF NOT EXISTS messages (
        id TEXT PRIMARY KEY, thread TEXT, received_at TEXT, sender TEXT, subject TEXT, body TEXT, unreadable TEXT
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS memberships (
        message TEXT NOT NULL REFERENCES messages ON DELETE CASCADE, folder TEXT NOT NULL, PRIMARY KEY (message, folder)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS keywords (
        message TEXT NOT NULL REFERENCES messages ON DELETE CASCADE, keyword TEXT NOT NULL, PRIMARY KEY (message, keyword)
    ) WITHOUT ROWID;";

const KNOWN: &str = "
    SELECT id, (SELECT json_group_array(folder) FROM memberships WHERE message = id),
        (SELECT json_group_array(keyword) FROM keywords WHERE message = id)
    FROM messages WHERE id > ? ORDER BY id LIMIT ?";

/// The copy of one mailbox, in a file.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) pool: SqlitePool,
}

impl Database {
    /// Opens the file, or makes it. A file with the copy of another mailbox is an error.
    pub(crate) async fn open(path: &Path, mailbox: &str) -> sqlx::Result<Self> {
        // If the power fails, the last pages may be lost, and their cursors with them: they come again.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePool::connect_with(options).await?;
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
        let before: Option<String> = sqlx::query_scalar("SELECT mailbox FROM place")
            .fetch_optional(&mut *transaction)
            .await?;
        match before {
            Some(other) if other != mailbox => {
                return Err(sqlx::Error::Protocol(format!(
                    "it holds the copy of {other}, not of {mailbox}"
                )));
            }
            Some(_) => {}
            None => {
                let insert = sqlx::query("INSERT INTO place (mailbox) VALUES (?)").bind(mailbox);
                insert.execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(Self { pool })
    }

    /// Where the copy has got to.
    pub(crate) async fn cursor(&self) -> sqlx::Result<Option<SyncCursor>> {
        let cursor: Option<String> = sqlx::query_scalar("SELECT cursor FROM place")
            .fetch_one(&self.pool)
            .await?;
        Ok(cursor.map(SyncCursor::new))
    }

    /// Stores a page and its cursor together, or says that another process was faster and nothing was stored.
    pub(crate) async fn store(&self, page: &SyncPage) -> sqlx::Result<bool> {
        let moves = (page.after.as_ref(), Some(&page.cursor));
        self.apply(&page.changes, moves).await
    }

    /// Makes these changes and moves the cursor, where it still is what it was.
    pub(crate) async fn apply(
        &self,
        changes: &[SyncChange],
        (after, cursor): (Option<&SyncCursor>, Option<&SyncCursor>),
    ) -> sqlx::Result<bool> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let moved = sqlx::query("UPDATE place SET cursor = ? WHERE cursor IS ?")
            .bind(cursor.map(SyncCursor::as_str))
            .bind(after.map(SyncCursor::as_str))
            .execute(&mut *transaction)
            .await?;
        if moved.rows_affected() == 0 {
            return Ok(false);
        }
        for change in changes {
            make(&mut transaction, change).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// How many messages and folders the copy has.
    pub(crate) async fn counts(&self) -> sqlx::Result<(i64, i64)> {
        sqlx::query_as("SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM folders)")
            .fetch_one(&self.pool)
            .await
    }
}

/// What a sync asks while it finds out what it missed.
#[async_trait]
impl Known for Database {
    async fn page(
        &self,
        after: Option<&MessageId>,
        limit: usize,
    ) -> postroom::Result<Vec<KnownMessage>> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(KNOWN)
            .bind(after.map_or("", MessageId::as_str))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await
            .map_err(unreadable)?;
        rows.into_iter()
            .map(|(id, folders, keywords)| {
                let folders = serde_json::from_str(&folders).map_err(unreadable)?;
                let keywords: Vec<String> = serde_json::from_str(&keywords).map_err(unreadable)?;
                let keywords = keywords
                    .iter()
                    .map(|text| keyword(text).map_err(unreadable));
                let keywords = keywords.collect::<postroom::Result<_>>()?;
                Ok(KnownMessage::new(MessageId::new(id), folders, keywords))
            })
            .collect()
    }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Content, "the copy cannot be read").with_source(error)
}

/// Makes one change. Making it twice does no harm.
async fn make(connection: &mut SqliteConnection, change: &SyncChange) -> sqlx::Result<()> {
    match change {
        // What it had of a message that was moved goes, too: where it lies now comes with it.
        SyncChange::Message(message) | SyncChange::Moved { message, .. } => {
            remove(connection, &message.id).await?;
            insert(connection, message, None).await?;
            let folders = message.folders.iter().flatten();
            let keywords = message.keywords.iter().flatten();
            file(connection, &message.id, folders, keywords).await
        }
        SyncChange::Updated(update) => {
            let (mut folders, mut keywords) = filed(connection, &update.id).await?;
            update.apply(&mut folders, &mut keywords);
            file(connection, &update.id, &folders, &keywords).await
        }
        SyncChange::Unreadable(id, error) => {
            remove(connection, id).await?;
            let unread = Message::new(id.clone());
            insert(connection, &unread, Some(error.to_string())).await
        }
        SyncChange::OutOfScope(id) | SyncChange::Deleted(id) => remove(connection, id).await,
        SyncChange::Folder(folder) => {
            sqlx::query("INSERT OR REPLACE INTO folders VALUES (?, ?, ?, ?)")
                .bind(folder.id.as_str())
                .bind(&folder.name)
                .bind(folder.parent.as_ref().map(FolderId::as_str))
                .bind(folder.role.map(|role| role.as_str()))
                .execute(connection)
                .await
                .map(drop)
        }
        SyncChange::FolderDeleted(id) => {
            let delete = sqlx::query("DELETE FROM folders WHERE id = ?").bind(id.as_str());
            delete.execute(connection).await.map(drop)
        }
        // What a later version of the crate tells, and this program has no table for.
        _ => Ok(()),
    }
}

/// Removes a message, with what it was filed under.
async fn remove(connection: &mut SqliteConnection, id: &MessageId) -> sqlx::Result<()> {
    let delete = sqlx::query("DELETE FROM messages WHERE id = ?").bind(id.as_str());
    delete.execute(connection).await.map(drop)
}

async fn insert(
    connection: &mut SqliteConnection,
    message: &Message,
    unreadable: Option<String>,
) -> sqlx::Result<()> {
    let sender = message.from.first().map(ToString::to_string);
    sqlx::query("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(message.id.as_str())
        .bind(message.thread.as_ref().map(|thread| thread.as_str()))
        .bind(message.received_at.map(|at| at.to_rfc3339()))
        .bind(sender)
        .bind(&message.subject)
        .bind(message.body.text.as_ref().or(message.body.html.as_ref()))
        .bind(unreadable)
        .execute(connection)
        .await
        .map(drop)
}

/// The folders and keywords of a message.
async fn filed(
    connection: &mut SqliteConnection,
    id: &MessageId,
) -> sqlx::Result<(Vec<FolderId>, BTreeSet<Keyword>)> {
    let folders: Vec<String> =
        sqlx::query_scalar("SELECT folder FROM memberships WHERE message = ?")
            .bind(id.as_str())
            .fetch_all(&mut *connection)
            .await?;
    let keywords: Vec<String> =
        sqlx::query_scalar("SELECT keyword FROM keywords WHERE message = ?")
            .bind(id.as_str())
            .fetch_all(connection)
            .await?;
    let keywords = keywords.iter().map(|text| keyword(text));
    let keywords = keywords.collect::<Result<_, _>>();
    Ok((
        folders.into_iter().map(FolderId::new).collect(),
        keywords.map_err(|error| sqlx::Error::Decode(error.into()))?,
    ))
}

/// Files a message under these folders and keywords and no others; a message that the copy does not have, nowhere.
async fn file(
    connection: &mut SqliteConnection,
    id: &MessageId,
    folders: impl IntoIterator<Item = &FolderId>,
    keywords: impl IntoIterator<Item = &Keyword>,
) -> sqlx::Result<()> {
    for table in [
        "DELETE FROM memberships WHERE message = ?",
        "DELETE FROM keywords WHERE message = ?",
    ] {
        let delete = sqlx::query(table).bind(id.as_str());
        delete.execute(&mut *connection).await?;
    }
    for folder in folders {
        sqlx::query("INSERT OR IGNORE INTO memberships SELECT id, ? FROM messages WHERE id = ?")
            .bind(folder.as_str())
            .bind(id.as_str())
            .execute(&mut *connection)
            .await?;
    }
    for keyword in keywords {
        sqlx::query("INSERT INTO keywords SELECT id, ? FROM messages WHERE id = ?")
            .bind(text(keyword))
            .bind(id.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// A keyword as text: `seen`, or for a tag with a name of its own a JSON object.
fn text(keyword: &Keyword) -> String {
    match serde_json::json!(keyword) {
        Value::String(name) => name,
        other => other.to_string(),
    }
}

fn keyword(text: &str) -> serde_json::Result<Keyword> {
    let value = serde_json::from_str(text);
    serde_json::from_value(value.unwrap_or_else(|_| Value::String(text.to_owned())))
}
