//! What both services tell of the same mail.

use std::collections::BTreeMap;

use base64::Engine as _;
use futures_util::TryStreamExt;
use postroom::facts::{
    Automatic, CalendarMethod, EnhancedStatus, ProtectionKind, ProtectionStandard, Relation,
    Report, Verdict,
};
use postroom::{Detail, Mailbox, Message, PageRequest, Query};

use crate::support;
use crate::support::{GMAIL, OUTLOOK};

/// The messages that the emulator starts with, by what stands before the `@` of their ids.
async fn seeds(mailbox: &Mailbox) -> BTreeMap<String, Message> {
    let page = PageRequest::first().with_size(50);
    let messages: Vec<Message> = mailbox
        .messages_with(Query::All, Detail::Full, page)
        .try_collect()
        .await
        .unwrap();
    let name =
        |message: &Message| Some(message.message_id.as_deref()?.split('@').next()?.to_owned());
    messages
        .into_iter()
        .filter_map(|message| Some((name(&message)?, message)))
        .collect()
}

#[tokio::test]
async fn both_services_tell_the_same_of_the_same_mail() {
    let emulator = postroom::emulator::Emulator::builder()
        .record(std::env::var_os("POSTROOM_RECORD").map(std::path::PathBuf::from))
        .start()
        .await
        .unwrap();
    for address in [GMAIL, OUTLOOK] {
        let mailbox = support::mailbox(&emulator, address);
        let seeds = seeds(&mailbox).await;
        let told = |name: &str| {
            seeds
                .get(name)
                .unwrap_or_else(|| panic!("{address} lacks {name}"))
                .facts()
        };

        let newsletter = told("issue-48");
        assert_eq!(
            newsletter.list.unwrap().id.as_deref(),
            Some("weekly.news.example")
        );
        let leave = newsletter.unsubscribe.unwrap();
        assert_eq!(
            leave.one_click.unwrap().url.as_str(),
            "https://news.example/unsubscribe/48"
        );
        assert_eq!(leave.mail[0].to[0].address(), "unsubscribe@news.example");
        assert_eq!(newsletter.automatic, Some(Automatic::Generated));
        assert!(newsletter.bulk);

        assert_eq!(told("flowed-1").relation, Relation::Reply);
        // Gmail keeps the text as it was sent and says how it was wrapped; Graph makes HTML of it.
        let text = seeds["flowed-1"].text_view().unwrap();
        let paragraph = if address == GMAIL {
            "one paragraph for the reader?"
        } else {
            "still one paragraph"
        };
        assert!(text.contains(paragraph), "{text}");
        assert_eq!(told("fwd-2").relation, Relation::Forward);
        assert_eq!(told("window-3").relation, Relation::Reply);
        assert_eq!(told("welcome-1").relation, Relation::Original);
        let [signed] = told("maintenance-1").protection[..] else {
            panic!("{address} does not tell that it is signed");
        };
        assert_eq!(
            (signed.standard, signed.kind),
            (ProtectionStandard::PgpMime, ProtectionKind::Signed)
        );
        assert_eq!(told("planning-1").calendar.len(), 1);

        // What the service lists tells that it is a bounce, and of whom; the message itself, why.
        let Some(Report::Delivery(report)) = told("dsn-550").report else {
            panic!("{address}: not seen as a bounce");
        };
        assert_eq!(report.recipients[0].address, "nobody@shop.example");
        let bounce = mailbox.facts(&seeds["dsn-550"].id).await.unwrap();
        assert!(bounce.answer_suppressed);
        let Some(Report::Delivery(report)) = bounce.report else {
            panic!("{address}: not seen as a bounce");
        };
        assert_eq!(report.recipients[0].status, Some(EnhancedStatus(5, 1, 1)));
        assert_eq!(
            report.original.message_id.as_deref(),
            Some("question-1@mailbox.example")
        );
        let invitation = mailbox
            .facts(&seeds["planning-1"].id)
            .await
            .unwrap()
            .calendar;
        assert_eq!(invitation[0].method, Some(CalendarMethod::Request));
        assert_eq!(
            invitation[0].uid.as_deref(),
            Some("planning-1@office.example")
        );

        for message in seeds.values() {
            // Both ways agree on what both can know.
            let (listed, whole) = (message.facts(), mailbox.facts(&message.id).await.unwrap());
            let name = message.message_id.as_deref().unwrap_or_default();
            assert_eq!(listed.relation, whole.relation, "{address} {name}");
            assert_eq!(listed.automatic, whole.automatic, "{address} {name}");
            assert_eq!(listed.list, whole.list, "{address} {name}");
            assert_eq!(listed.unsubscribe, whole.unsubscribe, "{address} {name}");
            assert_eq!(
                listed.report.is_some(),
                whole.report.is_some(),
                "{address} {name}"
            );
        }
    }
}

#[tokio::test]
async fn what_outlook_hid_attachments_in_is_fetched_by_the_id_that_is_told() {
    // The signature of the format, and a key.
    let hidden = b"\x78\x9f\x3e\x22\x01\x00\xff";
    let encoded = base64::engine::general_purpose::STANDARD.encode(hidden);
    let emulator = support::emulator().quota(false).start().await.unwrap();
    for (type_and_name, count) in [
        ("application/ms-tnef; name=\"winmail.dat\"", 1),
        ("application/octet-stream; name=\"winmail.dat\"", 1),
        ("application/octet-stream; name=\"mail.dat\"", 0),
    ] {
        let raw = format!(
            "From: sender@shop.example\r\nSubject: Offer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain\r\n\r\nAttached.\r\n--b\r\nContent-Type: text/csv; name=prices.csv\r\n\
             Content-Disposition: attachment; filename=prices.csv\r\n\r\n1;2\r\n--b\r\nContent-Type: {type_and_name}\r\n\
             Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--b--\r\n"
        );
        for address in [GMAIL, OUTLOOK] {
            emulator.deliver(address, raw.as_bytes());
            let mailbox = support::unpaced(&emulator, address);
            let page = PageRequest::first().with_size(1);
            let mut newest = mailbox.messages_with(Query::inbox(), Detail::Full, page);
            let message = newest.try_next().await.unwrap().unwrap();
            assert_eq!(message.attachments.len(), 2, "{address} {type_and_name}");
            let facts = message.facts();
            assert_eq!(facts.tnef, count > 0, "{address} {type_and_name}");
            let ids = facts.tnef_attachments;
            assert_eq!(ids.len(), count, "{address} {type_and_name}");
            for id in ids {
                let stream = mailbox.attachment(&message.id, &id).await.unwrap();
                let bytes: Vec<_> = stream.try_collect().await.unwrap();
                assert_eq!(bytes.concat(), hidden, "{address} {type_and_name}");
            }
        }
    }
}

#[tokio::test]
async fn each_service_is_believed_under_its_own_name() {
    let emulator = support::emulator().start().await.unwrap();
    for (address, own, forged) in [
        (
            GMAIL,
            "mx.google.com; dmarc=pass header.from=shop.example",
            "spf=pass; dmarc=fail",
        ),
        (
            OUTLOOK,
            "spf=pass smtp.mailfrom=shop.example; dmarc=pass header.from=shop.example",
            "mx.google.com; dmarc=fail",
        ),
    ] {
        let mail = format!(
            "Authentication-Results: {forged}\r\nAuthentication-Results: {own}\r\nFrom: billing@shop.example\r\nTo: {address}\r\n\
             Subject: The bill\r\nMessage-ID: <bill-1@shop.example>\r\n\r\nIt is due.\r\n"
        );
        emulator.deliver(address, mail.as_bytes());
        let mailbox = support::mailbox(&emulator, address);
        let message = mailbox
            .messages_with(Query::All, Detail::Full, PageRequest::first())
            .try_next()
            .await
            .unwrap()
            .unwrap();
        let server = mailbox
            .capabilities()
            .authentication_server
            .clone()
            .unwrap();
        let found = message.authentication(&server).unwrap();
        assert_eq!(found.dmarc(), Some(&Verdict::Pass), "{address}");
    }
}
