//! A copy of a mailbox survives whatever kills the process that makes it: workers mirror into SQLite, as the example `mirror`
//! does, and are killed at random moments while the mailbox goes on changing. Nothing that was stored is lost, nothing is read
//! anew that was there, and in the end the copy is what the mailbox is.
//!
//! `POSTROOM_KILLS` says how many workers are killed, `POSTROOM_SEED` when and during what.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

#[path = "../examples/mirror/database.rs"]
#[allow(dead_code, reason = "the programs use all of it")]
mod database;
mod mirror;
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use database::Database;
use futures_util::{StreamExt as _, TryStreamExt as _};
use mirror::{Copy, gmail_truth, outlook_truth};
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::{Connection, Regime, ReqwestTransport};
use postroom::{
    AuditWindow, Change, Gmail, Keyword, Known as _, Mailbox, MessageId, Outlook, Scope, SyncPages,
};
use serde_json::{Value, json};
use support::random::Random;
use support::{GMAIL, OUTLOOK, emulator, unpaced};

/// How many workers CI kills, on each service.
const KILLS: u64 = 20;

/// What a worker is told by the environment.
const TASK: &str = "POSTROOM_WORKER";

/// Counts what is stored, page by page and message by message, in the transactions that store it.
const COUNTERS: &str = "
    CREATE TABLE told (pages INTEGER NOT NULL, messages INTEGER NOT NULL);
    INSERT INTO told VALUES (0, 0);
    CREATE TRIGGER told_page AFTER UPDATE OF cursor ON place BEGIN UPDATE told SET pages = pages + 1; END;
    CREATE TRIGGER told_message AFTER INSERT ON messages BEGIN UPDATE told SET messages = messages + 1; END;";

/// Not a test of its own: the process that is killed. It mirrors for as long as it lives.
#[tokio::test]
#[ignore = "the others start it"]
#[allow(clippy::print_stdout, reason = "it tells the test that started it")]
async fn worker() {
    let Ok(told) = std::env::var(TASK) else {
        return;
    };
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |name: &str| told[name].as_str().unwrap();
    let mailbox = mailbox(text("address"), text("token"), text("base"));
    let file = PathBuf::from(text("database"));
    let database = Arc::new(Database::open(&file, text("address")).await.unwrap());
    println!("ready");
    loop {
        let cursor = database.cursor().await.unwrap();
        let mut pages = mailbox.sync(cursor, Scope::everything(), database.clone());
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) if database.store(&page).await.unwrap() => println!("stored"),
                // Another worker was faster: it goes on from there.
                Ok(_) => break,
                Err(error) => return println!("failed {error:?}"),
            }
        }
    }
}

fn mailbox(address: &str, token: &str, base: &str) -> Mailbox {
    let transport = Arc::new(ReqwestTransport::new().unwrap());
    let token = Arc::new(StaticToken::new(token.to_owned()));
    let connection = Connection::new(transport, token).with_regime(Regime::Off);
    let base = base.parse().unwrap();
    if address == GMAIL {
        let gmail = Gmail::new(connection).unwrap();
        Mailbox::new(gmail.with_api_endpoint(base).unwrap())
    } else {
        let outlook = Outlook::new(connection).unwrap();
        Mailbox::new(outlook.with_api_endpoint(base).unwrap())
    }
}

/// A worker that runs, and what it says.
struct Worker {
    process: Child,
    /// That it began, and each page that it stored.
    told: Receiver<()>,
    said: JoinHandle<Said>,
}

/// What a worker said before its end.
#[derive(Default)]
struct Said {
    stored: i64,
    failed: Option<String>,
}

impl Worker {
    fn start(task: &Value) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "worker"])
            .env(TASK, task.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, told) = mpsc::channel();
        let said = std::thread::spawn(move || {
            let mut said = Said::default();
            for line in lines.map_while(Result::ok) {
                if line.contains("failed") {
                    said.failed = Some(line);
                } else if line.ends_with("ready") || line.ends_with("stored") {
                    said.stored += i64::from(line.ends_with("stored"));
                    let _ = sender.send(());
                }
            }
            said
        });
        Self {
            process,
            told,
            said,
        }
    }

    /// Kills it, on Unix by SIGKILL, and says how many pages it told to be stored.
    fn kill(mut self) -> i64 {
        let ended = self.process.try_wait().unwrap();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let said = self.said.join().unwrap();
        assert_eq!((said.failed, ended), (None, None), "it ended by itself");
        said.stored
    }
}

/// What happens in the mailbox meanwhile.
struct World {
    emulator: Emulator,
    address: &'static str,
    user: Mailbox,
    random: Random,
    delivered: u64,
    /// How many messages somebody did something to.
    touched: u64,
}

impl World {
    async fn new(address: &'static str, messages: u64) -> Self {
        let emulator = emulator().quota(false).start().await.unwrap();
        let user = unpaced(&emulator, address);
        let mut world = Self {
            emulator,
            address,
            user,
            random: Random::seeded(),
            delivered: 0,
            touched: 0,
        };
        for _ in 0..messages {
            world.deliver();
        }
        world
    }

    fn deliver(&mut self) {
        self.delivered += 1;
        let number = self.delivered;
        let mail =
            format!("From: billing@shop.example\r\nSubject: Number {number}\r\n\r\nText\r\n");
        self.emulator.deliver(self.address, mail.as_bytes());
    }

    async fn happen(&mut self) {
        let change = match self.random.below(8) {
            0..=1 => return self.deliver(),
            2 => Change::Set(Keyword::Seen),
            3 => Change::Set(Keyword::Flagged),
            4 => Change::Archive,
            5 => Change::Trash,
            6 => Change::Restore,
            _ => Change::Delete,
        };
        let messages = self.emulator.messages(self.address);
        let most = if change == Change::Delete { 2 } else { 12 };
        let ids: Vec<MessageId> = (0..=self.random.below(most))
            .filter_map(|_| {
                let place = self.random.below(messages.len().max(1) as u64);
                let message = messages.get(usize::try_from(place).ok()?)?;
                Some(MessageId::from(message.immutable_id.as_str()))
            })
            .collect();
        self.touched += ids.len() as u64;
        // One that is in the list twice and gone by then is told as missing.
        self.user.apply(&ids, &change).await.unwrap();
    }

    async fn truth(&self) -> BTreeMap<MessageId, Copy> {
        let everything = Scope::everything();
        if self.address == GMAIL {
            gmail_truth(&self.emulator, GMAIL, &everything)
        } else {
            outlook_truth(
                &self.emulator,
                OUTLOOK,
                &everything,
                &std::collections::BTreeSet::new(),
            )
        }
    }
}

/// Opens the copy as whoever comes after a killed process does, and gives what was stored: pages and messages.
async fn stored(file: &Path, address: &str) -> (i64, i64) {
    let database = Database::open(file, address).await.unwrap();
    let found = sqlx::query_as("SELECT pages, messages FROM told")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    database.pool.close().await;
    found
}

async fn take(mut pages: SyncPages, database: &Database) {
    while let Some(page) = pages.try_next().await.unwrap() {
        assert!(database.store(&page).await.unwrap());
    }
}

/// All that a copy has.
async fn copied(database: &Database) -> BTreeMap<MessageId, Copy> {
    let known = database.page(None, usize::MAX).await.unwrap();
    let copy = |known: postroom::KnownMessage| {
        let folders = known.folders.iter().map(ToString::to_string).collect();
        let keywords = known.keywords.into_iter().collect();
        (known.id, Copy { folders, keywords })
    };
    known.into_iter().map(copy).collect()
}

async fn killed(address: &'static str) {
    let kills = std::env::var("POSTROOM_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    // The first copy takes many lives.
    let messages = 200 + kills;
    let mut world = World::new(address, messages).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("copy.sqlite");
    let database = Database::open(&file, address).await.unwrap();
    sqlx::raw_sql(COUNTERS)
        .execute(&database.pool)
        .await
        .unwrap();
    database.pool.close().await;
    let base = match address {
        GMAIL => world.emulator.google(),
        _ => world.emulator.microsoft(),
    };
    let task = json!({
        "address": address,
        "token": world.emulator.access_token(address),
        "base": base.base_url.as_str(),
        "database": file.display().to_string(),
    });

    let (mut pages, mut reported, mut forgotten, mut lost_at) = (0, 0, 0, 0);
    let mut first_copy_took = None;
    let mut worker = Worker::start(&task);
    for kill in 1..=kills {
        // Sometimes the next worker is there before the last one is gone, and both go on from the same place.
        let early = (world.random.below(3) == 0).then(|| Worker::start(&task));
        // Some die while they begin, most while they work, and some only after a few pages.
        let lines =
            [0, 1, 1, 1, 1, 1, 2, 2, 3, 5][usize::try_from(world.random.below(10)).unwrap()];
        for _ in 0..lines {
            worker.told.recv().unwrap();
        }
        for _ in 0..world.random.below(6) {
            world.happen().await;
        }
        for _ in 0..world.random.below(28) {
            world.random.pass_a_moment();
        }
        reported += worker.kill();
        worker = early.unwrap_or_else(|| Worker::start(&task));

        let (now, inserted) = stored(&file, address).await;
        assert!(now >= reported, "{now} pages of {reported} are there");
        assert!(now >= pages);
        pages = now;
        if first_copy_took.is_none() && inserted >= i64::try_from(messages).unwrap() {
            first_copy_took = Some(kill);
        }
        // A service that forgets again before its last lapse was made up for is told as an error.
        if first_copy_took.is_some() && pages >= lost_at + 6 && world.random.below(8) == 0 {
            (forgotten, lost_at) = (forgotten + 1, pages);
            if address == GMAIL {
                world.emulator.expire_history(GMAIL);
            } else {
                world.emulator.expire_deltas(OUTLOOK, None);
            }
        }
    }
    worker.kill();

    let database = Arc::new(Database::open(&file, address).await.unwrap());
    let scope = Scope::everything();
    let mailbox = unpaced(&world.emulator, address);
    let cursor = database.cursor().await.unwrap();
    take(
        mailbox.sync(cursor, scope.clone(), database.clone()),
        &database,
    )
    .await;
    let cursor = database.cursor().await.unwrap();
    take(
        mailbox.sync_audited(cursor, scope.clone(), database.clone()),
        &database,
    )
    .await;
    let (copy, truth) = (copied(&database).await, world.truth().await);
    assert_eq!(copy.len(), truth.len());
    assert!(copy == truth, "the copy is what the mailbox is");
    let audit = mailbox.audit(&scope, AuditWindow::all(), database.as_ref());
    assert!(audit.await.unwrap().is_clean());

    let check: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    assert_eq!(check, ["ok"]);
    let nameless: i64 = sqlx::query_scalar("SELECT count(*) FROM messages WHERE subject IS NULL")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(nameless, 0, "every message is whole");
    database.pool.close().await;

    // Whoever began anew after a kill would read everything again.
    let (pages, inserted) = stored(&file, address).await;
    let (delivered, touched) = (world.delivered, world.touched);
    let told = format!(
        "{address}: {kills} killed, {messages} messages first, copied after {first_copy_took:?} kills; then {} more, {touched} \
         touched, {forgotten} times forgotten; {pages} pages with {inserted} messages stored\n",
        delivered - messages
    );
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    let most = delivered + touched + delivered / 10;
    assert!(
        inserted <= i64::try_from(most).unwrap(),
        "{inserted} of {most}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_gmail_survives_whatever_kills_its_worker() {
    killed(GMAIL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_outlook_survives_whatever_kills_its_worker() {
    killed(OUTLOOK).await;
}
