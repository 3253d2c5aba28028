//! What a message says of itself is told right: on mail as it comes, through both services, and whatever is broken in it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure in a test is a panic"
)]

mod support;

use std::collections::BTreeMap;

use base64::Engine as _;
use futures_util::TryStreamExt;
use postroom::facts::{
    AuthenticationMethod, Automatic, CalendarMethod, DeliveryAction, EnhancedStatus, Facts,
    Protection, ProtectionKind, ProtectionStandard, Relation, Report, Verdict, base_subject,
};
use postroom::{
    AuthenticationServer, Detail, Header, Mailbox, Message, MessageId, PageRequest, Query,
};
use proptest::prelude::*;
use support::{GMAIL, OUTLOOK};

/// A message of which only header lines are known.
fn with_headers(lines: &[(&str, &str)]) -> Message {
    let mut message = Message::new(MessageId::new("1"));
    message.detail = Detail::Full;
    message.headers = lines
        .iter()
        .map(|(name, value)| Header::new(*name, *value))
        .collect();
    message.subject = message.header("Subject").map(str::to_owned);
    message
}

fn facts(lines: &[(&str, &str)]) -> Facts {
    with_headers(lines).facts()
}

fn named(server: &str) -> AuthenticationServer {
    AuthenticationServer::Named(server.to_owned())
}

#[test]
fn only_the_receiving_service_is_believed_about_who_sent_a_message() {
    let message = with_headers(&[
        (
            "ARC-Authentication-Results",
            "i=1; mx.google.com; dmarc=fail header.from=shop.example",
        ),
        (
            "Authentication-Results",
            "mx.google.com (a comment; \"here\" (nested)) 1;\r\n       dkim=pass header.i=@Shop.example header.s=s1 header.b=\"a=b; c\";\r\n \
             dkim=fail (bad \\) signature) reason=\"wrong key; retry\" header.d=news.example;\r\n       spf=softfail (google.com: domain of \
             transitioning) smtp.mailfrom=bounces@shop.example;\r\n       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=shop.example",
        ),
        (
            "Authentication-Results",
            "mx.google.com; dmarc=fail header.from=shop.example",
        ),
        (
            "Authentication-Results",
            "forged.example; dmarc=pass header.from=bank.example",
        ),
    ]);
    let found = message.authentication(&named("MX.google.com")).unwrap();
    assert_eq!(found.server.as_deref(), Some("mx.google.com"));
    assert_eq!(found.dmarc(), Some(&Verdict::Pass));
    assert_eq!(found.spf(), Some(&Verdict::SoftFail));
    assert_eq!(found.dkim(), Some(&Verdict::Pass));
    assert_eq!(found.signed_by(), ["shop.example"]);
    let second = &found.results[1];
    assert_eq!(second.verdict, Verdict::Fail);
    assert_eq!(second.reason.as_deref(), Some("wrong key; retry"));
    assert_eq!(second.domain().as_deref(), Some("news.example"));
    assert_eq!(found.results[0].property("header.b"), Some("a=b; c"));

    assert!(message.authentication(&named("mx.example")).is_none());
    assert!(
        message
            .authentication(&AuthenticationServer::Unnamed)
            .is_none()
    );
}

#[test]
fn microsofts_findings_are_read_although_they_name_no_server() {
    let message = with_headers(&[
        (
            "Authentication-Results",
            "spf=pass (sender IP is 192.0.2.7)\r\n smtp.mailfrom=shop.example; dkim=none (message not signed)\r\n \
             header.d=none;dmarc=bestguesspass action=none header.from=shop.example;compauth=pass reason=109",
        ),
        (
            "Authentication-Results-Original",
            "mx.shop.example; dmarc=fail",
        ),
    ]);
    let found = message
        .authentication(&AuthenticationServer::Unnamed)
        .unwrap();
    assert_eq!(found.server, None);
    assert_eq!(found.spf(), Some(&Verdict::Pass));
    assert_eq!(found.dkim(), Some(&Verdict::None));
    assert_eq!(
        found.dmarc(),
        Some(&Verdict::Other("bestguesspass".to_owned()))
    );
    let whole = found
        .result(&AuthenticationMethod::CompositeAuthentication)
        .unwrap();
    assert_eq!(
        (&whole.verdict, whole.reason.as_deref()),
        (&Verdict::Pass, Some("109"))
    );
}

#[test]
fn findings_that_are_none_or_broken_are_read_as_far_as_they_go() {
    let read = |value: &str| {
        with_headers(&[("Authentication-Results", value)]).authentication(&named("mx.example"))
    };
    assert_eq!(read("mx.example; none").unwrap().results, []);
    assert_eq!(read("mx.example").unwrap().results, []);
    for broken in [
        "",
        ";",
        "((((",
        "mx.example; = ; ==; \"",
        "=;=",
        "mx.example; dkim=(pass",
    ] {
        let found = read(broken);
        assert!(
            found.is_none_or(|found| found.results.is_empty()),
            "{broken}"
        );
    }
}

#[test]
fn a_newsletter_says_how_to_leave_it() {
    let found = facts(&[
        (
            "List-Id",
            "=?utf-8?Q?Caf=C3=A9?= digest <Weekly.news.example>",
        ),
        ("List-Post", "NO (posting not allowed)"),
        (
            "List-Unsubscribe",
            "(use this) <https://news.example/u/48?a=1,2&b=\r\n 3>,\r\n <mailto:leave+48@news.example?subject=stop%20it+now&cc=x@y.example&body=a%0Ab>, <ftp://x.example/>, <javascript:alert(1)>",
        ),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        (
            "DKIM-Signature",
            "v=1; a=rsa-sha256; d=News.example; s=k; h=from : subject :\r\n list-unsubscribe:List-Unsubscribe-Post; b=abc",
        ),
        (
            "DKIM-Signature",
            "v=1; d=relay.example; h=from:list-unsubscribe; b=abc",
        ),
        ("Precedence", "bulk"),
    ]);
    let list = found.list.unwrap();
    assert_eq!(list.id.as_deref(), Some("Weekly.news.example"));
    assert_eq!(list.name.as_deref(), Some("Café digest"));
    assert_eq!(list.post, None);
    let leave = found.unsubscribe.unwrap();
    assert_eq!(leave.web.len(), 1);
    assert_eq!(leave.web[0].as_str(), "https://news.example/u/48?a=1,2&b=3");
    let mail = &leave.mail[0];
    assert_eq!(mail.to[0].address(), "leave+48@news.example");
    assert_eq!(mail.subject.as_deref(), Some("stop it+now"));
    assert_eq!(mail.body.as_deref(), Some("a\nb"));
    let outgoing = mail.outgoing();
    assert_eq!((outgoing.to.len(), outgoing.cc.len()), (1, 0));
    assert!(found.bulk && found.answer_suppressed);

    // One click counts only with a right signature of a domain that covers both lines.
    let click = leave.one_click.unwrap();
    assert_eq!(click.url, leave.web[0]);
    assert_eq!(click.covered_by, ["news.example"]);
    let authentic = |results: &str| {
        let message = with_headers(&[("Authentication-Results", results)]);
        click.is_authentic(&message.authentication(&named("mx.example")).unwrap())
    };
    assert!(authentic("mx.example; dkim=pass header.d=news.example"));
    assert!(!authentic("mx.example; dkim=fail header.d=news.example"));
    assert!(!authentic("mx.example; dkim=pass header.d=relay.example"));
}

#[test]
fn one_click_needs_https_and_the_second_line() {
    let one_click = |unsubscribe: &str, post: &str| {
        facts(&[
            ("List-Unsubscribe", unsubscribe),
            ("List-Unsubscribe-Post", post),
        ])
        .unsubscribe
        .and_then(|leave| leave.one_click)
    };
    let post = "List-Unsubscribe=One-Click";
    assert!(one_click("<https://news.example/u>", post).is_some());
    assert!(one_click("<http://news.example/u>", post).is_none());
    assert!(one_click("<https://user:word@news.example/u>", post).is_none());
    assert!(one_click("<mailto:u@news.example>", post).is_none());
    assert!(one_click("<https://news.example/u>", "List-Unsubscribe=Maybe").is_none());
    assert!(
        one_click("https://news.example/u", post).is_some(),
        "brackets forgotten"
    );
}

#[test]
fn machines_are_told_from_people() {
    let automatic = |lines| facts(lines).automatic;
    assert_eq!(
        automatic(&[("Auto-Submitted", "auto-generated (by a rule)")]),
        Some(Automatic::Generated)
    );
    assert_eq!(
        automatic(&[(
            "Auto-Submitted",
            "Auto-Replied; owner-email=\"a@b.example\""
        )]),
        Some(Automatic::Replied)
    );
    assert_eq!(
        automatic(&[("Auto-Submitted", "auto-notified; owner-email=x")]),
        Some(Automatic::Notified)
    );
    assert_eq!(
        automatic(&[("Auto-Submitted", "auto-something")]),
        Some(Automatic::Other)
    );
    assert_eq!(
        automatic(&[("Auto-Submitted", "no"), ("X-Autoreply", "yes")]),
        None
    );
    assert_eq!(
        automatic(&[("X-Autoreply", "yes")]),
        Some(Automatic::Replied)
    );
    assert_eq!(
        automatic(&[("Precedence", "auto_reply")]),
        Some(Automatic::Replied)
    );
    assert_eq!(automatic(&[("Subject", "Hello")]), None);

    let suppressed = |lines| facts(lines).answer_suppressed;
    assert!(suppressed(&[(
        "X-Auto-Response-Suppress",
        "DR, OOF, AutoReply"
    )]));
    assert!(suppressed(&[("X-Auto-Response-Suppress", "All")]));
    assert!(!suppressed(&[("X-Auto-Response-Suppress", "DR, RN")]));
    assert!(suppressed(&[("Return-Path", "< >")]));
    assert!(!suppressed(&[("Return-Path", "<a@b.example>")]));
}

#[test]
fn replies_and_forwards_are_told_apart_in_many_languages() {
    let relation = |subject: &str, answers: bool| {
        let mut lines = vec![("Subject", subject)];
        if answers {
            lines.push(("In-Reply-To", "<one@desk.example>"));
        }
        facts(&lines).relation
    };
    for subject in [
        "Re: x",
        "RE[2]: x",
        "Re^3 : x",
        "AW: x",
        "SV: x",
        "回复：x",
        "Odp: x",
        "[forum] Re: x",
        "Ynt: Fwd: x",
    ] {
        assert_eq!(relation(subject, false), Relation::Reply, "{subject}");
    }
    for subject in [
        "Fwd: x",
        "FW: x",
        "WG: x",
        "TR : x",
        "İLT: x",
        "转发: x",
        "RV: Re: x",
        "Weitergeleitet: x",
        "[forum][x] Fwd: y",
    ] {
        // Programs name the forwarded message in In-Reply-To as well.
        assert_eq!(relation(subject, true), Relation::Forward, "{subject}");
    }
    for subject in [
        "Window",
        "",
        "[forum] Window",
        "Reminder: x",
        "To do: x",
        "1: x",
        "[Re] x",
    ] {
        assert_eq!(relation(subject, false), Relation::Original, "{subject:?}");
        assert_eq!(relation(subject, true), Relation::Reply, "{subject:?}");
    }
    assert_eq!(
        facts(&[
            ("Subject", "x"),
            ("X-Forwarded-Message-Id", "<a@b.example>")
        ])
        .relation,
        Relation::Forward
    );
    assert!(facts(&[("X-Forwarded-To", "a@b.example")]).redirected);
    assert_eq!(
        base_subject(" AW: [forum] Re[2]: Fwd: Window: open "),
        "Window: open"
    );
    assert_eq!(base_subject("[forum] Window"), "[forum] Window");
}

#[test]
fn signed_and_encrypted_mail_is_known_by_its_types() {
    use ProtectionKind::{Encrypted, Opaque, Signed, SignedOpaque};
    use ProtectionStandard::{PgpInline, PgpMime, RightsManagement, Smime};
    let told = |raw: String| -> Vec<(ProtectionStandard, ProtectionKind)> {
        let list = Facts::from_raw(raw.as_bytes()).protection.into_iter();
        list.map(|Protection { standard, kind, .. }| (standard, kind))
            .collect()
    };
    let single = |content_type: &str, body: &str| {
        told(format!("Content-Type: {content_type}\r\n\r\n{body}"))
    };
    assert_eq!(
        single(
            "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
            "x"
        ),
        [(Smime, Encrypted)]
    );
    assert_eq!(
        single("application/x-pkcs7-mime; smime-type=\"signed-data\"", "x"),
        [(Smime, SignedOpaque)]
    );
    assert_eq!(
        single("application/pkcs7-mime; name=smime.p7m", "x"),
        [(Smime, Opaque)]
    );
    assert_eq!(
        single("application/pkcs7-mime; smime-type=certs-only", "x"),
        []
    );
    assert_eq!(
        single("text/plain", "-----BEGIN PGP MESSAGE-----\r\n\r\nx"),
        [(PgpInline, Encrypted)]
    );
    assert_eq!(
        single("text/plain", "> -----BEGIN PGP MESSAGE-----\r\n\r\nx"),
        []
    );
    let multi = |content_type: &str, part: &str| {
        told(format!(
            "Content-Type: {content_type}; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: {part}\r\n\r\nx\r\n--b--\r\n"
        ))
    };
    assert_eq!(
        multi(
            "multipart/signed; protocol=\"application/pkcs7-signature\"",
            "application/pkcs7-signature"
        ),
        [(Smime, Signed)]
    );
    assert_eq!(
        multi(
            "multipart/encrypted; protocol=\"application/pgp-encrypted\"",
            "application/octet-stream"
        ),
        [(PgpMime, Encrypted)]
    );
    assert_eq!(
        multi(
            "multipart/mixed",
            "application/x-microsoft-rpmsg-message; name=message.rpmsg"
        ),
        [(RightsManagement, Encrypted)]
    );
    assert_eq!(multi("multipart/mixed", "application/zip"), []);
}

const BOUNCE: &str = "From: mailer-daemon@mx.example\r\nContent-Type: multipart/report; report-type=\"Delivery-Status\"; boundary=b\r\n\r\n\
    --b\r\n\r\nIt failed.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
    Reporting-MTA: dns; mx.example\r\nArrival-Date: Thu, 1 Jan 2026 08:59:58 +0000\r\n\r\n\
    Original-Recipient: rfc822;Team@shop.example\r\nFinal-Recipient: rfc822; <nobody@shop.example>\r\nAction: failed\r\n\
    Status: 5.1.1 (no such mailbox)\r\nRemote-MTA: dns; in.shop.example\r\nDiagnostic-Code: smtp; 550 5.1.1\r\n no such mailbox\r\n\r\n\
    Final-Recipient: RFC822; full@shop.example\r\nAction: delayed\r\nStatus: 4.2.2\r\nWill-Retry-Until: Fri, 2 Jan 2026 08:59:58 +0000\r\n\r\n\
    Final-Recipient: rfc822; odd@shop.example\r\nAction: sent-by-pigeon\r\nStatus: fine\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <question-1@mailbox.example>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello\r\n--b--\r\n";

#[test]
fn a_bounce_says_what_became_of_which_message_for_whom() {
    let Some(Report::Delivery(report)) = Facts::from_raw(BOUNCE.as_bytes()).report else {
        panic!("not seen as a bounce");
    };
    assert_eq!(report.reporting_server.as_deref(), Some("mx.example"));
    assert_eq!(
        report.arrived_at.unwrap().to_rfc3339(),
        "2026-01-01T08:59:58+00:00"
    );
    assert_eq!(
        report.original.message_id.as_deref(),
        Some("question-1@mailbox.example")
    );
    assert_eq!(report.original.subject.as_deref(), Some("Grüße"));
    let [failed, delayed, odd] = &report.recipients[..] else {
        panic!("{} recipients", report.recipients.len());
    };
    assert_eq!(failed.address, "nobody@shop.example");
    assert_eq!(
        failed.original_address.as_deref(),
        Some("Team@shop.example")
    );
    assert_eq!(failed.action, DeliveryAction::Failed);
    assert_eq!(failed.status, Some(EnhancedStatus(5, 1, 1)));
    assert_eq!(
        failed.diagnostic.as_deref(),
        Some("550 5.1.1 no such mailbox")
    );
    assert_eq!(failed.remote_server.as_deref(), Some("in.shop.example"));
    assert!(failed.is_permanent_failure());
    assert_eq!(delayed.action, DeliveryAction::Delayed);
    assert!(delayed.will_retry_until.is_some() && !delayed.is_permanent_failure());
    assert_eq!(
        odd.action,
        DeliveryAction::Other("sent-by-pigeon".to_owned())
    );
    assert_eq!(odd.status, None);
}

#[test]
fn complaints_and_receipts_name_the_message_they_are_about() {
    let report = |kind: &str, fields: &str, copy: &str| {
        let raw = format!(
            "In-Reply-To: <sent-1@mailbox.example>\r\nContent-Type: multipart/report; report-type={kind}; boundary=b\r\n\r\n\
             --b\r\n\r\ntext\r\n--b\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n--b\r\n{copy}\r\n--b--\r\n"
        );
        Facts::from_raw(raw.as_bytes()).report
    };
    let copy = "Content-Type: message/rfc822\r\n\r\nMessage-ID: <news-48@news.example>\r\n\r\nx";
    let fields = "Feedback-Type: Abuse\r\nUser-Agent: Loop/1\r\nVersion: 1\r\nOriginal-Mail-From: <bounces@news.example>\r\n\
                  Original-Rcpt-To: <reader@gmail.example>\r\nArrival-Date: Thu, 1 Jan 2026 09:00:00 +0000\r\nSource-IP: 192.0.2.1\r\n";
    let Some(Report::Feedback(complaint)) = report("feedback-report", fields, copy) else {
        panic!("not seen as a complaint");
    };
    assert_eq!(complaint.feedback_type, "abuse");
    assert_eq!(
        complaint.original_sender.as_deref(),
        Some("bounces@news.example")
    );
    assert_eq!(complaint.recipients, ["reader@gmail.example"]);
    assert_eq!(complaint.source_ip.as_deref(), Some("192.0.2.1"));
    assert!(complaint.arrived_at.is_some());
    assert_eq!(
        complaint.original.message_id.as_deref(),
        Some("news-48@news.example")
    );

    let fields = "Final-Recipient: rfc822;reader@gmail.example\r\nOriginal-Message-ID: <sent-2@mailbox.example>\r\n\
                  Disposition: manual-action/MDN-sent-manually; Displayed\r\n";
    let Some(Report::Disposition(receipt)) = report(
        "disposition-notification",
        fields,
        "Content-Type: text/plain\r\n\r\nx",
    ) else {
        panic!("not seen as a receipt");
    };
    assert_eq!(receipt.recipient.as_deref(), Some("reader@gmail.example"));
    assert_eq!(receipt.disposition.as_deref(), Some("displayed"));
    assert!(!receipt.automatic);
    assert_eq!(
        receipt.original.message_id.as_deref(),
        Some("sent-2@mailbox.example")
    );
    // A report without a copy is about the message that it answers.
    let Some(Report::Delivery(report)) =
        report("delivery-status", "", "Content-Type: text/plain\r\n\r\nx")
    else {
        panic!("not seen as a bounce");
    };
    assert_eq!(
        report.original.message_id.as_deref(),
        Some("sent-1@mailbox.example")
    );
}

#[test]
fn an_invitation_is_handed_out_once_with_its_method() {
    let calendar = "BEGIN:VCALENDAR\r\nMETHOD:CANCEL\r\nBEGIN:VEVENT\r\nUID;X-A=1:plan\r\n ning-1@office.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let raw = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n{calendar}\
         --b\r\nContent-Type: application/ics; name=invite.ics\r\nContent-Disposition: attachment\r\n\r\n{calendar}--b--\r\n"
    );
    let parts = Facts::from_raw(raw.as_bytes()).calendar;
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].method, Some(CalendarMethod::Cancel));
    assert_eq!(parts[0].uid.as_deref(), Some("planning-1@office.example"));
    assert_eq!(
        parts[0].text.as_deref().map(str::trim_end),
        Some(calendar.trim_end())
    );
}

#[test]
fn outlooks_hidden_attachments_are_flagged() {
    let tnef = |content_type: &str| {
        let raw = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: {content_type}\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b--\r\n"
        );
        Facts::from_raw(raw.as_bytes()).tnef
    };
    assert!(tnef("application/ms-tnef; name=x"));
    assert!(tnef("application/octet-stream; name=\"WINMAIL.DAT\""));
    assert!(!tnef("application/octet-stream; name=mail.dat"));
}

#[test]
fn debug_texts_hold_nothing_that_came_by_mail() {
    let mut message = with_headers(&[
        ("List-Unsubscribe", "<https://planted.example/?planted>"),
        ("List-Id", "planted <planted.example>"),
        (
            "Authentication-Results",
            "mx.example; dkim=pass header.d=planted.example",
        ),
        ("X-Failed-Recipients", "planted@planted.example"),
    ]);
    message.body.text = Some("planted".to_owned());
    let facts = message.facts();
    let found = message.authentication(&named("mx.example"));
    let texts = format!(
        "{facts:?} {found:?} {:?} {:?} {:?} {:?}",
        facts.unsubscribe,
        facts.list,
        facts.report,
        Facts::from_raw(BOUNCE.replace("shop.example", "planted.example").as_bytes()).report
    );
    assert!(!texts.contains("planted"), "{texts}");
}

proptest! {
    #[test]
    fn nothing_that_a_header_says_is_too_odd_to_be_read(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "Authentication-Results", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "DKIM-Signature",
                    "Auto-Submitted", "Subject", "Content-Type", "X-Failed-Recipients", "Precedence", "List-Post",
                ]),
                "[ -~éß\r\n\t<>;=()\"\\\\,:]{0,60}",
            ),
            0..8,
        ),
    ) {
        let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let message = with_headers(&lines);
        let _ = message.facts();
        let _ = message.authentication(&named("mx.example"));
        let _ = message.authentication(&AuthenticationServer::Unnamed);
    }

    #[test]
    fn no_bytes_are_too_odd_to_be_examined(
        start in prop::sample::select(vec!["", BOUNCE]),
        at in 0usize..1500,
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut raw = start.as_bytes().to_vec();
        let at = at.min(raw.len());
        raw.splice(at..raw.len().min(at + 40), bytes);
        let _ = Facts::from_raw(&raw);
    }
}

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
