//! Writes an [`Outgoing`] as RFC 5322: which lines and parts it has. How lines are encoded is `fields`', how parts are is
//! `body`'s. Everything is lines of ASCII of at most 998 octets, mostly 76, so that no service on the way has to change any of it.

use chrono::{DateTime, Utc};

use super::body::{Part, Writer};
use super::fields::{self, bare_id, invalid};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Address, Content, Importance, Outgoing, OutgoingAttachment};

/// Carries a [`random_word`], by which a sent copy can be found again where the service rewrites `Message-ID`, as Gmail does.
/// It is never the host's key: everybody who receives the message sees it.
pub(crate) const KEY_HEADER: &str = "X-Postroom-Key";

/// The whole message, with CRLF line ends and `Bcc`. `from` is the mailbox's own address, used where the message names
/// none; without both the service fills it in. `mark` is for services where the copy is found by it.
pub(crate) fn compose(
    outgoing: &Outgoing,
    from: Option<&Address>,
    mark: Option<&str>,
    date: DateTime<Utc>,
) -> Result<Content> {
    if outgoing.recipients().next().is_none() {
        return Err(invalid("a message needs at least one recipient"));
    }
    write(outgoing, from, mark, date)
}

/// The same for a message that is not sent yet: it may lack recipients, and belongs to no send.
pub(crate) fn compose_draft(outgoing: &Outgoing, date: DateTime<Utc>) -> Result<Content> {
    write(outgoing, None, None, date)
}

fn write(
    outgoing: &Outgoing,
    from: Option<&Address>,
    mark: Option<&str>,
    date: DateTime<Utc>,
) -> Result<Content> {
    let word = random_word()?;
    let mut head = String::new();
    let from = outgoing.from.as_ref().or(from);
    fields::addresses(&mut head, "From", from.map_or(&[], std::slice::from_ref))?;
    for (name, list) in [
        ("To", &outgoing.to),
        ("Cc", &outgoing.cc),
        ("Bcc", &outgoing.bcc),
        ("Reply-To", &outgoing.reply_to),
    ] {
        fields::addresses(&mut head, name, list)?;
    }
    fields::unstructured(&mut head, "Subject", &outgoing.subject);
    head.push_str(&format!("Date: {}\r\n", date.to_rfc2822()));
    head.push_str(&format!("Message-ID: <{word}@postroom.invalid>\r\n"));
    fields::ids(&mut head, "In-Reply-To", outgoing.in_reply_to.as_deref())?;
    let references = outgoing.references.iter().map(String::as_str);
    fields::ids(&mut head, "References", references)?;
    // The first is what RFC 2156 has and Exchange reads, the second what others do.
    head.push_str(match outgoing.importance {
        Importance::Low => "Importance: Low\r\nX-Priority: 5\r\n",
        Importance::Normal => "",
        Importance::High => "Importance: High\r\nX-Priority: 1\r\n",
    });
    let receipt = outgoing.read_receipt_to.as_slice();
    fields::addresses(&mut head, "Disposition-Notification-To", receipt)?;
    if let Some(leave) = &outgoing.list_unsubscribe {
        let addresses: Vec<_> = leave.addresses().map(|at| format!("<{at}>")).collect();
        let addresses = addresses.join(",\r\n ");
        head.push_str(&format!("List-Unsubscribe: {addresses}\r\n"));
        if leave.is_one_click() {
            head.push_str("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
        }
    }
    for header in &outgoing.headers {
        fields::unstructured(&mut head, header.name(), header.value());
    }
    if let Some(mark) = mark {
        head.push_str(&format!("{KEY_HEADER}: {mark}\r\n"));
    }
    head.push_str("MIME-Version: 1.0\r\n");
    let mut writer = Writer::new(head, word);
    writer.part(&body(outgoing)?);
    Ok(writer.finish())
}

/// The parts, nested as RFC 2046 and RFC 2387 want them: mixed(alternative(text, related(html, inline…), calendar), files…).
fn body(outgoing: &Outgoing) -> Result<Part<'_>> {
    let mut inline = Vec::new();
    let mut files = Vec::new();
    for attachment in &outgoing.attachments {
        let shown = attachment.content_id.is_some() && outgoing.html.is_some();
        let part = file(attachment, shown)?;
        if shown { &mut inline } else { &mut files }.push(part);
    }
    let plain = |media_type, text| Part::Text {
        media_type,
        parameters: Vec::new(),
        text,
    };
    let mut forms = Vec::new();
    if let Some(text) = &outgoing.text {
        forms.push(plain("text/plain", text));
    }
    if let Some(html) = &outgoing.html {
        let html = plain("text/html", html);
        forms.push(if inline.is_empty() {
            html
        } else {
            inline.insert(0, html);
            several("related", inline)
        });
    }
    if let Some(invitation) = &outgoing.invitation {
        forms.push(Part::Text {
            media_type: "text/calendar",
            parameters: vec![("method", invitation.method())],
            text: invitation.text(),
        });
    }
    let main = match forms.len() {
        0 => plain("text/plain", ""),
        1 => forms.remove(0),
        _ => several("alternative", forms),
    };
    Ok(if files.is_empty() {
        main
    } else {
        files.insert(0, main);
        several("mixed", files)
    })
}

fn several<'a>(subtype: &'static str, parts: Vec<Part<'a>>) -> Part<'a> {
    Part::Several { subtype, parts }
}

fn file(attachment: &OutgoingAttachment, shown: bool) -> Result<Part<'_>> {
    let content = &attachment.content;
    let (media_type, as_it_is) = media_type(&attachment.media_type, content)?;
    let disposition = if shown { "inline" } else { "attachment" };
    let mut head = format!("Content-Type: {media_type}\r\nContent-Disposition: {disposition}");
    fields::parameter(&mut head, "filename", &attachment.name);
    head.push_str("\r\n");
    if let Some(id) = &attachment.content_id {
        head.push_str(&format!("Content-ID: <{}>\r\n", bare_id(id)?));
    }
    Ok(if as_it_is {
        Part::Message { head, content }
    } else {
        Part::File { head, content }
    })
}

/// A media type of two tokens, and whether the content stands there as it is. Base64 is not allowed for messages and
/// multiparts (RFC 2046 §5.1, §5.2.1), and where it is (`message/global`, RFC 6532 §3.7), parsers do not undo it: what needs it
/// travels as a plain file.
fn media_type<'a>(given: &'a str, content: &Content) -> Result<(&'a str, bool)> {
    if !is_media_type(given) {
        return Err(invalid(
            "an attachment's media type must be two words with a slash between them",
        ));
    }
    let is = |name: &str| given.eq_ignore_ascii_case(name);
    let lower = given.to_ascii_lowercase();
    let begins = |kind: &str| lower.starts_with(kind);
    Ok(if is("message/rfc822") && content.is_plain_lines() {
        ("message/rfc822", true)
    } else if ["message/", "multipart/"].into_iter().any(begins) {
        ("application/octet-stream", false)
    } else {
        (given, false)
    })
}

/// Whether it is two tokens of at most 127 characters each, without parameters (RFC 6838 §4.2).
pub(crate) fn is_media_type(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    let token = |text: &str| !text.is_empty() && text.len() <= 127 && text.bytes().all(plain);
    text.split_once('/')
        .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// A word that occurs in no message: 128 random bits.
pub(crate) fn random_word() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Content, "the system gives no random numbers").with_source(error)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
