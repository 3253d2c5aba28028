//! What a request is charged for, by whose clock, and with which token it goes after a long wait.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures_util::future::join_all;
use futures_util::{StreamExt, poll};
use postroom::clock::Clock as _;
use postroom::credentials::{AccessToken, StaticToken, TokenSource};
use postroom::http::{Connection, Lane, Limits, Project, RetryPolicy};
use postroom::testing::VirtualClock;
use postroom::{Cap, Detail, ErrorKind, Gmail, MailProvider as _, Mailbox, MessageId, Outlook};

use super::scripted::{Reply, Scripted};
use super::{ByHand, ids, message};

/// What a read of a message costs.
const READ: u32 = 20;

const PROFILE: &str = r#"{"emailAddress":"reader@gmail.example"}"#;

fn clock() -> VirtualClock {
    VirtualClock::by_hand(DateTime::from_timestamp(1_790_000_000, 0).unwrap())
}

/// A service that answers each read with the message that was asked for.
fn reading() -> Scripted {
    Scripted::new(|request| message(request.path().rsplit('/').next().unwrap()))
}

#[tokio::test]
async fn clocks_that_do_not_agree_let_a_registration_ask_for_no_more() {
    let service = reading();
    let project = Project::default();
    let (ahead, behind) = (clock(), clock());
    ahead.advance(Duration::from_secs(60 * 60));
    let mailboxes = [ahead, behind].map(|clock| {
        let connection = service.connection().with_clock(Arc::new(clock));
        let connection = connection.with_limits(Limits::concurrency(5));
        Gmail::new(connection.with_project(project.clone())).unwrap()
    });
    // No time passes on either clock.
    for number in 0..200 {
        let id = [MessageId::new(format!("{number:x}"))];
        let mut read = Box::pin(mailboxes[number % 2].get(&id, Detail::Headers));
        for _ in 0..8 {
            if poll!(&mut read).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let saved_up = 1_200_000 / 60 / 20;
    assert_eq!(service.requests().len(), saved_up / READ as usize);
}

#[tokio::test]
async fn a_batch_that_was_never_sent_is_not_paid_for() {
    let service = Arc::new(ByHand::default());
    let connection = Connection::new(service.clone(), Arc::new(StaticToken::new("token")));
    let outlook = Outlook::new(connection).unwrap();
    let copying = Mailbox::new(outlook.clone().with_lane(Lane::Backfill));
    let capped = copying.with_cap(Cap::requests(12)).unwrap();
    // It waits for all four places, until a stream that stays open leaves it three: it has to be cut up.
    let mut first = Box::pin(outlook.profile());
    assert!(poll!(&mut first).is_pending());
    let wanted = ids(12);
    let mut reading = Box::pin(capped.messages_by_id(&wanted, Detail::Ids));
    assert!(poll!(&mut reading).is_pending());
    let raw_id = MessageId::new("raw");
    let mut raw = Box::pin(outlook.raw(&raw_id));
    assert!(poll!(&mut raw).is_pending());
    service.stream(1, 200, futures_util::stream::pending().boxed());
    let open = raw.await.unwrap();
    service.answer(0, 200, r#"{"mail":"reader@mail.example"}"#);
    first.await.unwrap();
    let parts = [0, 1, 2]
        .map(|id| serde_json::json!({"id": id.to_string(), "status": 404, "body": {"error": {}}}));
    let answer = serde_json::json!({"responses": parts}).to_string();
    let mut answered = 2;
    let read = loop {
        if let Poll::Ready(read) = poll!(&mut reading) {
            break read.unwrap();
        }
        assert!(service.count() > answered, "nothing is asked");
        assert_eq!(service.parts(answered), 3);
        service.answer(answered, 200, answer.clone());
        answered += 1;
    };
    let kinds: Vec<_> = read
        .into_iter()
        .map(|read| read.unwrap_err().kind())
        .collect();
    assert_eq!(kinds, [ErrorKind::NotFound; 12]);
    assert_eq!(capped.spent().unwrap().requests, 12);
    drop(open);
}

/// How long a token is good for.
const LIFE: Duration = Duration::from_secs(60);

/// Gives tokens that say when they were given out, and another one before the last ends.
#[derive(Debug)]
struct Fleeting(VirtualClock, Mutex<Duration>);

#[async_trait]
impl TokenSource for Fleeting {
    async fn token(&self) -> postroom::Result<AccessToken> {
        let now = self.0.monotonic();
        let mut given = self.1.lock().unwrap();
        if now - *given >= LIFE - Duration::from_secs(10) {
            *given = now;
        }
        Ok(AccessToken::new(given.as_secs().to_string()))
    }

    async fn reject(&self, _: &AccessToken) {
        *self.1.lock().unwrap() = self.0.monotonic();
    }
}

#[tokio::test]
async fn a_token_that_ended_while_a_request_waited_for_its_turn_is_not_sent() {
    let clock = clock();
    let refused = Arc::new(Mutex::new(0));
    let service = Scripted::new({
        let (clock, refused) = (clock.clone(), Arc::clone(&refused));
        move |request| {
            let token = request.header("authorization").strip_prefix("Bearer ");
            let given = Duration::from_secs(token.unwrap().parse().unwrap());
            if clock.monotonic() - given > LIFE {
                *refused.lock().unwrap() += 1;
                return Reply::error(401, "{}");
            }
            message(request.path().rsplit('/').next().unwrap())
        }
    });
    let tokens = Fleeting(clock.clone(), Mutex::default());
    let connection = Connection::new(Arc::new(service.clone()), Arc::new(tokens))
        .with_clock(Arc::new(clock.clone()))
        .with_limits(Limits::concurrency(5).with_units_per_minute(600));
    let gmail = Gmail::new(connection).unwrap();
    let reads = 90;
    let mut reading = pin!(join_all((0..reads).map(|number| {
        let gmail = &gmail;
        async move {
            let id = [MessageId::new(format!("{number:x}"))];
            gmail.get(&id, Detail::Headers).await.unwrap().remove(0)
        }
    })));
    let read = loop {
        if let Poll::Ready(read) = poll!(&mut reading) {
            break read;
        }
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(250));
    };
    assert!(clock.monotonic() > LIFE * 2, "they waited for their turn");
    assert!(read.iter().all(Result::is_ok));
    assert_eq!(*refused.lock().unwrap(), 0, "tokens that had ended");
    assert_eq!(gmail.spent().units, reads * u64::from(READ));
}

#[tokio::test]
async fn limits_of_nothing_are_limits_of_one() {
    let service = Scripted::new(|_| Reply::json(PROFILE));
    let mut nothing = Limits::concurrency(5).with_units_per_minute(5);
    nothing.concurrency = 0;
    nothing.units_per_minute = Some(0);
    let connection = service.connection().with_limits(nothing);
    let gmail = Gmail::new(connection.with_retry(RetryPolicy::never())).unwrap();
    for _ in 0..3 {
        gmail.profile().await.unwrap();
    }
    // The first finds its unit saved up.
    assert!(service.waited() >= Duration::from_secs(119));
}
