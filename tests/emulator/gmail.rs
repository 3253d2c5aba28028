//! The emulated Gmail does what Gmail does for clients that ask rightly. What they get for asking
//! wrongly is in `emulator_google`. With `POSTROOM_RECORD` set to a directory, every request and answer
//! is written there, to be held against Google's own description of the API.

use std::path::PathBuf;

use crate::gmail_client::{Gmail, OUTLOOK, READER, TEAM, mail, raw};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use postroom::emulator::Emulator;
use serde_json::{Value, json};

/// An empty world.
async fn start() -> Emulator {
    Emulator::builder()
        .empty()
        .quota(false)
        .record(std::env::var_os("POSTROOM_RECORD").map(PathBuf::from))
        .start()
        .await
        .unwrap()
}

const WITH_ATTACHMENT: &str = "From: Billing <billing@shop.example>\r\n\
    To: reader@gmail.example\r\n\
    Subject: =?utf-8?q?Invoice_f=C3=BCr_November?=\r\n\
    Date: Fri, 20 Nov 2026 09:30:00 +0000\r\n\
    Message-ID: <invoice-11@shop.example>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed;\r\n boundary=outer\r\n\r\n\
    --outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n\
    --inner\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe & thanks\r\n\
    --inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello</p>\r\n--inner--\r\n\
    --outer\r\nContent-Type: application/pdf; name=\"invoice.pdf\"\r\n\
    Content-Disposition: attachment; filename=\"invoice.pdf\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--outer--\r\n";

#[tokio::test]
async fn profile_counts_what_is_there() {
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    let before = gmail.read("/profile").await;
    assert_eq!(before["emailAddress"], READER);
    assert_eq!(before["messagesTotal"], 0);
    emulator.deliver(
        READER,
        mail("billing@shop.example", READER, "First").as_bytes(),
    );
    let after = gmail.read("/profile").await;
    assert_eq!(after["messagesTotal"], 1);
    assert_eq!(after["threadsTotal"], 1);
    let number =
        |profile: &Value| -> u64 { profile["historyId"].as_str().unwrap().parse().unwrap() };
    assert!(number(&after) > number(&before));
}

#[tokio::test]
async fn a_message_comes_in_four_formats() {
    let emulator = start().await;
    emulator.deliver(READER, WITH_ATTACHMENT.as_bytes());
    let gmail = Gmail::new(&emulator, READER);
    let id = gmail.find("invoice").await;

    let minimal = gmail.read(&format!("/messages/{id}?format=minimal")).await;
    assert_eq!(minimal["id"], minimal["threadId"]);
    assert_eq!(minimal["labelIds"], json!(["INBOX", "UNREAD"]));
    assert_eq!(minimal["snippet"], "Grüße &amp; thanks");
    assert!(minimal["internalDate"].as_str().is_some());
    assert!(minimal["historyId"].as_str().is_some());
    assert!(minimal.get("payload").is_none());

    let metadata = gmail
        .read(&format!(
            "/messages/{id}?format=metadata&metadataHeaders=subject&metadataHeaders=To"
        ))
        .await;
    let headers = metadata["payload"]["headers"].as_array().unwrap();
    let names: Vec<&str> = headers
        .iter()
        .map(|header| header["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["To", "Subject"]);
    // Encoded words stay encoded.
    assert_eq!(headers[1]["value"], "=?utf-8?q?Invoice_f=C3=BCr_November?=");
    assert!(metadata["payload"].get("parts").is_none());

    let full = gmail.read(&format!("/messages/{id}")).await;
    let payload = &full["payload"];
    assert_eq!(payload["partId"], "");
    assert_eq!(payload["mimeType"], "multipart/mixed");
    let text = &payload["parts"][0]["parts"][0];
    assert_eq!(text["partId"], "0.0");
    let bytes = URL_SAFE.decode(text["body"]["data"].as_str().unwrap());
    // Decoded as for transfer, but in its own charset.
    assert_eq!(bytes.unwrap(), b"Gr\xfc\xdfe & thanks");
    let pdf = &payload["parts"][1];
    assert_eq!(
        (pdf["partId"].as_str(), pdf["filename"].as_str()),
        (Some("1"), Some("invoice.pdf"))
    );
    assert_eq!(pdf["body"]["size"], 9);
    assert!(pdf["body"].get("data").is_none());

    let token = pdf["body"]["attachmentId"].as_str().unwrap();
    let attachment = gmail
        .read(&format!("/messages/{id}/attachments/{token}"))
        .await;
    assert_eq!(attachment["data"], URL_SAFE_NO_PAD.encode("%PDF-1.4\n"));

    let source = gmail.read(&format!("/messages/{id}?format=raw")).await;
    let source = URL_SAFE.decode(source["raw"].as_str().unwrap()).unwrap();
    assert_eq!(source, emulator.messages(READER)[0].raw);
    assert!(source.ends_with(WITH_ATTACHMENT.as_bytes()));
}

#[tokio::test]
async fn labels_are_made_changed_counted_and_deleted() {
    let emulator = start().await;
    emulator.deliver(
        READER,
        mail("desk@support.example", READER, "Ticket").as_bytes(),
    );
    let gmail = Gmail::new(&emulator, READER);
    let id = gmail.find("ticket").await;
    let color = json!({"backgroundColor": "#16a766", "textColor": "#ffffff"});
    let made = gmail
        .post(
            "/labels",
            json!({"name": "Work/Tickets", "labelListVisibility": "labelShow",
                   "messageListVisibility": "show", "color": color}),
        )
        .await
        .ok();
    let label = made["id"].as_str().unwrap();
    assert_eq!(
        (made["type"].as_str(), &made["color"]),
        (Some("user"), &color)
    );

    let changed = gmail
        .post(
            &format!("/messages/{id}/modify"),
            json!({"addLabelIds": [label], "removeLabelIds": ["INBOX"]}),
        )
        .await
        .ok();
    assert_eq!(changed["labelIds"], json!([label, "UNREAD"]));
    let counted = gmail.read(&format!("/labels/{label}")).await;
    assert_eq!(counted["messagesTotal"], 1);
    assert_eq!(counted["threadsUnread"], 1);
    assert_eq!(gmail.search("label:work-tickets").await, [id.as_str()]);

    let path = format!("/labels/{label}");
    let patched = gmail
        .call("PATCH", &path, Some(json!({"name": "Tickets"})))
        .await
        .ok();
    assert_eq!(
        (patched["name"].as_str(), &patched["color"]),
        (Some("Tickets"), &color)
    );
    let replacement = json!({"id": label, "name": "Tickets",
        "labelListVisibility": "labelHide", "messageListVisibility": "hide"});
    let replaced = gmail.call("PUT", &path, Some(replacement)).await.ok();
    assert!(replaced.get("color").is_none());

    let list = gmail.read("/labels").await;
    let labels = list["labels"].as_array().unwrap();
    let inbox = labels.iter().find(|label| label["id"] == "INBOX").unwrap();
    assert_eq!(
        inbox,
        &json!({"id": "INBOX", "name": "INBOX", "type": "system"})
    );
    assert!(labels.iter().any(|other| other["id"] == label));

    let deleted = gmail.call("DELETE", &path, None).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    let message = gmail.read(&format!("/messages/{id}?format=minimal")).await;
    assert_eq!(message["labelIds"], json!(["UNREAD"]));
}

#[tokio::test]
async fn trash_hides_a_message_and_untrash_brings_it_back_without_its_inbox() {
    let emulator = start().await;
    emulator.deliver(
        READER,
        mail("desk@support.example", READER, "Ticket").as_bytes(),
    );
    let gmail = Gmail::new(&emulator, READER);
    let id = gmail.find("ticket").await;
    let trashed = gmail
        .call("POST", &format!("/messages/{id}/trash"), None)
        .await
        .ok();
    assert_eq!(trashed["labelIds"], json!(["TRASH"]));
    assert!(gmail.search("ticket").await.is_empty());
    assert_eq!(gmail.search("ticket in:anywhere").await, [id.as_str()]);
    for query in ["includeSpamTrash=true", "labelIds=TRASH"] {
        let list = gmail.read(&format!("/messages?{query}")).await;
        assert_eq!(list["messages"][0]["id"], id, "{query}");
    }
    let back = gmail
        .call("POST", &format!("/messages/{id}/untrash"), None)
        .await
        .ok();
    assert!(back.get("labelIds").is_none());
    assert_eq!(gmail.search("in:archive").await, [id.as_str()]);
    let gone = gmail.call("DELETE", &format!("/messages/{id}"), None).await;
    assert_eq!(gone.status, 204);
    assert_eq!(gmail.get(&format!("/messages/{id}")).await.status, 404);
}

#[tokio::test]
async fn many_messages_change_at_once_and_nothing_is_said_of_those_that_are_not_there() {
    let emulator = start().await;
    for subject in ["One", "Two"] {
        emulator.deliver(
            READER,
            mail("desk@support.example", READER, subject).as_bytes(),
        );
    }
    let gmail = Gmail::new(&emulator, READER);
    let mut ids = gmail.search("in:inbox").await;
    ids.push("00000000000000ff".to_owned());
    let body = json!({"ids": ids, "addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]});
    let answer = gmail.post("/messages/batchModify", body).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(gmail.search("is:starred is:read").await.len(), 2);
    let answer = gmail
        .post("/messages/batchDelete", json!({"ids": ids}))
        .await;
    assert_eq!(answer.status, 204);
    assert!(emulator.messages(READER).is_empty());
}

#[tokio::test]
async fn sent_mail_arrives_in_both_worlds_without_its_bcc() {
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    let message = format!(
        "From: {READER}\r\nTo: {TEAM}\r\nCc: {OUTLOOK}\r\nBcc: team@outlook.example\r\n\
         Subject: Plan\r\nMessage-ID: <mine@desk.example>\r\n\r\nHello all.\r\n"
    );
    let sent = gmail.post("/messages/send", raw(&message)).await.ok();
    assert_eq!(sent["labelIds"], json!(["SENT"]));

    let own = &emulator.messages(READER)[0];
    let own = String::from_utf8(own.raw.clone()).unwrap();
    // Gmail puts a Message-ID of its own in place of the sender's, and completes the header.
    assert!(!own.contains("mine@desk.example"), "{own}");
    assert!(own.contains("Message-ID: <CA"), "{own}");
    assert!(
        own.contains("Date: ") && own.contains("MIME-Version: 1.0"),
        "{own}"
    );
    assert!(own.contains("Bcc: team@outlook.example"), "{own}");

    for recipient in [TEAM, OUTLOOK, "team@outlook.example"] {
        let received = emulator.messages(recipient);
        assert_eq!(received.len(), 1, "{recipient}");
        assert!(!received[0].seen);
        let text = String::from_utf8(received[0].raw.clone()).unwrap();
        assert!(!text.contains("Bcc"), "{text}");
        assert!(text.contains("Hello all."), "{text}");
    }
    assert_eq!(emulator.messages(TEAM)[0].folders, ["INBOX", "UNREAD"]);
    assert_eq!(emulator.messages(OUTLOOK)[0].folders, ["inbox"]);
}

#[tokio::test]
async fn mail_to_oneself_is_one_message_and_comes_from_oneself() {
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    let message = mail("somebody@else.example", READER, "Note");
    let sent = gmail.post("/messages/send", raw(&message)).await.ok();
    assert_eq!(sent["labelIds"], json!(["INBOX", "SENT", "UNREAD"]));
    let messages = emulator.messages(READER);
    assert_eq!(messages.len(), 1);
    let text = String::from_utf8(messages[0].raw.clone()).unwrap();
    assert!(
        text.contains("From: Reader <reader@gmail.example>"),
        "{text}"
    );
    assert!(!text.contains("somebody@else.example"), "{text}");
}

#[tokio::test]
async fn a_reply_joins_its_thread_only_under_the_same_subject_and_with_references() {
    let emulator = start().await;
    emulator.deliver(
        READER,
        mail("desk@support.example", READER, "Ticket").as_bytes(),
    );
    let gmail = Gmail::new(&emulator, READER);
    let thread = gmail.find("ticket").await;
    let reply = |subject: &str, reference: &str| {
        let text = format!(
            "To: desk@support.example\r\nSubject: {subject}\r\nIn-Reply-To: <{reference}>\r\n\r\nYes.\r\n"
        );
        let mut body = raw(&text);
        body["threadId"] = json!(thread);
        body
    };
    for (subject, reference, joins) in [
        ("Re: Ticket", "Ticket@shop.example", true),
        ("Re: Other", "Ticket@shop.example", false),
        ("Re: Ticket", "unknown@shop.example", false),
    ] {
        let sent = gmail
            .post("/messages/send", reply(subject, reference))
            .await
            .ok();
        assert_eq!(sent["threadId"] == thread, joins, "{subject} {reference}");
    }
    let whole = gmail
        .read(&format!("/threads/{thread}?format=metadata"))
        .await;
    let messages = whole["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["id"], thread);
}

#[tokio::test]
async fn threads_change_as_a_whole() {
    let emulator = start().await;
    emulator.deliver(
        READER,
        mail("desk@support.example", READER, "Ticket").as_bytes(),
    );
    let answer = "From: desk@support.example\r\nTo: reader@gmail.example\r\nSubject: Re: Ticket\r\n\
                  References: <Ticket@shop.example>\r\n\r\nStill open.\r\n";
    emulator.deliver(READER, answer.as_bytes());
    let gmail = Gmail::new(&emulator, READER);
    let list = gmail.read("/threads?q=open").await;
    let thread = list["threads"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(list["threads"][0]["snippet"], "Still open.");
    let path = |verb: &str| format!("/threads/{thread}{verb}");
    let changed = gmail
        .post(&path("/modify"), json!({"removeLabelIds": ["INBOX"]}))
        .await
        .ok();
    for message in changed["messages"].as_array().unwrap() {
        assert_eq!(message["labelIds"], json!(["UNREAD"]));
    }
    gmail.call("POST", &path("/trash"), None).await.ok();
    assert!(gmail.read("/threads").await.get("threads").is_none());
    gmail.call("POST", &path("/untrash"), None).await.ok();
    let whole = gmail.read(&path("?format=minimal")).await;
    assert_eq!(whole["messages"].as_array().unwrap().len(), 2);
    assert_eq!(gmail.call("DELETE", &path(""), None).await.status, 204);
    assert!(emulator.messages(READER).is_empty());
}

#[tokio::test]
async fn a_draft_keeps_its_id_while_its_message_changes_and_is_gone_once_sent() {
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    let first = json!({"message": raw(&mail(READER, TEAM, "Draft one"))});
    let draft = gmail.post("/drafts", first).await.ok();
    let id = draft["id"].as_str().unwrap();
    assert_eq!(draft["message"]["labelIds"], json!(["DRAFT"]));

    let path = format!("/drafts/{id}");
    let second = json!({"message": raw(&mail(READER, TEAM, "Draft two"))});
    let updated = gmail.call("PUT", &path, Some(second)).await.ok();
    assert_eq!(updated["id"], id);
    assert_ne!(updated["message"]["id"], draft["message"]["id"]);
    let shown = gmail.read(&format!("{path}?format=full")).await;
    assert_eq!(shown["message"]["snippet"], "Text of Draft two.");
    let list = gmail.read("/drafts?q=two").await;
    assert_eq!(list["drafts"][0]["id"], id);

    let sent = gmail.post("/drafts/send", json!({"id": id})).await.ok();
    assert_eq!(sent["labelIds"], json!(["SENT"]));
    assert_ne!(sent["id"], updated["message"]["id"]);
    // This is how a client learns what became of a send that was cut off.
    assert_eq!(gmail.get(&path).await.status, 404);
    assert_eq!(emulator.messages(TEAM).len(), 1);

    let other = json!({"message": raw(&mail(READER, TEAM, "Never sent"))});
    let other = gmail.post("/drafts", other).await.ok();
    let path = format!("/drafts/{}", other["id"].as_str().unwrap());
    assert_eq!(gmail.call("DELETE", &path, None).await.status, 204);
    assert_eq!(emulator.messages(READER).len(), 1);
}

#[tokio::test]
async fn filed_mail_keeps_its_date_and_import_finds_its_twin() {
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    let mut body = raw(&mail("billing@shop.example", READER, "Old"));
    body["labelIds"] = json!(["STARRED"]);
    let imported = gmail.post("/messages/import", body.clone()).await.ok();
    let id = imported["id"].as_str().unwrap();
    let message = gmail.read(&format!("/messages/{id}?format=minimal")).await;
    assert_eq!(message["internalDate"], "1795167000000");

    body["labelIds"] = json!(["IMPORTANT"]);
    let again = gmail.post("/messages/import", body.clone()).await.ok();
    assert_eq!(again["id"], id);
    assert_eq!(again["labelIds"], json!(["IMPORTANT", "STARRED"]));

    let inserted = gmail
        .post("/messages?internalDateSource=dateHeader", body)
        .await
        .ok();
    assert_ne!(inserted["id"], id);
    let own = raw(&mail(READER, TEAM, "Mine"));
    let own = gmail.post("/messages", own).await.ok();
    assert_eq!(own["labelIds"], json!(["SENT"]));
    assert!(emulator.messages(TEAM).is_empty());
}

#[tokio::test]
async fn a_message_can_be_uploaded_in_one_request() {
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    let target = "/upload/gmail/v1/users/me/messages/send";
    let plain = gmail
        .send(
            "POST",
            &format!("{target}?uploadType=media"),
            &[("Content-Type", "message/rfc822")],
            mail(READER, TEAM, "Plain").as_bytes(),
        )
        .await
        .ok();
    let thread = plain["threadId"].as_str().unwrap();

    let own = String::from_utf8(emulator.messages(READER)[0].raw.clone()).unwrap();
    let (_, id) = own.split_once("Message-ID: ").unwrap();
    let reply = format!(
        "To: {TEAM}\r\nSubject: Re: Plain\r\nReferences: {}\r\n\r\nMore.\r\n",
        id.split("\r\n").next().unwrap()
    );
    let body = format!(
        "--part\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{}\r\n\
         --part\r\nContent-Type: message/rfc822\r\n\r\n{reply}\r\n--part--\r\n",
        json!({"threadId": thread})
    );
    let related = gmail
        .send(
            "POST",
            &format!("{target}?uploadType=multipart"),
            &[("Content-Type", "multipart/related; boundary=\"part\"")],
            body.as_bytes(),
        )
        .await
        .ok();
    assert_eq!(related["threadId"], thread);
    assert_eq!(emulator.messages(TEAM).len(), 2);
}

#[tokio::test]
async fn a_resumable_upload_goes_on_where_it_was_and_takes_effect_once() {
    const CHUNK: usize = 256 * 1024;
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    let mut message = mail(READER, TEAM, "Large").into_bytes();
    while message.len() < 2 * CHUNK + 1000 {
        message.extend_from_slice(b"And so on, line after line, until it is long enough.\r\n");
    }
    let total = message.len();
    let start = gmail
        .send(
            "POST",
            "/upload/gmail/v1/users/me/messages/send?uploadType=resumable",
            &[
                ("X-Upload-Content-Type", "message/rfc822"),
                ("X-Upload-Content-Length", &total.to_string()),
            ],
            b"",
        )
        .await;
    assert_eq!(start.status, 200, "{}", start.text());
    let session = url::Url::parse(&start.headers["location"]).unwrap();
    let session = format!("{}?{}", session.path(), session.query().unwrap());
    let put = async |range: String, body: &[u8]| {
        gmail
            .send("PUT", &session, &[("Content-Range", &range)], body)
            .await
    };
    let nothing = put(format!("bytes */{total}"), b"").await;
    assert_eq!((nothing.status, nothing.headers.get("range")), (308, None));
    let first = put(format!("bytes 0-{}/{total}", CHUNK - 1), &message[..CHUNK]).await;
    assert_eq!(first.status, 308);
    assert_eq!(first.headers["range"], format!("bytes=0-{}", CHUNK - 1));
    let probe = put(format!("bytes */{total}"), b"").await;
    assert_eq!(probe.headers["range"], first.headers["range"]);
    assert!(emulator.messages(TEAM).is_empty());

    let last = format!("bytes {CHUNK}-{}/{total}", total - 1);
    let done = put(last, &message[CHUNK..]).await.ok();
    assert_eq!(done["labelIds"], json!(["SENT"]));
    // Asking once more tells what happened, and makes nothing happen.
    let again = put(format!("bytes */{total}"), b"").await.ok();
    assert_eq!(again["id"], done["id"]);
    assert_eq!(emulator.messages(TEAM).len(), 1);
    assert!(
        emulator.messages(TEAM)[0]
            .raw
            .ends_with(b"long enough.\r\n")
    );
}

#[tokio::test]
async fn a_batch_answers_each_call_for_itself() {
    let emulator = start().await;
    emulator.deliver(
        READER,
        mail("desk@support.example", READER, "Ticket").as_bytes(),
    );
    let gmail = Gmail::new(&emulator, READER);
    let id = gmail.find("ticket").await;
    let label = gmail.post("/labels", json!({"name": "Gone"})).await.ok();
    let label = label["id"].as_str().unwrap();
    let change = json!({"removeLabelIds": ["UNREAD"]}).to_string();
    let length = change.len();
    let body = format!(
        "--b\r\nContent-Type: application/http\r\nContent-ID: <get-1>\r\n\r\n\
         GET /gmail/v1/users/me/messages/{id}?format=minimal&fields=id HTTP/1.1\r\n\r\n\r\n\
         --b\r\nContent-Type: application/http\r\nContent-ID: <missing>\r\n\r\n\
         GET /gmail/v1/users/me/messages/00000000000000ff HTTP/1.1\r\n\r\n\r\n\
         --b\r\nContent-Type: application/http\r\nContent-ID: <change>\r\n\r\n\
         POST /gmail/v1/users/me/messages/{id}/modify HTTP/1.1\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{change}\r\n\
         --b\r\nContent-Type: application/http\r\nContent-ID: <label>\r\n\r\n\
         DELETE /gmail/v1/users/me/labels/{label} HTTP/1.1\r\n\r\n\r\n--b--\r\n"
    );
    let answer = gmail
        .send(
            "POST",
            "/batch/gmail/v1",
            &[("Content-Type", "multipart/mixed; boundary=b")],
            body.as_bytes(),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kind = &answer.headers["content-type"];
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").unwrap();
    let text = answer.text();
    let parts: Vec<&str> = text.split(&format!("--{boundary}")).collect();
    let part = |id: &str| {
        let id = format!("Content-ID: <response-{id}>\r\n");
        parts.iter().find(|part| part.contains(&id)).unwrap()
    };
    assert!(part("get-1").contains("HTTP/1.1 200 OK"));
    assert!(part("get-1").contains(&id));
    assert!(part("missing").contains("HTTP/1.1 404 Not Found"));
    assert!(part("change").contains("HTTP/1.1 200 OK"));
    assert!(emulator.messages(READER)[0].seen);
    // Google's own Python client needs a header line even where there is no body.
    assert!(part("label").contains("HTTP/1.1 204 No Content\r\nvary: "));
}
