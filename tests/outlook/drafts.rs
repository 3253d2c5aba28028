//! Drafts, authors and imported mail of an Outlook mailbox, against the emulated service.

use crate::support::{OUTLOOK, emulator, everything, transport, unpaced};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::Method;
use postroom::credentials::StaticToken;
use postroom::emulator::{EmulatedMessage, Emulator, Fault, FaultKind};
use postroom::http::{Connection, Regime};
use postroom::{
    Access, Address, Confirmation, Content, Delivery, Detail, Draft, DraftEdit, DraftId, ErrorKind,
    FolderId, FolderRole, ImportDate, ImportLoss, ImportOptions, Keyword, MailProvider, Mailbox,
    Outgoing, OutgoingAttachment, Outlook, PageRequest, Query, SendKey,
};
use std::sync::Arc;

const OTHER: &str = "team@outlook.example";

async fn start() -> (Emulator, Mailbox) {
    let emulator = emulator().quota(false).start().await.unwrap();
    let mailbox = unpaced(&emulator, OUTLOOK);
    (emulator, mailbox)
}

fn unfinished() -> Outgoing {
    Outgoing::new().subject("The report").text("Half a")
}

fn file(name: &str, length: usize) -> OutgoingAttachment {
    let bytes: Vec<u8> = (0..length).map(|place| (place / 1000) as u8).collect();
    OutgoingAttachment::new(name, "application/zip", bytes)
}

/// What is in a mailbox under a subject.
fn found(emulator: &Emulator, address: &str, subject: &str) -> Vec<EmulatedMessage> {
    let subject = format!("Subject: {subject}\r\n");
    let has = |message: &EmulatedMessage| String::from_utf8_lossy(&message.raw).contains(&subject);
    emulator.messages(address).into_iter().filter(has).collect()
}

async fn names(mailbox: &Mailbox, draft: &DraftId) -> Vec<String> {
    let draft = mailbox.drafts().unwrap().get(draft, Detail::Full).await;
    let attachments = draft.unwrap().message.attachments;
    let mut names: Vec<String> = attachments.into_iter().filter_map(|one| one.name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_draft_keeps_its_files_through_every_change_and_is_sent_with_them() {
    let (emulator, mailbox) = start().await;
    let drafts = mailbox.drafts().unwrap();
    let image = OutgoingAttachment::new("logo.png", "image/png", vec![7; 900]).inline("logo");
    let first = unfinished().html("<img src=\"cid:logo\">").attach(image);
    let draft = drafts
        .create(&first.attach(file("a.zip", 5_000)))
        .await
        .unwrap();
    let edit = DraftEdit::new()
        .subject("The whole report")
        .to([OTHER.parse().unwrap()])
        .html("<p>All of it <img src=\"cid:logo\"></p>")
        .attach(file("b.zip", 3_300_000))
        .attach(file("c.zip", 10));
    let changed = drafts
        .update(&draft.id, Some(&draft.revision), &edit)
        .await
        .unwrap();
    assert_ne!(changed.revision, draft.revision);
    assert_eq!(
        names(&mailbox, &draft.id).await,
        ["a.zip", "b.zip", "c.zip", "logo.png"]
    );
    let whole = drafts.get(&draft.id, Detail::Full).await.unwrap();
    let of = |name: &str| {
        let mut all = whole.message.attachments.iter();
        all.find(|one| one.name.as_deref() == Some(name)).unwrap()
    };
    assert_eq!(of("logo.png").content_id.as_deref(), Some("logo"));
    let edit = DraftEdit::new().detach(of("a.zip").id.clone());
    let changed = drafts.update(&draft.id, None, &edit).await.unwrap();
    let listed = drafts
        .list(Detail::Headers, PageRequest::first())
        .await
        .unwrap();
    let listed: Vec<Draft> = listed.items.into_iter().map(Result::unwrap).collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].revision, changed.revision);
    assert_eq!(
        listed[0].message.subject.as_deref(),
        Some("The whole report")
    );
    assert_eq!(
        drafts.find(&listed[0].message.id).await.unwrap().id,
        draft.id
    );

    mailbox
        .send_draft(&draft.id, Some(&changed.revision))
        .await
        .unwrap();
    emulator.release_sent_copies(OUTLOOK);
    let arrived = found(&emulator, OTHER, "The whole report");
    assert_eq!(arrived.len(), 1);
    let raw = String::from_utf8_lossy(&arrived[0].raw);
    assert!(raw.contains("b.zip") && raw.contains("c.zip") && !raw.contains("a.zip"));
    let gone = drafts.get(&draft.id, Detail::Ids).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_edit_that_could_not_be_sent_changes_nothing() {
    let (emulator, mailbox) = start().await;
    let drafts = mailbox.drafts().unwrap();
    let draft = drafts.create(&unfinished()).await.unwrap();
    let asked = emulator.requests().len();
    let nobody = Address::received(None, "nobody at all");
    let folded = OutgoingAttachment::new("a", "text/plain\r\nX: y", b"a".to_vec());
    let named = OutgoingAttachment::new("a", "image/png", b"a".to_vec()).inline("a>\r\nX: <b");
    for edit in [
        DraftEdit::new().to([nobody.clone()]),
        DraftEdit::new().from(nobody),
        DraftEdit::new().attach(folded),
        DraftEdit::new().attach(named),
    ] {
        let refused = drafts.update(&draft.id, None, &edit).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    }
    assert_eq!(emulator.requests().len(), asked);

    let edit = DraftEdit::new().cc(["office@bücher.example".parse().unwrap()]);
    let changed = drafts.update(&draft.id, None, &edit).await.unwrap();
    let kept = drafts.get(&changed.id, Detail::Headers).await.unwrap();
    assert_eq!(kept.message.cc[0].address(), "office@xn--bcher-kva.example");
}

#[tokio::test]
async fn a_change_over_somebody_elses_is_a_conflict() {
    let (emulator, mailbox) = start().await;
    let drafts = mailbox.drafts().unwrap();
    let draft = drafts
        .create(&unfinished().to(OTHER.parse().unwrap()))
        .await
        .unwrap();
    let theirs = DraftEdit::new().subject("Theirs");
    let latest = drafts.update(&draft.id, None, &theirs).await.unwrap();
    let ours = DraftEdit::new().subject("Ours");
    let refused = drafts.update(&draft.id, Some(&draft.revision), &ours).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    let refused = mailbox.send_draft(&draft.id, Some(&draft.revision)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);

    // Between looking and changing: the service itself notices.
    let meanwhile = Fault::new(FaultKind::graph_error(412, "ErrorIrresolvableConflict", ""));
    emulator.fault(meanwhile.on(Method::PATCH, "/messages/"));
    let refused = drafts
        .update(&draft.id, Some(&latest.revision), &ours)
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);

    // Between the two steps of sending it.
    let key = SendKey::new("draft-7");
    let ticket = drafts
        .prepare(&draft.id, Some(&latest.revision), &key)
        .await
        .unwrap();
    drafts.update(&draft.id, None, &ours).await.unwrap();
    let refused = mailbox.dispatch(&ticket).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(refused.delivery(), Delivery::NotSent);
    assert_eq!(
        mailbox.confirm(&ticket).await.unwrap(),
        Confirmation::NotSent
    );
    assert!(emulator.messages(OTHER).is_empty());

    let ticket = drafts.prepare(&draft.id, None, &key).await.unwrap();
    mailbox.dispatch(&ticket).await.unwrap();
    emulator.release_sent_copies(OUTLOOK);
    // Once more is not twice.
    mailbox.dispatch(&ticket).await.unwrap();
    assert_eq!(found(&emulator, OTHER, "Ours").len(), 1);
}

#[tokio::test]
async fn a_process_that_died_after_it_prepared_a_draft_is_in_nobodys_way() {
    let (emulator, mailbox) = start().await;
    let drafts = mailbox.drafts().unwrap();
    let draft = unfinished().to(OTHER.parse().unwrap());
    let draft = drafts
        .create(&draft.attach(file("a.zip", 5_000)))
        .await
        .unwrap();
    let key = SendKey::new("draft-7");
    let expected = Some(&draft.revision);
    // Its ticket is noted nowhere.
    drafts.prepare(&draft.id, expected, &key).await.unwrap();
    let other = SendKey::new("draft-8");
    let refused = drafts.prepare(&draft.id, expected, &other).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    drafts.prepare(&draft.id, expected, &key).await.unwrap();
    // What somebody wrote since is not sent as what was read.
    let theirs = DraftEdit::new().text("All of it");
    drafts.update(&draft.id, None, &theirs).await.unwrap();
    let refused = mailbox.send_draft_once(&key, &draft.id, expected).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);

    let latest = drafts.get(&draft.id, Detail::Ids).await.unwrap();
    let expected = Some(&latest.revision);
    drafts.prepare(&draft.id, expected, &key).await.unwrap();
    mailbox
        .send_draft_once(&key, &draft.id, expected)
        .await
        .unwrap();
    emulator.release_sent_copies(OUTLOOK);
    assert_eq!(found(&emulator, OTHER, "The report").len(), 1);
}

#[tokio::test]
async fn what_is_no_draft_is_neither_changed_nor_sent_nor_thrown_away() {
    let (emulator, mailbox) = start().await;
    let drafts = mailbox.drafts().unwrap();
    emulator.deliver(
        OUTLOOK,
        b"From: a@shop.example\r\nSubject: Received\r\n\r\nText\r\n",
    );
    let mut inbox = mailbox.messages(Query::inbox());
    let received = DraftId::from(inbox.try_next().await.unwrap().unwrap().id.as_str());
    let discarded = drafts.create(&unfinished()).await.unwrap().id;
    drafts.discard(&discarded).await.unwrap();
    let left = found(&emulator, OUTLOOK, "The report");
    assert_eq!(left[0].folders, ["deleteditems"]);
    for id in [received, discarded] {
        let edit = DraftEdit::new().subject("Changed");
        let refusals = [
            drafts.get(&id, Detail::Headers).await.err(),
            drafts.update(&id, None, &edit).await.err(),
            drafts.prepare(&id, None, &SendKey::new("k")).await.err(),
            drafts.discard(&id).await.err(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap().kind(), ErrorKind::NotFound);
        }
    }
    assert_eq!(found(&emulator, OUTLOOK, "Received").len(), 1);
    let nobody = drafts.create(&unfinished()).await.unwrap();
    let refused = mailbox.send_draft(&nobody.id, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn drafts_need_access_to_drafts() {
    let (emulator, _) = start().await;
    let token = StaticToken::new(emulator.access_token(OUTLOOK));
    let connection = Connection::new(transport(&emulator), Arc::new(token));
    let outlook = Outlook::new(connection.with_regime(Regime::Off))
        .unwrap()
        .with_access(Access::READ | Access::SEND)
        .with_api_endpoint(emulator.microsoft().base_url.clone())
        .unwrap();
    assert!(!outlook.capabilities().drafts);
    assert!(!outlook.capabilities().scheduled_send);
    let refused = outlook.drafts().unwrap().create(&unfinished()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    let later = unfinished()
        .to(OTHER.parse().unwrap())
        .send_at("2027-01-01T08:00:00Z".parse().unwrap());
    let refused = outlook.prepare(&later, &SendKey::new("k")).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(everything().contains(Access::DRAFT));
}

#[tokio::test]
async fn a_mailbox_writes_as_the_addresses_at_which_it_receives() {
    let (emulator, mailbox) = start().await;
    for (mailbox, address) in [(mailbox, OUTLOOK), (unpaced(&emulator, OTHER), OTHER)] {
        let known = mailbox.identities().unwrap().list().await.unwrap();
        assert_eq!(known[0].address.address(), address);
        assert!(known[0].default && known[0].primary);
        assert_eq!(known[0].verified, None);
        let alias = known.iter().filter(|one| !one.primary).count();
        assert_eq!(alias, known.len() - 1);
    }
}

const ELSEWHERE: &[u8] = b"From: Shop <billing@shop.example>\r\nTo: reader@outlook.example\r\n\
    Subject: An old invoice\r\nDate: Tue, 3 Feb 2015 10:30:00 +0000\r\nMessage-ID: <2015@shop.example>\r\n\
    In-Reply-To: <order@outlook.example>\r\nReferences: <order@outlook.example>\r\nX-Shop: 9\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/html\r\n\r\n<p>Attached</p>\r\n\
    --b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=invoice.pdf\r\n\
    Content-Transfer-Encoding: base64\r\n\r\naW52b2ljZQ==\r\n--b--\r\n";

#[tokio::test]
async fn imported_mail_is_no_draft_and_keeps_its_date_and_files() {
    let (emulator, mailbox) = start().await;
    let receipts = mailbox.create_folder("Old receipts", None).await.unwrap();
    let options = ImportOptions::new()
        .folder(receipts.id.clone())
        .folder(FolderId::from("sentitems"))
        .keyword(Keyword::Seen)
        .keyword(Keyword::Flagged)
        .keyword(Keyword::Custom("Red category".to_owned()))
        .keyword(Keyword::Answered);
    let imported = mailbox.import(ELSEWHERE.to_vec(), &options).await.unwrap();
    assert_eq!(
        imported.lost,
        [
            ImportLoss::Bytes,
            ImportLoss::Folder(FolderId::from("sentitems")),
            ImportLoss::Keyword(Keyword::Answered),
        ]
    );
    let read = mailbox.message(&imported.id).await.unwrap();
    let date = "2015-02-03T10:30:00Z".parse().unwrap();
    assert_eq!((read.received_at, read.sent_at), (Some(date), Some(date)));
    assert_eq!(read.folders, Some(vec![receipts.id]));
    for keyword in [
        Keyword::Seen,
        Keyword::Flagged,
        Keyword::Custom("Red category".to_owned()),
    ] {
        assert!(read.has(&keyword), "{keyword:?}");
    }
    assert!(!read.has(&Keyword::Draft));
    assert_eq!(read.from[0].address(), "billing@shop.example");
    assert_eq!(read.message_id.as_deref(), Some("2015@shop.example"));
    assert_eq!(read.in_reply_to, ["order@outlook.example"]);
    assert_eq!(read.header("X-Shop"), Some("9"));
    assert!(read.body.html.unwrap().contains("Attached"));
    let file = &read.attachments[0];
    assert_eq!(file.name.as_deref(), Some("invoice.pdf"));
    let bytes: Vec<Bytes> = mailbox
        .attachment(&imported.id, &file.id)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(bytes.concat(), b"invoice");
    assert_eq!(emulator.messages(OUTLOOK).len(), 1);

    let at = "2020-05-06T07:08:09Z".parse().unwrap();
    let options = ImportOptions::new().date(ImportDate::At(at));
    let imported = mailbox.import(ELSEWHERE.to_vec(), &options).await.unwrap();
    let read = mailbox.message(&imported.id).await.unwrap();
    assert_eq!(read.received_at, Some(at));
    let archive = mailbox.folder(FolderRole::Archive).await.unwrap().id;
    assert_eq!(read.folders, Some(vec![archive]));
    assert!(!read.has(&Keyword::Seen));
}

#[tokio::test]
async fn what_cannot_be_imported_whole_is_not_imported() {
    let (emulator, mailbox) = start().await;
    let large = "QUJD\r\n".repeat(1_100_000);
    let head = String::from_utf8_lossy(ELSEWHERE).replace("aW52b2ljZQ==\r\n", &large);
    let options = ImportOptions::new();
    let refused = mailbox.import(head.into_bytes(), &options).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    let endless = Content::new(37 * 1024 * 1024, |_| async {
        Err::<postroom::ByteStream, _>(std::io::Error::other("never read"))
    });
    let refused = mailbox.import(endless, &options).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    let gone = FolderId::from("gone-folder");
    let options = options.folder(gone);
    let refused = mailbox.import(ELSEWHERE.to_vec(), &options).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(emulator.messages(OUTLOOK).is_empty());
}
