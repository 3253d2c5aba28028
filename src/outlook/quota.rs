//! What Outlook allows, as data, with source and date. Keeping to it is the scheduler's.

use std::time::Duration;

use crate::http::{Allowance, Limits};

/// Ten thousand requests in ten minutes and four at once, for each application and mailbox; 130,000 requests in ten seconds
/// for an application (<https://learn.microsoft.com/graph/throttling-limits>, 2024-06). The parts of a batch count.
const MAILBOX: Limits =
    Limits::concurrency(4).with_requests_per(10_000, Duration::from_secs(10 * 60));

pub(super) const ALLOWANCE: Allowance = Allowance {
    since_2026: MAILBOX,
    legacy: MAILBOX,
    project: Limits::concurrency(u32::MAX).with_requests_per(130_000, Duration::from_secs(10)),
};
