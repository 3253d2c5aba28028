//! Telling what happens: what both services post to whoever asked for it, over real connections, and what becomes of it on
//! the way. What is told, and to whom, is `google::watch`'s and `microsoft::subscriptions`'s. Nothing is ever posted to
//! another machine.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use url::{Host, Url};

use super::google::watch::Topic;
use super::{Emulator, State};

/// How long a receiver may take. Both services wait for about ten seconds.
/// <https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#receive-notifications>,
/// <https://docs.cloud.google.com/pubsub/docs/push#configure_for_push>
const PATIENCE: Duration = Duration::from_secs(10);

/// How often something is posted until somebody takes it.
const ATTEMPTS: u32 = 4;

/// More than any receiver has to say.
const MAXIMUM_ANSWER: usize = 64 * 1024;

/// What becomes of notifications on their way: see [`Emulator::notification_faults`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct NotificationFaults {
    /// How many of them are lost, from 0 to 1.
    pub lost: f64,
    /// How many come twice, from 0 to 1.
    pub repeated: f64,
    /// By how much they are late at most, on the emulator's clock. Each is late by another time, so that they overtake
    /// one another.
    pub delay: Duration,
}

impl NotificationFaults {
    /// Loses this share of them.
    #[must_use]
    pub fn losing(mut self, share: f64) -> Self {
        self.lost = share;
        self
    }

    /// Posts this share of them twice.
    #[must_use]
    pub fn repeating(mut self, share: f64) -> Self {
        self.repeated = share;
        self
    }

    /// Holds each of them back for some time, up to this.
    #[must_use]
    pub fn delaying(mut self, most: Duration) -> Self {
        self.delay = most;
        self
    }
}

/// One attempt to post a notification, as it went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotificationLogEntry {
    /// Where to.
    pub url: Url,
    /// The status of the answer; `None` if there was none.
    pub status: Option<u16>,
    /// Which attempt it was, from 1.
    pub attempt: u32,
}

/// Something to be posted.
#[derive(Clone, Debug)]
pub(crate) struct Posting {
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// What both services have to tell, and how.
#[derive(Debug)]
pub(crate) struct Push {
    inner: Mutex<Inner>,
    /// Counts what may have led to news.
    stirred: watch::Sender<u64>,
    /// Up to which of these everything was told or lost.
    told: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    topics: BTreeMap<String, Topic>,
    waiting: VecDeque<Posting>,
    faults: NotificationFaults,
    held: bool,
    log: Vec<NotificationLogEntry>,
}

/// Posts until it is dropped.
#[derive(Debug)]
pub(crate) struct Courier(AbortHandle);

impl Drop for Courier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Push {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            stirred: watch::Sender::new(0),
            told: watch::Sender::new(0),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the topics of Pub/Sub.
    pub(crate) fn with_topics<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Topic>) -> T) -> T {
        work(&mut self.inner().topics)
    }

    /// This is to be posted.
    pub(crate) fn post(&self, posting: Posting) {
        self.inner().waiting.push_back(posting);
    }

    /// Something happened: there may be news.
    pub(crate) fn stir(&self) {
        self.stirred.send_modify(|count| *count += 1);
    }

    fn note(&self, url: &Url, status: Option<StatusCode>, attempt: u32) {
        self.inner().log.push(NotificationLogEntry {
            url: url.clone(),
            status: status.map(|status| status.as_u16()),
            attempt,
        });
    }
}

impl Courier {
    /// Begins to post whatever there is.
    pub(crate) fn start(state: &Arc<State>) -> Self {
        // The state owns what wakes this, so that it must not own the state while it waits.
        let weak = Arc::downgrade(state);
        let mut stirred = state.push.stirred.subscribe();
        let task = tokio::spawn(async move {
            let mut under_way = JoinSet::new();
            loop {
                let count = *stirred.borrow_and_update();
                let Some(state) = weak.upgrade() else { return };
                for posting in collect(&state) {
                    let state = Arc::clone(&state);
                    under_way.spawn(async move { carry(&state, posting).await });
                }
                drop(state);
                loop {
                    if under_way.is_empty()
                        && let Some(state) = weak.upgrade()
                        && !state.push.inner().held
                    {
                        state.push.told.send_replace(count);
                    }
                    tokio::select! {
                        changed = stirred.changed() => match changed {
                            Ok(()) => break,
                            Err(_) => return,
                        },
                        _ = under_way.join_next(), if !under_way.is_empty() => {}
                    }
                }
            }
        });
        Self(task.abort_handle())
    }
}

/// What is to be posted now, as often as chance wants it.
fn collect(state: &State) -> Vec<Posting> {
    // What happens while everything is held is told as if it had happened at once.
    if state.push.inner().held {
        return Vec::new();
    }
    super::google::watch::collect(state);
    super::microsoft::subscriptions::collect(state);
    let (waiting, faults) = {
        let mut inner = state.push.inner();
        (std::mem::take(&mut inner.waiting), inner.faults)
    };
    let mut world = state.world();
    let mut postings = Vec::new();
    for posting in waiting {
        if world.random.f64() < faults.lost {
            continue;
        }
        if world.random.f64() < faults.repeated {
            postings.push(posting.clone());
        }
        postings.push(posting);
    }
    if !faults.delay.is_zero() {
        world.random.shuffle(&mut postings);
    }
    postings
}

/// Posts something until it is taken.
async fn carry(state: &State, posting: Posting) {
    let most = state.push.inner().faults.delay;
    if !most.is_zero() {
        let share = state.world().random.f64();
        state.clock.sleep(most.mul_f64(share)).await;
    }
    for attempt in 1..=ATTEMPTS {
        let status = post(&posting).await.map(|(status, _)| status);
        state.push.note(&posting.url, status, attempt);
        if status.is_some_and(|status| status.is_success()) {
            return;
        }
        if attempt < ATTEMPTS {
            state
                .clock
                .sleep(Duration::from_secs(1 << (attempt - 1)))
                .await;
        }
    }
}

/// Posts something once: what came back, if anything did.
async fn post(posting: &Posting) -> Option<(StatusCode, Bytes)> {
    let headers = posting.headers.clone();
    let body = posting.body.clone();
    let answer = send(&posting.url, headers, body).await?;
    Some((answer.status, answer.body))
}

/// What a receiver answered.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// Whether something may be posted there: on this machine, without TLS.
pub(crate) fn is_near(url: &Url) -> bool {
    !near(url).is_empty()
}

/// Where an address on this machine is, without TLS: nowhere if it is none. What `localhost` means is not looked up, since
/// whoever answers that could send what is posted anywhere.
fn near(url: &Url) -> Vec<IpAddr> {
    let addresses = match url.host() {
        Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
        Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
        Some(Host::Domain(name)) if name.eq_ignore_ascii_case("localhost") => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Some(Host::Domain(_)) | None => Vec::new(),
    };
    let is_near = url.scheme() == "http" && addresses.iter().all(IpAddr::is_loopback);
    if is_near { addresses } else { Vec::new() }
}

/// A POST over a connection of its own. No answer in time is none.
pub(crate) async fn send(
    url: &Url,
    headers: Vec<(&'static str, String)>,
    body: String,
) -> Option<Answered> {
    let exchange = async {
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let addresses = near(url).into_iter();
        let addresses: Vec<SocketAddr> = addresses
            .map(|address| SocketAddr::new(address, port))
            .collect();
        let stream = TcpStream::connect(addresses.as_slice()).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut request = Request::post(target).header(header::HOST, format!("{host}:{port}"));
        for (name, value) in headers {
            request = request.header(name, HeaderValue::from_str(&value).ok()?);
        }
        let request = request
            .header(header::CONTENT_LENGTH, body.len())
            .body(Body::from(body))
            .ok()?;
        let answering = async {
            let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
            let body = to_bytes(Body::new(body), MAXIMUM_ANSWER).await.ok()?;
            let content_type = parts.headers.get(header::CONTENT_TYPE);
            let content_type = content_type.and_then(|kind| kind.to_str().ok());
            Some(Answered {
                status: parts.status,
                content_type: content_type.unwrap_or_default().to_owned(),
                body,
            })
        };
        let answering = std::pin::pin!(answering);
        // The connection has to be driven meanwhile; that it ends is no answer.
        let driving = std::pin::pin!(async {
            let ended = connection.await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a receiver closed the connection");
            }
            std::future::pending::<Option<Answered>>().await
        });
        futures_util::future::select(answering, driving)
            .await
            .factor_first()
            .0
    };
    // A receiver that hangs does so on the machine's clock, whatever the emulator's shows.
    tokio::time::timeout(PATIENCE, exchange).await.ok()?
}

/// What a service tells by itself.
impl Emulator {
    /// What becomes of notifications from now on.
    pub fn notification_faults(&self, faults: NotificationFaults) {
        self.state.push.inner().faults = faults;
    }

    /// From now on nothing is posted, until this is taken back; then everything is.
    pub fn hold_notifications(&self, hold: bool) {
        self.state.push.inner().held = hold;
        self.state.push.stir();
    }

    /// Returns when everything that happened until now is posted, lost, or given up. While notifications are
    /// [held](Self::hold_notifications) that never is.
    pub async fn until_notified(&self) {
        self.state.push.stir();
        let count = *self.state.push.stirred.borrow();
        let mut told = self.state.push.told.subscribe();
        // The sender lives as long as this emulator.
        let _ = told.wait_for(|told| *told >= count).await;
    }

    /// Every attempt to post something, oldest first. That an address is asked whether it wants to be told is none.
    #[must_use]
    pub fn notifications(&self) -> Vec<NotificationLogEntry> {
        self.state.push.inner().log.clone()
    }
}
