//! A copy of an Outlook mailbox that is complete, stays complete, and loses nothing that Graph forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::mirror::{Copy, Mirror, changes, hidden_folders, messages, outlook_truth};
use crate::support::{OUTLOOK, emulator, unpaced};
use futures_util::StreamExt as _;
use http::Method;
use postroom::emulator::{Emulator, EmulatorBuilder, Fault, FaultKind};
use postroom::testing::VirtualClock;
use postroom::{
    AuditWindow, Change, Detail, ErrorKind, FolderEdit, FolderId, FolderRole, Keyword, Mailbox,
    MessageId, Scope, SyncChange, SyncPage, SyncPhase,
};

pub(crate) async fn begin(
    builder: EmulatorBuilder,
    messages: usize,
) -> (Emulator, Mailbox, Arc<Mirror>) {
    let clock = VirtualClock::eager("2026-11-22T12:00:00Z".parse().unwrap());
    let builder = builder.quota(false).clock(Arc::new(clock.clone()));
    let emulator = builder.start().await.unwrap();
    for number in 0..messages {
        deliver(&emulator, &format!("Number {number}"));
        // Three come in the same second.
        clock.advance(Duration::from_millis(334));
    }
    let mailbox = unpaced(&emulator, OUTLOOK);
    (emulator, mailbox, Mirror::new())
}

pub(crate) async fn start(messages: usize) -> (Emulator, Mailbox, Arc<Mirror>) {
    begin(emulator(), messages).await
}

pub(crate) fn deliver(emulator: &Emulator, subject: &str) {
    let mail = format!("From: billing@shop.example\r\nSubject: {subject}\r\n\r\nText\r\n");
    emulator.deliver(OUTLOOK, mail.as_bytes());
}

pub(crate) fn truth(emulator: &Emulator) -> BTreeMap<MessageId, Copy> {
    outlook_truth(emulator, OUTLOOK, &Scope::everything(), &BTreeSet::new())
}

pub(crate) fn deleted(pages: &[SyncPage]) -> usize {
    let deleted = |change: &&SyncChange| matches!(change, SyncChange::Deleted(_));
    changes(pages).filter(deleted).count()
}

/// A part of an id that stands in addresses as it is.
pub(crate) fn in_path(id: &FolderId) -> &str {
    id.as_str().trim_end_matches('=')
}

pub(crate) fn to(folder: &str) -> Change {
    Change::MoveTo {
        to: FolderId::from(folder),
        from: None,
    }
}

#[tokio::test]
async fn everything_comes_newest_first_and_a_quiet_round_is_one_request() {
    let (emulator, mailbox, mirror) = start(600).await;
    let scope = Scope::everything();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
    let told = messages(&pages);
    assert_eq!(told.len(), 600);
    assert!(pages.iter().all(|page| page.phase == SyncPhase::Snapshot));
    assert_eq!(pages[0].progress.expected, Some(600));
    assert_eq!(mirror.asked(), 0);
    let newest = |page: &SyncPage| {
        let dates = page.changes.iter().filter_map(|change| match change {
            SyncChange::Message(message) => message.received_at,
            _ => None,
        });
        dates.collect::<Vec<_>>()
    };
    let dates: Vec<_> = pages.iter().flat_map(newest).collect();
    assert!(dates.windows(2).all(|two| two[0] >= two[1]));

    let before = emulator.requests().len();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(emulator.requests().len() - before, 1);
    assert!(changes(&pages).next().is_none());
}

#[tokio::test]
async fn new_mail_comes_at_once_and_a_worker_that_dies_loses_nothing() {
    let (emulator, mailbox, mirror) = start(600).await;
    let scope = Scope::everything();
    let mut pages = mailbox.sync(None, scope.clone(), mirror.clone());
    for _ in 0..2 {
        mirror.store(&pages.next().await.unwrap().unwrap());
    }
    deliver(&emulator, "Just now");
    let page = pages.next().await.unwrap().unwrap();
    assert!(messages(std::slice::from_ref(&page)).contains(&"Just now") && page.more);
    drop(pages);
    for _ in 0..40 {
        // Each time the process dies before it stored the second page.
        let mut pages = mailbox.sync(mirror.cursor(), scope.clone(), mirror.clone());
        mirror.store(&pages.next().await.unwrap().unwrap());
        if pages.next().await.is_none() {
            break;
        }
    }
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn what_is_deleted_while_a_listing_goes_on_shifts_nothing_out_of_it() {
    let (emulator, mailbox, mirror) = start(600).await;
    let scope = Scope::everything();
    let mut pages = mailbox.sync(None, scope.clone(), mirror.clone());
    let page = pages.next().await.unwrap().unwrap();
    mirror.store(&page);
    let first: Vec<MessageId> = page
        .changes
        .iter()
        .filter_map(|change| change.message_id().cloned())
        .collect();
    assert!(first.len() >= 200);
    mailbox.apply(&first[..60], &Change::Delete).await.unwrap();
    while let Some(page) = pages.next().await {
        mirror.store(&page.unwrap());
    }
    drop(pages);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn a_move_is_no_deletion_and_what_went_away_and_came_back_is_still_there() {
    let (emulator, mailbox, mirror) = start(30).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..10], &Change::Archive).await.unwrap();
    mailbox.apply(&ids[10..20], &Change::Archive).await.unwrap();
    mailbox.apply(&ids[10..20], &to("inbox")).await.unwrap();
    mailbox.apply(&ids[20..22], &Change::Delete).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(deleted(&pages), 2);
    assert_eq!(mirror.messages(), truth(&emulator));
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let moved = changes(&pages).filter_map(|change| match change {
        SyncChange::Moved { message, out_of } => Some((message.id.clone(), out_of.clone())),
        _ => None,
    });
    let moved: BTreeMap<_, _> = moved.collect();
    assert!(moved.keys().eq(&ids[..10]));
    assert!(moved.values().all(|out_of| out_of.iter().eq([&inbox])));

    // Graph tells nothing of these any longer, and an audited round finds out.
    mailbox.apply(&ids[10..12], &Change::Delete).await.unwrap();
    mailbox
        .apply(&ids[12..14], &Change::Set(Keyword::Seen))
        .await
        .unwrap();
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_ne!(mirror.messages(), truth(&emulator));
    let pages = mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(deleted(&pages), 2);
    assert!(messages(&pages).is_empty());
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn what_changes_of_state_is_told_without_reading_a_message() {
    let (emulator, mailbox, mirror) = start(20).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    let red = Keyword::Custom("Red category".to_owned());
    mailbox
        .apply(&ids, &Change::Set(Keyword::Seen))
        .await
        .unwrap();
    mailbox
        .apply(&ids[..5], &Change::Set(red.clone()))
        .await
        .unwrap();
    mailbox
        .apply(&ids[..5], &Change::Set(Keyword::Important))
        .await
        .unwrap();
    mailbox.apply(&ids[..2], &Change::Clear(red)).await.unwrap();
    let before = emulator.requests().len();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(messages(&pages).is_empty());
    assert_eq!(emulator.requests().len() - before, 1);
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn folders_that_are_made_moved_renamed_or_thrown_away_are_told_with_their_messages() {
    let (emulator, mailbox, mirror) = start(12).await;
    let scope = Scope::default();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    let trips = FolderEdit::Create {
        name: "Trips".to_owned(),
        parent: None,
        color: None,
    };
    let trips = mailbox.edit_folder(&trips).await.unwrap().unwrap().id;
    mailbox.apply(&ids[..6], &to(trips.as_str())).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(deleted(&pages), 0);
    assert_eq!(mirror.folders()[trips.as_str()], "Trips");
    let compare = || async {
        let hidden = hidden_folders(&mailbox).await;
        assert_eq!(
            mirror.messages(),
            outlook_truth(&emulator, OUTLOOK, &scope, &hidden)
        );
    };
    compare().await;
    let rename = FolderEdit::Rename {
        folder: trips.clone(),
        name: "Journeys".to_owned(),
    };
    mailbox.edit_folder(&rename).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(changes(&pages).count(), 1);
    assert_eq!(mirror.folders()[trips.as_str()], "Journeys");
    // Thrown away, it lies in the deleted items, which are out of scope.
    mailbox
        .edit_folder(&FolderEdit::Delete(trips.clone()))
        .await
        .unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(deleted(&pages), 0);
    assert_eq!(mirror.messages().len(), 6);
    compare().await;
    let back = FolderEdit::Move {
        folder: trips,
        parent: None,
    };
    mailbox.edit_folder(&back).await.unwrap();
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages().len(), 12);
    compare().await;
}

#[tokio::test]
async fn a_scope_of_a_role_that_the_service_has_not_got_is_refused() {
    let (emulator, mailbox, mirror) = start(3).await;
    let mut scope = Scope::default();
    for role in [FolderRole::Flagged, FolderRole::Important] {
        scope.roles = vec![FolderRole::Inbox, role];
        let refused = mirror.follow(&mailbox, &scope).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
        assert_eq!(audit.await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert!(emulator.requests().is_empty());
    scope.roles = vec![FolderRole::Inbox, FolderRole::Archive];
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages().len(), 3);
}

#[tokio::test]
async fn a_narrower_scope_costs_no_more_than_listing_what_it_covers() {
    let (_emulator, mailbox, mirror) = start(300).await;
    mirror.follow(&mailbox, &Scope::everything()).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..250], &Change::Archive).await.unwrap();
    mirror.follow(&mailbox, &Scope::everything()).await.unwrap();
    let mut inbox = Scope::everything();
    inbox.roles = vec![FolderRole::Inbox];
    let pages = mirror.follow(&mailbox, &inbox).await.unwrap();
    assert_eq!((mirror.messages().len(), deleted(&pages)), (50, 0));
    let requests: u64 = pages.iter().map(|page| page.progress.requests).sum();
    assert!(requests < 30, "{requests}");
}

#[tokio::test]
async fn another_scope_brings_what_it_brings_and_nothing_else() {
    let (emulator, mailbox, mirror) = start(40).await;
    let everything = Scope::everything();
    mirror.follow(&mailbox, &everything).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..10], &Change::Archive).await.unwrap();
    mailbox.apply(&ids[10..15], &Change::Trash).await.unwrap();
    mirror.follow(&mailbox, &everything).await.unwrap();

    let mut inbox = Scope::default();
    inbox.roles = vec![FolderRole::Inbox];
    let pages = mirror.follow(&mailbox, &inbox).await.unwrap();
    assert_eq!(mirror.messages().len(), 25);
    assert_eq!((messages(&pages).len(), deleted(&pages)), (0, 0));
    let pages = mirror.follow(&mailbox, &everything).await.unwrap();
    assert_eq!(messages(&pages).len(), 15);
    assert_eq!(mirror.messages(), truth(&emulator));
    let mut full = everything.clone();
    full.detail = Detail::Full;
    let pages = mirror.follow(&mailbox, &full).await.unwrap();
    assert_eq!(messages(&pages).len(), 40);
}

#[tokio::test]
async fn what_leaves_in_great_numbers_does_not_fill_the_cursor() {
    let (emulator, mailbox, mirror) = start(2_600).await;
    let scope = Scope::default();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..2_500], &Change::Trash).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let one = ids[0].as_str().len() + inbox.as_str().len() + 10;
    let longest = pages.iter().map(|page| page.cursor.as_str().len()).max();
    assert!(longest.unwrap() < 2_300 * one, "{longest:?}");
    assert_eq!(deleted(&pages), 0);
    let hidden = hidden_folders(&mailbox).await;
    let there = outlook_truth(&emulator, OUTLOOK, &scope, &hidden);
    assert_eq!(there.len(), 100);
    assert_eq!(mirror.messages(), there);
}

/// A host that says it has what it was told was wrong, and goes on saying so.
#[tokio::test]
async fn a_host_that_stores_nothing_of_what_it_is_told_ends_in_an_error_and_no_loop() {
    let (emulator, mailbox, mirror) = start(2_100).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    for (id, mut copy) in mirror.messages() {
        copy.keywords.insert(Keyword::Flagged);
        mirror.put(id, copy);
    }
    emulator.expire_deltas(OUTLOOK, None);
    let stuck = mirror.fork();
    let mut pages = mailbox.sync(mirror.cursor(), scope.clone(), stuck);
    let mut count = 0;
    let error = loop {
        match pages.next().await.unwrap() {
            Ok(page) => count += page.changes.len(),
            Err(error) => break error,
        }
    };
    drop(pages);
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!((2_000..10_000).contains(&count), "{count}");
    // One that stores it gets to the end.
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn an_entry_that_says_nothing_ends_neither_a_recovery_nor_an_audit() {
    // Not to be held against the service's description: such entries are none of its.
    let (emulator, mailbox, mirror) = begin(emulator().record(None), 5).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    // A page of such entries comes before the others.
    let strange = |path: &str| {
        let following = emulator
            .microsoft()
            .base_url
            .join(&format!("v1.0{path}"))
            .unwrap();
        let body = format!(
            r#"{{"value":[42,{{"id":7}},{{"subject":"?"}}],"@odata.nextLink":"{following}"}}"#
        );
        let kind = FaultKind::Status {
            code: 200,
            body: Some(body),
            headers: Vec::new(),
        };
        Fault::new(kind).on(Method::GET, in_path(&inbox))
    };
    deliver(&emulator, "Missed");
    emulator.expire_deltas(OUTLOOK, Some("inbox"));
    let changed = format!("/me/mailFolders/{inbox}/messages/delta");
    emulator.fault(strange(&changed).after(1));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages), ["Missed"]);
    assert_eq!(mirror.messages(), truth(&emulator));

    emulator.fault(strange(&format!("/me/mailFolders/{inbox}/messages")));
    let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
    let audit = audit.await.unwrap();
    assert_eq!(audit.checked, 6);
    assert!(audit.missing.is_empty() && audit.extra.is_empty());
}

#[tokio::test]
async fn an_entry_that_tells_only_an_id_changes_nothing_and_its_message_is_read() {
    // Not to be held against the service's description: it always tells more.
    let (emulator, mailbox, mirror) = begin(emulator().record(None), 1).await;
    let mut scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    let seen = Change::Set(Keyword::Seen);
    mailbox.apply(&ids, &seen).await.unwrap();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let only_id = || {
        let kind = FaultKind::Status {
            code: 200,
            body: Some(format!(r#"{{"value":[{{"id":"{}"}}]}}"#, ids[0])),
            headers: Vec::new(),
        };
        Fault::new(kind).on(Method::GET, in_path(&inbox))
    };
    emulator.fault(only_id());
    let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
    let audit = audit.await.unwrap();
    assert_eq!((audit.checked, audit.is_clean()), (1, true));

    // What changed comes first, and then the listing that a comparison needs.
    emulator.fault(only_id().after(1));
    scope.since = Some("2020-01-01T00:00:00Z".parse().unwrap());
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages), ["Number 0"]);
    assert_eq!(changes(&pages).count(), 1);
    assert_eq!(mirror.messages(), truth(&emulator));
}

#[tokio::test]
async fn another_scope_does_not_begin_a_listing_again() {
    let (emulator, mailbox, mirror) = start(600).await;
    let mut pages = mailbox.sync(None, Scope::default(), mirror.clone());
    for _ in 0..2 {
        mirror.store(&pages.next().await.unwrap().unwrap());
    }
    drop(pages);
    let had = mirror.messages().len();
    assert!((200..600).contains(&had));
    let everything = Scope::everything();
    let pages = mirror.follow(&mailbox, &everything).await.unwrap();
    assert_eq!(messages(&pages).len(), 600 - had);
    assert_eq!(mirror.messages(), truth(&emulator));
}
