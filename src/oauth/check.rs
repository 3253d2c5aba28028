//! Examining a configuration before, and explaining it after, users meet its mistakes: [`OAuthFlow::check`] and what it
//! finds. The mistakes themselves are in `catalogue`, what the values show is in `values`, what people read in `shown`.

#[cfg(feature = "app-only")]
mod application;
mod catalogue;
mod shown;
mod values;

use std::fmt;

use futures_core::future::BoxFuture;
use serde::Serialize;

pub use self::catalogue::Mistake;
use super::endpoint;
use super::flow::{Flow, OAuthFlow};
use super::grant::Grant;
use super::proof::{ClientProof, Proof, other_time};
use crate::credentials::{Lapse, Service};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{ApiClient, RetryPolicy};
use crate::secret::Secret;

/// No service has issued this code.
const WRONG_CODE: &str = "postroom-checks-this-configuration";
/// As long as RFC 7636 wants it.
const WRONG_VERIFIER: &str = "postroom-checks-this-configuration-with-no-sign-in";

/// Where a mistake shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Seen {
    /// In the values, without asking anybody.
    Values,
    /// When the token endpoint is asked, even with a wrong code.
    TokenEndpoint,
    /// At the end of a sign-in: in the callback, when its code is redeemed, or in what was granted.
    Callback,
    /// When mail is asked for, the first time.
    FirstApiCall,
    /// Only on the service's own page, which the user sees and the application does not: no callback comes.
    VendorPage,
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Values => "the values",
            Self::TokenEndpoint => "the token endpoint",
            Self::Callback => "the end of a sign-in",
            Self::FirstApiCall => "the mail API",
            Self::VendorPage => "the service's page",
        })
    }
}

/// One thing that is wrong, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Which mistake it is.
    pub mistake: Mistake,
    /// Where it was seen, or, for what could not be looked at, where it would be.
    pub seen: Seen,
    /// Whether it is certain. What is not may be right in your case.
    pub certain: bool,
    /// What is wrong.
    pub what: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// The section about it, in the repository and in [`guides`](crate::guides).
    pub guide: String,
    /// The service's own code, where one was given.
    pub code: Option<String>,
    /// Which of several secrets and certificates it is about.
    pub proof: Option<ClientProof>,
}

impl Finding {
    fn new(mistake: Mistake, seen: Seen, certain: bool, service: &Service) -> Self {
        Self {
            mistake,
            seen,
            certain,
            what: mistake.what(),
            remedy: mistake.remedy(service),
            guide: mistake.guide(service).unwrap_or_default(),
            code: None,
            proof: None,
        }
    }

    /// The mistake that an error shows, if it shows one: an error of building a flow, of a sign-in, of a renewal or of a
    /// mail operation. `None` for what is nobody's mistake, such as a grant that the user revoked.
    #[must_use]
    pub fn of(error: &Error, service: &Service) -> Option<Self> {
        let code = error.code()?;
        // What Google calls a bad grant is the service account's or its administrator's, where nobody signed in.
        let mistake = match (error.operation(), code) {
            (Some("oauth.application"), "invalid_grant") => Mistake::ServiceAccountRefused,
            _ => Mistake::of_code(code, service)?,
        };
        // The same code is a grant that ended when it comes at a renewal, and a label that is not there in mail.
        let kind = error.kind();
        let fits = match mistake {
            Mistake::CodeUsedTwice => kind == ErrorKind::InvalidCallback,
            Mistake::NoMailbox => kind == ErrorKind::MailboxUnavailable,
            Mistake::UserDeclined => kind == ErrorKind::Declined,
            Mistake::DomainNotDelegated => kind == ErrorKind::AdminConsentRequired,
            _ => true,
        };
        let seen = match error.operation() {
            None => mistake.seen().first().copied().unwrap_or(Seen::Values),
            Some("oauth.authorize" | "oauth.exchange_code") => Seen::Callback,
            Some(operation) if operation.starts_with("oauth.") => Seen::TokenEndpoint,
            Some(_) => Seen::FirstApiCall,
        };
        fits.then(|| Self {
            code: Some(code.to_owned()),
            ..Self::new(mistake, seen, true, service)
        })
    }

    /// What a completed sign-in leaves to be desired: access that was not granted, no refresh token, a grant that ends
    /// soon.
    #[must_use]
    pub fn of_grant(grant: &Grant) -> Vec<Self> {
        let found = |mistake, certain| Self::new(mistake, Seen::Callback, certain, &grant.service);
        let credential = &grant.credential;
        let mut findings = Vec::new();
        if !grant.missing.is_empty() {
            findings.push(found(Mistake::AccessNotGranted, true));
        }
        if credential.refresh_token.is_none() {
            findings.push(found(Mistake::NoRefreshToken, true));
        }
        let ends = grant.lifetime().certain;
        let why = ends.iter().flat_map(|end| &end.why);
        findings.extend(why.filter_map(|lapse| match lapse {
            Lapse::ApplicationInTesting => Some(found(Mistake::TestingGrantsEnd, false)),
            Lapse::SinglePageApplication => Some(found(Mistake::RedirectSinglePage, false)),
            _ => None,
        }));
        findings
    }
}

/// What is wrong, and what to do.
impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(proof) = self.proof {
            formatter.write_str(match proof {
                ClientProof::Certificate => "Of the certificate: ",
                ClientProof::NextCertificate => "Of the next certificate: ",
                ClientProof::Secret => "Of the client secret: ",
                ClientProof::NextSecret => "Of the next client secret: ",
            })?;
        }
        write!(formatter, "{}. {}.", self.what, self.remedy)
    }
}

/// What the token endpoint made of a code that nobody issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Probe {
    /// It refused the code and nothing else. At Google that proves client id and secret right.
    Accepted,
    /// It refused the application; the findings say why.
    Refused,
    /// It refused the request before it looked at the secret. Microsoft does so where it cannot read a code: whether the
    /// secret is right shows at the first sign-in then.
    Undecided,
    /// It gave no usable answer.
    Unanswered,
}

/// What an examination of a configuration found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// What is wrong or may be, certain things first.
    pub findings: Vec<Finding>,
    /// What the token endpoint said.
    pub token_endpoint: Probe,
    /// What nobody can see from here: if the browser does not come back, the service's page shows one of these.
    pub if_no_callback_comes: Vec<Finding>,
}

impl Diagnosis {
    /// Whether nothing is certainly wrong. Warnings, and what only shows later, may be left.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| !finding.certain)
    }

    /// Whether this mistake was found.
    #[must_use]
    pub fn has(&self, mistake: Mistake) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.mistake == mistake)
    }

    /// Everything that shows on this service's own page, for a browser that does not come back. What a
    /// [check](OAuthFlow::check) found right is left out of [`if_no_callback_comes`](Self::if_no_callback_comes).
    #[must_use]
    pub fn on_the_services_page(service: &Service) -> Vec<Finding> {
        Mistake::ALL
            .iter()
            .filter(|mistake| {
                mistake.concerns(service) && mistake.seen().contains(&Seen::VendorPage)
            })
            .map(|mistake| Finding::new(*mistake, Seen::VendorPage, false, service))
            .collect()
    }
}

impl OAuthFlow {
    /// Examines the configuration: looks at its values, then asks the token endpoint to redeem a code that nobody issued
    /// and reads from the refusal whether it knows the application. Nothing is changed anywhere, and nobody is signed in.
    ///
    /// It never fails: that the token endpoint cannot be reached is a finding too.
    ///
    /// ```no_run
    /// # async fn example() -> postroom::Result<()> {
    /// use postroom::oauth::OAuthFlow;
    ///
    /// let flow = OAuthFlow::microsoft("00000000-0000-0000-0000-000000000000")
    ///     .client_secret("its value, not its id")
    ///     .redirect_uri("https://desk.example/oauth/microsoft")
    ///     .build()?;
    /// let diagnosis = flow.check().await;
    /// for finding in &diagnosis.findings {
    ///     println!("{finding} See {}", finding.guide);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn check(&self) -> Diagnosis {
        let flow = &self.0;
        let service = &flow.service;
        let mut findings: Vec<Finding> = values::look_at(flow)
            .into_iter()
            .map(|(mistake, certain, proof)| Finding {
                proof,
                ..Finding::new(mistake, Seen::Values, certain, service)
            })
            .collect();
        let proofs = flow.proofs.in_turn();
        let (token_endpoint, answered) = if proofs.is_empty() {
            let (answer, finding) = probe(flow, &Proof::Nothing).await;
            (answer, finding.into_iter().collect())
        } else {
            let one: &Ask<'_> = &|proof| Box::pin(async move { probe(flow, &proof).await });
            probe_all(proofs, one).await
        };
        merge(&mut findings, answered);
        findings.sort_by_key(|finding| !finding.certain);
        let mut if_no_callback_comes = Diagnosis::on_the_services_page(service);
        if_no_callback_comes.retain(|unseen| !is_settled(unseen.mistake, token_endpoint));
        Diagnosis {
            findings,
            token_endpoint,
            if_no_callback_comes,
        }
    }
}

/// Puts what the token endpoint said to what the values show.
fn merge(findings: &mut Vec<Finding>, answered: Vec<Finding>) {
    for finding in answered {
        // What the values showed already is said once, and as certain as the answer makes it.
        let explained = findings.iter_mut().find(|known| {
            let same = known.mistake == finding.mistake || explains(known, &finding);
            same && is_next(known) == is_next(&finding)
        });
        match explained {
            Some(known) => {
                known.certain = finding.certain;
                known.code = finding.code;
            }
            None => findings.push(finding),
        }
    }
}

/// Whether it was looked for already: if it is there, it is a finding.
fn is_settled(mistake: Mistake, token_endpoint: Probe) -> bool {
    let asked = matches!(token_endpoint, Probe::Accepted | Probe::Undecided);
    mistake.seen().iter().any(|seen| match seen {
        Seen::Values => true,
        Seen::TokenEndpoint => asked,
        _ => false,
    })
}

/// Whether it is about what is to take another's place.
fn is_next(finding: &Finding) -> bool {
    matches!(
        finding.proof,
        Some(ClientProof::NextSecret | ClientProof::NextCertificate)
    )
}

/// Whether what the values show is why the token endpoint refuses: a secret that is none cannot be right.
fn explains(known: &Finding, answered: &Finding) -> bool {
    match answered.mistake {
        Mistake::SecretWrong => matches!(
            known.mistake,
            Mistake::SecretIsItsId
                | Mistake::SecretHasSpaces
                | Mistake::SecretOfOtherService
                | Mistake::SecretIsSomethingElse
        ),
        Mistake::ClientUnknown => matches!(
            known.mistake,
            Mistake::ClientIdHasSpaces
                | Mistake::ClientIdMalformed
                | Mistake::ClientIdOfOtherService
                | Mistake::ClientIdOfServiceAccount
        ),
        Mistake::TenantUnknown => known.mistake == Mistake::TenantIsClientId,
        _ => false,
    }
}

/// Asks the token endpoint with one proof.
type Ask<'a> = dyn Fn(Proof) -> BoxFuture<'a, (Probe, Option<Finding>)> + Send + Sync + 'a;

/// What the token endpoint makes of each proof that is configured.
async fn probe_all(proofs: Vec<(ClientProof, Proof)>, probe: &Ask<'_>) -> (Probe, Vec<Finding>) {
    let several = proofs.len() > 1;
    let mut proofs = proofs.into_iter();
    let Some((first, proof)) = proofs.next() else {
        return (Probe::Undecided, Vec::new());
    };
    let (mut answer, finding) = probe(proof).await;
    let mut findings: Vec<Finding> = finding
        .into_iter()
        .map(|finding| Finding {
            // With a single one there is nothing to tell apart.
            proof: Some(first).filter(|_| several),
            ..finding
        })
        .collect();
    // Whoever does not answer would not answer to another proof either, and what is wrong besides is wrong with each.
    if findings.iter().any(|finding| !concerns_proof(finding)) || answer == Probe::Unanswered {
        return (answer, findings);
    }
    for (which, proof) in proofs {
        let (another, finding) = probe(proof).await;
        findings.extend(finding.map(|finding| Finding {
            proof: Some(which),
            ..finding
        }));
        if answer == Probe::Refused {
            answer = another;
        }
    }
    if answer == Probe::Accepted {
        // One of them does: what is wrong with the others stops nobody.
        for finding in &mut findings {
            finding.certain = false;
        }
    }
    (answer, findings)
}

/// Whether it is the proof that is wrong.
fn concerns_proof(finding: &Finding) -> bool {
    matches!(
        finding.mistake,
        Mistake::SecretWrong | Mistake::SecretExpired | Mistake::CertificateWrong
    )
}

async fn probe(flow: &Flow, proof: &Proof) -> (Probe, Option<Finding>) {
    let service = &flow.service;
    let found = |mistake| Finding::new(mistake, Seen::TokenEndpoint, true, service);
    let Err(error) = redeem_nothing(flow, proof).await else {
        // Tokens for a code that nobody issued: whoever answers so checks nothing.
        return (
            Probe::Unanswered,
            Some(found(Mistake::TokenEndpointStrange)),
        );
    };
    if error.kind() == ErrorKind::InvalidCallback {
        return (Probe::Accepted, None);
    }
    if let Some(finding) = unanswered(&error, service) {
        return (Probe::Unanswered, Some(finding));
    }
    let code = error.code().unwrap_or_default();
    if code == "AADSTS9002313" {
        return (Probe::Undecided, None);
    }
    let mistake = match (service, code) {
        (Service::Google, "invalid_client") => {
            if knows_client(flow).await {
                Mistake::SecretWrong
            } else {
                Mistake::ClientUnknown
            }
        }
        (Service::Google, "invalid_request") if flow.proofs.is_empty() => Mistake::SecretMissing,
        // Users need nobody's delegation.
        (Service::Google, "unauthorized_client") => Mistake::RequestRefused,
        _ => Mistake::of_code(code, service).unwrap_or(Mistake::RequestRefused),
    };
    let finding = Finding {
        code: Some(code.to_owned()).filter(|code| !code.is_empty()),
        ..found(mistake)
    };
    (Probe::Refused, Some(finding))
}

/// What it says that the token endpoint gave no answer that could be used.
fn unanswered(error: &Error, service: &Service) -> Option<Finding> {
    let found = |mistake| Finding::new(mistake, Seen::TokenEndpoint, true, service);
    match error.kind() {
        ErrorKind::Network => Some(found(Mistake::TokenEndpointUnreachable)),
        ErrorKind::Unavailable | ErrorKind::RateLimited => Some(Finding {
            certain: false,
            ..found(Mistake::TokenEndpointBusy)
        }),
        // An error answer of RFC 6749 has a code, known or not.
        ErrorKind::Protocol if error.code().is_none() => Some(found(Mistake::TokenEndpointStrange)),
        _ => None,
    }
}

/// Google answers `invalid_client` to a wrong secret and to a wrong client id. Asked without any secret it misses one
/// (`invalid_request`) of a client that it knows.
async fn knows_client(flow: &Flow) -> bool {
    let outcome = redeem_nothing(flow, &Proof::Nothing).await;
    outcome.is_err_and(|error| error.code() == Some("invalid_request"))
}

/// The answer to a code that nobody issued.
async fn redeem_nothing(flow: &Flow, proof: &Proof) -> Result<()> {
    let api = ApiClient {
        // Whoever waits for a diagnosis can ask again themselves.
        retry: RetryPolicy::never(),
        ..flow.api.clone()
    };
    let token = &flow.endpoints.token;
    let client = endpoint::client(&flow.client_id, &flow.endpoints.authorize, token);
    let redirect = flow.redirect_uri.as_deref().unwrap_or("http://localhost");
    let (code, verifier) = (Secret::new(WRONG_CODE), Secret::new(WRONG_VERIFIER));
    let ask = async |now| {
        let shown = proof.parameters(&flow.client_id, token, now)?;
        endpoint::exchange_code(&api, &client, &code, &verifier, redirect, &shown).await
    };
    let now = flow.clock.now();
    let mut asked = ask(now).await;
    if let (Proof::Certificate(_), Err(error)) = (proof, &asked)
        && let Some(theirs) = other_time(error, now)
    {
        // As every sign-in does.
        asked = ask(theirs).await;
    }
    asked.map(drop)
}
