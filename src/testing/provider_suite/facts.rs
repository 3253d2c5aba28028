//! What every provider promises about what a message is: the lines that facts are told from come with it.

#![allow(clippy::missing_panics_doc, reason = "a test that fails panics")]

use super::{ProviderFixture, delivered};
use crate::facts::{Automatic, Relation, Report};
use crate::view::{fold_html, fold_text, new_text};

const NEWSLETTER: &[u8] = b"From: Weekly digest <digest@shop.example>\r\n\
Subject: Re: Ten things to read\r\n\
Message-ID: <digest-1@shop.example>\r\n\
In-Reply-To: <digest-0@shop.example>\r\n\
List-Id: Weekly digest <weekly.shop.example>\r\n\
List-Unsubscribe: <https://shop.example/leave?id=1&list=2>,\r\n <mailto:leave@shop.example?subject=leave>\r\n\
List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
Auto-Submitted: auto-generated\r\n\
Precedence: bulk\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
\r\n\
One thing less.\r\n\
\r\n\
On Tue, 3 Nov 2026 at 10:15, Reader <reader@desk.example> wrote:\r\n\
> Ten things, please.\r\n";

const BOUNCE: &[u8] = b"From: mailer-daemon@shop.example\r\n\
Subject: Undelivered\r\n\
Message-ID: <bounce-1@shop.example>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\
\r\n\
--b\r\n\
Content-Type: text/plain\r\n\
\r\n\
It could not be delivered.\r\n\
--b\r\n\
Content-Type: message/delivery-status\r\n\
\r\n\
Reporting-MTA: dns; mx.shop.example\r\n\
\r\n\
Final-Recipient: rfc822; gone@shop.example\r\n\
Action: failed\r\n\
Status: 5.1.1\r\n\
--b\r\n\
Content-Type: text/rfc822-headers\r\n\
\r\n\
Message-ID: <sent-1@desk.example>\r\n\
Subject: A question\r\n\
--b--\r\n";

/// What a message is, is told alike from what was listed of it and from the message itself.
pub async fn facts_are_told_of_a_message(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, NEWSLETTER).await.id;
    let mailbox = fixture.mailbox();
    let message = mailbox.message(&id).await.unwrap();
    for facts in [message.facts(), mailbox.facts(&id).await.unwrap()] {
        assert_eq!(facts.relation, Relation::Reply);
        assert_eq!(facts.automatic, Some(Automatic::Generated));
        assert!(facts.bulk && facts.answer_suppressed);
        assert_eq!(facts.report, None);
        let list = facts.list.unwrap();
        assert_eq!(list.id.as_deref(), Some("weekly.shop.example"));
        let leave = facts.unsubscribe.unwrap();
        let url = &leave.one_click.unwrap().url;
        assert_eq!(url.as_str(), "https://shop.example/leave?id=1&list=2");
        assert_eq!(leave.mail[0].to[0].address(), "leave@shop.example");
        assert_eq!(leave.mail[0].subject.as_deref(), Some("leave"));
    }
    // Whichever body the service gives falls into its sections and nothing else.
    let body = &message.body;
    let text = body.plain_text().unwrap_or_default();
    let html = body.html.as_deref().unwrap_or_default();
    for (body, sections) in [(&*text, fold_text(&text)), (html, fold_html(html))] {
        let whole: String = sections.iter().map(|section| section.content).collect();
        assert_eq!(whole, body);
    }
    let shown = new_text(&fold_text(&text));
    assert!(text.is_empty() || (shown.contains("less") && !shown.contains("please")));
}

/// A bounce says of which message it tells, and what became of that for whom.
pub async fn bounces_tell_what_became_of_which_message(fixture: &dyn ProviderFixture) {
    let id = delivered(fixture, BOUNCE).await.id;
    let facts = fixture.mailbox().facts(&id).await.unwrap();
    let Some(Report::Delivery(report)) = facts.report else {
        panic!("not seen as a bounce");
    };
    assert_eq!(report.recipients.len(), 1);
    assert_eq!(report.recipients[0].address, "gone@shop.example");
    assert!(report.recipients[0].is_permanent_failure());
    let original = report.original.message_id;
    assert_eq!(original.as_deref(), Some("sent-1@desk.example"));
}
