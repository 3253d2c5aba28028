//! Files on their way into a draft, small ones whole and large ones in pieces, and the look at what has arrived: nobody is
//! sent half an attachment, or one twice.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use url::Url;

use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::http::{Answer, Replay, protocol};
use crate::model::OutgoingAttachment;
use crate::outlook::api::Api;
use crate::outlook::{convert, wire};

/// Up to here a file goes in one request, which base64 makes a third longer; what is longer is uploaded in pieces. The
/// service draws the line at 3 MB (<https://learn.microsoft.com/graph/outlook-large-attachments>).
pub(in crate::outlook) const LARGEST_SMALL_FILE: u64 = 3 * 1024 * 1024 - 4 * 1024;

/// The largest file that can be attached (<https://learn.microsoft.com/graph/outlook-large-attachments>).
const LARGEST_FILE: u64 = 150 * 1024 * 1024;

/// How much is uploaded at a time: less than 4 MB, and a multiple of 320 KiB, which uploads elsewhere at Graph must be
/// (<https://learn.microsoft.com/graph/api/driveitem-createuploadsession>).
const PIECE: u64 = 10 * 320 * 1024;

/// How often a file is begun again after its session was lost.
const SESSIONS: u32 = 3;

/// Refuses what is too large for any way.
pub(in crate::outlook) fn check_sizes(attachments: &[OutgoingAttachment]) -> Result<()> {
    let too_large = |file: &OutgoingAttachment| file.content.len() > LARGEST_FILE;
    if attachments.iter().any(too_large) {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "an attachment is larger than the 150 MB that Outlook takes",
        ));
    }
    Ok(())
}

/// Adds all of them, in their order, to a draft that has those `before` already.
pub(in crate::outlook) async fn attach_all(
    api: &Api,
    draft: &str,
    attachments: &[OutgoingAttachment],
    before: &BTreeSet<String>,
) -> Result<()> {
    if attachments.is_empty() && before.is_empty() {
        return Ok(());
    }
    for (added, attachment) in attachments.iter().enumerate() {
        let mut session = 1;
        loop {
            let Err(error) = attach(api, draft, attachment).await else {
                break;
            };
            // Whether it arrived all the same is told by how many there are now. A session is gone when its file is
            // complete, and when it has lapsed.
            let is_open =
                error.delivery() == Delivery::Unknown || error.kind() == ErrorKind::NotFound;
            if !is_open || session == SESSIONS {
                return Err(error);
            }
            match attached(api, draft).await?.len() {
                there if there == before.len() + added => session += 1,
                there if there == before.len() + added + 1 => break,
                _ => return Err(error),
            }
        }
    }
    let mut there = attached(api, draft).await?;
    there.retain(|listed| !listed.id.as_ref().is_some_and(|id| before.contains(id)));
    verify(&there, attachments)
}

async fn attach(api: &Api, draft: &str, attachment: &OutgoingAttachment) -> Result<()> {
    if attachment.content.len() > LARGEST_SMALL_FILE {
        return upload(api, draft, attachment).await;
    }
    let bytes = attachment.content.to_bytes(LARGEST_SMALL_FILE).await;
    let bytes = STANDARD.encode(bytes.map_err(super::unreadable)?);
    let attachment = convert::small_attachment(attachment, bytes);
    api.attach(draft, &attachment).await
}

/// What is attached by now.
pub(in crate::outlook) async fn attached(api: &Api, draft: &str) -> Result<Vec<wire::Attachment>> {
    let attached = api.attached(draft).await?.attachments;
    let attached = attached.ok_or_else(|| protocol("the answer has no list of attachments"))?;
    Ok(attached.into_iter().flatten().collect())
}

/// Whether what is attached is what was meant to be. The service counts more than a file's bytes, never fewer. Sessions
/// have lost what ties an image to the HTML
/// (<https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/4850>), and nothing can be changed on an
/// attachment that is there.
fn verify(there: &[wire::Attachment], attachments: &[OutgoingAttachment]) -> Result<()> {
    if there.len() != attachments.len() {
        return Err(protocol(
            "the draft does not have as many attachments as were added to it",
        ));
    }
    let mut left: Vec<&wire::Attachment> = there.iter().collect();
    for attachment in attachments {
        let length = i64::try_from(attachment.content.len()).unwrap_or(i64::MAX);
        let is_whole = |listed: &&wire::Attachment| listed.size.is_none_or(|size| size >= length);
        let is_named = |listed: &&wire::Attachment| {
            is_whole(listed) && listed.name.as_deref() == Some(attachment.name.as_str())
        };
        // The largest needs most room: of several that fit, the smallest is taken.
        let best = |fits: &dyn Fn(&&wire::Attachment) -> bool| {
            let fitting = left.iter().enumerate().filter(|(_, listed)| fits(listed));
            let smallest = fitting.min_by_key(|(_, listed)| listed.size);
            smallest.map(|(place, _)| place)
        };
        let place = best(&is_named)
            .or_else(|| best(&is_whole))
            .ok_or_else(|| protocol("an attachment arrived shorter than it is"))?;
        let listed = left.swap_remove(place);
        if let Some(id) = &attachment.content_id {
            let has_it = |known: &String| convert::unbracketed(known) == convert::unbracketed(id);
            if !listed.content_id.as_ref().is_some_and(has_it) {
                return Err(protocol(
                    "Outlook did not keep by what name the text refers to an image",
                ));
            }
        }
    }
    Ok(())
}

/// Uploads a file in pieces. After a break the session is asked what it has got, so that no byte is there twice.
async fn upload(api: &Api, draft: &str, attachment: &OutgoingAttachment) -> Result<()> {
    let length = attachment.content.len();
    let created = api
        .start_upload(draft, &convert::upload_session(attachment))
        .await?;
    let session = created
        .upload_url
        .and_then(|address| Url::parse(address.expose()).ok())
        .ok_or_else(|| {
            protocol("the answer does not say where to upload to").with_delivery(Delivery::Answered)
        })?;
    let mut start = 0;
    let mut attempt = 1;
    while start < length {
        let end = length.min(start + PIECE);
        let piece = attachment.content.range(start, end);
        match api.upload(&session, start, length, piece).await {
            Ok(answer) => {
                let next = match expected(&answer) {
                    Some(next) => next,
                    None if answer.status == StatusCode::CREATED => length,
                    None => end,
                };
                if next > start {
                    attempt = 1;
                } else if attempt >= api.client.retry.attempts {
                    return Err(stuck());
                } else {
                    attempt += 1;
                }
                start = next;
            }
            Err(error) => {
                let replay = Replay::Idempotent;
                if !api.client.wait_to_repeat(&error, replay, attempt).await {
                    return Err(error);
                }
                attempt += 1;
                let state = match api.upload_state(&session).await {
                    Ok(state) => state,
                    // A session that is gone may have been completed, or has to be begun again.
                    Err(gone) if gone.kind() == ErrorKind::NotFound => return Err(gone),
                    // Without an answer to that either, it is as unknown as it was.
                    Err(_) => return Err(error),
                };
                // Nothing is missing only if the service says so: a file without its end must not be sent.
                start = match state.next_expected_ranges.as_deref() {
                    Some([]) => length,
                    _ => next_expected(&state).ok_or_else(|| {
                        protocol("the service does not say what it has of an upload")
                            .with_delivery(Delivery::Answered)
                    })?,
                };
            }
        }
    }
    Ok(())
}

fn stuck() -> Error {
    protocol("the upload does not get on").with_delivery(Delivery::Answered)
}

/// The first byte that is still missing, if the answer to a piece says so.
fn expected(answer: &Answer) -> Option<u64> {
    next_expected(&answer.json()?)
}

/// The first byte that is still missing: ranges come as `2097152`, `2097152-` or `2097152-4194303`.
fn next_expected(session: &wire::UploadSession) -> Option<u64> {
    let range = session.next_expected_ranges.as_ref()?.first()?;
    range.split('-').next()?.trim().parse().ok()
}
