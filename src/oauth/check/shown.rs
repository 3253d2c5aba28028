//! Explaining what people read to the application's developer: the text of the service's own page, a line of a log, the
//! address that the browser came back to. What each code means is in `catalogue`.

use url::Url;

use super::{Finding, Mistake, Seen};
use crate::credentials::Service;

impl Finding {
    /// The mistakes whose codes are in a text, such as what the service's page says or a line of a log: `Error 400:
    /// redirect_uri_mismatch`, `AADSTS50011: …`. Several are findings that are not certain; none is an empty list.
    #[must_use]
    pub fn in_text(text: &str, service: &Service) -> Vec<Self> {
        found(text, |code| {
            let mistake = Mistake::of_page(code, service)?;
            let places = mistake.seen();
            let page = places.iter().find(|seen| **seen == Seen::VendorPage);
            let seen = page.or(places.first()).copied()?;
            Some(Self::new(mistake, seen, true, service))
        })
    }

    /// The same for the address that the browser came back to.
    #[must_use]
    pub fn in_callback(callback: &Url, service: &Service) -> Vec<Self> {
        let told = callback
            .query_pairs()
            .filter(|(name, _)| matches!(name.as_ref(), "error" | "error_description"))
            .map(|(_, value)| value.into_owned())
            .collect::<Vec<_>>()
            .join(" ");
        found(&told, |code| {
            let mistake = Mistake::of_code(code, service)?;
            Some(Self::new(mistake, Seen::Callback, true, service))
        })
    }
}

fn found(text: &str, mistake: impl Fn(&str) -> Option<Finding>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for code in text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
    {
        let Some(finding) = mistake(code) else {
            continue;
        };
        if findings
            .iter()
            .all(|known| known.mistake != finding.mistake)
        {
            findings.push(Finding {
                code: Some(code.to_owned()),
                ..finding
            });
        }
    }
    // Microsoft's numbers say more exactly what the names beside them say.
    let numbered = |finding: &Finding| {
        let code = finding.code.as_deref();
        code.is_some_and(|code| code.starts_with("AADSTS"))
    };
    if findings.iter().any(numbered) {
        findings.retain(numbered);
    }
    let several = findings.len() > 1;
    for finding in &mut findings {
        finding.certain = !several;
    }
    findings
}
