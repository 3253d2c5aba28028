//! The floor: reqwest, serde, the fewest fields, and the best plan of requests; everything else left away. No errors are
//! mended, no limits kept, and the answers of a batch are taken in the order they came.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde::Deserialize;

use super::{Kind, Result, Task, unsupported};
use crate::fields::{self, Fields, base64url};
use crate::measure::{Measured, Meter, Reading};

/// Parts of a batch, and batches on their way at once.
const PARTS: usize = 25;
const AT_ONCE: usize = 4;

pub const SELECT: &str = "id,conversationId,parentFolderId,isRead,isDraft,flag,importance,categories,receivedDateTime,\
    sentDateTime,subject,from,sender,replyTo,toRecipients,ccRecipients,bccRecipients,internetMessageId,bodyPreview";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default)]
    messages: Vec<Listed>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    id: String,
    thread_id: String,
    #[serde(default)]
    label_ids: Vec<String>,
    snippet: String,
    internal_date: String,
    size_estimate: u64,
    payload: Part,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    mime_type: String,
    filename: String,
    #[serde(default)]
    headers: Vec<Header>,
    body: Body,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Body {
    size: u64,
    data: Option<String>,
}

impl fields::Part for Part {
    fn media_type(&self) -> &str {
        &self.mime_type
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
        base64url(self.body.data.as_deref()?)
    }
    fn size(&self) -> u64 {
        self.body.size
    }
    fn parts(&self) -> &[Self] {
        &self.parts
    }
}

/// A page of Graph's.
#[derive(Deserialize)]
pub struct Page {
    pub value: Vec<Item>,
    #[serde(rename = "@odata.nextLink")]
    pub next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    pub delta: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub id: String,
    conversation_id: String,
    parent_folder_id: String,
    is_read: bool,
    categories: Vec<String>,
    received_date_time: String,
    sent_date_time: String,
    subject: String,
    body_preview: String,
    internet_message_id: String,
    from: Recipient,
    to_recipients: Vec<Recipient>,
    cc_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: EmailAddress,
}

#[derive(Deserialize)]
struct EmailAddress {
    name: String,
    address: String,
}

pub async fn run(task: Task<'_>) -> Result<Measured> {
    // As this crate does it: no provider of cryptography is the process's own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().build()?;
    match task.kind {
        Kind::Gmail => gmail(&client, task).await,
        Kind::Graph(size) => graph(&client, task, size, false).await,
        Kind::GraphDelta(size) => graph(&client, task, size, true).await,
        Kind::GmailQuota(_) => Err(unsupported(task)),
    }
}

async fn gmail(client: &Client, task: Task<'_>) -> Result<Measured> {
    let mut meter = Meter::start();
    let base = task.server;
    let mut ids = Vec::new();
    let mut token = String::new();
    loop {
        let url = base.join(&format!(
            "gmail/v1/users/me/messages?maxResults=500&labelIds=INBOX{token}"
        ))?;
        let answer = client
            .get(url)
            .bearer_auth("token")
            .send()
            .await?
            .bytes()
            .await?;
        let list: List = serde_json::from_slice(&answer)?;
        ids.extend(list.messages.into_iter().map(|listed| listed.id));
        match list.next_page_token {
            Some(next) => token = format!("&pageToken={next}"),
            None => break,
        }
    }
    let batches = ids.chunks(PARTS).map(|ids| batch(client, base, ids));
    let mut answers = stream::iter(batches).buffered(AT_ONCE);
    while let Some(answer) = answers.try_next().await? {
        for json in parts(&answer) {
            let message: Message = serde_json::from_slice(json)?;
            match task.reading {
                Reading::AsItComes => meter.count(&message.id.as_str()),
                Reading::EveryField => meter.count(&message.fields()),
            }
        }
    }
    Ok(meter.stop())
}

async fn batch(client: &Client, base: &url::Url, ids: &[String]) -> Result<Bytes> {
    let mut body = String::new();
    for (index, id) in ids.iter().enumerate() {
        body.push_str(&format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: <i{index}>\r\n\r\n\
             GET /gmail/v1/users/me/messages/{id}?format=full HTTP/1.1\r\n\r\n\r\n"
        ));
    }
    body.push_str("--b--\r\n");
    let request = client
        .post(base.join("batch/gmail/v1")?)
        .bearer_auth("token")
        .header("content-type", "multipart/mixed; boundary=b")
        .body(body);
    Ok(request.send().await?.bytes().await?)
}

/// The JSON of each part: from its first brace to the line that ends it.
fn parts(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    answer.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.starts_with(b"{").then_some(line)
    })
}

impl Message {
    fn fields(self) -> Fields {
        let (folders, seen) = fields::labels(self.label_ids);
        let mut fields = Fields {
            id: self.id,
            thread: self.thread_id,
            folders,
            seen,
            received: self.internal_date.parse::<i64>().unwrap_or_default() / 1000,
            size: self.size_estimate,
            preview: fields::unescaped(&self.snippet),
            ..Fields::default()
        };
        fields.read(&self.payload);
        fields
    }
}

async fn graph(client: &Client, task: Task<'_>, size: u32, delta: bool) -> Result<Measured> {
    let mut meter = Meter::start();
    let path = if delta { "messages/delta" } else { "messages" };
    let top = if delta {
        String::new()
    } else {
        format!("&$top={size}")
    };
    let first = format!("v1.0/me/mailFolders/inbox/{path}?$select={SELECT}{top}");
    let mut next = Some(task.server.join(&first)?.to_string());
    let mut rounds = 0;
    while let Some(url) = next {
        let request = client.get(&url).bearer_auth("token");
        let request = request.header("prefer", format!("odata.maxpagesize={size}"));
        let answer = request.send().await?.bytes().await?;
        let page: Page = serde_json::from_slice(&answer)?;
        for item in page.value {
            item.count(&mut meter, task.reading);
        }
        rounds += usize::from(page.delta.is_some());
        next = page.next.or(page.delta.filter(|_| rounds == 1));
    }
    Ok(meter.stop())
}

impl Item {
    pub fn count(self, meter: &mut Meter, reading: Reading) {
        match reading {
            Reading::AsItComes => meter.count(&self.id.as_str()),
            Reading::EveryField => meter.count(&self.fields()),
        }
    }

    fn fields(self) -> Fields {
        let people = |people: Vec<Recipient>| {
            let people = people.into_iter().map(|person| person.email_address);
            people.map(|person| (person.name, person.address)).collect()
        };
        Fields {
            id: self.id,
            thread: self.conversation_id,
            folders: vec![self.parent_folder_id],
            categories: self.categories,
            seen: self.is_read,
            received: fields::instant(&self.received_date_time),
            sent: fields::instant(&self.sent_date_time),
            preview: self.body_preview,
            subject: self.subject,
            from: people(vec![self.from]),
            to: people(self.to_recipients),
            cc: people(self.cc_recipients),
            message_id: self.internet_message_id.trim_matches(['<', '>']).to_owned(),
            ..Fields::default()
        }
    }
}
