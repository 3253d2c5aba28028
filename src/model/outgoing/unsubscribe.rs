//! How the recipient of an outgoing message leaves the list it went to (<https://www.rfc-editor.org/rfc/rfc2369#section-3.2>,
//! <https://www.rfc-editor.org/rfc/rfc8058>). Both services ask senders of much mail for it
//! (<https://support.google.com/mail/answer/81126>).

use std::fmt;

use url::Url;

use crate::model::Address;

/// What a message says about leaving its list: a page, a request that needs no page, a message to write.
///
/// ```
/// use postroom::ListUnsubscribe;
///
/// let leave = ListUnsubscribe::one_click("https://shop.example/leave?reader=7".parse()?)?
///     .with_mail(&"leave@shop.example".parse()?, "leave 7")?;
/// assert!(leave.is_one_click());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ListUnsubscribe {
    web: Option<Url>,
    mail: Option<Url>,
    one_click: bool,
}

/// Why something cannot be said about leaving a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListUnsubscribeError {
    /// The page's address does not begin with `https:`, or with `http:` where nobody sends requests by themselves.
    #[error("a list is left at an address that begins with https")]
    NotSecure,
    /// The address for mail is none that mail can be sent to.
    #[error("a list is left by mail to an address that can be written to")]
    Address,
    /// An address is longer than the 900 characters that leave it on one line.
    #[error("an address to leave a list at is at most 900 characters long")]
    TooLong,
}

impl ListUnsubscribe {
    /// A request that the reader's service sends by itself when the reader wants to leave: a `POST` to this address with
    /// the body `List-Unsubscribe=One-Click`. The address must say by itself who leaves what.
    ///
    /// Readers' services believe it only where a signature covers both header lines, which is the sending service's to
    /// write.
    ///
    /// # Errors
    /// Where the address is not one of `https`, or is too long.
    pub fn one_click(address: Url) -> Result<Self, ListUnsubscribeError> {
        if address.scheme() != "https" {
            return Err(ListUnsubscribeError::NotSecure);
        }
        Self::page(address).map(|leave| Self {
            one_click: true,
            ..leave
        })
    }

    /// A page for the reader to visit.
    ///
    /// # Errors
    /// Where the address is not one of the web, or is too long.
    pub fn page(address: Url) -> Result<Self, ListUnsubscribeError> {
        if !matches!(address.scheme(), "https" | "http") {
            return Err(ListUnsubscribeError::NotSecure);
        }
        Ok(Self {
            web: Some(short(address)?),
            mail: None,
            one_click: false,
        })
    }

    /// A message for the reader to write, with this subject.
    ///
    /// # Errors
    /// Where nobody can write to the address, or it is too long with the subject.
    pub fn mail(address: &Address, subject: &str) -> Result<Self, ListUnsubscribeError> {
        let address = address
            .to_ascii()
            .map_err(|_| ListUnsubscribeError::Address)?;
        let mut mailto = Url::parse("mailto:").map_err(|_| ListUnsubscribeError::Address)?;
        // Everything that could end the address, or the list of them, is written as its number.
        mailto.set_path(&percent_encoding::utf8_percent_encode(&address, ADDRESS).to_string());
        if !subject.is_empty() {
            let subject = percent_encoding::utf8_percent_encode(subject, ADDRESS);
            mailto.set_query(Some(&format!("subject={subject}")));
        }
        Ok(Self {
            web: None,
            mail: Some(short(mailto)?),
            one_click: false,
        })
    }

    /// Adds a message for the reader to write, for services that cannot do the other.
    ///
    /// # Errors
    /// As [`mail`](Self::mail).
    pub fn with_mail(self, address: &Address, subject: &str) -> Result<Self, ListUnsubscribeError> {
        let mail = Self::mail(address, subject)?.mail;
        Ok(Self { mail, ..self })
    }

    /// Whether one request leaves the list.
    #[must_use]
    pub fn is_one_click(&self) -> bool {
        self.one_click
    }

    /// Where to leave, the way that asks least of the reader first.
    pub fn addresses(&self) -> impl Iterator<Item = &Url> {
        self.web.iter().chain(&self.mail)
    }
}

/// What is written as it is in an address: see RFC 6068 §2, more strictly.
const ADDRESS: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'@')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'+');

fn short(address: Url) -> Result<Url, ListUnsubscribeError> {
    // An address as the `url` crate writes it is ASCII without spaces, and angle brackets are encoded; commas are not, but
    // between angle brackets they separate nothing.
    if address.as_str().len() > 900 {
        return Err(ListUnsubscribeError::TooLong);
    }
    Ok(address)
}

/// What can be read in a mail is not printed: the address may say who the reader is.
impl fmt::Debug for ListUnsubscribe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ListUnsubscribe")
            .field("one_click", &self.one_click)
            .finish_non_exhaustive()
    }
}
