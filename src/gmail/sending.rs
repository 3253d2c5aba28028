//! Sending in two steps. With access to drafts the first step makes a draft and the second sends it; with the right to
//! send and no other, the first step uploads all of the message but its end, and the second the end. Either way what was
//! prepared reaches nobody before the second step, and afterwards the service can be asked what became of it.
//!
//! The `Message-ID` is no help in that: Gmail replaces it (<https://github.com/FlowCrypt/flowcrypt-browser/issues/4273>).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use url::Url;

use super::api::{Api, Format, LARGEST_MESSAGE};
use super::query::Search;
use super::{batch, convert, wire};
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::http::{Answer, Replay, protocol};
use crate::mime;
use crate::model::{
    Access, Confirmation, Content, MessageId, Outgoing, SendKey, SendTicket, Sent, ThreadId,
};

/// Every piece of an upload but the last is a multiple of this
/// (<https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>).
const UNIT: u64 = 256 * 1024;

/// How much is uploaded at a time.
const PIECE: u64 = 32 * UNIT;

/// When asking again what became of a draft may help: sent copies can appear late.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Among how many of the newest sent messages a copy is looked for, at 20 quota units each.
const NEWEST: u32 = 50;

/// How many seconds the host's clock may be ahead of Gmail's.
const CLOCK_ERROR: i64 = 3_600;

/// What the second step needs to know, as text of this shape.
#[derive(Serialize, Deserialize)]
struct Ticket {
    version: u32,
    #[serde(flatten)]
    way: Way,
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(tag = "gmail", rename_all = "snake_case")]
enum Way {
    /// A draft that is complete.
    Draft {
        draft: String,
        message: Option<String>,
        thread: Option<String>,
        /// What the message's key header says.
        key: String,
        /// When it was made, in seconds since 1970.
        prepared_at: i64,
    },
    /// An upload of which only the end is missing.
    Upload {
        session: Url,
        length: u64,
        /// Where the end starts.
        start: u64,
        /// The end, in base64.
        rest: String,
    },
}

/// The first step.
pub(super) async fn prepare(
    api: &Api,
    access: Access,
    outgoing: &Outgoing,
    key: &SendKey,
) -> Result<SendTicket> {
    // The service fills in the author where the message names none.
    let message = mime::compose(outgoing, None, key, api.client.clock.now())?;
    if message.len() > LARGEST_MESSAGE {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "the message is larger than the 35 MiB that Gmail takes",
        ));
    }
    let thread = outgoing.thread.as_ref().map(ThreadId::as_str);
    let way = if keeps_drafts(access) {
        prepare_draft(api, thread, message, key).await
    } else {
        prepare_upload(api, thread, message).await
    };
    // Whatever became of a draft or an upload, nobody received it.
    let way = way.map_err(|error| error.with_delivery(Delivery::NotSent))?;
    let ticket = Ticket {
        version: VERSION,
        way,
    };
    // A ticket holds text and numbers, which can always be written.
    Ok(SendTicket::new(
        serde_json::to_string(&ticket).unwrap_or_default(),
    ))
}

/// Whether the access covers drafts (`gmail.compose` or `gmail.modify`).
fn keeps_drafts(access: Access) -> bool {
    access.contains(Access::DRAFT) || access.contains(Access::READ_WRITE)
}

/// Whether what became of a send can be told: of an upload its session does, of a draft that is gone only the sent copy.
pub(super) fn tells_what_was_sent(access: Access) -> bool {
    access.contains(Access::READ) || !keeps_drafts(access)
}

async fn prepare_draft(
    api: &Api,
    thread: Option<&str>,
    message: Content,
    key: &SendKey,
) -> Result<Way> {
    let metadata = wire::DraftMetadata {
        message: thread.map(|thread| wire::MessageMetadata {
            thread_id: Some(thread),
        }),
    };
    let created = api.create_draft(&metadata, message).await?;
    let draft = created
        .id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| protocol("the draft came without its id"))?;
    let message = created.message.unwrap_or_default();
    Ok(Way::Draft {
        draft,
        message: message.id,
        thread: message.thread_id,
        key: mime::key_token(key),
        prepared_at: api.client.clock.now().timestamp(),
    })
}

async fn prepare_upload(api: &Api, thread: Option<&str>, message: Content) -> Result<Way> {
    let metadata = wire::MessageMetadata { thread_id: thread };
    let length = message.len();
    let session = api.start_upload(&metadata, length).await?;
    // The end is never empty, so that nothing is sent without it.
    let start = (length.saturating_sub(1)) / UNIT * UNIT;
    let mut stored = 0;
    let mut attempt = 1;
    while stored < start {
        let piece = message.range(stored, start.min(stored + PIECE));
        match api.upload(&session, stored, piece, length).await {
            Ok(answer) => {
                let now = stored_so_far(&answer)?;
                if now > stored {
                    attempt = 1;
                } else if attempt >= api.client.retry.attempts {
                    return Err(protocol("the upload does not get on"));
                } else {
                    attempt += 1;
                }
                stored = now;
            }
            // Whatever arrived of the piece is kept: the session knows.
            Err(error) => {
                let replay = Replay::Idempotent;
                if !api.client.wait_to_repeat(&error, replay, attempt).await {
                    return Err(error);
                }
                attempt += 1;
                stored = stored_so_far(&api.upload_status(&session, length).await?)?;
            }
        }
    }
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
    })
}

/// How many bytes an upload that must be incomplete has got: `Range: bytes=0-262143`, or none without the header.
fn stored_so_far(answer: &Answer) -> Result<u64> {
    if answer.status.is_success() {
        return Err(protocol(
            "the service takes an incomplete upload for complete",
        ));
    }
    let Some(range) = answer.header("range") else {
        return Ok(0);
    };
    let (_, last) = range
        .rsplit_once('-')
        .ok_or_else(|| protocol("the service does not say what it has of an upload"))?;
    let last: u64 = last
        .trim()
        .parse()
        .map_err(|_| protocol("the service does not say what it has of an upload"))?;
    Ok(last.saturating_add(1))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Content, "the message could not be read").with_source(error)
}

fn read_ticket(ticket: &SendTicket) -> Result<Way> {
    // The parser's own error could quote the ticket.
    let ticket: Option<Ticket> = serde_json::from_str(ticket.expose()).ok();
    ticket
        .filter(|ticket| ticket.version == VERSION)
        .map(|ticket| ticket.way)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidRequest,
                "this is no ticket of Gmail's, or one of another version",
            )
        })
}

/// The second step.
pub(super) async fn dispatch(api: &Api, ticket: &SendTicket) -> Result<Sent> {
    match read_ticket(ticket)? {
        Way::Draft { draft, .. } => {
            let answer = api.send_draft(&draft).await.map_err(|error| {
                if error.kind() == ErrorKind::NotFound {
                    // Deleted by the user, or sent by an earlier try whose answer was lost.
                    return error.with_delivery(Delivery::Unknown);
                }
                error
            })?;
            Ok(sent(&answer))
        }
        Way::Upload {
            session,
            length,
            start,
            rest,
        } => {
            let rest = STANDARD.decode(rest).map_err(|_| broken_ticket())?;
            if start + rest.len() as u64 != length || rest.is_empty() {
                return Err(broken_ticket());
            }
            let rest = Content::from_bytes(rest);
            let answer = api
                .upload(&session, start, rest.clone(), length)
                .await
                .map_err(ended)?;
            if answer.status.is_success() {
                return Ok(sent(&answer));
            }
            // The service kept only some of it: that much is sure not to have been sent.
            let stored = stored_so_far(&answer)?;
            if stored < start || stored >= length {
                return Err(incomplete());
            }
            let rest = rest.range(stored - start, length - start);
            let answer = api
                .upload(&session, stored, rest, length)
                .await
                .map_err(ended)?;
            if answer.status.is_success() {
                return Ok(sent(&answer));
            }
            Err(incomplete())
        }
    }
}

/// What the service tells of a message that it accepted. That it accepted it is the status alone.
fn sent(answer: &Answer) -> Sent {
    let message: wire::Message = answer.json().unwrap_or_default();
    Sent::new(
        message.id.map(MessageId::from),
        message.thread_id.map(ThreadId::from),
    )
}

/// A session that is no longer known may have ended because it was completed.
fn ended(error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound {
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
pub(super) async fn confirm(
    api: &Api,
    access: Access,
    ticket: &SendTicket,
) -> Result<Confirmation> {
    match read_ticket(ticket)? {
        Way::Draft {
            draft,
            thread,
            key,
            prepared_at,
            ..
        } => match api.draft(&draft).await {
            // Sending a draft deletes it, so one that is there was not sent.
            Ok(_) => Ok(Confirmation::NotSent),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !access.contains(Access::READ) {
                    return Err(Error::unsupported(
                        "without access to reading Gmail does not tell what was sent",
                    ));
                }
                find_sent(api, thread.as_deref(), &key, prepared_at).await
            }
            Err(error) => Err(error),
        },
        Way::Upload {
            session, length, ..
        } => match api.upload_status(&session, length).await {
            Ok(answer) if answer.status.is_success() => Ok(Confirmation::Sent(sent(&answer))),
            Ok(_) => Ok(Confirmation::NotSent),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Confirmation::StillUnknown { ask_again_at: None })
            }
            Err(error) => Err(error),
        },
    }
}

/// Looks for the sent copy, by its mark. That the draft is gone is no proof: the user may have deleted it.
async fn find_sent(
    api: &Api,
    thread: Option<&str>,
    key: &str,
    prepared_at: i64,
) -> Result<Confirmation> {
    let mut copy = match thread {
        Some(thread) => in_thread(api, thread, key).await?,
        None => None,
    };
    if copy.is_none() {
        copy = among_newest(api, key, prepared_at).await?;
    }
    Ok(match copy {
        Some(copy) => Confirmation::Sent(Sent::new(
            copy.id.map(MessageId::from),
            copy.thread_id.map(ThreadId::from),
        )),
        None => Confirmation::StillUnknown {
            ask_again_at: Some(api.client.clock.now() + ASK_AGAIN),
        },
    })
}

/// The sent copy, if it is in the conversation that the draft was in.
async fn in_thread(api: &Api, thread: &str, key: &str) -> Result<Option<wire::Message>> {
    let request = api.thread(thread, Format::Mark)?;
    let messages = match api.client.json::<wire::Thread>(request).await {
        Ok(thread) => thread.messages.unwrap_or_default(),
        // It had nothing in it but the draft.
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut messages = messages.into_iter().flatten();
    Ok(messages.find(|message| convert::is_sent_as(message, key)))
}

/// The sent copy, if it is among the last that were sent: Gmail does not promise that a sent draft stays in its
/// conversation.
async fn among_newest(api: &Api, key: &str, prepared_at: i64) -> Result<Option<wire::Message>> {
    let search = Search {
        text: Some(format!("after:{}", prepared_at.saturating_sub(CLOCK_ERROR))),
        labels: vec!["SENT".to_owned()],
        junk_and_trash: true,
        ..Search::default()
    };
    let list = api.messages(&search, NEWEST, None).await?;
    let listed = list.messages.into_iter().flatten().flatten();
    let calls = listed
        .filter_map(|message| message.id)
        .map(|id| api.message(&id, Format::Mark))
        .collect();
    for answer in batch::send(api, calls).await {
        let message: wire::Message = match answer {
            Ok(answer) => answer.json().unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if convert::is_sent_as(&message, key) {
            return Ok(Some(message));
        }
    }
    Ok(None)
}
