//! What is read is read in as few requests and for as few quota units as the service allows, and nothing is missing or out
//! of order for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

#[path = "support/scripted.rs"]
mod scripted;
#[path = "support/gmail.rs"]
mod scripted_gmail;
mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::emulator::{Fault, FaultKind};
use postroom::http::{Connection, Regime};
use postroom::testing::VirtualClock;
use postroom::{
    Action, Cap, Delivery, Detail, ErrorKind, Gmail, MailProvider, Mailbox, Message, MessageId,
    Outgoing, PageRequest, Query, Spent, ThreadId, Work,
};
use support::{GMAIL, everything, transport};

/// What Gmail asks for.
const MESSAGE: u64 = 20;
const THREAD: u64 = 40;

/// A mailbox whose conversations have so many messages each, the first the oldest.
async fn conversations(sizes: &[usize]) -> (Emulator, Gmail) {
    interleaved(sizes, 0).await
}

/// The same where so many conversations begin between two messages of one.
async fn interleaved(sizes: &[usize], between: usize) -> (Emulator, Gmail) {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let messages = sizes.iter().enumerate();
    let messages = messages.flat_map(|(thread, size)| (0..*size).map(move |n| (thread, n)));
    let mut messages: Vec<(usize, usize)> = messages.collect();
    messages.sort_by_key(|(thread, number)| thread + number * between);
    for (thread, number) in messages {
        let answers = if number == 0 {
            String::new()
        } else {
            format!(
                "In-Reply-To: <{thread}-0@shop.example>\r\nReferences: <{thread}-0@shop.example>\r\n"
            )
        };
        let raw = format!(
            "From: sender@shop.example\r\nSubject: Order {thread}\r\nMessage-ID: <{thread}-{number}@shop.example>\r\n{answers}\r\nText {number} of {thread}\r\n"
        );
        emulator.deliver(GMAIL, raw.as_bytes());
    }
    let token = StaticToken::new(emulator.access_token(GMAIL));
    let connection = Connection::new(transport(&emulator), Arc::new(token));
    let gmail = Gmail::new(connection.with_regime(Regime::Off))
        .unwrap()
        .with_access(everything())
        .with_api_endpoint(emulator.google().base_url.clone())
        .unwrap();
    (emulator, gmail)
}

async fn listed(gmail: &Gmail) -> Vec<Message> {
    let page = PageRequest::first().with_size(500);
    let page = gmail
        .list(&Query::inbox(), Detail::Ids, page)
        .await
        .unwrap();
    page.items.into_iter().map(Result::unwrap).collect()
}

fn ids(messages: &[Message]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id.clone()).collect()
}

#[tokio::test]
async fn three_messages_of_a_conversation_are_read_for_the_price_of_two() {
    let (_emulator, gmail) = conversations(&[1, 2, 4, 12]).await;
    let mut listed = listed(&gmail).await;
    // Whatever their order, and however often one is named.
    listed.swap(1, 15);
    listed.push(listed[3].clone());
    for detail in [Detail::Ids, Detail::Headers, Detail::Full] {
        let before = gmail.spent().units;
        let hydrated = gmail.hydrate(&listed, detail).await.unwrap();
        let spent = gmail.spent().units - before;
        assert_eq!(spent, 3 * MESSAGE + 2 * THREAD);
        let hydrated: Vec<Message> = hydrated.into_iter().map(Result::unwrap).collect();
        let alone = gmail.get(&ids(&listed), detail).await.unwrap();
        let alone: Vec<Message> = alone.into_iter().map(Result::unwrap).collect();
        assert_eq!(hydrated, alone);
    }
}

#[tokio::test]
async fn what_a_conversation_lacks_is_read_by_itself() {
    let (_emulator, gmail) = conversations(&[3, 4, 5]).await;
    let mut listed = listed(&gmail).await;
    let right = listed.clone();
    let threads: Vec<ThreadId> = right
        .iter()
        .map(|one| one.thread.clone().unwrap())
        .collect();
    // One conversation is gone, and one is said to have a message that is another's.
    for message in &mut listed[0..5] {
        message.thread = Some(ThreadId::new("18f2c1a2b3c4d5e6"));
    }
    listed[9].thread = Some(threads[7].clone());
    listed.push(Message::new(MessageId::new("18f2c1a2b3c4d5e7")));
    let hydrated = gmail.hydrate(&listed, Detail::Full).await.unwrap();
    assert_eq!(hydrated.len(), listed.len());
    for (expected, message) in right.iter().zip(&hydrated) {
        let message = message.as_ref().unwrap();
        assert_eq!(message.id, expected.id);
        assert_eq!(message.thread, expected.thread);
        assert!(message.body.text.as_deref().unwrap().starts_with("Text"));
    }
    let gone = hydrated.last().unwrap().as_ref().unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

/// Of a hundred conversations, 60 have one message, 20 two, 10 three or four, and 10 five to twelve.
fn usual(hundreds: usize) -> Vec<usize> {
    let sizes = (0..100 * hundreds).map(|number| match number % 10 {
        0..=5 => 1,
        6 | 7 => 2,
        8 => 3 + number / 10 % 2,
        _ => [5, 12, 6, 8, 11, 7, 8, 9, 7, 7][number / 10 % 10],
    });
    sizes.collect()
}

#[tokio::test]
async fn a_whole_mailbox_costs_little_more_than_it_has_to() {
    let sizes = usual(4);
    // A conversation of twelve is scattered over some three hundred messages.
    let (emulator, gmail) = interleaved(&sizes, 15).await;
    let optimum: u64 = sizes
        .iter()
        .map(|size| THREAD.min(MESSAGE * u64::try_from(*size).unwrap()))
        .sum();
    let right = ids(&listed_all(&gmail).await);
    let before = gmail.spent().units;
    let mailbox = Mailbox::new(gmail.clone());
    let read = mailbox.messages_with(Query::inbox(), Detail::Full, PageRequest::first());
    let read: Vec<Message> = read.try_collect().await.unwrap();
    assert_eq!(ids(&read), right);
    assert!(read.iter().all(|message| message.body.text.is_some()));
    let spent = gmail.spent().units - before;
    assert!(
        spent * 100 <= optimum * 102,
        "{spent} units, and {optimum} would do"
    );

    // Whoever reads a few does not pay for all.
    let before = gmail.spent().units;
    let few: Vec<_> = mailbox.messages(Query::inbox()).take(10).collect().await;
    assert!(few.iter().all(Result::is_ok));
    assert!(gmail.spent().units - before <= 505);
    drop(emulator);
}

async fn listed_all(gmail: &Gmail) -> Vec<Message> {
    let mailbox = Mailbox::new(gmail.clone());
    let listed = mailbox.messages_with(Query::inbox(), Detail::Ids, PageRequest::first());
    listed.try_collect().await.unwrap()
}

#[tokio::test]
async fn what_something_costs_is_told_before_and_after() {
    let (_emulator, gmail) = conversations(&[1, 1, 2, 5]).await;
    let mailbox = Mailbox::new(gmail.clone());
    let spent = || mailbox.spent().unwrap();
    let costs = async |work: Work<'_>, done: &mut (dyn Future<Output = ()> + Unpin)| {
        let estimate = mailbox.cost(&work).unwrap();
        let before = spent();
        done.await;
        let cost = Spent::new(
            spent().units - before.units,
            spent().requests - before.requests,
        );
        assert!(estimate.least.units <= cost.units, "{work:?}: {cost:?}");
        let least = estimate.least.requests;
        assert!(least <= cost.requests, "{work:?}: {cost:?}");
        let most = estimate.most.unwrap_or(Spent::new(u64::MAX, u64::MAX));
        assert!(cost.units <= most.units, "{work:?}: {cost:?}");
        assert!(cost.requests <= most.requests, "{work:?}: {cost:?}");
        (estimate.likely, cost)
    };
    let listed = listed(&gmail).await;
    let ids = ids(&listed);
    let mut all = Box::pin(async {
        mailbox.messages_by_id(&ids, Detail::Headers).await.unwrap();
    });
    let (likely, cost) = costs(Work::Get(9, Detail::Headers), &mut all).await;
    assert_eq!(likely.units, cost.units);
    let mut hydrated = Box::pin(async {
        mailbox.hydrate(&listed, Detail::Full).await.unwrap();
    });
    let (likely, cost) = costs(Work::Hydrate(&listed, Detail::Full), &mut hydrated).await;
    assert_eq!(likely.units, cost.units);
    for detail in [Detail::Ids, Detail::Headers] {
        let mut read = Box::pin(async {
            let read = mailbox.messages_with(Query::inbox(), detail, PageRequest::first());
            assert_eq!(read.count().await, 9);
        });
        costs(Work::List(9, detail), &mut read).await;
    }
    let mut marked = Box::pin(async {
        mailbox.mark_read(&ids).await.unwrap();
    });
    costs(Work::Apply(9), &mut marked).await;
    let outgoing = Outgoing::new()
        .to("billing@shop.example".parse::<postroom::Address>().unwrap())
        .subject("Order")
        .text("Thank you");
    let mut sent = Box::pin(async {
        mailbox.send(&outgoing).await.unwrap();
    });
    costs(Work::Send, &mut sent).await;
}

#[tokio::test]
async fn a_capped_handle_asks_for_no_more_than_its_cap() {
    let (emulator, gmail) = conversations(&[1; 10]).await;
    let mailbox = Mailbox::new(gmail.clone());
    let listed = ids(&listed(&gmail).await);
    let capped = mailbox.with_cap(Cap::units(100)).unwrap();
    for id in &listed[..5] {
        capped.message(id).await.unwrap();
    }
    let asked = emulator.requests().len();
    let error = capped.clone().message(&listed[5]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CapReached);
    assert_eq!(error.action(), Action::CorrectTheCall);
    assert_eq!(emulator.requests().len(), asked);
    assert_eq!(capped.spent().unwrap().units, 100);
    // A cap within a cap does not widen it, and others are free.
    let wider = capped.with_cap(Cap::units(1_000)).unwrap();
    assert!(wider.message(&listed[5]).await.is_err());
    assert_eq!(wider.spent().unwrap().units, 0);
    mailbox.message(&listed[5]).await.unwrap();
}

#[tokio::test]
async fn what_takes_too_long_is_given_up_and_a_send_may_have_happened() {
    let (emulator, _) = conversations(&[1]).await;
    // A service that is down is asked again and again, with longer and longer pauses.
    let clock = VirtualClock::eager(chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let token = StaticToken::new(emulator.access_token(GMAIL));
    let connection = Connection::new(transport(&emulator), Arc::new(token))
        .with_clock(Arc::new(clock.clone()))
        .with_regime(Regime::Off);
    let patient = support::mailbox_on(&emulator, connection, GMAIL);
    let hurried = patient
        .clone()
        .with_clock(Arc::new(clock))
        .with_deadline(Duration::from_secs(5));
    let fault = Fault::new(FaultKind::unavailable(Some(Duration::from_secs(60))));
    emulator.fault(fault.on(http::Method::GET, "/profile").times(100));
    let error = hurried.profile().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(error.action(), Action::TryAgain);
    assert_eq!(error.delivery(), Delivery::NotSent);

    let outgoing = Outgoing::new()
        .to("billing@shop.example".parse::<postroom::Address>().unwrap())
        .subject("Order")
        .text("Thank you");
    let key = postroom::SendKey::new("order-1");
    let ticket = patient.prepare(&outgoing, &key).await.unwrap();
    let never = FaultKind::Delay(Duration::from_secs(60 * 60));
    emulator.fault(Fault::new(never).on(http::Method::POST, "/drafts/send"));
    let error = hurried.dispatch(&ticket).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(error.delivery(), Delivery::Unknown);
}

/// An Outlook mailbox of so many messages, on a clock that nobody waits for.
async fn outlook(messages: usize) -> (Emulator, Mailbox, Vec<MessageId>) {
    let clock = VirtualClock::eager(chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let builder = support::emulator().quota(false);
    let emulator = builder.start().await.unwrap();
    for number in 0..messages {
        let raw = format!("From: sender@shop.example\r\nSubject: {number}\r\n\r\nText\r\n");
        emulator.deliver(support::OUTLOOK, raw.as_bytes());
    }
    let token = StaticToken::new(emulator.access_token(support::OUTLOOK));
    let connection = Connection::new(transport(&emulator), Arc::new(token));
    let connection = connection
        .with_clock(Arc::new(clock))
        .with_regime(Regime::Off);
    let mailbox = support::mailbox_on(&emulator, connection, support::OUTLOOK);
    let listed = mailbox.messages_with(Query::inbox(), Detail::Ids, PageRequest::first());
    let listed: Vec<Message> = listed.try_collect().await.unwrap();
    let listed = ids(&listed);
    (emulator, mailbox, listed)
}

fn denied(times: u32) -> Fault {
    let kind = FaultKind::graph_error(403, "ErrorAccessDenied", "Access is denied.");
    Fault::new(kind)
        .on(http::Method::GET, "/messages/")
        .times(times)
}

#[tokio::test]
async fn a_burst_of_denials_is_held_for_too_much_until_it_is_asked_again() {
    let (emulator, mailbox, ids) = outlook(40).await;
    let one = std::slice::from_ref(&ids[0]);
    let kind =
        |outcome: &postroom::Result<Message>| outcome.as_ref().err().map(|error| error.kind());

    // Dressed as a denial.
    emulator.fault(denied(25));
    let read = mailbox.messages_by_id(&ids, Detail::Headers).await.unwrap();
    assert!(
        read.iter().all(Result::is_ok),
        "{:?}",
        read.iter().map(kind).collect::<Vec<_>>()
    );

    // A real one is believed when it was heard twice, and the next one at once.
    emulator.fault(denied(40 * 2 + 1));
    let read = mailbox.messages_by_id(&ids, Detail::Headers).await.unwrap();
    let all_denied = Some(ErrorKind::PermissionDenied);
    assert!(read.iter().all(|outcome| kind(outcome) == all_denied));
    let read = mailbox.messages_by_id(one, Detail::Headers).await.unwrap();
    assert_eq!(kind(&read[0]), all_denied);
    let read = mailbox.messages_by_id(one, Detail::Headers).await.unwrap();
    assert_eq!(kind(&read[0]), None);

    // One that is alone has nothing to do with too much.
    let (emulator, mailbox, ids) = outlook(1).await;
    emulator.fault(denied(1));
    let read = mailbox.messages_by_id(&ids, Detail::Headers).await.unwrap();
    assert_eq!(kind(&read[0]), all_denied);
}

#[tokio::test]
async fn a_listing_in_ranges_of_time_tells_what_its_pages_tell() {
    let start = chrono::DateTime::from_timestamp(1_500_000_000, 0).unwrap();
    let clock = VirtualClock::by_hand(start);
    let builder = support::emulator()
        .quota(false)
        .clock(Arc::new(clock.clone()));
    let emulator = builder.start().await.unwrap();
    for number in 0..400 {
        // A few minutes between them, now and then a hundred in a second, and twice years.
        clock.advance(match number {
            120..220 => Duration::ZERO,
            250 | 300 => Duration::from_secs(2 * 365 * 24 * 60 * 60),
            _ => Duration::from_secs(200 + number % 7 * 60),
        });
        let raw = format!("From: sender@shop.example\r\nSubject: {number}\r\n\r\nText\r\n");
        emulator.deliver(support::OUTLOOK, raw.as_bytes());
    }
    // On a clock that stands still pages grow, however slow the machine.
    let token = StaticToken::new(emulator.access_token(support::OUTLOOK));
    let connection = Connection::new(transport(&emulator), Arc::new(token));
    let connection = connection
        .with_clock(Arc::new(clock))
        .with_regime(Regime::Off);
    let mailbox = support::mailbox_on(&emulator, connection, support::OUTLOOK);
    let subjects = async |messages: postroom::Messages| -> Vec<String> {
        let messages: Vec<Message> = messages.try_collect().await.unwrap();
        let subjects = messages.into_iter().map(|message| message.subject.unwrap());
        subjects.collect()
    };
    for query in [
        Query::All,
        Query::inbox(),
        Query::inbox().and(Query::unread()),
    ] {
        // So short that they follow one another.
        let page = PageRequest::first().with_size(15);
        let pages = subjects(mailbox.messages_with(query.clone(), Detail::Headers, page)).await;
        let page = PageRequest::first().with_size(30);
        let ranges = subjects(mailbox.messages_with(query.clone(), Detail::Headers, page)).await;
        assert_eq!(ranges, pages);
        let before = emulator.requests().len();
        let ranges = subjects(mailbox.messages(query)).await;
        assert_eq!(pages.len(), 400);
        assert_eq!(ranges, pages);
        let asked = emulator.requests().len() - before;
        assert!(asked < 40, "{asked} requests");
    }
}

/// The lengths of the pages that were asked for since the first so many requests.
fn pages_since(emulator: &Emulator, before: usize) -> Vec<u32> {
    let asked = emulator.requests().into_iter().skip(before);
    let queries = asked.filter_map(|asked| asked.query);
    let top = |query: String| {
        let (_, rest) = query.split_once("$top=")?;
        rest.split('&').next()?.parse().ok()
    };
    queries.filter_map(top).collect()
}

#[tokio::test]
async fn pages_grow_while_they_come_fast_and_none_is_longer_or_heavier_than_it_may_be() {
    let start = chrono::DateTime::from_timestamp(1_500_000_000, 0).unwrap();
    let clock = VirtualClock::by_hand(start);
    let builder = support::emulator().quota(false);
    let emulator = builder
        .clock(Arc::new(clock.clone()))
        .start()
        .await
        .unwrap();
    let many: Vec<String> = (0..80)
        .map(|number| format!("Member {number} of the group <member-{number}@group.example>"))
        .collect();
    for number in 0..700 {
        clock.advance(Duration::from_secs(60));
        let to = if number >= 550 {
            many.join(", ")
        } else {
            many[0].clone()
        };
        let raw =
            format!("From: sender@shop.example\r\nTo: {to}\r\nSubject: {number}\r\n\r\nText\r\n");
        emulator.deliver(support::OUTLOOK, raw.as_bytes());
    }
    // On a clock that stands still everything comes at once.
    let token = StaticToken::new(emulator.access_token(support::OUTLOOK));
    let connection = Connection::new(transport(&emulator), Arc::new(token));
    let connection = connection
        .with_clock(Arc::new(clock))
        .with_regime(Regime::Off);
    let mailbox = support::mailbox_on(&emulator, connection, support::OUTLOOK);
    let read = async |page: PageRequest| {
        let before = emulator.requests().len();
        let read = mailbox.messages_with(Query::inbox(), Detail::Headers, page);
        let read: Vec<Message> = read.try_collect().await.unwrap();
        let subjects = read.iter().map(|message| message.subject.clone().unwrap());
        let expected = (0..700).rev().map(|number| number.to_string());
        assert!(subjects.eq(expected));
        pages_since(&emulator, before)
    };
    // The newest have so many recipients that a page of 250 would be more than a megabyte; those after them have not.
    let pages = read(PageRequest::first()).await;
    assert_eq!(pages[0], 100);
    assert!((100..240).contains(&pages[1]), "{pages:?}");
    assert_eq!(pages.iter().max(), Some(&250));
    let pages = read(PageRequest::first().with_size(1_000)).await;
    assert!((100..240).contains(&pages[1]), "{pages:?}");
    assert!(pages.iter().max() > Some(&500), "{pages:?}");
    let pages = read(PageRequest::first().with_size(50)).await;
    assert_eq!(pages.iter().max(), Some(&50));
    // As short as this they follow one another.
    let pages = read(PageRequest::first().with_size(15)).await;
    assert!(pages.iter().all(|page| *page == 15), "{pages:?}");
}

#[tokio::test]
async fn pages_that_are_short_or_empty_do_not_end_a_listing() {
    use scripted::Reply;

    let service = scripted_gmail::batched(|request| {
        let page = |ids: &[&str], next: &str| {
            let ids = ids.iter();
            let messages: Vec<_> = ids
                .map(|id| serde_json::json!({"id": id, "threadId": id}))
                .collect();
            Reply::json(serde_json::json!({"messages": messages, "nextPageToken": next}))
        };
        if let Some(id) = request.path().strip_prefix("/gmail/v1/users/me/messages/") {
            return Reply::json(serde_json::json!({"id": id, "threadId": id}));
        }
        match request.query("pageToken").first().map(String::as_str) {
            None => page(&["a", "b"], "second"),
            Some("second") => page(&[], "third"),
            Some("third") => page(&["c"], "fourth"),
            _ => page(&["d", "e"], ""),
        }
    });
    let mailbox = Mailbox::new(scripted_gmail::connect(&service));
    let read: Vec<Message> = mailbox
        .messages(Query::inbox())
        .try_collect()
        .await
        .unwrap();
    let expected = ["a", "b", "c", "d", "e"].map(MessageId::from);
    assert_eq!(ids(&read), expected);
}

/// The answer to a batch of three, of which the second is not there.
fn batch_answer(numbered: bool) -> Vec<u8> {
    let part = |number: usize, answer: &str| {
        let id = match numbered {
            true => format!("Content-ID: <response-i{number}>\r\n"),
            false => String::new(),
        };
        format!("--b\r\nContent-Type: application/http\r\n{id}\r\n{answer}\r\n")
    };
    let message = |id: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{{\"id\":\"{id}\",\"threadId\":\"{id}\"}}"
        )
    };
    let mut parts = [
        part(2, &message("c")),
        part(1, "HTTP/1.1 404 Not Found\r\n"),
        part(0, &message("a")),
    ];
    if !numbered {
        parts.reverse();
    }
    format!("\r\n{}--b--\r\n", parts.concat()).into_bytes()
}

#[tokio::test]
async fn whatever_a_batch_is_answered_every_id_has_its_own_answer() {
    for numbered in [true, false] {
        mangled(&batch_answer(numbered)).await;
    }
    // Where only the order tells, one that cannot be read must not put the others in each other's place.
    let text = String::from_utf8(batch_answer(false)).unwrap();
    let broken = text.replacen("HTTP/1.1 404 Not Found", "<html>", 1);
    let found = answered(broken.as_bytes()).await;
    assert_eq!(found, [true, false, true]);
    let lacking = text.replacen(text.split("--b").nth(1).unwrap(), "\r\n\r\n", 1);
    answered(lacking.as_bytes()).await;
}

async fn mangled(right: &[u8]) {
    // Cut off anywhere, and with any byte another one.
    let cut = (0..right.len()).step_by(3).map(|end| right[..end].to_vec());
    let changed = (0..right.len()).flat_map(|place| {
        [b'\n', 0xff].map(|byte| {
            let mut changed = right.to_vec();
            changed[place] = byte;
            changed
        })
    });
    for answer in cut.chain(changed) {
        let found = answered(&answer).await;
        assert!(!found[1]);
    }
    assert_eq!(answered(right).await, [true, false, true]);
}

/// Which of three messages are told, each with its own id, when a batch is answered like this.
async fn answered(answer: &[u8]) -> Vec<bool> {
    use scripted::{Reply, Scripted};

    {
        let answer = answer.to_vec();
        let service = Scripted::new(move |request| {
            if !request.path().ends_with("/batch/gmail/v1") {
                return Reply::error(404, "{}");
            }
            Reply::text(200, answer.clone())
                .with_header("content-type", "multipart/mixed; boundary=b")
        });
        let connection = service.connection().with_regime(Regime::Off);
        let connection = connection.with_retry(postroom::http::RetryPolicy::never());
        let gmail = Gmail::new(connection).unwrap();
        let wanted = ["a", "b", "c"].map(MessageId::from);
        let read = gmail.get(&wanted, Detail::Headers).await.unwrap();
        assert_eq!(read.len(), 3);
        for (read, wanted) in read.iter().zip(&wanted) {
            assert!(read.as_ref().is_ok_and(|read| read.id == *wanted) || read.is_err());
        }
        read.iter().map(Result::is_ok).collect()
    }
}
