//! The emulated Gmail refuses what Gmail refuses, in Google's words. What it does for clients that ask
//! rightly is in `emulator_gmail`.

use std::sync::Arc;
use std::time::Duration;

use crate::gmail_client::{Gmail, HandClock, READER, TEAM, mail, raw};
use postroom::emulator::{Emulator, EmulatorBuilder};
use serde_json::json;

const SCOPE: &str = "https://www.googleapis.com/auth/gmail";

/// An empty world with one message in the reader's inbox, and its id.
async fn start() -> (Emulator, Gmail, String) {
    start_with(Emulator::builder().quota(false)).await
}

async fn start_with(builder: EmulatorBuilder) -> (Emulator, Gmail, String) {
    let emulator = builder.empty().start().await.unwrap();
    emulator.deliver(
        READER,
        mail("desk@support.example", READER, "Ticket").as_bytes(),
    );
    let gmail = Gmail::new(&emulator, READER);
    let id = gmail.find("ticket").await;
    (emulator, gmail, id)
}

#[tokio::test]
async fn without_a_token_there_is_no_answer() {
    let (emulator, gmail, _) = start().await;
    let path = "/gmail/v1/users/me/profile";
    let answer = gmail.exchange("GET", path, &[], b"").await.unwrap();
    answer.assert_refused(
        401,
        "required",
        "missing required authentication credential",
    );
    assert!(answer.headers.contains_key("www-authenticate"));
    let foreign = emulator.access_token("reader@outlook.example");
    for token in ["ya29.nonsense", foreign.as_str()] {
        let gmail = Gmail::with_token(&emulator, token.to_owned());
        let answer = gmail.get("/profile").await;
        answer.assert_refused(401, "authError", "invalid authentication credentials");
    }
}

#[tokio::test]
async fn a_token_ends_with_its_time_or_with_consent() {
    let clock = Arc::new(HandClock::new());
    let (emulator, gmail, _) =
        start_with(Emulator::builder().clock(Arc::<HandClock>::clone(&clock))).await;
    clock.advance(Duration::from_secs(3_598));
    assert_eq!(gmail.get("/profile").await.status, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(gmail.get("/profile").await.status, 401);

    let (first, second) = (Gmail::new(&emulator, READER), Gmail::new(&emulator, TEAM));
    emulator.revoke(READER);
    assert_eq!(first.get("/profile").await.status, 401);
    assert_eq!(second.get("/profile").await.status, 200);
    emulator.expire_access_tokens(TEAM);
    assert_eq!(second.get("/profile").await.status, 401);
}

#[tokio::test]
async fn each_method_needs_one_of_its_scopes() {
    let (emulator, _, id) = start().await;
    let message = format!("/messages/{id}");
    let modify = format!("{message}/modify");
    let attachment = format!("{message}/attachments/x");
    for (scope, method, path, body) in [
        (
            "readonly",
            "POST",
            modify.as_str(),
            Some(json!({"addLabelIds": ["STARRED"]})),
        ),
        ("readonly", "POST", "/labels", Some(json!({"name": "A"}))),
        ("send", "GET", "/profile", None),
        ("compose", "GET", "/messages", None),
        ("labels", "GET", "/messages", None),
        (
            "insert",
            "POST",
            "/messages/send",
            Some(raw(&mail(READER, TEAM, "A"))),
        ),
        ("metadata", "GET", attachment.as_str(), None),
        ("metadata", "GET", "/drafts", None),
        ("modify", "DELETE", message.as_str(), None),
        ("send", "POST", "/drafts/send", Some(json!({"id": "r1"}))),
    ] {
        let token = emulator.access_token_for(READER, &[&format!("{SCOPE}.{scope}")]);
        let gmail = Gmail::with_token(&emulator, token);
        let answer = gmail.call(method, path, body).await;
        answer.assert_refused(
            403,
            "insufficientPermissions",
            "insufficient authentication scopes",
        );
        let challenge = &answer.headers["www-authenticate"];
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
    }
}

#[tokio::test]
async fn the_metadata_scope_takes_away_what_another_scope_gives() {
    let (emulator, _, id) = start().await;
    let scopes = [format!("{SCOPE}.metadata"), format!("{SCOPE}.readonly")];
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let gmail = Gmail::with_token(&emulator, emulator.access_token_for(READER, &scopes));
    let search = gmail.get("/messages?q=ticket").await;
    search.assert_refused(
        403,
        "forbidden",
        "Metadata scope does not support 'q' parameter",
    );
    for format in ["", "?format=raw"] {
        let answer = gmail.get(&format!("/messages/{id}{format}")).await;
        answer.assert_refused(403, "forbidden", "Metadata scope doesn't allow format");
    }
    let metadata = gmail.get(&format!("/messages/{id}?format=metadata")).await;
    assert_eq!(metadata.status, 200);
}

#[tokio::test]
async fn a_mailbox_is_its_own_users() {
    let (_emulator, gmail, _) = start().await;
    let own = gmail
        .send(
            "GET",
            &format!("/gmail/v1/users/{READER}/profile"),
            &[],
            b"",
        )
        .await;
    assert_eq!(own.status, 200);
    let other = gmail
        .send("GET", &format!("/gmail/v1/users/{TEAM}/profile"), &[], b"")
        .await;
    other.assert_refused(403, "forbidden", "Delegation denied for team@gmail.example");
}

#[tokio::test]
async fn a_path_that_leads_nowhere_gets_the_front_ends_page() {
    let (_emulator, gmail, id) = start().await;
    for (method, path) in [
        ("GET", "/gmail/v1/users/me/mesages".to_owned()),
        ("GET", "/gmail/v1/users/me/messages/".to_owned()),
        ("GET", "/gmail/v2/users/me/messages".to_owned()),
        ("PUT", format!("/gmail/v1/users/me/messages/{id}")),
        ("GET", "/upload/gmail/v1/users/me/messages".to_owned()),
        ("GET", "/".to_owned()),
    ] {
        let answer = gmail.send(method, &path, &[], b"").await;
        assert_eq!(answer.status, 404, "{method} {path}");
        assert!(answer.headers["content-type"].starts_with("text/html"));
        assert!(answer.text().contains("was not found on this server"));
    }
}

#[tokio::test]
async fn a_parameter_must_exist_and_take_its_value() {
    let (_emulator, gmail, id) = start().await;
    for (query, message) in [
        (
            "/messages?query=x",
            "Unknown name \"query\": Cannot bind query parameter",
        ),
        ("/profile?q=x", "Unknown name \"q\""),
        (
            "/messages?maxResults=many",
            "Invalid value at 'max_results' (TYPE_UINT32)",
        ),
        ("/messages?maxResults=-1", "TYPE_UINT32"),
        ("/messages?includeSpamTrash=yes", "TYPE_BOOL"),
        ("/messages?q=a&q=b", "Proto field is not repeating"),
        ("/messages?alt=xml", "TYPE_ENUM"),
    ] {
        gmail
            .get(query)
            .await
            .assert_refused(400, "badRequest", message);
    }
    let format = gmail.get(&format!("/messages/{id}?format=complete")).await;
    format.assert_refused(400, "badRequest", "Invalid value at 'format'");
    // Enumerations are taken in any case.
    let format = gmail.get(&format!("/messages/{id}?format=RAW")).await;
    assert!(format.ok()["raw"].is_string());
}

#[tokio::test]
async fn a_label_is_named_exactly_in_a_list_of_messages() {
    let (_emulator, gmail, _) = start().await;
    for label in ["inbox", "Label_99"] {
        let answer = gmail.get(&format!("/messages?labelIds={label}")).await;
        answer.assert_refused(400, "invalidArgument", &format!("Invalid label: {label}"));
    }
}

#[tokio::test]
async fn a_page_token_holds_for_its_query_only() {
    let (emulator, gmail, _) = start().await;
    emulator.deliver(
        READER,
        mail("desk@support.example", READER, "Other").as_bytes(),
    );
    let page = gmail.read("/messages?maxResults=1").await;
    let token = page["nextPageToken"].as_str().unwrap();
    for path in [
        format!("/messages?pageToken={token}&q=is:unread"),
        format!("/messages?pageToken={token}&labelIds=INBOX"),
        format!("/threads?pageToken={token}"),
        "/messages?pageToken=2".to_owned(),
    ] {
        let answer = gmail.get(&path).await;
        answer.assert_refused(400, "invalidArgument", "Invalid pageToken");
    }
}

#[tokio::test]
async fn a_selection_of_fields_that_are_not_there_is_refused() {
    let (_emulator, gmail, _) = start().await;
    for (fields, wrong) in [
        ("message", "message"),
        ("messages(id,subject)", "subject"),
        ("messages/id/value", "value"),
        ("messages(id", "messages(id"),
        ("messages)", "messages)"),
    ] {
        let answer = gmail.get(&format!("/messages?fields={fields}")).await;
        let message = format!("Invalid field selection {wrong}");
        answer.assert_refused(400, "invalidParameter", &message);
    }
}

#[tokio::test]
async fn a_body_is_json_of_the_methods_own_shape() {
    let (_emulator, gmail, id) = start().await;
    let path = format!("/messages/{id}/modify");
    for (body, message) in [
        (
            json!({"addLabels": ["STARRED"]}),
            "Unknown name \"addLabels\": Cannot find field",
        ),
        (
            json!({"addLabelIds": "STARRED"}),
            "Invalid value at 'add_label_ids' (TYPE_STRING)",
        ),
        (
            json!({"addLabelIds": [1]}),
            "Invalid value at 'add_label_ids[0]'",
        ),
    ] {
        let answer = gmail.post(&path, body).await;
        answer.assert_refused(400, "badRequest", message);
    }
    let inner = json!({"message": {"raw": "", "subject": "x"}});
    let answer = gmail.post("/drafts", inner).await;
    answer.assert_refused(400, "badRequest", "Unknown name \"subject\" at 'message'");

    let target = format!("/gmail/v1/users/me{path}");
    let kind = [("Content-Type", "application/json")];
    let broken = gmail
        .send("POST", &target, &kind, b"{\"addLabelIds\":[")
        .await;
    broken.assert_refused(400, "parseError", "Invalid JSON payload received");
    let kind = [("Content-Type", "text/plain")];
    let untyped = gmail.send("POST", &target, &kind, b"{}").await;
    untyped.assert_refused(400, "badContent", "text/plain");
    let surplus = gmail
        .send("GET", "/gmail/v1/users/me/profile", &[], b"{}")
        .await;
    assert_eq!(surplus.status, 400);
    assert!(surplus.text().contains("malformed or illegal request"));
}

#[tokio::test]
async fn raw_is_base64_for_urls() {
    let (_emulator, gmail, _) = start().await;
    for wrong in ["YWI/Y2Q+", "not base64!", "YWJj\nYWJj"] {
        let answer = gmail.post("/messages/send", json!({"raw": wrong})).await;
        answer.assert_refused(400, "badRequest", "Invalid value at 'raw' (TYPE_BYTES)");
    }
    let missing = gmail
        .post("/messages/send", json!({"threadId": "ff"}))
        .await;
    missing.assert_refused(
        400,
        "invalidArgument",
        "'raw' RFC822 payload message string",
    );
}

#[tokio::test]
async fn a_post_without_a_length_is_refused_with_a_page_even_if_it_is_empty() {
    let (emulator, gmail, id) = start().await;
    let path = format!("/gmail/v1/users/me/messages/{id}/trash");
    let authorization = format!("Bearer {}", gmail.token);
    let headers = [("Authorization", authorization.as_str())];
    let answer = gmail.exchange("POST", &path, &headers, b"").await.unwrap();
    assert_eq!(answer.status, 411);
    assert!(answer.headers["content-type"].starts_with("text/html"));
    assert_eq!(emulator.messages(READER)[0].folders, ["INBOX", "UNREAD"]);
}

#[tokio::test]
async fn ids_are_gmails_own() {
    let (_emulator, gmail, id) = start().await;
    for wrong in ["FMfcgzQXJWDsKmvPLcTzHNNcpVVrZbTs", "INBOX", "18F2"] {
        let answer = gmail.get(&format!("/messages/{wrong}")).await;
        answer.assert_refused(400, "invalidArgument", "Invalid id value");
    }
    for path in [
        "/messages/00000000000000ff",
        "/threads/ff",
        "/drafts/r1",
        "/labels/Label_9",
    ] {
        let answer = gmail.get(path).await;
        answer.assert_refused(404, "notFound", "Requested entity was not found.");
    }
    let answer = gmail
        .get(&format!("/messages/{id}/attachments/stale"))
        .await;
    answer.assert_refused(400, "invalidArgument", "Invalid attachment token");
}

#[tokio::test]
async fn an_attachments_name_is_new_at_each_look_and_does_not_last() {
    let clock = Arc::new(HandClock::new());
    let emulator = Emulator::builder()
        .empty()
        .clock(Arc::<HandClock>::clone(&clock));
    let emulator = emulator.start().await.unwrap();
    let message = "Subject: File\r\nContent-Type: application/pdf; name=a.pdf\r\n\
                   Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n";
    emulator.deliver(READER, message.as_bytes());
    let gmail = Gmail::new(&emulator, READER);
    let id = gmail.find("file").await;
    let look = async || {
        let message = gmail.read(&format!("/messages/{id}")).await;
        let name = message["payload"]["body"]["attachmentId"].as_str().unwrap();
        name.to_owned()
    };
    let (first, second) = (look().await, look().await);
    assert_ne!(first, second);
    let path = format!("/messages/{id}/attachments/{first}");
    assert_eq!(gmail.get(&path).await.status, 200);
    clock.advance(Duration::from_secs(3_000));
    let stale = gmail.get(&path).await;
    stale.assert_refused(400, "invalidArgument", "Invalid attachment token");
}

#[tokio::test]
async fn labels_are_changed_within_gmails_rules() {
    let (_emulator, gmail, id) = start().await;
    let many: Vec<String> = (0..101).map(|number| format!("Label_{number}")).collect();
    let path = format!("/messages/{id}/modify");
    for (body, message) in [
        (json!({}), "No label add or removes specified"),
        (
            json!({"addLabelIds": []}),
            "No label add or removes specified",
        ),
        (json!({"addLabelIds": ["SENT"]}), "Invalid label: SENT"),
        (json!({"removeLabelIds": ["DRAFT"]}), "Invalid label: DRAFT"),
        (
            json!({"addLabelIds": ["Starred"]}),
            "Invalid label: Starred",
        ),
        (json!({"addLabelIds": many}), "Too many labels"),
        (
            json!({"addLabelIds": ["STARRED"], "removeLabelIds": ["STARRED"]}),
            "Cannot both add and remove the same label",
        ),
    ] {
        let answer = gmail.post(&path, body).await;
        answer.assert_refused(400, "invalidArgument", message);
    }
    let draft = json!({"message": raw(&mail(READER, TEAM, "Draft"))});
    let draft = gmail.post("/drafts", draft).await.ok();
    let path = format!(
        "/messages/{}/modify",
        draft["message"]["id"].as_str().unwrap()
    );
    let answer = gmail.post(&path, json!({"addLabelIds": ["STARRED"]})).await;
    answer.assert_refused(400, "failedPrecondition", "Precondition check failed.");

    let ids = vec![id.clone(); 1_001];
    let body = json!({"ids": ids, "addLabelIds": ["STARRED"]});
    let answer = gmail.post("/messages/batchModify", body).await;
    answer.assert_refused(400, "invalidArgument", "Too many message ids: 1001");
    let answer = gmail.post("/messages/batchDelete", json!({})).await;
    answer.assert_refused(400, "invalidArgument", "No message ids specified");
}

#[tokio::test]
async fn labels_have_one_name_and_the_colours_of_the_palette() {
    let (_emulator, gmail, _) = start().await;
    let made = gmail.post("/labels", json!({"name": "Work"})).await.ok();
    let taken = gmail.post("/labels", json!({"name": "wORK"})).await;
    taken.assert_refused(409, "aborted", "Label name exists or conflicts");
    assert_eq!(taken.json()["error"]["status"], "ALREADY_EXISTS");
    for (body, message) in [
        (json!({"name": "Inbox"}), "Invalid label name"),
        (
            json!({"labelListVisibility": "labelShow"}),
            "Invalid label name",
        ),
        (
            json!({"name": "A", "color": {"textColor": "#ffffff"}}),
            "both a background and a text color",
        ),
        (
            json!({"name": "A", "color": {"textColor": "#ffffff", "backgroundColor": "#123456"}}),
            "Label color #123456 is not on the allowed color palette",
        ),
    ] {
        let answer = gmail.post("/labels", body).await;
        answer.assert_refused(400, "invalidArgument", message);
    }
    let hidden = json!({"name": "A", "labelListVisibility": "hidden"});
    let answer = gmail.post("/labels", hidden).await;
    answer.assert_refused(
        400,
        "badRequest",
        "Invalid value at 'label_list_visibility'",
    );
    let answer = gmail.call("DELETE", "/labels/INBOX", None).await;
    answer.assert_refused(400, "invalidArgument", "Invalid label: INBOX");
    let path = format!("/labels/{}", made["id"].as_str().unwrap());
    let answer = gmail
        .call("PUT", &path, Some(json!({"id": "Label_7", "name": "B"})))
        .await;
    answer.assert_refused(400, "invalidArgument", "Invalid label id");
}

#[tokio::test]
async fn mail_needs_recipients_that_can_be_reached() {
    let (emulator, gmail, _) = start().await;
    for (header, message) in [
        ("Subject: A", "Recipient address required"),
        ("To: nobody", "Invalid To header"),
        ("To: a b@shop.example", "Invalid To header"),
        (
            "To: team@gmail.example\r\nCc: @shop.example",
            "Invalid Cc header",
        ),
    ] {
        let text = format!("{header}\r\n\r\nText.\r\n");
        let answer = gmail.post("/messages/send", raw(&text)).await;
        answer.assert_refused(400, "invalidArgument", message);
    }
    assert_eq!(emulator.messages(READER).len(), 1);
    let hidden = format!("To: undisclosed-recipients:;\r\nBcc: {TEAM}\r\n\r\nText.\r\n");
    gmail.post("/messages/send", raw(&hidden)).await.ok();
    assert_eq!(emulator.messages(TEAM).len(), 1);
}

#[tokio::test]
async fn a_thread_to_send_into_must_be_there() {
    let (_emulator, gmail, _) = start().await;
    let mut body = raw(&mail(READER, TEAM, "Re: Ticket"));
    body["threadId"] = json!("00000000000000ff");
    let answer = gmail.post("/messages/send", body.clone()).await;
    answer.assert_refused(404, "notFound", "Requested entity was not found.");
    body["threadId"] = json!("thread-1");
    let answer = gmail.post("/messages/send", body).await;
    answer.assert_refused(400, "invalidArgument", "Invalid thread_id value");
}

#[tokio::test]
async fn imported_mail_needs_an_author_and_inserted_mail_does_not() {
    let (_emulator, gmail, _) = start().await;
    let anonymous = raw("Subject: Anonymous\r\n\r\nText.\r\n");
    let answer = gmail.post("/messages/import", anonymous.clone()).await;
    answer.assert_refused(400, "invalidArgument", "Invalid From header");
    gmail.post("/messages", anonymous.clone()).await.ok();
    let mut labelled = anonymous;
    labelled["labelIds"] = json!(["Nowhere"]);
    let answer = gmail.post("/messages", labelled).await;
    answer.assert_refused(400, "invalidArgument", "Invalid label: Nowhere");
}

#[tokio::test]
async fn blind_copies_stay_blind_behind_a_broken_header_line() {
    let (emulator, gmail, _) = start().await;
    let message = format!(
        "To: {TEAM}\r\nthis line is no field\r\nbcc : team@outlook.example,\r\n {READER}\r\n\
         Subject: Broken\r\n\r\nText.\r\n"
    );
    gmail.post("/messages/send", raw(&message)).await.ok();
    let received = &emulator.messages(TEAM)[0];
    let text = String::from_utf8(received.raw.clone()).unwrap();
    assert!(text.contains("this line is no field"), "{text}");
    assert!(!text.to_lowercase().contains("bcc"), "{text}");
    assert!(!text.contains("team@outlook.example"), "{text}");
}
