//! What becomes of a send at Outlook, and of everything that was asked of it, against the emulated service with its delays,
//! its users and its faults.

use crate::graph_client;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{OUTLOOK, emulator, mailbox_on, transport, unpaced};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use http::Method;
use postroom::clock::Clock as _;
use postroom::credentials::StaticToken;
use postroom::emulator::{EmulatedMessage, Emulator, EmulatorBuilder, Fault, FaultKind};
use postroom::http::{Connection, Regime};
use postroom::testing::VirtualClock;
use postroom::{
    AnswerKind, Answers, Confirmation, Delivery, DraftId, ErrorKind, Importance, Invitation,
    Keyword, ListUnsubscribe, Mailbox, Outgoing, OutgoingAttachment, OutgoingHeader, Query,
    SendKey,
};
use serde_json::json;

const OTHER: &str = "team@outlook.example";

/// More than goes at once, in either way: the message is put together, and the file comes in two pieces.
const LONG: usize = 3_300_000;

async fn start(builder: EmulatorBuilder) -> (Emulator, Mailbox) {
    let emulator = builder.quota(false).start().await.unwrap();
    let mailbox = unpaced(&emulator, OUTLOOK);
    (emulator, mailbox)
}

/// The same on a clock that stands still.
async fn start_by_hand() -> (Emulator, Mailbox, VirtualClock) {
    let now: DateTime<Utc> = "2026-11-22T08:00:00Z".parse().unwrap();
    let clock = VirtualClock::by_hand(now);
    let emulator = emulator().clock(Arc::new(clock.clone())).quota(false);
    let emulator = emulator.start().await.unwrap();
    let token = StaticToken::new(emulator.access_token(OUTLOOK));
    let connection = Connection::new(transport(&emulator), Arc::new(token));
    let connection = connection
        .with_clock(Arc::new(clock.clone()))
        .with_regime(Regime::Off);
    let mailbox = mailbox_on(&emulator, connection, OUTLOOK);
    (emulator, mailbox, clock)
}

fn outgoing() -> Outgoing {
    Outgoing::new()
        .to(OTHER.parse().unwrap())
        .subject("The report")
        .text("Attached.")
}

fn key() -> SendKey {
    SendKey::new("outbox-7")
}

fn file(length: usize) -> OutgoingAttachment {
    let bytes: Vec<u8> = (0..length).map(|place| (place / 1000) as u8).collect();
    OutgoingAttachment::new("large.zip", "application/zip", bytes)
}

fn with_subject(emulator: &Emulator, address: &str, subject: &str) -> Vec<EmulatedMessage> {
    let subject = format!("Subject: {subject}\r\n");
    let has = |message: &EmulatedMessage| String::from_utf8_lossy(&message.raw).contains(&subject);
    emulator.messages(address).into_iter().filter(has).collect()
}

fn is_unknown(confirmation: &Confirmation) -> bool {
    matches!(
        confirmation,
        Confirmation::StillUnknown {
            ask_again_at: Some(_)
        }
    )
}

#[tokio::test]
async fn a_send_is_confirmed_only_once_its_copy_is_there() {
    let (emulator, mailbox) = start(emulator().sent_copies_after(u32::MAX)).await;
    let ticket = mailbox.prepare(&outgoing(), &key()).await.unwrap();
    assert_eq!(
        mailbox.confirm(&ticket).await.unwrap(),
        Confirmation::NotSent
    );
    emulator.fault(Fault::new(FaultKind::DropAfter).on(Method::POST, "/send"));
    let lost = mailbox.dispatch(&ticket).await.unwrap_err();
    assert_eq!(lost.delivery(), Delivery::Unknown);
    assert!(is_unknown(&mailbox.confirm(&ticket).await.unwrap()));
    // What is on its way is not sent again.
    let again = mailbox.dispatch(&ticket).await.unwrap_err();
    assert_eq!(again.delivery(), Delivery::Unknown);
    emulator.release_sent_copies(OUTLOOK);
    let Confirmation::Sent(sent) = mailbox.confirm(&ticket).await.unwrap() else {
        panic!("it was sent");
    };
    assert_eq!(mailbox.dispatch(&ticket).await.unwrap(), sent);
    let copy = mailbox.message(&sent.id.unwrap()).await.unwrap();
    assert_eq!(copy.subject.as_deref(), Some("The report"));
    assert_eq!(with_subject(&emulator, OTHER, "The report").len(), 1);
}

#[tokio::test]
async fn a_draft_that_the_user_threw_away_was_not_sent() {
    let (emulator, mailbox) = start(emulator()).await;
    let ticket = mailbox.prepare(&outgoing(), &key()).await.unwrap();
    emulator.discard_drafts(OUTLOOK);
    assert_eq!(
        mailbox.confirm(&ticket).await.unwrap(),
        Confirmation::NotSent
    );
    // The service would send it from there.
    let refused = mailbox.dispatch(&ticket).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.delivery()),
        (ErrorKind::NotFound, Delivery::NotSent)
    );
    assert!(emulator.messages(OTHER).is_empty());
    // Gone for good, it proves nothing either way.
    let trashed: Vec<_> = mailbox
        .messages(Query::InFolder("deleteditems".into()))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(trashed.len(), 1);
    mailbox.delete(&[trashed[0].id.clone()]).await.unwrap();
    let failed = mailbox.dispatch(&ticket).await.unwrap_err();
    assert_eq!(failed.delivery(), Delivery::Unknown);
    assert!(is_unknown(&mailbox.confirm(&ticket).await.unwrap()));
    assert!(emulator.messages(OTHER).is_empty());
}

#[tokio::test]
async fn an_id_that_did_not_last_is_made_up_for_by_the_key() {
    for key in [
        SendKey::new("it's mine"),
        SendKey::new("O'Neill & 100% + ü"),
    ] {
        let (emulator, mailbox) = start(emulator().ids_change_on_send(true)).await;
        let ticket = mailbox.prepare(&outgoing(), &key).await.unwrap();
        let told = mailbox.dispatch(&ticket).await.unwrap();
        emulator.release_sent_copies(OUTLOOK);
        let Confirmation::Sent(sent) = mailbox.confirm(&ticket).await.unwrap() else {
            panic!("its copy says so");
        };
        assert_ne!(sent.id, told.id);
        let copy = mailbox.message(&sent.id.unwrap()).await.unwrap();
        assert!(!copy.has(&Keyword::Draft));
    }
}

#[tokio::test]
async fn what_a_lost_answer_or_a_dead_process_left_is_not_left_twice() {
    let (emulator, mailbox, clock) = start_by_hand().await;
    // The draft is made, and nobody hears of it.
    let dropped = || Fault::new(FaultKind::DropAfter).on(Method::POST, "/me/messages");
    emulator.fault(dropped());
    mailbox.prepare(&outgoing(), &key()).await.unwrap();
    assert_eq!(emulator.messages(OUTLOOK).len(), 1);
    // The process dies before it has noted the ticket, and later another begins again.
    clock.advance(Duration::from_secs(600));
    let ticket = mailbox.prepare(&outgoing(), &key()).await.unwrap();
    let drafts = |emulator: &Emulator| {
        let all = emulator.messages(OUTLOOK).into_iter();
        all.filter(|message| message.folders == ["drafts"]).count()
    };
    assert_eq!(drafts(&emulator), 1);
    // A draft that is put together in parts is found by the key.
    emulator.fault(dropped());
    let large = outgoing().subject("Large").attach(file(LONG));
    let other = mailbox
        .prepare(&large, &SendKey::new("outbox-8"))
        .await
        .unwrap();
    assert_eq!(drafts(&emulator), 2);
    for ticket in [ticket, other] {
        mailbox.dispatch(&ticket).await.unwrap();
    }
    assert_eq!(emulator.messages(OTHER).len(), 2);
}

#[tokio::test]
async fn what_another_process_may_be_sending_is_neither_thrown_away_nor_called_back() {
    let (emulator, mailbox, clock) = start_by_hand().await;
    let first = mailbox.prepare(&outgoing(), &key()).await.unwrap();
    clock.advance(Duration::from_secs(590));
    let second = mailbox.prepare(&outgoing(), &key()).await.unwrap();
    mailbox.dispatch(&first).await.unwrap();
    assert_eq!(emulator.messages(OTHER).len(), 1);
    // What was thrown away as left behind is not sent by who still holds its ticket.
    clock.advance(Duration::from_secs(600));
    mailbox.prepare(&outgoing(), &key()).await.unwrap();
    let refused = mailbox.dispatch(&second).await.unwrap_err();
    assert_eq!(refused.delivery(), Delivery::NotSent);
    assert_eq!(emulator.messages(OTHER).len(), 1);
}

#[tokio::test]
async fn an_upload_survives_broken_connections_and_lost_sessions() {
    let emulator = emulator().quota(false).start().await.unwrap();
    let token = StaticToken::new(emulator.access_token(OUTLOOK));
    let connection = Connection::new(transport(&emulator), Arc::new(token));
    // Nobody waits between the tries.
    let clock = Arc::new(VirtualClock::eager(Utc::now()));
    let connection = connection.with_clock(clock).with_regime(Regime::Off);
    let mailbox = mailbox_on(&emulator, connection, OUTLOOK);
    let put = |kind| Fault::new(kind).on(Method::PUT, "/attachment-upload/");
    for faults in [
        // The first piece is lost, then sent; of the last one only the answer is, and the session is gone with it.
        [
            put(FaultKind::DropBefore),
            put(FaultKind::DropAfter).after(1),
        ],
        [put(FaultKind::DropAfter), put(FaultKind::not_found())],
    ] {
        for fault in faults {
            emulator.fault(fault);
        }
        let message = outgoing().attach(file(LONG)).attach(file(100));
        let sent = mailbox.send(&message).await.unwrap();
        emulator.release_sent_copies(OUTLOOK);
        let copy = mailbox.message(&sent.id.unwrap()).await.unwrap();
        assert_eq!(copy.attachments.len(), 2);
        for attachment in &copy.attachments {
            let stream = mailbox.attachment(&copy.id, &attachment.id).await.unwrap();
            let bytes: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
            let bytes = bytes.concat();
            assert!(bytes.len() == LONG || bytes.len() == 100);
            let right = |(place, byte): (usize, &u8)| *byte == (place / 1000) as u8;
            assert!(bytes.iter().enumerate().all(right));
        }
    }
}

fn demanding() -> Outgoing {
    let unsubscribe = "https://shop.example/leave".parse().unwrap();
    Outgoing::new()
        .to(OTHER.parse().unwrap())
        .reply_to("support@desk.example".parse().unwrap())
        .subject("Everything")
        .html("<p>Hello</p>")
        .importance(Importance::High)
        .read_receipt_to(OUTLOOK.parse().unwrap())
        .list_unsubscribe(ListUnsubscribe::page(unsubscribe).unwrap())
        .header(OutgoingHeader::new("X-Order", "9").unwrap())
        .answering("first@shop.example", None)
}

#[tokio::test]
async fn a_message_keeps_what_was_asked_for_however_long_it_is() {
    for length in [1_000, LONG] {
        let (emulator, mailbox) = start(emulator()).await;
        mailbox
            .send(&demanding().attach(file(length)))
            .await
            .unwrap();
        let arrived = with_subject(&emulator, OTHER, "Everything").remove(0);
        let raw = String::from_utf8_lossy(&arrived.raw);
        let (head, _) = raw.split_once("\r\n\r\n").unwrap();
        let head = head
            .replace("\r\n ", " ")
            .replace("\r\n\t", " ")
            .to_lowercase();
        for line in [
            "importance: high",
            "disposition-notification-to:",
            "list-unsubscribe: <https://shop.example/leave>",
            "x-order: 9",
            "in-reply-to: <first@shop.example>",
            "references: <first@shop.example>",
            "reply-to:",
        ] {
            assert!(head.contains(line), "{length}: {line} is missing in {head}");
        }
    }
}

#[tokio::test]
async fn what_a_long_message_could_not_keep_is_refused_and_leaves_nothing() {
    let (emulator, mailbox) = start(emulator()).await;
    let one_click = ListUnsubscribe::one_click("https://shop.example/leave".parse().unwrap());
    let header = |name: &str| OutgoingHeader::new(name, "1").unwrap();
    let calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n";
    let many = (0..6).fold(outgoing(), |message, number| {
        message.header(header(&format!("X-Number-{number}")))
    });
    for message in [
        many,
        outgoing().header(header("Auto-Submitted")),
        outgoing().list_unsubscribe(one_click.unwrap()),
        outgoing().read_receipt_to("billing@shop.example".parse().unwrap()),
        outgoing().invitation(Invitation::new(calendar).unwrap()),
    ] {
        mailbox.prepare(&message.clone(), &key()).await.unwrap();
        let before = emulator.messages(OUTLOOK).len();
        let refused = mailbox
            .prepare(&message.attach(file(LONG)), &SendKey::new("l"))
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(emulator.messages(OUTLOOK).len(), before);
    }
}

#[tokio::test]
async fn a_long_answer_is_the_services_own_and_leaves_the_original_unread() {
    let (emulator, mailbox) = start(emulator()).await;
    emulator.deliver(
        OUTLOOK,
        b"From: team@outlook.example\r\nTo: reader@outlook.example\r\nSubject: Question\r\n\
          Message-ID: <q@outlook.example>\r\n\r\nWhat now?\r\n",
    );
    let mut inbox = mailbox.messages(Query::inbox());
    let original = inbox.try_next().await.unwrap().unwrap();
    for kind in [AnswerKind::Reply, AnswerKind::ReplyAll, AnswerKind::Forward] {
        let answer = outgoing()
            .answers(Answers::new(original.id.clone(), kind))
            .attach(file(LONG));
        let sent = mailbox.send(&answer).await.unwrap();
        emulator.release_sent_copies(OUTLOOK);
        assert_eq!(sent.thread, original.thread, "{kind:?}");
        let copy = mailbox.message(&sent.id.unwrap()).await.unwrap();
        assert_eq!(copy.subject.as_deref(), Some("The report"));
        assert_eq!(copy.to.len(), 1);
        assert_eq!(copy.attachments.len(), 1);
    }
    // What was asked for beyond that is not lost.
    for (subject, header) in [("Plain", None), ("With a header", Some("X-Order"))] {
        let mut answer = outgoing()
            .subject(subject)
            .answers(Answers::new(original.id.clone(), AnswerKind::Reply))
            .attach(file(LONG));
        answer.in_reply_to = Some("other@shop.example".to_owned());
        answer.references = vec!["other@shop.example".to_owned()];
        let headers = header.map(|name| OutgoingHeader::new(name, "9").unwrap());
        answer.headers.extend(headers);
        mailbox.send(&answer).await.unwrap();
        let arrived = with_subject(&emulator, OTHER, subject).remove(0);
        let raw = String::from_utf8_lossy(&arrived.raw);
        assert!(
            raw.contains("In-Reply-To: <other@shop.example>\r\n"),
            "{subject}"
        );
        assert!(
            raw.contains("References: <other@shop.example>\r\n"),
            "{subject}"
        );
        assert_eq!(raw.contains("X-Order: 9\r\n"), header.is_some());
    }
    let now = mailbox.message(&original.id).await.unwrap();
    assert!(!now.has(&Keyword::Seen));
    // An original that is gone is no reason not to answer.
    mailbox
        .delete(std::slice::from_ref(&original.id))
        .await
        .unwrap();
    let answer = outgoing()
        .answers(Answers::new(original.id, AnswerKind::Reply))
        .attach(file(LONG));
    mailbox.send(&answer).await.unwrap();
    assert_eq!(with_subject(&emulator, OTHER, "The report").len(), 4);
}

#[tokio::test]
async fn a_scheduled_message_leaves_when_it_should_or_is_called_back() {
    let (emulator, mailbox, clock) = start_by_hand().await;
    let now = clock.now();
    let later = now + Duration::from_secs(1_800);
    assert!(mailbox.capabilities().scheduled_send);
    for (subject, length) in [("Short", 10), ("Long", LONG)] {
        let message = outgoing()
            .subject(subject)
            .send_at(later)
            .attach(file(length));
        let ticket = mailbox
            .prepare(&message, &SendKey::new(subject))
            .await
            .unwrap();
        mailbox.dispatch(&ticket).await.unwrap();
        let Confirmation::StillUnknown { ask_again_at } = mailbox.confirm(&ticket).await.unwrap()
        else {
            panic!("it waits");
        };
        assert!(ask_again_at.unwrap() > later);
        assert!(with_subject(&emulator, OTHER, subject).is_empty());
    }
    let back = outgoing().subject("Called back").send_at(later);
    let back = mailbox.prepare(&back, &key()).await.unwrap();
    let sent = mailbox.dispatch(&back).await.unwrap();
    let waiting = DraftId::from(sent.id.unwrap().as_str());
    mailbox.drafts().unwrap().discard(&waiting).await.unwrap();
    assert_eq!(mailbox.confirm(&back).await.unwrap(), Confirmation::NotSent);

    clock.advance(Duration::from_secs(1_900));
    for subject in ["Short", "Long"] {
        assert_eq!(with_subject(&emulator, OTHER, subject).len(), 1);
    }
    assert!(with_subject(&emulator, OTHER, "Called back").is_empty());
    assert_eq!(mailbox.confirm(&back).await.unwrap(), Confirmation::NotSent);
}

#[tokio::test]
async fn properties_are_found_shown_and_set_only_by_their_whole_ids() {
    let graph = graph_client::Graph::unrecorded().await;
    let id = "String {00020329-0000-0000-C000-000000000046} Name Order";
    let property = |id: &str, value: &str| json!({"subject": "Marked", "singleValueExtendedProperties": [{"id": id, "value": value}]});
    for (wrong, value) in [
        ("Order", "7"),
        ("Text 0x1042", "7"),
        ("String 1042", "7"),
        ("String {00020329} Name Order", "7"),
        ("SystemTime 0x3FEF", "tomorrow"),
        ("Integer 0x0E07", "read"),
    ] {
        let refused = graph.post("/me/messages", property(wrong, value)).await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
    let made = graph.post("/me/messages", property(id, "7")).await;
    assert_eq!(made.status, 201);
    assert!(made.json().get("singleValueExtendedProperties").is_none());
    let filter = |text: &str| {
        let filter = graph_client::encoded(text);
        format!("/me/messages?$select=id&$filter={filter}")
    };
    let any = "singleValueExtendedProperties/Any(ep: ";
    let found = graph
        .get(&filter(&format!(
            "{any}ep/id eq '{id}' and ep/value eq '7')"
        )))
        .await;
    assert_eq!(found.json()["value"].as_array().unwrap().len(), 1);
    for wrong in [
        format!("{any}ep/id eq '{id}')"),
        format!("{any}ep/value eq '7' and ep/id eq '{id}')"),
        format!("{any}ep/id eq 'Order' and ep/value eq '7')"),
    ] {
        assert_eq!(graph.get(&filter(&wrong)).await.status, 400, "{wrong}");
    }
    let message = made.json()["id"].as_str().unwrap().to_owned();
    let headers = json!({"internetMessageHeaders": [{"name": "X-Order", "value": "7"}]});
    let path = format!("/me/messages/{message}");
    let refused = graph.patch(&path, headers).await;
    assert_eq!(
        refused.status, 400,
        "header lines come with the message or not at all"
    );
    let expand = |options: &str| {
        let options = graph_client::encoded(options);
        format!("/me/messages/{message}?$select=id&$expand=singleValueExtendedProperties{options}")
    };
    let shown = graph.get(&expand(&format!("($filter=id eq '{id}')"))).await;
    let shown = &shown.json()["singleValueExtendedProperties"][0];
    // It comes back in lower case.
    assert_eq!(
        *shown,
        json!({"id": "string {00020329-0000-0000-c000-000000000046} name order", "value": "7"})
    );
    for wrong in ["", "($filter=value eq '7')", "($filter=id eq 'Order')"] {
        assert_eq!(graph.get(&expand(wrong)).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_emulator_marks_what_is_answered_to_all_as_read() {
    let graph = graph_client::Graph::unrecorded().await;
    let received =
        b"From: a@shop.example\r\nTo: team@outlook.example\r\nSubject: To all\r\n\r\nText\r\n";
    graph.emulator.deliver(graph_client::WORK, received);
    let id = graph.id_of("To all").await;
    for (action, is_read) in [("createReply", false), ("createReplyAll", true)] {
        let path = format!("/me/messages/{id}/{action}");
        assert_eq!(graph.post_nothing(&path).await.status, 201);
        let now = graph
            .get(&format!("/me/messages/{id}?$select=isRead"))
            .await;
        assert_eq!(now.json()["isRead"], is_read);
    }
}
