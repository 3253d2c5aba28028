//! google-gmail1: one request for each message, as it has no batches; one after another, or several at once. It keeps no
//! limits either: what is refused is asked again after three seconds of the server's time.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use google_gmail1::api::{Message, MessagePart, Scope};
use google_gmail1::{Error, Gmail, hyper_rustls, hyper_util};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{Kind, Result, Task, unsupported};
use crate::fields::{self, Fields};
use crate::measure::{Measured, Meter, Reading};

type Hub = Gmail<hyper_rustls::HttpsConnector<HttpConnector>>;

/// Three seconds where time runs 60-fold.
const PAUSE: Duration = Duration::from_millis(50);

pub async fn run(task: Task<'_>, at_once: usize) -> Result<Measured> {
    if !matches!(task.kind, Kind::Gmail | Kind::GmailQuota(_)) {
        return Err(unsupported(task));
    }
    let provider = rustls::crypto::ring::default_provider();
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(provider)?
        .https_or_http()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let mut hub = Gmail::new(client, "token".to_owned());
    hub.base_url(task.server.to_string());
    hub.root_url(task.server.to_string());
    let hub = &hub;

    let mut meter = Meter::start();
    let mut ids = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut call = hub
            .users()
            .messages_list("me")
            .max_results(500)
            .add_label_ids("INBOX");
        if let Some(token) = &token {
            call = call.page_token(token);
        }
        let (_, list) = call.add_scope(Scope::Readonly).doit().await?;
        ids.extend(
            list.messages
                .into_iter()
                .flatten()
                .filter_map(|message| message.id),
        );
        token = list.next_page_token;
        if token.is_none() {
            break;
        }
    }
    let mut messages = stream::iter(ids)
        .map(|id| get(hub, id))
        .buffer_unordered(at_once);
    while let Some(message) = messages.try_next().await? {
        match task.reading {
            Reading::AsItComes => meter.count(&message.id.as_deref().unwrap_or_default()),
            Reading::EveryField => meter.count(&fields(message)),
        }
    }
    Ok(meter.stop())
}

async fn get(hub: &Hub, id: String) -> Result<Message> {
    loop {
        let call = hub.users().messages_get("me", &id).format("full");
        match call.add_scope(Scope::Readonly).doit().await {
            Ok((_, message)) => return Ok(message),
            Err(Error::BadRequest(error)) if error["error"]["code"] == 429 => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(Error::Failure(answer)) if answer.status().as_u16() == 429 => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn fields(message: Message) -> Fields {
    let (folders, seen) = fields::labels(message.label_ids.unwrap_or_default());
    let mut fields = Fields {
        id: message.id.unwrap_or_default(),
        thread: message.thread_id.unwrap_or_default(),
        folders,
        seen,
        received: message.internal_date.unwrap_or_default() / 1000,
        size: message
            .size_estimate
            .unwrap_or_default()
            .unsigned_abs()
            .into(),
        preview: fields::unescaped(&message.snippet.unwrap_or_default()),
        ..Fields::default()
    };
    if let Some(payload) = &message.payload {
        fields.read(payload);
    }
    fields
}

impl fields::Part for MessagePart {
    fn media_type(&self) -> &str {
        self.mime_type.as_deref().unwrap_or_default()
    }
    fn file_name(&self) -> &str {
        self.filename.as_deref().unwrap_or_default()
    }
    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers.iter().flatten();
        headers.filter_map(|header| Some((header.name.as_deref()?, header.value.as_deref()?)))
    }
    fn bytes(&self) -> Option<Vec<u8>> {
        self.body.as_ref()?.data.clone()
    }
    fn size(&self) -> u64 {
        let size = self.body.as_ref().and_then(|body| body.size);
        size.unwrap_or_default().unsigned_abs().into()
    }
    fn parts(&self) -> &[Self] {
        self.parts.as_deref().unwrap_or_default()
    }
}
