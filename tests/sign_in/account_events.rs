//! What happens to accounts is told to whoever listens: once, in order, without secrets, and without anybody polling.

use std::sync::Arc;

use crate::support::emulator;
use crate::with_accounts::{CONFIGURATIONS, accounts, connect, connect_with};
use futures_util::{FutureExt, StreamExt};
use postroom::credentials::MemoryStore;
use postroom::oauth::SignInOptions;
use postroom::{Access, AccountEvent, AccountEvents, AccountId, Accounts, ErrorKind, SignInReason};

const ID: &str = "user 7";

fn id() -> AccountId {
    AccountId::new(ID)
}

/// What was told so far.
fn told(events: &mut AccountEvents) -> Vec<AccountEvent> {
    // A test may take more at once than a task of tokio's usually may.
    let mut next = || tokio::task::unconstrained(events.next()).now_or_never();
    std::iter::from_fn(|| next().flatten()).collect()
}

async fn work(accounts: &Accounts) -> postroom::Result<()> {
    let mailbox = accounts.open(&id()).await?;
    mailbox.probe().await
}

#[tokio::test]
async fn an_account_is_followed_from_its_sign_in_to_its_end() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let mut events = accounts.events();
        connect(&accounts, &emulator, configuration, address, ID)
            .await
            .unwrap();
        let connected = |again| AccountEvent::Connected {
            account: id(),
            again,
        };
        assert_eq!(told(&mut events), [connected(false)], "{configuration}");

        work(&accounts).await.unwrap();
        assert_eq!(told(&mut events), [], "its token is still good");
        emulator.expire_access_tokens(address);
        work(&accounts).await.unwrap();
        let renewed = told(&mut events);
        assert!(
            matches!(&renewed[..], [AccountEvent::Refreshed { account, expires_at: Some(_) }] if *account == id()),
            "{renewed:?}"
        );

        emulator.revoke(address);
        for _ in 0..2 {
            let error = work(&accounts).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SignInRequired);
        }
        let lost = told(&mut events);
        assert!(
            matches!(&lost[..], [AccountEvent::NeedsSignIn { account, .. }] if *account == id()),
            "it is told once: {lost:?}"
        );
        assert_eq!(lost[0].account(), Some(&id()));

        connect(&accounts, &emulator, configuration, address, ID)
            .await
            .unwrap();
        assert_eq!(told(&mut events), [connected(true)], "{configuration}");
        accounts.suspend(&id()).await.unwrap();
        accounts.suspend(&id()).await.unwrap();
        accounts.resume(&id()).await.unwrap();
        accounts.disconnect(&id()).await.unwrap();
        assert_eq!(
            told(&mut events),
            [
                AccountEvent::Suspended { account: id() },
                AccountEvent::Resumed { account: id() },
                AccountEvent::Disconnected {
                    account: id(),
                    revoked: configuration == "google"
                },
            ]
        );
    }
}

#[tokio::test]
async fn more_access_is_told_with_what_it_was_before() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let service = (configuration, address);
        let options = |access| SignInOptions::new().access(access);
        connect_with(&accounts, &emulator, service, ID, options(Access::READ))
            .await
            .unwrap();
        let mut events = accounts.events();
        connect_with(&accounts, &emulator, service, ID, options(Access::SEND))
            .await
            .unwrap();
        let told = told(&mut events);
        let [
            AccountEvent::Connected { again: true, .. },
            AccountEvent::AccessChanged { before, now, .. },
        ] = told[..]
        else {
            panic!("{configuration}: {told:?}");
        };
        assert!(!before.contains(Access::SEND));
        assert!(now.contains(before | Access::SEND));
    }
}

#[tokio::test]
async fn what_another_process_found_out_is_told_when_it_is_come_across() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let store = Arc::new(MemoryStore::new());
        // Two of them over one store know no more of each other than two processes do.
        let here = accounts(&emulator, store.clone());
        let elsewhere = accounts(&emulator, store);
        connect(&here, &emulator, configuration, address, ID)
            .await
            .unwrap();
        work(&here).await.unwrap();
        let mut events = here.events();
        emulator.revoke(address);
        work(&elsewhere).await.unwrap_err();
        assert_eq!(told(&mut events), [], "nothing was done here yet");
        work(&here).await.unwrap_err();
        let told = told(&mut events);
        // Google never says why.
        let lost = match configuration {
            "google" => SignInReason::GrantGone,
            _ => SignInReason::Revoked,
        };
        assert!(
            matches!(
                &told[..],
                [AccountEvent::NeedsSignIn { reason, .. }] if *reason == lost
            ),
            "{configuration}: {told:?}"
        );
    }
}

#[tokio::test]
async fn a_listener_that_falls_behind_learns_how_much_it_missed() {
    let emulator = emulator().start().await.unwrap();
    let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
    let (configuration, address) = CONFIGURATIONS[0];
    connect(&accounts, &emulator, configuration, address, ID)
        .await
        .unwrap();
    let mut events = accounts.events();
    let rounds = 500;
    for _ in 0..rounds {
        accounts.suspend(&id()).await.unwrap();
        accounts.resume(&id()).await.unwrap();
    }
    let told = told(&mut events);
    let AccountEvent::Missed { count } = told[0] else {
        panic!("{:?}", told[0]);
    };
    assert_eq!(count as usize + told.len() - 1, 2 * rounds);
    let last = AccountEvent::Resumed { account: id() };
    assert_eq!(told.last(), Some(&last));
}

#[tokio::test]
async fn a_listener_waits_without_polling_and_ends_with_the_accounts() {
    let emulator = emulator().start().await.unwrap();
    let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
    let mut events = accounts.events();
    let listening = tokio::spawn(async move {
        let first = events.next().await;
        (first, events.collect::<Vec<_>>().await)
    });
    let (configuration, address) = CONFIGURATIONS[0];
    connect(&accounts, &emulator, configuration, address, ID)
        .await
        .unwrap();
    drop(accounts);
    let (first, rest) = listening.await.unwrap();
    assert!(matches!(first, Some(AccountEvent::Connected { .. })));
    assert_eq!(rest, []);
}
