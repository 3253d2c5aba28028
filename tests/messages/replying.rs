//! Answering and forwarding by rules: who gets an answer, what its subject is, which conversation it stays in, what it quotes.

use crate::support;
use crate::support::{GMAIL, OUTLOOK};
use futures_util::TryStreamExt;
use http::Method;
use postroom::emulator::{Fault, FaultKind};
use postroom::facts::{Relation, base_subject};
use postroom::reply::{Forward, Reply, forward_subject, recipients, references, reply_subject};
use postroom::view::{SectionKind, fold_html, fold_text, new_text};
use postroom::{
    Address, AttachedMessage, Attachment, AttachmentId, Detail, ErrorKind, FolderRole, Message,
    MessageId, Outgoing, PageRequest, Query,
};

fn addresses(list: &str) -> Vec<Address> {
    Address::parse_list(list)
}

fn message(from: &str, to: &str, cc: &str) -> Message {
    let mut message = Message::new(MessageId::new("1"));
    message.from = addresses(from);
    message.to = addresses(to);
    message.cc = addresses(cc);
    message
}

/// To, Cc and From of an answer, as one text.
fn whom(original: &Message, own: &str, everyone: bool) -> String {
    let whom = recipients(original, &addresses(own), everyone);
    let list = |list: &[Address]| {
        let list: Vec<&str> = list.iter().map(Address::address).collect();
        list.join(" ")
    };
    let from = whom.from.as_ref().map_or("", Address::address);
    format!("{} | {} | {from}", list(&whom.to), list(&whom.cc))
}

#[test]
fn an_answer_goes_to_the_author_or_where_the_author_wants_it() {
    let own = "me@desk.example";
    let mut original = message(
        "a@shop.example",
        "me@desk.example, b@shop.example",
        "c@x.example",
    );
    assert_eq!(whom(&original, own, false), "a@shop.example |  | ");
    assert_eq!(
        whom(&original, own, true),
        "a@shop.example b@shop.example | c@x.example | "
    );
    // Several addresses, each of them whole.
    original.reply_to = addresses("\"Desk, first\" <d@shop.example>, e@shop.example");
    assert_eq!(
        whom(&original, own, false),
        "d@shop.example e@shop.example |  | "
    );
    assert_eq!(
        whom(&original, own, true),
        "d@shop.example e@shop.example b@shop.example | c@x.example | "
    );
    let answer = recipients(&original, &addresses(own), false);
    assert_eq!(answer.to[0].name(), Some("Desk, first"));
    // Where the author wants it is the user: the author then.
    original.reply_to = addresses("Me@Desk.example");
    assert_eq!(whom(&original, own, false), "a@shop.example |  | ");
}

#[test]
fn nobody_is_answered_twice_and_the_user_not_at_all() {
    let original = message(
        "a@shop.example",
        "ME@desk.example, A@SHOP.example, me+lists@desk.example, alias@desk.example",
        "b@x.example, B@x.example, a@shop.example, me@desk.example",
    );
    let own = "me@desk.example, alias@desk.example";
    assert_eq!(
        whom(&original, own, true),
        "a@shop.example | b@x.example | "
    );
    // Only the user was written to, by the user.
    let note = message("me@desk.example", "me@desk.example", "");
    assert_eq!(whom(&note, own, true), "me@desk.example |  | ");
    assert_eq!(whom(&note, own, false), "me@desk.example |  | ");
    // Nobody in To, and nobody who can be written to in From.
    let list = message(
        "mailer-daemon",
        "undisclosed-recipients:;",
        "b@x.example, broken",
    );
    assert_eq!(whom(&list, own, true), "b@x.example |  | ");
    assert_eq!(whom(&list, own, false), " |  | ");
    let refused = Reply::to_author().outgoing(&list).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
}

#[test]
fn answering_ones_own_message_goes_on_with_its_recipients() {
    let own = "me@desk.example, alias@desk.example";
    let mut sent = message(
        "me@desk.example",
        "a@shop.example, me@desk.example",
        "b@x.example",
    );
    sent.reply_to = addresses("alias@desk.example");
    sent.bcc = addresses("hidden@x.example");
    assert_eq!(whom(&sent, own, false), "a@shop.example |  | ");
    assert_eq!(whom(&sent, own, true), "a@shop.example | b@x.example | ");
    let sent = message("alias@desk.example", "", "b@x.example");
    assert_eq!(
        whom(&sent, own, false),
        "b@x.example |  | alias@desk.example"
    );
}

#[test]
fn a_form_that_writes_in_its_owners_name_is_answered_to_the_customer() {
    let own = "me@desk.example";
    let mut form = message("me@desk.example", "me@desk.example, b@desk.example", "");
    form.reply_to = addresses("customer@x.example");
    assert_eq!(whom(&form, own, false), "customer@x.example |  | ");
    assert_eq!(
        whom(&form, own, true),
        "customer@x.example b@desk.example |  | "
    );
}

#[tokio::test]
async fn what_the_user_sent_is_told_from_what_a_form_sent_in_the_users_name() {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    for (address, colleague) in [
        (GMAIL, "team@gmail.example"),
        (OUTLOOK, "team@outlook.example"),
    ] {
        let mailbox = support::unpaced(&emulator, address);
        let form = format!(
            "From: {address}\r\nTo: {address}, {colleague}\r\nReply-To: customer@x.example\r\n\
             Subject: Form\r\n\r\nHow much is it?\r\n"
        );
        emulator.deliver(address, form.as_bytes());
        let mut sent = Outgoing::new()
            .to(colleague.parse().unwrap())
            .subject("Sent")
            .text("Ask support, please.");
        sent.reply_to = addresses("support@desk.example");
        mailbox.send(&sent).await.unwrap();

        for (role, answered) in [
            (FolderRole::Inbox, "customer@x.example"),
            (FolderRole::Sent, colleague),
        ] {
            let found = Query::InRole(role);
            let mut found = mailbox.messages_with(found, Detail::Ids, PageRequest::first());
            let original = found.try_next().await.unwrap().unwrap();
            let answer = Reply::to_author().text("Yes.");
            let answer = mailbox.reply(&original.id, &answer).await.unwrap();
            let to: Vec<&str> = answer.to.iter().map(Address::address).collect();
            assert_eq!(to, [answered]);
        }
    }
}

#[tokio::test]
async fn the_users_aliases_are_known_where_the_service_tells_them() {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    emulator.add_alias(GMAIL, "sales@desk.example", "Sales", true);
    emulator.add_alias(GMAIL, "colleague@desk.example", "", false);
    let mailbox = support::unpaced(&emulator, GMAIL);
    let question = "From: a@shop.example\r\nTo: sales@desk.example, b@shop.example\r\n\
                    Cc: colleague@desk.example\r\nSubject: Question\r\n\r\nText\r\n";
    emulator.deliver(GMAIL, question.as_bytes());
    let inbox = Query::inbox();
    let mut found = mailbox.messages_with(inbox, Detail::Ids, PageRequest::first());
    let original = found.try_next().await.unwrap().unwrap();
    let everyone = Reply::to_everyone().text("Yes.");
    let list = |list: &[Address]| -> Vec<String> {
        list.iter().map(|one| one.address().to_owned()).collect()
    };
    let answer = mailbox.reply(&original.id, &everyone).await.unwrap();
    assert_eq!(list(&answer.to), ["a@shop.example", "b@shop.example"]);
    // An alias that nobody proved may be somebody else.
    assert_eq!(list(&answer.cc), ["colleague@desk.example"]);
    assert_eq!(answer.from.unwrap().address(), "sales@desk.example");

    // Without them the answer is written all the same.
    let failing = Fault::new(FaultKind::forbidden()).on(Method::GET, "/settings/sendAs");
    emulator.fault(failing.times(9));
    let answer = mailbox.reply(&original.id, &everyone).await.unwrap();
    assert_eq!(answer.to.len(), 3);
    let named = everyone.own_addresses(addresses("sales@desk.example"));
    let answer = mailbox.reply(&original.id, &named).await.unwrap();
    assert_eq!(list(&answer.to), ["a@shop.example", "b@shop.example"]);
}

#[test]
fn an_answer_is_from_the_address_that_was_written_to() {
    let own = "me@desk.example, first@desk.example, second@desk.example";
    let from = |to, cc| {
        let original = message("a@shop.example", to, cc);
        let whom = recipients(&original, &addresses(own), true);
        whom.from.map(|from| from.address().to_owned())
    };
    assert_eq!(
        from("Second@desk.example", "first@desk.example").as_deref(),
        Some("second@desk.example")
    );
    assert_eq!(
        from("b@x.example", "first@desk.example").as_deref(),
        Some("first@desk.example")
    );
    assert_eq!(from("second@desk.example, me@desk.example", ""), None);
    assert_eq!(from("list@x.example", ""), None);
}

#[test]
fn a_subject_has_one_prefix() {
    for (subject, answered, forwarded) in [
        ("Offer", "Re: Offer", "Fwd: Offer"),
        (" RE: Offer", "RE: Offer", "Fwd: RE: Offer"),
        ("Re: RE:re: Offer", "re: Offer", "Fwd: Re: RE:re: Offer"),
        ("AW: Offer", "AW: Offer", "Fwd: AW: Offer"),
        ("SV: RE: Offer", "SV: RE: Offer", "Fwd: SV: RE: Offer"),
        ("RE[2]: Offer", "RE[2]: Offer", "Fwd: RE[2]: Offer"),
        ("回复：Offer", "回复：Offer", "Fwd: 回复：Offer"),
        ("WG: Offer", "Re: WG: Offer", "WG: Offer"),
        ("Fwd: fwd: Offer", "Re: Fwd: fwd: Offer", "fwd: Offer"),
        (
            "[list] Re: Offer",
            "[list] Re: Offer",
            "Fwd: [list] Re: Offer",
        ),
        ("[list] Offer", "Re: [list] Offer", "Fwd: [list] Offer"),
        (
            "Regarding: Offer",
            "Re: Regarding: Offer",
            "Fwd: Regarding: Offer",
        ),
        ("  ", "Re:", "Fwd:"),
    ] {
        assert_eq!(reply_subject(subject), answered, "{subject}");
        assert_eq!(forward_subject(subject), forwarded, "{subject}");
        // Once is enough, and what it is about stays.
        assert_eq!(reply_subject(answered), answered);
        assert_eq!(base_subject(answered), base_subject(subject));
    }
}

#[test]
fn references_are_complete_or_keep_the_first_and_the_newest() {
    let mut original = message("a@shop.example", "", "");
    assert!(references(&original).is_empty());
    original.message_id = Some("3@x.example".to_owned());
    assert_eq!(references(&original), ["3@x.example"]);
    original.in_reply_to = vec!["2@x.example".to_owned()];
    assert_eq!(references(&original), ["2@x.example", "3@x.example"]);
    original.references = [
        "1@x.example",
        "2@x.example",
        "1@x.example",
        "no good",
        "ü@x.example",
    ]
    .map(str::to_owned)
    .to_vec();
    assert_eq!(
        references(&original),
        ["1@x.example", "2@x.example", "3@x.example"]
    );
    let answer = Reply::to_author().outgoing(&original).unwrap();
    assert_eq!(answer.in_reply_to.as_deref(), Some("3@x.example"));
    assert_eq!(answer.references, references(&original));

    original.references = (0..200).map(|n| format!("{n:020}@x.example")).collect();
    let kept = references(&original);
    assert_eq!(kept[0], original.references[0]);
    assert_eq!(kept.last(), original.message_id.as_ref());
    let newest = &original.references[original.references.len() - (kept.len() - 2)..];
    assert_eq!(&kept[1..kept.len() - 1], newest);
    let length: usize = kept.iter().map(|id| id.len() + 3).sum();
    assert!((900..=996).contains(&length), "{length}");

    // Ids of which two do not fit: what is answered stays.
    original.references = vec![format!("{}@x.example", "r".repeat(600))];
    original.message_id = Some(format!("{}@x.example", "m".repeat(600)));
    assert_eq!(
        references(&original),
        [original.message_id.clone().unwrap()]
    );
    // Without an id of its own, it is still in the conversation, and nothing is said to be answered.
    original.message_id = None;
    let answer = Reply::to_author().outgoing(&original).unwrap();
    assert_eq!(answer.references, original.references);
    assert_eq!(answer.in_reply_to, None);
}

fn letter() -> Message {
    let mut original = message(
        "\"Support\r\nBcc: x\" <support@desk.example>",
        "reader@gmail.example",
        "",
    );
    original.from = vec![Address::received(
        Some("Support\r\nBcc: x".to_owned()),
        "support@desk.example",
    )];
    original.subject = Some("Delivery".to_owned());
    original.sent_at = Some("2026-11-03T10:15:00Z".parse().unwrap());
    original.body.text =
        Some("Is <Monday> fine?  \r\n\r\n> Earlier\r\n-- \r\nSupport\r\n".to_owned());
    original
}

#[test]
fn what_is_quoted_can_be_told_from_what_is_new() {
    let mut original = letter();
    let answer = Reply::to_author()
        .text("Yes.\n")
        .outgoing(&original)
        .unwrap();
    assert_eq!(
        answer.text.as_deref(),
        Some(
            "Yes.\n\nOn Tue, 3 Nov 2026 at 10:15 UTC, \"Support  Bcc: x\" <support@desk.example> wrote:\n\
             > Is <Monday> fine?\n>\n>> Earlier\n> --\n> Support\n"
        )
    );
    assert_eq!(answer.to[0].name(), Some("Support  Bcc: x"));
    assert_eq!(answer.html, None);
    let text = answer.text.unwrap();
    assert_eq!(new_text(&fold_text(&text)).trim(), "Yes.");

    // Text becomes markup nowhere.
    let answer = Reply::to_author()
        .html("<p>Yes.</p>")
        .outgoing(&original)
        .unwrap();
    let html = answer.html.unwrap();
    assert!(html.contains("Is &lt;Monday&gt; fine?"), "{html}");
    assert_eq!(new_text(&fold_html(&html)), "<p>Yes.</p>");

    original.body.html = Some(
        "<html><body onload=\"x()\"><p>Is <b>Monday</b> fine?</p><script>x()</script>\
         <img src=\"https://shop.example/seen.gif\"><img src=\"cid:Logo@1\"><img src=\"cid:other\"></body></html>"
            .to_owned(),
    );
    let mut logo = Attachment::new(AttachmentId::new("1"), "image/png");
    logo.content_id = Some("logo@1".to_owned());
    original.attachments.push(logo);
    let answer = Reply::to_author()
        .html("<html><body><p>Yes.</p></body></html>")
        .attribution("Am 3.11.2026 schrieb Support:")
        .outgoing(&original)
        .unwrap();
    let html = answer.html.unwrap();
    assert!(
        html.contains("<b>Monday</b>") && html.contains("cid:Logo@1"),
        "{html}"
    );
    assert!(html.ends_with("</body></html>") && html.contains("Am 3.11.2026 schrieb Support:"));
    for gone in ["onload", "script", "seen.gif", "cid:other"] {
        assert!(!html.contains(gone), "{gone} in {html}");
    }

    let bare = Reply::to_author().text("Yes.").without_quotation();
    assert_eq!(
        bare.outgoing(&original).unwrap().text.as_deref(),
        Some("Yes.")
    );
}

#[test]
fn what_is_forwarded_says_whose_it_was() {
    let original = letter();
    let forward = Forward::inline()
        .text("For you.")
        .outgoing(&original)
        .unwrap();
    let text = forward.text.unwrap();
    let sections = fold_text(&text);
    let kinds: Vec<_> = sections.iter().map(|section| section.kind).collect();
    assert_eq!(kinds, [SectionKind::New, SectionKind::Forwarded], "{text}");
    for line in [
        "\nFrom: \"Support  Bcc: x\" <support@desk.example>\n",
        "\nDate: Tue, 3 Nov 2026 at 10:15 UTC\n",
        "\nSubject: Delivery\n",
        "\nTo: reader@gmail.example\n",
        "Is <Monday> fine?",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert_eq!(forward.subject, "Fwd: Delivery");
    assert_eq!(forward.html, None);

    let mut original = letter();
    original.body.html = Some("<p>Is <i>Monday</i> fine?</p>".to_owned());
    let forward = Forward::inline().text("5 > 4").outgoing(&original).unwrap();
    let html = forward.html.unwrap();
    assert!(
        html.contains("5 &gt; 4") && html.contains("<i>Monday</i>"),
        "{html}"
    );
    let sections = fold_html(&html);
    let kinds: Vec<_> = sections.iter().map(|section| section.kind).collect();
    assert_eq!(kinds, [SectionKind::New, SectionKind::Forwarded], "{html}");
}

const PICTURES: &str = "From: support@desk.example\r\n\
Subject: Pictures\r\n\
Message-ID: <pictures@desk.example>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=m\r\n\
\r\n\
--m\r\n\
Content-Type: multipart/related; boundary=r\r\n\
\r\n\
--r\r\n\
Content-Type: text/html; charset=utf-8\r\n\
\r\n\
<p>Look: <img src=\"cid:one@desk\"></p>\r\n\
--r\r\n\
Content-Type: image/png; name=one.png\r\n\
Content-Disposition: inline; filename=one.png\r\n\
Content-ID: <one@desk>\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
iVBORw0KGgo=\r\n\
--r--\r\n\
--m\r\n\
Content-Type: application/pdf\r\n\
Content-Disposition: attachment; filename=\"plan.pdf\"\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
JVBERi0=\r\n\
--m\r\n\
Content-Type: message/rfc822\r\n\
Content-Disposition: attachment; filename=\"earlier.eml\"\r\n\
\r\n\
Subject: Earlier\r\n\
From: reader@desk.example\r\n\
\r\n\
Gr\u{fc}n\r\n\
--m--\r\n";

#[tokio::test]
async fn pictures_and_files_go_along() {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    for address in [GMAIL, OUTLOOK] {
        let mailbox = support::unpaced(&emulator, address);
        emulator.deliver(address, PICTURES.as_bytes());
        let newest = || async {
            let page = PageRequest::first();
            let mut found = mailbox.messages_with(Query::inbox(), Detail::Ids, page);
            let newest = found.try_next().await.unwrap().unwrap();
            mailbox.message(&newest.id).await.unwrap()
        };
        let original = newest().await;
        assert_eq!(original.attachments.len(), 3);

        let answer = Reply::to_author().html("<p>Nice.</p>");
        let answer = mailbox.reply(&original.id, &answer).await.unwrap();
        assert_eq!(answer.attachments.len(), 1, "what the quotation shows");
        assert_eq!(
            answer.attachments[0].content_id.as_deref(),
            Some("one@desk")
        );

        let left_out = original
            .attachments
            .iter()
            .find(|one| one.name.as_deref() == Some("plan.pdf"));
        let without = Forward::inline().without(left_out.unwrap().id.clone());
        let without = mailbox.forward(&original.id, &without).await.unwrap();
        assert_eq!(without.attachments.len(), 2);

        let forward = Forward::inline().to(address.parse().unwrap());
        let forward = mailbox.forward(&original.id, &forward).await.unwrap();
        mailbox.send(&forward).await.unwrap();
        let received = newest().await;
        assert_eq!(received.facts().relation, Relation::Forward);
        let mut found = Vec::new();
        for attachment in &received.attachments {
            let stream = mailbox
                .attachment(&received.id, &attachment.id)
                .await
                .unwrap();
            let bytes = stream.try_collect::<Vec<_>>().await.unwrap().concat();
            found.push((attachment.name.clone().unwrap(), attachment.inline, bytes));
            // It is not ASCII, and so travels as a file.
            if attachment.name.as_deref() == Some("earlier.eml") {
                let earlier =
                    AttachedMessage::read(&attachment.id, found[found.len() - 1].2.clone());
                assert_eq!(earlier.message.subject.as_deref(), Some("Earlier"));
                assert_eq!(earlier.message.body.text.unwrap().trim_end(), "Gr\u{fc}n");
            }
        }
        found.sort();
        assert_eq!(found.len(), 3, "{address}");
        assert!(found[0].0.starts_with("earlier") && !found[0].1);
        assert_eq!(
            found[1],
            ("one.png".to_owned(), true, b"\x89PNG\r\n\x1a\n".to_vec())
        );
        assert_eq!(found[2], ("plan.pdf".to_owned(), false, b"%PDF-".to_vec()));
    }
}
