//! Replies and forwards, as drafts and at once: who they go to, what they quote.
//! <https://learn.microsoft.com/en-us/graph/api/message-createreply>

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Map, Value};

use super::super::message::{Address, Mail};
use super::super::rewrite;
use super::call::{Answer, Call, field, only_fields, text_field, wrong_type};
use super::changes::{self, Changes};
use super::compose::Content;
use super::error::GraphError;
use super::mailbox::OutlookMessage;
use super::{html, messages, send};

/// Which kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reply,
    ReplyAll,
    Forward,
}

/// `POST /messages/{id}/{action}`, where the action is one of six.
pub(crate) fn answer(call: &Call<'_>, id: &str, action: &str) -> Answer {
    let action = action.to_ascii_lowercase();
    let (is_draft, word) = match action.strip_prefix("create") {
        Some(word) => (true, word),
        None => (false, action.as_str()),
    };
    let kind = match word {
        "reply" => Kind::Reply,
        "replyall" => Kind::ReplyAll,
        _ => Kind::Forward,
    };
    if is_draft {
        call.need_write()?;
    } else {
        call.need_send()?;
    }
    let now = call.state.clock.now();
    let message_id = messages::new_message_id(call);
    let (original, subject) = call.mailbox(|mailbox, _| {
        let message = messages::find(mailbox, id)?;
        Ok((message.clone(), message.mail.parsed().subject.clone()))
    })?;
    let mut content = quoting(
        call,
        &original,
        kind,
        subject.as_deref().unwrap_or_default(),
    );
    content.message_id = Some(message_id);
    let mut changes = Changes::default();
    let mail = if call.is_mime() {
        let raw = messages::mime(call)?;
        threaded(&raw, &content)
    } else {
        let body = call.optional_json()?;
        changes = read(&body, kind, is_draft, &mut content, now)?;
        content.into_mail(now)?
    };
    let mut world = call.state.world();
    let ready = if is_draft {
        None
    } else {
        Some(send::ready(call, &mut world, &mail)?)
    };
    let key = call.mailbox_of(&mut world, |mailbox, random| {
        // Answering all was seen to mark what is answered as read.
        // <https://github.com/elie222/inbox-zero/pull/1086>
        if kind == Kind::ReplyAll
            && let Some(original) = mailbox.messages.get_mut(&original.key)
        {
            original.is_read = true;
        }
        let drafts = mailbox.well_known_id("drafts");
        let key = mailbox.add(mail, drafts, now, true, random);
        if let Some(message) = mailbox.messages.get_mut(&key) {
            changes.apply_state(message);
        }
        Ok(key)
    })?;
    if let Some(ready) = ready {
        return send::submit(call, &mut world, key, ready, true);
    }
    call.mailbox_of(&mut world, |mailbox, _| {
        let message = mailbox
            .messages
            .get(&key)
            .ok_or_else(GraphError::item_not_found)?;
        let mut reply = messages::created(call, message);
        reply.status = StatusCode::CREATED;
        Ok(reply)
    })
}

/// What the request says of the answer, applied to what it would be otherwise.
fn read(
    body: &Map<String, Value>,
    kind: Kind,
    is_draft: bool,
    content: &mut Content,
    now: DateTime<Utc>,
) -> Result<Changes, GraphError> {
    let names: &[&str] = match kind {
        Kind::Forward => &["comment", "message", "toRecipients"],
        Kind::Reply | Kind::ReplyAll => &["comment", "message"],
    };
    only_fields(body, names, "microsoft.graph.message")?;
    let comment = text_field(body, "comment")?;
    let changes = match field(body, "message") {
        None => Changes::default(),
        Some(Value::Object(message)) => Changes::read(message, now)?,
        Some(_) => return Err(wrong_type("message")),
    };
    let invalid = |message: &'static str| GraphError::bad_request("ErrorInvalidRequest", message);
    if comment.is_some() && changes.has_body() {
        return Err(invalid(
            "Specify either the Comment parameter or the body of the message, not both.",
        ));
    }
    if let Some(comment) = &comment {
        // A comment is text, above what is quoted.
        let comment = html_escape::encode_text(comment).replace('\n', "<br>");
        content.body = content
            .body
            .replacen("<body>", &format!("<body><div>{comment}</div>"), 1);
    }
    if kind == Kind::Forward {
        let named = changes::recipients(body, "toRecipients")?.unwrap_or_default();
        match (named.is_empty(), changes.has_recipients()) {
            (false, true) => {
                return Err(invalid(
                    "Specify the recipients either in toRecipients or in the message, not both.",
                ));
            }
            (true, false) if !is_draft => {
                return Err(invalid("The ToRecipients parameter is required."));
            }
            _ => content.to = named,
        }
    }
    changes.apply(content);
    Ok(changes)
}

/// An answer with nothing said yet.
fn quoting(call: &Call<'_>, original: &OutlookMessage, kind: Kind, subject: &str) -> Content {
    let mail = original.mail.parsed();
    let prefix = if kind == Kind::Forward {
        "FW: "
    } else {
        "RE: "
    };
    let known = subject
        .get(..prefix.len().min(subject.len()))
        .unwrap_or_default();
    let subject =
        if known.eq_ignore_ascii_case(prefix.trim_end()) || known.eq_ignore_ascii_case(prefix) {
            subject.to_owned()
        } else {
            format!("{prefix}{subject}")
        };
    let is_other = |person: &Address| !person.address.eq_ignore_ascii_case(&call.address);
    let back = if mail.reply_to.is_empty() {
        &mail.from
    } else {
        &mail.reply_to
    };
    let mut to: Vec<Address> = match kind {
        Kind::Forward => Vec::new(),
        Kind::Reply | Kind::ReplyAll => back.clone(),
    };
    let mut cc = Vec::new();
    if kind == Kind::ReplyAll {
        to.extend(mail.to.iter().filter(|person| is_other(person)).cloned());
        cc.extend(mail.cc.iter().filter(|person| is_other(person)).cloned());
    }
    let mut references = mail.references.clone();
    references.extend(mail.message_id.clone());
    let mut attachments = Content::read(original).attachments;
    if kind != Kind::Forward {
        attachments.retain(|piece| piece.is_inline);
    }
    for piece in &mut attachments {
        piece.id.clear();
    }
    Content {
        subject,
        is_html: true,
        body: quotation(original),
        to,
        cc,
        in_reply_to: mail.message_id.clone().filter(|_| kind != Kind::Forward),
        references,
        attachments,
        ..Content::default()
    }
}

/// The original below a line, as Outlook writes it.
fn quotation(original: &OutlookMessage) -> String {
    let mail = original.mail.parsed();
    let from = mail
        .from
        .first()
        .map_or("", |person| person.address.as_str());
    let text = mail.text.as_deref().unwrap_or_default();
    let quoted = mail.html.clone().unwrap_or_else(|| html::from_text(text));
    html::document(&format!(
        "<hr tabindex=\"-1\" style=\"display:inline-block; width:98%\">\
         <div id=\"divRplyFwdMsg\" dir=\"ltr\"><b>From:</b> {}<br><b>Sent:</b> {}<br><b>Subject:</b> {}</div>\
         <blockquote>{quoted}</blockquote>",
        html_escape::encode_text(from),
        mail.date.unwrap_or(original.received).to_rfc2822(),
        html_escape::encode_text(mail.subject.as_deref().unwrap_or_default()),
    ))
}

/// MIME of the sender's own, tied to what it answers.
fn threaded(raw: &[u8], content: &Content) -> Arc<Mail> {
    let mut raw = raw.to_vec();
    let bracketed = |id: &String| format!("<{id}>");
    let references: Vec<String> = content.references.iter().map(bracketed).collect();
    let fields = [
        ("In-Reply-To", content.in_reply_to.as_ref().map(bracketed)),
        (
            "References",
            (!references.is_empty()).then(|| references.join(" ")),
        ),
        (
            "To",
            content.to.first().map(|person| person.address.clone()),
        ),
    ];
    for (name, value) in fields {
        if let Some(value) = value.filter(|_| !rewrite::has_field(&raw, name)) {
            raw = rewrite::set_field(&raw, name, &value);
        }
    }
    Arc::new(Mail::new(raw))
}
