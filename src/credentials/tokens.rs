//! Where a request's bearer token comes from: [`TokenSource`], and [`StoredTokens`], which keeps one account's token
//! fresh for every task of every process that shares its store. How a token is renewed is [`Refresh`]'s; what the
//! steps of a renewal are is `renewal`'s.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use super::record::{AccountRecord, Credential};
use super::refreshing::Refresh;
use super::renewal::{Progress, Renewal, Unsaved};
use super::store::{CredentialStore, RecordKey, StoreError, random_text};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// What the lease of a refresh is for.
pub(super) const LEASE: &str = "refresh";

/// Gives the bearer token of each request.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// A token that should be accepted now. It may take as long as a request to the service.
    ///
    /// # Errors
    /// [`ErrorKind::SignInRequired`] when the grant is gone; otherwise whatever kept the token from being renewed.
    async fn token(&self) -> Result<AccessToken>;

    /// Says that the service refused this token, so that the next one will be another. If the source has another one
    /// already, it keeps it: refusals come late.
    async fn reject(&self, token: &AccessToken);
}

/// A bearer token.
#[derive(Clone, Debug)]
pub struct AccessToken(Secret);

impl AccessToken {
    /// Takes the token over.
    #[must_use]
    pub fn new(token: impl Into<Secret>) -> Self {
        Self(token.into())
    }

    /// The token's text, for the `Authorization` header of a request to the service that issued it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether it is the same token.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

/// One token, given by hand, for trials. It is never renewed: when the service refuses it, calls fail.
#[derive(Clone, Debug)]
pub struct StaticToken(AccessToken);

impl StaticToken {
    /// Takes the token over.
    #[must_use]
    pub fn new(token: impl Into<Secret>) -> Self {
        Self(AccessToken::new(token))
    }
}

#[async_trait]
impl TokenSource for StaticToken {
    async fn token(&self) -> Result<AccessToken> {
        Ok(self.0.clone())
    }

    async fn reject(&self, _token: &AccessToken) {}
}

/// When tokens are renewed, and how long that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenOptions {
    /// How long before its end a token is renewed: five minutes, or a fifth of the token's life if that is shorter.
    pub refresh_ahead: Duration,
    /// After how long a refresh is given up: one minute.
    pub deadline: Duration,
    /// For how long other processes stay away from a refresh that one has begun: two minutes. It is always longer than the
    /// deadline by half a minute at least, so that a refresh ends before somebody else begins one.
    pub lease: Duration,
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            refresh_ahead: Duration::from_secs(5 * 60),
            deadline: Duration::from_secs(60),
            lease: Duration::from_secs(2 * 60),
        }
    }
}

/// The tokens of one account in a store, renewed before they end.
///
/// * However many callers wait, one refresh runs; and one among all processes that share the store.
/// * A refresh that has begun runs to its end, in a task of its own, even if every caller is dropped: what the service
///   answers is saved, so a server that gives each refresh token only one use does not lose us the grant.
/// * The answer is saved before it is used, and only over the record that was read; a refresh token is never replaced by
///   nothing. If saving fails, the token is served all the same and saving is tried again at the next use.
/// * A refresh that fails while the old token still holds is no error yet: the old one is served.
/// * A refused grant is believed after the store was read once more. Then the record says that the user must sign in,
///   and keeps everything else.
///
/// Clones share all of this. It needs a tokio runtime.
#[derive(Clone)]
pub struct StoredTokens(Arc<Shared>);

/// What happened to an account's tokens.
pub(crate) enum TokenNews<'a> {
    /// A new one is in the store.
    Renewed {
        /// The record before.
        before: &'a AccountRecord,
        /// The record as it was saved.
        after: &'a AccountRecord,
    },
    /// The record says that the user must sign in again.
    NeedsSignIn(&'a AccountRecord),
}

/// What leases of an account are taken with.
pub(crate) struct LeaseTerms<'a> {
    pub(crate) store: Arc<dyn CredentialStore>,
    pub(crate) key: &'a RecordKey,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) holder: &'a str,
}

/// Takes what happens. It must not wait.
pub(crate) type TellToken = Arc<dyn Fn(TokenNews<'_>) + Send + Sync>;

struct Shared {
    renewal: Renewal,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is served.
    current: Option<Served>,
    /// The token that the service refused last.
    refused: Option<AccessToken>,
    /// Until when, on the monotonic clock, a token is served although it should be renewed already.
    patient_until: Option<Duration>,
    /// What a refresh gave and the store did not take.
    unsaved: Option<Box<Unsaved>>,
    /// The refresh that is running.
    flight: Option<watch::Receiver<Option<Result<AccessToken>>>>,
}

/// A token and how long it is good for.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) token: AccessToken,
    expires_at: Option<DateTime<Utc>>,
    renew_at: Option<DateTime<Utc>>,
}

impl Served {
    /// The credential's access token, unless it is the one that the service refused.
    pub(super) fn of(
        credential: &Credential,
        refused: Option<&AccessToken>,
        options: &TokenOptions,
    ) -> Option<Self> {
        let token = AccessToken::new(credential.access_token.clone()?);
        if token.0.is_empty() || refused.is_some_and(|refused| refused.is(&token)) {
            return None;
        }
        let renew_at = credential.expires_at.map(|expires_at| {
            let ahead = TimeDelta::from_std(options.refresh_ahead).unwrap_or(TimeDelta::MAX);
            let ahead = credential.obtained_at.map_or(ahead, |obtained_at| {
                // A record whose instants come from different clocks may say that a token ended before it began.
                ahead.min((expires_at - obtained_at).max(TimeDelta::zero()) / 5)
            });
            expires_at
                .checked_sub_signed(ahead)
                .unwrap_or(DateTime::<Utc>::MIN_UTC)
        });
        Some(Self {
            token,
            expires_at: credential.expires_at,
            renew_at,
        })
    }

    pub(super) fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.renew_at.is_none_or(|renew_at| now < renew_at)
    }

    pub(super) fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

impl StoredTokens {
    /// How long a token that still holds is served before the next attempt to renew it, after one failed.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// The tokens of the account under `key`, renewed by `refresh`.
    ///
    /// # Errors
    /// The operating system gives no random numbers for the name by which this source holds leases.
    pub fn new(
        store: Arc<dyn CredentialStore>,
        key: impl Into<RecordKey>,
        refresh: Arc<dyn Refresh>,
    ) -> Result<Self> {
        Self::with_options(
            store,
            key,
            refresh,
            Arc::new(SystemClock::new()),
            TokenOptions::default(),
        )
    }

    /// [`new`](Self::new) by another clock and with other options.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(
        store: Arc<dyn CredentialStore>,
        key: impl Into<RecordKey>,
        refresh: Arc<dyn Refresh>,
        clock: Arc<dyn Clock>,
        mut options: TokenOptions,
    ) -> Result<Self> {
        let least = options.deadline.saturating_add(Duration::from_secs(30));
        options.lease = options.lease.max(least);
        let key = key.into();
        Ok(Self(Arc::new(Shared {
            renewal: Renewal {
                key,
                store,
                refresh,
                clock,
                options,
                holder: random_text()?,
                tell: Arc::new(|_| {}),
            },
            state: Mutex::default(),
        })))
    }

    /// Tells what happens. It is for tokens that nobody shares yet.
    #[must_use]
    pub(crate) fn telling(mut self, tell: TellToken) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.renewal.tell = tell;
        }
        self
    }

    /// Looks at the store before the next token is given out: something about the account has changed.
    pub(crate) fn look_again(&self) {
        let mut state = self.0.state();
        state.current = None;
        state.patient_until = None;
    }

    /// What other leases of the account are taken with, beside that of a refresh.
    pub(crate) fn lease_terms(&self) -> LeaseTerms<'_> {
        let renewal = &self.0.renewal;
        LeaseTerms {
            store: Arc::clone(&renewal.store),
            key: &renewal.key,
            clock: Arc::clone(&renewal.clock),
            holder: &renewal.holder,
        }
    }

    /// Forgets what there is beside the record of an account that is gone. A refresh that still runs does so too.
    pub(crate) async fn forget_lease(
        store: &dyn CredentialStore,
        key: &RecordKey,
    ) -> Result<(), StoreError> {
        store.remove(&key.lease(LEASE)).await
    }

    /// Whether there are other clones.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

#[async_trait]
impl TokenSource for StoredTokens {
    async fn token(&self) -> Result<AccessToken> {
        let mut flight = {
            let mut state = self.0.state();
            if let Some(token) = self.0.ready(&state) {
                return Ok(token);
            }
            Shared::join(&self.0, &mut state)
        };
        let outcome = flight.wait_for(Option::is_some).await;
        let outcome = outcome.map(|outcome| outcome.clone());
        // The task ends without an outcome only if its runtime is shut down under it.
        outcome.ok().flatten().unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::Unavailable,
                "the refresh was cut off",
            ))
        })
    }

    async fn reject(&self, token: &AccessToken) {
        let mut state = self.0.state();
        match &state.current {
            Some(current) if !current.token.is(token) => {}
            _ => {
                state.current = None;
                state.refused = Some(token.clone());
            }
        }
    }
}

impl fmt::Debug for StoredTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoredTokens")
            .field("key", &self.0.renewal.key)
            .field("store", &self.0.renewal.store)
            .field("refresh", &self.0.renewal.refresh)
            .field("options", &self.0.renewal.options)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token to serve at once, if nothing is to be done first.
    fn ready(&self, state: &State) -> Option<AccessToken> {
        let clock = &self.renewal.clock;
        let current = state.current.as_ref()?;
        let now = clock.now();
        let patient = || {
            let until = state.patient_until;
            until.is_some_and(|until| clock.monotonic() < until) && current.is_valid(now)
        };
        (state.unsaved.is_none() && (current.is_fresh(now) || patient()))
            .then(|| current.token.clone())
    }

    /// The running refresh, or a new one.
    fn join(shared: &Arc<Self>, state: &mut State) -> watch::Receiver<Option<Result<AccessToken>>> {
        if let Some(flight) = &state.flight
            && flight.has_changed().is_ok()
        {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        state.flight = Some(receiver.clone());
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let outcome = shared.renew().await;
            shared.state().flight = None;
            sender.send_replace(Some(outcome));
        });
        receiver
    }

    async fn renew(&self) -> Result<AccessToken> {
        let (refused, unsaved) = {
            let mut state = self.state();
            (state.refused.clone(), state.unsaved.take())
        };
        let mut progress = Progress {
            refused: refused.clone(),
            unsaved: unsaved.map(|unsaved| *unsaved),
            last: None,
        };
        let outcome = self.renewal.run(&mut progress).await;

        let now = self.renewal.clock.now();
        let mut state = self.state();
        state.unsaved = progress.unsaved.map(Box::new);
        if progress.refused.is_none() && same(state.refused.as_ref(), refused.as_ref()) {
            state.refused = None;
        }
        let refused = state.refused.clone();
        let acceptable = |served: &Served| !same(refused.as_ref(), Some(&served.token));
        match outcome {
            Ok(served) => {
                let patience = Duration::from_secs(1);
                state.patient_until = Some(self.renewal.clock.monotonic() + patience);
                state.current = Some(served.clone()).filter(acceptable);
                Ok(served.token)
            }
            Err(error) => {
                let gone = matches!(
                    error.kind(),
                    ErrorKind::SignInRequired | ErrorKind::NotFound | ErrorKind::Suspended
                );
                let held = progress.last.or_else(|| state.current.take());
                let held = held.filter(|held| !gone && held.is_valid(now) && acceptable(held));
                state.current.clone_from(&held);
                let Some(held) = held else { return Err(error) };
                tracing::warn!(account = %self.renewal.key.account, %error, "a token could not be renewed yet");
                let patience = error.retry_after().map_or(StoredTokens::PATIENCE, |delay| {
                    delay.max(StoredTokens::PATIENCE)
                });
                state.patient_until = Some(self.renewal.clock.monotonic() + patience);
                Ok(held.token)
            }
        }
    }
}

fn same(one: Option<&AccessToken>, other: Option<&AccessToken>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.is(other))
}
