//! What Outlook allows, as data, with source and date, and what work costs there. Keeping to what is allowed is the
//! scheduler's.

use std::time::Duration;

use chrono::TimeDelta;

use super::api::LONGEST_PAGE;
use super::reading::FULL_PAGE;
use crate::http::{Allowance, Limits};
use crate::model::{AccountType, Detail, Estimate, SendingLimits, Spent, Work};

/// Ten thousand requests in ten minutes and four at once, for each application and mailbox; 130,000 requests in ten seconds
/// for an application (<https://learn.microsoft.com/graph/throttling-limits>, 2024-06). The parts of a batch count.
const MAILBOX: Limits =
    Limits::concurrency(4).with_requests_per(10_000, Duration::from_secs(10 * 60));

pub(super) const ALLOWANCE: Allowance = Allowance {
    since_2026: MAILBOX,
    legacy: MAILBOX,
    project: Limits::concurrency(u32::MAX).with_requests_per(130_000, Duration::from_secs(10)),
    // Of 47 requests at once every one was answered with it (<https://github.com/elie222/inbox-zero/issues/3580>).
    disguises: &["ErrorAccessDenied"],
};

/// For how long a subscription to messages is asked to last: 10,080 minutes at most
/// (<https://learn.microsoft.com/graph/api/resources/subscription#subscription-lifetime>, 2026-09), and a little less for clocks
/// that differ.
pub(super) const SUBSCRIPTION: TimeDelta = TimeDelta::minutes(10_080 - 15);

/// The same where only what once was the most is taken (<https://github.com/Nine-Minds/alga-psa/issues/3092>).
pub(super) const OLDER_SUBSCRIPTION: TimeDelta = TimeDelta::minutes(4_230 - 15);

/// Exchange Online: 30 messages a minute, 10,000 recipients a day, 500 recipients of a message unless the organisation says
/// otherwise; a trial's organisation may send to 5,000 outsiders a day
/// (<https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits#sending-limits>,
/// 2026-07). What Outlook.com allows depends on an account's history, and is not published
/// (<https://support.microsoft.com/office/sending-limits-in-outlook-com-279ee200-594c-40f0-9ec8-bb6af7735c2e>, 2026-07): these
/// figures are careful ones of our own.
pub(super) const fn sending_limits(account: AccountType) -> SendingLimits {
    match account {
        AccountType::Personal => SendingLimits::new()
            .with_messages_per_minute(10)
            .with_messages_per_day(100)
            .with_recipients_per_day(100)
            .with_recipients_per_message(100)
            .with_uploaded_per_five_minutes(UPLOADED)
            .with_source("not published: careful figures of postroom's own (2026-11)"),
        AccountType::Organisation => SendingLimits::new()
            .with_messages_per_minute(30)
            .with_recipients_per_day(10_000)
            .with_recipients_per_message(500)
            .with_uploaded_per_five_minutes(UPLOADED)
            .with_source(EXCHANGE),
        AccountType::Trial => SendingLimits::new()
            .with_messages_per_minute(30)
            .with_recipients_per_day(5_000)
            .with_recipients_per_message(500)
            .with_uploaded_per_five_minutes(UPLOADED)
            .with_source(EXCHANGE),
    }
}

/// 150 MB in five minutes, for each application and mailbox
/// (<https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits>, 2026-07).
const UPLOADED: u64 = 150 * 1_000_000;

const EXCHANGE: &str = "https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits (2026-07)";

/// What some work costs. Outlook counts requests only, each part of a batch as one. How many folders were thrown away, what a
/// query leaves out and what else is looked up beside it depends on the mailbox.
pub(super) fn estimate(work: &Work<'_>) -> Estimate {
    let requests = |requests: u64| Spent::new(0, requests);
    match work {
        Work::List(count, detail) => {
            let usual = match detail {
                Detail::Full => FULL_PAGE,
                Detail::Headers => super::reading::PAGE,
                Detail::Ids => LONGEST_PAGE,
            };
            let pages = |size: u32| count.div_ceil(u64::from(size)).max(1);
            Estimate::open(
                requests(pages(LONGEST_PAGE)),
                requests(pages(usual).saturating_add(2)),
            )
        }
        // Attached items are asked for what they are.
        Work::Get(count, Detail::Full) => Estimate::open(requests(*count), requests(*count)),
        Work::Get(count, _) => Estimate::exact(requests(*count)),
        Work::Hydrate(listed, detail) => {
            let count = u64::try_from(listed.len()).unwrap_or(u64::MAX);
            estimate(&Work::Get(count, *detail))
        }
        // What a message is like is read before some changes, and what became of it after.
        Work::Apply(count) => Estimate::open(requests(*count), requests(*count)),
        // With the right to send alone it is one. Under a key of the host's it is looked for what lies there, the draft is marked,
        // and looked at, with two folders, before it is sent.
        Work::Send => Estimate::open(requests(1), requests(7)),
    }
}
