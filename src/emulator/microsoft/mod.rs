//! Microsoft Graph's mail API v1.0 over the mail world: from a request to an answer. `call` is one request,
//! `query` reads its options, the files named after resources do the work, `represent` says what a message
//! looks like and `compose` makes messages.

mod attachments;
mod batch;
mod call;
mod categories;
mod changes;
mod compose;
mod delta;
mod error;
mod filter;
mod folders;
mod html;
mod journal;
pub(crate) mod mailbox;
mod messages;
mod prefer;
mod properties;
mod query;
mod reply;
mod represent;
mod rules;
mod search;
mod send;
mod settings;
pub(crate) mod subscriptions;
mod upload;
mod user;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::Value;

use super::State;
use super::quota::{self, UnderWay};
use super::tokens::APPLICATION;
use call::{Answer, Call, Reply, ReplyBody, authenticate};
use error::GraphError;
use prefer::Prefer;

/// Everything below `/v1.0` and the upload sessions, and an error for everything else.
pub(crate) fn router(state: &Arc<State>) -> axum::Router {
    let state = Arc::clone(state);
    axum::Router::new().fallback(move |request: Request<Body>| {
        let state = Arc::clone(&state);
        async move { serve(&state, request).await }
    })
}

async fn serve(state: &State, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let under_way = parts
        .extensions
        .get::<UnderWay>()
        .map_or(1, |count| count.0);
    let answer = match to_bytes(body, usize::MAX).await {
        Ok(body) => match outer(state, &parts, body, under_way) {
            Ok(Reply {
                body: ReplyBody::Handshake(subscription),
                ..
            }) => subscriptions::finish(state, *subscription).await,
            answer => answer,
        },
        Err(_) => Err(GraphError::bad_request(
            "BadRequest",
            "The request ended early.",
        )),
    };
    let client_id = parts
        .headers
        .get("client-request-id")
        .and_then(|value| value.to_str().ok());
    write(state, answer, &Prefer::read(&parts.headers), client_id)
}

/// A request as it came over the network.
fn outer(state: &State, parts: &http::request::Parts, body: Bytes, under_way: usize) -> Answer {
    let path = parts.uri.path();
    if let Some(session) = path.strip_prefix("/attachment-upload/") {
        return upload::resume(state, &parts.method, session, &parts.headers, &body);
    }
    let Some(rest) = path.strip_prefix("/v1.0") else {
        // What is asked of the sign-in and is not there is no matter of Graph's.
        if path.split('/').nth(2) == Some("oauth2") {
            return Ok(Reply::empty(StatusCode::NOT_FOUND));
        }
        let version = path.split('/').nth(1).unwrap_or_default();
        return Err(GraphError::bad_request(
            "BadRequest",
            format!("Invalid version: {version}"),
        ));
    };
    let grant = authenticate(state, &parts.headers)?;
    // <https://learn.microsoft.com/en-us/graph/throttling-limits#outlook-service-limits>
    if state.settings.quota && under_way > quota::OUTLOOK.concurrent {
        return Err(GraphError::throttled());
    }
    if rest == "/$batch" {
        return batch::answer(state, &parts.method, &parts.headers, &body, &grant);
    }
    let query = parts.uri.query().unwrap_or_default();
    inner(
        state,
        &parts.method,
        rest,
        query,
        &parts.headers,
        body,
        &grant,
    )
}

/// A request alone or inside a batch: the path is what follows `/v1.0`.
fn inner(
    state: &State,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: Bytes,
    grant: &super::tokens::Grant,
) -> Answer {
    if state.settings.quota {
        let now = state.clock.monotonic();
        let (limit, speed) = (quota::OUTLOOK, state.settings.quota_speed);
        if !state.quotas.spend(&grant.account, limit, speed, 1, now) {
            return Err(GraphError::throttled());
        }
    }
    if matches!(*method, Method::GET | Method::DELETE) && !body.is_empty() {
        return Err(GraphError::bad_request(
            "BadRequest",
            "The request must not have a body.",
        ));
    }
    let mut segments = segments(path)?;
    let user = segments.first().map(|word| word.to_ascii_lowercase());
    let address = match user.as_deref() {
        // <https://github.com/edmozley/freeitsm/issues/67>
        Some("me") if grant.account == APPLICATION => {
            return Err(GraphError::bad_request(
                "BadRequest",
                "/me request is only valid with delegated authentication flow.",
            ));
        }
        Some("me") => {
            segments.remove(0);
            grant.account.clone()
        }
        // They are of whoever asks, and name the mailbox themselves.
        Some("subscriptions") => grant.account.clone(),
        Some("users") if segments.len() > 1 => {
            let id = segments.remove(1);
            segments.remove(0);
            user::resolve(state, grant, &id, segments.is_empty())?
        }
        _ => {
            let segment = segments.first().map_or("", String::as_str);
            return Err(GraphError::no_such_segment(segment));
        }
    };
    let call = Call {
        state,
        method: method.clone(),
        raw_path: path,
        segments,
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers,
        body,
        address,
        grant: grant.clone(),
        prefer: Prefer::read(headers),
    };
    if user.as_deref() == Some("subscriptions") {
        return subscriptions::route(&call);
    }
    state.world().send_due();
    call.mailbox(|mailbox, random| {
        mailbox.advance(state.clock.now(), random);
        Ok(())
    })?;
    route(&call)
}

fn route(call: &Call<'_>) -> Answer {
    let (first, rest) = match call.segments.split_first() {
        None => return user::me(call),
        Some((first, rest)) => (first.to_ascii_lowercase(), rest),
    };
    // <https://github.com/microsoftgraph/msgraph-sdk-javascript/issues/1756>
    if call.state.settings.lacks_mailbox(&call.address) {
        return Err(GraphError::no_mailbox());
    }
    match first.as_str() {
        "messages" => messages::route(call, None, rest),
        "mailfolders" => folders::route(call, rest),
        "sendmail" if rest.is_empty() => send::send_mail(call),
        "outlook" => categories::route(call, rest),
        "mailboxsettings" => settings::route(call, rest),
        _ => Err(GraphError::no_such_segment(&first)),
    }
}

/// The path's segments, decoded. `messages('id')` is another way to write `messages/id`.
fn segments(path: &str) -> Result<Vec<String>, GraphError> {
    let mut segments = Vec::new();
    for segment in path
        .trim_matches('/')
        .split('/')
        .filter(|segment| !segment.is_empty())
    {
        let decoded = percent_decoded(segment)?;
        match decoded
            .strip_suffix("')")
            .and_then(|start| start.split_once("('"))
        {
            Some((name, key)) => {
                segments.push(name.to_owned());
                segments.push(key.replace("''", "'"));
            }
            None => segments.push(decoded),
        }
    }
    Ok(segments)
}

fn percent_decoded(segment: &str) -> Result<String, GraphError> {
    // A plus sign is itself in a path.
    let form = format!("v={}", segment.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(form.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.contains('\u{fffd}'))
        .ok_or_else(GraphError::malformed_id)
}

/// Puts an answer on the wire.
fn write(
    state: &State,
    answer: Answer,
    prefer: &Prefer,
    client_id: Option<&str>,
) -> Response<Body> {
    let request_id = state.world().guid();
    let client_id = client_id.unwrap_or(&request_id).to_owned();
    let failed = answer.is_err();
    let reply = finished(state, answer, &request_id, &client_id);
    let (kind, body) = match reply.body {
        ReplyBody::Empty | ReplyBody::Handshake(_) => (None, Body::empty()),
        ReplyBody::Json(value) => (
            Some(content_type(failed).to_owned()),
            Body::from(value.to_string()),
        ),
        ReplyBody::Bytes(kind, bytes) => (Some(kind), Body::from(bytes)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    let mut fields = reply.headers;
    if let Some(kind) = kind {
        fields.push(("content-type", kind));
    }
    if !failed && reply.status != StatusCode::NO_CONTENT {
        fields.extend(
            prefer
                .applied()
                .map(|applied| ("preference-applied", applied)),
        );
    }
    fields.push(("request-id", request_id));
    fields.push(("client-request-id", client_id));
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    let cache = HeaderValue::from_static("private");
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(cache);
    response
}

/// The answer, or the error as an answer.
fn finished(state: &State, answer: Answer, request_id: &str, client_id: &str) -> Reply {
    answer.unwrap_or_else(|error| Reply {
        status: error.status,
        body: ReplyBody::Json(error.to_json(state.clock.now(), request_id, client_id)),
        headers: error.headers,
    })
}

fn content_type(failed: bool) -> &'static str {
    if failed {
        "application/json"
    } else {
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    }
}

/// An answer inside a batch.
fn embedded(
    state: &State,
    answer: Answer,
    prefer: &Prefer,
) -> (StatusCode, Vec<(String, String)>, Option<Value>) {
    use base64::Engine as _;

    let request_id = state.world().guid();
    let failed = answer.is_err();
    // Asking the address takes a request of its own.
    let answer = answer.and_then(|reply| match reply.body {
        ReplyBody::Handshake(_) => Err(GraphError::bad_request(
            "BadRequest",
            "The emulator makes no subscriptions in batches.",
        )),
        _ => Ok(reply),
    });
    let failed = failed || answer.is_err();
    let reply = finished(state, answer, &request_id, &request_id);
    let mut headers: Vec<(String, String)> = reply
        .headers
        .into_iter()
        .map(|(name, value)| (title_case(name), value))
        .collect();
    if !failed {
        headers.extend(
            prefer
                .applied()
                .map(|applied| ("Preference-Applied".to_owned(), applied)),
        );
    }
    let body = match reply.body {
        ReplyBody::Empty | ReplyBody::Handshake(_) => None,
        ReplyBody::Json(value) => {
            headers.push(("Content-Type".to_owned(), content_type(failed).to_owned()));
            Some(value)
        }
        // What is not JSON travels as base64.
        // <https://learn.microsoft.com/en-us/graph/json-batching>
        ReplyBody::Bytes(kind, bytes) => {
            headers.push(("Content-Type".to_owned(), kind));
            let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
            Some(Value::String(encoded))
        }
    };
    (reply.status, headers, body)
}

fn title_case(name: &str) -> String {
    name.split('-')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{}{rest}", first.to_ascii_uppercase())
        })
        .collect::<Vec<_>>()
        .join("-")
}
