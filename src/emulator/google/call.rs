//! One call of a method: the request held against the method's description, and what the method may
//! ask of it. Paths, tokens, parameters, scopes, quota and bodies are refused here, so that the methods
//! deal with mail only.

use std::collections::BTreeSet;

use base64::Engine as _;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::super::quota::GMAIL;
use super::super::server::bearer;
use super::super::tokens::{APPLICATION, Grant};
use super::super::world::World;
use super::super::{State, quota};
use super::error::Failure;
use super::mailbox::GmailMailbox;
use super::method::{COMMON, METADATA, METHODS, Method, ParameterKind};
use super::schema::{BASE64, EMPTY, invalid_value, snake_case};

/// A path that leads to a method.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static Method,
    pub(crate) is_upload: bool,
    values: Vec<(&'static str, String)>,
}

/// A request that a method can answer.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) method: &'static Method,
    /// The address of the mailbox.
    pub(crate) account: String,
    /// What the token allows.
    scopes: BTreeSet<String>,
    values: Vec<(&'static str, String)>,
    query: Vec<(String, String)>,
    /// The JSON body; empty if there was none.
    pub(crate) body: Map<String, Value>,
    /// The message that came as an upload.
    pub(crate) media: Option<Bytes>,
}

impl Route {
    /// What the verb and path mean, uploads included.
    pub(crate) fn find(verb: &str, path: &str) -> Option<Self> {
        let (is_upload, path) = match path
            .strip_prefix("/resumable/upload/")
            .or_else(|| path.strip_prefix("/upload/"))
        {
            Some(rest) => (true, rest),
            None => (false, path.strip_prefix('/')?),
        };
        let path = path.strip_prefix("gmail/v1/users/")?;
        let segments: Vec<&str> = path.split('/').collect();
        METHODS
            .iter()
            .filter(|method| method.verb == verb && (!is_upload || method.upload.is_some()))
            .find_map(|method| {
                let values = values(method.path, &segments)?;
                Some(Self {
                    method,
                    is_upload,
                    values,
                })
            })
    }
}

/// What the placeholders of a method's path stand for in this one, if they match.
fn values(template: &'static str, segments: &[&str]) -> Option<Vec<(&'static str, String)>> {
    let mut values = vec![("userId", decode(segments.first()?)?)];
    let wanted: Vec<&'static str> = template.split('/').skip(1).collect();
    if wanted.len() + 1 != segments.len() {
        return None;
    }
    for (wanted, segment) in wanted.iter().zip(segments.iter().skip(1)) {
        match wanted
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(name) if !segment.is_empty() => values.push((name, decode(segment)?)),
            None if wanted == segment => {}
            _ => return None,
        }
    }
    Some(values)
}

fn decode(segment: &str) -> Option<String> {
    percent_decode_str(segment)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

/// Who asks, judging by the header.
pub(crate) fn grant(state: &State, headers: &HeaderMap) -> Result<Grant, Failure> {
    let token = bearer(headers).ok_or_else(Failure::login_required)?;
    let world = state.world();
    // A service account has no mailbox of its own. <https://github.com/googleapis/google-cloud-php/issues/5988>
    let known = world.tokens.bearer(token, state.clock.monotonic());
    if known.is_some_and(|grant| {
        grant.account == APPLICATION && grant.client_id != state.microsoft.client_id
    }) {
        return Err(Failure::failed_precondition("Precondition check failed."));
    }
    world
        .tokens
        .bearer(token, state.clock.monotonic())
        .filter(|grant| {
            // A token of the other vendor is worth nothing here.
            let account = world.account(&grant.account);
            account.is_some_and(|account| account.vendor() == super::super::Vendor::Google)
        })
        .cloned()
        .ok_or_else(Failure::invalid_credentials)
}

impl<'a> Call<'a> {
    /// Holds a request against its method. The body is still to be read.
    pub(crate) fn open(
        state: &'a State,
        route: Route,
        parts: &Parts,
        under_way: usize,
    ) -> Result<Self, Failure> {
        let grant = grant(state, &parts.headers)?;
        let query = read_query(parts.uri.query().unwrap_or_default(), route.method)?;
        let accepted = route.method.scopes;
        if !accepted.iter().any(|scope| grant.scopes.contains(*scope)) {
            return Err(Failure::insufficient_scope(accepted));
        }
        // <https://github.com/FlowCrypt/flowcrypt-browser/issues/435>
        if state.settings.lacks_mailbox(&grant.account) {
            return Err(Failure::failed_precondition("Mail service not enabled"));
        }
        if state.settings.quota {
            charge(state, &grant.account, route.method.units, under_way)?;
        }
        let call = Self {
            state,
            method: route.method,
            account: grant.account,
            scopes: grant.scopes,
            values: route.values,
            query,
            body: Map::new(),
            media: None,
        };
        let user = call.value("userId");
        if user != "me" && !user.eq_ignore_ascii_case(&call.account) {
            return Err(Failure::delegation_denied(user));
        }
        Ok(call)
    }

    /// The same request once more, which was held against its method before: the end of an upload.
    pub(crate) fn reopen(
        state: &'a State,
        route: Route,
        parts: &Parts,
        grant: Grant,
    ) -> Result<Self, Failure> {
        Ok(Self {
            state,
            method: route.method,
            account: grant.account,
            scopes: grant.scopes,
            values: route.values,
            query: read_query(parts.uri.query().unwrap_or_default(), route.method)?,
            body: Map::new(),
            media: None,
        })
    }

    /// Reads the JSON body.
    pub(crate) fn read_json(&mut self, headers: &HeaderMap, body: &[u8]) -> Result<(), Failure> {
        let schema = self.method.request.unwrap_or(&EMPTY);
        if body.is_empty() {
            return Ok(());
        }
        let content_type = media_type(headers);
        if content_type != "application/json" {
            return Err(Failure::bad_content(&content_type));
        }
        let value: Value = serde_json::from_slice(body).map_err(|_| {
            Failure::parse_error("Invalid JSON payload received. Unexpected token.")
        })?;
        let Value::Object(object) = value else {
            return Err(Failure::parse_error(
                "Invalid JSON payload received. Expected an object.",
            ));
        };
        schema.check(&object, "")?;
        self.body = object;
        Ok(())
    }

    /// What stands in the path for a placeholder.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.values
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn parameters(&self, name: &str) -> Vec<&str> {
        self.query
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.parameter(name) == Some("true")
    }

    /// Whether `gmail.metadata` is among the scopes: then its restrictions hold, whatever else is
    /// there, as reported of the real service.
    pub(crate) fn is_metadata_only(&self) -> bool {
        self.scopes.contains(METADATA)
    }

    /// A list of texts in the body.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.body
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// Works on the caller's mailbox.
    pub(crate) fn with_mailbox<T>(
        &self,
        work: impl FnOnce(&mut GmailMailbox, &mut fastrand::Rng) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut world = self.state.world();
        let (mailbox, random) = world
            .gmail(&self.account)
            .ok_or_else(|| Failure::failed_precondition("Mail service not enabled"))?;
        work(mailbox, random)
    }

    /// Works on the whole world: for what reaches other mailboxes.
    pub(crate) fn with_world<T>(
        &self,
        work: impl FnOnce(&mut World) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        work(&mut self.state.world())
    }

    /// The message in the request: the upload, or `raw` in this object.
    pub(crate) fn message(&self, object: &Map<String, Value>) -> Result<Bytes, Failure> {
        if let Some(media) = &self.media {
            return Ok(media.clone());
        }
        object
            .get("raw")
            .and_then(Value::as_str)
            .and_then(|raw| BASE64.decode(raw).ok())
            .filter(|raw| !raw.is_empty())
            .map(Bytes::from)
            .ok_or_else(|| {
                Failure::invalid_argument(
                    "'raw' RFC822 payload message string or uploading message via /upload/* URL \
                     required",
                )
            })
    }
}

/// Takes a call's cost from the user's units, and counts it among what is under way.
pub(crate) fn charge(
    state: &State,
    account: &str,
    units: u32,
    under_way: usize,
) -> Result<(), Failure> {
    let quota::Limit { concurrent, .. } = GMAIL;
    if under_way > concurrent {
        return Err(Failure::too_many_concurrent());
    }
    let now = state.clock.monotonic();
    let speed = state.settings.quota_speed;
    if state.quotas.spend(account, GMAIL, speed, units, now) {
        Ok(())
    } else {
        Err(Failure::quota_exceeded())
    }
}

/// The `Content-Type` without parameters, lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_lowercase())
        .unwrap_or_default()
}

/// Reads the query and refuses what the method does not take.
fn read_query(query: &str, method: &Method) -> Result<Vec<(String, String)>, Failure> {
    let mut read: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some((_, kind)) = method
            .parameters
            .iter()
            .chain(COMMON)
            .find(|(known, _)| *known == name)
        else {
            return Err(Failure::invalid_payload(
                &name,
                format!(
                    "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query \
                     parameter. Field '{name}' could not be found in request message."
                ),
            ));
        };
        let is_known = read.iter().any(|(known, _)| *known == name);
        if is_known && !kind.repeats() {
            return Err(Failure::invalid_payload(
                &name,
                format!(
                    "Invalid value at '{}', Proto field is not repeating, cannot start list.",
                    snake_case(&name)
                ),
            ));
        }
        let value = checked(&name, &value, kind)?;
        read.push((name.into_owned(), value));
    }
    Ok(read)
}

fn checked(name: &str, value: &str, kind: &ParameterKind) -> Result<String, Failure> {
    let at = snake_case(name);
    let quoted = format!("\"{value}\"");
    match kind {
        ParameterKind::Text | ParameterKind::Texts => Ok(value.to_owned()),
        ParameterKind::Boolean if matches!(value, "true" | "false") => Ok(value.to_owned()),
        ParameterKind::Boolean => Err(invalid_value(&at, "TYPE_BOOL", &quoted)),
        ParameterKind::Unsigned if value.parse::<u32>().is_ok() => Ok(value.to_owned()),
        ParameterKind::Unsigned => Err(invalid_value(&at, "TYPE_UINT32", &quoted)),
        ParameterKind::Long if value.parse::<u64>().is_ok() => Ok(value.to_owned()),
        ParameterKind::Long => Err(invalid_value(&at, "TYPE_UINT64", &quoted)),
        // Enumerations are taken in any case.
        ParameterKind::OneOf(known) | ParameterKind::AnyOf(known) => known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(value))
            .map(|known| (*known).to_owned())
            .ok_or_else(|| invalid_value(&at, "TYPE_ENUM", &quoted)),
    }
}
