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
use crate::http::{Answer, protocol};
use crate::mime;
use crate::model::{
    Access, Confirmation, Content, FolderRole, MessageId, Outgoing, SendKey, SendTicket, Sent,
    ThreadId,
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
        prepared_at: Some(api.client.clock.now()),
        revision: None,
    })))
}

/// The first step for a draft that is there: it is marked with the key and with what it is like, and sent only as it is now.
pub(super) async fn prepare_draft(
    api: &Api,
    mut draft: wire::Message,
    prepared: Option<String>,
    key: &SendKey,
) -> Result<SendTicket> {
    let id = draft.id.clone().unwrap_or_default();
    if let Some(marks) = convert::draft_marks(key, prepared) {
        draft = api.update_draft(&id, &marks, draft.etag.as_deref()).await?;
    }
    Ok(ticket::write(Way::Draft(Draft {
        id,
        thread: draft.conversation_id,
        key: key.as_str().to_owned(),
        message_id: None,
        send_at: None,
        prepared_at: Some(api.client.clock.now()),
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
    if draft.may_have_changed(api.client.clock.now())
        && let Some(sent) = check(api, &draft).await?
    {
        return Ok(sent);
    }
    match api.send_draft(&draft.id).await {
        Ok(()) => Ok(Sent::new(
            Some(MessageId::new(draft.id)),
            draft.thread.map(ThreadId::new),
        )),
        Err(error) => refused(api, &draft, error).await,
    }
}

/// Looks whether a draft is still there to be sent, or was sent already. The service sends it from wherever it lies, also from
/// among the deleted items (<https://learn.microsoft.com/graph/api/message-send>), and on no condition.
async fn check(api: &Api, draft: &Draft) -> Result<Option<Sent>> {
    let trash = convert::role_folder(FolderRole::Trash).unwrap_or_default();
    let calls = vec![
        api.message_state(&draft.id),
        api.folder(convert::OUTBOX),
        api.folder(trash),
    ];
    let mut answers = batch::send(api, calls).await.into_iter();
    let (Some(state), Some(outbox), Some(trash)) = (answers.next(), answers.next(), answers.next())
    else {
        return Err(protocol("a batch has fewer answers than parts"));
    };
    // Nothing was sent by looking.
    let looked = read_look(api, draft, state, outbox).await;
    let looked = looked.map_err(|error| error.with_delivery(Delivery::NotSent))?;
    match looked.became {
        Confirmation::Sent(sent) => Ok(Some(sent)),
        Confirmation::NotSent if draft.is_changed(looked.revision.as_deref()) => {
            Err(super::drafts::overtaken())
        }
        Confirmation::NotSent => {
            let trash = match trash {
                // Nor is a draft that is seen in there then.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
                trash => {
                    folder_id(trash).map_err(|error| error.with_delivery(Delivery::NotSent))?
                }
            };
            if trash.is_some() && trash == looked.lies_in {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "the draft was thrown away: it lies among the deleted items",
                ));
            }
            Ok(None)
        }
        Confirmation::StillUnknown { .. } => Err(Error::new(
            ErrorKind::NotFound,
            "the draft is on its way, or is gone",
        )
        .with_delivery(Delivery::Unknown)),
    }
}

/// Throws away the draft of a ticket that is never dispatched, unless it is one of the user's.
pub(super) async fn abandon(api: &Api, ticket: &SendTicket) -> Result<()> {
    match ticket::read(ticket)? {
        Way::Draft(draft) if draft.revision.is_none() => match api.delete_draft(&draft.id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        },
        _ => Ok(()),
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
        // Whoever it is in conflict with may be about to send it.
        Ok(Confirmation::NotSent) if !matches!(error.status(), Some(409 | 412)) => Err(error),
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
    /// Its version and its folder, if it is there.
    revision: Option<String>,
    lies_in: Option<String>,
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
    read_look(api, draft, state, outbox).await
}

async fn read_look(
    api: &Api,
    draft: &Draft,
    state: Result<Answer>,
    outbox: Result<Answer>,
) -> Result<Looked> {
    let message: wire::Message = match state {
        Ok(answer) => reading::read("outlook.messages.get", &answer)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let copy = finding::sent_copy(api, draft).await?;
            return Ok(Looked {
                became: copy.map_or_else(|| unknown(api, None), Confirmation::Sent),
                revision: None,
                lies_in: None,
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
        Some(true) => match (&message.parent_folder_id, folder_id(outbox)?) {
            (_, None) => Confirmation::NotSent,
            (Some(lies_in), Some(outbox)) if *lies_in != outbox => Confirmation::NotSent,
            (Some(_), Some(_)) => unknown(api, draft.send_at),
            (None, Some(_)) => unknown(api, None),
        },
        None => unknown(api, None),
    };
    Ok(Looked {
        became,
        revision: message.etag,
        lies_in: message.parent_folder_id,
    })
}

/// The id of a folder that may not be there.
fn folder_id(answer: Result<Answer>) -> Result<Option<String>> {
    match answer {
        Ok(answer) => {
            let folder: wire::MailFolder = reading::read("outlook.mailFolders.get", &answer)?;
            let id = folder.id.filter(|id| !id.is_empty());
            id.map(Some)
                .ok_or_else(|| protocol("a folder came without its id"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asking again helps after a while, and not before the service is to send it.
fn unknown(api: &Api, send_at: Option<chrono::DateTime<chrono::Utc>>) -> Confirmation {
    let now = api.client.clock.now();
    Confirmation::StillUnknown {
        ask_again_at: Some(send_at.unwrap_or(now).max(now) + ASK_AGAIN),
    }
}
