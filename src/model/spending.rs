//! What calls may cost and how urgent they are, for hosts that plan: lanes, caps and estimates. What is allowed over time is
//! `http`'s, what a method costs each provider's.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Detail, Message};

/// How urgent a request is when there is not budget enough for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Lane {
    /// Somebody waits for it.
    #[default]
    Interactive,
    /// It keeps a copy in step.
    Sync,
    /// It fills a copy for the first time.
    Backfill,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub(crate) const ALL: [Self; 3] = [Self::Interactive, Self::Sync, Self::Backfill];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Sync => "sync",
            Self::Backfill => "backfill",
        }
    }
}

/// What was asked of a service so far, repeated requests counted each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Quota units, where the service counts them.
    pub units: u64,
    /// Requests, each part of a batch counted where the service does.
    pub requests: u64,
}

impl Spent {
    /// So many units and requests.
    #[must_use]
    pub const fn new(units: u64, requests: u64) -> Self {
        Self { units, requests }
    }

    /// What was asked since an earlier look.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            units: self.units.saturating_sub(earlier.units),
            requests: self.requests.saturating_sub(earlier.requests),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            units: self.units.saturating_add(other.units),
            requests: self.requests.saturating_add(other.requests),
        }
    }
}

/// How much a handle may ask of its service, all in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cap {
    /// Quota units, where the service counts them: Gmail.
    pub units: u64,
    /// Requests, each part of a batch counted where the service does.
    pub requests: u64,
}

impl Cap {
    /// So many quota units, and any number of requests.
    #[must_use]
    pub const fn units(units: u64) -> Self {
        Self {
            units,
            requests: u64::MAX,
        }
    }

    /// So many requests, of any number of units.
    #[must_use]
    pub const fn requests(requests: u64) -> Self {
        Self {
            units: u64::MAX,
            requests,
        }
    }
}

/// What the handles that share a [`Cap`] have spent of it. Clones are the same.
#[derive(Clone)]
pub struct Purse(Arc<Inside>);

struct Inside {
    cap: Cap,
    spent: Mutex<Spent>,
    /// Whose money it is.
    outer: Option<Purse>,
}

impl Purse {
    /// A full one.
    #[must_use]
    pub fn new(cap: Cap) -> Self {
        Self(Arc::new(Inside {
            cap,
            spent: Mutex::default(),
            outer: None,
        }))
    }

    /// One of its own cap within this one: what is taken from it is taken from both.
    #[must_use]
    pub fn within(&self, cap: Cap) -> Self {
        Self(Arc::new(Inside {
            cap,
            spent: Mutex::default(),
            outer: Some(self.clone()),
        }))
    }

    /// What it may hold at most.
    #[must_use]
    pub fn cap(&self) -> Cap {
        self.0.cap
    }

    /// What was taken from it.
    #[must_use]
    pub fn spent(&self) -> Spent {
        *self.lock()
    }

    /// Takes this much, or nothing and `false` if that is more than is left.
    #[must_use]
    pub fn take(&self, amount: Spent) -> bool {
        if let Some(outer) = &self.0.outer
            && !outer.take(amount)
        {
            return false;
        }
        let mut spent = self.lock();
        let then = spent.plus(amount);
        let enough = then.units <= self.cap().units && then.requests <= self.cap().requests;
        if enough {
            *spent = then;
        }
        drop(spent);
        if let (false, Some(outer)) = (enough, &self.0.outer) {
            outer.give_back(amount);
        }
        enough
    }

    /// Gives back what was taken and not spent after all.
    pub fn give_back(&self, amount: Spent) {
        let mut spent = self.lock();
        spent.units = spent.units.saturating_sub(amount.units);
        spent.requests = spent.requests.saturating_sub(amount.requests);
        drop(spent);
        if let Some(outer) = &self.0.outer {
            outer.give_back(amount);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.0.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Purse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Purse")
            .field("cap", &self.cap())
            .field("spent", &self.spent())
            .finish()
    }
}

/// On which terms a provider makes its calls; what is unset stays as it was.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Terms {
    /// How urgent they are.
    pub lane: Option<Lane>,
    /// What they are paid from.
    pub purse: Option<Purse>,
}

/// Something that is to be done, to learn what it costs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Work<'a> {
    /// So many messages are found and read.
    List(u64, Detail),
    /// So many messages are read by their ids.
    Get(u64, Detail),
    /// These listed messages are read.
    Hydrate(&'a [Message], Detail),
    /// A change is applied to so many messages.
    Apply(u64),
    /// A message is sent.
    Send,
}

/// What something costs, as far as it can be known before: without what fails and is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// At least this.
    pub least: Spent,
    /// Usually about this.
    pub likely: Spent,
    /// At most this; `None` where that depends on the mail.
    pub most: Option<Spent>,
}

impl Estimate {
    /// Just this.
    #[must_use]
    pub const fn exact(cost: Spent) -> Self {
        Self {
            least: cost,
            likely: cost,
            most: Some(cost),
        }
    }

    /// Usually `likely`, at least `least`, and nobody knows how much at most.
    #[must_use]
    pub const fn open(least: Spent, likely: Spent) -> Self {
        Self {
            least,
            likely,
            most: None,
        }
    }

    /// Never more than this.
    #[must_use]
    pub const fn at_most(mut self, most: Spent) -> Self {
        self.most = Some(most);
        self
    }
}
