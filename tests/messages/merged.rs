//! Several mailboxes are read as one, newest first, only as far as somebody asks, and whatever becomes of one of them.

use crate::support;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{GMAIL, OUTLOOK};
use futures_util::StreamExt;
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::Connection;
use postroom::testing::VirtualClock;
use postroom::{Detail, ErrorKind, Gmail, Mailbox, Query, merged};

/// Two mailboxes at two services, with messages that arrived a minute apart: each third at Outlook, the others at Gmail.
async fn mailboxes(messages: usize) -> (Emulator, [Mailbox; 2]) {
    let clock = Arc::new(VirtualClock::by_hand(
        "2026-11-22T08:00:00Z".parse().unwrap(),
    ));
    let emulator = support::emulator()
        .clock(Arc::clone(&clock) as Arc<dyn postroom::clock::Clock>)
        .quota(false)
        .start()
        .await
        .unwrap();
    for number in 0..messages {
        let address = if number % 3 == 0 { OUTLOOK } else { GMAIL };
        let raw = format!("From: sender@shop.example\r\nSubject: {number}\r\n\r\nText\r\n");
        emulator.deliver(address, raw.as_bytes());
        clock.advance(Duration::from_secs(60));
    }
    let mailboxes = [GMAIL, OUTLOOK].map(|address| support::unpaced(&emulator, address));
    (emulator, mailboxes)
}

fn lists(emulator: &Emulator) -> usize {
    let requests = emulator.requests();
    let lists = requests.iter();
    lists
        .filter(|request| request.path.ends_with("/messages"))
        .count()
}

#[tokio::test]
async fn the_newest_come_first_wherever_they_are() {
    let (_emulator, mailboxes) = mailboxes(31).await;
    // Dates are needed to merge, so that they are read whatever was asked for.
    let stream = merged(&mailboxes, &Query::inbox(), Detail::Ids);
    let read: Vec<(usize, String)> = stream
        .map(|(place, message)| (place, message.unwrap().subject.unwrap()))
        .collect()
        .await;
    let expected: Vec<(usize, String)> = (0..31)
        .rev()
        .map(|number| (usize::from(number % 3 == 0), number.to_string()))
        .collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn no_more_is_read_than_somebody_asks_for() {
    let (emulator, mailboxes) = mailboxes(900).await;
    let mut stream = merged(&mailboxes, &Query::inbox(), Detail::Headers);
    assert_eq!(lists(&emulator), 0);
    for _ in 0..5 {
        stream.next().await.unwrap().1.unwrap();
    }
    assert_eq!(lists(&emulator), 2, "one page of each");
    assert_eq!(stream.count().await, 895);
    assert!(lists(&emulator) > 4, "the rest once somebody reads on");
}

#[tokio::test]
async fn one_mailbox_that_fails_is_an_error_and_the_others_go_on() {
    let (emulator, [gmail, outlook]) = mailboxes(6).await;
    let dead = Connection::new(
        support::transport(&emulator),
        Arc::new(StaticToken::new("no longer good")),
    );
    let dead = Gmail::new(dead)
        .unwrap()
        .with_api_endpoint(emulator.google().base_url.clone())
        .unwrap();
    let mailboxes = [gmail, Mailbox::new(dead), outlook];
    let read: Vec<_> = merged(&mailboxes, &Query::inbox(), Detail::Headers)
        .collect()
        .await;
    let (failed, good): (Vec<_>, Vec<_>) = read.into_iter().partition(|(_, read)| read.is_err());
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, 1);
    let error = failed[0].1.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    let places: Vec<usize> = good.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [0, 0, 2, 0, 0, 2]);

    assert_eq!(merged(&[], &Query::All, Detail::Full).count().await, 0);
}
