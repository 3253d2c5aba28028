//! An account's watches: which one it should have, and keeping it. What is told by them comes through `hints`; how a service
//! watches is its provider's.

use super::{Account, Upkeep};
use crate::credentials::{AccountRecord, Service};
use crate::error::Result;
use crate::mailbox::Mailbox;
use crate::model::{AccountId, Watch, WatchHealth, WatchKind, WatchTarget};

/// What an account's notifications are known by: no more of its watches, as there may be many accounts.
pub(super) fn marks(record: &AccountRecord) -> Vec<Watch> {
    let marks = record.subscriptions.iter().map(|watch| {
        let mark = Watch::new(watch.id.clone(), None);
        let target = watch.target.as_ref();
        match target.and_then(|target| target.client_state.clone()) {
            // Where it tells is of no importance here.
            Some(state) => mark.with_target(WatchTarget::topic("").with_client_state(state)),
            None => mark,
        }
    });
    marks.collect()
}

/// Whether an account has the watch that is wanted, and no other one.
pub(super) fn are(watches: &[Watch], wanted: &WatchTarget) -> bool {
    !watches.is_empty() && watches.iter().all(|watch| fits(watch, wanted))
}

fn fits(watch: &Watch, wanted: &WatchTarget) -> bool {
    watch.target.as_ref().is_some_and(|target| {
        let states = (target.client_state.as_ref(), wanted.client_state.as_ref());
        // One that was made up is as good as any.
        let same_state = match states {
            (_, None) => true,
            (Some(one), Some(other)) => one.expose() == other.expose(),
            (None, Some(_)) => target.kind() != Some(WatchKind::Webhook),
        };
        same_state && target.place == wanted.place && target.folders == wanted.folders
    })
}

impl Upkeep {
    /// The watch that an account should have, if its service has such.
    pub(super) fn wanted_watch(&self, account: &Account) -> Option<WatchTarget> {
        let kind = match account.service.as_ref()? {
            Service::Google => WatchKind::Topic,
            Service::Microsoft => WatchKind::Webhook,
            Service::Other(_) => return None,
        };
        let wanted = self.host.watch_target(account)?;
        (wanted.kind() == Some(kind)).then_some(wanted)
    }

    /// Sees to an account's watches: renews those that are due, or all if the service wants that, sets up what is missing, and
    /// ends what is not wanted. What has changed is saved at once: a watch that nobody knows of cannot be ended. Gives whether
    /// something may have happened that was not told.
    pub(super) async fn watch(
        &self,
        record: &AccountRecord,
        mailbox: &Mailbox,
        renew_all: bool,
    ) -> Result<bool> {
        let account = &record.account;
        let wanted = self.wanted_watch(&self.accounts.describe(record));
        let now = self.accounts.0.clock.now();
        let (kept, former): (Vec<&Watch>, Vec<&Watch>) = record
            .subscriptions
            .iter()
            .partition(|watch| wanted.as_ref().is_none_or(|wanted| fits(watch, wanted)));
        let (mut owed, mut failed) = (false, Ok(()));
        for &watch in &kept {
            if watch.target.is_none() || !(renew_all || watch.is_due(now)) {
                continue;
            }
            match mailbox.renew(watch).await {
                Ok(renewed) => {
                    owed |= renewed.sync;
                    self.keep_watch(account, &[watch], Some(renewed.watch), owed)
                        .await?;
                }
                // The others are not to end because of this one.
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed?;
        let Some(wanted) = wanted else {
            return Ok(owed);
        };
        let mut made = None;
        if kept.is_empty() {
            let watch = mailbox.watch(&wanted).await?;
            made = Some(watch.id.clone());
            // What happened before is not told.
            owed = true;
            self.keep_watch(account, &former, Some(watch), owed).await?;
        } else if !former.is_empty() {
            self.keep_watch(account, &former, None, owed).await?;
        }
        // The new one was there before the old ones go, so that nothing is missed between them. A topic's took their place:
        // Gmail keeps one for a mailbox, and ending any would end that.
        let is_alone = wanted.kind() == Some(WatchKind::Topic);
        for former in former {
            if is_alone || Some(&former.id) == made.as_ref() {
                continue;
            }
            if let Err(error) = mailbox.unwatch(former).await {
                tracing::warn!(%account, %error, "a watch that is no longer wanted goes on until it ends by itself");
            }
        }
        Ok(owed)
    }

    /// Puts a watch into the record, or none, in the place of others, and that a sync is owed: a worker that dies now must not
    /// forget it.
    async fn keep_watch(
        &self,
        account: &AccountId,
        former: &[&Watch],
        watch: Option<Watch>,
        owed: bool,
    ) -> Result<()> {
        let now = self.accounts.0.clock.now();
        let keeping = self.accounts.amend(account, |record| {
            let is_former = |known: &Watch| former.iter().any(|former| former.id == known.id);
            let watches = &mut record.subscriptions;
            watches.retain(|known| !is_former(known));
            record.upkeep.sync_owed |= owed;
            if let Some(watch) = &watch {
                watches.retain(|known| known.id != watch.id);
                watches.push(watch.clone());
                let health = &mut record.upkeep.watch_health;
                health
                    .get_or_insert_with(|| WatchHealth::new(watch, now))
                    .renewed(watch);
            }
            true
        });
        keeping.await.map(drop)
    }
}
