//! Graph's batches, for scripts that only want to say what each call in them is answered with.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use postroom::Outlook;
use serde_json::{Value, json};

use super::scripted::{Reply, Request, Scripted};

/// The mailbox behind a script.
pub(crate) fn connect(service: &Scripted) -> Outlook {
    Outlook::new(service.connection()).unwrap()
}

/// A service that answers each part of a batch by the script, in reverse order; a lost part is left out.
pub(crate) fn batched(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::new(move |request| {
        if request.path() != "/v1.0/$batch" {
            return script(request);
        }
        let mut responses = Vec::new();
        for (id, part) in parts(request) {
            let Reply::Answer(answer) = script(&part) else {
                continue;
            };
            let mut headers = serde_json::Map::new();
            for (name, value) in answer.headers {
                headers.insert(name, value.into());
            }
            let body = answer.body.concat();
            responses.push(json!({
                "id": id, "status": answer.status, "headers": headers,
                "body": serde_json::from_slice::<Value>(&body).ok(),
            }));
        }
        responses.reverse();
        Reply::json(json!({"responses": responses}))
    })
}

/// The calls in a batch, with their ids.
pub(crate) fn parts(request: &Request) -> Vec<(String, Request)> {
    let batch = request.json();
    let calls = batch["requests"].as_array().unwrap();
    calls
        .iter()
        .map(|call| {
            let mut headers = HeaderMap::new();
            for (name, value) in call["headers"].as_object().unwrap() {
                let name: HeaderName = name.parse().unwrap();
                headers.insert(name, value.as_str().unwrap().parse().unwrap());
            }
            let target = call["url"].as_str().unwrap();
            let body = call.get("body").map(Value::to_string).unwrap_or_default();
            let part = Request {
                method: call["method"].as_str().unwrap().to_owned(),
                url: format!("https://graph.microsoft.com/v1.0{target}")
                    .parse()
                    .unwrap(),
                headers,
                body: Bytes::from(body),
            };
            (call["id"].as_str().unwrap().to_owned(), part)
        })
        .collect()
}

/// Every call, those within batches as well as those alone.
pub(crate) fn calls(service: &Scripted) -> Vec<Request> {
    let single = |request: Request| match request.path() {
        "/v1.0/$batch" => parts(&request).into_iter().map(|(_, part)| part).collect(),
        _ => vec![request],
    };
    service.requests().into_iter().flat_map(single).collect()
}

/// The last segment of a path but for what is done with it: a message's or folder's id.
pub(crate) fn asked_for(request: &Request) -> String {
    let path = request.path().strip_prefix("/v1.0/me/").unwrap();
    path.split('/').nth(1).unwrap_or_default().to_owned()
}

/// Answers for junk and trash, which every listing without a folder asks about, else by the script.
pub(crate) fn with_own_folders(
    script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Scripted {
    batched(move |request| match request.path() {
        "/v1.0/me/mailFolders/junkemail" => Reply::json(json!({"id": "f-junk"})),
        "/v1.0/me/mailFolders/deleteditems" => {
            Reply::json(json!({"id": "f-trash", "childFolderCount": 1}))
        }
        "/v1.0/me/mailFolders/f-trash/childFolders" => {
            Reply::json(json!({"value": [{"id": "f-thrown-away", "childFolderCount": 0}]}))
        }
        path if path.starts_with("/v1.0/me/mailFolders/") && path.split('/').count() == 5 => {
            Reply::json(json!({"id": format!("f-{}", asked_for(request))}))
        }
        _ => script(request),
    })
}
