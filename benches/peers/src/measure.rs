//! What a run costs the process that it is in, and what it got: time, processor, peak memory, and a sum over what was read.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

/// What one run of a client gave.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub wall_seconds: f64,
    pub cpu_seconds: f64,
    pub peak_kib: i64,
    pub messages: u64,
    /// The same whenever the same was read, in whatever order.
    pub sum: u64,
}

/// Whether a run decodes every field and sums them, or only what the client itself does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    AsItComes,
    EveryField,
}

/// Begins when a client is ready to ask, and ends when it has everything.
pub struct Meter {
    began: Instant,
    cpu: f64,
    messages: u64,
    sum: u64,
}

impl Meter {
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
            cpu: cpu(),
            messages: 0,
            sum: 0,
        }
    }

    /// A message was read: its id, or all of its fields.
    pub fn count(&mut self, read: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        read.hash(&mut hasher);
        self.sum = self.sum.wrapping_add(hasher.finish());
        self.messages += 1;
    }

    pub fn stop(self) -> Measured {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process has a usage");
        Measured {
            wall_seconds: self.began.elapsed().as_secs_f64(),
            cpu_seconds: cpu() - self.cpu,
            peak_kib: usage.max_rss(),
            messages: self.messages,
            sum: self.sum,
        }
    }
}

fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process has a usage");
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}
