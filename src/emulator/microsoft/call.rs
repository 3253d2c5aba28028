//! One request to Graph, alone or inside a batch, with whose mailbox it is about; and the answer to it.
//! What an operation does is left to the files named after the resources.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::tokens::{APPLICATION, Grant};
use super::super::world::World;
use super::super::{State, server};
use super::error::GraphError;
use super::mailbox::OutlookMailbox;
use super::prefer::Prefer;
use super::subscriptions::Subscription;

/// A JSON body may not be longer.
/// <https://learn.microsoft.com/en-us/graph/outlook-large-attachments>
const MAXIMUM_BODY: usize = 4 * 1024 * 1024;

/// A request whose sender is known.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) method: Method,
    /// The path after `/v1.0` as sent, for links.
    pub(crate) raw_path: &'a str,
    /// The decoded segments after the user.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
    /// Whose mailbox.
    pub(crate) address: String,
    pub(crate) grant: Grant,
    pub(crate) prefer: Prefer,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: ReplyBody,
}

/// What an answer carries.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    Empty,
    Json(Value),
    /// Content type and bytes.
    Bytes(String, Bytes),
    /// Nothing yet: a subscription whose addresses are to be asked first.
    Handshake(Box<Subscription>),
}

pub(crate) type Answer = Result<Reply, GraphError>;

impl Reply {
    pub(crate) fn json(value: Value) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: ReplyBody::Json(value),
        }
    }

    pub(crate) fn created(value: Value) -> Self {
        Self {
            status: StatusCode::CREATED,
            ..Self::json(value)
        }
    }

    pub(crate) fn bytes(content_type: &str, bytes: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: ReplyBody::Bytes(content_type.to_owned(), bytes),
        }
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: ReplyBody::Empty,
        }
    }
}

/// Whose token a request carries.
pub(crate) fn authenticate(state: &State, headers: &HeaderMap) -> Result<Grant, GraphError> {
    let Some(token) = server::bearer(headers).filter(|token| !token.is_empty()) else {
        return Err(GraphError::unauthorized("Access token is empty."));
    };
    let mut world = state.world();
    let grant = world
        .tokens
        .bearer(token, state.clock.monotonic())
        .cloned()
        .ok_or_else(|| {
            GraphError::unauthorized("Lifetime validation failed, the token is expired.")
        })?;
    // A token of the other vendor is a token of no one here.
    let is_application =
        grant.account == APPLICATION && grant.client_id == state.microsoft.client_id;
    if !is_application && world.outlook(&grant.account).is_none() {
        let message = "CompactToken parsing failed with error code: 80049217";
        return Err(GraphError::unauthorized(message));
    }
    Ok(grant)
}

impl Call<'_> {
    /// Whether a user asks for another's mailbox.
    pub(crate) fn is_anothers(&self) -> bool {
        self.grant.account != APPLICATION && self.grant.account != self.address
    }

    /// Refuses a token that holds none of these permissions.
    pub(crate) fn need(&self, permissions: &[&str]) -> Result<(), GraphError> {
        // The user's own scopes open the user's own mailbox only.
        // <https://learn.microsoft.com/en-us/graph/outlook-share-messages-folders>
        let anothers = self.is_anothers();
        let held = permissions.iter().any(|permission| {
            if anothers && !permission.starts_with("User.") {
                let shared = format!("{permission}.Shared");
                self.grant.scopes.contains(&shared)
            } else {
                self.grant.scopes.contains(*permission)
            }
        });
        if held {
            Ok(())
        } else {
            Err(GraphError::forbidden())
        }
    }

    /// For reading whole messages.
    pub(crate) fn need_read(&self) -> Result<(), GraphError> {
        self.need(&["Mail.Read", "Mail.ReadWrite"])
    }

    /// For changing anything in the mailbox.
    pub(crate) fn need_write(&self) -> Result<(), GraphError> {
        self.need(&["Mail.ReadWrite"])
    }

    /// For sending.
    pub(crate) fn need_send(&self) -> Result<(), GraphError> {
        self.need(&["Mail.Send"])
    }

    /// Whether the token may read messages but not what they say.
    pub(crate) fn is_basic(&self) -> bool {
        self.need_read().is_err()
    }

    /// Works on the mailbox. The lock on the world is held so long.
    pub(crate) fn mailbox<T>(
        &self,
        work: impl FnOnce(&mut OutlookMailbox, &mut fastrand::Rng) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let mut world = self.state.world();
        self.mailbox_of(&mut world, work)
    }

    /// As [`Call::mailbox`], with the world in hand.
    pub(crate) fn mailbox_of<T>(
        &self,
        world: &mut World,
        work: impl FnOnce(&mut OutlookMailbox, &mut fastrand::Rng) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let (mailbox, random) = world
            .outlook(&self.address)
            .ok_or_else(GraphError::forbidden)?;
        work(mailbox, random)
    }

    /// The whole URL of a path after `/v1.0`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!(
            "{}v1.0/{}",
            self.state.microsoft.base_url,
            path.trim_start_matches('/')
        )
    }

    /// The `@odata.context` of an answer.
    pub(crate) fn context(&self, resource: &str) -> Value {
        let user: String = url::form_urlencoded::byte_serialize(self.address.as_bytes()).collect();
        json!(self.url(&format!("$metadata#users('{user}')/{resource}")))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the body is MIME, which goes as base64 in `text/plain`.
    /// <https://learn.microsoft.com/en-us/graph/outlook-send-mime-message>
    pub(crate) fn is_mime(&self) -> bool {
        self.content_type() == "text/plain"
    }

    fn content_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        let kind = value.split(';').next().unwrap_or_default();
        kind.trim().to_ascii_lowercase()
    }

    /// The body as a JSON object.
    pub(crate) fn json(&self) -> Result<Map<String, Value>, GraphError> {
        if self.body.len() > MAXIMUM_BODY {
            return Err(GraphError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                "Maximum request length exceeded.",
            ));
        }
        if self.content_type() != "application/json" {
            return Err(GraphError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                "A supported media type was not found for the request body.",
            ));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(GraphError::bad_request(
                "BadRequest",
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of \
                 valid JSON format.",
            )),
        }
    }

    /// The body as a JSON object, or nothing where there is no body.
    pub(crate) fn optional_json(&self) -> Result<Map<String, Value>, GraphError> {
        if self.body.is_empty() {
            Ok(Map::new())
        } else {
            self.json()
        }
    }

    /// Refuses every query option: the operation takes none.
    pub(crate) fn no_query(&self) -> Result<(), GraphError> {
        match self.query.first() {
            None => Ok(()),
            Some((name, _)) => Err(unsupported_option(name)),
        }
    }
}

pub(crate) fn unsupported_option(name: &str) -> GraphError {
    GraphError::query(format!("The query parameter '{name}' is not supported."))
}

/// The value of a JSON object under a name, whatever the name's case: Graph reads names so.
pub(crate) fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .iter()
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
        .filter(|value| !value.is_null())
}

/// Refuses names that an object does not have. Annotations are everywhere.
pub(crate) fn only_fields(
    object: &Map<String, Value>,
    names: &[&str],
    what: &str,
) -> Result<(), GraphError> {
    for name in object.keys() {
        let known =
            name.contains('@') || names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !known {
            return Err(GraphError::body(format!(
                "The property '{name}' does not exist on type '{what}'. Make sure to only use property names that \
                 are defined by the type or mark the type as open type."
            )));
        }
    }
    Ok(())
}

/// A text field.
pub(crate) fn text_field(
    object: &Map<String, Value>,
    name: &str,
) -> Result<Option<String>, GraphError> {
    match field(object, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong_type(name)),
    }
}

pub(crate) fn wrong_type(name: &str) -> GraphError {
    GraphError::body(format!(
        "Cannot convert the value of the property '{name}' to the expected type."
    ))
}
