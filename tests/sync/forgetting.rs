//! What Graph forgets, denies or cuts short, and whether a copy of an Outlook mailbox notices.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::Utc;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{Method, Response};
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::{Connection, Regime, Transport, TransportError};
use postroom::{
    AuditWindow, ByteStream, Change, Content, ErrorKind, FolderRole, Keyword, Mailbox, MessageId,
    Query, Scope, SyncChange,
};

use crate::mirror::{changes, messages};
use crate::outlook::{begin, deleted, deliver, in_path, start, to, truth};
use crate::support::direct::Direct;
use crate::support::{OUTLOOK, emulator, mailbox_on};

#[tokio::test]
async fn what_came_back_and_could_not_be_read_is_made_up_for_in_an_audited_round() {
    let (emulator, mailbox, mirror) = start(3).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..1], &Change::Archive).await.unwrap();
    mailbox.apply(&ids[..1], &to("inbox")).await.unwrap();
    emulator.fault(Fault::new(FaultKind::NotJson).on(Method::GET, "/messages/"));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    let is_unreadable = |change: &SyncChange| matches!(change, SyncChange::Unreadable(..));
    assert!(changes(&pages).any(is_unreadable));
    // Graph tells nothing of it any longer.
    let seen = Change::Set(Keyword::Seen);
    mailbox.apply(&ids[..1], &seen).await.unwrap();
    mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

/// A way to the service on which somebody moves messages just before a request.
#[derive(Debug)]
struct Overtaken {
    way: Direct,
    /// What its path contains or ends with, and how many such come before it.
    moment: (&'static str, AtomicUsize),
    deed: Mutex<Option<(Mailbox, Vec<MessageId>, Change)>>,
}

#[async_trait]
impl Transport for Overtaken {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let (path, before) = (&self.moment.0, &self.moment.1);
        let there = request.uri().path();
        if (there.ends_with(path) || (path.ends_with('/') && there.contains(path)))
            && before.fetch_sub(1, Ordering::SeqCst) == 0
        {
            let deed = self.deed.lock().unwrap().take();
            if let Some((mailbox, ids, change)) = deed {
                mailbox.apply(&ids, &change).await.unwrap();
            }
        }
        self.way.send(request).await
    }
}

fn overtaken(
    emulator: &Arc<Emulator>,
    (path, before): (&'static str, usize),
    deed: (Mailbox, Vec<MessageId>, Change),
) -> Mailbox {
    let way = Overtaken {
        way: Direct(Arc::clone(emulator)),
        moment: (path, AtomicUsize::new(before)),
        deed: Mutex::new(Some(deed)),
    };
    let token = StaticToken::new(emulator.access_token(OUTLOOK));
    let connection = Connection::new(Arc::new(way), Arc::new(token));
    mailbox_on(emulator, connection.with_regime(Regime::Off), OUTLOOK)
}

#[tokio::test]
async fn what_moves_up_while_a_folder_is_compared_is_not_passed_over() {
    let (emulator, mailbox, mirror) = begin(emulator().longest_page(10), 40).await;
    let emulator = Arc::new(emulator);
    let mut scope = Scope::everything();
    scope.roles = vec![FolderRole::Inbox];
    scope.since = Some(Utc::now());
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(mirror.messages().is_empty());
    // The earlier ones are compared, and the newest leave before the second page.
    scope.since = None;
    let newest = mailbox.messages(Query::inbox()).take(10);
    let newest: Vec<MessageId> = newest
        .map_ok(|message| message.id)
        .try_collect()
        .await
        .unwrap();
    let overtaken = overtaken(
        &emulator,
        ("/messages", 1),
        (mailbox, newest, Change::Archive),
    );
    mirror.follow(&overtaken, &scope).await.unwrap();
    assert_eq!(mirror.messages().len(), 30);
}

#[tokio::test]
async fn what_came_back_and_had_gone_again_when_it_was_read_is_followed_all_the_same() {
    let (emulator, mailbox, mirror) = start(3).await;
    let emulator = Arc::new(emulator);
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().take(1).collect();
    mailbox.apply(&ids, &Change::Archive).await.unwrap();
    mailbox.apply(&ids, &to("inbox")).await.unwrap();
    let deed = (mailbox.clone(), ids.clone(), Change::Archive);
    let overtaken = overtaken(&emulator, ("/me/messages/", 0), deed);
    let mut pages = overtaken.sync(mirror.cursor(), scope.clone(), mirror.clone());
    mirror.store(&pages.next().await.unwrap().unwrap());
    drop(pages);
    mailbox.apply(&ids, &to("inbox")).await.unwrap();
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));

    // Graph tells nothing of it any longer.
    let seen = Change::Set(Keyword::Seen);
    mailbox.apply(&ids, &seen).await.unwrap();
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_ne!(mirror.messages(), truth(&emulator));
    mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn what_is_denied_and_found_again_by_counting_is_followed_from_then_on() {
    let (emulator, mailbox, mirror) = start(3).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().take(1).collect();
    mailbox.apply(&ids, &Change::Archive).await.unwrap();
    mailbox.apply(&ids, &to("inbox")).await.unwrap();
    let denied = Fault::new(FaultKind::resource_not_found());
    let id = ids[0].as_str().trim_end_matches('=');
    emulator.fault(denied.on(Method::GET, id).times(2));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(deleted(&pages), 1);
    mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));

    // Graph tells nothing of it any longer.
    let seen = Change::Set(Keyword::Seen);
    mailbox.apply(&ids, &seen).await.unwrap();
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_ne!(mirror.messages(), truth(&emulator));
    mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn a_folder_that_the_service_forgot_is_made_up_for_alone() {
    let (emulator, mailbox, mirror) = start(400).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    deliver(&emulator, "Missed");
    mailbox.apply(&ids[..3], &Change::Delete).await.unwrap();
    mailbox
        .apply(&ids[3..5], &Change::Set(Keyword::Seen))
        .await
        .unwrap();
    emulator.expire_deltas(OUTLOOK, Some("inbox"));
    let before = emulator.requests().len();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages), ["Missed"]);
    assert_eq!(deleted(&pages), 3);
    let uncertain = pages[0].uncertain.as_ref().unwrap();
    assert_eq!(
        uncertain.folders,
        [mailbox.folder(FolderRole::Inbox).await.unwrap().id]
    );
    assert!(emulator.requests().len() - before <= 6);
    assert_eq!(mirror.messages(), truth(&emulator));
    emulator.expire_deltas(OUTLOOK, None);
    deliver(&emulator, "Missed, too");
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn addresses_that_rot_in_a_long_walk_only_make_it_longer() {
    let (emulator, mailbox, mirror) = begin(emulator().longest_page(10), 55).await;
    let scope = Scope::everything();
    let mut pages = mailbox.sync(None, scope.clone(), mirror.clone());
    for rots in [true, false, true, false] {
        mirror.store(&pages.next().await.unwrap().unwrap());
        if rots {
            emulator.rot_next_links(OUTLOOK);
        }
    }
    drop(pages);
    mirror.follow(&mailbox, &scope).await.unwrap();
    for number in 0..40 {
        deliver(&emulator, &format!("More {number}"));
    }
    let mut pages = mailbox.sync(mirror.cursor(), scope.clone(), mirror.clone());
    mirror.store(&pages.next().await.unwrap().unwrap());
    emulator.rot_next_links(OUTLOOK);
    drop(pages);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn a_walk_through_a_folder_that_ends_early_is_noticed_and_made_again() {
    let (emulator, mailbox, mirror) = begin(emulator().longest_page(10), 40).await;
    let everything = Scope::everything();
    let mut inbox = Scope::default();
    inbox.roles = vec![FolderRole::Inbox];
    mirror.follow(&mailbox, &inbox).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..30], &Change::Archive).await.unwrap();
    mirror.follow(&mailbox, &inbox).await.unwrap();
    // The archive is new to the scope, and only its walk tells what lies in it.
    emulator.end_next_walk_early(OUTLOOK);
    mirror.follow(&mailbox, &everything).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));

    // The same where the service has forgotten the folder.
    emulator.expire_deltas(OUTLOOK, Some("archive"));
    let gone: Vec<&MessageId> = ids[..25].iter().collect();
    gone.iter().for_each(|id| mirror.forget(id));
    emulator.end_next_walk_early(OUTLOOK);
    let pages = mirror.follow(&mailbox, &everything).await.unwrap();
    assert_eq!((messages(&pages).len(), deleted(&pages)), (25, 0));
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn a_folder_that_is_said_not_to_be_there_although_it_is_loses_nothing() {
    let (emulator, mailbox, mirror) = start(30).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let folders = mirror.folders();
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let stray = || Fault::new(FaultKind::not_found()).on(Method::GET, in_path(&inbox));
    deliver(&emulator, "Meanwhile");
    emulator.fault(stray());
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages), ["Meanwhile"]);
    assert_eq!(changes(&pages).count(), 1);
    assert_eq!(mirror.messages(), truth(&emulator));

    // It does not hold up the other folders while it goes on.
    deliver(&emulator, "Later");
    emulator.fault(stray().times(1_000));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(changes(&pages).next().is_none());
    emulator.clear_faults();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages), ["Later"]);
    assert_eq!(mirror.folders(), folders);
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn a_folder_whose_listing_is_refused_is_made_up_for_as_soon_as_it_is_not() {
    let (emulator, mailbox, mirror) = start(30).await;
    let refused = || Fault::new(FaultKind::resource_not_found()).on_end(Method::GET, "/messages");
    let mut scope = Scope::everything();
    scope.roles = vec![FolderRole::Inbox];
    // What was there before.
    emulator.fault(refused());
    for _ in 0..2 {
        mirror.follow(&mailbox, &scope).await.unwrap();
    }
    assert_eq!(mirror.messages(), truth(&emulator));

    // What the host has, compared with what is there.
    let lost = mirror.messages().into_keys().next().unwrap();
    mirror.forget(&lost);
    scope.since = Some("2026-11-01T12:00:00Z".parse().unwrap());
    emulator.fault(refused());
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(!mirror.messages().contains_key(&lost));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!((messages(&pages).len(), deleted(&pages)), (1, 0));
    assert_eq!(mirror.messages(), truth(&emulator));

    // One that is refused for ever holds up nothing, and is not taken for an empty one.
    emulator.fault(refused().times(1_000));
    scope.since = None;
    for _ in 0..2 {
        let pages = mirror.follow(&mailbox, &scope).await.unwrap();
        assert_eq!(changes(&pages).count(), 0);
    }
    let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
    assert_eq!(audit.await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_count_that_is_refused_says_nothing_of_what_is_there() {
    let (emulator, mailbox, mirror) = start(30).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let lost = mirror.messages().into_keys().next().unwrap();
    mirror.forget(&lost);
    // After its changes, it is asked how many messages it has.
    let refused = Fault::new(FaultKind::resource_not_found());
    emulator.fault(refused.on(Method::GET, in_path(&inbox)).after(1));
    let pages = mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages).len(), 1);
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn an_address_that_rots_while_a_forgotten_folder_is_made_up_for_only_makes_it_longer() {
    let (emulator, mailbox, mirror) = begin(emulator().longest_page(10), 35).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    deliver(&emulator, "Missed");
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    emulator.expire_deltas(OUTLOOK, Some("inbox"));
    // The first answer says so itself, and then two pages come.
    let rotted = FaultKind::graph_error(410, "SyncStateNotFound", "");
    let rotted = Fault::new(rotted).on(Method::GET, in_path(&inbox));
    emulator.fault(rotted.after(3));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages), ["Missed"]);
    assert_eq!(changes(&pages).count(), 1);
    assert_eq!(mirror.messages(), truth(&emulator));
}
