//! A host is told when there is something to sync: watches are set up, renewed, made anew and ended, and whatever becomes of
//! notifications on their way, the host's copy is right in the end.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failure in a test is a panic"
)]

mod mirror;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use mirror::Mirror;
use postroom::clock::Clock;
use postroom::credentials::{AccountRecord, Service, StaticToken};
use postroom::emulator::{
    Emulator, Fault, FaultKind, LifecycleEvent, NotificationFaults, PushSubscription, Vendor,
};
use postroom::http::{Connection, Regime, ReqwestTransport};
use postroom::oauth::Endpoints;
use postroom::push::{GraphPost, News, Notification, PubSubEndpoint};
use postroom::testing::VirtualClock;
use postroom::{
    Access, ErrorKind, Mailbox, Outlook, Scope, SubscriptionId, Watch, WatchKind, WatchTarget,
};
use support::receiver::{Posted, Receiver};
use support::{GMAIL, OUTLOOK, emulator, transport};

const DAY: TimeDelta = TimeDelta::days(1);

/// An emulator, its clock, and the mailbox of one of its accounts.
struct World {
    emulator: Emulator,
    clock: VirtualClock,
}

impl World {
    async fn start() -> Self {
        Self::of(emulator()).await
    }

    async fn of(builder: postroom::emulator::EmulatorBuilder) -> Self {
        let clock = VirtualClock::eager("2026-11-22T10:00:00Z".parse().unwrap());
        let builder = builder.quota(false).clock(Arc::new(clock.clone()));
        // Days pass in these tests, and nobody signs in.
        let builder = builder.access_token_lifetime(Duration::from_secs(100 * 24 * 60 * 60));
        Self {
            emulator: builder.start().await.unwrap(),
            clock,
        }
    }

    fn connection(&self, address: &str) -> Connection {
        let token = StaticToken::new(self.emulator.access_token(address));
        Connection::new(transport(&self.emulator), Arc::new(token))
            .with_regime(Regime::Off)
            .with_clock(Arc::new(self.clock.clone()))
    }

    fn mailbox(&self, address: &str) -> Mailbox {
        support::mailbox_on(&self.emulator, self.connection(address), address)
    }

    fn outlook(&self) -> Outlook {
        let outlook = Outlook::new(self.connection(OUTLOOK)).unwrap();
        let endpoint = self.emulator.microsoft().base_url.clone();
        outlook.with_api_endpoint(endpoint).unwrap()
    }

    fn deliver(&self, address: &str, subject: &str) {
        let raw = format!("Subject: {subject}\r\n\r\nText.\r\n");
        self.emulator.deliver(address, raw.as_bytes());
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// Apart by no more than an answer's date, which has seconds.
fn about(one: Option<DateTime<Utc>>, other: DateTime<Utc>) -> bool {
    (one.unwrap() - other).abs() < TimeDelta::minutes(1)
}

#[tokio::test]
async fn a_gmail_watch_lasts_for_a_week_and_is_renewed_daily() {
    let world = World::start().await;
    let mailbox = world.mailbox(GMAIL);
    assert_eq!(mailbox.capabilities().watch, Some(WatchKind::Topic));
    let mut receiver = Receiver::start().await;
    let topic = world.emulator.create_topic("mail");
    let push = PushSubscription::new(receiver.at("push"));
    world.emulator.push_topic(&topic, push);
    let target = WatchTarget::topic(&topic).with_folders(["INBOX".into()]);
    let watch = mailbox.watch(&target).await.unwrap();
    assert_eq!(watch.id.as_str(), GMAIL);
    assert!(about(watch.expires_at, world.now() + DAY * 7));
    assert!(about(watch.renew_at, world.now() + DAY));
    assert!(!watch.is_due(world.now()));

    world.clock.advance(Duration::from_secs(24 * 60 * 60 + 60));
    assert!(watch.is_due(world.now()) && !watch.has_lapsed(world.now()));
    let renewed = mailbox.renew(&watch).await.unwrap();
    assert!(!renewed.sync, "nothing was missed");
    assert_eq!(renewed.watch.began_at, watch.began_at);
    assert!(about(renewed.watch.expires_at, world.now() + DAY * 7));

    world.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    assert!(renewed.watch.has_lapsed(world.now()));
    let renewed = mailbox.renew(&renewed.watch).await.unwrap();
    assert!(renewed.sync, "nobody was watching for a day");

    world.emulator.until_notified().await;
    receiver.all();
    mailbox.unwatch(&renewed.watch).await.unwrap();
    mailbox.unwatch(&renewed.watch).await.unwrap();
    world.deliver(GMAIL, "Unwatched");
    world.emulator.until_notified().await;
    assert!(receiver.all().is_empty());
}

#[tokio::test]
async fn a_gmail_watch_that_goes_elsewhere_is_replaced() {
    let world = World::of(Emulator::builder().empty()).await;
    let mailbox = world.mailbox(GMAIL);
    let one = world.emulator.create_topic("one");
    let other = world.emulator.create_topic("other");
    let mut receiver = Receiver::start().await;
    let push = PushSubscription::new(receiver.at("push"));
    world.emulator.push_topic(&other, push);
    mailbox.watch(&WatchTarget::topic(&one)).await.unwrap();
    mailbox.watch(&WatchTarget::topic(&other)).await.unwrap();
    receiver.next().await;
    let requests = world.emulator.requests();
    let stops = requests
        .iter()
        .filter(|entry| entry.path.ends_with("/stop"));
    assert_eq!(stops.count(), 1);
}

#[tokio::test]
async fn a_target_that_cannot_be_told_is_the_developers_to_mend() {
    let world = World::of(Emulator::builder().empty()).await;
    let gmail = world.mailbox(GMAIL);
    let closed = world.emulator.create_topic("closed");
    world.emulator.close_topic(&closed);
    for topic in [
        closed.as_str(),
        "projects/postroom-emulator/topics/unknown",
        "projects/another/topics/mail",
    ] {
        let error = gmail.watch(&WatchTarget::topic(topic)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{topic}: {error}");
    }
    let asked = world.emulator.requests().len();
    for topic in [
        "mail",
        "projects/p/topics/",
        "projects/p/topics/mail ",
        "projects/p/subscriptions/s",
    ] {
        let error = gmail.watch(&WatchTarget::topic(topic)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{topic}");
    }
    let webhook = WatchTarget::webhook("https://desk.example/push".parse().unwrap());
    let error = gmail.watch(&webhook).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(world.emulator.requests().len(), asked, "nothing was asked");

    let outlook = world.mailbox(OUTLOOK);
    let error = outlook
        .watch(&WatchTarget::topic(&closed))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let receiver = Receiver::answering(|_| (200, "text/plain", "something else".to_owned())).await;
    let deaf = WatchTarget::webhook(receiver.at("told"));
    let error = outlook.watch(&deaf).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    let far = WatchTarget::webhook("http://desk.example/push".parse().unwrap());
    assert_eq!(
        outlook.watch(&far).await.unwrap_err().kind(),
        ErrorKind::Configuration
    );
    let long = WatchTarget::webhook(receiver.at("told")).with_client_state("s".repeat(129));
    assert_eq!(
        outlook.watch(&long).await.unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
}

#[tokio::test]
async fn an_outlook_watch_lasts_for_almost_a_week_and_is_renewed_daily() {
    let world = World::start().await;
    let mailbox = world.mailbox(OUTLOOK);
    assert_eq!(mailbox.capabilities().watch, Some(WatchKind::Webhook));
    let mut receiver = Receiver::start().await;
    let target =
        WatchTarget::webhook(receiver.at("told")).with_lifecycle_url(receiver.at("lifecycle"));
    let watch = mailbox.watch(&target).await.unwrap();
    assert!(about(
        watch.expires_at,
        world.now() + DAY * 7 - TimeDelta::minutes(15)
    ));
    assert!(about(watch.renew_at, world.now() + DAY));
    assert_eq!(receiver.all().len(), 2, "both addresses were asked");
    let state = watch.target.as_ref().unwrap().client_state.clone();
    assert!(state.unwrap().expose().len() >= 32);

    // What is told is about the message by the id that never changes.
    world.deliver(OUTLOOK, "One");
    let told = receiver.next().await.json();
    let id = world.emulator.messages(OUTLOOK)[0].immutable_id.clone();
    assert_eq!(told["value"][0]["resourceData"]["id"], id);

    world.clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    let renewed = mailbox.renew(&watch).await.unwrap();
    assert!(!renewed.sync);
    assert_eq!(renewed.watch.id, watch.id);
    assert!(about(
        renewed.watch.expires_at,
        world.now() + DAY * 7 - TimeDelta::minutes(15)
    ));

    // It survives being kept, with its secret, and is made anew when it is gone.
    let mut record = AccountRecord::new("account", "microsoft", Service::Microsoft);
    record.subscriptions.push(renewed.watch);
    let kept = AccountRecord::from_secret(&record.to_secret().unwrap()).unwrap();
    world.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let anew = mailbox.renew(&kept.subscriptions[0]).await.unwrap();
    assert!(anew.sync, "nobody was watching for a day");
    assert_ne!(anew.watch.id, watch.id);
    receiver.all();
    world.deliver(OUTLOOK, "Two");
    let told = receiver.next().await;
    let GraphPost::Notifications(told) = GraphPost::read(None, &told.body).unwrap() else {
        panic!("{told:?}");
    };
    assert!(told[0].verify(&anew.watch).is_ok());
    for _ in 0..2 {
        mailbox.unwatch(&anew.watch).await.unwrap();
    }
    assert_eq!(world.emulator.subscriptions(OUTLOOK), 0);
}

#[tokio::test]
async fn a_service_that_takes_less_is_asked_for_less() {
    let older = Duration::from_secs(4_230 * 60);
    let world = World::of(Emulator::builder().empty().longest_subscription(older)).await;
    let mailbox = world.mailbox(OUTLOOK);
    let receiver = Receiver::start().await;
    let target = WatchTarget::webhook(receiver.at("told"));
    let watch = mailbox.watch(&target).await.unwrap();
    let expected = TimeDelta::minutes(4_215);
    assert!(about(watch.expires_at, world.now() + expected));
    world.clock.advance(Duration::from_secs(60 * 60));
    let renewed = mailbox.renew(&watch).await.unwrap();
    assert!(about(renewed.watch.expires_at, world.now() + expected));
    // What it says to the second request counts: one is there already.
    let anew = mailbox.watch(&target).await.unwrap();
    assert_ne!(anew.id, watch.id);
    assert_eq!(world.emulator.subscriptions(OUTLOOK), 1);
}

#[tokio::test]
async fn what_an_earlier_run_left_behind_makes_room() {
    let world = World::of(Emulator::builder().empty()).await;
    let mailbox = world.mailbox(OUTLOOK);
    let mut receiver = Receiver::start().await;
    let target = WatchTarget::webhook(receiver.at("told"));
    let lost = mailbox.watch(&target).await.unwrap();
    let moved = WatchTarget::webhook(receiver.at("moved"));
    for target in [&target, &moved] {
        let watch = mailbox.watch(target).await.unwrap();
        assert_ne!(watch.id, lost.id);
        assert_eq!(world.emulator.subscriptions(OUTLOOK), 1);
    }
    // One folder is watched beside all of them.
    let inbox = target.with_folders(["inbox".into()]);
    mailbox.watch(&inbox).await.unwrap();
    assert_eq!(world.emulator.subscriptions(OUTLOOK), 2);
    receiver.all();
    world.deliver(OUTLOOK, "One");
    world.emulator.until_notified().await;
    assert_eq!(receiver.told().len(), 2);
    let several = moved.with_folders(["inbox".into(), "archive".into()]);
    let error = mailbox.watch(&several).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    // An answer that was lost leaves one behind too.
    world.emulator.fault(
        Fault::new(FaultKind::DropAfter)
            .at(Vendor::Microsoft)
            .on(http::Method::POST, "/v1.0/subscriptions"),
    );
    let all = WatchTarget::webhook(receiver.at("told"));
    mailbox.watch(&all).await.unwrap_err();
    mailbox.watch(&all).await.unwrap();
    assert_eq!(world.emulator.subscriptions(OUTLOOK), 2);
}

#[tokio::test]
async fn mailboxes_of_others_are_watched_by_applications_only() {
    let world = World::of(Emulator::builder().empty()).await;
    let target = WatchTarget::webhook("https://desk.example/push".parse().unwrap());
    let shared = Mailbox::new(world.outlook().with_user("support@outlook.example"));
    assert_eq!(shared.capabilities().watch, None);
    let watch = Watch::new("subscription", None).with_target(target.clone());
    for error in [
        shared.watch(&target).await.unwrap_err(),
        shared.renew(&watch).await.unwrap_err(),
        shared.unwatch(&watch).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    let writer = Mailbox::new(world.outlook().with_access(Access::SEND));
    assert_eq!(writer.capabilities().watch, None);
    let denied = writer.watch(&target).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    assert!(world.emulator.requests().is_empty());

    let application = world.outlook().with_user("support@outlook.example");
    let application = Mailbox::new(application.with_application_tokens());
    assert_eq!(application.capabilities().watch, Some(WatchKind::Webhook));
    let sender = application.restrict(Access::SEND);
    assert_eq!(sender.capabilities().watch, None);
}

/// A host: what it is told, and its copies of two mailboxes.
struct Host {
    endpoint: PubSubEndpoint,
    mailboxes: BTreeMap<SubscriptionId, (Mailbox, Watch, Arc<Mirror>)>,
    /// About what something was told.
    hints: BTreeSet<SubscriptionId>,
    rounds: usize,
}

impl Host {
    /// What something that was posted tells.
    async fn read(&self, posted: &Posted) -> Vec<Notification> {
        if posted.path == "/google" {
            let told = self.endpoint.receive(&posted.headers, &posted.body).await;
            return vec![told.unwrap()];
        }
        match GraphPost::read(posted.query.as_deref(), &posted.body).unwrap() {
            GraphPost::Notifications(told) => {
                let verified = told.iter().map(|told| {
                    let (_, watch, _) = &self.mailboxes[told.subscription()];
                    told.verify(watch).unwrap()
                });
                verified.collect()
            }
            _ => Vec::new(),
        }
    }

    /// Runs whatever rounds there are to run.
    async fn run(&mut self) {
        while let Some(account) = self.hints.pop_first() {
            let (mailbox, _, mirror) = &self.mailboxes[&account];
            mirror.follow(mailbox, &Scope::everything()).await.unwrap();
            self.rounds += 1;
        }
    }

    fn is_right(&self, emulator: &Emulator) -> bool {
        self.mailboxes.iter().all(|(id, (_, _, mirror))| {
            let address = if id.as_str() == GMAIL { GMAIL } else { OUTLOOK };
            let truth = emulator.messages(address);
            let here = mirror.messages();
            truth.len() == here.len()
                && truth
                    .iter()
                    .all(|message| here.contains_key(&message.immutable_id.as_str().into()))
        })
    }
}

#[tokio::test]
async fn whatever_becomes_of_notifications_the_copy_is_right_in_the_end() {
    let world = World::start().await;
    let emulator = &world.emulator;
    let mut receiver = Receiver::start().await;
    let topic = emulator.create_topic("mail");
    let audience = receiver.at("google");
    emulator.push_topic(&topic, PushSubscription::new(audience.clone()));
    let endpoint = PubSubEndpoint::with(
        audience,
        emulator.push_service_account(),
        Endpoints::google_at(&emulator.google().base_url).unwrap(),
        Arc::new(ReqwestTransport::new().unwrap()),
        Arc::new(world.clock.clone()),
    );
    let mut host = Host {
        endpoint: endpoint.unwrap(),
        mailboxes: BTreeMap::new(),
        hints: BTreeSet::new(),
        rounds: 0,
    };
    let graph = WatchTarget::webhook(receiver.at("graph")).with_lifecycle_url(receiver.at("life"));
    for (address, target) in [(GMAIL, WatchTarget::topic(&topic)), (OUTLOOK, graph)] {
        let mailbox = world.mailbox(address);
        let watch = mailbox.watch(&target).await.unwrap();
        let kept = (mailbox, watch.clone(), Mirror::new());
        host.mailboxes.insert(watch.id.clone(), kept);
        // What was there before is told by nobody.
        host.hints.insert(watch.id);
    }
    host.run().await;
    emulator.until_notified().await;
    receiver.all();
    host.rounds = 0;

    // A burst, every notification of it twice and out of order: a round for each mailbox, and every message is there.
    let delay = Duration::from_secs(30);
    emulator.notification_faults(NotificationFaults::default().repeating(1.0).delaying(delay));
    for number in 0..20 {
        for address in [GMAIL, OUTLOOK] {
            world.deliver(address, &number.to_string());
        }
    }
    emulator.until_notified().await;
    let told = receiver.all();
    assert!(told.len() >= 4, "{}", told.len());
    for posted in &told {
        for notification in host.read(posted).await {
            assert_eq!(notification.news, News::Changed);
            host.hints.insert(notification.subscription);
        }
    }
    host.run().await;
    assert_eq!(host.rounds, 2);
    assert!(host.is_right(emulator));

    // A replayed one costs a round that finds nothing.
    for notification in host.read(&told[0]).await {
        host.hints.insert(notification.subscription);
    }
    host.run().await;
    assert_eq!(host.rounds, 3);

    // Lost ones cost time: whoever polls now and then finds what happened.
    emulator.notification_faults(NotificationFaults::default().losing(1.0));
    for address in [GMAIL, OUTLOOK] {
        world.deliver(address, "Untold");
    }
    emulator.until_notified().await;
    assert!(receiver.all().is_empty());
    assert!(!host.is_right(emulator));
    let all: Vec<SubscriptionId> = host.mailboxes.keys().cloned().collect();
    for account in all {
        host.hints.insert(account);
    }
    host.run().await;
    assert!(host.is_right(emulator));

    // A watch that the service ends says so, and is made anew without the host's missing anything.
    emulator.notification_faults(NotificationFaults::default());
    emulator.lifecycle_event(OUTLOOK, LifecycleEvent::SubscriptionRemoved);
    world.deliver(OUTLOOK, "While nobody watched");
    let posted = receiver.next().await;
    let told = host.read(&posted).await;
    assert_eq!(told[0].news, News::Removed);
    let (mailbox, watch, mirror) = host.mailboxes.remove(&told[0].subscription).unwrap();
    let renewed = mailbox.renew(&watch).await.unwrap();
    assert!(renewed.sync);
    let id = renewed.watch.id.clone();
    host.mailboxes
        .insert(id.clone(), (mailbox, renewed.watch, mirror));
    host.hints.insert(id);
    host.run().await;
    assert!(host.is_right(emulator));
}

#[test]
fn the_example_is_told_and_syncs() {
    let this = std::env::current_exe().unwrap();
    let directory = this.parent().unwrap().parent().unwrap().join("examples");
    let program = format!("push_receiver{}", std::env::consts::EXE_SUFFIX);
    let output = Command::new(directory.join(program)).output().unwrap();
    let (said, complained) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{said}{complained}");
    for address in [GMAIL, OUTLOOK] {
        assert!(said.contains(&format!("{address}: new: Hello")), "{said}");
        assert!(said.contains(&format!("{address}: marked")), "{said}");
    }
    assert!(said.contains("refused with 401"), "{said}");
}
