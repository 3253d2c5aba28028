//! What happens while a long first sync goes on: new mail is told soon, much mail of one second takes no more than its turn, and
//! what is deleted or refused on the way leaves nothing out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::mirror::{Mirror, gmail_truth, hidden_folders, messages, outlook_truth};
use crate::support::direct::Direct;
use crate::support::{GMAIL, OUTLOOK, emulator, mailbox_on};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use http::Response;
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, Regime, Transport, TransportError};
use postroom::testing::VirtualClock;
use postroom::{ByteStream, Change, Content, FolderRole, Mailbox, MessageId, Scope, SyncPage};

/// How many messages a page of the service has.
const PAGE: usize = 10;

/// A mailbox, and its copy.
struct World {
    emulator: Arc<Emulator>,
    clock: VirtualClock,
    address: &'static str,
    mailbox: Mailbox,
    mirror: Arc<Mirror>,
    scope: Scope,
}

impl World {
    async fn new(address: &'static str) -> Self {
        Self::over(address, |way| way).await
    }

    async fn over<T: Transport + 'static>(
        address: &'static str,
        way: impl FnOnce(Direct) -> T,
    ) -> Self {
        let clock = VirtualClock::eager("2026-11-22T12:00:00Z".parse().unwrap());
        let builder = emulator().quota(false).longest_page(PAGE);
        let builder = builder.clock(Arc::new(clock.clone()));
        let emulator = Arc::new(builder.start().await.unwrap());
        let way = Arc::new(way(Direct(Arc::clone(&emulator))));
        let token = StaticToken::new(emulator.access_token(address));
        let connection = Connection::new(way, Arc::new(token))
            .with_clock(Arc::new(clock.clone()))
            .with_regime(Regime::Off);
        Self {
            mailbox: mailbox_on(&emulator, connection, address),
            emulator,
            clock,
            address,
            mirror: Mirror::new(),
            scope: Scope::everything(),
        }
    }

    fn deliver(&self, subject: &str) {
        let mail = format!("From: billing@shop.example\r\nSubject: {subject}\r\n\r\nText\r\n");
        self.emulator.deliver(self.address, mail.as_bytes());
    }

    /// Some mail, each message in a second of its own.
    fn deliver_slowly(&self, subject: &str, count: usize) {
        for number in 0..count {
            self.deliver(&format!("{subject} {number}"));
            self.clock.advance(Duration::from_secs(1));
        }
    }

    /// Mail that comes all at once, as from an import.
    fn deliver_at_once(&self, count: usize) {
        for number in 0..count {
            self.deliver(&format!("At once {number}"));
        }
        self.clock.advance(Duration::from_secs(1));
    }

    async fn check(&self) {
        let truth = if self.address == GMAIL {
            gmail_truth(&self.emulator, GMAIL, &self.scope)
        } else {
            let hidden = if self.scope.junk_and_trash {
                BTreeSet::new()
            } else {
                hidden_folders(&self.mailbox).await
            };
            outlook_truth(&self.emulator, OUTLOOK, &self.scope, &hidden)
        };
        assert_eq!(self.mirror.messages(), truth, "{}", self.address);
    }
}

fn told(page: &SyncPage) -> Vec<&str> {
    messages(std::slice::from_ref(page))
}

#[tokio::test]
async fn mail_that_came_all_at_once_is_told_a_page_at_a_time() {
    let world = World::new(OUTLOOK).await;
    world.deliver_slowly("Earlier", 15);
    world.deliver_at_once(75);
    world.deliver_slowly("Later", 5);
    let pages = world.mirror.follow(&world.mailbox, &world.scope).await;
    let pages = pages.unwrap();
    assert!(pages.iter().all(|page| told(page).len() <= PAGE));
    world.check().await;
    // Nothing left, so that nothing is compared.
    assert_eq!(world.mirror.asked(), 0);
    let mut named = BTreeSet::new();
    let again = messages(&pages);
    let again = again.iter().filter(|subject| !named.insert(**subject));
    // The first page tells the newest ahead of their turn.
    assert_eq!(again.count(), PAGE);
}

#[tokio::test]
async fn what_is_deleted_out_of_much_mail_of_one_second_leaves_out_nothing() {
    for scope in [Scope::everything(), Scope::default()] {
        let mut world = World::new(OUTLOOK).await;
        world.scope = scope.clone();
        world.deliver_at_once(90);
        world.deliver_slowly("Later", 5);
        let mut pages = world
            .mailbox
            .sync(None, scope.clone(), world.mirror.clone());
        let mut had: Vec<MessageId> = Vec::new();
        for round in 0.. {
            let Some(page) = pages.next().await else {
                break;
            };
            let page = page.unwrap();
            world.mirror.store(&page);
            let ids = page.changes.iter().filter_map(|change| change.message_id());
            had.extend(ids.cloned());
            // What was told already is what the others move up for.
            if round % 3 == 0 && had.len() > 30 {
                let gone: Vec<MessageId> = had.drain(10..16).collect();
                world.mailbox.apply(&gone, &Change::Delete).await.unwrap();
            }
        }
        drop(pages);
        world.mirror.follow(&world.mailbox, &scope).await.unwrap();
        world.check().await;
    }
}

/// A service whose addresses of further pages of a listing are never good for anything.
#[derive(Debug)]
struct Rotting(Direct);

#[async_trait]
impl Transport for Rotting {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let uri = request.uri();
        let is_further = uri.query().is_some_and(|query| query.contains("skiptoken"));
        if !uri.path().ends_with("/me/messages") || !is_further {
            return self.0.send(request).await;
        }
        let body =
            r#"{"error":{"code":"ErrorInvalidUrlQuery","message":"The skip token is invalid."}}"#;
        let body = futures_util::stream::iter([Ok(body.into())]).boxed();
        Ok(Response::builder().status(400).body(body).unwrap())
    }
}

#[tokio::test]
async fn further_pages_that_are_always_refused_leave_out_nothing_and_end() {
    let world = World::over(OUTLOOK, Rotting).await;
    world.deliver_slowly("Earlier", 15);
    world.deliver_at_once(35);
    world.deliver_slowly("Later", 15);
    let pages = world.mirror.follow(&world.mailbox, &world.scope).await;
    assert!(pages.unwrap().len() < 60);
    world.check().await;
}

/// A page that tells a message, within so many of them.
async fn is_told(
    world: &World,
    pages: &mut postroom::SyncPages,
    subject: &str,
    within: usize,
) -> bool {
    for _ in 0..within {
        let page = pages.next().await.unwrap().unwrap();
        world.mirror.store(&page);
        assert!(page.more, "{}: the sync is over", world.address);
        if told(&page).contains(&subject) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn new_mail_is_told_soon_however_long_the_first_sync_takes() {
    for address in [GMAIL, OUTLOOK] {
        for roles in [vec![], vec![FolderRole::Inbox, FolderRole::Sent]] {
            let mut world = World::new(address).await;
            world.scope.roles = roles.clone();
            world.deliver_slowly("Old", 220);
            let known = world.mirror.clone();
            let mut pages = world.mailbox.sync(None, world.scope.clone(), known);
            assert!(is_told(&world, &mut pages, "Old 219", 1).await, "{address}");
            // While the folders are gone through, on Outlook, and while what was there is listed.
            for number in 0..15 {
                let subject = format!("New {number}");
                world.deliver(&subject);
                world.clock.advance(Duration::from_secs(61));
                let is_told = is_told(&world, &mut pages, &subject, 2).await;
                assert!(is_told, "{address}, {roles:?}: {subject}");
            }
            while let Some(page) = pages.next().await {
                world.mirror.store(&page.unwrap());
            }
            drop(pages);
            if roles.is_empty() {
                world.check().await;
            } else {
                assert_eq!(world.mirror.messages().len(), 235);
            }
        }
    }
}

#[tokio::test]
async fn what_was_told_ahead_of_its_turn_and_deleted_before_it_came_is_told_as_deleted() {
    for role in [None, Some(FolderRole::Inbox)] {
        let mut world = World::new(OUTLOOK).await;
        world.scope.roles = role.into_iter().collect();
        world.deliver_slowly("Old", 150);
        let known = world.mirror.clone();
        let mut pages = world.mailbox.sync(None, world.scope.clone(), known);
        assert!(is_told(&world, &mut pages, "Old 149", 1).await);
        let ids: Vec<MessageId> = world.mirror.messages().into_keys().collect();
        assert!((2..=PAGE).contains(&ids.len()));
        let deleted = world.mailbox.apply(&ids, &Change::Delete).await.unwrap();
        assert!(deleted.iter().all(Result::is_ok));
        while let Some(page) = pages.next().await {
            world.mirror.store(&page.unwrap());
        }
        world.scope.roles.clear();
        world.check().await;
    }
}
