//! The cheapest way to read listed messages. A conversation is read as a whole where that costs fewer units than its wanted
//! messages one by one; what it lacks is read one by one after all. Which messages are wanted is the callers' to know.

use std::collections::{HashMap, HashSet};

use super::super::api::{Api, units};
use super::super::{batch, convert, wire};
use super::{MESSAGE, format};
use crate::error::{Error, Result};
use crate::http::{Answer, ApiClient, parse, protocol};
use crate::model::{Detail, Message, MessageId, Spent, ThreadId};

const THREAD: &str = "gmail.threads.get";

/// What reading one of each costs, in quota units.
#[derive(Clone, Copy, Debug)]
pub(in crate::gmail) struct Prices {
    pub(super) message: u32,
    pub(super) thread: u32,
}

impl Prices {
    pub(in crate::gmail) fn of(client: &ApiClient) -> Self {
        Self {
            message: client.units(MESSAGE, units::MESSAGES_GET),
            thread: client.units(THREAD, units::THREADS_GET),
        }
    }

    /// What reading so many messages one by one costs.
    pub(in crate::gmail) fn of_messages(self, messages: usize) -> u64 {
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        u64::from(self.message).saturating_mul(messages)
    }

    /// Whether reading all of a conversation costs less than so many messages of it: three, where a message costs half of
    /// that (<https://developers.google.com/workspace/gmail/api/reference/quota>, 2026-05).
    pub(super) fn whole_is_cheaper(self, messages: usize) -> bool {
        self.of_messages(messages) > u64::from(self.thread)
    }
}

/// A message that is to be read.
#[derive(Clone, Debug)]
pub(in crate::gmail) struct Listed {
    pub(in crate::gmail) id: MessageId,
    /// Its conversation, if a listing told.
    pub(in crate::gmail) thread: Option<ThreadId>,
}

impl Listed {
    pub(in crate::gmail) fn new(message: &Message) -> Self {
        Self {
            id: message.id.clone(),
            thread: message.thread.clone(),
        }
    }
}

/// What reading some messages gave.
pub(in crate::gmail) struct Hydrated {
    /// One answer for each that was wanted, in order.
    pub(in crate::gmail) wanted: Vec<Result<Message>>,
    /// Of those that are wanted later, the ones that came with a conversation.
    pub(in crate::gmail) ahead: Vec<Message>,
}

/// Reads messages as far as `detail` asks, for as few units as can be.
pub(in crate::gmail) async fn hydrate(
    api: &Api,
    wanted: &[Listed],
    detail: Detail,
) -> Vec<Result<Message>> {
    hydrate_with(api, wanted, &[], detail).await.wanted
}

/// The same, knowing some of what will be wanted later: a conversation that is worth reading as a whole for all of it is read
/// now. It may take as much memory as the conversations of `wanted` do.
pub(in crate::gmail) async fn hydrate_with(
    api: &Api,
    wanted: &[Listed],
    later: &[Listed],
    detail: Detail,
) -> Hydrated {
    let mut read = Reading::new(wanted, later);
    let plan = plan(wanted, later, Prices::of(&api.client));
    read.run(api, plan, detail).await;
    // What no conversation had.
    let lacking = wanted.iter().filter(|listed| !read.has(&listed.id));
    let lacking = unique(lacking.map(|listed| &listed.id));
    let lacking: Vec<Call<'_>> = lacking.into_iter().map(Call::Message).collect();
    read.run(api, lacking, detail).await;
    read.finish(api, wanted, detail).await
}

/// One request of a plan.
#[derive(Clone, Copy)]
enum Call<'a> {
    Message(&'a MessageId),
    Thread(&'a ThreadId),
}

/// What to ask for: each conversation once, where the first of its messages stands.
fn plan<'a>(wanted: &'a [Listed], later: &'a [Listed], prices: Prices) -> Vec<Call<'a>> {
    let mut sizes: HashMap<&ThreadId, HashSet<&MessageId>> = HashMap::new();
    for listed in wanted.iter().chain(later) {
        if let Some(thread) = &listed.thread {
            sizes.entry(thread).or_default().insert(&listed.id);
        }
    }
    let mut asked: HashSet<&ThreadId> = HashSet::new();
    let mut messages: HashSet<&MessageId> = HashSet::new();
    let mut calls = Vec::with_capacity(wanted.len());
    for listed in wanted {
        let whole = listed.thread.as_ref().filter(|thread| {
            sizes
                .get(thread)
                .is_some_and(|messages| prices.whole_is_cheaper(messages.len()))
        });
        match whole {
            Some(thread) => calls.extend(asked.insert(thread).then_some(Call::Thread(thread))),
            None => {
                let new = messages.insert(&listed.id);
                calls.extend(new.then_some(Call::Message(&listed.id)));
            }
        }
    }
    calls
}

/// What reading these costs.
pub(in crate::gmail) fn cost(wanted: &[Listed], prices: Prices) -> Spent {
    let calls = plan(wanted, &[], prices);
    let units = calls.iter().map(|call| match call {
        Call::Message(_) => u64::from(prices.message),
        Call::Thread(_) => u64::from(prices.thread),
    });
    Spent::new(units.sum(), count(calls.len()))
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

fn unique<'a>(ids: impl Iterator<Item = &'a MessageId>) -> Vec<&'a MessageId> {
    let mut known = HashSet::new();
    ids.filter(|id| known.insert(*id)).collect()
}

/// What an answer held, before the bodies that it lacks are fetched.
enum Outcome {
    /// A message, or all of a conversation that is wanted, now or later.
    Messages(Vec<wire::Message>),
    /// The whole conversation cannot be had, for a reason that is its own.
    NoThread,
    /// The message cannot be had, or the conversation for a reason that concerns all.
    Failed(Error),
}

/// The messages of one hydration, as far as they are there.
struct Reading<'a> {
    names: HashMap<&'a MessageId, Option<&'a ThreadId>>,
    read: HashMap<String, Result<wire::Message>>,
}

impl<'a> Reading<'a> {
    fn new(wanted: &'a [Listed], later: &'a [Listed]) -> Self {
        let listed = wanted.iter().chain(later);
        Self {
            names: listed
                .map(|listed| (&listed.id, listed.thread.as_ref()))
                .collect(),
            read: HashMap::with_capacity(wanted.len()),
        }
    }

    fn has(&self, id: &MessageId) -> bool {
        self.read.contains_key(id.as_str())
    }

    fn is_named(&self, message: &wire::Message) -> bool {
        let id = message.id.as_deref().map(MessageId::from);
        id.is_some_and(|id| self.names.contains_key(&id))
    }

    /// Makes these calls, and keeps what was asked for of their answers.
    async fn run(&mut self, api: &Api, calls: Vec<Call<'_>>, detail: Detail) {
        if calls.is_empty() {
            return;
        }
        let format = format(detail);
        let requests = calls
            .iter()
            .map(|call| match call {
                Call::Message(id) => api.message(id.as_str(), format),
                Call::Thread(id) => api.thread(id.as_str(), format),
            })
            .collect();
        let read = &*self;
        let outcomes = batch::send_and_read(api, requests, |place, answer| {
            if let Some(Call::Thread(_)) = calls.get(place) {
                return read.thread(answer);
            }
            match answer.and_then(|answer| parse(MESSAGE, &answer.body)) {
                Ok(message) => Outcome::Messages(vec![message]),
                Err(error) => Outcome::Failed(error),
            }
        })
        .await;
        for (call, outcome) in calls.iter().zip(outcomes) {
            self.keep(*call, outcome);
        }
    }

    fn thread(&self, answer: Result<Answer>) -> Outcome {
        let thread = answer.and_then(|answer| parse::<wire::Thread>(THREAD, &answer.body));
        match thread {
            Ok(thread) => {
                let messages = thread.messages.into_iter().flatten().flatten();
                Outcome::Messages(messages.filter(|message| self.is_named(message)).collect())
            }
            Err(error) if error.concerns_all() && !error.is_failure() => Outcome::Failed(error),
            // It is gone or too long, or one of its messages cannot be read.
            Err(_) => Outcome::NoThread,
        }
    }

    fn keep(&mut self, call: Call<'_>, outcome: Outcome) {
        match (call, outcome) {
            (Call::Message(id), Outcome::Messages(messages)) => {
                for message in messages {
                    let answered = message.id.as_deref().map(MessageId::from);
                    let read = match answered {
                        Some(other) if other != *id => {
                            Err(protocol("another message was answered than was asked for")
                                .with_operation(MESSAGE))
                        }
                        _ => Ok(message),
                    };
                    self.read.insert(id.as_str().to_owned(), read);
                }
            }
            (Call::Message(id), Outcome::Failed(error)) => {
                self.read.insert(id.as_str().to_owned(), Err(error));
            }
            (Call::Thread(_), Outcome::Messages(messages)) => {
                for message in messages {
                    if let Some(id) = message.id.clone() {
                        self.read.insert(id, Ok(message));
                    }
                }
            }
            (Call::Thread(thread), Outcome::Failed(error)) => {
                let names = self.names.iter();
                let of_it = names.filter(|(_, named)| **named == Some(thread));
                for (id, _) in of_it {
                    let failed = error.clone();
                    self.read.insert(id.as_str().to_owned(), Err(failed));
                }
            }
            (_, Outcome::NoThread) => {}
        }
    }

    /// The messages as the model has them, with the bodies that did not come with them.
    async fn finish(mut self, api: &Api, wanted: &[Listed], detail: Detail) -> Hydrated {
        let mut ids: Vec<&MessageId> = unique(wanted.iter().map(|listed| &listed.id));
        let now = ids.len();
        let later = self.names.keys().copied();
        let known: HashSet<&MessageId> = ids.iter().copied().collect();
        let later: Vec<&MessageId> = later.filter(|id| !known.contains(id)).collect();
        ids.extend(later);
        let mut whole = Vec::new();
        let mut results: HashMap<&MessageId, Result<Message>> = HashMap::new();
        let mut places = Vec::new();
        for (place, id) in ids.iter().enumerate() {
            match self.read.remove(id.as_str()) {
                Some(Ok(message)) => {
                    whole.push(message);
                    places.push((place, *id));
                }
                Some(Err(error)) => _ = results.insert(*id, Err(error)),
                None => {}
            }
        }
        let mut ahead = Vec::new();
        let whole = complete(api, whole, detail).await;
        for ((place, id), message) in places.into_iter().zip(whole) {
            if place < now {
                results.insert(id, message);
            } else {
                // One that cannot be read now is asked for again when it is wanted.
                ahead.extend(message);
            }
        }
        let mut left = occurrences(wanted);
        let wanted = wanted
            .iter()
            .map(|listed| take(&mut results, &mut left, &listed.id))
            .collect();
        Hydrated { wanted, ahead }
    }
}

fn occurrences(wanted: &[Listed]) -> HashMap<&MessageId, usize> {
    let mut occurrences = HashMap::with_capacity(wanted.len());
    for listed in wanted {
        *occurrences.entry(&listed.id).or_default() += 1;
    }
    occurrences
}

/// The answer for `id`, which is copied only if it is wanted once more.
fn take(
    results: &mut HashMap<&MessageId, Result<Message>>,
    left: &mut HashMap<&MessageId, usize>,
    id: &MessageId,
) -> Result<Message> {
    let more = left.get_mut(id).map_or(0, |left| {
        *left = left.saturating_sub(1);
        *left
    });
    let result = if more == 0 {
        results.remove(id)
    } else {
        results.get(id).cloned()
    };
    result.unwrap_or_else(|| Err(protocol("a message was not answered").with_operation(MESSAGE)))
}

/// Messages as the model has them, with what the service left out of its answers: long bodies, which are fetched
/// together. One that is not to be had is left out of its message; a failure of the service or the network is one of the
/// whole message, which would look empty otherwise.
pub(in crate::gmail) async fn complete(
    api: &Api,
    messages: Vec<wire::Message>,
    detail: Detail,
) -> Vec<Result<Message>> {
    let mut bodies: Vec<Result<HashMap<String, Vec<u8>>>> =
        messages.iter().map(|_| Ok(HashMap::new())).collect();
    let mut missing = Vec::new();
    if detail == Detail::Full {
        for (place, message) in messages.iter().enumerate() {
            let Some(id) = &message.id else { continue };
            for (part, token) in convert::missing_bodies(message) {
                missing.push((place, part, api.attachment(id, &token)));
            }
        }
    }
    let (places, calls): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .map(|(place, part, call)| ((place, part), call))
        .unzip();
    let read = |_, answer: Result<Answer>| -> Result<Option<Vec<u8>>> {
        let body: wire::PartBody = parse("gmail.messages.attachments.get", &answer?.body)?;
        Ok(body.data)
    };
    let fetched = if calls.is_empty() {
        Vec::new()
    } else {
        batch::send_and_read(api, calls, read).await
    };
    for ((place, part), outcome) in places.into_iter().zip(fetched) {
        let Some(bodies) = bodies.get_mut(place) else {
            continue;
        };
        match (outcome, &mut *bodies) {
            (Ok(Some(bytes)), Ok(fetched)) => _ = fetched.insert(part, bytes),
            (Err(error), Ok(_)) if error.concerns_all() => *bodies = Err(error),
            _ => {}
        }
    }
    messages
        .into_iter()
        .zip(bodies)
        .map(|(message, bodies)| {
            convert::message(message, detail, &bodies?)
                .map_err(|error| error.with_operation(MESSAGE))
        })
        .collect()
}
