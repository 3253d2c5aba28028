//! `connect`, `accounts` and `disconnect`.

use clap::Args;
use postroom::oauth::{LoopbackReceiver, SignInOptions};
use postroom::{Access, Account, AccountId, Accounts, Adoption};
use tokio::io::{AsyncBufReadExt, BufReader};
use url::Url;

use crate::Failure;
use crate::output::Output;
use crate::setup::{Registration, Service, Setup};

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// Which service the mailbox is on
    pub(crate) service: Service,
    /// The client id of your registration with the service
    #[arg(long, env = "POSTROOM_CLIENT_ID")]
    client_id: Option<String>,
    /// Its client secret, if it has one
    #[arg(long, env = "POSTROOM_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// Microsoft's tenant: common, organizations, consumers, or an id
    #[arg(long)]
    tenant: Option<String>,
    /// Only ask to read mail
    #[arg(long)]
    read_only: bool,
    /// Ask for the settings of the mailbox and for deleting for good as well
    #[arg(long, conflicts_with = "read_only")]
    everything: bool,
    /// The address to sign in with, where it is known
    #[arg(long, value_name = "ADDRESS")]
    login_hint: Option<String>,
    /// Show a code to type in a browser on another machine; Microsoft only
    #[arg(long, conflicts_with = "access_token")]
    device_code: bool,
    /// Read the address that the browser ended at from standard input, for machines that no browser can come back to
    #[arg(long, conflicts_with_all = ["access_token", "device_code"])]
    paste: bool,
    /// A server with the vendor's own sign-in paths, instead of the vendor's
    #[arg(long, value_name = "URL")]
    auth_endpoint: Option<Url>,
    /// A server with the vendor's own mail paths, instead of the vendor's
    #[arg(long, value_name = "URL")]
    api_endpoint: Option<Url>,
    /// Skip sign-in and use this access token until it expires; for trials
    #[arg(
        long,
        value_name = "TOKEN",
        env = "POSTROOM_ACCESS_TOKEN",
        hide_env_values = true
    )]
    access_token: Option<String>,
}

impl Connect {
    pub(crate) async fn run(
        self,
        setup: &mut Setup,
        account: Option<String>,
        output: &Output,
    ) -> Result<(), Failure> {
        let name = account.unwrap_or_else(|| match self.service {
            Service::Google => "google".to_owned(),
            Service::Microsoft => "microsoft".to_owned(),
        });
        let client_id = match (
            &self.client_id,
            &self.access_token,
            setup.registration(&name),
        ) {
            (Some(id), _, _) => id.clone(),
            // A trial with a ready-made token never introduces itself to the sign-in server.
            (None, Some(_), _) => "trial".to_owned(),
            (None, None, Some(known)) if known.service == self.service => known.client_id.clone(),
            _ => {
                return Err(Failure::Usage(
                    "connect needs --client-id (or POSTROOM_CLIENT_ID), which you get by registering with the service"
                        .to_owned(),
                ));
            }
        };
        let known = setup
            .registration(&name)
            .filter(|known| known.service == self.service);
        let registration = Registration {
            service: self.service,
            client_id,
            client_secret: self.client_secret.or_else(|| known?.client_secret.clone()),
            tenant: self.tenant.or_else(|| known?.tenant.clone()),
            // A token that somebody else's server takes is nothing to show to the vendor's, not even to revoke it.
            auth_endpoint: self
                .auth_endpoint
                .or_else(|| known?.auth_endpoint.clone())
                .or_else(|| self.access_token.as_ref().and(self.api_endpoint.clone())),
            api_endpoint: self.api_endpoint.or_else(|| known?.api_endpoint.clone()),
        };
        // An account that works keeps its registration until the new one has signed in as well.
        let registered_before = setup.registration(&name).is_some();
        setup.use_registration(&name, registration);
        let accounts = setup.accounts()?;
        if let Some(error) = accounts.wrong_configurations().remove(name.as_str()) {
            return Err(Failure::Usage(error.to_string()));
        }
        if !registered_before {
            setup.keep_registration(&name)?;
        }
        let access = if self.read_only {
            Access::READ
        } else if self.everything {
            Access::default() | Access::SETTINGS | Access::DELETE
        } else {
            Access::default()
        };
        let id = AccountId::new(name.as_str());
        let account = match self.access_token {
            Some(token) => try_out(&accounts, &id, &name, token, access).await?,
            None => {
                let mut options = SignInOptions::new().access(access);
                if let Some(address) = self.login_hint {
                    options = options.login_hint(address);
                }
                if self.device_code {
                    type_elsewhere(&accounts, &id, &name, options).await?
                } else if self.paste {
                    paste(&accounts, &id, self.service, &name, options).await?
                } else {
                    sign_in(&accounts, &id, self.service, &name, options).await?
                }
            }
        };
        setup.keep_registration(&name)?;
        output.account(&account);
        Ok(())
    }
}

async fn sign_in(
    accounts: &Accounts,
    id: &AccountId,
    service: Service,
    configuration: &str,
    options: SignInOptions,
) -> Result<Account, Failure> {
    let receiver = LoopbackReceiver::bind().await?;
    let redirect_uri = match service {
        Service::Google => receiver.redirect_uri(),
        Service::Microsoft => receiver.localhost_redirect_uri(),
    };
    let options = options.redirect_uri(redirect_uri);
    let connecting = accounts.connect(id, configuration, options).await?;
    eprintln!(
        "Open this address in a browser and sign in:\n\n{}\n\nWaiting for the browser to come back. If the page shows an \
         error instead, press Ctrl-C: no account is changed.",
        connecting.url
    );
    let callback = receiver
        .receive_for(connecting.pending.authorization())
        .await?;
    Ok(accounts.complete(connecting.pending, &callback).await?)
}

/// The browser is on another machine and ends at an address that it cannot show; the address itself is all we need.
async fn paste(
    accounts: &Accounts,
    id: &AccountId,
    service: Service,
    configuration: &str,
    options: SignInOptions,
) -> Result<Account, Failure> {
    // Both services let loopback addresses have any port; nobody listens at this one.
    let options = options.redirect_uri(match service {
        Service::Google => "http://127.0.0.1:48317",
        Service::Microsoft => "http://localhost:48317",
    });
    let connecting = accounts.connect(id, configuration, options).await?;
    eprintln!(
        "Open this address in a browser on any machine and sign in:\n\n{}\n\n\
         The browser then says that it cannot reach the page. Paste the address that it shows, and press Enter:",
        connecting.url
    );
    let mut line = String::new();
    let mut input = BufReader::new(tokio::io::stdin());
    let read = input.read_line(&mut line).await;
    read.map_err(|error| Failure::Local("cannot read standard input".to_owned(), error))?;
    let callback = Url::parse(line.trim()).map_err(|_| {
        Failure::Usage("that is no address: paste all of what the browser shows".to_owned())
    })?;
    Ok(accounts.complete(connecting.pending, &callback).await?)
}

async fn type_elsewhere(
    accounts: &Accounts,
    id: &AccountId,
    configuration: &str,
    options: SignInOptions,
) -> Result<Account, Failure> {
    let connecting = accounts.connect_device(id, configuration, options).await?;
    let sign_in = &connecting.sign_in;
    eprintln!(
        "Open this address in a browser on any machine and type the code:\n\n{}\n{}\n",
        sign_in.verification_uri, sign_in.user_code
    );
    Ok(accounts.complete_device(&connecting).await?)
}

async fn try_out(
    accounts: &Accounts,
    id: &AccountId,
    configuration: &str,
    token: String,
    access: Access,
) -> Result<Account, Failure> {
    let adoption = Adoption::access_token(token).granted(access);
    let adopted = accounts.adopt(id, configuration, adoption).await?;
    match accounts.update_profile(id).await {
        Ok(account) => Ok(account),
        Err(error) => {
            eprintln!("The account is kept, but a look at its mailbox failed: {error}");
            // The look may have found out that the token is no good.
            let listed = accounts.list().await?;
            let now = listed.into_iter().find(|account| &account.id == id);
            Ok(now.unwrap_or(adopted))
        }
    }
}

pub(crate) async fn accounts(setup: &Setup, output: &Output) -> Result<(), Failure> {
    output.accounts(&setup.accounts()?.list().await?);
    Ok(())
}

pub(crate) async fn disconnect(
    accounts: &Accounts,
    account: &AccountId,
    output: &Output,
) -> Result<(), Failure> {
    let disconnected = accounts.disconnect(account).await?;
    output.disconnected(account, &disconnected);
    Ok(())
}
