//! What the emulated Gmail lists, finds and selects. What it refuses is in `emulator_google`. With
//! `POSTROOM_RECORD` set to a directory, every request and answer is written there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::gmail_client::{Gmail, READER, mail};
use postroom::emulator::Emulator;
use serde_json::json;

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

const INVOICE: &str = "From: Billing <billing@shop.example>\r\n\
    To: reader@gmail.example\r\n\
    Subject: =?utf-8?q?Invoice_f=C3=BCr_November?=\r\n\
    Date: Fri, 20 Nov 2026 09:30:00 +0000\r\n\
    Message-ID: <invoice-11@shop.example>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=outer\r\n\r\n\
    --outer\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThanks.\r\n\
    --outer\r\nContent-Type: application/pdf; name=\"invoice.pdf\"\r\n\
    Content-Disposition: attachment; filename=\"invoice.pdf\"\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--outer--\r\n";

#[tokio::test]
async fn fields_selects_what_an_answer_holds() {
    let emulator = start().await;
    emulator.deliver(READER, INVOICE.as_bytes());
    let gmail = Gmail::new(&emulator, READER);
    let id = gmail.find("invoice").await;
    let answer = gmail
        .read(&format!(
            "/messages/{id}?prettyPrint=false&fields=id,payload/mimeType,payload/parts(partId,body/size)"
        ))
        .await;
    assert_eq!(
        answer,
        json!({"id": id, "payload": {"mimeType": "multipart/mixed", "parts": [
            {"partId": "0", "body": {"size": 7}},
            {"partId": "1", "body": {"size": 9}},
        ]}})
    );
    let list = gmail.read("/messages?fields=messages/id").await;
    assert_eq!(list, json!({"messages": [{"id": id}]}));
    let everything = gmail
        .read(&format!("/messages/{id}?format=minimal&fields=*"))
        .await;
    assert_eq!(everything["id"], id);
}

#[tokio::test]
async fn lists_go_through_all_messages_once_in_pages_that_may_be_short() {
    let emulator = start().await;
    for number in 0..60 {
        let message = mail("billing@shop.example", READER, &format!("Message {number}"));
        emulator.deliver(READER, message.as_bytes());
    }
    let gmail = Gmail::new(&emulator, READER);
    let mut seen = BTreeSet::new();
    let mut lengths = Vec::new();
    let mut token = String::new();
    loop {
        let page = gmail.read(&format!("/messages?maxResults=8{token}")).await;
        let messages = page["messages"].as_array().unwrap();
        lengths.push(messages.len());
        for message in messages {
            assert!(seen.insert(message["id"].as_str().unwrap().to_owned()));
        }
        assert_eq!(page["resultSizeEstimate"], 201);
        match page["nextPageToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 60);
    lengths.pop();
    assert!(lengths.iter().all(|length| *length <= 8));
    assert!(lengths.iter().any(|length| *length < 8), "{lengths:?}");
}

#[tokio::test]
async fn an_empty_list_has_no_list() {
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    let empty = json!({"resultSizeEstimate": 0});
    assert_eq!(gmail.read("/messages").await, empty);
    assert_eq!(gmail.read("/threads").await, empty);
    assert_eq!(gmail.read("/drafts").await, empty);
}

#[tokio::test]
async fn search_understands_what_gmail_understands() {
    let emulator = start().await;
    let gmail = Gmail::new(&emulator, READER);
    emulator.deliver(READER, INVOICE.as_bytes());
    let invoice = gmail.find("subject:invoice").await;
    let newsletter = "From: News <news@letters.example>\r\nTo: list@letters.example\r\n\
        Cc: reader@gmail.example\r\nSubject: Weekly news\r\nList-Id: <weekly.letters.example>\r\n\
        Date: Fri, 20 Nov 2026 09:30:00 +0000\r\n\r\nThe quick brown fox. Thanks.\r\n";
    emulator.deliver(READER, newsletter.as_bytes());
    let news = gmail.find("subject:weekly").await;
    let label = gmail
        .post("/labels", json!({"name": "My Letters"}))
        .await
        .ok();
    let change = json!({"addLabelIds": [label["id"], "STARRED"], "removeLabelIds": ["UNREAD"]});
    gmail
        .post(&format!("/messages/{news}/modify"), change)
        .await
        .ok();

    let both = vec![news.clone(), invoice.clone()];
    let (invoice, news, none) = (vec![invoice], vec![news], Vec::<String>::new());
    for (query, expected) in [
        ("", &both),
        ("from:billing@shop.example", &invoice),
        ("FROM:billing", &invoice),
        ("from:bill", &none),
        // Other recipients are found as recipients too.
        ("to:me", &both),
        ("cc:reader@gmail.example", &news),
        ("from:{billing news}", &both),
        ("from:(news billing)", &none),
        ("subject:(weekly news)", &news),
        ("subject:\"november invoice\"", &none),
        ("thanks", &both),
        ("thanks -fox", &invoice),
        ("fox OR invoice", &both),
        ("thanks fox OR invoice", &both),
        ("fox or invoice", &none),
        ("fox | invoice", &both),
        ("{fox invoice}", &both),
        ("(fox OR invoice) is:starred", &news),
        ("\"quick brown\"", &news),
        ("\"brown quick\"", &none),
        ("has:attachment", &invoice),
        ("filename:pdf", &invoice),
        ("filename:invoice.pdf", &invoice),
        ("-has:attachment", &news),
        ("has:userlabels", &news),
        ("label:my-letters", &news),
        ("label:\"My Letters\"", &news),
        ("label:inbox is:unread", &invoice),
        ("label:Label_1", &none),
        ("is:read", &news),
        ("list:weekly.letters.example", &news),
        ("deliveredto:reader@gmail.example", &both),
        ("rfc822msgid:invoice-11@shop.example", &invoice),
        ("rfc822msgid:<invoice-11@shop.example>", &invoice),
        ("newer_than:1d", &both),
        ("older_than:1d", &none),
        ("newer_than:2h", &both),
        ("older_than:1w", &none),
        ("after:1795000000", &both),
        ("before:2020/01/31", &none),
        ("after:2020-01-31 before:2999/1/1", &both),
        ("larger:500", &invoice),
        ("smaller:1K is:starred", &news),
        ("in:sent", &none),
        ("is:snoozed", &none),
        // What is not understood finds nothing, and is no error.
        ("flavour:vanilla", &none),
        ("-flavour:vanilla", &none),
        ("is:sideways", &none),
        ("(fox", &none),
        ("from:", &none),
        ("\"open", &none),
    ] {
        assert_eq!(&gmail.search(query).await, expected, "{query}");
    }
}
