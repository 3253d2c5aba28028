//! Chance that can be repeated, for tests that kill processes at any moment.

use std::io::Write as _;
use std::time::Duration;

/// Numbers that look random and are the same for the same seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// One that begins where `POSTROOM_SEED` says, which is the same place in every run unless somebody asks for another, and says
    /// where. A program that cargo does not run begins where no other run did.
    pub(crate) fn seeded() -> Self {
        let seed = std::env::var("POSTROOM_SEED").map_or_else(
            |_| chrono::Utc::now().timestamp_micros().unsigned_abs(),
            |seed| seed.parse().unwrap(),
        );
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        let told = format!("POSTROOM_SEED={seed} repeats {test}\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Waits a moment, so that what another process is doing is anywhere within it.
    pub(crate) fn pass_a_moment(&mut self) {
        std::thread::sleep(Duration::from_micros(self.below(15_000)));
    }
}
