//! A token source gives a token that holds, refreshes it once however many callers wait, and never loses a grant: not
//! when callers go away, not when the store fails, not when another process was faster.

mod failing;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::future::select_all;
use postroom::clock::Clock;
use postroom::credentials::{
    AccessToken, AccountRecord, CredentialStore, LoadedAccount, MemoryStore, RecordKey, Refresh,
    Refreshed, Revision, Save, Saved, Service, StoreError, StoredRecord, StoredTokens,
    TokenOptions, TokenSource,
};
use postroom::testing::VirtualClock;
use postroom::{AccountId, Error, ErrorKind, Secret};
use tokio::sync::Semaphore;

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// A token endpoint that gives each refresh token one use, as strict servers do: the second use kills the grant.
struct Server {
    clock: VirtualClock,
    /// Refreshes wait here until the test lets them through.
    gate: Semaphore,
    state: Mutex<ServerState>,
    refreshes: AtomicUsize,
    waiting: tokio::sync::watch::Sender<usize>,
    rotates: bool,
}

struct ServerState {
    refresh_token: String,
    issued: usize,
    revoked: bool,
    failures: VecDeque<Error>,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Server")
    }
}

impl Server {
    fn new(clock: &VirtualClock, rotates: bool) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            state: Mutex::new(ServerState {
                refresh_token: "refresh-0".to_owned(),
                issued: 0,
                revoked: false,
                failures: VecDeque::new(),
            }),
            refreshes: AtomicUsize::new(0),
            waiting: tokio::sync::watch::Sender::new(0),
            rotates,
        })
    }

    /// Lets nobody through until [`open`](Self::open).
    fn close(&self) {
        self.gate.forget_permits(usize::MAX);
    }

    fn open(&self) {
        self.gate.add_permits(1000);
    }

    async fn until_asked(&self, times: usize) {
        let mut waiting = self.waiting.subscribe();
        waiting.wait_for(|count| *count >= times).await.unwrap();
    }

    fn fail_next(&self, error: Error) {
        self.state.lock().unwrap().failures.push_back(error);
    }

    fn revoke(&self) {
        self.state.lock().unwrap().revoked = true;
    }

    fn refreshes(&self) -> usize {
        self.refreshes.load(Ordering::SeqCst)
    }
}

impl Server {
    fn answer(&self, account: &AccountRecord) -> Result<Refreshed, Error> {
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state.lock().unwrap();
        if let Some(error) = state.failures.pop_front() {
            return Err(error);
        }
        let given = account.credential.refresh_token.clone().unwrap();
        if state.revoked || given.expose() != state.refresh_token {
            state.revoked = true;
            let error = Error::new(ErrorKind::SignInRequired, "the grant was refused");
            return Err(error.with_code("invalid_grant"));
        }
        // From here on the old token is spent: what follows must not be lost.
        state.issued += 1;
        let access_token = Secret::new(format!("access-{}", state.issued));
        let expires_at = Some(self.clock.now() + HOUR);
        let mut refreshed = Refreshed::new(access_token, expires_at);
        if self.rotates {
            state.refresh_token = format!("refresh-{}", state.issued);
            refreshed.refresh_token = Some(Secret::new(state.refresh_token.clone()));
        }
        Ok(refreshed)
    }
}

#[async_trait]
impl Refresh for Server {
    async fn refresh(&self, account: &AccountRecord) -> Result<Refreshed, Error> {
        let refreshed = self.answer(account)?;
        self.waiting.send_modify(|count| *count += 1);
        self.gate.acquire().await.unwrap().forget();
        Ok(refreshed)
    }
}

/// A store that fails when told to, and lets a test look at the moment of each save.
struct Watched {
    store: MemoryStore,
    saves_fail: AtomicBool,
    loads_fail: AtomicBool,
}

impl fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Watched")
    }
}

#[async_trait]
impl CredentialStore for Watched {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        if self.loads_fail.load(Ordering::SeqCst) {
            return Err(StoreError::new("the disk is gone"));
        }
        self.store.load(key).await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        if self.saves_fail.load(Ordering::SeqCst) && *key == self::key() {
            return Err(StoreError::new("the disk is full"));
        }
        self.store.save(key, record, save).await
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        self.store.remove(key).await
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        self.store.list(namespace).await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        self.store.now().await
    }
}

/// An account in a store, and its server.
struct World {
    clock: VirtualClock,
    server: Arc<Server>,
    store: Arc<Watched>,
}

fn key() -> RecordKey {
    RecordKey::account("reader")
}

impl World {
    /// An account whose access token `access-0` holds for another `left`.
    async fn new(left: Duration, rotates: bool) -> Self {
        let clock = VirtualClock::by_hand("2026-01-02T03:04:05Z".parse().unwrap());
        let store = Arc::new(Watched {
            store: MemoryStore::with_clock(Arc::new(clock.clone())),
            saves_fail: AtomicBool::new(false),
            loads_fail: AtomicBool::new(false),
        });
        let world = Self {
            server: Server::new(&clock, rotates),
            clock,
            store,
        };
        let mut record = AccountRecord::new("reader", "default", Service::Google);
        record.credential.access_token = Some(Secret::new("access-0"));
        record.credential.expires_at = Some(world.clock.now() + left);
        record.credential.refresh_token = Some(Secret::new("refresh-0"));
        world.save(&record, Save::IfAbsent).await;
        world
    }

    /// A token source as one more process has it.
    fn process(&self) -> StoredTokens {
        self.process_with(TokenOptions::default())
    }

    fn process_with(&self, options: TokenOptions) -> StoredTokens {
        StoredTokens::with_options(
            Arc::clone(&self.store) as Arc<dyn CredentialStore>,
            key(),
            Arc::clone(&self.server) as Arc<dyn Refresh>,
            Arc::new(self.clock.clone()),
            options,
        )
        .unwrap()
    }

    async fn load(&self) -> LoadedAccount {
        let loaded = AccountRecord::load(&self.store.store, &key()).await;
        loaded.unwrap().unwrap()
    }

    async fn save(&self, record: &AccountRecord, save: Save) -> Revision {
        match record.save(&self.store.store, &key(), save).await.unwrap() {
            Saved::Written(revision) => revision,
            other => panic!("{other:?}"),
        }
    }
}

async fn text(tokens: &StoredTokens) -> String {
    tokens.token().await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_token_that_holds_is_served_without_asking_anybody() {
    let world = World::new(HOUR, true).await;
    let tokens = world.process();
    assert_eq!(text(&tokens).await, "access-0");
    world.store.loads_fail.store(true, Ordering::SeqCst);
    assert_eq!(text(&tokens).await, "access-0");
    assert_eq!(world.server.refreshes(), 0);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let world = World::new(HOUR, true).await;
    let tokens = world.process();
    world.clock.advance(54 * MINUTE);
    assert_eq!(text(&tokens).await, "access-0");
    world.clock.advance(MINUTE);
    assert_eq!(text(&tokens).await, "access-1");
    let record = world.load().await.record;
    assert_eq!(
        record.credential.refresh_token.unwrap().expose(),
        "refresh-1"
    );
}

#[tokio::test]
async fn a_short_lived_token_is_not_renewed_at_every_call() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    assert_eq!(text(&tokens).await, "access-1");
    let mut loaded = world.load().await;
    loaded.record.credential.expires_at = Some(world.clock.now() + MINUTE);
    world.save(&loaded.record, Save::Always).await;
    let tokens = world.process();
    for _ in 0..4 {
        assert_eq!(text(&tokens).await, "access-1");
        world.clock.advance(Duration::from_secs(11));
    }
    world.clock.advance(Duration::from_secs(11));
    assert_eq!(text(&tokens).await, "access-2");
}

#[tokio::test]
async fn a_token_that_seems_to_end_before_it_began_is_renewed() {
    let world = World::new(Duration::ZERO, true).await;
    let mut record = world.load().await.record;
    record.credential.obtained_at = Some(world.clock.now() + HOUR);
    world.save(&record, Save::Always).await;
    assert_eq!(text(&world.process()).await, "access-1");
}

#[tokio::test]
async fn however_many_callers_wait_one_refresh_runs() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    world.server.close();
    let callers: Vec<_> = (0..1000)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { text(&tokens).await })
        })
        .collect();
    world.server.until_asked(1).await;
    world.server.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "access-1");
    }
    assert_eq!(world.server.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_processes_wait_one_refresh_runs() {
    let world = World::new(Duration::ZERO, true).await;
    world.server.close();
    let processes: Vec<_> = (0..8)
        .map(|_| {
            let tokens = world.process();
            tokio::spawn(async move { text(&tokens).await })
        })
        .collect();
    world.server.until_asked(1).await;
    // The seven others look again now and then.
    world.clock.until_sleeping(8).await;
    world.server.open();
    // Until the refresh is done no time passes in which its lease could lapse.
    let (first, _, others) = select_all(processes).await;
    assert_eq!(first.unwrap(), "access-1");
    for mut process in others {
        loop {
            tokio::select! {
                outcome = &mut process => {
                    assert_eq!(outcome.unwrap(), "access-1");
                    break;
                }
                () = tokio::task::yield_now() => world.clock.advance(Duration::from_millis(50)),
            }
        }
    }
    assert_eq!(world.server.refreshes(), 1);
}

#[tokio::test]
async fn a_refresh_outlives_its_caller() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    world.server.close();
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    world.server.until_asked(1).await;
    // The server has spent the old refresh token; whoever asked for it goes away.
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    world.server.open();
    assert_eq!(text(&tokens).await, "access-1");
    world.clock.advance(HOUR);
    assert_eq!(text(&tokens).await, "access-2");
    assert_eq!(text(&world.process()).await, "access-2");
    assert_eq!(world.server.refreshes(), 2);
}

#[tokio::test]
async fn a_rotated_refresh_token_is_saved_before_the_new_token_is_used() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    let token = tokens.token().await.unwrap();
    let credential = world.load().await.record.credential;
    assert_eq!(credential.access_token.unwrap().expose(), token.expose());
    assert_eq!(credential.refresh_token.unwrap().expose(), "refresh-1");
}

#[tokio::test]
async fn a_refresh_token_is_never_replaced_by_nothing() {
    let world = World::new(Duration::ZERO, false).await;
    let tokens = world.process();
    assert_eq!(text(&tokens).await, "access-1");
    let credential = world.load().await.record.credential;
    assert_eq!(credential.refresh_token.unwrap().expose(), "refresh-0");
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_a_late_refusal_changes_nothing() {
    let world = World::new(HOUR, true).await;
    let tokens = world.process();
    let old = tokens.token().await.unwrap();
    tokens.reject(&old).await;
    assert_eq!(text(&tokens).await, "access-1");
    tokens.reject(&old).await;
    tokens.reject(&AccessToken::new("never heard of")).await;
    assert_eq!(text(&tokens).await, "access-1");
    assert_eq!(world.server.refreshes(), 1);
}

#[tokio::test]
async fn a_service_that_repeats_a_refused_token_is_believed() {
    #[derive(Debug)]
    struct Repeats;
    #[async_trait]
    impl Refresh for Repeats {
        async fn refresh(&self, account: &AccountRecord) -> Result<Refreshed, Error> {
            let credential = account.credential.clone();
            Ok(Refreshed::new(
                credential.access_token.unwrap(),
                credential.expires_at,
            ))
        }
    }
    let world = World::new(HOUR, false).await;
    let store = Arc::clone(&world.store) as Arc<dyn CredentialStore>;
    let tokens = StoredTokens::with_options(
        store,
        key(),
        Arc::new(Repeats),
        Arc::new(world.clock.clone()),
        TokenOptions::default(),
    )
    .unwrap();
    for _ in 0..3 {
        let token = tokens.token().await.unwrap();
        assert_eq!(token.expose(), "access-0");
        tokens.reject(&token).await;
    }
}

#[tokio::test]
async fn a_late_refresh_does_not_undo_a_new_sign_in() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    world.server.close();
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { text(&tokens).await }
    });
    world.server.until_asked(1).await;
    let mut record = world.load().await.record;
    record.credential.access_token = Some(Secret::new("access of the new sign-in"));
    record.credential.refresh_token = Some(Secret::new("refresh of the new sign-in"));
    record.credential.expires_at = Some(world.clock.now() + HOUR);
    world.save(&record, Save::Always).await;
    world.server.open();
    assert_eq!(caller.await.unwrap(), "access of the new sign-in");
    let credential = world.load().await.record.credential;
    assert_eq!(
        credential.refresh_token.unwrap().expose(),
        "refresh of the new sign-in"
    );
}

#[tokio::test]
async fn what_others_change_about_the_account_during_a_refresh_is_kept() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    world.server.close();
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { text(&tokens).await }
    });
    world.server.until_asked(1).await;
    let mut record = world.load().await.record;
    record
        .settings
        .insert("label".to_owned(), "work".to_owned());
    world.save(&record, Save::Always).await;
    world.server.open();
    assert_eq!(caller.await.unwrap(), "access-1");
    let record = world.load().await.record;
    assert_eq!(record.settings.get("label").unwrap(), "work");
    assert_eq!(
        record.credential.refresh_token.unwrap().expose(),
        "refresh-1"
    );
}

#[tokio::test]
async fn an_account_disconnected_during_a_refresh_stays_disconnected() {
    let world = World::new(Duration::ZERO, true).await;
    let tokens = world.process();
    world.server.close();
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    world.server.until_asked(1).await;
    world.store.remove(&key()).await.unwrap();
    world.server.open();
    let error = caller.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(world.store.load(&key()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_access_token_without_a_refresh_token_is_served_to_its_end() {
    let world = World::new(HOUR, false).await;
    let mut record = world.load().await.record;
    record.credential.refresh_token = None;
    world.save(&record, Save::Always).await;
    let tokens = world.process();
    world.clock.advance(58 * MINUTE);
    assert_eq!(text(&tokens).await, "access-0");
    world.clock.advance(2 * MINUTE);
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    assert_eq!(world.server.refreshes(), 0);
}

#[tokio::test]
async fn an_unknown_account_is_not_found() {
    let world = World::new(HOUR, false).await;
    world.store.remove(&key()).await.unwrap();
    let error = world.process().token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
