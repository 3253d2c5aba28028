//! Sending in two steps. With access to drafts the first step makes a draft and the second sends it: its id stays the
//! same, so that afterwards it tells what became of it. With the right to send and no other, the ticket holds the message
//! itself, and an answer that was lost stays lost.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use url::Url;

use super::api::{Api, LARGEST_REQUEST};
use super::{batch, convert, reading, wire};
use crate::error::{Action, Delivery, Error, ErrorKind, Result};
use crate::http::{Answer, Replay, protocol};
use crate::mime;
use crate::model::{
    Access, Confirmation, Content, MessageId, Outgoing, OutgoingAttachment, SendKey, SendTicket,
    Sent, ThreadId,
};

/// Up to here a message goes as it is, in base64. What is longer is put together at the service: a request has 4 MB at
/// most (<https://learn.microsoft.com/graph/outlook-send-mime-message>).
const LARGEST_MIME_TEXT: u64 = 3_500_000;

/// Up to here a file goes in one request, which base64 makes a third longer; what is longer is uploaded in pieces. The
/// service draws the line at 3 MB (<https://learn.microsoft.com/graph/outlook-large-attachments>).
const LARGEST_SMALL_FILE: u64 = 3 * 1024 * 1024 - 4 * 1024;

/// The largest file that can be attached (<https://learn.microsoft.com/graph/outlook-large-attachments>).
const LARGEST_FILE: u64 = 150 * 1024 * 1024;

/// How much is uploaded at a time: less than 4 MB, and a multiple of 320 KiB, which uploads elsewhere at Graph must be
/// (<https://learn.microsoft.com/graph/api/driveitem-createuploadsession>).
const PIECE: u64 = 10 * 320 * 1024;

/// When asking again what became of a draft may help: it is moved to the sent items some time after it was accepted
/// (<https://learn.microsoft.com/graph/outlook-things-to-know-about-send-mail>).
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What the second step needs to know, as text of this shape.
#[derive(Serialize, Deserialize)]
struct Ticket {
    version: u32,
    #[serde(flatten)]
    way: Way,
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(tag = "outlook", rename_all = "snake_case")]
enum Way {
    /// A draft that is complete.
    Draft {
        draft: String,
        thread: Option<String>,
        /// The host's key, which the message carries too.
        key: String,
    },
    /// The whole message, in base64.
    Message { mime: String, key: String },
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
    let message = mime::base64_text(&message);
    let too_large = |file: &OutgoingAttachment| file.content.len() > LARGEST_FILE;
    if outgoing.attachments.iter().any(too_large) {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "an attachment is larger than the 150 MB that Outlook takes",
        ));
    }
    let way = if keeps_drafts(access) {
        prepare_draft(api, outgoing, message, key).await?
    } else {
        prepare_message(message, key).await?
    };
    let ticket = Ticket {
        version: VERSION,
        way,
    };
    // A ticket holds text and numbers, which can always be written.
    Ok(SendTicket::new(
        serde_json::to_string(&ticket).unwrap_or_default(),
    ))
}

/// Whether the access covers drafts (`Mail.ReadWrite`).
pub(super) fn keeps_drafts(access: Access) -> bool {
    access.contains(Access::DRAFT) || access.contains(Access::READ_WRITE)
}

async fn prepare_draft(
    api: &Api,
    outgoing: &Outgoing,
    mime_text: Content,
    key: &SendKey,
) -> Result<Way> {
    let in_pieces = mime_text.len() > LARGEST_MIME_TEXT;
    let created = if in_pieces {
        api.create_draft(&convert::draft(outgoing, key)).await?
    } else {
        api.create_mime_draft(mime_text).await?
    };
    let draft = created
        .id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| protocol("the draft came without its id"))?;
    if in_pieces && let Err(error) = attach_all(api, &draft, &outgoing.attachments).await {
        // Nobody should find half a message among the drafts; that it could not be attached matters more than that it
        // could not be deleted.
        _ = api.delete_draft(&draft).await;
        return Err(error);
    }
    Ok(Way::Draft {
        draft,
        thread: created.conversation_id,
        key: key.as_str().to_owned(),
    })
}

async fn attach_all(api: &Api, draft: &str, attachments: &[OutgoingAttachment]) -> Result<()> {
    for attachment in attachments {
        if attachment.content.len() <= LARGEST_SMALL_FILE {
            let bytes = attachment.content.to_bytes(LARGEST_SMALL_FILE).await;
            let bytes = STANDARD.encode(bytes.map_err(unreadable)?);
            let attachment = convert::small_attachment(attachment, bytes);
            api.attach(draft, &attachment).await?;
        } else {
            upload(api, draft, attachment).await?;
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
        .ok_or_else(|| protocol("the answer does not say where to upload to"))?;
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
                    return Err(protocol("the upload does not get on"));
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
                let state = api.upload_state(&session).await?;
                // Nothing is missing only if the service says so: a file without its end must not be sent.
                start = match state.next_expected_ranges.as_deref() {
                    Some([]) => length,
                    _ => next_expected(&state).ok_or_else(|| {
                        protocol("the service does not say what it has of an upload")
                    })?,
                };
            }
        }
    }
    Ok(())
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

/// The ticket then holds the whole message: without drafts there is no other place for it.
async fn prepare_message(mime_text: Content, key: &SendKey) -> Result<Way> {
    if mime_text.len() > LARGEST_REQUEST {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            "a message of more than 3 MB needs access to drafts",
        )
        .with_action(Action::GrantMore(Access::DRAFT)));
    }
    let mime = mime_text.to_bytes(LARGEST_REQUEST).await;
    Ok(Way::Message {
        mime: String::from_utf8_lossy(&mime.map_err(unreadable)?).into_owned(),
        key: key.as_str().to_owned(),
    })
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
                "this is no ticket of Outlook's, or one of another version",
            )
        })
}

/// The second step.
pub(super) async fn dispatch(api: &Api, ticket: &SendTicket) -> Result<Sent> {
    match read_ticket(ticket)? {
        Way::Draft { draft, thread, .. } => {
            api.send_draft(&draft).await.map_err(|error| {
                if error.kind() == ErrorKind::NotFound {
                    // Deleted by the user, or sent by an earlier try whose answer was lost.
                    return error.with_delivery(Delivery::Unknown);
                }
                error
            })?;
            Ok(Sent::new(
                Some(MessageId::new(draft)),
                thread.map(ThreadId::new),
            ))
        }
        Way::Message { mime, .. } => {
            api.send_mime(Content::from_bytes(mime)).await?;
            Ok(Sent::default())
        }
    }
}

/// What became of a ticket.
pub(super) async fn confirm(api: &Api, ticket: &SendTicket) -> Result<Confirmation> {
    let Way::Draft { draft, .. } = read_ticket(ticket)? else {
        return Err(Error::unsupported(
            "without access to drafts Outlook does not tell what was sent",
        ));
    };
    let calls = vec![api.message_state(&draft), api.folder(convert::OUTBOX)];
    let mut answers = batch::send(api, calls).await.into_iter();
    let (Some(state), Some(outbox)) = (answers.next(), answers.next()) else {
        return Err(protocol("a batch has fewer answers than parts"));
    };
    let unknown = Confirmation::StillUnknown {
        ask_again_at: Some(api.client.clock.now() + ASK_AGAIN),
    };
    let message: wire::Message = match state {
        Ok(answer) => reading::read("outlook.messages.get", &answer)?,
        // On its way to the sent items, or deleted since.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(unknown),
        Err(error) => return Err(error),
    };
    match message.is_draft {
        Some(false) => Ok(Confirmation::Sent(Sent::new(
            message.id.or(Some(draft)).map(MessageId::new),
            message.conversation_id.map(ThreadId::new),
        ))),
        // What lies in the outbox was accepted, and is a draft until it leaves.
        Some(true) => {
            let outbox: wire::MailFolder = match outbox {
                Ok(answer) => reading::read("outlook.mailFolders.get", &answer)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(Confirmation::NotSent);
                }
                Err(error) => return Err(error),
            };
            if message.parent_folder_id.is_some() && message.parent_folder_id == outbox.id {
                Ok(unknown)
            } else {
                Ok(Confirmation::NotSent)
            }
        }
        None => Ok(unknown),
    }
}
