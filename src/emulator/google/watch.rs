//! `users.watch` and `users.stop`, and as much of Cloud Pub/Sub as they need: topics, who may publish to them, and
//! subscriptions that push, with signed tokens.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/push>,
//! <https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions>

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use url::Url;

use super::super::push::Posting;
use super::super::world::Mailbox;
use super::super::{Emulator, State, Vendor};
use super::call::Call;
use super::error::Failure;
use super::labels;

/// The project in which the emulator's application is registered.
const PROJECT: &str = "postroom-emulator";

/// Whose tokens pushes carry.
const SERVICE_ACCOUNT: &str = "push@postroom-emulator.iam.gserviceaccount.com";

/// <https://developers.google.com/workspace/gmail/api/guides/push#renewing_mailbox_watch>
const LIFETIME: TimeDelta = TimeDelta::days(7);

/// The one watch of a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct GmailWatch {
    topic: String,
    /// Only what concerns these, or all but what does.
    labels: BTreeSet<String>,
    excludes: bool,
    expires: DateTime<Utc>,
    /// Up to where everything is told.
    told: u64,
    /// Whether it is still to tell that it was set up.
    is_new: bool,
}

/// A topic of Pub/Sub.
#[derive(Debug, Default)]
pub(crate) struct Topic {
    /// Whether Gmail may publish to it.
    is_open: bool,
    subscriptions: Vec<PushSubscription>,
    published: u64,
}

/// A subscription of Pub/Sub's that pushes: see [`Emulator::push_topic`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PushSubscription {
    /// Where to.
    pub url: Url,
    /// For whom its tokens are; without, pushes carry none.
    pub audience: Option<String>,
    /// Whether it posts the message alone, with nothing around it
    /// (<https://docs.cloud.google.com/pubsub/docs/payload-unwrapping>).
    pub unwrapped: bool,
}

impl PushSubscription {
    /// A subscription that pushes there with a token for that address, as is the default.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            audience: Some(url.to_string()),
            url,
            unwrapped: false,
        }
    }

    /// Has the tokens be for this audience.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Pushes without tokens.
    #[must_use]
    pub fn without_token(mut self) -> Self {
        self.audience = None;
        self
    }

    /// Posts the message alone.
    #[must_use]
    pub fn unwrapped(mut self) -> Self {
        self.unwrapped = true;
        self
    }
}

pub(crate) fn watch(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let topic = call.body.get("topicName").and_then(Value::as_str);
    let topic = topic.unwrap_or_default().to_owned();
    let own = format!("projects/{PROJECT}/topics/");
    if !topic
        .strip_prefix(&own)
        .is_some_and(|name| !name.is_empty() && !name.contains(['/', ' ']))
    {
        return Err(Failure::invalid_argument(format!(
            "Invalid topicName does not match {own}*"
        )));
    }
    let labels: BTreeSet<String> = call.texts("labelIds").into_iter().collect();
    let behavior = ["labelFilterBehavior", "labelFilterAction"]
        .iter()
        .find_map(|name| call.body.get(*name)?.as_str());
    let excludes = behavior.is_some_and(|behavior| behavior.eq_ignore_ascii_case("exclude"));
    match call.state.push.with_topics(|topics| {
        let topic = topics.get(&topic)?;
        Some(topic.is_open)
    }) {
        None => {
            let message = format!("Resource not found (resource={}).", short(&topic));
            return Err(Failure::not_found_because(message));
        }
        // <https://github.com/googleapis/google-api-nodejs-client/issues/2843>
        Some(false) => {
            return Err(Failure::metadata_scope(&format!(
                "Error sending test message to Cloud PubSub {topic} : User not authorized to perform this action."
            )));
        }
        Some(true) => {}
    }
    let now = call.state.clock.now();
    let answer = call.with_mailbox(|mailbox, _| {
        if let Some(unknown) = labels.iter().find(|id| !labels::exists(mailbox, id)) {
            return Err(Failure::invalid_argument(format!("Invalid label: {unknown}")));
        }
        let active = mailbox.watch.as_ref().filter(|watch| watch.expires > now);
        if active.is_some_and(|watch| watch.topic != topic) {
            return Err(Failure::invalid_argument(
                "Only one user push notification client allowed per developer (call /stop then try again)",
            ));
        }
        let expires = now + LIFETIME;
        mailbox.watch = Some(GmailWatch {
            topic,
            labels,
            excludes,
            expires,
            told: mailbox.history_id,
            is_new: true,
        });
        Ok(json!({
            "historyId": mailbox.history_id.to_string(),
            "expiration": expires.timestamp_millis().to_string(),
        }))
    })?;
    call.state.push.stir();
    Ok(Some(answer))
}

/// Answers alike whether there was a watch or not.
pub(crate) fn stop(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    call.with_mailbox(|mailbox, _| {
        mailbox.watch = None;
        Ok(None)
    })
}

fn short(topic: &str) -> &str {
    topic.rsplit('/').next().unwrap_or_default()
}

impl GmailWatch {
    fn concerns(&self, labels: &BTreeSet<String>) -> bool {
        self.labels.is_empty() || (self.excludes == self.labels.is_disjoint(labels))
    }
}

/// Publishes what happened in watched mailboxes since it was last looked.
pub(crate) fn collect(state: &State) {
    let now = state.clock.now();
    let mut news = Vec::new();
    for account in &mut state.world().accounts {
        let Mailbox::Gmail(mailbox) = &mut account.mailbox else {
            continue;
        };
        let Some(watch) = &mut mailbox.watch else {
            continue;
        };
        if watch.expires <= now {
            mailbox.watch = None;
            continue;
        }
        let told = std::mem::replace(&mut watch.told, mailbox.history_id);
        let records = mailbox.history.iter().rev();
        let mut records = records.take_while(|record| record.id > told);
        let happened = records.any(|record| {
            let mut entries = record.entries.iter();
            entries.any(|entry| watch.concerns(&entry.labels))
        });
        // <https://developers.google.com/workspace/gmail/api/guides/push#watch_response>
        if std::mem::take(&mut watch.is_new) || happened {
            let message = json!({"emailAddress": account.address, "historyId": mailbox.history_id});
            news.push((watch.topic.clone(), message.to_string()));
        }
    }
    for (topic, message) in news {
        publish(state, &topic, &message);
    }
}

fn publish(state: &State, name: &str, data: &str) {
    let now = state.clock.now();
    let published = state.push.with_topics(|topics| {
        let topic = topics.get_mut(name).filter(|topic| topic.is_open)?;
        topic.published += 1;
        Some((topic.published, topic.subscriptions.clone()))
    });
    let Some((number, subscriptions)) = published else {
        return;
    };
    let id = (8_000_000_000_000_000 + number).to_string();
    let time = now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    for (index, subscription) in subscriptions.into_iter().enumerate() {
        let subscription_name = format!("projects/{PROJECT}/subscriptions/{}-{index}", short(name));
        let mut headers = vec![("user-agent", "APIs-Google".to_owned())];
        if let Some(audience) = &subscription.audience
            && let Some(token) = token(state, audience)
        {
            headers.push(("authorization", format!("Bearer {token}")));
        }
        let body = if subscription.unwrapped {
            headers.push(("content-type", "application/octet-stream".to_owned()));
            data.to_owned()
        } else {
            headers.push(("content-type", "application/json".to_owned()));
            json!({
                "message": {
                    "data": STANDARD.encode(data),
                    "messageId": id,
                    "message_id": id,
                    "publishTime": time,
                    "publish_time": time,
                },
                "subscription": subscription_name,
            })
            .to_string()
        };
        state.push.post(Posting {
            url: subscription.url,
            headers,
            body,
        });
    }
}

/// <https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions#jwt-claims>
fn token(state: &State, audience: &str) -> Option<String> {
    let now = state.clock.now().timestamp();
    let subject = "117362891094216380753";
    let claims = json!({
        "aud": audience,
        "azp": subject,
        "email": SERVICE_ACCOUNT,
        "email_verified": true,
        "exp": now + 3600,
        "iat": now,
        "iss": "https://accounts.google.com",
        "sub": subject,
    });
    state.signing_keys.sign(Vendor::Google, &claims)
}

/// Google Cloud Pub/Sub.
impl Emulator {
    /// Makes a topic of the application's project to which Gmail may publish, and gives its whole name.
    #[must_use]
    pub fn create_topic(&self, name: &str) -> String {
        let whole = format!("projects/{PROJECT}/topics/{name}");
        self.state.push.with_topics(|topics| {
            topics.entry(whole.clone()).or_default().is_open = true;
        });
        whole
    }

    /// Takes Gmail's right to publish to a topic away.
    pub fn close_topic(&self, topic: &str) {
        self.state.push.with_topics(|topics| {
            if let Some(topic) = topics.get_mut(topic) {
                topic.is_open = false;
            }
        });
    }

    /// Subscribes to a topic: from now on what is published there is pushed. Nothing happens where there is no such topic.
    pub fn push_topic(&self, topic: &str, subscription: PushSubscription) {
        self.state.push.with_topics(|topics| {
            if let Some(topic) = topics.get_mut(topic) {
                topic.subscriptions.push(subscription);
            }
        });
    }

    /// The service account whose tokens pushes carry.
    #[must_use]
    pub fn push_service_account(&self) -> &'static str {
        SERVICE_ACCOUNT
    }

    /// A token as pushes carry it, for this audience: for what somebody else than Pub/Sub posts.
    #[must_use]
    pub fn push_token(&self, audience: &str) -> String {
        token(&self.state, audience).unwrap_or_default()
    }
}
