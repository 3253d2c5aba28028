//! Whose quota a refusal is about, and until when: Google counts by the minute and by the day, for each user and for a whole
//! project, and says which in more than one place.

use std::time::Duration;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc, Weekday};
use serde_json::Value;

use super::super::wire::{ErrorDetail, ErrorObject};

/// What was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gmail) struct Quota {
    /// Whether it is that of all users of the project together.
    pub(in crate::gmail) of_project: bool,
    /// Whether it is there again on the next day only.
    pub(in crate::gmail) of_day: bool,
}

/// The quota that a refusal with this code names. Where it names none it is the user's: the documented reasons do not tell
/// (<https://github.com/mxngls/gmail-cleaner/issues/5> has the project's for a user's).
pub(in crate::gmail) fn quota_named(object: &ErrorObject, codes: &[&str]) -> Quota {
    let details = || object.details.iter().flatten().flatten();
    let message = object.message.as_ref().and_then(Value::as_str);
    let message = message.unwrap_or_default();
    let has = |code| codes.contains(&code);
    // `1/min/{project}/{user}`, `1/d/{project}`
    if let Some(unit) = details().find_map(|detail| metadata(detail, "quota_unit")) {
        return Quota {
            of_project: !unit.contains("{user}"),
            of_day: unit.contains("/d/") || has("dailyLimitExceeded"),
        };
    }
    // `defaultPerMinutePerProject`, or in the text "limit 'Queries per minute per user'"
    let limit = details().find_map(|detail| metadata(detail, "quota_limit"));
    if let Some(limit) = limit.or_else(|| quoted_limit(message)) {
        let limit = limit.to_ascii_lowercase().replace(' ', "");
        return Quota {
            of_project: !limit.contains("peruser"),
            of_day: limit.contains("perday") || has("dailyLimitExceeded"),
        };
    }
    // A user's sending limit has the same code as the project's.
    let of_day = has("dailyLimitExceeded") && !message.to_ascii_lowercase().contains("user");
    Quota {
        of_project: of_day,
        of_day,
    }
}

fn metadata<'a>(detail: &'a ErrorDetail, name: &str) -> Option<&'a str> {
    detail.metadata.as_ref()?.get(name).and_then(Value::as_str)
}

/// The name in "… and limit 'Queries per minute' of service …".
fn quoted_limit(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("and limit '")?;
    let (limit, _) = rest.split_once('\'')?;
    Some(limit)
}

/// How long until the quota of a day is there again: at midnight on the Pacific coast of the United States
/// (<https://docs.cloud.google.com/docs/quotas/overview>).
pub(in crate::gmail) fn until_next_day(now: DateTime<Utc>) -> Duration {
    let local = now - offset(now);
    let Some(midnight) = local
        .date_naive()
        .checked_add_days(Days::new(1))
        .and_then(|day| day.and_hms_opt(0, 0, 0))
    else {
        return Duration::from_secs(24 * 60 * 60);
    };
    let in_summer = midnight.and_utc() + SUMMER;
    let midnight = in_summer - SUMMER + offset(in_summer);
    (midnight - now).to_std().unwrap_or_default()
}

const SUMMER: TimeDelta = TimeDelta::hours(7);
const WINTER: TimeDelta = TimeDelta::hours(8);

/// How far that coast's clocks are behind: an hour less from the second Sunday of March to the first of November, each at
/// two o'clock (<https://www.nist.gov/pml/time-and-frequency-division/popular-links/daylight-saving-time-dst>).
fn offset(now: DateTime<Utc>) -> TimeDelta {
    let at = |month, nth, hour| {
        let day = NaiveDate::from_weekday_of_month_opt(now.year(), month, Weekday::Sun, nth)?;
        Some(day.and_hms_opt(hour, 0, 0)?.and_utc())
    };
    match (at(3, 2, 10), at(11, 1, 9)) {
        (Some(begins), Some(ends)) if (begins..ends).contains(&now) => SUMMER,
        _ => WINTER,
    }
}
