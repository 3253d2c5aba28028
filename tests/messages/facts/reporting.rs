//! Bounces, complaints, receipts and invitations.

use postroom::facts::{CalendarMethod, DeliveryAction, EnhancedStatus, Facts, Report};

use super::BOUNCE;

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
