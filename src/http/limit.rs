//! How much is asked of one mailbox: what its service allows, as data, and what was asked so far. Who goes next is
//! `limit/scheduler.rs`'s.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

mod bucket;
mod circuit;
mod growth;
mod pace;
mod refusals;
mod scheduler;

pub use circuit::CircuitPolicy;
pub(super) use growth::Sizes;
pub(crate) use scheduler::Limiter;
pub(super) use scheduler::{Permit, Trial};

/// What a service allows for one mailbox. Each provider has its own as a default, with the vendor's figures and where they
/// stand; a host whose project has others says so. A limit of nothing counts as one of one.
///
/// ```
/// use std::time::Duration;
///
/// use postroom::http::Limits;
///
/// // What is left to this process when two share a mailbox's quota evenly.
/// let limits = Limits::concurrency(4)
///     .with_units_per_minute(6_000)
///     .with_requests_per(10_000, Duration::from_secs(600))
///     .share(0.5);
/// assert_eq!(limits.units_per_minute, Some(3_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests in flight at once, each part of a batch that runs at the same time counted. A stream of bytes counts until
    /// it was read to its end, but all streams together leave one place to other requests: whoever opens many and reads
    /// none keeps nobody waiting.
    pub concurrency: u32,
    /// Quota units a minute, spent smoothly: a service that counts by the minute looks at shorter times too.
    pub units_per_minute: Option<u32>,
    /// Quota units within any 24 hours.
    pub units_per_day: Option<u32>,
    /// Requests within a window of time that moves along, each part of a batch counted.
    /// Most of them are spread evenly over it, so that nobody waits for the rest of a window that was used up at once; a
    /// twentieth can be saved up, and goes at once.
    pub requests_per: Option<(u32, Duration)>,
    /// What methods cost where it is not what a provider's table says: the name of an operation, as errors and spans tell
    /// it, and its quota units.
    pub costs: &'static [(&'static str, u32)],
}

impl Limits {
    /// So many requests in flight at once, at least one, and no other limit.
    #[must_use]
    pub const fn concurrency(concurrency: u32) -> Self {
        Self {
            concurrency: if concurrency == 0 { 1 } else { concurrency },
            units_per_minute: None,
            units_per_day: None,
            requests_per: None,
            costs: &[],
        }
    }

    /// So many quota units a minute too, at least one.
    #[must_use]
    pub const fn with_units_per_minute(mut self, units: u32) -> Self {
        self.units_per_minute = Some(if units == 0 { 1 } else { units });
        self
    }

    /// So many quota units within any 24 hours too, at least one.
    #[must_use]
    pub const fn with_units_per_day(mut self, units: u32) -> Self {
        self.units_per_day = Some(if units == 0 { 1 } else { units });
        self
    }

    /// So many requests within such a time too, at least one.
    #[must_use]
    pub const fn with_requests_per(mut self, requests: u32, window: Duration) -> Self {
        self.requests_per = Some((if requests == 0 { 1 } else { requests }, window));
        self
    }

    /// Counts these operations with so many quota units each, whatever the provider's table says. Google's prices rose
    /// in May 2026, and may again.
    ///
    /// ```
    /// use postroom::http::{Limits, Regime};
    ///
    /// const RAISED: &[(&str, u32)] = &[("gmail.messages.get", 25), ("gmail.threads.get", 50)];
    /// let raised = Regime::Custom(Limits::concurrency(5).with_units_per_minute(6_000).with_costs(RAISED));
    /// # let _ = raised;
    /// ```
    #[must_use]
    pub const fn with_costs(mut self, costs: &'static [(&'static str, u32)]) -> Self {
        self.costs = costs;
        self
    }

    /// The same where each is at least one, as the constructors have it: the fields are the host's to set, and nothing could
    /// ever go within a limit of nothing.
    fn at_least_one(self) -> Self {
        let one = |limit: u32| limit.max(1);
        Self {
            concurrency: one(self.concurrency),
            units_per_minute: self.units_per_minute.map(one),
            units_per_day: self.units_per_day.map(one),
            requests_per: self
                .requests_per
                .map(|(requests, window)| (one(requests), window)),
            costs: self.costs,
        }
    }

    /// A part of these limits, from 0 to 1: for each of several processes that work with the same mailbox, and cannot see
    /// what the others ask. Every limit stays at least one.
    ///
    /// # Several processes
    /// Within a process all handles to a mailbox keep to its limits together, and all mailboxes of a registration to its
    /// own; nothing is shared beyond it. A host with several processes has three ways, best first:
    /// * One process for each mailbox, by a hash of the account or by a lease: it has the whole of the limits, and nothing
    ///   of this is needed.
    /// * Fixed shares that add up to 1, such as 0.7 for the worker that fills copies and 0.3 for the one that answers people.
    ///   What can be saved up is shared too. What one does not use is lost, since none can lend. Outlook takes four requests at once: with more than four
    ///   processes at a mailbox some of them are too many, as each keeps at least one.
    /// * No shares, and what is refused asked again. A refusal slows a process down for minutes and holds it back for as long as the
    ///   service says, so that all together stay near the limit, with refusals that shares would have spared.
    ///
    /// ```
    /// use postroom::http::{Limits, Regime};
    ///
    /// // Gmail for a project made since May 2026, in a worker that shares its mailboxes with a web server.
    /// let worker = Regime::Custom(Limits::concurrency(5).with_units_per_minute(6_000).share(0.7));
    /// # let _ = worker;
    /// ```
    #[must_use]
    pub fn share(mut self, part: f64) -> Self {
        let part = part.clamp(0.0, 1.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a number is none that is larger or negative"
        )]
        let of = |whole: u32| ((f64::from(whole) * part) as u32).max(1);
        self.concurrency = of(self.concurrency);
        self.units_per_minute = self.units_per_minute.map(of);
        self.units_per_day = self.units_per_day.map(of);
        self.requests_per = self
            .requests_per
            .map(|(requests, window)| (of(requests), window));
        self
    }
}

/// Which of a service's limits hold for a host's project or application.
///
/// Google gave projects that it made since May 2026 less than those before. For Microsoft there is only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Regime {
    /// Those of new registrations. They are never too much.
    #[default]
    Since2026,
    /// Those of registrations that are older.
    Legacy,
    /// Those that the host knows of.
    Custom(Limits),
    /// None over time; only what is in flight at once is limited.
    Off,
}

/// What a service allows, by regime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    pub(crate) since_2026: Limits,
    pub(crate) legacy: Limits,
    /// For all mailboxes of one registration together.
    pub(crate) project: Limits,
    /// Codes of refusals for other reasons that it also gives when too much is asked of it.
    pub(crate) disguises: &'static [&'static str],
}

impl Allowance {
    pub(super) const fn mailbox(&self, regime: Regime) -> Limits {
        match regime {
            Regime::Since2026 => self.since_2026,
            Regime::Legacy => self.legacy,
            Regime::Custom(limits) => limits,
            Regime::Off => Limits::concurrency(self.since_2026.concurrency),
        }
    }

    pub(super) const fn project(&self, regime: Regime) -> Limits {
        match regime {
            Regime::Off => Limits::concurrency(self.project.concurrency),
            _ => self.project,
        }
    }
}

/// What all mailboxes of one registration share: its limits at the service. Clones are the same.
///
/// [`Accounts`](crate::Accounts) has one for each configuration, or the one that its host
/// [gives it](crate::ProviderConfiguration::with_project); a host without it makes one and gives it to every
/// [`Connection`](super::Connection) of the registration. What shares one and does not wait on the system's clock must be given
/// clones of one clock: pauses are remembered by it.
#[derive(Clone, Debug, Default)]
pub struct Project(pub(super) Arc<OnceLock<Arc<Limiter>>>);
