//! Drafts, replies, uploads and what is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;

use crate::graph_client::{Graph, IMMUTABLE, PERSONAL, WORK, text};

#[tokio::test]
async fn a_draft_is_written_changed_and_sent() {
    let graph = Graph::recorded(WORK).await;
    let draft = json!({
        "subject": "Grüße",
        "body": {"contentType": "HTML", "content": "<p>See <img src=\"cid:dot\"></p>"},
        "toRecipients": [{"emailAddress": {"name": "Reader", "address": "reader@gmail.example"}}],
        "internetMessageHeaders": [{"name": "x-tracking", "value": "17"}],
        "attachments": [{
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": "note.txt",
            "contentType": "text/plain",
            "contentBytes": STANDARD.encode("a note"),
        }],
    });
    let headers = [IMMUTABLE, ("content-type", "application/json")];
    let made = graph
        .send(
            Method::POST,
            &graph.url("/me/messages"),
            &headers,
            draft.to_string(),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(made["isDraft"], true);
    assert!(text(&made["internetMessageId"]).starts_with('<'));
    let path = format!("/me/messages/{}", text(&made["id"]));
    let bcc = json!([{"emailAddress": {"address": "team@gmail.example"}}]);
    let change = json!({"subject": "Herzliche Grüße", "bccRecipients": bcc});
    assert_eq!(
        graph.patch(&path, change).await.json()["subject"],
        "Herzliche Grüße"
    );
    let picture = json!({
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "dot.png",
        "contentType": "image/png",
        "isInline": true,
        "contentId": "dot",
        "contentBytes": STANDARD.encode(b"\x89PNG\r\n"),
    });
    let added = graph.post(&format!("{path}/attachments"), picture).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let listed = graph
        .get(&format!("{path}/attachments?$select=name,isInline"))
        .await
        .json();
    assert_eq!(listed["value"].as_array().unwrap().len(), 2);

    assert_eq!(
        graph.post_nothing(&format!("{path}/send")).await.status,
        202
    );
    for address in ["reader@gmail.example", "team@gmail.example"] {
        let arrived = graph.emulator.messages(address).pop().unwrap();
        let raw = String::from_utf8_lossy(&arrived.raw).into_owned();
        assert!(raw.contains("x-tracking: 17") && raw.contains("note.txt"));
        assert!(!raw.to_lowercase().contains("\nbcc:"));
    }
    // On its way, then among the sent items, under the same immutable id.
    let outbox = graph.get("/me/mailFolders/outbox").await.json();
    assert_eq!(outbox["totalItemCount"], 1);
    let sent = graph.get_with(&path, &[IMMUTABLE]).await.json();
    assert_eq!(sent["isDraft"], false);
    let folder = graph.get("/me/mailFolders/sentitems").await.json();
    assert_eq!(sent["parentFolderId"], folder["id"]);
    assert_eq!(
        sent["bccRecipients"][0]["emailAddress"]["address"],
        "team@gmail.example"
    );
}

#[tokio::test]
async fn a_draft_can_be_mime() {
    let graph = Graph::recorded(WORK).await;
    let mime = "From: team@outlook.example\r\nTo: reader@outlook.example\r\nSubject: As MIME\r\n\
                Message-ID: <own-1@office.example>\r\nMIME-Version: 1.0\r\n\
                Content-Type: text/plain; charset=utf-8\r\n\r\nPlain.\r\n";
    let plain = [("content-type", "text/plain")];
    let url = graph.url("/me/messages");
    let made = graph
        .send(Method::POST, &url, &plain, STANDARD.encode(mime))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    assert_eq!(
        (&made["isDraft"], &made["internetMessageId"]),
        (&json!(true), &json!("<own-1@office.example>"))
    );
    assert_eq!(made["body"]["contentType"], "text");
    let sent = graph
        .send(
            Method::POST,
            &graph.url("/me/sendMail"),
            &plain,
            STANDARD.encode(mime),
        )
        .await;
    assert_eq!((sent.status.as_u16(), sent.text().as_str()), (202, ""));
    let arrived = graph.emulator.messages(PERSONAL).pop().unwrap();
    assert!(String::from_utf8_lossy(&arrived.raw).contains("Subject: As MIME"));
}

#[tokio::test]
async fn outlook_com_gives_sent_mail_an_id_of_its_own() {
    let graph = Graph::recorded(PERSONAL).await;
    let message = json!({
        "subject": "Numbered",
        "internetMessageId": "<mine@reader.example>",
        "body": {"contentType": "Text", "content": "Plain."},
        "toRecipients": [{"emailAddress": {"address": "reader@gmail.example"}}],
    });
    let sent = graph
        .post(
            "/me/sendMail",
            json!({"message": message, "saveToSentItems": false}),
        )
        .await;
    assert_eq!(sent.status, 202);
    let arrived = graph
        .emulator
        .messages("reader@gmail.example")
        .pop()
        .unwrap();
    let raw = String::from_utf8_lossy(&arrived.raw).into_owned();
    assert!(raw.contains("X-Microsoft-Original-Message-ID: <mine@reader.example>"));
    assert!(!raw.contains("\nMessage-ID: <mine@reader.example>"));
    // No copy was wanted.
    for _ in 0..3 {
        graph.get("/me/mailFolders/inbox").await;
    }
    let truth = graph.emulator.messages(PERSONAL);
    assert!(
        truth
            .iter()
            .all(|message| !String::from_utf8_lossy(&message.raw).contains("Numbered"))
    );
}

#[tokio::test]
async fn replies_and_forwards_quote_and_thread() {
    let graph = Graph::recorded(WORK).await;
    let id = graph.id_of("Window on the second floor").await;
    let path = format!("/me/messages/{id}");
    let reply = graph
        .post(
            &format!("{path}/createReplyAll"),
            json!({"comment": "Agreed & done"}),
        )
        .await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let reply = reply.json();
    assert_eq!(reply["subject"], "RE: Window on the second floor");
    assert_eq!(
        reply["toRecipients"][0]["emailAddress"]["address"],
        "facilities@office.example"
    );
    assert_eq!(
        reply["ccRecipients"][0]["emailAddress"]["address"],
        "floor2@office.example"
    );
    let body = text(&reply["body"]["content"]);
    assert!(body.contains("Agreed &amp; done") && body.contains("does not close"));
    let original = graph.get(&path).await.json();
    assert_eq!(reply["conversationId"], original["conversationId"]);

    let to = json!([{"emailAddress": {"address": "reader@gmail.example"}}]);
    let forward = json!({"comment": "Please see", "toRecipients": to});
    assert_eq!(
        graph.post(&format!("{path}/forward"), forward).await.status,
        202
    );
    let arrived = graph
        .emulator
        .messages("reader@gmail.example")
        .pop()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&arrived.raw).contains("Subject: FW: Window on the second floor")
    );
    let nothing = graph.post_nothing(&format!("{path}/createForward")).await;
    assert_eq!(nothing.json()["toRecipients"], json!([]));
}

#[tokio::test]
async fn a_large_attachment_goes_up_in_parts() {
    let graph = Graph::recorded(WORK).await;
    let draft = graph
        .post("/me/messages", json!({"subject": "Large"}))
        .await
        .json();
    let path = format!("/me/messages/{}", text(&draft["id"]));
    let content: Vec<u8> = (0..7_000_000_u32)
        .map(|number| number.to_le_bytes()[1])
        .collect();
    let item = json!({"AttachmentItem": {
        "attachmentType": "file", "name": "large.bin", "size": content.len(), "contentType": "application/x-large",
    }});
    let session = graph
        .post(&format!("{path}/attachments/createUploadSession"), item)
        .await;
    assert_eq!(session.status, 201, "{}", session.text());
    let session = session.json();
    assert_eq!(session["nextExpectedRanges"], json!(["0-"]));
    let url = text(&session["uploadUrl"]);
    let half = 3_276_800;
    let range = |from: usize, to: usize| format!("bytes {from}-{}/{}", to - 1, content.len());
    let kind = ("content-type", "application/octet-stream");
    for (from, to) in [(0, half), (half, 2 * half)] {
        let headers = [kind, ("content-range", &range(from, to))];
        let answer = graph
            .bare(Method::PUT, &url, &headers, content[from..to].to_vec())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["NextExpectedRanges"], json!([to.to_string()]));
    }
    let headers = [kind, ("content-range", &range(2 * half, content.len()))];
    let last = graph
        .bare(Method::PUT, &url, &headers, content[2 * half..].to_vec())
        .await;
    assert_eq!((last.status.as_u16(), last.body.len()), (201, 0));
    let location = last.header("location").unwrap();
    let id = location
        .split("Attachments('")
        .nth(1)
        .unwrap()
        .trim_end_matches("')");
    let value = graph.get(&format!("{path}/attachments/{id}/$value")).await;
    assert!(value.body == content);
    assert_eq!(value.header("content-type").unwrap(), "application/x-large");
}

#[tokio::test]
async fn a_message_can_be_attached_to_another() {
    let graph = Graph::recorded(WORK).await;
    let draft = graph
        .post("/me/messages", json!({"subject": "Outer"}))
        .await
        .json();
    let path = format!("/me/messages/{}/attachments", text(&draft["id"]));
    let item = json!({
        "@odata.type": "#microsoft.graph.message",
        "subject": "Inner",
        "body": {"contentType": "text", "content": "From within."},
    });
    let kind = "#microsoft.graph.itemAttachment";
    let added = graph
        .post(
            &path,
            json!({"@odata.type": kind, "name": "Inner", "item": item}),
        )
        .await;
    assert_eq!(added.status, 201, "{}", added.text());
    let added = added.json();
    assert_eq!(added["@odata.type"], kind);
    let one = format!("{path}/{}", text(&added["id"]));
    let mime = graph.get(&format!("{one}/$value")).await.text();
    assert!(mime.contains("Subject: Inner") && mime.contains("From within."));
    let with_item = format!("{one}?$expand=microsoft.graph.itemattachment/item");
    assert_eq!(
        graph.get(&with_item).await.json()["item"]["subject"],
        "Inner"
    );
}
