//! Being told that something happened: watches, as long as a host wants them. Understanding what a service then tells is
//! `push`'s; how a watch is set up is the provider's.

use super::Mailbox;
use crate::error::{Error, Result};
use crate::model::{Access, Renewed, Watch, WatchTarget};
use crate::provider::Watching;

impl Mailbox {
    /// Has the service tell of what happens in the mailbox from now on. Keep the watch with the account
    /// ([`AccountRecord::subscriptions`](crate::credentials::AccountRecord::subscriptions)), [renew](Self::renew) it when it is
    /// due, and [sync](Self::sync) once now: what happened before is not told.
    ///
    /// What is told is a hint that a sync is worth while, and [`push`](crate::push) understands it. It comes late, twice or
    /// never: go on syncing now and then, and have [`WatchHealth`](crate::push::WatchHealth) tell when a watch is dead.
    ///
    /// At Gmail an application has one watch for each mailbox: this replaces it, another host's with the same
    /// registration included. At Outlook there can be one for each folder and one for all of them; where Graph takes no second
    /// one for the same, what this registration had set up before is replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where [`Capabilities::watch`](crate::Capabilities::watch) is
    /// not of the target's kind; [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where the service cannot
    /// tell anything there.
    pub async fn watch(&self, target: &WatchTarget) -> Result<Watch> {
        self.watching()?.watch(target).await
    }

    /// Has the service go on with a watch, and says what to keep in its place. One that the service no longer has is made
    /// anew, and then a sync is due ([`Renewed::sync`]).
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub async fn renew(&self, watch: &Watch) -> Result<Renewed> {
        self.watching()?.renew(watch).await
    }

    /// Ends a watch: before an account is disconnected above all, as nobody can once its tokens are gone. That it is gone
    /// already is no error.
    ///
    /// At Gmail this ends the mailbox's only watch, whoever set it up with this registration: leave it alone while another
    /// account of the host's has the same mailbox.
    ///
    /// # Errors
    /// As [`MailProvider`](crate::MailProvider) says.
    pub async fn unwatch(&self, watch: &Watch) -> Result<()> {
        self.watching()?.unwatch(watch).await
    }

    fn watching(&self) -> Result<&dyn Watching> {
        self.require(Access::READ)?;
        let watching = self.provider.watching();
        watching.ok_or_else(|| Error::unsupported("this provider does not tell what happens"))
    }
}
