//! Putting messages that exist elsewhere into the mailbox, with Gmail's `insert`, which takes them as they are, or its
//! `import`, which treats them as if they arrived. The requests are `api/uploading.rs`'s.

use super::api::{Api, LARGEST_IMPORT, Upload};
use super::{convert, sending, wire};
use crate::error::{Error, ErrorKind, Result};
use crate::http::parse;
use crate::mime;
use crate::model::{
    Content, FolderId, ImportDate, ImportLoss, ImportOptions, Imported, Keyword, MessageId,
    ThreadId,
};

/// Puts a message into the mailbox.
pub(super) async fn import(
    api: &Api,
    message: &Content,
    options: &ImportOptions,
) -> Result<Imported> {
    if message.len() > LARGEST_IMPORT {
        return Err(Error::new(
            ErrorKind::InvalidRequest,
            "the message is larger than the 150 MiB that Gmail imports",
        ));
    }
    let head = mime::head(message).await?;
    let marks = convert::marks(options);
    let metadata = wire::MessageMetadata {
        thread_id: options.thread.as_ref().map(ThreadId::as_str),
        label_ids: marks.labels.clone(),
    };
    let upload = Upload::Import(options.way, options.date);
    let answer = sending::upload(api, upload, &metadata, message.clone()).await?;
    let answer: wire::Message = parse(upload.operation(), &answer.body)?;
    let id = answer.id.filter(|id| !id.is_empty()).ok_or_else(|| {
        crate::http::protocol("a message was imported without an id")
            .with_operation(upload.operation())
    })?;
    let mut imported = Imported::new(MessageId::from(id));
    imported.thread = answer.thread_id.map(ThreadId::from);
    imported.lost = marks.lost;
    if let Some(given) = answer.label_ids {
        let given: Vec<String> = given.into_iter().flatten().collect();
        imported.lost.extend(not_given(options, &given));
    }
    let kept_date = match options.date {
        // A date that cannot be read is the time of the import to Gmail
        // (<https://github.com/google/import-mailbox-to-gmail/issues/55>).
        ImportDate::Kept => head.sent_at.is_some(),
        ImportDate::At(instant) => head.sent_at == Some(instant),
        ImportDate::Now => true,
    };
    if !kept_date {
        imported.lost.push(ImportLoss::Date);
    }
    if options.thread.is_some() && imported.thread != options.thread {
        imported.lost.push(ImportLoss::Thread);
    }
    Ok(imported)
}

/// What was asked for and is not there: mail that is treated as if it arrived may be taken for junk.
fn not_given(options: &ImportOptions, given: &[String]) -> Vec<ImportLoss> {
    let has = |label: &str| given.iter().any(|given| given == label);
    let folders = options.folders.iter();
    let folders = folders.filter(|folder| convert::may_be_put(folder) && !has(folder.as_str()));
    let mut lost: Vec<ImportLoss> = folders
        .map(|folder: &FolderId| ImportLoss::Folder(folder.clone()))
        .collect();
    let keywords = options.keywords.iter();
    let keywords = keywords.filter(|keyword| match keyword {
        Keyword::Seen => has("UNREAD"),
        Keyword::Flagged => !has("STARRED"),
        Keyword::Important => !has("IMPORTANT"),
        _ => false,
    });
    lost.extend(keywords.map(|keyword| ImportLoss::Keyword(keyword.clone())));
    lost
}
