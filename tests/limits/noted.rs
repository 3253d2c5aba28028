//! What is remembered of refusals, and for whom; and who is woken when somebody makes room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::poll;
use postroom::clock::Clock as _;
use postroom::credentials::StaticToken;
use postroom::http::{Connection, Limits, Project, Regime};
use postroom::{Detail, ErrorKind, Gmail, MailProvider as _};

use super::scripted::{Reply, Request, Scripted};
use super::{ByHand, batch, gmail, ids, message, once, refusal};

const PROFILE: &str = r#"{"emailAddress":"reader@gmail.example"}"#;

#[tokio::test]
async fn places_reach_those_who_are_there_although_nobody_polls_the_first_in_line() {
    let service = Arc::new(ByHand::default());
    let connection = Connection::new(service.clone(), Arc::new(StaticToken::new("token")));
    let connection = connection.with_limits(Limits::concurrency(2));
    let gmail = Gmail::new(connection).unwrap();
    let profile = || Box::pin(gmail.profile());
    let (mut one, mut two) = (profile(), profile());
    assert!(poll!(&mut one).is_pending());
    assert!(poll!(&mut two).is_pending());
    // A host that works on something else before it comes back to this one.
    let mut forgotten = profile();
    assert!(poll!(&mut forgotten).is_pending());
    let mut waiting = profile();
    assert!(poll!(&mut waiting).is_pending());
    for (number, call) in [(0, one), (1, two)] {
        service.answer(number, 200, PROFILE);
        call.await.unwrap();
    }
    assert_eq!(service.count(), 2);
    assert!(poll!(&mut waiting).is_pending());
    assert_eq!(service.count(), 3, "nobody woke it");
    service.answer(2, 200, PROFILE);
    waiting.await.unwrap();
    // It kept its turn.
    assert!(poll!(&mut forgotten).is_pending());
    service.answer(3, 200, PROFILE);
    forgotten.await.unwrap();
}

/// How many calls the batches that were asked for have.
fn sizes(service: &Scripted) -> Vec<usize> {
    let asked = service.requests();
    let batches = asked
        .iter()
        .filter(|request| request.path().contains("/batch/"));
    let size = |asked: &Request| asked.text().matches("Content-ID").count();
    batches.map(size).collect()
}

#[tokio::test]
async fn a_refusal_soon_after_more_was_asked_again_is_heard() {
    let of_user = || refusal("userRateLimitExceeded", "User Rate Limit Exceeded", "");
    let asked = AtomicUsize::new(0);
    let service = Scripted::new(move |request| {
        if request.path().contains("/batch/") {
            return batch(request, message);
        }
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => of_user(),
            _ => Reply::json(PROFILE),
        }
    });
    let connection = service.connection().with_retry(once());
    let gmail = Gmail::new(connection.with_limits(Limits::concurrency(5))).unwrap();
    let largest = async || {
        let before = sizes(&service).len();
        let read = gmail.get(&ids(200), Detail::Headers).await.unwrap();
        assert!(read.iter().all(Result::is_ok));
        *sizes(&service)[before..].iter().max().unwrap()
    };
    let usual = largest().await;
    gmail.profile().await.unwrap_err();
    let slower = largest().await;
    assert!(slower < usual);
    service.clock.advance(Duration::from_secs(16));
    let faster = largest().await;
    assert!(faster > slower);
    gmail.profile().await.unwrap_err();
    assert!(largest().await < slower);
}

#[tokio::test]
async fn a_batch_that_goes_over_two_limits_holds_back_for_both() {
    let of_user = || refusal("userRateLimitExceeded", "User Rate Limit Exceeded", "");
    let of_project = || refusal("rateLimitExceeded", "Slow down.", "1/min/{project}");
    for (user_waits, project_waits) in [("20", "50"), ("50", "20")] {
        let service = Scripted::new(move |request| {
            if !request.path().contains("/batch/") {
                return Reply::json(PROFILE);
            }
            batch(request, |id| match id {
                "0" => of_user().with_header("retry-after", user_waits),
                "1" => of_project().with_header("retry-after", project_waits),
                id => message(id),
            })
        });
        let ours = Project::default();
        // Of the same registration, and of the same mailbox by another one.
        let connection = service.connection().with_retry(once());
        let mailbox = Gmail::new(connection.clone().with_project(ours.clone())).unwrap();
        let other = gmail(&service, &ours);
        let elsewhere = Gmail::new(connection.with_project(Project::default())).unwrap();
        let read = mailbox.get(&ids(5), Detail::Headers).await.unwrap();
        assert_eq!(read.iter().filter(|read| read.is_err()).count(), 2);
        let waits = async |gmail: &Gmail| {
            let before = service.clock.monotonic();
            gmail.profile().await.unwrap();
            (service.clock.monotonic() - before).as_secs()
        };
        let user_waits: u64 = user_waits.parse().unwrap();
        let project_waits: u64 = project_waits.parse().unwrap();
        let first = project_waits.min(user_waits);
        let (one, two) = match project_waits < user_waits {
            true => (&other, &elsewhere),
            false => (&elsewhere, &other),
        };
        assert_eq!(waits(one).await, first);
        assert_eq!(waits(two).await, project_waits.max(user_waits) - first);
    }
}

#[tokio::test]
async fn a_registration_that_is_left_alone_does_not_hold_its_mailboxes_back_at_another() {
    let refusal = refusal("rateLimitExceeded", "Slow down.", "1/min/{project}");
    let service = super::refusing_once(refusal.with_header("retry-after", "900"));
    let ours = Project::default();
    let connection = service.connection().with_retry(once());
    let mailbox = Gmail::new(connection.clone().with_project(ours.clone())).unwrap();
    let elsewhere = Gmail::new(connection.with_project(Project::default())).unwrap();
    for _ in 0..2 {
        let error = mailbox.profile().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
    }
    elsewhere.profile().await.unwrap();
    assert_eq!(service.waited(), Duration::ZERO);
}

#[tokio::test]
async fn batches_are_longer_where_all_of_them_are_taken_and_no_more_once_some_are_refused() {
    let refuses = Arc::new(AtomicBool::new(false));
    let refusing = Arc::clone(&refuses);
    let service = Scripted::new(move |request| {
        batch(request, |id| match id {
            "1" if refusing.load(Ordering::Relaxed) => refusal(
                "rateLimitExceeded",
                "Too many concurrent requests for user",
                "",
            ),
            id => message(id),
        })
    });
    let connection = service.connection().with_retry(once());
    let reading = async |gmail: &Gmail| {
        let before = sizes(&service).len();
        let asked = ids(1_000);
        let read = gmail.get(&asked, Detail::Headers).await.unwrap();
        for (read, asked) in read.iter().zip(&asked) {
            assert!(read.as_ref().map_or(true, |read| read.id == *asked));
        }
        sizes(&service).split_off(before)
    };
    let gmail = Gmail::new(connection.clone().with_regime(Regime::Off)).unwrap();
    let longer = reading(&gmail).await;
    assert_eq!(longer[..4], [25; 4]);
    assert_eq!(longer.iter().max(), Some(&28));
    assert!(longer.len() < 38, "{longer:?}");
    refuses.store(true, Ordering::Relaxed);
    gmail.get(&ids(2), Detail::Headers).await.unwrap();
    refuses.store(false, Ordering::Relaxed);
    service.clock.advance(Duration::from_secs(3_000));
    assert_eq!(reading(&gmail).await, [25; 40]);
    service.clock.advance(Duration::from_secs(601));
    assert_eq!(reading(&gmail).await, longer);
    // Longer answers would be much to hold, of which several are on their way at once.
    let large = Scripted::new(|request| {
        batch(request, |id| {
            let text = "x".repeat(30_000);
            Reply::json(format!(
                r#"{{"id":"{id}","threadId":"{id}","snippet":"{text}"}}"#
            ))
        })
    });
    let gmail = Gmail::new(large.connection().with_regime(Regime::Off)).unwrap();
    let read = gmail.get(&ids(400), Detail::Headers).await.unwrap();
    assert!(read.iter().all(Result::is_ok));
    let longest = sizes(&large).into_iter().max().unwrap();
    assert!((25..28).contains(&longest), "{longest}");
    // Where units are counted, each batch is paid for before it goes.
    let paced = Gmail::new(connection).unwrap();
    assert_eq!(reading(&paced).await, [25; 40]);
}
