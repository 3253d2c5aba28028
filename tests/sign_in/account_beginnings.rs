//! How accounts begin, beside the plain sign-in: whether there is a mailbox at all is found out, and tokens of another
//! library become accounts under the same rules as a sign-in.

use crate::support;
use std::sync::Arc;

use crate::raw_sign_in::{SignIn, text};
use crate::support::{emulator, transport};
use crate::with_accounts::{CONFIGURATIONS, accounts, builder, connect};
use futures_util::TryStreamExt;
use http::Method;
use postroom::credentials::{Credential, MemoryStore};
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::RetryPolicy;
use postroom::oauth::{Authorization, Endpoints, OAuthFlow, OAuthFlowBuilder};
use postroom::{
    Access, AccountEvent, AccountId, AccountStatus, Accounts, Action, Adoption, ErrorKind, Kept,
    ProviderConfiguration, Query, Secret, SignInReason,
};

const ID: &str = "user 7";

fn id() -> AccountId {
    AccountId::new(ID)
}

fn other(address: &str) -> String {
    address.replace("reader", "team")
}

/// What another library would have: tokens of this user, issued to the same application.
async fn tokens(emulator: &Emulator, configuration: &str, address: &str) -> Credential {
    let server = match configuration {
        "google" => emulator.google(),
        _ => emulator.microsoft(),
    };
    let (builder, endpoints): (OAuthFlowBuilder, _) = match configuration {
        "google" => (
            OAuthFlow::google(&server.client_id),
            Endpoints::google_at(&server.base_url),
        ),
        _ => (
            OAuthFlow::microsoft(&server.client_id),
            Endpoints::microsoft_at(&server.base_url, "common"),
        ),
    };
    let flow = builder
        .client_secret(server.client_secret.as_str())
        .endpoints(endpoints.unwrap())
        .redirect_uri("http://127.0.0.1:8123/elsewhere")
        .build()
        .unwrap();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = emulator.sign_in(&url, address).await.unwrap();
    flow.complete(pending, &callback).await.unwrap().credential
}

async fn refresh_token(emulator: &Emulator, configuration: &str, address: &str) -> Secret {
    let credential = tokens(emulator, configuration, address).await;
    credential.refresh_token.unwrap()
}

async fn works(accounts: &Accounts) -> bool {
    let Ok(mailbox) = accounts.open(&id()).await else {
        return false;
    };
    let messages = mailbox.messages(Query::inbox());
    messages.try_collect::<Vec<_>>().await.is_ok()
}

#[tokio::test]
async fn a_user_without_a_mailbox_is_told_so_instead_of_being_connected() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().without_mailbox(address).start().await.unwrap();
        let store = Arc::new(MemoryStore::new());
        let accounts = accounts(&emulator, store.clone());
        let error = connect(&accounts, &emulator, configuration, address, ID)
            .await
            .unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::MailboxUnavailable,
            "{configuration}"
        );
        assert_eq!(error.action(), Action::UseAnotherAccount);
        assert!(accounts.list().await.unwrap().is_empty());
        let token = refresh_token(&emulator, configuration, address).await;
        let error = accounts
            .adopt(&id(), configuration, Adoption::refresh_token(token))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MailboxUnavailable);

        // Another account of the same user's is fine, and that it was looked at stays known.
        let team = connect(&accounts, &emulator, configuration, &other(address), ID).await;
        assert!(team.unwrap().mailbox_seen.is_some());
        let listed = accounts.account(&id()).await.unwrap();
        assert!(listed.mailbox_seen.is_some());

        // A host that knows better does not look.
        let trusting = builder(&emulator, Arc::new(MemoryStore::new()))
            .probe_mailboxes(false)
            .build()
            .unwrap();
        let account = connect(&trusting, &emulator, configuration, address, ID).await;
        assert_eq!(account.unwrap().mailbox_seen, None);
    }
}

#[tokio::test]
async fn a_look_at_the_mailbox_that_fails_costs_no_sign_in() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = builder(&emulator, Arc::new(MemoryStore::new()))
            .retry(RetryPolicy::never())
            .build()
            .unwrap();
        let path = match configuration {
            "google" => "/profile",
            _ => "/mailFolders/inbox",
        };
        // A refused token is shown once more, in case that it was a mistake.
        for (fault, times) in [
            (FaultKind::unavailable(None), 1),
            (FaultKind::forbidden(), 1),
            (FaultKind::unauthorized(), 2),
        ] {
            emulator.fault(Fault::new(fault).on(Method::GET, path).times(times));
            let account = connect(&accounts, &emulator, configuration, address, ID)
                .await
                .unwrap();
            assert_eq!(account.status, AccountStatus::Active);
            assert_eq!(account.mailbox_seen, None, "{configuration}");
            assert!(works(&accounts).await, "{configuration}");
        }
    }
}

#[tokio::test]
async fn adopted_tokens_keep_to_the_rules_of_a_sign_in() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let adopt = |name: &'static str, adoption: Adoption| {
            let accounts = accounts.clone();
            async move {
                accounts
                    .adopt(&AccountId::new(name), configuration, adoption)
                    .await
            }
        };
        let token = |address: String| {
            let emulator = &emulator;
            async move { refresh_token(emulator, configuration, &address).await }
        };
        let mine = Adoption::refresh_token(token(address.to_owned()).await);
        let adopted = adopt(ID, mine).await.unwrap();
        assert_eq!(adopted.address.as_deref(), Some(address));
        assert!(adopted.granted.contains(Access::READ_WRITE | Access::SEND));
        assert!(adopted.mailbox_seen.is_some());

        let mine = Adoption::refresh_token(token(address.to_owned()).await);
        let error = adopt("another", mine).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyConnected, "{configuration}");
        let foreign = Adoption::refresh_token(token(other(address)).await);
        let error = adopt(ID, foreign).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{configuration}");
        // An access token does not say whose it is; its mailbox does.
        let foreign = emulator.access_token(&other(address));
        let error = adopt(ID, Adoption::access_token(foreign))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{configuration}");
        assert_eq!(error.code(), Some("other_mailbox"));
        let dead = Adoption::refresh_token("dead");
        let error = adopt(ID, dead).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{configuration}");

        // All of that changed nothing.
        let account = accounts.account(&id()).await.unwrap();
        assert_eq!(account, adopted);
        assert!(works(&accounts).await, "{configuration}");
        let mine = emulator.access_token(address);
        adopt(ID, Adoption::access_token(mine)).await.unwrap();
        assert!(works(&accounts).await, "{configuration}");
    }
}

#[tokio::test]
async fn a_new_account_whose_adopted_tokens_are_refused_needs_a_sign_in() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        for (adoption, told) in [
            (Adoption::refresh_token("dead"), SignInReason::GrantGone),
            (Adoption::access_token("dead"), SignInReason::NoRefreshToken),
        ] {
            let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
            let mut events = accounts.events();
            let adopted = accounts.adopt(&id(), configuration, adoption).await;
            let status = adopted.unwrap().status;
            let AccountStatus::NeedsSignIn { reason, .. } = status else {
                panic!("{configuration}: {status:?}");
            };
            assert_eq!(reason, told);
            assert!(!works(&accounts).await);
            let mut first = Vec::new();
            while first.len() < 2 {
                first.extend(futures_util::StreamExt::next(&mut events).await);
            }
            assert!(matches!(
                first.pop(),
                Some(AccountEvent::NeedsSignIn { reason, .. }) if reason == told
            ));
            connect(&accounts, &emulator, configuration, address, ID)
                .await
                .unwrap();
            assert!(works(&accounts).await);
        }
    }
}

#[tokio::test]
async fn an_access_token_alone_works_until_it_is_refused() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = accounts(&emulator, Arc::new(MemoryStore::new()));
        let adoption = Adoption::access_token(emulator.access_token(address));
        let adopted = accounts.adopt(&id(), configuration, adoption).await;
        assert_eq!(adopted.unwrap().status, AccountStatus::Active);
        assert!(works(&accounts).await);
        emulator.expire_access_tokens(address);
        assert!(!works(&accounts).await);
        let status = accounts.account(&id()).await.unwrap().status;
        assert!(
            matches!(
                status,
                AccountStatus::NeedsSignIn {
                    reason: SignInReason::NoRefreshToken,
                    ..
                }
            ),
            "{configuration}: {status:?}"
        );
    }
}

#[tokio::test]
async fn a_network_that_fails_makes_no_account_of_adopted_tokens() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let accounts = builder(&emulator, Arc::new(MemoryStore::new()))
            .retry(RetryPolicy::never())
            .build()
            .unwrap();
        let token = refresh_token(&emulator, configuration, address).await;
        let fault = Fault::new(FaultKind::unavailable(None));
        emulator.fault(fault.on(Method::POST, "/token").times(1));
        let adoption = Adoption::refresh_token(token);
        let again = adoption.clone();
        let error = accounts.adopt(&id(), configuration, adoption).await;
        assert!(error.unwrap_err().is_transient());
        assert!(accounts.list().await.unwrap().is_empty());
        accounts.adopt(&id(), configuration, again).await.unwrap();
        assert!(works(&accounts).await);
    }
}

#[tokio::test]
async fn tokens_of_a_server_elsewhere_are_not_shown_to_the_vendor() {
    let emulator = emulator().start().await.unwrap();
    let google = emulator.google();
    // Only where the mail is was said: signing in, and ending grants, would be at Google itself.
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .transport(transport(&emulator))
        .configuration(
            "elsewhere",
            ProviderConfiguration::google("trial").with_api_endpoint(google.base_url.clone()),
        )
        .build()
        .unwrap();
    let token = emulator.access_token(support::GMAIL);
    let adoption = Adoption::access_token(token);
    accounts.adopt(&id(), "elsewhere", adoption).await.unwrap();
    let left = accounts.disconnect(&id()).await.unwrap();
    assert_eq!(left.kept, Some(Kept::NowhereToAsk));
}

#[tokio::test]
async fn an_id_token_says_whose_adopted_tokens_are_before_they_are_used() {
    for (configuration, address) in CONFIGURATIONS {
        let emulator = emulator().start().await.unwrap();
        let sign_in = match configuration {
            "google" => SignIn::google(emulator),
            _ => SignIn::microsoft(emulator, "common"),
        };
        let emulator = &sign_in.emulator;
        let accounts = accounts(emulator, Arc::new(MemoryStore::new()));
        let asked = || {
            let requests = emulator.requests();
            let tokens = requests.iter().filter(|seen| seen.path.ends_with("/token"));
            tokens.count()
        };
        let id_token = |address: String| {
            let sign_in = &sign_in;
            async move {
                let code = sign_in.code(&address, "openid email profile", &[]).await;
                text(&sign_in.redeem(&code, &[]).await.json(), "id_token").to_owned()
            }
        };
        let foreign = id_token(other(address)).await;
        let own = id_token(address.to_owned()).await;
        connect(&accounts, emulator, configuration, address, ID)
            .await
            .unwrap();
        let before = asked();
        let adoption = Adoption::refresh_token("never shown");
        for (id_token, kind) in [
            (foreign, ErrorKind::Conflict),
            ("e30.e30.e30".to_owned(), ErrorKind::InvalidCallback),
        ] {
            let adoption = adoption.clone().id_token(id_token);
            let error = accounts.adopt(&id(), configuration, adoption).await;
            assert_eq!(error.unwrap_err().kind(), kind, "{configuration}");
        }
        assert_eq!(asked(), before);

        let mine = Adoption::access_token(emulator.access_token(address));
        let mine = mine.id_token(own);
        accounts.adopt(&id(), configuration, mine).await.unwrap();
        assert!(works(&accounts).await, "{configuration}");
    }
}
