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
use std::thread::JoinHandle;

use async_trait::async_trait;
use http::Request;
use postroom::credentials::{
    AccountRecord, AccountState, CredentialStore, FileStore, Identity, RecordKey, Refresh,
    Refreshed, Save, Service, StoredTokens, TokenSource,
};
use postroom::http::{ReqwestTransport, Transport};
use postroom::oauth::{Endpoints, Grant, OAuthFlow};
use postroom::{Content, ErrorKind};
use support::random::Random;
use url::Url;

mod support;

const REDIRECT: &str = "http://127.0.0.1:8123/callback";
const ACCOUNT: &str = "reader";

/// The provider as a process, and what it said so far.
struct Server {
    process: Child,
    issuer: Url,
    events: Arc<Mutex<Vec<String>>>,
    listener: Option<JoinHandle<()>>,
}

impl Server {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        let directory = support::elsewhere::named_by("POSTROOM_OIDC_PROVIDER")?;
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
        let listener = std::thread::spawn({
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
            listener: Some(listener),
        })
    }

    /// Ends it, so that what it said is known to the last line.
    fn stop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
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
fn worker(issuer: &Url, directory: &Path, rounds: usize, seed: u64) -> Child {
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
        .env("POSTROOM_WORKER_SEED", seed.to_string())
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
    let number = |name: &str| -> u64 { std::env::var(name).unwrap().parse().unwrap() };
    let mut random = Random(number("POSTROOM_WORKER_SEED"));
    let tokens = tokens(&issuer, &directory);
    for _ in 0..number("POSTROOM_WORKER_ROUNDS") {
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let tokens = tokens.clone();
                tokio::spawn(async move { tokens.token().await })
            })
            .collect();
        for caller in callers {
            if random.below(7) == 0 {
                for _ in 0..random.below(20) {
                    tokio::task::yield_now().await;
                }
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
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut random = Random::seeded();
    let directory = tempfile::tempdir().unwrap();
    connect(&server.issuer, &FileStore::new(directory.path())).await;

    let workers: Vec<Child> = (0..4)
        .map(|_| worker(&server.issuer, directory.path(), 15, random.next()))
        .collect();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success(), "a worker got no token");
    }
    server.stop();
    assert_eq!((server.count("refused"), server.count("revoked")), (0, 0));
    assert!(server.count("granted") > 15, "there were many expiries");
}

#[tokio::test]
async fn only_a_kill_within_a_refresh_may_cost_a_sign_in() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let mut random = Random::seeded();
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::new(directory.path());
    connect(&server.issuer, &store).await;

    let key = RecordKey::account(ACCOUNT);
    let load = || async { AccountRecord::load(&store, &key).await.unwrap().unwrap() };
    let (mut lost, mut kills) = (0, 0);
    // Until enough of them came at a bad moment: otherwise nothing would have been seen.
    while kills < 24 || lost < 3 {
        kills += 1;
        assert!(kills <= 200, "{lost} kills came between use and save");
        let seed = random.next();
        let mut worker = worker(&server.issuer, directory.path(), usize::MAX, seed);
        let mut output = BufReader::new(worker.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let lines = 1 + random.below(24);
        let said: Vec<String> = output
            .by_ref()
            .filter(|line| is_told(line))
            .take(lines.try_into().unwrap())
            .collect();
        // Not just where it says something, but anywhere in what it does then.
        random.pass_a_moment();
        worker.kill().unwrap();
        worker.wait().unwrap();
        let rest = output.filter(|line| is_told(line));
        let last = said.into_iter().chain(rest).last().unwrap();
        let within_a_refresh = last.ends_with("refreshing");
        assert_kept(&load().await.record);
        assert_eq!(load().await.record.state, AccountState::Active);

        // The killed process may hold the lease; whoever comes next waits for it to end, on the clock of the store.
        store.remove(&key.lease("refresh")).await.unwrap();
        let tokens = tokens(&server.issuer, directory.path());
        let outcome = match tokens.token().await {
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
            let refused = load().await.record;
            assert_kept(&refused);
            assert!(
                matches!(refused.state, AccountState::NeedsSignIn { .. }),
                "{:?}",
                refused.state
            );
            connect(&server.issuer, &store).await;
            assert_eq!(load().await.record.state, AccountState::Active);
        }
    }
    server.stop();
    // The server saw a token used twice as often as a sign-in was lost, and never besides.
    assert_eq!(server.count("revoked"), lost);
    eprintln!("{lost} of {kills} kills cost a sign-in, each within a refresh");
}

/// Who the user is and what the host noted survive whatever happens to the grant.
fn assert_kept(record: &AccountRecord) {
    assert_eq!(
        record.identity,
        Some(Identity::new(Service::Google, "subject-1"))
    );
    assert_eq!(record.settings["kept"], "by the host");
}

fn is_told(line: &str) -> bool {
    line.ends_with("refreshing") || line.ends_with("served")
}
