//! The list of categories that messages can be marked with.
//! <https://learn.microsoft.com/en-us/graph/api/resources/outlookcategory>

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Reply, only_fields, text_field};
use super::error::GraphError;
use super::mailbox::{Category, new_id};
use super::query;

const PROPERTIES: [&str; 3] = ["id", "displayName", "color"];
const TYPE: &str = "microsoft.graph.outlookCategory";

/// Below `/outlook`.
pub(crate) fn route(call: &Call<'_>, rest: &[String]) -> Answer {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let method = call.method.clone();
    let (word, rest) = rest
        .split_first()
        .ok_or_else(|| GraphError::no_such_segment("outlook"))?;
    if !word.eq_ignore_ascii_case("masterCategories") {
        return Err(GraphError::no_such_segment(word));
    }
    match (method, rest) {
        (Method::GET, []) => list(call),
        (Method::POST, []) => create(call),
        (Method::GET, [id]) => {
            call.need(&["MailboxSettings.Read", "MailboxSettings.ReadWrite"])?;
            call.no_query()?;
            call.mailbox(|mailbox, _| {
                let category = mailbox.categories.iter().find(|known| known.id == *id);
                category
                    .map(|category| Reply::json(show(category)))
                    .ok_or_else(GraphError::item_not_found)
            })
        }
        (Method::PATCH, [id]) => recolor(call, id),
        (Method::DELETE, [id]) => delete(call, id),
        (_, [] | [_]) => Err(GraphError::method_not_allowed()),
        (_, [.., last]) => Err(GraphError::no_such_segment(last)),
    }
}

fn list(call: &Call<'_>) -> Answer {
    call.need(&["MailboxSettings.Read", "MailboxSettings.ReadWrite"])?;
    let listing = query::listing(call, &PROPERTIES, TYPE, &[])?;
    let context = call.context("outlook/masterCategories");
    call.mailbox(|mailbox, _| {
        let shown = mailbox.categories.iter().map(show).collect();
        let page = listing.page(call, shown);
        Ok(Reply::json(listing.answer(context, page)))
    })
}

fn show(category: &Category) -> Value {
    json!({"id": category.id, "displayName": category.display_name, "color": category.color})
}

fn create(call: &Call<'_>) -> Answer {
    call.need(&["MailboxSettings.ReadWrite"])?;
    call.no_query()?;
    let body = call.json()?;
    only_fields(&body, &PROPERTIES, TYPE)?;
    let name = text_field(&body, "displayName")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| {
        GraphError::bad_request(
            "ErrorInvalidParameter",
            "The property 'displayName' is required.",
        )
    })?;
    let color = color(&body)?.unwrap_or_else(|| "none".to_owned());
    call.mailbox(|mailbox, random| {
        let taken = mailbox
            .categories
            .iter()
            .any(|known| known.display_name.eq_ignore_ascii_case(&name));
        if taken {
            return Err(GraphError::new(
                StatusCode::CONFLICT,
                "CategoryNameDuplicate",
                "A category with this name exists already.",
            ));
        }
        let category = Category {
            id: new_id("", random),
            display_name: name,
            color,
        };
        let shown = show(&category);
        mailbox.categories.push(category);
        Ok(Reply::created(shown))
    })
}

/// Only the colour of a category can change: its name is what messages carry.
fn recolor(call: &Call<'_>, id: &str) -> Answer {
    call.need(&["MailboxSettings.ReadWrite"])?;
    call.no_query()?;
    let body = call.json()?;
    only_fields(&body, &["id", "color"], TYPE)?;
    let color = color(&body)?;
    call.mailbox(|mailbox, _| {
        let category = mailbox
            .categories
            .iter_mut()
            .find(|known| known.id == id)
            .ok_or_else(GraphError::item_not_found)?;
        if let Some(color) = color {
            category.color = color;
        }
        Ok(Reply::json(show(category)))
    })
}

fn delete(call: &Call<'_>, id: &str) -> Answer {
    call.need(&["MailboxSettings.ReadWrite"])?;
    call.no_query()?;
    call.mailbox(|mailbox, _| {
        let before = mailbox.categories.len();
        mailbox.categories.retain(|known| known.id != id);
        if mailbox.categories.len() == before {
            return Err(GraphError::item_not_found());
        }
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    })
}

fn color(body: &Map<String, Value>) -> Result<Option<String>, GraphError> {
    let Some(color) = text_field(body, "color")? else {
        return Ok(None);
    };
    let number = color
        .strip_prefix("preset")
        .and_then(|number| number.parse::<u8>().ok());
    if color == "none" || number.is_some_and(|number| number < 25) {
        return Ok(Some(color));
    }
    Err(GraphError::body(format!(
        "Requested value '{color}' was not found for the property 'color'."
    )))
}
