//! All messages of a listing, newest first, read with an eye on what is listed further on: listing is cheap, and a
//! conversation is worth reading as a whole only if enough of its messages are known to be wanted. Batches are on their way
//! while earlier ones are read; what is held does not grow with the mailbox.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::stream::BoxStream;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::Semaphore;

use super::super::api::{Api, LONGEST_PAGE};
use super::super::query::Search;
use super::super::{batch, convert, wire};
use super::hydration::{Hydrated, Listed, Prices, hydrate, hydrate_with};
use super::{LARGEST_BATCH, of_a_page};
use crate::error::{Error, Result};
use crate::http::Ahead as Request;
use crate::model::{Detail, Message, MessageId, PageToken, ThreadId};
use crate::provider::Trail;

/// How many listed messages are known beyond those that are being read, once somebody reads on: enough for the days in
/// which a conversation comes together, and little to hold. One that is scattered wider is read once for each stretch of
/// this length in which three or more of its messages are, and the others one by one: never for more than all one by one.
const KNOWN_AHEAD: usize = 3_000;

/// How many messages may be held that came with a conversation before their turn, and how many bytes of them.
const HELD: usize = 1_000;
const HELD_BYTES: u64 = 16 * 1024 * 1024;

/// Batches on their way at once; one more waits to be sent as soon as one is answered. The first ones are so short that they cost no more than one together: most who ask read no
/// further than that.
const AT_ONCE: usize = 4;
const FIRST_BATCH: usize = LARGEST_BATCH / AT_ONCE;

/// The messages that `search` finds, read as far as `read` says and shown as `detail` asks.
pub(in crate::gmail) fn stream(
    mut api: Api,
    search: Search,
    read: Detail,
    detail: Detail,
) -> BoxStream<'static, Result<Message>> {
    api.client.turns = Some(Arc::new(Semaphore::new(AT_ONCE)));
    let ahead = Ahead {
        prices: Prices::of(&api.client),
        source: Source { api, search, read },
        detail,
        plan: Plan::default(),
        listing: None,
        batches: FuturesOrdered::new(),
        asked: 0,
        told: 0,
        early: HashMap::new(),
        early_bytes: 0,
    };
    stream::unfold(Some(ahead), |ahead| async move {
        let mut ahead = ahead?;
        let items: Vec<Result<Message>> = match ahead.next().await? {
            Ok(items) => return Some((items, Some(ahead))),
            Err(error) => vec![Err(error)],
        };
        // An error about the listing ends it.
        Some((items, None))
    })
    .flat_map(stream::iter)
    .boxed()
}

#[derive(Clone)]
struct Source {
    api: Api,
    search: Search,
    read: Detail,
}

struct Ahead {
    source: Source,
    prices: Prices,
    detail: Detail,
    plan: Plan,
    listing: Option<Request<Result<wire::MessageList>>>,
    batches: FuturesOrdered<Request<(Vec<Slot>, Hydrated)>>,
    /// How many batches were asked for, and how many were told.
    asked: usize,
    told: usize,
    early: HashMap<MessageId, Message>,
    early_bytes: u64,
}

/// What stands in the listing, in its order.
enum Slot {
    /// It is read by this batch.
    Read,
    /// It came with an earlier one, or comes with this one's conversations.
    Early(Listed),
    Unnamed(Error),
}

enum Event {
    Listed(Result<wire::MessageList>),
    Read(Result<(Vec<Slot>, Hydrated)>),
}

impl Ahead {
    /// The next few messages; an error is about the whole listing.
    async fn next(&mut self) -> Option<Result<Vec<Result<Message>>>> {
        loop {
            self.ask();
            if self.batches.is_empty() && self.listing.is_none() {
                return self.plan.failed.take().map(Err);
            }
            match poll_fn(|context| self.poll(context)).await {
                Event::Listed(Ok(list)) => self.plan.add(list),
                Event::Listed(Err(error)) => self.plan.fail(error),
                Event::Read(Err(error)) => return Some(Err(error)),
                Event::Read(Ok((slots, read))) => {
                    self.told += 1;
                    return Some(self.settle(slots, read).await);
                }
            }
        }
    }

    /// Asks for what may be asked for now.
    fn ask(&mut self) {
        // Somebody reads on who was told all of the first batches.
        let reads_on = self.told >= AT_ONCE;
        let (most, most_units) = batch::largest(&self.source.api);
        let most = if reads_on { most } else { FIRST_BATCH };
        // Pages may be short and not the last.
        let known = if reads_on { KNOWN_AHEAD } else { most };
        if self.listing.is_none()
            && self.plan.waiting.len() < known
            && let Some(token) = self.plan.token()
        {
            let source = self.source.clone();
            let listing = async move {
                let token = token.as_ref().map(PageToken::as_str);
                source
                    .api
                    .messages(&source.search, LONGEST_PAGE, token)
                    .await
            };
            self.listing = Some(Request::start(listing));
        }
        let most_batches = AT_ONCE + usize::from(reads_on);
        while self.batches.len() < most_batches
            && (reads_on || self.asked < AT_ONCE)
            && let Some(batch) = self.plan.batch(
                self.prices,
                (most, most_units),
                self.early_bytes < HELD_BYTES,
            )
        {
            self.asked += 1;
            let source = self.source.clone();
            let read = async move {
                let Batch {
                    slots,
                    wanted,
                    later,
                } = batch;
                let read = hydrate_with(&source.api, &wanted, &later, source.read).await;
                (slots, read)
            };
            self.batches.push_back(Request::start(read));
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(listing) = &mut self.listing
            && let Poll::Ready(list) = listing.poll_unpin(context)
        {
            self.listing = None;
            return Poll::Ready(Event::Listed(list.flatten()));
        }
        match self.batches.poll_next_unpin(context) {
            Poll::Ready(Some(read)) => Poll::Ready(Event::Read(read)),
            // None are on their way: the listing wakes.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// The messages of a batch in the order of the listing.
    async fn settle(&mut self, slots: Vec<Slot>, read: Hydrated) -> Result<Vec<Result<Message>>> {
        for message in read.ahead {
            self.early_bytes += held(&message);
            self.early.insert(message.id.clone(), message);
        }
        let mut wanted = read.wanted.into_iter();
        let mut lacking = Vec::new();
        let mut items: Vec<Option<Result<Message>>> = Vec::with_capacity(slots.len());
        let mut unnamed = Vec::new();
        for slot in slots {
            match slot {
                Slot::Read => items.extend(wanted.next().map(Some)),
                Slot::Early(listed) => {
                    let early = self.early.remove(&listed.id);
                    if let Some(message) = &early {
                        self.early_bytes = self.early_bytes.saturating_sub(held(message));
                    } else {
                        lacking.push(listed);
                    }
                    items.push(early.map(Ok));
                }
                Slot::Unnamed(error) => unnamed.push(Err(error)),
            }
        }
        // Their conversation was not to be had after all.
        let mut lacking = if lacking.is_empty() {
            Vec::new().into_iter()
        } else {
            let Source { api, read, .. } = &self.source;
            hydrate(api, &lacking, *read).await.into_iter()
        };
        let items = items
            .into_iter()
            .filter_map(|item| item.or_else(|| lacking.next()));
        let items = of_a_page(items.collect())?;
        let mut items = self.source.search.residue.filtered(items, self.detail);
        items.extend(unnamed);
        Ok(items)
    }
}

/// How much a message holds: its bodies. What is attached does not come with it.
fn held(message: &Message) -> u64 {
    let bodies = [&message.body.text, &message.body.html];
    let bytes = bodies.into_iter().flatten().map(String::len).sum::<usize>();
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What one batch is about.
#[derive(Default)]
struct Batch {
    slots: Vec<Slot>,
    wanted: Vec<Listed>,
    later: Vec<Listed>,
}

/// What was listed and not yet asked for. Thousands may be, so each is little more than its names.
#[derive(Default)]
struct Plan {
    waiting: VecDeque<Waiting>,
    /// How many were taken away before the first of them: each has a number, by which the others name it.
    taken: usize,
    /// Those among them, by conversation.
    threads: HashMap<ThreadId, Mates>,
    /// Those among them that come with a conversation that was asked for.
    expected: HashSet<usize>,
    next: Next,
    trail: Trail,
    failed: Option<Error>,
}

/// A message that was listed, or an entry that names none.
struct Waiting {
    listed: Result<Listed>,
    /// The number of the next one of its conversation.
    mate: Option<usize>,
}

/// The messages of one conversation that wait: how many they are, and the numbers of the first and the last.
#[derive(Clone, Copy)]
struct Mates {
    count: usize,
    first: usize,
    last: usize,
}

#[derive(Default)]
enum Next {
    #[default]
    First,
    Page(PageToken),
    Nothing,
}

impl Plan {
    /// Which page to list next, if there is one.
    #[allow(
        clippy::option_option,
        reason = "no page, the first page, or one with a token"
    )]
    fn token(&self) -> Option<Option<PageToken>> {
        match &self.next {
            Next::First => Some(None),
            Next::Page(token) => Some(Some(token.clone())),
            Next::Nothing => None,
        }
    }

    fn add(&mut self, list: wire::MessageList) {
        let token = list.next_page_token.filter(|token| !token.is_empty());
        let goes_on = token.as_deref().map(|token| self.trail.go_on(token));
        if let Some(Err(error)) = goes_on {
            return self.fail(error.with_operation("gmail.messages.list"));
        }
        self.next = token.map_or(Next::Nothing, |token| Next::Page(PageToken::new(token)));
        for message in list.messages.into_iter().flatten().flatten() {
            let listed = convert::listed(message).map(|message| Listed::new(&message));
            if let Ok(Listed {
                thread: Some(thread),
                ..
            }) = &listed
            {
                self.add_mate(thread.clone());
            }
            self.waiting.push_back(Waiting { listed, mate: None });
        }
    }

    /// The next message that is added is one of this conversation.
    fn add_mate(&mut self, thread: ThreadId) {
        let number = self.taken + self.waiting.len();
        let alone = Mates {
            count: 0,
            first: number,
            last: number,
        };
        let mates = self.threads.entry(thread).or_insert(alone);
        let before = std::mem::replace(&mut mates.last, number);
        mates.count += 1;
        // The first one has none before it.
        let before = before.checked_sub(self.taken);
        if let Some(before) = before.and_then(|place| self.waiting.get_mut(place)) {
            before.mate = Some(number);
        }
    }

    /// A conversation's messages that wait, and their numbers.
    fn mates(&self, mates: Mates) -> impl Iterator<Item = (usize, Listed)> {
        let at = |number: usize| self.waiting.get(number.checked_sub(self.taken)?);
        let numbers = iter::successors(Some(mates.first), move |number| at(*number)?.mate);
        numbers.filter_map(move |number| {
            let listed = at(number)?.listed.as_ref();
            Some((number, listed.ok()?.clone()))
        })
    }

    fn fail(&mut self, error: Error) {
        self.next = Next::Nothing;
        self.failed = Some(error);
    }

    /// The next batch, if enough is known to fill one.
    fn batch(
        &mut self,
        prices: Prices,
        (most, most_units): (usize, u32),
        may_hold: bool,
    ) -> Option<Batch> {
        let of_messages = prices
            .message
            .saturating_mul(u32::try_from(most).unwrap_or(u32::MAX));
        let most_units = of_messages.min(most_units).max(prices.thread);
        let is_all = matches!(self.next, Next::Nothing);
        if self.waiting.is_empty() || (!is_all && self.waiting.len() < most) {
            return None;
        }
        let mut batch = Batch::default();
        let mut paid = 0;
        while let Some(first) = self.waiting.front() {
            let thread = first.listed.as_ref().ok();
            let thread = thread.and_then(|listed| listed.thread.as_ref());
            let mates = thread.and_then(|thread| self.threads.get(thread).copied());
            let is_read = first.listed.is_ok() && !self.expected.contains(&self.taken);
            if !is_read {
                let early = self
                    .take()
                    .map(|taken| taken.map_or_else(Slot::Unnamed, Slot::Early));
                batch.slots.extend(early);
                continue;
            }
            let mates = mates.filter(|mates| {
                may_hold
                    && prices.whole_is_cheaper(mates.count)
                    && self.expected.len() + mates.count <= HELD
            });
            let cost = match mates {
                Some(_) => prices.thread,
                None => prices.message,
            };
            if batch.wanted.len() >= most || paid + cost > most_units {
                break;
            }
            paid += cost;
            if let Some(mates) = mates {
                let later: Vec<(usize, Listed)> = self.mates(mates).skip(1).collect();
                for (number, mate) in later {
                    if self.expected.insert(number) {
                        batch.later.push(mate);
                    }
                }
            }
            batch.slots.push(Slot::Read);
            batch.wanted.extend(self.take().and_then(Result::ok));
        }
        Some(batch)
    }

    /// Takes the first of those that wait away.
    fn take(&mut self) -> Option<Result<Listed>> {
        let Waiting { listed, mate } = self.waiting.pop_front()?;
        self.expected.remove(&self.taken);
        self.taken += 1;
        if let Ok(Listed {
            thread: Some(thread),
            ..
        }) = &listed
        {
            match (mate, self.threads.get_mut(thread)) {
                (Some(first), Some(mates)) => {
                    mates.first = first;
                    mates.count -= 1;
                }
                _ => _ = self.threads.remove(thread),
            }
        }
        Some(listed)
    }
}
