//! Gmail as a [`MailProvider`]: its public type, and which file does what. `api.rs` has the endpoints, `wire.rs` their
//! JSON, `convert.rs` what it means in the model, `query.rs` searches, `batch.rs` many calls in one, `reading.rs`,
//! `changing.rs` and `sending.rs` what takes several calls, `error.rs` refusals.

mod api;
mod batch;
mod changing;
mod convert;
mod error;
mod query;
mod reading;
mod sending;
mod wire;

use async_trait::async_trait;
use url::Url;

use self::api::Api;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Connection;
use crate::model::{
    Access, AttachmentId, ByteStream, Change, Confirmation, Detail, Folder, Message, MessageId,
    Outgoing, Page, PageRequest, Profile, Query, SendKey, SendTicket, Sent,
};
use crate::provider::{Capabilities, FoldersPerMessage, MailProvider};

/// One mailbox at Gmail, over its REST API.
///
/// Labels are folders here, and a message can be in any number of them. `UNREAD`, `STARRED`, `IMPORTANT` and `DRAFT` are
/// keywords too; there are no others.
///
/// Reading messages costs 20 quota units each with any detail; a list costs that for each of its messages, unless it is
/// of [`Detail::Ids`] (<https://developers.google.com/workspace/gmail/api/reference/quota>).
///
/// A send is prepared as a draft, which the user sees until it is dispatched, or, with [`Access::SEND`] and no access to
/// drafts, as an upload that lacks its end.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use postroom::credentials::TokenSource;
/// use postroom::http::{Connection, ReqwestTransport};
/// use postroom::{Access, Detail, Gmail, MailProvider, PageRequest, Query, Result};
///
/// async fn newest(tokens: Arc<dyn TokenSource>) -> Result<()> {
///     let transport = Arc::new(ReqwestTransport::new()?);
///     let gmail = Gmail::new(Connection::new(transport, tokens))?.with_access(Access::READ);
///     let page = gmail
///         .list(&Query::inbox(), Detail::Headers, PageRequest::first().with_size(10))
///         .await?;
///     for message in page.items {
///         println!("{}", message?.subject.unwrap_or_default());
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Gmail {
    connection: Connection,
    api: Api,
    access: Access,
    capabilities: Capabilities,
}

impl Gmail {
    /// The mailbox of the user whose tokens the connection has, at Google, with [`Access::default`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when the service's address cannot be used.
    pub fn new(connection: Connection) -> Result<Self> {
        let endpoint = Url::parse(api::ENDPOINT).map_err(|error| {
            Error::new(ErrorKind::Configuration, "the endpoint is no address").with_source(error)
        })?;
        let access = Access::default();
        Ok(Self {
            api: Api::new(&connection, endpoint, "me".to_owned())?,
            connection,
            access,
            capabilities: capabilities(access),
        })
    }

    /// Another address for the service, such as the emulator's. `gmail/v1/…`, `upload/gmail/v1/…` and `batch/gmail/v1`
    /// are appended to it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when it is neither `https` nor on a loopback address.
    pub fn with_api_endpoint(mut self, endpoint: Url) -> Result<Self> {
        self.api = Api::new(&self.connection, endpoint, self.api.user().to_owned())?;
        Ok(self)
    }

    /// What was granted. What it does not cover is refused without asking the service.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self.capabilities = capabilities(access);
        self
    }

    /// Another mailbox than the token's own user's, by its address: for service accounts that act for their
    /// organisation's users.
    #[must_use]
    pub fn with_user(mut self, address: impl Into<String>) -> Self {
        self.api = self.api.with_user(address.into());
        self
    }

    fn require(&self, access: Access) -> Result<()> {
        if self.access.contains(access) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "this needs the access `{}`, and what was granted is `{}`",
                access, self.access
            ),
        ))
    }
}

fn capabilities(access: Access) -> Capabilities {
    Capabilities {
        folders_per_message: FoldersPerMessage::Many,
        change: access.contains(Access::READ_WRITE),
        send: access.contains(Access::SEND),
        confirm_send: access.contains(Access::SEND),
        ..Capabilities::new("gmail")
    }
}

#[async_trait]
impl MailProvider for Gmail {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn profile(&self) -> Result<Profile> {
        if !self.access.contains(Access::DRAFT) {
            self.require(Access::READ)?;
        }
        convert::profile(self.api.profile().await?)
    }

    async fn folders(&self) -> Result<Vec<Folder>> {
        self.require(Access::READ)?;
        Ok(convert::folders(self.api.labels().await?))
    }

    async fn list(
        &self,
        query: &Query,
        detail: Detail,
        page: PageRequest,
    ) -> Result<Page<Result<Message>>> {
        self.require(Access::READ)?;
        reading::list(&self.api, query, detail, &page).await
    }

    async fn get(&self, ids: &[MessageId], detail: Detail) -> Result<Vec<Result<Message>>> {
        self.require(Access::READ)?;
        reading::get(&self.api, ids, detail).await
    }

    async fn raw(&self, id: &MessageId) -> Result<ByteStream> {
        self.require(Access::READ)?;
        reading::raw(&self.api, id).await
    }

    async fn attachment(
        &self,
        message: &MessageId,
        attachment: &AttachmentId,
    ) -> Result<ByteStream> {
        self.require(Access::READ)?;
        reading::attachment(&self.api, message, attachment).await
    }

    async fn apply(&self, ids: &[MessageId], change: &Change) -> Result<Vec<Result<()>>> {
        self.require(Access::READ_WRITE)?;
        changing::apply(&self.api, ids, change).await
    }

    async fn prepare(&self, outgoing: &Outgoing, key: &SendKey) -> Result<SendTicket> {
        self.require(Access::SEND)?;
        sending::prepare(&self.api, self.access, outgoing, key).await
    }

    async fn dispatch(&self, ticket: &SendTicket) -> Result<Sent> {
        self.require(Access::SEND)?;
        sending::dispatch(&self.api, ticket).await
    }

    async fn confirm(&self, ticket: &SendTicket) -> Result<Confirmation> {
        self.require(Access::SEND)?;
        sending::confirm(&self.api, self.access, ticket).await
    }
}
