//! The content of a message that is being written, as Graph sees it: properties and attachments, read from
//! MIME and made into MIME again. What a request says about a message is read in `changes`.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::StatusCode;
use mail_builder::MessageBuilder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::{Address as BuilderAddress, EmailAddress};
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};

use super::super::message::{Address, Mail, Part};
use super::attachments;
use super::error::GraphError;
use super::mailbox::{OutlookMailbox, OutlookMessage, new_id};

/// An attachment on its way into a message.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Empty until it has one.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) content: Bytes,
    pub(crate) is_inline: bool,
    pub(crate) content_id: Option<String>,
}

/// What a message says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) subject: String,
    pub(crate) is_html: bool,
    pub(crate) body: String,
    pub(crate) from: Option<Address>,
    pub(crate) sender: Option<Address>,
    pub(crate) reply_to: Vec<Address>,
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
    /// Without angle brackets.
    pub(crate) message_id: Option<String>,
    pub(crate) in_reply_to: Option<String>,
    pub(crate) references: Vec<String>,
    pub(crate) importance: Option<String>,
    pub(crate) wants_receipt: bool,
    pub(crate) list_unsubscribe: Option<String>,
    /// Fields of the sender's own, whose names begin with `x-`.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) attachments: Vec<Piece>,
    /// When it says that it was sent, if it says so already.
    pub(crate) sent: Option<DateTime<Utc>>,
}

impl Content {
    /// The content of a message that exists.
    pub(crate) fn read(message: &OutlookMessage) -> Self {
        let mail = message.mail.parsed();
        let root = &mail.root;
        let text = mail.text.clone().unwrap_or_default();
        let attachments = attachments::parts(&message.mail)
            .into_iter()
            .enumerate()
            .map(|(position, part)| Piece {
                id: message
                    .attachment_ids
                    .get(position)
                    .cloned()
                    .unwrap_or_default(),
                name: attachments::name(part, position),
                content_type: with_charset(part),
                content: part.body.clone(),
                is_inline: part.is_inline(),
                content_id: part.content_id.clone(),
            })
            .collect();
        let own = root.headers.iter().filter(|(name, _)| {
            name.get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case("x-"))
        });
        Self {
            subject: mail.subject.clone().unwrap_or_default(),
            is_html: mail.html.is_some(),
            body: mail.html.clone().unwrap_or(text),
            from: mail.from.first().cloned(),
            sender: mail.sender.first().cloned(),
            reply_to: mail.reply_to.clone(),
            to: mail.to.clone(),
            cc: mail.cc.clone(),
            bcc: mail.bcc.clone(),
            message_id: mail.message_id.clone(),
            in_reply_to: root.header("In-Reply-To").map(without_brackets),
            references: mail.references.clone(),
            importance: root.header("Importance").map(str::to_owned),
            wants_receipt: root.header("Disposition-Notification-To").is_some(),
            list_unsubscribe: root.header("List-Unsubscribe").map(str::to_owned),
            headers: own.cloned().collect(),
            attachments,
            sent: mail.date,
        }
    }

    /// The message in MIME, with the text beside HTML and what HTML shows next to it.
    pub(crate) fn into_mail(mut self, now: DateTime<Utc>) -> Result<Arc<Mail>, GraphError> {
        self.sort_attachments();
        let body = self.body_part();
        let mut builder = MessageBuilder::new()
            .date(self.sent.unwrap_or(now).timestamp())
            .subject(one_line(&self.subject))
            .body(body);
        if let Some(id) = &self.message_id {
            builder = builder.message_id(one_line(id));
        }
        if let Some(from) = &self.from {
            builder = builder.from(address(from));
        }
        if let Some(sender) = &self.sender {
            builder = builder.sender(address(sender));
        }
        for (name, people) in [
            ("Reply-To", &self.reply_to),
            ("To", &self.to),
            ("Cc", &self.cc),
            ("Bcc", &self.bcc),
        ] {
            if !people.is_empty() {
                let list = BuilderAddress::new_list(people.iter().map(address).collect());
                builder = builder.header(name, list);
            }
        }
        if let Some(id) = &self.in_reply_to {
            builder = builder.in_reply_to(one_line(id));
        }
        if !self.references.is_empty() {
            let ids: Vec<String> = self.references.iter().map(|id| one_line(id)).collect();
            builder = builder.references(ids);
        }
        if let Some(importance) = self.importance.as_ref().filter(|word| *word != "normal") {
            builder = builder.header("Importance", Raw::new(one_line(importance)));
        }
        if self.wants_receipt {
            // Who the author is may be settled only when it is sent.
            let nobody = || HeaderType::from(Raw::new("<>"));
            let author = self
                .from
                .as_ref()
                .map(|from| HeaderType::from(address(from)));
            builder = builder.header("Disposition-Notification-To", author.unwrap_or_else(nobody));
        }
        if let Some(places) = &self.list_unsubscribe {
            builder = builder.header("List-Unsubscribe", Raw::new(one_line(places)));
        }
        for (name, value) in &self.headers {
            builder = builder.header(one_line(name), Text::new(one_line(value)));
        }
        let raw = builder.write_to_vec().map_err(|_| {
            GraphError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ErrorInternalServerError",
                "The message could not be written.",
            )
        })?;
        Ok(Arc::new(Mail::new(raw)))
    }

    /// What is shown inside the text stands before what is listed beside it.
    pub(crate) fn sort_attachments(&mut self) {
        self.attachments.sort_by_key(|piece| !piece.is_inline);
    }

    fn body_part(&self) -> MimePart<'static> {
        let mut inline = Vec::new();
        let mut beside = Vec::new();
        for piece in &self.attachments {
            if piece.is_inline {
                inline.push(part(piece));
            } else {
                beside.push(part(piece));
            }
        }
        let text = if self.is_html {
            let plain = mail_parser::decoders::html::html_to_text(&self.body);
            let alternatives = vec![
                MimePart::new("text/plain", plain),
                MimePart::new("text/html", self.body.clone()),
            ];
            MimePart::new("multipart/alternative", alternatives)
        } else {
            MimePart::new("text/plain", self.body.clone())
        };
        let shown = if inline.is_empty() {
            text
        } else {
            inline.insert(0, text);
            MimePart::new("multipart/related", inline)
        };
        if beside.is_empty() {
            shown
        } else {
            beside.insert(0, shown);
            MimePart::new("multipart/mixed", beside)
        }
    }
}

/// The part's type, with the charset without which its bytes cannot be read.
fn with_charset(part: &Part) -> String {
    let is_name = |name: &&String| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    match part.charset.as_ref().filter(is_name) {
        Some(charset) => format!("{}; charset=\"{charset}\"", part.content_type),
        None => part.content_type.clone(),
    }
}

/// Gives a message this content, and an id to each attachment that has none yet.
pub(crate) fn put(
    mailbox: &mut OutlookMailbox,
    random: &mut fastrand::Rng,
    key: u64,
    mut content: Content,
    now: DateTime<Utc>,
) -> Result<(), GraphError> {
    content.sort_attachments();
    for piece in &mut content.attachments {
        if piece.id.is_empty() {
            piece.id = new_id("AAMkAttach", random);
        }
    }
    let ids = content
        .attachments
        .iter()
        .map(|piece| piece.id.clone())
        .collect();
    let mail = content.into_mail(now)?;
    if let Some(message) = mailbox.messages.get_mut(&key) {
        message.attachment_ids = ids;
    }
    mailbox.replace(key, mail, random);
    mailbox.touch(key, now);
    Ok(())
}

fn part(piece: &Piece) -> MimePart<'static> {
    let disposition = if piece.is_inline {
        "inline"
    } else {
        "attachment"
    };
    let disposition = ContentType::new(disposition).attribute("filename", one_line(&piece.name));
    let content = BodyPart::Binary(piece.content.to_vec().into());
    let mut part = MimePart::new(one_line(&piece.content_type), content)
        .header("Content-Disposition", disposition);
    if let Some(id) = &piece.content_id {
        part = part.cid(without_brackets(&one_line(id)));
    }
    // An attached message may not be encoded again. <https://www.rfc-editor.org/rfc/rfc2046#section-5.2.1>
    if piece.content_type == "message/rfc822" {
        part = part.transfer_encoding("8bit");
    }
    part
}

fn address(person: &Address) -> BuilderAddress<'static> {
    BuilderAddress::Address(EmailAddress {
        name: person.name.as_deref().map(|name| one_line(name).into()),
        email: one_line(&person.address).into(),
    })
}

/// Without what would begin another header field.
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

fn without_brackets(id: &str) -> String {
    id.trim()
        .trim_start_matches('<')
        .trim_end_matches('>')
        .to_owned()
}
