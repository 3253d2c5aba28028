//! What Gmail allows, as data, with source and date. What each method costs stands beside it in `api.rs`; keeping to it is
//! the scheduler's.

use crate::http::{Allowance, Limits};

/// Units a minute for each user, and for all users of a project; units a day for a project
/// (<https://developers.google.com/workspace/gmail/api/reference/quota>, 2026-05). Projects that used the API from November
/// 2025 to April 2026 keep what they had.
///
/// Google names no number of requests in flight; above about five, accounts in the field begin to answer "Too many
/// concurrent requests for user".
pub(super) const ALLOWANCE: Allowance = Allowance {
    since_2026: Limits::concurrency(5).with_units_per_minute(6_000),
    legacy: Limits::concurrency(5).with_units_per_minute(15_000),
    project: Limits::concurrency(u32::MAX)
        .with_units_per_minute(1_200_000)
        .with_units_per_day(80_000_000),
};
