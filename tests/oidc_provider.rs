//! Against an OpenID provider that somebody else wrote, with refresh-token rotation and reuse detection: whatever many
//! processes do at once, no refresh token is used twice; and only a process that is killed within a refresh may cost a
//! sign-in.
//!
//! `POSTROOM_OIDC_PROVIDER` names a directory with the files of `tests/oidc_provider` and what `npm ci` puts beside them.
//! Without it these tests are left out, and say so.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failure in a test is a panic, and what is left out is told"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::Request;
use postroom::credentials::{
    AccountRecord, FileStore, Identity, RecordKey, Refresh, Refreshed, Save, Service, StoredTokens,
    TokenSource,
};
use postroom::http::{ReqwestTransport, Transport};
use postroom::oauth::{Endpoints, Grant, OAuthFlow};
use postroom::{Content, ErrorKind};
use url::Url;

const REDIRECT: &str = "http://127.0.0.1:8123/callback";
const ACCOUNT: &str = "reader";

/// The provider as a process, and what it said so far.
struct Server {
    process: Child,
    issuer: Url,
    events: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        let Some(directory) = std::env::var_os("POSTROOM_OIDC_PROVIDER").map(PathBuf::from) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI must set POSTROOM_OIDC_PROVIDER"
            );
            eprintln!("left out: POSTROOM_OIDC_PROVIDER names no OpenID provider");
            return None;
        };
        let mut process = Command::new("node")
            .arg("server.mjs")
            .current_dir(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.next().unwrap().unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let events = Arc::clone(&events);
            move || {
                lines
                    .map_while(Result::ok)
                    .for_each(|line| events.lock().unwrap().push(line))
            }
        });
        let issuer = ready["issuer"].as_str().unwrap().parse().unwrap();
        Some(Self {
            process,
            issuer,
            events,
        })
    }

    fn count(&self, event: &str) -> usize {
        let event = format!("\"event\":\"{event}\"");
        self.events
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(&event))
            .count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Google's flow with this provider in Google's place.
fn flow(issuer: &Url) -> OAuthFlow {
    let mut endpoints = Endpoints::google_at(issuer).unwrap();
    endpoints.authorize = issuer.join("auth").unwrap();
    endpoints.revoke = Some(issuer.join("token/revocation").unwrap());
    OAuthFlow::google("client")
        .client_secret("a-secret-of-the-test")
        .redirect_uri(REDIRECT)
        .prompt("consent")
        .endpoints(endpoints)
        .build()
        .unwrap()
}

/// Follows redirects with cookies, as a browser does, until the address is the callback.
async fn sign_in(issuer: &Url) -> Grant {
    let flow = flow(issuer);
    let authorization = flow.authorize().unwrap();
    let transport = ReqwestTransport::new().unwrap();
    let mut cookies = BTreeMap::new();
    let mut url = authorization.url;
    while !url.as_str().starts_with(REDIRECT) {
        let mut request = Request::new(Content::empty());
        *request.uri_mut() = url.as_str().parse().unwrap();
        let cookie = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ");
        request
            .headers_mut()
            .insert("cookie", cookie.parse().unwrap());
        let response = transport.send(request).await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = response.headers().get("location").unwrap();
        url = url.join(location.to_str().unwrap()).unwrap();
    }
    flow.complete(authorization.pending, &url).await.unwrap()
}

async fn connect(issuer: &Url, store: &FileStore) {
    let grant = sign_in(issuer).await;
    assert_eq!(
        grant.identity,
        Some(Identity::new(Service::Google, "subject-1"))
    );
    let key = RecordKey::account(ACCOUNT);
    let mut record = match AccountRecord::load(store, &key).await.unwrap() {
        Some(loaded) => loaded.record,
        None => AccountRecord::new(ACCOUNT, "google", Service::Google),
    };
    record
        .settings
        .insert("kept".to_owned(), "by the host".to_owned());
    grant.apply_to(&mut record);
    record.save(store, &key, Save::Always).await.unwrap();
}

/// Says when a refresh begins.
#[derive(Debug)]
struct Told(OAuthFlow);

#[async_trait]
impl Refresh for Told {
    async fn refresh(&self, account: &AccountRecord) -> postroom::Result<Refreshed> {
        say("refreshing");
        self.0.refresh(account).await
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").unwrap();
    output.flush().unwrap();
}

fn tokens(issuer: &Url, directory: &Path) -> StoredTokens {
    let store = Arc::new(FileStore::new(directory));
    let refresh = Arc::new(Told(flow(issuer)));
    StoredTokens::new(store, RecordKey::account(ACCOUNT), refresh).unwrap()
}

/// Runs `worker` of this file in a process of its own.
fn worker(issuer: &Url, directory: &Path, rounds: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "a_process_among_many",
        ])
        .env("POSTROOM_WORKER_ISSUER", issuer.as_str())
        .env("POSTROOM_WORKER_STORE", directory)
        .env("POSTROOM_WORKER_ROUNDS", rounds.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What each process does: fifty callers at a time ask for a token, some go away, and what they got is then refused, so that
/// the next ones need another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process that other tests start"]
async fn a_process_among_many() {
    let Some(issuer) = std::env::var_os("POSTROOM_WORKER_ISSUER") else {
        return;
    };
    let issuer = issuer.to_str().unwrap().parse().unwrap();
    let directory = PathBuf::from(std::env::var_os("POSTROOM_WORKER_STORE").unwrap());
    let rounds: usize = std::env::var("POSTROOM_WORKER_ROUNDS")
        .unwrap()
        .parse()
        .unwrap();
    let tokens = tokens(&issuer, &directory);
    for round in 0..rounds {
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let tokens = tokens.clone();
                tokio::spawn(async move { tokens.token().await })
            })
            .collect();
        for (index, caller) in callers.into_iter().enumerate() {
            if index % 7 == round % 7 {
                caller.abort();
            } else {
                caller.await.unwrap().unwrap();
            }
        }
        let token = tokens.token().await.unwrap();
        say("served");
        tokens.reject(&token).await;
    }
}

#[tokio::test]
async fn no_refresh_token_is_used_twice_whatever_many_processes_do_at_once() {
    let Some(server) = Server::start() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    connect(&server.issuer, &FileStore::new(directory.path())).await;

    let workers: Vec<Child> = (0..4)
        .map(|_| worker(&server.issuer, directory.path(), 15))
        .collect();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success(), "a worker got no token");
    }
    assert_eq!((server.count("refused"), server.count("revoked")), (0, 0));
    assert!(server.count("granted") > 15, "there were many expiries");
}

#[tokio::test]
async fn only_a_kill_within_a_refresh_may_cost_a_sign_in() {
    let Some(server) = Server::start() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    connect(&server.issuer, &store).await;

    let mut lost = 0;
    for lines in 1..=24 {
        let mut worker = worker(&server.issuer, directory.path(), usize::MAX);
        let mut output = BufReader::new(worker.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let said: Vec<String> = output
            .by_ref()
            .filter(|line| is_told(line))
            .take(lines)
            .collect();
        worker.kill().unwrap();
        worker.wait().unwrap();
        let rest = output.filter(|line| is_told(line));
        let last = said.into_iter().chain(rest).last().unwrap();
        let within_a_refresh = last.ends_with("refreshing");

        let loaded = AccountRecord::load(&store, &RecordKey::account(ACCOUNT))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            loaded.record.identity,
            Some(Identity::new(Service::Google, "subject-1"))
        );
        assert_eq!(loaded.record.settings["kept"], "by the host");

        // The killed process may hold the lease; whoever comes next waits for it to end, on the clock of the store.
        let key = RecordKey::account(ACCOUNT).lease("refresh");
        postroom::credentials::CredentialStore::remove(&store, &key)
            .await
            .unwrap();
        let tokens = tokens(&server.issuer, directory.path());
        let refused = tokens.token().await;
        let outcome = match refused {
            Ok(token) => {
                tokens.reject(&token).await;
                tokens.token().await.map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::SignInRequired, "{error}");
            assert!(within_a_refresh, "a kill after {last:?} cost a sign-in");
            lost += 1;
            connect(&server.issuer, &store).await;
        }
    }
    eprintln!("{lost} of 24 kills cost a sign-in, each within a refresh");
}

fn is_told(line: &str) -> bool {
    line.ends_with("refreshing") || line.ends_with("served")
}
