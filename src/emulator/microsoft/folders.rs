//! Mail folders: listing, reading, making, renaming, moving, deleting, and the way to the messages in them.
//! <https://learn.microsoft.com/en-us/graph/api/resources/mailfolder>

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::{Answer, Call, Reply, field, only_fields, text_field, wrong_type};
use super::delta;
use super::error::GraphError;
use super::mailbox::{Folder, OutlookMailbox, new_id};
use super::query::{self, Listing};
use super::{messages, rules};

pub(crate) const PROPERTIES: [&str; 7] = [
    "id",
    "displayName",
    "parentFolderId",
    "childFolderCount",
    "unreadItemCount",
    "totalItemCount",
    "isHidden",
];

pub(crate) const TYPE: &str = "microsoft.graph.mailFolder";

/// Below `/mailFolders`.
pub(crate) fn route(call: &Call<'_>, rest: &[String]) -> Answer {
    let method = &call.method;
    let Some((id, rest)) = rest.split_first() else {
        return match *method {
            Method::GET => list(call, "msgfolderroot", "mailFolders"),
            Method::POST => create(call, "msgfolderroot"),
            _ => Err(GraphError::method_not_allowed()),
        };
    };
    let Some((word, below)) = rest.split_first() else {
        return match (method.as_str(), id.as_str()) {
            ("GET", "$count") => count(call, "msgfolderroot"),
            ("GET", "delta" | "delta()" | "microsoft.graph.delta()") => delta::folders(call),
            ("GET", _) => get(call, id),
            ("PATCH", _) => rename(call, id),
            ("DELETE", _) => delete(call, id),
            _ => Err(GraphError::method_not_allowed()),
        };
    };
    let word = word.to_ascii_lowercase();
    match (word.as_str(), below, method.as_str()) {
        ("messages", _, _) => messages::route(call, Some(id), below),
        ("messagerules", _, _) => rules::route(call, id, below),
        ("childfolders", [], "GET") => list(call, id, &format!("mailFolders('{id}')/childFolders")),
        ("childfolders", [], "POST") => create(call, id),
        ("childfolders", [last], "GET") if last == "$count" => count(call, id),
        // A folder below is a folder: its id alone says which.
        ("childfolders", [_, ..], _) => route(call, below),
        ("move", [], "POST") => relocate(call, id, false),
        ("copy", [], "POST") => relocate(call, id, true),
        ("permanentdelete", [], "POST") => remove(call, id),
        ("childfolders", ..) => Err(GraphError::method_not_allowed()),
        _ => Err(GraphError::no_such_segment(&word)),
    }
}

fn find<'a>(mailbox: &'a OutlookMailbox, id: &str) -> Result<&'a Folder, GraphError> {
    mailbox.folder(id).ok_or_else(|| {
        if id.len() < 40 {
            GraphError::malformed_id()
        } else {
            GraphError::folder_not_found()
        }
    })
}

/// Only what lies directly in a folder is listed, and hidden folders only on request.
/// <https://learn.microsoft.com/en-us/graph/api/user-list-mailfolders>
fn list(call: &Call<'_>, parent: &str, context: &str) -> Answer {
    call.need(&["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])?;
    let listing = query::listing(call, &PROPERTIES, TYPE, &["includeHiddenFolders"])?;
    listing.expands_only(&["childFolders"], TYPE)?;
    let hidden_too = call
        .query
        .iter()
        .any(|(name, value)| name == "includeHiddenFolders" && value.eq_ignore_ascii_case("true"));
    let context = call.context(context);
    call.mailbox(|mailbox, _| {
        let parent = find(mailbox, parent)?;
        let mut shown: Vec<(Value, &Folder)> = mailbox
            .children(&parent.id)
            .filter(|folder| hidden_too || !folder.is_hidden)
            .map(|folder| (show(mailbox, folder, &Listing::default()), folder))
            .filter(|(shown, _)| {
                let filter = listing.filter.as_ref();
                filter.is_none_or(|filter| filter.accepts(shown))
            })
            .collect();
        listing.sort(&mut shown);
        let folders = shown.into_iter().map(|(_, folder)| folder).collect();
        let page = listing.page(call, folders);
        let page = page.map(|folder| show(mailbox, folder, &listing));
        Ok(Reply::json(listing.answer(context, page)))
    })
}

fn count(call: &Call<'_>, parent: &str) -> Answer {
    call.need(&["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])?;
    call.mailbox(|mailbox, _| {
        let parent = find(mailbox, parent)?;
        let count = mailbox
            .children(&parent.id)
            .filter(|folder| !folder.is_hidden)
            .count();
        Ok(Reply::bytes("text/plain", count.to_string().into()))
    })
}

fn get(call: &Call<'_>, id: &str) -> Answer {
    call.need(&["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])?;
    let listing = query::single(call, &PROPERTIES, TYPE, &["includeHiddenFolders"])?;
    listing.expands_only(&["childFolders"], TYPE)?;
    call.mailbox(|mailbox, _| {
        let folder = find(mailbox, id)?;
        Ok(Reply::json(entity(call, mailbox, folder, &listing)))
    })
}

fn entity(call: &Call<'_>, mailbox: &OutlookMailbox, folder: &Folder, listing: &Listing) -> Value {
    let mut shown = show(mailbox, folder, listing);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert(
            "@odata.context".to_owned(),
            call.context("mailFolders/$entity"),
        );
    }
    shown
}

pub(crate) fn show(mailbox: &OutlookMailbox, folder: &Folder, listing: &Listing) -> Value {
    let inside = || {
        mailbox
            .messages
            .values()
            .filter(|message| message.folder == folder.id)
    };
    let mut shown = serde_json::Map::new();
    for name in PROPERTIES {
        if name != "id" && !listing.wants(name, true) {
            continue;
        }
        let value = match name {
            "id" => json!(folder.id),
            "displayName" => json!(folder.display_name),
            // The root lies in a folder that nobody can ask for.
            "parentFolderId" => json!(
                folder
                    .parent
                    .clone()
                    .unwrap_or_else(|| format!("{}AA", folder.id))
            ),
            "childFolderCount" => json!(mailbox.children(&folder.id).count()),
            "unreadItemCount" => json!(inside().filter(|message| !message.is_read).count()),
            "totalItemCount" => json!(inside().count()),
            _ => json!(folder.is_hidden),
        };
        shown.insert(name.to_owned(), value);
    }
    if listing.expansion("childFolders").is_some() {
        let children: Vec<Value> = mailbox
            .children(&folder.id)
            .map(|child| show(mailbox, child, &Listing::default()))
            .collect();
        shown.insert("childFolders".to_owned(), Value::Array(children));
    }
    Value::Object(shown)
}

/// <https://learn.microsoft.com/en-us/graph/api/user-post-mailfolders>
fn create(call: &Call<'_>, parent: &str) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let body = call.json()?;
    only_fields(&body, &PROPERTIES, TYPE)?;
    let name = display_name(&body)?;
    let is_hidden = match field(&body, "isHidden") {
        None => false,
        Some(Value::Bool(hidden)) => *hidden,
        Some(_) => return Err(wrong_type("isHidden")),
    };
    call.mailbox(|mailbox, random| {
        let parent = find(mailbox, parent)?.id.clone();
        ensure_free(mailbox, &parent, &name)?;
        let folder = Folder {
            id: new_id("AQMk", random),
            well_known: None,
            display_name: name,
            parent: Some(parent),
            is_hidden,
        };
        mailbox.folders.push(folder.clone());
        mailbox.journal.note_folder(&folder.id);
        let mut reply = Reply::created(entity(call, mailbox, &folder, &Listing::default()));
        let location = call.url(&format!(
            "users('{}')/mailFolders('{}')",
            call.address, folder.id
        ));
        reply.headers.push(("location", location));
        Ok(reply)
    })
}

fn display_name(body: &serde_json::Map<String, Value>) -> Result<String, GraphError> {
    text_field(body, "displayName")?
        .filter(|name| !name.trim().is_empty())
        .ok_or_else(|| {
            GraphError::bad_request(
                "ErrorInvalidParameter",
                "The property 'displayName' is required and may not be empty.",
            )
        })
}

/// No two folders in the same place have the same name.
fn ensure_free(mailbox: &OutlookMailbox, parent: &str, name: &str) -> Result<(), GraphError> {
    let taken = mailbox
        .children(parent)
        .any(|folder| folder.display_name.to_lowercase() == name.to_lowercase());
    if taken {
        return Err(GraphError::new(
            StatusCode::CONFLICT,
            "ErrorFolderExists",
            "A folder with the specified name already exists.",
        ));
    }
    Ok(())
}

fn rename(call: &Call<'_>, id: &str) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let body = call.json()?;
    only_fields(&body, &PROPERTIES, TYPE)?;
    let name = display_name(&body)?;
    call.mailbox(|mailbox, _| {
        let folder = find(mailbox, id)?.clone();
        ensure_own(&folder)?;
        let parent = folder.parent.as_deref().unwrap_or_default();
        if folder.display_name != name {
            ensure_free(mailbox, parent, &name)?;
        }
        if let Some(folder) = mailbox
            .folders
            .iter_mut()
            .find(|known| known.id == folder.id)
        {
            folder.display_name = name;
        }
        mailbox.journal.note_folder(&folder.id);
        let folder = find(mailbox, &folder.id)?;
        Ok(Reply::json(entity(
            call,
            mailbox,
            folder,
            &Listing::default(),
        )))
    })
}

/// The folders that every mailbox has stay where and what they are.
fn ensure_own(folder: &Folder) -> Result<(), GraphError> {
    if folder.well_known.is_some() {
        return Err(GraphError::new(
            StatusCode::FORBIDDEN,
            "ErrorDeleteDistinguishedFolder",
            "Distinguished folders cannot be changed, moved or deleted.",
        ));
    }
    Ok(())
}

/// Into the deleted items; from there, away with all that is in it.
/// <https://learn.microsoft.com/en-us/graph/api/mailfolder-delete>
fn delete(call: &Call<'_>, id: &str) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let bin = call.mailbox(|mailbox, _| {
        let folder = find(mailbox, id)?;
        ensure_own(folder)?;
        let bin = mailbox.well_known_id("deleteditems");
        let in_bin = mailbox.lies_in(&folder.id, &bin);
        let id = folder.id.clone();
        if let (false, Some(folder)) = (
            in_bin,
            mailbox.folders.iter_mut().find(|known| known.id == id),
        ) {
            folder.parent = Some(bin);
        }
        mailbox.journal.note_folder(&id);
        Ok(in_bin)
    })?;
    if bin {
        return remove(call, id);
    }
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// Away for good, with the messages and folders in it.
fn remove(call: &Call<'_>, id: &str) -> Answer {
    call.need_write()?;
    call.mailbox(|mailbox, _| {
        let folder = find(mailbox, id)?;
        ensure_own(folder)?;
        let id = folder.id.clone();
        let gone: Vec<String> = mailbox
            .folders
            .iter()
            .filter(|folder| mailbox.lies_in(&folder.id, &id))
            .map(|folder| folder.id.clone())
            .collect();
        let inside = mailbox.messages.values();
        let inside: Vec<u64> = inside
            .filter(|message| gone.contains(&message.folder))
            .map(|message| message.key)
            .collect();
        for key in inside {
            mailbox.remove(key);
        }
        for id in &gone {
            mailbox.journal.note_folder(id);
        }
        mailbox.folders.retain(|folder| !gone.contains(&folder.id));
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    })
}

/// <https://learn.microsoft.com/en-us/graph/api/mailfolder-move>
fn relocate(call: &Call<'_>, id: &str, copies: bool) -> Answer {
    call.need_write()?;
    call.no_query()?;
    let body = call.json()?;
    only_fields(&body, &["destinationId"], TYPE)?;
    let destination = text_field(&body, "destinationId")?.unwrap_or_default();
    let now = call.state.clock.now();
    call.mailbox(|mailbox, random| {
        let folder = find(mailbox, id)?.clone();
        let target = find(mailbox, &destination)?.id.clone();
        if mailbox.lies_in(&target, &folder.id) {
            return Err(GraphError::bad_request(
                "ErrorMoveCopyFailed",
                "A folder cannot be moved or copied into itself.",
            ));
        }
        ensure_free(mailbox, &target, &folder.display_name)?;
        let id = if copies {
            let copy = Folder {
                id: new_id("AQMk", random),
                well_known: None,
                parent: Some(target),
                ..folder.clone()
            };
            let id = copy.id.clone();
            mailbox.folders.push(copy);
            let inside: Vec<u64> = mailbox
                .messages
                .values()
                .filter(|message| message.folder == folder.id)
                .map(|message| message.key)
                .collect();
            for key in inside {
                mailbox.copy_to(key, id.clone(), now, random);
            }
            id
        } else {
            ensure_own(&folder)?;
            if let Some(folder) = mailbox
                .folders
                .iter_mut()
                .find(|known| known.id == folder.id)
            {
                folder.parent = Some(target);
            }
            folder.id
        };
        mailbox.journal.note_folder(&id);
        let folder = find(mailbox, &id)?;
        Ok(Reply::json(entity(
            call,
            mailbox,
            folder,
            &Listing::default(),
        )))
    })
}
