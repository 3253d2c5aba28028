//! What the test files about accounts need: accounts of an emulator, and the whole sign-in.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use postroom::credentials::CredentialStore;
use postroom::emulator::Emulator;
use postroom::oauth::SignInOptions;
use postroom::{
    Account, AccountId, Accounts, AccountsBuilder, ProviderConfiguration, Result, Secret,
};

use crate::support::{GMAIL, OUTLOOK, transport};

/// The configurations of [`builder`], each with a mailbox of its service.
pub(crate) const CONFIGURATIONS: [(&str, &str); 2] = [("google", GMAIL), ("microsoft", OUTLOOK)];

pub(crate) fn google(emulator: &Emulator) -> ProviderConfiguration {
    let google = emulator.google();
    ProviderConfiguration::google(&google.client_id)
        .with_client_secret(Secret::new(google.client_secret.as_str()))
        .with_redirect_uri("http://127.0.0.1:8123/signed-in")
        .with_auth_endpoint(google.base_url.clone())
        .with_api_endpoint(google.base_url.clone())
}

pub(crate) fn microsoft(emulator: &Emulator) -> ProviderConfiguration {
    let microsoft = emulator.microsoft();
    ProviderConfiguration::microsoft(&microsoft.client_id)
        .with_client_secret(Secret::new(microsoft.client_secret.as_str()))
        .with_redirect_uri("http://127.0.0.1:8123/signed-in")
        .with_auth_endpoint(microsoft.base_url.clone())
        .with_api_endpoint(microsoft.base_url.clone())
}

pub(crate) fn builder(emulator: &Emulator, store: Arc<dyn CredentialStore>) -> AccountsBuilder {
    Accounts::builder(store)
        .transport(transport(emulator))
        .configuration("google", google(emulator))
        .configuration("microsoft", microsoft(emulator))
}

pub(crate) fn accounts(emulator: &Emulator, store: Arc<dyn CredentialStore>) -> Accounts {
    builder(emulator, store).build().unwrap()
}

/// Signs in through the emulator's consent page.
pub(crate) async fn connect(
    accounts: &Accounts,
    emulator: &Emulator,
    configuration: &str,
    address: &str,
    id: &str,
) -> Result<Account> {
    connect_with(
        accounts,
        emulator,
        (configuration, address),
        id,
        SignInOptions::new(),
    )
    .await
}

pub(crate) async fn connect_with(
    accounts: &Accounts,
    emulator: &Emulator,
    (configuration, address): (&str, &str),
    id: &str,
    options: SignInOptions,
) -> Result<Account> {
    let id = AccountId::new(id);
    let connecting = accounts.connect(&id, configuration, options).await?;
    let callback = emulator.sign_in(&connecting.url, address).await.unwrap();
    accounts.complete(connecting.pending, &callback).await
}
