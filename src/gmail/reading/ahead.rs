//! All messages of a listing, newest first, read with an eye on what is listed further on: listing is cheap, and a
//! conversation is worth reading as a whole only if enough of its messages are known to be wanted. Batches are on their way
//! while earlier ones are read; what is held does not grow with the mailbox.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_core::stream::BoxStream;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt, stream};

use super::super::api::{Api, LONGEST_PAGE};
use super::super::query::Search;
use super::super::{batch, convert, wire};
use super::hydration::{Hydrated, Listed, Prices, hydrate, hydrate_with};
use super::{LARGEST_BATCH, of_a_page};
use crate::error::{Error, Result};
use crate::http::Ahead as Request;
use crate::model::{Detail, Message, MessageId, PageToken, ThreadId};

/// How many listed messages are known beyond those that are being read, once somebody reads on: enough for the days in
/// which a conversation comes together, and little to hold. One that is scattered wider is read once for each stretch of
/// this length in which three or more of its messages are, and the others one by one: never for more than all one by one.
const KNOWN_AHEAD: usize = 3_000;

/// How many messages may be held that came with a conversation before their turn, and how many bytes of them.
const HELD: usize = 1_000;
const HELD_BYTES: u64 = 16 * 1024 * 1024;

/// Batches on their way at once. The first ones are so short that they cost no more than one together: most who ask read no
/// further than that.
const AT_ONCE: usize = 4;
const FIRST_BATCH: usize = LARGEST_BATCH / AT_ONCE;

/// The messages that `search` finds, read as far as `read` says and shown as `detail` asks.
pub(in crate::gmail) fn stream(
    api: Api,
    search: Search,
    read: Detail,
    detail: Detail,
) -> BoxStream<'static, Result<Message>> {
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
        while self.batches.len() < AT_ONCE
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

/// What was listed and not yet asked for.
#[derive(Default)]
struct Plan {
    waiting: VecDeque<Result<Listed>>,
    /// Those among them, by conversation.
    threads: HashMap<ThreadId, VecDeque<MessageId>>,
    /// Those among them that come with a conversation that was asked for.
    expected: HashSet<MessageId>,
    next: Next,
    failed: Option<Error>,
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
        let next = token.map_or(Next::Nothing, |token| Next::Page(PageToken::new(token)));
        if let (Next::Page(told), Next::Page(asked)) = (&next, &self.next)
            && told == asked
        {
            return self.fail(super::itself());
        }
        self.next = next;
        for message in list.messages.into_iter().flatten().flatten() {
            let listed = convert::listed(message).map(|message| Listed::new(&message));
            if let Ok(Listed {
                id,
                thread: Some(thread),
            }) = &listed
            {
                let mates = self.threads.entry(thread.clone()).or_default();
                mates.push_back(id.clone());
            }
            self.waiting.push_back(listed);
        }
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
            let listed = match first {
                Ok(listed) => listed.clone(),
                Err(error) => {
                    batch.slots.push(Slot::Unnamed(error.clone()));
                    self.waiting.pop_front();
                    continue;
                }
            };
            if self.expected.remove(&listed.id) {
                self.consume(&listed);
                batch.slots.push(Slot::Early(listed));
                continue;
            }
            let mates = listed
                .thread
                .as_ref()
                .and_then(|thread| self.threads.get(thread));
            let mates = mates.filter(|mates| {
                may_hold
                    && prices.whole_is_cheaper(mates.len())
                    && self.expected.len() + mates.len() <= HELD
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
                for mate in mates.iter().filter(|mate| **mate != listed.id) {
                    if self.expected.insert(mate.clone()) {
                        batch.later.push(Listed {
                            id: mate.clone(),
                            thread: listed.thread.clone(),
                        });
                    }
                }
            }
            self.consume(&listed);
            batch.slots.push(Slot::Read);
            batch.wanted.push(listed);
        }
        Some(batch)
    }

    /// Takes the first of those that wait away.
    fn consume(&mut self, listed: &Listed) {
        self.waiting.pop_front();
        if let Some(thread) = &listed.thread
            && let Some(mates) = self.threads.get_mut(thread)
        {
            mates.retain(|mate| *mate != listed.id);
            if mates.is_empty() {
                self.threads.remove(thread);
            }
        }
    }
}
