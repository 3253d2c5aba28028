//! What Graph does not give for a while or at all: a folder, a page of a listing, a message, the tree of folders. It keeps
//! nothing else from being told, and a copy loses nothing by it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use http::{Method, Response};
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::{Connection, Regime, Transport, TransportError};
use postroom::testing::VirtualClock;
use postroom::{
    ByteStream, Change, Content, Detail, ErrorKind, FolderRole, Keyword, Mailbox, MessageId, Scope,
    SyncChange,
};

use crate::mirror::{changes, messages};
use crate::outlook::{begin, deleted, deliver, in_path, start, truth};
use crate::support::direct::Direct;
use crate::support::{OUTLOOK, emulator, mailbox_on};

/// An answer that nobody expects, with status 200.
fn answered(body: String) -> FaultKind {
    FaultKind::Status {
        code: 200,
        body: Some(body),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
    }
}

/// A way to the service on which certain listings fail.
#[derive(Debug)]
struct Failing {
    way: Direct,
    /// What their addresses contain.
    listings: &'static str,
}

#[async_trait]
impl Transport for Failing {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let address = request.uri();
        let is_listing = address.path().ends_with("/messages") && request.method() == Method::GET;
        let query = address.query().unwrap_or_default();
        if is_listing && query.contains(self.listings) {
            let nothing = stream::once(async { Ok(Bytes::from_static(b"{}")) });
            let failed = Response::builder().status(500).body(nothing.boxed());
            return Ok(failed.unwrap());
        }
        self.way.send(request).await
    }
}

fn failing(emulator: Emulator, listings: &'static str) -> (Arc<Emulator>, Mailbox) {
    let emulator = Arc::new(emulator);
    let way = Failing {
        way: Direct(Arc::clone(&emulator)),
        listings,
    };
    let token = StaticToken::new(emulator.access_token(OUTLOOK));
    let clock = VirtualClock::eager("2026-11-22T12:00:00Z".parse().unwrap());
    let connection = Connection::new(Arc::new(way), Arc::new(token)).with_clock(Arc::new(clock));
    let mailbox = mailbox_on(&emulator, connection.with_regime(Regime::Off), OUTLOOK);
    (emulator, mailbox)
}

/// A page with one message that the service cannot write out, or that is too much for it.
#[tokio::test]
async fn a_page_of_a_listing_that_always_fails_is_read_message_by_message() {
    for longest in [1_000, 10] {
        let (emulator, _, mirror) = begin(emulator().longest_page(longest), 60).await;
        let (emulator, mailbox) = failing(emulator, "subject");
        let pages = mirror.follow(&mailbox, &Scope::everything()).await.unwrap();
        assert_eq!(messages(&pages).len(), 60, "{longest}");
        assert_eq!(mirror.messages(), truth(&emulator));
    }
}

/// A folder that this user must not read, or at which the service fails.
#[tokio::test]
async fn a_folder_that_is_closed_keeps_no_other_from_being_told() {
    for closed in [
        FaultKind::graph_error(403, "ErrorAccessDenied", "Access is denied."),
        FaultKind::graph_error(
            400,
            "ErrorInvalidRequest",
            "The folder does not support it.",
        ),
        FaultKind::internal_error(),
    ] {
        let (emulator, _, mirror) = start(5).await;
        // Nobody waits before what failed is tried again.
        let (emulator, mailbox) = failing(emulator, "nothing of the kind");
        let archive = mailbox.folder(FolderRole::Archive).await.unwrap().id;
        let closed = || Fault::new(closed.clone()).on(Method::GET, in_path(&archive));
        let scope = Scope::everything();
        mirror.follow(&mailbox, &scope).await.unwrap();
        let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
        mailbox.apply(&ids[..2], &Change::Archive).await.unwrap();
        mirror.follow(&mailbox, &scope).await.unwrap();

        emulator.fault(closed().times(1_000));
        deliver(&emulator, "Meanwhile");
        let seen = Change::Set(Keyword::Seen);
        mailbox.apply(&ids[..1], &seen).await.unwrap();
        let pages = mirror.follow(&mailbox, &scope).await.unwrap();
        assert_eq!(messages(&pages), ["Meanwhile"]);
        let uncertain = pages.iter().filter_map(|page| page.uncertain.as_ref());
        assert!(
            uncertain
                .flat_map(|uncertain| &uncertain.folders)
                .any(|id| *id == archive)
        );
        emulator.clear_faults();
        mirror.follow(&mailbox, &scope).await.unwrap();
        assert_eq!(mirror.messages(), truth(&emulator));

        // One that was closed from the beginning, and in which something went on meanwhile.
        mirror.begin_again();
        emulator.fault(closed().times(1_000));
        mirror.follow(&mailbox, &scope).await.unwrap();
        mailbox.apply(&ids[1..2], &Change::Delete).await.unwrap();
        emulator.clear_faults();
        for _ in 0..2 {
            mirror.follow(&mailbox, &scope).await.unwrap();
        }
        assert_eq!(mirror.messages(), truth(&emulator));
    }
}

#[tokio::test]
async fn an_address_that_is_refused_as_wrong_is_one_that_the_service_has_forgotten() {
    let (emulator, mailbox, mirror) = start(5).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    for path in [in_path(&inbox), "/mailFolders/delta"] {
        deliver(&emulator, "Meanwhile");
        let wrong = "The provided delta token is not valid.";
        let wrong = FaultKind::graph_error(400, "ErrorInvalidUrlQuery", wrong);
        emulator.fault(Fault::new(wrong).on(Method::GET, path));
        let pages = mirror.follow(&mailbox, &scope).await.unwrap();
        assert_eq!(messages(&pages), ["Meanwhile"], "{path}");
        assert_eq!(mirror.messages(), truth(&emulator));
    }
}

#[tokio::test]
async fn a_tree_without_an_inbox_takes_no_folder_away() {
    let (emulator, mailbox, mirror) = start(5).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let (folders, before) = (mirror.folders(), mirror.messages());
    let link = emulator
        .microsoft()
        .base_url
        .join("v1.0/me/mailFolders/delta?$deltatoken=1");
    for entries in ["[]", "[{},null]"] {
        let body = format!(
            r#"{{"value":{entries},"@odata.deltaLink":"{}"}}"#,
            link.as_ref().unwrap()
        );
        let fault = Fault::new(answered(body)).on(Method::GET, "/mailFolders/delta");
        emulator.fault(fault.times(2));
        let error = mirror.follow_audited(&mailbox, &scope).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{entries}");
        assert_eq!(
            (mirror.folders(), mirror.messages()),
            (folders.clone(), before.clone())
        );
        emulator.clear_faults();
    }
    mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

/// Changes of folders may tell only what changed.
#[tokio::test]
async fn a_change_of_a_folder_that_tells_only_a_number_changes_nothing_else() {
    let (emulator, mailbox, mirror) = start(5).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let folders = mirror.folders();
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let link = emulator
        .microsoft()
        .base_url
        .join("v1.0/me/mailFolders/delta?$deltatoken=1");
    let body = format!(
        r#"{{"value":[{{"id":"{inbox}","totalItemCount":7}}],"@odata.deltaLink":"{}"}}"#,
        link.unwrap()
    );
    emulator.fault(Fault::new(answered(body)).on(Method::GET, "/mailFolders/delta"));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(changes(&pages).next().is_none());
    assert_eq!(mirror.folders(), folders);
}

/// What the host has already of a message is told again only by the listing.
#[tokio::test]
async fn a_listing_that_is_refused_while_more_of_each_message_is_read_leaves_none_as_it_was() {
    let (emulator, mailbox, mirror) = start(30).await;
    let mut scope = Scope::everything();
    scope.roles = vec![FolderRole::Inbox];
    mirror.follow(&mailbox, &scope).await.unwrap();
    scope.detail = Detail::Full;
    let refused = Fault::new(FaultKind::resource_not_found());
    emulator.fault(refused.on_end(Method::GET, "/messages"));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    let full = |change: &&SyncChange| {
        change
            .message()
            .is_some_and(|message| message.detail == Detail::Full)
    };
    assert_eq!(changes(&pages).filter(full).count(), 30);
}

/// A long walk whose addresses rot again and again goes on from the beginning each time, and ends no sync for good.
#[tokio::test]
async fn addresses_that_rot_every_night_end_no_sync_for_good() {
    let (emulator, mailbox, mirror) = begin(emulator().longest_page(10), 55).await;
    let scope = Scope::everything();
    for _ in 0..6 {
        let mut pages = mailbox.sync(mirror.cursor(), scope.clone(), mirror.clone());
        for _ in 0..2 {
            mirror.store(&pages.next().await.unwrap().unwrap());
        }
        emulator.rot_next_links(OUTLOOK);
    }
    for _ in 0..2 {
        mirror.follow(&mailbox, &scope).await.unwrap();
    }
    assert_eq!(mirror.messages(), truth(&emulator));
}

/// A folder whose changes could not be asked for while what was there before was listed.
#[tokio::test]
async fn what_is_deleted_from_a_folder_that_was_denied_at_first_is_told_as_deleted() {
    let (emulator, mailbox, mirror) = start(30).await;
    let scope = Scope::everything();
    let inbox = mailbox.folder(FolderRole::Inbox).await.unwrap().id;
    let changes = format!("{}/messages/delta", in_path(&inbox));
    let denied = Fault::new(FaultKind::not_found()).on(Method::GET, changes);
    emulator.fault(denied.times(1_000));
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages().len(), 30);
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..1], &Change::Delete).await.unwrap();
    emulator.clear_faults();
    let mut pages = Vec::new();
    for _ in 0..3 {
        pages.extend(mirror.follow(&mailbox, &scope).await.unwrap());
    }
    assert_eq!(deleted(&pages), 1);
    assert_eq!(mirror.messages(), truth(&emulator));
}

/// Of a message that is said not to be there in other words than Graph has for messages, that is asked once more.
#[tokio::test]
async fn a_message_that_is_strangely_denied_for_once_is_not_deleted() {
    let (emulator, mailbox, mirror) = start(3).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    deliver(&emulator, "Meanwhile");
    let denied = Fault::new(FaultKind::resource_not_found());
    emulator.fault(denied.on(Method::GET, "/me/messages/"));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!((messages(&pages), deleted(&pages)), (vec!["Meanwhile"], 0));
}

/// Some of the messages in a shared mailbox are private.
#[tokio::test]
async fn a_message_that_must_not_be_read_keeps_no_other_from_being_told() {
    let (emulator, mailbox, mirror) = start(3).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    for number in 0..3 {
        deliver(&emulator, &format!("More {number}"));
    }
    let private = FaultKind::graph_error(403, "ErrorAccessDenied", "Access is denied.");
    let private = Fault::new(private).on(Method::GET, "/me/messages/");
    emulator.fault(private.after(1));
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(messages(&pages).len() >= 2);
}

#[tokio::test]
async fn a_message_of_which_no_folder_is_told_stays_in_the_copy() {
    let (emulator, mailbox, mirror) = start(3).await;
    let scope = Scope::everything();
    mirror.follow(&mailbox, &scope).await.unwrap();
    let ids: Vec<MessageId> = mirror.messages().into_keys().collect();
    mailbox.apply(&ids[..1], &Change::Archive).await.unwrap();
    let body = format!(
        r#"{{"id":"{}","isRead":true,"parentFolderId":null}}"#,
        ids[0]
    );
    emulator.fault(Fault::new(answered(body)).on(Method::GET, "/me/messages/"));
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages().len(), 3);
    mirror.follow_audited(&mailbox, &scope).await.unwrap();
    assert_eq!(mirror.messages(), truth(&emulator));
}

/// Another limit of time, twice in a row: more differs than the last time, for a good reason.
#[tokio::test]
async fn scopes_that_reach_further_and_further_back_are_followed() {
    let (emulator, mailbox, mirror) = start(6_500).await;
    let mut scope = Scope::everything();
    scope.detail = Detail::Ids;
    scope.roles = vec![FolderRole::Inbox];
    let began: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
    let second = |seconds| Some(began + TimeDelta::seconds(seconds));
    scope.since = second(2_168);
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(mirror.messages().len() < 10);
    scope.since = second(1_336);
    let mut pages = mailbox.sync(mirror.cursor(), scope.clone(), mirror.clone());
    mirror.store(&pages.next().await.unwrap().unwrap());
    drop(pages);
    scope.since = None;
    mirror.follow(&mailbox, &scope).await.unwrap();
    assert!(mirror.messages() == truth(&emulator));
}

#[tokio::test]
async fn a_scope_that_reaches_further_back_lists_only_what_is_older() {
    let (emulator, mailbox, mirror) = start(600).await;
    let mut scope = Scope::everything();
    let began: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
    scope.since = Some(began + TimeDelta::seconds(150));
    mirror.follow(&mailbox, &scope).await.unwrap();
    let had = mirror.messages().len();
    scope.since = None;
    let pages = mirror.follow(&mailbox, &scope).await.unwrap();
    assert_eq!(messages(&pages).len(), 600 - had);
    assert_eq!(mirror.messages(), truth(&emulator));
    assert_eq!(mirror.asked(), 0);
}
