//! Many calls in one request. Each is answered for itself: the batch succeeds though every call fails.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/batch>

use std::str::FromStr as _;

use axum::body::{Body, to_bytes};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{HeaderName, Method, Response, Uri, header};

use super::super::fault::FaultKind;
use super::super::server::scripted;
use super::super::{State, Vendor};
use super::call::grant;
use super::error::Failure;
use super::multipart::{Piece, boundary, piece, pieces};

/// More calls are refused as a whole.
const MAXIMUM_CALLS: usize = 100;

/// Answers every call of a batch.
pub(crate) fn answer(
    state: &State,
    parts: &Parts,
    body: &Bytes,
    under_way: usize,
) -> Response<Body> {
    match run(state, parts, body, under_way) {
        Ok(response) => response,
        Err(failure) => failure.into_response(true),
    }
}

fn run(
    state: &State,
    outer: &Parts,
    body: &Bytes,
    under_way: usize,
) -> Result<Response<Body>, Failure> {
    grant(state, &outer.headers)?;
    let boundary = boundary(&outer.headers, "mixed").ok_or_else(|| {
        Failure::bad_request(
            "Failed to parse batch request, error: Content-Type is not multipart/mixed with a \
             boundary.",
        )
    })?;
    let calls = pieces(body, &boundary)
        .filter(|calls| !calls.is_empty())
        .ok_or_else(|| Failure::bad_request("Failed to parse batch request, error: 0 items."))?;
    if calls.len() > MAXIMUM_CALLS {
        return Err(Failure::bad_request(format!(
            "Inner request count exceeds the limit. Received: {}, Limit: {MAXIMUM_CALLS}",
            calls.len()
        )));
    }
    // Calls run at once and finish in no order that a client may rely on; all of them count as under
    // way, which is why large batches are refused in part.
    let mut order: Vec<usize> = (0..calls.len()).collect();
    state.world().random.shuffle(&mut order);
    let mut answers: Vec<Option<Response<Body>>> = Vec::new();
    answers.resize_with(calls.len(), || None);
    for (already, index) in order.into_iter().enumerate() {
        if let (Some(call), Some(answer)) = (calls.get(index), answers.get_mut(index)) {
            *answer = Some(inner(state, outer, call, under_way + already));
        }
    }
    let boundary = format!("batch_{}", state.world().opaque(32));
    let mut text = BytesMut::new();
    for (call, answer) in calls.iter().zip(answers) {
        text.put(format!("--{boundary}\r\nContent-Type: application/http\r\n").as_bytes());
        if let Some(id) = call.headers.get("content-id") {
            let id = String::from_utf8_lossy(id.as_bytes());
            let id = id.trim_start_matches('<').trim_end_matches('>');
            text.put(format!("Content-ID: <response-{id}>\r\n").as_bytes());
        }
        text.put(&b"\r\n"[..]);
        if let Some(answer) = answer {
            write_response(&mut text, answer);
        }
        text.put(&b"\r\n"[..]);
    }
    text.put(format!("--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/mixed; boundary={boundary}");
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(text.freeze()))
        .map_err(|_| Failure::bad_request("Failed to parse batch request."))
}

/// The answer to one call.
fn inner(state: &State, outer: &Parts, call: &Piece, under_way: usize) -> Response<Body> {
    let refuse = |message: &str| Failure::bad_request(message.to_owned()).into_response(true);
    let is_http = call
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_lowercase().starts_with("application/http"));
    if !is_http {
        return refuse("The part is not of type application/http.");
    }
    let Some((parts, body)) = read_request(outer, &call.body) else {
        return refuse("The part holds no HTTP request.");
    };
    let path = parts.uri.path().to_owned();
    if path.starts_with("/batch") || path.contains("/upload/") {
        return refuse("Batches and media uploads are not allowed inside a batch.");
    }
    let fault = state
        .faults
        .strike_inner(Vendor::Google, &parts.method, &path);
    if let Some(FaultKind::Status {
        code,
        body,
        headers,
    }) = fault
    {
        return scripted(Vendor::Google, state, code, body.as_deref(), &headers);
    }
    super::answer(state, &parts, &body, under_way)
}

/// The request in a part. What the batch's own header says holds for it too, unless it says otherwise
/// or it is about content.
fn read_request(outer: &Parts, text: &Bytes) -> Option<(Parts, Bytes)> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(text.get(..end)?).ok()?.trim();
    let mut words = line.split(' ');
    let method = Method::from_str(words.next()?).ok()?;
    let uri = words.next().filter(|target| target.starts_with('/'))?;
    let uri = Uri::from_str(uri).ok()?;
    if words.next().is_some_and(|version| version != "HTTP/1.1") {
        return None;
    }
    let inner = piece(&text.slice(end + 1..))?;
    let mut headers = outer.headers.clone();
    let content: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("content-"))
        .cloned()
        .collect();
    for name in content {
        headers.remove(name);
    }
    for (name, value) in &inner.headers {
        headers.insert(name.clone(), value.clone());
    }
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let (parts, ()) = request.into_parts();
    let body = match inner
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
    {
        Some(length) if length <= inner.body.len() => inner.body.slice(..length),
        Some(_) => return None,
        None => Bytes::copy_from_slice(inner.body.trim_ascii()),
    };
    Some((parts, body))
}

fn write_response(text: &mut BytesMut, response: Response<Body>) {
    let (parts, body) = response.into_parts();
    // Bodies made here are complete, so reading one never waits.
    let body = to_bytes(body, usize::MAX)
        .now_or_never()
        .and_then(Result::ok)
        .unwrap_or_default();
    let reason = parts.status.canonical_reason().unwrap_or("Unknown");
    text.put(format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_u16()).as_bytes());
    for (name, value) in &parts.headers {
        text.put(name.as_str().as_bytes());
        text.put(&b": "[..]);
        text.put(value.as_bytes());
        text.put(&b"\r\n"[..]);
    }
    if !body.is_empty() {
        text.put(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    text.put(&b"\r\n"[..]);
    text.put(body);
}
