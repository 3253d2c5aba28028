//! Thousands of messages are changed in as few requests as the services' batches allow, while one part in a hundred fails,
//! and what became of every message is told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use http::Method;
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::Connection;
use postroom::testing::VirtualClock;
use postroom::{
    Change, Delivery, Detail, ErrorKind, FolderRole, Gmail, Keyword, MailProvider, Mailbox,
    Message, MessageId, PageRequest, Query, Result,
};
use support::{GMAIL, OUTLOOK, everything, mailbox_on, transport};

use futures_util::TryStreamExt;

const MESSAGES: usize = 5_000;

/// How often all of them are marked in requests of 1,000.
const ROUNDS: usize = 41;

/// An emulator with that many messages in the inbox, on a clock that nobody waits for.
struct Service {
    emulator: Emulator,
    clock: VirtualClock,
    address: &'static str,
}

impl Service {
    async fn start(address: &'static str, quota: bool) -> Self {
        Self::with(MESSAGES, address, quota).await
    }

    async fn with(messages: usize, address: &'static str, quota: bool) -> Self {
        let clock = VirtualClock::eager(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
        let emulator = support::emulator()
            .quota(quota)
            .clock(Arc::new(clock.clone()))
            .start()
            .await
            .unwrap();
        for number in 0..messages {
            let raw = format!("From: sender@shop.example\r\nSubject: {number}\r\n\r\nText\r\n");
            emulator.deliver(address, raw.as_bytes());
        }
        Self {
            emulator,
            clock,
            address,
        }
    }

    fn connection(&self) -> Connection {
        let token = StaticToken::new(self.emulator.access_token(self.address));
        Connection::new(transport(&self.emulator), Arc::new(token))
            .with_clock(Arc::new(self.clock.clone()))
    }

    fn mailbox(&self) -> Mailbox {
        mailbox_on(&self.emulator, self.connection(), self.address)
    }

    /// Strikes these requests, counted from 1, among those with this method and path.
    fn strike(&self, attempts: &[usize], method: &Method, path: &str) {
        let mut last = 0;
        for (number, attempt) in attempts.iter().enumerate() {
            let kind = match number % 3 {
                0 => FaultKind::unavailable(None),
                1 => FaultKind::internal_error(),
                _ => FaultKind::unavailable(Some(Duration::from_secs(2))),
            };
            let passing = u32::try_from(attempt - last - 1).unwrap();
            let fault = Fault::new(kind).on(method.clone(), path).after(passing);
            self.emulator.fault(fault);
            last = *attempt;
        }
    }

    /// How many requests this takes, and what it answers.
    async fn requests<T>(&self, work: impl Future<Output = T>) -> (usize, T) {
        let before = self.emulator.requests().len();
        let answer = work.await;
        (self.emulator.requests().len() - before, answer)
    }
}

/// Which attempts fail: each with a chance of one in a hundred, by chance and yet the same in every run.
fn failing(seed: u64) -> Vec<usize> {
    let mut state = seed;
    let attempts = 1..=2 * MESSAGES;
    attempts
        .filter(|_| {
            // The generator of Knuth's MMIX.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33).is_multiple_of(100)
        })
        .collect()
}

/// The fewest requests in which that many parts can be done when these attempts fail.
fn fewest(parts: usize, in_a_batch: usize, failing: &[usize]) -> usize {
    let (mut requests, mut open, mut done) = (0, parts, 0);
    while open > 0 {
        requests += open.div_ceil(in_a_batch);
        let attempts = done + 1..=done + open;
        done += open;
        open = failing.iter().filter(|one| attempts.contains(one)).count();
    }
    requests
}

async fn listed(mailbox: &Mailbox) -> Vec<MessageId> {
    let page = PageRequest::first().with_size(500);
    let messages: Vec<Message> = mailbox
        .messages_with(Query::inbox(), Detail::Ids, page)
        .try_collect()
        .await
        .unwrap();
    messages.into_iter().map(|message| message.id).collect()
}

fn all_done(outcomes: Result<Vec<Result<()>>>, expected: usize) {
    let outcomes = outcomes.unwrap();
    assert_eq!(outcomes.len(), expected);
    for outcome in outcomes {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn outlook_changes_5_000_messages_in_batches_of_20_and_retries_only_what_failed() {
    let service = Service::start(OUTLOOK, false).await;
    let mailbox = service.mailbox();
    let mut ids = listed(&mailbox).await;
    assert_eq!(ids.len(), MESSAGES);
    let archive = mailbox.folder(FolderRole::Archive).await.unwrap();
    let truth = || service.emulator.messages(OUTLOOK);

    let fails = failing(1);
    assert!((60..140).contains(&fails.len()));
    service.strike(&fails, &Method::PATCH, "/messages/");
    let (requests, outcomes) = service.requests(mailbox.mark_read(&ids)).await;
    all_done(outcomes, MESSAGES);
    assert_eq!(requests, fewest(MESSAGES, 20, &fails));
    assert!(truth().iter().all(|message| message.seen));

    let fails = failing(2);
    service.strike(&fails, &Method::POST, "/move");
    let (requests, outcomes) = service.requests(mailbox.move_to(&ids, &archive.id)).await;
    all_done(outcomes, MESSAGES);
    assert_eq!(requests, fewest(MESSAGES, 20, &fails));
    assert!(truth().iter().all(|message| message.folders == ["archive"]));

    // Some vanish meanwhile: deleting them is done, moving them is not.
    let gone: Vec<MessageId> = ids.iter().step_by(100).cloned().collect();
    all_done(mailbox.delete(&gone).await, gone.len());
    let moved = mailbox.trash(&ids).await.unwrap();
    for (id, outcome) in ids.iter().zip(&moved) {
        let kind = outcome.as_ref().err().map(postroom::Error::kind);
        let expected = gone.contains(id).then_some(ErrorKind::NotFound);
        assert_eq!(kind, expected, "{id}");
    }

    ids.reverse();
    let fails = failing(3);
    service.strike(&fails, &Method::POST, "/permanentDelete");
    let (requests, outcomes) = service.requests(mailbox.delete(&ids)).await;
    all_done(outcomes, MESSAGES);
    assert_eq!(requests, fewest(MESSAGES, 20, &fails));
    assert!(truth().is_empty());
}

#[tokio::test]
async fn gmail_changes_5_000_messages_in_requests_of_1_000_ids() {
    let service = Service::start(GMAIL, true).await;
    let mailbox = service.mailbox();
    let ids = listed(&mailbox).await;
    assert_eq!(ids.len(), MESSAGES);
    let label = mailbox.create_folder("Done", None).await.unwrap();
    let truth = || service.emulator.messages(GMAIL);

    // One request in a hundred fails, of which it takes many changes to see some.
    let fails = failing(5);
    service.strike(&fails, &Method::POST, "/messages/batchModify");
    let work = async {
        for round in 1..=ROUNDS {
            let seen = round % 2 == 1;
            let outcomes = match seen {
                true => mailbox.mark_read(&ids).await,
                false => mailbox.mark_unread(&ids).await,
            };
            all_done(outcomes, MESSAGES);
            assert!(truth().iter().all(|message| message.seen == seen));
        }
        mailbox.move_to(&ids, &label.id).await
    };
    let (requests, outcomes) = service.requests(work).await;
    all_done(outcomes, MESSAGES);
    let label = label.id.as_str();
    assert!(truth().iter().all(|message| message.folders == [label]));
    let failed = fails.iter().filter(|attempt| **attempt <= requests).count();
    assert!(failed > 1);
    assert_eq!(requests, 5 * (ROUNDS + 1) + failed);

    // Five requests are too few to draw lots for.
    service.strike(&[4], &Method::POST, "/messages/batchDelete");
    let (requests, outcomes) = service.requests(mailbox.delete(&ids)).await;
    all_done(outcomes, MESSAGES);
    assert_eq!(requests, 5 + 1);
    assert!(truth().is_empty());
}

#[tokio::test]
async fn gmail_tells_of_each_message_whether_it_was_there_where_that_is_asked_for() {
    one_by_one(false).await;
}

#[tokio::test]
async fn gmail_tells_of_each_message_also_where_its_quota_is_used_up_several_times_over() {
    one_by_one(true).await;
}

async fn one_by_one(quota: bool) {
    let service = Service::start(GMAIL, quota).await;
    let gmail = Gmail::new(service.connection()).unwrap();
    let gmail = gmail
        .with_api_endpoint(service.emulator.google().base_url.clone())
        .unwrap()
        .with_access(everything())
        .with_every_outcome();
    assert_eq!(gmail.capabilities().missing_told_up_to, usize::MAX);
    let mailbox = Mailbox::new(gmail);
    let ids = listed(&mailbox).await;
    let gone: BTreeSet<MessageId> = ids.iter().skip(7).step_by(50).cloned().collect();
    let deleted: Vec<MessageId> = gone.iter().cloned().collect();
    all_done(mailbox.delete(&deleted).await, gone.len());

    let fails = failing(4);
    service.strike(&fails, &Method::POST, "/modify");
    let change = Change::Set(Keyword::Flagged);
    let (requests, outcomes) = service.requests(mailbox.apply(&ids, &change)).await;
    let outcomes = outcomes.unwrap();
    assert_eq!(outcomes.len(), MESSAGES);
    for (id, outcome) in ids.iter().zip(outcomes) {
        let kind = outcome.err().map(|error| error.kind());
        assert_eq!(kind, gone.contains(id).then_some(ErrorKind::NotFound));
    }
    // Of 25 at first, and of as many as 40 while all of them are taken.
    let fewest = fewest(MESSAGES, 40, &fails)..fewest(MESSAGES, 25, &fails);
    assert!(fewest.contains(&requests), "{requests}");
    let truth = service.emulator.messages(GMAIL);
    assert_eq!(truth.len(), MESSAGES - gone.len());
    assert!(truth.iter().all(|message| message.flagged));
}

#[tokio::test]
async fn a_service_that_refuses_parts_of_full_batches_is_asked_for_less_until_all_is_done() {
    let service = Service::start(OUTLOOK, true).await;
    let mailbox = service.mailbox();
    let ids = listed(&mailbox).await;
    let (requests, outcomes) = service.requests(mailbox.star(&ids)).await;
    all_done(outcomes, MESSAGES);
    let truth = service.emulator.messages(OUTLOOK);
    assert!(truth.iter().all(|message| message.flagged));
    // It works on four at a time, which makes batches of a few the best that there is.
    assert!(requests <= MESSAGES / 4, "{requests}");
}

#[tokio::test]
async fn a_copy_that_may_have_been_made_is_not_made_again() {
    let service = Service::with(12, OUTLOOK, false).await;
    let mailbox = service.mailbox();
    let ids = listed(&mailbox).await;
    let junk = mailbox.folder(FolderRole::Junk).await.unwrap();
    for kind in [
        FaultKind::unavailable(None),
        FaultKind::rate_limited(Some(Duration::from_secs(3))),
    ] {
        service
            .emulator
            .fault(Fault::new(kind).on(Method::POST, "/copy").after(2));
    }
    let copies = mailbox.copy_to(&ids, &junk.id).await.unwrap();
    let failed: Vec<&postroom::Error> = copies
        .iter()
        .filter_map(|copy| copy.as_ref().err())
        .collect();
    assert_eq!(failed.len(), 1, "what was refused was asked for again");
    assert_eq!(failed[0].delivery(), Delivery::Unknown);
    let copied = service.emulator.messages(OUTLOOK).into_iter();
    let copied = copied.filter(|message| message.folders == ["junkemail"]);
    assert_eq!(copied.count(), ids.len() - 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_change_of_many_is_found_out_in_a_few_requests() {
    let service = Service::with(120, GMAIL, true).await;
    let mailbox = service.mailbox();
    let mut ids = listed(&mailbox).await;
    // The change is wrong: a batch of single calls says so, and the others in one request that they are refused as well.
    let nowhere = Change::AddTo("Label_999".into());
    let (requests, outcomes) = service.requests(mailbox.apply(&ids, &nowhere)).await;
    assert_eq!(requests, 3);
    for outcome in outcomes.unwrap() {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    // One id is wrong: the others are changed.
    ids.insert(60, MessageId::new("no-id-of-gmail"));
    let outcomes = mailbox.star(&ids).await.unwrap();
    for (place, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.is_err(), place == 60, "{place}");
    }
    let truth = service.emulator.messages(GMAIL);
    assert!(truth.iter().all(|message| message.flagged));
    // The first ids are all wrong, as many as are asked for alone: the others are changed.
    ids.remove(60);
    let wrong = (0..25).map(|number| MessageId::new(format!("no-id-of-gmail-{number}")));
    let ids: Vec<MessageId> = wrong.chain(ids).collect();
    let (requests, outcomes) = service.requests(mailbox.mark_read(&ids)).await;
    assert_eq!(requests, 3);
    for (place, outcome) in outcomes.unwrap().into_iter().enumerate() {
        let kind = outcome.err().map(|error| error.kind());
        let expected = (place < 25).then_some(ErrorKind::InvalidRequest);
        assert_eq!(kind, expected, "{place}");
    }
    let truth = service.emulator.messages(GMAIL);
    assert!(truth.iter().all(|message| message.seen));
}
