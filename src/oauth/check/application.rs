//! Examining the configuration of an application that acts in its own name: [`ApplicationFlow::check`]. What a finding is,
//! is the parent module's.

use super::{Ask, Diagnosis, Finding, Mistake, Probe, Seen, merge, probe_all, unanswered, values};
use crate::credentials::Service;
use crate::error::Result;
use crate::oauth::application::ApplicationFlow;
use crate::oauth::endpoint::Tokens;

impl ApplicationFlow {
    /// Examines the configuration: looks at its values, then asks for a token as it would for `mailbox`, with each secret and
    /// certificate that is configured. Nothing is changed, and no mail is asked for: what an administrator did not grant at
    /// Microsoft, and whether the mailbox exists there, shows with the first use.
    ///
    /// It never fails: that the token endpoint cannot be reached is a finding too.
    pub async fn check(&self, mailbox: &str) -> Diagnosis {
        let service = self.service();
        let mut findings = Vec::new();
        let (token_endpoint, answered) = match self.client() {
            None => {
                let (answer, finding) = judge(service, self.grant(mailbox).await.map(drop));
                (answer, finding.into_iter().collect())
            }
            Some((client_id, tenant, proofs)) => {
                let looked = values::look_at_application(client_id, tenant, proofs);
                findings.extend(looked.into_iter().map(|(mistake, certain, proof)| Finding {
                    proof,
                    ..Finding::new(mistake, Seen::Values, certain, service)
                }));
                let one: &Ask<'_> = &|proof| {
                    let attempt = self.attempt(proof);
                    Box::pin(async move {
                        let tokens: Result<Tokens> = self.tokens_with(mailbox, attempt).await;
                        judge(service, tokens.map(drop))
                    })
                };
                probe_all(proofs.in_turn(), one).await
            }
        };
        merge(&mut findings, answered);
        findings.sort_by_key(|finding| !finding.certain);
        Diagnosis {
            findings,
            token_endpoint,
            // No browser is sent anywhere.
            if_no_callback_comes: Vec::new(),
        }
    }
}

fn judge(service: &Service, asked: Result<()>) -> (Probe, Option<Finding>) {
    let Err(error) = asked else {
        return (Probe::Accepted, None);
    };
    if let Some(finding) = unanswered(&error, service) {
        return (Probe::Unanswered, Some(finding));
    }
    let found = Finding::of(&error, service).unwrap_or_else(|| Finding {
        code: error.code().map(str::to_owned),
        ..Finding::new(Mistake::RequestRefused, Seen::TokenEndpoint, true, service)
    });
    (Probe::Refused, Some(found))
}
