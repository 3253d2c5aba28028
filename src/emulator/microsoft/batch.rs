//! `POST /$batch`: up to twenty requests in one, with an order between them if they ask for one. Each fails
//! or succeeds on its own.
//! <https://learn.microsoft.com/en-us/graph/json-batching>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::super::fault::{self, FaultKind};
use super::super::quota;
use super::super::tokens::Grant;
use super::super::{State, Vendor};
use super::call::{Answer, Reply};
use super::error::GraphError;
use super::prefer::Prefer;

/// How many requests a batch may hold.
const MOST: usize = 20;

/// One request of a batch.
struct Item {
    id: String,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    depends_on: Vec<String>,
}

/// Answers a batch.
pub(crate) fn answer(
    state: &State,
    method: &Method,
    headers: &HeaderMap,
    body: &Bytes,
    grant: &Grant,
) -> Answer {
    if method != Method::POST {
        return Err(GraphError::method_not_allowed());
    }
    let items = read(headers, body)?;
    let mut done: BTreeMap<String, (StatusCode, Value)> = BTreeMap::new();
    let mut waiting: Vec<&Item> = items.iter().collect();
    while !waiting.is_empty() {
        // Everything whose conditions are met runs at once, as far as the mailbox allows.
        let (wave, later): (Vec<&Item>, Vec<&Item>) = waiting
            .iter()
            .partition(|item| item.depends_on.iter().all(|id| done.contains_key(id)));
        if wave.is_empty() {
            return Err(invalid("The dependencies of the requests form a circle."));
        }
        for (position, item) in wave.iter().enumerate() {
            let failed = item.depends_on.iter().any(|id| {
                done.get(id)
                    .is_none_or(|(status, _)| status.is_client_error() || status.is_server_error())
            });
            if let Some(scripted) = struck(state, item) {
                done.insert(item.id.clone(), scripted);
                continue;
            }
            let answer = if failed {
                Err(GraphError::new(
                    StatusCode::FAILED_DEPENDENCY,
                    "FailedDependency",
                    "A request that this request depends on failed.",
                ))
            } else if state.settings.quota && is_crowded(position) {
                Err(GraphError::throttled())
            } else {
                run(state, item, grant)
            };
            done.insert(item.id.clone(), respond(state, item, answer));
        }
        waiting = later;
    }
    // Answers come in no order that a client could rely on.
    let responses: Vec<Value> = items
        .iter()
        .rev()
        .filter_map(|item| done.remove(&item.id).map(|(_, response)| response))
        .collect();
    Ok(Reply::json(json!({"responses": responses})))
}

/// Four requests of a batch run at a time; of those beyond, every second is refused, as happens with full
/// batches: <https://github.com/microsoftgraph/microsoft-graph-docs/issues/8760>.
fn is_crowded(position: usize) -> bool {
    position >= quota::OUTLOOK.concurrent && position % 2 == 1
}

fn invalid(message: &'static str) -> GraphError {
    GraphError::bad_request("BadRequest", message)
}

fn read(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Item>, GraphError> {
    let kind = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/json") {
        return Err(GraphError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "A batch has to be of type application/json.",
        ));
    }
    let body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| invalid("Unable to read JSON request payload."))?;
    if body.keys().any(|name| name != "requests") {
        return Err(invalid("Invalid batch payload format."));
    }
    let requests = body
        .get("requests")
        .and_then(Value::as_array)
        .filter(|requests| !requests.is_empty())
        .ok_or_else(|| invalid("Invalid batch payload format."))?;
    if requests.len() > MOST {
        return Err(invalid(
            "Number of batch request steps exceeds the maximum value of 20.",
        ));
    }
    let items: Vec<Item> = requests.iter().map(read_item).collect::<Result<_, _>>()?;
    for (position, item) in items.iter().enumerate() {
        // Ids that differ only in case are the same:
        // <https://github.com/microsoftgraph/microsoft-graph-docs/issues/4449>
        let repeated = items
            .iter()
            .take(position)
            .any(|known| known.id.eq_ignore_ascii_case(&item.id));
        if repeated {
            return Err(invalid(
                "Invalid batch payload format: each id has to be unique.",
            ));
        }
        let unknown = item
            .depends_on
            .iter()
            .any(|id| items.iter().all(|known| known.id != *id));
        if unknown {
            return Err(invalid(
                "A request depends on one that is not in the batch.",
            ));
        }
    }
    Ok(items)
}

fn read_item(value: &Value) -> Result<Item, GraphError> {
    let item = value
        .as_object()
        .ok_or_else(|| invalid("Invalid batch payload format."))?;
    let known = [
        "id",
        "method",
        "url",
        "headers",
        "body",
        "dependsOn",
        "atomicityGroup",
    ];
    if item.keys().any(|name| !known.contains(&name.as_str())) {
        return Err(invalid("Invalid batch payload format."));
    }
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, url) = (text("id"), text("url"));
    if id.is_empty() || url.is_empty() {
        return Err(invalid(
            "Invalid batch payload format: id, method and url are required.",
        ));
    }
    if url.contains("://") || url.trim_start_matches('/').starts_with("v1.0/") {
        return Err(invalid(
            "Invalid batch payload format: the url has to be relative to the version.",
        ));
    }
    if url.contains("$batch") {
        return Err(invalid("A batch cannot hold a batch."));
    }
    let method = match text("method").to_ascii_uppercase().as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        "DELETE" => Method::DELETE,
        _ => {
            return Err(invalid(
                "Invalid batch payload format: the method is not known.",
            ));
        }
    };
    let mut headers = HeaderMap::new();
    for (name, value) in item
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.as_str().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let depends_on = match item.get("dependsOn") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(ids)) => ids
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Some(_) => {
            return Err(invalid(
                "Invalid batch payload format: dependsOn is a list of ids.",
            ));
        }
    };
    Ok(Item {
        id: id.to_owned(),
        url: format!("/{}", url.trim_start_matches('/')),
        body: read_body(item.get("body"), &method, &headers)?,
        method,
        headers,
        depends_on,
    })
}

/// JSON as it is; everything else is a text, in base64 unless it is MIME, which is base64 itself.
fn read_body(
    body: Option<&Value>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Bytes, GraphError> {
    // Some clients put an empty object where nothing is expected, which does no harm.
    let is_bare = matches!(*method, Method::GET | Method::DELETE);
    if is_bare && body.and_then(Value::as_object).is_some_and(Map::is_empty) {
        return Ok(Bytes::new());
    }
    let kind = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    match body {
        None | Some(Value::Null) => Ok(Bytes::new()),
        Some(_) if kind.is_empty() => Err(invalid(
            "Invalid batch payload format: a request with a body needs a Content-Type header.",
        )),
        Some(Value::String(text)) if kind.starts_with("text/plain") => {
            Ok(Bytes::from(text.clone()))
        }
        Some(Value::String(text)) => STANDARD.decode(text).map(Bytes::from).map_err(|_| {
            invalid("Invalid batch payload format: a body that is not JSON has to be base64.")
        }),
        Some(body) => Ok(Bytes::from(body.to_string())),
    }
}

fn run(state: &State, item: &Item, grant: &Grant) -> Answer {
    let (path, query) = item.url.split_once('?').unwrap_or((&item.url, ""));
    super::inner(
        state,
        &item.method,
        path,
        query,
        &item.headers,
        item.body.clone(),
        grant,
    )
}

/// The answer that a fault gives instead.
fn struck(state: &State, item: &Item) -> Option<(StatusCode, Value)> {
    let path = format!("/v1.0{}", item.url.split('?').next().unwrap_or_default());
    let kind = state
        .faults
        .strike_inner(Vendor::Microsoft, &item.method, &path)?;
    let FaultKind::Status {
        code,
        body,
        headers,
    } = kind
    else {
        return None;
    };
    let body =
        body.unwrap_or_else(|| fault::vendor_body(Vendor::Microsoft, code, state.clock.now()));
    let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
    let headers: Map<String, Value> = headers
        .into_iter()
        .map(|(name, value)| (name, json!(value)))
        .collect();
    let response = json!({"id": item.id, "status": code, "headers": headers, "body": body});
    Some((StatusCode::from_u16(code).unwrap_or_default(), response))
}

/// The answer to one request, as the batch tells it.
fn respond(state: &State, item: &Item, answer: Answer) -> (StatusCode, Value) {
    let (status, headers, body) = super::embedded(state, answer, &Prefer::read(&item.headers));
    let headers: Map<String, Value> = headers
        .into_iter()
        .map(|(name, value)| (name, json!(value)))
        .collect();
    let mut response = json!({"id": item.id, "status": status.as_u16(), "headers": headers});
    if let (Some(body), Some(fields)) = (body, response.as_object_mut()) {
        fields.insert("body".to_owned(), body);
    }
    (status, response)
}
