//! Outlook as it is at its most awkward: what the provider asks for, and what it makes of answers that no careful server
//! would give. Sending is in `outlook_sending.rs`.

mod changing;
mod refusing;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::outlook::{asked_for, batched, calls, connect, parts, with_own_folders};
use crate::scripted::{Reply, Scripted, read};
use futures_util::StreamExt;
use postroom::{
    Access, AttachmentId, AttachmentKind, Change, Detail, ErrorKind, FolderId, FolderRole, Keyword,
    MailProvider, MessageId, Outlook, PageRequest, PageToken, Query,
};
use serde_json::{Value, json};

fn ids(ids: &[&str]) -> Vec<MessageId> {
    ids.iter().map(|id| MessageId::from(*id)).collect()
}

fn message(id: &str) -> Value {
    json!({
        "@odata.etag": "W/\"1\"", "id": id, "conversationId": "c1", "parentFolderId": "f-inbox", "isRead": false,
        "isDraft": false, "flag": {"flagStatus": "notFlagged"}, "importance": "normal", "categories": [],
        "receivedDateTime": "2026-11-22T08:00:00Z", "sentDateTime": "2026-11-22T07:59:58Z",
        "subject": format!("About {id}"), "bodyPreview": "Hello",
        "from": {"emailAddress": {"name": "Billing", "address": "billing@shop.example"}},
        "sender": {"emailAddress": {"name": "Billing", "address": "billing@shop.example"}},
        "toRecipients": [{"emailAddress": {"name": "reader@outlook.example", "address": "reader@outlook.example"}}],
        "ccRecipients": [], "bccRecipients": [], "replyTo": [],
        "internetMessageId": "<1@shop.example>",
    })
}

fn error(code: &str) -> Value {
    json!({"error": {"code": code, "message": "planted content", "innerError": {"request-id": "r-1"}}})
}

#[tokio::test]
async fn every_request_and_every_part_of_a_batch_asks_for_ids_that_stay() {
    let service = with_own_folders(|request| match request.path() {
        "/v1.0/me/messages" => Reply::json(json!({"value": []})),
        "/v1.0/me" => Reply::json(json!({"mail": "reader@outlook.example"})),
        path if path.ends_with("/$value") => Reply::text(200, "Subject: x\r\n\r\n"),
        _ => Reply::json(message(&asked_for(request))),
    });
    let outlook = connect(&service);
    outlook.profile().await.unwrap();
    let page = PageRequest::first();
    outlook.list(&Query::All, Detail::Full, page).await.unwrap();
    let two = ids(&["a", "b"]);
    outlook.get(&two, Detail::Headers).await.unwrap();
    outlook.apply(&two, &Change::Trash).await.unwrap();
    let raw = outlook.raw(&two[0]).await.unwrap();
    assert_eq!(read(raw).await.unwrap(), b"Subject: x\r\n\r\n");
    let mut requests = calls(&service);
    requests.extend(service.requests());
    assert!(requests.len() > 10);
    for request in requests {
        assert_eq!(
            request.header("prefer"),
            "IdType=\"ImmutableId\"",
            "{}",
            request.line()
        );
    }
}

#[tokio::test]
async fn a_page_link_is_followed_as_it_is_and_to_the_service_only() {
    let link = "https://graph.microsoft.com/v1.0/me/mailFolders/inbox/messages?$skiptoken=a%2Bb%3D&$select=id";
    let service = Scripted::new(move |request| {
        let next = request.query("$skiptoken").is_empty().then_some(link);
        Reply::json(json!({"value": [], "@odata.nextLink": next}))
    });
    let outlook = connect(&service);
    let inbox = Query::inbox();
    let page = outlook
        .list(&inbox, Detail::Ids, PageRequest::first())
        .await
        .unwrap();
    let next = page.next.expect("an empty page may have a successor");
    let page = outlook
        .list(&inbox, Detail::Ids, PageRequest::first().with_token(next))
        .await
        .unwrap();
    assert!(page.next.is_none());
    assert_eq!(service.requests()[1].url.as_str(), link);
    for foreign in [
        "https://graph.microsoft.com.evil.example/v1.0/me/messages",
        "http://graph.microsoft.com/v1.0/me/messages",
        "https://graph.microsoft.com:8443/v1.0/me/messages",
        "https://user@evil.example/v1.0/me/messages",
        "not an address",
    ] {
        let page = PageRequest::first().with_token(PageToken::new(foreign));
        let refused = outlook.list(&inbox, Detail::Ids, page).await.unwrap_err();
        assert!(
            matches!(
                refused.kind(),
                ErrorKind::Protocol | ErrorKind::InvalidRequest
            ),
            "{foreign}: {refused}"
        );
    }
    assert_eq!(service.requests().len(), 2, "nothing went to another host");
}

#[tokio::test]
async fn mail_of_impossible_times_is_read_page_after_page() {
    for (year, seconds) in [
        ("-262143", 1),
        ("-262000", 0),
        ("+262000", 0),
        ("+262142", 1),
    ] {
        let service = with_own_folders(move |request| {
            let skipped = request.query("$skiptoken");
            let page: u32 = skipped.first().map_or(0, |page| page.parse().unwrap());
            let messages: Vec<Value> = (0..10)
                .map(|number| {
                    let mut message = message(&format!("{page}-{number}"));
                    let second = (10 - number) * seconds;
                    message["receivedDateTime"] = json!(format!("{year}-01-01T00:00:{second:02}Z"));
                    message
                })
                .collect();
            let next = (page < 2).then(|| {
                format!(
                    "https://graph.microsoft.com/v1.0/me/messages?$skiptoken={}",
                    page + 1
                )
            });
            Reply::json(json!({"value": messages, "@odata.nextLink": next}))
        });
        let outlook = connect(&service);
        let page = PageRequest::first();
        let all = outlook.messages(&Query::All, Detail::Headers, &page);
        let all = all.unwrap();
        let read: Vec<_> = all.take(100).collect().await;
        assert!(read.len() >= 30, "{year}: {}", read.len());
    }
}

#[tokio::test]
async fn a_list_whose_pages_do_not_end_is_given_up() {
    let service = Scripted::new(|_| {
        let link = "https://graph.microsoft.com/v1.0/me/outlook/masterCategories?$skip=10";
        Reply::json(json!({"value": [], "@odata.nextLink": link}))
    });
    let outlook = connect(&service).with_access(Access::SETTINGS);
    let error = outlook.categories().unwrap().list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_message_is_read_as_far_as_it_can_be_and_never_stops_its_page() {
    let nulls: Value = message("x")
        .as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), Value::Null))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut bare = nulls.clone();
    bare["id"] = "bare".into();
    let mut odd = message("odd");
    odd["subject"] = json!({"not": "text"});
    odd["receivedDateTime"] = "yesterday".into();
    odd["sentDateTime"] = "0001-01-01T00:00:00Z".into();
    odd["toRecipients"] =
        json!([null, {"emailAddress": null}, {"emailAddress": {"name": "Only a name"}}]);
    odd["flag"] = json!({"flagStatus": "FLAGGED"});
    odd["importance"] = "High".into();
    odd["categories"] = json!(["Invoices", null]);
    let items = json!([nulls, bare, odd, "no object", null, message("good")]);
    let service = Scripted::new(move |_| Reply::json(json!({"value": items})));
    let page = connect(&service)
        .list(&Query::inbox(), Detail::Headers, PageRequest::first())
        .await
        .unwrap();
    let read: Vec<_> = page.items.iter().flatten().collect();
    let failed: Vec<_> = page
        .items
        .iter()
        .filter_map(|item| item.as_ref().err())
        .collect();
    assert_eq!(
        read.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(),
        ["bare", "odd", "good"]
    );
    assert_eq!(failed.len(), 3);
    assert!(
        failed
            .iter()
            .all(|error| error.kind() == ErrorKind::Protocol)
    );
    assert_eq!(
        (&read[0].keywords, &read[0].folders),
        (&None, &None),
        "unknown is not none"
    );
    assert_eq!(
        (
            read[1].subject.as_deref(),
            read[1].received_at,
            read[1].sent_at
        ),
        (None, None, None)
    );
    assert_eq!(
        read[1].to.iter().map(|a| a.name()).collect::<Vec<_>>(),
        [Some("Only a name")]
    );
    let keywords = [
        Keyword::Flagged,
        Keyword::Important,
        Keyword::Custom("Invoices".into()),
    ];
    assert_eq!(read[1].keywords, Some(keywords.into()));
    assert_eq!(read[2].subject.as_deref(), Some("About good"));
    assert_eq!(
        read[2].from[0].to_string(),
        "Billing <billing@shop.example>"
    );
    assert_eq!((&read[2].sender, read[2].to[0].name()), (&None, None));
    assert_eq!(read[2].message_id.as_deref(), Some("1@shop.example"));
    assert_eq!(read[2].received_at.unwrap().timestamp(), 1_795_334_400);
}

#[tokio::test]
async fn a_whole_message_has_its_headers_body_and_attachments_without_their_bytes() {
    use AttachmentKind::{File, Link};
    let service = batched(|request| {
        if let Some((_, id)) = request.path().split_once("/attachments/") {
            assert_eq!(
                request.query("$expand"),
                ["microsoft.graph.itemattachment/item"]
            );
            let kind = if id == "2" { "message" } else { "event" };
            return Reply::json(
                json!({"id": id, "item": {"@odata.type": format!("#microsoft.graph.{kind}")}}),
            );
        }
        let expand = "attachments($select=id,name,contentType,size,microsoft.graph.fileAttachment/contentId)";
        assert_eq!(request.query("$expand"), [expand]);
        let mut full = message("a");
        full["body"] = json!({"contentType": "HTML", "content": "<img src='CID:logo%401'>"});
        full["internetMessageHeaders"] = json!([
            {"name": "References", "value": "<1@shop.example> <2@shop.example>"}, {"name": null, "value": "x"}, null,
            {"name": "in-reply-to", "value": "<2@shop.example>"}, {"name": "X-Empty", "value": null},
        ]);
        full["attachments"] = json!([
            {"@odata.type": "#microsoft.graph.fileAttachment", "id": "1", "name": "logo.png", "contentType": "image/png",
             "size": 70, "isInline": false, "contentId": "<Logo@1>"},
            {"@odata.type": "#microsoft.graph.fileAttachment", "id": "5", "name": "terms.pdf", "contentType": "application/pdf",
             "size": 71, "isInline": true, "contentId": "terms"},
            {"@odata.type": "#microsoft.graph.itemAttachment", "id": "2", "name": "Re: plan", "contentType": null, "size": -1},
            {"@odata.type": "#microsoft.graph.itemAttachment", "id": "4", "name": "Monday", "contentType": null},
            {"@odata.type": "#microsoft.graph.referenceAttachment", "id": "3", "name": null},
            {"id": null}, null,
        ]);
        Reply::json(full)
    });
    let messages = connect(&service)
        .get(&ids(&["a"]), Detail::Full)
        .await
        .unwrap();
    let message = messages[0].as_ref().unwrap();
    assert_eq!(
        message.body.html.as_deref(),
        Some("<img src='CID:logo%401'>")
    );
    assert_eq!(message.body.text, None);
    assert_eq!(message.references, ["1@shop.example", "2@shop.example"]);
    assert_eq!(message.in_reply_to, ["2@shop.example"]);
    assert_eq!(message.header("x-empty"), Some(""));
    let attachments: Vec<_> = message
        .attachments
        .iter()
        .map(|a| {
            (
                a.id.as_str(),
                a.kind,
                a.media_type.as_str(),
                a.size,
                a.inline,
                a.content_id.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        attachments,
        [
            ("1", File, "image/png", Some(70), true, Some("Logo@1")),
            // Its sender calls it inline, and nothing shows it.
            ("5", File, "application/pdf", Some(71), false, Some("terms")),
            (
                "2",
                AttachmentKind::Message,
                "message/rfc822",
                None,
                false,
                None
            ),
            ("4", File, "text/calendar", None, false, None),
            ("3", Link, "application/octet-stream", None, false, None),
        ]
    );
}

#[tokio::test]
async fn only_the_parts_of_a_batch_that_failed_for_a_while_are_sent_again() {
    let tries = AtomicU32::new(0);
    let service = batched(move |request| match asked_for(request).as_str() {
        "slow" | "slower" if tries.fetch_add(1, Ordering::SeqCst) < 2 => {
            Reply::error(429, error("ApplicationThrottled")).with_header("Retry-After", "7")
        }
        "gone" => Reply::error(404, error("ErrorItemNotFound")),
        id => Reply::json(message(id)),
    });
    let messages = connect(&service)
        .get(&ids(&["a", "slow", "gone", "slower", "b"]), Detail::Headers)
        .await
        .unwrap();
    let told: Vec<_> = messages
        .iter()
        .map(|message| {
            message
                .as_ref()
                .map(|m| m.id.as_str())
                .map_err(|e| e.kind())
        })
        .collect();
    assert_eq!(
        told,
        [
            Ok("a"),
            Ok("slow"),
            Err(ErrorKind::NotFound),
            Ok("slower"),
            Ok("b")
        ]
    );
    let sizes: Vec<_> = service
        .requests()
        .iter()
        .map(|request| parts(request).len())
        .collect();
    assert_eq!(sizes, [5, 2]);
    assert!(service.waited() >= Duration::from_secs(7));
}

#[tokio::test]
async fn a_batch_never_has_more_than_20_parts_and_every_id_gets_its_answer() {
    let service = batched(|request| match asked_for(request).as_str() {
        "m7" | "m8" => Reply::Lost,
        id => Reply::json(message(id)),
    });
    // Ids that differ in case only, as Exchange's do: parts are told apart without regard to it.
    let asked: Vec<_> = (0..21)
        .flat_map(|number| [format!("m{number}"), format!("M{number}")])
        .map(MessageId::from)
        .collect();
    let messages = connect(&service).get(&asked, Detail::Ids).await.unwrap();
    assert_eq!(messages.len(), asked.len());
    for (message, id) in messages.iter().zip(&asked) {
        match message {
            Ok(message) => assert_eq!(message.id, *id),
            Err(error) => {
                assert!(["m7", "m8"].contains(&id.as_str()));
                assert_eq!(error.kind(), ErrorKind::Unavailable);
            }
        }
    }
    let batches = service.requests();
    assert!(batches.iter().all(|request| parts(request).len() <= 20));
}

#[tokio::test]
async fn a_message_in_the_place_of_another_one_is_not_taken_for_it() {
    let service = batched(|request| match asked_for(request).as_str() {
        "b" => Reply::json(message("c")),
        // An id of the kind that changes with the folder is answered with the one that does not.
        "changing" => Reply::json(message("lasting")),
        id => Reply::json(message(id)),
    });
    let asked = ids(&["a", "b", "c", "changing"]);
    let messages = connect(&service).get(&asked, Detail::Ids).await.unwrap();
    let told = messages.iter().map(|message| match message {
        Ok(message) => Ok(message.id.as_str()),
        Err(error) => Err(error.kind()),
    });
    let told: Vec<_> = told.collect();
    let wrong = Err(ErrorKind::Protocol);
    assert_eq!(told, [Ok("a"), wrong, Ok("c"), Ok("lasting")]);
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_costs_only_the_part_that_breaks_it() {
    let service = Scripted::new(|request| match request.path() {
        "/v1.0/$batch" => Reply::text(200, "{\"responses\": [{\"id\": \"0\", \"status\": "),
        path if path.ends_with("/bad") => Reply::text(200, "[]"),
        _ => Reply::json(message(&asked_for(request))),
    });
    let messages = connect(&service)
        .get(&ids(&["a", "bad", "b"]), Detail::Ids)
        .await
        .unwrap();
    let good: Vec<_> = messages.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true]);
}

#[tokio::test]
async fn an_id_is_data_and_never_another_path() {
    let service = Scripted::new(|_| Reply::json(message("a")));
    let outlook = connect(&service);
    for strange in [
        "../settings?x=",
        "a/b#c",
        "AAk+/=",
        "ok\r\nGET /evil",
        "%2e%2e",
    ] {
        outlook.get(&ids(&[strange]), Detail::Ids).await.unwrap();
        let asked = service.requests().pop().unwrap();
        assert!(
            asked.path().starts_with("/v1.0/me/messages/"),
            "{}",
            asked.path()
        );
        assert_eq!(asked.path().split('/').count(), 5, "{}", asked.path());
        assert!(!asked.path().contains('+'));
    }
    let before = service.requests().len();
    for refused in ["", ".", ".."] {
        let answer = outlook
            .get(&ids(&[refused]), Detail::Ids)
            .await
            .unwrap()
            .remove(0);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    assert_eq!(service.requests().len(), before);
}

#[tokio::test]
async fn an_attachment_is_a_stream_and_a_link_has_none() {
    let service = Scripted::new(|request| match request.path() {
        "/v1.0/me/messages/a/attachments/1/$value" => Reply::text(200, "PK\u{3}\u{4}"),
        _ => Reply::error(405, error("ErrorInvalidRequest")),
    });
    let outlook = connect(&service);
    let stream = outlook
        .attachment(&"a".into(), &AttachmentId::from("1"))
        .await
        .unwrap();
    assert_eq!(read(stream).await.unwrap(), b"PK\x03\x04");
    let link = outlook
        .attachment(&"a".into(), &AttachmentId::from("2"))
        .await;
    assert_eq!(link.err().unwrap().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn the_whole_folder_tree_is_read_with_roles_by_id() {
    let service = batched(|request| {
        let folder = |id: &str, parent: &str, children: u32| {
            json!({"id": id, "displayName": format!("Ordner {id}"), "parentFolderId": parent,
                   "childFolderCount": children, "totalItemCount": 3, "unreadItemCount": 1})
        };
        match request.path() {
            "/v1.0/me/mailFolders" if request.query("$skip") == ["2"] => {
                Reply::json(json!({"value": [folder("i", "root", 0)]}))
            }
            "/v1.0/me/mailFolders" => Reply::json(json!({
                "value": [folder("p", "root", 2), {"id": null}, "no object", {"id": "x", "totalItemCount": "many"}],
                "@odata.nextLink": "https://graph.microsoft.com/v1.0/me/mailFolders?$skip=2",
            })),
            "/v1.0/me/mailFolders/p/childFolders" => {
                Reply::json(json!({"value": [folder("q", "p", 1), folder("s", "p", 0)]}))
            }
            // A folder that says it lies within itself is entered once.
            "/v1.0/me/mailFolders/q/childFolders" => {
                Reply::json(json!({"value": [folder("q", "q", 1)]}))
            }
            "/v1.0/me/mailFolders/inbox" => Reply::json(json!({"id": "i"})),
            "/v1.0/me/mailFolders/sentitems" => Reply::json(json!({"id": "s"})),
            _ => Reply::error(404, error("ErrorItemNotFound")),
        }
    });
    let folders = connect(&service).folders().await.unwrap();
    let told: Vec<_> = folders
        .iter()
        .map(|f| {
            (
                f.id.as_str(),
                f.parent.as_ref().map(FolderId::as_str),
                f.role,
                f.total,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("i", None, Some(FolderRole::Inbox), Some(3)),
            ("s", Some("p"), Some(FolderRole::Sent), Some(3)),
            ("p", None, None, Some(3)),
            ("x", None, None, None),
            ("q", Some("p"), None, Some(3)),
        ]
    );
    assert_eq!(folders[0].name, "Ordner i");
}

#[tokio::test]
async fn another_mailbox_and_another_address_of_the_service_are_used_throughout() {
    let service = Scripted::new(|_| {
        Reply::json(json!({"userPrincipalName": "team@outlook.example", "mail": ""}))
    });
    let outlook = Outlook::new(service.connection())
        .unwrap()
        .with_user("team@outlook.example")
        .with_api_endpoint("http://127.0.0.1:1/proxy".parse().unwrap())
        .unwrap();
    assert_eq!(
        outlook.profile().await.unwrap().address,
        "team@outlook.example"
    );
    let asked = service.requests().remove(0);
    assert!(
        asked
            .url
            .as_str()
            .starts_with("http://127.0.0.1:1/proxy/v1.0/users/team%40outlook.example?")
    );
    let open = Outlook::new(service.connection())
        .unwrap()
        .with_api_endpoint("http://graph.microsoft.example/".parse().unwrap());
    assert_eq!(open.unwrap_err().kind(), ErrorKind::Configuration);
}
