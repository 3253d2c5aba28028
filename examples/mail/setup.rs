//! Where accounts and provider configurations are kept between two calls of the program.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postroom::credentials::FileStore;
use postroom::{AccountId, Accounts, ProviderConfiguration, Secret};
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
    fn configuration(&self) -> Result<ProviderConfiguration, Failure> {
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
        Ok(configuration)
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
        let file = registrations_file(directory);
        let registrations = match std::fs::read(&file) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| {
                Failure::Local(
                    format!("cannot read {}", file.display()),
                    std::io::Error::other(error),
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(Failure::Local(
                    format!("cannot read {}", file.display()),
                    error,
                ));
            }
        };
        Ok(Self {
            directory: directory.to_owned(),
            registrations,
        })
    }

    /// Keeps a registration under a name. The file is replaced as a whole, so that Ctrl-C cannot break it, and only its
    /// owner can read it.
    pub(crate) fn register(
        &mut self,
        name: &str,
        registration: Registration,
    ) -> Result<(), Failure> {
        self.registrations.insert(name.to_owned(), registration);
        let file = registrations_file(&self.directory);
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.directory)?;
            let mut new = tempfile::NamedTempFile::new_in(&self.directory)?;
            new.write_all(&serde_json::to_vec_pretty(&self.registrations)?)?;
            new.as_file().sync_all()?;
            new.persist(&file)?;
            Ok(())
        };
        write().map_err(|error| Failure::Local(format!("cannot write {}", file.display()), error))
    }

    pub(crate) fn registration(&self, name: &str) -> Option<&Registration> {
        self.registrations.get(name)
    }

    pub(crate) fn accounts(&self) -> Result<Accounts, Failure> {
        let store = FileStore::new(self.directory.join("accounts"));
        let mut builder = Accounts::builder(Arc::new(store));
        for (name, registration) in &self.registrations {
            builder = builder.configuration(name.as_str(), registration.configuration()?);
        }
        Ok(builder.build()?)
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

fn registrations_file(directory: &Path) -> PathBuf {
    directory.join("registrations.json")
}
