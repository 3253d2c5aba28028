//! What the emulated Graph answers to a client that asks rightly. These requests are recorded and held
//! against Microsoft's own description.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod graph_client;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use graph_client::{Graph, IMMUTABLE, PERSONAL, WORK, encoded, subjects, text};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn the_user_is_known() {
    let graph = Graph::recorded(PERSONAL).await;
    let user = graph.get("/me").await.json();
    assert_eq!(user["userPrincipalName"], PERSONAL);
    // Some personal accounts have no mail property.
    assert!(user["mail"].is_null() && user.get("proxyAddresses").is_none());
    let selected = graph
        .get("/me?$select=id,mail,userPrincipalName,proxyAddresses")
        .await
        .json();
    assert_eq!(selected["id"], user["id"]);
    assert!(selected["proxyAddresses"].is_array() && selected.get("displayName").is_none());
    let path = format!("/users/{}/mailFolders/inbox", text(&user["id"]));
    assert_eq!(graph.get(&path).await.status, 200);
}

#[tokio::test]
async fn folders_have_pages_and_depth() {
    let graph = Graph::recorded(WORK).await;
    let first = graph.get("/me/mailFolders").await.json();
    assert_eq!(first["value"].as_array().unwrap().len(), 10);
    let (folders, _) = graph.all("/me/mailFolders").await;
    let named = |name: &str| folders.iter().find(|folder| folder["displayName"] == name);
    assert!(
        named("Sent Items").is_some()
            && named("Shop").is_none()
            && named("PersonMetadata").is_none()
    );
    let clients = named("Clients").unwrap();
    assert_eq!(clients["childFolderCount"], 1);
    let children = graph
        .get(&format!(
            "/me/mailFolders/{}/childFolders",
            text(&clients["id"])
        ))
        .await
        .json();
    assert_eq!(children["value"][0]["displayName"], "Shop");
    let (all, _) = graph
        .all("/me/mailFolders?includeHiddenFolders=true&$top=100")
        .await;
    assert_eq!(all.len(), folders.len() + 1);
    for name in [
        "inbox",
        "archive",
        "drafts",
        "sentitems",
        "deleteditems",
        "junkemail",
        "msgfolderroot",
    ] {
        let folder = graph.get(&format!("/me/mailFolders/{name}")).await.json();
        assert!(folder["id"].is_string() && folder.get("wellKnownName").is_none());
    }
    let inbox = graph.get("/me/mailFolders/inbox").await.json();
    assert!(inbox["unreadItemCount"].as_u64().unwrap() > 3);
}

#[tokio::test]
async fn folders_can_be_made_renamed_moved_and_deleted() {
    let graph = Graph::recorded(WORK).await;
    let made = graph
        .post(
            "/me/mailFolders",
            json!({"displayName": "Trips", "isHidden": false}),
        )
        .await;
    assert_eq!(made.status, 201);
    let id = text(&made.json()["id"]);
    let path = format!("/me/mailFolders/{id}");
    let child = graph
        .post(
            &format!("{path}/childFolders"),
            json!({"displayName": "Rome"}),
        )
        .await;
    assert_eq!(child.status, 201);
    let renamed = graph
        .patch(&path, json!({"displayName": "Journeys"}))
        .await
        .json();
    assert_eq!(renamed["displayName"], "Journeys");
    let moved = graph
        .post(&format!("{path}/move"), json!({"destinationId": "archive"}))
        .await
        .json();
    // A folder keeps its id wherever it goes.
    assert_eq!(moved["id"], id);
    assert_eq!(graph.delete(&path).await.status, 204);
    let bin = graph.get("/me/mailFolders/deleteditems").await.json();
    assert_eq!(graph.get(&path).await.json()["parentFolderId"], bin["id"]);
}

#[tokio::test]
async fn lists_come_in_pages_that_may_be_short_or_empty() {
    let graph = Graph::recorded(WORK).await;
    let (messages, sizes) = graph
        .all("/me/messages?$top=5&$select=subject,receivedDateTime")
        .await;
    assert_eq!(messages.len(), graph.emulator.messages(WORK).len());
    assert_eq!(sizes[..3], [5, 4, 0]);
    let dates: Vec<String> = messages
        .iter()
        .map(|message| text(&message["receivedDateTime"]))
        .collect();
    assert!(dates.is_sorted_by(|left, right| left >= right));
    assert!(
        messages
            .iter()
            .all(|message| message["id"].is_string() && message.get("body").is_none())
    );
    let counted = graph.get("/me/messages?$count=true&$top=1").await.json();
    assert_eq!(counted["@odata.count"], messages.len());
    assert!(text(&counted["@odata.nextLink"]).starts_with(&graph.url("/me/messages?")));
    let skipped = graph.get("/me/messages?$top=1&$skip=2").await.json();
    assert_eq!(skipped["value"][0]["id"], messages[2]["id"]);
    let sized = [("prefer", "odata.maxpagesize=3")];
    let answer = graph.get_with("/me/messages", &sized).await;
    assert_eq!(answer.json()["value"].as_array().unwrap().len(), 3);
    assert_eq!(
        answer.header("preference-applied").unwrap(),
        "odata.maxpagesize=3"
    );
    assert_eq!(
        graph.get("/me/messages/$count").await.text(),
        messages.len().to_string()
    );
}

#[tokio::test]
async fn messages_are_read_with_what_they_say() {
    let graph = Graph::recorded(WORK).await;
    let id = graph.id_of("Ihre Anfrage zur Straßenreinigung").await;
    let path = format!("/me/messages/{id}");
    let message = graph.get(&path).await.json();
    assert_eq!(message["from"]["emailAddress"]["name"], "Gebührenstelle");
    assert_eq!(message["body"]["contentType"], "html");
    assert!(text(&message["body"]["content"]).contains("keine Gebühr"));
    assert!(text(&message["bodyPreview"]).starts_with("Guten Tag"));
    assert!(message.get("internetMessageHeaders").is_none() && message.get("uniqueBody").is_none());
    let plain = graph
        .get_with(&path, &[("prefer", "outlook.body-content-type=\"text\"")])
        .await;
    assert_eq!(
        plain.header("preference-applied").unwrap(),
        "outlook.body-content-type=\"text\""
    );
    assert_eq!(plain.json()["body"]["contentType"], "text");
    let more = graph
        .get(&format!("{path}?$select=internetMessageHeaders,uniqueBody"))
        .await
        .json();
    let headers = more["internetMessageHeaders"].as_array().unwrap();
    assert!(headers.iter().any(|header| header["name"] == "Message-ID"));
    assert!(more["uniqueBody"]["content"].is_string());
    let mime = graph.get(&format!("{path}/$value")).await;
    // Written anew: not the bytes that arrived.
    assert!(mime.text().contains("Message-ID: <fees-3@town.example>"));
    assert!(mime.text().starts_with("X-MS-Has-Attach"));
}

#[tokio::test]
async fn every_charset_of_the_corpus_can_be_read() {
    let graph = Graph::recorded(PERSONAL).await;
    let expected = [
        ("Your tickets – €25 each", "“row 4” at €25"),
        ("Ваш заказ готов", "Здравствуйте!"),
        ("ご予約の確認", "お待ちしております"),
        ("您的包裹已发货", "预计三天内送达"),
        ("Exporté le rapport", "Le rapport est prêt"),
    ];
    for (subject, words) in expected {
        let id = graph.id_of(subject).await;
        let message = graph.get(&format!("/me/messages/{id}")).await.json();
        assert!(
            text(&message["body"]["content"]).contains(words),
            "{subject}: {message}"
        );
    }
    // Malformed mail is mail too, with what is missing left out.
    let (messages, _) = graph.all("/me/messages?$top=100").await;
    assert!(
        messages
            .iter()
            .any(|message| message["subject"].is_null() && message.get("from").is_none())
    );
    let invitation = messages
        .iter()
        .find(|message| message["@odata.type"].is_string())
        .unwrap();
    assert_eq!(
        invitation["@odata.type"],
        "#microsoft.graph.eventMessageRequest"
    );
}

#[tokio::test]
async fn html_comes_without_scripts() {
    let graph = Graph::recorded(WORK).await;
    let id = graph.id_of("Your parcel is on its way").await;
    let path = format!("/me/messages/{id}?$select=body");
    let safe = text(&graph.get(&path).await.json()["body"]["content"]);
    assert!(safe.contains("Friday") && !safe.contains("<script") && !safe.contains("onload"));
    let raw = graph
        .get_with(&path, &[("prefer", "outlook.allow-unsafe-html")])
        .await
        .json();
    assert!(text(&raw["body"]["content"]).contains("<script"));
}

#[tokio::test]
async fn filters_orders_and_searches_find_what_they_say() {
    let graph = Graph::recorded(WORK).await;
    let find = async |option: &str, value: &str| {
        let path = format!(
            "/me/messages?$top=100&$select=subject&{option}={}",
            encoded(value)
        );
        subjects(&graph.all(&path).await.0)
    };
    assert!(
        find("$filter", "isRead eq false")
            .await
            .contains(&"Door opened".to_owned())
    );
    let flagged = find("$filter", "flag/flagStatus eq 'flagged'").await;
    assert!(flagged.contains(&"Invoice 1042 for your order".to_owned()) && flagged.len() == 3);
    let from = find(
        "$filter",
        "from/emailAddress/address eq 'FACILITIES@office.example'",
    )
    .await;
    assert_eq!(from.len(), 2);
    let id = find("$filter", "internetMessageId eq '<issue-48@news.example>'").await;
    assert_eq!(id.len(), 1);
    let both = "receivedDateTime ge 1970-01-01T00:00:00Z and startswith(subject,'Re: Win')";
    let path = format!(
        "/me/messages?$filter={}&$orderby=receivedDateTime%20desc",
        encoded(both)
    );
    assert_eq!(
        graph.get(&path).await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let attached = find("$filter", "hasAttachments eq true").await;
    // Pictures inside the text do not count.
    assert!(!attached.contains(&"The new logo".to_owned()));
    assert!(attached.contains(&"Documents in your case".to_owned()));
    let tagged = find("$filter", "categories/any(c:c eq 'None such')").await;
    assert!(tagged.is_empty());

    assert_eq!(
        find("$search", "\"subject:invoice\"").await,
        ["Invoice 1042 for your order"]
    );
    assert_eq!(find("$search", "\"glazier tomorrow\"").await.len(), 1);
    assert_eq!(
        find("$search", "\"from:billing OR from:registry\"")
            .await
            .len(),
        2
    );
    assert!(find("$search", "\"hasAttachments:true\"").await.len() > 4);
    let in_folder = graph
        .get("/me/mailFolders/sentitems/messages?$search=%22lamps%22")
        .await
        .json();
    assert_eq!(in_folder["value"].as_array().unwrap().len(), 1);
    assert!(in_folder.get("@odata.count").is_none());

    let sorted = graph
        .get("/me/messages?$orderby=subject&$top=3&$select=subject")
        .await
        .json();
    let sorted = subjects(sorted["value"].as_array().unwrap());
    assert!(sorted.is_sorted());
}

#[tokio::test]
async fn what_only_files_have_is_asked_for_as_such_and_links_have_no_bytes() {
    let graph = Graph::unrecorded().await;
    let id = graph.id_of("Monthly report with chart and figures").await;
    let with = async |names: &str| {
        let path = format!("/me/messages/{id}?$select=id&$expand=attachments($select={names})");
        graph.get(&path).await
    };
    assert_eq!(with("name,contentId").await.status, 400);
    let cast = with("name,microsoft.graph.fileAttachment/contentId").await;
    assert_eq!(
        cast.json()["attachments"][0]["contentId"],
        "chart-11@office.example"
    );

    graph.emulator.deliver(
        WORK,
        b"Subject: Elsewhere\r\nContent-Type: message/external-body; access-type=URL; name=plan.docx\r\n\r\n\r\n",
    );
    let id = graph.id_of("Elsewhere").await;
    let path = format!("/me/messages/{id}/attachments");
    let listed = graph.get(&path).await.json();
    let link = &listed["value"][0];
    assert_eq!(link["@odata.type"], "#microsoft.graph.referenceAttachment");
    assert!(link.get("contentBytes").is_none());
    let value = graph
        .get(&format!("{path}/{}/$value", text(&link["id"])))
        .await;
    assert_eq!(value.status, 405);
}

#[tokio::test]
async fn attachments_are_listed_and_read() {
    let graph = Graph::recorded(WORK).await;
    let id = graph.id_of("Monthly report with chart and figures").await;
    let path = format!("/me/messages/{id}");
    let listed = graph.get(&format!("{path}/attachments")).await.json();
    let listed = listed["value"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["isInline"], true);
    assert_eq!(listed[0]["contentId"], "chart-11@office.example");
    assert_eq!(listed[0]["@odata.type"], "#microsoft.graph.fileAttachment");
    let bytes = STANDARD.decode(text(&listed[1]["contentBytes"])).unwrap();
    assert!(bytes.starts_with(b"month\tamount"));
    let one = format!("{path}/attachments/{}", text(&listed[1]["id"]));
    let value = graph.get(&format!("{one}/$value")).await;
    assert_eq!(value.body, bytes);
    let slim = graph
        .get(&format!(
            "{path}/attachments?$select=id,name,size,isInline,contentType"
        ))
        .await
        .json();
    assert_eq!(slim["value"][1]["name"], "figures.xls");
    assert!(slim["value"][1].get("contentBytes").is_none());
    let expanded = graph
        .get(&format!("{path}?$select=subject&$expand=attachments"))
        .await
        .json();
    assert_eq!(expanded["attachments"].as_array().unwrap().len(), 2);

    let id = graph.id_of("Documents in your case").await;
    let listed = graph
        .get(&format!("/me/messages/{id}/attachments"))
        .await
        .json();
    assert_eq!(
        listed["value"][0]["name"],
        "Übersicht der Schriftsätze und Anlagen.txt"
    );
    assert_eq!(listed["value"][1]["name"], "£ rates.txt");

    let id = graph.id_of("Fwd: Printer on the second floor").await;
    let listed = graph
        .get(&format!("/me/messages/{id}/attachments"))
        .await
        .json();
    assert_eq!(
        listed["value"][0]["@odata.type"],
        "#microsoft.graph.itemAttachment"
    );
    let nested = format!(
        "/me/messages/{id}/attachments/{}",
        text(&listed["value"][0]["id"])
    );
    let mime = graph.get(&format!("{nested}/$value")).await.text();
    assert!(mime.starts_with("From: Second Floor"));
}

#[tokio::test]
async fn messages_are_marked_moved_copied_and_deleted() {
    let graph = Graph::recorded(WORK).await;
    let id = graph.id_of("Door opened").await;
    let change = json!({
        "isRead": true,
        "flag": {"flagStatus": "flagged"},
        "categories": ["Red category", "Not in the list"],
        "importance": "high",
        "inferenceClassification": "other",
    });
    let changed = graph.patch(&format!("/me/messages/{id}"), change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let changed = changed.json();
    assert_eq!(changed["flag"]["flagStatus"], "flagged");
    assert_eq!(changed["categories"][1], "Not in the list");

    let moved = graph
        .post(
            &format!("/me/messages/{id}/move"),
            json!({"destinationId": "archive"}),
        )
        .await;
    assert_eq!(moved.status, 201);
    let moved = moved.json();
    assert_ne!(moved["id"], id);
    assert_eq!(
        graph.get(&format!("/me/messages/{id}")).await.error_code(),
        "ErrorItemNotFound"
    );
    let id = text(&moved["id"]);
    let copy = graph
        .post(
            &format!("/me/messages/{id}/copy"),
            json!({"destinationId": "inbox"}),
        )
        .await
        .json();
    assert_ne!(copy["id"], moved["id"]);

    assert_eq!(
        graph.delete(&format!("/me/messages/{id}")).await.status,
        204
    );
    let truth = graph.emulator.messages(WORK);
    let doors: Vec<&String> = truth
        .iter()
        .filter(|message| {
            message
                .raw
                .windows(11)
                .any(|window| window == b"Door opened")
        })
        .flat_map(|message| &message.folders)
        .collect();
    assert_eq!(doors, ["deleteditems", "inbox"]);
    let copy = text(&copy["id"]);
    assert_eq!(
        graph
            .post_nothing(&format!("/me/messages/{copy}/permanentDelete"))
            .await
            .status,
        204
    );
    assert_eq!(graph.get(&format!("/me/messages/{copy}")).await.status, 404);
}

#[tokio::test]
async fn an_immutable_id_outlives_a_move() {
    let graph = Graph::recorded(WORK).await;
    let list = graph
        .get_with("/me/mailFolders/inbox/messages?$top=1", &[IMMUTABLE])
        .await;
    assert_eq!(
        list.header("preference-applied").unwrap(),
        "IdType=\"ImmutableId\""
    );
    let id = text(&list.json()["value"][0]["id"]);
    let headers = [IMMUTABLE, ("content-type", "application/json")];
    let path = graph.url(&format!("/me/messages/{id}/move"));
    let moved = graph
        .send(
            Method::POST,
            &path,
            &headers,
            r#"{"destinationId":"archive"}"#,
        )
        .await;
    assert_eq!(moved.json()["id"], id);
    // Both kinds of id are understood in paths, and case matters.
    assert_eq!(graph.get(&format!("/me/messages/{id}")).await.status, 200);
    let swapped: String = id
        .chars()
        .map(|letter| {
            if letter.is_lowercase() {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            }
        })
        .collect();
    assert_eq!(
        graph.get(&format!("/me/messages/{swapped}")).await.status,
        404
    );
}

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

#[tokio::test]
async fn categories_are_kept() {
    let graph = Graph::recorded(WORK).await;
    let path = "/me/outlook/masterCategories";
    let made = graph
        .post(path, json!({"displayName": "Urgent", "color": "preset7"}))
        .await;
    assert_eq!(made.status, 201);
    let id = text(&made.json()["id"]);
    let changed = graph
        .patch(&format!("{path}/{id}"), json!({"color": "preset9"}))
        .await;
    assert_eq!(changed.json()["color"], "preset9");
    let listed = graph.get(path).await.json();
    assert_eq!(listed["value"].as_array().unwrap().len(), 3);
    assert_eq!(graph.delete(&format!("{path}/{id}")).await.status, 204);
}

#[tokio::test]
async fn a_batch_answers_each_request_in_its_own_way() {
    let graph = Graph::recorded(WORK).await;
    let id = graph.id_of("Snapshot").await;
    let answer = graph
        .batch(json!([
            {"id": "a", "method": "GET", "url": format!("/me/messages/{id}?$select=subject"),
             "headers": {"Prefer": "IdType=\"ImmutableId\""}},
            {"id": "b", "method": "PATCH", "url": format!("/me/messages/{id}"), "dependsOn": ["a"],
             "headers": {"Content-Type": "application/json"}, "body": {"isRead": true}},
            {"id": "c", "method": "GET", "url": format!("/me/messages/{id}/$value"), "dependsOn": ["b"]},
        ]))
        .await
        .json();
    let by_id = |id: &str| {
        let responses = answer["responses"].as_array().unwrap();
        responses
            .iter()
            .find(|response| response["id"] == id)
            .unwrap()
            .clone()
    };
    assert_eq!(by_id("a")["body"]["subject"], "Snapshot");
    assert_ne!(by_id("a")["body"]["id"], id);
    assert_eq!(
        by_id("a")["headers"]["Preference-Applied"],
        "IdType=\"ImmutableId\""
    );
    assert_eq!(by_id("b")["status"], 200);
    let mime = STANDARD.decode(text(&by_id("c")["body"])).unwrap();
    assert!(String::from_utf8_lossy(&mime).contains("Subject: Snapshot"));
}
