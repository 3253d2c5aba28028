//! The emulated Gmail tells what happened to messages as Gmail does, with all that makes it hard to follow. With
//! `POSTROOM_RECORD` set to a directory, what is asked rightly is written there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gmail_client::{Gmail, HandClock, READER, mail, raw};
use postroom::emulator::{Emulator, EmulatorBuilder};
use serde_json::{Value, json};

fn builder() -> EmulatorBuilder {
    Emulator::builder()
        .empty()
        .quota(false)
        .record(std::env::var_os("POSTROOM_RECORD").map(PathBuf::from))
}

fn deliver(emulator: &Emulator, subject: &str) {
    emulator.deliver(
        READER,
        mail("billing@shop.example", READER, subject).as_bytes(),
    );
}

async fn current(gmail: &Gmail) -> String {
    let profile = gmail.read("/profile").await;
    profile["historyId"].as_str().unwrap().to_owned()
}

/// Every page since an id.
async fn pages(gmail: &Gmail, start: &str, further: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let page = gmail
            .read(&format!("/history?startHistoryId={start}{further}{token}"))
            .await;
        let next = page["nextPageToken"].as_str().map(str::to_owned);
        pages.push(page);
        match next {
            Some(next) => token = format!("&pageToken={next}"),
            None => return pages,
        }
    }
}

fn records(pages: &[Value]) -> Vec<Value> {
    let records = |page: &Value| page["history"].as_array().cloned().unwrap_or_default();
    pages.iter().flat_map(records).collect()
}

/// The kinds of change that a record has.
fn kinds(record: &Value) -> Vec<&str> {
    let names = record.as_object().unwrap().keys();
    names
        .map(String::as_str)
        .filter(|name| !matches!(*name, "id" | "messages"))
        .collect()
}

#[tokio::test]
async fn what_happened_is_told_in_order_and_one_record_may_tell_of_much() {
    let emulator = builder().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let start = current(&gmail).await;
    deliver(&emulator, "First");
    deliver(&emulator, "Second");
    let (first, second) = (gmail.find("First").await, gmail.find("Second").await);
    let change =
        json!({"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"], "ids": [first, second]});
    assert_eq!(
        gmail.post("/messages/batchModify", change).await.status,
        204
    );
    gmail
        .post(&format!("/messages/{first}/trash"), json!({}))
        .await
        .ok();
    assert_eq!(
        gmail
            .call("DELETE", &format!("/messages/{second}"), None)
            .await
            .status,
        204
    );

    let told = records(&pages(&gmail, &start, "").await);
    let id = |record: &Value| -> u64 { record["id"].as_str().unwrap().parse().unwrap() };
    assert!(told.windows(2).all(|two| id(&two[0]) < id(&two[1])));
    let told_kinds: Vec<_> = told.iter().map(kinds).collect();
    assert_eq!(
        told_kinds,
        [
            vec!["messagesAdded"],
            vec!["messagesAdded"],
            vec!["labelsAdded", "labelsRemoved"],
            // Trash is a label; only what is gone for good is deleted.
            vec!["labelsAdded", "labelsRemoved"],
            vec!["messagesDeleted"],
        ]
    );
    assert_eq!(told[2]["messages"].as_array().unwrap().len(), 2);
    assert_eq!(told[2]["labelsAdded"][1]["labelIds"], json!(["STARRED"]));
    assert_eq!(told[2]["labelsRemoved"][0]["message"]["id"], json!(first));
    assert_eq!(told[3]["labelsAdded"][0]["labelIds"], json!(["TRASH"]));
    assert_eq!(
        told[4]["messagesDeleted"][0]["message"]["id"],
        json!(second)
    );

    let only = pages(
        &gmail,
        &start,
        "&historyTypes=messageDeleted&historyTypes=labelRemoved",
    )
    .await;
    assert_eq!(records(&only).len(), 3);
    let labelled = pages(&gmail, &start, "&labelId=TRASH").await;
    assert_eq!(records(&labelled).len(), 1);
}

#[tokio::test]
async fn every_page_says_where_the_mailbox_is_and_an_empty_page_may_have_a_next() {
    let emulator = builder().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let start = current(&gmail).await;
    for number in 0..25 {
        deliver(&emulator, &format!("Number {number}"));
    }
    let pages = pages(&gmail, &start, "&maxResults=4").await;
    assert_eq!(records(&pages).len(), 25);
    let now = current(&gmail).await;
    assert!(pages.iter().all(|page| page["historyId"] == json!(now)));
    let empty = |page: &&Value| page.get("history").is_none();
    assert!(pages.iter().filter(empty).count() > 2);
    assert!(pages.last().unwrap().get("history").is_some());
    let nothing = gmail.read(&format!("/history?startHistoryId={now}")).await;
    assert_eq!(nothing, json!({"historyId": now}));
}

#[tokio::test]
async fn a_page_repeats_some_of_the_one_before_or_all_of_it_where_that_is_wanted() {
    for (builder, is_all) in [
        (builder().repeated_pages(true), true),
        (builder().repeated_rows(), false),
    ] {
        let emulator = builder.start().await.unwrap();
        let gmail = Gmail::new(&emulator, READER);
        let start = current(&gmail).await;
        for number in 0..60 {
            deliver(&emulator, &format!("Number {number}"));
        }
        let pages = pages(&gmail, &start, "&maxResults=10").await;
        let pages: Vec<Vec<Value>> = pages
            .iter()
            .map(|page| records(std::slice::from_ref(page)))
            .filter(|records| !records.is_empty())
            .collect();
        let mut again = Vec::new();
        let mut before: Vec<Value> = Vec::new();
        for page in &pages {
            let repeated = page.iter().filter(|record| before.contains(record)).count();
            again.push(repeated == before.len());
            before = page[repeated..].to_vec();
        }
        assert_eq!(again[1..].iter().all(|all| *all), is_all);
        let told: usize = pages.iter().map(Vec::len).sum();
        assert!(told > 70, "{told}");
    }
}

#[tokio::test]
async fn an_id_that_is_too_old_is_not_found_and_one_that_is_yet_to_come_finds_nothing() {
    let clock = Arc::new(HandClock::new());
    let emulator = builder().clock(clock.clone()).start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let start = current(&gmail).await;
    deliver(&emulator, "First");
    clock.advance(Duration::from_secs(6 * 24 * 60 * 60));
    deliver(&emulator, "Second");
    let gmail = Gmail::new(&emulator, READER);
    assert_eq!(records(&pages(&gmail, &start, "").await).len(), 2);
    let later = current(&gmail).await;
    clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    let gmail = Gmail::new(&emulator, READER);
    let expired = |answer: crate::gmail_client::Answer| {
        answer.assert_refused(404, "notFound", "Requested entity was not found.");
    };
    let path = |start: &str| format!("/history?startHistoryId={start}");
    expired(gmail.get(&path(&start)).await);
    gmail.read(&path(&later)).await;

    emulator.expire_history(READER);
    expired(gmail.get(&path(&later)).await);
    let now = current(&gmail).await;
    gmail.read(&path(&now)).await;
    // <https://github.com/googleworkspace/python-samples/issues/200>
    let ahead = gmail.read(&path("99999999999999")).await;
    assert_eq!(ahead, json!({"historyId": now}));
}

#[tokio::test]
async fn labels_have_no_history_and_drafts_have_too_much() {
    let emulator = builder().start().await.unwrap();
    let gmail = Gmail::new(&emulator, READER);
    deliver(&emulator, "First");
    let id = gmail.find("First").await;
    let start = current(&gmail).await;
    let label = gmail.post("/labels", json!({"name": "Trips"})).await.ok();
    let label = label["id"].as_str().unwrap();
    let path = format!("/labels/{label}");
    gmail
        .call("PATCH", &path, Some(json!({"name": "Journeys"})))
        .await
        .ok();
    assert!(records(&pages(&gmail, &start, "").await).is_empty());
    // That it is on a message is told, also when it goes with the label.
    gmail
        .post(
            &format!("/messages/{id}/modify"),
            json!({"addLabelIds": [label]}),
        )
        .await
        .ok();
    assert_eq!(gmail.call("DELETE", &path, None).await.status, 204);
    let told = records(&pages(&gmail, &start, "").await);
    assert_eq!(
        told.iter().map(kinds).collect::<Vec<_>>(),
        [["labelsAdded"], ["labelsRemoved"]]
    );
    gmail
        .get(&format!("/history?startHistoryId={start}&labelId={label}"))
        .await
        .assert_refused(404, "notFound", "Requested entity");

    let start = current(&gmail).await;
    let text = mail(READER, "support@desk.example", "Draft");
    let draft = gmail
        .post("/drafts", json!({"message": raw(&text)}))
        .await
        .ok();
    let draft = draft["id"].as_str().unwrap();
    let saved = json!({"message": raw(&text)});
    gmail
        .call("PUT", &format!("/drafts/{draft}"), Some(saved))
        .await
        .ok();
    gmail.post("/drafts/send", json!({"id": draft})).await.ok();
    let told = records(&pages(&gmail, &start, "").await);
    let count = |kind: &str| {
        told.iter()
            .filter(|record| kinds(record).contains(&kind))
            .count()
    };
    assert_eq!((count("messagesAdded"), count("messagesDeleted")), (3, 2));
    let last = told
        .iter()
        .rfind(|record| kinds(record).contains(&"messagesAdded"))
        .unwrap();
    assert_eq!(
        last["messagesAdded"][0]["message"]["labelIds"],
        json!(["SENT"])
    );
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let emulator = Emulator::builder()
        .empty()
        .quota(false)
        .start()
        .await
        .unwrap();
    let gmail = Gmail::new(&emulator, READER);
    let start = current(&gmail).await;
    let refused = |query: &str| {
        let (gmail, path) = (gmail.clone(), format!("/history?{query}"));
        async move { gmail.get(&path).await.refusal().0 }
    };
    assert_eq!(refused("maxResults=10").await, 400);
    assert_eq!(refused("startHistoryId=newest").await, 400);
    // The fields of the answer are in the plural, the values of the parameter are not.
    let plural = format!("startHistoryId={start}&historyTypes=messagesAdded");
    assert_eq!(refused(&plural).await, 400);
    assert_eq!(
        refused(&format!("startHistoryId={start}&pageToken=nonsense")).await,
        400
    );
    assert_eq!(
        refused(&format!("startHistoryId={start}&q=is:unread")).await,
        400
    );
}
