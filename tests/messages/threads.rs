//! Conversations cost what the services let them cost, and are the right ones also where a service cannot be asked for
//! exactly those. That they are read and changed whole is the provider suite's.

use crate::gmail;
use crate::outlook;
use crate::scripted;
use crate::scripted::Reply;
use crate::support;
use crate::support::{GMAIL, OUTLOOK};
use futures_util::TryStreamExt;
use postroom::emulator::Emulator;
use postroom::{
    Change, Detail, ErrorKind, Exactness, Keyword, MailProvider, PageRequest, Query, ThreadId,
};
use serde_json::{Value, json};

/// So many conversations of so many messages each, the first conversation first.
fn deliver(emulator: &Emulator, address: &str, conversations: usize, messages: usize) {
    for conversation in 0..conversations {
        for message in 0..messages {
            let answering = match message {
                0 => String::new(),
                _ => format!("In-Reply-To: <{conversation}-0@shop.example>\r\n"),
            };
            let raw = format!(
                "From: sender@shop.example\r\nSubject: Conversation {conversation}\r\n\
                 Message-ID: <{conversation}-{message}@shop.example>\r\n{answering}\r\nMessage {message}\r\n"
            );
            emulator.deliver(address, raw.as_bytes());
        }
    }
}

fn asked(emulator: &Emulator) -> Vec<String> {
    let requests = emulator.requests().into_iter();
    let mut asked: Vec<String> = requests
        .map(|request| request.path.rsplit('/').next().unwrap().to_owned())
        .collect();
    asked.sort();
    asked
}

#[tokio::test]
async fn a_conversation_takes_one_request_and_a_list_of_them_two() {
    for (address, listing) in [
        (GMAIL, vec!["threads", "v1"]),
        // Junk and trash are looked up first, to be left out.
        (OUTLOOK, vec!["$batch", "$batch", "messages"]),
    ] {
        let emulator = support::emulator().quota(false).start().await.unwrap();
        deliver(&emulator, address, 3, 4);
        let mailbox = support::unpaced(&emulator, address);
        let before = emulator.requests().len();
        let page = mailbox
            .thread_page(&Query::All, Detail::Headers, PageRequest::first())
            .await
            .unwrap();
        let threads: Vec<_> = page.items.into_iter().map(Result::unwrap).collect();
        assert_eq!(threads.len(), 3, "{address}");
        assert!(threads.iter().all(|thread| thread.messages.len() == 4));
        assert_eq!(before, 0);
        assert_eq!(asked(&emulator), listing, "{address}");

        let before = emulator.requests().len();
        mailbox.thread(&threads[0].id).await.unwrap();
        assert_eq!(emulator.requests().len() - before, 1, "{address}");
    }
}

#[tokio::test]
async fn a_conversation_longer_than_a_page_is_whole() {
    for address in [GMAIL, OUTLOOK] {
        let emulator = support::emulator().quota(false).start().await.unwrap();
        deliver(&emulator, address, 1, 130);
        let mailbox = support::unpaced(&emulator, address);
        let threads = mailbox.threads_with(Query::All, Detail::Ids, PageRequest::first());
        let threads: Vec<_> = threads.try_collect().await.unwrap();
        assert_eq!(threads.len(), 1, "{address}: each conversation once");
        for detail in [Detail::Ids, Detail::Headers, Detail::Full] {
            let thread = mailbox.thread_with(&threads[0].id, detail).await.unwrap();
            assert_eq!(thread.readable().count(), 130, "{address} {detail:?}");
        }
        let outcomes = mailbox
            .apply_to_threads(&[threads[0].id.clone()], &Change::Archive)
            .await
            .unwrap();
        assert!(outcomes[0].is_ok());
        let mut inbox = mailbox.messages(Query::inbox());
        assert!(inbox.try_next().await.unwrap().is_none(), "{address}");
    }
}

#[tokio::test]
async fn gmail_lists_no_conversation_that_only_its_messages_rule_out() {
    let emulator = support::emulator().quota(false).start().await.unwrap();
    deliver(&emulator, GMAIL, 3, 2);
    let mailbox = support::unpaced(&emulator, GMAIL);
    let label = mailbox.create_folder("Projects", None).await.unwrap().id;
    let threads = async |query: Query, detail: Detail| -> Vec<ThreadId> {
        let threads = mailbox.threads_with(query, detail, PageRequest::first());
        let threads: Vec<_> = threads.try_collect().await.unwrap();
        threads.into_iter().map(|thread| thread.id).collect()
    };
    let all = threads(Query::inbox(), Detail::Ids).await;
    assert_eq!(all.len(), 3);
    let change = Change::AddTo(label.clone());
    let outcomes = mailbox.apply_to_threads(&all[1..2], &change).await.unwrap();
    assert!(outcomes[0].is_ok());

    let query = Query::inbox().and(Query::Not(Box::new(Query::InFolder(label))));
    let plan = mailbox.plan(&query).unwrap();
    assert!(
        matches!(plan.exactness, Exactness::Superset { .. }),
        "{plan}"
    );
    for detail in [Detail::Ids, Detail::Headers] {
        let left = threads(query.clone(), detail).await;
        assert_eq!(left, [all[0].clone(), all[2].clone()], "{detail:?}");
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_no_change_of_its_conversation() {
    // One conversation is whole; of the other a message comes without its id.
    let threads = [ThreadId::new("broken"), ThreadId::new("whole")];
    let messages = |request: &scripted::Request, good: Value| {
        let bad = json!({"threadId": "broken", "conversationId": "broken"});
        match request.url.as_str().contains("broken") {
            true => json!([bad, good]),
            false => json!([good]),
        }
    };
    let service = gmail::batched(move |request| {
        if request.path().contains("/threads/") {
            let good = json!({"id": "good", "threadId": "t", "labelIds": ["TRASH"]});
            return Reply::json(json!({"id": "t", "messages": messages(request, good)}));
        }
        Reply::json(json!({"id": "good"}))
    });
    let at_gmail = gmail::connect(&service);
    let of_gmail = at_gmail.apply_to_threads(&threads, &Change::Restore).await;
    let batches = service.requests();
    let changed = batches.iter().flat_map(gmail::parts);
    let changed_at_gmail = changed.filter(|call| call.path().ends_with("/good/modify"));

    let service = outlook::batched(move |request| {
        if request.method == "GET" {
            let good = json!({"id": "good", "conversationId": "c"});
            return Reply::json(json!({"value": messages(request, good)}));
        }
        Reply::json(json!({"id": "good"}))
    });
    let at_outlook = outlook::connect(&service);
    let seen = Change::Set(Keyword::Seen);
    let of_outlook = at_outlook.apply_to_threads(&threads, &seen).await;
    let changed = outlook::calls(&service).into_iter();
    let changed_at_outlook = changed.filter(|call| call.method == "PATCH");

    for (outcomes, changed) in [
        (of_gmail.unwrap(), changed_at_gmail.count()),
        (of_outlook.unwrap(), changed_at_outlook.count()),
    ] {
        let failed = outcomes[0].as_ref().unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Protocol);
        assert!(outcomes[1].is_ok());
        assert_eq!(changed, 2, "what can be read is changed in both");
    }
}
