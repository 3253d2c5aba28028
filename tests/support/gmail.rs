//! Gmail's batches, for scripts that only want to say what each call in them is answered with.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use bytes::Bytes;
use http::HeaderMap;
use postroom::Gmail;

use super::scripted::{Reply, Request, Scripted};

/// The mailbox behind a script.
pub(crate) fn connect(service: &Scripted) -> Gmail {
    Gmail::new(service.connection()).unwrap()
}

/// A service that answers each part of a batch by the script, in reverse order; a lost part is left out.
pub(crate) fn batched(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::new(move |request| {
        if !request.path().ends_with("/batch/gmail/v1") {
            return script(request);
        }
        let mut body = String::from("\r\n");
        let mut answers = Vec::new();
        for part in parts(request) {
            let Reply::Answer(answer) = script(&part) else {
                continue;
            };
            let mut text = format!("HTTP/1.1 {} Whatever\r\n", answer.status);
            for (name, value) in &answer.headers {
                text += &format!("{name}: {value}\r\n");
            }
            let answer = String::from_utf8(answer.body.concat()).unwrap();
            let id = part.header("content-id").trim_matches(['<', '>']);
            answers.push(format!(
                "--batch_x\r\nContent-Type: application/http\r\nContent-ID: <response-{id}>\r\n\r\n{text}\r\n{answer}\r\n"
            ));
        }
        body.extend(answers.into_iter().rev());
        body += "--batch_x--\r\n";
        Reply::text(200, body).with_header("content-type", "multipart/mixed; boundary=\"batch_x\"")
    })
}

/// The calls in a batch.
pub(crate) fn parts(request: &Request) -> Vec<Request> {
    let boundary = request
        .header("content-type")
        .split("boundary=")
        .nth(1)
        .unwrap();
    let text = request.text();
    assert!(text.ends_with(&format!("--{boundary}--\r\n")));
    text.split(&format!("--{boundary}"))
        .skip(1)
        .filter(|part| !part.starts_with("--"))
        .map(|part| {
            let (outer, inner) = part.trim_start().split_once("\r\n\r\n").unwrap();
            let (head, body) = inner.split_once("\r\n\r\n").unwrap();
            let mut lines = head.lines();
            let mut line = lines.next().unwrap().split(' ');
            let method = line.next().unwrap().to_owned();
            let target = line.next().unwrap();
            assert_eq!(line.next(), Some("HTTP/1.1"));
            let mut headers = HeaderMap::new();
            for line in outer.lines().chain(lines) {
                let (name, value) = line.split_once(": ").unwrap();
                let name: http::HeaderName = name.parse().unwrap();
                headers.append(name, value.parse().unwrap());
            }
            Request {
                method,
                url: format!("http://127.0.0.1{target}").parse().unwrap(),
                headers,
                body: Bytes::from(body.trim_end().to_owned()),
            }
        })
        .collect()
}
