//! Whether there is a mailbox behind an account that is being connected. Users of both services can have an account without
//! one: the sign-in succeeds, and no mail ever comes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::{self, Either};

use super::Accounts;
use super::configuration::Configured;
use crate::credentials::AccountRecord;
use crate::error::{ErrorKind, Result};

/// How long the look may take: a user waits for the page after the sign-in.
const PATIENCE: Duration = Duration::from_secs(10);

impl Accounts {
    /// Looks for the mailbox of an account whose record is not kept yet: when it was seen, or `None` if that cannot be said
    /// now.
    ///
    /// # Errors
    /// [`ErrorKind::MailboxUnavailable`] when there is none, [`ErrorKind::SignInRequired`] when the token is refused.
    pub(super) async fn probe(
        &self,
        configured: &Configured,
        record: &AccountRecord,
    ) -> Result<Option<DateTime<Utc>>> {
        let token = record.credential.access_token.clone();
        let Some(token) = token.filter(|_| self.0.probe_mailboxes) else {
            return Ok(None);
        };
        let mailbox = self.mailbox_with(configured, record, token)?;
        let looking = std::pin::pin!(mailbox.probe());
        match future::select(looking, self.0.clock.sleep(PATIENCE)).await {
            Either::Left((Ok(()), _)) => Ok(Some(self.0.clock.now())),
            Either::Left((Err(error), _))
                if matches!(
                    error.kind(),
                    ErrorKind::MailboxUnavailable | ErrorKind::SignInRequired
                ) =>
            {
                Err(error)
            }
            Either::Left((Err(error), _)) => {
                tracing::warn!(kind = ?error.kind(), code = error.code(), "a mailbox could not be looked at");
                Ok(None)
            }
            Either::Right(_) => {
                tracing::warn!("a mailbox could not be looked at in time");
                Ok(None)
            }
        }
    }
}
