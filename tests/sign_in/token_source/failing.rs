//! What becomes of callers and of the grant when a refresh fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use postroom::clock::Clock;
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, LoadedAccount, Refresh, Refreshed, Save,
    StoredTokens, TokenOptions, TokenSource,
};
use postroom::{Error, ErrorKind, Secret};

use super::{HOUR, MINUTE, Server, Watched, World, key, text};

#[tokio::test]
async fn while_the_old_token_holds_a_failed_refresh_is_no_error() {
    let world = World::new(HOUR, true).await;
    let tokens = world.process();
    world.clock.advance(57 * MINUTE);
    let unavailable = || Error::new(ErrorKind::Unavailable, "try later").with_status(503);
    world.server.fail_next(unavailable());
    assert_eq!(text(&tokens).await, "access-0");
    // Nor is the failing server asked at every call.
    assert_eq!(text(&tokens).await, "access-0");
    assert_eq!(world.server.refreshes(), 1);
    world.clock.advance(MINUTE);
    assert_eq!(text(&tokens).await, "access-1");

    world.clock.advance(2 * HOUR);
    world.server.fail_next(unavailable());
    let error = tokens.token().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Unavailable, Some(503))
    );
    let record = world.load().await.record;
    assert_eq!(record.state, AccountState::Active);
    assert_eq!(
        record.credential.refresh_token.unwrap().expose(),
        "refresh-1"
    );
    assert_eq!(text(&tokens).await, "access-2");
}

#[tokio::test]
async fn every_waiting_caller_hears_why_a_refresh_failed() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    let refused = Error::new(ErrorKind::Configuration, "wrong secret").with_code("invalid_client");
    world.server.fail_next(refused);
    let (one, two) = tokio::join!(tokens.token(), tokens.token());
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.code(), Some("invalid_client"));
    }
    assert_eq!(world.server.refreshes(), 1);
}

#[tokio::test]
async fn a_refused_grant_asks_for_a_sign_in_and_keeps_the_account() {
    let world = World::new(Duration::ZERO, true).await;
    let before = world.load().await.record;
    let tokens = world.process();
    world.server.revoke();
    for _ in 0..3 {
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired);
        assert_eq!(error.code(), Some("invalid_grant"));
    }
    // It is refused once; then the record says it.
    assert_eq!(world.server.refreshes(), 1);
    let LoadedAccount {
        mut record,
        revision,
        ..
    } = world.load().await;
    assert_eq!(
        record.state,
        AccountState::NeedsSignIn {
            since: world.clock.now(),
            code: Some("invalid_grant".to_owned())
        }
    );
    assert_eq!(record.configuration, before.configuration);

    // A new sign-in, by whichever process, is all it takes.
    record.state = AccountState::Active;
    record.credential.access_token = Some(Secret::new("new sign-in"));
    record.credential.expires_at = Some(world.clock.now() + HOUR);
    world.save(&record, Save::IfRevision(revision)).await;
    assert_eq!(text(&tokens).await, "new sign-in");
}

#[tokio::test]
async fn a_refused_grant_is_believed_only_after_another_look_at_the_store() {
    let world = World::new(Duration::ZERO, true).await;
    // This process read `refresh-0`; while it asks the server, the user signs in again elsewhere.
    #[derive(Debug)]
    struct SignsInMeanwhile(Arc<Watched>, Arc<Server>);
    #[async_trait]
    impl Refresh for SignsInMeanwhile {
        async fn refresh(&self, account: &AccountRecord) -> Result<Refreshed, Error> {
            let given = account.credential.refresh_token.clone().unwrap();
            if given.expose() != "refresh-0" {
                return self.1.refresh(account).await;
            }
            self.1.state.lock().unwrap().refresh_token = "refresh-new".to_owned();
            let mut record = account.clone();
            record.credential.refresh_token = Some(Secret::new("refresh-new"));
            record.credential.access_token = None;
            record.save(&*self.0, &key(), Save::Always).await.unwrap();
            Err(Error::new(ErrorKind::SignInRequired, "refused"))
        }
    }
    let refresh = SignsInMeanwhile(Arc::clone(&world.store), Arc::clone(&world.server));
    let tokens = StoredTokens::with_options(
        Arc::clone(&world.store) as Arc<dyn CredentialStore>,
        key(),
        Arc::new(refresh),
        Arc::new(world.clock.clone()),
        TokenOptions::default(),
    )
    .unwrap();
    assert_eq!(text(&tokens).await, "access-1");
    assert_eq!(world.load().await.record.state, AccountState::Active);
}

#[tokio::test]
async fn a_credential_that_could_not_be_saved_is_served_and_saved_later() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    world.store.saves_fail.store(true, Ordering::SeqCst);
    assert_eq!(text(&tokens).await, "access-1");
    world.store.loads_fail.store(true, Ordering::SeqCst);
    assert_eq!(text(&tokens).await, "access-1");
    // Without a store that takes what is new, nothing newer is asked for.
    world.clock.advance(2 * HOUR);
    world.store.loads_fail.store(false, Ordering::SeqCst);
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialStore);
    assert_eq!(world.server.refreshes(), 1);
    assert_eq!(
        world
            .load()
            .await
            .record
            .credential
            .refresh_token
            .unwrap()
            .expose(),
        "refresh-0"
    );
    world.store.saves_fail.store(false, Ordering::SeqCst);
    assert_eq!(text(&tokens).await, "access-2");
    assert_eq!(
        world
            .load()
            .await
            .record
            .credential
            .refresh_token
            .unwrap()
            .expose(),
        "refresh-2"
    );
}

#[tokio::test]
async fn a_process_that_died_in_a_refresh_holds_the_others_up_no_longer_than_its_lease() {
    let world = World::new(Duration::ZERO, false).await;
    let options = TokenOptions::default();
    let lease = postroom::credentials::Lease::acquire(
        Arc::clone(&world.store) as Arc<dyn CredentialStore>,
        key().lease("refresh"),
        "a process that dies",
        options.lease,
    );
    drop(lease.await.unwrap());
    let tokens = world.process();
    let caller = tokio::spawn(async move { text(&tokens).await });
    world.clock.until_sleeping(1).await;
    assert_eq!(world.server.refreshes(), 0);
    world.clock.advance(options.lease);
    assert_eq!(caller.await.unwrap(), "access-1");
}

#[tokio::test]
async fn a_refresh_that_hangs_is_given_up_before_its_lease_ends() {
    let world = World::new(Duration::ZERO, false).await;
    let mut options = TokenOptions::default();
    options.lease = Duration::ZERO;
    let tokens = world.process_with(options);
    world.server.close();
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    world.server.until_asked(1).await;
    world.clock.until_sleeping(1).await;
    world.clock.advance(options.deadline);
    let error = caller.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    world.server.open();
    assert_eq!(text(&tokens).await, "access-2");
}
