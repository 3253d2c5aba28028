//! What a message says of itself is told right: on mail as it comes, through both services, and whatever is broken in it.

mod reporting;
mod served;

use postroom::facts::{
    AuthenticationMethod, Automatic, Facts, Protection, ProtectionKind, ProtectionStandard,
    Relation, Verdict, base_subject,
};
use postroom::{AuthenticationServer, Detail, Header, Message, MessageId};
use proptest::prelude::*;

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
