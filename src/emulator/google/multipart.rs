//! Multipart bodies of HTTP requests: `multipart/related` uploads and `multipart/mixed` batches. Mail's
//! own multiparts are parsed in `message`, and more leniently.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// One part: its header and its body.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The boundary in a `Content-Type` that is `multipart/<subtype>`.
pub(crate) fn boundary(headers: &HeaderMap, subtype: &str) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let mut parameters = value.split(';');
    let kind = parameters.next()?.trim();
    if !kind.eq_ignore_ascii_case(&format!("multipart/{subtype}")) {
        return None;
    }
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty())
            .then(|| value.to_owned())
    })
}

/// The parts of a body, if it is well formed: each delimiter at the start of a line, the last one
/// closed.
pub(crate) fn pieces(body: &Bytes, boundary: &str) -> Option<Vec<Piece>> {
    let delimiter = format!("--{boundary}");
    let mut pieces = Vec::new();
    let mut begin = None;
    let mut position = 0;
    while position < body.len() {
        let line = line_at(body, position);
        if let Some(rest) = line.strip_prefix(delimiter.as_bytes()) {
            let rest = rest.trim_ascii();
            if rest.is_empty() || rest == b"--" {
                if let Some(begin) = begin {
                    pieces.push(piece(&body.slice(begin..before(body, begin, position)))?);
                }
                if rest == b"--" {
                    return Some(pieces);
                }
                begin = Some(position + line.len());
            }
        }
        position += line.len();
    }
    None
}

/// The line that begins at `position`, with its end.
fn line_at(body: &[u8], position: usize) -> &[u8] {
    let rest = body.get(position..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(rest.len(), |end| end + 1);
    rest.get(..length).unwrap_or_default()
}

/// Where a part ends whose delimiter begins at `position`: the line end before belongs to the
/// delimiter.
fn before(body: &[u8], begin: usize, position: usize) -> usize {
    let part = body.get(begin..position).unwrap_or_default();
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    begin + part.strip_suffix(b"\r").unwrap_or(part).len()
}

/// Splits a header, as a part or an inner request has it, from what follows it.
pub(crate) fn piece(text: &Bytes) -> Option<Piece> {
    let mut headers = HeaderMap::new();
    let mut position = 0;
    while position < text.len() {
        let line = line_at(text, position);
        position += line.len();
        let line = std::str::from_utf8(line).ok()?.trim();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        headers.append(name, HeaderValue::try_from(value.trim()).ok()?);
    }
    Some(Piece {
        headers,
        body: text.slice(position..),
    })
}
