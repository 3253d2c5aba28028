//! However many callers in however many processes find the token expired, one refresh is made; and a process that is killed
//! costs no sign-in where the service lets a used refresh token go on working.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, FileStore, RecordKey, Save, StoredTokens,
    TokenSource,
};
use postroom::emulator::Emulator;
use postroom::oauth::{Endpoints, OAuthFlow};
use support::{GMAIL, OUTLOOK, emulator};
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

/// Connects an account whose token has expired.
async fn connect(emulator: &Emulator, service: &str, address: &str, directory: &Path) {
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
    let store = FileStore::new(directory);
    record
        .save(&store, &RecordKey::account(ACCOUNT), Save::IfAbsent)
        .await
        .unwrap();
}

fn process(emulator: &Emulator, service: &str, directory: &Path, work: &str) -> Child {
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
        .env("POSTROOM_STORM_STORE", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The tokens that a process was started for.
fn told() -> Option<StoredTokens> {
    let directory = std::env::var_os("POSTROOM_STORM_STORE").map(PathBuf::from)?;
    let text = |name: &str| std::env::var(format!("POSTROOM_STORM_{name}")).unwrap();
    let base = text("BASE").parse().unwrap();
    let flow = flow(&text("SERVICE"), &base, &text("SECRET"), &text("CLIENT"));
    let store = Arc::new(FileStore::new(directory));
    Some(StoredTokens::new(store, RecordKey::account(ACCOUNT), Arc::new(flow)).unwrap())
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn a_process_that_renews_until_it_is_killed() {
    let Some(tokens) = told() else {
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
    let Some(tokens) = told() else {
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
    for (service, address) in [("google", GMAIL), ("microsoft", OUTLOOK)] {
        let emulator = emulator().start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        connect(&emulator, service, address, directory.path()).await;
        let before = token_requests(&emulator);

        let mut processes: Vec<Child> = (0..PROCESSES)
            .map(|_| process(&emulator, service, directory.path(), ASKS))
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
        assert_eq!(token_requests(&emulator) - before, 1, "{service}");

        let store = FileStore::new(directory.path());
        let loaded = AccountRecord::load(&store, &RecordKey::account(ACCOUNT))
            .await
            .unwrap()
            .unwrap();
        assert!(loaded.record.credential.refresh_token.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_costs_no_sign_in_where_a_used_token_goes_on_working() {
    for (service, address) in [("google", GMAIL), ("microsoft", OUTLOOK)] {
        let emulator = emulator().start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        connect(&emulator, service, address, directory.path()).await;
        let store = FileStore::new(directory.path());
        let key = RecordKey::account(ACCOUNT);
        let load = || async { AccountRecord::load(&store, &key).await.unwrap().unwrap() };
        let before = load().await.record;
        for turns in 1..=8 {
            let mut process = process(&emulator, service, directory.path(), RENEWS);
            let lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
            let served = lines.map_while(Result::ok).filter(|line| line == "served");
            // It is renewing again already, or about to.
            assert_eq!(served.take(turns).count(), turns);
            process.kill().unwrap();
            process.wait().unwrap();
            let record = load().await.record;
            assert_eq!(record.identity, before.identity, "{service}");
            assert_eq!(record.addresses, before.addresses);
            assert_eq!(record.state, AccountState::Active);
            // What the killed one held ends by itself after a while; nobody waits for that here.
            store.remove(&key.lease("refresh")).await.unwrap();
        }
        let mut record = load().await;
        record.record.credential.expires_at = Some(Utc::now() - TimeDelta::minutes(1));
        let save = Save::IfRevision(record.revision);
        record.record.save(&store, &key, save).await.unwrap();
        let mut process = process(&emulator, service, directory.path(), ASKS);
        process.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert!(process.wait_with_output().unwrap().status.success());
    }
}

fn token_requests(emulator: &Emulator) -> usize {
    emulator
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/token"))
        .count()
}
