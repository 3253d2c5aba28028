//! Gmail's REST API v1 over the mail world: from a request to an answer. `method` lists what there is,
//! `call` holds requests against it, the files named after the API's resources do the work.

pub(crate) mod authors;
mod batch;
mod call;
mod drafts;
mod error;
mod fields;
mod history;
mod insertion;
mod labels;
mod listing;
pub(crate) mod mailbox;
mod messages;
mod method;
mod multipart;
mod palette;
mod profile;
mod rendering;
mod schema;
mod search;
mod search_terms;
mod sending;
mod settings;
mod threads;
mod upload;
pub(crate) mod watch;

pub(crate) use self::upload::Uploads;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, header};
use serde_json::Value;

use self::call::{Call, Route};
use self::error::{Failure, malformed, nowhere};
use self::fields::Selection;
use super::State;
use super::quota::UnderWay;

const VARY: http::HeaderValue = http::HeaderValue::from_static("Origin, X-Origin, Referer");

/// Everything below `/gmail`, `/upload/gmail` and `/batch`, and Google's page for everything else.
pub(crate) fn router(state: &Arc<State>) -> axum::Router {
    let state = Arc::clone(state);
    axum::Router::new().fallback(move |request: Request<Body>| {
        let state = Arc::clone(&state);
        async move { serve(&state, request).await }
    })
}

async fn serve(state: &State, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return malformed();
    };
    let under_way = parts
        .extensions
        .get::<UnderWay>()
        .map_or(1, |under_way| under_way.0);
    if matches!(parts.uri.path(), "/batch" | "/batch/gmail/v1")
        && parts.method == http::Method::POST
    {
        return batch::answer(state, &parts, &body, under_way);
    }
    answer(state, &parts, &body, under_way)
}

/// One call, alone or inside a batch.
fn answer(state: &State, parts: &Parts, body: &Bytes, under_way: usize) -> Response<Body> {
    let path = parts.uri.path();
    let verb = parts.method.as_str();
    let is_pretty = !parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .any(|pair| pair == "prettyPrint=false");
    if let Some(upload_id) = upload::session_id(&parts.uri) {
        return upload::resume(state, &upload_id, parts, body)
            .unwrap_or_else(|failure| failure.into_response(is_pretty));
    }
    let Some(route) = Route::find(verb, path) else {
        return nowhere(path);
    };
    if matches!(verb, "GET" | "DELETE") && !body.is_empty() {
        return malformed();
    }
    let result = if route.is_upload {
        upload::start(state, route, parts, body, under_way)
    } else {
        plain(state, route, parts, body, under_way)
    };
    result.unwrap_or_else(|failure| failure.into_response(is_pretty))
}

fn plain(
    state: &State,
    route: Route,
    parts: &Parts,
    body: &Bytes,
    under_way: usize,
) -> Result<Response<Body>, Failure> {
    // What simple requests may carry is not published; uploads are advised from 5 MB on:
    // https://developers.google.com/workspace/gmail/api/guides/uploads
    const MAXIMUM_JSON: usize = 5 * 1024 * 1024;
    let mut call = Call::open(state, route, parts, under_way)?;
    if body.len() > MAXIMUM_JSON {
        return Err(Failure::bad_request(format!(
            "Request payload size exceeds the limit: {MAXIMUM_JSON} bytes."
        )));
    }
    call.read_json(&parts.headers, body)?;
    finish(&call)
}

/// Lets the method answer and puts its answer on the wire.
fn finish(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let selection = match (call.parameter("fields"), call.method.response) {
        (Some(fields), Some(schema)) => Some(Selection::read(fields, schema)?),
        _ => None,
    };
    let Some(value) = (call.method.answer)(call)? else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        // Google's own Python client reads no answer inside a batch that has no header at all.
        response.headers_mut().insert(header::VARY, VARY);
        return Ok(response);
    };
    let value = match selection {
        Some(selection) => selection.apply(value),
        None => value,
    };
    Ok(json_response(
        &value,
        call.parameter("prettyPrint") != Some("false"),
    ))
}

/// An answer in JSON: indented unless asked otherwise.
fn json_response(value: &Value, pretty: bool) -> Response<Body> {
    let text = if pretty {
        format!("{value:#}\n")
    } else {
        value.to_string()
    };
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json; charset=UTF-8"),
    );
    headers.insert(header::VARY, VARY);
    response
}
