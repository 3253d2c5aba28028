//! Content as base64, still as a stream that can be read from any offset.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::model::{ByteStream, Content};

/// Bytes that make one line of base64 in MIME: 76 characters (RFC 2045 §6.8).
const LINE_BYTES: u64 = 57;
const LINE_CHARACTERS: u64 = 76;

/// As one text without line breaks.
pub(crate) fn base64_text(content: &Content) -> Content {
    encoded(content.clone(), false)
}

/// As lines for a MIME part, without a line break after the last.
pub(super) fn base64_lines(content: &Content) -> Content {
    encoded(content.clone(), true)
}

fn encoded(source: Content, lines: bool) -> Content {
    let line_count = source.len().div_ceil(LINE_BYTES);
    let breaks = if lines {
        2 * line_count.saturating_sub(1)
    } else {
        0
    };
    let length = 4 * source.len().div_ceil(3) + breaks;
    let line_length = LINE_CHARACTERS + if lines { 2 } else { 0 };
    Content::new(length, move |offset| {
        let source = source.clone();
        async move {
            // Encoding starts at the line that the offset falls into, so that it is the same from everywhere.
            let line = (offset / line_length).min(line_count);
            let stream = source.read_from(line * LINE_BYTES).await?;
            let encoder = Encoder {
                source: stream,
                buffer: BytesMut::new(),
                lines_left: line_count - line,
                breaks: lines,
            };
            Ok(skip(encode(encoder), offset - line * line_length))
        }
    })
}

struct Encoder {
    source: ByteStream,
    buffer: BytesMut,
    lines_left: u64,
    breaks: bool,
}

fn encode(encoder: Encoder) -> ByteStream {
    stream::try_unfold(encoder, |mut encoder| async move {
        while encoder.lines_left > 0 {
            let chunk = encoder.source.try_next().await?;
            let ended = chunk.is_none();
            encoder.buffer.extend_from_slice(&chunk.unwrap_or_default());
            let mut whole = encoder.buffer.len() as u64 / LINE_BYTES;
            if ended && !encoder.buffer.is_empty() {
                whole = encoder.buffer.len().div_ceil(LINE_BYTES as usize) as u64;
            }
            if whole == 0 && !ended {
                continue;
            }
            if whole == 0 {
                return Err(std::io::Error::other("the content is shorter than it said"));
            }
            let take = whole.min(encoder.lines_left);
            let mut text = String::new();
            for _ in 0..take {
                let bytes = encoder.buffer.len().min(LINE_BYTES as usize);
                STANDARD.encode_string(encoder.buffer.split_to(bytes), &mut text);
                encoder.lines_left -= 1;
                if encoder.breaks && encoder.lines_left > 0 {
                    text.push_str("\r\n");
                }
            }
            return Ok(Some((Bytes::from(text), encoder)));
        }
        Ok(None)
    })
    .boxed()
}

/// Leaves out the first `skip` bytes.
fn skip(stream: ByteStream, skip: u64) -> ByteStream {
    let mut left = skip;
    stream
        .try_filter_map(move |chunk| {
            let start = left.min(chunk.len() as u64);
            left -= start;
            let rest =
                usize::try_from(start).map_or_else(|_| Bytes::new(), |start| chunk.slice(start..));
            async move { Ok((!rest.is_empty()).then_some(rest)) }
        })
        .boxed()
}
