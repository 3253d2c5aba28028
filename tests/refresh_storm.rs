//! However many callers in however many processes find the token expired, one refresh is made; and a process that is killed
//! costs no sign-in where the service lets a used refresh token go on working. In every store that processes can share:
//! PostgreSQL where `POSTROOM_POSTGRES` names a server.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, FileStore, LoadedAccount, PostgresStore,
    RecordKey, Revision, Save, SqliteStore, StoredTokens, TokenSource,
};
use postroom::emulator::Emulator;
use postroom::oauth::{Endpoints, OAuthFlow};
use sqlx::postgres::{PgPool, PgPoolOptions};
use support::{GMAIL, OUTLOOK, elsewhere, emulator, random::Random};
use url::Url;

const PROCESSES: usize = 8;
const TASKS: usize = 64;
const ACCOUNT: &str = "user 7";
const ASKS: &str = "a_process_that_asks_when_told";
const RENEWS: &str = "a_process_that_renews_until_it_is_killed";

fn flow(service: &str, base: &Url, secret: &str, client: &str) -> OAuthFlow {
    let (builder, endpoints) = match service {
        "google" => (
            OAuthFlow::google(client),
            Endpoints::google_at(base).unwrap(),
        ),
        _ => (
            OAuthFlow::microsoft(client),
            Endpoints::microsoft_at(base, "common").unwrap(),
        ),
    };
    builder
        .client_secret(secret)
        .redirect_uri("http://127.0.0.1:8123/")
        .endpoints(endpoints)
        .build()
        .unwrap()
}

/// A store that processes share.
struct Shared {
    kind: &'static str,
    /// A directory, a file, or the name of a table.
    place: String,
    store: Arc<dyn CredentialStore>,
    _directory: tempfile::TempDir,
}

impl Shared {
    /// An empty one.
    async fn of(kind: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = match kind {
            "postgres" => format!("storm_{}", Revision::random().unwrap().as_str()),
            _ => directory.path().join(kind).to_str().unwrap().to_owned(),
        };
        if kind == "postgres" {
            let table = PostgresStore::new(pool()).with_table(&place).unwrap();
            table.migrate().await.unwrap();
        }
        Self {
            kind,
            store: opened(kind, &place).await,
            place,
            _directory: directory,
        }
    }

    async fn load(&self) -> LoadedAccount {
        let key = RecordKey::account(ACCOUNT);
        let loaded = AccountRecord::load(&*self.store, &key).await.unwrap();
        loaded.unwrap()
    }

    async fn end(self) {
        if self.kind == "postgres" {
            let table = self.place;
            let statement = format!("DROP TABLE {table}, {table}_migrations");
            sqlx::raw_sql(&statement).execute(&pool()).await.unwrap();
        }
    }
}

fn kinds() -> Vec<&'static str> {
    let server = elsewhere::named_by("POSTROOM_POSTGRES");
    let postgres = server.map(|_| "postgres");
    ["files", "sqlite"].into_iter().chain(postgres).collect()
}

fn pool() -> PgPool {
    let server = std::env::var("POSTROOM_POSTGRES").unwrap();
    // Many processes share the connections that a server has.
    let options = PgPoolOptions::new().max_connections(4);
    options.connect_lazy(&server).unwrap()
}

async fn opened(kind: &str, place: &str) -> Arc<dyn CredentialStore> {
    match kind {
        "files" => Arc::new(FileStore::new(place)),
        "sqlite" => Arc::new(SqliteStore::open(place).await.unwrap()),
        "postgres" => Arc::new(PostgresStore::new(pool()).with_table(place).unwrap()),
        _ => panic!("{kind} is no kind of store"),
    }
}

/// Connects an account whose token has expired.
async fn connect(emulator: &Emulator, service: &str, address: &str, shared: &Shared) {
    let server = if service == "google" {
        emulator.google()
    } else {
        emulator.microsoft()
    };
    let flow = flow(
        service,
        &server.base_url,
        &server.client_secret,
        &server.client_id,
    );
    let authorization = flow.authorize().unwrap();
    let callback = emulator.sign_in(&authorization.url, address).await.unwrap();
    let grant = flow
        .complete(authorization.pending, &callback)
        .await
        .unwrap();
    let mut record = grant.into_record(ACCOUNT, service);
    record.credential.expires_at = Some(Utc::now() - TimeDelta::minutes(1));
    record
        .save(&*shared.store, &RecordKey::account(ACCOUNT), Save::IfAbsent)
        .await
        .unwrap();
}

fn process(emulator: &Emulator, service: &str, shared: &Shared, work: &str) -> Child {
    let server = if service == "google" {
        emulator.google()
    } else {
        emulator.microsoft()
    };
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", work])
        .env("POSTROOM_STORM_SERVICE", service)
        .env("POSTROOM_STORM_BASE", server.base_url.as_str())
        .env("POSTROOM_STORM_CLIENT", &server.client_id)
        .env("POSTROOM_STORM_SECRET", &server.client_secret)
        .env("POSTROOM_STORM_KIND", shared.kind)
        .env("POSTROOM_STORM_PLACE", &shared.place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The tokens that a process was started for.
async fn told() -> Option<StoredTokens> {
    let kind = std::env::var("POSTROOM_STORM_KIND").ok()?;
    let text = |name: &str| std::env::var(format!("POSTROOM_STORM_{name}")).unwrap();
    let base = text("BASE").parse().unwrap();
    let flow = flow(&text("SERVICE"), &base, &text("SECRET"), &text("CLIENT"));
    let store = opened(&kind, &text("PLACE")).await;
    Some(StoredTokens::new(store, RecordKey::account(ACCOUNT), Arc::new(flow)).unwrap())
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn a_process_that_renews_until_it_is_killed() {
    let Some(tokens) = told().await else {
        return;
    };
    loop {
        let token = tokens.token().await.unwrap();
        writeln!(std::io::stdout(), "\nserved").unwrap();
        tokens.reject(&token).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process that the other test starts"]
async fn a_process_that_asks_when_told() {
    let Some(tokens) = told().await else {
        return;
    };
    writeln!(std::io::stdout(), "\nready").unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let callers: Vec<_> = (0..TASKS)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_refreshed_once_by_all_tasks_of_all_processes() {
    for kind in kinds() {
        for (service, address) in [("google", GMAIL), ("microsoft", OUTLOOK)] {
            let emulator = emulator().start().await.unwrap();
            let shared = Shared::of(kind).await;
            connect(&emulator, service, address, &shared).await;
            let before = token_requests(&emulator);

            let mut processes: Vec<Child> = (0..PROCESSES)
                .map(|_| process(&emulator, service, &shared, ASKS))
                .collect();
            for process in &mut processes {
                let lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
                assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
            }
            for process in &mut processes {
                process.stdin.take().unwrap().write_all(b"go\n").unwrap();
            }
            for mut process in processes {
                assert!(
                    process.wait().unwrap().success(),
                    "every caller got a token"
                );
            }
            let made = token_requests(&emulator) - before;
            assert_eq!(made, 1, "{service}, {kind}");

            let loaded = shared.load().await;
            assert!(loaded.record.credential.refresh_token.is_some());
            shared.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_costs_no_sign_in_where_a_used_token_goes_on_working() {
    let mut random = Random::seeded();
    for kind in kinds() {
        for (service, address) in [("google", GMAIL), ("microsoft", OUTLOOK)] {
            let emulator = emulator().start().await.unwrap();
            let shared = Shared::of(kind).await;
            connect(&emulator, service, address, &shared).await;
            let key = RecordKey::account(ACCOUNT);
            let before = shared.load().await.record;
            for turns in 1..=8 {
                let mut process = process(&emulator, service, &shared, RENEWS);
                let lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
                let served = lines.map_while(Result::ok).filter(|line| line == "served");
                assert_eq!(served.take(turns).count(), turns, "{service}, {kind}");
                random.pass_a_moment();
                process.kill().unwrap();
                process.wait().unwrap();
                let record = shared.load().await.record;
                assert_eq!(record.identity, before.identity, "{service}, {kind}");
                assert_eq!(record.addresses, before.addresses);
                assert_eq!(record.state, AccountState::Active);
                // What the killed one held ends by itself after a while; nobody waits for that here.
                shared.store.remove(&key.lease("refresh")).await.unwrap();
            }
            let mut record = shared.load().await;
            record.record.credential.expires_at = Some(Utc::now() - TimeDelta::minutes(1));
            let save = Save::IfRevision(record.revision);
            let saved = record.record.save(&*shared.store, &key, save).await;
            saved.unwrap();
            let mut process = process(&emulator, service, &shared, ASKS);
            process.stdin.take().unwrap().write_all(b"go\n").unwrap();
            assert!(process.wait_with_output().unwrap().status.success());
            shared.end().await;
        }
    }
}

fn token_requests(emulator: &Emulator) -> usize {
    emulator
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/token"))
        .count()
}
