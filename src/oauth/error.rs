//! What an authorization server's refusals mean: from its codes to what the host should do and who has to act, with one
//! sentence that tells a newcomer where to click. The tables are `names`' and `microsoft`'s. Descriptions are not read: they
//! are undocumented, change, and name users.

mod microsoft;
mod names;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::error::ErrorKind::{
    InvalidCallback, Protocol, RateLimited, SignInRequired, Unavailable,
};
use crate::error::{Action, Delivery, Error, ErrorKind};
use crate::http::{Answer, Classify};

/// What the server said, in its own codes; the source of an [`Error`] that a refusal caused.
///
/// It holds no description and no token.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The code of RFC 6749, such as `invalid_grant`.
    pub error: String,
    /// Microsoft: the numbers after `AADSTS`, most specific first.
    pub codes: Vec<u32>,
    /// Google: `error_subtype`. Microsoft: `suberror`.
    pub subtype: Option<String>,
    /// Microsoft: a claims challenge, to be sent along with the next sign-in
    /// (<https://learn.microsoft.com/entra/identity-platform/claims-challenge>).
    pub claims: Option<String>,
    /// Microsoft: the name of the request for its support.
    pub trace_id: Option<String>,
    /// The server's own clock when it refused: a request that is signed may have been refused for ours.
    pub(super) answered_at: Option<DateTime<Utc>>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the server answered {}", self.error)?;
        if let Some(subtype) = &self.subtype {
            write!(formatter, "/{subtype}")?;
        }
        for code in &self.codes {
            write!(formatter, " AADSTS{code}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Claims are text of any kind that is to be sent back, not shown.
        formatter
            .debug_struct("Refusal")
            .field("error", &self.error)
            .field("codes", &self.codes)
            .field("subtype", &self.subtype)
            .field("claims", &self.claims.as_ref().map(|_| ".."))
            .field("trace_id", &self.trace_id)
            .finish()
    }
}

impl std::error::Error for Refusal {}

/// Where a refusal was given: the same code asks for different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the way back from the browser.
    Callback,
    /// By the token endpoint, for an authorization code.
    CodeExchange,
    /// By the token endpoint, for a grant that we have.
    Refresh,
    /// By the token endpoint or the one for devices, for a code that a user types elsewhere.
    Device,
    /// By the token endpoint, for an application that acts in its own name.
    #[cfg(feature = "app-only")]
    Application,
}

/// The error answer of RFC 6749 §5.2 with the vendors' additions, each read if it is what it should be.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
    #[serde(default)]
    error_description: serde_json::Value,
    #[serde(default)]
    error_codes: serde_json::Value,
    #[serde(default)]
    error_subtype: serde_json::Value,
    #[serde(default)]
    suberror: serde_json::Value,
    #[serde(default)]
    claims: serde_json::Value,
    #[serde(default)]
    trace_id: serde_json::Value,
}

/// What it means that a token endpoint refused a grant that we have, or anything else but a code.
pub(super) fn classify(answer: &Answer) -> Error {
    classify_at(answer, Place::Refresh)
}

/// What it means that a token endpoint refused a code.
pub(super) fn classify_code(answer: &Answer) -> Error {
    classify_at(answer, Place::CodeExchange)
}

/// What it means that a server refused a device.
fn classify_device(answer: &Answer) -> Error {
    classify_at(answer, Place::Device)
}

impl Place {
    /// How answers that were given here are read.
    pub(super) fn classify(self) -> Classify {
        match self {
            Self::CodeExchange => classify_code,
            Self::Device => classify_device,
            #[cfg(feature = "app-only")]
            Self::Application => |answer| classify_at(answer, Self::Application),
            Self::Callback | Self::Refresh => classify,
        }
    }
}

fn classify_at(answer: &Answer, place: Place) -> Error {
    let status = answer.status;
    if status.as_u16() == 429 {
        return Error::new(RateLimited, "the sign-in service asks to slow down");
    }
    let refusal = refusal(&answer.body).map(|refusal| Refusal {
        answered_at: answer.date(),
        ..refusal
    });
    if status.is_server_error() {
        let error = Error::new(Unavailable, "the sign-in service is failing")
            .with_delivery(Delivery::Unknown);
        return match refusal {
            Some(refusal) => error.with_source(refusal),
            None => error,
        };
    }
    match refusal {
        Some(refusal) => explain(refusal, place),
        // A proxy's or a portal's page says nothing about the grant.
        None => Error::new(
            Protocol,
            "the sign-in service answered something other than documented",
        )
        .with_delivery(Delivery::Answered),
    }
}

/// The refusal that a body is, if it is one.
pub(super) fn refusal(body: &[u8]) -> Option<Refusal> {
    let answer: ErrorAnswer = serde_json::from_slice(body).ok()?;
    let mut codes: Vec<u32> = answer
        .error_codes
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|code| u32::try_from(code.as_u64()?).ok())
        .collect();
    if codes.is_empty() {
        codes.extend(answer.error_description.as_str().and_then(aadsts));
    }
    let subtype = answer.error_subtype.as_str().or(answer.suberror.as_str());
    Some(Refusal {
        error: name(&answer.error),
        codes,
        subtype: subtype.map(name),
        claims: answer.claims.as_str().map(str::to_owned),
        trace_id: answer.trace_id.as_str().and_then(trace_id),
        answered_at: None,
    })
}

/// The refusal that a callback carries.
pub(super) fn callback_refusal(error: &str, description: Option<&str>) -> Refusal {
    Refusal {
        error: name(error),
        codes: description.and_then(aadsts).into_iter().collect(),
        ..Refusal::default()
    }
}

/// A code as text that may be shown: codes are words with underscores, and whatever else stands in their place may be
/// anything, even a secret.
fn name(text: &str) -> String {
    let is_name = !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if is_name { text } else { "unrecognized" }.to_owned()
}

fn trace_id(text: &str) -> Option<String> {
    let is_id = text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then(|| text.to_owned())
}

/// The number with which Microsoft's descriptions begin. Callbacks carry it nowhere else.
fn aadsts(description: &str) -> Option<u32> {
    let (_, rest) = description.split_once("AADSTS")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(..digits)?.parse().ok()
}

/// The code with which the server refused, if that is what happened.
pub(super) fn refused_with(error: &Error) -> Option<&str> {
    let source = std::error::Error::source(error)?;
    let refusal = source.downcast_ref::<Refusal>()?;
    Some(refusal.error.as_str())
}

/// What a row of a table says.
#[derive(Clone, Copy, Debug)]
struct Meaning {
    kind: ErrorKind,
    /// Who acts, where the kind alone says it wrongly.
    action: Option<Action>,
    sentence: &'static str,
}

impl Meaning {
    const fn new(kind: ErrorKind, sentence: &'static str) -> Self {
        Self {
            kind,
            action: None,
            sentence,
        }
    }

    const fn by(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }
}

/// What a refusal asks of the host: by Microsoft's number if it is known, else by the word beside the name, else by the
/// name.
pub(super) fn explain(refusal: Refusal, place: Place) -> Error {
    let known = refusal
        .codes
        .iter()
        .find_map(|code| Some((*code, by_number(*code)?)));
    let number = known
        .map(|(code, _)| code)
        .or_else(|| refusal.codes.first().copied());
    let meaning = known
        .map(|(_, meaning)| meaning)
        .or_else(|| by_word(&refusal))
        .unwrap_or_else(|| by_name(&refusal, place));
    // A refused code is a callback that cannot be used, not a grant that is gone.
    let kind = match (meaning.kind, place) {
        (SignInRequired, Place::CodeExchange | Place::Device) => InvalidCallback,
        // Nobody can sign in as an application.
        #[cfg(feature = "app-only")]
        (SignInRequired, Place::Application) => ErrorKind::Configuration,
        (kind, _) => kind,
    };
    let code = number.map_or_else(|| refusal.error.clone(), |number| format!("AADSTS{number}"));
    let mut error = Error::new(kind, meaning.sentence)
        .with_code(code)
        .with_delivery(Delivery::Answered);
    if let Some(action) = meaning.action {
        error = error.with_action(action);
    }
    if let Some(trace_id) = &refusal.trace_id {
        error = error.with_request_id(trace_id.clone());
    }
    error.with_source(refusal)
}

fn by_number(code: u32) -> Option<Meaning> {
    let row = microsoft::NUMBERS
        .iter()
        .find(|(codes, _)| codes.contains(&code));
    row.map(|(_, meaning)| *meaning)
}

/// Only Microsoft has these words; they come with a number, if with one that is not known.
fn by_word(refusal: &Refusal) -> Option<Meaning> {
    let subtype = refusal.subtype.as_deref()?;
    let row = microsoft::WORDS.iter().find(|(word, _)| *word == subtype);
    row.filter(|_| !refusal.codes.is_empty())
        .map(|(_, meaning)| *meaning)
}

fn by_name(refusal: &Refusal, place: Place) -> Meaning {
    let row = names::NAMES.iter().find(|(error, subtype, at, _)| {
        *error == refusal.error
            && subtype.is_none_or(|subtype| refusal.subtype.as_deref() == Some(subtype))
            && at.is_none_or(|at| at == place)
    });
    row.map_or(
        Meaning::new(
            Protocol,
            "the sign-in service refused with a code that is not documented",
        ),
        |(.., meaning)| *meaning,
    )
}
