//! What a mailbox offers around writing: drafts, who to write as, and putting messages into it that exist elsewhere. How
//! each is done is the provider's.

use super::Mailbox;
use super::sending::random_key;
use crate::error::{Delivery, Error, Result};
use crate::model::{
    Access, Content, DraftId, DraftRevision, ImportOptions, Imported, SendKey, Sent,
};
use crate::provider::{Drafts, Identities};

impl Mailbox {
    /// The messages that are being written. What is here sends nothing: see [`send_draft`](Self::send_draft).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the service keeps none,
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied) on a handle without [`Access::DRAFT`].
    pub fn drafts(&self) -> Result<&dyn Drafts> {
        self.require(Access::DRAFT)?;
        let drafts = self.provider.drafts();
        drafts.ok_or_else(|| Error::unsupported("this provider keeps no drafts"))
    }

    /// Sends a draft once, if it is still what it was at `expected`. To be able to repeat a send whose outcome is unknown,
    /// use [`send_draft_once`](Self::send_draft_once).
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if somebody changed it meanwhile, which sends nothing; otherwise
    /// as [`send`](Self::send).
    pub async fn send_draft(
        &self,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
    ) -> Result<Sent> {
        let key = random_key()?;
        let sent = self.send_draft_once(&key, draft, expected).await;
        self.close(&key, sent).await
    }

    /// Sends a draft under a key of the host's, as [`send_once`](Self::send_once) does a message.
    ///
    /// A draft that was sent is no longer there, as one that the user deleted. Where nothing but drafts may be read, which of
    /// both became of it cannot be found out, and a send whose answer was lost stays unknown: ask for [`Access::READ`], too.
    ///
    /// # Errors
    /// As [`send_draft`](Self::send_draft) and [`send_once`](Self::send_once).
    pub async fn send_draft_once(
        &self,
        key: &SendKey,
        draft: &DraftId,
        expected: Option<&DraftRevision>,
    ) -> Result<Sent> {
        self.require(Access::SEND)?;
        let drafts = self.drafts()?;
        let prepare = || async move {
            let prepared = drafts.prepare(draft, expected, key).await;
            // Whatever of it was done at the service, nobody received anything.
            prepared.map_err(|error| error.with_delivery(Delivery::NotSent))
        };
        // To how many it goes the service knows.
        let sent = self.send_prepared(key, 1, prepare).await;
        sent.map(|(_, sent)| sent)
    }

    /// Who the mailbox may write as: its own address and its aliases.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the service does not tell,
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied) on a handle without [`Access::READ`] and
    /// without [`Access::SETTINGS`].
    pub fn identities(&self) -> Result<&dyn Identities> {
        if self.require(Access::READ).is_err() {
            self.require(Access::SETTINGS)?;
        }
        let identities = self.provider.identities();
        identities.ok_or_else(|| Error::unsupported("this provider does not tell who writes"))
    }

    /// Puts a message that exists elsewhere, as RFC 5322, into this mailbox. What the service could not keep is told.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the service takes none. If the answer is lost, the
    /// message may be there: see [`Error::delivery`].
    pub async fn import(
        &self,
        message: impl Into<Content> + Send,
        options: &ImportOptions,
    ) -> Result<Imported> {
        self.require(Access::READ_WRITE)?;
        self.provider.import(&message.into(), options).await
    }
}
