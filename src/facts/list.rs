//! The mailing list that a message came by, and how to leave it: `List-Id` (<https://www.rfc-editor.org/rfc/rfc2919>),
//! `List-Unsubscribe` (<https://www.rfc-editor.org/rfc/rfc2369>) and one click (<https://www.rfc-editor.org/rfc/rfc8058>).
//! Nothing is asked of any of the addresses: they came by mail.

use percent_encoding::percent_decode_str;
use serde::Serialize;
use url::Url;

use super::authentication::Authentication;
use super::source::Source;
use crate::mime;
use crate::model::{Address, Outgoing};

/// A mailing list or newsletter.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MailingList {
    /// What identifies it, such as `weekly.news.example`; some lists send none.
    pub id: Option<String>,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Where to write to everyone on it. `None` where nobody may, or that is not said.
    pub post: Option<Url>,
    /// Where its older messages are.
    pub archive: Option<Url>,
}

/// How to leave a list. All of it is what the sender says.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unsubscribe {
    /// Web pages, in the sender's order. A person visits them: a request alone may do nothing, or may only tell the
    /// sender that somebody read the mail.
    pub web: Vec<Url>,
    /// Messages that leave the list when they are sent.
    pub mail: Vec<UnsubscribeMail>,
    /// A request that leaves the list without anybody seeing a page.
    pub one_click: Option<OneClick>,
}

/// A message that leaves a list.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnsubscribeMail {
    /// Whom to write to.
    pub to: Vec<Address>,
    /// With which subject.
    pub subject: Option<String>,
    /// With which text.
    pub body: Option<String>,
}

/// Leaving a list with one request: a `POST` to [`url`](Self::url) with the body [`OneClick::BODY`] and the content type
/// `application/x-www-form-urlencoded`, without cookies and without following redirects.
///
/// The address came by mail: a host that sends such requests from within its network should first see that the name
/// does not lead back into it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OneClick {
    /// Where to; always `https`.
    pub url: Url,
    /// The domains whose signatures say that they cover both header lines, in lower case. Whether a signature is right
    /// is the receiving service's to find: see [`is_authentic`](Self::is_authentic).
    pub covered_by: Vec<String>,
}

impl OneClick {
    /// The body of the request.
    pub const BODY: &'static str = "List-Unsubscribe=One-Click";

    /// Whether a right signature covers the header lines that this is from, without which RFC 8058 §4 forbids to act on
    /// them. `found` is what [`Message::authentication`](crate::Message::authentication) gave.
    #[must_use]
    pub fn is_authentic(&self, found: &Authentication) -> bool {
        let signed = found.signed_by();
        self.covered_by.iter().any(|domain| signed.contains(domain))
    }
}

impl UnsubscribeMail {
    /// The message to send. Nothing of it but recipients, subject and text is what the sender of the list says.
    #[must_use]
    pub fn outgoing(&self) -> Outgoing {
        let outgoing = self
            .to
            .iter()
            .fold(Outgoing::new(), |outgoing, to| outgoing.to(to.clone()));
        outgoing
            .subject(self.subject.as_deref().unwrap_or("unsubscribe"))
            .text(self.body.as_deref().unwrap_or("unsubscribe"))
    }
}

opaque_debug!(MailingList, Unsubscribe, UnsubscribeMail, OneClick);

pub(super) fn list(source: &Source<'_>) -> Option<MailingList> {
    let uri = |name: &str| {
        let uris = source.all(name).flat_map(uris);
        uris.into_iter().find_map(|uri| web_or_mail(&uri))
    };
    let identified = source.header("List-Id").map(identity);
    let post = uri("List-Post");
    if identified.is_none() && post.is_none() {
        return None;
    }
    let (id, name) = identified.unwrap_or_default();
    Some(MailingList {
        id,
        name,
        post,
        archive: uri("List-Archive"),
    })
}

pub(super) fn unsubscribe(source: &Source<'_>) -> Option<Unsubscribe> {
    let mut found = Unsubscribe {
        web: Vec::new(),
        mail: Vec::new(),
        one_click: None,
    };
    for uri in source.all("List-Unsubscribe").flat_map(uris) {
        match web_or_mail(&uri) {
            Some(url) if url.scheme() == "mailto" => found.mail.extend(mail(&url)),
            Some(url) => found.web.push(url),
            None => {}
        }
    }
    if found.web.is_empty() && found.mail.is_empty() {
        return None;
    }
    let says_so = source.all("List-Unsubscribe-Post").any(|value| {
        let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
        value.eq_ignore_ascii_case(OneClick::BODY)
    });
    // RFC 8058 §3.1: one https address. One with a password in it would send it along.
    let url = found.web.iter().find(|url| {
        url.scheme() == "https" && url.username().is_empty() && url.password().is_none()
    });
    if let Some(url) = url.filter(|_| says_so) {
        found.one_click = Some(OneClick {
            url: url.clone(),
            covered_by: covering_signatures(source),
        });
    }
    Some(found)
}

/// The domains of the signatures over both header lines (<https://www.rfc-editor.org/rfc/rfc6376#section-3.5>).
fn covering_signatures(source: &Source<'_>) -> Vec<String> {
    let domains = source.all("DKIM-Signature").filter_map(|signature| {
        let tag = |name: &str| {
            signature.split(';').find_map(|tag| {
                let (given, value) = tag.split_once('=')?;
                (given.trim() == name).then(|| {
                    value
                        .chars()
                        .filter(|c| !c.is_whitespace())
                        .collect::<String>()
                })
            })
        };
        let covered = tag("h")?;
        let covers = |name: &str| {
            covered
                .split(':')
                .any(|given| given.eq_ignore_ascii_case(name))
        };
        (covers("List-Unsubscribe") && covers("List-Unsubscribe-Post"))
            .then(|| tag("d"))
            .flatten()
            .map(|domain| domain.to_ascii_lowercase())
    });
    let mut domains: Vec<String> = domains.filter(|domain| !domain.is_empty()).collect();
    domains.sort();
    domains.dedup();
    domains
}

/// The addresses in angle brackets, without the white space that folding left in them; comments are left out. Lists that
/// forget the brackets get their commas honoured.
fn uris(value: &str) -> Vec<String> {
    let decoded;
    let value = if value.contains("=?") {
        decoded = mime::decode_words(value);
        &decoded
    } else {
        value
    };
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((uri, after)) = after.split_once('>') else {
            break;
        };
        found.push(uri.chars().filter(|c| !c.is_whitespace()).collect());
        rest = after;
    }
    if found.is_empty() {
        found = value.split(',').map(|uri| uri.trim().to_owned()).collect();
    }
    found
}

fn web_or_mail(uri: &str) -> Option<Url> {
    let url = Url::parse(uri).ok()?;
    let usable = match url.scheme() {
        "https" | "http" => url.has_host(),
        "mailto" => true,
        _ => false,
    };
    usable.then_some(url)
}

/// A `mailto` address (<https://www.rfc-editor.org/rfc/rfc6068>). Further recipients and header lines that it asks for are
/// not granted.
fn mail(url: &Url) -> Option<UnsubscribeMail> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let to: Vec<Address> = url
        .path()
        .split(',')
        .filter_map(|address| decode(address).parse().ok())
        .collect();
    let field = |name: &str| {
        url.query()?.split('&').find_map(|pair| {
            // A plus sign is itself here, not a space as in forms.
            let (given, value) = pair.split_once('=')?;
            given.eq_ignore_ascii_case(name).then(|| decode(value))
        })
    };
    (!to.is_empty()).then(|| UnsubscribeMail {
        to,
        subject: field("subject").map(|subject| subject.replace(char::is_control, " ")),
        body: field("body"),
    })
}

/// Id and name in a `List-Id`.
fn identity(value: &str) -> (Option<String>, Option<String>) {
    let (name, id) = match value.rsplit_once('<') {
        Some((name, id)) => (name, id.split('>').next().unwrap_or_default()),
        None => ("", value),
    };
    let name = mime::decode_words(name.trim());
    let name = name.trim().trim_matches('"').trim();
    let id = id.trim();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    (some(id), some(name))
}
