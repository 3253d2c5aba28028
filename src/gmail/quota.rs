//! What Gmail allows, as data, with source and date. What each method costs stands beside it in `api.rs`; keeping to it is
//! the scheduler's.

use crate::http::{Allowance, Limits};
use crate::model::{AccountType, SendingLimits};

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

/// 500 messages a day for a personal account (<https://support.google.com/mail/answer/22839>, 2026-05); for one of a Workspace
/// 2,000 a day, or 500 in a trial, and 10,000 recipients (<https://support.google.com/a/answer/166852>, 2026-09). Through the
/// API a message of a Workspace has at most 500 recipients; of a personal account, 100. The days are rolling, and what is
/// sent in the browser and by SMTP counts.
pub(super) const fn sending_limits(account: AccountType) -> SendingLimits {
    match account {
        AccountType::Personal => SendingLimits::new()
            .with_messages_per_day(500)
            .with_recipients_per_day(500)
            .with_recipients_per_message(100)
            .with_source("https://support.google.com/mail/answer/22839 (2026-05)"),
        AccountType::Organisation => SendingLimits::new()
            .with_messages_per_day(2_000)
            .with_recipients_per_day(10_000)
            .with_recipients_per_message(500)
            .with_source("https://support.google.com/a/answer/166852 (2026-09)"),
        AccountType::Trial => SendingLimits::new()
            .with_messages_per_day(500)
            .with_recipients_per_day(500)
            .with_recipients_per_message(500)
            .with_source("https://support.google.com/a/answer/166852 (2026-09)"),
    }
}
