//! Sending in two steps. With access to drafts and to reading the first step makes a draft and the second sends it; without,
//! the first step uploads all of the message but its end, and the second the end. Either way what was
//! prepared reaches nobody before the second step, and afterwards the service can be asked what became of it.
//!
//! How messages are uploaded is `sending/uploading.rs`'s, how sent copies are found `sending/finding.rs`'s, what a ticket
//! holds `sending/ticket.rs`'s.

mod finding;
mod ticket;
mod uploading;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use self::finding::{ask_again_at, find_sent};
use self::ticket::{Mark, Way};
use self::uploading::{UNIT, Uploading, stored_so_far};
pub(super) use self::uploading::{unreadable, upload};
use super::api::{Api, LARGEST_MESSAGE, Upload};
use super::{drafts, wire};
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::http::{Answer, protocol};
use crate::mime;
use crate::model::{
    Access, Confirmation, Content, DraftId, DraftRevision, MessageId, Outgoing, SendKey,
    SendTicket, Sent, ThreadId,
};

/// The first step.
pub(super) async fn prepare(api: &Api, access: Access, outgoing: &Outgoing) -> Result<SendTicket> {
    check_time(outgoing)?;
    let now = api.client.clock.now();
    let mark = Mark::new(now)?;
    // The service fills in the author where the message names none.
    let message = mime::compose(outgoing, None, Some(&mark.key), now)?;
    check_size(&message)?;
    let thread = outgoing.thread.as_ref().map(ThreadId::as_str);
    // Without reading nobody can tell what became of a draft that is gone, and an upload tells it.
    let way = if keeps_drafts(access) && access.contains(Access::READ) {
        let draft = drafts::write(api, Upload::CreateDraft, thread, message).await;
        draft.map(|draft| held_as(draft, mark, false))
    } else {
        prepare_upload(api, thread, message, mark).await
    };
    // Whatever became of a draft or an upload, nobody received it.
    way.map(Way::into_ticket)
        .map_err(|error| error.with_delivery(Delivery::NotSent))
}

/// The first step for a draft that is there: it gets the mark by which its copy is found.
pub(super) async fn prepare_draft(
    api: &Api,
    draft: &DraftId,
    expected: Option<&DraftRevision>,
    key: &SendKey,
) -> Result<SendTicket> {
    let now = api.client.clock.now();
    let before = drafts::state(api, draft.as_str()).await?;
    if let Some(expected) = expected
        && before.id.as_deref() != Some(expected.as_str())
    {
        // An earlier try under this key may have marked it and got no further.
        let marked = mime::mark(&drafts::raw(api, draft.as_str()).await?).await?;
        let mark = marked.and_then(|mark| Mark::of_draft(mark, draft, expected, key, now));
        let written = drafts::Written {
            id: draft.as_str().to_owned(),
            message: before,
        };
        return match mark {
            Some(mark) => Ok(held_as(written, mark, true).into_ticket()),
            None => Err(drafts::overtaken()),
        };
    }
    let expected = before.id.map(DraftRevision::new);
    let expected = expected.as_ref();
    let mark = match expected {
        Some(expected) => Mark::for_draft(draft, expected, key, now)?,
        None => Mark::new(now)?,
    };
    let marked = drafts::change(api, draft, expected, async |message: Content| {
        let (message, is_addressed) = mime::marked(&message, &mark.key).await?;
        if is_addressed {
            Ok(message)
        } else {
            Err(Error::new(
                ErrorKind::InvalidRequest,
                "the draft has no recipients yet",
            ))
        }
    });
    Ok(held_as(marked.await?, mark, true).into_ticket())
}

fn held_as(draft: drafts::Written, mark: Mark, pinned: bool) -> Way {
    Way::Draft {
        draft: draft.id,
        message: draft.message.id,
        thread: draft.message.thread_id,
        mark,
        pinned,
    }
}

/// Refuses what the service would refuse after all of it was uploaded.
pub(super) fn check_size(message: &Content) -> Result<()> {
    if message.len() > LARGEST_MESSAGE {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "the message is larger than the 35 MiB that Gmail takes",
        ));
    }
    Ok(())
}

/// Gmail schedules messages in its own programs and offers that to no others
/// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send>).
pub(super) fn check_time(outgoing: &Outgoing) -> Result<()> {
    if outgoing.send_at.is_some() {
        return Err(Error::unsupported(
            "Gmail does not hold messages to send them later: keep the ticket, and dispatch it then",
        ));
    }
    Ok(())
}

/// Whether the access covers drafts (`gmail.compose` or `gmail.modify`).
pub(super) fn keeps_drafts(access: Access) -> bool {
    access.contains(Access::DRAFT) || access.contains(Access::READ_WRITE)
}

async fn prepare_upload(
    api: &Api,
    thread: Option<&str>,
    message: Content,
    mark: Mark,
) -> Result<Way> {
    let metadata = wire::MessageMetadata::within(thread);
    let length = message.len();
    let session = api.start_upload(Upload::Send, &metadata, length).await?;
    // The end is never empty, so that nothing is sent without it.
    let start = (length.saturating_sub(1)) / UNIT * UNIT;
    let uploading = Uploading {
        api,
        upload: Upload::Send,
        session: &session,
        message: &message,
    };
    uploading.up_to(start).await?;
    let rest = message
        .range(start, length)
        .to_bytes(UNIT)
        .await
        .map_err(unreadable)?;
    Ok(Way::Upload {
        session,
        length,
        start,
        rest: STANDARD.encode(rest),
        mark: Some(mark),
    })
}

/// The second step.
pub(super) async fn dispatch(api: &Api, ticket: &SendTicket) -> Result<Sent> {
    match Way::read(ticket)? {
        Way::Draft {
            draft,
            message,
            pinned,
            ..
        } => {
            // One that is gone was deleted by the user, or sent by an earlier try whose answer was lost.
            if pinned && drafts::revision(api, &draft).await.map_err(ended)? != message {
                return Err(drafts::overtaken());
            }
            accepted(&api.send_draft(&draft).await.map_err(ended)?)
        }
        Way::Upload {
            session,
            length,
            start,
            rest,
            ..
        } => complete(api, &session, length, start, &rest).await,
    }
}

/// Deletes the draft of a ticket that is never dispatched, unless it is one of the user's. An upload lapses by itself.
pub(super) async fn abandon(api: &Api, ticket: &SendTicket) -> Result<()> {
    match Way::read(ticket)? {
        Way::Draft {
            draft,
            pinned: false,
            ..
        } => match api.delete_draft(&draft).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        },
        _ => Ok(()),
    }
}

/// Uploads the end of a message, which sends it.
async fn complete(api: &Api, session: &Url, length: u64, start: u64, rest: &str) -> Result<Sent> {
    let rest = STANDARD.decode(rest).map_err(|_| broken_ticket())?;
    if start + rest.len() as u64 != length || rest.is_empty() {
        return Err(broken_ticket());
    }
    let rest = Content::from_bytes(rest);
    let answer = api
        .upload(Upload::Send, session, start, rest.clone(), length)
        .await
        .map_err(ended)?;
    if answer.status.is_success() {
        return accepted(&answer);
    }
    // The service kept only some of it: that much is sure not to have been sent.
    let stored = not_all_of(&answer, length)?;
    if stored < start {
        return Err(incomplete());
    }
    let rest = rest.range(stored - start, length - start);
    let answer = api
        .upload(Upload::Send, session, stored, rest, length)
        .await
        .map_err(ended)?;
    if answer.status.is_success() {
        return accepted(&answer);
    }
    not_all_of(&answer, length)?;
    Err(incomplete())
}

/// How much of a message the service has if that is not all of it. Once it has the end, it may be sending it, whatever it
/// answers.
fn not_all_of(answer: &Answer, length: u64) -> Result<u64> {
    let all = || protocol("the service has all of a message and does not say that it sent it");
    let stored = stored_so_far(answer).map_err(|error| error.with_delivery(Delivery::Unknown))?;
    if stored < length {
        Ok(stored)
    } else {
        Err(all().with_delivery(Delivery::Unknown))
    }
}

/// What the service tells of a message that it accepted. One that names no message may be somebody else's, who answers in
/// the service's place: the sent copy tells.
fn accepted(answer: &Answer) -> Result<Sent> {
    let sent = sent(answer);
    if sent.id.is_some() {
        return Ok(sent);
    }
    Err(protocol("the service does not say which message it sent").with_delivery(Delivery::Unknown))
}

fn sent(answer: &Answer) -> Sent {
    let message: wire::Message = answer.json().unwrap_or_default();
    Sent::new(
        message.id.map(MessageId::from),
        message.thread_id.map(ThreadId::from),
    )
}

/// A draft or a session that is no longer known may have ended because it was sent, and what is in conflict with somebody
/// else's request may be in conflict with the same send.
fn ended(error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound || matches!(error.status(), Some(409 | 412)) {
        error.with_delivery(Delivery::Unknown)
    } else {
        error
    }
}

fn incomplete() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the service no longer has what was uploaded: prepare the message again",
    )
}

fn broken_ticket() -> Error {
    Error::new(ErrorKind::InvalidRequest, "the ticket is damaged")
}

/// What became of a ticket.
///
/// Sending a draft deletes it, so that one which is there was not sent. One that is gone proves nothing: the user may have
/// deleted it. An upload session tells whether it was completed for as long as it lasts, about a week; one that is gone
/// proves nothing either. What proves that a message was sent is its copy.
pub(super) async fn confirm(
    api: &Api,
    access: Access,
    ticket: &SendTicket,
) -> Result<Confirmation> {
    match Way::read(ticket)? {
        Way::Draft {
            draft,
            thread,
            mark,
            ..
        } => match drafts::revision(api, &draft).await {
            Ok(_) => Ok(Confirmation::NotSent),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // One of the user's, which is sent as the draft that it is.
                if !access.contains(Access::READ) {
                    return Ok(Confirmation::StillUnknown { ask_again_at: None });
                }
                find_sent(api, thread.as_deref(), &mark).await
            }
            Err(error) => Err(error),
        },
        Way::Upload {
            session,
            length,
            mark,
            ..
        } => match api.upload_status(Upload::Send, &session, length).await {
            Ok(answer) => {
                let is_done = answer.status.is_success();
                Ok(match sent(&answer) {
                    sent if is_done && sent.id.is_some() => Confirmation::Sent(sent),
                    _ if !is_done && stored_so_far(&answer)? < length => Confirmation::NotSent,
                    // Somebody on the way answers in the service's place, who knows of no message; or the service has all
                    // of it, and may be sending it.
                    _ => Confirmation::StillUnknown {
                        ask_again_at: mark.and_then(|mark| {
                            ask_again_at(mark.prepared_at, api.client.clock.now())
                        }),
                    },
                })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => match mark {
                Some(mark) if access.contains(Access::READ) => find_sent(api, None, &mark).await,
                _ => Ok(Confirmation::StillUnknown { ask_again_at: None }),
            },
            Err(error) => Err(error),
        },
    }
}
