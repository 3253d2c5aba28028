//! What is read is read in as few requests and for as few quota units as the service allows, and nothing is missing or out
//! of order for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod support;

use std::sync::Arc;

use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, Regime};
use postroom::{Detail, Gmail, MailProvider, Message, MessageId, PageRequest, Query, ThreadId};
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
