//! How a whole message gets to Gmail: in one request while it is short, else in pieces, of which none is sent twice and a
//! broken connection costs only the last. The requests are `api/uploading.rs`'s.

use serde::Serialize;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::gmail::api::{Api, Upload};
use crate::http::{Answer, Replay, protocol};
use crate::model::Content;

/// Every piece of an upload but the last is a multiple of this
/// (<https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>).
pub(super) const UNIT: u64 = 256 * 1024;

/// How much is uploaded at a time.
const PIECE: u64 = 32 * UNIT;

/// Up to how many bytes one request takes the whole message. Google advises pieces above this
/// (<https://developers.google.com/workspace/gmail/api/guides/uploads>).
const WHOLE: u64 = 5 * 1024 * 1024;

/// Gives the service a message and what is to be done with it: what it answered once it was done.
///
/// A long one is done by its last piece, and the session tells whether it was, so that it is not done again where only an
/// answer was lost.
pub(in crate::gmail) async fn upload(
    api: &Api,
    upload: Upload<'_>,
    metadata: &(impl Serialize + Sync),
    message: Content,
) -> Result<Answer> {
    if message.len() <= WHOLE {
        return api.upload_whole(upload, metadata, message).await;
    }
    let length = message.len();
    let session = api.start_upload(upload, metadata, length).await?;
    let uploading = Uploading {
        api,
        upload,
        session: &session,
        message: &message,
    };
    match uploading.up_to(length).await? {
        Some(answer) => Ok(answer),
        None => Err(protocol(
            "the service has all of a message and does not take it",
        )),
    }
}

/// An upload in pieces.
pub(super) struct Uploading<'a> {
    pub(super) api: &'a Api,
    pub(super) upload: Upload<'a>,
    pub(super) session: &'a Url,
    pub(super) message: &'a Content,
}

impl Uploading<'_> {
    /// Uploads the message up to `end`; what the service answers if that was all of it.
    pub(super) async fn up_to(&self, end: u64) -> Result<Option<Answer>> {
        let client = &self.api.client;
        let length = self.message.len();
        let mut stored = 0;
        let mut attempt = 1;
        while stored < end {
            let piece = self.message.range(stored, end.min(stored + PIECE));
            let sent = self
                .api
                .upload(self.upload, self.session, stored, piece, length);
            let answer = match sent.await {
                Ok(answer) => answer,
                // Whatever arrived of the piece is kept: the session knows.
                Err(error) => {
                    let replay = Replay::Idempotent;
                    if !client.wait_to_repeat(&error, replay, attempt).await {
                        return Err(error);
                    }
                    attempt += 1;
                    let status = self.api.upload_status(self.upload, self.session, length);
                    // Without an answer to that either, it is as unknown as it was.
                    status.await.map_err(|_| error)?
                }
            };
            if answer.status.is_success() {
                if end < length {
                    return Err(protocol(
                        "the service takes an incomplete upload for complete",
                    ));
                }
                return Ok(Some(answer));
            }
            let now = stored_so_far(&answer)?;
            if now > stored {
                attempt = 1;
            } else if attempt >= client.retry.attempts {
                return Err(protocol("the upload does not get on"));
            } else {
                attempt += 1;
            }
            stored = now;
        }
        Ok(None)
    }
}

/// How many bytes an upload that is incomplete has got: `Range: bytes=0-262143`, or none without the header.
pub(super) fn stored_so_far(answer: &Answer) -> Result<u64> {
    let Some(range) = answer.header("range") else {
        return Ok(0);
    };
    let unclear = || protocol("the service does not say what it has of an upload");
    let (_, last) = range.rsplit_once('-').ok_or_else(unclear)?;
    let last: u64 = last.trim().parse().map_err(|_| unclear())?;
    Ok(last.saturating_add(1))
}

pub(in crate::gmail) fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Content, "the message could not be read").with_source(error)
}
