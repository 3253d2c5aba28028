use chrono::DateTime;
use futures_util::StreamExt;
use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::model::{Address, OutgoingAttachment};

/// What a program of others wrote: a picture within HTML, a file, a message, a header that nobody here knows, lines that
/// look like boundaries and are none.
const DRAFT: &[u8] = b"From: Reader <reader@gmail.example>\r\n\
To: support@desk.example,\r\n second@desk.example\r\n\
Subject: =?utf-8?Q?Entwurf_f=C3=BCr?= you\r\n\
X-Odd:  kept \r\n as it is\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed;\r\n boundary=\"outer\"\r\n\
\r\n\
A preamble.\r\n\
--outer\r\n\
Content-Type: multipart/related; boundary=outer-inner\r\n\
\r\n\
--outer-inner\r\n\
Content-Type: text/html; charset=iso-8859-1\r\n\
Content-Transfer-Encoding: 8bit\r\n\
\r\n\
<p>Gr\xfc\xdfe <img src=\"cid:logo@x\"></p>\r\n\
--outer-inn\r\n\
--outer-inner\r\n\
Content-Type: image/png\r\n\
Content-ID: <logo@x>\r\n\
X-Part: kept\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
iVBORw0KGgo=\r\n\
--outer-inner--\r\n\
\r\n\
--outer\r\n\
Content-Type: message/rfc822\r\n\
Content-Disposition: attachment; filename=\"inner.eml\"\r\n\
\r\n\
Subject: Inner\r\n\
Content-Type: multipart/mixed; boundary=deep\r\n\
\r\n\
--deep\r\n\
\r\n\
Inside.\r\n\
--deep--\r\n\
--outer\r\n\
Content-Type: text/csv; name=\"table.csv\"\r\n\
Content-Disposition: attachment\r\n\
\r\n\
a,b\r\n\
\r\n\
--outer--\r\n\
An epilogue.\r\n";

const INNER: &[u8] = b"Subject: Inner\r\nContent-Type: multipart/mixed; boundary=deep\r\n\r\n--deep\r\n\r\nInside.\r\n--deep--";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

async fn edited(message: &[u8], change: DraftEdit) -> Result<Vec<u8>> {
    let content = Content::from_bytes(message.to_vec());
    let edited = edit(&content, &change, now()).await?;
    let bytes = edited.to_bytes(u64::MAX).await.unwrap().to_vec();
    // It can be read again from anywhere, as an upload that goes on does.
    let middle = edited.len() / 2;
    let rest = edited.range(middle, edited.len());
    let rest = rest.to_bytes(u64::MAX).await.unwrap();
    assert_eq!(rest, bytes[middle as usize..]);
    Ok(bytes)
}

fn count(message: &[u8], text: &[u8]) -> usize {
    message.windows(text.len()).filter(|at| *at == text).count()
}

#[tokio::test]
async fn an_edit_of_the_header_leaves_everything_else_byte_for_byte() {
    let to = Address::new("billing@shop.example")
        .unwrap()
        .with_name("Größe");
    let edit = DraftEdit::new().subject("Ändern").to([to]).cc([]).bcc([]);
    let bytes = edited(DRAFT, edit).await.unwrap();
    let body = |message: &[u8]| {
        let at = message
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        message[at..].to_vec()
    };
    assert_eq!(body(&bytes), body(DRAFT));
    assert_eq!(count(&bytes, b"X-Odd:  kept \r\n as it is\r\n"), 1);
    assert_eq!(count(&bytes, b"desk.example"), 0);
    let message = MessageParser::new().parse(&bytes).unwrap();
    assert_eq!(message.subject(), Some("Ändern"));
    let to = message.to().unwrap().first().unwrap();
    assert_eq!(
        (to.name(), to.address()),
        (Some("Größe"), Some("billing@shop.example"))
    );
    assert!(message.cc().is_none() && message.bcc().is_none());
    assert_eq!(
        message.from().unwrap().first().unwrap().address(),
        Some("reader@gmail.example")
    );
}

#[tokio::test]
async fn new_text_keeps_files_and_the_pictures_that_it_shows() {
    let edit = DraftEdit::new()
        .text("Plain — now")
        .html("<p>New <img src='cid:logo@x'></p>");
    let bytes = edited(DRAFT, edit).await.unwrap();
    let message = MessageParser::new().parse(&bytes).unwrap();
    assert_eq!(message.body_text(0).unwrap().trim_end(), "Plain — now");
    assert!(message.body_html(0).unwrap().contains("New <img"));
    assert_eq!(count(&bytes, b"Gr\xfc\xdfe"), 0);
    let related = message.parts.iter().find(|part| {
        part.content_type()
            .is_some_and(|kind| kind.subtype() == Some("related"))
    });
    assert_eq!(
        related.unwrap().sub_parts().unwrap().len(),
        2,
        "the text and its picture"
    );
    assert_eq!(count(&bytes, b"Content-ID: <logo@x>\r\n"), 1);
    assert_eq!(count(&bytes, b"\r\n\r\niVBORw0KGgo=\r\n--"), 1);
    assert_eq!(count(&bytes, INNER), 1);
    assert_eq!(
        count(&bytes, b"\r\n\r\na,b\r\n\r\n--"),
        1,
        "its last line break is part of it"
    );

    // A picture that the new text does not show is kept as a file.
    let bytes = edited(DRAFT, DraftEdit::new().text("Only text"))
        .await
        .unwrap();
    let message = MessageParser::new().parse(&bytes).unwrap();
    assert_eq!(message.body_text(0).unwrap().trim_end(), "Only text");
    assert_eq!(count(&bytes, b"<p>"), 0);
    assert_eq!(message.attachment_count(), 3);
}

#[tokio::test]
async fn files_come_and_go_and_nothing_else_moves() {
    let attach = OutgoingAttachment::new("neu ü.bin", "application/octet-stream", vec![7; 5_000]);
    let edit = DraftEdit::new().attach(attach).detach("1".into());
    let bytes = edited(DRAFT, edit).await.unwrap();
    let message = MessageParser::new().parse(&bytes).unwrap();
    assert_eq!(count(&bytes, INNER), 0);
    assert_eq!(
        count(
            &bytes,
            b"<p>Gr\xfc\xdfe <img src=\"cid:logo@x\"></p>\r\n--outer-inn\r\n"
        ),
        1
    );
    assert_eq!(
        count(&bytes, b"Content-Type: text/csv; name=\"table.csv\""),
        1
    );
    let added = message
        .attachments()
        .find(|part| part.attachment_name() == Some("neu ü.bin"));
    assert_eq!(added.unwrap().contents(), vec![7; 5_000]);
    assert_eq!(message.attachment_count(), 3);
    assert_eq!(message.subject(), Some("Entwurf für you"));
    assert_eq!(count(&bytes, b"Subject:"), 1);

    // Within a multipart, and until nothing is left.
    let bytes = edited(DRAFT, DraftEdit::new().detach("0.1".into()))
        .await
        .unwrap();
    assert_eq!(count(&bytes, b"image/png"), 0);
    assert_eq!(count(&bytes, b"Gr\xfc\xdfe"), 1);
    let lone = b"Subject: One file\r\nContent-Type: application/pdf\r\n\r\n%PDF";
    let bytes = edited(lone, DraftEdit::new().detach("0".into()))
        .await
        .unwrap();
    let message = MessageParser::new().parse(&bytes).unwrap();
    assert_eq!(
        (message.subject(), message.attachment_count()),
        (Some("One file"), 0)
    );

    for text in ["0.0", "7", "1.0"] {
        let error = edited(DRAFT, DraftEdit::new().detach(text.into()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{text} is no attachment");
    }
}

#[tokio::test]
async fn a_message_without_parts_gets_a_file_beside_its_text() {
    let plain = b"Subject: Plain\nContent-Type: text/plain; charset=utf-8\n\nGr\xc3\xbc\xc3\x9fe\n";
    let attach = OutgoingAttachment::new("a.bin", "application/octet-stream", b"abc".to_vec());
    let bytes = edited(plain, DraftEdit::new().attach(attach))
        .await
        .unwrap();
    let message = MessageParser::new().parse(&bytes).unwrap();
    assert_eq!(message.body_text(0).unwrap().trim_end(), "Grüße");
    assert_eq!(message.attachments().next().unwrap().contents(), b"abc");
}

#[tokio::test]
async fn a_mark_replaces_another_and_recipients_are_seen_wherever_they_stand() {
    for (message, addressed) in [
        (
            &b"To: support@desk.example\r\nx-postroom-key: old\r\n\r\nText"[..],
            true,
        ),
        (b"Bcc: support@desk.example\r\n\r\nText", true),
        (
            b"Subject: To: nobody@desk.example\r\n\r\nTo: nobody@desk.example",
            false,
        ),
    ] {
        let content = Content::from_bytes(message.to_vec());
        let (marked, is_addressed) = marked(&content, "row-8").await.unwrap();
        let bytes = marked.to_bytes(u64::MAX).await.unwrap();
        assert_eq!(is_addressed, addressed);
        assert_eq!(count(&bytes, b"X-Postroom-Key: row-8\r\n"), 1);
        assert_eq!(count(&bytes, b"old"), 0);
    }
}

/// However the bytes come, and whatever they are: the parts lie where they lie.
#[tokio::test]
async fn an_outline_does_not_depend_on_where_the_chunks_end() {
    let places = |entity: &Entity| {
        fn walk(entity: &Entity, found: &mut Vec<std::ops::Range<u64>>) {
            found.push(entity.body.clone());
            entity.children.iter().for_each(|child| walk(child, found));
        }
        let mut found = Vec::new();
        walk(entity, &mut found);
        found
    };
    let unended = &DRAFT[..DRAFT.len() - 200];
    for message in [
        DRAFT,
        unended,
        b"",
        b"\r\n",
        b"--outer\r\n",
        b"Subject: no body",
    ] {
        let whole = outline(&Content::from_bytes(message.to_vec()))
            .await
            .unwrap();
        for size in [1, 2, 3, 7] {
            let chunks: Vec<_> = message.chunks(size).map(<[u8]>::to_vec).collect();
            let content = Content::new(message.len() as u64, move |_| {
                let chunks = chunks.clone().into_iter().map(|chunk| Ok(chunk.into()));
                async move { Ok(futures_util::stream::iter(chunks).boxed()) }
            });
            let pieces = outline(&content).await.unwrap();
            assert_eq!(places(&pieces), places(&whole), "{size}");
        }
        for range in places(&whole) {
            assert!(range.start <= range.end && range.end <= message.len() as u64);
        }
    }
    let whole = outline(&Content::from_bytes(DRAFT.to_vec())).await.unwrap();
    let inner = &whole.children[1].body;
    assert_eq!(&DRAFT[inner.start as usize..inner.end as usize], INNER);
    assert!(
        whole.children[1].children.is_empty(),
        "a message's parts are its own"
    );
}
