//! Which account is to be seen to next, as data: one instant for each, and whoever's is first comes first.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use crate::model::AccountId;

/// When each account is to be seen to.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    at: HashMap<AccountId, DateTime<Utc>>,
    order: BTreeSet<(DateTime<Utc>, AccountId)>,
}

impl Agenda {
    /// See to it then, and not when was thought before.
    pub(super) fn put(&mut self, account: &AccountId, at: DateTime<Utc>) {
        self.remove(account);
        self.at.insert(account.clone(), at);
        self.order.insert((at, account.clone()));
    }

    /// See to it then, unless that is to be done before.
    pub(super) fn put_by(&mut self, account: &AccountId, at: DateTime<Utc>) {
        if self.at.get(account).is_none_or(|known| *known > at) {
            self.put(account, at);
        }
    }

    pub(super) fn remove(&mut self, account: &AccountId) {
        if let Some(at) = self.at.remove(account) {
            self.order.remove(&(at, account.clone()));
        }
    }

    pub(super) fn has(&self, account: &AccountId) -> bool {
        self.at.contains_key(account)
    }

    /// Keeps only these.
    pub(super) fn retain(&mut self, keep: impl Fn(&AccountId) -> bool) {
        self.at.retain(|account, _| keep(account));
        self.order.retain(|(_, account)| keep(account));
    }

    /// The first whose time has come.
    pub(super) fn pop(&mut self, now: DateTime<Utc>) -> Option<AccountId> {
        if self.next()? > now {
            return None;
        }
        let (_, account) = self.order.pop_first()?;
        self.at.remove(&account);
        Some(account)
    }

    /// When the first one's time comes.
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.order.first().map(|(at, _)| *at)
    }
}
