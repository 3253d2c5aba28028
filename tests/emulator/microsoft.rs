//! The emulated Graph refuses what the real one refuses, in its words, and is as awkward.

mod batching;

use crate::graph_client::{Answer, Graph, PERSONAL, WORK, encoded, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use postroom::emulator::Emulator;
use serde_json::{Value, json};

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.error_code().as_str()),
        (status, code),
        "{}",
        answer.text()
    );
    let error = &answer.json()["error"];
    assert!(error["message"].is_string() && error["innerError"]["request-id"].is_string());
}

#[tokio::test]
async fn a_token_has_to_be_there_and_hold() {
    let graph = Graph::unrecorded().await;
    let url = graph.url("/me");
    let ask = |token: String| {
        let (graph, url) = (&graph, &url);
        async move {
            graph
                .bare(Method::GET, url, &[("authorization", &token)], "")
                .await
        }
    };
    let none = graph.bare(Method::GET, &url, &[], "").await;
    refused(&none, 401, "InvalidAuthenticationToken");
    assert!(
        none.header("www-authenticate")
            .unwrap()
            .starts_with("Bearer realm=\"\"")
    );
    refused(
        &ask("Bearer nonsense".to_owned()).await,
        401,
        "InvalidAuthenticationToken",
    );
    let other = graph.emulator.access_token("reader@gmail.example");
    refused(
        &ask(format!("Bearer {other}")).await,
        401,
        "InvalidAuthenticationToken",
    );
    graph.emulator.expire_access_tokens(WORK);
    refused(&graph.get("/me").await, 401, "InvalidAuthenticationToken");
}

#[tokio::test]
async fn a_permission_has_to_be_granted() {
    let mut graph = Graph::unrecorded().await;
    let id = graph.id_of("Invoice 1042 for your order").await;
    let message = format!("/me/messages/{id}");
    graph.token = graph.emulator.access_token_for(WORK, &["Mail.Read"]);
    assert_eq!(graph.get(&message).await.status, 200);
    for (answer, what) in [
        (
            graph.patch(&message, json!({"isRead": true})).await,
            "change",
        ),
        (graph.delete(&message).await, "delete"),
        (graph.post("/me/messages", json!({})).await, "draft"),
        (
            graph.post("/me/sendMail", json!({"message": {}})).await,
            "send",
        ),
        (
            graph.get("/me/outlook/masterCategories").await,
            "categories",
        ),
        (graph.get("/me").await, "user"),
    ] {
        assert_eq!(
            (answer.status.as_u16(), answer.error_code()),
            (403, "ErrorAccessDenied".to_owned()),
            "{what}"
        );
    }
    graph.token = graph.emulator.access_token_for(WORK, &["Mail.ReadBasic"]);
    let basic = graph.get(&message).await.json();
    assert!(
        basic["subject"].is_string()
            && basic.get("body").is_none()
            && basic.get("bodyPreview").is_none()
    );
    refused(
        &graph.get("/me/messages?$search=%22invoice%22").await,
        403,
        "ErrorAccessDenied",
    );
    refused(
        &graph.get(&format!("{message}/attachments")).await,
        403,
        "ErrorAccessDenied",
    );
    refused(
        &graph.get(&format!("{message}/$value")).await,
        403,
        "ErrorAccessDenied",
    );
}

#[tokio::test]
async fn other_mailboxes_are_closed() {
    let graph = Graph::unrecorded().await;
    refused(
        &graph.get(&format!("/users/{PERSONAL}/messages")).await,
        403,
        "ErrorAccessDenied",
    );
    refused(
        &graph.get("/users/nobody@outlook.example/messages").await,
        404,
        "ErrorInvalidUser",
    );
}

#[tokio::test]
async fn paths_methods_and_versions_have_to_exist() {
    let graph = Graph::unrecorded().await;
    refused(&graph.get("/me/mail").await, 400, "BadRequest");
    refused(&graph.get("/me/messages/x/y").await, 400, "BadRequest");
    refused(&graph.get("/nothing").await, 400, "BadRequest");
    refused(
        &graph.delete("/me/messages").await,
        405,
        "Request_BadRequest",
    );
    let other = graph.url("/me").replace("/v1.0/", "/v9/");
    refused(
        &graph.send(Method::GET, &other, &[], "").await,
        400,
        "BadRequest",
    );
    let with_body = graph.send(Method::GET, &graph.url("/me"), &[], "x").await;
    refused(&with_body, 400, "BadRequest");
}

#[tokio::test]
async fn ids_have_to_be_ids() {
    let graph = Graph::unrecorded().await;
    refused(
        &graph.get("/me/messages/nonsense").await,
        400,
        "ErrorInvalidIdMalformed",
    );
    refused(
        &graph.get("/me/mailFolders/entwuerfe").await,
        400,
        "ErrorInvalidIdMalformed",
    );
    let id = graph.id_of("Invoice 1042 for your order").await;
    let other = id.chars().rev().collect::<String>();
    refused(
        &graph
            .get(&format!("/me/messages/{}", encoded(&other)))
            .await,
        404,
        "ErrorItemNotFound",
    );
    let nowhere = json!({"destinationId": "nowhere"});
    refused(
        &graph
            .post(&format!("/me/messages/{id}/move"), nowhere)
            .await,
        400,
        "ErrorInvalidIdMalformed",
    );
    // A well-known name is no id, and matches nothing.
    let filter = encoded("parentFolderId eq 'inbox'");
    let none = graph
        .get(&format!("/me/messages?$filter={filter}"))
        .await
        .json();
    assert_eq!(none["value"], json!([]));
}

#[tokio::test]
async fn query_options_have_to_be_right() {
    let graph = Graph::unrecorded().await;
    let wrong = [
        ("top=5", "RequestBroker--ParseUri"),
        ("$top=0", "ErrorInvalidUrlQuery"),
        ("$top=1001", "ErrorInvalidUrlQuery"),
        ("$top=many", "RequestBroker--ParseUri"),
        ("$top=1&$top=2", "RequestBroker--ParseUri"),
        ("$count=yes", "RequestBroker--ParseUri"),
        ("$select=subject,folder", "RequestBroker--ParseUri"),
        ("$orderby=subject%20down", "RequestBroker--ParseUri"),
        ("$expand=body", "RequestBroker--ParseUri"),
        ("$skiptoken=nonsense", "ErrorInvalidUrlQuery"),
        ("$filter=isRead", "BadRequest"),
        (
            "$filter=toRecipients/any(r:r/emailAddress/address%20eq%20'a@shop.example')",
            "ErrorInvalidUrlQueryFilter",
        ),
        ("$filter=isRead%20eq%20'false'", "BadRequest"),
        (
            "$filter=receivedDateTime%20ge%20'2026-01-01T00:00:00Z'",
            "BadRequest",
        ),
        ("$filter=subject%20eq%20'open", "RequestBroker--ParseUri"),
        ("$filter=folder%20eq%20'x'", "RequestBroker--ParseUri"),
        ("$filter=length(subject)%20gt%203", "BadRequest"),
        ("$search=invoice", "BadRequest"),
        ("$search=%22(invoice%22", "BadRequest"),
        (
            "$search=%22invoice%22&$filter=isRead%20eq%20true",
            "SearchWithFilter",
        ),
        (
            "$search=%22invoice%22&$orderby=subject",
            "SearchWithOrderBy",
        ),
        ("$search=%22invoice%22&$skip=1", "SearchWithSkip"),
        (
            "$filter=isRead%20eq%20true&$orderby=receivedDateTime",
            "InefficientFilter",
        ),
        (
            "$filter=contains(subject,'a')&$orderby=subject",
            "InefficientFilter",
        ),
    ];
    for (query, code) in wrong {
        let answer = graph.get(&format!("/me/messages?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error_code().as_str()),
            (400, code),
            "{query}"
        );
    }
    let id = graph.id_of("Invoice 1042 for your order").await;
    refused(
        &graph.get(&format!("/me/messages/{id}?$top=1")).await,
        400,
        "RequestBroker--ParseUri",
    );
}

#[tokio::test]
async fn bodies_have_to_be_right() {
    let graph = Graph::unrecorded().await;
    let id = graph.id_of("Invoice 1042 for your order").await;
    let path = format!("/me/messages/{id}");
    let wrong = [
        (json!({"subjekt": "x"}), "RequestBodyRead"),
        (json!({"isRead": "yes"}), "RequestBodyRead"),
        (json!({"importance": "urgent"}), "RequestBodyRead"),
        (json!({"flag": {"flagStatus": "waving"}}), "RequestBodyRead"),
        (
            json!({"flag": {"flagStatus": "flagged", "dueDateTime": {}}}),
            "ErrorPropertyValidationFailure",
        ),
        (
            json!({"toRecipients": ["a@shop.example"]}),
            "RequestBodyRead",
        ),
        (
            json!({"toRecipients": [{"address": "a@shop.example"}]}),
            "RequestBodyRead",
        ),
        (
            json!({"body": {"contentType": "markdown"}}),
            "RequestBodyRead",
        ),
        (
            json!({"internetMessageHeaders": [{"name": "List-Id", "value": "x"}]}),
            "InvalidInternetMessageHeader",
        ),
        (
            json!({"internetMessageHeaders": [{"name": "x-a", "value": "b\r\nBcc: c"}]}),
            "InvalidInternetMessageHeader",
        ),
        (
            json!({"internetMessageHeaders": vec![json!({"name": "x-a", "value": "b"}); 6]}),
            "InvalidInternetMessageHeaderCollection",
        ),
        (
            json!({"@odata.type": "#microsoft.graph.event"}),
            "RequestBodyRead",
        ),
    ];
    for (body, code) in wrong {
        let answer = graph.patch(&path, body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error_code().as_str()),
            (400, code),
            "{body}"
        );
    }
    let url = graph.url(&path);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    refused(
        &graph.send(Method::PATCH, &url, &form, "isRead=true").await,
        415,
        "UnsupportedMediaType",
    );
    let kind = [("content-type", "application/json")];
    refused(
        &graph.send(Method::PATCH, &url, &kind, "{\"isRead\":").await,
        400,
        "BadRequest",
    );
    let huge = json!({"subject": "x".repeat(5 << 20)});
    refused(
        &graph.post("/me/messages", huge).await,
        413,
        "RequestEntityTooLarge",
    );
}

#[tokio::test]
async fn what_was_received_stays_as_it_is() {
    let graph = Graph::unrecorded().await;
    let id = graph.id_of("Invoice 1042 for your order").await;
    let path = format!("/me/messages/{id}");
    refused(
        &graph.patch(&path, json!({"subject": "Mine"})).await,
        403,
        "ErrorAccessDenied",
    );
    refused(
        &graph.post_nothing(&format!("{path}/send")).await,
        400,
        "ErrorInvalidRequest",
    );
    let session =
        json!({"AttachmentItem": {"attachmentType": "file", "name": "a", "size": 4_000_000}});
    let create = format!("{path}/attachments/createUploadSession");
    refused(
        &graph.post(&create, session).await,
        403,
        "ErrorAccessDenied",
    );

    let tag = text(&graph.get(&path).await.json()["@odata.etag"]);
    let headers = [
        ("content-type", "application/json"),
        ("if-match", tag.as_str()),
    ];
    let url = graph.url(&path);
    let first = graph
        .send(Method::PATCH, &url, &headers, r#"{"isRead":true}"#)
        .await;
    assert_eq!(first.status, 200);
    let second = graph
        .send(Method::PATCH, &url, &headers, r#"{"isRead":false}"#)
        .await;
    refused(&second, 412, "ErrorIrresolvableConflict");
}

#[tokio::test]
async fn mail_that_cannot_be_sent_is_refused() {
    let graph = Graph::unrecorded().await;
    let before = graph.emulator.messages(WORK).len();
    let send = |message: Value| graph.post("/me/sendMail", json!({"message": message}));
    let to = |address: &str| json!([{"emailAddress": {"address": address}}]);
    refused(
        &send(json!({"subject": "Nobody"})).await,
        400,
        "ErrorInvalidRecipients",
    );
    refused(
        &send(json!({"toRecipients": to("nobody")})).await,
        400,
        "ErrorInvalidRecipients",
    );
    let other = json!({"emailAddress": {"address": "billing@shop.example"}});
    let as_other = json!({"toRecipients": to("reader@gmail.example"), "from": other});
    refused(&send(as_other).await, 403, "ErrorSendAsDenied");
    refused(
        &graph.post("/me/sendMail", json!({"mesage": {}})).await,
        400,
        "RequestBodyRead",
    );
    refused(
        &graph.post("/me/sendMail", json!({})).await,
        400,
        "ErrorInvalidRequest",
    );

    let url = graph.url("/me/sendMail");
    let plain = [("content-type", "text/plain")];
    let raw = "Subject: not encoded\r\n\r\n";
    let bad = graph.send(Method::POST, &url, &plain, raw).await;
    refused(&bad, 400, "ErrorMimeContentInvalidBase64String");
    let empty = graph
        .send(
            Method::POST,
            &url,
            &plain,
            STANDARD.encode("no header here"),
        )
        .await;
    refused(&empty, 400, "ErrorMimeContentInvalid");
    // Nothing of that arrived anywhere or stayed behind.
    assert_eq!(
        graph.emulator.messages("reader@gmail.example").len(),
        before
    );
    assert_eq!(graph.emulator.messages(WORK).len(), before);
}

#[tokio::test]
async fn replies_say_one_thing_once() {
    let graph = Graph::unrecorded().await;
    let id = graph.id_of("Invoice 1042 for your order").await;
    let path = format!("/me/messages/{id}");
    let body = json!({"contentType": "text", "content": "b"});
    let both = json!({"comment": "a", "message": {"body": body}});
    refused(
        &graph.post(&format!("{path}/reply"), both).await,
        400,
        "ErrorInvalidRequest",
    );
    refused(
        &graph
            .post(&format!("{path}/forward"), json!({"comment": "a"}))
            .await,
        400,
        "ErrorInvalidRequest",
    );
    let to = json!([{"emailAddress": {"address": "reader@gmail.example"}}]);
    let twice = json!({"toRecipients": to.clone(), "message": {"toRecipients": to}});
    refused(
        &graph.post(&format!("{path}/forward"), twice).await,
        400,
        "ErrorInvalidRequest",
    );
}

#[tokio::test]
async fn attachments_have_to_be_whole_and_small() {
    let graph = Graph::unrecorded().await;
    let draft = text(
        &graph
            .post("/me/messages", json!({"subject": "Draft"}))
            .await
            .json()["id"],
    );
    let path = format!("/me/messages/{draft}/attachments");
    let file = |changes: Value| {
        let mut file = json!({
            "@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YQ==",
        });
        for (name, value) in changes.as_object().unwrap() {
            file[name] = value.clone();
        }
        file
    };
    let post = |body: Value| graph.post(&path, body);
    refused(
        &post(file(json!({"@odata.type": null}))).await,
        400,
        "BadRequest",
    );
    refused(
        &post(file(json!({"name": null}))).await,
        400,
        "ErrorRequiredPropertyMissing",
    );
    refused(
        &post(file(json!({"contentBytes": "not base64"}))).await,
        400,
        "RequestBodyRead",
    );
    refused(
        &post(file(json!({"url": "x"}))).await,
        400,
        "RequestBodyRead",
    );
    let large = STANDARD.encode(vec![0; 3 << 20 | 1]);
    let answer = post(file(json!({"contentBytes": large}))).await;
    refused(&answer, 413, "RequestEntityTooLarge");
    assert_eq!(post(file(json!({}))).await.status, 201);
}

#[tokio::test]
async fn an_upload_url_wants_no_token_and_parts_in_order() {
    let graph = Graph::unrecorded().await;
    let draft = text(
        &graph
            .post("/me/messages", json!({"subject": "Draft"}))
            .await
            .json()["id"],
    );
    let create = format!("/me/messages/{draft}/attachments/createUploadSession");
    let item = |size: u64| json!({"AttachmentItem": {"attachmentType": "file", "name": "a", "size": size}});
    refused(
        &graph.post(&create, item(151 << 20)).await,
        413,
        "ErrorAttachmentSizeLimitExceeded",
    );
    refused(
        &graph.post(&create, json!({"name": "a"})).await,
        400,
        "RequestBodyRead",
    );
    let url = text(&graph.post(&create, item(20)).await.json()["uploadUrl"]);
    let put = |range: &'static str, length: usize| {
        let (graph, url) = (&graph, &url);
        async move {
            let headers = [("content-range", range)];
            graph
                .bare(Method::PUT, url, &headers, vec![b'a'; length])
                .await
        }
    };
    let with_token = graph
        .send(
            Method::PUT,
            &url,
            &[("content-range", "bytes 0-9/20")],
            "a".repeat(10),
        )
        .await;
    refused(&with_token, 401, "InvalidAudienceForResource");
    refused(&put("bytes 0-9", 10).await, 400, "ErrorInvalidParameter");
    refused(&put("bytes 0-9/30", 10).await, 400, "ErrorInvalidParameter");
    refused(&put("bytes 0-9/20", 11).await, 400, "ErrorInvalidParameter");
    refused(&put("bytes 10-19/20", 10).await, 416, "InvalidRange");
    assert_eq!(put("bytes 0-9/20", 10).await.status, 200);
    let status = graph.bare(Method::GET, &url, &[], "").await.json();
    assert_eq!(status["NextExpectedRanges"], json!(["10"]));
    assert_eq!(graph.bare(Method::DELETE, &url, &[], "").await.status, 204);
    refused(&put("bytes 10-19/20", 10).await, 404, "ErrorItemNotFound");

    let large = text(&graph.post(&create, item(5 << 20)).await.json()["uploadUrl"]);
    let headers = [("content-range", "bytes 0-4194303/5242880")];
    let part = graph
        .bare(Method::PUT, &large, &headers, vec![0; 4 << 20])
        .await;
    refused(&part, 413, "RequestEntityTooLarge");
}

#[tokio::test]
async fn folders_keep_their_order() {
    let graph = Graph::unrecorded().await;
    let create = |body: Value| graph.post("/me/mailFolders", body);
    refused(
        &create(json!({"displayName": "inbox"})).await,
        409,
        "ErrorFolderExists",
    );
    refused(
        &create(json!({"displayName": ""})).await,
        400,
        "ErrorInvalidParameter",
    );
    refused(&create(json!({"name": "x"})).await, 400, "RequestBodyRead");
    refused(
        &graph.delete("/me/mailFolders/inbox").await,
        403,
        "ErrorDeleteDistinguishedFolder",
    );
    let rename = json!({"displayName": "Postings"});
    refused(
        &graph.patch("/me/mailFolders/inbox", rename).await,
        403,
        "ErrorDeleteDistinguishedFolder",
    );
    let outer = text(&create(json!({"displayName": "Outer"})).await.json()["id"]);
    let inner = json!({"displayName": "Inner"});
    let inner = text(
        &graph
            .post(&format!("/me/mailFolders/{outer}/childFolders"), inner)
            .await
            .json()["id"],
    );
    let into_itself = graph
        .post(
            &format!("/me/mailFolders/{outer}/move"),
            json!({"destinationId": inner}),
        )
        .await;
    refused(&into_itself, 400, "ErrorMoveCopyFailed");
}

#[tokio::test]
async fn the_copy_of_a_sent_message_comes_late_or_when_told() {
    let graph = Graph::start(Emulator::builder().sent_copies_after(u32::MAX), WORK).await;
    let to = json!([{"emailAddress": {"address": "reader@gmail.example"}}]);
    let message = json!({"subject": "Late", "toRecipients": to});
    assert_eq!(
        graph
            .post("/me/sendMail", json!({"message": message}))
            .await
            .status,
        202
    );
    let found = async |folder: &str| {
        let filter = encoded("subject eq 'Late'");
        let path = format!("/me/mailFolders/{folder}/messages?$filter={filter}");
        graph.get(&path).await.json()["value"]
            .as_array()
            .unwrap()
            .len()
    };
    for _ in 0..5 {
        assert_eq!((found("outbox").await, found("sentitems").await), (1, 0));
    }
    graph.emulator.release_sent_copies(WORK);
    assert_eq!((found("outbox").await, found("sentitems").await), (0, 1));
}

#[tokio::test]
async fn a_post_says_how_long_it_is() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let graph = Graph::unrecorded().await;
    let draft = graph
        .post("/me/messages", json!({"subject": "Draft"}))
        .await
        .json();
    let base = &graph.emulator.microsoft().base_url;
    let address = format!("{}:{}", base.host_str().unwrap(), base.port().unwrap());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1.0/me/messages/{}/send HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Connection: close\r\n\r\n",
        text(&draft["id"]),
        graph.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    // A page, not JSON.
    assert!(answer.starts_with("HTTP/1.1 411") && answer.contains("<h2>Length Required</h2>"));
}
