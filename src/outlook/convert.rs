//! Between Graph's JSON and the model: the only place that knows both.

mod composing;
mod organising;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Utc};

use super::wire;
use crate::error::Result;
use crate::http::protocol;
use crate::mime;
use crate::model::{
    Address, Attachment, AttachmentId, AttachmentKind, Body, Detail, FolderId, FolderRole, Header,
    Keyword, Message, MessageId, MessageUpdate, Profile, ThreadId,
};

pub(super) use composing::{
    DEFERRED_SEND_PROPERTY, KEY_PROPERTY, PREPARED_PROPERTY, draft, draft_marks, draft_patch,
    has_property, held_until, identities, imported, kept_draft, marks, small_attachment,
    upload_session,
};
pub(super) use organising::{
    Action, ROOT, action, categories, counts, folder, folder_name, folders, folders_among,
};
pub(super) use settings::{
    automatic_replies_setting, automatic_reply, category, category_color, free_color, new_rule,
    rule,
};

/// The service's own folders by the names that are the same in every language
/// (<https://learn.microsoft.com/graph/api/resources/mailfolder>).
const WELL_KNOWN: [(FolderRole, &str); 6] = [
    (FolderRole::Inbox, "inbox"),
    (FolderRole::Archive, "archive"),
    (FolderRole::Drafts, "drafts"),
    (FolderRole::Sent, "sentitems"),
    (FolderRole::Trash, "deleteditems"),
    (FolderRole::Junk, "junkemail"),
];

/// The media type of messages.
const MESSAGE: &str = "message/rfc822";

/// Where a message waits between being submitted and being sent.
pub(super) const OUTBOX: &str = "outbox";

/// The roles that a mailbox has a folder for.
pub(super) fn roles() -> impl Iterator<Item = FolderRole> {
    WELL_KNOWN.iter().map(|(role, _)| *role)
}

/// The well-known name of a role's folder. Some roles are labels of Gmail's only.
pub(super) fn role_folder(role: FolderRole) -> Option<&'static str> {
    WELL_KNOWN
        .iter()
        .find(|(known, _)| *known == role)
        .map(|(_, name)| *name)
}

/// The role that a well-known name stands for.
pub(super) fn named_role(name: &str) -> Option<FolderRole> {
    WELL_KNOWN
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(name))
        .map(|(role, _)| *role)
}

/// Which folder has which role in one mailbox: names are localized, so only its ids tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles(BTreeMap<FolderRole, FolderId>);

impl Roles {
    pub(super) fn id(&self, role: FolderRole) -> Option<&FolderId> {
        self.0.get(&role)
    }

    /// All of them, to be kept.
    pub(super) fn pairs(&self) -> Vec<(FolderRole, FolderId)> {
        let pairs = self.0.iter();
        pairs.map(|(role, id)| (*role, id.clone())).collect()
    }

    pub(super) fn of(&self, id: &FolderId) -> Option<FolderRole> {
        let mut roles = self.0.iter();
        roles.find(|(_, known)| *known == id).map(|(role, _)| *role)
    }
}

impl FromIterator<(FolderRole, FolderId)> for Roles {
    fn from_iter<T: IntoIterator<Item = (FolderRole, FolderId)>>(roles: T) -> Self {
        Self(roles.into_iter().collect())
    }
}

/// Who the mailbox belongs to. `mail` is empty for some personal accounts.
pub(super) fn profile(user: wire::User) -> Result<Profile> {
    let address = [user.mail, user.user_principal_name]
        .into_iter()
        .flatten()
        .find(|address| !address.is_empty())
        .ok_or_else(|| {
            protocol("the answer names no address of the mailbox")
                .with_operation("outlook.users.get")
        })?;
    let mut profile = Profile::new(address);
    profile.display_name = user.display_name.filter(|name| !name.is_empty());
    Ok(profile)
}

/// A message, as far as it was asked for.
pub(super) fn message(mut wire: wire::Message, detail: Detail) -> Result<Message> {
    let id = wire
        .id
        .take()
        .filter(|id| !id.is_empty())
        .ok_or_else(|| protocol("a message came without an id"))?;
    let mut message = Message::new(MessageId::new(id));
    message.detail = detail;
    message.keywords = keywords(&mut wire);
    message.thread = wire.conversation_id.map(ThreadId::new);
    message.folders = wire
        .parent_folder_id
        .map(|folder| vec![FolderId::new(folder)]);
    message.received_at = timestamp(wire.received_date_time);
    message.sent_at = timestamp(wire.sent_date_time);
    message.subject = wire.subject;
    message.from = wire
        .from
        .and_then(address)
        .map_or_else(Vec::new, |from| vec![from]);
    message.sender = wire
        .sender
        .and_then(address)
        .filter(|sender| !message.from.contains(sender));
    message.reply_to = addresses(wire.reply_to);
    message.to = addresses(wire.to_recipients);
    message.cc = addresses(wire.cc_recipients);
    message.bcc = addresses(wire.bcc_recipients);
    message.message_id = wire
        .internet_message_id
        .and_then(|id| mime::message_ids(&id).into_iter().next());
    message.preview = wire.body_preview.filter(|preview| !preview.is_empty());
    if detail == Detail::Full {
        message.headers = headers(wire.internet_message_headers);
        message.in_reply_to = ids_in(&message, "In-Reply-To");
        message.references = ids_in(&message, "References");
        message.body = body(wire.body);
        message.attachments = wire
            .attachments
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(attachment)
            .collect();
        mime::mark_inline(&mut message.attachments, message.body.html.as_deref());
    }
    Ok(message)
}

/// `None` unless the service told at least whether the message was read: an empty set would say that it was not.
fn keywords(wire: &mut wire::Message) -> Option<BTreeSet<Keyword>> {
    let is = |word: &Option<wire::Word>, value: &str| {
        let word = word.as_ref();
        word.is_some_and(|word| word.is(value))
    };
    let flag = wire.flag.as_ref();
    let flagged = flag.is_some_and(|flag| is(&flag.flag_status, "flagged"));
    let told = [
        (wire.is_read?, Keyword::Seen),
        (flagged, Keyword::Flagged),
        (wire.is_draft == Some(true), Keyword::Draft),
        (is(&wire.importance, "high"), Keyword::Important),
    ];
    // Few messages have any but the first: a set made of a list would be sorted first.
    let mut keywords = BTreeSet::new();
    for (set, keyword) in told {
        if set {
            keywords.insert(keyword);
        }
    }
    for name in wire.categories.take().into_iter().flatten().flatten() {
        keywords.insert(Keyword::Custom(name));
    }
    Some(keywords)
}

/// What a change tells of a message's state; `None` if it tells of other things, so that the message is to be looked at.
pub(super) fn update(wire: &wire::Message) -> Option<MessageUpdate> {
    let mut update = MessageUpdate::new(MessageId::new(wire.id.as_deref()?));
    update.folders = wire
        .parent_folder_id
        .as_deref()
        .map(|folder| vec![FolderId::from(folder)]);
    let flag = wire.flag.as_ref();
    let flag = flag.and_then(|flag| flag.flag_status.as_ref());
    let importance = wire.importance.as_ref();
    let told = [
        (wire.is_read, Keyword::Seen),
        (flag.map(|flag| flag.is("flagged")), Keyword::Flagged),
        (wire.is_draft, Keyword::Draft),
        (importance.map(|one| one.is("high")), Keyword::Important),
    ];
    for (set, keyword) in told {
        if let Some(set) = set {
            update.has(keyword, set);
        }
    }
    let categories = wire.categories.as_ref();
    update.custom = categories.map(|names| names.iter().flatten().cloned().collect());
    (update.is_move() || update.is_about_keywords()).then_some(update)
}

pub(super) fn timestamp(told: Option<wire::Timestamp>) -> Option<DateTime<Utc>> {
    instant(told.and_then(|wire::Timestamp(told)| told))
}

/// The year 1 is how Exchange writes no date.
fn instant(told: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    told.filter(|instant| instant.year() > 1)
}

fn addresses(recipients: Option<Vec<Option<wire::Recipient>>>) -> Vec<Address> {
    let recipients = recipients.unwrap_or_default();
    let mut addresses = Vec::with_capacity(recipients.len());
    for recipient in recipients.into_iter().flatten() {
        addresses.extend(address(recipient));
    }
    addresses
}

/// The address of some senders within an organisation is no internet address; it is given all the same.
fn address(recipient: wire::Recipient) -> Option<Address> {
    let wire::EmailAddress { name, address } = recipient.email_address?;
    let address = address.unwrap_or_default();
    // Where there is no name, the service repeats the address.
    let name = name.filter(|name| !name.is_empty() && *name != address);
    (name.is_some() || !address.is_empty()).then(|| Address::received(name, address))
}

fn headers(headers: Option<Vec<Option<wire::InternetMessageHeader>>>) -> Vec<Header> {
    headers
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|header| Some(Header::new(header.name?, header.value.unwrap_or_default())))
        .collect()
}

fn ids_in(message: &Message, name: &str) -> Vec<String> {
    message
        .header(name)
        .map(mime::message_ids)
        .unwrap_or_default()
}

/// Graph keeps one body: HTML, or text where the message has no other.
fn body(body: Option<wire::ItemBody>) -> Body {
    let mut read = Body::default();
    let Some(wire::ItemBody {
        content_type,
        content: Some(content),
    }) = body
    else {
        return read;
    };
    let is_text = content_type.is_some_and(|kind| kind.eq_ignore_ascii_case("text"));
    if is_text {
        read.text = Some(content);
    } else {
        read.html = Some(content);
    }
    read
}

fn attachment(wire: wire::Attachment) -> Option<Attachment> {
    let id = wire.id.filter(|id| !id.is_empty())?;
    let odata_type = wire.odata_type.unwrap_or_default();
    let is = |kind: &str| odata_type.eq_ignore_ascii_case(&format!("#microsoft.graph.{kind}"));
    let kind = if is("itemAttachment") {
        AttachmentKind::Message
    } else if is("referenceAttachment") {
        AttachmentKind::Link
    } else {
        AttachmentKind::File
    };
    let media_type = wire.content_type.filter(|kind| !kind.is_empty());
    let media_type = media_type.unwrap_or_else(|| match kind {
        // An attached item has no media type at Graph. Most are messages.
        AttachmentKind::Message => MESSAGE.to_owned(),
        _ => "application/octet-stream".to_owned(),
    });
    let mut attachment = Attachment::new(AttachmentId::new(id), media_type);
    attachment.kind = kind;
    attachment.name = wire.name.filter(|name| !name.is_empty());
    attachment.size = wire.size.and_then(|size| u64::try_from(size).ok());
    attachment.content_id = wire
        .content_id
        .map(|id| unbracketed(&id))
        .filter(|id| !id.is_empty());
    Some(attachment)
}

/// Says what an attached item is, as far as it is known: its bytes are of another type if it is no message.
pub(super) fn name_item(attachment: &mut Attachment, item: &wire::Item) {
    let odata_type = item.odata_type.as_deref().unwrap_or_default();
    let is = |kind: &str| odata_type.eq_ignore_ascii_case(&format!("#microsoft.graph.{kind}"));
    let media_type = if is("event") {
        "text/calendar"
    } else if is("contact") {
        "text/vcard"
    } else {
        return;
    };
    attachment.kind = AttachmentKind::File;
    attachment.media_type = media_type.to_owned();
}

pub(super) fn unbracketed(id: &str) -> String {
    id.trim().trim_matches(['<', '>']).to_owned()
}
