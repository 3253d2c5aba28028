//! A key sends once: whoever else sends under it at the same time, whatever answer is lost, and however early the same
//! call comes again.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

#[path = "support/scripted.rs"]
mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postroom::{
    Access, Delivery, ErrorKind, Gmail, Mailbox, MemoryJournal, Outgoing, Outlook, SendJournal,
    SendKey, SendState,
};
use scripted::{Reply, Request, Scripted};

fn outgoing() -> Outgoing {
    Outgoing::new()
        .to("support@desk.example".parse().unwrap())
        .text("Text")
}

/// A Gmail that keeps one draft, and loses the answers to its first `lost` sends before it gets to do anything.
fn gmail(lost: usize) -> (Scripted, Mailbox) {
    let sends = AtomicUsize::new(0);
    let service = Scripted::new(move |request: &Request| match request.line().as_str() {
        "POST /upload/gmail/v1/users/me/drafts" => {
            Reply::json(r#"{"id":"draft","message":{"id":"m","threadId":"t"}}"#)
        }
        "POST /gmail/v1/users/me/drafts/send" if sends.fetch_add(1, Ordering::SeqCst) < lost => {
            Reply::Lost
        }
        "POST /gmail/v1/users/me/drafts/send" => Reply::json(r#"{"id":"sent","threadId":"t"}"#),
        "GET /gmail/v1/users/me/drafts/draft" => Reply::json(r#"{"id":"draft"}"#),
        other => panic!("{other}"),
    });
    let mailbox = Mailbox::new(Gmail::new(service.connection()).unwrap())
        .with_clock(Arc::new(service.clock.clone()));
    (service, mailbox)
}

fn sends(service: &Scripted) -> usize {
    let lines = service.lines();
    let sends = |line: &&String| line.ends_with("/send") || line.ends_with("/sendMail");
    lines.iter().filter(sends).count()
}

#[tokio::test]
async fn calls_at_the_same_time_with_one_key_send_once() {
    let (service, mailbox) = gmail(0);
    let (key, other) = (SendKey::new("row 1"), SendKey::new("row 2"));
    let (message, clone) = (outgoing(), mailbox.clone());
    let (first, second, third) = futures_util::join!(
        mailbox.send_once(&key, &message),
        clone.send_once(&key, &message),
        clone.send_once(&other, &message)
    );
    assert_eq!(first.unwrap(), second.unwrap());
    third.unwrap();
    assert_eq!(sends(&service), 2, "one for each key");
}

#[tokio::test]
async fn a_call_that_is_dropped_gives_its_turn_up() {
    let (service, mailbox) = gmail(0);
    let (key, message) = (SendKey::new("row 1"), outgoing());
    {
        let mut dropped = Box::pin(mailbox.send_once(&key, &message));
        assert!(futures_util::poll!(&mut dropped).is_pending());
    }
    mailbox.send_once(&key, &message).await.unwrap();
    assert_eq!(sends(&service), 1);
}

#[tokio::test]
async fn a_lost_send_is_not_called_unsent_while_the_service_may_still_be_at_it() {
    let (service, mailbox) = gmail(1);
    let (key, message) = (SendKey::new("row 1"), outgoing());
    let lost = mailbox.send_once(&key, &message).await.unwrap_err();
    assert_eq!(lost.delivery(), Delivery::Unknown);
    let early = mailbox.send_once(&key, &message).await.unwrap_err();
    assert_eq!(early.delivery(), Delivery::Unknown);
    assert_eq!(
        sends(&service),
        1,
        "the draft being there proves nothing yet"
    );
    service.clock.advance(early.retry_after().unwrap());
    mailbox.send_once(&key, &message).await.unwrap();
    assert_eq!(sends(&service), 2);
}

#[tokio::test]
async fn a_send_that_cannot_be_looked_for_may_have_happened() {
    let service = Scripted::new(|_| Reply::Lost);
    let outlook = Outlook::new(service.connection()).unwrap();
    let mailbox = Mailbox::new(outlook.with_access(Access::SEND));
    let (key, message) = (SendKey::new("row 1"), outgoing());
    for _ in 0..2 {
        let error = mailbox.send_once(&key, &message).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
    }
    assert_eq!(sends(&service), 1);
}

#[tokio::test]
async fn what_could_not_be_prepared_was_not_sent() {
    for lost in [Reply::Lost, Reply::status(503)] {
        let service = Scripted::new(move |_| lost.clone());
        for mailbox in [
            Mailbox::new(Gmail::new(service.connection()).unwrap()),
            Mailbox::new(Outlook::new(service.connection()).unwrap()),
        ] {
            let error = mailbox.send(&outgoing()).await.unwrap_err();
            assert_eq!(error.delivery(), Delivery::NotSent, "{error}");
            assert!(error.is_transient());
        }
    }
}

#[tokio::test]
async fn an_interrupted_send_goes_on_where_the_journal_says() {
    let journal = Arc::new(MemoryJournal::new());
    let (service, mailbox) = gmail(0);
    let mailbox = mailbox.with_journal(journal.clone());
    let (key, message) = (SendKey::new("row 1"), outgoing());
    let ticket = mailbox.prepare(&message, &key).await.unwrap();
    let state = SendState::Prepared(ticket.clone());
    journal.put(&key, &state).await.unwrap();
    mailbox.send_once(&key, &message).await.unwrap();
    assert_eq!(service.lines().len(), 2, "nothing is prepared again");

    // A process that died while it sent.
    let crashed = SendKey::new("row 2");
    let since = chrono::DateTime::parse_from_rfc3339("2026-11-22T07:59:00Z").unwrap();
    let state = SendState::Dispatching {
        ticket,
        since: since.to_utc(),
    };
    let stored = serde_json::to_string(&state).unwrap();
    let state = serde_json::from_str(&stored).unwrap();
    journal.put(&crashed, &state).await.unwrap();
    let error = mailbox.send_once(&crashed, &message).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(4 * 60)));
}

#[tokio::test]
async fn keys_that_differ_are_different_sends_however_alike_they_are() {
    let long = "x".repeat(200);
    let keys = [
        format!("{long}1"),
        format!("{long}2"),
        "\u{e4}".to_owned(),
        "c3a4".to_owned(),
        "%C3%A4".to_owned(),
    ];
    let (service, mailbox) = gmail(0);
    for key in &keys {
        mailbox
            .send_once(&SendKey::new(key.as_str()), &outgoing())
            .await
            .unwrap();
    }
    let mut marks: Vec<String> = service
        .requests()
        .iter()
        .filter(|request| request.path().ends_with("/drafts"))
        .flat_map(|request| {
            request
                .text()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| line.starts_with("X-Postroom-Key:"))
        .collect();
    marks.sort();
    marks.dedup();
    assert_eq!(marks.len(), keys.len(), "{marks:?}");

    let key = SendKey::new(keys.first().unwrap().as_str());
    let stored = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<SendKey>(&stored).unwrap(), key);
}
