//! Uploading an attachment in parts: the session is made by an ordinary request, the parts go to a URL that
//! needs no token and must not get one.
//! <https://learn.microsoft.com/en-us/graph/outlook-large-attachments>

use std::time::Duration;

use bytes::Bytes;
use chrono::SecondsFormat;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

use super::super::State;
use super::super::world::Mailbox;
use super::attachments;
use super::call::{Answer, Call, Reply, field, only_fields, text_field, wrong_type};
use super::compose::Piece;
use super::error::GraphError;
use super::mailbox::Upload;
use super::messages;

/// What a session may be for.
const LARGEST: u64 = 150 * 1024 * 1024;

/// A part has to be smaller.
const LARGEST_PART: usize = 4 * 1024 * 1024;

/// How long a session is open.
const LIFETIME: Duration = Duration::from_secs(3 * 3600);

/// `POST /messages/{id}/attachments/createUploadSession`
pub(crate) fn create(call: &Call<'_>, message: &str) -> Answer {
    call.need_write()?;
    // <https://learn.microsoft.com/en-us/graph/known-issues>
    if call.is_anothers() {
        return Err(GraphError::forbidden());
    }
    call.no_query()?;
    let body = call.json()?;
    only_fields(
        &body,
        &["AttachmentItem"],
        "microsoft.graph.createUploadSession",
    )?;
    let item = field(&body, "AttachmentItem")
        .and_then(Value::as_object)
        .ok_or_else(|| wrong_type("AttachmentItem"))?;
    let names = [
        "attachmentType",
        "contentId",
        "contentType",
        "isInline",
        "name",
        "size",
    ];
    only_fields(item, &names, "microsoft.graph.attachmentItem")?;
    let kind = text_field(item, "attachmentType")?.unwrap_or_default();
    if !kind.eq_ignore_ascii_case("file") {
        return Err(GraphError::body(format!(
            "Requested value '{kind}' was not found for the property 'attachmentType'."
        )));
    }
    let name = text_field(item, "name")?
        .filter(|name| !name.is_empty())
        .ok_or_else(|| {
            GraphError::bad_request(
                "ErrorRequiredPropertyMissing",
                "Required property is missing., Name",
            )
        })?;
    let size = field(item, "size")
        .and_then(Value::as_u64)
        .filter(|size| *size > 0);
    let size = size.ok_or_else(|| wrong_type("size"))?;
    if size > LARGEST {
        return Err(GraphError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "ErrorAttachmentSizeLimitExceeded",
            "The size of the attachment exceeds the limit of 150 MB.",
        ));
    }
    let is_inline = match field(item, "isInline") {
        None => false,
        Some(Value::Bool(inline)) => *inline,
        Some(_) => return Err(wrong_type("isInline")),
    };
    let (content_type, content_id) = (
        text_field(item, "contentType")?,
        text_field(item, "contentId")?,
    );
    let secret = call.state.world().opaque(64);
    let expires_at = call.state.clock.now() + LIFETIME;
    let url = format!(
        "{}attachment-upload/{secret}",
        call.state.microsoft.base_url
    );
    call.mailbox(|mailbox, _| {
        let message = messages::find(mailbox, message)?;
        if !message.is_draft {
            return Err(GraphError::forbidden());
        }
        let upload = Upload {
            message: message.key,
            name,
            content_type,
            is_inline,
            content_id,
            size: usize::try_from(size).unwrap_or(usize::MAX),
            received: Vec::new(),
            expires: call.state.clock.monotonic() + LIFETIME,
            expires_at,
        };
        mailbox.uploads.insert(secret, upload);
        Ok(Reply::created(json!({
            "@odata.context": call.url("$metadata#microsoft.graph.uploadSession"),
            "uploadUrl": url,
            "expirationDateTime": expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "nextExpectedRanges": ["0-"],
        })))
    })
}

/// A part, a question, or the end of a session.
pub(crate) fn resume(
    state: &State,
    method: &Method,
    secret: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answer {
    // The URL is the authorization. <https://github.com/microsoftgraph/msgraph-sdk-java/issues/409>
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(GraphError::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAudienceForResource",
            "The audience claim value is invalid for current resource.",
        ));
    }
    let mut guard = state.world();
    let world = &mut *guard;
    let (accounts, random) = (&mut world.accounts, &mut world.random);
    let found = accounts
        .iter_mut()
        .find_map(|account| match &mut account.mailbox {
            Mailbox::Outlook(mailbox) if mailbox.uploads.contains_key(secret) => {
                Some((account.address.clone(), mailbox))
            }
            _ => None,
        });
    let (address, mailbox) = found.ok_or_else(gone)?;
    let upload = mailbox.uploads.get_mut(secret).ok_or_else(gone)?;
    if upload.expires <= state.clock.monotonic() {
        mailbox.uploads.remove(secret);
        return Err(gone());
    }
    match *method {
        Method::GET => return Ok(Reply::json(status(upload))),
        Method::DELETE => {
            mailbox.uploads.remove(secret);
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        Method::PUT => {}
        _ => return Err(GraphError::method_not_allowed()),
    }
    take(upload, headers, body)?;
    if upload.received.len() < upload.size {
        return Ok(Reply::json(status(upload)));
    }
    let Some(upload) = mailbox.uploads.remove(secret) else {
        return Err(gone());
    };
    let piece = Piece {
        id: String::new(),
        content_type: upload
            .content_type
            .unwrap_or_else(|| attachments::guessed(&upload.name)),
        name: upload.name,
        content: Bytes::from(upload.received),
        is_inline: upload.is_inline,
        content_id: upload.content_id,
    };
    let id = attachments::append(mailbox, random, upload.message, piece, state.clock.now())?;
    let message = mailbox
        .messages
        .get(&upload.message)
        .ok_or_else(GraphError::item_not_found)?;
    let mut reply = Reply::empty(StatusCode::CREATED);
    reply.headers.push((
        "location",
        format!(
            "{}api/v2.0/Users('{address}')/Messages('{}')/Attachments('{id}')",
            state.microsoft.base_url, message.id
        ),
    ));
    Ok(reply)
}

/// What is still to come. The names are written in another case than in the first answer, and the range
/// is only where it begins.
fn status(upload: &Upload) -> Value {
    json!({
        "ExpirationDateTime": upload.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "NextExpectedRanges": [upload.received.len().to_string()],
    })
}

fn take(upload: &mut Upload, headers: &HeaderMap, body: &Bytes) -> Result<(), GraphError> {
    let invalid = |message: &'static str| GraphError::bad_request("ErrorInvalidParameter", message);
    let range = headers
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("bytes "))
        .and_then(|value| value.split_once('/'))
        .ok_or_else(|| invalid("The Content-Range header is missing or malformed."))?;
    let numbers = range.0.split_once('-').and_then(|(first, last)| {
        Some((
            first.parse::<usize>().ok()?,
            last.parse::<usize>().ok()?,
            range.1.parse::<usize>().ok()?,
        ))
    });
    let (first, last, total) =
        numbers.ok_or_else(|| invalid("The Content-Range header is missing or malformed."))?;
    if total != upload.size {
        return Err(invalid(
            "The size in the Content-Range header is not the size of the attachment.",
        ));
    }
    if last < first || last - first + 1 != body.len() || last >= total {
        return Err(invalid(
            "The Content-Range header does not match the length of the request.",
        ));
    }
    if body.len() >= LARGEST_PART {
        return Err(GraphError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            "Maximum request length exceeded.",
        ));
    }
    // Parts come in order.
    if first != upload.received.len() {
        return Err(GraphError::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidRange",
            "The uploaded range does not follow what was received before.",
        ));
    }
    upload.received.extend_from_slice(body);
    Ok(())
}

fn gone() -> GraphError {
    GraphError::new(
        StatusCode::NOT_FOUND,
        "ErrorItemNotFound",
        "The upload session was not found.",
    )
}
