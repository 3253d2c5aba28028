//! What the journals in databases have in common: columns and statements. The rest of it they share with the stores of
//! credentials; how each database is spoken to is `sqlite`'s and `postgres`'s.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{JournalKey, SendScope, SendState, StoreError};
use crate::credentials::sql::{TableName, namespace_column};
use crate::model::AccountId;

/// The table that a journal uses unless the host names another.
const DEFAULT_TABLE: &str = "postroom_sends";

/// The table of a journal: its name and the statements.
#[derive(Clone)]
pub(super) struct Table(Arc<Statements>);

pub(super) struct Statements {
    pub(super) name: TableName,
    pub(super) get: String,
    pub(super) put_always: String,
    pub(super) put_if_absent: String,
    pub(super) put_if_revision: String,
    pub(super) remove: String,
    pub(super) list: String,
    pub(super) sent_since: String,
    pub(super) forget_sent: String,
}

impl Table {
    pub(super) fn new(name: TableName) -> Self {
        let table = name.quoted("");
        let insert = format!(
            "INSERT INTO {table} (namespace, account, send_key, revision, state, changed_at, record) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (namespace, account, send_key)"
        );
        let the_scope = "namespace = $1 AND account = $2";
        let the_entry = "namespace = $1 AND account = $2 AND send_key = $3";
        Self(Arc::new(Statements {
            name,
            get: format!("SELECT record, revision FROM {table} WHERE {the_entry}"),
            put_always: format!(
                "{insert} DO UPDATE SET revision = excluded.revision, state = excluded.state, \
                 changed_at = excluded.changed_at, record = excluded.record"
            ),
            put_if_absent: format!("{insert} DO NOTHING"),
            put_if_revision: format!(
                "UPDATE {table} SET revision = $4, state = $5, changed_at = $6, record = $7 \
                 WHERE {the_entry} AND revision = $8"
            ),
            remove: format!("DELETE FROM {table} WHERE {the_entry}"),
            // No key is empty here: see `after_column`.
            list: format!(
                "SELECT send_key, record, revision FROM {table} WHERE {the_scope} AND send_key > $3 \
                 ORDER BY send_key LIMIT $4"
            ),
            sent_since: format!(
                "SELECT changed_at FROM {table} WHERE {the_scope} AND state = 'sent' AND changed_at >= $3"
            ),
            forget_sent: format!(
                "DELETE FROM {table} WHERE {the_scope} AND state = 'sent' AND changed_at < $3"
            ),
        }))
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new(TableName::checked(DEFAULT_TABLE))
    }
}

impl Deref for Table {
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

/// The columns of a scope: what is not there is empty, and what is there has an equals sign before it.
pub(super) fn scope_columns(scope: &SendScope) -> (String, String) {
    let account = scope.account.as_ref().map(AccountId::as_str);
    (
        namespace_column(scope.namespace.as_deref()),
        namespace_column(account),
    )
}

/// The columns of a key. That of the host's own key has an equals sign before it, so that the empty key follows nothing.
pub(super) fn key_columns(key: &JournalKey) -> (String, String, String) {
    let (namespace, account) = scope_columns(&key.scope);
    (namespace, account, format!("={}", key.key.as_str()))
}

/// The text of an entry, which is a secret.
pub(super) fn written(state: &SendState) -> Result<String, StoreError> {
    // The cause may quote what it could not write, so it stays here.
    serde_json::to_string(state).map_err(|_| StoreError::new("an entry cannot be written as JSON"))
}

/// The entry of a text.
pub(super) fn read(text: &str) -> Result<SendState, StoreError> {
    // A parser's message quotes what it found.
    serde_json::from_str(text).map_err(|error| {
        StoreError::unreadable(format!(
            "an entry is damaged or of a later version (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}
