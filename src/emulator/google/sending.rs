//! `users.messages.send`, and what Gmail does to every message that leaves: it checks the recipients,
//! completes and rewrites the header, files a copy under `SENT`, and delivers.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/sending>

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::super::message::{Address, Mail, Parsed};
use super::super::rewrite;
use super::super::world::World;
use super::call::Call;
use super::error::Failure;
use super::mailbox::GmailMailbox;
use super::messages::read_id;
use super::rendering::brief;

pub(crate) fn send(call: &Call<'_>) -> Result<Option<Value>, Failure> {
    let raw = call.message(&call.body)?;
    call.with_world(|world| {
        let thread = asked_thread(world, &call.account, &raw, &call.body)?;
        dispatch(world, &call.account, &raw, thread).map(Some)
    })
}

/// Sends what `raw` holds in the name of `account`, within a thread or as the first message of one.
pub(crate) fn dispatch(
    world: &mut World,
    account: &str,
    raw: &Bytes,
    thread: Option<u64>,
) -> Result<Value, Failure> {
    check_size(raw)?;
    check_recipients(Mail::new(raw.clone()).parsed())?;
    let mail = Arc::new(Mail::new(completed(world, account, raw)));
    let now = world.clock.now();
    let (mailbox, random) = world.gmail(account).ok_or_else(Failure::not_found)?;
    let mut labels = BTreeSet::from(["SENT".to_owned()]);
    let recipients = mail.parsed().recipients();
    if recipients
        .iter()
        .any(|one| one.eq_ignore_ascii_case(account))
    {
        // Mail to oneself is one message, not two.
        labels.extend(["INBOX".to_owned(), "UNREAD".to_owned()]);
    }
    let copy = mailbox.new_message(Arc::clone(&mail), labels, thread, now, random);
    let answer = brief(&copy);
    mailbox.file_copy(copy, random);
    world.submit(account, &mail);
    Ok(answer)
}

/// 35 MiB for the whole encoded message, however it came.
fn check_size(raw: &Bytes) -> Result<(), Failure> {
    const MAXIMUM: usize = 36_700_160;
    if raw.len() > MAXIMUM {
        return Err(Failure::too_large());
    }
    Ok(())
}

fn check_recipients(parsed: &Parsed) -> Result<(), Failure> {
    for (name, addresses) in [("To", &parsed.to), ("Cc", &parsed.cc), ("Bcc", &parsed.bcc)] {
        let field = parsed.root.header(name).unwrap_or_default();
        // A group without members, as in "undisclosed-recipients:;", is nobody but right.
        let is_nobody = addresses.is_empty() && !field.is_empty() && !field.ends_with(';');
        if is_nobody || !addresses.iter().all(is_deliverable) {
            return Err(Failure::invalid_argument(format!("Invalid {name} header")));
        }
    }
    if parsed.recipients().is_empty() {
        return Err(Failure::invalid_argument("Recipient address required"));
    }
    Ok(())
}

fn is_deliverable(address: &Address) -> bool {
    let Some((local, domain)) = address.address.rsplit_once('@') else {
        return false;
    };
    !local.is_empty() && !domain.is_empty() && !address.address.contains(char::is_whitespace)
}

/// The message as Gmail keeps it: from the account itself, under a `Message-ID` of Gmail's own
/// (<https://github.com/FlowCrypt/flowcrypt-browser/issues/4273>), with the fields that every message
/// must have.
pub(crate) fn completed(world: &mut World, account: &str, raw: &Bytes) -> Vec<u8> {
    let mail = Mail::new(raw.clone());
    let mut message = raw.to_vec();
    let from = mail.parsed().from.first().map(|from| &from.address);
    let is_own = |from: &String| {
        from.eq_ignore_ascii_case(account)
            || world.gmail(account).is_some_and(|(mailbox, _)| {
                let mut aliases = mailbox.settings.aliases.iter();
                aliases.any(|alias| alias.is_accepted && alias.address.eq_ignore_ascii_case(from))
            })
    };
    if !from.is_some_and(is_own) {
        let name = world
            .account(account)
            .map(|account| account.display_name.clone())
            .unwrap_or_default();
        message = rewrite::set_field(&message, "From", &format!("{name} <{account}>"));
    }
    let id = format!("<CA{}@mail.gmail.com>", world.opaque(48));
    message = rewrite::set_field(&message, "Message-ID", &id);
    let date = world.clock.now().to_rfc2822();
    if !rewrite::has_field(&message, "Date") {
        message = rewrite::set_field(&message, "Date", &date);
    }
    if !rewrite::has_field(&message, "MIME-Version") {
        message = rewrite::set_field(&message, "MIME-Version", "1.0");
    }
    message
}

/// [`wanted_thread`] of a message that is not filed yet. `metadata` is the `Message` that came with it: of its fields
/// only `threadId` counts.
pub(crate) fn asked_thread(
    world: &mut World,
    account: &str,
    raw: &Bytes,
    metadata: &Map<String, Value>,
) -> Result<Option<u64>, Failure> {
    let (mailbox, _) = world.gmail(account).ok_or_else(Failure::not_found)?;
    wanted_thread(mailbox, metadata, &Mail::new(raw.clone()))
}

/// The thread that the message goes into: the one asked for, if the message really continues it.
/// Otherwise it begins one of its own.
/// <https://developers.google.com/workspace/gmail/api/guides/threads>
pub(crate) fn wanted_thread(
    mailbox: &GmailMailbox,
    metadata: &Map<String, Value>,
    mail: &Mail,
) -> Result<Option<u64>, Failure> {
    let Some(text) = metadata
        .get("threadId")
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let thread = read_id(text).map_err(|_| Failure::invalid_argument("Invalid thread_id value"))?;
    if mailbox.thread(thread).is_empty() {
        return Err(Failure::not_found());
    }
    Ok(mailbox.continues(mail, thread).then_some(thread))
}
