//! What the stores in databases, and the journals of sends beside them, have in common: the table's name, the statements, and
//! errors that quote no record. How each database is spoken to is `sqlite`'s and `postgres`'s.

use std::fmt;
use std::sync::Arc;

use sqlx::error::DatabaseError;

use super::store::{RecordKey, StoreError};

/// The table that a store uses unless the host names another.
const DEFAULT_TABLE: &str = "postroom_records";

/// The longest name. PostgreSQL cuts names off silently after 63 bytes, and there is a second table with a longer one.
const LONGEST_NAME: usize = 48;

/// The name of a table, such that it can stand in a statement. What was migrated stands in a table beside it.
#[derive(Clone)]
pub(crate) struct TableName(Arc<str>);

impl TableName {
    /// The table `name`, or `schema.name`.
    pub(crate) fn new(name: &str) -> Result<Self, StoreError> {
        if name.split('.').count() > 2 || !name.split('.').all(is_identifier) {
            return Err(StoreError::new(format!(
                "{name:?} cannot be the name of a table here: letters of ASCII, digits and underscores, beginning with no \
                 digit, {LONGEST_NAME} at the most, if need be after a schema's name and a dot"
            )));
        }
        Ok(Self::checked(name))
    }

    /// A name that is known to be one.
    pub(crate) fn checked(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as the host wrote it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in a statement: quoted, so that capitals stay and a word of the language is a name too.
    pub(crate) fn quoted(&self, suffix: &str) -> String {
        format!("\"{}{suffix}\"", self.0.replace('.', "\".\""))
    }

    /// A migration's text for this table.
    pub(crate) fn fill(&self, migration: &str) -> String {
        migration.replace("{table}", &self.quoted(""))
    }

    pub(crate) fn create_migrations(&self) -> String {
        let migrations = self.quoted("_migrations");
        format!("CREATE TABLE IF NOT EXISTS {migrations} (number BIGINT PRIMARY KEY)")
    }

    pub(crate) fn last_migration(&self) -> String {
        let migrations = self.quoted("_migrations");
        format!("SELECT COALESCE(MAX(number), 0) FROM {migrations}")
    }

    pub(crate) fn note_migration(&self) -> String {
        let migrations = self.quoted("_migrations");
        format!("INSERT INTO {migrations} (number) VALUES ($1) ON CONFLICT DO NOTHING")
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// The table of a store: its name and the statements.
#[derive(Clone)]
pub(super) struct Table(Arc<Statements>);

pub(super) struct Statements {
    pub(super) name: TableName,
    pub(super) load: String,
    pub(super) save_always: String,
    pub(super) save_if_absent: String,
    pub(super) save_if_revision: String,
    pub(super) remove: String,
    pub(super) list: String,
}

impl Table {
    pub(super) fn new(name: TableName) -> Self {
        let table = name.quoted("");
        let insert = format!(
            "INSERT INTO {table} (namespace, kind, account, revision, record) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (namespace, kind, account)"
        );
        let the_record = "namespace = $1 AND kind = $2 AND account = $3";
        Self(Arc::new(Statements {
            name,
            load: format!("SELECT record, revision FROM {table} WHERE {the_record}"),
            save_always: format!(
                "{insert} DO UPDATE SET revision = excluded.revision, record = excluded.record"
            ),
            save_if_absent: format!("{insert} DO NOTHING"),
            save_if_revision: format!(
                "UPDATE {table} SET revision = $4, record = $5 WHERE {the_record} AND revision = $6"
            ),
            remove: format!("DELETE FROM {table} WHERE {the_record}"),
            list: format!("SELECT account FROM {table} WHERE namespace = $1 AND kind = $2"),
        }))
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new(TableName::checked(DEFAULT_TABLE))
    }
}

impl std::ops::Deref for Table {
    type Target = Statements;

    fn deref(&self) -> &Statements {
        &self.0
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.name, formatter)
    }
}

fn is_identifier(name: &str) -> bool {
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    begins_well && letters && name.len() <= LONGEST_NAME
}

/// A namespace as its column has it: no namespace is not the empty one.
pub(crate) fn namespace_column(namespace: Option<&str>) -> String {
    namespace.map_or_else(String::new, |namespace| format!("={namespace}"))
}

/// What a save binds before its record.
pub(super) fn key_columns(key: &RecordKey) -> (String, String, &str) {
    (
        namespace_column(key.namespace.as_deref()),
        key.kind.name().into_owned(),
        key.account.as_str(),
    )
}

/// An error of the database as the host may see it. `tell` gives of a refusal what certainly quotes no record.
pub(crate) fn failure(
    action: &'static str,
    table: &TableName,
    error: sqlx::Error,
    tell: impl FnOnce(&dyn DatabaseError) -> Refusal,
) -> StoreError {
    let cannot = format!("cannot {action} in the table {:?}", table.as_str());
    match error {
        sqlx::Error::Database(error) => match tell(&*error) {
            Refusal::NoTable => StoreError::new(format!(
                "{cannot}: it is not there, or not as it should be; run migrate() first"
            )),
            Refusal::Told(text) => StoreError::new(format!("{cannot}: {text}")),
        },
        // These are about the connection, and know of no values.
        error @ (sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed) => StoreError::new(cannot).with_source(error),
        // Others may quote what they could not encode or decode.
        _ => StoreError::new(format!("{cannot}: the database's answer is not understood")),
    }
}

/// What a database refused.
pub(crate) enum Refusal {
    /// A table or a column that is not there.
    NoTable,
    /// Something else, in words that quote no record.
    Told(String),
}
