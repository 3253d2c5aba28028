//! What the receiving service found about who sent a message: `Authentication-Results`
//! (<https://www.rfc-editor.org/rfc/rfc8601>). Whose lines are believed is the host's to say.

use serde::Serialize;

use crate::model::{AuthenticationServer, Header};

/// What one server found.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Authentication {
    /// The name that the server gave itself; Microsoft's gives none.
    pub server: Option<String>,
    /// What it checked, in its order. A message may have several DKIM signatures.
    pub results: Vec<AuthenticationResult>,
}

/// The result of one check.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuthenticationResult {
    /// What was checked.
    pub method: AuthenticationMethod,
    /// How it came out.
    pub verdict: Verdict,
    /// Why, in the server's words.
    pub reason: Option<String>,
    /// What it was checked against, such as `header.d`.
    pub properties: Vec<AuthenticationProperty>,
}

/// One property that a check was about, such as `header.from=shop.example`.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuthenticationProperty {
    /// Its name, such as `header.d` or `smtp.mailfrom`, in lower case.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A way to check who sent a message (<https://www.iana.org/assignments/email-auth>).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthenticationMethod {
    /// Whether the sending machine may send for the envelope's domain.
    Spf,
    /// Whether a domain's signature is right.
    Dkim,
    /// Whether one of the two is for the domain of the author that readers see.
    Dmarc,
    /// Whether the chain of forwarders is whole.
    Arc,
    /// Microsoft's judgement of all of them together
    /// (<https://learn.microsoft.com/defender-office-365/email-authentication-about#composite-authentication>).
    CompositeAuthentication,
    /// Another, in lower case.
    Other(String),
}

/// How a check came out (<https://www.rfc-editor.org/rfc/rfc8601#section-2.7>).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// There was nothing to check.
    None,
    /// It is right.
    Pass,
    /// It is wrong.
    Fail,
    /// It is right, but not in a way that the receiver accepts.
    Policy,
    /// The domain makes no statement, or it could not be read.
    Neutral,
    /// Probably wrong, says the domain.
    SoftFail,
    /// It could not be checked then.
    TemporaryError,
    /// It can never be checked.
    PermanentError,
    /// Something else, in lower case.
    Other(String),
}

impl Authentication {
    /// The result for a method; of several, one that passed if there is one.
    #[must_use]
    pub fn result(&self, method: &AuthenticationMethod) -> Option<&AuthenticationResult> {
        let mut results = self
            .results
            .iter()
            .filter(|result| result.method == *method);
        let first = results.clone().next();
        results
            .find(|result| result.verdict == Verdict::Pass)
            .or(first)
    }

    /// The verdict on SPF.
    #[must_use]
    pub fn spf(&self) -> Option<&Verdict> {
        self.verdict(&AuthenticationMethod::Spf)
    }

    /// The verdict on DKIM: passed if one signature of any domain did.
    #[must_use]
    pub fn dkim(&self) -> Option<&Verdict> {
        self.verdict(&AuthenticationMethod::Dkim)
    }

    /// The verdict on DMARC, the only one of the three that is about the author that a reader sees.
    #[must_use]
    pub fn dmarc(&self) -> Option<&Verdict> {
        self.verdict(&AuthenticationMethod::Dmarc)
    }

    /// The domains whose signatures are right, in lower case.
    #[must_use]
    pub fn signed_by(&self) -> Vec<String> {
        let passed = self.results.iter().filter(|result| {
            result.method == AuthenticationMethod::Dkim && result.verdict == Verdict::Pass
        });
        let mut domains: Vec<String> = passed.filter_map(AuthenticationResult::domain).collect();
        domains.sort();
        domains.dedup();
        domains
    }

    fn verdict(&self, method: &AuthenticationMethod) -> Option<&Verdict> {
        self.result(method).map(|result| &result.verdict)
    }
}

impl AuthenticationResult {
    /// The value of a property such as `header.from`.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties
            .iter()
            .find(|property| property.name.eq_ignore_ascii_case(name))
            .map(|property| property.value.as_str())
    }

    /// The domain that it is about: of a signature, its signer; of SPF, the envelope's; of DMARC, the author's.
    #[must_use]
    pub fn domain(&self) -> Option<String> {
        let names: &[&str] = match self.method {
            AuthenticationMethod::Dkim => &["header.d", "header.i"],
            AuthenticationMethod::Spf => &["smtp.mailfrom", "smtp.helo"],
            _ => &["header.from"],
        };
        let value = names.iter().find_map(|name| self.property(name))?;
        let domain = value.rsplit('@').next()?.trim_matches(['<', '>', '.']);
        (!domain.is_empty()).then(|| domain.to_ascii_lowercase())
    }
}

opaque_debug!(Authentication, AuthenticationResult, AuthenticationProperty);

pub(super) fn authentication(
    headers: &[Header],
    server: &AuthenticationServer,
) -> Option<Authentication> {
    headers
        .iter()
        // Neither ARC-Authentication-Results, which are somebody else's, nor Authentication-Results-Original, which
        // Exchange makes of lines that were there before.
        .filter(|header| header.name.eq_ignore_ascii_case("Authentication-Results"))
        .filter_map(|header| parse(&header.value))
        .find(|found| match (server, &found.server) {
            (AuthenticationServer::Named(name), Some(server)) => server.eq_ignore_ascii_case(name),
            (AuthenticationServer::Unnamed, None) => true,
            _ => false,
        })
}

/// Reads a value as tolerantly as the world writes it: Microsoft names no server, methods repeat, comments nest.
fn parse(value: &str) -> Option<Authentication> {
    let mut segments = segments(value).into_iter();
    let mut found = Authentication {
        server: None,
        results: Vec::new(),
    };
    let first = segments.next()?;
    match first.first() {
        Some((_, Some(_))) => found.results.extend(result(first)),
        Some((name, None)) => found.server = Some(name.clone()),
        None => return None,
    }
    found.results.extend(segments.filter_map(result));
    Some(found)
}

fn result(words: Vec<Word>) -> Option<AuthenticationResult> {
    let mut words = words.into_iter();
    let (method, Some(verdict)) = words.next()? else {
        return None;
    };
    // `dkim/1=pass`: the version says nothing.
    let method = method.split('/').next().unwrap_or_default();
    let mut result = AuthenticationResult {
        method: match method.to_ascii_lowercase().as_str() {
            "spf" => AuthenticationMethod::Spf,
            "dkim" => AuthenticationMethod::Dkim,
            "dmarc" => AuthenticationMethod::Dmarc,
            "arc" => AuthenticationMethod::Arc,
            "compauth" => AuthenticationMethod::CompositeAuthentication,
            other => AuthenticationMethod::Other(other.to_owned()),
        },
        verdict: verdict_of(&verdict),
        reason: None,
        properties: Vec::new(),
    };
    for (name, value) in words {
        let Some(value) = value else { continue };
        if name.eq_ignore_ascii_case("reason") {
            result.reason = Some(value);
        } else {
            result.properties.push(AuthenticationProperty {
                name: name.to_ascii_lowercase(),
                value,
            });
        }
    }
    Some(result)
}

fn verdict_of(word: &str) -> Verdict {
    match word.to_ascii_lowercase().as_str() {
        "none" => Verdict::None,
        "pass" => Verdict::Pass,
        // RFC 5451, which RFC 8601 replaces, called it so.
        "fail" | "hardfail" => Verdict::Fail,
        "policy" => Verdict::Policy,
        "neutral" => Verdict::Neutral,
        "softfail" => Verdict::SoftFail,
        "temperror" => Verdict::TemporaryError,
        "permerror" => Verdict::PermanentError,
        other => Verdict::Other(other.to_owned()),
    }
}

/// A word, or the two sides of an equals sign.
type Word = (String, Option<String>);

/// The words between semicolons, without comments.
fn segments(value: &str) -> Vec<Vec<Word>> {
    let mut segments: Vec<Vec<Word>> = vec![Vec::new()];
    let mut characters = value.chars().peekable();
    // What comes next is the right side of the last word.
    let mut value_follows = false;
    while let Some(character) = characters.next() {
        let text = match character {
            '(' => {
                skip_comment(&mut characters);
                continue;
            }
            ';' => {
                segments.push(Vec::new());
                value_follows = false;
                continue;
            }
            '=' => {
                value_follows = true;
                continue;
            }
            '"' => quoted(&mut characters),
            character if character.is_whitespace() => continue,
            character => {
                let mut text = String::from(character);
                // A value may hold equals signs (`header.b=abc==`), a name may not.
                while let Some(next) = characters.next_if(|next| {
                    !next.is_whitespace()
                        && !"();\"".contains(*next)
                        && (value_follows || *next != '=')
                }) {
                    text.push(next);
                }
                text
            }
        };
        let Some(segment) = segments.last_mut() else {
            break;
        };
        match segment.last_mut() {
            Some((_, value)) if value_follows => {
                value.get_or_insert(text);
            }
            _ => segment.push((text, None)),
        }
        value_follows = false;
    }
    segments
}

fn quoted(characters: &mut impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            character => text.push(character),
        }
    }
    text
}

fn skip_comment(characters: &mut impl Iterator<Item = char>) {
    let mut depth = 1;
    while let Some(character) = characters.next() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => drop(characters.next()),
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}
