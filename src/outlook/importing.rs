//! Putting messages that exist elsewhere into an Outlook mailbox. Graph makes a draft of any MIME
//! (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/14843>); a message that is none is made from JSON, with
//! properties of Exchange's own that say that it was received, and when. It is never the same byte by byte.

use super::api::Api;
use super::reading::OwnFolders;
use super::sending::uploading::{self, LARGEST_SMALL_FILE};
use super::{convert, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::protocol;
use crate::mime::{self, WholeMessage};
use crate::model::{
    Content, FolderRole, ImportDate, ImportLoss, ImportOptions, Imported, Keyword, MessageId,
    OutgoingAttachment, ThreadId,
};

/// The largest message that is imported, since it is read as a whole: as much as a mailbox receives unless an administrator
/// says otherwise
/// (<https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits#message-limits>).
const LARGEST: u64 = 36 * 1024 * 1024;

const OPERATION: &str = "outlook.messages.create";

/// Puts a message into the mailbox.
pub(super) async fn import(
    api: &Api,
    own: &OwnFolders,
    message: &Content,
    options: &ImportOptions,
) -> Result<Imported> {
    if message.len() > LARGEST {
        return Err(Error::unsupported(
            "Outlook imports no message of more than 36 MB",
        ));
    }
    let raw = message.to_bytes(LARGEST).await.map_err(|error| {
        Error::new(ErrorKind::Content, "the message could not be read").with_source(error)
    })?;
    let read = mime::read_whole(MessageId::from(""), &raw);
    let attachments = files(&read)?;
    let now = api.client.clock.now();
    let arrived = match options.date {
        ImportDate::Kept => read.message.sent_at.unwrap_or(now),
        ImportDate::At(instant) => instant,
        ImportDate::Now => now,
    };
    let folder = match options.folders.first() {
        Some(folder) => folder.as_str(),
        None => convert::role_folder(FolderRole::Archive).unwrap_or_default(),
    };
    let new = convert::imported(&read.message, arrived, &options.keywords);
    let made = api.create_in(folder, &new).await?;
    let id = made.id.clone().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| {
        protocol("a message was imported without an id").with_operation(OPERATION)
    })?;
    let completed = async {
        // Some mailboxes do not take what makes it one that was received.
        if made.is_draft == Some(true) {
            return Err(Error::unsupported(
                "this mailbox takes messages from elsewhere as drafts only",
            ));
        }
        uploading::attach_all(api, &id, &attachments, &Default::default()).await
    };
    if let Err(error) = completed.await {
        // Half a message is none, and the host will try again.
        _ = api.delete_draft(&id).await;
        return Err(error);
    }
    let lost = lost(own, api, &read, &made, options, arrived).await;
    let mut imported = Imported::new(MessageId::from(id));
    imported.thread = made.conversation_id.map(ThreadId::from);
    imported.lost = lost;
    Ok(imported)
}

/// The attachments as they are sent. Upload sessions are for drafts alone
/// (<https://learn.microsoft.com/graph/api/attachment-createuploadsession>).
fn files(read: &WholeMessage) -> Result<Vec<OutgoingAttachment>> {
    let described = &read.message.attachments;
    let of = |id| described.iter().find(|attachment| attachment.id == id);
    let mut files = Vec::new();
    for (id, bytes) in &read.attachments {
        let Some(attachment) = of(id.clone()) else {
            continue;
        };
        if bytes.len() as u64 > LARGEST_SMALL_FILE {
            return Err(Error::unsupported(
                "Outlook imports no message with an attachment of more than 3 MB",
            ));
        }
        let name = attachment.name.clone();
        let mut file = OutgoingAttachment::new(
            // The service requires one (<https://github.com/O365/python-o365/issues/565>).
            name.unwrap_or_else(|| "attachment".to_owned()),
            attachment.media_type.clone(),
            bytes.clone(),
        );
        file.content_id.clone_from(&attachment.content_id);
        files.push(file);
    }
    Ok(files)
}

async fn lost(
    own: &OwnFolders,
    api: &Api,
    read: &WholeMessage,
    made: &wire::Message,
    options: &ImportOptions,
    arrived: chrono::DateTime<chrono::Utc>,
) -> Vec<ImportLoss> {
    let mut lost = vec![ImportLoss::Bytes];
    let received = convert::timestamp(made.received_date_time);
    let has_date = matches!(options.date, ImportDate::Now)
        || received.is_some_and(|received| received.timestamp() == arrived.timestamp());
    let knows_date = !matches!(options.date, ImportDate::Kept) || read.message.sent_at.is_some();
    if !has_date || !knows_date {
        lost.push(ImportLoss::Date);
    }
    // A message is in one folder, which may be named by what it is for.
    let roles = own.roles(api).await.unwrap_or_default();
    let lies_in = made.parent_folder_id.as_deref().unwrap_or_default();
    for folder in &options.folders {
        let named = convert::named_role(folder.as_str()).and_then(|role| roles.id(role));
        let is_it = folder.as_str() == lies_in || named.is_some_and(|id| id.as_str() == lies_in);
        if !is_it {
            lost.push(ImportLoss::Folder(folder.clone()));
        }
    }
    for keyword in &options.keywords {
        if matches!(keyword, Keyword::Answered | Keyword::Draft) {
            lost.push(ImportLoss::Keyword(keyword.clone()));
        }
    }
    let thread = made.conversation_id.as_deref();
    if let Some(wanted) = &options.thread
        && thread != Some(wanted.as_str())
    {
        lost.push(ImportLoss::Thread);
    }
    lost
}
