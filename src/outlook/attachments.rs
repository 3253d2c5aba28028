//! Attachments: their bytes as a stream, and what an attached item is. How they are listed is `convert.rs`'s.

use super::api::Api;
use super::{batch, convert, reading, wire};
use crate::error::Result;
use crate::model::{Attachment, AttachmentId, AttachmentKind, ByteStream, Message, MessageId};

/// One attachment. Of an item these are the bytes of a message, an event or a contact; a link has none, and Graph refuses
/// (<https://learn.microsoft.com/graph/api/attachment-get>).
pub(super) async fn attachment(
    api: &Api,
    message: &MessageId,
    attachment: &AttachmentId,
) -> Result<ByteStream> {
    api.attachment(message.as_str(), attachment.as_str()).await
}

/// Asks what the attached items of these messages are, all at once. What cannot be learnt stays what it most likely is.
pub(super) async fn name_items(api: &Api, messages: &mut [Result<Message>]) {
    let is_item = |attachment: &&mut Attachment| attachment.kind == AttachmentKind::Message;
    let mut items = Vec::new();
    let mut calls = Vec::new();
    for message in messages.iter_mut().flatten() {
        for attachment in message.attachments.iter_mut().filter(is_item) {
            calls.push(api.attached_item(message.id.as_str(), attachment.id.as_str()));
            items.push(attachment);
        }
    }
    if calls.is_empty() {
        return;
    }
    for (attachment, answer) in items.into_iter().zip(batch::send(api, calls).await) {
        let read =
            |answer| reading::read::<wire::ItemAttachment>("outlook.attachments.get", &answer).ok();
        if let Some(item) = answer.ok().and_then(read).and_then(|read| read.item) {
            convert::name_item(attachment, &item);
        }
    }
}
