//! What the emulated Graph answers to a client that asks rightly. These requests are recorded and held
//! against Microsoft's own description.

mod writing;

use crate::graph_client::{Graph, IMMUTABLE, PERSONAL, WORK, encoded, subjects, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
