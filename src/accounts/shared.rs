//! Mailboxes that an organisation's users open with their own sign-in although they are not theirs: shared ones, and those
//! of people whose delegates they are. Whom they are shared with is the organisation's to say.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::Accounts;
use super::holding::StoredTurns;
use crate::credentials::Service;
use crate::error::{Action, Error, ErrorKind, Result};
use crate::mailbox::Mailbox;
use crate::model::AccountId;
use crate::oauth::shared_access_of;

impl Accounts {
    /// A mailbox that is shared with the user of an account, by its address or id: Microsoft only, and only with a
    /// configuration that asks for it
    /// ([`with_shared_mailboxes`](crate::ProviderConfiguration::with_shared_mailboxes)). Opening asks nothing of the
    /// service, which cannot tell beforehand what is shared with whom: without the right to a mailbox its calls are
    /// [`NotFound`](crate::ErrorKind::NotFound) or [`PermissionDenied`](crate::ErrorKind::PermissionDenied). To send from it
    /// takes the right to *send as* it as well. Files of more than 3 MB cannot be attached there
    /// (<https://learn.microsoft.com/graph/known-issues>).
    ///
    /// Each call gives a handle with limits of its own: keep it. Keys of sends are the account's, so that one that was used for
    /// its own mailbox sends nothing from this one.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] when the user was never asked for shared mailboxes;
    /// [`ErrorKind::Unsupported`] at Google, where an administrator delegates the domain to a
    /// service account instead; otherwise as [`open`](Self::open).
    pub async fn open_shared(&self, account: &AccountId, mailbox: &str) -> Result<Mailbox> {
        let record = self.usable(account).await?;
        if record.service != Service::Microsoft {
            return Err(Error::unsupported(
                "only Microsoft lets users open a mailbox of somebody else's",
            ));
        }
        let access = shared_access_of(&record.scopes);
        if access.is_empty() {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "the user was not asked for shared mailboxes: have the configuration ask, and the user sign in again",
            )
            .with_code("shared_scopes_missing")
            .with_action(Action::GrantMore(record.granted)));
        }
        let configured = self.configuration(&record.configuration)?;
        // With the tokens of the account's own mailbox, so that suspending and disconnecting reach this handle too.
        let (own, tokens) = self.open_anew(account, &record, Arc::clone(&configured))?;
        let turns = StoredTurns::new(&tokens).named(name_of(account, mailbox));
        let mailbox = configured.shared_mailbox(self.connection(&tokens), access, mailbox)?;
        // A key is the account's, whichever mailbox it sends from.
        let mailbox = mailbox.with_clock(Arc::clone(&self.0.clock));
        Ok(mailbox.sending_as(&own).with_turns(Arc::new(turns)))
    }
}

/// By what name the syncs of a shared mailbox take turns. Keys may be seen where records are not.
fn name_of(account: &AccountId, mailbox: &str) -> AccountId {
    let mailbox = mailbox.to_lowercase();
    let name = format!("shared {} {account} {mailbox}", account.as_str().len());
    AccountId::new(format!("{:x}", Sha256::digest(name)))
}
