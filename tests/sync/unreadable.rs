//! Messages that cannot be read: for once, for long, or whenever they are asked for. They keep nothing else from being told, and
//! are made up for.

use crate::everyday::{SERVICES, World};
use crate::mirror::{changes, messages};
use crate::support::{GMAIL, OUTLOOK};
use http::Method;
use postroom::emulator::{Fault, FaultKind};
use postroom::{
    AuditWindow, Change, ErrorKind, FolderId, FolderRole, Keyword, MessageId, Outgoing, SyncChange,
    SyncPage,
};

/// Where messages are asked for.
fn messages_of(world: &World) -> &'static str {
    if world.address == GMAIL {
        "/users/me/messages/"
    } else {
        "/me/messages/"
    }
}

/// What the services say of a message that they do not give.
fn refused(world: &World) -> FaultKind {
    if world.address == GMAIL {
        FaultKind::precondition_failed()
    } else {
        FaultKind::graph_error(
            400,
            "ErrorMimeContentInvalid",
            "The MIME content is invalid.",
        )
    }
}

fn unreadable(pages: &[SyncPage]) -> Vec<&MessageId> {
    let unreadable = changes(pages).filter_map(|change| match change {
        SyncChange::Unreadable(id, _) => Some(id),
        _ => None,
    });
    unreadable.collect()
}

fn came_whole(pages: &[SyncPage], id: &MessageId) -> bool {
    changes(pages).any(|change| change.message().is_some_and(|message| message.id == *id))
}

/// Five messages come, of which one cannot be read.
async fn come_with_one_unreadable(world: &World) -> MessageId {
    for number in 0..5 {
        world.deliver(&format!("Number {number}"), "");
    }
    let fault = Fault::new(refused(world)).on(Method::GET, messages_of(world));
    world.emulator.fault(fault.after(2));
    let pages = world.mirror.follow(&world.mailbox, &world.scope);
    let pages = pages.await.unwrap();
    let unreadable = unreadable(&pages);
    assert_eq!(unreadable.len(), 1, "{}", world.address);
    assert_eq!(messages(&pages).len(), 4, "{}", world.address);
    unreadable[0].clone()
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_told_with_its_error_and_ends_no_page() {
    for address in SERVICES {
        let world = World::new(address).await;
        world.follow().await;
        let id = come_with_one_unreadable(&world).await;
        // It counts as one that the host has.
        assert_eq!(world.mirror.messages().len(), 5);
        let audit = world
            .mailbox
            .audit(&world.scope, AuditWindow::all(), world.mirror.as_ref());
        let audit = audit.await.unwrap();
        assert!(audit.missing.is_empty() && audit.extra.is_empty());

        // And it is told whole as soon as something happens to it, whatever that is.
        let flagged = Change::Set(Keyword::Flagged);
        world.apply(std::slice::from_ref(&id), &flagged).await;
        assert!(came_whole(&world.follow().await, &id), "{address}");
    }
}

#[tokio::test]
async fn a_message_that_could_not_be_read_is_read_in_every_audited_round_until_it_can_be() {
    for address in SERVICES {
        let world = World::new(address).await;
        world.follow().await;
        let id = come_with_one_unreadable(&world).await;
        let fault = Fault::new(refused(&world)).on(Method::GET, messages_of(&world));
        world.emulator.fault(fault.times(u32::MAX));
        let audited = || world.mirror.follow_audited(&world.mailbox, &world.scope);
        let pages = audited().await.unwrap();
        assert!(unreadable(&pages).contains(&&id), "{address}");
        world.emulator.clear_faults();
        assert!(came_whole(&audited().await.unwrap(), &id), "{address}");
        assert!(unreadable(&world.follow().await).is_empty(), "{address}");
    }
}

/// Each service has had messages at which it fails whenever it is asked for them.
#[tokio::test]
async fn a_message_at_which_the_service_always_fails_keeps_no_other_from_being_told() {
    for address in SERVICES {
        let world = World::new(address).await;
        world.follow().await;
        world.deliver("Number 0", "");
        let audit = world
            .mailbox
            .audit(&world.scope, AuditWindow::all(), world.mirror.as_ref());
        let poisonous = audit.await.unwrap().missing.remove(0);
        let path = format!("/messages/{}", poisonous.as_str().trim_end_matches('='));
        let fails = || Fault::new(FaultKind::unavailable(None)).on(Method::GET, path.as_str());
        world.emulator.fault(fails().times(u32::MAX));
        let follow = || world.mirror.follow(&world.mailbox, &world.scope);
        // As long as nothing else is asked for, the service may be failing at everything.
        assert_eq!(follow().await.unwrap_err().kind(), ErrorKind::Unavailable);
        for number in 1..5 {
            world.deliver(&format!("Number {number}"), "");
        }
        let pages = follow().await.unwrap();
        assert_eq!(messages(&pages).len(), 4, "{address}");
        assert_eq!(unreadable(&pages), [&poisonous], "{address}");
        assert_eq!(world.mirror.messages().len(), 5);
        let pages = world
            .mirror
            .follow_audited(&world.mailbox, &world.scope)
            .await
            .unwrap();
        let told = unreadable(&pages);
        let is_that = |id: &&MessageId| **id == poisonous;
        assert!(!told.is_empty() && told.iter().all(is_that), "{address}");
    }
}

/// A service that fails at all messages tells what happens to those that are known, and loses none.
#[tokio::test]
async fn an_outage_makes_no_message_unreadable() {
    for address in SERVICES {
        let mut world = World::new(address).await;
        for number in 0..5 {
            world.deliver(&format!("Number {number}"), "");
        }
        world.follow().await;
        let ids = world.in_role(FolderRole::Inbox).await;
        world.deliver("Number 5", "");
        world.deliver("Number 6", "");
        world.apply(&ids[..1], &Change::Set(Keyword::Seen)).await;
        let fails = Fault::new(FaultKind::unavailable(None)).on(Method::GET, messages_of(&world));
        world.emulator.fault(fails.times(500));
        let follow = || world.mirror.follow(&world.mailbox, &world.scope);
        assert_eq!(follow().await.unwrap_err().kind(), ErrorKind::Unavailable);
        let seen = world.mirror.messages()[&ids[0]]
            .keywords
            .contains(&Keyword::Seen);
        assert!(seen, "{address}");
        world.emulator.clear_faults();
        world.wait(1);
        let pages = world.follow().await;
        assert!(unreadable(&pages).is_empty(), "{address}");
        assert_eq!(messages(&pages).len(), 2, "{address}");
    }
}

/// Conversations are asked for as wholes, and fail as wholes.
#[tokio::test]
async fn a_conversation_that_fails_as_a_whole_is_read_message_by_message() {
    let world = World::new(GMAIL).await;
    world.follow().await;
    world.deliver("A conversation", "Message-ID: <0@shop.example>\r\n");
    for number in 1..5 {
        let answer = format!(
            "Message-ID: <{number}@shop.example>\r\nIn-Reply-To: <0@shop.example>\r\nReferences: <0@shop.example>\r\n"
        );
        world.deliver("Re: A conversation", &answer);
    }
    let fails = Fault::new(FaultKind::unavailable(None)).on(Method::GET, "/threads/");
    world.emulator.fault(fails.times(u32::MAX));
    assert_eq!(messages(&world.follow().await).len(), 5);
}

/// What only the host has is asked for before it is called gone, and once more where the answer says nothing of that.
#[tokio::test]
async fn a_message_of_which_the_service_does_not_say_what_became_stays_until_it_does() {
    let mut world = World::new(GMAIL).await;
    world.scope.folders = vec![FolderId::from("INBOX")];
    for number in 0..5 {
        world.deliver(&format!("Number {number}"), "");
    }
    world.follow().await;
    let before = world.mirror.messages();
    let ids: Vec<MessageId> = before.keys().cloned().collect();
    world.apply(&ids[..1], &Change::Delete).await;
    world.emulator.expire_history(GMAIL);
    let fault = Fault::new(refused(&world)).on(Method::GET, messages_of(&world));
    world.emulator.fault(fault);
    let pages = world.mirror.follow(&world.mailbox, &world.scope).await;
    assert_eq!(unreadable(&pages.unwrap()), [&ids[0]]);
    assert_eq!(world.mirror.messages(), before);
    let pages = world.mirror.follow_audited(&world.mailbox, &world.scope);
    pages.await.unwrap();
    assert_eq!(world.mirror.messages().len(), 4);
    world.follow().await;
}

/// Nobody knows in which folder it was, so that no folder's count tells of it.
#[tokio::test]
async fn a_message_that_could_not_be_read_and_is_deleted_leaves_the_copy() {
    for address in SERVICES {
        let world = World::new(address).await;
        world.follow().await;
        let unreadable = come_with_one_unreadable(&world).await;
        world.emulator.expire_history(GMAIL);
        world.emulator.expire_deltas(OUTLOOK, None);
        world.apply(&[unreadable], &Change::Delete).await;
        let pages = world.mirror.follow_audited(&world.mailbox, &world.scope);
        pages.await.unwrap();
        assert_eq!(world.mirror.messages().len(), 4, "{address}");
    }
}

/// Outlook reads drafts anew whatever becomes of them. Nothing but its state tells that the copy of this one is as it was before.
#[tokio::test]
async fn a_draft_that_could_not_be_read_again_is_read_in_the_next_audited_round() {
    let world = World::new(OUTLOOK).await;
    let drafts = world.mailbox.drafts().unwrap();
    let draft = Outgoing::new().subject("A beginning").text("First words");
    drafts.create(&draft).await.unwrap();
    world.follow().await;
    let ids = world.in_role(FolderRole::Drafts).await;
    world.apply(&ids, &Change::Set(Keyword::Flagged)).await;
    let not_json = Fault::new(FaultKind::NotJson).on(Method::GET, "/messages/");
    world.emulator.fault(not_json);
    let pages = world.mirror.follow(&world.mailbox, &world.scope);
    let pages = pages.await.unwrap();
    assert_eq!(unreadable(&pages), [&ids[0]]);
    let pages = world.mirror.follow_audited(&world.mailbox, &world.scope);
    pages.await.unwrap();
    world.follow().await;
}
