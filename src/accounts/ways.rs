//! The ways of connecting an account other than sending a browser away and back.

use super::{Account, Accounts};
use crate::error::Result;
use crate::model::AccountId;
use crate::oauth::{DeviceSignIn, SignInOptions};

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
        let flow = &self.configuration(configuration)?.flow;
        Ok(ConnectingDevice {
            sign_in: flow.start_device_with(options).await?,
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
        let flow = &self.configuration(&connecting.configuration)?.flow;
        let grant = flow.wait_for_device(&connecting.sign_in).await?;
        self.keep(&connecting.account, &connecting.configuration, grant)
            .await
    }
}
