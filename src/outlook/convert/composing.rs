//! Messages that are being written, in Graph's terms.

use super::unbracketed;
use crate::model::{Address, Outgoing, OutgoingAttachment, SendKey};
use crate::outlook::wire;

/// Names in the namespace that clients share (`PS_PUBLIC_STRINGS`), and properties of Exchange's own: `In-Reply-To` and
/// `References`, which JSON cannot set as headers
/// (<https://learn.microsoft.com/graph/api/resources/extended-properties-overview>,
/// <https://learn.microsoft.com/office/client-developer/outlook/mapi/pidtaginreplytoid-canonical-property>).
pub(in crate::outlook) const KEY_PROPERTY: &str =
    "String {00020329-0000-0000-C000-000000000046} Name PostroomKey";
const IN_REPLY_TO_PROPERTY: &str = "String 0x1042";
const REFERENCES_PROPERTY: &str = "String 0x1039";

/// A draft that attachments are added to. Graph takes one body: the HTML if there is one.
pub(in crate::outlook) fn draft(outgoing: &Outgoing, key: &SendKey) -> wire::NewMessage {
    let body = match (&outgoing.html, &outgoing.text) {
        (Some(html), _) => ("html", html.clone()),
        (None, text) => ("text", text.clone().unwrap_or_default()),
    };
    let recipients = |list: &[Address]| list.iter().map(recipient).collect();
    let mut properties = vec![property(KEY_PROPERTY, key.as_str().to_owned())];
    if let Some(id) = &outgoing.in_reply_to {
        properties.push(property(IN_REPLY_TO_PROPERTY, bracketed(id)));
    }
    if !outgoing.references.is_empty() {
        let ids: Vec<String> = outgoing.references.iter().map(|id| bracketed(id)).collect();
        properties.push(property(REFERENCES_PROPERTY, ids.join(" ")));
    }
    wire::NewMessage {
        subject: outgoing.subject.clone(),
        body: wire::ItemBody {
            content_type: Some(body.0.to_owned()),
            content: Some(body.1),
        },
        from: outgoing.from.as_ref().map(recipient),
        to_recipients: recipients(&outgoing.to),
        cc_recipients: recipients(&outgoing.cc),
        bcc_recipients: recipients(&outgoing.bcc),
        reply_to: recipients(&outgoing.reply_to),
        single_value_extended_properties: properties,
    }
}

fn property(id: &'static str, value: String) -> wire::ExtendedProperty {
    wire::ExtendedProperty { id, value }
}

fn bracketed(id: &str) -> String {
    format!("<{}>", unbracketed(id))
}

fn recipient(address: &Address) -> wire::Recipient {
    wire::Recipient {
        email_address: Some(wire::EmailAddress {
            name: address.name().map(str::to_owned),
            address: Some(address.address().to_owned()),
        }),
    }
}

/// A small attachment with its bytes.
pub(in crate::outlook) fn small_attachment(
    attachment: &OutgoingAttachment,
    content_bytes: String,
) -> wire::NewAttachment {
    wire::NewAttachment {
        odata_type: "#microsoft.graph.fileAttachment",
        name: attachment.name.clone(),
        content_type: attachment.media_type.clone(),
        is_inline: attachment.content_id.is_some(),
        content_id: attachment.content_id.as_deref().map(unbracketed),
        content_bytes,
    }
}

/// An attachment whose bytes follow in a session.
pub(in crate::outlook) fn upload_session(
    attachment: &OutgoingAttachment,
) -> wire::NewUploadSession {
    wire::NewUploadSession {
        attachment_item: wire::AttachmentItem {
            attachment_type: "file",
            name: attachment.name.clone(),
            size: attachment.content.len(),
            content_type: attachment.media_type.clone(),
            is_inline: attachment.content_id.is_some(),
            content_id: attachment.content_id.as_deref().map(unbracketed),
        },
    }
}

/// The host's key, to be put on a draft that was made from MIME.
pub(in crate::outlook) fn key_properties(key: &SendKey) -> wire::Properties {
    wire::Properties {
        single_value_extended_properties: vec![property(KEY_PROPERTY, key.as_str().to_owned())],
    }
}

/// Whether a message that was found by an extended property has just this value: the service compares texts as it likes,
/// and gives ids back in lower case.
pub(in crate::outlook) fn has_property(message: &wire::Message, id: &str, value: &str) -> bool {
    let mut properties = message
        .single_value_extended_properties
        .iter()
        .flatten()
        .flatten();
    properties.any(|property| {
        let is_it = |known: &String| known.eq_ignore_ascii_case(id);
        property.id.as_ref().is_some_and(is_it) && property.value.as_deref() == Some(value)
    })
}
