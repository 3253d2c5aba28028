//! Messages that come as they are rather than inside JSON: in one request (`media`), with metadata
//! (`multipart`), or in pieces that survive a broken connection (`resumable`).
//!
//! <https://developers.google.com/workspace/gmail/api/guides/uploads>

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, Uri, header};
use url::form_urlencoded;

use super::super::State;
use super::super::tokens::Grant;
use super::call::{Call, Route, grant, media_type};
use super::error::{Failure, nowhere};
use super::finish;
use super::multipart::{boundary, pieces};

/// All pieces but the last are multiples of this.
const GRANULARITY: usize = 256 * 1024;

/// A session can be resumed for a week.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Uploads that were begun.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    sessions: Mutex<BTreeMap<String, Session>>,
}

#[derive(Clone, Debug)]
struct Session {
    /// The request that began it, without its body; the upload is carried out as this request.
    start: Parts,
    /// Who began it: the session's URL is all that the later requests have to show.
    grant: Grant,
    metadata: Bytes,
    /// When it is forgotten.
    expires: Duration,
    /// As announced, in `X-Upload-Content-Length` or a `Content-Range`.
    total: Option<usize>,
    received: Vec<u8>,
    /// The answer, once there is one.
    done: Option<(StatusCode, String)>,
}

/// A `Content-Range` of a piece, or of a question how far it got.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    /// First and last byte.
    bytes: Option<(usize, usize)>,
    total: Option<usize>,
}

impl Uploads {
    /// Forgets every upload, as if a week had passed.
    pub(crate) fn lapse(&self) {
        let sessions = self.sessions.lock();
        sessions.unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The session that a URL names.
pub(crate) fn session_id(uri: &Uri) -> Option<String> {
    if !uri.path().contains("/upload/gmail/v1/") {
        return None;
    }
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(name, _)| name == "upload_id")
        .map(|(_, value)| value.into_owned())
}

/// The first request of an upload, which is the only one unless it is resumable.
pub(crate) fn start(
    state: &State,
    route: Route,
    parts: &Parts,
    body: &Bytes,
    under_way: usize,
) -> Result<Response<Body>, Failure> {
    let maximum = route.method.upload.unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let mut call = Call::open(state, route, parts, under_way)?;
    match call.parameter("uploadType") {
        Some("media") => {
            check_media(&media_type(&parts.headers), body.len(), maximum)?;
            call.media = Some(body.clone());
            finish(&call)
        }
        Some("multipart") => {
            let (json, media) = read_related(&parts.headers, body, maximum)?;
            let mut headers = HeaderMap::new();
            headers.insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static("application/json"),
            );
            call.read_json(&headers, &json)?;
            call.media = Some(media);
            finish(&call)
        }
        Some("resumable") => {
            let announced = announced(&parts.headers, maximum)?;
            call.read_json(&parts.headers, body)?;
            open_session(state, parts, body, announced)
        }
        _ => Ok(nowhere(&path)),
    }
}

fn check_media(media_type: &str, length: usize, maximum: usize) -> Result<(), Failure> {
    if !media_type.starts_with("message/") {
        return Err(Failure::bad_content(media_type));
    }
    if length > maximum {
        return Err(Failure::too_large());
    }
    Ok(())
}

/// Metadata and message of a `multipart/related` body.
fn read_related(
    headers: &HeaderMap,
    body: &Bytes,
    maximum: usize,
) -> Result<(Bytes, Bytes), Failure> {
    let boundary = boundary(headers, "related")
        .ok_or_else(|| Failure::bad_request("Missing multipart boundary in Content-Type."))?;
    let pieces =
        pieces(body, &boundary).ok_or_else(|| Failure::bad_request("Malformed multipart body."))?;
    let [metadata, media] = pieces.as_slice() else {
        return Err(Failure::bad_request(
            "Multipart must have exactly two parts: metadata and media.",
        ));
    };
    let kind = media_type(&metadata.headers);
    if kind != "application/json" {
        return Err(Failure::bad_content(&kind));
    }
    let encoding = media
        .headers
        .get("content-transfer-encoding")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let message = if encoding.eq_ignore_ascii_case("base64") {
        let text: Vec<u8> = media
            .body
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let decoded = STANDARD
            .decode(text)
            .map_err(|_| Failure::bad_request("Malformed multipart body."))?;
        Bytes::from(decoded)
    } else {
        media.body.clone()
    };
    check_media(&media_type(&media.headers), message.len(), maximum)?;
    Ok((metadata.body.clone(), message))
}

/// The length that the first request of a resumable upload announces, if it does.
fn announced(headers: &HeaderMap, maximum: usize) -> Result<Option<usize>, Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let length = match text("x-upload-content-length") {
        Some(length) => Some(length.parse().map_err(|_| {
            Failure::bad_request("Failed to parse X-Upload-Content-Length header.")
        })?),
        None => None,
    };
    // Without a type, that of the upload's own requests counts, and is seldom given.
    let kind = text("x-upload-content-type").unwrap_or("message/rfc822");
    check_media(&kind.to_lowercase(), length.unwrap_or_default(), maximum)?;
    Ok(length)
}

fn open_session(
    state: &State,
    parts: &Parts,
    metadata: &Bytes,
    total: Option<usize>,
) -> Result<Response<Body>, Failure> {
    let id = state.world().opaque(80);
    let path = parts.uri.path();
    let mut location = state.google.base_url.clone();
    location.set_path(path);
    location
        .query_pairs_mut()
        .append_pair("uploadType", "resumable")
        .append_pair("upload_id", &id);
    let now = state.clock.monotonic();
    let session = Session {
        start: parts.clone(),
        grant: grant(state, &parts.headers)?,
        metadata: metadata.clone(),
        expires: now + LIFETIME,
        total,
        received: Vec::new(),
        done: None,
    };
    let mut sessions = state
        .uploads
        .sessions
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    sessions.retain(|_, session| session.expires > now);
    sessions.insert(id.clone(), session);
    drop(sessions);
    Response::builder()
        .header(header::LOCATION, location.as_str())
        .header("X-GUploader-UploadID", id)
        .header(header::CONTENT_LENGTH, 0)
        .body(Body::empty())
        .map_err(|_| Failure::bad_request("Invalid upload."))
}

/// A later request of a resumable upload: a piece, or the question how far it got.
pub(crate) fn resume(
    state: &State,
    id: &str,
    parts: &Parts,
    body: &Bytes,
) -> Result<Response<Body>, Failure> {
    let mut sessions = state
        .uploads
        .sessions
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let is_put = parts.method == http::Method::PUT;
    let now = state.clock.monotonic();
    let Some(session) = sessions
        .get_mut(id)
        .filter(|session| is_put && session.expires > now)
    else {
        return Err(Failure::not_found());
    };
    if let Some((status, answer)) = &session.done {
        return Ok(completed(*status, answer.clone()));
    }
    let range = match parts.headers.get(header::CONTENT_RANGE) {
        None => Range {
            bytes: (!body.is_empty()).then(|| (0, body.len() - 1)),
            total: Some(body.len()),
        },
        Some(value) => value
            .to_str()
            .ok()
            .and_then(Range::read)
            .ok_or_else(|| Failure::bad_request("Failed to parse Content-Range header."))?,
    };
    session.accept(&range, body)?;
    if session.total != Some(session.received.len()) {
        return incomplete(session.received.len());
    }
    // Held while the message takes effect, so that no second request can make it happen twice.
    let answer = session.carry_out(state);
    let (status, text) = match answer {
        Ok(value) => (StatusCode::OK, format!("{value:#}\n")),
        Err(failure) => {
            sessions.remove(id);
            return Err(failure);
        }
    };
    session.done = Some((status, text.clone()));
    session.received = Vec::new();
    Ok(completed(status, text))
}

impl Session {
    /// Adds a piece.
    fn accept(&mut self, range: &Range, body: &Bytes) -> Result<(), Failure> {
        if let (Some(announced), Some(total)) = (self.total, range.total)
            && announced != total
        {
            return Err(Failure::bad_request(format!(
                "Invalid request.  The upload was announced with {announced} bytes, not {total}."
            )));
        }
        self.total = self.total.or(range.total);
        let Some((first, last)) = range.bytes else {
            return Ok(());
        };
        if last.checked_sub(first).map(|length| length + 1) != Some(body.len()) {
            return Err(Failure::bad_request(
                "Invalid request.  The Content-Range header does not agree with the body's length.",
            ));
        }
        let is_last = self.total == Some(last + 1);
        if !is_last && !body.len().is_multiple_of(GRANULARITY) {
            return Err(Failure::bad_request(format!(
                "Invalid request.  The number of bytes uploaded is required to be equal or greater \
                 than {GRANULARITY}, except for the final request (it's recommended to be the exact \
                 multiple of {GRANULARITY})."
            )));
        }
        let known = self.received.len();
        if first > known {
            return Err(Failure::bad_request(format!(
                "Invalid request.  According to the Content-Range header, the upload offset is \
                 {first} byte(s), which exceeds already uploaded size of {known} byte(s)."
            )));
        }
        self.received
            .extend_from_slice(body.get(known - first..).unwrap_or_default());
        Ok(())
    }

    /// Does what the upload is for.
    fn carry_out(&mut self, state: &State) -> Result<serde_json::Value, Failure> {
        let path = self.start.uri.path();
        let route = Route::find(self.start.method.as_str(), path).ok_or_else(Failure::not_found)?;
        let mut call = Call::reopen(state, route, &self.start, self.grant.clone())?;
        call.read_json(&self.start.headers, &self.metadata)?;
        call.media = Some(Bytes::from(std::mem::take(&mut self.received)));
        (call.method.answer)(&call).map(Option::unwrap_or_default)
    }
}

impl Range {
    /// Reads `bytes 0-99/1000`, `bytes 0-99/*` or `bytes */1000`.
    fn read(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let total = match total {
            "*" => None,
            total => Some(total.parse().ok()?),
        };
        let bytes = match range {
            "*" => None,
            range => {
                let (first, last) = range.split_once('-')?;
                Some((first.parse().ok()?, last.parse().ok()?))
            }
        };
        Some(Self { bytes, total })
    }
}

/// "Go on": 308, with what is there already, if anything.
fn incomplete(received: usize) -> Result<Response<Body>, Failure> {
    let mut builder = Response::builder()
        .status(StatusCode::PERMANENT_REDIRECT)
        .header(header::CONTENT_LENGTH, 0);
    if let Some(last) = received.checked_sub(1) {
        builder = builder.header(header::RANGE, format!("bytes=0-{last}"));
    }
    builder
        .body(Body::empty())
        .map_err(|_| Failure::bad_request("Invalid upload."))
}

fn completed(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json; charset=UTF-8"),
    );
    response
}
