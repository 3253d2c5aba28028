//! The Gmail provider against the emulated Gmail, where the two ways of sending and what is particular to labels can be
//! seen in the mailboxes of both sides. With `POSTROOM_RECORD` set to a directory, every request and answer is written
//! there, to be held against Google's own description of the API.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::TryStreamExt;
use http::Method;
use postroom::clock::Clock;
use postroom::credentials::StaticToken;
use postroom::emulator::{EmulatedMessage, Emulator, Fault, FaultKind};
use postroom::http::{Connection, ReqwestTransport};
use postroom::testing::VirtualClock;
use postroom::{
    Access, ByteStream, Change, Confirmation, Delivery, Detail, FolderId, FolderRole, Gmail,
    Keyword, MailProvider, Message, Outgoing, OutgoingAttachment, PageRequest, Query, SendKey,
};

const READER: &str = "reader@gmail.example";
const TEAM: &str = "team@gmail.example";

/// Time that passes only by waiting, so that quotas hold and nobody waits for them.
async fn start() -> Emulated {
    let clock = Arc::new(VirtualClock::eager("2026-11-22T08:00:00Z".parse().unwrap()));
    let emulator = Emulator::builder()
        .empty()
        .clock(Arc::clone(&clock) as Arc<dyn Clock>)
        .record(std::env::var_os("POSTROOM_RECORD").map(PathBuf::from))
        .start()
        .await
        .unwrap();
    Emulated { emulator, clock }
}

struct Emulated {
    emulator: Emulator,
    clock: Arc<VirtualClock>,
}

impl std::ops::Deref for Emulated {
    type Target = Emulator;

    fn deref(&self) -> &Emulator {
        &self.emulator
    }
}

fn connect_with(emulator: &Emulated, token: String, access: Access) -> Gmail {
    let transport = Arc::new(ReqwestTransport::new().unwrap());
    let connection = Connection::new(transport, Arc::new(StaticToken::new(token)))
        .with_clock(Arc::clone(&emulator.clock) as Arc<dyn Clock>);
    Gmail::new(connection)
        .unwrap()
        .with_api_endpoint(emulator.google().base_url.clone())
        .unwrap()
        .with_access(access)
}

fn connect(emulator: &Emulated) -> Gmail {
    connect_with(emulator, emulator.access_token(READER), Access::default())
}

/// A mailbox of whose owner only this was granted.
fn connect_granted(emulator: &Emulated, scope: &str, access: Access) -> Gmail {
    let scope = format!("https://www.googleapis.com/auth/{scope}");
    let token = emulator.access_token_for(READER, &[&scope]);
    connect_with(emulator, token, access)
}

async fn list(gmail: &Gmail, query: &str) -> Vec<Message> {
    let query: Query = query.parse().unwrap();
    let page = gmail.list(&query, Detail::Full, PageRequest::first()).await;
    let items = page.unwrap().items;
    items.into_iter().map(Result::unwrap).collect()
}

async fn subjects(gmail: &Gmail, query: &str) -> Vec<String> {
    let messages = list(gmail, query).await.into_iter();
    let mut subjects: Vec<_> = messages.map(|message| message.subject.unwrap()).collect();
    subjects.sort();
    subjects
}

async fn bytes(stream: ByteStream) -> Vec<u8> {
    let chunks: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
    chunks.concat()
}

fn deliver(emulator: &Emulated, subject: &str, body: &str) {
    let mail = format!(
        "From: Billing <billing@shop.example>\r\nTo: {READER}\r\nSubject: {subject}\r\n\
         Date: Fri, 20 Nov 2026 09:30:00 +0000\r\nMessage-ID: <{}@shop.example>\r\n{body}",
        subject.replace(' ', ".")
    );
    emulator.deliver(READER, mail.as_bytes());
}

fn received(emulator: &Emulated, address: &str) -> Vec<EmulatedMessage> {
    let messages = emulator.messages(address).into_iter();
    messages
        .filter(|message| message.folders.iter().any(|label| label == "INBOX"))
        .collect()
}

const WITH_FILES: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n\
    --b\r\nContent-Type: application/pdf; name=\"bill.pdf\"\r\nContent-Disposition: attachment; filename=\"bill.pdf\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nHello\r\n--b--\r\n";

#[tokio::test]
async fn a_message_is_read_with_its_text_its_files_and_its_bytes() {
    let emulator = start().await;
    deliver(&emulator, "The bill", WITH_FILES);
    let gmail = connect(&emulator);
    assert_eq!(gmail.profile().await.unwrap().address, READER);
    let message = list(&gmail, "in:inbox").await.remove(0);
    assert_eq!(message.subject.as_deref(), Some("The bill"));
    assert_eq!(
        message.body.text.as_deref().map(str::trim_end),
        Some("Grüße")
    );
    assert!(!message.has(&Keyword::Seen));
    let names: Vec<_> = message
        .attachments
        .iter()
        .map(|a| a.media_type.as_str())
        .collect();
    assert_eq!(names, ["application/pdf", "message/rfc822"]);
    let mut contents = Vec::new();
    for attachment in &message.attachments {
        let stream = gmail.attachment(&message.id, &attachment.id).await.unwrap();
        contents.push(String::from_utf8(bytes(stream).await).unwrap());
    }
    assert_eq!(contents[0], "%PDF-1.4\n");
    assert!(
        contents[1].starts_with("Subject: Inner\r\n"),
        "{}",
        contents[1]
    );
    let raw = bytes(gmail.raw(&message.id).await.unwrap()).await;
    assert_eq!(raw, emulator.messages(READER)[0].raw);
}

#[tokio::test]
async fn many_messages_come_page_by_page_each_once() {
    let emulator = start().await;
    for number in 0..60 {
        deliver(&emulator, &format!("Number {number:02}"), "\r\nx\r\n");
    }
    let gmail = connect(&emulator);
    let mut seen = std::collections::BTreeSet::new();
    let mut page = PageRequest::first().with_size(25);
    loop {
        let answer = gmail
            .list(&Query::All, Detail::Headers, page)
            .await
            .unwrap();
        for message in answer.items {
            assert!(seen.insert(message.unwrap().subject.unwrap()));
        }
        let Some(next) = answer.next else { break };
        page = PageRequest::first().with_size(25).with_token(next);
    }
    assert_eq!(seen.len(), 60);
}

#[tokio::test]
async fn changes_and_searches_agree_on_where_messages_are() {
    let emulator = start().await;
    for subject in ["Red", "Green", "Blue"] {
        deliver(&emulator, subject, "\r\nwords in it\r\n");
    }
    let gmail = connect(&emulator);
    let id = async |subject: &str| {
        list(&gmail, &format!("subject:{subject}")).await[0]
            .id
            .clone()
    };
    let apply = async |subject: &str, change: Change| {
        let id = id(subject).await;
        gmail
            .apply(&[id], &change)
            .await
            .unwrap()
            .remove(0)
            .unwrap();
    };
    apply("Red", Change::Set(Keyword::Seen)).await;
    apply("Red", Change::Set(Keyword::Flagged)).await;
    apply("Green", Change::Archive).await;
    assert_eq!(subjects(&gmail, "is:unread").await, ["Blue", "Green"]);
    assert_eq!(subjects(&gmail, "is:starred").await, ["Red"]);
    assert_eq!(subjects(&gmail, "in:inbox").await, ["Blue", "Red"]);
    assert_eq!(subjects(&gmail, "in:archive").await, ["Green"]);
    assert_eq!(subjects(&gmail, "-in:archive").await, ["Blue", "Red"]);
    assert_eq!(
        subjects(&gmail, "in:archive OR is:starred").await,
        ["Green", "Red"]
    );
    assert_eq!(
        subjects(&gmail, "-(subject:Red OR subject:Blue) \"words in\"").await,
        ["Green"]
    );
    let id = id("Blue").await;
    gmail
        .apply(std::slice::from_ref(&id), &Change::Trash)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(subjects(&gmail, "").await, ["Green", "Red"]);
    assert_eq!(subjects(&gmail, "in:trash").await, ["Blue"]);
    let back = Change::MoveTo {
        to: FolderId::from("INBOX"),
        from: None,
    };
    gmail
        .apply(&[id, "0000000000000000".into()], &back)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(subjects(&gmail, "in:inbox").await, ["Blue", "Red"]);
}

#[tokio::test]
async fn gmails_own_folders_have_their_roles() {
    let emulator = start().await;
    let folders = connect(&emulator).folders().await.unwrap();
    let role = |role: FolderRole| folders.iter().filter(|f| f.role == Some(role)).count();
    for own in [
        FolderRole::Inbox,
        FolderRole::Drafts,
        FolderRole::Sent,
        FolderRole::Trash,
        FolderRole::Junk,
    ] {
        assert_eq!(role(own), 1, "{own:?}");
    }
    assert_eq!(folders[0].role, Some(FolderRole::Inbox));
    assert!(folders.iter().all(|folder| folder.id.as_str() != "UNREAD"));
}

fn outgoing() -> Outgoing {
    Outgoing::new()
        .to(TEAM.parse().unwrap())
        .bcc(READER.parse().unwrap())
        .subject("The report")
        .text("Attached.")
        .attach(OutgoingAttachment::new(
            "r.bin",
            "application/octet-stream",
            vec![7_u8; 700_000],
        ))
}

#[tokio::test]
async fn either_way_of_sending_reaches_everybody_once_and_only_at_the_second_step() {
    for (scope, access) in [
        ("gmail.modify", Access::default()),
        ("gmail.compose", Access::SEND | Access::DRAFT),
        ("gmail.send", Access::SEND),
    ] {
        let emulator = start().await;
        let gmail = connect_granted(&emulator, scope, access);
        let ticket = gmail
            .prepare(&outgoing(), &SendKey::new("outbox-1"))
            .await
            .unwrap();
        assert!(received(&emulator, TEAM).is_empty(), "{scope}");
        assert_eq!(
            gmail.confirm(&ticket).await.unwrap(),
            Confirmation::NotSent,
            "{scope}"
        );
        let sent = gmail.dispatch(&ticket).await.unwrap();
        let arrived = received(&emulator, TEAM);
        assert_eq!(arrived.len(), 1, "{scope}");
        assert_eq!(
            received(&emulator, READER).len(),
            1,
            "the blind copy, {scope}"
        );
        assert!(
            !String::from_utf8_lossy(&arrived[0].raw).contains("Bcc"),
            "{scope}"
        );
        let copy = emulator.messages(READER);
        let copy = copy
            .iter()
            .find(|m| m.folders.iter().any(|label| label == "SENT"));
        assert_eq!(
            copy.map(|copy| copy.id.as_str()),
            sent.id.as_ref().map(|id| id.as_str()),
            "{scope}"
        );
    }
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_asking() {
    for (scope, access, path) in [
        ("gmail.modify", Access::default(), "/drafts/send"),
        ("gmail.send", Access::SEND, "/messages/send"),
    ] {
        for (fault, was_sent) in [(FaultKind::DropAfter, true), (FaultKind::DropBefore, false)] {
            let emulator = start().await;
            let gmail = connect_granted(&emulator, scope, access);
            let ticket = gmail
                .prepare(&outgoing(), &SendKey::new("outbox-1"))
                .await
                .unwrap();
            let method = if access == Access::SEND {
                Method::PUT
            } else {
                Method::POST
            };
            emulator.fault(Fault::new(fault).on(method, path));
            let error = gmail.dispatch(&ticket).await.unwrap_err();
            assert_eq!(error.delivery(), Delivery::Unknown, "{scope}");
            let confirmation = gmail.confirm(&ticket).await.unwrap();
            assert_eq!(
                received(&emulator, TEAM).len(),
                usize::from(was_sent),
                "{scope}"
            );
            match confirmation {
                Confirmation::Sent(_) => assert!(was_sent, "{scope}"),
                Confirmation::NotSent => {
                    assert!(!was_sent, "{scope}");
                    gmail.dispatch(&ticket).await.unwrap();
                    assert_eq!(received(&emulator, TEAM).len(), 1, "{scope}");
                }
                other => panic!("{scope}: {other:?}"),
            }
        }
    }
}
