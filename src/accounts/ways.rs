//! The ways of connecting an account other than sending a browser away and back: device codes, and applications that act in
//! their own name. Tokens that the host already holds are `adopting`'s.

#[cfg(feature = "app-only")]
use super::claiming::Claim;
use super::{Account, Accounts};
#[cfg(feature = "app-only")]
use crate::credentials::AccountRecord;
use crate::error::Result;
#[cfg(feature = "app-only")]
use crate::error::{Error, ErrorKind};
use crate::model::AccountId;
#[cfg(feature = "app-only")]
use crate::oauth::ApplicationFlow;
use crate::oauth::{DeviceSignIn, OAuthFlow, SignInOptions};

/// A sign-in that waits for its user to type a code on another machine.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectingDevice {
    /// What to show the user.
    pub sign_in: DeviceSignIn,
    account: AccountId,
    configuration: String,
}

impl Accounts {
    /// What to ask the user of an account for that may exist already.
    pub(super) async fn keeping(
        &self,
        account: &AccountId,
        flow: &OAuthFlow,
        options: SignInOptions,
    ) -> Result<SignInOptions> {
        Ok(match self.load(account).await? {
            Some(loaded) if loaded.record.service == *flow.service() => {
                flow.keeping(&loaded.record, options)
            }
            _ => options,
        })
    }

    /// Begins a sign-in on a machine without a browser, for a new account or again for one that exists. Show the user
    /// the code, then [`complete_device`](Self::complete_device).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for Google; otherwise as
    /// [`OAuthFlow::start_device`](crate::oauth::OAuthFlow::start_device).
    pub async fn connect_device(
        &self,
        account: &AccountId,
        configuration: &str,
        options: SignInOptions,
    ) -> Result<ConnectingDevice> {
        let configured = self.configuration(configuration)?;
        let flow = configured.flow()?;
        Ok(ConnectingDevice {
            sign_in: flow
                .start_device_with(self.keeping(account, flow, options).await?)
                .await?,
            account: account.clone(),
            configuration: configuration.to_owned(),
        })
    }

    /// Waits until the user has typed the code and consented, and keeps the account.
    ///
    /// # Errors
    /// As [`OAuthFlow::wait_for_device`](crate::oauth::OAuthFlow::wait_for_device) and
    /// [`complete`](Self::complete).
    pub async fn complete_device(&self, connecting: &ConnectingDevice) -> Result<Account> {
        let configuration = &connecting.configuration;
        let configured = self.configuration(configuration)?;
        let flow = configured.flow()?;
        let grant = flow.wait_for_device(&connecting.sign_in).await?;
        self.keep(&connecting.account, configuration, &configured, grant)
            .await
    }

    /// Connects a mailbox of an organisation whose administrator trusts the application with it: nobody signs in. `mailbox`
    /// is the primary address of a Google Workspace user, or the id or address of a Microsoft one. The first token is
    /// obtained at once, and the mailbox looked for as [`complete`](Self::complete) does, so that what is wrong shows here.
    ///
    /// # Errors
    /// As [`ApplicationFlow::grant`]; [`ErrorKind::AlreadyConnected`](crate::ErrorKind::AlreadyConnected) when another
    /// account of this configuration has the mailbox; [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when this account
    /// has another one already; [`ErrorKind::MailboxUnavailable`](crate::ErrorKind::MailboxUnavailable)
    /// when there is none.
    #[cfg(feature = "app-only")]
    pub async fn connect_application(
        &self,
        account: &AccountId,
        configuration: &str,
        mailbox: &str,
    ) -> Result<Account> {
        let configured = self.configuration(configuration)?;
        let flow = configured.application()?;
        let is_mailbox = |record: &AccountRecord| {
            let known = record.settings.get(ApplicationFlow::MAILBOX);
            record.configuration == configuration
                && known.is_some_and(|known| known.eq_ignore_ascii_case(mailbox))
        };
        let existing = self.load(account).await?;
        existing.map_or(Ok(()), |loaded| refuse_other(&loaded.record, mailbox))?;
        let grant = flow.grant(mailbox).await?;
        let mut granted = grant.clone().into_record(account.clone(), configuration);
        let named = || (ApplicationFlow::MAILBOX.to_owned(), mailbox.to_owned());
        granted.settings.extend([named()]);
        let seen = match self.probe(&configured, &granted).await {
            // A permission that was just given may take a while to arrive everywhere.
            Err(error) if error.kind() == ErrorKind::SignInRequired => None,
            seen => seen?,
        };
        let claim = Claim::application(configuration, mailbox);
        let deciding = self.deciding(Some(claim), async {
            let records = self.readable().await?;
            let taken = records
                .iter()
                .find(|record| &record.account != account && is_mailbox(record));
            if let Some(taken) = taken.filter(|_| !self.0.share_mailboxes) {
                return Err(Error::new(
                    ErrorKind::AlreadyConnected,
                    format!("this mailbox is already connected as {}", taken.account),
                ));
            }
            self.change(account, configuration, |record| {
                refuse_other(record, mailbox)?;
                record.addresses.clear();
                record.mailbox_seen = seen;
                grant.clone().apply_to(record);
                // Whoever signed in to this account before is not the application.
                record.identity = None;
                record.credential = grant.credential.clone();
                record.settings.extend([named()]);
                Ok(())
            })
            .await
        });
        let changed = deciding.await?;
        self.0.events.connected(&changed);
        Ok(self.describe(&changed.record))
    }
}

/// An account keeps its mailbox, also when it is connected in another way.
#[cfg(feature = "app-only")]
fn refuse_other(record: &AccountRecord, mailbox: &str) -> Result<()> {
    let is_it = |known: &String| known.eq_ignore_ascii_case(mailbox);
    let named = record.settings.get(ApplicationFlow::MAILBOX);
    let renamed = named.is_some_and(|named| !is_it(named));
    let has_user = record.identity.is_some() || (named.is_none() && !record.addresses.is_empty());
    if renamed || (has_user && !record.addresses.iter().any(is_it)) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "the account has another mailbox already: disconnect it first",
        )
        .with_code("other_mailbox"));
    }
    Ok(())
}
