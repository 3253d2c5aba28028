//! Whatever goes wrong while a message is sent, nobody receives it twice, and none is lost that is called sent. Every send
//! here meets faults before, during and after its effect, answers that lie, processes that die at any moment and users who
//! throw drafts away meanwhile; what recipients have is compared with what the host was told, each time it is told.
//!
//! `POSTROOM_SENDS` says how many sends all kinds of account make together (by default 150), and `POSTROOM_SEED` repeats a run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

use std::io::{BufRead as _, BufReader};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Method;
use postroom::clock::Clock;
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, Fault, FaultKind, Vendor};
use postroom::http::{Connection, Regime, Transport};
use postroom::testing::VirtualClock;
use postroom::{
    Access, Confirmation, Content, Delivery, Draft, Error, ErrorKind, Gmail, Mailbox,
    MemoryJournal, Outgoing, OutgoingAttachment, Outlook, SendJournal, SendKey, SendScope, Sent,
    SqliteJournal,
};
use support::random::Random;

mod support;

/// An account as its user let the host have it.
#[derive(Clone, Copy)]
struct Kind {
    vendor: Vendor,
    access: Access,
    scopes: &'static [&'static str],
}

const GMAIL: &str = "https://www.googleapis.com/auth/gmail.";

fn gmail(access: Access) -> Kind {
    let scopes: &[&str] = if access.contains(Access::READ) {
        &["https://www.googleapis.com/auth/gmail.modify"]
    } else if access.contains(Access::DRAFT) {
        &["https://www.googleapis.com/auth/gmail.compose"]
    } else {
        &["https://www.googleapis.com/auth/gmail.send"]
    };
    assert!(scopes.iter().all(|scope| scope.starts_with(GMAIL)));
    Kind {
        vendor: Vendor::Google,
        access,
        scopes,
    }
}

fn outlook(access: Access) -> Kind {
    let scopes: &[&str] = if access == Access::SEND {
        &["Mail.Send"]
    } else {
        &["Mail.Send", "Mail.ReadWrite"]
    };
    Kind {
        vendor: Vendor::Microsoft,
        access,
        scopes,
    }
}

impl Kind {
    fn addresses(self) -> (&'static str, &'static str) {
        match self.vendor {
            Vendor::Google => ("reader@gmail.example", "team@gmail.example"),
            _ => ("reader@outlook.example", "team@outlook.example"),
        }
    }
}

/// A service, with a clock on which waiting takes no time.
struct World {
    kind: Kind,
    emulator: Emulator,
    transport: Arc<dyn Transport>,
    clock: Arc<VirtualClock>,
    journal: Arc<MemoryJournal>,
}

impl World {
    async fn start(kind: Kind, random: &mut Random) -> Self {
        let clock = Arc::new(VirtualClock::eager("2026-11-22T08:00:00Z".parse().unwrap()));
        let emulator = support::emulator()
            .quota(false)
            .seed(random.next())
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            // Sent copies appear at once, after a request or two, or only when they are let go.
            .sent_copies_after([0, 1, 2, u32::MAX][random.below(4) as usize])
            .start()
            .await
            .unwrap();
        if random.below(2) == 0 {
            emulator.hold_sent_copies(kind.addresses().0);
        }
        Self {
            kind,
            transport: support::transport(&emulator),
            emulator,
            clock,
            journal: Arc::new(MemoryJournal::new()),
        }
    }

    /// A process of the host's that has just started: nothing is left of an earlier one but the journal.
    fn process(&self) -> Mailbox {
        self.process_with(self.kind)
    }

    fn process_with(&self, kind: Kind) -> Mailbox {
        let token = self
            .emulator
            .access_token_for(kind.addresses().0, kind.scopes);
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let connection = Connection::new(
            Arc::clone(&self.transport),
            Arc::new(StaticToken::new(token)),
        )
        .with_clock(Arc::clone(&clock))
        .with_regime(Regime::Off);
        let mailbox = match kind.vendor {
            Vendor::Google => Mailbox::new(
                Gmail::new(connection)
                    .unwrap()
                    .with_access(kind.access)
                    .with_api_endpoint(self.emulator.google().base_url.clone())
                    .unwrap(),
            ),
            _ => Mailbox::new(
                Outlook::new(connection)
                    .unwrap()
                    .with_access(kind.access)
                    .with_api_endpoint(self.emulator.microsoft().base_url.clone())
                    .unwrap(),
            ),
        };
        mailbox.with_clock(clock).with_journal(self.journal.clone())
    }

    /// Whether the host may find out what became of sends whose answers were lost.
    fn tells(&self) -> bool {
        self.process().capabilities().confirm_send
    }

    /// Whether it may of this one: a draft of the user's that is gone tells nothing where nothing else may be read.
    fn tells_of(&self, what: &What) -> bool {
        let is_draft = matches!(what, What::Draft(_));
        self.tells() && (!is_draft || self.kind.access.contains(Access::READ))
    }

    /// Lets what the service has not come to yet take effect.
    async fn come_to_rest(&self) {
        self.clock.advance(Duration::from_secs(600));
        let everything = Access::READ_WRITE | Access::SEND;
        let reader = match self.kind.vendor {
            Vendor::Google => gmail(everything),
            _ => outlook(everything),
        };
        // Any request will do, whatever becomes of it.
        let _ = self.process_with(reader).folders().await;
    }

    /// How often the recipient has the message: the truth.
    fn received(&self, key: &SendKey) -> usize {
        received(&self.emulator, self.kind, key)
    }

    async fn ticket(&self, key: &SendKey) -> Option<postroom::SendTicket> {
        let entry = self.journal.get(&SendScope::new().key(key)).await.unwrap();
        entry.and_then(|entry| entry.state.ticket().cloned())
    }
}

fn received(emulator: &Emulator, kind: Kind, key: &SendKey) -> usize {
    let subject = format!("Subject: {}\r\n", key.as_str());
    let has_subject = |raw: &[u8]| {
        let head = raw.get(..4_000).unwrap_or(raw);
        String::from_utf8_lossy(head).contains(&subject)
    };
    let messages = emulator.messages(kind.addresses().1);
    let received = messages.iter().filter(|message| has_subject(&message.raw));
    received.count()
}

fn outgoing(kind: Kind, key: &SendKey, random: &mut Random) -> Outgoing {
    let outgoing = Outgoing::new()
        .to(kind.addresses().1.parse().unwrap())
        .subject(key.as_str())
        .text("Text");
    // One that has to be uploaded in pieces, where that can be.
    if random.below(100) == 0 && (kind.vendor == Vendor::Google || kind.access != Access::SEND) {
        let file = Content::from_bytes(vec![b'x'; 4_000_000]);
        return outgoing.attach(OutgoingAttachment::new("file", "text/plain", file));
    }
    outgoing
}

/// What goes wrong with one request of a send: most often with that which sends it.
fn fault(kind: Kind, random: &mut Random) -> Fault {
    let trouble = match random.below(20) {
        0 => FaultKind::DropBefore,
        1 | 2 => FaultKind::DropAfter,
        3 => FaultKind::internal_error(),
        4 => FaultKind::unavailable(Some(Duration::from_secs(2))),
        5 => FaultKind::rate_limited(None),
        6 => FaultKind::rate_limited(Some(Duration::from_secs(20))),
        7 | 8 => FaultKind::FailAfter([500, 502, 503, 504][random.below(4) as usize]),
        9 => FaultKind::Truncate,
        10 => FaultKind::Garbage(100),
        11 => FaultKind::NotJson,
        12 => FaultKind::unauthorized(),
        13 => FaultKind::forbidden(),
        14 => FaultKind::not_found(),
        15 => FaultKind::Delay(Duration::from_secs(50)),
        16 | 17 => FaultKind::EffectLater {
            code: [500, 502, 503, 504][random.below(4) as usize],
            delay: Duration::from_secs(1 + random.below(240)),
        },
        // In conflict with somebody else's request, which may be the same send.
        18 => match kind.vendor {
            Vendor::Google => FaultKind::google_error(409, "aborted", "The operation was aborted."),
            _ => FaultKind::graph_error(
                409,
                "ErrorIrresolvableConflict",
                "The send or update operation could not be performed because the change key passed in the request does not match the current change key for the item.",
            ),
        },
        _ => FaultKind::Nulls,
    };
    let fault = Fault::new(trouble).at(kind.vendor);
    // A gateway may go on failing.
    let fault = fault.times([1, 1, 1, 2, 5][random.below(5) as usize]);
    match (random.below(3), kind.vendor) {
        (0, _) => fault.after(random.below(4) as u32),
        (_, Vendor::Google) if !kind.access.contains(Access::READ) => {
            fault.on(Method::PUT, "/messages/send")
        }
        (_, Vendor::Google) => fault.on(Method::POST, "/drafts/send"),
        _ => fault.on(Method::POST, "/send"),
    }
}

/// Stops polling a future after a while, as a process stops that is killed.
struct Killed<F> {
    future: Pin<Box<F>>,
    polls: u64,
}

impl<F: Future> Future for Killed<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.future.as_mut().poll(context).map(Some)
    }
}

async fn killed<F: Future>(polls: u64, future: F) -> Option<F::Output> {
    let future = Box::pin(future);
    Killed { future, polls }.await
}

#[derive(Debug, Default)]
struct Told {
    sent: usize,
    unknown: usize,
    confirmed: usize,
    unanswered: usize,
    of_drafts: usize,
    by_two: usize,
}

/// What is sent under a key.
enum What {
    Message(Outgoing),
    /// A draft that the user wrote, and that is sent as it was when it was read.
    Draft(Draft),
}

impl What {
    async fn new(world: &World, key: &SendKey, random: &mut Random) -> Self {
        let message = outgoing(world.kind, key, random);
        let mailbox = world.process();
        if !mailbox.capabilities().drafts || random.below(5) > 0 {
            return Self::Message(message);
        }
        // Faults that are left from earlier sends strike here first, perhaps so many that the service is left alone for a while.
        for _ in 0..50 {
            if let Ok(draft) = mailbox.drafts().unwrap().create(&message).await {
                return Self::Draft(draft);
            }
            world.clock.advance(Duration::from_secs(60));
        }
        panic!("no draft could be written");
    }

    async fn send(&self, mailbox: &Mailbox, key: &SendKey) -> Result<Sent, Error> {
        match self {
            Self::Message(message) => mailbox.send_once(key, message).await,
            Self::Draft(draft) => mailbox.send_draft_once(key, &draft.id, None).await,
        }
    }
}

/// An attempt by one process or by two at a time, each of which may be killed.
async fn attempt(
    world: &World,
    key: &SendKey,
    what: &What,
    polls: &[u64],
) -> Option<Result<Sent, Error>> {
    let processes = polls.iter().map(|polls| async {
        let mailbox = world.process();
        killed(*polls, what.send(&mailbox, key)).await
    });
    let mut outcomes = futures_util::future::join_all(processes).await;
    // The one that says most: it was sent, it may have been, nobody knows, it was not.
    let rank = |outcome: &Option<Result<Sent, Error>>| match outcome {
        Some(Ok(_)) => 0,
        Some(Err(error)) if error.delivery() == Delivery::Unknown => 1,
        None => 2,
        Some(Err(_)) => 3,
    };
    outcomes.sort_by_key(rank);
    outcomes.into_iter().next().flatten()
}

/// One send, with everything that goes wrong, until the host knows or nobody can.
async fn send(world: &World, key: &SendKey, random: &mut Random, told: &mut Told) {
    let what = What::new(world, key, random).await;
    told.of_drafts += usize::from(matches!(what, What::Draft(_)));
    let troubles = random.below(4);
    // Answers that are none, and are taken for what their status says, only where no request is refused for cause.
    let discards = random.below(12) == 0;
    if discards {
        world.emulator.fault(match random.below(3) {
            0 => Fault::new(FaultKind::DropBefore).at(world.kind.vendor),
            1 => Fault::new(FaultKind::DropAfter).at(world.kind.vendor),
            _ => Fault::new(FaultKind::FailAfter(504)).at(world.kind.vendor),
        });
    } else if troubles > 0 {
        for _ in 0..troubles {
            world.emulator.fault(fault(world.kind, random));
        }
    }
    let mut outcome: Option<Result<Sent, Error>> = None;
    // As often as it takes to get through everything that goes wrong, five times each.
    for number in 0..60 {
        let mut polls = || match random.below(3) {
            // Later attempts are left alone, so that they come to an end.
            0 if number < 4 => random.below(40),
            _ => u64::MAX,
        };
        let polls = [polls(), polls()];
        let by_two = number < 4 && random.below(6) == 0;
        told.by_two += usize::from(by_two);
        outcome = attempt(world, key, &what, &polls[..1 + usize::from(by_two)]).await;
        let count = world.received(key);
        assert!(count <= 1, "{} was received {count} times", key.as_str());
        match &outcome {
            Some(Ok(_)) => {
                assert_eq!(count, 1, "{} was called sent", key.as_str());
                break;
            }
            Some(Err(error)) if error.delivery() != Delivery::Unknown => {
                assert_eq!(count, 0, "{} was called unsent: {error}", key.as_str());
            }
            // Nobody will ever know more.
            Some(Err(_)) if number > 4 && !world.tells_of(&what) => break,
            _ => {}
        }
        confirm(world, key, told).await;
        if discards && random.below(2) == 0 {
            world.emulator.discard_drafts(world.kind.addresses().0);
            world.emulator.lapse_uploads();
        }
        if number > 5 {
            world.emulator.release_sent_copies(world.kind.addresses().0);
        }
        // Soon at first, then late enough for what the service says to be believed.
        let least = if number < 5 { 0 } else { 300 };
        world
            .clock
            .advance(Duration::from_secs(least + random.below(400)));
    }
    let outcome = outcome.unwrap();
    match &outcome {
        Ok(_) => told.sent += 1,
        // The user threw the draft away, which keeps it from being sent.
        Err(error) if error.delivery() != Delivery::Unknown && discards => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{}", key.as_str());
        }
        Err(error) => {
            // None is given up that could be known about.
            assert_eq!(
                error.delivery(),
                Delivery::Unknown,
                "{}: {error}",
                key.as_str()
            );
            assert!(
                discards || !world.tells_of(&what),
                "{} stays unknown: {error}",
                key.as_str()
            );
            told.unknown += 1;
        }
    }
    // Whatever is known, asking again changes nothing, and neither does what the service was still at.
    let again = what.send(&world.process(), key).await;
    world.come_to_rest().await;
    let count = world.received(key);
    assert!(count <= 1, "{} was received {count} times", key.as_str());
    if outcome.is_ok() {
        assert!(again.is_ok(), "{} is forgotten: {again:?}", key.as_str());
    }
    if again.is_ok() {
        assert_eq!(count, 1, "{} was called sent", key.as_str());
    }
}

/// What the service says of a ticket is true when it says it.
async fn confirm(world: &World, key: &SendKey, told: &mut Told) {
    let Some(ticket) = world.ticket(key).await else {
        return;
    };
    let before = world.received(key);
    let confirmed = match world.process().confirm(&ticket).await {
        Ok(confirmed) => confirmed,
        // One of the faults struck the question.
        Err(error) => {
            let is_unsupported = error.kind() == ErrorKind::Unsupported;
            assert!(!is_unsupported || !world.tells(), "{error}");
            told.unanswered += 1;
            return;
        }
    };
    told.confirmed += 1;
    match confirmed {
        Confirmation::Sent(_) => assert_eq!(world.received(key), 1, "{}", key.as_str()),
        Confirmation::NotSent => assert_eq!(before, 0, "{}", key.as_str()),
        _ => {}
    }
}

/// How many sends each of the five kinds of account makes.
fn sends() -> usize {
    let sends = std::env::var("POSTROOM_SENDS").ok();
    sends
        .map_or(150_usize, |sends| sends.parse().unwrap())
        .div_ceil(5)
}

async fn all(kind: Kind) {
    let mut random = Random::seeded();
    let mut told = Told::default();
    let mut world = World::start(kind, &mut random).await;
    let tells = world.tells();
    for number in 0..sends() {
        // What is compared is read as a whole each time, so that it must not grow without end.
        if number % 50 == 49 {
            world = World::start(kind, &mut random).await;
        }
        let key = SendKey::new(format!("send {number}"));
        send(&world, &key, &mut random, &mut told).await;
    }
    let line = format!("{told:?}\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    // Where nothing can be asked, every answer that is lost stays lost. Fewer than these are for looking at one.
    if sends() < 20 {
        return;
    }
    let share = if tells { 2 } else { sends() };
    assert!(told.sent >= sends() / share, "{told:?}");
    assert!(told.by_two > 0, "{told:?}");
    assert!(told.confirmed > 0 || !tells, "{told:?}");
    let has_drafts = world.process().capabilities().drafts;
    assert_eq!(told.of_drafts > 0, has_drafts, "{told:?}");
}

#[tokio::test]
async fn gmail_with_everything() {
    all(gmail(Access::READ_WRITE | Access::SEND)).await;
}

#[tokio::test]
async fn gmail_without_reading() {
    all(gmail(Access::DRAFT | Access::SEND)).await;
}

#[tokio::test]
async fn gmail_with_the_right_to_send_and_no_other() {
    all(gmail(Access::SEND)).await;
}

#[tokio::test]
async fn outlook_with_everything() {
    all(outlook(Access::READ_WRITE | Access::SEND)).await;
}

#[tokio::test]
async fn outlook_with_the_right_to_send_and_no_other() {
    all(outlook(Access::SEND)).await;
}

/// A mailbox over a journal in a file, for processes that are really killed.
async fn over(kind: Kind, journal: &str, api: &str, token: &str, clock: Arc<dyn Clock>) -> Mailbox {
    let transport = postroom::http::ReqwestTransport::new().unwrap();
    let connection = Connection::new(Arc::new(transport), Arc::new(StaticToken::new(token)))
        .with_regime(Regime::Off);
    let api = api.parse().unwrap();
    let journal = SqliteJournal::open(journal).await.unwrap();
    let mailbox = match kind.vendor {
        Vendor::Google => {
            let gmail = Gmail::new(connection).unwrap().with_access(kind.access);
            Mailbox::new(gmail.with_api_endpoint(api).unwrap())
        }
        _ => {
            let outlook = Outlook::new(connection).unwrap().with_access(kind.access);
            Mailbox::new(outlook.with_api_endpoint(api).unwrap())
        }
    };
    mailbox.with_clock(clock).with_journal(Arc::new(journal))
}

#[tokio::test]
#[ignore = "it is the process that the next test kills"]
#[allow(clippy::print_stdout, reason = "it tells the test that started it")]
async fn a_process_that_sends_until_it_is_killed() {
    let Ok(told) = std::env::var("POSTROOM_KILLED_SENDER") else {
        return;
    };
    let told: Vec<&str> = told.split('\n').collect();
    let clock = Arc::new(postroom::clock::SystemClock::new());
    let access = Access::READ_WRITE | Access::SEND;
    let kind = match told[3] {
        "gmail" => gmail(access),
        _ => outlook(access),
    };
    let mailbox = over(kind, told[0], told[1], told[2], clock).await;
    for number in 0_u64.. {
        println!("sends {number}");
        let key = SendKey::new(format!("send {number}"));
        let message = Outgoing::new()
            .to(kind.addresses().1.parse().unwrap())
            .subject(key.as_str())
            .text("Text");
        mailbox.send_once(&key, &message).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_was_sending_is_sent_once() {
    let mut random = Random::seeded();
    let access = Access::READ_WRITE | Access::SEND;
    let directory = tempfile::tempdir().unwrap();
    for round in 0..8 {
        let (kind, name) = match round % 2 {
            0 => (gmail(access), "gmail"),
            _ => (outlook(access), "outlook"),
        };
        let emulator = support::emulator().quota(false).start().await.unwrap();
        let journal = directory.path().join(format!("sends {round}.sqlite"));
        let service = match kind.vendor {
            Vendor::Google => emulator.google(),
            _ => emulator.microsoft(),
        };
        let api = service.base_url.as_str().to_owned();
        let token = emulator.access_token_for(kind.addresses().0, kind.scopes);
        let journal = journal.to_str().unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("a_process_that_sends_until_it_is_killed")
            .env(
                "POSTROOM_KILLED_SENDER",
                [journal, &api, &token, name].join("\n"),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let last = tokio::task::spawn_blocking(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            let sends = lines.filter_map(|line| line.split_once("sends ")?.1.parse::<u64>().ok());
            let last = sends.take(round / 2 + 2).last();
            random.pass_a_moment();
            process.kill().unwrap();
            process.wait().unwrap();
            (last.unwrap(), random)
        });
        let (last, given_back) = last.await.unwrap();
        random = given_back;

        // A quarter of an hour later another process takes over, also where the first one died preparing.
        let later = chrono::Utc::now() + chrono::TimeDelta::minutes(15);
        let clock = Arc::new(VirtualClock::eager(later));
        let mailbox = over(kind, journal, &api, &token, clock).await;
        // The killed one may have got further than it was seen to.
        for number in 0..last + 3 {
            let key = SendKey::new(format!("send {number}"));
            let message = outgoing(kind, &key, &mut Random(1));
            let mut sent = mailbox.send_once(&key, &message).await;
            // What was just accepted is seen in the outbox for a while.
            for _ in 0..10 {
                if sent.is_err() {
                    sent = mailbox.send_once(&key, &message).await;
                }
            }
            let count = received(&emulator, kind, &key);
            assert_eq!(count, 1, "{}: {sent:?}", key.as_str());
            assert!(sent.is_ok(), "{name}, {number} of {last}: {sent:?}");
        }
    }
}

#[tokio::test]
async fn a_send_that_the_service_refuses_is_not_sent_and_can_be_repeated() {
    for kind in [
        gmail(Access::READ_WRITE | Access::SEND),
        gmail(Access::SEND),
        outlook(Access::READ_WRITE | Access::SEND),
        outlook(Access::SEND),
    ] {
        let mut random = Random(1);
        let world = World::start(kind, &mut random).await;
        let key = SendKey::new("send 1");
        let message = outgoing(kind, &key, &mut random);
        let refused = Fault::new(FaultKind::unauthorized())
            .at(kind.vendor)
            .times(3);
        world.emulator.fault(refused);
        let error = world.process().send_once(&key, &message).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignInRequired);
        assert_ne!(error.delivery(), Delivery::Unknown);
        for _ in 0..4 {
            let _ = world.process().send_once(&key, &message).await;
        }
        assert_eq!(world.received(&key), 1);
    }
}
