//! How many calls a batch has: as many as a service takes from every account as far as is known, and more step by step while
//! it takes all of them and their answers are short. Where it ever refuses some for being too many, that is tried no more for
//! a long time.

use std::time::Duration;

/// So many full batches must go through before the next are longer: those that are on their way at once.
const CLEAN: u16 = 4;

/// For how long batches are as long as usual after the service refused something.
const HELD: Duration = Duration::from_secs(60 * 60);

/// As many bytes the answer to a longer batch has, as far as those before it tell: several are held at once.
const LONGEST_ANSWER: usize = 768 * 1024;

/// How many calls a batch usually has, and how many it may have.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Sizes {
    pub(in crate::http) usual: usize,
    pub(in crate::http) most: usize,
}

/// How much longer than usual a mailbox's batches are.
#[derive(Debug, Default)]
pub(super) struct Growth {
    more: u16,
    clean: u16,
    /// They grow no longer before this monotonic time.
    held_until: Duration,
}

impl Growth {
    /// How many calls a batch has.
    pub(super) fn size(&self, sizes: Sizes) -> usize {
        let size = sizes.usual + usize::from(self.more);
        size.min(sizes.most).max(sizes.usual)
    }

    /// A batch of so many calls went through, nothing in it was refused, and its answer had so many bytes.
    pub(super) fn went_through(&mut self, calls: usize, bytes: usize, sizes: Sizes, now: Duration) {
        let size = self.size(sizes);
        if calls < size || now < self.held_until {
            return;
        }
        self.clean += 1;
        let longer = match self.clean >= CLEAN {
            true => size + sizes.usual.div_ceil(2),
            false => size,
        };
        self.clean %= CLEAN;
        let each = (bytes / calls.max(1)).max(1);
        let more = longer.min(sizes.most).min(LONGEST_ANSWER / each);
        let more = more.saturating_sub(sizes.usual);
        self.more = u16::try_from(more).unwrap_or(self.more);
    }

    /// Something was refused because it was too much.
    pub(super) fn refused(&mut self, now: Duration) {
        *self = Self {
            held_until: now.saturating_add(HELD),
            ..Self::default()
        };
    }
}
