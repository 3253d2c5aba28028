//! Nothing secret is printed in a whole life with a mailbox: signing in, refreshing, reading, searching, sending, failing
//! in every way. With the logs of every crate at their most verbose, in the clear and over TLS, no token, code, secret,
//! ticket or text of a mail is in any log line, debug text, error or panic message.
//!
//! What a sign-in alone can leak is `redaction_sign_in.rs`'s.

#![allow(clippy::unwrap_used, reason = "a failure in a test is a panic")]

mod support;

use std::fmt::Debug;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use http::Method;
use postroom::credentials::{AccountRecord, CredentialStore, MemoryStore, RecordKey};
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::{Regime, RetryPolicy, Transport, TransportError};
use postroom::oauth::SignInOptions;
use postroom::{
    AccountId, Accounts, ByteStream, Content, Detail, Error, ErrorKind, Mailbox, MemoryJournal,
    Outgoing, OutgoingAttachment, PageRequest, ProviderConfiguration, Query, Secret, SendJournal,
    SendKey, SendScope,
};
use serde_json::Value;
use support::{GMAIL, OUTLOOK, emulator, transport};

const SUBJECT: &str = "Plantedsubject";
const TEXT: &str = "Plantedtext";
const FILE_NAME: &str = "plantedname.txt";
const FILE: &str = "Plantedbytes";

/// Everything that was logged, by whoever, and every panic message.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was printed otherwise, and what must be in nothing of it all.
#[derive(Clone, Default)]
struct Watch {
    printed: Arc<Mutex<Vec<String>>>,
    secrets: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    fn debug(&self, value: &dyn Debug) {
        let mut printed = self.printed.lock().unwrap();
        printed.push(format!("{value:?}"));
        printed.push(format!("{value:#?}"));
    }

    /// The error, all that is beneath it, and the panic of a host that unwraps it.
    fn error(&self, error: &Error) {
        self.debug(error);
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        while let Some(level) = cause {
            self.printed.lock().unwrap().push(level.to_string());
            self.debug(&level);
            cause = level.source();
        }
        let outcome: postroom::Result<()> = Err(error.clone());
        let unwrapped = AssertUnwindSafe(|| unwrap(outcome));
        assert!(catch_unwind(unwrapped).is_err());
    }

    fn secret(&self, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 8, "too short to be looked for");
        let mut secrets = self.secrets.lock().unwrap();
        if !secrets.contains(&secret) {
            secrets.push(secret);
        }
    }

    fn pairs(&self, encoded: &[u8], names: &[&str]) {
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if names.contains(&name.as_ref()) {
                self.secret(value);
            }
        }
    }

    /// Every text under one of these names.
    fn fields(&self, value: &Value, names: &[&str]) {
        let fields = value.as_object().into_iter().flatten();
        for (name, value) in fields {
            match value.as_str() {
                Some(text) if names.contains(&name.as_str()) => self.secret(text),
                _ => self.fields(value, names),
            }
        }
    }
}

fn unwrap(outcome: postroom::Result<()>) {
    outcome.unwrap();
}

/// Notes what travels to and from the places where secrets are made.
struct Tap {
    inner: Arc<dyn Transport>,
    watch: Watch,
}

impl Debug for Tap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(formatter)
    }
}

#[async_trait]
impl Transport for Tap {
    async fn send(
        &self,
        request: http::Request<Content>,
    ) -> Result<http::Response<ByteStream>, TransportError> {
        let path = request.uri().path().to_owned();
        if !path.ends_with("/token") && !path.ends_with("/createUploadSession") {
            return self.inner.send(request).await;
        }
        let form = request.body().to_bytes(1024 * 1024).await.unwrap();
        let names = ["code", "code_verifier", "client_secret", "refresh_token"];
        self.watch.pairs(&form, &names);
        let (head, body) = self.inner.send(request).await?.into_parts();
        let body: Vec<_> = body.try_collect().await.unwrap_or_default();
        let answer: Value = serde_json::from_slice(&body.concat()).unwrap_or_default();
        let names = ["access_token", "refresh_token", "id_token", "uploadUrl"];
        self.watch.fields(&answer, &names);
        let body = futures_util::stream::iter(body.into_iter().map(Ok)).boxed();
        Ok(http::Response::from_parts(head, body))
    }
}

fn accounts(emulator: &Emulator, store: Arc<MemoryStore>, watch: &Watch) -> Accounts {
    let (google, microsoft) = (emulator.google(), emulator.microsoft());
    for service in [google, microsoft] {
        watch.secret(service.client_secret.as_str());
    }
    let google = ProviderConfiguration::google(&google.client_id)
        .with_client_secret(Secret::new(google.client_secret.as_str()))
        .with_auth_endpoint(google.base_url.clone())
        .with_api_endpoint(google.base_url.clone())
        .with_regime(Regime::Off);
    let microsoft = ProviderConfiguration::microsoft(&microsoft.client_id)
        .with_client_secret(Secret::new(microsoft.client_secret.as_str()))
        .with_auth_endpoint(microsoft.base_url.clone())
        .with_api_endpoint(microsoft.base_url.clone())
        .with_regime(Regime::Off);
    watch.debug(&google);
    let builder = Accounts::builder(store)
        .transport(Arc::new(Tap {
            inner: transport(emulator),
            watch: watch.clone(),
        }))
        .retry(RetryPolicy::never())
        .configuration("gmail", google)
        .configuration("outlook", microsoft);
    watch.debug(&builder);
    builder.build().unwrap()
}

fn outgoing(to: &str, size: usize) -> Outgoing {
    let file = FILE.repeat(size.div_ceil(FILE.len()));
    Outgoing::new()
        .to(to.parse().unwrap())
        .subject(SUBJECT)
        .text(TEXT)
        .html(format!("<p>{TEXT}</p>"))
        .attach(OutgoingAttachment::new(
            FILE_NAME,
            "text/plain",
            file.into_bytes(),
        ))
}

async fn kept(store: &MemoryStore, account: &AccountId, watch: &Watch) {
    let key = RecordKey::account(account.clone());
    let stored = store.load(&key).await.unwrap().unwrap();
    watch.debug(&stored);
    let loaded = AccountRecord::load(store, &key).await.unwrap().unwrap();
    watch.debug(&loaded);
    let credential = &loaded.record.credential;
    watch.debug(credential);
    watch.secret(credential.access_token.as_ref().unwrap().expose());
    watch.secret(credential.refresh_token.as_ref().unwrap().expose());
}

async fn life(emulator: &Emulator, configuration: &str, address: &str, watch: &Watch) {
    let store = Arc::new(MemoryStore::new());
    let accounts = accounts(emulator, Arc::clone(&store), watch);
    let account = AccountId::new("user 7");

    // Signing in, and doing it wrong.
    let options = || SignInOptions::new().redirect_uri("http://127.0.0.1:8123/signed-in");
    let declined = accounts
        .connect(&account, configuration, options())
        .await
        .unwrap();
    let callback = emulator.decline(&declined.url).await.unwrap();
    let refused = accounts.complete(declined.pending, &callback).await;
    watch.error(&refused.unwrap_err());
    let connecting = accounts
        .connect(&account, configuration, options())
        .await
        .unwrap();
    watch.debug(&connecting);
    let session = serde_json::to_value(&connecting.pending).unwrap();
    watch.fields(&session, &["state", "nonce", "verifier"]);
    let callback = emulator.sign_in(&connecting.url, address).await.unwrap();
    watch.pairs(callback.query().unwrap().as_bytes(), &["code", "state"]);
    let connected = accounts.complete(connecting.pending, &callback).await;
    watch.debug(&connected.unwrap());
    let replayed = serde_json::from_value(session).unwrap();
    let replayed = accounts.complete(replayed, &callback).await;
    watch.error(&replayed.unwrap_err());
    watch.debug(&accounts);
    watch.debug(&accounts.list().await.unwrap());
    kept(&store, &account, watch).await;

    // Reading, with a token that ends and one that is refused.
    let raw = format!(
        "From: billing@shop.example\r\nSubject: {SUBJECT}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\n{TEXT}\r\n\
         --b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename={FILE_NAME}\r\n\r\n{FILE}\r\n--b--\r\n"
    );
    emulator.deliver(address, raw.as_bytes());
    emulator.expire_access_tokens(address);
    let journal = Arc::new(MemoryJournal::new());
    let mailbox = accounts.open(&account).await.unwrap();
    let mailbox = mailbox.with_journal(journal.clone());
    watch.debug(&mailbox);
    watch.debug(&mailbox.provider().unwrap());
    watch.debug(&mailbox.profile().await.unwrap());
    watch.debug(&mailbox.folders().await.unwrap());
    kept(&store, &account, watch).await;
    let page = PageRequest::first().with_size(1);
    let page = mailbox.page(&Query::inbox(), Detail::Full, page).await;
    watch.debug(&page.unwrap());
    let found = mailbox.messages(Query::Word(TEXT.to_owned()));
    watch.debug(&found);
    let found: Vec<_> = found.try_collect().await.unwrap();
    assert_eq!(found.len(), 1, "{configuration}");
    let id = found.first().unwrap().id.clone();
    let message = mailbox.message(&id).await.unwrap();
    assert_eq!(message.subject.as_deref(), Some(SUBJECT));
    watch.debug(&message);
    watch.debug(&message.body);
    watch.debug(&message.headers);
    let attachment = message.attachments.first().unwrap();
    let stream = mailbox.attachment(&id, &attachment.id).await.unwrap();
    stream.try_collect::<Vec<_>>().await.unwrap();
    let stream = mailbox.raw(&id).await.unwrap();
    stream.try_collect::<Vec<_>>().await.unwrap();
    mailbox.mark_read(std::slice::from_ref(&id)).await.unwrap();

    // Sending: small and large, in two steps, lost on the way.
    let to = address.replace("reader", "team");
    for size in [10, 4_500_000] {
        let outgoing = outgoing(&to, size);
        watch.debug(&outgoing);
        let key = SendKey::new(format!("row {size}"));
        let ticket = mailbox.prepare(&outgoing, &key).await.unwrap();
        watch.debug(&ticket);
        watch.secret(ticket.expose());
        watch.debug(&mailbox.dispatch(&ticket).await.unwrap());
        watch.debug(&mailbox.confirm(&ticket).await.unwrap());
    }
    let key = SendKey::new("row lost");
    emulator.fault(Fault::new(FaultKind::DropBefore).on(Method::POST, "/send"));
    let lost = mailbox.send_once(&key, &outgoing(&to, 10)).await;
    watch.error(&lost.unwrap_err());
    let key = SendScope::new().key(&key);
    watch.debug(&journal.get(&key).await.unwrap());
    watch.debug(&journal);

    fail(emulator, &mailbox, configuration, watch).await;

    // The end.
    emulator.expire_access_tokens(address);
    emulator.fault(Fault::new(FaultKind::Garbage(100)).on(Method::POST, "/token"));
    watch.error(&mailbox.profile().await.unwrap_err());
    emulator.revoke(address);
    let gone = mailbox.profile().await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::SignInRequired, "{configuration}");
    watch.error(&gone);
    watch.debug(&accounts.disconnect(&account).await.unwrap());
    watch.error(&accounts.open(&account).await.unwrap_err());
}

/// Every kind of failure of a call that reads mail.
async fn fail(emulator: &Emulator, mailbox: &Mailbox, configuration: &str, watch: &Watch) {
    let quoting = format!("it says {SUBJECT} and {TEXT}");
    let faults = [
        FaultKind::unauthorized(),
        FaultKind::forbidden(),
        FaultKind::not_found(),
        FaultKind::rate_limited(Some(Duration::from_secs(0))),
        FaultKind::internal_error(),
        FaultKind::unavailable(None),
        FaultKind::DropBefore,
        FaultKind::DropAfter,
        FaultKind::Truncate,
        FaultKind::Garbage(1_000),
        FaultKind::NotJson,
        FaultKind::Nulls,
        FaultKind::google_error(400, "invalidArgument", &quoting),
        FaultKind::graph_error(400, "ErrorInvalidParameter", &quoting),
    ];
    let mut failed = 0;
    for kind in faults {
        emulator.fault(
            Fault::new(kind.clone())
                .on(Method::GET, "/messages")
                .times(2),
        );
        let mut messages = mailbox.messages_with(
            Query::Subject(SUBJECT.to_owned()),
            Detail::Full,
            PageRequest::first(),
        );
        while let Some(message) = messages.next().await {
            if let Err(error) = message {
                failed += 1;
                watch.error(&error);
            }
        }
        // Whatever of the fault is left over.
        while mailbox
            .messages(Query::All)
            .next()
            .await
            .is_some_and(|one| one.is_err())
        {}
    }
    assert!(
        failed >= 10,
        "{configuration}: {failed} of the faults were seen"
    );
}

#[tokio::test]
async fn nothing_secret_is_printed_in_a_whole_life_with_a_mailbox() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let panics = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        panics
            .0
            .lock()
            .unwrap()
            .extend_from_slice(panic.to_string().as_bytes());
    }));
    let watch = Watch::default();
    for text in [SUBJECT, TEXT, FILE_NAME, FILE] {
        watch.secret(text);
    }
    let outcome = tokio::spawn({
        let watch = watch.clone();
        async move {
            for tls in [false, true] {
                let emulator = emulator().tls(tls).quota(false).start().await.unwrap();
                for (configuration, address) in [("gmail", GMAIL), ("outlook", OUTLOOK)] {
                    life(&emulator, configuration, address, &watch).await;
                }
            }
        }
    })
    .await;
    drop(std::panic::take_hook());
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(
        outcome.is_ok(),
        "{}",
        log.get(log.len().saturating_sub(2_000)..)
            .unwrap_or_default()
    );

    for verbose in [
        "hyper_util",
        "h2::",
        "rustls",
        "postroom",
        "called `Result::unwrap()`",
    ] {
        assert!(
            log.contains(verbose),
            "{verbose} is among what was captured"
        );
    }
    let secrets = watch.secrets.lock().unwrap();
    assert!(
        secrets.len() > 40,
        "only {} secrets are known",
        secrets.len()
    );
    let printed = watch.printed.lock().unwrap();
    let mut leaks = Vec::new();
    for text in printed.iter().chain([&log]) {
        for secret in secrets.iter() {
            if let Some(at) = text.find(secret.as_str()) {
                let context = text.get(at.saturating_sub(300)..at).unwrap_or_default();
                leaks.push(format!("{secret} after: {context}"));
            }
        }
    }
    assert!(
        leaks.is_empty(),
        "secrets were printed:\n{}",
        leaks.join("\n")
    );
}

#[test]
fn an_address_that_is_posted_to_is_printed_without_what_only_the_service_should_know() {
    let address = "https://planteduser:plantedword@desk.example/told?planted=query#plantedfragment";
    let place = postroom::WatchTarget::webhook(address.parse().unwrap());
    let target = place.with_lifecycle_url(address.parse().unwrap());
    for printed in [format!("{target:?}"), format!("{target:#?}")] {
        assert!(!printed.contains("planted"), "{printed}");
        assert_eq!(printed.matches("https://desk.example/told").count(), 2);
    }
}
