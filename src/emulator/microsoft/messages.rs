//! Messages: listing, reading, drafting, changing, moving and deleting. Sending is in `send` and `reply`.
//! <https://learn.microsoft.com/en-us/graph/api/resources/message>

use std::cmp::Reverse;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;

use super::super::message::Mail;
use super::super::rewrite;
use super::attachments;
use super::call::{Answer, Call, Reply, only_fields, text_field};
use super::changes::Changes;
use super::compose::{self, Content};
use super::delta;
use super::error::GraphError;
use super::mailbox::{OutlookMailbox, OutlookMessage};
use super::properties;
use super::query::{self, Listing};
use super::represent::{self, PROPERTIES, TYPE};
use super::search;
use super::{reply, send};

/// What can be brought along with a message.
const EXPANDABLE: [&str; 4] = [
    "attachments",
    "extensions",
    "singleValueExtendedProperties",
    "multiValueExtendedProperties",
];

/// Below `/messages`, of the mailbox or of one folder.
pub(crate) fn route(call: &Call<'_>, folder: Option<&str>, rest: &[String]) -> Answer {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let method = &call.method;
    match rest.as_slice() {
        [] if method == Method::GET => list(call, folder),
        [] if method == Method::POST => create(call, folder),
        ["delta" | "delta()" | "microsoft.graph.delta()"] if method == Method::GET => {
            delta::messages(call, folder)
        }
        ["$count"] if method == Method::GET => count(call, folder),
        [id] if method == Method::GET => get(call, id),
        [id] if method == Method::PATCH => update(call, id),
        [id] if method == Method::DELETE => delete(call, id),
        [id, "$value"] if method == Method::GET => value(call, id),
        [id, word, rest @ ..] if word.eq_ignore_ascii_case("attachments") => {
            attachments::route(call, id, rest)
        }
        [id, action] if method == Method::POST => act(call, id, action),
        [] | [_] | [_, "$value"] => Err(GraphError::method_not_allowed()),
        [.., last] => Err(GraphError::no_such_segment(last)),
    }
}

fn act(call: &Call<'_>, id: &str, action: &str) -> Answer {
    call.no_query()?;
    match action.to_ascii_lowercase().as_str() {
        "move" => relocate(call, id, false),
        "copy" => relocate(call, id, true),
        "permanentdelete" => permanently_delete(call, id),
        "send" => send::send_draft(call, id),
        "reply" | "replyall" | "forward" | "createreply" | "createreplyall" | "createforward" => {
            reply::answer(call, id, action)
        }
        _ => Err(GraphError::no_such_segment(action)),
    }
}

/// Why a message is not found: nonsense is told from an id that was one.
pub(crate) fn missing(id: &str) -> GraphError {
    if id.len() < 40 {
        GraphError::malformed_id()
    } else {
        GraphError::item_not_found()
    }
}

/// A message by its id.
pub(crate) fn find<'a>(
    mailbox: &'a OutlookMailbox,
    id: &str,
) -> Result<&'a OutlookMessage, GraphError> {
    mailbox.find(id).ok_or_else(|| missing(id))
}

fn list(call: &Call<'_>, folder: Option<&str>) -> Answer {
    call.need(&["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])?;
    let listing = query::listing(call, &PROPERTIES, TYPE, &["includeHiddenMessages"])?;
    check_expansions(&listing)?;
    // Searching looks into bodies. <https://learn.microsoft.com/en-us/graph/permissions-reference#mailreadbasic>
    if listing.search.is_some() || !listing.expand.is_empty() {
        call.need_read()?;
    }
    let context = match folder {
        Some(folder) => call.context(&format!("mailFolders('{folder}')/messages")),
        None => call.context("messages"),
    };
    call.mailbox(|mailbox, _| {
        let found = matching(call, mailbox, folder, &listing, listing.reach(call))?;
        let page = listing.page(call, found);
        let page = page.map(|message| represent::message(call, message, &listing));
        Ok(Reply::json(listing.answer(context, page)))
    })
}

fn check_expansions(listing: &Listing) -> Result<(), GraphError> {
    listing.expands_only(&EXPANDABLE, TYPE)?;
    if let Some(expansion) = listing.expansion("attachments") {
        attachments::selection(&expansion.options)?;
    }
    if let Some(expansion) = listing.expansion("singleValueExtendedProperties") {
        properties::expanded(&expansion.options)?;
    }
    Ok(())
}

fn count(call: &Call<'_>, folder: Option<&str>) -> Answer {
    call.need(&["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])?;
    let listing = query::listing(call, &PROPERTIES, TYPE, &[])?;
    call.mailbox(|mailbox, _| {
        let found = matching(call, mailbox, folder, &listing, usize::MAX)?.len();
        Ok(Reply::bytes("text/plain", Bytes::from(found.to_string())))
    })
}

/// The first of what a list asks for, in its order. Of very many messages, no more is written out than is looked at.
fn matching<'a>(
    call: &Call<'_>,
    mailbox: &'a OutlookMailbox,
    folder: Option<&str>,
    listing: &Listing,
    most: usize,
) -> Result<Vec<&'a OutlookMessage>, GraphError> {
    let folder = match folder {
        Some(id) => Some(
            mailbox
                .folder(id)
                .ok_or_else(GraphError::folder_not_found)?,
        ),
        None => None,
    };
    let today = call.state.clock.now().date_naive();
    let (filter, search) = (listing.filter.as_ref(), listing.search.as_ref());
    let mut found: Vec<&OutlookMessage> = mailbox
        .messages
        .values()
        .filter(|message| folder.is_none_or(|folder| folder.id == message.folder))
        .filter(|message| filter.is_none_or(|filter| filter.may_accept(message.received)))
        .filter(|message| search.is_none_or(|search| search.accepts(message, today)))
        .collect();
    let accepts = |shown: &Value| filter.is_none_or(|filter| filter.accepts(shown));
    if search.is_some() {
        found.retain(|message| {
            filter.is_none() || accepts(&represent::for_filter(call, message, listing))
        });
        found.sort_by_key(|message| {
            Reverse((
                message.mail.parsed().date.unwrap_or(message.received),
                message.key,
            ))
        });
        found.truncate(search::MOST.min(most));
        return Ok(found);
    }
    found.sort_by_key(|message| Reverse((message.received, message.key)));
    if filter.is_none() && listing.is_newest_first() {
        found.truncate(most);
        return Ok(found);
    }
    let shown = found
        .into_iter()
        .map(|message| (represent::for_filter(call, message, listing), message))
        .filter(|(shown, _)| accepts(shown));
    if listing.is_newest_first() {
        return Ok(shown.map(|(_, message)| message).take(most).collect());
    }
    let mut shown: Vec<(Value, &OutlookMessage)> = shown.collect();
    listing.sort(&mut shown);
    Ok(shown.into_iter().map(|(_, message)| message).collect())
}

fn get(call: &Call<'_>, id: &str) -> Answer {
    call.need(&["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])?;
    let listing = query::single(call, &PROPERTIES, TYPE, &["includeHiddenMessages"])?;
    check_expansions(&listing)?;
    call.mailbox(|mailbox, _| {
        let message = find(mailbox, id)?;
        Ok(Reply::json(entity(call, message, &listing)))
    })
}

/// A message that stands alone in an answer.
pub(crate) fn entity(call: &Call<'_>, message: &OutlookMessage, listing: &Listing) -> Value {
    let mut shown = represent::message(call, message, listing);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert(
            "@odata.context".to_owned(),
            call.context("messages/$entity"),
        );
    }
    shown
}

/// A message that was just made.
pub(crate) fn created(call: &Call<'_>, message: &OutlookMessage) -> Reply {
    let id = represent::id(call, message);
    let location = call.url(&format!("users('{}')/messages('{id}')", call.address));
    let mut reply = Reply::created(entity(call, message, &Listing::default()));
    reply.headers.push(("location", location));
    reply
}

/// The message in MIME. Exchange keeps properties and writes the MIME anew, with fields of its own.
/// <https://learn.microsoft.com/en-us/graph/outlook-get-mime-message>
fn value(call: &Call<'_>, id: &str) -> Answer {
    call.need_read()?;
    call.no_query()?;
    call.mailbox(|mailbox, _| {
        let message = find(mailbox, id)?;
        let has = !message.attachment_ids.is_empty();
        let raw = message.mail.raw();
        let raw = rewrite::prepend_field(raw, "X-MS-TNEF-Correlator", "");
        let raw = rewrite::prepend_field(&raw, "X-MS-Has-Attach", if has { "yes" } else { "" });
        Ok(Reply::bytes("text/plain", Bytes::from(raw)))
    })
}

/// A new draft, from JSON or from MIME. What is posted is always a draft.
/// <https://learn.microsoft.com/en-us/graph/api/user-post-messages>
fn create(call: &Call<'_>, folder: Option<&str>) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let now = call.state.clock.now();
    let (mail, changes) = if call.is_mime() {
        (Arc::new(Mail::new(mime(call)?)), Changes::default())
    } else {
        let changes = Changes::read(&call.json()?, call.state.clock.now())?;
        let mut content = Content {
            is_html: true,
            message_id: Some(new_message_id(call)),
            ..Content::default()
        };
        changes.apply(&mut content);
        (
            content.into_mail(changes.sent_at().unwrap_or(now))?,
            changes,
        )
    };
    call.mailbox(|mailbox, random| {
        let folder = match folder {
            Some(id) => mailbox
                .folder(id)
                .ok_or_else(GraphError::folder_not_found)?
                .id
                .clone(),
            None => mailbox.well_known_id("drafts"),
        };
        let key = mailbox.add(mail, folder, now, true, random);
        let message = mailbox
            .messages
            .get_mut(&key)
            .ok_or_else(GraphError::item_not_found)?;
        changes.apply_state(message);
        changes.apply_origin(message);
        Ok(created(call, message))
    })
}

/// An id for a message that has none yet.
pub(crate) fn new_message_id(call: &Call<'_>) -> String {
    let guid = call.state.world().guid();
    format!("{guid}@mail.outlook.example")
}

/// The MIME of a request: base64 in a text.
/// <https://learn.microsoft.com/en-us/graph/outlook-send-mime-message>
pub(crate) fn mime(call: &Call<'_>) -> Result<Vec<u8>, GraphError> {
    let text: Vec<u8> = call
        .body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let raw = STANDARD.decode(text).map_err(|_| {
        GraphError::bad_request(
            "ErrorMimeContentInvalidBase64String",
            "Invalid base64 string for MIME content.",
        )
    })?;
    let fields = ["From", "To", "Cc", "Bcc", "Subject", "Date", "MIME-Version"];
    if !fields.iter().any(|name| rewrite::has_field(&raw, name)) {
        return Err(GraphError::bad_request(
            "ErrorMimeContentInvalid",
            "The content of the MIME is not valid.",
        ));
    }
    Ok(raw)
}

fn update(call: &Call<'_>, id: &str) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let changes = Changes::read(&call.json()?, call.state.clock.now())?;
    let now = call.state.clock.now();
    call.mailbox(|mailbox, random| {
        let message = find(mailbox, id)?;
        let (key, before) = (message.key, message.clone());
        let wanted = call.header("if-match").filter(|tag| *tag != "*");
        if wanted.is_some_and(|tag| tag != represent::etag(message)) {
            return Err(GraphError::new(
                StatusCode::PRECONDITION_FAILED,
                "ErrorIrresolvableConflict",
                "The send or update operation could not be performed because the change key passed in the request \
                 does not match the current change key for the item.",
            ));
        }
        // It is not among what can be changed; what cannot be is refused like this:
        // <https://github.com/microsoftgraph/microsoft-graph-docs/issues/6439>
        if changes.has_headers() {
            return Err(GraphError::bad_request(
                "ErrorInvalidPropertySet",
                "Set action is invalid for property.",
            ));
        }
        if changes.is_about_content() {
            // What was received stays as it is.
            // <https://learn.microsoft.com/en-us/graph/api/message-update#request-body>
            if !message.is_draft {
                return Err(GraphError::forbidden());
            }
            let mut content = Content::read(message);
            changes.apply(&mut content);
            compose::put(mailbox, random, key, content, now)?;
        } else {
            mailbox.touch(key, now);
        }
        let message = mailbox
            .messages
            .get_mut(&key)
            .ok_or_else(GraphError::item_not_found)?;
        changes.apply_state(message);
        let changed = represent::changed(call, &before, message);
        let answer = entity(call, message, &Listing::default());
        mailbox.journal.narrow(changed);
        Ok(Reply::json(answer))
    })
}

/// Moving and copying. A moved message has another id from then on, unless the request speaks in ids
/// that never change.
/// <https://learn.microsoft.com/en-us/graph/outlook-immutable-id>
fn relocate(call: &Call<'_>, id: &str, copies: bool) -> Answer {
    call.need_write()?;
    let body = call.json()?;
    only_fields(&body, &["destinationId"], "microsoft.graph.message")?;
    let destination = text_field(&body, "destinationId")?.ok_or_else(|| {
        GraphError::bad_request(
            "ErrorInvalidRequest",
            "The DestinationId parameter is required.",
        )
    })?;
    let now = call.state.clock.now();
    call.mailbox(|mailbox, random| {
        let key = find(mailbox, id)?.key;
        let folder = match mailbox.folder(&destination) {
            Some(folder) => folder.id.clone(),
            None if destination.len() < 40 => return Err(GraphError::malformed_id()),
            None => return Err(GraphError::folder_not_found()),
        };
        let key = if copies {
            mailbox
                .copy_to(key, folder, now, random)
                .ok_or_else(GraphError::item_not_found)?
        } else {
            mailbox.move_to(key, folder, now, random);
            key
        };
        let message = mailbox
            .messages
            .get(&key)
            .ok_or_else(GraphError::item_not_found)?;
        Ok(created(call, message))
    })
}

/// Into the deleted items; from there, out of sight.
/// <https://learn.microsoft.com/en-us/graph/api/message-delete>
fn delete(call: &Call<'_>, id: &str) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let now = call.state.clock.now();
    call.mailbox(|mailbox, random| {
        let message = find(mailbox, id)?;
        let (key, folder) = (message.key, message.folder.clone());
        let bin = mailbox.well_known_id("deleteditems");
        if mailbox.lies_in(&folder, &bin) {
            mailbox.remove(key);
        } else {
            mailbox.move_to(key, bin, now, random);
        }
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    })
}

/// <https://learn.microsoft.com/en-us/graph/api/message-permanentdelete>
fn permanently_delete(call: &Call<'_>, id: &str) -> Answer {
    call.need_write()?;
    call.mailbox(|mailbox, _| {
        let key = find(mailbox, id)?.key;
        mailbox.remove(key);
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    })
}
