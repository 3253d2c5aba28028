//! Sending: a draft, or a message that is handed over whole. What happens afterwards, in the background, is
//! in `mailbox`.
//! <https://learn.microsoft.com/en-us/graph/outlook-things-to-know-about-send-mail>

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::Value;

use super::super::message::Mail;
use super::super::rewrite;
use super::super::world::World;
use super::call::{Answer, Call, Reply, field, only_fields, wrong_type};
use super::changes::Changes;
use super::compose::Content;
use super::error::GraphError;
use super::mailbox::Leaving;
use super::messages;
use super::properties;

/// `POST /sendMail`
/// <https://learn.microsoft.com/en-us/graph/api/user-sendmail>
pub(crate) fn send_mail(call: &Call<'_>) -> Answer {
    if call.method != Method::POST {
        return Err(GraphError::method_not_allowed());
    }
    call.need_send()?;
    call.no_query()?;
    let now = call.state.clock.now();
    let (mail, changes, save) = if call.is_mime() {
        let mail = Arc::new(Mail::new(messages::mime(call)?));
        (mail, Changes::default(), true)
    } else {
        let body = call.json()?;
        only_fields(
            &body,
            &["message", "saveToSentItems"],
            "microsoft.graph.sendMail",
        )?;
        let message = field(&body, "message")
            .and_then(Value::as_object)
            .ok_or_else(|| {
                GraphError::bad_request(
                    "ErrorInvalidRequest",
                    "The parameter 'Message' is required.",
                )
            })?;
        let save = match field(&body, "saveToSentItems") {
            None => true,
            Some(Value::Bool(save)) => *save,
            Some(_) => return Err(wrong_type("saveToSentItems")),
        };
        let changes = Changes::read(message, now)?;
        let mut content = Content {
            is_html: true,
            message_id: Some(messages::new_message_id(call)),
            ..Content::default()
        };
        changes.apply(&mut content);
        (content.into_mail(now)?, changes, save)
    };
    let mut world = call.state.world();
    let ready = ready(call, &mut world, &mail)?;
    let key = call.mailbox_of(&mut world, |mailbox, random| {
        let drafts = mailbox.well_known_id("drafts");
        let key = mailbox.add(mail, drafts, now, true, random);
        if let Some(message) = mailbox.messages.get_mut(&key) {
            changes.apply_state(message);
        }
        Ok(key)
    })?;
    submit(call, &mut world, key, ready, save)
}

/// `POST /messages/{id}/send`
/// <https://learn.microsoft.com/en-us/graph/api/message-send>
pub(crate) fn send_draft(call: &Call<'_>, id: &str) -> Answer {
    call.need_send()?;
    call.optional_json()?;
    let mut world = call.state.world();
    let (key, mail) = call.mailbox_of(&mut world, |mailbox, _| {
        let message = messages::find(mailbox, id)?;
        if !message.is_draft || message.leaving.is_some() {
            return Err(GraphError::bad_request(
                "ErrorInvalidRequest",
                "The message is not a draft and cannot be sent.",
            ));
        }
        Ok((message.key, Arc::clone(&message.mail)))
    })?;
    let ready = ready(call, &mut world, &mail)?;
    submit(call, &mut world, key, ready, true)
}

/// A message as it leaves, or why it cannot.
pub(crate) fn ready(
    call: &Call<'_>,
    world: &mut World,
    mail: &Mail,
) -> Result<Arc<Mail>, GraphError> {
    let parsed = mail.parsed();
    let recipients = parsed.recipients();
    if recipients.is_empty() {
        return Err(GraphError::bad_request(
            "ErrorInvalidRecipients",
            "At least one recipient isn't valid., A message can't be sent because it contains no recipients.",
        ));
    }
    if let Some(wrong) = recipients.iter().find(|address| !is_address(address)) {
        return Err(GraphError::bad_request(
            "ErrorInvalidRecipients",
            format!(
                "At least one recipient isn't valid., Recipient '{wrong}' isn't resolved. All recipients must be \
                 resolved before a message can be submitted."
            ),
        ));
    }
    let as_other = parsed
        .from
        .iter()
        .chain(&parsed.sender)
        .any(|person| !person.address.eq_ignore_ascii_case(&call.address));
    let may_send_as = !call.is_anothers()
        || world.account(&call.address).is_some_and(|account| {
            let sharing = account.shared.as_ref();
            sharing.is_some_and(|sharing| sharing.senders.contains(&call.grant.account))
        });
    if as_other || !may_send_as {
        return Err(GraphError::new(
            StatusCode::FORBIDDEN,
            "ErrorSendAsDenied",
            "The user account which was used to submit this request does not have the right to send mail on behalf \
             of the specified sending account., Cannot submit message.",
        ));
    }
    let mut raw = rewrite::set_field(mail.raw(), "Date", &call.state.clock.now().to_rfc2822());
    let account = world
        .account(&call.address)
        .ok_or_else(GraphError::forbidden)?;
    if parsed.from.is_empty() {
        let from = format!("{} <{}>", account.display_name, account.address);
        raw = rewrite::set_field(&raw, "From", &from);
    }
    if parsed.root.header("Disposition-Notification-To") == Some("<>") {
        let author = format!("<{}>", account.address);
        raw = rewrite::set_field(&raw, "Disposition-Notification-To", &author);
    }
    // Outlook.com gives messages an id of its own and keeps the sender's beside it.
    let personal = account.is_personal();
    if personal || parsed.message_id.is_none() {
        let id = format!("<{}@mail.outlook.example>", world.guid());
        raw = rewrite::set_field(&raw, "Message-ID", &id);
        if let Some(own) = &parsed.message_id {
            let own = format!("<{own}>");
            raw = rewrite::set_field(&raw, "X-Microsoft-Original-Message-ID", &own);
        }
    }
    if raw.len() > call.state.settings.largest_message {
        return Err(GraphError::bad_request(
            "ErrorMessageSizeExceeded",
            "The message exceeds the maximum supported size., Cannot submit message.",
        ));
    }
    Ok(Arc::new(Mail::new(raw)))
}

fn is_address(address: &str) -> bool {
    address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !address.contains(char::is_whitespace)
    })
}

/// Hands a message over: it is on its way, and the copy in the mailbox follows.
pub(crate) fn submit(
    call: &Call<'_>,
    world: &mut World,
    key: u64,
    mail: Arc<Mail>,
    save: bool,
) -> Answer {
    let now = call.state.clock.now();
    let requests = call.state.settings.sent_copies_after;
    let changes_id = call.state.settings.ids_change_on_send;
    let until = call.mailbox_of(world, |mailbox, random| {
        let outbox = mailbox.well_known_id("outbox");
        mailbox.replace(key, Arc::clone(&mail), random);
        mailbox.move_to(key, outbox, now, random);
        let mut until = None;
        if let Some(message) = mailbox.messages.get_mut(&key) {
            message.received = now;
            let held = message
                .extended
                .iter()
                .find(|(id, _)| id == properties::DEFERRED_SEND_TIME);
            until = held
                .and_then(|(_, value)| properties::instant(value))
                .filter(|until| *until > now);
        }
        let leaving = Leaving {
            requests,
            save,
            until,
            changes_id,
        };
        mailbox.leave(key, leaving);
        if requests == 0 && until.is_none() {
            mailbox.release(now, random);
        }
        Ok(until)
    })?;
    // <https://learn.microsoft.com/en-us/office/client-developer/outlook/mapi/pidtagdeferredsendtime-canonical-property>
    if until.is_none() {
        world.send_out(&call.address, &mail);
    }
    Ok(Reply::empty(StatusCode::ACCEPTED))
}
