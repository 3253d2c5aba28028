//! A message at the service, as a draft that lacks nothing: from MIME where that fits into one request, else from JSON and
//! attachments, and then as an answer of the service's own if it is one. What the second way cannot keep is refused.

use super::{finding, uploading};
use crate::error::{Delivery, Error, ErrorKind, Result};
use crate::http::protocol;
use crate::mime;
use crate::model::{AnswerKind, Answers, Content, Outgoing, SendKey};
use crate::outlook::api::Api;
use crate::outlook::{convert, wire};

/// Up to here a message goes as it is, in base64. What is longer is put together at the service: a request has 4 MB at
/// most (<https://learn.microsoft.com/graph/outlook-send-mime-message>).
const LARGEST_MIME_TEXT: u64 = 3_500_000;

/// How many header lines of its own a message from JSON may have; the service refuses more.
const MOST_HEADERS: usize = 5;

/// A draft that was made.
pub(in crate::outlook) struct Made {
    pub(in crate::outlook) id: String,
    /// As the service told of it last.
    pub(in crate::outlook) message: wire::Message,
    /// Its `Message-ID`, if it has one of ours.
    pub(in crate::outlook) message_id: Option<String>,
}

/// Makes a draft of a message, which is also given as MIME. If that fails half-way, it is deleted again.
pub(in crate::outlook) async fn make(
    api: &Api,
    outgoing: &Outgoing,
    message: &Content,
    key: Option<&SendKey>,
) -> Result<Made> {
    uploading::check_sizes(&outgoing.attachments)?;
    let text = mime::base64_text(message);
    if text.len() > LARGEST_MIME_TEXT {
        return put_together(api, outgoing, key).await;
    }
    let message_id = finding::message_id(message).await;
    let created = api.create_mime_draft(text).await;
    let found = finding::lost_draft(api, key, message_id.as_deref());
    let created = created_or_found(created, found).await?;
    let id = id_of(&created)?;
    let properties = convert::marks(key, outgoing.send_at);
    let message = match properties {
        None => created,
        // MIME has no place for properties.
        Some(properties) => match api.set_properties(&id, &properties).await {
            Ok(marked) => wire::Message {
                conversation_id: marked.conversation_id.or(created.conversation_id),
                ..marked
            },
            Err(error) => return Err(undone(api, &id, error).await),
        },
    };
    Ok(Made {
        id,
        message,
        message_id,
    })
}

/// The draft that was made. If the answer was lost, it may be there nevertheless; a second one would be one too many.
async fn created_or_found(
    created: Result<wire::Message>,
    found: impl Future<Output = Result<Option<wire::Message>>>,
) -> Result<wire::Message> {
    match created {
        Err(error) if error.delivery() == Delivery::Unknown => match found.await {
            Ok(Some(found)) => Ok(found),
            _ => Err(error),
        },
        created => created,
    }
}

fn id_of(message: &wire::Message) -> Result<String> {
    let id = message.id.clone().filter(|id| !id.is_empty());
    id.ok_or_else(|| protocol("the draft came without its id"))
}

/// Nobody should find half a message among the drafts. That it could not be completed matters more than that it could not
/// be deleted.
async fn undone(api: &Api, draft: &str, error: Error) -> Error {
    _ = api.delete_draft(draft).await;
    error
}

async fn put_together(api: &Api, outgoing: &Outgoing, key: Option<&SendKey>) -> Result<Made> {
    check_kept(api, outgoing).await?;
    let answer = match &outgoing.answers {
        // Header lines of one's own are not among what can be changed on a message that is there
        // (<https://learn.microsoft.com/graph/api/message-update#request-body>).
        Some(answers) if outgoing.headers.is_empty() => answer(api, answers, outgoing, key).await?,
        _ => None,
    };
    let created = match answer {
        Some(answer) => answer,
        None => {
            let created = api.create_draft(&convert::draft(outgoing, key)).await;
            let found = finding::lost_draft(api, key, None);
            created_or_found(created, found).await?
        }
    };
    let id = id_of(&created)?;
    let nothing = Default::default();
    if let Err(error) = uploading::attach_all(api, &id, &outgoing.attachments, &nothing).await {
        return Err(undone(api, &id, error).await);
    }
    Ok(Made {
        id,
        message: created,
        message_id: None,
    })
}

/// What a message from JSON cannot say (<https://learn.microsoft.com/graph/api/resources/message#properties>,
/// <https://github.com/microsoftgraph/msgraph-sdk-dotnet/issues/2105>).
async fn check_kept(api: &Api, outgoing: &Outgoing) -> Result<()> {
    let lost = |what: &'static str| Err(Error::unsupported(what));
    if outgoing.invitation.is_some() {
        return lost("Outlook takes an invitation only in a message of less than 2.6 MB");
    }
    let is_own = |name: &str| {
        name.get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("x-"))
    };
    if !outgoing.headers.iter().all(|header| is_own(header.name())) {
        return lost(
            "in a message of more than 2.6 MB Outlook takes only header lines that begin with X-",
        );
    }
    if outgoing.headers.len() > MOST_HEADERS {
        return lost("Outlook takes at most five header lines in a message of more than 2.6 MB");
    }
    let one_click = outgoing.list_unsubscribe.as_ref();
    if one_click.is_some_and(|unsubscribe| unsubscribe.is_one_click()) {
        return lost(
            "in a message of more than 2.6 MB Outlook does not say that a list is left by one click",
        );
    }
    if let Some(receipt) = &outgoing.read_receipt_to {
        let author = match &outgoing.from {
            Some(author) => author.address().to_owned(),
            None => convert::profile(api.profile().await?)?.address,
        };
        if !receipt.address().eq_ignore_ascii_case(&author) {
            return lost(
                "in a message of more than 2.6 MB Outlook tells nobody but the author that it was read",
            );
        }
    }
    Ok(())
}

/// An answer or forward as the service makes it, which ties it to its original and notes that there, with everything in it
/// replaced by what it is to say: text and quotation, recipients, files. `None` if there is no such message any more.
///
/// Answering all was seen to mark the original as read (<https://github.com/elie222/inbox-zero/pull/1086>): both kinds of
/// answer are made as the plain one, whose recipients are replaced anyway, and the original is looked at afterwards.
async fn answer(
    api: &Api,
    answers: &Answers,
    outgoing: &Outgoing,
    key: Option<&SendKey>,
) -> Result<Option<wire::Message>> {
    let original = answers.message.as_str();
    let was_read = match api.read_state(original).await {
        Ok(message) => message.is_read,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let action = match answers.kind {
        AnswerKind::Forward => "createForward",
        AnswerKind::Reply | AnswerKind::ReplyAll => "createReply",
    };
    let body = wire::NewAnswer {
        message: convert::marks(key, None),
    };
    let created = match api.create_answer(original, action, &body).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        created => created,
    };
    let created = created_or_found(created, finding::lost_draft(api, key, None)).await?;
    let id = id_of(&created)?;
    let completed = async {
        if was_read == Some(false) && api.read_state(original).await?.is_read == Some(true) {
            api.mark_unread(original).await?;
        }
        for attachment in uploading::attached(api, &id).await? {
            if let Some(attachment) = attachment.id {
                api.detach(&id, &attachment).await?;
            }
        }
        let draft = convert::draft(outgoing, key);
        api.update_draft(&id, &draft, None).await
    };
    match completed.await {
        Ok(message) => Ok(Some(message)),
        Err(error) => Err(undone(api, &id, error).await),
    }
}
