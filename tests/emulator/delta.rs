//! The emulated Graph tells what changed as Graph does, with all that makes it hard to follow. With `POSTROOM_RECORD` set to
//! a directory, what is asked rightly is written there.

use std::path::PathBuf;

use crate::graph_client::{Graph, IMMUTABLE, WORK, encoded, text};
use http::Method;
use postroom::emulator::{Emulator, EmulatorBuilder};
use serde_json::{Value, json};

/// An empty mailbox with so many messages in the inbox.
async fn start(messages: usize) -> Graph {
    start_with(Emulator::builder(), messages).await
}

async fn start_with(builder: EmulatorBuilder, messages: usize) -> Graph {
    let directory = std::env::var_os("POSTROOM_RECORD").map(PathBuf::from);
    let builder = builder.empty().quota(false).record(directory);
    let graph = Graph::start(builder, WORK).await;
    for number in 0..messages {
        deliver(&graph, &format!("Number {number}"));
    }
    graph
}

fn deliver(graph: &Graph, subject: &str) {
    let mail = format!("From: billing@shop.example\r\nSubject: {subject}\r\n\r\nText\r\n");
    graph.emulator.deliver(WORK, mail.as_bytes());
}

/// A round: every item, the sizes of the pages, and the link to the next round.
async fn round(graph: &Graph, url: &str, prefer: &str) -> (Vec<Value>, Vec<usize>, String) {
    let (mut items, mut sizes, mut url) = (Vec::new(), Vec::new(), url.to_owned());
    loop {
        let answer = graph
            .send(Method::GET, &url, &[("prefer", prefer)], "")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        let page = body["value"].as_array().unwrap();
        sizes.push(page.len());
        items.extend(page.iter().cloned());
        if let Some(link) = body["@odata.deltaLink"].as_str() {
            return (items, sizes, link.to_owned());
        }
        url = text(&body["@odata.nextLink"]);
    }
}

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| text(&item["id"])).collect()
}

async fn relocate(graph: &Graph, id: &str, to: &str) {
    let path = graph.url(&format!("/me/messages/{}/move", encoded(id)));
    let headers = [IMMUTABLE, ("content-type", "application/json")];
    let body = json!({"destinationId": to}).to_string();
    assert_eq!(
        graph.send(Method::POST, &path, &headers, body).await.status,
        201
    );
}

const INBOX: &str = "/me/mailFolders/inbox/messages/delta";

#[tokio::test]
async fn a_first_round_tells_everything_in_pages_that_repeat_and_are_empty() {
    let graph = start(25).await;
    let (items, sizes, link) = round(&graph, &graph.url(INBOX), IMMUTABLE.1).await;
    assert!(sizes.contains(&0) && sizes.len() > 3, "{sizes:?}");
    let mut unique = ids(&items);
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 25);
    assert!(items.len() > 25);
    let (items, sizes, _) = round(&graph, &link, IMMUTABLE.1).await;
    assert!(items.is_empty() && sizes == [0]);
    let wish = format!("{}, odata.maxpagesize=100", IMMUTABLE.1);
    let (items, sizes, _) = round(&graph, &graph.url(INBOX), &wish).await;
    assert!(items.len() == 25 && sizes == [25]);
}

/// What was told twice, of a round in pages of ten.
async fn told_again(builder: EmulatorBuilder) -> Vec<usize> {
    let graph = start_with(builder, 60).await;
    let mut url = graph.url(INBOX);
    let (mut before, mut again): (Vec<String>, Vec<usize>) = Default::default();
    loop {
        let answer = graph.send(Method::GET, &url, &[IMMUTABLE], "").await;
        let body = answer.json();
        let page = ids(body["value"].as_array().unwrap());
        if !page.is_empty() {
            let repeated = page.iter().take_while(|id| before.contains(id)).count();
            // It is the end of the page before, in that order.
            assert_eq!(page[..repeated], before[before.len() - repeated..]);
            again.push(repeated);
            before = page[repeated..].to_vec();
        }
        match body["@odata.nextLink"].as_str() {
            Some(link) => url = link.to_owned(),
            None => break,
        }
    }
    again.remove(0);
    again
}

#[tokio::test]
async fn a_page_repeats_the_last_entry_of_the_one_before_or_all_of_it_or_some() {
    // What follows an empty page repeats nothing.
    let is = |told: &[usize], count: usize| {
        told.contains(&count) && told.iter().all(|told| *told == count || *told == 0)
    };
    let last = told_again(Emulator::builder()).await;
    assert!(is(&last, 1), "{last:?}");
    let all = told_again(Emulator::builder().repeated_pages(true)).await;
    assert!(is(&all, 10), "{all:?}");
    let some = told_again(Emulator::builder().repeated_rows()).await;
    let is_part = |count: &&usize| (1..10).contains(*count);
    assert!(some.iter().filter(is_part).count() > 1, "{some:?}");
}

#[tokio::test]
async fn what_was_selected_holds_for_every_round_and_what_changed_comes_alone() {
    let graph = start(2).await;
    let url = graph.url(&format!("{INBOX}?$select=isRead,subject,flag"));
    let (items, _, link) = round(&graph, &url, IMMUTABLE.1).await;
    assert!(items[0].get("bodyPreview").is_none() && items[0]["isRead"] == json!(false));
    let id = text(&items[0]["id"]);
    let path = format!("/me/messages/{}", encoded(&id));
    graph.patch(&path, json!({"isRead": true})).await;
    deliver(&graph, "New");
    let (items, _, link) = round(&graph, &link, IMMUTABLE.1).await;
    assert_eq!(items.len(), 2);
    let changed = items.iter().find(|item| item["id"] == json!(id)).unwrap();
    assert!(changed["isRead"] == json!(true) && changed.get("subject").is_none());
    let new = items.iter().find(|item| item["id"] != json!(id)).unwrap();
    assert!(new["subject"] == json!("New") && new.get("bodyPreview").is_none());
    // A link is used as it is.
    let edited = format!("{link}&$select=id");
    let answer = graph.send(Method::GET, &edited, &[IMMUTABLE], "").await;
    assert_eq!(answer.json()["error"]["code"], "ErrorInvalidUrlQuery");
}

#[tokio::test]
async fn a_move_is_a_removal_here_and_a_message_there_and_a_deletion_looks_the_same() {
    let graph = start(2).await;
    let (items, _, inbox) = round(&graph, &graph.url(INBOX), IMMUTABLE.1).await;
    let archive = graph.url("/me/mailFolders/archive/messages/delta");
    let (_, _, archive) = round(&graph, &archive, IMMUTABLE.1).await;
    let (moved, deleted) = (text(&items[0]["id"]), text(&items[1]["id"]));
    relocate(&graph, &moved, "archive").await;
    let path = format!("/me/messages/{}/permanentDelete", encoded(&deleted));
    assert_eq!(graph.post_nothing(&path).await.status, 204);
    let (items, _, _) = round(&graph, &inbox, IMMUTABLE.1).await;
    assert_eq!(items.len(), 2);
    assert!(
        items
            .iter()
            .all(|item| item["@removed"]["reason"] == json!("deleted"))
    );
    let (items, _, _) = round(&graph, &archive, IMMUTABLE.1).await;
    assert_eq!(ids(&items), [moved]);
    assert!(items[0].get("subject").is_some());
}

#[tokio::test]
async fn what_left_and_came_back_is_forgotten_with_ids_that_never_change() {
    let graph = start(1).await;
    let (items, _, link) = round(&graph, &graph.url(INBOX), IMMUTABLE.1).await;
    let id = text(&items[0]["id"]);
    let archive = graph.url("/me/mailFolders/archive/messages/delta");
    let (_, _, archive) = round(&graph, &archive, IMMUTABLE.1).await;
    relocate(&graph, &id, "archive").await;
    relocate(&graph, &id, "inbox").await;
    let (items, _, link) = round(&graph, &link, IMMUTABLE.1).await;
    assert!(items.len() == 1 && items[0].get("@removed").is_some());
    let (items, _, _) = round(&graph, &archive, IMMUTABLE.1).await;
    assert!(items.iter().all(|item| item.get("@removed").is_some()));
    // It is there all the same, and nothing of it is told any longer.
    let path = format!("/me/messages/{}", encoded(&id));
    assert_eq!(
        graph.patch(&path, json!({"isRead": true})).await.status,
        200
    );
    let (items, _, link) = round(&graph, &link, IMMUTABLE.1).await;
    assert!(items.is_empty());
    assert_eq!(
        graph
            .post_nothing(&format!("{path}/permanentDelete"))
            .await
            .status,
        204
    );
    let (items, _, _) = round(&graph, &link, IMMUTABLE.1).await;
    assert!(items.is_empty());
}

#[tokio::test]
async fn a_filter_is_only_for_dates_and_top_ends_the_round() {
    let graph = start(25).await;
    let wish = format!("{}, odata.maxpagesize=100", IMMUTABLE.1);
    let (items, sizes, _) = round(&graph, &graph.url(&format!("{INBOX}?$top=12")), &wish).await;
    assert!(items.len() >= 12 && items.len() < 25 && sizes[0] == 10);
    let since = encoded("receivedDateTime ge 2100-01-01T00:00:00Z");
    let (items, _, _) = round(
        &graph,
        &graph.url(&format!("{INBOX}?$filter={since}")),
        &wish,
    )
    .await;
    assert!(items.is_empty());
}

#[tokio::test]
async fn tokens_are_forgotten_and_that_is_said_in_more_than_one_way() {
    let graph = start(3).await;
    let mut links = Vec::new();
    for _ in 0..12 {
        links.push(round(&graph, &graph.url(INBOX), IMMUTABLE.1).await.2);
    }
    graph.emulator.expire_deltas(WORK, Some("archive"));
    round(&graph, &links[0], IMMUTABLE.1).await;
    graph.emulator.expire_deltas(WORK, Some("inbox"));
    let mut said = std::collections::BTreeSet::new();
    for link in &links {
        let answer = graph.send(Method::GET, link, &[IMMUTABLE], "").await;
        said.insert((
            answer.status,
            text(&answer.json()["error"]["code"]).to_lowercase(),
        ));
    }
    assert!(said.len() > 1, "{said:?}");
    let known = ["syncstatenotfound", "resyncrequired"];
    assert!(said.iter().all(|(_, code)| known.contains(&code.as_str())));
}

#[tokio::test]
async fn changes_may_be_told_late_and_addresses_of_pages_rot() {
    let graph = start(1).await;
    let (_, _, link) = round(&graph, &graph.url(INBOX), IMMUTABLE.1).await;
    graph.emulator.hold_changes(WORK, true);
    deliver(&graph, "Late");
    let (items, _, link) = round(&graph, &link, IMMUTABLE.1).await;
    assert!(items.is_empty());
    graph.emulator.hold_changes(WORK, false);
    let (items, _, link) = round(&graph, &link, IMMUTABLE.1).await;
    assert_eq!(items.len(), 1);
    for number in 0..15 {
        deliver(&graph, &format!("More {number}"));
    }
    let page = graph
        .send(Method::GET, &link, &[IMMUTABLE], "")
        .await
        .json();
    let next = text(&page["@odata.nextLink"]);
    graph.emulator.rot_next_links(WORK);
    let answer = graph.send(Method::GET, &next, &[IMMUTABLE], "").await;
    assert!(answer.status == 410 || answer.status == 400);
    let (items, _, _) = round(&graph, &link, IMMUTABLE.1).await;
    assert!(items.len() >= 15);
}

#[tokio::test]
async fn folders_tell_of_themselves_however_deep_and_not_of_their_messages() {
    let graph = start(0).await;
    let url = graph.url("/me/mailFolders/delta");
    let (items, _, link) = round(&graph, &url, IMMUTABLE.1).await;
    let named = |items: &[Value], name: &str| {
        items
            .iter()
            .find(|item| item["displayName"] == json!(name))
            .cloned()
    };
    assert!(named(&items, "Shop").is_some() && named(&items, "Inbox").is_some());
    deliver(&graph, "New");
    let made = graph
        .post("/me/mailFolders", json!({"displayName": "Trips"}))
        .await
        .json();
    let (items, _, link) = round(&graph, &link, IMMUTABLE.1).await;
    assert_eq!(items.len(), 1);
    let path = format!("/me/mailFolders/{}", encoded(&text(&made["id"])));
    graph.patch(&path, json!({"displayName": "Journeys"})).await;
    let (items, _, link) = round(&graph, &link, IMMUTABLE.1).await;
    assert!(named(&items, "Journeys").is_some());
    assert_eq!(
        graph
            .post_nothing(&format!("{path}/permanentDelete"))
            .await
            .status,
        204
    );
    let (items, _, _) = round(&graph, &link, IMMUTABLE.1).await;
    assert_eq!(items[0]["id"], made["id"]);
    assert!(items[0].get("@removed").is_some());
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let graph = Graph::unrecorded().await;
    for path in [
        "/me/messages/delta".to_owned(),
        format!("{INBOX}?$search=%22x%22"),
        format!("{INBOX}?$filter={}", encoded("isRead eq false")),
        format!("{INBOX}?$orderby=subject"),
        format!("{INBOX}?$skip=3"),
        format!("{INBOX}?$deltatoken=latest"),
        format!("{INBOX}?$deltatoken=nonsense"),
        "/me/mailFolders/delta?$search=x".to_owned(),
    ] {
        assert_eq!(graph.get(&path).await.status, 400, "{path}");
    }
    let gone = format!("/me/mailFolders/{}/messages/delta", "A".repeat(60));
    assert_eq!(graph.get(&gone).await.status, 404);
}
