//! How many calls a batch has: as many as a service takes from every account as far as is known, and more step by step while
//! it takes all of them. Where it ever refuses some for being too many, that is tried no more for a long time.

use std::time::Duration;

/// So many full batches must go through before the next are longer: those that are on their way at once.
const CLEAN: u16 = 4;

/// For how long batches are as long as usual after the service refused something.
const HELD: Duration = Duration::from_secs(60 * 60);

/// How much longer than usual a mailbox's batches are.
#[derive(Debug, Default)]
pub(super) struct Growth {
    more: u16,
    clean: u16,
    /// They grow no longer before this monotonic time.
    held_until: Duration,
}

impl Growth {
    /// How many calls a batch has that usually has so many.
    pub(super) fn size(&self, usual: usize, most: usize) -> usize {
        (usual + usize::from(self.more)).min(most.max(usual))
    }

    /// A batch of so many calls went through, and nothing in it was refused.
    pub(super) fn went_through(&mut self, calls: usize, usual: usize, most: usize, now: Duration) {
        if calls < self.size(usual, most) || now < self.held_until {
            return;
        }
        self.clean += 1;
        if self.clean >= CLEAN {
            self.clean = 0;
            let more = self.size(usual, most) + usual.div_ceil(2);
            let more = more.min(most).saturating_sub(usual);
            self.more = u16::try_from(more).unwrap_or(self.more);
        }
    }

    /// Something was refused because it was too much.
    pub(super) fn refused(&mut self, now: Duration) {
        *self = Self {
            held_until: now.saturating_add(HELD),
            ..Self::default()
        };
    }
}
