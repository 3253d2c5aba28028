//! The server that all clients are run against, in a process of its own: answers that were written beforehand, a latency, a
//! cost of each message, and Gmail's quota. It is fast rather than faithful; what the services really do is the emulator's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::mail::{self, Mail, Threads};

/// The units that Gmail lets a client save up, as it was measured: it refuses one that goes about 1,000 over.
pub const SAVED_UP: f64 = 1_000.0;

/// How a server behaves.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub messages: usize,
    pub mixed_threads: bool,
    pub latency_ms: u64,
    /// What each message takes, one after another within a batch.
    pub inner_ms: u64,
    /// Units a second, if they are counted.
    pub units_per_second: Option<f64>,
}

/// What was asked since it was last asked about.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    pub requests: u64,
    pub units: u64,
    pub refused: u64,
    /// The JSON of messages alone: what is around them differs.
    pub message_bytes: u64,
    /// From the first request to the last, in seconds.
    pub seconds: f64,
    /// The fewest units for all of it.
    pub optimum: u64,
}

struct State {
    counts: Counts,
    first: Option<Instant>,
    level: f64,
    filled: Instant,
}

struct Server {
    settings: Settings,
    mails: Vec<Mail>,
    by_id: HashMap<String, usize>,
    by_graph_id: HashMap<String, usize>,
    by_thread: HashMap<String, Vec<usize>>,
    state: Mutex<State>,
    port: u16,
}

type Answer = (StatusCode, String, Bytes);

/// Serves until its process is ended; tells the port on standard output.
pub async fn run(settings: Settings) -> std::io::Result<()> {
    let threads = if settings.mixed_threads {
        Threads::Mixed
    } else {
        Threads::Single
    };
    let mails = mail::mailbox(settings.messages, threads);
    let by_id = mails
        .iter()
        .enumerate()
        .map(|(index, mail)| (mail.id.clone(), index))
        .collect();
    let mut by_graph_id = HashMap::new();
    let mut by_thread: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, mail) in mails.iter().enumerate() {
        let graph: Value = serde_json::from_slice(&mail.graph)?;
        by_graph_id.insert(graph["id"].as_str().unwrap_or_default().to_owned(), index);
        by_thread
            .entry(mail.thread.clone())
            .or_default()
            .push(index);
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let server = Arc::new(Server {
        settings,
        mails,
        by_id,
        by_graph_id,
        by_thread,
        state: Mutex::new(State {
            counts: Counts::default(),
            first: None,
            level: SAVED_UP,
            filled: Instant::now(),
        }),
        port,
    });
    println!("{port}");
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(server.respond(request).await) }
            });
            // A client that goes away is no concern of the server's.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Server {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let (status, media_type, bytes) = if head.uri.path() == "/counts" {
            (StatusCode::OK, "application/json".to_owned(), self.counts())
        } else {
            let prefer = head
                .headers
                .get("prefer")
                .and_then(|value| value.to_str().ok());
            let query: Vec<(String, String)> =
                url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
                    .into_owned()
                    .collect();
            let batched = messages_in(&body);
            let inner = if head.method == Method::POST {
                batched
            } else {
                1
            };
            let delay = self.settings.latency_ms + self.settings.inner_ms * inner as u64;
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            self.lock().counts.requests += 1;
            self.answer(&head.method, head.uri.path(), &query, prefer, &body)
        };
        let mut response = Response::new(Full::new(bytes));
        *response.status_mut() = status;
        if let Ok(media_type) = media_type.parse() {
            response.headers_mut().insert(CONTENT_TYPE, media_type);
        }
        response
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        query: &[(String, String)],
        prefer: Option<&str>,
        body: &[u8],
    ) -> Answer {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let post = method == Method::POST;
        match segments.as_slice() {
            ["batch", "gmail", "v1"] if post => self.gmail_batch(body),
            ["gmail", "v1", "users", "me", rest @ ..] => self.gmail(rest, query),
            ["v1.0", "$batch"] if post => self.graph_batch(body),
            ["v1.0", "me", rest @ ..] => self.graph(rest, query, prefer),
            _ => not_found(),
        }
    }

    fn gmail(&self, path: &[&str], query: &[(String, String)]) -> Answer {
        let cost = match path {
            ["messages"] => 5,
            ["threads", _] => 40,
            _ => 20,
        };
        if !self.pays(cost) {
            return refused();
        }
        match path {
            ["messages"] => json_answer(self.gmail_list(query)),
            ["messages", id] => match self.by_id.get(*id) {
                Some(index) => {
                    let message = self.mails[*index].gmail.clone();
                    self.lock().counts.message_bytes += message.len() as u64;
                    json_answer(message)
                }
                None => not_found(),
            },
            ["threads", id] => match self.by_thread.get(*id) {
                Some(places) => {
                    let mut text = BytesMut::from(
                        format!(r#"{{"id":"{id}","historyId":"987654","messages":["#).as_bytes(),
                    );
                    // The oldest first.
                    let messages = places.iter().rev().map(|index| &self.mails[*index].gmail);
                    let bytes = join(messages, &mut text);
                    self.lock().counts.message_bytes += bytes;
                    text.extend_from_slice(b"]}");
                    json_answer(text.freeze())
                }
                None => not_found(),
            },
            _ => not_found(),
        }
    }

    fn gmail_list(&self, query: &[(String, String)]) -> Bytes {
        let size = number(query, "maxResults").unwrap_or(100).clamp(1, 500);
        let from = number(query, "pageToken").unwrap_or(0);
        let mut text = String::from(r#"{"messages":["#);
        for (index, mail) in self.mails.iter().skip(from).take(size).enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(
                text,
                r#"{comma}{{"id":"{}","threadId":"{}"}}"#,
                mail.id, mail.thread
            );
        }
        text.push(']');
        if from + size < self.mails.len() {
            let _ = write!(text, r#","nextPageToken":"{}""#, from + size);
        }
        let _ = write!(text, r#","resultSizeEstimate":{}}}"#, self.mails.len());
        Bytes::from(text)
    }

    fn gmail_batch(&self, body: &[u8]) -> Answer {
        const BOUNDARY: &str = "batch_7Tq1kZ0yAAQ_ABrG3kyLhb0AAAA";
        let body = String::from_utf8_lossy(body);
        let mut text = BytesMut::new();
        let mut id = "";
        for line in body.lines() {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-id")
            {
                id = value.trim().trim_matches(['<', '>']);
            }
            let Some(target) = line.strip_prefix("GET ") else {
                continue;
            };
            let target = target.split(' ').next().unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect();
            let (status, media_type, bytes) = self.answer(&Method::GET, path, &query, None, &[]);
            let head = format!(
                "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <response-{id}>\r\n\r\n\
                 HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nVary: Origin\r\nVary: X-Origin\r\nVary: Referer\r\n\r\n",
            );
            text.extend_from_slice(head.as_bytes());
            text.extend_from_slice(&bytes);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let media_type = format!("multipart/mixed; boundary={BOUNDARY}");
        (StatusCode::OK, media_type, text.freeze())
    }

    fn graph(&self, path: &[&str], query: &[(String, String)], prefer: Option<&str>) -> Answer {
        match path {
            ["messages"] | ["mailFolders", _, "messages"] => {
                json_answer(self.graph_page(path, query, prefer, false))
            }
            ["mailFolders", _, "messages", "delta" | "delta()"] => {
                json_answer(self.graph_page(path, query, prefer, true))
            }
            ["messages", id] => match self.by_graph_id.get(*id) {
                Some(index) => {
                    let message = self.mails[*index].graph.clone();
                    self.lock().counts.message_bytes += message.len() as u64;
                    json_answer(message)
                }
                None => not_found(),
            },
            ["mailFolders", "delta" | "delta()"] => {
                let folders = match value(query, "$deltatoken") {
                    Some(_) => json!([]),
                    None => json!([folder()]),
                };
                let link = format!("http://127.0.0.1:{}/v1.0/me/mailFolders/delta", self.port);
                let page =
                    json!({"value": folders, "@odata.deltaLink": format!("{link}?$deltatoken=1")});
                json_answer(Bytes::from(page.to_string()))
            }
            ["mailFolders", _, "childFolders"] | ["mailFolders"] => {
                json_answer(Bytes::from_static(br#"{"value":[]}"#))
            }
            ["mailFolders", "inbox"] => json_answer(Bytes::from(folder().to_string())),
            _ => not_found(),
        }
    }

    /// A page of those that were received in a span of time, which a filter may narrow. Where the page begins, how long it is
    /// and what it is of stand in the link to it.
    fn graph_page(
        &self,
        path: &[&str],
        query: &[(String, String)],
        prefer: Option<&str>,
        delta: bool,
    ) -> Bytes {
        let token: Vec<i64> = value(query, "$skiptoken")
            .map(|token| {
                token
                    .split('_')
                    .filter_map(|part| part.parse().ok())
                    .collect()
            })
            .unwrap_or_default();
        let (from, size, oldest, newest, state) =
            if let [from, size, oldest, newest, state] = token.as_slice() {
                (
                    *from as usize,
                    *size as usize,
                    *oldest,
                    *newest,
                    *state != 0,
                )
            } else {
                let preferred = prefer.and_then(|prefer| {
                    let (_, size) = prefer.split_once("odata.maxpagesize=")?;
                    size.split(|character: char| !character.is_ascii_digit())
                        .next()?
                        .parse()
                        .ok()
                });
                let size = number(query, "$top").or(preferred).unwrap_or(10);
                let (oldest, newest) = span(value(query, "$filter").unwrap_or_default());
                // Which fields are asked for makes a difference only where no text is.
                let selected = value(query, "$select");
                let state = selected.is_some_and(|fields| !fields.contains("subject"));
                (0, size.clamp(1, 1_000), oldest, newest, state)
            };
        // Nothing has changed since the first round of a delta query.
        let caught_up = value(query, "$deltatoken").is_some();
        let within: Vec<&Mail> = self
            .mails
            .iter()
            .filter(|mail| !caught_up && mail.received >= oldest && mail.received <= newest)
            .collect();
        let mut text = BytesMut::from(
            &br#"{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#messages","#[..],
        );
        let link = format!("http://127.0.0.1:{}/v1.0/me/{}", self.port, path.join("/"));
        if from + size < within.len() {
            let next = format!(
                r#""@odata.nextLink":"{link}?$skiptoken={}_{size}_{oldest}_{newest}_{}","#,
                from + size,
                u8::from(state)
            );
            text.extend_from_slice(next.as_bytes());
        } else if delta {
            text.extend_from_slice(
                format!(r#""@odata.deltaLink":"{link}?$deltatoken=1","#).as_bytes(),
            );
        }
        text.extend_from_slice(br#""value":["#);
        let page = within.into_iter().skip(from).take(size);
        if state {
            join(page.map(|mail| &mail.graph_state), &mut text);
        } else {
            let bytes = join(page.map(|mail| &mail.graph), &mut text);
            self.lock().counts.message_bytes += bytes;
        }
        text.extend_from_slice(b"]}");
        text.freeze()
    }

    fn graph_batch(&self, body: &[u8]) -> Answer {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut text = BytesMut::from(&br#"{"responses":["#[..]);
        for (index, part) in asked["requests"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let target = part["url"].as_str().unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let path = percent_decoded(path);
            let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect();
            let path = format!("/v1.0/{}", path.trim_start_matches('/'));
            let headers = part["headers"].as_object().into_iter().flatten();
            let mut headers = headers.filter_map(|(name, value)| Some((name, value.as_str()?)));
            let prefer = headers.find(|(name, _)| name.eq_ignore_ascii_case("prefer"));
            let prefer = prefer.map(|(_, value)| value);
            let (status, _, bytes) = self.answer(&Method::GET, &path, &query, prefer, &[]);
            let head = format!(
                r#"{}{{"id":{},"status":{},"headers":{{"Content-Type":"application/json"}},"body":"#,
                if index > 0 { "," } else { "" },
                part["id"],
                status.as_u16()
            );
            text.extend_from_slice(head.as_bytes());
            text.extend_from_slice(&bytes);
            text.extend_from_slice(b"}");
        }
        text.extend_from_slice(b"]}");
        json_answer(text.freeze())
    }

    /// Whether this many units are left, which are then taken.
    fn pays(&self, units: u64) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        let first = *state.first.get_or_insert(now);
        state.counts.seconds = (now - first).as_secs_f64();
        if let Some(rate) = self.settings.units_per_second {
            let passed = (now - state.filled).as_secs_f64();
            state.level = (state.level + passed * rate).min(SAVED_UP);
            state.filled = now;
            if state.level < units as f64 {
                state.counts.refused += 1;
                return false;
            }
            state.level -= units as f64;
        }
        state.counts.units += units;
        true
    }

    /// What was counted, which begins anew.
    fn counts(&self) -> Bytes {
        let mut state = self.lock();
        let counts = Counts {
            optimum: mail::optimum(&self.mails),
            ..state.counts
        };
        *state = State {
            counts: Counts::default(),
            first: None,
            level: SAVED_UP,
            filled: Instant::now(),
        };
        Bytes::from(serde_json::to_vec(&counts).unwrap_or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The inbox, as Graph shows it.
fn folder() -> Value {
    json!({"id": mail::folder(), "displayName": "Inbox", "childFolderCount": 0, "isHidden": false})
}

/// How many messages a batch asks for.
fn messages_in(body: &[u8]) -> usize {
    let text = String::from_utf8_lossy(body);
    text.matches("\nGET ").count() + text.matches("\"GET\"").count()
}

fn join<'a>(items: impl Iterator<Item = &'a Bytes>, text: &mut BytesMut) -> u64 {
    let mut bytes = 0;
    for (index, item) in items.enumerate() {
        if index > 0 {
            text.extend_from_slice(b",");
        }
        text.extend_from_slice(item);
        bytes += item.len() as u64;
    }
    bytes
}

/// The span of time that a filter leaves.
fn span(filter: &str) -> (i64, i64) {
    let (mut oldest, mut newest) = (i64::MIN, i64::MAX);
    let words: Vec<&str> = filter.split_whitespace().collect();
    for comparison in words.windows(3) {
        let [property, operator, instant] = comparison else {
            continue;
        };
        if property.trim_start_matches('(') != "receivedDateTime" {
            continue;
        }
        let Ok(at) = chrono::DateTime::parse_from_rfc3339(instant.trim_end_matches(')')) else {
            continue;
        };
        match *operator {
            "ge" => oldest = oldest.max(at.timestamp()),
            "gt" => oldest = oldest.max(at.timestamp() + 1),
            "le" => newest = newest.min(at.timestamp()),
            "lt" => newest = newest.min(at.timestamp() - 1),
            _ => {}
        }
    }
    (oldest, newest)
}

fn percent_decoded(text: &str) -> String {
    // Ids hold no `+`, which this would read as a space.
    let pair = format!("path={}", text.replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, path)| path.into_owned())
        .unwrap_or_default()
}

fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query
        .iter()
        .find(|(given, _)| given == name)
        .map(|(_, value)| value.as_str())
}

fn number(query: &[(String, String)], name: &str) -> Option<usize> {
    value(query, name)?.parse().ok()
}

fn json_answer(bytes: Bytes) -> Answer {
    (
        StatusCode::OK,
        "application/json; charset=UTF-8".to_owned(),
        bytes,
    )
}

fn not_found() -> Answer {
    let body = json!({"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}});
    (
        StatusCode::NOT_FOUND,
        "application/json".to_owned(),
        Bytes::from(body.to_string()),
    )
}

/// Gmail's own words for a mailbox that asks too much (<https://developers.google.com/workspace/gmail/api/guides/handle-errors>).
fn refused() -> Answer {
    let message = "Quota exceeded for quota metric 'Total Query Cost' and limit 'Units per minute per user' of service \
                   'gmail.googleapis.com' for consumer 'project_number:1'.";
    let body = json!({"error": {
        "code": 429, "message": message, "status": "RESOURCE_EXHAUSTED",
        "errors": [{"message": message, "domain": "global", "reason": "rateLimitExceeded"}],
    }});
    (
        StatusCode::TOO_MANY_REQUESTS,
        "application/json".to_owned(),
        Bytes::from(body.to_string()),
    )
}
