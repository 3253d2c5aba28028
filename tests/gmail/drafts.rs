//! Drafts, authors and imports at the emulated Gmail, and what becomes of sends when drafts, uploads and sent copies do not
//! behave: what is said of a send is right or says that it is not known.

use crate::support;
use std::sync::Arc;
use std::time::Duration;

use crate::support::GMAIL;
use futures_util::StreamExt;
use http::Method;
use postroom::credentials::StaticToken;
use postroom::emulator::{Emulator, Fault, FaultKind};
use postroom::http::{Connection, Regime, RetryPolicy};
use postroom::{
    Access, Address, Confirmation, Delivery, Detail, DraftEdit, ErrorKind, Gmail, ImportDate,
    ImportLoss, ImportOptions, ImportWay, Keyword, Mailbox, MessageId, Outgoing,
    OutgoingAttachment, SendKey, SendTicket,
};

const TEAM: &str = "team@gmail.example";
const COMPOSE: &str = "https://www.googleapis.com/auth/gmail.compose";
const READ: &str = "https://www.googleapis.com/auth/gmail.readonly";
const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";

async fn emulator() -> Emulator {
    support::emulator().quota(false).start().await.unwrap()
}

/// The mailbox with these scopes, which allow this.
fn mailbox(emulator: &Emulator, scopes: &[&str], access: Access) -> Mailbox {
    let token = StaticToken::new(emulator.access_token_for(GMAIL, scopes));
    let connection = Connection::new(support::transport(emulator), Arc::new(token));
    // Nobody waits for a service that is not there.
    let mut retry = RetryPolicy::default();
    retry.base = Duration::from_millis(1);
    let connection = connection.with_regime(Regime::Off).with_retry(retry);
    let gmail = Gmail::new(connection).unwrap();
    let gmail = gmail.with_api_endpoint(emulator.google().base_url.clone());
    Mailbox::new(gmail.unwrap().with_access(access))
}

fn whole(emulator: &Emulator) -> Mailbox {
    let access = Access::READ_WRITE | Access::SEND | Access::DRAFT;
    mailbox(emulator, &[MODIFY], access)
}

fn outgoing() -> Outgoing {
    Outgoing::new()
        .to(TEAM.parse().unwrap())
        .subject("The report")
        .text("Attached.")
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * at / 255 % 251) as u8).collect()
}

fn file(length: usize) -> OutgoingAttachment {
    OutgoingAttachment::new("noise.bin", "application/octet-stream", noise(length))
}

fn received(emulator: &Emulator) -> usize {
    emulator.messages(TEAM).len()
}

async fn prepared(mailbox: &Mailbox, outgoing: &Outgoing) -> SendTicket {
    mailbox
        .prepare(outgoing, &SendKey::new("row-1"))
        .await
        .unwrap()
}

fn is_unknown(confirmation: &Confirmation, may_help: bool) -> bool {
    matches!(confirmation, Confirmation::StillUnknown { ask_again_at } if ask_again_at.is_some() == may_help)
}

#[tokio::test]
async fn a_sent_copy_that_appears_late_is_unknown_until_it_does() {
    let emulator = emulator().await;
    emulator.hold_sent_copies(GMAIL);
    let mailbox = whole(&emulator);
    let ticket = prepared(&mailbox, &outgoing()).await;
    emulator.fault(Fault::new(FaultKind::DropAfter).on(Method::POST, "/drafts/send"));
    let lost = mailbox.dispatch(&ticket).await.unwrap_err();
    assert_eq!(lost.delivery(), Delivery::Unknown);
    assert_eq!(received(&emulator), 1);
    let confirmed = mailbox.confirm(&ticket).await.unwrap();
    assert!(is_unknown(&confirmed, true), "{confirmed:?}");

    emulator.release_sent_copies(GMAIL);
    let confirmed = mailbox.confirm(&ticket).await.unwrap();
    assert!(matches!(confirmed, Confirmation::Sent(sent) if sent.id.is_some()));
}

#[tokio::test]
async fn a_draft_that_the_user_discarded_is_never_said_to_be_sent_or_unsent() {
    let emulator = emulator().await;
    let mailbox = whole(&emulator);
    let ticket = prepared(&mailbox, &outgoing()).await;
    assert_eq!(
        mailbox.confirm(&ticket).await.unwrap(),
        Confirmation::NotSent
    );
    emulator.discard_drafts(GMAIL);
    // Another message to the same people with the same text is not this one.
    mailbox.send(&outgoing()).await.unwrap();
    let gone = mailbox.dispatch(&ticket).await.unwrap_err();
    assert_eq!(
        (gone.kind(), gone.delivery()),
        (ErrorKind::NotFound, Delivery::Unknown)
    );
    let confirmed = mailbox.confirm(&ticket).await.unwrap();
    assert!(is_unknown(&confirmed, true), "{confirmed:?}");
    assert_eq!(received(&emulator), 1);
}

#[tokio::test]
async fn after_an_upload_lapsed_only_the_sent_copy_tells() {
    for (scopes, access, reads) in [
        (&[SEND][..], Access::SEND, false),
        (&[SEND, READ], Access::SEND | Access::READ, true),
    ] {
        let emulator = emulator().await;
        let mailbox = mailbox(&emulator, scopes, access);
        // Never dispatched, and dispatched with its answer lost.
        let unsent = prepared(&mailbox, &outgoing()).await;
        let key = SendKey::new("row-2");
        let sent = mailbox
            .prepare(&outgoing().attach(file(700_000)), &key)
            .await;
        let sent = sent.unwrap();
        assert_eq!(received(&emulator), 0);
        let lost = Fault::new(FaultKind::DropAfter).on(Method::PUT, "/messages/send");
        emulator.fault(lost);
        let error = mailbox.dispatch(&sent).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::Unknown);
        assert_eq!(received(&emulator), 1);
        // As long as it lasts, the session itself tells.
        assert_eq!(
            mailbox.confirm(&unsent).await.unwrap(),
            Confirmation::NotSent
        );
        let told = mailbox.confirm(&sent).await.unwrap();
        assert!(matches!(told, Confirmation::Sent(_)));

        emulator.lapse_uploads();
        let confirmed = mailbox.confirm(&unsent).await.unwrap();
        assert!(is_unknown(&confirmed, reads), "{confirmed:?}");
        let confirmed = mailbox.confirm(&sent).await.unwrap();
        if reads {
            assert!(matches!(confirmed, Confirmation::Sent(_)), "{confirmed:?}");
        } else {
            assert!(is_unknown(&confirmed, false), "{confirmed:?}");
        }
        let error = mailbox.dispatch(&unsent).await.unwrap_err();
        assert_eq!(error.delivery(), Delivery::Unknown);
        assert_eq!(received(&emulator), 1);
    }
}

#[tokio::test]
async fn a_draft_that_was_prepared_by_a_process_that_died_is_sent_under_its_key() {
    let emulator = emulator().await;
    let mailbox = whole(&emulator);
    let drafts = mailbox.drafts().unwrap();
    let made = drafts.create(&outgoing()).await.unwrap();
    let key = SendKey::new("row-1");
    // The mark changed it, and nobody noted the ticket.
    let expected = Some(&made.revision);
    drafts.prepare(&made.id, expected, &key).await.unwrap();
    let other = SendKey::new("row-2");
    let refused = mailbox.send_draft_once(&other, &made.id, expected).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    mailbox
        .send_draft_once(&key, &made.id, expected)
        .await
        .unwrap();
    assert_eq!(received(&emulator), 1);

    // What somebody changed after that is not what was to be sent.
    let made = drafts.create(&outgoing()).await.unwrap();
    let expected = Some(&made.revision);
    let key = SendKey::new("row-3");
    drafts.prepare(&made.id, expected, &key).await.unwrap();
    let edit = DraftEdit::new().subject("Changed");
    drafts.update(&made.id, None, &edit).await.unwrap();
    let refused = mailbox.send_draft_once(&key, &made.id, expected).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(received(&emulator), 1);
    assert_eq!(mailbox.outbox().count().await, 1, "the one that was sent");
}

#[tokio::test]
async fn drafts_can_be_written_and_sent_without_reading() {
    let emulator = emulator().await;
    let mailbox = mailbox(&emulator, &[COMPOSE], Access::DRAFT | Access::SEND);
    let drafts = mailbox.drafts().unwrap();
    let made = drafts
        .create(&outgoing().attach(file(3_000)))
        .await
        .unwrap();
    let edit = DraftEdit::new().subject("Changed");
    assert!(!format!("{edit:?}").contains("Changed"));
    let changed = drafts.update(&made.id, Some(&made.revision), &edit).await;
    let changed = changed.unwrap();
    let read = drafts.get(&made.id, Detail::Full).await.unwrap();
    assert_eq!(read.message.attachments.len(), 1);
    mailbox
        .send_draft(&made.id, Some(&changed.revision))
        .await
        .unwrap();
    // A long text comes apart from its message, from where this access does not reach.
    let long = Outgoing::new().text("A long line of text.\n".repeat(20_000));
    let made = drafts.create(&long.attach(file(10))).await.unwrap();
    let read = drafts.get(&made.id, Detail::Full).await.unwrap();
    assert!(read.message.body.text.unwrap().len() > 400_000);
    assert_eq!(read.message.attachments.len(), 1);
    assert!(read.message.keywords.unwrap().contains(&Keyword::Draft));

    let sent = emulator.messages(TEAM);
    let text = String::from_utf8_lossy(&sent[0].raw);
    assert!(text.contains("Subject: Changed\r\n") && text.contains("noise.bin"));
}

#[tokio::test]
async fn long_drafts_go_up_in_pieces_and_survive_what_breaks_on_the_way() {
    const LENGTH: usize = 4 * 1024 * 1024;
    let emulator = emulator().await;
    let mailbox = whole(&emulator);
    let drafts = mailbox.drafts().unwrap();
    // The bytes are lost once, and then the answer: neither makes a second draft.
    emulator.fault(Fault::new(FaultKind::DropBefore).on(Method::PUT, "/drafts"));
    emulator.fault(
        Fault::new(FaultKind::DropAfter)
            .on(Method::PUT, "/drafts")
            .after(1),
    );
    let made = drafts
        .create(&outgoing().attach(file(LENGTH)))
        .await
        .unwrap();
    let kept = emulator.messages(GMAIL);
    assert_eq!(kept.len(), 1);

    let second = OutgoingAttachment::new("second.bin", "application/octet-stream", vec![7; 99]);
    let edit = DraftEdit::new().text("New text").attach(second);
    let changed = drafts.update(&made.id, Some(&made.revision), &edit).await;
    let changed = changed.unwrap();
    assert_eq!(changed.id, made.id);
    let kept = emulator.messages(GMAIL);
    assert_eq!(kept.len(), 1);
    let before = &mail_parser(&kept[0].raw)["noise.bin"];
    assert!(*before == noise(LENGTH), "the file is what it was");
    assert_eq!(mail_parser(&kept[0].raw)["second.bin"], vec![7; 99]);
    let uploads = emulator.requests();
    let resumable = uploads
        .iter()
        .filter(|request| request.path.contains("/upload/") && request.method == "PUT");
    assert!(resumable.count() > 3);
}

/// The files of a message by name.
fn mail_parser(raw: &[u8]) -> std::collections::HashMap<String, Vec<u8>> {
    use mail_parser::{MessageParser, MimeHeaders};

    let parsed = MessageParser::new().parse(raw).unwrap();
    let files = parsed.attachments();
    files
        .map(|file| {
            let name = file.attachment_name().unwrap_or_default();
            (name.to_owned(), file.contents().to_vec())
        })
        .collect()
}

#[tokio::test]
async fn a_draft_stays_in_its_conversation_when_it_is_changed() {
    let emulator = emulator().await;
    let mail = b"From: support@desk.example\r\nTo: reader@gmail.example\r\nSubject: Question\r\n\
        Message-ID: <q1@desk.example>\r\n\r\nText\r\n";
    emulator.deliver(GMAIL, mail);
    let asked = emulator.messages(GMAIL).remove(0);
    let mailbox = whole(&emulator);
    let drafts = mailbox.drafts().unwrap();
    let answer = outgoing()
        .subject("Re: Question")
        .answering("q1@desk.example", Some(asked.thread.as_str().into()));
    let made = drafts.create(&answer).await.unwrap();
    assert_eq!(made.message.thread.as_ref().unwrap().as_str(), asked.thread);
    let edit = DraftEdit::new().text("Another text");
    let changed = drafts.update(&made.id, None, &edit).await.unwrap();
    assert_eq!(changed.message.thread, made.message.thread);
    let sent = mailbox.send_draft(&made.id, None).await.unwrap();
    assert_eq!(sent.thread, made.message.thread);
}

#[tokio::test]
async fn authors_are_told_with_what_proves_them() {
    let emulator = emulator().await;
    emulator.add_alias(GMAIL, "sales@shop.example", "Sales", true);
    emulator.add_alias(GMAIL, "nobody@shop.example", "", false);
    emulator.set_signature(GMAIL, "<b>Reader</b>");
    let mailbox = whole(&emulator);
    let identities = mailbox.identities().unwrap().list().await.unwrap();
    let told: Vec<_> = identities
        .iter()
        .map(|one| {
            (
                one.address.address(),
                one.address.name(),
                one.verified,
                one.default,
            )
        })
        .collect();
    assert_eq!(told[0].0, GMAIL);
    assert_eq!((told[0].2, told[0].3), (Some(true), true));
    assert_eq!(
        told[1],
        ("sales@shop.example", Some("Sales"), Some(true), false)
    );
    assert_eq!(told[2], ("nobody@shop.example", None, Some(false), false));
    assert_eq!(identities[0].signature.as_deref(), Some("<b>Reader</b>"));
    assert!(identities[0].primary && identities[1].signature.is_none());
    // The signature is the owner's, and debug texts end in logs.
    assert!(!format!("{identities:?}").contains("Reader"));

    // Only a proved author is what recipients see.
    for (author, seen) in [("sales@shop.example", true), ("nobody@shop.example", false)] {
        let from: Address = author.parse().unwrap();
        mailbox.send(&outgoing().from(from)).await.unwrap();
        let arrived = emulator.messages(TEAM).pop().unwrap();
        let text = String::from_utf8_lossy(&arrived.raw).into_owned();
        assert_eq!(text.contains(author), seen, "{author}");
    }
}

#[tokio::test]
async fn what_an_import_cannot_keep_is_told() {
    let emulator = emulator().await;
    let mailbox = whole(&emulator);
    let mail = |date: &str| {
        format!(
            "From: a@shop.example\r\nSubject: Old\r\nMessage-ID: <old@shop.example>\r\n{date}\r\nText\r\n"
        )
    };
    let dated = mail("Date: Tue, 03 Nov 2020 10:15:00 +0000\r\n");
    let import = async |mail: &str, options: &ImportOptions| {
        let imported = mailbox.import(mail.as_bytes().to_vec(), options).await;
        imported.map(|imported| (imported.lost.clone(), imported))
    };
    let kept = ImportOptions::new();
    let (lost, first) = import(&dated, &kept).await.unwrap();
    assert_eq!(lost, []);
    let received = |id: &MessageId| {
        let messages = emulator.messages(GMAIL);
        let mut messages = messages.into_iter();
        messages.find(|message| message.id == id.as_str()).unwrap()
    };
    assert_eq!(
        received(&first.id).received.to_rfc3339(),
        "2020-11-03T10:15:00+00:00"
    );
    let (lost, _) = import(&mail("Date: soon\r\n"), &kept).await.unwrap();
    assert_eq!(lost, [ImportLoss::Date]);
    let instant = "2020-11-03T10:15:00Z".parse().unwrap();
    let (lost, _) = import(&dated, &kept.clone().date(ImportDate::At(instant)))
        .await
        .unwrap();
    assert_eq!(lost, []);
    let other = "2021-01-01T00:00:00Z".parse().unwrap();
    let (lost, _) = import(&dated, &kept.clone().date(ImportDate::At(other)))
        .await
        .unwrap();
    assert_eq!(lost, [ImportLoss::Date]);

    let options = ImportOptions::new()
        .folder("DRAFT".into())
        .folder("INBOX".into())
        .keyword(Keyword::Answered)
        .keyword(Keyword::Important);
    let (lost, imported) = import(&dated, &options).await.unwrap();
    assert_eq!(
        lost,
        [
            ImportLoss::Folder("DRAFT".into()),
            ImportLoss::Keyword(Keyword::Answered)
        ]
    );
    let folders = received(&imported.id).folders;
    assert_eq!(folders, ["IMPORTANT", "INBOX", "UNREAD"]);
    let refused = import(&dated, &ImportOptions::new().folder("Label_77".into())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest);

    // As if it arrived: it is there already, and stays one message.
    let receive = ImportOptions::new().way(ImportWay::ReceiveTrusted);
    let (_, again) = import(&dated, &receive).await.unwrap();
    assert_eq!(again.id, first.id);
    let nameless = "Subject: Nobody\r\n\r\nText";
    let refused = import(nameless, &receive).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    import(nameless, &kept).await.unwrap();
}

#[tokio::test]
async fn a_long_import_whose_last_answer_was_lost_is_there_once() {
    let emulator = emulator().await;
    let mailbox = whole(&emulator);
    let mut mail = b"From: a@shop.example\r\nSubject: Long\r\n\r\n".to_vec();
    mail.extend(b"A line of an old message that is long.\r\n".repeat(150_000));
    emulator.fault(Fault::new(FaultKind::DropAfter).on(Method::PUT, "/gmail/v1/users/me/messages"));
    let imported = mailbox
        .import(mail.clone(), &ImportOptions::new())
        .await
        .unwrap();
    let kept = emulator.messages(GMAIL);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].id, imported.id.as_str());
    assert!(
        kept[0].raw.ends_with(&mail),
        "byte for byte, below the service's trace"
    );

    // A short one goes in one request, after which nobody knows.
    emulator
        .fault(Fault::new(FaultKind::DropAfter).on(Method::POST, "/gmail/v1/users/me/messages"));
    let short = b"From: a@shop.example\r\n\r\nText".to_vec();
    let lost = mailbox
        .import(short, &ImportOptions::new())
        .await
        .unwrap_err();
    assert_eq!(lost.delivery(), Delivery::Unknown);
    assert_eq!(emulator.messages(GMAIL).len(), 2);
}
