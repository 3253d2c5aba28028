//! Where accounts and provider configurations are kept between two calls of the program.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroom::credentials::{FileStore, Service as Vendor};
use postroom::{
    AccountId, Accounts, AccountsBuilder, ProviderConfiguration, Secret, SqliteJournal,
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::Failure;

/// Which service a mailbox is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Service {
    Google,
    Microsoft,
}

impl Service {
    pub(crate) fn vendor(self) -> Vendor {
        match self {
            Self::Google => Vendor::Google,
            Self::Microsoft => Vendor::Microsoft,
        }
    }
}

/// What an administrator registered with a service, kept under the account's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Registration {
    pub(crate) service: Service,
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) auth_endpoint: Option<Url>,
    pub(crate) api_endpoint: Option<Url>,
}

impl Registration {
    fn configuration(&self) -> ProviderConfiguration {
        let mut configuration = match self.service {
            Service::Google => ProviderConfiguration::google(&self.client_id),
            Service::Microsoft => ProviderConfiguration::microsoft(&self.client_id),
        };
        if let Some(secret) = &self.client_secret {
            configuration = configuration.with_client_secret(Secret::new(secret.as_str()));
        }
        if let Some(tenant) = &self.tenant {
            configuration = configuration.with_tenant(tenant.as_str());
        }
        if let Some(endpoint) = &self.auth_endpoint {
            configuration = configuration.with_auth_endpoint(endpoint.clone());
        }
        if let Some(endpoint) = &self.api_endpoint {
            configuration = configuration.with_api_endpoint(endpoint.clone());
        }
        configuration
    }
}

/// The directory that `--store` names.
#[derive(Debug)]
pub(crate) struct Setup {
    directory: PathBuf,
    registrations: BTreeMap<String, Registration>,
}

impl Setup {
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        Ok(Self {
            directory: directory.to_owned(),
            registrations: read_registrations(&registrations_file(directory))?,
        })
    }

    /// Uses a registration under a name, in this call of the program.
    pub(crate) fn use_registration(&mut self, name: &str, registration: Registration) {
        self.registrations.insert(name.to_owned(), registration);
    }

    /// Keeps the registration under this name. The file is replaced as a whole, so that Ctrl-C cannot break it; only its
    /// owner can read it; and what another call of the program has kept meanwhile stays.
    pub(crate) fn keep_registration(&self, name: &str) -> Result<(), Failure> {
        let file = registrations_file(&self.directory);
        let failed = |error| Failure::Local(format!("cannot write {}", file.display()), error);
        let Some(registration) = self.registrations.get(name) else {
            return Ok(());
        };
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        let lock = std::fs::File::create(self.directory.join(".lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut registrations = read_registrations(&file)?;
        registrations.insert(name.to_owned(), registration.clone());
        let write = || -> std::io::Result<()> {
            let mut new = tempfile::NamedTempFile::new_in(&self.directory)?;
            new.write_all(&serde_json::to_vec_pretty(&registrations)?)?;
            new.as_file().sync_all()?;
            new.persist(&file)?;
            Ok(())
        };
        write().map_err(failed)
    }

    pub(crate) fn registration(&self, name: &str) -> Option<&Registration> {
        self.registrations.get(name)
    }

    /// The registration and its name, if there is exactly one.
    pub(crate) fn only_registration(&self) -> Option<(&str, &Registration)> {
        let mut all = self.registrations.iter();
        let (name, only) = all.next()?;
        all.next().is_none().then_some((name.as_str(), only))
    }

    pub(crate) fn accounts(&self) -> Result<Accounts, Failure> {
        Ok(self.builder().build()?)
    }

    /// The same, with what is known of earlier sends: it lasts from one call of the program to the next.
    pub(crate) async fn accounts_with_outbox(&self) -> Result<Accounts, Failure> {
        let path = self.directory.join("outbox.sqlite");
        let journal = SqliteJournal::open(&path).await.map_err(|error| {
            let what = format!("cannot open {}", path.display());
            Failure::Local(what, std::io::Error::other(error))
        })?;
        Ok(self.builder().journal(Arc::new(journal)).build()?)
    }

    fn builder(&self) -> AccountsBuilder {
        let store = FileStore::new(self.directory.join("accounts"));
        let mut builder = Accounts::builder(Arc::new(store));
        for (name, registration) in &self.registrations {
            builder = builder.configuration(name.as_str(), registration.configuration());
        }
        builder
    }

    /// The account that was named, or the only one.
    pub(crate) async fn choose(&self, named: Option<String>) -> Result<AccountId, Failure> {
        let connected: Vec<AccountId> = self
            .accounts()?
            .list()
            .await?
            .into_iter()
            .map(|account| account.id)
            .collect();
        let names = connected
            .iter()
            .map(AccountId::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        match (named, connected.as_slice()) {
            (Some(name), []) => Err(Failure::Usage(format!(
                "there is no account {name}, nor any other; see `mail connect --help`"
            ))),
            (Some(name), connected) => connected
                .iter()
                .find(|account| account.as_str() == name)
                .cloned()
                .ok_or_else(|| {
                    Failure::Usage(format!("there is no account {name}; connected: {names}"))
                }),
            (None, [only]) => Ok(only.clone()),
            (None, []) => Err(Failure::Usage(
                "no account is connected; see `mail connect --help`".to_owned(),
            )),
            (None, _) => Err(Failure::Usage(format!(
                "say which account with --account: {names}"
            ))),
        }
    }
}

fn read_registrations(file: &Path) -> Result<BTreeMap<String, Registration>, Failure> {
    let failed = |error| Failure::Local(format!("cannot read {}", file.display()), error);
    match std::fs::read(file) {
        Ok(json) => {
            serde_json::from_slice(&json).map_err(|error| failed(std::io::Error::other(error)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(failed(error)),
    }
}

fn registrations_file(directory: &Path) -> PathBuf {
    directory.join("registrations.json")
}
