//! Messages that are being written, in Graph's terms.

use chrono::{DateTime, SecondsFormat, Utc};

use super::unbracketed;
use crate::error::Result;
use crate::http::protocol;
use crate::model::{
    Address, Detail, Draft, DraftEdit, DraftId, DraftRevision, Identity, Importance, Keyword,
    Message, Outgoing, OutgoingAttachment, SendKey,
};
use crate::outlook::wire;

/// Names in the namespace that clients share (`PS_PUBLIC_STRINGS`), and properties of Exchange's own: `In-Reply-To` and
/// `References`, which JSON cannot set as headers
/// (<https://learn.microsoft.com/graph/api/resources/extended-properties-overview>,
/// <https://learn.microsoft.com/office/client-developer/outlook/mapi/pidtaginreplytoid-canonical-property>).
pub(in crate::outlook) const KEY_PROPERTY: &str =
    "String {00020329-0000-0000-C000-000000000046} Name PostroomKey";
/// What a draft was like, and for which send, when it was prepared.
pub(in crate::outlook) const PREPARED_PROPERTY: &str =
    "String {00020329-0000-0000-C000-000000000046} Name PostroomPrepared";
const IN_REPLY_TO_PROPERTY: &str = "String 0x1042";
const REFERENCES_PROPERTY: &str = "String 0x1039";

/// When a message that was sent is to leave
/// (<https://learn.microsoft.com/office/client-developer/outlook/mapi/pidtagdeferredsendtime-canonical-property>), how to
/// leave a list
/// (<https://learn.microsoft.com/office/client-developer/outlook/mapi/pidtaglistunsubscribe-canonical-property>).
pub(in crate::outlook) const DEFERRED_SEND_PROPERTY: &str = "SystemTime 0x3FEF";
const LIST_UNSUBSCRIBE_PROPERTY: &str = "String 0x1045";

/// A draft that attachments are added to. Graph takes one body: the HTML if there is one. What it answers is said also where
/// the service made it as an answer, since the sender may want other references than the service has.
pub(in crate::outlook) fn draft(outgoing: &Outgoing, key: Option<&SendKey>) -> wire::NewMessage {
    let mut properties = marks(key, outgoing.send_at)
        .map(|marks| marks.single_value_extended_properties)
        .unwrap_or_default();
    if let Some(key) = key.filter(|key| key.is_unrepeated()) {
        // It costs nothing here, and finds the draft if the answer is lost.
        properties.push(property(KEY_PROPERTY, key.as_str().to_owned()));
    }
    if let Some(id) = &outgoing.in_reply_to {
        properties.push(property(IN_REPLY_TO_PROPERTY, bracketed(id)));
    }
    if !outgoing.references.is_empty() {
        properties.push(property(
            REFERENCES_PROPERTY,
            all_bracketed(&outgoing.references),
        ));
    }
    if let Some(unsubscribe) = &outgoing.list_unsubscribe {
        let places: Vec<String> = unsubscribe
            .addresses()
            .map(|address| format!("<{address}>"))
            .collect();
        properties.push(property(LIST_UNSUBSCRIBE_PROPERTY, places.join(", ")));
    }
    wire::NewMessage {
        subject: outgoing.subject.clone(),
        body: Some(body(outgoing.text.as_ref(), outgoing.html.as_ref())),
        from: outgoing.from.as_ref().map(recipient),
        to_recipients: recipients(&outgoing.to),
        cc_recipients: recipients(&outgoing.cc),
        bcc_recipients: recipients(&outgoing.bcc),
        reply_to: recipients(&outgoing.reply_to),
        importance: match outgoing.importance {
            Importance::Low => Some("low"),
            Importance::Normal => None,
            Importance::High => Some("high"),
        },
        is_read_receipt_requested: outgoing.read_receipt_to.is_some().then_some(true),
        internet_message_headers: outgoing
            .headers
            .iter()
            .map(|header| wire::NewHeader {
                name: header.name().to_owned(),
                value: header.value().to_owned(),
            })
            .collect(),
        single_value_extended_properties: properties,
        ..wire::NewMessage::default()
    }
}

fn body(text: Option<&String>, html: Option<&String>) -> wire::ItemBody {
    let (kind, content) = match (html, text) {
        (Some(html), _) => ("html", html.clone()),
        (None, text) => ("text", text.cloned().unwrap_or_default()),
    };
    wire::ItemBody {
        content_type: Some(kind.to_owned()),
        content: Some(content),
    }
}

/// What is put on a draft beside what it says: the host's key, unless nobody will look for it, and when it is to leave.
pub(in crate::outlook) fn marks(
    key: Option<&SendKey>,
    send_at: Option<DateTime<Utc>>,
) -> Option<wire::Properties> {
    let key = key.filter(|key| !key.is_unrepeated());
    let key = key.map(|key| property(KEY_PROPERTY, key.as_str().to_owned()));
    let send_at = send_at.map(|instant| property(DEFERRED_SEND_PROPERTY, second(instant)));
    let marks: Vec<wire::ExtendedProperty> = key.into_iter().chain(send_at).collect();
    (!marks.is_empty()).then_some(wire::Properties {
        single_value_extended_properties: marks,
    })
}

/// What is put on the user's own draft when it is prepared, unless nobody will look for it.
pub(in crate::outlook) fn draft_marks(
    key: &SendKey,
    prepared: Option<String>,
) -> Option<wire::Properties> {
    let mut marks = marks(Some(key), None)?;
    let prepared = prepared.map(|prepared| property(PREPARED_PROPERTY, prepared));
    marks.single_value_extended_properties.extend(prepared);
    Some(marks)
}

/// An edit as what is to be changed, unless that is nothing.
pub(in crate::outlook) fn draft_patch(edit: &DraftEdit) -> Option<wire::DraftPatch> {
    let has_fields = edit.from.is_some()
        || edit.reply_to.is_some()
        || edit.to.is_some()
        || edit.cc.is_some()
        || edit.bcc.is_some()
        || edit.subject.is_some()
        || edit.body.is_some();
    let list = |people: &Option<Vec<Address>>| people.as_deref().map(recipients);
    has_fields.then(|| wire::DraftPatch {
        subject: edit.subject.clone(),
        body: edit
            .body
            .as_ref()
            .map(|written| body(written.text.as_ref(), written.html.as_ref())),
        from: edit.from.as_ref().map(recipient),
        to_recipients: list(&edit.to),
        cc_recipients: list(&edit.cc),
        bcc_recipients: list(&edit.bcc),
        reply_to: list(&edit.reply_to),
    })
}

/// A draft as the service has it. What changes with it is its entity tag.
pub(in crate::outlook) fn kept_draft(wire: wire::Message, detail: Detail) -> Result<Draft> {
    let revision = wire.etag.clone().filter(|etag| !etag.is_empty());
    let revision = revision.ok_or_else(|| protocol("a draft came without its version"))?;
    let message = super::message(wire, detail)?;
    Ok(Draft::new(
        DraftId::from(message.id.as_str()),
        DraftRevision::new(revision),
        message,
    ))
}

/// The mailbox's own address first, then the others that it receives mail at.
pub(in crate::outlook) fn identities(user: wire::User) -> Result<Vec<Identity>> {
    let proxies = user.proxy_addresses.clone().unwrap_or_default();
    let profile = super::profile(user)?;
    let named = |address: &str| Address::received(profile.display_name.clone(), address);
    let mut own = Identity::new(named(&profile.address));
    (own.default, own.primary) = (true, true);
    let mut identities = vec![own];
    for proxy in proxies.into_iter().flatten() {
        // Others than `smtp:` are no mail addresses (<https://learn.microsoft.com/graph/api/resources/user#properties>).
        let Some((kind, address)) = proxy.split_once(':') else {
            continue;
        };
        let is_known = |known: &Identity| known.address.address().eq_ignore_ascii_case(address);
        if kind.eq_ignore_ascii_case("smtp") && !identities.iter().any(is_known) {
            identities.push(Identity::new(named(address)));
        }
    }
    Ok(identities)
}

/// Properties of Exchange's own that make a message one that was received, and when
/// (<https://github.com/mguessan/davmail/pull/517>,
/// <https://learn.microsoft.com/office/client-developer/outlook/mapi/pidtagmessageflags-canonical-property>).
const FLAGS_PROPERTY: &str = "Integer 0x0E07";
const ARRIVED_PROPERTY: &str = "SystemTime 0x0E06";
const SENT_PROPERTY: &str = "SystemTime 0x0039";
const HEADER_PROPERTY: &str = "String 0x007D";

/// What it takes to have a message that exists elsewhere as one that arrived at this instant.
pub(in crate::outlook) fn imported(
    message: &Message,
    arrived: DateTime<Utc>,
    keywords: &[Keyword],
) -> wire::NewMessage {
    let has = |keyword: &Keyword| keywords.contains(keyword);
    let seen = has(&Keyword::Seen);
    let mut properties = vec![
        // Without the flag for what was not sent; with the one for what was read.
        property(FLAGS_PROPERTY, if seen { "1" } else { "0" }.to_owned()),
        property(ARRIVED_PROPERTY, second(arrived)),
    ];
    if let Some(sent) = message.sent_at {
        properties.push(property(SENT_PROPERTY, second(sent)));
    }
    if let Some(id) = message.in_reply_to.first() {
        properties.push(property(IN_REPLY_TO_PROPERTY, bracketed(id)));
    }
    if !message.references.is_empty() {
        properties.push(property(
            REFERENCES_PROPERTY,
            all_bracketed(&message.references),
        ));
    }
    let header: String = message
        .headers
        .iter()
        .map(|line| format!("{}: {}\r\n", line.name, line.value))
        .collect();
    properties.push(property(HEADER_PROPERTY, header));
    let custom = keywords.iter().filter_map(|keyword| match keyword {
        Keyword::Custom(name) => Some(name.clone()),
        _ => None,
    });
    let sender = message.sender.as_ref().or_else(|| message.from.first());
    wire::NewMessage {
        subject: message.subject.clone().unwrap_or_default(),
        body: Some(body(message.body.text.as_ref(), message.body.html.as_ref())),
        from: message.from.first().map(recipient),
        sender: sender.map(recipient),
        to_recipients: recipients(&message.to),
        cc_recipients: recipients(&message.cc),
        bcc_recipients: recipients(&message.bcc),
        reply_to: recipients(&message.reply_to),
        importance: has(&Keyword::Important).then_some("high"),
        internet_message_id: message.message_id.as_deref().map(bracketed),
        is_read: Some(seen),
        flag: has(&Keyword::Flagged).then(|| wire::Flag {
            flag_status: Some(wire::Word::new("flagged")),
        }),
        categories: custom.collect(),
        single_value_extended_properties: properties,
        ..wire::NewMessage::default()
    }
}

fn second(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn recipients(people: &[Address]) -> Vec<wire::Recipient> {
    people.iter().map(recipient).collect()
}

fn all_bracketed(ids: &[String]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| bracketed(id)).collect();
    ids.join(" ")
}

fn property(id: &'static str, value: String) -> wire::ExtendedProperty {
    wire::ExtendedProperty { id, value }
}

fn bracketed(id: &str) -> String {
    format!("<{}>", unbracketed(id))
}

/// An address as it is on the wire, where a domain is ASCII. One of a message that came from elsewhere may be none.
fn written(address: &Address) -> String {
    match address.to_ascii() {
        Ok(ascii) => ascii.into_owned(),
        Err(_) => address.address().to_owned(),
    }
}

fn recipient(address: &Address) -> wire::Recipient {
    wire::Recipient {
        email_address: Some(wire::EmailAddress {
            name: address.name().map(str::to_owned),
            address: Some(written(address)),
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

/// Until when a message is held back.
pub(in crate::outlook) fn held_until(message: &wire::Message) -> Option<DateTime<Utc>> {
    let properties = message.single_value_extended_properties.iter();
    let values = properties.flatten().flatten().filter(|property| {
        let is_it = |id: &String| id.eq_ignore_ascii_case(DEFERRED_SEND_PROPERTY);
        property.id.as_ref().is_some_and(is_it)
    });
    values
        .filter_map(|property| {
            let instant = DateTime::parse_from_rfc3339(property.value.as_deref()?);
            super::instant(instant.ok().map(|instant| instant.to_utc()))
        })
        .next()
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
