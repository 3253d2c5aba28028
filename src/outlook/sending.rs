//! Sending in two steps. With access to drafts the first step makes a draft and the second sends it: its id stays the
//! same, so that afterwards it tells what became of it. With the right to send and no other, the ticket holds the message
//! itself, and an answer that was lost stays lost.
//!
//! `sending/ticket.rs` is what the host keeps between the steps, `sending/uploading.rs` gets attachments into drafts,
//! `sending/finding.rs` finds what is no longer known by its id.

mod finding;
mod ticket;
mod uploading;

use std::time::Duration;

use ticket::{Draft, Way};

use super::api::{Api, LARGEST_REQUEST};
use super::{batch, convert, reading, wire};
use crate::error::{Action, Delivery, Error, ErrorKind, Result};
use crate::http::protocol;
use crate::mime;
use crate::model::{
    Access, Confirmation, Content, MessageId, Outgoing, OutgoingAttachment, SendKey, SendTicket,
    Sent, ThreadId,
};

/// Up to here a message goes as it is, in base64. What is longer is put together at the service: a request has 4 MB at
/// most (<https://learn.microsoft.com/graph/outlook-send-mime-message>).
const LARGEST_MIME_TEXT: u64 = 3_500_000;

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
    // The service fills in the author where the message names none.
    let message = mime::compose(outgoing, None, key, api.client.clock.now())?;
    let too_large = |file: &OutgoingAttachment| file.content.len() > uploading::LARGEST_FILE;
    if outgoing.attachments.iter().any(too_large) {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "an attachment is larger than the 150 MB that Outlook takes",
        ));
    }
    let way = if keeps_drafts(access) {
        finding::discard_abandoned(api, key).await?;
        Way::Draft(prepare_draft(api, outgoing, &message, key).await?)
    } else {
        prepare_message(mime::base64_text(&message), key).await?
    };
    Ok(ticket::write(way))
}

/// Whether the access covers drafts (`Mail.ReadWrite`).
pub(super) fn keeps_drafts(access: Access) -> bool {
    access.contains(Access::DRAFT) || access.contains(Access::READ_WRITE)
}

async fn prepare_draft(
    api: &Api,
    outgoing: &Outgoing,
    message: &Content,
    key: &SendKey,
) -> Result<Draft> {
    let mime_text = mime::base64_text(message);
    let (created, message_id) = if mime_text.len() > LARGEST_MIME_TEXT {
        let created = api.create_draft(&convert::draft(outgoing, key)).await;
        (created_or_found(api, created, key, None).await?, None)
    } else {
        let message_id = finding::message_id(message).await;
        let created = api.create_mime_draft(mime_text).await;
        let created = created_or_found(api, created, key, message_id.as_deref()).await?;
        (created, Some(message_id))
    };
    let id = created
        .id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| protocol("the draft came without its id"))?;
    let completed = match &message_id {
        // JSON carried the key; only the files are missing.
        None => uploading::attach_all(api, &id, &outgoing.attachments).await,
        Some(_) => mark(api, &id, key).await,
    };
    if let Err(error) = completed {
        // Nobody should find half a message among the drafts; that it could not be completed matters more than that it
        // could not be deleted.
        _ = api.delete_draft(&id).await;
        return Err(error);
    }
    Ok(Draft {
        id,
        thread: created.conversation_id,
        key: key.as_str().to_owned(),
        message_id: message_id.flatten(),
        send_at: None,
    })
}

/// The draft that was made. If the answer was lost, it may be there nevertheless; a second one would be one too many.
async fn created_or_found(
    api: &Api,
    created: Result<wire::Message>,
    key: &SendKey,
    message_id: Option<&str>,
) -> Result<wire::Message> {
    match created {
        Err(error) if error.delivery() == Delivery::Unknown => {
            match finding::lost_draft(api, key, message_id).await {
                Ok(Some(found)) => Ok(found),
                _ => Err(error),
            }
        }
        created => created,
    }
}

/// MIME has no place for a property by which the draft is found if this process dies before the host has noted the ticket.
/// Nobody looks for a key that cannot be repeated.
async fn mark(api: &Api, draft: &str, key: &SendKey) -> Result<()> {
    if key.is_unrepeated() {
        return Ok(());
    }
    api.set_properties(draft, &convert::key_properties(key))
        .await
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
    match ticket::read(ticket)? {
        Way::Draft(draft) => match api.send_draft(&draft.id).await {
            Ok(()) => Ok(Sent::new(
                Some(MessageId::new(draft.id)),
                draft.thread.map(ThreadId::new),
            )),
            Err(error) => refused(api, &draft, error).await,
        },
        Way::Message { mime, .. } => {
            api.send_mime(Content::from_bytes(mime)).await?;
            Ok(Sent::default())
        }
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
    match became(api, draft).await {
        Ok(Confirmation::Sent(sent)) => Ok(sent),
        Ok(Confirmation::NotSent) => Err(error),
        _ => Err(error.with_delivery(Delivery::Unknown)),
    }
}

/// What became of a ticket.
pub(super) async fn confirm(api: &Api, ticket: &SendTicket) -> Result<Confirmation> {
    match ticket::read(ticket)? {
        Way::Draft(draft) => became(api, &draft).await,
        Way::Message { .. } => Err(Error::unsupported(
            "without access to drafts Outlook does not tell what was sent",
        )),
    }
}

/// What a draft is by now. While it is a draft, wherever it lies but in the outbox, it was not sent: a message that was
/// accepted is in the outbox, and is none any more once it has left. A draft that the user threw away is one among the
/// deleted items. If it is gone for good, only a sent copy proves anything.
async fn became(api: &Api, draft: &Draft) -> Result<Confirmation> {
    let calls = vec![api.message_state(&draft.id), api.folder(convert::OUTBOX)];
    let mut answers = batch::send(api, calls).await.into_iter();
    let (Some(state), Some(outbox)) = (answers.next(), answers.next()) else {
        return Err(protocol("a batch has fewer answers than parts"));
    };
    let message: wire::Message = match state {
        Ok(answer) => reading::read("outlook.messages.get", &answer)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let copy = finding::sent_copy(api, draft).await?;
            return Ok(copy.map_or_else(|| unknown(api, None), Confirmation::Sent));
        }
        Err(error) => return Err(error),
    };
    match message.is_draft {
        Some(false) => Ok(Confirmation::Sent(Sent::new(
            message
                .id
                .or_else(|| Some(draft.id.clone()))
                .map(MessageId::new),
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
            match (&message.parent_folder_id, &outbox.id) {
                (Some(lies_in), Some(outbox)) if lies_in != outbox => Ok(Confirmation::NotSent),
                (Some(_), Some(_)) => Ok(unknown(api, draft.send_at)),
                _ => Ok(unknown(api, None)),
            }
        }
        None => Ok(unknown(api, None)),
    }
}

/// Asking again helps after a while, and not before the service is to send it.
fn unknown(api: &Api, send_at: Option<chrono::DateTime<chrono::Utc>>) -> Confirmation {
    let now = api.client.clock.now();
    Confirmation::StillUnknown {
        ask_again_at: Some(send_at.unwrap_or(now).max(now) + ASK_AGAIN),
    }
}
