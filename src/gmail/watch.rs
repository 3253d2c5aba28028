//! Being told what happens, through Pub/Sub: the one watch that Gmail keeps for a mailbox and a registration. What is told
//! is understood in `push`.
//!
//! Source: <https://developers.google.com/workspace/gmail/api/guides/push>.

use async_trait::async_trait;
use chrono::DateTime;

use super::{Gmail, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::parse;
use crate::model::{
    Access, Renewed, SubscriptionId, Watch, WatchPlace, WatchTarget, renewal_before,
};
use crate::provider::Watching;

const OPERATION: &str = "gmail.users.watch";

#[async_trait]
impl Watching for Gmail {
    async fn watch(&self, target: &WatchTarget) -> Result<Watch> {
        self.require(Access::READ)?;
        let _alone = self.watching.lock().await;
        self.begin(target).await
    }

    async fn renew(&self, watch: &Watch) -> Result<Renewed> {
        self.require(Access::READ)?;
        let target = watch.target.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "a watch that does not say what it is for cannot be renewed",
            )
            .with_operation(OPERATION)
        })?;
        let _alone = self.watching.lock().await;
        let lapsed = watch.has_lapsed(self.api.client.clock.now());
        let mut renewed = self.begin(target).await?;
        if lapsed {
            return Ok(Renewed::anew(renewed));
        }
        renewed.began_at = watch.began_at.or(renewed.began_at);
        Ok(Renewed::prolonged(renewed))
    }

    async fn unwatch(&self, _: &Watch) -> Result<()> {
        self.require(Access::READ)?;
        let _alone = self.watching.lock().await;
        self.api.stop().await
    }
}

impl Gmail {
    /// Sets the watch up, or prolongs it.
    async fn begin(&self, target: &WatchTarget) -> Result<Watch> {
        let WatchPlace::Topic { name } = &target.place else {
            return Err(Error::unsupported(
                "Gmail tells what happens to a topic of Google Cloud Pub/Sub, and nowhere else",
            )
            .with_operation(OPERATION));
        };
        if !is_topic(name) {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "a topic is named projects/{project}/topics/{topic}, without blanks",
            )
            .with_operation(OPERATION));
        }
        // What is told names the mailbox by its address and nothing else.
        let profile = super::convert::profile(self.api.profile().await?)?;
        let request = wire::WatchRequest {
            topic_name: name,
            label_ids: target.folders.iter().map(|id| id.as_str()).collect(),
            label_filter_behavior: (!target.folders.is_empty()).then_some("include"),
        };
        let answer = match self.api.watch(&request).await {
            // It goes to another topic. That one has to end first, and two that begin at once look alike
            // (<https://github.com/Eagnir/GmailNotify-PubSub-GCP/issues/2>).
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.api.stop().await?;
                self.api.watch(&request).await
            }
            outcome => outcome,
        };
        let answer = answer.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::new(ErrorKind::Configuration, "there is no such topic").with_source(error)
            }
            _ => error,
        })?;
        let watching: wire::WatchResponse = parse(OPERATION, &answer.body)?;
        let now = self.api.client.clock.now();
        let expires_at = watching
            .expiration
            .and_then(DateTime::from_timestamp_millis)
            .map(|end| answer.by_clock_here(end, now));
        let id = SubscriptionId::new(profile.address.to_lowercase());
        Ok(Watch::new(id, expires_at)
            .with_target(target.clone())
            .with_beginning(now)
            .with_renewal(renewal_before(expires_at, now)))
    }
}

/// Whether it is a topic's whole name (<https://docs.cloud.google.com/pubsub/docs/pubsub-basics#resource_names>). A blank at
/// the end is told as a topic of another project.
fn is_topic(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~+%:".contains(&byte))
    };
    matches!(
        name.split('/').collect::<Vec<_>>().as_slice(),
        ["projects", project, "topics", topic] if plain(project) && plain(topic)
    )
}
