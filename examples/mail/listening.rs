//! `sync --follow --listen`: has the service tell what happens, and listens for it. How what is posted is read is
//! `push_receiver/receiving.rs`'s, what is done then `syncing.rs`'s.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use chrono::Utc;
use clap::Args;
use postroom::clock::SystemClock;
use postroom::http::ReqwestTransport;
use postroom::oauth::Endpoints;
use postroom::push::{Notification, PubSubEndpoint, Rejected, Unverified};
use postroom::{Mailbox, Watch, WatchKind, WatchTarget};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use url::{Host, Url};

use crate::receiving::{Hints, from_google, from_microsoft};
use crate::setup::Registration;
use crate::{Failure, explain};

/// How long the service is waited for when it is to tell nothing any longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the service is to tell what happens. docs/set-up-google.md and docs/set-up-microsoft.md say what it takes.
#[derive(Debug, Args)]
pub(crate) struct Listening {
    /// With --follow, have the service tell what happens, and listen for it on this address of this machine, such as
    /// 127.0.0.1:8080. It is asked at intervals besides, as some of what is told gets lost. Ctrl-C ends that. Gmail tells one
    /// listener for each mailbox and registration: whoever else had it told is told nothing any longer
    #[arg(long, value_name = "ADDRESS", requires = "follow")]
    listen: Option<SocketAddr>,
    /// By what address the service reaches --listen: an HTTPS address that leads there, whatever its path. Not needed with
    /// the emulator
    #[arg(long, value_name = "URL", requires = "listen")]
    push_url: Option<Url>,
    /// Gmail: the topic of Google Cloud Pub/Sub, projects/…/topics/…, that has a subscription which pushes to --push-url
    #[arg(long, value_name = "NAME", requires_all = ["listen", "push_account"])]
    topic: Option<String>,
    /// Gmail: the address of the service account whose tokens the subscription's pushes carry
    #[arg(long, value_name = "ADDRESS", requires = "topic")]
    push_account: Option<String>,
    /// Gmail: the audience of these tokens, if it is not --push-url
    #[arg(long, value_name = "TEXT", requires = "topic")]
    audience: Option<String>,
}

impl Listening {
    pub(crate) fn is_wanted(&self) -> bool {
        self.listen.is_some()
    }

    /// Begins to listen, if that is wanted: Graph asks whether anybody is there before it agrees to tell anything.
    pub(crate) async fn begin(
        &self,
        mailbox: &Mailbox,
        registration: Option<&Registration>,
    ) -> Result<Option<Ears>, Failure> {
        let Some(address) = self.listen else {
            return Ok(None);
        };
        let unheard = |error| Failure::Local(format!("cannot listen on {address}"), error);
        let listener = TcpListener::bind(address).await.map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;
        let url = self.url(address, registration)?;
        let heard = Arc::<Heard>::default();
        let (target, posts) = match (mailbox.capabilities().watch, &self.topic) {
            (Some(WatchKind::Webhook), None) => {
                let target = WatchTarget::webhook(url.clone()).with_lifecycle_url(url.clone());
                (target, from_microsoft(Arc::clone(&heard)))
            }
            (Some(WatchKind::Topic), Some(topic)) => {
                let endpoint = self.endpoint(&url, registration)?;
                (
                    WatchTarget::topic(topic),
                    from_google(endpoint, Arc::clone(&heard)),
                )
            }
            (Some(WatchKind::Topic), None) => {
                return Err(Failure::Usage(
                    "Gmail tells what happens to a topic of Google Cloud Pub/Sub: give --topic and --push-account, \
                     as docs/set-up-google.md says, or leave --listen out"
                        .to_owned(),
                ));
            }
            (Some(_), _) => {
                let message = "--topic is Gmail's; this service posts to --push-url itself";
                return Err(Failure::Usage(message.to_owned()));
            }
            (None, _) => {
                let message =
                    "this service does not tell what happens in this mailbox; leave --listen out";
                return Err(Failure::Usage(message.to_owned()));
            }
        };
        eprintln!("Listening on {address} for what the service posts to {url}");
        let router = Router::new().fallback_service(posts);
        let server = tokio::spawn(async move {
            // Without it the copy is asked for at intervals.
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("error: nothing is heard any longer: {error}");
            }
        });
        Ok(Some(Ears {
            heard,
            target,
            server,
            refused: AtomicBool::new(false),
        }))
    }

    /// By what address the service reaches this program. Without a word about it only one on this machine does.
    fn url(
        &self,
        address: SocketAddr,
        registration: Option<&Registration>,
    ) -> Result<Url, Failure> {
        if let Some(url) = &self.push_url {
            return Ok(url.clone());
        }
        let is_here = |url: &Url| match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let service = registration.and_then(|registration| registration.api_endpoint.as_ref());
        if !service.is_some_and(is_here) {
            return Err(Failure::Usage(format!(
                "the service cannot reach {address}: give --push-url, the HTTPS address that leads there"
            )));
        }
        let url = Url::parse(&format!("http://{address}/"));
        url.map_err(|error| Failure::Usage(error.to_string()))
    }

    /// What believes Google's pushes, or those of whoever stands for Google.
    fn endpoint(
        &self,
        url: &Url,
        registration: Option<&Registration>,
    ) -> Result<PubSubEndpoint, Failure> {
        let audience = self.audience.as_deref().unwrap_or(url.as_str());
        let account = self.push_account.as_deref().unwrap_or_default();
        let other = registration.and_then(|registration| {
            let other = registration.auth_endpoint.as_ref();
            other.or(registration.api_endpoint.as_ref())
        });
        let endpoint = match other {
            None => PubSubEndpoint::new(audience, account),
            Some(base) => PubSubEndpoint::with(
                audience,
                account,
                Endpoints::google_at(base)?,
                Arc::new(ReqwestTransport::new()?),
                Arc::new(SystemClock::new()),
            ),
        };
        Ok(endpoint?)
    }
}

/// What was heard.
#[derive(Default)]
struct Heard {
    /// What the service tells because of.
    watch: Mutex<Option<Watch>>,
    news: Notify,
    /// Whether the service wants the watch to be renewed.
    renew: AtomicBool,
}

impl Heard {
    fn watch(&self) -> MutexGuard<'_, Option<Watch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hints for Arc<Heard> {
    fn notified(&self, notification: &Notification) {
        let watch = self.watch();
        let is_ours = |watch: &Watch| watch.id == notification.subscription;
        // What comes before the watch is known is found by the round that follows.
        if watch.as_ref().is_some_and(is_ours) {
            let renew = notification.news.asks_for_renewal();
            self.renew.fetch_or(renew, Ordering::Relaxed);
            self.news.notify_one();
        }
    }

    fn told(&self, told: &Unverified) -> Result<(), Rejected> {
        let verified = self.watch().as_ref().map(|watch| told.verify(watch));
        if let Some(notification) = verified.transpose()? {
            self.notified(&notification);
        }
        Ok(())
    }
}

/// Listens for what the service tells of a mailbox.
pub(crate) struct Ears {
    heard: Arc<Heard>,
    target: WatchTarget,
    server: JoinHandle<()>,
    /// Whether the service would not tell anything, or not go on with it.
    refused: AtomicBool,
}

impl Ears {
    /// Sees to it that the service tells what happens, as long as it does. A round has to follow: what happened before is not
    /// told.
    pub(crate) async fn keep_open(&self, mailbox: &Mailbox) {
        let known = self.heard.watch().clone();
        let kept = match &known {
            None if self.refused.load(Ordering::Relaxed) => return,
            None => mailbox.watch(&self.target).await,
            Some(watch) => {
                let is_wanted = self.heard.renew.swap(false, Ordering::Relaxed);
                if !is_wanted && !watch.is_due(Utc::now()) {
                    return;
                }
                mailbox.renew(watch).await.map(|renewed| renewed.watch)
            }
        };
        match kept {
            Ok(watch) => {
                if known.is_none() {
                    eprintln!("The service tells what happens from now on.");
                }
                *self.heard.watch() = Some(watch);
            }
            Err(error) => {
                explain(&error);
                if error.is_transient() {
                    self.heard.renew.store(true, Ordering::Relaxed);
                } else {
                    self.refused.store(true, Ordering::Relaxed);
                    *self.heard.watch() = None;
                }
                eprintln!("The service does not tell what happens, and is asked at intervals.");
            }
        }
    }

    /// Returns when the service has told something since it last returned.
    pub(crate) async fn news(&self) {
        self.heard.news.notified().await;
    }

    /// Has the service tell nothing any longer.
    pub(crate) async fn close(self, mailbox: &Mailbox) {
        let watch = self.heard.watch().take();
        if let Some(watch) = watch {
            let ended = tokio::select! {
                ended = tokio::time::timeout(PATIENCE, mailbox.unwatch(&watch)) => ended,
                Ok(()) = tokio::signal::ctrl_c() => return,
            };
            let until = watch
                .expires_at
                .map(|at| format!(" on {}", at.to_rfc2822()));
            let until = until.unwrap_or_default();
            match ended {
                Ok(Ok(())) => eprintln!("The service tells nothing any longer."),
                Ok(Err(error)) => {
                    explain(&error);
                    eprintln!("The service ends what it tells by itself{until}.");
                }
                Err(_) => {
                    eprintln!("The service did not answer; it ends what it tells by itself{until}.")
                }
            }
        }
        self.server.abort();
    }
}
