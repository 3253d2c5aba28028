//! What a request is charged for, by whose clock, and with which token it goes after a long wait.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures_util::poll;
use postroom::http::{Limits, Project};
use postroom::testing::VirtualClock;
use postroom::{Detail, Gmail, MailProvider as _, MessageId};

use super::message;
use super::scripted::Scripted;

/// What a read of a message costs.
const READ: u32 = 20;

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
