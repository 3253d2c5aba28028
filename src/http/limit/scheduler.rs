//! Who may send next: the most urgent lane first, as soon as there is a place, the units are paid for, and the service
//! does not want to be left alone. One [`Limiter`] is shared by all handles to a mailbox.
//!
//! There is no task and no timer beside those who wait: the first in line sleeps until it can go and wakes the next. Should
//! nobody poll it, those behind it let it go and come after it.

mod permit;

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::Notify;

use super::super::request::Cost;
use super::Limits;
use super::bucket::{Bucket, Recent, Window};
use super::circuit::{Circuit, CircuitPolicy};
use super::growth::{Growth, Sizes};
use super::pace::{Pace, of_rate, part};
use super::refusals::{failing, paused, used_up};
use crate::clock::Clock;
use crate::error::Result;
use crate::model::{Lane, Spent};
pub(in crate::http) use permit::{Permit, Trial};
use permit::{Place, opening_of};

/// What refills first, and only what somebody waits for may take: a send and a read at Gmail, without delay even while a
/// copy is filled at full speed.
const HELD_FOR_INTERACTIVE: u32 = 120;
/// What can be saved up: the largest batch (25 reads of 20 units), on top of that. At Gmail's rate more would not pass as
/// smooth: an account that went 1,080 units over was refused.
const MOST_UNITS: u32 = 500 + HELD_FOR_INTERACTIVE;
/// Where there is far more than that a second, a twentieth of a second's units can be saved up: for so long a busy host may
/// be late without losing any.
const SAVED_OF_A_MINUTE: u32 = 60 * 20;
/// When none of a lane went for so long, its first goes before more urgent ones, so that none waits for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// A batch costs at most so small a part of a minute's units: should it go before more urgent ones, they wait for five
/// seconds while it is paid for.
const BATCHES_OF_A_MINUTE: usize = 12;
/// For how long a suspicion holds, or the belief that there is no reason for it.
const SUSPICION: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long it is remembered that the answers to longer batches were too long: mail of one time is alike.
const LONG_ANSWERS: Duration = Duration::from_secs(10 * 60);

/// The state of one mailbox's limits.
pub(crate) struct Limiter {
    limits: Limits,
    state: Mutex<State>,
}

struct State {
    free: u32,
    /// Places that are taken by streams, which may stay open for as long as a host likes.
    streaming: u32,
    /// Who waits, by lane, in the order of coming.
    waiting: [VecDeque<Arc<Waiter>>; Lane::ALL.len()],
    /// Whether somebody may wait for a place without a timer.
    untimed: bool,
    /// When one of each lane last went.
    served: [Duration; Lane::ALL.len()],
    /// Nothing is sent before this monotonic time.
    paused_until: Duration,
    units: Option<Bucket>,
    requests: Option<Box<Window>>,
    /// Units of the last 24 hours.
    day: Option<Box<Recent>>,
    pace: Pace,
    circuit: Circuit,
    spent: Spent,
    /// What most mailboxes never need.
    rare: Option<Box<Rare>>,
}

/// What is remembered of rare refusals, and of many batches.
#[derive(Default)]
struct Rare {
    /// Nothing is sent before this monotonic time: what is allowed for the day is used up.
    used_up_until: Duration,
    /// Until when every refusal may be one for too much, and until when none is.
    suspicious_until: Duration,
    believed_until: Duration,
    /// How many calls a batch may have so that its answer is not too long, and until when that is thought.
    short_batches: (usize, Duration),
    growth: Growth,
}

/// One who waits.
struct Waiter {
    lane: Lane,
    cost: Cost,
    since: Duration,
    /// Whether it stands in its queue, which is long where many mailboxes of a registration wait.
    queued: AtomicBool,
    /// Set once, when it may go.
    admitted: Mutex<Option<Permit>>,
    woken: Notify,
}

/// For how much longer than the first in line those behind it sleep: usually it woke and let them go by then.
const AFTER_THE_FIRST: Duration = Duration::from_millis(250);

/// What one who waits has to do.
enum Turn {
    Go(Permit),
    /// The first in line goes after this time, unless it is woken before.
    First(Duration),
    /// The first in line goes after this time, or has to be let go if nobody polls it.
    Behind(Duration),
    /// A place has to be given back first, which wakes the first in line.
    Place,
    /// The service wants to be left alone for this long.
    Paused(Duration),
    /// What is allowed for the day is used up for this long.
    UsedUp(Duration),
    /// The service fails again and again, and is left alone for this long.
    Failing(Duration),
}

/// Why the first in line may not go.
enum Obstacle {
    Paused(Duration),
    UsedUp(Duration),
    Failing(Duration),
    /// A place that is given back wakes it.
    Place,
    Time(Duration),
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        let limits = limits.at_least_one();
        Self {
            limits,
            state: Mutex::new(State {
                free: limits.concurrency,
                streaming: 0,
                waiting: Default::default(),
                untimed: false,
                served: Default::default(),
                paused_until: Duration::ZERO,
                units: None,
                requests: None,
                day: None,
                pace: Pace::default(),
                circuit: Circuit::default(),
                spent: Spent::default(),
                rare: None,
            }),
        }
    }

    /// Waits until a request of this cost may be sent. Dropping the permit makes room for the next; dropping this future
    /// gives the place in the queue up.
    ///
    /// While the service wants to be left alone for longer than `patience`, it is an error that says for how long; so it
    /// is at once while the service fails again and again.
    pub(in crate::http) async fn admit(
        self: &Arc<Self>,
        lane: Lane,
        cost: Cost,
        clock: &dyn Clock,
        patience: Duration,
        circuit: Option<CircuitPolicy>,
    ) -> Result<Permit> {
        let waiter = Arc::new(Waiter {
            lane,
            cost,
            since: clock.monotonic(),
            queued: AtomicBool::new(true),
            admitted: Mutex::new(None),
            woken: Notify::new(),
        });
        if let Some(queue) = self.lock().waiting.get_mut(lane as usize) {
            queue.push_back(Arc::clone(&waiter));
        }
        // Whoever goes away, for whatever reason, makes way.
        let _place = Place {
            limiter: self,
            waiter: &waiter,
        };
        loop {
            match self.turn(&waiter, clock.monotonic(), circuit) {
                Turn::Go(permit) => return Ok(permit),
                Turn::Paused(wait) if wait > patience => return Err(paused(wait)),
                Turn::UsedUp(wait) if wait > patience => return Err(used_up(wait)),
                Turn::Failing(wait) => return Err(failing(wait)),
                Turn::First(wait)
                | Turn::Behind(wait)
                | Turn::Paused(wait)
                | Turn::UsedUp(wait) => {
                    let woken = pin!(waiter.woken.notified());
                    // It is woken when somebody more urgent came, or a place was given back.
                    select(woken, clock.sleep(wait)).await;
                }
                Turn::Place => waiter.woken.notified().await,
            }
        }
    }

    /// Lets all go who can, and says what that means for `waiter`.
    fn turn(
        self: &Arc<Self>,
        waiter: &Arc<Waiter>,
        now: Duration,
        circuit: Option<CircuitPolicy>,
    ) -> Turn {
        let mut state = self.lock();
        let obstacle = loop {
            let Some(first) = state.first(now) else {
                break None;
            };
            let ours = Arc::ptr_eq(&first, waiter);
            match state.obstacle(&first, self.limits, now, circuit) {
                None => {
                    let permit = self.grant(&mut state, &first, now);
                    if ours {
                        state.wake_all_who_may_go();
                        return Turn::Go(permit);
                    }
                    *lock(&first.admitted) = Some(permit);
                    first.woken.notify_one();
                }
                Some(obstacle) => break Some((obstacle, ours)),
            }
        };
        if let Some(permit) = lock(&waiter.admitted).take() {
            return Turn::Go(permit);
        }
        if !matches!(obstacle, Some((_, true))) {
            // It may have come first, or have gone to sleep before this one was.
            state.wake_first(now);
        }
        match obstacle {
            Some((Obstacle::Paused(wait), _)) => Turn::Paused(wait),
            Some((Obstacle::UsedUp(wait), _)) => Turn::UsedUp(wait),
            Some((Obstacle::Failing(wait), _)) => Turn::Failing(wait),
            Some((Obstacle::Time(wait), true)) => Turn::First(wait),
            Some((Obstacle::Time(wait), false)) => {
                Turn::Behind(wait.saturating_add(AFTER_THE_FIRST))
            }
            Some((Obstacle::Place, _)) | None => {
                state.untimed = true;
                Turn::Place
            }
        }
    }

    fn grant(self: &Arc<Self>, state: &mut State, waiter: &Arc<Waiter>, now: Duration) -> Permit {
        state.remove(waiter);
        if let Some(served) = state.served.get_mut(waiter.lane as usize) {
            *served = now;
        }
        let places = waiter
            .cost
            .at_once
            .clamp(1, self.limits.concurrency)
            .min(state.free);
        state.free -= places;
        if let Some(units) = &mut state.units {
            units.take(waiter.cost.units);
        }
        if let Some(requests) = &mut state.requests {
            requests.take(waiter.cost.requests);
        }
        if let Some(day) = &mut state.day {
            day.take(waiter.cost.units, now);
        }
        state.spent.units += u64::from(waiter.cost.units);
        state.spent.requests += u64::from(waiter.cost.requests);
        Permit::new(self, places, waiter.cost, state.circuit.begin())
    }

    /// Holds all requests of this mailbox back for `delay`: the service asked for it.
    pub(in crate::http) fn pause(&self, delay: Duration, clock: &dyn Clock) {
        // The delay comes from outside and may be any.
        let until = clock.monotonic().saturating_add(delay);
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(until);
    }

    /// What is allowed for the day is used up for this long.
    pub(in crate::http) fn use_up(&self, delay: Duration, clock: &dyn Clock) {
        let until = clock.monotonic().saturating_add(delay);
        let mut state = self.lock();
        let rare = state.rare();
        rare.used_up_until = rare.used_up_until.max(until);
    }

    /// The service refused a request because there were too many: what was thought to be left is not there.
    pub(in crate::http) fn slow_down(&self, clock: &dyn Clock) {
        let now = clock.monotonic();
        let mut state = self.lock();
        state.pace.slower(now);
        state.rare().growth.refused(now);
        let pace = state.pace.now(now);
        if let Some(units) = &mut state.units {
            units.empty(pace, now);
        }
    }

    /// Whether a refusal that may be one for too much is held to be one: while other requests are under way or wait, unless
    /// one was found to mean what it said a moment ago.
    pub(in crate::http) fn suspects(&self, clock: &dyn Clock) -> bool {
        let now = clock.monotonic();
        let mut state = self.lock();
        let known = state.rare.as_deref();
        if known.is_some_and(|rare| rare.believed_until > now) {
            return false;
        }
        let suspicious = known.is_some_and(|rare| rare.suspicious_until > now);
        let under_way = state.free < self.limits.concurrency;
        let waiting = state.waiting.iter().any(|queue| !queue.is_empty());
        if !under_way && !waiting && !suspicious {
            return false;
        }
        state.rare().suspicious_until = now.saturating_add(SUSPICION);
        true
    }

    /// Such a refusal was none for too much.
    pub(in crate::http) fn believe(&self, clock: &dyn Clock) {
        let until = clock.monotonic().saturating_add(SUSPICION);
        self.lock().rare().believed_until = until;
    }

    /// How many calls a batch has: fewer than usual since the service refused some, and more where it takes all.
    pub(in crate::http) fn batch_size(&self, sizes: Sizes, clock: &dyn Clock) -> usize {
        let mut state = self.lock();
        let growth = state.rare.as_deref().map(|rare| &rare.growth);
        let whole = growth.map_or(sizes.usual, |growth| growth.size(sizes));
        part(state.pace.now(clock.monotonic()), whole)
    }

    /// A batch of so many calls went through, nothing in it was refused, and its answer had so many bytes.
    pub(in crate::http) fn batch_went_through(
        &self,
        calls: usize,
        bytes: usize,
        sizes: Sizes,
        clock: &dyn Clock,
    ) {
        if calls >= sizes.usual && sizes.most > sizes.usual {
            let now = clock.monotonic();
            let mut state = self.lock();
            let growth = &mut state.rare().growth;
            growth.went_through(calls, bytes, sizes, now);
        }
    }

    /// As much of `most` units as a batch may cost, so that nobody waits long while it is paid for. Where none are counted it
    /// may cost any.
    pub(in crate::http) fn batch_units(&self, most: u32, clock: &dyn Clock) -> u32 {
        let Some(per_minute) = self.limits.units_per_minute else {
            return u32::MAX;
        };
        let pace = self.lock().pace.now(clock.monotonic());
        let paid = part(pace, per_minute as usize) / BATCHES_OF_A_MINUTE;
        most.min(u32::try_from(paid).unwrap_or(most))
    }

    /// How many calls of a batch that runs `at_once` of them may be in it; none if it is not limited. One that gets fewer
    /// places must not be longer than those, or more of it would run than it holds; and one of more requests than can be
    /// saved up would overdraw its window.
    pub(in crate::http) fn batch_calls(&self, at_once: u32, clock: &dyn Clock) -> Option<usize> {
        let state = self.lock();
        let places = self.limits.concurrency - state.streaming;
        let by_places = (places < at_once).then_some(places);
        let window = self.limits.requests_per;
        let by_window = window.map(|(most, _)| Window::saved(most) - Window::held(most));
        let calls = by_places.into_iter().chain(by_window).min();
        let calls = calls.map(|calls| usize::try_from(calls.max(1)).unwrap_or(1));
        let short = state.rare.as_deref().map(|rare| rare.short_batches);
        let short = short.filter(|(_, until)| *until > clock.monotonic());
        let by_answers = short.map(|(short, _)| short);
        calls.into_iter().chain(by_answers).min()
    }

    /// The answer to a batch of so many calls was too long: half as many may do.
    pub(in crate::http) fn shorten_batches(&self, calls: usize, clock: &dyn Clock) {
        let now = clock.monotonic();
        let mut state = self.lock();
        let rare = state.rare();
        let (short, until) = rare.short_batches;
        let short = if until > now { short } else { usize::MAX };
        let half = (calls / 2).max(1).min(short);
        rare.short_batches = (half, now.saturating_add(LONG_ANSWERS));
    }

    /// The service answered, whatever it was.
    pub(in crate::http) fn works(&self, trial: Option<Trial>) {
        self.lock().circuit.works(opening_of(&trial));
        drop(trial);
    }

    /// The service is not there, or not itself. Whether it is left alone from now on.
    pub(in crate::http) fn fails(
        &self,
        trial: Option<Trial>,
        policy: CircuitPolicy,
        clock: &dyn Clock,
    ) -> bool {
        let now = clock.monotonic();
        let leaves = self.lock().circuit.fails(policy, now, opening_of(&trial));
        drop(trial);
        leaves
    }

    pub(in crate::http) fn concurrency(&self) -> u32 {
        self.limits.concurrency
    }

    /// What an operation costs that usually costs this much.
    pub(in crate::http) fn units(&self, operation: &str, usual: u32) -> u32 {
        let mut told = self.limits.costs.iter();
        let told = told.find(|(of, _)| *of == operation);
        told.map_or(usual, |(_, units)| *units)
    }

    pub(crate) fn spent(&self) -> Spent {
        self.lock().spent
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Each change under a lock here is complete by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Who goes next: whoever waited too long, else the most urgent.
    fn first(&self, now: Duration) -> Option<Arc<Waiter>> {
        let mut firsts = self.waiting.iter().filter_map(VecDeque::front);
        let overdue = firsts
            .clone()
            .map(|waiter| (self.waits_since(waiter), waiter))
            .filter(|(since, _)| now.saturating_sub(*since) >= LONGEST_WAIT)
            .min_by_key(|(since, _)| *since)
            .map(|(_, waiter)| waiter);
        overdue.or_else(|| firsts.next()).cloned()
    }

    /// Since when nobody of its lane went although it was there.
    fn waits_since(&self, waiter: &Waiter) -> Duration {
        let served = self.served.get(waiter.lane as usize);
        served.copied().unwrap_or_default().max(waiter.since)
    }

    /// Wakes whoever goes next, to see whether it can, or how long to sleep.
    fn wake_first(&self, now: Duration) {
        if let Some(first) = self.first(now) {
            first.woken.notify_one();
        }
    }

    /// Wakes everybody for whom there may be a place now: nobody knows which of them are polled, and who is lets those before
    /// it go as well. As many as places are free are enough of each lane. Who waits for anything else but a place sleeps with a
    /// timer, so that the first is enough of those.
    fn wake_all_who_may_go(&mut self) {
        let most = match self.untimed {
            true => usize::try_from(self.free.max(1)).unwrap_or(usize::MAX),
            false => 1,
        };
        for queue in &self.waiting {
            for waiter in queue.iter().take(most) {
                waiter.woken.notify_one();
            }
        }
        self.untimed &= self.waiting.iter().any(|queue| !queue.is_empty());
    }

    /// One that needs more places than are free is not overtaken, so that a batch is not kept waiting by single requests
    /// for ever; and it makes do with what streams leave, so that it is not kept waiting by those either.
    fn obstacle(
        &mut self,
        waiter: &Waiter,
        limits: Limits,
        now: Duration,
        circuit: Option<CircuitPolicy>,
    ) -> Option<Obstacle> {
        let used_up = self.rare.as_deref().map_or(Duration::ZERO, |rare| {
            rare.used_up_until.saturating_sub(now)
        });
        if !used_up.is_zero() {
            return Some(Obstacle::UsedUp(used_up));
        }
        let paused = self.paused_until.saturating_sub(now);
        if !paused.is_zero() {
            return Some(Obstacle::Paused(paused));
        }
        if let Some(policy) = circuit {
            let failing = self.circuit.wait(policy, now);
            if !failing.is_zero() {
                return Some(Obstacle::Failing(failing));
            }
        }
        let pace = self.pace.now(now);
        let places = waiter.cost.at_once.clamp(1, limits.concurrency);
        let only_streams = self.free > 0 && self.free + self.streaming == limits.concurrency;
        if places > self.free_at(pace, limits.concurrency) && !only_streams {
            return Some(Obstacle::Place);
        }
        let interactive = waiter.lane == Lane::Interactive;
        let overdue = now.saturating_sub(self.waits_since(waiter)) >= LONGEST_WAIT;
        let mut wait = Duration::ZERO;
        if let Some(per_minute) = limits.units_per_minute {
            let held = match interactive || overdue {
                true => 0,
                false => of_rate(HELD_FOR_INTERACTIVE, per_minute),
            };
            let size = of_rate(MOST_UNITS, per_minute).max(per_minute / SAVED_OF_A_MINUTE);
            let units = self
                .units
                .get_or_insert_with(|| Bucket::new(size, f64::from(per_minute) / 60.0, now));
            wait = units.wait(waiter.cost.units.saturating_add(held), pace, now);
        }
        if let Some((most, window)) = limits.requests_per {
            let held = match interactive || overdue {
                true => 0,
                false => Window::held(most),
            };
            let requests = self
                .requests
                .get_or_insert_with(|| Box::new(Window::new(most, window, now)));
            wait = wait.max(requests.wait(waiter.cost.requests, held, pace, now));
        }
        if let Some(most) = limits.units_per_day {
            let day = self
                .day
                .get_or_insert_with(|| Box::new(Recent::new(most, DAY)));
            let spent = day.wait(waiter.cost.units, now);
            if !spent.is_zero() {
                return Some(Obstacle::UsedUp(spent));
            }
        }
        (!wait.is_zero()).then_some(Obstacle::Time(wait))
    }

    /// The places that are free when only a part of all is used. Where none is taken, all are: a batch that needs them must
    /// get them some time.
    fn free_at(&self, pace: f64, concurrency: u32) -> u32 {
        let taken = concurrency - self.free;
        if taken == 0 || pace >= 1.0 {
            return self.free;
        }
        let used = u32::try_from(part(pace, concurrency as usize)).unwrap_or(concurrency);
        used.saturating_sub(taken)
    }

    /// What was granted is not sent after all.
    fn give_back(&mut self, cost: Cost) {
        if let Some(units) = &mut self.units {
            units.give_back(cost.units);
        }
        if let Some(requests) = &mut self.requests {
            requests.give_back(cost.requests);
        }
        if let Some(day) = &mut self.day {
            day.give_back(cost.units);
        }
        let (units, requests) = (u64::from(cost.units), u64::from(cost.requests));
        self.spent.units = self.spent.units.saturating_sub(units);
        self.spent.requests = self.spent.requests.saturating_sub(requests);
    }

    fn remove(&mut self, waiter: &Arc<Waiter>) {
        if waiter.queued.swap(false, Ordering::Relaxed)
            && let Some(queue) = self.waiting.get_mut(waiter.lane as usize)
            && let Some(place) = queue.iter().position(|other| Arc::ptr_eq(other, waiter))
        {
            queue.remove(place);
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Limiter")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
