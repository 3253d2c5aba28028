//! Sending in two steps. With access to drafts the first step makes a draft and the second sends it: its id stays the
//! same, so that afterwards it tells what became of it. With the right to send and no other, the ticket holds the message
//! itself, and an answer that was lost stays lost.
//!
//! `sending/ticket.rs` is what the host keeps between the steps, `sending/making.rs` makes drafts, `sending/uploading.rs` gets
//! attachments into them, `sending/finding.rs` finds what is no longer known by its id.

mod finding;
pub(super) mod making;
mod ticket;
pub(super) mod uploading;

use std::time::Duration;

use ticket::{Draft, Way};

use super::api::{Api, LARGEST_REQUEST};
use super::{batch, convert, reading, wire};
use crate::error::{Action, Delivery, Error, ErrorKind, Result};
use crate::http::protocol;
use crate::mime;
use crate::model::{
    Access, Confirmation, Content, MessageId, Outgoing, SendKey, SendTicket, Sent, ThreadId,
};

/// When asking again what became of a draft may help: it is moved to the sent items some time after it was accepted
/// (<https://learn.microsoft.com/graph/outlook-things-to-know-about-send-mail>).
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The first step.
pub(super) async fn prepare(
    api: &Api,
    access: Access,
    outgoing: &Outgoing,
    key: &SendKey,
) -> Result<SendTicket> {
    // The service fills in the author where the message names none. The key goes into a property, which recipients do not
    // see.
    let message = mime::compose(outgoing, None, None, api.client.clock.now())?;
    uploading::check_sizes(&outgoing.attachments)?;
    if !keeps_drafts(access) {
        if outgoing.send_at.is_some() {
            return Err(Error::unsupported(
                "without access to drafts Outlook sends a message at once or not at all",
            ));
        }
        return Ok(ticket::write(
            prepare_message(mime::base64_text(&message), key).await?,
        ));
    }
    finding::discard_abandoned(api, key).await?;
    let made = making::make(api, outgoing, &message, Some(key)).await?;
    Ok(ticket::write(Way::Draft(Draft {
        id: made.id,
        thread: made.message.conversation_id,
        key: key.as_str().to_owned(),
        message_id: made.message_id,
        send_at: outgoing.send_at,
        revision: None,
    })))
}

/// The first step for a draft that is there: it is marked with the key, and sent only as it is now.
pub(super) async fn prepare_draft(
    api: &Api,
    mut draft: wire::Message,
    key: &SendKey,
) -> Result<SendTicket> {
    let id = draft.id.clone().unwrap_or_default();
    if let Some(marks) = convert::marks(Some(key), None) {
        draft = api.update_draft(&id, &marks, draft.etag.as_deref()).await?;
    }
    Ok(ticket::write(Way::Draft(Draft {
        id,
        thread: draft.conversation_id,
        key: key.as_str().to_owned(),
        message_id: None,
        send_at: None,
        revision: draft.etag,
    })))
}

/// Whether the access covers drafts (`Mail.ReadWrite`).
pub(super) fn keeps_drafts(access: Access) -> bool {
    access.contains(Access::DRAFT) || access.contains(Access::READ_WRITE)
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

/// The second step.
pub(super) async fn dispatch(api: &Api, ticket: &SendTicket) -> Result<Sent> {
    let draft = match ticket::read(ticket)? {
        Way::Draft(draft) => draft,
        Way::Message { mime, .. } => {
            api.send_mime(Content::from_bytes(mime)).await?;
            return Ok(Sent::default());
        }
    };
    if draft.revision.is_some() {
        let looked = look(api, &draft).await?;
        match looked.became {
            Confirmation::Sent(sent) => return Ok(sent),
            Confirmation::NotSent if looked.revision != draft.revision => {
                return Err(super::drafts::overtaken());
            }
            Confirmation::NotSent => {}
            Confirmation::StillUnknown { .. } => {
                return Err(
                    Error::new(ErrorKind::NotFound, "the draft is on its way, or is gone")
                        .with_delivery(Delivery::Unknown),
                );
            }
        }
    }
    match api.send_draft(&draft.id).await {
        Ok(()) => Ok(Sent::new(
            Some(MessageId::new(draft.id)),
            draft.thread.map(ThreadId::new),
        )),
        Err(error) => refused(api, &draft, error).await,
    }
}

/// A draft that is not there, or that the service does not take for one, was deleted by the user or sent by an earlier try
/// whose answer was lost. The message itself says which.
async fn refused(api: &Api, draft: &Draft, error: Error) -> Result<Sent> {
    let is_about_draft = matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::InvalidRequest | ErrorKind::Conflict
    );
    if error.delivery() != Delivery::Answered || !is_about_draft {
        return Err(error);
    }
    match look(api, draft).await.map(|looked| looked.became) {
        Ok(Confirmation::Sent(sent)) => Ok(sent),
        Ok(Confirmation::NotSent) => Err(error),
        _ => Err(error.with_delivery(Delivery::Unknown)),
    }
}

/// What became of a ticket.
pub(super) async fn confirm(api: &Api, ticket: &SendTicket) -> Result<Confirmation> {
    match ticket::read(ticket)? {
        Way::Draft(draft) => Ok(look(api, &draft).await?.became),
        Way::Message { .. } => Err(Error::unsupported(
            "without access to drafts Outlook does not tell what was sent",
        )),
    }
}

/// What a draft is by now.
struct Looked {
    became: Confirmation,
    /// Its version, if it is there.
    revision: Option<String>,
}

/// Looks at a draft. While it is one, wherever it lies but in the outbox, it was not sent: a message that was accepted is in
/// the outbox, and is no draft any more once it has left. A draft that the user threw away is one among the deleted items,
/// and so is a message that was held back and taken out of the outbox. If it is gone for good, only a sent copy proves
/// anything.
async fn look(api: &Api, draft: &Draft) -> Result<Looked> {
    let calls = vec![api.message_state(&draft.id), api.folder(convert::OUTBOX)];
    let mut answers = batch::send(api, calls).await.into_iter();
    let (Some(state), Some(outbox)) = (answers.next(), answers.next()) else {
        return Err(protocol("a batch has fewer answers than parts"));
    };
    let message: wire::Message = match state {
        Ok(answer) => reading::read("outlook.messages.get", &answer)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let copy = finding::sent_copy(api, draft).await?;
            return Ok(Looked {
                became: copy.map_or_else(|| unknown(api, None), Confirmation::Sent),
                revision: None,
            });
        }
        Err(error) => return Err(error),
    };
    let became = match message.is_draft {
        Some(false) => Confirmation::Sent(Sent::new(
            message
                .id
                .or_else(|| Some(draft.id.clone()))
                .map(MessageId::new),
            message.conversation_id.map(ThreadId::new),
        )),
        // What lies in the outbox was accepted, and is a draft until it leaves.
        Some(true) => {
            let outbox: wire::MailFolder = match outbox {
                Ok(answer) => reading::read("outlook.mailFolders.get", &answer)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(Looked {
                        became: Confirmation::NotSent,
                        revision: message.etag,
                    });
                }
                Err(error) => return Err(error),
            };
            match (&message.parent_folder_id, &outbox.id) {
                (Some(lies_in), Some(outbox)) if lies_in != outbox => Confirmation::NotSent,
                (Some(_), Some(_)) => unknown(api, draft.send_at),
                _ => unknown(api, None),
            }
        }
        None => unknown(api, None),
    };
    Ok(Looked {
        became,
        revision: message.etag,
    })
}

/// Asking again helps after a while, and not before the service is to send it.
fn unknown(api: &Api, send_at: Option<chrono::DateTime<chrono::Utc>>) -> Confirmation {
    let now = api.client.clock.now();
    Confirmation::StillUnknown {
        ask_again_at: Some(send_at.unwrap_or(now).max(now) + ASK_AGAIN),
    }
}
