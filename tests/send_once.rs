//! A key sends once: whoever else sends under it at the same time, whatever answer is lost, and however early the same
//! call comes again. And so does every message of a campaign, no faster than the account may send.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

#[path = "support/scripted.rs"]
mod scripted;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_core::Stream;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use http::Method;
use postroom::clock::Clock;
use postroom::credentials::{EncryptionKey, EncryptionKeys, Save, Saved, StoreError};
use postroom::emulator::{Fault, FaultKind};
use postroom::{
    Access, Campaign, Confirmation, Delivery, EncryptedJournal, Error, ErrorKind, Gmail,
    JournalEntry, JournalKey, Mailbox, MemoryJournal, Outgoing, Outlook, Progress, SendJournal,
    SendKey, SendScope, SendState, SendTicket, SendingLimits, Sent, Stopped,
};
use scripted::{Reply, Request, Scripted};

mod in_memory {
    async fn journal() -> postroom::MemoryJournal {
        postroom::MemoryJournal::new()
    }

    postroom::send_journal_tests!(journal);
}

mod encrypted {
    async fn journal() -> postroom::EncryptedJournal<postroom::MemoryJournal> {
        postroom::EncryptedJournal::new(postroom::MemoryJournal::new(), super::keys())
    }

    postroom::send_journal_tests!(journal);
}

fn keys() -> EncryptionKeys {
    EncryptionKeys::new("2026", EncryptionKey::from_bytes([7; 32]))
}

async fn put(journal: &dyn SendJournal, key: &SendKey, state: &SendState) {
    let key = SendScope::new().key(key);
    let put = journal.put(&key, state, Save::IfAbsent).await;
    assert_ne!(put.unwrap(), Saved::Superseded);
}

#[tokio::test]
async fn an_encrypted_ticket_is_read_in_its_own_place_only() {
    let inner = Arc::new(MemoryJournal::new());
    let journal = EncryptedJournal::new(Arc::clone(&inner), keys());
    let scope = SendScope::new();
    let (one, other) = (SendKey::new("row 1"), SendKey::new("row 2"));
    let state = SendState::Prepared {
        ticket: SendTicket::new("planted"),
        at: chrono::DateTime::UNIX_EPOCH,
    };
    put(&journal, &one, &state).await;
    let kept = inner.get(&scope.key(&one)).await.unwrap().unwrap();
    let text = serde_json::to_string(&kept.state).unwrap();
    assert!(!text.contains("planted"), "{text}");

    // Put where another message belongs, or never encrypted at all.
    put(&*inner, &other, &kept.state).await;
    let moved = journal.get(&scope.key(&other)).await.unwrap_err();
    assert!(moved.is_unreadable());
    inner
        .put(&scope.key(&one), &state, Save::Always)
        .await
        .unwrap();
    assert!(
        journal
            .get(&scope.key(&one))
            .await
            .unwrap_err()
            .is_unreadable()
    );
}

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
async fn a_conflict_that_the_service_answers_may_be_one_with_the_same_send() {
    let service = Scripted::new(|request: &Request| match request.line().as_str() {
        "POST /upload/gmail/v1/users/me/drafts" => Reply::json(r#"{"id":"draft"}"#),
        "GET /gmail/v1/users/me/drafts/draft" => Reply::json(r#"{"id":"draft"}"#),
        _ => Reply::status(409),
    });
    let mailbox = Mailbox::new(Gmail::new(service.connection()).unwrap());
    let (key, message) = (SendKey::new("row 1"), outgoing());
    let error = mailbox.send_once(&key, &message).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
    let drafts = service.lines();
    let drafts = drafts.iter().filter(|line| line.ends_with("/drafts"));
    assert_eq!((drafts.count(), sends(&service)), (1, 1));
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
            assert_eq!(mailbox.outbox().count().await, 0);
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
    let at = service.clock.now();
    let state = SendState::Prepared {
        ticket: ticket.clone(),
        at,
    };
    put(&*journal, &key, &state).await;
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
    put(&*journal, &crashed, &state).await;
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
    // The same message once more, which is another one.
    let again = SendKey::new(keys.first().unwrap().as_str());
    mailbox.forget(&again).await.unwrap();
    mailbox.send_once(&again, &outgoing()).await.unwrap();
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
    assert_eq!(marks.len(), keys.len() + 1, "{marks:?}");
    // Recipients see them, and learn nothing of the keys, nor that two have one.
    let uploads = service.requests();
    let texts = uploads.iter().map(|request| request.text());
    let long = keys.iter().filter(|key| key.len() > 10);
    let long: Vec<_> = long.map(|key| SendKey::new(key.as_str())).collect();
    let said = |text: &str| long.iter().any(|key| text.contains(key.as_str()));
    assert!(!texts.into_iter().any(said));

    let key = SendKey::new(keys.first().unwrap().as_str());
    let stored = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<SendKey>(&stored).unwrap(), key);
}

/// Two processes: each has a mailbox of its own, and they share nothing but the journal and the service.
fn two_workers(lost: usize) -> (Scripted, [Mailbox; 2], Arc<MemoryJournal>) {
    let (service, first) = gmail(lost);
    let journal = Arc::new(MemoryJournal::new());
    let second = Mailbox::new(Gmail::new(service.connection()).unwrap())
        .with_clock(Arc::new(service.clock.clone()));
    let workers = [first, second].map(|worker| worker.with_journal(journal.clone()));
    (service, workers, journal)
}

#[tokio::test]
async fn workers_that_share_a_journal_send_a_key_once() {
    let (service, [first, second], _) = two_workers(0);
    let (key, message) = (SendKey::new("row 1"), outgoing());
    let (one, other) = futures_util::join!(
        first.send_once(&key, &message),
        second.send_once(&key, &message)
    );
    let outcomes = [one, other];
    assert!(outcomes.iter().any(Result::is_ok), "{outcomes:?}");
    for error in outcomes.into_iter().filter_map(Result::err) {
        // Who came second does not take the other's send for none.
        assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
    }
    assert_eq!(sends(&service), 1);
    assert_eq!(service.lines().len(), 2, "only one of them made a draft");
    assert_eq!(
        first.send_once(&key, &message).await.unwrap(),
        second.send_once(&key, &message).await.unwrap()
    );
    assert_eq!(sends(&service), 1);
}

#[tokio::test]
async fn workers_that_share_a_journal_send_a_key_once_at_outlook() {
    const TO: &str = "team@outlook.example";
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let journal = Arc::new(MemoryJournal::new());
    let [first, second] = [(); 2]
        .map(|()| support::unpaced(&emulator, support::OUTLOOK).with_journal(journal.clone()));
    let before = (
        emulator.messages(TO).len(),
        emulator.messages(support::OUTLOOK).len(),
    );
    let message = Outgoing::new().to(TO.parse().unwrap()).text("Text");
    for row in 0..10 {
        let key = SendKey::new(format!("row {row}"));
        let (one, other) = futures_util::join!(
            first.send_once(&key, &message),
            second.send_once(&key, &message)
        );
        let outcomes = [one, other];
        assert!(outcomes.iter().any(Result::is_ok), "{outcomes:?}");
    }
    assert_eq!(emulator.messages(TO).len() - before.0, 10);
    let kept = emulator.messages(support::OUTLOOK).len() - before.1;
    assert_eq!(kept, 10, "nothing but the sent copies");
}

#[tokio::test]
async fn a_first_step_is_left_to_whoever_began_it_until_they_must_be_dead() {
    let (service, [first, _], journal) = two_workers(0);
    let (key, message) = (SendKey::new("row 1"), outgoing());
    let preparing = SendState::Preparing {
        by: "a process that died".to_owned(),
        since: service.clock.now(),
    };
    put(&*journal, &key, &preparing).await;
    for early in [
        first.send_once(&key, &message).await,
        first.resume(&key).await,
    ] {
        let early = early.unwrap_err();
        assert_eq!(
            early.delivery(),
            Delivery::Unknown,
            "it may send it: {early}"
        );
        assert!(early.retry_after().is_some());
    }
    assert_eq!(first.settle(&key).await.unwrap(), Confirmation::NotSent);
    service.clock.advance(Duration::from_secs(12 * 60));
    let unprepared = first.resume(&key).await.unwrap_err();
    assert_eq!(unprepared.kind(), ErrorKind::NotFound);
    assert!(service.lines().is_empty());
    first.send_once(&key, &message).await.unwrap();
    assert_eq!(sends(&service), 1);
}

#[tokio::test]
async fn what_was_prepared_too_late_is_taken_back() {
    let journal = Arc::new(MemoryJournal::new());
    let key = SendKey::new("row 1");
    let sent = Sent::new(Some("by another".into()), None);
    let (others, place) = (journal.clone(), SendScope::new().key(&key));
    let told = SendState::Sent {
        sent: sent.clone(),
        at: chrono::DateTime::UNIX_EPOCH,
    };
    let service = Scripted::new(move |request: &Request| match request.line().as_str() {
        // While it is made, somebody who took the sender for dead sends another.
        "POST /upload/gmail/v1/users/me/drafts" => {
            let put = others.put(&place, &told, Save::Always);
            put.now_or_never().unwrap().unwrap();
            Reply::json(r#"{"id":"draft"}"#)
        }
        "DELETE /gmail/v1/users/me/drafts/draft" => Reply::status(204),
        other => panic!("{other}"),
    });
    let mailbox = Mailbox::new(Gmail::new(service.connection()).unwrap()).with_journal(journal);
    assert_eq!(mailbox.send_once(&key, &outgoing()).await.unwrap(), sent);
    assert_eq!(service.lines().len(), 2);
}

#[tokio::test]
async fn nothing_is_left_to_go_on_with_of_a_send_that_failed() {
    let service = Scripted::new(|request: &Request| match request.line().as_str() {
        "POST /upload/gmail/v1/users/me/drafts" => Reply::json(r#"{"id":"draft"}"#),
        _ => Reply::status(400),
    });
    let mailbox = Mailbox::new(Gmail::new(service.connection()).unwrap());
    let error = mailbox.send(&outgoing()).await.unwrap_err();
    assert_ne!(error.delivery(), Delivery::Unknown);
    assert_eq!(mailbox.outbox().count().await, 0);
    let key = SendKey::new("row 1");
    mailbox.send_once(&key, &outgoing()).await.unwrap_err();
    assert_eq!(
        mailbox.outbox().count().await,
        1,
        "the host can repeat this one"
    );
}

#[tokio::test]
async fn what_another_worker_died_in_is_settled_before_anything_is_sent() {
    let (service, [first, second], _) = two_workers(1);
    let (key, message) = (SendKey::new("row 1"), outgoing());
    first.send_once(&key, &message).await.unwrap_err();
    let unknown = second.settle(&key).await.unwrap();
    assert!(matches!(unknown, Confirmation::StillUnknown { .. }));
    service.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(second.settle(&key).await.unwrap(), Confirmation::NotSent);
    assert_eq!(sends(&service), 1, "settling sends nothing");
    let sent = second.resume(&key).await.unwrap();
    assert_eq!(first.send_once(&key, &message).await.unwrap(), sent);
    assert_eq!(sends(&service), 2);
}

#[tokio::test]
async fn the_outbox_tells_what_the_journal_knows() {
    let (_, mailbox) = gmail(1);
    for row in ["row 1", "row 2"] {
        let _ = mailbox.send_once(&SendKey::new(row), &outgoing()).await;
    }
    mailbox.send(&outgoing()).await.unwrap();
    let entries: Vec<_> = mailbox.outbox().try_collect().await.unwrap();
    let told = |entry: &JournalEntry| format!("{} {}", entry.key.as_str(), entry.state.name());
    let told: Vec<_> = entries.iter().map(told).collect();
    assert_eq!(told, ["row 1 dispatching", "row 2 sent"]);
    mailbox.forget(&SendKey::new("row 2")).await.unwrap();
    let gone = mailbox.resume(&SendKey::new("row 2")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(mailbox.outbox().count().await, 1);
}

/// A journal whose disk is full.
#[derive(Debug)]
struct Full;

#[async_trait::async_trait]
impl SendJournal for Full {
    async fn get(&self, _: &JournalKey) -> Result<Option<JournalEntry>, StoreError> {
        Ok(None)
    }

    async fn put(&self, _: &JournalKey, _: &SendState, _: Save) -> Result<Saved, StoreError> {
        Err(StoreError::new("no space left"))
    }

    async fn remove(&self, _: &JournalKey) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list(
        &self,
        _: &SendScope,
        _: Option<&SendKey>,
        _: usize,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn nothing_is_sent_that_cannot_be_noted_first() {
    let (service, mailbox) = gmail(0);
    let mailbox = mailbox.with_journal(Arc::new(Full));
    let key = SendKey::new("row 1");
    let error = mailbox.send_once(&key, &outgoing()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SendJournal);
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert_eq!(sends(&service), 0);
}

/// Ten customers, of whom two have no address that can be written to.
fn customers() -> impl Stream<Item = (String, &'static str)> + Send + 'static {
    let addresses = (0..10).map(|number| match number {
        3 | 6 => "nobody",
        _ => "support@desk.example",
    });
    let customers = (0..10)
        .map(|number| format!("customer {number}"))
        .zip(addresses);
    stream::iter(customers)
}

fn written(address: &&'static str) -> postroom::Result<Outgoing> {
    let to = address
        .parse()
        .map_err(|_| Error::new(ErrorKind::InvalidRequest, "no address"))?;
    Ok(Outgoing::new().to(to).text("Text"))
}

async fn run(mailbox: &Mailbox, campaign: Campaign) -> (Progress, Vec<String>, Option<Stopped>) {
    let mut sends = mailbox.send_many(campaign, customers(), written);
    let (mut outcomes, mut stopped) = (Vec::new(), None);
    while let Some(outcome) = sends.next().await {
        match outcome {
            Ok(outcome) => outcomes.push(match outcome.result {
                Ok(_) if outcome.now => "now".to_owned(),
                Ok(_) => "before".to_owned(),
                Err(error) => format!("{:?}", error.delivery()),
            }),
            Err(stop) => stopped = Some(stop),
        }
    }
    (sends.progress(), outcomes, stopped)
}

#[tokio::test]
async fn a_campaign_tells_each_outcome_and_sends_nothing_twice() {
    // The answer to one of them is lost.
    let (service, mailbox) = gmail(1);
    let (progress, outcomes, stopped) = run(&mailbox, Campaign::new("invoices")).await;
    assert!(stopped.is_none());
    let told = "Unknown now now NotSent now now NotSent now now now";
    assert_eq!(outcomes.join(" "), told);
    let counts = (progress.sent(), progress.not_sent(), progress.unknown());
    assert_eq!(counts, (7, 2, 1));
    assert_eq!(sends(&service), 8);

    service.clock.advance(Duration::from_secs(5 * 60));
    let (progress, outcomes, _) = run(&mailbox, Campaign::new("invoices")).await;
    let told = "now before before NotSent before before NotSent before before before";
    assert_eq!(outcomes.join(" "), told);
    assert_eq!((progress.sent(), progress.sent_before()), (1, 7));
    assert_eq!(sends(&service), 9);

    let (_, outcomes, _) = run(&mailbox, Campaign::new("invoices of December")).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| *outcome == "now").count(),
        8
    );
}

#[tokio::test]
async fn a_campaign_does_not_call_sent_now_what_an_earlier_run_sent() {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    let mailbox = support::unpaced(&emulator, support::GMAIL);
    emulator.hold_sent_copies(support::GMAIL);
    emulator.fault(Fault::new(FaultKind::DropAfter).on(Method::POST, "/drafts/send"));
    let campaign = Campaign::new("invoices").with_limits(SendingLimits::new());
    let (progress, outcomes, _) = run(&mailbox, campaign.clone()).await;
    assert_eq!(outcomes.first().unwrap(), "Unknown");
    assert_eq!((progress.sent(), progress.unknown()), (7, 1));
    emulator.release_sent_copies(support::GMAIL);
    let (progress, outcomes, _) = run(&mailbox, campaign).await;
    assert_eq!(outcomes.first().unwrap(), "before");
    assert_eq!((progress.sent(), progress.sent_before()), (0, 8));
}

#[tokio::test]
async fn a_campaign_waits_by_the_minute_and_stops_for_the_day() {
    let (service, mailbox) = gmail(0);
    let limits = SendingLimits::new()
        .with_messages_per_minute(3)
        .with_messages_per_day(7);
    let campaign = Campaign::new("invoices").with_limits(limits);
    let began = service.clock.now();
    let (_, outcomes, stopped) = run(&mailbox, campaign.clone()).await;
    assert_eq!(outcomes.len(), 9, "two of them were never sent");
    assert_eq!(sends(&service), 7);
    assert_eq!(service.clock.now() - began, chrono::TimeDelta::minutes(2));
    let stopped = stopped.unwrap();
    assert_eq!(stopped.error.kind(), ErrorKind::QuotaExceeded);
    assert_eq!(stopped.go_on_at, Some(began + chrono::TimeDelta::days(1)));

    // Another process, which knows what the first one sent from the journal alone.
    let (service, [first, second], _) = two_workers(0);
    let (_, _, stopped) = run(&first, campaign.clone()).await;
    let go_on_at = stopped.unwrap().go_on_at.unwrap();
    let (_, _, early) = run(&second, campaign.clone()).await;
    assert_eq!(early.unwrap().go_on_at, Some(go_on_at));
    assert_eq!(sends(&service), 7);
    let wait = (go_on_at - service.clock.now()).to_std().unwrap();
    service.clock.advance(wait);
    let (progress, _, stopped) = run(&second, campaign).await;
    assert!(stopped.is_none());
    assert_eq!((progress.sent(), progress.sent_before()), (1, 7));
}

#[tokio::test]
async fn a_campaign_stops_where_the_service_sends_no_more() {
    const GMAIL: &str = r#"{"error":{"code":403,"message":"Daily user sending limit exceeded","errors":[{"domain":"usageLimits","reason":"quotaExceeded"}]}}"#;
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let service = Scripted::new(move |request: &Request| match request.line().as_str() {
        "POST /upload/gmail/v1/users/me/drafts" => Reply::json(r#"{"id":"draft"}"#),
        "POST /gmail/v1/users/me/drafts/send" if count.fetch_add(1, Ordering::SeqCst) == 2 => {
            Reply::error(403, GMAIL)
        }
        "POST /gmail/v1/users/me/drafts/send" => Reply::json(r#"{"id":"sent"}"#),
        other => panic!("{other}"),
    });
    let mailbox = Mailbox::new(Gmail::new(service.connection()).unwrap())
        .with_clock(Arc::new(service.clock.clone()));
    let (progress, outcomes, stopped) = run(&mailbox, Campaign::new("invoices")).await;
    assert_eq!(outcomes.join(" "), "now now");
    let stopped = stopped.unwrap();
    assert_eq!(stopped.error.kind(), ErrorKind::QuotaExceeded);
    assert!(stopped.go_on_at.unwrap() > service.clock.now());
    assert_eq!(progress.sent(), 2);

    // Later the same campaign goes on with the message that was refused.
    let (progress, _, stopped) = run(&mailbox, Campaign::new("invoices")).await;
    assert!(stopped.is_none());
    assert_eq!((progress.sent(), progress.sent_before()), (6, 2));
    assert_eq!(refused.load(Ordering::SeqCst), 9);
}
