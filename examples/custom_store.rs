//! A host's own credential store, one JSON file. `cargo test --example custom_store` shows that it keeps the contract.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use postroom::{AccountId, Secret, credentials::*};

type Rows = BTreeMap<String, (String, String)>; // Revision and record, by key.

#[derive(Debug)]
struct OneFile(PathBuf);

impl OneFile {
    /// Works on the rows, one process at a time. What changes is written as a whole or not at all.
    fn with<T>(&self, work: impl FnOnce(&mut Rows) -> T) -> io::Result<T> {
        let lock = fs::File::create(self.0.with_extension("lock"))?;
        lock.lock()?;
        let before: Rows = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Rows::new(),
            text => serde_json::from_slice(&text?)?,
        };
        let mut rows = before.clone();
        let outcome = work(&mut rows);
        if rows != before {
            let new = tempfile::NamedTempFile::new_in(self.0.parent().unwrap_or(&self.0))?;
            serde_json::to_writer(&new, &rows)?;
            new.as_file().sync_all()?;
            new.persist(&self.0)?;
        }
        Ok(outcome)
    }
}

#[async_trait::async_trait]
impl CredentialStore for OneFile {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let row = self.with(|rows| rows.get(&key.text()).cloned())?;
        Ok(row.map(|row| StoredRecord::new(row.1.into(), Revision::new(row.0))))
    }

    async fn save(&self, key: &RecordKey, text: &Secret, save: Save) -> Result<Saved, StoreError> {
        let new = Revision::random()?;
        Ok(self.with(|rows| {
            let row = rows.get(&key.text());
            if !save.allows(row.map(|row| Revision::new(&*row.0)).as_ref()) {
                return Saved::Superseded;
            }
            rows.insert(key.text(), (new.as_str().into(), text.expose().into()));
            Saved::Written(new)
        })?)
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        Ok(self.with(|rows| drop(rows.remove(&key.text())))?)
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let start = RecordKey::accounts(namespace);
        let account = |key: &String| key.strip_prefix(&start).map(AccountId::from);
        Ok(self.with(|rows| rows.keys().filter_map(account).collect())?)
    }
}

#[tokio::main]
async fn main() -> Result<(), StoreError> {
    let store = OneFile(std::env::temp_dir().join("postroom-accounts.json"));
    let record = AccountRecord::new("reader", "google", Service::Google);
    let key = RecordKey::account("reader");
    record.save(&store, &key, Save::Always).await?;
    assert_eq!(store.list(None).await?, [key.account]);
    Ok(fs::remove_file(store.0)?)
}

#[cfg(test)]
async fn store() -> OneFile {
    OneFile(tempfile::tempdir().unwrap().keep().join("accounts.json"))
}

#[cfg(test)]
postroom::credential_store_tests!(store);
