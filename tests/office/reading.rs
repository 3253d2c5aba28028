//! What a kept message is as the crate shows messages.

use chrono::DateTime;
use mail_parser::{Addr, MessageParser, MimeHeaders, PartType};
use postroom::{
    Address, Attachment, AttachmentId, AttachmentKind, Detail, FolderId, Header, Message, MessageId,
};

use crate::Kept;

fn address(address: &Addr<'_>) -> Address {
    Address::received(
        address.name().map(str::to_owned),
        address.address().unwrap_or_default(),
    )
}

fn addresses(list: Option<&mail_parser::Address<'_>>) -> Vec<Address> {
    list.into_iter()
        .flat_map(|list| list.iter().map(address))
        .collect()
}

pub(crate) fn ids(value: &mail_parser::HeaderValue<'_>) -> Vec<String> {
    let ids = value.as_text_list().unwrap_or_default();
    ids.iter().map(ToString::to_string).collect()
}

pub(crate) fn message(kept: &Kept, detail: Detail) -> Message {
    let mut message = Message::new(MessageId::new(kept.id.as_str()));
    message.detail = detail;
    message.folders = Some(vec![FolderId::new(kept.folder.as_str())]);
    message.keywords = Some(kept.keywords.clone());
    message.received_at = Some(kept.received_at);
    message.preview = Some(String::new());
    message.size = Some(kept.raw.len() as u64);
    let Some(parsed) = MessageParser::new().parse(&kept.raw) else {
        return message;
    };
    message.thread = Some(super::conversation(kept, &parsed));
    message.subject = parsed.subject().map(str::to_owned);
    message.from = addresses(parsed.from());
    message.to = addresses(parsed.to());
    message.cc = addresses(parsed.cc());
    message.reply_to = addresses(parsed.reply_to());
    message.message_id = parsed.message_id().map(str::to_owned);
    message.sent_at = parsed
        .date()
        .and_then(|date| DateTime::from_timestamp(date.to_timestamp(), 0));
    if detail != Detail::Full {
        return message;
    }
    message.in_reply_to = ids(parsed.in_reply_to());
    message.references = ids(parsed.references());
    let headers = parsed.headers_raw();
    message.headers = headers
        .map(|(name, value)| Header::new(name, value.trim()))
        .collect();
    message.body.text = parsed.text_bodies().find_map(|part| match &part.body {
        PartType::Text(text) => Some(text.to_string()),
        _ => None,
    });
    message.body.html = parsed.html_bodies().find_map(|part| match &part.body {
        PartType::Html(html) => Some(html.to_string()),
        _ => None,
    });
    for (index, part) in parsed.attachments().enumerate() {
        let kind = part.content_type().map_or_else(
            || "application/octet-stream".to_owned(),
            |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("x")),
        );
        let mut attachment = Attachment::new(AttachmentId::new(index.to_string()), kind);
        attachment.name = part.attachment_name().map(str::to_owned);
        attachment.size = Some(part.contents().len() as u64);
        attachment.content_id = part.content_id().map(str::to_owned);
        let html = message.body.html.as_deref().unwrap_or_default();
        attachment.inline = part
            .content_id()
            .is_some_and(|id| html.contains(&format!("cid:{id}")));
        if matches!(part.body, PartType::Message(_)) {
            attachment.kind = AttachmentKind::Message;
        }
        message.attachments.push(attachment);
    }
    message
}
