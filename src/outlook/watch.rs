//! Being told what happens, at an address of the host's: Graph's subscriptions. What is told is understood in `push`.
//!
//! Source: <https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use super::settings::read_all;
use super::{Outlook, quota, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, parse, require_confidential};
use crate::model::{
    Access, Renewed, SubscriptionId, Watch, WatchPlace, WatchTarget, renewal_before,
};
use crate::provider::Watching;
use crate::secret::Secret;

const CREATE: &str = "outlook.subscriptions.create";
const LIST: &str = "outlook.subscriptions.list";
const UPDATE: &str = "outlook.subscriptions.update";

/// Everything that can happen to a message.
const CHANGES: &str = "created,updated,deleted";

/// The longest client state (<https://learn.microsoft.com/graph/api/resources/subscription>).
const LONGEST_STATE: usize = 128;

#[async_trait]
impl Watching for Outlook {
    async fn watch(&self, target: &WatchTarget) -> Result<Watch> {
        self.require_watchable()?;
        let watch = self.subscribe(target).await;
        watch.map_err(|error| error.with_operation(CREATE))
    }

    async fn renew(&self, watch: &Watch) -> Result<Renewed> {
        self.require_watchable()?;
        let prolonged = self.prolong(watch.id.as_str()).await;
        match prolonged {
            Ok(answer) => {
                let mut prolonged = watch.clone();
                let told: wire::Subscription = parse(UPDATE, &answer.body)?;
                self.note_end(&mut prolonged, &answer, told.expiration_date_time);
                Ok(Renewed::prolonged(prolonged))
            }
            // It ended, or the service removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let target = watch.target.as_ref().ok_or(error)?;
                self.watch(target).await.map(Renewed::anew)
            }
            Err(error) => Err(error),
        }
    }

    async fn unwatch(&self, watch: &Watch) -> Result<()> {
        self.require_watchable()?;
        match self.api.unsubscribe(watch.id.as_str()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

impl Outlook {
    fn require_watchable(&self) -> Result<()> {
        self.require(Access::READ)?;
        if self.capabilities.watch.is_none() {
            return Err(Error::unsupported(
                "Graph tells users nothing of mailboxes that are only shared with them: sync now and then instead",
            ));
        }
        Ok(())
    }

    async fn subscribe(&self, target: &WatchTarget) -> Result<Watch> {
        let WatchPlace::Webhook { url, lifecycle_url } = &target.place else {
            return Err(Error::unsupported(
                "Graph tells what happens at an address of the host's",
            ));
        };
        for url in [Some(url), lifecycle_url.as_ref()].into_iter().flatten() {
            // Graph posts over HTTPS only; an emulator on this machine need not.
            require_confidential(url)?;
        }
        let folder = match target.folders.as_slice() {
            [] => None,
            [folder] => Some(folder.as_str()),
            _ => {
                return Err(Error::unsupported(
                    "Graph watches one folder or all of them",
                ));
            }
        };
        let mut target = target.clone();
        let state = match target.client_state.take() {
            Some(state) => state,
            None => random_state()?,
        };
        if state.is_empty() || state.expose().chars().count() > LONGEST_STATE {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "a client state has between one and 128 characters",
            ));
        }
        target.client_state = Some(state.clone());
        let resource = self.api.watched(folder);
        let mut subscription = wire::NewSubscription {
            change_type: CHANGES,
            notification_url: url.as_str(),
            lifecycle_notification_url: lifecycle_url.as_ref().map(Url::as_str),
            resource: &resource,
            expiration_date_time: self.in_future(quota::SUBSCRIPTION),
            client_state: state.expose(),
        };
        let answer = match self.create(&mut subscription).await {
            // One of an earlier run is there, whose client state nobody knows any more.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if !self.remove_former(&resource, url).await? {
                    return Err(error);
                }
                self.create(&mut subscription).await
            }
            outcome => outcome,
        }?;
        let made: wire::Subscription = parse(CREATE, &answer.body)?;
        let end = made.expiration_date_time;
        let id = made.id.filter(|id| !id.is_empty()).ok_or_else(|| {
            crate::http::protocol("a subscription came without an id").with_operation(CREATE)
        })?;
        let mut watch = Watch::new(SubscriptionId::new(id), None)
            .with_target(target)
            .with_beginning(self.api.client.clock.now());
        self.note_end(&mut watch, &answer, end);
        Ok(watch)
    }

    /// Asks for the longest time that a subscription may last, and for an older one where a service refuses that
    /// (<https://github.com/Nine-Minds/alga-psa/issues/3092>).
    async fn create(&self, subscription: &mut wire::NewSubscription<'_>) -> Result<Answer> {
        subscription.expiration_date_time = self.in_future(quota::SUBSCRIPTION);
        match self.api.subscribe(subscription).await {
            Err(refused) if refused.kind() == ErrorKind::InvalidRequest => {
                subscription.expiration_date_time = self.in_future(quota::OLDER_SUBSCRIPTION);
                let made = self.api.subscribe(subscription).await;
                made.map_err(|error| telling(refused, error))
            }
            outcome => outcome,
        }
    }

    /// The same for one that is there.
    async fn prolong(&self, id: &str) -> Result<Answer> {
        let patch = |lifetime| wire::SubscriptionPatch {
            expiration_date_time: self.in_future(lifetime),
        };
        match self.api.prolong(id, &patch(quota::SUBSCRIPTION)).await {
            Err(refused) if refused.kind() == ErrorKind::InvalidRequest => {
                let older = patch(quota::OLDER_SUBSCRIPTION);
                let prolonged = self.api.prolong(id, &older).await;
                prolonged.map_err(|error| telling(refused, error))
            }
            outcome => outcome,
        }
    }

    fn in_future(&self, lifetime: TimeDelta) -> DateTime<Utc> {
        self.api.client.clock.now() + lifetime
    }

    /// Removes what this application has subscribed to the same already: what is told to the same address if there is
    /// such, and whatever keeps a new one out otherwise. Whether there was any.
    async fn remove_former(&self, resource: &str, url: &Url) -> Result<bool> {
        let former: Vec<wire::Subscription> =
            read_all(&self.api, LIST, self.api.subscriptions().await?).await?;
        let alike = |one: &Option<String>, other: &str| {
            let one = one.as_deref().unwrap_or_default();
            one.trim_matches('/').eq_ignore_ascii_case(other)
        };
        let (here, elsewhere): (Vec<_>, Vec<_>) = former
            .into_iter()
            .filter(|known| alike(&known.resource, resource) && alike(&known.change_type, CHANGES))
            .partition(|known| known.notification_url.as_deref() == Some(url.as_str()));
        let obstacles = if here.is_empty() { elsewhere } else { here };
        let mut removed = false;
        for id in obstacles.into_iter().filter_map(|known| known.id) {
            match self.api.unsubscribe(&id).await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => removed = true,
            }
        }
        Ok(removed)
    }

    /// When a watch ends, by what an answer told, and when to renew it.
    fn note_end(&self, watch: &mut Watch, answer: &Answer, end: Option<DateTime<Utc>>) {
        let now = self.api.client.clock.now();
        watch.expires_at = end.map(|end| answer.by_clock_here(end, now));
        watch.renew_at = Some(renewal_before(watch.expires_at, now));
    }
}

/// What to go by where a service refused the usual time and then did not take an older one either: if it refused that as
/// well, the time was not what was wrong; anything else that it says is news.
fn telling(refused: Error, again: Error) -> Error {
    match again.kind() {
        ErrorKind::InvalidRequest => refused,
        _ => again,
    }
}

fn random_state() -> Result<Secret> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| {
        Error::new(
            ErrorKind::Configuration,
            "the system gives no random numbers",
        )
        .with_source(std::io::Error::other(error))
    })?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random)))
}
