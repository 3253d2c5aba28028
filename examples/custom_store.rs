//! A host's own credential store: one JSON file. `cargo run --example custom_store` uses it, and `cargo test --example
//! custom_store` shows that it keeps the whole contract, by the last lines here.

use std::{fs, io, path::PathBuf};

use postroom::credentials::*;
use postroom::{AccountId, Secret};

/// Namespace, kind and account; revision; record.
type Row = ((Option<String>, String, AccountId), String, String);

#[derive(Debug)]
struct OneFile(PathBuf);

impl OneFile {
    fn rows(&self) -> io::Result<Vec<Row>> {
        match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            text => Ok(serde_json::from_slice(&text?)?),
        }
    }

    /// One writer at a time among all processes; readers see all of a change or nothing.
    fn change<T>(&self, work: impl FnOnce(&mut Vec<Row>) -> T) -> io::Result<T> {
        let lock = fs::File::create(self.0.with_extension("lock"))?;
        lock.lock()?;
        let mut rows = self.rows()?;
        let outcome = work(&mut rows);
        let new = tempfile::NamedTempFile::new_in(self.0.parent().unwrap_or(&self.0))?;
        serde_json::to_writer(&new, &rows)?;
        new.as_file().sync_all()?;
        new.persist(&self.0)?;
        Ok(outcome)
    }
}

/// Only what kind of error it was: a parser's message could quote a token.
fn failed(error: io::Error) -> StoreError {
    StoreError::new(format!("the file of accounts: {}", error.kind()))
}

fn name(key: &RecordKey) -> (Option<String>, String, AccountId) {
    let kind = key.kind.name().into_owned();
    (key.namespace.clone(), kind, key.account.clone())
}

#[async_trait::async_trait]
impl CredentialStore for OneFile {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let mut rows = self.rows().map_err(failed)?.into_iter();
        let row = rows.find(|row| row.0 == name(key));
        Ok(row.map(|row| StoredRecord::new(row.2.into(), Revision::new(row.1))))
    }

    async fn save(&self, key: &RecordKey, text: &Secret, save: Save) -> Result<Saved, StoreError> {
        let new = Revision::random()?;
        let write = |rows: &mut Vec<Row>| {
            let row = rows.iter().find(|row| row.0 == name(key));
            let old = row.map(|row| Revision::new(row.1.as_str()));
            if !save.allows(old.as_ref()) {
                return Saved::Superseded;
            }
            rows.retain(|row| row.0 != name(key));
            rows.push((name(key), new.as_str().into(), text.expose().into()));
            Saved::Written(new)
        };
        self.change(write).map_err(failed)
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        let forget = |rows: &mut Vec<Row>| rows.retain(|row| row.0 != name(key));
        self.change(forget).map_err(failed)
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let names = self.rows().map_err(failed)?.into_iter().map(|row| row.0);
        let names = names.filter(|name| name.0.as_deref() == namespace && name.1 == "account");
        Ok(names.map(|name| name.2).collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let store = OneFile(directory.path().join("accounts.json"));
    let record = AccountRecord::new("reader", "google", Service::Google);
    let key = RecordKey::account("reader");
    record.save(&store, &key, Save::IfAbsent).await?;
    assert_eq!(store.list(None).await?, [AccountId::from("reader")]);
    Ok(())
}

#[cfg(test)]
mod contract {
    async fn store() -> super::OneFile {
        super::OneFile(tempfile::tempdir().unwrap().keep().join("accounts.json"))
    }

    postroom::credential_store_tests!(store);
}
