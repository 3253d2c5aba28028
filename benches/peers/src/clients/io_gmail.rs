//! io-gmail: its batches, one after another over its one connection. It advises fifty calls in one.

use std::net::TcpStream;

use io_gmail::v1::batch::{GmailBatch, GmailBatchRequest};
use io_gmail::v1::client::{GmailClientStd, GmailClientStdConnectOptions};
use io_gmail::v1::rest::messages::list::GmailMessagesListParams;
use io_gmail::v1::rest::messages::{GmailMessage, GmailMessageFormat, GmailMessagePayload};

use super::{Kind, Result, Task, unsupported};
use crate::fields::{self, Fields, base64url};
use crate::measure::{Measured, Meter, Reading};

const PARTS: usize = 50;

pub fn run(task: Task<'_>) -> Result<Measured> {
    if task.kind != Kind::Gmail {
        return Err(unsupported(task));
    }
    let stream = TcpStream::connect(("127.0.0.1", task.server.port().unwrap_or_default()))?;
    stream.set_nodelay(true)?;
    let mut client = GmailClientStd::new(stream, "token", GmailClientStdConnectOptions::default());
    let mut meter = Meter::start();
    let mut ids = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let page = client.messages_list(&GmailMessagesListParams {
            label_ids: &["INBOX".to_owned()],
            max_results: Some(500),
            page_token: token.as_deref(),
            ..GmailMessagesListParams::default()
        })?;
        ids.extend(page.response.messages.into_iter().map(|message| message.id));
        token = page.response.next_page_token;
        if token.is_none() {
            break;
        }
    }
    for ids in ids.chunks(PARTS) {
        let calls = ids
            .iter()
            .map(|id| GmailBatchRequest::message_get(id, "me", id, GmailMessageFormat::Full, &[]))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let url = task.server.join("batch/gmail/v1")?;
        let batch = GmailBatch::<GmailMessage>::with_url(&client.auth, url, &calls)?;
        for answer in client.run(batch)?.response {
            let message = answer.result?;
            match task.reading {
                Reading::AsItComes => meter.count(&message.id.as_str()),
                Reading::EveryField => meter.count(&fields(message)),
            }
        }
    }
    Ok(meter.stop())
}

fn fields(message: GmailMessage) -> Fields {
    let (folders, seen) = fields::labels(message.label_ids);
    let received = message
        .internal_date
        .and_then(|date| date.parse::<i64>().ok());
    let mut fields = Fields {
        id: message.id,
        thread: message.thread_id.unwrap_or_default(),
        folders,
        seen,
        received: received.unwrap_or_default() / 1000,
        size: message.size_estimate.unwrap_or_default(),
        preview: fields::unescaped(&message.snippet.unwrap_or_default()),
        ..Fields::default()
    };
    if let Some(payload) = &message.payload {
        fields.read(payload);
    }
    fields
}

impl fields::Part for GmailMessagePayload {
    fn media_type(&self) -> &str {
        self.mime_type.as_deref().unwrap_or_default()
    }
    fn file_name(&self) -> &str {
        &self.filename
    }
    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|header| (header.name.as_str(), header.value.as_str()))
    }
    fn bytes(&self) -> Option<Vec<u8>> {
        base64url(self.body.as_ref()?.data.as_deref()?)
    }
    fn size(&self) -> u64 {
        self.body
            .as_ref()
            .map(|body| body.size.into())
            .unwrap_or_default()
    }
    fn parts(&self) -> &[Self] {
        &self.parts
    }
}
