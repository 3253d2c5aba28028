//! `doctor`: what is wrong with a registration, where it shows, and what to click.

use clap::Args;
use postroom::oauth::{Diagnosis, Endpoints, Finding, OAuthFlow, Probe};
use postroom::{AccountId, ErrorKind};
use serde_json::{Value, json};
use url::Url;

use crate::Failure;
use crate::output::Output;
use crate::setup::{Registration, Service, Setup};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Which service it is about; by default that of the account
    service: Option<Service>,
    /// The client id to examine, in place of the account's
    #[arg(long, env = "POSTROOM_CLIENT_ID")]
    client_id: Option<String>,
    /// Its client secret
    #[arg(long, env = "POSTROOM_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// Microsoft's tenant: common, organizations, consumers, or an id
    #[arg(long)]
    tenant: Option<String>,
    /// The redirect address of your own application; by default that of this program's receiver
    #[arg(long, value_name = "URL")]
    redirect_uri: Option<String>,
    /// A server with the vendor's own sign-in paths, instead of the vendor's
    #[arg(long, value_name = "URL")]
    auth_endpoint: Option<Url>,
    /// Explain instead what the service's page or a log says, such as "Error 400: redirect_uri_mismatch" or AADSTS50011
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Explain instead the address that the browser came back to
    #[arg(long, value_name = "URL")]
    callback: Option<Url>,
}

/// What became of a look at the account's mailbox.
type Looked = Result<String, postroom::Error>;

impl Doctor {
    pub(crate) async fn run(
        self,
        setup: &Setup,
        account: Option<String>,
        output: &Output,
    ) -> Result<(), Failure> {
        if self.error.is_some() || self.callback.is_some() {
            return self.explain(setup, account, output);
        }
        let examines_account = self.client_id.is_none();
        let (name, registration) = self.registration(setup, account)?;
        let vendor = registration.service.vendor();
        let examined = match flow(&registration, self.redirect_uri.as_deref()) {
            Ok(flow) => Ok(flow.check().await),
            Err(error) => Err(error),
        };
        let looked = match (&examined, name) {
            (Ok(_), Some(name)) if examines_account => look(setup, &name).await?,
            _ => None,
        };
        let finding = |error: &postroom::Error| Finding::of(error, &vendor);
        let report = Report {
            findings: match &examined {
                Ok(diagnosis) => diagnosis.findings.clone(),
                Err(error) => finding(error).into_iter().collect(),
            },
            token_endpoint: examined
                .as_ref()
                .ok()
                .map(|diagnosis| diagnosis.token_endpoint),
            unseen: match &examined {
                Ok(diagnosis) => diagnosis.if_no_callback_comes.clone(),
                Err(_) => Diagnosis::on_the_services_page(&vendor),
            },
            refused: examined.as_ref().err(),
            mailbox: looked.as_ref().map(|looked| match looked {
                Ok(address) => Ok(address.as_str()),
                Err(error) => Err((error, finding(error))),
            }),
        };
        report.print(output);
        report.verdict()
    }

    /// Explains what a person has seen. Nobody is asked anything.
    fn explain(
        &self,
        setup: &Setup,
        account: Option<String>,
        output: &Output,
    ) -> Result<(), Failure> {
        let text = self.error.as_deref().unwrap_or_default();
        let callback = self.callback.as_ref();
        let known = match &account {
            Some(name) => setup.registration(name),
            None => setup.only_registration().map(|(_, known)| known),
        };
        let numbered = text.contains("AADSTS")
            || callback.is_some_and(|callback| callback.as_str().contains("AADSTS"));
        let service = self
            .service
            .or(numbered.then_some(Service::Microsoft))
            .or_else(|| known.map(|known| known.service))
            .ok_or_else(|| {
                Failure::Usage("say whose it is: `mail doctor google` or `microsoft`".to_owned())
            })?;
        let vendor = service.vendor();
        let mut findings = Finding::in_text(text, &vendor);
        findings.extend(
            callback
                .into_iter()
                .flat_map(|callback| Finding::in_callback(callback, &vendor)),
        );
        if output.is_json() {
            output.document(&json!({ "findings": findings }));
        } else if findings.is_empty() {
            println!(
                "There is no code in it that is known. On the service's page it may be under error details."
            );
        } else {
            output.findings(&findings.iter().collect::<Vec<_>>());
        }
        Err(Failure::Some(ErrorKind::Configuration))
    }

    /// What is to be examined: the account's registration, with what was given in its place.
    fn registration(
        &self,
        setup: &Setup,
        account: Option<String>,
    ) -> Result<(Option<String>, Registration), Failure> {
        let known = match &account {
            Some(name) => setup.registration(name).map(|known| (name.as_str(), known)),
            None => setup.only_registration(),
        };
        let known =
            known.filter(|(_, known)| self.service.is_none_or(|service| service == known.service));
        if let (Some(name), None, None) = (&account, &known, &self.client_id) {
            return Err(Failure::Usage(format!(
                "there is no account {name} of this service"
            )));
        }
        let (name, known) = known.unzip();
        let service = self.service.or_else(|| known.map(|known| known.service));
        let client_id = self
            .client_id
            .clone()
            .or_else(|| known.map(|known| known.client_id.clone()));
        let (Some(service), Some(client_id)) = (service, client_id) else {
            return Err(Failure::Usage(
                "say what to examine: --account NAME, or google|microsoft and --client-id"
                    .to_owned(),
            ));
        };
        // Another client id has another secret.
        let known = known.filter(|known| known.client_id == client_id);
        let registration = Registration {
            service,
            client_id,
            client_secret: self
                .client_secret
                .clone()
                .or_else(|| known?.client_secret.clone()),
            tenant: self.tenant.clone().or_else(|| known?.tenant.clone()),
            auth_endpoint: self
                .auth_endpoint
                .clone()
                .or_else(|| known?.auth_endpoint.clone()),
            api_endpoint: known.and_then(|known| known.api_endpoint.clone()),
        };
        Ok((name.map(str::to_owned), registration))
    }
}

fn flow(registration: &Registration, redirect_uri: Option<&str>) -> postroom::Result<OAuthFlow> {
    let tenant = registration.tenant.as_deref().unwrap_or("common");
    let (mut builder, receiver) = match registration.service {
        Service::Google => (
            OAuthFlow::google(&registration.client_id),
            "http://127.0.0.1",
        ),
        Service::Microsoft => (
            OAuthFlow::microsoft(&registration.client_id).tenant(tenant),
            "http://localhost",
        ),
    };
    builder = builder.redirect_uri(redirect_uri.unwrap_or(receiver));
    if let Some(secret) = &registration.client_secret {
        builder = builder.client_secret(secret.as_str());
    }
    if let Some(base) = &registration.auth_endpoint {
        builder = builder.endpoints(match registration.service {
            Service::Google => Endpoints::google_at(base)?,
            Service::Microsoft => Endpoints::microsoft_at(base, tenant)?,
        });
    }
    builder.build()
}

/// Opens the account's mailbox, if the account is connected.
async fn look(setup: &Setup, name: &str) -> Result<Option<Looked>, Failure> {
    let accounts = setup.accounts()?;
    let id = AccountId::new(name);
    if !accounts
        .list()
        .await?
        .iter()
        .any(|account| account.id == id)
    {
        return Ok(None);
    }
    let looked = async { Ok(accounts.open(&id).await?.profile().await?.address) };
    Ok(Some(looked.await))
}

struct Report<'a> {
    findings: Vec<Finding>,
    token_endpoint: Option<Probe>,
    unseen: Vec<Finding>,
    /// Why nothing could be examined.
    refused: Option<&'a postroom::Error>,
    mailbox: Option<Result<&'a str, (&'a postroom::Error, Option<Finding>)>>,
}

impl Report<'_> {
    fn print(&self, output: &Output) {
        if output.is_json() {
            return output.document(&self.json());
        }
        if let (Some(error), true) = (self.refused, self.findings.is_empty()) {
            println!("The configuration cannot be used: {error}.");
        }
        match self.token_endpoint {
            Some(Probe::Accepted) => println!("The token endpoint knows this application."),
            Some(Probe::Refused) => println!("The token endpoint refuses this application."),
            Some(Probe::Undecided) => println!(
                "The token endpoint answers; whether the secret is right shows at the first sign-in."
            ),
            Some(_) => println!("The token endpoint gives no usable answer."),
            None => {}
        }
        match &self.mailbox {
            Some(Ok(address)) => println!("The mailbox of {address} can be opened."),
            Some(Err((error, _))) => println!("The mailbox cannot be opened: {error}."),
            None => {}
        }
        let in_mailbox = match &self.mailbox {
            Some(Err((_, finding))) => finding.as_ref(),
            _ => None,
        };
        let findings: Vec<&Finding> = self.findings.iter().chain(in_mailbox).collect();
        if findings.is_empty() {
            println!("Nothing is wrong that can be seen from here.");
        } else {
            output.findings(&findings);
        }
        if self.mailbox.is_none() {
            println!(
                "\nIf the browser does not come back from the service, look at what its page says, and let \
                 `mail doctor --error` explain it. It may be one of these:"
            );
            output.findings(&self.unseen.iter().collect::<Vec<_>>());
        }
    }

    fn json(&self) -> Value {
        json!({
            "findings": self.findings,
            "token_endpoint": self.token_endpoint,
            "refused": self.refused.map(ToString::to_string),
            "mailbox": self.mailbox.as_ref().map(|mailbox| match mailbox {
                Ok(address) => json!({ "address": address }),
                Err((error, finding)) => json!({
                    "error": error.to_string(),
                    "action": error.action().to_string(),
                    "finding": finding,
                }),
            }),
            "if_no_callback_comes": self.unseen,
        })
    }

    /// The exit code that fits.
    fn verdict(&self) -> Result<(), Failure> {
        let failed = match &self.mailbox {
            Some(Err((error, _))) => Some(error.kind()),
            _ => None,
        };
        let certain = self.findings.iter().any(|finding| finding.certain);
        let unreachable = self.token_endpoint == Some(Probe::Unanswered);
        match (failed, unreachable, certain || self.refused.is_some()) {
            (_, true, _) => Err(Failure::Some(ErrorKind::Network)),
            (_, _, true) => Err(Failure::Some(ErrorKind::Configuration)),
            (Some(kind), ..) => Err(Failure::Some(kind)),
            (None, false, false) => Ok(()),
        }
    }
}
