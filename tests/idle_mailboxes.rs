//! Many open mailboxes in one process cost next to nothing while nobody uses them: little memory, no timers, no tasks. When
//! many of them are used at once, each gets its turn, over connections that they share.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failure in a test is a panic"
)]

mod support;
#[path = "support/accounts.rs"]
mod with_accounts;

use std::alloc::System;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use futures_util::poll;
use postroom::clock::Clock;
use postroom::credentials::{AccountRecord, MemoryStore, RecordKey, Save, Service};
use postroom::http::{Transport, TransportError};
use postroom::testing::VirtualClock;
use postroom::{
    Access, AccountId, Accounts, ByteStream, Content, Detail, Mailbox, MessageId,
    ProviderConfiguration, Secret,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::{GMAIL, OUTLOOK};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test at a time: others in this process would count as well.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What an open mailbox may take beyond its credential.
const ALLOWED: usize = 2 * 1024;
const LATENCY: Duration = Duration::from_millis(150);
const STEP: Duration = Duration::from_millis(25);

/// Bytes that are in use.
fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// A service whose every message is there.
#[derive(Debug)]
struct Anything {
    clock: Arc<Counting>,
}

#[async_trait]
impl Transport for Anything {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<http::Response<ByteStream>, TransportError> {
        self.clock.sleep(LATENCY).await;
        let id = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let body = format!(r#"{{"id":"{id}","threadId":"{id}"}}"#);
        let body = futures_util::stream::iter([Ok(body.into())]);
        Ok(http::Response::new(Box::pin(body)))
    }
}

/// A virtual clock that tells how many sleep.
#[derive(Debug)]
struct Counting {
    clock: VirtualClock,
    sleeping: AtomicUsize,
}

#[async_trait]
impl Clock for Counting {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        struct Sleeper<'a>(&'a AtomicUsize);
        impl Drop for Sleeper<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.sleeping.fetch_add(1, Ordering::Relaxed);
        let _sleeper = Sleeper(&self.sleeping);
        self.clock.sleep(duration).await;
    }
}

fn clock() -> Arc<Counting> {
    Arc::new(Counting {
        clock: VirtualClock::by_hand(DateTime::from_timestamp(1_790_000_000, 0).unwrap()),
        sleeping: AtomicUsize::new(0),
    })
}

fn id(number: usize) -> AccountId {
    AccountId::new(format!("user {number}"))
}

/// Accounts of both services, as they are after people have signed in.
async fn accounts(count: usize, clock: &Arc<Counting>) -> Accounts {
    let store = MemoryStore::with_clock(clock.clone());
    for number in 0..count {
        let (configuration, service) = if number % 2 == 0 {
            ("google", Service::Google)
        } else {
            ("microsoft", Service::Microsoft)
        };
        let mut record = AccountRecord::new(id(number), configuration, service);
        record.granted = Access::READ_WRITE | Access::SEND;
        record.credential.access_token = Some(Secret::new(format!("access {number:0200}")));
        record.credential.refresh_token = Some(Secret::new(format!("refresh {number:0100}")));
        record.credential.expires_at = Some(clock.now() + TimeDelta::days(1));
        let key = RecordKey::account(id(number));
        record.save(&store, &key, Save::IfAbsent).await.unwrap();
    }
    let registration = |configuration: ProviderConfiguration| {
        configuration
            .with_client_secret(Secret::new("secret"))
            .with_redirect_uri("https://app.example/callback")
    };
    Accounts::builder(Arc::new(store))
        .clock(clock.clone())
        .transport(Arc::new(Anything {
            clock: clock.clone(),
        }))
        .configuration("google", registration(ProviderConfiguration::google("id")))
        .configuration(
            "microsoft",
            registration(ProviderConfiguration::microsoft("id")),
        )
        .build()
        .unwrap()
}

/// Lets time pass until `work` is done.
async fn run<T>(clock: &Counting, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        for _ in 0..16 {
            if let Poll::Ready(done) = poll!(&mut work) {
                return done;
            }
            tokio::task::yield_now().await;
        }
        clock.clock.advance(STEP);
    }
}

fn assert_idle(clock: &Counting) {
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(tasks, 0, "tasks of idle mailboxes");
    let timers = clock.sleeping.load(Ordering::Relaxed);
    assert_eq!(timers, 0, "timers of idle mailboxes");
}

#[tokio::test]
async fn idle_mailboxes_cost_next_to_nothing_and_many_at_once_all_get_their_turn() {
    let _alone = ALONE.lock().await;
    const COUNT: usize = 20_000;
    const BURST: usize = 2_000;
    let clock = clock();
    let accounts = accounts(COUNT, &clock).await;
    let mut mailboxes: Vec<Mailbox> = Vec::with_capacity(COUNT);

    let mut before = in_use();
    for half in [0..COUNT / 2, COUNT / 2..COUNT] {
        let count = half.len();
        for number in half {
            mailboxes.push(accounts.open(&id(number)).await.unwrap());
        }
        let each = (in_use() - before) / count;
        println!(
            "{} open mailboxes: {each} bytes each for the last {count}",
            mailboxes.len()
        );
        assert!(each < ALLOWED, "an open mailbox takes {each} bytes");
        before = in_use();
    }
    assert_idle(&clock);

    // So many come at once, twice in a row.
    let burst = &mailboxes[..BURST];
    let message = [MessageId::new("1a")];
    let done: Mutex<Vec<Duration>> = Mutex::default();
    let before = in_use();
    run(
        &clock,
        join_all(burst.iter().map(|mailbox| async {
            for _ in 0..2 {
                let read = mailbox.messages_by_id(&message, Detail::Ids).await.unwrap();
                assert!(read[0].is_ok());
            }
            done.lock().unwrap().push(clock.monotonic());
        })),
    )
    .await;
    let done = done.into_inner().unwrap();
    let median = done[BURST / 2];
    let slowest_tenth = done[BURST * 9 / 10];
    println!(
        "median {median:?}, slowest tenth from {slowest_tenth:?}, last {:?}",
        done[BURST - 1]
    );
    assert!(
        slowest_tenth <= median * 2,
        "{slowest_tenth:?} after {median:?}"
    );

    // What stays is the token that each was given, which is its credential.
    let kept = in_use().saturating_sub(before + size_of_val(done.as_slice())) / BURST;
    println!("{kept} bytes each stay after they were there");
    assert!(kept < ALLOWED / 2, "a used mailbox keeps {kept} bytes more");
    assert_idle(&clock);
}

/// How many connections of this process to a port are open, where the system tells.
fn connections(port: u16) -> Option<usize> {
    let sockets = std::fs::read_to_string("/proc/self/net/tcp").ok()?;
    let open = sockets.lines().skip(1).filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The other end's address, and `01` for one that is established.
        fields[2].ends_with(&format!(":{port:04X}")) && fields[3] == "01"
    });
    Some(open.count())
}

/// `POSTROOM_MAILBOXES` says how many mailboxes are used at once, 400 unless it does. How alike they wait is printed here, and
/// asserted where the clock is virtual, above.
#[tokio::test]
async fn mailboxes_that_are_used_at_once_share_connections() {
    let _alone = ALONE.lock().await;
    let count = std::env::var("POSTROOM_MAILBOXES");
    let count: usize = count.map_or(400, |count| count.parse().unwrap());
    let builder = support::emulator().tls(true).quota(false);
    let emulator = builder.start().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    let accounts = with_accounts::builder(&emulator, store.clone());
    let accounts = accounts.build().unwrap();
    let services = [
        ("google", Service::Google, GMAIL),
        ("microsoft", Service::Microsoft, OUTLOOK),
    ];
    let mut mailboxes = Vec::with_capacity(count);
    for number in 0..count {
        let (configuration, service, address) = &services[number % 2];
        let mut record = AccountRecord::new(id(number), *configuration, service.clone());
        record.granted = Access::READ;
        record.credential.access_token = Some(Secret::new(emulator.access_token(address)));
        record.credential.expires_at = Some(Utc::now() + TimeDelta::days(1));
        let key = RecordKey::account(id(number));
        let saved = record.save(store.as_ref(), &key, Save::IfAbsent).await;
        saved.unwrap();
        mailboxes.push(accounts.open(&id(number)).await.unwrap());
    }

    let began = Instant::now();
    let done: Mutex<Vec<Duration>> = Mutex::default();
    join_all(mailboxes.iter().map(async |mailbox| {
        for _ in 0..2 {
            mailbox.profile().await.unwrap();
        }
        done.lock().unwrap().push(began.elapsed());
    }))
    .await;
    let done = done.into_inner().unwrap();
    let (median, slowest_tenth) = (done[count / 2], done[count * 9 / 10]);
    let ports = [emulator.google(), emulator.microsoft()].map(|face| face.base_url.port().unwrap());
    let open = connections(ports[0]).max(connections(ports[1]));
    println!("median {median:?}, slowest tenth from {slowest_tenth:?}, {open:?} connections");
    // Those that ask before the first connection has said that it takes many may have opened some more.
    assert!(
        open.is_none_or(|open| open <= count / 20),
        "{open:?} connections of {count} mailboxes"
    );
}
