//! Which parts of a message are its text and which are attachments, and what an attached message is: the same however it is
//! read, through Gmail, through Outlook as far as that keeps it, or from its bytes.

use crate::support;
use std::sync::Arc;

use crate::support::{GMAIL, OUTLOOK};
use futures_util::TryStreamExt;
use postroom::credentials::StaticToken;
use postroom::emulator::Emulator;
use postroom::http::Connection;
use postroom::{
    AttachedMessage, AttachmentId, AttachmentKind, Detail, ErrorKind, Mailbox, Message, Outlook,
    PageRequest, Query,
};

/// Delivers a message and reads it back whole.
async fn through(emulator: &Emulator, address: &str, raw: &[u8]) -> (Mailbox, Message) {
    emulator.deliver(address, raw);
    let mailbox = support::mailbox(emulator, address);
    let newest = mailbox.messages(Query::inbox()).try_next().await;
    let message = mailbox.message(&newest.unwrap().unwrap().id).await.unwrap();
    (mailbox, message)
}

fn from_bytes(raw: &[u8]) -> Message {
    AttachedMessage::read(&AttachmentId::new("0"), raw.to_vec()).message
}

/// Parts of a multipart, written down by their head and body.
fn multipart(kind: &str, parts: &[String]) -> String {
    let boundary = format!("=_{}_{}", kind, parts.concat().len());
    let mut text = format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n");
    for part in parts {
        text += &format!("--{boundary}\r\n{part}\r\n");
    }
    text + &format!("--{boundary}--\r\n")
}

fn part(head: &str, body: &str) -> String {
    format!("Content-Type: {head}\r\n\r\n{body}")
}

fn whole(structure: &str) -> Vec<u8> {
    format!("From: sender@shop.example\r\nSubject: Bodies\r\nMIME-Version: 1.0\r\n{structure}")
        .into_bytes()
}

/// One structure, and what is to become of it: text, HTML, the names or types of attachments, and which are inline.
struct Case {
    structure: String,
    text: Option<&'static str>,
    html: Option<&'static str>,
    attachments: &'static [(&'static str, bool)],
}

fn cases() -> Vec<Case> {
    let plain = || part("text/plain", "Plain");
    let html = |body: &str| part("text/html", body);
    let image = |id: &str| {
        part(
            &format!(
                "image/png; name={id}.png\r\nContent-ID: <{id}@x>\r\nContent-Transfer-Encoding: base64"
            ),
            "iVBORw0KGgo=",
        )
    };
    vec![
        // A text that has a Content-ID is text all the same.
        Case {
            structure: part("text/html\r\nContent-ID: <body@x>", "<p>Marked</p>"),
            text: None,
            html: Some("<p>Marked</p>"),
            attachments: &[],
        },
        Case {
            structure: multipart(
                "mixed",
                &[
                    multipart(
                        "alternative",
                        &[
                            plain(),
                            multipart(
                                "related",
                                &[
                                    html("<img src=\"cid:logo%40x\">"),
                                    image("logo"),
                                    image("other"),
                                ],
                            ),
                        ],
                    ),
                    part(
                        "application/pdf; name=a.pdf\r\nContent-Disposition: inline; filename=a.pdf",
                        "%PDF",
                    ),
                ],
            ),
            text: Some("Plain"),
            html: Some("<img src=\"cid:logo%40x\">"),
            attachments: &[("logo.png", true), ("other.png", false), ("a.pdf", false)],
        },
        // What a list adds below is part of both forms.
        Case {
            structure: multipart(
                "mixed",
                &[
                    multipart("alternative", &[plain(), html("<p>Rich</p>")]),
                    part("text/plain", "-- \r\nList & footer"),
                ],
            ),
            text: Some("Plain\n-- \r\nList & footer"),
            html: Some("<p>Rich</p>\n<div>-- <br>\nList &amp; footer</div>"),
            attachments: &[],
        },
        // Several texts are one, and a file among them is none of them.
        Case {
            structure: multipart(
                "mixed",
                &[
                    plain(),
                    part("text/plain; name=notes.txt", "A file"),
                    part("text/plain\r\nContent-Disposition: attachment", "Another"),
                    part("text/plain", "Last"),
                ],
            ),
            text: Some("Plain\nLast"),
            html: None,
            attachments: &[("notes.txt", false), ("text/plain", false)],
        },
        // Other forms among alternatives are attachments: an invitation must not get lost.
        Case {
            structure: multipart(
                "alternative",
                &[
                    plain(),
                    html("<p>Rich</p>"),
                    part("text/calendar; method=REPLY", "BEGIN:VCALENDAR"),
                ],
            ),
            text: Some("Plain"),
            html: Some("<p>Rich</p>"),
            attachments: &[("text/calendar", false)],
        },
        Case {
            structure: multipart("related", &[html("<p>First</p>"), html("<p>Frame</p>")]),
            text: None,
            html: Some("<p>First</p>"),
            attachments: &[("text/html", false)],
        },
    ]
}

fn shown(message: &Message) -> Vec<(String, bool)> {
    let name = |attachment: &postroom::Attachment| {
        let name = attachment.name.clone();
        name.unwrap_or_else(|| attachment.media_type.clone())
    };
    let attachments = message.attachments.iter();
    attachments
        .map(|attachment| (name(attachment), attachment.inline))
        .collect()
}

#[tokio::test]
async fn text_and_attachments_are_told_apart_by_structure_alone() {
    let emulator = support::emulator().start().await.unwrap();
    for (number, case) in cases().into_iter().enumerate() {
        let raw = whole(&case.structure);
        let (_, gmail) = through(&emulator, GMAIL, &raw).await;
        let expected: Vec<(String, bool)> = case
            .attachments
            .iter()
            .map(|(name, inline)| ((*name).to_owned(), *inline))
            .collect();
        for message in [&gmail, &from_bytes(&raw)] {
            assert_eq!(message.body.text.as_deref(), case.text, "case {number}");
            assert_eq!(message.body.html.as_deref(), case.html, "case {number}");
            assert_eq!(shown(message), expected, "case {number}");
        }
        // Outlook has a structure of its own and keeps one text, but calls inline what the others do.
        let (_, outlook) = through(&emulator, OUTLOOK, &raw).await;
        for (name, inline) in shown(&outlook) {
            let known = expected.iter().find(|(known, _)| *known == name);
            assert!(
                known.is_none_or(|(_, known)| *known == inline),
                "case {number}: {name}"
            );
        }
    }
}

/// Longer than what Gmail sends along with a message.
#[tokio::test]
async fn long_texts_are_there_although_they_come_as_attachments() {
    let emulator = support::emulator().start().await.unwrap();
    let lines = "Grüße aus dem Anhang, Zeile um Zeile.\r\n".repeat(5_000);
    let structure = multipart(
        "alternative",
        &[
            part("text/plain; charset=utf-8", &lines),
            part("text/html; charset=utf-8", &format!("<pre>{lines}</pre>")),
        ],
    );
    let (_, message) = through(&emulator, GMAIL, &whole(&structure)).await;
    let text = message.body.text.unwrap();
    assert_eq!(text.trim_end(), lines.trim_end());
    assert!(message.body.html.unwrap().contains(lines.trim_end()));
    assert!(message.attachments.is_empty());
}

#[tokio::test]
async fn attached_messages_can_be_opened_down_to_their_own_attachments() {
    let emulator = support::emulator().start().await.unwrap();
    let innermost = whole(&multipart(
        "mixed",
        &[
            part("text/plain", "Innermost"),
            part(
                "application/zip; name=deep.zip\r\nContent-Transfer-Encoding: base64",
                "UEsDBA==",
            ),
        ],
    ));
    let innermost = String::from_utf8(innermost).unwrap();
    let middle = whole(&multipart(
        "mixed",
        &[
            part("text/plain", "Middle"),
            part("message/rfc822", &innermost),
        ],
    ));
    let middle = String::from_utf8(middle).unwrap();
    let raw = whole(&multipart(
        "mixed",
        &[
            part("text/plain", "Outermost"),
            part("message/rfc822", &middle),
        ],
    ));
    for address in [GMAIL, OUTLOOK] {
        let (mailbox, message) = through(&emulator, address, &raw).await;
        assert_eq!(message.attachments.len(), 1, "{address}");
        let attachment = &message.attachments[0];
        assert_eq!(attachment.kind, AttachmentKind::Message);
        assert_eq!(attachment.media_type, "message/rfc822");
        let attached = mailbox
            .attached_message(&message.id, &attachment.id)
            .await
            .unwrap();
        assert_eq!(attached.message.subject.as_deref(), Some("Bodies"));
        assert_eq!(attached.message.from[0].address(), "sender@shop.example");
        assert_eq!(attached.message.body.text.as_deref(), Some("Middle"));
        assert!(attached.message.folders.is_none() && attached.message.keywords.is_none());
        assert!(String::from_utf8_lossy(attached.raw()).contains("Innermost"));

        let inner = &attached.message.attachments[0];
        assert_eq!(inner.kind, AttachmentKind::Message);
        let inner = attached.attached_message(&inner.id).unwrap();
        assert_eq!(inner.message.body.text.as_deref(), Some("Innermost"));
        let file = &inner.message.attachments[0];
        assert_eq!(file.name.as_deref(), Some("deep.zip"));
        assert_eq!(inner.attachment(&file.id).unwrap().as_ref(), b"PK\x03\x04");
        assert!(inner.attached_message(&file.id).is_none());
    }
}

/// In MIME, a file that lies elsewhere is an external body (RFC 2046 §5.2.3).
#[tokio::test]
async fn a_link_to_a_file_elsewhere_is_told_and_has_no_bytes() {
    let emulator = support::emulator().start().await.unwrap();
    let raw = whole(&multipart(
        "mixed",
        &[
            part("text/plain", "See the link"),
            part(
                "message/external-body; access-type=URL; URL=\"https://files.example/plan\"; name=plan.docx",
                "Content-Type: application/octet-stream\r\n",
            ),
        ],
    ));
    let (mailbox, message) = through(&emulator, OUTLOOK, &raw).await;
    let link = &message.attachments[0];
    assert_eq!(link.kind, AttachmentKind::Link);
    assert_eq!(link.name.as_deref(), Some("plan.docx"));
    let refused = mailbox
        .attachment(&message.id, &link.id)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    let refused = mailbox
        .attached_message(&message.id, &link.id)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn outlook_makes_text_of_html_for_hosts_that_want_no_other() {
    let emulator = support::emulator().start().await.unwrap();
    for number in 0..3 {
        let html = part("text/html", &format!("<p>Number <b>{number}</b></p>"));
        emulator.deliver(OUTLOOK, &whole(&html));
    }
    let token = StaticToken::new(emulator.access_token(OUTLOOK));
    let connection = Connection::new(support::transport(&emulator), Arc::new(token));
    let base = emulator.microsoft().base_url.clone();
    // Said before or after the address, it holds.
    let outlook = Outlook::new(connection).unwrap().with_text_bodies();
    let mailbox = Mailbox::new(outlook.with_api_endpoint(base).unwrap());
    let pages = PageRequest::first().with_size(1);
    let listed: Vec<Message> = mailbox
        .messages_with(Query::inbox(), Detail::Full, pages)
        .try_collect()
        .await
        .unwrap();
    let ids: Vec<_> = listed.iter().map(|message| message.id.clone()).collect();
    let read = mailbox.messages_by_id(&ids, Detail::Full).await.unwrap();
    let thread = mailbox
        .thread(listed[0].thread.as_ref().unwrap())
        .await
        .unwrap();
    let read = read.into_iter().chain(thread.messages).map(Result::unwrap);
    for message in listed.iter().cloned().chain(read) {
        assert_eq!(message.body.html, None);
        assert!(message.body.text.unwrap().starts_with("Number "));
    }
}
