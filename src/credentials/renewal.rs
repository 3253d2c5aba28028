//! The steps of one renewal: read the store, take the lease, refresh, save, and decide what to believe when others were
//! at it too. Who waits for it, and what is served meanwhile, is `tokens`'s.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::{self, Either};

use super::lease::{Acquired, Lease};
use super::record::{AccountRecord, AccountState, LoadedAccount};
use super::refreshing::{Refresh, Refreshed};
use super::store::{CredentialStore, RecordKey, Save, Saved, StoreError};
use super::tokens::{AccessToken, LEASE, Served, TellToken, TokenNews, TokenOptions};
use crate::clock::Clock;
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::secret::Secret;

/// What a renewal needs.
pub(super) struct Renewal {
    pub(super) store: Arc<dyn CredentialStore>,
    pub(super) key: RecordKey,
    pub(super) refresh: Arc<dyn Refresh>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: TokenOptions,
    pub(super) holder: String,
    pub(super) tell: TellToken,
}

/// What a renewal starts from and leaves behind, whether it succeeds or not.
pub(super) struct Progress {
    /// The token that the service refused last.
    pub(super) refused: Option<AccessToken>,
    /// What a refresh gave and the store did not take.
    pub(super) unsaved: Option<Unsaved>,
    /// The token that was in the store, to be served if it cannot be renewed.
    pub(super) last: Option<Served>,
}

/// What a refresh gave and the store did not take.
#[derive(Clone)]
pub(super) struct Unsaved {
    refreshed: Refreshed,
    obtained_at: DateTime<Utc>,
    /// The refresh token that it was obtained with: it belongs into a record that still has that one.
    used: Option<Secret>,
}

/// What the store says, for a renewal.
enum Reading {
    /// There is a token to serve.
    Token(Served),
    /// The token has to be renewed.
    Renew(Box<LoadedAccount>),
}

/// How a step ended.
enum Step {
    Done(Served),
    /// Somebody else changed the record: look again.
    Again,
}

impl Renewal {
    /// How often the record may change under us before we give up.
    const ROUNDS: usize = 8;

    /// A token that is fresh, or the best that can be had while somebody else renews it.
    pub(super) async fn run(&self, progress: &mut Progress) -> Result<Served> {
        if let Some(unsaved) = progress.unsaved.take()
            && let Some(served) = self.save_late(unsaved, progress).await?
        {
            return Ok(served);
        }
        for _ in 0..Self::ROUNDS {
            let lease = match self.wait_for_lease(progress).await? {
                Either::Left(served) => return Ok(served),
                Either::Right(lease) => lease,
            };
            let step = self.renew_under_lease(progress).await;
            let gone = matches!(&step, Err(error) if error.kind() == ErrorKind::NotFound);
            let ended = if gone {
                // Of an account that was disconnected meanwhile nothing is to be left.
                self.store.remove(&self.key.lease(LEASE)).await
            } else {
                lease.release().await
            };
            if let Err(error) = ended {
                tracing::debug!(account = %self.key.account, %error, "a lease was not given back and ends by itself");
            }
            if let Step::Done(served) = step? {
                return Ok(served);
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "the account's record changed again and again while its token was being renewed",
        ))
    }

    /// Reads the store and waits, if need be, until it is this source's turn to refresh. Whoever has a token that still
    /// holds does not wait for another process.
    async fn wait_for_lease(&self, progress: &mut Progress) -> Result<Either<Served, Lease>> {
        let mut pause = Duration::from_millis(50);
        loop {
            if let Reading::Token(served) = self.read(progress).await? {
                return Ok(Either::Left(served));
            }
            let acquired = Lease::acquire(
                Arc::clone(&self.store),
                self.key.lease(LEASE),
                self.holder.clone(),
                self.options.lease,
            );
            match acquired.await? {
                Acquired::Held(lease) => return Ok(Either::Right(lease)),
                Acquired::Busy { remaining, .. } => {
                    let now = self.clock.now();
                    if let Some(last) = progress.last.as_ref().filter(|last| last.is_valid(now)) {
                        return Ok(Either::Left(last.clone()));
                    }
                    self.clock.sleep(pause.min(remaining)).await;
                    pause = (pause * 2).min(Duration::from_millis(500));
                }
            }
        }
    }

    async fn renew_under_lease(&self, progress: &mut Progress) -> Result<Step> {
        // Whoever had the lease before may have renewed the token meanwhile.
        let loaded = match self.read(progress).await? {
            Reading::Token(served) => return Ok(Step::Done(served)),
            Reading::Renew(loaded) => *loaded,
        };
        let obtained_at = self.clock.now();
        let used = loaded.record.credential.refresh_token.clone();
        match self.refresh_in_time(&loaded.record).await {
            Ok(refreshed) => {
                // What comes fresh from the service holds, even if it is the token that was refused: some services repeat
                // a token until it ends, and refusals can be mistakes.
                progress.refused = None;
                let unsaved = Unsaved {
                    refreshed,
                    obtained_at,
                    used,
                };
                self.save(loaded, unsaved, progress).await
            }
            Err(error) if error.kind() == ErrorKind::SignInRequired => {
                self.believe(used.as_ref(), error, progress).await
            }
            Err(error) => Err(error),
        }
    }

    async fn refresh_in_time(&self, record: &AccountRecord) -> Result<Refreshed> {
        let refresh = self.refresh.refresh(record);
        let deadline = self.clock.sleep(self.options.deadline);
        match future::select(refresh, deadline).await {
            Either::Left((refreshed, _)) => refreshed,
            Either::Right(_) => Err(Error::new(
                ErrorKind::Network,
                "the refresh of the access token took too long",
            )
            .with_delivery(Delivery::Unknown)),
        }
    }

    /// Saves what a refresh gave, and only then lets it be used.
    async fn save(
        &self,
        mut loaded: LoadedAccount,
        unsaved: Unsaved,
        progress: &mut Progress,
    ) -> Result<Step> {
        loop {
            let before = loaded.record;
            let mut record = before.clone();
            unsaved
                .refreshed
                .clone()
                .apply_to(&mut record, unsaved.obtained_at);
            let served = self.served(&record, progress);
            let save = Save::IfRevision(loaded.revision);
            let newer = match record.save(&*self.store, &self.key, save).await {
                Ok(Saved::Written(_)) => {
                    let (before, after) = (&before, &record);
                    (self.tell)(TokenNews::Renewed { before, after });
                    return served.map(Step::Done).ok_or_else(no_token);
                }
                Ok(Saved::Superseded) => AccountRecord::load(&*self.store, &self.key).await,
                Err(error) => Err(error),
            };
            match newer {
                Ok(None) => return Err(not_connected()),
                // The same grant, and something else about the account has changed.
                Ok(Some(newer)) if has(&newer.record, unsaved.used.as_ref()) => loaded = newer,
                // A new sign-in, or another process's refresh: what is in the store is what holds.
                Ok(Some(_)) => return Ok(Step::Again),
                Err(error) => {
                    self.report_unsaved(&error);
                    progress.unsaved = Some(unsaved);
                    return served.map(Step::Done).ok_or_else(|| error.into());
                }
            }
        }
    }

    /// Tries once more to save what the store did not take. Gives the token while it holds, whether saved or not;
    /// without it, nothing is refreshed until the store takes what it has to.
    async fn save_late(&self, unsaved: Unsaved, progress: &mut Progress) -> Result<Option<Served>> {
        let loaded = match AccountRecord::load(&*self.store, &self.key).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return Err(not_connected()),
            Err(error) => {
                self.report_unsaved(&error);
                let credential = unsaved.credential();
                progress.unsaved = Some(unsaved);
                let served = Served::of(&credential, progress.refused.as_ref(), &self.options);
                let now = self.clock.now();
                return match served.filter(|served| served.is_valid(now)) {
                    Some(served) => Ok(Some(served)),
                    None => Err(error.into()),
                };
            }
        };
        if !has(&loaded.record, unsaved.used.as_ref()) {
            return Ok(None);
        }
        let step = self.save(loaded, unsaved, progress).await?;
        let now = self.clock.now();
        match step {
            Step::Done(served) if served.is_fresh(now) => Ok(Some(served)),
            Step::Done(served) if progress.unsaved.is_some() => {
                if served.is_valid(now) {
                    Ok(Some(served))
                } else {
                    Err(StoreError::new(
                        "the renewed credential could not be saved, so it is not renewed again",
                    )
                    .into())
                }
            }
            Step::Done(_) | Step::Again => Ok(None),
        }
    }

    /// The service refused the grant. That is believed if the store still has the refused refresh token: otherwise
    /// somebody else has renewed it or signed in again.
    async fn believe(
        &self,
        used: Option<&Secret>,
        error: Error,
        progress: &mut Progress,
    ) -> Result<Step> {
        loop {
            let loaded = self.load().await?;
            let fresh = self
                .served(&loaded.record, progress)
                .is_some_and(|served| served.is_fresh(self.clock.now()));
            if fresh || !has(&loaded.record, used) {
                return Ok(Step::Again);
            }
            if self.ask_for_sign_in(loaded, &error).await {
                return Err(error);
            }
        }
    }

    /// Writes into the record that the user must sign in again; `false` if the record has changed meanwhile.
    async fn ask_for_sign_in(&self, loaded: LoadedAccount, error: &Error) -> bool {
        let mut record = loaded.record;
        record.state = AccountState::NeedsSignIn {
            since: self.clock.now(),
            code: error.code().map(str::to_owned),
        };
        let save = Save::IfRevision(loaded.revision);
        match record.save(&*self.store, &self.key, save).await {
            Ok(Saved::Superseded) => return false,
            Ok(Saved::Written(_)) => {}
            Err(failure) => {
                tracing::warn!(account = %self.key.account, error = %failure, "the store did not take that the account needs a sign-in");
            }
        }
        (self.tell)(TokenNews::NeedsSignIn(&record));
        true
    }

    async fn read(&self, progress: &mut Progress) -> Result<Reading> {
        loop {
            if let Some(reading) = self.look(progress).await? {
                return Ok(reading);
            }
        }
    }

    /// What the store says; nothing if that changed while we looked.
    async fn look(&self, progress: &mut Progress) -> Result<Option<Reading>> {
        let loaded = self.load().await?;
        if loaded.record.suspended_since.is_some() {
            return Err(Error::new(
                ErrorKind::Suspended,
                "the account is suspended: its host has to resume it",
            ));
        }
        if let AccountState::NeedsSignIn { code, .. } = &loaded.record.state {
            (self.tell)(TokenNews::NeedsSignIn(&loaded.record));
            let error = Error::new(
                ErrorKind::SignInRequired,
                "the account's grant is gone: its user must sign in again",
            );
            return Err(match code {
                Some(code) => error.with_code(code.clone()),
                None => error,
            });
        }
        progress.last = self.served(&loaded.record, progress);
        let now = self.clock.now();
        let refresh_token = loaded.record.credential.refresh_token.as_ref();
        let renewable = !self.refresh.needs_refresh_token()
            || refresh_token.is_some_and(|token| !token.is_empty());
        match progress.last.clone() {
            Some(served) if served.is_fresh(now) => Ok(Some(Reading::Token(served))),
            Some(served) if !renewable && served.is_valid(now) => Ok(Some(Reading::Token(served))),
            _ if renewable => Ok(Some(Reading::Renew(Box::new(loaded)))),
            _ => {
                let error = Error::new(
                    ErrorKind::SignInRequired,
                    "the access token has ended and there is no refresh token: the user must sign in again",
                )
                .with_code("no_refresh_token");
                if self.ask_for_sign_in(loaded, &error).await {
                    Err(error)
                } else {
                    Ok(None)
                }
            }
        }
    }

    async fn load(&self) -> Result<LoadedAccount> {
        AccountRecord::load(&*self.store, &self.key)
            .await?
            .ok_or_else(not_connected)
    }

    fn served(&self, record: &AccountRecord, progress: &Progress) -> Option<Served> {
        Served::of(&record.credential, progress.refused.as_ref(), &self.options)
    }

    fn report_unsaved(&self, error: &StoreError) {
        tracing::warn!(account = %self.key.account, %error, "a renewed credential could not be saved; it is kept in memory");
    }
}

impl Unsaved {
    /// The access token alone, for while the store cannot even be read.
    fn credential(&self) -> super::record::Credential {
        let mut credential = super::record::Credential::default();
        credential.access_token = Some(self.refreshed.access_token.clone());
        credential.expires_at = self.refreshed.expires_at;
        credential.obtained_at = Some(self.obtained_at);
        credential
    }
}

/// Whether this is the record's refresh token.
fn has(record: &AccountRecord, refresh_token: Option<&Secret>) -> bool {
    record.credential.refresh_token.as_ref().map(Secret::expose)
        == refresh_token.map(Secret::expose)
}

fn not_connected() -> Error {
    Error::new(ErrorKind::NotFound, "no such account is connected")
}

fn no_token() -> Error {
    Error::new(ErrorKind::Protocol, "the refresh gave no access token")
}
