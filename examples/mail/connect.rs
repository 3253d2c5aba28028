//! `connect`, `accounts` and `disconnect`.

use clap::Args;
use postroom::credentials::Credential;
use postroom::oauth::{LoopbackReceiver, SignInOptions};
use postroom::{Access, Account, AccountId, Accounts, Secret};
use url::Url;

use crate::Failure;
use crate::output::Output;
use crate::setup::{Registration, Service, Setup};

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// Which service the mailbox is on
    service: Service,
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
    /// The address to sign in with, where it is known
    #[arg(long, value_name = "ADDRESS")]
    login_hint: Option<String>,
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
            auth_endpoint: self.auth_endpoint.or_else(|| known?.auth_endpoint.clone()),
            api_endpoint: self.api_endpoint.or_else(|| known?.api_endpoint.clone()),
        };
        setup.register(&name, registration)?;
        let accounts = setup.accounts()?;
        let access = if self.read_only {
            Access::READ
        } else {
            Access::default()
        };
        let id = AccountId::new(name.as_str());
        let account = match self.access_token {
            Some(token) => try_out(&accounts, &id, &name, token, access).await?,
            None => sign_in(&accounts, &id, self.service, &name, access, self.login_hint).await?,
        };
        output.account(&account);
        Ok(())
    }
}

async fn sign_in(
    accounts: &Accounts,
    id: &AccountId,
    service: Service,
    configuration: &str,
    access: Access,
    login_hint: Option<String>,
) -> Result<Account, Failure> {
    let receiver = LoopbackReceiver::bind().await?;
    let redirect_uri = match service {
        Service::Google => receiver.redirect_uri(),
        Service::Microsoft => receiver.localhost_redirect_uri(),
    };
    let mut options = SignInOptions::new()
        .redirect_uri(redirect_uri)
        .access(access);
    if let Some(address) = login_hint {
        options = options.login_hint(address);
    }
    let connecting = accounts.connect(id, configuration, options)?;
    eprintln!(
        "Open this address in a browser and sign in:\n\n{}\n",
        connecting.url
    );
    let callback = receiver.receive().await?;
    Ok(accounts.complete(connecting.pending, &callback).await?)
}

async fn try_out(
    accounts: &Accounts,
    id: &AccountId,
    configuration: &str,
    token: String,
    access: Access,
) -> Result<Account, Failure> {
    let mut credential = Credential::default();
    credential.access_token = Some(Secret::new(token));
    let account = accounts
        .adopt(id, configuration, credential, access)
        .await?;
    let looked = async { accounts.open(id).await?.profile().await };
    if let Err(error) = looked.await {
        eprintln!("The account is kept, but a look at its mailbox failed: {error}");
    }
    Ok(account)
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
