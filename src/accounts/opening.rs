//! From an account's record to a [`Mailbox`]: one per account and process, whose handles share tokens and limits.
//! What can be done with it is `mailbox`'s.

use std::sync::Arc;

use super::configuration::Configured;
use super::holding::StoredTurns;
use super::{Account, Accounts, unknown_account};
use crate::credentials::{AccountRecord, LoadedAccount, StoredTokens};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Connection, Spending};
use crate::journal::SendScope;
use crate::mailbox::Mailbox;
use crate::model::{Access, AccountId};

/// A mailbox, and what of its account's record it was made from.
pub(super) struct Opened {
    mailbox: Mailbox,
    tokens: StoredTokens,
    /// Those of handles that are out and were made with other settings.
    earlier: Vec<StoredTokens>,
    /// Each configuration has one of its own.
    configured: Arc<Configured>,
    granted: Access,
    spending: Spending,
    /// Whether its account signed in again since.
    outdated: bool,
}

impl Opened {
    fn is_of(&self, record: &AccountRecord, configured: &Arc<Configured>) -> bool {
        !self.outdated
            && Arc::ptr_eq(&self.configured, configured)
            && self.granted == record.granted
    }

    /// What was granted has changed. Handles that are out already find the new tokens in the store.
    pub(super) fn is_outdated(&mut self) {
        self.outdated = true;
        self.look_again();
    }

    pub(super) fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    fn look_again(&self) {
        self.tokens.look_again();
        for tokens in &self.earlier {
            tokens.look_again();
        }
    }
}

impl Accounts {
    /// The record of an account that may be opened: it is there, and not suspended.
    pub(super) async fn usable(&self, account: &AccountId) -> Result<AccountRecord> {
        let LoadedAccount { record, .. } = self
            .load(account)
            .await?
            .ok_or_else(|| unknown_account(account))?;
        if record.suspended_since.is_some() {
            return Err(Error::new(
                ErrorKind::Suspended,
                format!("the account {account} is suspended"),
            ));
        }
        Ok(record)
    }

    /// The mailbox of a connected account. Opening asks nothing of the service.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such account, [`ErrorKind::Suspended`] when the host suspended it,
    /// [`ErrorKind::Configuration`] when its configuration is gone or wrong, [`ErrorKind::CredentialStore`].
    pub async fn open(&self, account: &AccountId) -> Result<Mailbox> {
        let record = self.usable(account).await?;
        self.open_with(account, &record)
    }

    /// The mailbox of an account whose record was read just now.
    pub(super) fn open_with(&self, account: &AccountId, record: &AccountRecord) -> Result<Mailbox> {
        let configured = self.configuration(&record.configuration)?;
        if let Some(opened) = self.opened().get(account)
            && opened.is_of(record, &configured)
        {
            return Ok(opened.mailbox.clone());
        }
        self.open_anew(account, record, configured)
            .map(|(mailbox, _)| mailbox)
    }

    /// The mailbox of an account with this record, and the tokens that all its handles share.
    pub(super) fn open_anew(
        &self,
        account: &AccountId,
        record: &AccountRecord,
        configured: Arc<Configured>,
    ) -> Result<(Mailbox, StoredTokens)> {
        let mut open = self.opened();
        // Who signs in again has no more of a service than before.
        let spent = open
            .get(account)
            .filter(|opened| Arc::ptr_eq(&opened.configured, &configured))
            .map(|opened| Arc::clone(&opened.spending));
        let (tokens, earlier) = match open.get(account) {
            // Whoever opened it first wins, so that there is one set of limits.
            Some(opened) if opened.is_of(record, &configured) => {
                return Ok((opened.mailbox.clone(), opened.tokens.clone()));
            }
            // Handles that are out must be reached for as long as there are any.
            Some(opened) if Arc::ptr_eq(&opened.configured, &configured) => {
                (opened.tokens.clone(), opened.earlier.clone())
            }
            Some(opened) => {
                let all = opened.earlier.iter().chain([&opened.tokens]);
                (self.tokens(account, &configured)?, all.cloned().collect())
            }
            None => (self.tokens(account, &configured)?, Vec::new()),
        };
        let connection = configured.within_limits(self.connection(&tokens));
        let connection = match spent {
            Some(spending) => connection.going_on(spending),
            None => connection,
        };
        let spending = connection.spending();
        let mailbox = configured
            .mailbox(connection, record)?
            .with_clock(Arc::clone(&self.0.clock));
        let mailbox = match (open.remove(account), &self.0.journal) {
            // What was sent stays known.
            (Some(opened), _) => mailbox.continuing(&opened.mailbox),
            (None, Some(journal)) => {
                mailbox.with_journal_in(Arc::clone(journal), self.sends_of(account))
            }
            (None, None) => mailbox,
        };
        let mailbox = mailbox.with_turns(Arc::new(StoredTurns::new(&tokens)));
        let mut opened = Opened {
            mailbox: mailbox.clone(),
            tokens: tokens.clone(),
            earlier,
            configured,
            granted: record.granted,
            spending,
            outdated: false,
        };
        opened.earlier.retain(StoredTokens::is_shared);
        open.insert(account.clone(), Box::new(opened));
        Ok((mailbox, tokens))
    }

    /// Where the account's sends are in the journal.
    fn sends_of(&self, account: &AccountId) -> SendScope {
        let scope = SendScope::account(account.clone());
        match &self.0.namespace {
            Some(namespace) => scope.in_namespace(namespace),
            None => scope,
        }
    }

    fn tokens(&self, account: &AccountId, configured: &Configured) -> Result<StoredTokens> {
        let tokens = StoredTokens::with_options(
            Arc::clone(&self.0.store),
            self.key(account),
            configured.refresh(),
            Arc::clone(&self.0.clock),
            self.0.token_options,
        )?;
        Ok(tokens.telling(self.0.events.teller(account)))
    }

    pub(super) fn connection(&self, tokens: &StoredTokens) -> Connection {
        Connection::new(Arc::clone(&self.0.transport), Arc::new(tokens.clone()))
            .with_clock(Arc::clone(&self.0.clock))
            .with_retry(self.0.retry)
    }

    /// Handles that are out look at the store before they use the account again.
    pub(super) fn look_again(&self, account: &AccountId) {
        if let Some(opened) = self.opened().get(account) {
            opened.look_again();
        }
    }

    /// Forgets the account's mailbox; handles that are out find that the account is gone.
    pub(super) fn close(&self, account: &AccountId) {
        if let Some(opened) = self.opened().remove(account) {
            opened.look_again();
        }
    }

    /// Asks the service whose mailbox an account is, and keeps the answer. An adopted account has no address before it, and
    /// an address may change.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`Mailbox::profile`].
    pub async fn update_profile(&self, account: &AccountId) -> Result<Account> {
        let profile = self.open(account).await?.profile().await?;
        let (record, _) = self
            .amend(account, |record| {
                let before = (record.addresses.clone(), record.display_name.clone());
                record
                    .addresses
                    .retain(|known| !known.eq_ignore_ascii_case(&profile.address));
                record.addresses.insert(0, profile.address.clone());
                if profile.display_name.is_some() {
                    record.display_name.clone_from(&profile.display_name);
                }
                before != (record.addresses.clone(), record.display_name.clone())
            })
            .await?;
        Ok(self.describe(&record))
    }
}
