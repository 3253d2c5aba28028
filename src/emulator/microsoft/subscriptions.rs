//! Subscriptions to messages: who is told what happens in which mailbox, the question whether an address wants to be told,
//! and what it is told. How that gets there is `push`'s.
//!
//! <https://learn.microsoft.com/graph/api/resources/subscription>,
//! <https://learn.microsoft.com/graph/change-notifications-delivery-webhooks>

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

use super::super::push::{self, Posting};
use super::super::tokens::APPLICATION;
use super::super::world::World;
use super::super::{Emulator, State};
use super::call::{Answer, Call, Reply, ReplyBody, field, only_fields, text_field};
use super::error::GraphError;
use super::journal::Kind;

/// The shortest life of a subscription: less is made as much.
/// <https://learn.microsoft.com/graph/api/resources/subscription#subscription-lifetime>
const SHORTEST: TimeDelta = TimeDelta::minutes(45);

/// The longest client state.
const LONGEST_STATE: usize = 128;

/// Of more at once nothing single is told any more.
/// <https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/2760>
const BURST: usize = 25;

const PROPERTIES: [&str; 13] = [
    "id",
    "changeType",
    "clientState",
    "notificationUrl",
    "lifecycleNotificationUrl",
    "resource",
    "expirationDateTime",
    "latestSupportedTlsVersion",
    "includeResourceData",
    "encryptionCertificate",
    "encryptionCertificateId",
    "notificationQueryOptions",
    "notificationUrlAppId",
];

const TYPE: &str = "microsoft.graph.subscription";

/// A subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    id: String,
    /// Who made it.
    client_id: String,
    account: String,
    /// As it was asked for.
    resource: String,
    changes: Vec<String>,
    url: Url,
    lifecycle_url: Option<Url>,
    state: Option<String>,
    expires: DateTime<Utc>,
    /// Whose mailbox, and which folder of it.
    mailbox: String,
    folder: Option<String>,
    immutable_ids: bool,
    /// Up to where everything is told.
    told: usize,
}

/// What becomes of a subscription by the service's will: see [`Emulator::lifecycle_event`].
/// <https://learn.microsoft.com/graph/change-notifications-lifecycle-events>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifecycleEvent {
    /// It ends unless it is renewed, whatever its end.
    ReauthorizationRequired,
    /// It is gone.
    SubscriptionRemoved,
    /// Something happened and was not told.
    Missed,
}

impl LifecycleEvent {
    fn name(self) -> &'static str {
        match self {
            Self::ReauthorizationRequired => "reauthorizationRequired",
            Self::SubscriptionRemoved => "subscriptionRemoved",
            Self::Missed => "missed",
        }
    }
}

/// Below `/subscriptions`.
pub(crate) fn route(call: &Call<'_>) -> Answer {
    forget_expired(call.state, &mut call.state.world());
    let rest: Vec<&str> = call.segments.iter().skip(1).map(String::as_str).collect();
    let method = call.method.clone();
    match (method, rest.as_slice()) {
        (Method::GET, []) => list(call),
        (Method::POST, []) => prepare(call),
        (Method::GET, [id]) => {
            call.no_query()?;
            let subscription = own(call, id)?;
            Ok(Reply::json(with_context(call, show(&subscription, false))))
        }
        (Method::PATCH, [id]) => update(call, id),
        (Method::DELETE, [id]) => {
            own(call, id)?;
            let mut world = call.state.world();
            world.subscriptions.retain(|known| known.id != *id);
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        (Method::POST, [id, action]) if action.eq_ignore_ascii_case("reauthorize") => {
            own(call, id)?;
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        (_, [] | [_]) => Err(GraphError::method_not_allowed()),
        (_, [.., last]) => Err(GraphError::no_such_segment(last)),
    }
}

fn is_own(call: &Call<'_>, subscription: &Subscription) -> bool {
    subscription.client_id == call.grant.client_id && subscription.account == call.grant.account
}

fn own(call: &Call<'_>, id: &str) -> Result<Subscription, GraphError> {
    let world = call.state.world();
    let mut known = world.subscriptions.iter();
    let found = known.find(|known| known.id == id && is_own(call, known));
    found.cloned().ok_or_else(|| {
        GraphError::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            "The object was not found.",
        )
    })
}

fn list(call: &Call<'_>) -> Answer {
    call.no_query()?;
    let world = call.state.world();
    let own = world.subscriptions.iter().filter(|one| is_own(call, one));
    let shown: Vec<Map<String, Value>> = own.map(|one| show(one, false)).collect();
    let context = call.url("$metadata#subscriptions");
    Ok(Reply::json(
        json!({"@odata.context": context, "value": shown}),
    ))
}

/// What a subscription looks like. Its client state is told to whoever makes it, and never again.
fn show(subscription: &Subscription, is_new: bool) -> Map<String, Value> {
    let state = subscription.state.as_ref().filter(|_| is_new);
    let shown = json!({
        "id": subscription.id,
        "resource": subscription.resource,
        "applicationId": subscription.client_id,
        "changeType": subscription.changes.join(","),
        "clientState": state,
        "notificationUrl": subscription.url.as_str(),
        "notificationQueryOptions": null,
        "lifecycleNotificationUrl": subscription.lifecycle_url.as_ref().map(Url::as_str),
        "expirationDateTime": instant(subscription.expires),
        "creatorId": subscription.account,
        "includeResourceData": null,
        "latestSupportedTlsVersion": "v1_2",
        "encryptionCertificate": null,
        "encryptionCertificateId": null,
        "notificationUrlAppId": null,
    });
    match shown {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn with_context(call: &Call<'_>, mut shown: Map<String, Value>) -> Value {
    let context = call.url("$metadata#subscriptions/$entity");
    shown.insert("@odata.context".to_owned(), json!(context));
    Value::Object(shown)
}

fn instant(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> GraphError {
    GraphError::bad_request("InvalidRequest", message)
}

/// Reads what is asked for. The addresses are still to be asked.
fn prepare(call: &Call<'_>) -> Answer {
    call.need_read()?;
    call.no_query()?;
    let body = call.json()?;
    only_fields(&body, &PROPERTIES, TYPE)?;
    let required = |name: &'static str| {
        text_field(&body, name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| refused(format!("'{name}' is a required property.")))
    };
    for rich in ["encryptionCertificate", "encryptionCertificateId"] {
        if field(&body, rich).is_some() {
            return Err(refused("Resource data is not supported for this resource."));
        }
    }
    let changes = required("changeType")?;
    let changes: Vec<String> = changes
        .split(',')
        .map(|change| change.trim().to_ascii_lowercase())
        .collect();
    if let Some(unknown) = changes
        .iter()
        .find(|change| !["created", "updated", "deleted"].contains(&change.as_str()))
    {
        return Err(refused(format!(
            "Subscription change type '{unknown}' is not supported."
        )));
    }
    let state = text_field(&body, "clientState")?;
    let is_long = |state: &String| state.chars().count() > LONGEST_STATE;
    if state.as_ref().is_some_and(is_long) {
        return Err(refused(
            "clientState must not have more than 128 characters.",
        ));
    }
    let address = |text: &str| {
        let url = Url::parse(text).ok();
        // The services post over HTTPS only; here it is this machine and nothing else.
        url.filter(|url| url.scheme() == "https" || push::is_near(url))
            .ok_or_else(|| refused("The notification URL must be a valid URL with HTTPS."))
    };
    let url = address(&required("notificationUrl")?)?;
    let lifecycle_url = text_field(&body, "lifecycleNotificationUrl")?;
    let lifecycle_url = lifecycle_url.as_deref().map(address).transpose()?;
    let resource = required("resource")?;
    let (mailbox, folder) = watched(call, &resource)?;
    let expires = expiration(call, &body)?
        .ok_or_else(|| refused("'expirationDateTime' is a required property."))?;
    let mut world = call.state.world();
    let told = world
        .outlook(&mailbox)
        .map_or(0, |(mailbox, _)| mailbox.journal.steps());
    let subscription = Subscription {
        id: world.guid(),
        client_id: call.grant.client_id.clone(),
        account: call.grant.account.clone(),
        resource,
        changes,
        url,
        lifecycle_url,
        state,
        expires,
        mailbox,
        folder,
        immutable_ids: call.prefer.immutable_ids,
        told,
    };
    refuse_second(&world, &subscription)?;
    Ok(Reply {
        status: StatusCode::CREATED,
        headers: Vec::new(),
        body: ReplyBody::Handshake(Box::new(subscription)),
    })
}

/// <https://learn.microsoft.com/graph/change-notifications-overview#duplicate-subscriptions>
fn refuse_second(world: &World, new: &Subscription) -> Result<(), GraphError> {
    let alike = |known: &&Subscription| {
        known.client_id == new.client_id
            && known.account == new.account
            && (&known.mailbox, &known.folder) == (&new.mailbox, &new.folder)
            && known.changes == new.changes
    };
    match world.subscriptions.iter().find(alike) {
        None => Ok(()),
        Some(known) => Err(GraphError::new(
            StatusCode::CONFLICT,
            "ExtensionError",
            format!(
                "Subscription Id {} already exists for the requested combination",
                known.id
            ),
        )),
    }
}

/// Asks the addresses of a subscription whether they want to be told, and makes it if they do.
pub(crate) async fn finish(state: &State, subscription: Subscription) -> Answer {
    let addresses = [Some(&subscription.url), subscription.lifecycle_url.as_ref()];
    for address in addresses.into_iter().flatten() {
        ask(state, address).await?;
    }
    let mut world = state.world();
    refuse_second(&world, &subscription)?;
    let mut shown = show(&subscription, true);
    world.subscriptions.push(subscription);
    drop(world);
    let context = format!(
        "{}v1.0/$metadata#subscriptions/$entity",
        state.microsoft.base_url
    );
    shown.insert("@odata.context".to_owned(), json!(context));
    Ok(Reply::created(Value::Object(shown)))
}

/// <https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#notificationurl-validation>
async fn ask(state: &State, url: &Url) -> Result<(), GraphError> {
    let token = {
        let mut world = state.world();
        format!(
            "Validation: Testing client application reachability for subscription Request-Id: {}",
            world.guid()
        )
    };
    let mut asked = url.clone();
    asked
        .query_pairs_mut()
        .append_pair("validationToken", &token);
    let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
    let Some(answer) = push::send(&asked, headers, String::new()).await else {
        return Err(GraphError::bad_request(
            "ValidationError",
            "Subscription validation request timed out.",
        ));
    };
    let kind = answer.content_type.split(';').next().unwrap_or_default();
    let is_text = kind.trim().eq_ignore_ascii_case("text/plain");
    if answer.status != StatusCode::OK || !is_text || answer.body != token.as_bytes() {
        return Err(GraphError::bad_request(
            "ValidationError",
            "Subscription validation request failed. Notification endpoint must respond with 200 OK to validation request.",
        ));
    }
    Ok(())
}

/// Whose mailbox a resource names, and which folder of it.
fn watched(call: &Call<'_>, resource: &str) -> Result<(String, Option<String>), GraphError> {
    let segments = super::segments(resource)?;
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    let unknown = || {
        refused(format!(
            "Subscription to resource '{resource}' is not supported."
        ))
    };
    let (user, rest) = match words.as_slice() {
        [me, rest @ ..] if me.eq_ignore_ascii_case("me") => (None, rest),
        [users, id, rest @ ..] if users.eq_ignore_ascii_case("users") => (Some(*id), rest),
        _ => return Err(unknown()),
    };
    let folder = match rest {
        [last] if last.eq_ignore_ascii_case("messages") => None,
        [folders, id, last]
            if folders.eq_ignore_ascii_case("mailFolders")
                && last.eq_ignore_ascii_case("messages") =>
        {
            Some(*id)
        }
        _ => return Err(unknown()),
    };
    let mailbox = match user {
        None if call.grant.account == APPLICATION => {
            return Err(refused(
                "/me request is only valid with delegated authentication flow.",
            ));
        }
        None => call.grant.account.clone(),
        Some(id) => super::user::resolve(call.state, &call.grant, id, false)?,
    };
    // <https://learn.microsoft.com/graph/outlook-change-notifications-overview>
    if call.grant.account != APPLICATION && mailbox != call.grant.account {
        return Err(GraphError::forbidden());
    }
    let mut world = call.state.world();
    let (known, _) = world.outlook(&mailbox).ok_or_else(GraphError::forbidden)?;
    let folder = match folder {
        None => None,
        Some(id) => {
            let folder = known.folder(id).ok_or_else(GraphError::folder_not_found)?;
            Some(folder.id.clone())
        }
    };
    Ok((mailbox, folder))
}

fn expiration(
    call: &Call<'_>,
    body: &Map<String, Value>,
) -> Result<Option<DateTime<Utc>>, GraphError> {
    let Some(text) = text_field(body, "expirationDateTime")? else {
        return Ok(None);
    };
    let expires = DateTime::parse_from_rfc3339(&text)
        .map_err(|_| super::call::wrong_type("expirationDateTime"))?
        .to_utc();
    let now = call.state.clock.now();
    let longest = call.state.settings.longest_subscription;
    if expires <= now {
        return Err(refused(
            "Subscription expirationDateTime cannot be in the past.",
        ));
    }
    if (expires - now).to_std().is_ok_and(|life| life > longest) {
        return Err(GraphError::bad_request(
            "ErrorInvalidParameter",
            format!(
                "Subscription expiration can only be {} minutes in the future.",
                longest.as_secs() / 60
            ),
        ));
    }
    Ok(Some(expires.max(now + SHORTEST)))
}

fn update(call: &Call<'_>, id: &str) -> Answer {
    call.no_query()?;
    own(call, id)?;
    let body = call.json()?;
    only_fields(&body, &["expirationDateTime"], TYPE)?;
    let expires = expiration(call, &body)?
        .ok_or_else(|| refused("'expirationDateTime' is a required property."))?;
    let mut world = call.state.world();
    let known = world.subscriptions.iter_mut().find(|known| known.id == id);
    let known = known.ok_or_else(GraphError::item_not_found)?;
    known.expires = expires;
    let shown = show(known, false);
    Ok(Reply::json(with_context(call, shown)))
}

fn forget_expired(state: &State, world: &mut World) {
    let now = state.clock.now();
    world.subscriptions.retain(|known| known.expires > now);
}

/// Tells subscribers what happened since it was last looked.
pub(crate) fn collect(state: &State) {
    let mut world = state.world();
    forget_expired(state, &mut world);
    let mut told: Vec<(Url, Vec<Value>)> = Vec::new();
    let mut subscriptions = std::mem::take(&mut world.subscriptions);
    for subscription in &mut subscriptions {
        let tenant = world.account(&subscription.mailbox);
        let (tenant, subject) = tenant
            .map(|account| (account.tenant, account.subject.clone()))
            .unwrap_or_default();
        let Some((mailbox, _)) = world.outlook(&subscription.mailbox) else {
            continue;
        };
        let after = std::mem::replace(&mut subscription.told, mailbox.journal.steps());
        let happened: Vec<(&str, String)> = mailbox
            .journal
            .all_since(after)
            .filter(|event| {
                let folder = subscription.folder.as_ref();
                folder.is_none_or(|folder| event.is_in(folder))
            })
            .filter_map(|event| {
                let change = match event.kind {
                    Kind::Entered => "created",
                    Kind::Changed(_) => "updated",
                    Kind::Left => "deleted",
                };
                let id = match subscription.immutable_ids {
                    true => event.immutable_id.clone(),
                    false => event.id.clone(),
                };
                let wanted = subscription.changes.iter().any(|known| known == change);
                wanted.then_some((change, id))
            })
            .collect();
        if happened.len() > BURST
            && let Some(url) = subscription.lifecycle_url.clone()
        {
            let item = lifecycle(subscription, tenant, LifecycleEvent::Missed);
            add(&mut told, url, item);
            continue;
        }
        for (change, id) in happened.into_iter().take(BURST) {
            let path = format!("Users/{subject}/Messages/{id}");
            let item = json!({
                "subscriptionId": subscription.id,
                "subscriptionExpirationDateTime": instant(subscription.expires),
                "changeType": change,
                "resource": path,
                "resourceData": {
                    "@odata.type": "#Microsoft.Graph.Message",
                    "@odata.id": path,
                    "@odata.etag": "W/\"CQAAABYAAAA\"",
                    "id": id,
                },
                "clientState": subscription.state,
                "tenantId": tenant,
            });
            add(&mut told, subscription.url.clone(), item);
        }
    }
    world.subscriptions = subscriptions;
    drop(world);
    for (url, items) in told {
        post(state, url, items);
    }
}

/// What goes to one address goes in one request, whosever it is.
fn add(told: &mut Vec<(Url, Vec<Value>)>, url: Url, item: Value) {
    match told.iter_mut().find(|(known, _)| *known == url) {
        Some((_, items)) => items.push(item),
        None => told.push((url, vec![item])),
    }
}

fn post(state: &State, url: Url, items: Vec<Value>) {
    state.push.post(Posting {
        url,
        headers: vec![("content-type", "application/json; charset=utf-8".to_owned())],
        body: json!({ "value": items }).to_string(),
    });
}

fn lifecycle(subscription: &Subscription, tenant: &str, event: LifecycleEvent) -> Value {
    json!({
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": instant(subscription.expires),
        "tenantId": tenant,
        "clientState": subscription.state,
        "lifecycleEvent": event.name(),
    })
}

/// Graph's subscriptions.
impl Emulator {
    /// Something becomes of every subscription to the mailbox of this account, and whoever asked for it is told. What is
    /// removed is gone also for those who did not ask.
    pub fn lifecycle_event(&self, address: &str, event: LifecycleEvent) {
        let mut told = Vec::new();
        let mut world = self.state.world();
        let tenant = world.account(address).map_or("", |account| account.tenant);
        world.subscriptions.retain(|known| {
            if !known.mailbox.eq_ignore_ascii_case(address) {
                return true;
            }
            if let Some(url) = known.lifecycle_url.clone() {
                told.push((url, lifecycle(known, tenant, event)));
            }
            event != LifecycleEvent::SubscriptionRemoved
        });
        drop(world);
        for (url, item) in told {
            post(&self.state, url, vec![item]);
        }
        self.state.push.stir();
    }

    /// How many subscriptions there are to the mailbox of this account, whoever made them.
    #[must_use]
    pub fn subscriptions(&self, address: &str) -> usize {
        let mut world = self.state.world();
        forget_expired(&self.state, &mut world);
        let known = world.subscriptions.iter();
        known
            .filter(|known| known.mailbox.eq_ignore_ascii_case(address))
            .count()
    }
}
