//! Writes an [`Outgoing`] as RFC 5322. mail-builder writes everything but the attachments, which stay streams: where one
//! belongs it leaves a random word, which is then replaced by the attachment's base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId as BuilderMessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};

use super::base64::base64_lines;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Address, Content, Outgoing, OutgoingAttachment, SendKey};

/// Carries the host's key for a send, so that its copy can be found again. Gmail rewrites `Message-ID`, and Graph accepts
/// custom headers only with this prefix.
pub(crate) const KEY_HEADER: &str = "X-Postroom-Key";

/// The whole message, with CRLF line ends and `Bcc`. `from` is the mailbox's own address, used where the message names
/// none; without both the service fills it in.
pub(crate) fn compose(
    outgoing: &Outgoing,
    from: Option<&Address>,
    key: &SendKey,
    date: DateTime<Utc>,
) -> Result<Content> {
    validate(outgoing)?;
    let mark = random_word()?;
    let mut skeleton = String::new();
    if let Some(from) = outgoing.from.as_ref().or(from) {
        from.validate()
            .map_err(|error| invalid("the author's address cannot be used").with_source(error))?;
        write_addresses(&mut skeleton, "From", std::slice::from_ref(from));
    }
    for (name, list) in [
        ("To", &outgoing.to),
        ("Cc", &outgoing.cc),
        ("Bcc", &outgoing.bcc),
        ("Reply-To", &outgoing.reply_to),
    ] {
        write_addresses(&mut skeleton, name, list);
    }
    let mut builder = MessageBuilder::new()
        .subject(one_line(&outgoing.subject))
        .date(date.timestamp())
        .message_id(format!("{mark}@postroom.invalid"))
        .header(KEY_HEADER, Raw::new(key_token(key)));
    if let Some(id) = &outgoing.in_reply_to {
        builder = builder.in_reply_to(bare_id(id)?);
    }
    if !outgoing.references.is_empty() {
        let ids = outgoing
            .references
            .iter()
            .map(|id| bare_id(id))
            .collect::<Result<Vec<_>>>()?;
        builder = builder.references(BuilderMessageId::new_list(ids.into_iter()));
    }
    let mut skeleton = skeleton.into_bytes();
    builder
        .body(body(outgoing, &mark)?)
        .write_to(&mut skeleton)
        .map_err(|error| invalid("the message could not be written").with_source(error))?;
    fill(skeleton, outgoing, &mark)
}

/// How a key stands in its header: as it is where that is plain, else percent-encoded, so that no two keys look alike.
pub(crate) fn key_token(key: &SendKey) -> String {
    let mut token = String::new();
    for byte in key.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) {
            token.push(char::from(byte));
        } else {
            token.push_str(&format!("%{byte:02X}"));
        }
    }
    token
}

fn validate(outgoing: &Outgoing) -> Result<()> {
    if outgoing.recipients().next().is_none() {
        return Err(invalid("a message needs at least one recipient"));
    }
    for recipient in outgoing.recipients().chain(&outgoing.reply_to) {
        recipient
            .validate()
            .map_err(|error| invalid("a recipient's address cannot be used").with_source(error))?;
    }
    Ok(())
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// The parts, nested as RFC 2046 and RFC 2387 want them: mixed(alternative(text, related(html, inline…)), files…).
fn body<'a>(outgoing: &'a Outgoing, mark: &str) -> Result<MimePart<'a>> {
    let mut inline = Vec::new();
    let mut files = Vec::new();
    for (index, attachment) in outgoing.attachments.iter().enumerate() {
        let part = part(attachment, &placeholder(mark, index))?;
        let shown = attachment.content_id.is_some() && outgoing.html.is_some();
        if shown { &mut inline } else { &mut files }.push(part);
    }
    let text = outgoing
        .text
        .as_ref()
        .map(|text| MimePart::new("text/plain", text));
    let mut html = outgoing
        .html
        .as_ref()
        .map(|html| MimePart::new("text/html", html));
    if !inline.is_empty() {
        html = html.map(|html| multipart("multipart/related", std::iter::once(html).chain(inline)));
    }
    let main = match (text, html) {
        (Some(text), Some(html)) => multipart("multipart/alternative", [text, html]),
        (Some(part), None) | (None, Some(part)) => part,
        (None, None) => MimePart::new("text/plain", ""),
    };
    Ok(if files.is_empty() {
        main
    } else {
        multipart("multipart/mixed", std::iter::once(main).chain(files))
    })
}

fn multipart<'a>(
    media_type: &'static str,
    parts: impl IntoIterator<Item = MimePart<'a>>,
) -> MimePart<'a> {
    MimePart::new(
        ContentType::new(media_type),
        parts.into_iter().collect::<Vec<_>>(),
    )
}

fn part<'a>(attachment: &'a OutgoingAttachment, placeholder: &str) -> Result<MimePart<'a>> {
    let media_type = media_type(&attachment.media_type)?;
    let disposition = if attachment.content_id.is_some() {
        "inline"
    } else {
        "attachment"
    };
    // Raw, because the attachment's bytes are put in place of these, encoded as the header says.
    let part = MimePart {
        headers: vec![("Content-Type".into(), Raw::new(media_type).into())],
        contents: BodyPart::Text(placeholder.to_owned().into()),
    }
    .header(
        "Content-Disposition",
        Raw::new(format!("{disposition};{}", file_name(&attachment.name))),
    )
    .transfer_encoding("base64");
    Ok(match &attachment.content_id {
        Some(id) => part.cid(bare_id(id)?),
        None => part,
    })
}

/// The name as it is where that is plain, else after RFC 2231 §4. Never both: readers differ in which one they believe.
fn file_name(name: &str) -> String {
    let name = one_line(name);
    if name
        .bytes()
        .all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\')
    {
        return format!(" filename=\"{name}\"");
    }
    let mut parameter = String::from(" filename*=utf-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            parameter.push(char::from(byte));
        } else {
            parameter.push_str(&format!("%{byte:02X}"));
        }
    }
    parameter
}

/// A media type of two tokens. Base64 is not allowed for messages and multiparts (RFC 2046 §5.1, §5.2.1), so those travel
/// as plain files.
fn media_type(given: &str) -> Result<String> {
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match given.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => {
            let composite =
                kind.eq_ignore_ascii_case("message") || kind.eq_ignore_ascii_case("multipart");
            Ok(if composite {
                "application/octet-stream".to_owned()
            } else {
                given.to_owned()
            })
        }
        _ => Err(invalid(
            "an attachment's media type must be two words with a slash between them",
        )),
    }
}

/// A header of addresses, one a line. mail-builder puts encoded words into quotes, where RFC 2047 §5 forbids them and some
/// readers show them as they are.
fn write_addresses(head: &mut String, name: &str, list: &[Address]) {
    let lines: Vec<String> = list.iter().map(mailbox).collect();
    if !lines.is_empty() {
        head.push_str(&format!("{name}: {}\r\n", lines.join(",\r\n ")));
    }
}

fn mailbox(address: &Address) -> String {
    let mailbox = address.address();
    // Domains in other scripts have a form in plain letters; the part before the @ has none.
    let mailbox = match mailbox.rsplit_once('@') {
        Some((local, domain)) if !domain.is_ascii() => match url::Host::parse(domain) {
            Ok(domain) => format!("{local}@{domain}"),
            Err(_) => mailbox.to_owned(),
        },
        _ => mailbox.to_owned(),
    };
    match address.name() {
        None => mailbox,
        Some(name) if name.is_ascii() && name.len() <= 60 => {
            let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{escaped}\" <{mailbox}>")
        }
        Some(name) => format!("{}\r\n <{mailbox}>", encoded_words(name)),
    }
}

/// A text as RFC 2047 words, each within its 75 characters and of whole characters.
fn encoded_words(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for character in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + character.len_utf8() <= 45 => word.push(character),
            _ => words.push(character.to_string()),
        }
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word)))
        .collect();
    words.join("\r\n ")
}

/// A message or content id without its brackets, safe to stand in a header.
fn bare_id(id: &str) -> Result<&str> {
    let bare = id.trim().trim_start_matches('<').trim_end_matches('>');
    let safe = |byte: u8| byte.is_ascii_graphic() && byte != b'<' && byte != b'>';
    if bare.is_empty() || bare.len() > 900 || !bare.bytes().all(safe) {
        return Err(invalid(
            "a message or content id may hold printable ASCII only",
        ));
    }
    Ok(bare)
}

/// Line breaks and other control characters become spaces: a header cannot be broken out of.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

fn random_word() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Content, "the system gives no random numbers").with_source(error)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn placeholder(mark: &str, index: usize) -> String {
    format!("{mark}-{index}-")
}

/// Puts the attachments in place of their words.
fn fill(skeleton: Vec<u8>, outgoing: &Outgoing, mark: &str) -> Result<Content> {
    let skeleton = Bytes::from(skeleton);
    let mut places = Vec::new();
    for (index, attachment) in outgoing.attachments.iter().enumerate() {
        let word = placeholder(mark, index);
        let start = find(&skeleton, word.as_bytes())
            .ok_or_else(|| invalid("the message could not be written"))?;
        places.push((start, start + word.len(), attachment));
    }
    places.sort_by_key(|(start, _, _)| *start);
    let mut parts = Vec::new();
    let mut done = 0;
    for (start, end, attachment) in places {
        parts.push(Content::from_bytes(skeleton.slice(done..start)));
        parts.push(base64_lines(&attachment.content));
        done = end;
    }
    parts.push(Content::from_bytes(skeleton.slice(done..)));
    Ok(Content::concatenate(parts))
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}
