//! All messages of a listing, newest first, read in ranges of time that are asked for at the same time: pages of one listing
//! follow one another, and the service takes its time for each. Where a listing cannot be divided without doubt, its pages
//! are followed. What is held is a page for each request that is under way.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use futures_core::stream::BoxStream;
use futures_util::stream::FuturesOrdered;
use futures_util::{StreamExt, stream};

use super::super::api::{Api, LONGEST_PAGE};
use super::{FULL_PAGE, LONGEST_FULL_PAGE, OwnFolders, PAGE, page_of};
use crate::error::{ErrorKind, Result};
use crate::http::{Ahead as Request, Stopwatch};
use crate::model::{Detail, Message, MessageId, Page, PageRequest, PageToken, Query};

/// Ranges that are asked for at once: as many requests as the service takes from a mailbox.
const AT_ONCE: usize = 4;

/// How long a page may take, so that others wait no longer for their turn.
const LONGEST: Duration = Duration::from_millis(500);

/// The shortest page, also where longer ones fail.
const SHORTEST_PAGE: u32 = 10;

/// How much of a page a range is meant to fill: most are then read with one.
const FILLED: f64 = 0.7;

/// Fewer messages do not tell how many others there are in a time.
const TELLING: usize = 8;

/// The messages that `query` means, read as far as `detail` asks.
pub(in crate::outlook) fn stream(
    api: Api,
    own: Arc<OwnFolders>,
    query: Query,
    detail: Detail,
) -> BoxStream<'static, Result<Message>> {
    let (usual, longest) = match detail {
        Detail::Full => (FULL_PAGE, LONGEST_FULL_PAGE),
        _ => (PAGE, LONGEST_PAGE),
    };
    let ahead = Ahead {
        source: Arc::new(Source {
            api,
            own,
            query,
            detail,
        }),
        size: usual,
        longest,
        place: Place::Open(None, None),
        ranges: FuturesOrdered::new(),
        rest: None,
        seen: HashSet::new(),
    };
    stream::unfold(Some(ahead), |ahead| async move {
        let mut ahead = ahead?;
        match ahead.next().await? {
            Ok(items) => Some((items, Some(ahead))),
            // An error about a page ends the listing.
            Err(error) => Some((vec![Err(error)], None)),
        }
    })
    .flat_map(stream::iter)
    .boxed()
}

struct Source {
    api: Api,
    own: Arc<OwnFolders>,
    query: Query,
    detail: Detail,
}

struct Ahead {
    source: Arc<Source>,
    /// How many messages the next pages have.
    size: u32,
    longest: u32,
    place: Place,
    ranges: FuturesOrdered<Request<Read>>,
    /// The rest of a range that has more than a page.
    rest: Option<(Query, PageToken)>,
    /// What was told of the second in which the ranges begin.
    seen: HashSet<MessageId>,
}

/// How far a listing was asked for.
enum Place {
    /// All that is older than this, from this page on.
    Open(Option<DateTime<Utc>>, Option<PageToken>),
    /// All that is older than this, in ranges that are so wide.
    Divided(DateTime<Utc>, TimeDelta),
    End,
}

/// What became of a request.
struct Read {
    query: Query,
    page: Result<Page<Result<Message>>>,
    size: u32,
    /// How long the service took for it, whatever came before.
    took: Duration,
}

impl Ahead {
    async fn next(&mut self) -> Option<Result<Vec<Result<Message>>>> {
        if let Some((query, token)) = self.rest.take() {
            let read = self.source.read(query, self.size, Some(token)).await;
            return Some(self.range(read));
        }
        self.ask();
        if let Some(read) = self.ranges.next().await {
            let read = match read {
                Ok(read) => read,
                Err(error) => return Some(Err(error)),
            };
            self.adapt(&read);
            return Some(self.range(read));
        }
        let Place::Open(until, token) = std::mem::replace(&mut self.place, Place::End) else {
            return None;
        };
        let query = self.source.older_than(until);
        let read = self.source.read(query, self.size, token).await;
        self.adapt(&read);
        let page = match read.page {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        if let Some(token) = page.next {
            self.place = match divided(&page.items, self.size) {
                Some((until, width)) => {
                    let second = |message: &&Message| message.received_at >= Some(until - SECOND);
                    let last = page.items.iter().flatten().filter(second);
                    self.seen = last.map(|message| message.id.clone()).collect();
                    Place::Divided(until, width)
                }
                None => Place::Open(until, Some(token)),
            };
        }
        Some(Ok(page.items))
    }

    /// Asks for as many ranges as may be under way.
    fn ask(&mut self) {
        while let Place::Divided(until, width) = &mut self.place
            && self.ranges.len() < AT_ONCE
        {
            let from = *until - *width;
            let query = self.source.older_than(Some(*until)).and(Query::After(from));
            *until = from;
            let (source, size) = (Arc::clone(&self.source), self.size);
            let read = async move { source.read(query, size, None).await };
            self.ranges.push_back(Request::start(read));
        }
    }

    /// The messages of a range, as far as they came.
    fn range(&mut self, read: Read) -> Result<Vec<Result<Message>>> {
        let page = read.page?;
        let found = page.items.len();
        let has_more = page.next.is_some();
        if let Place::Divided(until, width) = &mut self.place {
            if found == 0 && !has_more {
                // There may be nothing older, or only much older: whatever comes after the ranges on their way tells.
                self.place = Place::Open(Some(*until), None);
            } else if has_more {
                *width = scaled(*width, 0.6);
            } else if found < usize::try_from(read.size).unwrap_or_default() * 2 / 5 {
                *width = scaled(*width, 1.6);
            }
        }
        self.rest = page.next.map(|token| (read.query, token));
        let new =
            |item: &Result<Message>| !item.as_ref().is_ok_and(|one| self.seen.contains(&one.id));
        Ok(page.items.into_iter().filter(new).collect())
    }

    /// Pages are as long as they may be without taking too long.
    fn adapt(&mut self, read: &Read) {
        if read.took > LONGEST {
            self.size = (self.size / 2).max(SHORTEST_PAGE);
        } else if read.took < LONGEST / 3 && read.page.is_ok() {
            self.size = (self.size + self.size / 2).min(self.longest);
        }
    }
}

const SECOND: TimeDelta = TimeDelta::seconds(1);

/// Where ranges begin and how wide they are, if a page tells: after its oldest message, the second of which may go on.
fn divided(items: &[Result<Message>], size: u32) -> Option<(DateTime<Utc>, TimeDelta)> {
    let times: Option<Vec<DateTime<Utc>>> = items
        .iter()
        .map(|item| item.as_ref().ok()?.received_at)
        .collect();
    let times = times.filter(|times| times.len() >= TELLING)?;
    let (oldest, newest) = (times.iter().min()?, times.iter().max()?);
    // What is not in order cannot be divided by it.
    if !times.is_sorted_by(|one, next| one >= next) {
        return None;
    }
    let all = *newest - *oldest;
    let messages = f64::from(u32::try_from(times.len()).ok()?);
    let width = scaled(all, f64::from(size) * FILLED / messages);
    (all >= SECOND).then(|| (oldest.trunc_subsecs(0) + SECOND, width))
}

/// A range of whole seconds, at least one and at most some years.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "seconds of a few years"
)]
fn scaled(width: TimeDelta, by: f64) -> TimeDelta {
    const YEARS: f64 = 5.0 * 365.0 * 24.0 * 60.0 * 60.0;
    let seconds = (width.num_seconds() as f64 * by).clamp(1.0, YEARS);
    TimeDelta::seconds(seconds as i64)
}

impl Source {
    fn older_than(&self, until: Option<DateTime<Utc>>) -> Query {
        match until {
            Some(until) => self.query.clone().and(Query::Before(until)),
            None => self.query.clone(),
        }
    }

    /// One page. A service that fails on a long one is asked for a short one.
    async fn read(&self, query: Query, size: u32, token: Option<PageToken>) -> Read {
        let stopwatch = Stopwatch::default();
        let mut api = self.api.clone();
        api.client.stopwatch = Some(stopwatch.clone());
        let ask = |size: u32, token: Option<PageToken>| {
            let mut request = PageRequest::first().with_size(size);
            request.token = token;
            request
        };
        let is_first = query == self.query && token.is_none();
        let request = ask(size, token.clone());
        let mut page = page_of(&api, &self.own, &query, self.detail, &request, is_first).await;
        let mut took = stopwatch.longest();
        if token.is_none()
            && size > SHORTEST_PAGE
            && let Err(error) = &page
            && error.kind() == ErrorKind::Unavailable
            && error.status().is_some()
        {
            let request = ask(SHORTEST_PAGE, None);
            took = Duration::MAX;
            page = page_of(&api, &self.own, &query, self.detail, &request, false).await;
        }
        Read {
            query,
            page,
            size,
            took,
        }
    }
}
