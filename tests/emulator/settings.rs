//! What the emulated services answer to settings that are wrong: filters and the vacation responder at Gmail, rules,
//! automatic replies and categories at Graph. What they do with right ones is shown by the provider suite.

use crate::gmail_client::{Gmail, READER};
use crate::graph_client::Graph;
use http::Method;
use postroom::emulator::Emulator;
use serde_json::{Value, json};

const FILTERS: &str = "/settings/filters";
const VACATION: &str = "/settings/vacation";

#[tokio::test]
async fn gmail_refuses_filters_that_it_could_not_keep() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let from = json!({"from": "billing@shop.example"});
    let star = json!({"addLabelIds": ["STARRED"]});
    let filter = |criteria: &Value, action: &Value| json!({"criteria": criteria, "action": action});
    let refused = |reason: &'static str, message: &'static str, body: Value| {
        let gmail = gmail.clone();
        async move {
            let answer = gmail.post(FILTERS, body).await;
            answer.assert_refused(400, reason, message);
        }
    };
    let invalid = "invalidArgument";
    refused(
        invalid,
        "Missing filter criteria",
        filter(&json!({}), &star),
    )
    .await;
    refused(invalid, "Missing filter action", filter(&from, &json!({}))).await;
    let sized = json!({"size": 1024});
    refused(invalid, "Invalid size comparison", filter(&sized, &star)).await;
    for (action, message) in [
        (
            json!({"addLabelIds": ["SPAM"]}),
            "Invalid label SPAM in AddLabelIds",
        ),
        (
            json!({"addLabelIds": ["Label_9"]}),
            "Invalid label Label_9 in AddLabelIds",
        ),
        (
            json!({"removeLabelIds": ["SENT"]}),
            "Invalid label SENT in RemoveLabelIds",
        ),
        (
            json!({"forward": "team@desk.example"}),
            "Unrecognized forwarding address",
        ),
    ] {
        refused(invalid, message, filter(&from, &action)).await;
    }
    let unknown = gmail
        .post(FILTERS, json!({"criteria": {"sender": "x"}}))
        .await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("Unknown name \\\"sender\\\""));

    let made = gmail.post(FILTERS, filter(&from, &star)).await.ok();
    let again = filter(&from, &star);
    refused("failedPrecondition", "Filter already exists", again).await;
    let id = made["id"].as_str().unwrap();
    let one = format!("{FILTERS}/{id}");
    assert_eq!(gmail.read(&one).await, made);
    assert_eq!(gmail.call("DELETE", &one, None).await.status, 204);
    let gone = gmail.call("DELETE", &one, None).await;
    gone.assert_refused(404, "notFound", "Requested entity was not found.");
    // There is no list where it would be empty.
    assert_eq!(gmail.read(FILTERS).await, json!({}));
}

#[tokio::test]
async fn gmail_refuses_replies_that_say_nothing_or_end_before_they_begin() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    for (body, message) in [
        (
            json!({"enableAutoReply": true}),
            "Either the response subject or the response body must be nonempty",
        ),
        (
            json!({"enableAutoReply": true, "responseSubject": "Away", "startTime": "2", "endTime": "1"}),
            "The start time must precede the end time",
        ),
    ] {
        let answer = gmail.call("PUT", VACATION, Some(body)).await;
        answer.assert_refused(400, "invalidArgument", message);
    }
    let body = json!({"enableAutoReply": true, "responseSubject": "Away", "startTime": 1});
    let set = gmail.call("PUT", VACATION, Some(body)).await.ok();
    assert_eq!(set["startTime"], "1", "64-bit numbers are text");
    assert_eq!(gmail.read(VACATION).await, set);
}

#[tokio::test]
async fn full_access_to_mail_is_none_to_settings() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let scope = ["https://mail.google.com/"];
    let gmail = Gmail::with_token(&emulator, emulator.access_token_for(READER, &scope));
    gmail.read(FILTERS).await;
    gmail.read(VACATION).await;
    let filter = json!({"criteria": {"from": "a"}, "action": {"addLabelIds": ["STARRED"]}});
    for answer in [
        gmail.post(FILTERS, filter).await,
        gmail.call("PUT", VACATION, Some(json!({}))).await,
        gmail.call("DELETE", &format!("{FILTERS}/x"), None).await,
    ] {
        assert_eq!(answer.refusal().0, 403);
        assert_eq!(answer.refusal().1, "insufficientPermissions");
    }
}

const RULES: &str = "/me/mailFolders/inbox/messageRules";

#[tokio::test]
async fn graph_refuses_rules_that_it_could_not_keep() {
    let graph = Graph::unrecorded().await;
    let rule = |of: &str, value: Value| {
        let mut rule = json!({
            "displayName": "R", "sequence": 1,
            "conditions": {"senderContains": ["x"]}, "actions": {"markAsRead": true},
        });
        rule[of] = value;
        rule
    };
    for (body, status, code) in [
        (rule("displayName", Value::Null), 400, "ErrorInvalidRequest"),
        (rule("sequence", json!(0)), 400, "ErrorInvalidRequest"),
        (rule("actions", json!({})), 400, "ErrorInvalidRequest"),
        (
            rule("actions", json!({"star": true})),
            400,
            "RequestBodyRead",
        ),
        (
            rule("actions", json!({"moveToFolder": "nowhere"})),
            400,
            "ErrorInvalidIdMalformed",
        ),
        (
            rule("conditions", json!({"subject": "x"})),
            400,
            "RequestBodyRead",
        ),
        (
            rule("conditions", json!({"subjectContains": "x"})),
            400,
            "RequestBodyRead",
        ),
        (rule("colour", json!("red")), 400, "RequestBodyRead"),
    ] {
        let answer = graph.post(RULES, body.clone()).await;
        let error = answer.json()["error"]["code"].clone();
        assert_eq!(
            (answer.status.as_u16(), error),
            (status, json!(code)),
            "{body}"
        );
    }
    // Only the inbox has rules.
    let elsewhere = graph.get("/me/mailFolders/drafts/messageRules").await;
    assert_eq!(elsewhere.status, 400);
    let good = rule("isEnabled", json!(false));
    let made = graph.post(RULES, good).await.json();
    let one = format!("{RULES}/{}", made["id"].as_str().unwrap());
    let renamed = graph.patch(&one, json!({"displayName": "S"})).await.json();
    assert_eq!(
        (&renamed["displayName"], &renamed["isEnabled"]),
        (&json!("S"), &json!(false))
    );
    assert_eq!(graph.delete(&one).await.status, 204);
    assert_eq!(graph.delete(&one).await.status, 404);
}

#[tokio::test]
async fn gmail_tells_its_authors_to_those_who_may_read() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    emulator.add_alias(READER, "sales@shop.example", "Sales", false);
    let gmail = Gmail::new(&emulator, READER);
    let one = gmail.read("/settings/sendAs/Sales@shop.example").await;
    assert_eq!(one["verificationStatus"], "pending");
    // Nothing is said to be false.
    assert!(one.get("isDefault").is_none() && one.get("isPrimary").is_none());
    let unknown = gmail.get("/settings/sendAs/nobody@shop.example").await;
    unknown.assert_refused(404, "notFound", "not found");
    let paged = gmail.get("/settings/sendAs?maxResults=2").await;
    assert_eq!(paged.status, 400, "there are no pages");
    let send = "https://www.googleapis.com/auth/gmail.send";
    let sender = Gmail::with_token(&emulator, emulator.access_token_for(READER, &[send]));
    let refused = sender.get("/settings/sendAs").await;
    refused.assert_refused(403, "insufficientPermissions", "insufficient");
}

#[tokio::test]
async fn gmail_knows_nothing_of_a_sent_copy_that_appears_late() {
    let emulator = Emulator::builder().empty().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    emulator.hold_sent_copies(READER);
    let mail = crate::gmail_client::mail(READER, "team@gmail.example", "Late");
    let sent = gmail
        .post("/messages/send", crate::gmail_client::raw(&mail))
        .await;
    let id = sent.ok()["id"].as_str().unwrap().to_owned();
    let profile = gmail.read("/profile").await;
    let start = profile["historyId"].as_str().unwrap().to_owned();
    let history = format!("/history?startHistoryId={start}");
    assert!(gmail.search("in:sent").await.is_empty());
    assert_eq!(gmail.get(&format!("/messages/{id}")).await.status, 404);
    assert!(gmail.read(&history).await.get("history").is_none());
    emulator.release_sent_copies(READER);
    assert_eq!(gmail.find("in:sent").await, id);
    assert!(gmail.read(&history).await.get("history").is_some());
}

#[tokio::test]
async fn graph_refuses_automatic_replies_that_mean_nothing() {
    let graph = Graph::unrecorded().await;
    let time = |text: &str, zone: &str| json!({"dateTime": text, "timeZone": zone});
    let later = time("2027-01-01T00:00:00", "UTC");
    for setting in [
        json!({"status": "sometimes"}),
        json!({"externalAudience": "friends"}),
        json!({"signature": "x"}),
        json!({"internalReplyMessage": 7}),
        json!({"scheduledStartDateTime": time("tomorrow", "UTC")}),
        json!({"status": "scheduled", "scheduledStartDateTime": later,
            "scheduledEndDateTime": time("2026-12-01T00:00:00", "UTC")}),
    ] {
        let body = json!({"automaticRepliesSetting": setting});
        let answer = graph.patch("/me/mailboxSettings", body).await;
        assert_eq!(answer.status, 400, "{setting}");
    }
    let settings = graph.get("/me/mailboxSettings").await.json();
    let replies = &settings["automaticRepliesSetting"];
    assert_eq!(replies["status"], "disabled");
    // There is a schedule also where there is none.
    assert!(replies["scheduledStartDateTime"]["dateTime"].is_string());
}

#[tokio::test]
async fn rights_to_mail_are_none_to_settings_at_graph() {
    let mut graph = Graph::unrecorded().await;
    let scopes = ["Mail.ReadWrite", "User.Read"];
    graph.token = graph
        .emulator
        .access_token_for(crate::graph_client::WORK, &scopes);
    let body = json!({"automaticRepliesSetting": {"status": "disabled"}});
    for (method, path) in [
        (Method::GET, RULES),
        (Method::GET, "/me/mailboxSettings"),
        (Method::GET, "/me/outlook/masterCategories"),
    ] {
        let answer = graph.send(method, &graph.url(path), &[], "").await;
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(graph.patch("/me/mailboxSettings", body).await.status, 403);
}
