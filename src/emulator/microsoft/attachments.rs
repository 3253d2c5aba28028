//! Attachments of a message: what counts as one, what it looks like, and adding and removing them. Uploads
//! in parts are in `upload`.
//! <https://learn.microsoft.com/en-us/graph/api/resources/attachment>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::message::{Mail, Part};
use super::call::{Answer, Call, Reply, field, only_fields, text_field, wrong_type};
use super::changes::Changes;
use super::compose::{self, Content, Piece};
use super::error::GraphError;
use super::mailbox::{OutlookMailbox, OutlookMessage, new_id};
use super::query;
use super::represent;
use super::upload;

/// What Exchange adds to the bytes when it says how large an attachment is.
const OVERHEAD: usize = 138;

/// Content may not be longer in a plain request.
/// <https://learn.microsoft.com/en-us/graph/api/message-post-attachments>
const LARGEST: usize = 3 * 1024 * 1024;

const PROPERTIES: [&str; 10] = [
    "id",
    "lastModifiedDateTime",
    "name",
    "contentType",
    "size",
    "isInline",
    "contentId",
    "contentLocation",
    "contentBytes",
    "item",
];

/// What only files have.
const FILE_PROPERTIES: [&str; 3] = ["contentId", "contentLocation", "contentBytes"];

const TYPE: &str = "microsoft.graph.attachment";

/// The parts of a message that Exchange lists as attachments, in document order. An invitation's calendar is none; a text
/// that is neither the body nor another form of it is one, which Exchange calls `ATT00001.txt` or the like.
pub(crate) fn parts(mail: &Mail) -> Vec<&Part> {
    let parsed = mail.parsed();
    let invitation = represent::is_invitation(parsed);
    let shown = |kind: &str| {
        let is_it = |part: &Part| part.content_type == kind && !part.is_attachment();
        parsed.root.find(&is_it)
    };
    let body = shown("text/html").or_else(|| shown("text/plain"));
    let mut found = Vec::new();
    collect(&parsed.root, body, &mut found);
    found.retain(|part| !(invitation && part.content_type == "text/calendar"));
    found
}

fn collect<'a>(part: &'a Part, body: Option<&Part>, found: &mut Vec<&'a Part>) {
    let is_body = |part: &Part| body.is_some_and(|body| body.id == part.id);
    if part.is_attachment() {
        found.push(part);
    } else if part.children.is_empty() {
        if !is_body(part) && !part.body.is_empty() {
            found.push(part);
        }
    } else {
        let alternatives =
            part.content_type == "multipart/alternative" && part.find(&is_body).is_some();
        for child in &part.children {
            // The body in another form is not listed.
            let other_form = body.is_some_and(|body| body.content_type != child.content_type);
            if alternatives && other_form && child.text.is_some() && !child.is_attachment() {
                continue;
            }
            collect(child, body, found);
        }
    }
}

/// Below `/messages/{id}/attachments`.
pub(crate) fn route(call: &Call<'_>, message: &str, rest: &[&str]) -> Answer {
    match (&call.method, rest) {
        (&Method::GET, []) => list(call, message),
        (&Method::POST, []) => add(call, message),
        (&Method::GET, ["$count"]) => count(call, message),
        (&Method::POST, [last]) if last.eq_ignore_ascii_case("createUploadSession") => {
            upload::create(call, message)
        }
        (&Method::GET, [id]) => get(call, message, id),
        (&Method::GET, [id, "$value"]) => value(call, message, id),
        (&Method::DELETE, [id]) => delete(call, message, id),
        (_, [] | [_] | [_, "$value"]) => Err(GraphError::method_not_allowed()),
        (_, [.., last]) => Err(GraphError::no_such_segment(last)),
    }
}

fn list(call: &Call<'_>, message: &str) -> Answer {
    call.need_read()?;
    let listing = query::listing(call, &PROPERTIES, TYPE, &[])?;
    let context = call.context(&format!("messages('{message}')/attachments"));
    call.mailbox(|mailbox, _| {
        let message = mailbox
            .find(message)
            .ok_or_else(GraphError::item_not_found)?;
        let wanted = |name: &str| listing.wants(name, name != "item");
        let with_item = listing
            .expansion("microsoft.graph.itemattachment/item")
            .is_some();
        let mut shown: Vec<(Value, ())> = each(message)
            .map(|(id, part)| (show(message, id, part, &wanted, with_item), ()))
            .filter(|(shown, ())| {
                listing
                    .filter
                    .as_ref()
                    .is_none_or(|filter| filter.accepts(shown))
            })
            .collect();
        listing.sort(&mut shown);
        let page = listing.page(call, shown.into_iter().map(|(shown, ())| shown).collect());
        Ok(Reply::json(listing.answer(context, page)))
    })
}

fn count(call: &Call<'_>, message: &str) -> Answer {
    call.need_read()?;
    call.mailbox(|mailbox, _| {
        let message = mailbox
            .find(message)
            .ok_or_else(GraphError::item_not_found)?;
        let count = message.attachment_ids.len().to_string();
        Ok(Reply::bytes("text/plain", Bytes::from(count)))
    })
}

fn get(call: &Call<'_>, message: &str, id: &str) -> Answer {
    call.need_read()?;
    let listing = query::single(call, &PROPERTIES, TYPE, &[])?;
    let context = call.context(&format!("messages('{message}')/attachments/$entity"));
    call.mailbox(|mailbox, _| {
        let message = mailbox
            .find(message)
            .ok_or_else(GraphError::item_not_found)?;
        let (id, part) = one(message, id)?;
        let wanted = |name: &str| listing.wants(name, name != "item");
        let with_item = listing
            .expansion("microsoft.graph.itemattachment/item")
            .is_some();
        let mut shown = show(message, id, part, &wanted, with_item);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("@odata.context".to_owned(), context);
        }
        Ok(Reply::json(shown))
    })
}

/// The bytes themselves; of an attached message, its MIME.
fn value(call: &Call<'_>, message: &str, id: &str) -> Answer {
    call.need_read()?;
    call.no_query()?;
    call.mailbox(|mailbox, _| {
        let message = mailbox
            .find(message)
            .ok_or_else(GraphError::item_not_found)?;
        let (_, part) = one(message, id)?;
        // There are no bytes of a file that lies elsewhere.
        if is_link(part) {
            return Err(GraphError::method_not_allowed());
        }
        let kind = if is_item(part) {
            "text/plain"
        } else {
            &part.content_type
        };
        Ok(Reply::bytes(kind, part.body.clone()))
    })
}

fn delete(call: &Call<'_>, message: &str, id: &str) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let now = call.state.clock.now();
    call.mailbox(|mailbox, random| {
        let message = mailbox
            .find(message)
            .ok_or_else(GraphError::item_not_found)?;
        let (id, _) = one(message, id)?;
        let (id, key) = (id.clone(), message.key);
        let mut content = Content::read(message);
        content.attachments.retain(|piece| piece.id != id);
        compose::put(mailbox, random, key, content, now)?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    })
}

fn add(call: &Call<'_>, message: &str) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let piece = read(&call.json()?, call.state.clock.now())?;
    let context = call.context(&format!("messages('{message}')/attachments/$entity"));
    let now = call.state.clock.now();
    call.mailbox(|mailbox, random| {
        let key = mailbox
            .find(message)
            .ok_or_else(GraphError::item_not_found)?
            .key;
        let id = append(mailbox, random, key, piece, now)?;
        let message = mailbox
            .messages
            .get(&key)
            .ok_or_else(GraphError::item_not_found)?;
        let (id, part) = one(message, &id)?;
        let mut shown = show(message, id, part, &|name| name != "item", false);
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("@odata.context".to_owned(), context);
        }
        Ok(Reply::created(shown))
    })
}

/// Adds an attachment to a message and returns its id.
pub(crate) fn append(
    mailbox: &mut OutlookMailbox,
    random: &mut fastrand::Rng,
    key: u64,
    mut piece: Piece,
    now: DateTime<Utc>,
) -> Result<String, GraphError> {
    let message = mailbox
        .messages
        .get(&key)
        .ok_or_else(GraphError::item_not_found)?;
    let mut content = Content::read(message);
    let id = new_id("AAMkAttach", random);
    piece.id.clone_from(&id);
    content.attachments.push(piece);
    compose::put(mailbox, random, key, content, now)?;
    Ok(id)
}

/// Every attachment, for `$expand`.
pub(crate) fn all(message: &OutlookMessage, options: &str) -> Value {
    let selected = selection(options).ok().flatten();
    let wanted = |name: &str| match &selected {
        Some(names) => names.iter().any(|known| known == name),
        None => name != "item",
    };
    each(message)
        .map(|(id, part)| show(message, id, part, &wanted, false))
        .collect()
}

/// The properties that an `$expand` of attachments selects. What only files have is written behind their type's name, and
/// is no property of attachments otherwise: <https://github.com/microsoftgraph/microsoft-graph-explorer-v4/issues/3916>.
pub(crate) fn selection(options: &str) -> Result<Option<Vec<String>>, GraphError> {
    const FILE: &str = "microsoft.graph.fileattachment/";
    let Some(names) = options
        .split(';')
        .find_map(|option| option.trim().strip_prefix("$select="))
    else {
        return Ok(None);
    };
    let (of_all, of_files): (Vec<&str>, Vec<&str>) = PROPERTIES
        .into_iter()
        .filter(|name| *name != "item")
        .partition(|name| !FILE_PROPERTIES.contains(name));
    let selected = names.split(',').map(|name| {
        let name = name.trim();
        match name.get(..FILE.len()) {
            Some(cast) if cast.eq_ignore_ascii_case(FILE) => {
                let name = name.get(FILE.len()..).unwrap_or_default();
                let known: Vec<&str> = of_all.iter().chain(&of_files).copied().collect();
                query::property(name, &known, "microsoft.graph.fileAttachment")
            }
            _ => query::property(name, &of_all, TYPE),
        }
    });
    selected.collect::<Result<_, _>>().map(Some)
}

fn each(message: &OutlookMessage) -> impl Iterator<Item = (&String, &Part)> {
    message.attachment_ids.iter().zip(parts(&message.mail))
}

fn one<'a>(message: &'a OutlookMessage, id: &str) -> Result<(&'a String, &'a Part), GraphError> {
    each(message)
        .find(|(known, _)| *known == id)
        .ok_or_else(GraphError::item_not_found)
}

fn is_item(part: &Part) -> bool {
    part.content_type == "message/rfc822"
}

/// Whether the part stands for a file that lies elsewhere: in MIME, an external body (RFC 2046 section 5.2.3).
fn is_link(part: &Part) -> bool {
    part.content_type == "message/external-body"
}

/// A name for every attachment, as Exchange gives one.
pub(crate) fn name(part: &Part, position: usize) -> String {
    if let Some(name) = &part.file_name {
        return name.clone();
    }
    if is_item(part) {
        let subject = part
            .children
            .first()
            .and_then(|root| root.header("Subject"));
        return subject.unwrap_or("Attached message").to_owned();
    }
    let extension = match part.content_type.as_str() {
        "image/png" => ".png",
        "image/jpeg" => ".jpg",
        "text/plain" | "text/rfc822-headers" => ".txt",
        "text/calendar" => ".ics",
        _ => ".dat",
    };
    format!("ATT{:05}{extension}", position + 1)
}

fn show(
    message: &OutlookMessage,
    id: &str,
    part: &Part,
    wanted: &dyn Fn(&str) -> bool,
    with_item: bool,
) -> Value {
    let position = message
        .attachment_ids
        .iter()
        .position(|known| known == id)
        .unwrap_or_default();
    let item = is_item(part);
    let file = !item && !is_link(part);
    let kind = match (item, file) {
        (true, _) => "itemAttachment",
        (_, true) => "fileAttachment",
        _ => "referenceAttachment",
    };
    let mut shown = Map::new();
    shown.insert(
        "@odata.type".to_owned(),
        json!(format!("#microsoft.graph.{kind}")),
    );
    if file && wanted("contentType") {
        shown.insert(
            "@odata.mediaContentType".to_owned(),
            json!(part.content_type),
        );
    }
    shown.insert("id".to_owned(), json!(id));
    for property in PROPERTIES {
        let file_only = FILE_PROPERTIES.contains(&property);
        if property == "id" || property == "item" || !wanted(property) || (!file && file_only) {
            continue;
        }
        let value = match property {
            "lastModifiedDateTime" => represent::instant(message.modified),
            "name" => json!(name(part, position)),
            "contentType" if !file => Value::Null,
            "contentType" => json!(part.content_type),
            "size" => json!(part.body.len() + OVERHEAD),
            "isInline" => json!(part.is_inline()),
            "contentId" => json!(part.content_id),
            "contentLocation" => json!(part.header("Content-Location")),
            _ => json!(STANDARD.encode(&part.body)),
        };
        shown.insert(property.to_owned(), value);
    }
    if item && with_item {
        let nested = Mail::new(part.body.clone());
        let parsed = nested.parsed();
        let html = parsed.html.clone().unwrap_or_default();
        shown.insert(
            "item".to_owned(),
            json!({
                "@odata.type": "#microsoft.graph.message",
                "id": "",
                "subject": parsed.subject,
                "body": {"contentType": "html", "content": html},
            }),
        );
    }
    Value::Object(shown)
}

/// An attachment as a request describes it.
pub(crate) fn read(object: &Map<String, Value>, now: DateTime<Utc>) -> Result<Piece, GraphError> {
    let kind = object
        .get("@odata.type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let kind = kind.trim_start_matches('#').to_ascii_lowercase();
    match kind.as_str() {
        "microsoft.graph.fileattachment" => {}
        "microsoft.graph.itemattachment" => return read_item(object, now),
        "microsoft.graph.referenceattachment" => {
            return Err(GraphError::bad_request(
                "ErrorInvalidRequest",
                "Reference attachments cannot be created.",
            ));
        }
        _ => {
            return Err(GraphError::bad_request(
                "BadRequest",
                "A type named '' could not be resolved by the model. When a model is available, each type name \
                 must resolve to a valid type.",
            ));
        }
    }
    only_fields(object, &PROPERTIES, "microsoft.graph.fileAttachment")?;
    let name = text_field(object, "name")?
        .filter(|name| !name.is_empty())
        .ok_or_else(|| {
            // <https://github.com/O365/python-o365/issues/565>
            GraphError::bad_request(
                "ErrorRequiredPropertyMissing",
                "Required property is missing., Name",
            )
        })?;
    let encoded = text_field(object, "contentBytes")?.unwrap_or_default();
    let content = STANDARD.decode(encoded).map_err(|_| {
        GraphError::body("Cannot convert the literal of the property 'contentBytes' to the expected type 'Edm.Binary'.")
    })?;
    if content.len() > LARGEST {
        return Err(GraphError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "ErrorAttachmentSizeLimitExceeded",
            "The size of the attachment exceeds the limit of 3 MB: use an upload session.",
        ));
    }
    let is_inline = match field(object, "isInline") {
        None => false,
        Some(Value::Bool(inline)) => *inline,
        Some(_) => return Err(wrong_type("isInline")),
    };
    Ok(Piece {
        id: String::new(),
        content_type: text_field(object, "contentType")?.unwrap_or_else(|| guessed(&name)),
        name,
        content: Bytes::from(content),
        is_inline,
        content_id: text_field(object, "contentId")?,
    })
}

/// A message described as an attachment of another.
/// <https://learn.microsoft.com/en-us/graph/api/message-post-attachments#example-2-add-an-item-attachment>
fn read_item(object: &Map<String, Value>, now: DateTime<Utc>) -> Result<Piece, GraphError> {
    only_fields(object, &PROPERTIES, "microsoft.graph.itemAttachment")?;
    let name = text_field(object, "name")?.unwrap_or_default();
    let item = field(object, "item")
        .and_then(Value::as_object)
        .ok_or_else(|| wrong_type("item"))?;
    let mut content = Content::default();
    Changes::read(item, now)?.apply(&mut content);
    Ok(Piece {
        id: String::new(),
        name,
        content_type: "message/rfc822".to_owned(),
        content: content.into_mail(now)?.raw().clone(),
        is_inline: false,
        content_id: None,
    })
}

/// The type that Exchange sees in a name.
pub(crate) fn guessed(name: &str) -> String {
    let extension = name
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    match extension.as_str() {
        "txt" => "text/plain",
        "html" | "htm" => "text/html",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "csv" => "text/csv",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
    .to_owned()
}
