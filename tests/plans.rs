//! What is read is read in as few requests and for as few quota units as the service allows, and nothing is missing or out
//! of order for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod support;

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, Regime};
use postroom::{
    Detail, Gmail, MailProvider, Mailbox, Message, MessageId, PageRequest, Query, ThreadId,
};
use support::{GMAIL, everything, transport};

/// What Gmail asks for.
const MESSAGE: u64 = 20;
const THREAD: u64 = 40;

/// A mailbox whose conversations have so many messages each, the first the oldest.
async fn conversations(sizes: &[usize]) -> (Emulator, Gmail) {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    for (thread, size) in sizes.iter().enumerate() {
        for number in 0..*size {
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
    assert_eq!(gone.kind(), postroom::ErrorKind::NotFound);
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
    let (emulator, gmail) = conversations(&sizes).await;
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
