//! A web server that both services tell when something happened in a mailbox, and a worker that syncs because of it: what a
//! host does instead of asking every minute.
//!
//! ```text
//! cargo run --example push_receiver
//! ```
//!
//! It needs no account and no network: it starts the emulator, which calls this server as the services would, for a mailbox at
//! each. With real services the server needs an address that they reach over HTTPS, Google a topic and a subscription of Cloud
//! Pub/Sub that pushes there (<https://developers.google.com/workspace/gmail/api/guides/push>), and this program its users'
//! accounts in place of ready-made tokens; the rest is as here. Where nothing can be called from outside, the worker alone
//! does: it syncs now and then whatever it is told, because what it is told may get lost.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to its user"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use postroom::clock::{Clock, SystemClock};
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, PushSubscription};
use postroom::http::{Connection, ReqwestTransport, Transport};
use postroom::oauth::Endpoints;
use postroom::push::{GraphPost, Hints, News, Notification, PubSubEndpoint, WatchHealth};
use postroom::{
    Content, Gmail, Known, KnownMessage, Mailbox, Message, MessageId, Outlook, Scope,
    SubscriptionId, SyncChange, SyncCursor, Watch, WatchTarget,
};
use tokio::sync::{Notify, mpsc};

type Anyhow<T> = Result<T, Box<dyn std::error::Error>>;

/// How long a burst may go on before it is synced. A host would wait two seconds.
const SETTLING: Duration = Duration::from_millis(100);

/// How often an account is synced of which nothing is told.
const POLL: Duration = Duration::from_secs(15 * 60);

/// What the server and the worker share. A host of several processes would keep this in its database.
struct Host {
    google: PubSubEndpoint,
    watched: Mutex<BTreeMap<SubscriptionId, Watched>>,
    hints: Mutex<Hints<SubscriptionId>>,
    hinted: Notify,
    clock: SystemClock,
}

/// An account that is watched.
struct Watched {
    address: &'static str,
    mailbox: Mailbox,
    watch: Watch,
    health: WatchHealth,
    /// Whether the service asked for it to be renewed, or ended it.
    renew: bool,
    copy: Arc<Copy>,
}

/// The host's copy of a mailbox: see `examples/mirror.rs` for one in a database.
#[derive(Debug, Default)]
struct Copy(Mutex<(Option<SyncCursor>, BTreeMap<MessageId, KnownMessage>)>);

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
        let following = stored
            .1
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| *id > after));
        Ok(following
            .take(limit)
            .map(|(_, known)| known.clone())
            .collect())
    }
}

/// Google Cloud Pub/Sub pushes here.
async fn google(State(host): State<Arc<Host>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    match host.google.receive(&headers, &body).await {
        Ok(notification) => {
            host.note(notification);
            StatusCode::NO_CONTENT
        }
        Err(rejected) => {
            eprintln!("something was posted: {rejected}");
            StatusCode::from_u16(rejected.status()).unwrap_or(StatusCode::BAD_REQUEST)
        }
    }
}

/// Microsoft Graph posts here: what happened in mailboxes, and what becomes of subscriptions.
async fn microsoft(
    State(host): State<Arc<Host>>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    match GraphPost::read(query.as_deref(), &body) {
        // While the subscription is being made: it is not known yet whose.
        Ok(GraphPost::Validation(answer)) => answer.into_response(),
        Ok(GraphPost::Notifications(notifications)) => {
            for told in notifications {
                let verified = lock(&host.watched)
                    .get(told.subscription())
                    .map(|watched| told.verify(&watched.watch));
                match verified {
                    Some(Ok(notification)) => host.note(notification),
                    Some(Err(rejected)) => eprintln!("something was posted: {rejected}"),
                    None => {}
                }
            }
            StatusCode::ACCEPTED.into_response()
        }
        Ok(_) => StatusCode::ACCEPTED.into_response(),
        Err(rejected) => StatusCode::from_u16(rejected.status())
            .unwrap_or(StatusCode::BAD_REQUEST)
            .into_response(),
    }
}

impl Host {
    /// Notes a hint and nothing else, as the service waits for the answer.
    fn note(&self, notification: Notification) {
        let mut watched = lock(&self.watched);
        // An account that is gone has nothing to sync.
        let Some(watched) = watched.get_mut(&notification.subscription) else {
            return;
        };
        let now = self.clock.now();
        watched.health.notified(now);
        watched.renew |= notification.news.asks_for_renewal();
        if notification.news == News::Removed {
            watched.health.removed(now);
        }
        self.hint(notification.subscription);
    }

    fn hint(&self, account: SubscriptionId) {
        lock(&self.hints).hint(account, self.clock.monotonic());
        self.hinted.notify_one();
    }

    /// Syncs what was hinted at, one account after the other, and tells of new messages.
    async fn work(&self, new: mpsc::UnboundedSender<(&'static str, Message)>) {
        loop {
            let now = self.clock.monotonic();
            let (account, next) = {
                let mut hints = lock(&self.hints);
                (hints.begin(now), hints.next())
            };
            let Some(account) = account else {
                let wait = next.map_or(POLL, |next| next.saturating_sub(now));
                let hinted = tokio::time::timeout(wait, self.hinted.notified()).await;
                if hinted.is_err() && next.is_none() {
                    let all: Vec<_> = lock(&self.watched).keys().cloned().collect();
                    all.into_iter().for_each(|account| self.hint(account));
                }
                continue;
            };
            if let Err(error) = self.round(&account, &new).await {
                // It is tried again when it is told or polled next.
                eprintln!("a sync failed: {error}");
            }
            lock(&self.hints).end(&account);
        }
    }

    async fn round(
        &self,
        account: &SubscriptionId,
        new: &mpsc::UnboundedSender<(&'static str, Message)>,
    ) -> postroom::Result<()> {
        let found = lock(&self.watched).get(account).map(|watched| {
            let due = watched.renew || watched.watch.is_due(self.clock.now());
            let copy = Arc::clone(&watched.copy);
            let renewal = due.then(|| watched.watch.clone());
            (watched.mailbox.clone(), watched.address, copy, renewal)
        });
        let Some((mailbox, address, copy, renewal)) = found else {
            return Ok(());
        };
        if let Some(former) = renewal {
            let renewed = mailbox.renew(&former).await?;
            let mut all = lock(&self.watched);
            if let Some(mut watched) = all.remove(account) {
                watched.health.renewed(&renewed.watch);
                watched.renew = false;
                watched.watch = renewed.watch;
                all.insert(watched.watch.id.clone(), watched);
            }
        }
        let cursor = lock(&copy.0).0.clone();
        let mut pages = mailbox.sync(cursor, Scope::default(), copy.clone());
        while let Some(page) = pages.next().await {
            let page = page?;
            let mut stored = lock(&copy.0);
            // Changes and cursor together, and only where nobody else was faster.
            if stored.0 != page.after {
                return Ok(());
            }
            for change in page.changes {
                match change {
                    SyncChange::Message(message) => {
                        let folders = message.folders.clone().unwrap_or_default();
                        let known = KnownMessage::new(message.id.clone(), folders, Vec::new());
                        if stored.1.insert(message.id.clone(), known).is_none() {
                            let _ = new.send((address, *message));
                        }
                    }
                    SyncChange::Deleted(id) | SyncChange::OutOfScope(id) => {
                        stored.1.remove(&id);
                    }
                    _ => {}
                }
            }
            stored.0 = Some(page.cursor);
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Anyhow<()> {
    let emulator = Emulator::builder().empty().start().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = url::Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let transport = Arc::new(ReqwestTransport::new()?);
    let clock = SystemClock::new();

    // With Google itself it is PubSubEndpoint::new(audience, service_account).
    let audience = base.join("push/google")?;
    let google_keys = Endpoints::google_at(&emulator.google().base_url)?;
    let host = Arc::new(Host {
        google: PubSubEndpoint::with(
            audience.clone(),
            emulator.push_service_account(),
            google_keys,
            transport.clone(),
            Arc::new(clock),
        )?,
        watched: Mutex::default(),
        hints: Mutex::new(Hints::new(SETTLING)),
        hinted: Notify::new(),
        clock,
    });
    let router = Router::new()
        .route("/push/google", post(google))
        .route("/push/microsoft", any(microsoft))
        .with_state(Arc::clone(&host));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (sender, mut new) = mpsc::unbounded_channel();

    println!("Watching two mailboxes …");
    let topic = emulator.create_topic("mail");
    emulator.push_topic(&topic, PushSubscription::new(audience.clone()));
    let graph = base.join("push/microsoft")?;
    for (address, target) in [
        ("reader@gmail.example", WatchTarget::topic(topic)),
        (
            "reader@outlook.example",
            WatchTarget::webhook(graph.clone()).with_lifecycle_url(graph),
        ),
    ] {
        let token = Arc::new(StaticToken::new(emulator.access_token(address)));
        let connection = Connection::new(transport.clone(), token);
        let mailbox = if address.ends_with("gmail.example") {
            let gmail = Gmail::new(connection)?;
            Mailbox::new(gmail.with_api_endpoint(emulator.google().base_url.clone())?)
        } else {
            let outlook = Outlook::new(connection)?;
            Mailbox::new(outlook.with_api_endpoint(emulator.microsoft().base_url.clone())?)
        };
        let watch = mailbox.watch(&target).await?;
        let (id, now) = (watch.id.clone(), clock.now());
        let watched = Watched {
            address,
            mailbox,
            health: WatchHealth::new(&watch, now),
            watch,
            renew: false,
            copy: Arc::default(),
        };
        lock(&host.watched).insert(id.clone(), watched);
        // What is there already nobody tells.
        host.round(&id, &sender).await?;
    }
    let worker = Arc::clone(&host);
    tokio::spawn(async move { worker.work(sender).await });

    println!("Mail arrives …");
    for address in ["reader@gmail.example", "reader@outlook.example"] {
        for number in 1..=3 {
            let raw = format!("Subject: Hello {number}\r\n\r\nText.\r\n");
            emulator.deliver(address, raw.as_bytes());
        }
    }
    for _ in 0..6 {
        let told = tokio::time::timeout(Duration::from_secs(60), new.recv()).await?;
        let (address, message) = told.ok_or("the worker has ended")?;
        let subject = message.subject.unwrap_or_default();
        println!("  {address}: new: {subject}");
    }

    println!("Somebody else posts something …");
    let forged = forge(&transport, &audience).await?;
    println!("  refused with {forged}");
    Ok(())
}

/// The status that somebody without a token gets.
async fn forge(transport: &ReqwestTransport, url: &url::Url) -> Anyhow<u16> {
    let body = r#"{"emailAddress": "reader@gmail.example", "historyId": 1}"#;
    let request =
        http::Request::post(url.as_str()).body(Content::from(body.as_bytes().to_vec()))?;
    Ok(transport.send(request).await?.status().as_u16())
}
