//! From "no account" to tokens that renew themselves, at servers that check everything a client sends: both services,
//! the whole way, and what can go wrong on it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, FileStore, MemoryStore, RecordKey, Save,
    StoredTokens, TokenSource,
};
use postroom::emulator::{Emulator, Fault, FaultKind, Rotation};
use postroom::http::{ReqwestTransport, Transport};
use postroom::oauth::{
    Authorization, Endpoints, Grant, LoopbackReceiver, OAuthFlow, OAuthFlowBuilder, Revoked,
    SignInOptions,
};
use postroom::testing::VirtualClock;
use postroom::{Access, Error, ErrorKind};
use url::Url;

const GMAIL: &str = "reader@gmail.example";
const OUTLOOK: &str = "reader@outlook.example";
const REDIRECT: &str = "http://127.0.0.1:49152/callback";

fn google(emulator: &Emulator) -> OAuthFlowBuilder {
    let service = emulator.google();
    OAuthFlow::google(&service.client_id)
        .client_secret(service.client_secret.as_str())
        .endpoints(Endpoints::google_at(&service.base_url).unwrap())
        .redirect_uri(REDIRECT)
        // Its sleeps are the waits between attempts, and need not be waited for.
        .clock(Arc::new(VirtualClock::eager(chrono::Utc::now())))
}

fn microsoft(emulator: &Emulator) -> OAuthFlowBuilder {
    let service = emulator.microsoft();
    OAuthFlow::microsoft(&service.client_id)
        .client_secret(service.client_secret.as_str())
        .endpoints(Endpoints::microsoft_at(&service.base_url, "common").unwrap())
        .redirect_uri(REDIRECT)
        .clock(Arc::new(VirtualClock::eager(chrono::Utc::now())))
}

async fn sign_in(emulator: &Emulator, flow: &OAuthFlow, address: &str) -> Result<Grant, Error> {
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let callback = emulator.sign_in(&url, address).await.unwrap();
    flow.complete(pending, &callback).await
}

/// An account in a store whose access token has to be renewed at once.
async fn connected(
    emulator: &Emulator,
    flow: &OAuthFlow,
    address: &str,
    store: &Arc<dyn CredentialStore>,
) -> RecordKey {
    let grant = sign_in(emulator, flow, address).await.unwrap();
    let mut record = grant.into_record("account", "default");
    record.credential.expires_at = Some(chrono::Utc::now());
    let key = RecordKey::account("account");
    record.save(&**store, &key, Save::Always).await.unwrap();
    key
}

fn memory() -> Arc<dyn CredentialStore> {
    Arc::new(MemoryStore::new())
}

fn token_requests(emulator: &Emulator) -> usize {
    let requests = emulator.requests();
    let tokens = requests
        .iter()
        .filter(|request| request.path.ends_with("/token"));
    tokens.count()
}

async fn state(store: &Arc<dyn CredentialStore>, key: &RecordKey) -> AccountState {
    let loaded = AccountRecord::load(&**store, key).await.unwrap();
    loaded.unwrap().record.state
}

#[tokio::test]
async fn a_user_signs_in_and_tokens_renew_themselves() {
    let emulator = Emulator::start().await.unwrap();
    for (builder, address) in [(google(&emulator), GMAIL), (microsoft(&emulator), OUTLOOK)] {
        let flow = builder.build().unwrap();
        let grant = sign_in(&emulator, &flow, address).await.unwrap();
        assert_eq!(grant.missing, Access::NONE);
        assert!(grant.granted.contains(flow.access()));
        assert!(
            grant.addresses.iter().any(|known| known == address),
            "{grant:?}"
        );
        assert!(grant.credential.refresh_token.is_some());
        let identity = grant.identity.clone().unwrap();

        let store = memory();
        let key = connected(&emulator, &flow, address, &store).await;
        let before = AccountRecord::load(&*store, &key)
            .await
            .unwrap()
            .unwrap()
            .record;
        assert_eq!(
            before.identity,
            Some(identity),
            "it is the same at every sign-in"
        );
        let tokens = StoredTokens::new(Arc::clone(&store), key.clone(), Arc::new(flow)).unwrap();
        let renewed = tokens.token().await.unwrap();
        let after = AccountRecord::load(&*store, &key)
            .await
            .unwrap()
            .unwrap()
            .record;
        let stored = after.credential.access_token.unwrap();
        assert_eq!(stored.expose(), renewed.expose());
        assert_ne!(
            stored.expose(),
            before.credential.access_token.unwrap().expose()
        );
        assert!(after.granted.contains(Access::READ_WRITE | Access::SEND));
        assert!(after.credential.refresh_token.is_some());
    }
}

#[tokio::test]
async fn a_browser_comes_back_to_a_desktop_application() {
    let emulator = Emulator::start().await.unwrap();
    let flow = google(&emulator).build().unwrap();
    let receiver = LoopbackReceiver::bind().await.unwrap();
    let options = SignInOptions::new().redirect_uri(receiver.redirect_uri());
    let Authorization { url, pending, .. } = flow.authorize_with(options).unwrap();
    let callback = emulator.sign_in(&url, GMAIL).await.unwrap();
    let browser = tokio::spawn(async move {
        let transport = ReqwestTransport::new().unwrap();
        let mut request = http::Request::new(postroom::Content::empty());
        *request.uri_mut() = callback.as_str().parse().unwrap();
        transport.send(request).await.unwrap().status()
    });
    let callback = receiver.receive_for(&pending).await.unwrap();
    assert_eq!(browser.await.unwrap(), 200);
    let grant = flow.complete(pending, &callback).await.unwrap();
    assert_eq!(grant.addresses, [GMAIL]);
}

#[tokio::test]
async fn what_the_user_leaves_out_is_missing_and_a_no_is_a_no() {
    let emulator = Emulator::start().await.unwrap();
    let flow = google(&emulator)
        .access(Access::READ | Access::SEND)
        .build()
        .unwrap();
    let Authorization { url, pending, .. } = flow.authorize().unwrap();
    let read = "https://www.googleapis.com/auth/gmail.readonly";
    let callback = emulator.grant_only(&url, GMAIL, &[read]).await.unwrap();
    let grant = flow.complete(pending, &callback).await.unwrap();
    assert_eq!((grant.granted, grant.missing), (Access::READ, Access::SEND));

    for flow in [flow, microsoft(&emulator).build().unwrap()] {
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        let callback = emulator.decline(&url).await.unwrap();
        let error = flow.complete(pending, &callback).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Declined, "{error:?}");
    }
}

#[tokio::test]
async fn a_code_is_good_for_one_sign_in() {
    let emulator = Emulator::start().await.unwrap();
    for (builder, address) in [(google(&emulator), GMAIL), (microsoft(&emulator), OUTLOOK)] {
        let flow = builder.build().unwrap();
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        let session = serde_json::to_string(&pending).unwrap();
        let callback = emulator.sign_in(&url, address).await.unwrap();
        flow.complete(pending, &callback).await.unwrap();
        let pending = serde_json::from_str(&session).unwrap();
        let error = flow.complete(pending, &callback).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{error:?}");

        // A code from another browser, slipped into this one's sign-in.
        let foreign = flow.authorize().unwrap();
        let foreign = emulator.sign_in(&foreign.url, address).await.unwrap();
        let (_, code) = foreign
            .query_pairs()
            .find(|(name, _)| name == "code")
            .unwrap();
        let Authorization { url, pending, .. } = flow.authorize().unwrap();
        let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        let parameters = [("state", state.as_ref()), ("code", code.as_ref())];
        let callback = Url::parse_with_params(REDIRECT, parameters).unwrap();
        let error = flow.complete(pending, &callback).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{error:?}");
    }
}

#[tokio::test]
async fn withdrawn_consent_asks_for_a_sign_in_and_one_is_enough() {
    let emulator = Emulator::start().await.unwrap();
    for (builder, address) in [(google(&emulator), GMAIL), (microsoft(&emulator), OUTLOOK)] {
        let flow = builder.build().unwrap();
        let store = memory();
        let key = connected(&emulator, &flow, address, &store).await;
        let refresh = Arc::new(flow.clone());
        let tokens = StoredTokens::new(Arc::clone(&store), key.clone(), refresh).unwrap();
        emulator.revoke(address);
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{error:?}");
        assert!(matches!(
            state(&store, &key).await,
            AccountState::NeedsSignIn { .. }
        ));
        connected(&emulator, &flow, address, &store).await;
        tokens.token().await.unwrap();
        assert_eq!(state(&store, &key).await, AccountState::Active);
    }
}

#[tokio::test]
async fn a_revoked_grant_is_gone_at_google_and_forgotten_at_microsoft() {
    let emulator = Emulator::start().await.unwrap();
    for (builder, address, revoked) in [
        (google(&emulator), GMAIL, Revoked::AtService),
        (microsoft(&emulator), OUTLOOK, Revoked::LocallyOnly),
    ] {
        let flow = builder.build().unwrap();
        let store = memory();
        let key = connected(&emulator, &flow, address, &store).await;
        let loaded = AccountRecord::load(&*store, &key).await.unwrap().unwrap();
        assert_eq!(flow.revoke(&loaded.record).await.unwrap(), revoked);
        let tokens = StoredTokens::new(store, key, Arc::new(flow.clone())).unwrap();
        let outcome = tokens.token().await;
        assert_eq!(outcome.is_err(), revoked == Revoked::AtService);
        // Once more is no error: there is nothing left to revoke.
        assert_eq!(flow.revoke(&loaded.record).await.unwrap(), revoked);
    }
}

#[tokio::test]
async fn a_wrong_secret_is_the_developers_fault_and_no_users() {
    let emulator = Emulator::start().await.unwrap();
    for (builder, address) in [(google(&emulator), GMAIL), (microsoft(&emulator), OUTLOOK)] {
        let store = memory();
        let flow = builder.clone().build().unwrap();
        let key = connected(&emulator, &flow, address, &store).await;
        let wrong = builder.client_secret("mistyped").build().unwrap();
        let error = sign_in(&emulator, &wrong, address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        let tokens = StoredTokens::new(Arc::clone(&store), key.clone(), Arc::new(wrong)).unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
        assert_eq!(state(&store, &key).await, AccountState::Active);
        let tokens = StoredTokens::new(store, key, Arc::new(flow)).unwrap();
        tokens.token().await.unwrap();
    }
}

#[tokio::test]
async fn no_fault_of_the_token_endpoint_costs_the_grant() {
    let emulator = Emulator::start().await.unwrap();
    for (builder, address) in [(google(&emulator), GMAIL), (microsoft(&emulator), OUTLOOK)] {
        let flow = builder.build().unwrap();
        for (fault, kind) in [
            // What is worth another attempt gets it.
            (FaultKind::unavailable(None), None),
            (FaultKind::unavailable(Some(Duration::from_secs(7))), None),
            (FaultKind::internal_error(), None),
            (FaultKind::rate_limited(Some(Duration::from_secs(3))), None),
            (FaultKind::DropBefore, None),
            (FaultKind::DropAfter, None),
            (FaultKind::Truncate, None),
            (FaultKind::NotJson, Some(ErrorKind::Protocol)),
            (FaultKind::Nulls, Some(ErrorKind::Protocol)),
            (FaultKind::Garbage(10_000_000), Some(ErrorKind::Protocol)),
            (FaultKind::unauthorized(), Some(ErrorKind::Protocol)),
        ] {
            let store = memory();
            let key = connected(&emulator, &flow, address, &store).await;
            let refresh = Arc::new(flow.clone());
            let tokens = StoredTokens::new(Arc::clone(&store), key.clone(), refresh).unwrap();
            let text = format!("{fault:?}");
            emulator.fault(Fault::new(fault).on(Method::POST, "/token"));
            let outcome = tokens.token().await;
            assert_eq!(
                outcome.map(|_| ()).err().map(|error| error.kind()),
                kind,
                "{text}"
            );
            assert_eq!(state(&store, &key).await, AccountState::Active, "{text}");
            tokens.token().await.unwrap();
        }
    }
}

/// The server gives each refresh token one use and ends the grant at the second; callers come in crowds, in two
/// processes' worth of token sources over one directory, find every token refused, and half of them go away while they
/// wait.
#[tokio::test(flavor = "multi_thread")]
async fn crowds_that_come_and_go_never_use_a_refresh_token_twice() {
    let emulator = Emulator::builder()
        .rotate_refresh_tokens(Rotation::RevokesOld)
        .latency(Duration::from_millis(2))
        .start()
        .await
        .unwrap();
    let flow = microsoft(&emulator).build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn CredentialStore> = Arc::new(FileStore::new(directory.path()));
    let key = connected(&emulator, &flow, OUTLOOK, &store).await;
    let before = token_requests(&emulator);
    let processes = [(); 2].map(|()| {
        let refresh = Arc::new(flow.clone());
        StoredTokens::new(Arc::clone(&store), key.clone(), refresh).unwrap()
    });
    for round in 0..10_usize {
        let callers: Vec<_> = (0..40_usize)
            .map(|caller| {
                let tokens = processes[caller % 2].clone();
                tokio::spawn(async move { tokens.token().await })
            })
            .collect();
        for (caller, handle) in callers.into_iter().enumerate() {
            if (caller + round) % 4 < 2 {
                handle.abort();
                continue;
            }
            let token = handle.await.unwrap().unwrap();
            if caller % 3 == 0 {
                processes[caller % 2].reject(&token).await;
            }
        }
    }
    processes[0].token().await.unwrap();
    assert_eq!(state(&store, &key).await, AccountState::Active);
    assert!(
        token_requests(&emulator) > before + 5,
        "tokens were renewed many times"
    );
}
