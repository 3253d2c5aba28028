//! A web server that both services tell when something happened in a mailbox, and the upkeep that syncs because of it: what a
//! host does instead of asking every minute.
//!
//! ```text
//! cargo run --example push_receiver
//! ```
//!
//! It needs no account and no network: it starts the emulator, which calls this server as the services would, for a mailbox at
//! each. With the services themselves the server needs an address that they reach over HTTPS, and Google a topic and a
//! subscription of Cloud Pub/Sub that pushes there (`docs/set-up-google.md`, `docs/set-up-microsoft.md`); the rest is as here.
//! What the server does with what is posted is in `push_receiver/receiving.rs`; to try it with a mailbox of your own, there is
//! `cargo run --example mail -- sync copy.sqlite --follow --listen …`.
//!
//! What is told gets lost now and then. The upkeep syncs without being told, too, so that it is only later then; and where
//! nothing can be called from outside, it is all there is to run.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

#[path = "push_receiver/receiving.rs"]
mod receiving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use clap::Parser;
use futures_util::StreamExt;
use postroom::clock::SystemClock;
use postroom::credentials::{MemoryStore, Service};
use postroom::emulator::{self, Emulator, PushSubscription};
use postroom::http::{ReqwestTransport, Transport};
use postroom::oauth::{Endpoints, SignInOptions};
use postroom::push::{Notification, PubSubEndpoint, Rejected, Unverified};
use postroom::{
    Account, AccountId, Accounts, Change, Content, Detail, Keyword, Known, KnownMessage, Mailbox,
    MessageId, PageRequest, ProviderConfiguration, Query, Scope, Secret, SyncChange, SyncCursor,
    SyncReason, Synced, UpkeepHints, UpkeepHost, UpkeepPlan, WatchTarget,
};
use tokio::sync::mpsc;

use crate::receiving::{Hints, from_google, from_microsoft};

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

/// What is told leads to a round of the upkeep, which looks up whose watch it is about.
impl Hints for UpkeepHints {
    fn notified(&self, notification: &Notification) {
        self.notified(notification);
    }

    fn told(&self, told: &Unverified) -> Result<(), Rejected> {
        self.told(told)
    }
}

/// The host's copies of its users' mailboxes. They are gone when the program ends: `examples/mirror.rs` has some that last.
struct Copies {
    topic: String,
    webhook: WatchTarget,
    copies: Mutex<BTreeMap<AccountId, Arc<Copy>>>,
    events: mpsc::UnboundedSender<Event>,
}

/// What happens to the copies.
enum Event {
    New(AccountId, String),
    /// Something else became of a message.
    Other(AccountId, MessageId, &'static str),
    Synced(AccountId),
}

#[derive(Debug, Default)]
struct Copy(Mutex<Stored>);

#[derive(Debug, Default)]
struct Stored {
    cursor: Option<SyncCursor>,
    messages: BTreeMap<MessageId, KnownMessage>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Known for Copy {
    async fn page(
        &self,
        after: Option<&MessageId>,
        limit: usize,
    ) -> postroom::Result<Vec<KnownMessage>> {
        let stored = lock(&self.0);
        let messages = stored.messages.iter();
        let following = messages.filter(|(id, _)| after.is_none_or(|after| *id > after));
        let known = following.map(|(_, known)| known.clone());
        Ok(known.take(limit).collect())
    }
}

#[async_trait]
impl UpkeepHost for Copies {
    async fn sync(
        &self,
        account: &Account,
        mailbox: Mailbox,
        reason: SyncReason,
    ) -> postroom::Result<Synced> {
        let copy = Arc::clone(lock(&self.copies).entry(account.id.clone()).or_default());
        let (cursor, known) = (lock(&copy.0).cursor.clone(), Arc::clone(&copy));
        let mut pages = match reason {
            SyncReason::Audit => mailbox.sync_audited(cursor, Scope::default(), known),
            _ => mailbox.sync(cursor, Scope::default(), known),
        };
        let mut synced = Synced::Unchanged;
        while let Some(page) = pages.next().await {
            let page = page?;
            let mut stored = lock(&copy.0);
            // Changes and cursor together, and only where nobody else was faster.
            if stored.cursor != page.after {
                break;
            }
            stored.cursor = Some(page.cursor);
            for change in page.changes {
                synced = Synced::Changed;
                let is_move = change.is_move();
                let other = |id: MessageId, what| {
                    let _ = self.events.send(Event::Other(account.id.clone(), id, what));
                };
                match change {
                    SyncChange::Message(message) | SyncChange::Moved { message, .. } => {
                        let folders = message.folders.clone().unwrap_or_default();
                        let keywords = message.keywords.clone().unwrap_or_default();
                        let keywords = keywords.into_iter().collect();
                        let known = KnownMessage::new(message.id.clone(), folders, keywords);
                        if stored.messages.insert(message.id.clone(), known).is_none() {
                            let subject = message.subject.unwrap_or_default();
                            let _ = self.events.send(Event::New(account.id.clone(), subject));
                        } else {
                            other(message.id, if is_move { "moved" } else { "changed" });
                        }
                    }
                    SyncChange::Updated(update) => {
                        if let Some(known) = stored.messages.get_mut(&update.id) {
                            let mut keywords = known.keywords.drain(..).collect();
                            update.apply(&mut known.folders, &mut keywords);
                            known.keywords.extend(keywords);
                            other(update.id, if is_move { "moved" } else { "marked" });
                        }
                    }
                    SyncChange::Unreadable(id, error) => {
                        eprintln!("{}: a message cannot be read: {error}", account.id);
                        let known = KnownMessage::new(id.clone(), Vec::new(), Vec::new());
                        stored.messages.entry(id).or_insert(known);
                    }
                    SyncChange::Deleted(id) | SyncChange::OutOfScope(id) => {
                        let had = stored.messages.remove(&id);
                        if had.is_some() {
                            other(id, "gone");
                        }
                    }
                    // A host that shows folders keeps them, too.
                    _ => {}
                }
            }
        }
        let _ = self.events.send(Event::Synced(account.id.clone()));
        Ok(synced)
    }

    fn watch_target(&self, account: &Account) -> Option<WatchTarget> {
        match account.service.as_ref()? {
            Service::Google => Some(WatchTarget::topic(&self.topic)),
            Service::Microsoft => Some(self.webhook.clone()),
            _ => None,
        }
    }
}

/// Watch two mailboxes on the emulator, be told what happens there, and sync it.
///
/// It starts the emulator itself, shows what it does, and ends. For a mailbox of your own, on the real services or on an emulator
/// that runs by itself, there is `cargo run --example mail -- sync copy.sqlite --follow --listen 127.0.0.1:8028`; what a public
/// address and a topic take is in docs/set-up-google.md and docs/set-up-microsoft.md.
#[derive(Debug, Parser)]
#[command(name = "push_receiver")]
struct Options {}

#[tokio::main]
async fn main() -> Anyhow<()> {
    let Options {} = Options::parse();
    let emulator = Emulator::builder().empty().start().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = url::Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let (google_url, graph_url) = (base.join("push/google")?, base.join("push/microsoft")?);
    let accounts = connected(&emulator).await?;

    // At Google a click in the console, once for all users.
    let topic = emulator.create_topic("mail");
    emulator.push_topic(&topic, PushSubscription::new(google_url.clone()));
    let (events, mut happened) = mpsc::unbounded_channel();
    let copies = Copies {
        topic,
        webhook: WatchTarget::webhook(graph_url.clone()).with_lifecycle_url(graph_url),
        copies: Mutex::default(),
        events,
    };
    let plan = UpkeepPlan::default().settling(Duration::from_millis(100));
    let upkeep = accounts.upkeep(Arc::new(copies)).with_plan(plan);

    let transport = Arc::new(ReqwestTransport::new()?);
    // With Google itself it is PubSubEndpoint::new(address, service_account).
    let endpoint = PubSubEndpoint::with(
        google_url.as_str(),
        emulator.push_service_account(),
        Endpoints::google_at(&emulator.google().base_url)?,
        transport.clone(),
        Arc::new(SystemClock::new()),
    )?;
    let router = Router::new()
        .route("/push/google", from_google(endpoint, upkeep.hints()))
        .route("/push/microsoft", from_microsoft(upkeep.hints()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    tokio::spawn(async move { upkeep.run().await });

    println!("Watching and copying two mailboxes …");
    let mut waiting = BTreeSet::from(ADDRESSES.map(AccountId::new));
    while !waiting.is_empty() {
        if let Event::Synced(account) = next(&mut happened).await? {
            waiting.remove(&account);
        }
    }

    println!("Mail arrives …");
    for number in 1..=3 {
        for address in ADDRESSES {
            let raw = format!("Subject: Hello {number}\r\n\r\nText.\r\n");
            emulator.deliver(address, raw.as_bytes());
        }
    }
    let mut waiting = 6;
    while waiting > 0 {
        if let Event::New(account, subject) = next(&mut happened).await? {
            println!("  {account}: new: {subject}");
            waiting -= 1;
        }
    }

    println!("One of them is read somewhere else …");
    for address in ADDRESSES {
        let account = AccountId::new(address);
        let mailbox = accounts.open(&account).await?;
        let one = PageRequest::first().with_size(1);
        let newest = mailbox.page(&Query::All, Detail::Ids, one).await?;
        let newest = newest.items.into_iter().flatten();
        let ids: Vec<MessageId> = newest.map(|message| message.id).collect();
        mailbox.apply(&ids, &Change::Set(Keyword::Seen)).await?;
        loop {
            if let Event::Other(account, id, what) = next(&mut happened).await?
                && ids.contains(&id)
            {
                println!("  {account}: {what}");
                break;
            }
        }
    }

    println!("Somebody else posts something, without a token of Google's …");
    let status = forge(&transport, &google_url).await?;
    println!("  refused with {status}");
    Ok(())
}

const ADDRESSES: [&str; 2] = ["reader@gmail.example", "reader@outlook.example"];

async fn next(happened: &mut mpsc::UnboundedReceiver<Event>) -> Anyhow<Event> {
    let event = tokio::time::timeout(Duration::from_secs(60), happened.recv()).await?;
    Ok(event.ok_or("the upkeep has ended")?)
}

/// The accounts of two users who signed in.
async fn connected(emulator: &Emulator) -> Anyhow<Accounts> {
    let at = |configuration: ProviderConfiguration, service: &emulator::Service| {
        configuration
            .with_client_secret(Secret::new(service.client_secret.as_str()))
            .with_redirect_uri("http://127.0.0.1:8123/signed-in")
            .with_auth_endpoint(service.base_url.clone())
            .with_api_endpoint(service.base_url.clone())
    };
    let (google, microsoft) = (emulator.google(), emulator.microsoft());
    let accounts = Accounts::builder(Arc::new(MemoryStore::new()))
        .configuration(
            "google",
            at(ProviderConfiguration::google(&google.client_id), google),
        )
        .configuration(
            "microsoft",
            at(
                ProviderConfiguration::microsoft(&microsoft.client_id),
                microsoft,
            ),
        )
        .build()?;
    for (configuration, address) in ["google", "microsoft"].into_iter().zip(ADDRESSES) {
        let account = AccountId::new(address);
        let connecting = accounts
            .connect(&account, configuration, SignInOptions::new())
            .await?;
        let callback = emulator.sign_in(&connecting.url, address).await?;
        accounts.complete(connecting.pending, &callback).await?;
    }
    Ok(accounts)
}

/// The status that somebody without a token gets.
async fn forge(transport: &ReqwestTransport, url: &url::Url) -> Anyhow<u16> {
    let body = r#"{"emailAddress": "reader@gmail.example", "historyId": 1}"#;
    let request =
        http::Request::post(url.as_str()).body(Content::from(body.as_bytes().to_vec()))?;
    Ok(transport.send(request).await?.status().as_u16())
}
