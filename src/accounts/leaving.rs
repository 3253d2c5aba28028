//! Accounts that are to do nothing for a while, or to go: suspend, resume, disconnect. Ending a grant at its service is
//! `oauth`'s.

use std::time::Duration;

use futures_util::future::{self, Either};

use super::holding::{SYNC, UPKEEP};
use super::{Account, Accounts, unknown_account};
use crate::credentials::{AccountRecord, Service, StoreError, StoredTokens};
use crate::error::Result;
use crate::model::{AccountId, Watch};
use crate::oauth::Revoked;

/// How a disconnected account was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnected {
    /// Whether the grant ended at the service.
    pub revoked: bool,
    /// Why it did not, if it did not.
    pub kept: Option<Kept>,
}

/// Why a grant goes on at its service although the account is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kept {
    /// The service has no way to end it: Microsoft's users remove applications at <https://myapps.microsoft.com> or
    /// <https://account.live.com/consent/Manage>.
    NotOffered,
    /// Another account has the same mailbox, and would lose its grant too.
    Shared,
    /// Another account's record cannot be read: it may have the same mailbox, and would lose its grant too.
    PerhapsShared,
    /// The service could not be reached in time, or refused. The user can remove the application in the account's
    /// settings, at Google <https://myaccount.google.com/permissions>.
    Failed,
    /// Nobody knows where to: the account's configuration is gone or wrong, its record cannot be read, or its tokens are
    /// for another service than the one that would be asked.
    NowhereToAsk,
}

/// How long the end of a grant is waited for: somebody is waiting for the account to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

impl Accounts {
    /// Lets an account rest: it cannot be opened, and handles that are out get no tokens, until [`resume`](Self::resume).
    /// Nothing about it is lost, but a service may end a grant that nobody uses. Other processes stop when they next look at
    /// the store, at the latest when their access token ends.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such account,
    /// [`ErrorKind::CredentialStore`](crate::ErrorKind::CredentialStore).
    pub async fn suspend(&self, account: &AccountId) -> Result<Account> {
        let now = self.0.clock.now();
        let (record, changed) = self
            .amend(account, |record| {
                let rests = record.suspended_since.is_some();
                record.suspended_since.get_or_insert(now);
                !rests
            })
            .await?;
        self.look_again(account);
        if changed {
            self.0.events.suspended(account);
        }
        Ok(self.describe(&record))
    }

    /// Lets a suspended account work again, as far as it could before.
    ///
    /// # Errors
    /// As [`suspend`](Self::suspend).
    pub async fn resume(&self, account: &AccountId) -> Result<Account> {
        let (record, changed) = self
            .amend(account, |record| {
                record.upkeep.try_again();
                record.suspended_since.take().is_some()
            })
            .await?;
        if changed {
            self.0.events.resumed(account);
        }
        Ok(self.describe(&record))
    }

    /// Ends the account's watches and the grant at the service if nothing else needs them, and forgets the account. It is forgotten also when the
    /// service cannot be reached, which is tried for a few seconds, and when its record cannot be read.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such account,
    /// [`ErrorKind::CredentialStore`](crate::ErrorKind::CredentialStore).
    pub async fn disconnect(&self, account: &AccountId) -> Result<Disconnected> {
        let key = self.key(account);
        let kept = match AccountRecord::load(self.0.store.as_ref(), &key).await {
            Ok(Some(loaded)) => {
                let records = self.records().await?;
                self.end_watches(&loaded.record, &records).await;
                self.end_grant(&loaded.record, &records).await?
            }
            Ok(None) => return Err(unknown_account(account)),
            Err(error) if error.is_unreadable() => Some(Kept::NowhereToAsk),
            Err(error) => return Err(error.into()),
        };
        self.0.store.remove(&key).await?;
        // The account is gone, whatever becomes of this.
        let leases = async {
            StoredTokens::forget_lease(self.0.store.as_ref(), &key).await?;
            self.0.store.remove(&key.lease(SYNC)).await?;
            self.0.store.remove(&key.lease(UPKEEP)).await
        };
        if let Err(error) = leases.await {
            tracing::warn!(%error, "a lease of a disconnected account could not be removed");
        }
        self.close(account);
        let revoked = kept.is_none();
        self.0.events.disconnected(account, revoked);
        Ok(Disconnected { revoked, kept })
    }

    /// Ends the account's watches while its tokens still work: nobody can afterwards. One that somebody else needs stays:
    /// Gmail's stop ends the mailbox's only watch.
    async fn end_watches(
        &self,
        record: &AccountRecord,
        records: &[(AccountId, Result<AccountRecord, StoreError>)],
    ) {
        let others = || records.iter().filter(|(id, _)| id != &record.account);
        let is_needed = |watch: &Watch| {
            others().any(|(_, other)| match other {
                Ok(other) => {
                    let mut theirs = other.subscriptions.iter();
                    theirs.any(|theirs| theirs.id == watch.id)
                        || (record.service != Service::Microsoft && may_share(record, other))
                }
                // Subscriptions of Microsoft's are one account's each.
                Err(_) => record.service != Service::Microsoft,
            })
        };
        let watches = record.subscriptions.iter();
        let watches: Vec<&Watch> = watches.filter(|watch| !is_needed(watch)).collect();
        if watches.is_empty() {
            return;
        }
        let ending = std::pin::pin!(async {
            let mailbox = self.open_with(&record.account, record)?;
            for watch in watches {
                mailbox.unwatch(watch).await?;
            }
            Ok(())
        });
        let ended: Either<(Result<()>, _), _> =
            future::select(ending, self.0.clock.sleep(PATIENCE)).await;
        match ended {
            Either::Left((Ok(()), _)) => {}
            Either::Left((Err(error), _)) => {
                tracing::warn!(kind = ?error.kind(), code = error.code(), "a watch could not be ended, and ends by itself");
            }
            Either::Right(_) => {
                tracing::warn!("a watch could not be ended in time, and ends by itself");
            }
        }
    }

    /// Ends the grant unless something keeps it.
    async fn end_grant(
        &self,
        record: &AccountRecord,
        records: &[(AccountId, Result<AccountRecord, StoreError>)],
    ) -> Result<Option<Kept>> {
        // Google's revoke ends every grant of the user to this application, so a shared mailbox keeps its grant.
        let mut others = records
            .iter()
            .filter(|(account, _)| account != &record.account);
        let mut unreadable = false;
        if others.any(|(_, other)| match other {
            Ok(other) => may_share(record, other),
            Err(_) => {
                unreadable = true;
                false
            }
        }) {
            return Ok(Some(Kept::Shared));
        }
        let Ok(configured) = self.configuration(&record.configuration) else {
            return Ok(Some(Kept::NowhereToAsk));
        };
        let Ok(flow) = configured.flow() else {
            // What an application has in its own name is not its users' to end.
            return Ok(Some(Kept::NotOffered));
        };
        if !configured.knows_where_grants_end() {
            return Ok(Some(Kept::NowhereToAsk));
        }
        if !flow.ends_grants() {
            return Ok(Some(Kept::NotOffered));
        }
        if unreadable {
            return Ok(Some(Kept::PerhapsShared));
        }
        let revoking = std::pin::pin!(flow.revoke(record));
        let kept = match future::select(revoking, self.0.clock.sleep(PATIENCE)).await {
            Either::Left((Ok(Revoked::AtService), _)) => None,
            Either::Left((Ok(_), _)) => Some(Kept::NotOffered),
            Either::Left((Err(error), _)) => {
                tracing::warn!(kind = ?error.kind(), code = error.code(), "a grant could not be revoked");
                Some(Kept::Failed)
            }
            Either::Right(_) => {
                tracing::warn!("a grant could not be revoked in time");
                Some(Kept::Failed)
            }
        };
        Ok(kept)
    }
}

/// Whether two accounts are of one user, as far as can be told: by their addresses where not both say who it is, as
/// adopted ones may not.
fn may_share(one: &AccountRecord, other: &AccountRecord) -> bool {
    match (&one.identity, &other.identity) {
        (Some(one), Some(other)) => one == other,
        _ => {
            let theirs = |address: &String| {
                let mut addresses = other.addresses.iter();
                addresses.any(|known| known.eq_ignore_ascii_case(address))
            };
            one.service == other.service && one.addresses.iter().any(theirs)
        }
    }
}
