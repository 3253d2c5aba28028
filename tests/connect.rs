//! From "no account" to a mailbox and back, through the whole sign-in, with both services.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod support;

use std::sync::Arc;

use futures_util::TryStreamExt;
use http::Method;
use postroom::credentials::{CredentialStore, FileStore, MemoryStore};
use postroom::emulator::{Emulator, Fault, FaultKind, Rotation};
use postroom::oauth::SignInOptions;
use postroom::{
    Access, Account, AccountId, Accounts, Adoption, Connecting, ErrorKind, Outgoing,
    PendingConnection, ProviderConfiguration, Query, Secret, SendKey,
};
use support::{GMAIL, OUTLOOK, emulator, transport};
use url::Url;

const CONFIGURATIONS: [(&str, &str); 2] = [("google", GMAIL), ("microsoft", OUTLOOK)];

fn accounts(emulator: &Emulator, store: Arc<dyn CredentialStore>) -> Accounts {
    let (google, microsoft) = (emulator.google(), emulator.microsoft());
    Accounts::builder(store)
        .transport(transport(emulator))
        .configuration(
            "google",
            ProviderConfiguration::google(&google.client_id)
                .with_client_secret(Secret::new(google.client_secret.as_str()))
                .with_auth_endpoint(google.base_url.clone())
                .with_api_endpoint(google.base_url.clone()),
        )
        .configuration(
            "microsoft",
            ProviderConfiguration::microsoft(&microsoft.client_id)
                .with_client_secret(Secret::new(microsoft.client_secret.as_str()))
                .with_auth_endpoint(microsoft.base_url.clone())
                .with_api_endpoint(microsoft.base_url.clone()),
        )
        .build()
        .unwrap()
}

fn options() -> SignInOptions {
    SignInOptions::new().redirect_uri("http://127.0.0.1:8123/signed-in")
}

async fn begin(accounts: &Accounts, configuration: &str, id: &str) -> Connecting {
    accounts
        .connect(&AccountId::new(id), configuration, options())
        .await
        .unwrap()
}

async fn connect(
    accounts: &Accounts,
    emulator: &Emulator,
    configuration: &str,
    address: &str,
    id: &str,
) -> Account {
    let connecting = begin(accounts, configuration, id).await;
    let callback = emulator.sign_in(&connecting.url, address).await.unwrap();
    accounts
        .complete(connecting.pending, &callback)
        .await
        .unwrap()
}

async fn inbox(accounts: &Accounts, id: &str) -> postroom::Result<usize> {
    let mailbox = accounts.open(&AccountId::new(id)).await?;
    let messages: Vec<_> = mailbox.messages(Query::inbox()).try_collect().await?;
    Ok(messages.len())
}

#[tokio::test]
async fn a_connected_account_works_after_a_restart_and_until_it_is_disconnected() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        emulator.deliver(address, b"Subject: One\r\n\r\nText\r\n");
        let directory = tempfile::tempdir().unwrap();
        let store = || Arc::new(FileStore::new(directory.path()));

        let first = accounts(&emulator, store());
        let account = connect(&first, &emulator, configuration, address, "user 7").await;
        assert_eq!(account.address.as_deref(), Some(address));
        assert!(account.granted.contains(Access::READ_WRITE | Access::SEND));
        assert!(account.missing.is_empty());
        assert_eq!(inbox(&first, "user 7").await.unwrap(), 1);

        let later = accounts(&emulator, store());
        assert_eq!(later.list().await.unwrap(), [account]);
        emulator.expire_access_tokens(address);
        assert_eq!(
            inbox(&later, "user 7").await.unwrap(),
            1,
            "a new token was obtained"
        );

        let disconnected = later.disconnect(&AccountId::new("user 7")).await.unwrap();
        assert_eq!(disconnected.revoked, configuration == "google");
        assert!(later.list().await.unwrap().is_empty());
        assert_eq!(
            inbox(&later, "user 7").await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }
}

#[tokio::test]
async fn what_a_host_keeps_between_the_two_steps_survives_a_web_session() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let connecting = begin(&accounts, configuration, "user 7").await;
        let session = serde_json::to_string(&connecting.pending).unwrap();
        let callback = emulator.sign_in(&connecting.url, address).await.unwrap();
        let pending: PendingConnection = serde_json::from_str(&session).unwrap();
        accounts.complete(pending, &callback).await.unwrap();

        // The same session and callback again: the code was used.
        let pending: PendingConnection = serde_json::from_str(&session).unwrap();
        let error = accounts.complete(pending, &callback).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{configuration}");
    }
}

#[tokio::test]
async fn a_callback_that_is_not_this_sign_ins_is_refused() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let spoiled = |spoil: fn(&mut Url)| {
            let accounts = accounts.clone();
            let emulator = &emulator;
            async move {
                let connecting = begin(&accounts, configuration, "user 7").await;
                let mut callback = emulator.sign_in(&connecting.url, address).await.unwrap();
                spoil(&mut callback);
                accounts
                    .complete(connecting.pending, &callback)
                    .await
                    .unwrap_err()
                    .kind()
            }
        };
        let spoils: [fn(&mut Url); 6] = [
            |url| replace(url, "state", Some("another")),
            |url| replace(url, "state", None),
            |url| replace(url, "code", Some("")),
            |url| replace(url, "code", None),
            |url| replace(url, "code", Some("4/foreign")),
            |url| url.set_host(Some("localhost.attacker.example")).unwrap(),
        ];
        for (index, spoil) in spoils.into_iter().enumerate() {
            assert_eq!(
                spoiled(spoil).await,
                ErrorKind::InvalidCallback,
                "{configuration}, case {index}"
            );
        }
        let connecting = begin(&accounts, configuration, "user 7").await;
        let callback = emulator.decline(&connecting.url).await.unwrap();
        let error = accounts
            .complete(connecting.pending, &callback)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Declined, "{configuration}");
        assert!(accounts.list().await.unwrap().is_empty());
    }
}

fn replace(url: &mut Url, name: &str, value: Option<&str>) {
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .chain(value.map(|value| (name.to_owned(), value.to_owned())))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
}

#[tokio::test]
async fn withdrawn_consent_asks_for_a_sign_in_and_keeps_the_account() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        connect(&accounts, &emulator, configuration, address, "user 7").await;
        emulator.revoke(address);
        let error = inbox(&accounts, "user 7").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{configuration}");
        let listed = accounts.list().await.unwrap();
        assert!(listed[0].needs_sign_in());
        assert_eq!(listed[0].address.as_deref(), Some(address));

        connect(&accounts, &emulator, configuration, address, "user 7").await;
        assert!(!accounts.list().await.unwrap()[0].needs_sign_in());
        inbox(&accounts, "user 7").await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_token_endpoint_is_asked_again_and_harms_no_credential() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        connect(&accounts, &emulator, configuration, address, "user 7").await;
        emulator.expire_access_tokens(address);
        emulator.fault(
            Fault::new(FaultKind::unavailable(None))
                .on(Method::POST, "/token")
                .times(1),
        );
        inbox(&accounts, "user 7").await.unwrap();
        assert!(!accounts.list().await.unwrap()[0].needs_sign_in());
    }
}

#[tokio::test]
async fn a_mailbox_belongs_to_one_account_and_an_account_to_one_mailbox() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        connect(&accounts, &emulator, configuration, address, "first").await;

        let connecting = begin(&accounts, configuration, "second").await;
        let callback = emulator.sign_in(&connecting.url, address).await.unwrap();
        let error = accounts
            .complete(connecting.pending, &callback)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyConnected);

        let connecting = begin(&accounts, configuration, "first").await;
        let other = address.replace("reader", "team");
        let callback = emulator.sign_in(&connecting.url, &other).await.unwrap();
        let error = accounts
            .complete(connecting.pending, &callback)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(
            accounts.list().await.unwrap()[0].address.as_deref(),
            Some(address)
        );
        inbox(&accounts, "first").await.unwrap();
    }
}

#[tokio::test]
async fn an_adopted_account_learns_its_address_from_the_mailbox() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let id = AccountId::new("user 7");
        let token = emulator.access_token(address);
        let adoption = Adoption::access_token(token).granted(Access::READ);
        let adopted = accounts.adopt(&id, configuration, adoption).await.unwrap();
        assert_eq!(adopted.address, None);

        let account = accounts.update_profile(&id).await.unwrap();
        assert_eq!(account.address.as_deref(), Some(address));
        assert_eq!(
            accounts.list().await.unwrap(),
            std::slice::from_ref(&account)
        );
        // Again, it is the same address and not a second one.
        assert_eq!(accounts.update_profile(&id).await.unwrap(), account);
        inbox(&accounts, "user 7").await.unwrap();
    }
}

#[tokio::test]
async fn endpoints_that_no_token_may_go_to_are_refused_at_once() {
    let unsafe_endpoint: Url = "http://mail.example/".parse().unwrap();
    let configurations: [fn(&str) -> ProviderConfiguration; 2] = [
        |id| ProviderConfiguration::google(id),
        |id| ProviderConfiguration::microsoft(id),
    ];
    for configuration in configurations {
        for configuration in [
            configuration("client").with_api_endpoint(unsafe_endpoint.clone()),
            configuration("client").with_auth_endpoint(unsafe_endpoint.clone()),
        ] {
            let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
                .configuration("any", configuration)
                .build()
                .unwrap();
            let wrong = accounts.wrong_configurations();
            assert_eq!(wrong.len(), 1);
            assert_eq!(wrong["any"].kind(), ErrorKind::Configuration);
            let error = accounts
                .connect(&AccountId::new("user 7"), "any", options())
                .await
                .unwrap_err();
            assert_eq!(error.to_string(), wrong["any"].to_string());
        }
    }
}

#[tokio::test]
async fn a_caller_dropped_within_a_refresh_costs_nothing_even_where_tokens_rotate() {
    let emulator = emulator()
        .rotate_refresh_tokens(Rotation::RevokesOld)
        .start()
        .await
        .unwrap();
    let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
    connect(&accounts, &emulator, "microsoft", OUTLOOK, "user 7").await;
    for _ in 0..5 {
        emulator.expire_access_tokens(OUTLOOK);
        let before = token_requests(&emulator);
        let dropped = tokio::spawn({
            let accounts = accounts.clone();
            async move { inbox(&accounts, "user 7").await }
        });
        // The caller goes away as soon as the refresh has reached the server.
        while token_requests(&emulator) == before && !dropped.is_finished() {
            tokio::task::yield_now().await;
        }
        dropped.abort();
        inbox(&accounts, "user 7").await.unwrap();
    }
}

#[tokio::test]
async fn an_account_opens_with_what_it_was_granted_last_wherever_that_was() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let store = Arc::new(MemoryStore::new());
        let (here, elsewhere) = (
            accounts(&emulator, store.clone()),
            accounts(&emulator, store),
        );
        let id = AccountId::new("user 7");
        for (by, access, send) in [
            (&here, Access::READ, false),
            (&elsewhere, Access::SEND, true),
        ] {
            let options = options().access(access);
            let connecting = by.connect(&id, configuration, options).await.unwrap();
            let callback = emulator.sign_in(&connecting.url, address).await.unwrap();
            by.complete(connecting.pending, &callback).await.unwrap();
            let opened = here.open(&id).await.unwrap();
            assert_eq!(opened.capabilities().send, send, "{configuration}");
        }
    }
}

#[tokio::test]
async fn a_key_sends_once_although_its_account_signs_in_again() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let team = address.replace("reader", "team");
        let outgoing = Outgoing::new().to(team.parse().unwrap()).text("Text");
        for _ in 0..2 {
            connect(&accounts, &emulator, configuration, address, "user 7").await;
            let mailbox = accounts.open(&AccountId::new("user 7")).await.unwrap();
            let key = SendKey::new("row 1");
            mailbox.send_once(&key, &outgoing).await.unwrap();
        }
        assert_eq!(emulator.messages(&team).len(), 1, "{configuration}");
    }
}

fn token_requests(emulator: &Emulator) -> usize {
    emulator
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/token"))
        .count()
}
