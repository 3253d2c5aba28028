//! Gmail's endpoints that take a whole message: in one request with what is said about it (`multipart`), or in pieces that
//! survive a broken connection (`resumable`). Which of the two, and what becomes of pieces, is known by the callers.
//!
//! The other two ways of the service are not used: `raw` within JSON is limited to about 700 KB and a third longer
//! (<https://github.com/googleapis/google-api-dotnet-client/issues/856>), and `media` cannot name a conversation.

use http::header::{CONTENT_RANGE, HeaderName, LOCATION};
use http::{HeaderValue, Method};
use serde::Serialize;
use url::Url;

use super::{Api, boundary, fields, header, units};
use crate::error::Result;
use crate::gmail::wire;
use crate::http::{Answer, ApiRequest, Cost, Replay, protocol};
use crate::model::{Content, ImportDate, ImportWay};

/// What is done with a message that is uploaded.
#[derive(Clone, Copy, Debug)]
pub(in crate::gmail) enum Upload<'a> {
    /// `POST users/{user}/messages/send`
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send>).
    Send,
    /// `POST users/{user}/drafts`. Nobody receives a draft, but two of them would be one too many
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/create>).
    CreateDraft,
    /// `PUT users/{user}/drafts/{id}`: all of it is replaced, and where it is in a conversation has to be said again
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/update>).
    UpdateDraft(&'a str),
    /// `POST users/{user}/messages`, or `POST users/{user}/messages/import` for what is to be treated as if it arrived
    /// (<https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/insert>,
    /// <https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/import>).
    Import(ImportWay, ImportDate),
}

impl Upload<'_> {
    pub(in crate::gmail) fn operation(self) -> &'static str {
        match self {
            Self::Send => "gmail.messages.send",
            Self::CreateDraft => "gmail.drafts.create",
            Self::UpdateDraft(_) => "gmail.drafts.update",
            Self::Import(ImportWay::Append, _) => "gmail.messages.insert",
            Self::Import(..) => "gmail.messages.import",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::UpdateDraft(_) => Method::PUT,
            _ => Method::POST,
        }
    }

    /// What it costs, and when it is done: with the request that completes the message.
    fn cost(self) -> Cost {
        Cost::units(match self {
            Self::Send => units::MESSAGES_SEND,
            Self::CreateDraft => units::DRAFTS_CREATE,
            Self::UpdateDraft(_) => units::DRAFTS_UPDATE,
            Self::Import(..) => units::MESSAGES_IMPORT,
        })
    }

    /// Replacing a draft by the same twice is the same as once; everything else makes something.
    fn replay(self) -> Replay {
        match self {
            Self::UpdateDraft(_) => Replay::Idempotent,
            _ => Replay::Once,
        }
    }

    fn answered(self) -> &'static str {
        match self {
            Self::CreateDraft | Self::UpdateDraft(_) => "id,message(id,threadId)",
            Self::Send => "id,threadId",
            Self::Import(..) => "id,threadId,labelIds",
        }
    }
}

impl Api {
    fn upload_url(&self, upload: Upload<'_>, kind: &str) -> Result<Url> {
        let mut url = match upload {
            Upload::Send => self.url("upload/", &["messages", "send"]),
            Upload::CreateDraft => self.url("upload/", &["drafts"]),
            Upload::UpdateDraft(id) => self.url("upload/", &["drafts", id]),
            Upload::Import(ImportWay::Append, _) => self.url("upload/", &["messages"]),
            Upload::Import(..) => self.url("upload/", &["messages", "import"]),
        }?;
        url.query_pairs_mut().append_pair("uploadType", kind);
        if let Upload::Import(way, date) = upload {
            let mut query = url.query_pairs_mut();
            // The two methods differ in what they do if nothing is said.
            let source = match date {
                ImportDate::Now => "receivedTime",
                ImportDate::Kept | ImportDate::At(_) => "dateHeader",
            };
            query.append_pair("internalDateSource", source);
            if way == ImportWay::ReceiveTrusted {
                query.append_pair("neverMarkSpam", "true");
            }
        }
        fields(&mut url, upload.answered());
        Ok(url)
    }

    /// The whole message in one request, `uploadType=multipart`
    /// (<https://developers.google.com/workspace/gmail/api/guides/uploads#multipart>).
    pub(in crate::gmail) async fn upload_whole(
        &self,
        upload: Upload<'_>,
        metadata: &(impl Serialize + Sync),
        message: Content,
    ) -> Result<Answer> {
        let url = self.upload_url(upload, "multipart")?;
        let boundary = boundary()?;
        let metadata = serde_json::to_string(metadata).unwrap_or_default();
        let head = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n\
             --{boundary}\r\nContent-Type: message/rfc822\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let content = Content::concatenate(vec![
            Content::from_bytes(head),
            message,
            Content::from_bytes(tail),
        ]);
        let media_type = header(&format!("multipart/related; boundary={boundary}"))?;
        let request = ApiRequest::new(
            upload.operation(),
            upload.method(),
            url,
            upload.cost(),
            upload.replay(),
        );
        self.client
            .answer(request.with_content(media_type, content))
            .await
    }

    /// Opens a session, `uploadType=resumable`, and gives its address
    /// (<https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>). A session that is never completed
    /// does nothing.
    pub(in crate::gmail) async fn start_upload(
        &self,
        upload: Upload<'_>,
        metadata: &(impl Serialize + Sync),
        length: u64,
    ) -> Result<Url> {
        let url = self.upload_url(upload, "resumable")?;
        let operation = upload.operation();
        let free = Cost::units(0);
        let request = ApiRequest::new(operation, upload.method(), url, free, Replay::Idempotent)
            .with_json(metadata)
            .with_header(
                HeaderName::from_static("x-upload-content-type"),
                HeaderValue::from_static("message/rfc822"),
            )
            .with_header(
                HeaderName::from_static("x-upload-content-length"),
                HeaderValue::from(length),
            );
        let answer = self.client.answer(request).await?;
        answer
            .header(LOCATION.as_str())
            .and_then(|location| self.base.join(location).ok())
            .ok_or_else(|| {
                protocol("the answer does not say where to upload to").with_operation(operation)
            })
    }

    /// `PUT {session}` with some bytes of the message: 308 while some are missing, 200 or 201 once it is done
    /// (<https://developers.google.com/workspace/gmail/api/guides/uploads#resumable>).
    pub(in crate::gmail) async fn upload(
        &self,
        upload: Upload<'_>,
        session: &Url,
        start: u64,
        bytes: Content,
        length: u64,
    ) -> Result<Answer> {
        let last = (start + bytes.len()).saturating_sub(1);
        // The bytes that complete the message do what the upload is for, and only they cost what that costs.
        let cost = if last + 1 == length {
            upload.cost()
        } else {
            Cost::units(0)
        };
        let request = ApiRequest::new(
            upload.operation(),
            Method::PUT,
            session.clone(),
            cost,
            Replay::Once,
        )
        .with_content(HeaderValue::from_static("message/rfc822"), bytes)
        .with_header(
            CONTENT_RANGE,
            header(&format!("bytes {start}-{last}/{length}"))?,
        )
        .also_accepting(308);
        self.client.answer(request).await
    }

    /// `PUT {session}` with nothing: how much of the message has arrived, 200 or 201 if it is done. That a session tells so
    /// after it was completed is said by Google's general guide to resumable uploads
    /// (<https://developers.google.com/workspace/gmail/api/guides/uploads#resume-upload>), and by nothing newer of Gmail's.
    pub(in crate::gmail) async fn upload_status(
        &self,
        upload: Upload<'_>,
        session: &Url,
        length: u64,
    ) -> Result<Answer> {
        let request = ApiRequest::new(
            upload.operation(),
            Method::PUT,
            session.clone(),
            Cost::units(0),
            Replay::Read,
        )
        .with_header(CONTENT_RANGE, header(&format!("bytes */{length}"))?)
        .also_accepting(308);
        self.client.answer(request).await
    }
}

/// What an upload of a message says beside it.
impl<'a> wire::MessageMetadata<'a> {
    /// That it belongs to this conversation, if any.
    pub(in crate::gmail) fn within(thread_id: Option<&'a str>) -> Self {
        Self {
            thread_id,
            label_ids: Vec::new(),
        }
    }
}
