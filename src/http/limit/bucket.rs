//! Ways to count what was asked over time: a bucket that fills steadily, the same for a window of time, and what the last
//! while held. All know time only as a monotonic duration that is handed in.

use std::collections::VecDeque;
use std::time::Duration;

/// A bucket that fills steadily up to its size. What was taken too much is owed.
#[derive(Debug)]
pub(super) struct Bucket {
    size: f64,
    per_second: f64,
    level: f64,
    at: Duration,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(size: u32, per_second: f64, now: Duration) -> Self {
        Self {
            size: f64::from(size),
            per_second,
            level: f64::from(size),
            at: now,
        }
    }

    /// How long until `amount` can be taken; more than the bucket holds is there when it is full.
    pub(super) fn wait(&mut self, amount: u32, pace: f64, now: Duration) -> Duration {
        self.fill(pace, now);
        let missing = f64::from(amount).min(self.size) - self.level;
        // Less than a thousandth of a unit is rounding.
        if missing <= 0.001 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / (self.per_second * pace)).unwrap_or(Duration::MAX)
    }

    pub(super) fn take(&mut self, amount: u32) {
        self.level -= f64::from(amount);
    }

    pub(super) fn give_back(&mut self, amount: u32) {
        self.level = (self.level + f64::from(amount)).min(self.size);
    }

    /// The service says that nothing is left.
    pub(super) fn empty(&mut self, pace: f64, now: Duration) {
        self.fill(pace, now);
        self.level = self.level.min(0.0);
    }

    fn fill(&mut self, pace: f64, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_second * pace).min(self.size);
        // Told an earlier time, by a clock that does not agree, it would count the time until now once more.
        self.at = self.at.max(now);
    }
}

/// What can be saved up of the requests that a window allows, as a part of them: so many go at once, and no window holds more
/// than is allowed, because the others are spread over it. Whoever takes all of a window at once waits for the rest of it.
const SAVED_OF_A_WINDOW: u32 = 20;
/// As many can be saved up where a window allows few, unless that is more than a tenth.
const SAVED_OF_FEW: u32 = 10;
/// What refills first, as a part of what can be saved up, and only what somebody waits for may take.
const HELD_OF_SAVED: u32 = 5;

/// Requests within a window of time that moves along, spread evenly over it.
#[derive(Debug)]
pub(super) struct Window(Bucket);

impl Window {
    pub(super) fn new(most: u32, window: Duration, now: Duration) -> Self {
        let saved = Self::saved(most);
        let spread = f64::from((most - saved.min(most)).max(1));
        let seconds = window.as_secs_f64().max(f64::MIN_POSITIVE);
        Self(Bucket::new(saved, spread / seconds, now))
    }

    /// How many of a window's requests can be saved up.
    pub(super) fn saved(most: u32) -> u32 {
        (most / SAVED_OF_A_WINDOW)
            .max(SAVED_OF_FEW.min(most / 10))
            .max(1)
    }

    /// How many of those are held back for whom somebody waits for.
    pub(super) fn held(most: u32) -> u32 {
        Self::saved(most) / HELD_OF_SAVED
    }

    /// How long until `amount` can be taken, with `held` left over.
    pub(super) fn wait(&mut self, amount: u32, held: u32, pace: f64, now: Duration) -> Duration {
        self.0.wait(amount.saturating_add(held), pace, now)
    }

    pub(super) fn take(&mut self, amount: u32) {
        self.0.take(amount);
    }

    pub(super) fn give_back(&mut self, amount: u32) {
        self.0.give_back(amount);
    }
}

/// In how many pieces a window is remembered. A piece is forgotten as a whole, once all of it is old enough.
const PIECES: u32 = 60;

/// How much was taken within a window of time that moves along.
#[derive(Debug)]
pub(super) struct Recent {
    most: u32,
    window: Duration,
    /// When each piece began, and what was taken in it; the oldest first.
    pieces: VecDeque<(Duration, u32)>,
    taken: u32,
}

impl Recent {
    pub(super) fn new(most: u32, window: Duration) -> Self {
        Self {
            most: most.max(1),
            window,
            pieces: VecDeque::new(),
            taken: 0,
        }
    }

    /// How long until `amount` more is within the limit.
    pub(super) fn wait(&mut self, amount: u32, now: Duration) -> Duration {
        self.forget(now);
        let allowed = self.most.saturating_sub(amount.min(self.most));
        let mut left = self.taken;
        if left <= allowed {
            return Duration::ZERO;
        }
        for (since, taken) in &self.pieces {
            left = left.saturating_sub(*taken);
            if left <= allowed {
                return self.until_forgotten(*since).saturating_sub(now);
            }
        }
        self.window
    }

    pub(super) fn take(&mut self, amount: u32, now: Duration) {
        self.taken = self.taken.saturating_add(amount);
        let piece = self.piece();
        match self.pieces.back_mut() {
            Some((since, taken)) if now.saturating_sub(*since) < piece => {
                *taken = taken.saturating_add(amount);
            }
            _ => self.pieces.push_back((now, amount)),
        }
    }

    /// Of what was taken last.
    pub(super) fn give_back(&mut self, amount: u32) {
        let mut left = amount;
        for (_, taken) in self.pieces.iter_mut().rev() {
            let back = left.min(*taken);
            *taken -= back;
            left -= back;
            self.taken = self.taken.saturating_sub(back);
        }
    }

    fn forget(&mut self, now: Duration) {
        while let Some((since, taken)) = self.pieces.front().copied()
            && self.until_forgotten(since) <= now
        {
            self.taken = self.taken.saturating_sub(taken);
            self.pieces.pop_front();
        }
    }

    /// The last of a piece may have been taken at its very end.
    fn until_forgotten(&self, since: Duration) -> Duration {
        since + self.window + self.piece()
    }

    fn piece(&self) -> Duration {
        self.window / PIECES
    }
}
