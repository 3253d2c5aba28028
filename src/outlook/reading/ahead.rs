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
use super::{FULL_PAGE, LONGEST_FULL_PAGE, OwnFolders, page_of};
use crate::error::{ErrorKind, Result};
use crate::http::{Ahead as Request, Stopwatch};
use crate::model::{Detail, Message, MessageId, Page, PageRequest, PageToken, Query};

/// Ranges that are asked for at once: as many requests as the service takes from a mailbox.
const AT_ONCE: usize = 4;

/// How long a page may take, so that others wait no longer for their turn.
const LONGEST: Duration = Duration::from_millis(500);

/// The shortest page, also where longer ones fail.
const SHORTEST_PAGE: u32 = 10;

/// The first page of a listing whose messages are not whole, and the longest unless the host says: together the pages under way
/// have no more messages than one page of the service's may have.
const FIRST_PAGE: u32 = 100;
const LONGEST_LISTED_PAGE: u32 = LONGEST_PAGE / 4;

/// As much of the service's text a page has at most, as far as those before it tell.
const LONGEST_TEXT: usize = 1024 * 1024;

/// As many times as long a page is at most than the one before it, however fast that came.
const LONGER: f64 = 8.0;

/// Shorter pages are not worth being asked for at the same time: how much is in a range is off by chance alone.
const SHORTEST_RANGE: u32 = 20;

/// Ids are read in the longest pages that there are, one after another. Only where two of them are not all is it worth
/// more requests to divide the rest: of 20,000 ids it halves the time, of 2,000 it would make it longer.
const PAGES_OF_IDS: u32 = 2;

/// Fewer messages do not tell how many others there are in a time.
const TELLING: usize = 8;

/// The messages that `query` means, read as far as `detail` asks, in pages that are no longer than `size` says; none where
/// those would be too short for ranges.
pub(in crate::outlook) fn stream(
    api: &Api,
    own: &Arc<OwnFolders>,
    query: &Query,
    detail: Detail,
    size: Option<u32>,
) -> Option<BoxStream<'static, Result<Message>>> {
    let (first, usual, longest) = match detail {
        Detail::Full => (FULL_PAGE, LONGEST_FULL_PAGE, LONGEST_FULL_PAGE),
        Detail::Headers => (FIRST_PAGE, LONGEST_LISTED_PAGE, LONGEST_PAGE),
        Detail::Ids => (LONGEST_PAGE, LONGEST_PAGE, LONGEST_PAGE),
    };
    let longest = size.map_or(usual, |size| size.min(longest));
    if longest < SHORTEST_RANGE {
        return None;
    }
    let ahead = Ahead {
        source: Arc::new(Source {
            api: api.clone(),
            own: Arc::clone(own),
            query: query.clone(),
            detail,
        }),
        size: first.min(longest),
        longest,
        undivided: match detail {
            Detail::Ids => PAGES_OF_IDS,
            _ => 1,
        },
        place: Place::Open(None, None),
        before_open: Some(AT_ONCE - 1),
        ranges: FuturesOrdered::new(),
        rest: None,
        seen: HashSet::new(),
        seen_in: None,
    };
    let pages = stream::unfold(Some(ahead), |ahead| async move {
        let mut ahead = ahead?;
        match ahead.next().await? {
            Ok(items) => Some((items, Some(ahead))),
            // An error about a page ends the listing.
            Err(error) => Some((vec![Err(error)], None)),
        }
    });
    Some(pages.flat_map(stream::iter).boxed())
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
    /// How many pages are read one after another before the rest is divided.
    undivided: u32,
    place: Place,
    /// How many more ranges are asked for before an open page tells whether there is more than those, once in a listing: one that
    /// ends there needs no further request, and a longer one waits for it this once.
    before_open: Option<usize>,
    ranges: FuturesOrdered<Request<Read>>,
    /// The rest of a range that has more than a page.
    rest: Option<(Query, PageToken)>,
    /// What was told of the second in which the ranges begin, and that second.
    seen: HashSet<MessageId>,
    seen_in: Option<DateTime<Utc>>,
}

/// How far a listing was asked for.
enum Place {
    /// All that is older than this, from this page on.
    Open(Option<DateTime<Utc>>, Option<PageToken>),
    /// All that is older than this, in ranges; so many messages are thought to be in a second.
    Divided(DateTime<Utc>, f64),
    /// As far as one open page goes that is on its way: it tells how to go on.
    Asked,
    End,
}

/// What became of a request.
struct Read {
    query: Query,
    page: Result<Page<Result<Message>>>,
    about: About,
    /// How long the service took for it, whatever came before, and how long its answer was.
    took: Duration,
    bytes: usize,
}

/// The time that a request is about.
#[derive(Clone, Copy)]
enum About {
    /// A range in which so many messages are thought to be.
    Range(f64),
    /// All that is older than this.
    OlderThan(Option<DateTime<Utc>>),
    /// More of a range.
    Rest,
}

impl Ahead {
    async fn next(&mut self) -> Option<Result<Vec<Result<Message>>>> {
        if let Some((query, token)) = self.rest.take() {
            let read = self.source.read(query, self.size, Some(token), About::Rest);
            let read = read.await;
            return Some(self.range(read));
        }
        self.ask();
        let read = match self.ranges.next().await? {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        self.adapt(&read);
        Some(match read.about {
            About::Range(_) | About::Rest => self.range(read),
            About::OlderThan(until) => self.open(read, until),
        })
    }

    /// Asks for as much as may be under way.
    fn ask(&mut self) {
        while self.ranges.len() < AT_ONCE {
            let (query, token, about) = match &mut self.place {
                Place::Divided(until, density) => {
                    let (width, meant) = width(self.size, *density);
                    let is_open = self.before_open == Some(0);
                    self.before_open = match self.before_open {
                        Some(ranges) if ranges > 0 => Some(ranges - 1),
                        _ => None,
                    };
                    // When mail came is outside data, and may be when no clock goes.
                    let from = until.checked_sub_signed(width);
                    let Some(from) = from.filter(|_| !is_open) else {
                        self.place = Place::Open(Some(*until), None);
                        continue;
                    };
                    let query = self.source.older_than(Some(*until)).and(Query::After(from));
                    *until = from;
                    (query, None, About::Range(meant))
                }
                Place::Open(until, token) => {
                    let (until, token) = (*until, token.take());
                    self.place = Place::Asked;
                    let query = self.source.older_than(until);
                    (query, token, About::OlderThan(until))
                }
                Place::Asked | Place::End => return,
            };
            let (source, size) = (Arc::clone(&self.source), self.size);
            let read = async move { source.read(query, size, token, about).await };
            self.ranges.push_back(Request::start(read));
        }
    }

    /// The messages of an open page, which tells how to go on.
    fn open(&mut self, read: Read, until: Option<DateTime<Utc>>) -> Result<Vec<Result<Message>>> {
        let page = read.page?;
        let items = self.unseen(page.items);
        self.undivided = self.undivided.saturating_sub(1);
        self.place = match (page.next, divided(&items)) {
            (None, _) => Place::End,
            (Some(_), Some((begin, density))) if self.undivided == 0 => {
                let in_it = |message: &&Message| message.received_at < Some(begin);
                let last = items.iter().flatten().filter(in_it);
                self.seen = last.map(|message| message.id.clone()).collect();
                self.seen_in = Some(begin - SECOND);
                Place::Divided(begin, density)
            }
            (Some(token), _) => Place::Open(until, Some(token)),
        };
        Ok(items)
    }

    /// The messages of a range, as far as they came.
    fn range(&mut self, read: Read) -> Result<Vec<Result<Message>>> {
        let page = read.page?;
        let found = u32::try_from(page.items.len()).map_or(f64::MAX, f64::from);
        if let (Place::Divided(until, density), About::Range(meant)) = (&mut self.place, read.about)
        {
            if page.next.is_some() {
                *density *= DENSER;
            } else if found < meant * FAR_LESS {
                // There may be nothing older, or only much older: an open page tells, while other ranges are on their way.
                self.place = Place::Open(Some(*until), None);
            } else if found < meant * LESS {
                *density /= THINNER;
            }
        }
        self.rest = page.next.map(|token| (read.query, token));
        Ok(self.unseen(page.items))
    }

    /// Those that were not told before.
    fn unseen(&self, mut items: Vec<Result<Message>>) -> Vec<Result<Message>> {
        // Nearly all are older.
        let is_seen =
            |one: &Message| one.received_at >= self.seen_in && self.seen.contains(&one.id);
        items.retain(|item| !item.as_ref().is_ok_and(is_seen));
        items
    }

    /// Pages are as long as they may be without taking too long, or being too much to hold.
    fn adapt(&mut self, read: &Read) {
        if read.took > LONGEST {
            self.size = (self.size / 2).max(SHORTEST_PAGE);
        } else if let Ok(page) = &read.page {
            self.size =
                longer(self.size, page.items.len(), read.took, read.bytes).min(self.longest);
        }
    }
}

/// How long the next pages are, of `size` messages until now, where so many came in so much time and text. It never takes longer
/// for each message of a longer page than of a shorter one, but for what the service is slow with by chance.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some thousand at most"
)]
fn longer(size: u32, told: usize, took: Duration, bytes: usize) -> u32 {
    if told < TELLING {
        return size;
    }
    let told = u32::try_from(told).map_or(f64::MAX, f64::from);
    let ease = LONGEST.as_secs_f64() / 3.0 / took.as_secs_f64().max(f64::MIN_POSITIVE);
    let in_time = (told * ease.min(LONGER)) as u32;
    let each = u32::try_from(bytes).map_or(f64::MAX, f64::from) / told;
    let text = u32::try_from(LONGEST_TEXT).map_or(f64::MAX, f64::from);
    let held = (text / each.max(1.0)) as u32;
    in_time.max(size).min(held).max(SHORTEST_PAGE)
}

const SECOND: TimeDelta = TimeDelta::seconds(1);

/// By how much more there is in a time than was thought where a range has more than a page.
const DENSER: f64 = 1.6;

/// By how much less there is where a range has less than this part of what was thought.
const THINNER: f64 = 1.3;
const LESS: f64 = 0.7;

/// Where it has less than this part, what was thought is wrong.
const FAR_LESS: f64 = 0.4;

/// Where ranges begin and how much is in a second, if a page tells: after its oldest message, the second of which may go on.
fn divided(items: &[Result<Message>]) -> Option<(DateTime<Utc>, f64)> {
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
    let begin = oldest.trunc_subsecs(0).checked_add_signed(SECOND)?;
    let all = newest.signed_duration_since(*oldest);
    let messages = f64::from(u32::try_from(times.len()).ok()?);
    let density = messages / all.as_seconds_f64();
    (all >= SECOND).then_some((begin, density))
}

/// How wide a range is so that a page of this size most likely holds it, and how many messages are then thought to be in it:
/// so much less than a page as it may be off by chance alone. It has whole seconds, at least one, and at most some years.
#[allow(clippy::cast_possible_truncation, reason = "seconds of a few years")]
fn width(size: u32, density: f64) -> (TimeDelta, f64) {
    const YEARS: f64 = 5.0 * 365.0 * 24.0 * 60.0 * 60.0;
    let size = f64::from(size);
    let meant = size - 1.5 * size.sqrt();
    let seconds = (meant / density).clamp(1.0, YEARS);
    (TimeDelta::seconds(seconds as i64), meant)
}

impl Source {
    fn older_than(&self, until: Option<DateTime<Utc>>) -> Query {
        match until {
            Some(until) => self.query.clone().and(Query::Before(until)),
            None => self.query.clone(),
        }
    }

    /// One page. A service that fails on a long one is asked for a short one.
    async fn read(&self, query: Query, size: u32, token: Option<PageToken>, about: About) -> Read {
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
        let (mut took, bytes) = stopwatch.read();
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
            about,
            took,
            bytes,
        }
    }
}
