//! What people do with their mail, and whether a copy of it follows: they write, send, schedule, snooze, throw conversations
//! away, import, tidy up thousands of messages at once and rename what they filed them under.
//!
//! `POSTROOM_BULK` says how many messages are moved at once.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::mirror::{Mirror, changes, gmail_truth, messages, outlook_truth};
use crate::support::direct::Direct;
use crate::support::{GMAIL, OUTLOOK, emulator, mailbox_on};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt as _;
use postroom::clock::Clock as _;
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, Regime};
use postroom::testing::VirtualClock;
use postroom::{
    AuditWindow, Change, Detail, DraftEdit, FolderEdit, FolderId, FolderRole, ImportLoss,
    ImportOptions, Keyword, Mailbox, Message, MessageId, Outgoing, Query, Scope, SyncChange,
    SyncPage,
};

pub(crate) const SERVICES: [&str; 2] = [GMAIL, OUTLOOK];

/// How many messages CI moves at once.
const BULK: usize = 2_000;

/// A mailbox, and its copy.
pub(crate) struct World {
    pub(crate) emulator: Arc<Emulator>,
    pub(crate) clock: VirtualClock,
    pub(crate) address: &'static str,
    pub(crate) mailbox: Mailbox,
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) scope: Scope,
}

/// Nobody waits before what failed is tried again.
fn mailbox(emulator: &Arc<Emulator>, clock: &VirtualClock, address: &str) -> Mailbox {
    let token = StaticToken::new(emulator.access_token(address));
    let way = Arc::new(Direct(Arc::clone(emulator)));
    let connection = Connection::new(way, Arc::new(token))
        .with_clock(Arc::new(clock.clone()))
        .with_regime(Regime::Off);
    mailbox_on(emulator, connection, address)
}

impl World {
    pub(crate) async fn new(address: &'static str) -> Self {
        let clock = VirtualClock::eager("2026-11-22T12:00:00Z".parse().unwrap());
        let builder = emulator().quota(false).clock(Arc::new(clock.clone()));
        let emulator = Arc::new(builder.start().await.unwrap());
        Self {
            mailbox: mailbox(&emulator, &clock, address),
            emulator,
            clock,
            address,
            mirror: Mirror::new(),
            scope: Scope::everything(),
        }
    }

    pub(crate) fn deliver(&self, subject: &str, more: &str) {
        let mail =
            format!("From: billing@shop.example\r\nSubject: {subject}\r\n{more}\r\nText\r\n");
        self.emulator.deliver(self.address, mail.as_bytes());
        self.clock.advance(Duration::from_secs(1));
    }

    /// Time passes, and with it the lives of tokens.
    pub(crate) fn wait(&mut self, hours: u64) {
        self.clock.advance(Duration::from_secs(hours * 60 * 60));
        self.mailbox = mailbox(&self.emulator, &self.clock, self.address);
    }

    /// Syncs, and sees that the copy is what the mailbox is.
    pub(crate) async fn follow(&self) -> Vec<SyncPage> {
        let pages = self.mirror.follow(&self.mailbox, &self.scope).await;
        let pages = pages.unwrap();
        let truth = if self.address == GMAIL {
            gmail_truth(&self.emulator, GMAIL, &self.scope)
        } else {
            outlook_truth(&self.emulator, OUTLOOK, &self.scope, &BTreeSet::new())
        };
        assert_eq!(self.mirror.messages(), truth, "{}", self.address);
        pages
    }

    pub(crate) async fn in_role(&self, role: FolderRole) -> Vec<MessageId> {
        let folder = self.mailbox.folder(role).await.unwrap().id;
        let messages = self.mirror.messages().into_iter();
        let inside = messages.filter(|(_, copy)| copy.folders.contains(folder.as_str()));
        inside.map(|(id, _)| id).collect()
    }

    pub(crate) async fn apply(&self, ids: &[MessageId], change: &Change) {
        for outcome in self.mailbox.apply(ids, change).await.unwrap() {
            outcome.unwrap();
        }
    }
}

fn deleted(pages: &[SyncPage]) -> usize {
    let deleted = |change: &&SyncChange| matches!(change, SyncChange::Deleted(_));
    changes(pages).filter(deleted).count()
}

#[tokio::test]
async fn what_is_written_changed_and_sent_is_told_at_every_step() {
    for address in SERVICES {
        let world = World::new(address).await;
        world.follow().await;
        let drafts = world.mailbox.drafts().unwrap();
        let beginning = Outgoing::new().subject("A beginning").text("First words");
        let draft = drafts.create(&beginning).await.unwrap();
        let other = drafts.create(&Outgoing::new().subject("Never sent")).await;
        let pages = world.follow().await;
        assert_eq!(messages(&pages).len(), 2, "{address}");
        assert_eq!(world.in_role(FolderRole::Drafts).await.len(), 2);

        // Gmail makes another message of a draft that is changed.
        let to = address.parse().unwrap();
        let edit = DraftEdit::new().to([to]).subject("What it became");
        let draft = drafts.update(&draft.id, None, &edit).await.unwrap();
        let pages = world.follow().await;
        assert_eq!(messages(&pages), ["What it became"], "{address}");
        drafts.discard(&other.unwrap().id).await.unwrap();
        world.follow().await;
        assert_eq!(world.in_role(FolderRole::Drafts).await.len(), 1);

        // To oneself: it is among what was sent, and in the inbox, on Gmail as one message.
        world.mailbox.send_draft(&draft.id, None).await.unwrap();
        world.emulator.release_sent_copies(address);
        world.follow().await;
        assert!(world.in_role(FolderRole::Drafts).await.is_empty());
        assert_eq!(world.in_role(FolderRole::Sent).await.len(), 1, "{address}");
        assert_eq!(world.in_role(FolderRole::Inbox).await.len(), 1);

        // A copy of what was sent that turns up late.
        world.emulator.hold_sent_copies(address);
        let outgoing = Outgoing::new()
            .to("support@desk.example".parse().unwrap())
            .subject("Sent")
            .text("Text");
        world.mailbox.send(&outgoing).await.unwrap();
        world.follow().await;
        world.emulator.release_sent_copies(address);
        world.follow().await;
        assert_eq!(world.in_role(FolderRole::Sent).await.len(), 2, "{address}");
    }
}

#[tokio::test]
async fn what_is_sent_later_waits_in_the_copy_as_it_does_in_the_mailbox() {
    let mut world = World::new(OUTLOOK).await;
    world.follow().await;
    let due = "2026-11-23T09:00:00Z".parse().unwrap();
    let outgoing = Outgoing::new()
        .to("support@desk.example".parse().unwrap())
        .subject("Good morning")
        .text("Text")
        .send_at(due);
    world.mailbox.send(&outgoing).await.unwrap();
    let pages = world.follow().await;
    assert_eq!(messages(&pages), ["Good morning"]);
    assert!(world.in_role(FolderRole::Sent).await.is_empty());
    world.wait(24);
    // The service looks at its clock when it is asked something.
    world.mailbox.profile().await.unwrap();
    world.emulator.release_sent_copies(OUTLOOK);
    world.follow().await;
    assert_eq!(world.in_role(FolderRole::Sent).await.len(), 1);
    assert_eq!(world.mirror.messages().len(), 1);
}

/// Neither service's API tells of snoozing: the message leaves the inbox, and comes back later, unread.
#[tokio::test]
async fn a_snoozed_message_leaves_the_inbox_and_comes_back_as_the_same() {
    for address in SERVICES {
        let mut world = World::new(address).await;
        world.deliver("Later", "");
        world.follow().await;
        let ids = world.in_role(FolderRole::Inbox).await;
        world.apply(&ids, &Change::Set(Keyword::Seen)).await;
        world.apply(&ids, &Change::Archive).await;
        world.follow().await;
        assert!(world.in_role(FolderRole::Inbox).await.is_empty());
        world.wait(72);
        let inbox = world.mailbox.folder(FolderRole::Inbox).await.unwrap().id;
        let back = Change::MoveTo {
            to: inbox,
            from: None,
        };
        world.apply(&ids, &back).await;
        world.apply(&ids, &Change::Clear(Keyword::Seen)).await;
        let pages = world.follow().await;
        assert_eq!(world.in_role(FolderRole::Inbox).await, ids, "{address}");
        assert_eq!(deleted(&pages), 0);

        // Within one round nobody sees it, and nothing is lost.
        world.apply(&ids, &Change::Archive).await;
        world.apply(&ids, &back).await;
        let pages = world.follow().await;
        assert_eq!(world.in_role(FolderRole::Inbox).await, ids, "{address}");
        assert_eq!(deleted(&pages), 0);
    }
}

#[tokio::test]
async fn a_conversation_that_is_thrown_away_and_deleted_goes_as_a_whole() {
    for address in SERVICES {
        let mut world = World::new(address).await;
        world.scope = Scope::default();
        world.deliver("Question", "Message-ID: <one@shop.example>\r\n");
        let answers = "In-Reply-To: <one@shop.example>\r\nReferences: <one@shop.example>\r\n";
        for number in 2..5 {
            let id = format!("Message-ID: <{number}@shop.example>\r\n");
            world.deliver("Re: Question", &format!("{id}{answers}"));
        }
        world.deliver("Something else", "");
        world
            .mirror
            .follow(&world.mailbox, &world.scope)
            .await
            .unwrap();
        let found: Vec<Message> = world
            .mailbox
            .messages(Query::Subject("question".to_owned()))
            .try_collect()
            .await
            .unwrap();
        let thread = found[0].thread.clone().unwrap();
        for outcome in world
            .mailbox
            .apply_to_threads(std::slice::from_ref(&thread), &Change::Trash)
            .await
            .unwrap()
        {
            outcome.unwrap();
        }
        let pages = world
            .mirror
            .follow(&world.mailbox, &world.scope)
            .await
            .unwrap();
        assert_eq!((world.mirror.messages().len(), deleted(&pages)), (1, 0));
        world.scope = Scope::everything();
        world.follow().await;
        assert_eq!(world.mirror.messages().len(), 5, "{address}");
        for outcome in world
            .mailbox
            .apply_to_threads(&[thread], &Change::Delete)
            .await
            .unwrap()
        {
            outcome.unwrap();
        }
        let pages = world.follow().await;
        assert_eq!(deleted(&pages), 4, "{address}");
        assert_eq!(world.mirror.messages().len(), 1);
    }
}

#[tokio::test]
async fn only_what_was_received_since_is_told_whatever_happens_to_the_rest() {
    for address in SERVICES {
        let mut world = World::new(address).await;
        world.deliver("Old", "");
        world.wait(24);
        let since = world.clock.now();
        world.deliver("New", "");
        world.clock.advance(Duration::from_secs(60));
        world.scope.since = Some(since);
        let follow = async || {
            world
                .mirror
                .follow(&world.mailbox, &world.scope)
                .await
                .unwrap()
        };
        assert_eq!(messages(&follow().await), ["New"], "{address}");

        let inbox = world.mailbox.folder(FolderRole::Inbox).await.unwrap().id;
        let all: Vec<Message> = world
            .mailbox
            .messages(Query::inbox())
            .try_collect()
            .await
            .unwrap();
        let all: Vec<MessageId> = all.into_iter().map(|message| message.id).collect();
        world.apply(&all, &Change::Set(Keyword::Flagged)).await;
        world.apply(&all, &Change::Archive).await;
        let old = "2019-01-01T00:00:00Z".parse().unwrap();
        for (date, kept) in [(old, false), (since + TimeDelta::seconds(30), true)] {
            let date: DateTime<Utc> = date;
            let raw = format!(
                "From: billing@shop.example\r\nSubject: From elsewhere\r\nDate: {}\r\n\r\nText\r\n",
                date.to_rfc2822()
            );
            let options = ImportOptions::new().folder(inbox.clone());
            let imported = world.mailbox.import(raw.into_bytes(), &options).await;
            let imported = imported.unwrap();
            assert!(!imported.lost.contains(&ImportLoss::Date), "{address}");
            let pages = follow().await;
            assert_eq!(
                messages(&pages).contains(&"From elsewhere"),
                kept,
                "{address}"
            );
        }
        let copy = world.mirror.messages();
        assert_eq!(copy.len(), 2, "{address}");
        let flagged = copy
            .values()
            .filter(|copy| copy.keywords.contains(&Keyword::Flagged));
        assert_eq!(flagged.count(), 1);
        let audit = world
            .mailbox
            .audit(&world.scope, AuditWindow::all(), world.mirror.as_ref());
        let audit = audit.await.unwrap();
        assert!(
            audit.is_clean() && audit.checked == 2,
            "{address}: {audit:?}"
        );
        let missed = AuditWindow::since(since).until(since + TimeDelta::seconds(1));
        let nothing = Mirror::new();
        let audit = world
            .mailbox
            .audit(&world.scope, missed, nothing.as_ref())
            .await;
        assert_eq!(audit.unwrap().missing.len(), 1, "{address}");
    }
}

#[tokio::test]
async fn a_folder_that_is_renamed_or_moved_is_told_with_those_in_it_and_without_its_messages() {
    for address in SERVICES {
        let world = World::new(address).await;
        for number in 0..6 {
            world.deliver(&format!("Number {number}"), "");
        }
        let create = async |name: &str, parent: Option<&FolderId>| {
            world.mailbox.create_folder(name, parent).await.unwrap().id
        };
        let trips = create("Trips", None).await;
        let year = create("2026", Some(&trips)).await;
        let archive = create("Finished", None).await;
        world.follow().await;
        let ids = world.in_role(FolderRole::Inbox).await;
        for (ids, to) in [(&ids[..3], &trips), (&ids[3..], &year)] {
            let to = to.clone();
            world.apply(ids, &Change::MoveTo { to, from: None }).await;
        }
        world.follow().await;
        let before = world.mirror.messages();
        for edit in [
            FolderEdit::Rename {
                folder: trips.clone(),
                name: "Journeys".to_owned(),
            },
            FolderEdit::Move {
                folder: trips.clone(),
                parent: Some(archive.clone()),
            },
        ] {
            world.mailbox.edit_folder(&edit).await.unwrap();
            let pages = world.follow().await;
            let only_folders =
                changes(&pages).all(|change| matches!(change, SyncChange::Folder(_)));
            assert!(only_folders, "{address}: {edit:?}");
            assert_eq!(world.mirror.messages(), before);
            let there = world.mailbox.folders().await.unwrap();
            let there = there
                .into_iter()
                .map(|folder| (folder.id.to_string(), folder.name));
            assert_eq!(world.mirror.folders(), there.collect(), "{address}");
        }
        world.mailbox.delete_folder(&trips).await.unwrap();
        let pages = world.follow().await;
        assert_eq!(deleted(&pages), 0, "{address}");
        assert_eq!(world.mirror.messages().len(), 6);
    }
}

/// A draft that is rewritten keeps its id at Outlook, and its state everywhere.
#[tokio::test]
async fn a_draft_that_was_rewritten_while_the_service_forgot_is_told_anew() {
    for address in SERVICES {
        let mut world = World::new(address).await;
        world.scope.detail = Detail::Headers;
        let drafts = world.mailbox.drafts().unwrap();
        let draft = Outgoing::new().subject("A beginning").text("First words");
        let draft = drafts.create(&draft).await.unwrap();
        world.follow().await;
        world.emulator.expire_history(GMAIL);
        world.emulator.expire_deltas(OUTLOOK, None);
        let edit = DraftEdit::new()
            .subject("What it became")
            .text("Other words");
        drafts.update(&draft.id, None, &edit).await.unwrap();
        // More than one comparison brings, all of it newer.
        for _ in 0..2_100 {
            world.deliver("News", "");
        }
        let pages = world.follow().await;
        let told = messages(&pages).into_iter();
        let rewritten = told.filter(|subject| *subject == "What it became").count();
        assert_eq!(rewritten, 1, "{address}");
    }
}

/// Thousands of messages that somebody files away at once are told for no more than it takes to say so.
#[tokio::test]
async fn thousands_of_messages_moved_at_once_are_told_for_little() {
    let bulk = std::env::var("POSTROOM_BULK").map_or(BULK, |text| text.parse().unwrap());
    for address in SERVICES {
        let mut world = World::new(address).await;
        for number in 0..bulk {
            let mail =
                format!("From: billing@shop.example\r\nSubject: Number {number}\r\n\r\nText\r\n");
            world.emulator.deliver(address, mail.as_bytes());
        }
        world.scope.detail = Detail::Headers;
        let cost = |pages: &[SyncPage]| -> (u64, u64) {
            let progress = pages.iter().map(|page| page.progress);
            progress.fold((0, 0), |(units, requests), page| {
                (units + page.units, requests + page.requests)
            })
        };
        let first = cost(&world.follow().await);
        let folder = world
            .mailbox
            .create_folder("Finished", None)
            .await
            .unwrap()
            .id;
        let ids = world.in_role(FolderRole::Inbox).await;
        assert_eq!(ids.len(), bulk);
        let filed = Change::MoveTo {
            to: folder.clone(),
            from: None,
        };
        world.apply(&ids, &filed).await;
        let pages = world.follow().await;
        let moved = cost(&pages);
        assert_eq!(deleted(&pages), 0, "{address}");
        assert!(world.in_role(FolderRole::Inbox).await.is_empty());
        let told = format!(
            "{address}: {bulk} messages copied for {first:?} units and requests, moved for {moved:?}\n"
        );
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        if address == GMAIL {
            assert!(messages(&pages).is_empty());
            assert!(moved.0 < first.0 / 50, "{moved:?} of {first:?}");
        } else {
            // Graph tells of a move as of an arrival; each is looked at, twenty in a request.
            assert!(moved.1 < bulk as u64 * 6 / 5, "{moved:?} of {first:?}");
        }

        // And gone for good, while the service forgets what happened.
        world.apply(&ids[..bulk / 2], &Change::Delete).await;
        world.emulator.expire_history(address);
        world.emulator.expire_deltas(address, None);
        let pages = world.follow().await;
        assert_eq!(deleted(&pages), bulk / 2, "{address}");
    }
}
