//! What makes up for a history that Gmail lost, and for another scope: at the cost of what was missed, and without leaving
//! anything as it was before.

use std::collections::BTreeSet;

use crate::gmail::{begin, deliver, start, units};
use crate::mirror::{changes, gmail_truth, messages};
use crate::support::GMAIL;
use futures_util::StreamExt as _;
use http::Method;
use postroom::emulator::{Fault, FaultKind};
use postroom::{
    AuditWindow, Change, Detail, ErrorKind, FolderEdit, FolderId, Keyword, MessageId, Scope,
    SyncChange, SyncCursor,
};

#[tokio::test]
async fn a_lost_history_is_made_up_for_at_the_cost_of_what_was_missed() {
    let (emulator, mailbox, mirror) = start(600).await;
    let scope = Scope::everything();
    let first = units(&mirror.follow(&mailbox, &scope).await.unwrap());
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    deliver(&emulator, "Missed");
    mailbox.apply(&ids[..2], &Change::Delete).await.unwrap();
    mailbox.apply(&ids[2..4], &Change::Archive).await.unwrap();
    mailbox
        .apply(&ids[4..5], &Change::Set(Keyword::Seen))
        .await
        .unwrap();
    emulator.expire_history(GMAIL);
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    assert!(pages[0].uncertain.as_ref().unwrap().since.is_some());
    assert_eq!(messages(&pages), ["Missed"]);
    let deleted = changes(&pages).filter(|change| matches!(change, SyncChange::Deleted(_)));
    assert_eq!(deleted.count(), 2);
    assert!(mirror.asked() > 0);
    assert!(units(&pages) < first / 40, "{} of {first}", units(&pages));

    // So it is where it was lost within a round of several pages.
    let (emulator, mailbox, mirror) = begin(crate::support::emulator().longest_page(3), 0).await;
    mirror.follow(&mailbox, &scope).await.unwrap();
    (0..8).for_each(|number| deliver(&emulator, &format!("Number {number}")));
    let mut pages = mailbox.sync(mirror.cursor(), scope.clone(), mirror.clone());
    mirror.store(&pages.next().await.unwrap().unwrap());
    drop(pages);
    emulator.expire_history(GMAIL);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));

    // What was still to be read when it was lost is found, too.
    let (emulator, mailbox, mirror) = start(250).await;
    let mut pages = mailbox.sync(None, scope.clone(), mirror.clone());
    mirror.store(&pages.next().await.unwrap().unwrap());
    drop(pages);
    deliver(&emulator, "Missed");
    emulator.expire_history(GMAIL);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
}

#[tokio::test]
async fn a_history_that_is_lost_again_and_again_is_an_error_and_no_loop() {
    let (emulator, mailbox, mirror) = start(3).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let refused = || Fault::new(FaultKind::not_found()).on(Method::GET, "/history");
    // The mailbox is idle, and the id that was given is refused: nothing has happened since.
    emulator.fault(refused());
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(pages.len() == 1 && changes(&pages).next().is_none());
    assert_eq!(mirror.asked(), 0);
    // The history moves on, and is refused all the same.
    deliver(&emulator, "Missed");
    emulator.fault(refused().times(2));
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    deliver(&emulator, "Missed again");
    emulator.fault(refused());
    let error = mirror.follow(&mailbox, &scope).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CursorExpired);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
}

/// A host that says it has what it was told was wrong, and goes on saying so.
#[tokio::test]
async fn a_host_that_stores_nothing_of_what_it_is_told_ends_in_an_error_and_no_loop() {
    let (emulator, mailbox, mirror) = start(5_100).await;
    let mut scope = Scope::everything();
    scope.detail = Detail::Ids;
    mirror.follow(&mailbox, &scope).await.unwrap();
    scope.detail = Detail::Headers;
    let stuck = mirror.fork();
    let cursor = mirror.cursor();
    let entries = cursor.unwrap().entries().unwrap().into_iter();
    let headers = entries.map(|(name, value)| (name, value.replace("\"ids\"", "\"headers\"")));
    let cursor = SyncCursor::from_entries(headers);
    deliver(&emulator, "New");
    emulator.expire_history(GMAIL);
    let mut pages = mailbox.sync(Some(cursor), scope.clone(), stuck);
    let mut count = 0;
    let error = loop {
        match pages.next().await.unwrap() {
            Ok(page) => count += page.changes.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!((5_000..20_000).contains(&count), "{count}");
}

#[tokio::test]
async fn another_scope_brings_what_it_brings_and_nothing_else() {
    let (emulator, mailbox, mirror) = start(60).await;
    let everything = Scope::everything();
    mirror.follow(&mailbox, &everything).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..20], &Change::Archive).await.unwrap();
    mailbox.apply(&ids[20..25], &Change::Trash).await.unwrap();

    let mut inbox = Scope::default();
    inbox.folders = vec![FolderId::from("INBOX")];
    let pages = mirror.follow(&mailbox, &inbox).await.unwrap();
    assert_eq!(mirror.messages().len(), 35);
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &inbox));
    assert!(messages(&pages).is_empty() && pages.iter().all(|page| page.uncertain.is_none()));
    let deleted = |change: &SyncChange| matches!(change, SyncChange::Deleted(_));
    assert!(!changes(&pages).any(deleted));

    let pages = mirror.follow(&mailbox, &everything).await.unwrap();
    assert_eq!(messages(&pages).len(), 25);
    assert_eq!(
        mirror.messages(),
        gmail_truth(&emulator, GMAIL, &everything)
    );

    let mut full = everything.clone();
    full.detail = Detail::Full;
    let pages = mirror.follow(&mailbox, &full).await.unwrap();
    assert_eq!(messages(&pages).len(), 60);
}

/// Much that differs is told a part at a time. That no less of it differs than before ends a sync, unless there is another reason
/// for that: another scope, or what happened meanwhile.
#[tokio::test]
async fn much_that_differs_for_another_reason_than_before_is_told_all_the_same() {
    let (emulator, mailbox, mirror) = start(10_300).await;
    let mut everything = Scope::everything();
    everything.detail = Detail::Ids;
    let mut labels = Vec::new();
    for name in ["Trips", "Nothing"] {
        let create = FolderEdit::Create {
            name: name.to_owned(),
            parent: None,
            color: None,
        };
        labels.push(mailbox.edit_folder(&create).await.unwrap().unwrap().id);
    }
    let all = mirror.fork();
    all.follow(&mailbox, &everything).await.unwrap();
    let ids: Vec<MessageId> = all.messages().into_keys().collect();
    let add = Change::AddTo(labels[0].clone());
    mailbox.apply(&ids[..5_100], &add).await.unwrap();
    let named = |label: &FolderId| {
        let mut scope = everything.clone();
        scope.folders = vec![label.clone()];
        scope
    };
    mirror.follow(&mailbox, &named(&labels[1])).await.unwrap();
    assert!(mirror.messages().is_empty());
    let mut pages = mailbox.sync(mirror.cursor(), named(&labels[0]), mirror.clone());
    mirror.store(&pages.next().await.unwrap().unwrap());
    drop(pages);
    mirror.follow(&mailbox, &everything).await.unwrap();
    assert_eq!(mirror.messages().len(), 10_300);

    // A copy that is wrong from end to end, and people who read all their mail while it is mended.
    let (emulator, mailbox, mirror) = {
        drop(emulator);
        start(5_100).await
    };
    let everything = Scope::everything();
    mirror.follow(&mailbox, &everything).await.unwrap();
    for (id, mut copy) in mirror.messages() {
        copy.keywords.insert(Keyword::Flagged);
        mirror.put(id, copy);
    }
    let mut pages = mailbox.sync_audited(mirror.cursor(), everything.clone(), mirror.clone());
    mirror.store(&pages.next().await.unwrap().unwrap());
    drop(pages);
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    let seen = Change::Set(Keyword::Seen);
    mailbox.apply(&ids, &seen).await.unwrap();
    mirror.follow(&mailbox, &everything).await.unwrap();
    let truth = gmail_truth(&emulator, GMAIL, &everything);
    assert!(mirror.messages() == truth);
}

/// Of Gmail's own labels there is always one. An answer without any would take every message out of all of its own.
#[tokio::test]
async fn an_answer_that_lists_no_label_takes_no_message_out_of_its_labels() {
    let (emulator, mailbox, mirror) = start(10).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let before = mirror.messages();
    let nothing = || Fault::new(FaultKind::Nulls).on(Method::GET, "/labels");
    emulator.fault(nothing());
    let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
    assert_eq!(audit.await.unwrap_err().kind(), ErrorKind::Protocol);
    deliver(&emulator, "Missed");
    emulator.expire_history(GMAIL);
    emulator.fault(nothing());
    let error = mirror.follow(&mailbox, &scope).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(mirror.messages(), before);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
}

#[tokio::test]
async fn a_history_that_is_lost_while_more_of_each_message_is_read_leaves_none_as_it_was() {
    let (emulator, mailbox, mirror) = start(250).await;
    let mut scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    scope.detail = Detail::Full;
    let mut pages = mailbox.sync(mirror.cursor(), scope.clone(), mirror.clone());
    let first = pages.next().await.unwrap().unwrap();
    mirror.store(&first);
    drop(pages);
    deliver(&emulator, "Missed");
    emulator.expire_history(GMAIL);
    let mut pages = mirror.follow(&mailbox, &scope).await.unwrap();
    pages.insert(0, first);
    let read: BTreeSet<_> = changes(&pages)
        .filter_map(SyncChange::message)
        .filter(|message| message.detail == Detail::Full)
        .map(|message| &message.id)
        .collect();
    assert_eq!(read.len(), 251);
}

#[tokio::test]
async fn a_narrower_scope_costs_no_more_than_listing_what_there_is() {
    let (_emulator, mailbox, mirror) = start(1_100).await;
    let mut scope = Scope::everything();
    scope.detail = Detail::Ids;
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox
        .apply(&ids[..1_000], &Change::Archive)
        .await
        .unwrap();
    mirror.follow(&mailbox, &scope).await.unwrap();
    scope.folders = vec![FolderId::from("INBOX")];
    let gone = [ids[0].clone()];
    mailbox.apply(&gone, &Change::Delete).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages().len(), 100);
    // 5 units for the inbox, and as many for each 500 of all.
    assert!(units(&pages) < 50, "{}", units(&pages));
}
