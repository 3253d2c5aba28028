//! A copy of a Gmail mailbox that is complete, stays complete, and costs no more than what happened.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::mirror::{Mirror, changes, gmail_truth, messages};
use crate::support::{GMAIL, emulator, unpaced};
use futures_util::StreamExt as _;
use http::Method;
use postroom::emulator::{Emulator, EmulatorBuilder, Fault, FaultKind};
use postroom::{
    AuditWindow, Change, Detail, ErrorKind, FolderEdit, FolderId, FolderRole, Keyword, Mailbox,
    MessageId, Scope, SyncChange, SyncCursor, SyncPage, SyncPhase,
};

pub(crate) async fn start(messages: usize) -> (Emulator, Mailbox, Arc<Mirror>) {
    begin(emulator(), messages).await
}

pub(crate) async fn begin(
    builder: EmulatorBuilder,
    messages: usize,
) -> (Emulator, Mailbox, Arc<Mirror>) {
    let emulator = builder.quota(false).start().await.unwrap();
    for number in 0..messages {
        deliver(&emulator, &format!("Number {number}"));
    }
    let mailbox = unpaced(&emulator, GMAIL);
    (emulator, mailbox, Mirror::new())
}

pub(crate) fn deliver(emulator: &Emulator, subject: &str) {
    let mail = format!("From: billing@shop.example\r\nSubject: {subject}\r\n\r\nText\r\n");
    emulator.deliver(GMAIL, mail.as_bytes());
}

/// What one page costs: HTTP requests as the service counts them, and units.
pub(crate) fn requests(emulator: &Emulator) -> usize {
    emulator.requests().len()
}

pub(crate) fn units(pages: &[SyncPage]) -> u64 {
    pages.iter().map(|page| page.progress.units).sum()
}

#[tokio::test]
async fn everything_comes_newest_first_and_a_quiet_round_is_one_request_of_three_units() {
    let (emulator, mailbox, mirror) = start(250).await;
    let scope = Scope::everything();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    let told = messages(&pages);
    assert_eq!(told.len(), 250);
    assert_eq!((told[0], told[249]), ("Number 249", "Number 0"));
    assert!(mirror.folders().contains_key("INBOX"));
    assert!(pages.iter().all(|page| page.phase == SyncPhase::Snapshot));
    assert_eq!(pages[0].progress.expected, Some(250));
    assert_eq!(pages.last().unwrap().progress.done, 250);
    assert_eq!(mirror.asked(), 0);

    let before = requests(&emulator);
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(requests(&emulator) - before, 1);
    assert_eq!(units(&pages), 3);
    assert!(changes(&pages).next().is_none());
    deliver(&emulator, "One more");
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(pages.last().unwrap().progress.done, 1);
}

#[tokio::test]
async fn new_mail_comes_at_once_though_older_mail_is_still_being_read() {
    let (emulator, mailbox, mirror) = start(250).await;
    let scope = Scope::default();
    let mut pages = mailbox.sync(None, scope.clone(), mirror.clone());
    mirror.store(&pages.next().await.unwrap().unwrap());
    deliver(&emulator, "Just now");
    let page = pages.next().await.unwrap().unwrap();
    assert_eq!(messages(std::slice::from_ref(&page))[0], "Just now");
    assert!(page.more);
    mirror.store(&page);
    drop(pages);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
}

#[tokio::test]
async fn a_page_that_was_not_stored_comes_again_and_one_of_an_overtaken_worker_changes_nothing() {
    let (emulator, mailbox, mirror) = start(230).await;
    let scope = Scope::everything();
    let mut overtaken = Vec::new();
    for _ in 0..40 {
        // Each time the process dies before it stored the second page.
        let mut pages = mailbox.sync(mirror.cursor(), scope.clone(), mirror.clone());
        let Some(page) = pages.next().await else {
            break;
        };
        assert!(mirror.store(&page.unwrap()));
        match pages.next().await {
            Some(page) => overtaken.push(page.unwrap()),
            None => break,
        }
    }
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    let messages = mirror.messages();
    overtaken.pop();
    assert!(!overtaken.is_empty() && overtaken.iter().all(|page| !mirror.store(page)));
    assert_eq!(mirror.messages(), messages);
}

#[tokio::test]
async fn what_changes_of_labels_is_told_without_reading_a_message() {
    let (emulator, mailbox, mirror) = start(40).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    let trips = FolderEdit::Create {
        name: "Trips".to_owned(),
        parent: None,
        color: None,
    };
    let trips = mailbox.edit_folder(&trips).await.unwrap().unwrap().id;
    mailbox
        .apply(&ids, &Change::Set(Keyword::Seen))
        .await
        .unwrap();
    mailbox
        .apply(&ids[..20], &Change::AddTo(trips.clone()))
        .await
        .unwrap();
    mailbox.apply(&ids[5..30], &Change::Archive).await.unwrap();
    mailbox.apply(&ids[30..], &Change::Trash).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    assert!(messages(&pages).is_empty());
    assert_eq!(units(&pages), 3);
    assert_eq!(mirror.folders()[trips.as_str()], "Trips");

    let rename = FolderEdit::Rename {
        folder: trips.clone(),
        name: "Journeys".to_owned(),
    };
    mailbox.edit_folder(&rename).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(changes(&pages).count(), 1);
    assert_eq!(mirror.folders()[trips.as_str()], "Journeys");
    mailbox
        .edit_folder(&FolderEdit::Delete(trips.clone()))
        .await
        .unwrap();
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(!mirror.folders().contains_key(trips.as_str()));
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
}

#[tokio::test]
async fn what_goes_to_the_trash_leaves_the_scope_and_comes_back_as_a_message() {
    let (emulator, mailbox, mirror) = start(12).await;
    let scope = Scope::default();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..3], &Change::Trash).await.unwrap();
    mailbox.apply(&ids[3..5], &Change::Junk).await.unwrap();
    mailbox.apply(&ids[5..6], &Change::Delete).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    let count = |is: fn(&SyncChange) -> bool| changes(&pages).filter(|change| is(change)).count();
    assert_eq!(
        count(|change| matches!(change, SyncChange::OutOfScope(_))),
        5
    );
    assert_eq!(count(|change| matches!(change, SyncChange::Deleted(_))), 1);
    mailbox.apply(&ids[..1], &Change::Restore).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages).len(), 1);
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
}

#[tokio::test]
async fn a_scope_that_names_the_trash_and_does_not_cover_it_has_nothing_of_it() {
    let (emulator, mailbox, mirror) = start(10).await;
    let mut scope = Scope::default();
    scope.folders = vec!["INBOX".into(), "TRASH".into()];
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..4], &Change::Trash).await.unwrap();
    // What the host has is compared with what the labels list.
    emulator.expire_history(GMAIL);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages().len(), 6);
    let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
    assert!(audit.await.unwrap().is_clean());
    let afresh = Mirror::new();
    afresh.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(afresh.messages(), mirror.messages());
}

#[tokio::test]
async fn later_pages_that_are_always_refused_lead_to_no_loop() {
    let (emulator, mailbox, mirror) = begin(emulator().longest_page(3), 8).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    (0..8).for_each(|number| deliver(&emulator, &format!("More {number}")));
    // Every second page of the history.
    for _ in 0..100 {
        let kind = FaultKind::google_error(400, "invalidArgument", "Invalid pageToken");
        emulator.fault(Fault::new(kind).on(Method::GET, "/history").after(1));
    }
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(pages.len() < 30 && pages.iter().any(|page| page.uncertain.is_some()));
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    emulator.clear_faults();

    // A listing that reads everything again, as more of each message is wanted.
    let mut full = scope;
    full.detail = Detail::Full;
    let mut outcomes = 0;
    let error = loop {
        let entries = mirror.cursor().unwrap().entries().unwrap();
        let rotten = entries.into_iter().map(|(name, value)| {
            let mut told: serde_json::Value = match name.as_str() {
                "listing" => serde_json::from_str(&value).unwrap(),
                _ => return (name, value),
            };
            if told["token"].is_string() {
                told["token"] = "rotten".into();
            }
            (name, told.to_string())
        });
        let cursor = SyncCursor::from_entries(rotten.collect::<Vec<_>>());
        let mut pages = mailbox.sync(Some(cursor.clone()), full.clone(), mirror.clone());
        let mut page = match pages.next().await.unwrap() {
            Ok(page) => page,
            Err(error) => break error,
        };
        page.after = mirror.cursor();
        assert!(mirror.store(&page) && page.more);
        outcomes += 1;
        assert!(outcomes < 40);
    };
    assert_eq!(error.kind(), ErrorKind::CursorExpired);
}

#[tokio::test]
async fn a_scope_of_a_role_that_the_service_has_not_got_is_refused() {
    let (emulator, mailbox, mirror) = start(3).await;
    let mut scope = Scope::default();
    for roles in [
        vec![FolderRole::Archive],
        vec![FolderRole::Inbox, FolderRole::Archive],
    ] {
        scope.roles = roles;
        let refused = mirror.follow(&mailbox, &scope).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
        assert_eq!(audit.await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert!(emulator.requests().is_empty());
    scope.roles = vec![FolderRole::Inbox, FolderRole::Flagged];
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages().len(), 3);
}

#[tokio::test]
async fn conversations_are_read_as_wholes_and_what_has_several_labels_is_read_once() {
    let (emulator, mailbox, mirror) = start(0).await;
    for number in 0..60 {
        let (thread, place) = (number % 6, number / 6);
        let answers = match place {
            0 => String::new(),
            _ => format!("In-Reply-To: <{thread}-0@shop.example>\r\n"),
        };
        let mail = format!(
            "From: billing@shop.example\r\nMessage-ID: <{thread}-{place}@shop.example>\r\n{answers}\
             Subject: Thread {thread}\r\n\r\nText\r\n"
        );
        emulator.deliver(GMAIL, mail.as_bytes());
    }
    let everything = Scope::everything();
    let pages = mirror.follow(&mailbox, &everything).await.unwrap();
    assert_eq!(messages(&pages).len(), 60);
    // Six conversations at 40 units each, not 60 messages at 20, and the listings.
    assert!(units(&pages) < 6 * 40 + 30, "{}", units(&pages));

    let create = FolderEdit::Create {
        name: "Trips".to_owned(),
        parent: None,
        color: None,
    };
    let trips = mailbox.edit_folder(&create).await.unwrap().unwrap().id;
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    let add = Change::AddTo(trips.clone());
    mailbox.apply(&ids[20..], &add).await.unwrap();
    mailbox.apply(&ids[50..], &Change::Archive).await.unwrap();
    let mut scope = Scope::default();
    scope.folders = vec![FolderId::from("INBOX"), trips];
    let mirror = Mirror::new();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages).len(), 60);
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));

    // Only looking tells whether one that loses a label of the scope has another, and it is moved if it has.
    let both = &ids[30..35];
    mailbox.apply(both, &Change::Archive).await.unwrap();
    let seen = Change::Set(Keyword::Seen);
    mailbox.apply(&ids[40..42], &seen).await.unwrap();
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    let moved = changes(&pages).filter_map(|change| match change {
        SyncChange::Moved { message, out_of } => Some((&message.id, out_of)),
        _ => None,
    });
    let (moved, out_of): (BTreeSet<_>, Vec<_>) = moved.unzip();
    assert!(moved.into_iter().eq(both));
    assert!(
        out_of
            .iter()
            .all(|out_of| out_of.iter().eq([&scope.folders[0]]))
    );
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_or_is_gone_ends_no_page() {
    let (emulator, mailbox, mirror) = start(10).await;
    let scope = Scope::everything();
    let strange = FaultKind::google_error(400, "failedPrecondition", "Precondition check failed.");
    emulator.fault(Fault::new(strange).on(Method::GET, "/messages/").after(3));
    let gone = Fault::new(FaultKind::not_found());
    emulator.fault(gone.on(Method::GET, "/messages/").after(5));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages).len(), 8);
    let unreadable = |change: &&SyncChange| matches!(change, SyncChange::Unreadable(..));
    assert_eq!(changes(&pages).filter(unreadable).count(), 1);
    let deleted = |change: &&SyncChange| matches!(change, SyncChange::Deleted(_));
    assert_eq!(changes(&pages).filter(deleted).count(), 1);
}

#[tokio::test]
async fn a_listing_that_is_refused_is_an_error_and_says_nothing_of_its_messages() {
    let (emulator, mailbox, mirror) = start(20).await;
    let mut inbox = Scope::default();
    inbox.folders = vec![FolderId::from("INBOX")];
    let refused = |path: &str| {
        let kind = FaultKind::google_error(400, "failedPrecondition", "Precondition check failed.");
        Fault::new(kind).on(Method::GET, path)
    };
    // The listing of a scope, at first.
    emulator.fault(refused("/messages"));
    let error = mirror.follow(&mailbox, &inbox).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    mirror.follow(&mailbox, &inbox).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &inbox));
    assert_eq!(mirror.messages().len(), 20);
    for scope in [inbox, Scope::everything()] {
        mirror.follow(&mailbox, &scope).await.unwrap();
        // Its own listing in an audit, and that of a label.
        for listing in 0..2 {
            emulator.fault(refused("/messages").after(listing));
            let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
            assert_eq!(audit.await.unwrap_err().kind(), ErrorKind::InvalidRequest);
        }
        deliver(&emulator, "Missed");
        emulator.expire_history(GMAIL);
        for listing in 0..2 {
            emulator.fault(refused("/messages").after(listing));
            mirror.follow(&mailbox, &scope).await.unwrap_err();
        }
        mirror.follow(&mailbox, &scope).await.unwrap();
        assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &scope));
    }

    // What a listing does not have is gone only if the service says so of the message.
    let scope = Scope::everything();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..1], &Change::Delete).await.unwrap();
    emulator.fault(refused("/messages/"));
    let audit = mailbox.audit(&scope, AuditWindow::all(), mirror.as_ref());
    audit.await.unwrap_err();
    emulator.expire_history(GMAIL);
    emulator.fault(refused("/messages/"));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    let deleted = |change: &SyncChange| matches!(change, SyncChange::Deleted(_));
    assert!(!changes(&pages).any(deleted));
    let pages = mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(changes(&pages).filter(|change| deleted(change)).count(), 1);

    // A label that is gone leads to no error.
    let create = FolderEdit::Create {
        name: "Trips".to_owned(),
        parent: None,
        color: None,
    };
    let trips = mailbox.edit_folder(&create).await.unwrap().unwrap().id;
    let mut trip = Scope::default();
    trip.folders = vec![trips.clone(), FolderId::from("INBOX")];
    let edit = FolderEdit::Delete(trips);
    mailbox.edit_folder(&edit).await.unwrap();
    let mirror = Mirror::new();
    mirror.follow(&mailbox, &trip).await.unwrap();
    assert_eq!(mirror.messages(), gmail_truth(&emulator, GMAIL, &trip));
    let audit = mailbox.audit(&trip, AuditWindow::all(), mirror.as_ref());
    assert!(audit.await.unwrap().is_clean());
}

#[tokio::test]
async fn an_audit_finds_what_is_missing_what_is_extra_and_what_is_stale() {
    let (_emulator, mailbox, mirror) = start(30).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let clean = mailbox
        .audit(&scope, AuditWindow::all(), mirror.as_ref())
        .await
        .unwrap();
    assert!(clean.is_clean() && clean.checked == 30 && clean.units > 0);
    // An audited first sync ends with a comparison, too.
    let asked = mirror.asked();
    let mut pages = mailbox.sync_audited(None, scope.clone(), mirror.clone());
    while let Some(page) = pages.next().await {
        page.unwrap();
    }
    assert!(mirror.asked() > asked);
    let messages = mirror.messages();
    let (first, copy) = messages.first_key_value().unwrap();
    let (last, _) = messages.last_key_value().unwrap();
    mirror.forget(first);
    mirror.put(MessageId::from("0123456789abcdef"), copy.clone());
    let mut stale = messages[last].clone();
    stale.keywords.insert(Keyword::Flagged);
    mirror.put(last.clone(), stale);
    let audit = mailbox
        .audit(&scope, AuditWindow::all(), mirror.as_ref())
        .await
        .unwrap();
    assert_eq!(audit.missing, std::slice::from_ref(first));
    assert_eq!(audit.extra, [MessageId::from("0123456789abcdef")]);
    assert_eq!(audit.stale.len(), 1);
    assert_eq!(audit.stale[0].id, *last);
    assert!(audit.stale[0].cleared.contains(&Keyword::Flagged));
}

#[tokio::test]
async fn only_one_sync_runs_and_a_cursor_of_something_else_is_refused() {
    let (_emulator, mailbox, mirror) = start(3).await;
    let mut first = mailbox.sync(None, Scope::default(), mirror.clone());
    first.next().await.unwrap().unwrap();
    let first_again = mailbox
        .clone()
        .sync(None, Scope::default(), mirror.clone())
        .next()
        .await;
    // It was the only page, after which it is over.
    assert!(first_again.unwrap().is_ok());
    drop(first);

    let (emulator, mailbox, mirror) = start(150).await;
    let mut first = mailbox.sync(None, Scope::default(), mirror.clone());
    first.next().await.unwrap().unwrap();
    let mut second = mailbox.clone().sync(None, Scope::default(), mirror.clone());
    let refused = second.next().await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    drop(first);
    mirror.follow(&mailbox, &Scope::default()).await.unwrap();

    let before = requests(&emulator);
    for text in [
        "",
        "nonsense",
        "postroom-sync/1",
        "postroom-sync/1\nprovider\toutlook",
    ] {
        let cursor = Some(SyncCursor::new(text));
        let mut pages = mailbox.sync(cursor, Scope::default(), mirror.clone());
        let refused = pages.next().await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    }
    assert_eq!(requests(&emulator), before);
    let cursor = mirror.cursor().unwrap();
    let entries = cursor.entries().unwrap();
    assert_eq!(SyncCursor::from_entries(entries), cursor);
}
