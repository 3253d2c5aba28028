//! What Google Cloud Pub/Sub pushes, or gives to who pulls: Gmail's notifications, and whether they are from it.
//!
//! Sources: <https://developers.google.com/workspace/gmail/api/guides/push>,
//! <https://docs.cloud.google.com/pubsub/docs/push>,
//! <https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions>.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::notification::{News, Notification, Reason, Rejected};
use crate::clock::Clock;
use crate::error::{ErrorKind, Result};
use crate::http::Transport;
use crate::model::SubscriptionId;
use crate::oauth::{Endpoints, ServiceTokens};
use crate::secret::Secret;

/// Gmail's messages have some hundred bytes; so much may be around one.
const LONGEST_PUSH: usize = 64 * 1024;

/// The most that is read of what was pulled: a thousand messages, which is the most that can be asked for.
const LONGEST_PULL: usize = 4 * 1024 * 1024;

/// No address is longer (RFC 5321 §4.5.3.1).
const LONGEST_ADDRESS: usize = 320;

/// Far more than a token of Google's has.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Taken, so that it does not come again.
const TAKEN: u16 = 204;

/// Where Pub/Sub pushes what happens in Gmail mailboxes: one endpoint of the host's, for all of its accounts.
///
/// ```no_run
/// use postroom::push::PubSubEndpoint;
///
/// # async fn example(headers: http::HeaderMap, body: &[u8]) -> postroom::Result<()> {
/// let endpoint = PubSubEndpoint::new(
///     "https://desk.example/push/google", // The audience that the subscription names.
///     "push@project.iam.gserviceaccount.com",
/// )?;
/// let status = match endpoint.receive(&headers, body).await {
///     Ok(notification) => {
///         // … hint(notification.subscription) …
///         204
///     }
///     Err(rejected) => rejected.status(),
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PubSubEndpoint {
    tokens: ServiceTokens,
}

impl PubSubEndpoint {
    /// An endpoint that believes pushes whose token is for this audience and of this service account: those that the
    /// subscription was given with `--push-auth-service-account` and `--push-auth-token-audience`. Without the latter the
    /// audience is the endpoint's own address. Google's keys are fetched when they are first needed, and when they change.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] without an HTTP client: without the feature `reqwest`, see
    /// [`with`](Self::with).
    #[cfg(feature = "reqwest")]
    pub fn new(audience: impl Into<String>, service_account: impl Into<String>) -> Result<Self> {
        Self::with(
            audience,
            service_account,
            Endpoints::google()?,
            Arc::new(crate::http::ReqwestTransport::new()?),
            Arc::new(crate::clock::SystemClock::new()),
        )
    }

    /// The same with everything chosen: whose keys and names count, how they are fetched, what time it is.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when audience or account are missing or an endpoint is not confidential;
    /// [`ErrorKind::Unsupported`] when the endpoints name no keys.
    pub fn with(
        audience: impl Into<String>,
        service_account: impl Into<String>,
        endpoints: Endpoints,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let tokens = ServiceTokens::new(
            audience.into(),
            service_account.into(),
            endpoints,
            transport,
            clock,
        )?;
        Ok(Self { tokens })
    }

    /// What was pushed, if it is from Pub/Sub and about a mailbox. Answer 204; the host has ten seconds unless the
    /// subscription says otherwise, so that nothing but noting the hint is to be done before. Anything but a success is
    /// pushed again.
    ///
    /// The body may be wrapped or not (<https://docs.cloud.google.com/pubsub/docs/payload-unwrapping>). It is not signed: whoever
    /// has a token that holds could have somebody's mailbox synced once more, which is all that comes of a replayed push too.
    ///
    /// # Errors
    /// [`Rejected`] says why, and with which status to answer: 401 and 403 for what is not believed, 503 while Google's keys
    /// cannot be fetched. What is believed and makes no sense is taken with 204, as it never will.
    pub async fn receive(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Notification, Rejected> {
        let token = bearer(headers)?;
        self.tokens.verify(&token).await.map_err(|error| {
            let (reason, status) = match (error.kind(), error.code()) {
                (ErrorKind::InvalidCallback, Some("id_token_expired" | "id_token_not_yet")) => {
                    (Reason::Expired, 401)
                }
                (ErrorKind::InvalidCallback, Some("id_token_audience" | "id_token_account")) => {
                    (Reason::Foreign, 403)
                }
                (ErrorKind::InvalidCallback, _) => (Reason::Forged, 403),
                _ => (Reason::Unverified, 503),
            };
            Rejected::new(reason, status).with_source(error)
        })?;
        if body.len() > LONGEST_PUSH {
            return Err(Rejected::new(Reason::TooLarge, TAKEN));
        }
        pushed(body).ok_or_else(|| Rejected::new(Reason::Malformed, TAKEN))
    }
}

fn bearer(headers: &HeaderMap) -> Result<Secret, Rejected> {
    let unsigned = || Rejected::new(Reason::Unsigned, 401);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unsigned());
    };
    let text = value.to_str().map_err(|_| unsigned())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(unsigned)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unsigned());
    }
    if token.len() > LONGEST_TOKEN {
        return Err(Rejected::new(Reason::Forged, 403));
    }
    Ok(Secret::new(token.trim()))
}

/// <https://docs.cloud.google.com/pubsub/docs/push#receive_push>
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

/// <https://docs.cloud.google.com/pubsub/docs/reference/rest/v1/PubsubMessage>
#[derive(Deserialize)]
struct Message {
    data: String,
}

/// What Gmail publishes (<https://developers.google.com/workspace/gmail/api/guides/push#receive_notifications>). The history
/// id in it comes as a number and as a text, and is not needed: a sync goes on from the host's own cursor
/// (<https://github.com/googleworkspace/python-samples/issues/200>).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    email_address: String,
    #[serde(rename = "historyId")]
    _history_id: IgnoredAny,
}

/// Documented as URL-safe, and seen in the ordinary alphabet; with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn pushed(body: &[u8]) -> Option<Notification> {
    match serde_json::from_slice::<Wrapped<'_>>(body) {
        Ok(wrapped) => message(wrapped.message.get()),
        Err(_) => published(body),
    }
}

fn message(json: &str) -> Option<Notification> {
    let message: Message = serde_json::from_str(json).ok()?;
    let data = message.data.replace('-', "+").replace('_', "/");
    published(&BASE64.decode(data).ok()?)
}

fn published(json: &[u8]) -> Option<Notification> {
    let published: Published = serde_json::from_slice(json).ok()?;
    let address = published.email_address.trim();
    let plain = |character: char| !character.is_control() && !character.is_whitespace();
    if address.len() > LONGEST_ADDRESS || !address.contains('@') || !address.chars().all(plain) {
        return None;
    }
    Some(Notification {
        subscription: SubscriptionId::new(address.to_lowercase()),
        news: News::Changed,
    })
}

/// One message that was pulled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pulled {
    /// What to acknowledge it with, once its hint is noted; what makes no sense too, or it comes again and again.
    pub ack_id: String,
    /// What it says. Whoever may pull knows that it is from the topic, so that there is no token.
    pub notification: Result<Notification, Rejected>,
}

/// <https://docs.cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullAnswer<'a> {
    #[serde(borrow, default)]
    received_messages: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received<'a> {
    ack_id: String,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

/// The messages in an answer of Pub/Sub's `pull`: for hosts that nothing can be pushed to. Pulling takes a token of the
/// project's own; the users' are not for it.
///
/// # Errors
/// [`Rejected`] if it is no such answer.
pub fn pulled(answer: &[u8]) -> Result<Vec<Pulled>, Rejected> {
    if answer.len() > LONGEST_PULL {
        return Err(Rejected::new(Reason::TooLarge, 413));
    }
    let malformed = || Rejected::new(Reason::Malformed, 400);
    let answer: PullAnswer<'_> = serde_json::from_slice(answer).map_err(|_| malformed())?;
    let received = answer.received_messages.into_iter();
    Ok(received
        .filter_map(|item| {
            let received: Received<'_> = serde_json::from_str(item.get()).ok()?;
            let notification = received.message.and_then(|json| message(json.get()));
            Some(Pulled {
                ack_id: received.ack_id,
                notification: notification.ok_or_else(malformed),
            })
        })
        .collect())
}
