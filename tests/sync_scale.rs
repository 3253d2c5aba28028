//! What a sync costs at real sizes, in memory, units, requests and bytes: no more than what happened, however much there is.
//!
//! `POSTROOM_SCALE` says how many messages a mailbox has; by default there are as many as take a few seconds.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failure in a test is a panic"
)]

mod mirror;
mod support;

use std::alloc::System;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek as _, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use http::Response;
use mirror::{Mirror, changes, messages};
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, Regime, ReqwestTransport, Transport, TransportError};
use postroom::{
    AuditWindow, ByteStream, Change, Content, Detail, FolderEdit, FolderId, Gmail, Keyword, Known,
    KnownMessage, Mailbox, MessageId, Outlook, Scope, SyncChange, SyncPage,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::direct::Direct;
use support::{GMAIL, OUTLOOK, emulator, mailbox_on};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn scale(usual: usize) -> usize {
    std::env::var("POSTROOM_SCALE").map_or(usual, |text| text.parse().unwrap())
}

fn tell(text: &str) {
    std::io::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .unwrap();
}

/// Counts what comes down.
#[derive(Debug)]
struct Meter {
    way: Direct,
    bytes: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for Meter {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        let answer = self.way.send(request).await?;
        let bytes = Arc::clone(&self.bytes);
        let counted = move |chunk: std::io::Result<bytes::Bytes>| {
            let length = chunk.as_ref().map_or(0, bytes::Bytes::len);
            bytes.fetch_add(length, Ordering::Relaxed);
            chunk
        };
        Ok(answer.map(|body| body.map(counted).boxed()))
    }
}

/// A mailbox, and what it costs to keep a copy of it.
struct Service {
    emulator: Arc<Emulator>,
    address: &'static str,
    mailbox: Mailbox,
    mirror: Arc<Mirror>,
    bytes: Arc<AtomicUsize>,
}

/// What a sync cost.
#[derive(Debug)]
struct Cost {
    pages: Vec<SyncPage>,
    http: usize,
    units: u64,
    bytes: usize,
}

impl Service {
    async fn start(address: &'static str, messages: usize, body: &str) -> Self {
        let emulator = Arc::new(emulator().quota(false).start().await.unwrap());
        for number in 0..messages {
            deliver(&emulator, address, number, body);
        }
        let bytes = Arc::new(AtomicUsize::new(0));
        let meter = Meter {
            way: Direct(Arc::clone(&emulator)),
            bytes: Arc::clone(&bytes),
        };
        let token = StaticToken::new(emulator.access_token(address));
        let connection = Connection::new(Arc::new(meter), Arc::new(token));
        let mailbox = mailbox_on(&emulator, connection.with_regime(Regime::Off), address);
        Self {
            emulator,
            address,
            mailbox,
            mirror: Mirror::new(),
            bytes,
        }
    }

    async fn sync(&self, scope: &Scope) -> Cost {
        let before = self.emulator.requests().len();
        self.bytes.store(0, Ordering::Relaxed);
        let pages = self.mirror.follow(&self.mailbox, scope).await.unwrap();
        Cost {
            http: self.emulator.requests().len() - before,
            units: pages.iter().map(|page| page.progress.units).sum(),
            bytes: self.bytes.load(Ordering::Relaxed),
            pages,
        }
    }

    fn deliver(&self, count: usize) {
        for number in 0..count {
            deliver(&self.emulator, self.address, number, "Text\r\n");
        }
    }

    /// Messages that are there, each so many apart.
    fn every(&self, apart: usize) -> Vec<MessageId> {
        self.mirror.messages().into_keys().step_by(apart).collect()
    }
}

fn deliver(emulator: &Emulator, address: &str, number: usize, body: &str) {
    let mail = format!("From: billing@shop.example\r\nSubject: Number {number}\r\n\r\n{body}");
    emulator.deliver(address, mail.as_bytes());
}

#[tokio::test]
async fn staying_in_step_with_gmail_costs_what_happened() {
    let all = scale(1_500);
    let service = Service::start(GMAIL, all, "Text\r\n").await;
    let scope = Scope::everything();
    let first = service.sync(&scope).await;
    let quiet = service.sync(&scope).await;
    assert_eq!((quiet.http, quiet.units), (1, 3));

    for new in [20, 200] {
        service.deliver(new);
        let cost = service.sync(&scope).await;
        assert_eq!(messages(&cost.pages).len(), new);
        // A message is 20 units, and each page asks once more what happened.
        let units = 20 * new + 3 * (2 + new / 100);
        assert!(cost.units <= u64::try_from(units).unwrap());
        assert!(cost.http <= 4 + new / 25 + new / 100);
    }

    let missed = all.div_ceil(1_000);
    service.deliver(missed);
    let gone = service.every(all / missed.div_ceil(2) + 1);
    let _ = service.mailbox.apply(&gone, &Change::Delete).await.unwrap();
    service.emulator.expire_history(GMAIL);
    let cost = service.sync(&scope).await;
    assert_eq!(messages(&cost.pages).len(), missed);
    tell(&format!(
        "Gmail, {all} messages: first {} units, recovery {} units in {} requests",
        first.units, cost.units, cost.http
    ));
    assert!(cost.units * 50 < first.units);
    let audit = service
        .mailbox
        .audit(&scope, AuditWindow::all(), service.mirror.as_ref())
        .await
        .unwrap();
    assert!(audit.is_clean() && audit.units * 50 < first.units);
}

#[tokio::test]
async fn staying_in_step_with_outlook_costs_what_happened() {
    let all = scale(1_500);
    let service = Service::start(OUTLOOK, all, "Text\r\n").await;
    let scope = Scope::everything();
    service.sync(&scope).await;
    // Nineteen folders and their tree are as much as one batch holds.
    let there = service.mailbox.folders().await.unwrap().len();
    for number in there..19 {
        let create = FolderEdit::Create {
            name: format!("Folder {number}"),
            parent: None,
            color: None,
        };
        service.mailbox.edit_folder(&create).await.unwrap();
    }
    // Mailboxes have more than an inbox.
    let half: Vec<MessageId> = service.every(2);
    let half = half.get(..all / 2).unwrap_or(&half);
    service.mailbox.apply(half, &Change::Archive).await.unwrap();
    service.sync(&scope).await;
    let quiet = service.sync(&scope).await;
    assert_eq!(quiet.http, 1);

    for new in [20, 200] {
        service.deliver(new);
        let cost = service.sync(&scope).await;
        assert_eq!(messages(&cost.pages).len(), new);
        assert!(cost.http <= 3 + new / 20 + new / 100, "{}", cost.http);
    }
    let read = service.every(4);
    let seen = Change::Set(Keyword::Seen);
    service.mailbox.apply(&read, &seen).await.unwrap();
    let cost = service.sync(&scope).await;
    // One page of the service begins with what the one before ended with.
    let told: BTreeSet<&MessageId> = changes(&cost.pages)
        .filter_map(SyncChange::message_id)
        .collect();
    assert_eq!(told, read.iter().collect());
    assert!(cost.http <= 2 + read.len() / 500);

    let missed = all.div_ceil(1_000);
    service.deliver(missed);
    let gone = service.every(all / missed.div_ceil(2) + 1);
    service.mailbox.apply(&gone, &Change::Delete).await.unwrap();
    service.emulator.expire_deltas(OUTLOOK, None);
    let cost = service.sync(&scope).await;
    assert_eq!(messages(&cost.pages).len(), missed);
    tell(&format!(
        "Outlook, {all} messages: recovery in {} requests",
        cost.http
    ));
    let changed = missed + gone.len();
    assert!(
        cost.http <= all / 1_000 + changed.div_ceil(20) + 19,
        "{}",
        cost.http
    );
}

/// What was lost is made up for without reading what is there already: by states of some 600 bytes a message, most of which is
/// its id and the names of what is told. A host that has whole messages pays a small part of them again; one that has only what a
/// list shows has little more of each than that, and pays a large part.
#[tokio::test]
async fn recovery_reads_no_mail() {
    let line = "A sentence of a newsletter that goes on and on, as newsletters do.\r\n";
    let service = Service::start(OUTLOOK, 150, &line.repeat(300)).await;
    for (detail, share) in [(Detail::Full, 20), (Detail::Headers, 2)] {
        let mut scope = Scope::everything();
        scope.detail = detail;
        service.mirror.begin_again();
        let first = service.sync(&scope).await;
        service.emulator.expire_deltas(OUTLOOK, None);
        let recovery = service.sync(&scope).await;
        assert!(changes(&recovery.pages).next().is_none());
        tell(&format!(
            "Outlook, 150 messages of 20 KB, {detail:?}: first {} bytes, recovery {} bytes",
            first.bytes, recovery.bytes
        ));
        assert!(recovery.bytes * share < first.bytes);
    }
}

/// The most memory that was in use at once, as far as it is looked at: whenever something is sent, comes, or is asked of the host.
/// What the allocator keeps beside it, which is never the same twice, does not count.
#[derive(Debug, Default)]
struct Gauge(AtomicUsize);

impl Gauge {
    fn look(&self) {
        let stats = ALLOCATOR.stats();
        let used = stats.bytes_allocated - stats.bytes_deallocated;
        self.0.fetch_max(used, Ordering::Relaxed);
    }

    /// The most so far, and begins again.
    fn most(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// A way over which nothing goes unseen.
#[derive(Debug)]
struct Gauged {
    way: ReqwestTransport,
    gauge: Arc<Gauge>,
}

#[async_trait]
impl Transport for Gauged {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<Response<ByteStream>, TransportError> {
        self.gauge.look();
        let answer = self.way.send(request).await?;
        let gauge = Arc::clone(&self.gauge);
        let seen = move |chunk| {
            gauge.look();
            chunk
        };
        Ok(answer.map(|body| body.map(seen).boxed()))
    }
}

/// The host's messages, in a file that is read as it is asked for.
#[derive(Debug)]
struct Written {
    place: Mutex<(BufReader<File>, Option<MessageId>)>,
    gauge: Arc<Gauge>,
}

impl Written {
    fn write(path: &Path, emulator: &Emulator, address: &str) {
        let mut file = BufWriter::new(File::create(path).unwrap());
        let mut lines: Vec<(String, String)> = emulator
            .messages(address)
            .into_iter()
            .map(|message| (message.immutable_id, message.folder_ids.join(",")))
            .collect();
        lines.sort();
        for (id, folders) in lines {
            writeln!(file, "{id}\t{folders}").unwrap();
        }
        file.flush().unwrap();
    }

    fn open(path: &Path, gauge: &Arc<Gauge>) -> Self {
        let file = BufReader::new(File::open(path).unwrap());
        Self {
            place: Mutex::new((file, None)),
            gauge: Arc::clone(gauge),
        }
    }
}

#[async_trait]
impl Known for Written {
    async fn page(
        &self,
        after: Option<&MessageId>,
        limit: usize,
    ) -> postroom::Result<Vec<KnownMessage>> {
        let mut inner = self.place.lock().unwrap();
        let (file, last) = &mut *inner;
        if after.is_none() {
            file.rewind().unwrap();
        } else {
            assert_eq!(after, last.as_ref());
        }
        let mut page = Vec::new();
        for line in file.lines().take(limit) {
            let line = line.unwrap();
            let (id, folders) = line.split_once('\t').unwrap();
            let named = folders.split(',').filter(|folder| *folder != "UNREAD");
            let folders = named.map(FolderId::from).collect();
            page.push(KnownMessage::new(MessageId::from(id), folders, Vec::new()));
        }
        *last = page.last().map(|message| message.id.clone());
        self.gauge.look();
        Ok(page)
    }
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

/// The process whose memory is measured: a first sync, recoveries from a lost cursor with and without the host's messages, and
/// an audit, also of a copy that was lost.
#[tokio::test]
#[ignore = "started by the test that measures it"]
async fn client() {
    let told = |name: &str| std::env::var(format!("POSTROOM_CLIENT_{name}")).unwrap();
    let (address, token) = (told("ADDRESS"), told("TOKEN"));
    let gauge = Arc::<Gauge>::default();
    let transport = Gauged {
        way: ReqwestTransport::new().unwrap(),
        gauge: Arc::clone(&gauge),
    };
    let connection = Connection::new(Arc::new(transport), Arc::new(StaticToken::new(token)))
        .with_regime(Regime::Off);
    let endpoint = told("ENDPOINT").parse().unwrap();
    let mailbox = if address == GMAIL {
        Mailbox::new(
            Gmail::new(connection)
                .unwrap()
                .with_api_endpoint(endpoint)
                .unwrap(),
        )
    } else {
        Mailbox::new(
            Outlook::new(connection)
                .unwrap()
                .with_api_endpoint(endpoint)
                .unwrap(),
        )
    };
    let mut scope = Scope::everything();
    if told("DETAIL") == "ids" {
        scope.detail = Detail::Ids;
    }
    let path = told("KNOWN");
    let known = || Arc::new(Written::open(Path::new(&path), &gauge));
    let begun = std::time::Instant::now();
    let say = |phase: &str, what: String| {
        let (most, peak) = (gauge.most(), peak());
        println!(
            "\n{phase}: {most} bytes in use, {peak} KiB in all, {what}, {:?}",
            begun.elapsed()
        );
        println!("used {phase} {most} {peak}");
    };
    let mut stdin = std::io::stdin().lines();
    let mut cursor = None;
    for phase in ["first", "recovery"] {
        let mut pages = mailbox.sync(cursor, scope.clone(), known());
        let (mut last, mut count) = (None, 0);
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            count += page.changes.len();
            gauge.look();
            last = Some(page.cursor);
        }
        cursor = last;
        say(phase, format!("{count} changes"));
        println!("forget");
        stdin.next().unwrap().unwrap();
    }
    let lost = Lost(Arc::clone(&gauge));
    for (phase, known, window) in [
        ("audit", known() as Arc<dyn Known>, AuditWindow::all()),
        ("lost", Arc::new(lost), AuditWindow::all().telling(100)),
    ] {
        let audit = mailbox.audit(&scope, window, known.as_ref());
        let audit = audit.await.unwrap();
        let differ = audit.missing.len() + audit.stale.len();
        let more = audit.untold.total();
        gauge.look();
        say(phase, format!("{differ} differ, and {more} more"));
    }
}

/// A host that has lost its copy.
#[derive(Debug)]
struct Lost(Arc<Gauge>);

#[async_trait]
impl Known for Lost {
    async fn page(&self, _: Option<&MessageId>, _: usize) -> postroom::Result<Vec<KnownMessage>> {
        self.0.look();
        Ok(Vec::new())
    }
}

/// The most memory that the phases of a client had in use at once, in bytes, and the process in all, in KiB.
#[derive(Debug, Default)]
struct Used {
    phases: Vec<(String, usize)>,
    process: u64,
}

/// Runs the client against a mailbox of so many messages.
async fn measured(address: &'static str, count: usize, detail: &str) -> Used {
    let page = if count < LARGE { PAGE } else { usize::MAX };
    let emulator = emulator().quota(false).longest_page(page);
    // A large mailbox takes longer than a token lives, and nobody here renews it.
    let emulator = emulator.access_token_lifetime(Duration::from_secs(24 * 60 * 60));
    let emulator = emulator.start().await.unwrap();
    for number in 0..count {
        deliver(&emulator, address, number, "Text\r\n");
    }
    let known = tempfile::NamedTempFile::new().unwrap();
    Written::write(known.path(), &emulator, address);
    let service = if address == GMAIL {
        emulator.google()
    } else {
        emulator.microsoft()
    };
    let mut client = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "client"])
        .env("POSTROOM_CLIENT_ADDRESS", address)
        .env("POSTROOM_CLIENT_TOKEN", emulator.access_token(address))
        .env("POSTROOM_CLIENT_ENDPOINT", service.base_url.as_str())
        .env("POSTROOM_CLIENT_DETAIL", detail)
        .env("POSTROOM_CLIENT_KNOWN", known.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let output = BufReader::new(client.stdout.take().unwrap());
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let reader = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut used = Used::default();
    while let Some(line) = lines.recv().await {
        if line == "forget" {
            emulator.expire_history(GMAIL);
            emulator.expire_deltas(OUTLOOK, None);
            // Gmail's history must not stand where it stood.
            deliver(&emulator, address, 0, "Text\r\n");
            writeln!(stdin, "gone").unwrap();
        } else if line.contains(" KiB") {
            tell(&format!("{address}, {count} messages, {detail}, {line}"));
        } else if let Some(numbers) = line.strip_prefix("used ") {
            let numbers: Vec<&str> = numbers.split(' ').collect();
            let [phase, most, process] = numbers[..] else {
                panic!("{line}");
            };
            used.phases.push((phase.to_owned(), most.parse().unwrap()));
            used.process = process.parse().unwrap();
        }
    }
    reader.join().unwrap();
    assert!(client.wait().unwrap().success());
    assert_eq!(used.phases.len(), 4);
    used
}

/// How many messages a page of the services has here, so that also a small mailbox has many pages.
const PAGE: usize = 100;

/// From how many messages on pages are as long as the services make them.
const LARGE: usize = 100_000;

/// What a message more may cost: less than anybody could keep of it. What one costs is 5 bytes, for the ids of those that were
/// received in the second at which a listing stands; of those there is an end, too.
const EACH: usize = 100;

/// How much of what is compared is sorted in memory, before it goes to files.
const SORTED: usize = 256 * 1024;

/// The memory of a sync does not grow with the mailbox.
async fn stays_small(address: &'static str) {
    for (detail, large) in [("ids", scale(2_400)), ("headers", scale(1_200))] {
        let small = large / 4;
        let few = measured(address, small, detail).await;
        let many = measured(address, large, detail).await;
        assert!(many.process < 64 * 1024, "{many:?}");
        for ((phase, few), (_, many)) in few.phases.into_iter().zip(many.phases) {
            // What is compared is listed by ids alone, whatever else is wanted.
            if detail != "ids" && phase != "first" {
                continue;
            }
            let sorted = if phase == "first" { 0 } else { SORTED };
            let allowed = few + (large - small) * EACH + sorted;
            assert!(many < allowed, "{phase}: {few} bytes became {many}");
        }
    }
}

#[tokio::test]
async fn a_sync_of_gmail_takes_no_more_memory_for_a_larger_mailbox() {
    stays_small(GMAIL).await;
}

#[tokio::test]
async fn a_sync_of_outlook_takes_no_more_memory_for_a_larger_mailbox() {
    stays_small(OUTLOOK).await;
}
