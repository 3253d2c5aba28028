//! What happens to accounts, told to whoever listens: [`AccountEvent`]. Nothing here waits, and nobody has to listen.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use chrono::{DateTime, Utc};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::{self, error::RecvError};

use super::Changed;
use super::account::SignInReason;
use super::upkeep::DueWork;
use crate::credentials::{AccountRecord, AccountState, Failures, TellToken, TokenNews};
use crate::error::{Error, ErrorKind};
use crate::model::{Access, AccountId};

/// Something that happened to an account.
///
/// # What is told, and what is not
/// Events tell what this process does, whichever handle did it, and what it comes across in the store. Of what other
/// processes do, only that an account needs a sign-in is told here too: when a handle of this process next uses the
/// account. A token that another process renewed is simply used. What holds is always in the store, and
/// [`Accounts::list`](crate::Accounts::list) shows it: a host that must know of accounts that it does not use asks there
/// from time to time.
///
/// An event is told after the store has taken what it tells of. No event holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountEvent {
    /// A sign-in was completed, or tokens were adopted.
    Connected {
        /// The account.
        account: AccountId,
        /// Whether it was there before.
        again: bool,
    },
    /// The account is forgotten.
    Disconnected {
        /// The account.
        account: AccountId,
        /// Whether its grant ended at the service.
        revoked: bool,
    },
    /// The access token was renewed by this process.
    Refreshed {
        /// The account.
        account: AccountId,
        /// When the new token ends, where the service said.
        expires_at: Option<DateTime<Utc>>,
    },
    /// The user must sign in again. It is told once, until the account works again.
    NeedsSignIn {
        /// The account.
        account: AccountId,
        /// Why, as far as the service says.
        reason: SignInReason,
        /// When that was found out, by whichever process.
        since: DateTime<Utc>,
    },
    /// What is granted is not what it was: after a new sign-in, or because a renewed token says so. Handles that were opened
    /// before keep their idea of it; [`open`](crate::Accounts::open) again.
    AccessChanged {
        /// The account.
        account: AccountId,
        /// What was granted before, in levels.
        before: Access,
        /// What is granted now, in levels. It is the same if only a scope beyond the levels has changed.
        now: Access,
    },
    /// The host suspended it.
    Suspended {
        /// The account.
        account: AccountId,
    },
    /// The host resumed it.
    Resumed {
        /// The account.
        account: AccountId,
    },
    /// Its [upkeep](crate::Upkeep) failed, here, and is tried again. What an account that cannot be used needs is told
    /// otherwise.
    UpkeepFailing {
        /// The account.
        account: AccountId,
        /// What was to be done.
        work: DueWork,
        /// What failed.
        kind: ErrorKind,
        /// The service's own code for it.
        code: Option<String>,
        /// How many times in a row something did, on all workers.
        failures: u32,
        /// Until when nothing is tried.
        retry_at: Option<DateTime<Utc>>,
    },
    /// Its upkeep works again.
    UpkeepRecovered {
        /// The account.
        account: AccountId,
        /// What was done.
        work: DueWork,
    },
    /// Its watch tells nothing although things happen: look whether what the service posts reaches the host. Until it does, the
    /// account is polled as often as one without a watch.
    WatchSilent {
        /// The account.
        account: AccountId,
        /// Since when things were found that nobody had told.
        since: DateTime<Utc>,
    },
    /// This reader fell behind and missed so many events. Whatever they told is in
    /// [`Accounts::list`](crate::Accounts::list).
    Missed {
        /// How many.
        count: u64,
    },
}

impl AccountEvent {
    /// The account that it happened to; none if events were missed.
    #[must_use]
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Connected { account, .. }
            | Self::Disconnected { account, .. }
            | Self::Refreshed { account, .. }
            | Self::NeedsSignIn { account, .. }
            | Self::AccessChanged { account, .. }
            | Self::Suspended { account }
            | Self::UpkeepFailing { account, .. }
            | Self::UpkeepRecovered { account, .. }
            | Self::WatchSilent { account, .. }
            | Self::Resumed { account } => Some(account),
            Self::Missed { .. } => None,
        }
    }
}

/// The events of [`Accounts::events`](crate::Accounts::events), as a stream. It holds nothing alive: it ends when the last
/// handle to its accounts, mailboxes included, is gone.
pub struct AccountEvents(BoxStream<'static, AccountEvent>);

impl Stream for AccountEvents {
    type Item = AccountEvent;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<AccountEvent>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for AccountEvents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AccountEvents(..)")
    }
}

/// Where events are told, and what was told already.
pub(super) struct Events {
    sender: broadcast::Sender<AccountEvent>,
    /// Since when accounts need a sign-in that this process has told of.
    waiting: Mutex<HashMap<AccountId, DateTime<Utc>>>,
}

impl Events {
    /// How many events wait for a slow reader before it misses some. A refresh an hour of a thousand accounts fits for
    /// a quarter of an hour.
    const CAPACITY: usize = 256;

    pub(super) fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(Self::CAPACITY),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn subscribe(&self) -> AccountEvents {
        let receiver = self.sender.subscribe();
        let events = stream::unfold(receiver, |mut receiver| async {
            let event = match receiver.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(count)) => AccountEvent::Missed { count },
                Err(RecvError::Closed) => return None,
            };
            Some((event, receiver))
        });
        AccountEvents(events.boxed())
    }

    fn tell(&self, event: AccountEvent) {
        // That nobody listens is fine.
        let _ = self.sender.send(event);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<AccountId, DateTime<Utc>>> {
        // Only whole entries are put in or taken out.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what the tokens of an account tell.
    pub(super) fn teller(self: &Arc<Self>, account: &AccountId) -> TellToken {
        let (events, account) = (Arc::clone(self), account.clone());
        Arc::new(move |news| match news {
            TokenNews::Renewed { before, after } => {
                events.waiting().remove(&account);
                events.tell(AccountEvent::Refreshed {
                    account: account.clone(),
                    expires_at: after.credential.expires_at,
                });
                events.compare(before, after);
            }
            TokenNews::NeedsSignIn(record) => events.needs_sign_in(record),
        })
    }

    pub(super) fn connected(&self, changed: &Changed) {
        let account = changed.record.account.clone();
        self.waiting().remove(&account);
        self.tell(AccountEvent::Connected {
            account,
            again: changed.before.is_some(),
        });
        if let Some(before) = &changed.before {
            self.compare(before, &changed.record);
        }
        self.needs_sign_in(&changed.record);
    }

    pub(super) fn disconnected(&self, account: &AccountId, revoked: bool) {
        self.waiting().remove(account);
        self.tell(AccountEvent::Disconnected {
            account: account.clone(),
            revoked,
        });
    }

    pub(super) fn suspended(&self, account: &AccountId) {
        self.tell(AccountEvent::Suspended {
            account: account.clone(),
        });
    }

    pub(super) fn resumed(&self, account: &AccountId) {
        self.tell(AccountEvent::Resumed {
            account: account.clone(),
        });
    }

    pub(super) fn upkeep_failing(
        &self,
        account: &AccountId,
        work: DueWork,
        error: &Error,
        failures: Failures,
    ) {
        self.tell(AccountEvent::UpkeepFailing {
            account: account.clone(),
            work,
            kind: error.kind(),
            code: error.code().map(str::to_owned),
            failures: failures.count,
            retry_at: failures.retry_at,
        });
    }

    pub(super) fn upkeep_recovered(&self, account: &AccountId, work: DueWork) {
        self.tell(AccountEvent::UpkeepRecovered {
            account: account.clone(),
            work,
        });
    }

    pub(super) fn watch_silent(&self, account: &AccountId, since: DateTime<Utc>) {
        self.tell(AccountEvent::WatchSilent {
            account: account.clone(),
            since,
        });
    }

    /// Tells that the account needs a sign-in, unless it does not or that was told.
    fn needs_sign_in(&self, record: &AccountRecord) {
        let AccountState::NeedsSignIn { since, code } = &record.state else {
            return;
        };
        let told = self.waiting().insert(record.account.clone(), *since);
        if told != Some(*since) {
            self.tell(AccountEvent::NeedsSignIn {
                account: record.account.clone(),
                reason: SignInReason::of(record, code.as_deref(), *since),
                since: *since,
            });
        }
    }

    fn compare(&self, before: &AccountRecord, now: &AccountRecord) {
        let scopes_changed = !before.scopes.is_empty() && scopes(before) != scopes(now);
        if before.granted != now.granted || scopes_changed {
            self.tell(AccountEvent::AccessChanged {
                account: now.account.clone(),
                before: before.granted,
                now: now.granted,
            });
        }
    }
}

/// The scopes of a record but those that are about signing in, which come and go without anybody granting anything.
fn scopes(record: &AccountRecord) -> BTreeSet<&str> {
    const OF_SIGN_IN: [&str; 6] = [
        "openid",
        "email",
        "profile",
        "offline_access",
        "https://www.googleapis.com/auth/userinfo.email",
        "https://www.googleapis.com/auth/userinfo.profile",
    ];
    let scopes = record.scopes.iter().map(String::as_str);
    scopes.filter(|scope| !OF_SIGN_IN.contains(scope)).collect()
}
