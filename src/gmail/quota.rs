//! What Gmail allows, as data, with source and date, and what work costs there. What each method costs stands beside it in
//! `api.rs`; keeping to what is allowed is the scheduler's.

use super::api::{LONGEST_PAGE, MOST_IDS, units};
use super::reading::{self, Listed, Prices};
use crate::http::{Allowance, ApiClient, Limits};
use crate::model::{AccountType, Detail, Estimate, SendingLimits, Spent, Work};

/// Units a minute for each user, and for all users of a project; units a day for a project
/// (<https://developers.google.com/workspace/gmail/api/reference/quota>, 2026-05). Projects that used the API from November
/// 2025 to April 2026 keep what they had.
///
/// Google names no number of requests in flight; above about five, accounts in the field begin to answer "Too many
/// concurrent requests for user".
pub(super) const ALLOWANCE: Allowance = Allowance {
    since_2026: Limits::concurrency(5).with_units_per_minute(6_000),
    legacy: Limits::concurrency(5)
        .with_units_per_minute(15_000)
        .with_costs(LEGACY),
    project: Limits::concurrency(u32::MAX)
        .with_units_per_minute(1_200_000)
        .with_units_per_day(80_000_000),
    disguises: &[],
};

/// What methods cost before May 2026, where that was less (<https://developers.google.com/gmail/api/reference/quota> as it
/// was in 2025). Google says of projects that keep what they had that their quotas stay, and not what their calls cost: where
/// those cost more, the service refuses some, and is asked for less.
const LEGACY: &[(&str, u32)] = &[
    ("gmail.messages.get", 5),
    ("gmail.messages.attachments.get", 5),
    ("gmail.drafts.get", 5),
    ("gmail.threads.get", 10),
];

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

/// How many messages a page has while it is read, at least.
const SHORT_PAGE: u64 = 50;

/// Of the units that messages cost one by one, what a usual mailbox's cost by conversations, in hundredths.
const BY_CONVERSATIONS: u64 = 65;

/// What some work costs. Bodies so long that they do not come with their message, at 20 units each, are the reason why some
/// have no upper bound.
pub(super) fn estimate(client: &ApiClient, work: &Work<'_>, one_by_one: usize) -> Estimate {
    let price = |operation, usual| u64::from(client.units(operation, usual));
    let get = price("gmail.messages.get", units::MESSAGES_GET);
    let list = price("gmail.messages.list", units::MESSAGES_LIST);
    let listing = |pages: u64| Estimate::exact(Spent::new(pages * list, pages));
    match work {
        Work::List(count, Detail::Ids) => listing(pages(*count, u64::from(LONGEST_PAGE))),
        Work::List(count, detail) => {
            let (least, most) = (
                pages(*count, u64::from(LONGEST_PAGE)),
                pages(*count, SHORT_PAGE),
            );
            let listed = list;
            let one_each = count.saturating_mul(get);
            let thread = price("gmail.threads.get", units::THREADS_GET).min(one_each);
            let likely = one_each.saturating_mul(BY_CONVERSATIONS) / 100;
            let estimate = Estimate::open(
                Spent::new(least * listed + thread, least + (*count).min(1)),
                Spent::new(least * listed + likely.max(thread), least + count / 2),
            );
            bounded(
                estimate,
                *detail,
                Spent::new(
                    (most * listed).saturating_add(one_each),
                    most.saturating_add(*count),
                ),
            )
        }
        Work::Get(count, detail) => {
            let units = count.saturating_mul(get);
            let cost = Spent::new(units, *count);
            bounded(Estimate::open(cost, cost), *detail, cost)
        }
        Work::Hydrate(listed, _) => {
            let wanted: Vec<Listed> = listed.iter().map(Listed::new).collect();
            let cost = reading::cost(&wanted, Prices::of(client));
            // A conversation that is gone is paid for, and its messages after it.
            Estimate::open(cost, cost)
        }
        Work::Apply(count) if usize::try_from(*count).is_ok_and(|count| count <= one_by_one) => {
            let least =
                count.saturating_mul(price("gmail.messages.modify", units::MESSAGES_MODIFY));
            let most = count.saturating_mul(price("gmail.messages.delete", units::MESSAGES_DELETE));
            let likely = Spent::new(least, *count);
            Estimate::open(likely, likely).at_most(Spent::new(most, *count))
        }
        Work::Apply(count) => {
            let requests = pages(*count, u64::try_from(MOST_IDS).unwrap_or(u64::MAX));
            let units = requests.saturating_mul(price(
                "gmail.messages.batchModify",
                units::MESSAGES_BATCH_MODIFY,
            ));
            Estimate::exact(Spent::new(units, requests))
        }
        Work::Send => {
            let sending = price("gmail.messages.send", units::MESSAGES_SEND);
            let drafting = price("gmail.drafts.create", units::DRAFTS_CREATE);
            Estimate::open(Spent::new(sending, 2), Spent::new(sending + drafting, 2))
        }
    }
}

fn bounded(estimate: Estimate, detail: Detail, most: Spent) -> Estimate {
    match detail {
        Detail::Full => estimate,
        _ => estimate.at_most(most),
    }
}

/// As many pages as so many messages take; one is asked for to know that there are none.
fn pages(count: u64, size: u64) -> u64 {
    count.div_ceil(size).max(1)
}
