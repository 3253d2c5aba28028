//! Between Gmail's JSON and the model: the only place that knows both. Which bodies are text and which parts are
//! attachments is decided here; fetching what is missing is `reading.rs`'s.

mod composing;
mod organising;
mod quotas;
mod settings;

use std::collections::{BTreeSet, HashMap};

use chrono::DateTime;

use super::wire;
use crate::error::Result;
use crate::http::protocol;
use crate::mime;
use crate::model::{
    Attachment, AttachmentId, AttachmentKind, Detail, FolderId, FolderRole, Header, Keyword,
    Message, MessageId, MessageUpdate, Profile, ThreadId,
};
use crate::provider::Thread;

pub(super) use composing::{identity, marks, may_be_put};
pub(super) use organising::{
    Label, color, counts, folder, folders, labels, modification, moved, new_path, placed,
    with_inside,
};
pub(super) use quotas::{quota_named, until_next_day};
pub(super) use settings::{automatic_reply, filter, rule, vacation};

/// Gmail's own labels that are for something
/// (<https://developers.google.com/workspace/gmail/api/guides/labels#types_of_labels>), in the order that folders are
/// listed in.
const ROLES: [(&str, FolderRole); 7] = [
    ("INBOX", FolderRole::Inbox),
    ("DRAFT", FolderRole::Drafts),
    ("SENT", FolderRole::Sent),
    ("SPAM", FolderRole::Junk),
    ("TRASH", FolderRole::Trash),
    ("STARRED", FolderRole::Flagged),
    ("IMPORTANT", FolderRole::Important),
];

/// Unread mail has this label, and read mail does not: it is a keyword and no folder.
pub(super) const UNREAD: &str = "UNREAD";

/// The label that stands for one of the service's own folders.
pub(super) fn role_label(role: FolderRole) -> Option<&'static str> {
    let mut roles = ROLES.iter();
    roles
        .find(|(_, known)| *known == role)
        .map(|(label, _)| *label)
}

pub(super) fn profile(profile: wire::Profile) -> Result<Profile> {
    let address = profile.email_address.filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| {
        protocol("the answer names no address of the mailbox")
            .with_operation("gmail.users.getProfile")
    })?;
    Ok(Profile {
        messages: profile
            .messages_total
            .and_then(|total| u64::try_from(total).ok()),
        ..Profile::new(address)
    })
}

/// What a listing says of a message: that there is one.
pub(super) fn listed(message: wire::Message) -> Result<Message> {
    let mut listed = Message::new(id(message.id)?);
    listed.thread = message.thread_id.map(ThreadId::from);
    Ok(listed)
}

/// What a listing says of a conversation.
pub(super) fn thread(thread: wire::Thread) -> Result<Thread> {
    let id = thread.id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| protocol("a conversation came without its id"))?;
    let mut listed = Thread::new(ThreadId::from(id));
    listed.preview = thread.snippet.as_deref().map(unescaped);
    Ok(listed)
}

/// Previews are plain text, escaped as HTML.
fn unescaped(snippet: &str) -> String {
    html_escape::decode_html_entities(snippet).into_owned()
}

/// A message as far as it was asked for. `fetched` holds bodies that did not come with it, by the id of their part.
pub(super) fn message(
    message: wire::Message,
    detail: Detail,
    fetched: &HashMap<String, Vec<u8>>,
) -> Result<Message> {
    let mut read = Message::new(id(message.id)?);
    read.detail = detail;
    read.thread = message.thread_id.map(ThreadId::from);
    // A message without labels comes without the list; only listings do not tell.
    let labels: Vec<String> = message.label_ids.into_iter().flatten().flatten().collect();
    read.keywords = Some(keywords(&labels));
    read.folders = Some(folder_ids(labels).collect());
    read.received_at = message
        .internal_date
        .and_then(DateTime::from_timestamp_millis);
    read.preview = message.snippet.as_deref().map(unescaped);
    read.size = message.size_estimate.and_then(|size| size.try_into().ok());
    let Some(mut payload) = message.payload else {
        return Ok(read);
    };
    if detail == Detail::Full {
        read_parts(&mut read, &payload, fetched);
    }
    let headers = headers(payload.headers.take());
    mime::read_headers(&mut read, &headers);
    if detail == Detail::Full {
        read.headers = headers;
    }
    Ok(read)
}

fn id(id: Option<String>) -> Result<MessageId> {
    id.filter(|id| !id.is_empty())
        .map(MessageId::from)
        .ok_or_else(|| protocol("a message came without its id"))
}

/// The labels that are folders.
pub(super) fn folder_ids(labels: Vec<String>) -> impl Iterator<Item = FolderId> {
    let folders = labels.into_iter().filter(|label| label != UNREAD);
    folders.map(FolderId::from)
}

/// Notes that a label came or went.
pub(super) fn note_label(update: &mut MessageUpdate, label: &str, came: bool) {
    match label {
        UNREAD => update.has(Keyword::Seen, !came),
        "STARRED" => update.has(Keyword::Flagged, came),
        "DRAFT" => update.has(Keyword::Draft, came),
        "IMPORTANT" => update.has(Keyword::Important, came),
        _ => {}
    }
    if label == UNREAD {
        return;
    }
    if came {
        update.came_into(FolderId::from(label));
    } else {
        update.left(FolderId::from(label));
    }
}

pub(super) fn keywords(labels: &[String]) -> BTreeSet<Keyword> {
    let has = |label: &str| labels.iter().any(|given| given == label);
    [
        (!has(UNREAD), Keyword::Seen),
        (has("STARRED"), Keyword::Flagged),
        (has("DRAFT"), Keyword::Draft),
        (has("IMPORTANT"), Keyword::Important),
    ]
    .into_iter()
    .filter_map(|(set, keyword)| set.then_some(keyword))
    .collect()
}

fn headers(lines: Option<Vec<Option<wire::Header>>>) -> Vec<Header> {
    let lines = lines.into_iter().flatten().flatten();
    lines
        .filter_map(|line| Some(Header::new(line.name?, line.value.unwrap_or_default())))
        .collect()
}

/// A part that has no parts of its own.
pub(super) struct Leaf<'a> {
    /// Where it stands: the same in every answer about the same message, unlike the service's token for its bytes.
    pub(super) id: String,
    /// The same as numbers, from the root down.
    pub(super) path: Vec<usize>,
    part: &'a wire::Part,
    media_type: String,
    /// Whether it is text to be shown, and in which form, or a file.
    purpose: mime::Use,
}

impl Leaf<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        header(self.part, name)
    }

    /// The bytes, if they came with the message.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.part.body.as_ref()?.data.as_deref()
    }

    /// The service's token for the bytes, if they are to be fetched.
    pub(super) fn token(&self) -> Option<&str> {
        let token = self.part.body.as_ref()?.attachment_id.as_deref()?;
        (!token.is_empty()).then_some(token)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.part
            .body
            .as_ref()
            .is_some_and(|body| body.size == Some(0))
    }
}

fn header<'a>(part: &'a wire::Part, name: &str) -> Option<&'a str> {
    let mut lines = part.headers.iter().flatten().flatten();
    lines
        .find(|line| {
            line.name
                .as_deref()
                .is_some_and(|given| given.eq_ignore_ascii_case(name))
        })
        .and_then(|line| line.value.as_deref())
}

/// Every leaf of the tree, in order. An attached message is a leaf: what is inside it belongs to that message.
pub(super) fn leaves(root: &wire::Part) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    let shape = collect(root, Vec::new(), &mut leaves);
    for (leaf, purpose) in leaves.iter_mut().zip(mime::uses(&shape)) {
        leaf.purpose = purpose;
    }
    leaves
}

/// Adds the leaves below a part, and tells their shape.
fn collect<'a>(part: &'a wire::Part, path: Vec<usize>, leaves: &mut Vec<Leaf<'a>>) -> mime::Shape {
    let media_type = part.mime_type.as_deref().unwrap_or_default();
    let mut media_type = match media_type.trim().to_ascii_lowercase() {
        none if none.is_empty() => "text/plain".to_owned(),
        media_type => media_type,
    };
    let children: Vec<&wire::Part> = part.parts.iter().flatten().flatten().collect();
    let mut shape = mime::Shape::default();
    if media_type.starts_with("multipart/") {
        if !children.is_empty() {
            for (index, child) in children.into_iter().enumerate() {
                let path = path.iter().copied().chain([index]).collect();
                shape.children.push(collect(child, path, leaves));
            }
            shape.media_type = media_type;
            return shape;
        }
        // Nobody found the boundary that its header promises: all of it is text.
        media_type = "text/plain".to_owned();
    }
    let disposition = header(part, "Content-Disposition").unwrap_or_default();
    shape.attached = disposition
        .trim_start()
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("attachment"));
    shape.named = file_name(part).is_some();
    shape.media_type.clone_from(&media_type);
    let told = part.part_id.as_deref().filter(|id| !id.is_empty());
    leaves.push(Leaf {
        id: told.map_or_else(|| place(&path), str::to_owned),
        path,
        part,
        media_type,
        purpose: mime::Use::default(),
    });
    shape
}

/// A part's id as the service makes it. The only part of a message that has but one gets none from the service.
fn place(path: &[usize]) -> String {
    if path.is_empty() {
        return "0".to_owned();
    }
    let numbers: Vec<String> = path.iter().map(usize::to_string).collect();
    numbers.join(".")
}

fn file_name(part: &wire::Part) -> Option<String> {
    part.filename
        .as_deref()
        .filter(|name| !name.trim().is_empty())
        .map(|name| {
            if name.contains("=?") {
                mime::decode_words(name)
            } else {
                name.to_owned()
            }
        })
        .or_else(|| mime::parameter(header(part, "Content-Disposition")?, "filename"))
        .or_else(|| mime::parameter(header(part, "Content-Type")?, "name"))
}

/// The bodies that did not come with the message: the id of each part, and the token to fetch it with.
pub(super) fn missing_bodies(message: &wire::Message) -> Vec<(String, String)> {
    // Most messages have none that could be missing.
    let root = message.payload.as_ref().filter(|root| has_tokens(root));
    let leaves = root.map(leaves).unwrap_or_default();
    leaves
        .iter()
        .filter(|leaf| leaf.purpose.is_body() && leaf.bytes().is_none_or(|bytes| bytes.is_empty()))
        .filter_map(|leaf| Some((leaf.id.clone(), leaf.token()?.to_owned())))
        .collect()
}

/// Whether anything of a part is left to be fetched.
fn has_tokens(part: &wire::Part) -> bool {
    let token = part
        .body
        .as_ref()
        .and_then(|body| body.attachment_id.as_ref());
    token.is_some_and(|token| !token.is_empty())
        || part.parts.iter().flatten().flatten().any(has_tokens)
}

fn read_parts(message: &mut Message, root: &wire::Part, fetched: &HashMap<String, Vec<u8>>) {
    let mut bodies = mime::Bodies::default();
    for leaf in leaves(root) {
        if !leaf.purpose.is_body() {
            message.attachments.push(attachment(&leaf));
            continue;
        }
        let bytes = fetched.get(&leaf.id).map(Vec::as_slice);
        let bytes = bytes.or_else(|| leaf.bytes());
        let Some(bytes) = bytes.or_else(|| leaf.is_empty().then_some(&[])) else {
            // It could not be had with the message; perhaps it can be had alone.
            message.attachments.push(attachment(&leaf));
            continue;
        };
        let content_type = leaf.header("Content-Type");
        let text = mime::text(bytes, content_type);
        let is_html = leaf.media_type == "text/html";
        bodies.add(leaf.purpose, is_html, text, content_type);
    }
    message.body = bodies.join();
    mime::mark_inline(&mut message.attachments, message.body.html.as_deref());
}

fn attachment(leaf: &Leaf<'_>) -> Attachment {
    let mut attachment = Attachment::new(
        AttachmentId::from(leaf.id.as_str()),
        leaf.media_type.clone(),
    );
    attachment.name = file_name(leaf.part);
    if matches!(
        attachment.media_type.as_str(),
        "message/rfc822" | "message/global"
    ) {
        attachment.kind = AttachmentKind::Message;
    }
    attachment.size = leaf
        .part
        .body
        .as_ref()
        .and_then(|body| body.size)
        .and_then(|size| size.try_into().ok());
    attachment.content_id = leaf
        .header("Content-ID")
        .map(|id| id.trim().trim_start_matches('<').trim_end_matches('>'))
        .filter(|id| !id.is_empty())
        .map(str::to_owned);
    attachment
}

/// Whether a message that a send may have made carries its mark.
pub(super) fn is_sent_as(message: &wire::Message, token: &str) -> bool {
    let mut labels = message.label_ids.iter().flatten().flatten();
    let marked = message
        .payload
        .as_ref()
        .and_then(|payload| header(payload, mime::KEY_HEADER))
        .is_some_and(|value| value.trim() == token);
    marked && labels.any(|label| label == "SENT")
}
