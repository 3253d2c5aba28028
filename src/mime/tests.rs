use chrono::DateTime;
use futures_util::TryStreamExt;
use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::model::{Address, Content, Header, Message, MessageId, Outgoing, OutgoingAttachment};

fn outgoing() -> Outgoing {
    let picture: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    Outgoing::new()
        .to(Address::new("support@desk.example")
            .unwrap()
            .with_name("Günther, \"Support\""))
        .cc(Address::new("desk@desk.example")
            .unwrap()
            .with_name("Long ".repeat(40).trim()))
        .bcc(Address::new("archive@bücher.example").unwrap())
        .subject("Grüße\r\nBcc: everyone@desk.example")
        .text("First line\n.\nFrom here on — long ".repeat(40))
        .html("<p>Hello <img src=\"cid:logo\"></p>")
        .attach(OutgoingAttachment::new("logo.png", "image/png", picture).inline("logo"))
        .attach(OutgoingAttachment::new(
            "Übersicht \"2026\".csv",
            "text/csv",
            b"a,b\r\n1,2".to_vec(),
        ))
        .attach(OutgoingAttachment::new(
            "empty.bin",
            "application/octet-stream",
            Vec::new(),
        ))
}

async fn rendered(outgoing: &Outgoing) -> (Content, Vec<u8>) {
    let date = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
    let content = compose(
        outgoing,
        Some(&Address::new("reader@gmail.example").unwrap()),
        Some("row-7"),
        date,
    )
    .unwrap();
    let bytes = content.to_bytes(u64::MAX).await.unwrap().to_vec();
    (content, bytes)
}

#[tokio::test]
async fn what_is_written_reads_back_as_what_was_asked_for() {
    let outgoing = outgoing();
    let (_, bytes) = rendered(&outgoing).await;
    let message = MessageParser::new().parse(&bytes).unwrap();

    assert_eq!(message.subject(), Some("Grüße  Bcc: everyone@desk.example"));
    let to = message.to().unwrap().first().unwrap();
    assert_eq!(to.name(), Some("Günther, \"Support\""));
    assert_eq!(to.address(), Some("support@desk.example"));
    let cc = message.cc().unwrap().first().unwrap();
    assert_eq!(cc.name(), Some("Long ".repeat(40).trim()));
    assert_eq!(
        message.bcc().unwrap().first().unwrap().address(),
        Some("archive@xn--bcher-kva.example")
    );
    assert_eq!(
        message.body_text(0).unwrap().trim_end(),
        outgoing.text.unwrap().replace('\n', "\r\n").trim_end()
    );
    assert_eq!(message.header_raw(KEY_HEADER).unwrap().trim(), "row-7");

    let attachments: Vec<_> = message.attachments().collect();
    assert_eq!(attachments.len(), 3);
    for attachment in attachments {
        let name = attachment.attachment_name().unwrap();
        let sent = outgoing
            .attachments
            .iter()
            .find(|sent| sent.name == name)
            .unwrap();
        let sent_bytes = sent.content.to_bytes(u64::MAX).await.unwrap();
        assert_eq!(attachment.contents(), &sent_bytes[..], "{name}");
    }
    assert!(
        bytes
            .split(|byte| *byte == b'\n')
            .all(|line| line.len() <= 998 && line.is_ascii())
    );
}

#[tokio::test]
async fn a_message_reads_the_same_from_every_offset() {
    let (content, bytes) = rendered(&outgoing()).await;
    assert_eq!(content.len(), bytes.len() as u64);
    for offset in (0..=bytes.len()).step_by(211).chain([bytes.len()]) {
        let rest: Vec<_> = content
            .read_from(offset as u64)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(rest.concat(), &bytes[offset..], "from offset {offset}");
    }
}

#[tokio::test]
async fn base64_of_any_content_is_that_of_its_bytes() {
    use ::base64::Engine;
    for length in [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 5_000] {
        let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        // The source arrives in pieces that fit no line.
        let pieces: Vec<Content> = bytes
            .chunks(19)
            .map(|piece| piece.to_vec().into())
            .collect();
        let encoded = base64_text(&Content::concatenate(pieces));
        let expected = ::base64::engine::general_purpose::STANDARD.encode(&bytes);
        assert_eq!(encoded.len(), expected.len() as u64);
        for offset in [0, 1, 75, 76, 77, 200]
            .into_iter()
            .filter(|offset| *offset <= expected.len())
        {
            let rest: Vec<_> = encoded
                .read_from(offset as u64)
                .await
                .unwrap()
                .try_collect()
                .await
                .unwrap();
            assert_eq!(rest.concat(), &expected.as_bytes()[offset..]);
        }
    }
}

#[tokio::test]
async fn spooled_readers_and_files_can_be_read_again() {
    let bytes: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
    let spooled = Content::spool(&bytes[..]).await.unwrap();
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let file = Content::from_file(path.path()).await.unwrap();
    for content in [spooled, file] {
        assert_eq!(content.to_bytes(u64::MAX).await.unwrap(), bytes);
        let rest: Vec<_> = content
            .read_from(150_000)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(rest.concat(), &bytes[150_000..]);
    }
}

#[test]
fn malformed_headers_leave_out_only_themselves() {
    let mut message = Message::new(MessageId::new("1"));
    let headers = [
        Header::new("Subject", "=?iso-8859-1?Q?Gr=FC=DFe?= =?broken"),
        Header::new("From", "\"Billing\" <billing@shop.example>, undisclosed:;"),
        Header::new("To", "a@b.example,\r\n c@d.example"),
        Header::new("Date", "the day before yesterday"),
        Header::new("bad name\r\nBcc", "x@y.example"),
        Header::new("References", "<one@a.example>\r\n <two@a.example>"),
    ];
    read_headers(&mut message, &headers);
    assert!(message.subject.unwrap().starts_with("Grüße"));
    assert_eq!(message.from[0].address(), "billing@shop.example");
    assert_eq!(message.to.len(), 2);
    assert_eq!(message.sent_at, None);
    assert!(message.bcc.is_empty());
    assert_eq!(message.references, ["one@a.example", "two@a.example"]);
}

#[test]
fn text_is_read_by_its_charset_or_the_most_likely_one() {
    assert_eq!(
        text(b"Gr\xfc\xdfe", Some("text/plain; charset=\"ISO-8859-1\"")),
        "Grüße"
    );
    assert_eq!(
        text("Grüße".as_bytes(), Some("text/plain; charset=utf-8")),
        "Grüße"
    );
    assert_eq!(text(b"\xc7\xcf", Some("text/plain; charset=koi8-r")), "го");
    assert_eq!(text(b"Gr\xfc\xdfe", None), "Grüße");
    assert_eq!(
        text(b"Gr\xfc\xdfe", Some("text/plain; charset=no-such")),
        "Grüße"
    );
    assert_eq!(
        parameter(
            "attachment; filename*0*=utf-8''%C3%9Cber; filename*1=sicht.pdf",
            "filename"
        )
        .as_deref(),
        Some("Übersicht.pdf")
    );
}

#[test]
fn only_text_that_says_so_is_flowed() {
    let read = |value| flowed(Some(value)).map(|flowed| flowed.delete_space);
    assert_eq!(read("text/plain; format=Flowed"), Some(false));
    assert_eq!(
        read("text/plain; charset=utf-8; DelSp=\"Yes\"; format=flowed"),
        Some(true)
    );
    assert_eq!(read("text/plain; format=fixed; delsp=yes"), None);
    assert_eq!(read("text/plain; delsp=yes"), None);
    assert_eq!(flowed(None), None);
}

#[test]
fn text_is_read_by_every_name_that_programs_give_its_charset() {
    let read =
        |bytes: &[u8], label: &str| text(bytes, Some(&format!("text/plain; charset={label}")));
    for label in [
        "cp932",
        "Windows-31J",
        "x-sjis",
        "Shift_JIS",
        "ms932",
        "windows-932",
    ] {
        assert_eq!(read(b"\x93\xfa\x96\x7b\x87\x40", label), "日本①", "{label}");
    }
    for label in ["iso-2022-jp", "ISO-2022-JP-MS", "cp50221"] {
        assert_eq!(read(b"\x1b$BF|K\\\x1b(B", label), "日本", "{label}");
    }
    for label in ["euc-kr", "cp949", "ks_c_5601-1987", "uhc", "x-windows-949"] {
        assert_eq!(read(b"\xc7\xd1\xb1\xdb", label), "한글", "{label}");
    }
    for label in ["gbk", "gb2312", "GB18030", "x-gbk", "cp936", "windows-936"] {
        assert_eq!(read(b"\xd6\xd0\xce\xc4", label), "中文", "{label}");
    }
    for label in ["big5", "cp950", "big5-hkscs"] {
        assert_eq!(read(b"\xa4\xa4\xa4\xe5", label), "中文", "{label}");
    }
    for (label, bytes) in [
        ("koi8-r", b"\xc7\xcf"),
        ("windows-1251", b"\xe3\xee"),
        ("win-1251", b"\xe3\xee"),
        ("iso-8859-5", b"\xd3\xde"),
        ("ibm866", b"\xa3\xae"),
        ("x-mac-cyrillic", b"\xe3\xee"),
    ] {
        assert_eq!(read(bytes, label), "го", "{label}");
    }
    assert_eq!(read(b"Gr\x9f", "x-mac-roman"), "Grü");
    assert_eq!(read(b"Gr\x81", "ibm850"), "Grü");
    assert_eq!(read(b"1 +IKw-", "utf-7"), "1 €");
    assert_eq!(read(b"G\0r\0\xfc\0", "utf-16le"), "Grü");
    assert_eq!(read(b"\xff\xfeG\0\xfc\0", "utf-16"), "Gü");
}

#[test]
fn text_under_a_wrong_name_is_read_as_what_it_is() {
    let read =
        |bytes: &[u8], label: &str| text(bytes, Some(&format!("text/plain; charset={label}")));
    // UTF-8 under the name of Latin, and the reverse.
    for label in ["iso-8859-1", "windows-1252", "latin1"] {
        assert_eq!(read("Grüße".as_bytes(), label), "Grüße", "{label}");
        assert_eq!(read(b"Gr\xfc\xdfe", label), "Grüße", "{label}");
    }
    for label in [
        "utf-8",
        "us-ascii",
        "\"\"",
        "unknown-8bit",
        "no-such-charset",
    ] {
        assert_eq!(read("Grüße".as_bytes(), label), "Grüße", "{label}");
        assert_eq!(read(b"Gr\xfc\xdfe", label), "Grüße", "{label}");
    }
    // One character that was cut in two spoils only itself.
    assert_eq!(
        read(b"Gr\xc3\xbc\xc3\x9fe, Gr\xc3", "utf-8"),
        "Grüße, Gr\u{fffd}"
    );
    assert_eq!(read(b"\x80 5", "iso-8859-1"), "€ 5");
    // Not every charset is mistaken for UTF-8, although the bytes allow it.
    assert_eq!(read(b"\xd0\xb0", "koi8-r"), "п╟");
}

#[test]
fn headers_are_read_by_every_name_of_their_charset() {
    assert_eq!(
        decode_words("=?cp932?B?k/qWew==?= and =?x-unknown-thing?Q?abc?="),
        decode_words("=?shift_jis?B?k/qWew==?= and =?x-unknown-thing?Q?abc?=")
    );
    assert!(decode_words("=?CP932*ja?B?k/qWew==?=").starts_with("日本"));
    assert_eq!(decode_words("=?cp949?Q?=C7=D1=B1=DB?="), "한글");
    assert_eq!(decode_words("=?no end"), "=?no end");
}

#[test]
fn messages_in_messages_take_neither_the_stack_nor_the_time() {
    let inner = "Content-Type: message/rfc822\r\n\r\n".repeat(100_000);
    let digest: String = (0..5_000)
        .map(|level| {
            format!("Content-Type: multipart/digest; boundary=b{level}\r\n\r\n--b{level}\r\n\r\n")
        })
        .collect();
    for raw in [inner, digest] {
        let raw = format!("Subject: deep\r\n{raw}the end");
        let parsed = parse(raw.as_bytes()).unwrap();
        assert_eq!(parsed.subject(), Some("deep"));
        drop(parsed);
        let whole = read_whole(MessageId::new("1"), raw.as_bytes());
        assert_eq!(whole.message.subject.as_deref(), Some("deep"));
    }
}
