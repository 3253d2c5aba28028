//! Mail addresses: strict when we send them, tolerant when we read them.

mod parse;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};
use url::Host;

/// One mailbox of a header such as `To`: an address and perhaps a name.
///
/// Addresses read from mail may hold anything; those that a message is sent with are checked with
/// [`validate`](Self::validate) before a header is written.
///
/// A domain may be in any script: it travels in its plain form ([RFC 5890](https://www.rfc-editor.org/rfc/rfc5890)). The part
/// before the `@` has no such form. One that is not ASCII ([RFC 6531](https://www.rfc-editor.org/rfc/rfc6531)) can be read,
/// but not written to: neither service promises that it takes such a message, and what is written here is ASCII throughout.
///
/// ```
/// use postroom::Address;
///
/// let address: Address = "Billing <billing@shop.example>".parse()?;
/// assert_eq!(address.name(), Some("Billing"));
/// assert_eq!(address.address(), "billing@shop.example");
/// assert!("nobody".parse::<Address>().is_err());
/// # Ok::<(), postroom::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    address: String,
}

/// Why a text is not an address that mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// No `local@domain` in it, or one of the two is empty.
    #[error("an address needs a name, an @ and a domain")]
    Incomplete,
    /// A control character, or a space or bracket where none may be.
    #[error("an address must not contain control characters, spaces or brackets")]
    Forbidden,
    /// The domain is none: a label is empty or too long, has other characters than letters, digits and hyphens, or the
    /// whole is a number in brackets.
    #[error("the part after the @ is no domain")]
    Domain,
    /// The part before the `@` is in a script that only some services understand.
    #[error("the part of an address before the @ must be ASCII")]
    NotAscii,
    /// Longer than the 254 octets that RFC 5321 §4.5.3.1.3 leaves for a path, of which 64 stand before the `@` (§4.5.3.1.1).
    #[error("an address is at most 254 octets long, 64 of them before the @")]
    TooLong,
    /// More than one address where one was asked for.
    #[error("more than one address")]
    Several,
}

impl Address {
    /// An address without a name, checked.
    ///
    /// # Errors
    /// When mail cannot be sent to it.
    pub fn new(address: impl Into<String>) -> Result<Self, AddressError> {
        let address = Self::received(None, address);
        address.validate()?;
        Ok(address)
    }

    /// An address and name as some mail holds them, unchecked.
    #[must_use]
    pub fn received(name: Option<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.filter(|name| !name.is_empty()),
            address: address.into(),
        }
    }

    /// Adds the name shown beside the address.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// The name shown beside the address.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address itself, as `local@domain` if it is well-formed.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Checks that mail can be sent to it and that it cannot break a header.
    ///
    /// # Errors
    /// When it cannot.
    pub fn validate(&self) -> Result<(), AddressError> {
        let name = self.name.as_deref().unwrap_or_default();
        if name.contains(char::is_control) {
            return Err(AddressError::Forbidden);
        }
        self.to_ascii().map(drop)
    }

    /// The address as it travels: its domain in plain letters.
    ///
    /// # Errors
    /// When mail cannot be sent to it.
    pub fn to_ascii(&self) -> Result<Cow<'_, str>, AddressError> {
        let (local, domain) = parse::split(&self.address).ok_or(AddressError::Incomplete)?;
        parse::check_local(local)?;
        let address = if domain.is_ascii() {
            Cow::Borrowed(self.address.as_str())
        } else {
            let Ok(Host::Domain(domain)) = Host::parse(domain) else {
                return Err(AddressError::Domain);
            };
            Cow::Owned(format!("{local}@{domain}"))
        };
        // Checked in its plain form, because other scripts have characters that become a comma in it.
        let (_, domain) = parse::split(&address).ok_or(AddressError::Domain)?;
        parse::check_domain(domain)?;
        if address.len() > 254 {
            return Err(AddressError::TooLong);
        }
        Ok(address)
    }

    /// Whether both are the same mailbox: alike but for the case of their letters. Names do not count. (RFC 5321 §2.4 lets
    /// a service tell `A@x.example` from `a@x.example`; none does.)
    #[must_use]
    pub fn is_same_mailbox(&self, other: &Self) -> bool {
        let plain = |address: &Self| {
            let plain = address.to_ascii();
            plain.map_or_else(
                |_| address.address.to_lowercase(),
                |plain| plain.to_lowercase(),
            )
        };
        plain(self) == plain(other)
    }

    /// Reads an address list as people write it or headers hold it (RFC 5322 §3.4): names, quoted text, comments, and groups,
    /// which are flattened. All of it must be right, unlike with [`parse_list`](Self::parse_list).
    ///
    /// ```
    /// use postroom::Address;
    ///
    /// let list = "Team: \"Desk, first\" <support@desk.example>, billing@shop.example (Billing);";
    /// let list = Address::parse_all(list)?;
    /// assert_eq!(list[0].name(), Some("Desk, first"));
    /// assert_eq!(list[1].to_string(), "Billing <billing@shop.example>");
    /// assert!(Address::parse_all("billing@shop.example support@desk.example").is_err());
    /// # Ok::<(), postroom::AddressError>(())
    /// ```
    ///
    /// # Errors
    /// When it cannot be read, or mail cannot be sent to one of them.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, AddressError> {
        let list = parse::address_list(text)?;
        list.iter().try_for_each(Self::validate)?;
        Ok(list)
    }

    /// Reads an address list as it stands in a header (RFC 5322 §3.4), groups flattened. Whatever cannot be read as an
    /// address is left out.
    #[must_use]
    pub fn parse_list(text: &str) -> Vec<Self> {
        // The parser wants a whole header; a line break inside the text would begin another one.
        let line: String = text
            .chars()
            .map(|character| {
                if character.is_control() {
                    ' '
                } else {
                    character
                }
            })
            .collect();
        let header = format!("To: {line}\r\n\r\n");
        MessageParser::new()
            .parse_headers(header.as_bytes())
            .and_then(|message| message.to().map(addresses_of))
            .unwrap_or_default()
    }
}

/// The addresses of a parsed header, groups flattened.
pub(crate) fn addresses_of(list: &mail_parser::Address<'_>) -> Vec<Address> {
    list.iter()
        .filter_map(|entry| {
            let address = entry
                .address()
                .map(str::trim)
                .filter(|address| !address.is_empty());
            let name = entry.name().map(str::trim).filter(|name| !name.is_empty());
            // A header such as `From: mailer-daemon` has a name and no address; the name is still worth showing.
            (address.is_some() || name.is_some())
                .then(|| Address::received(name.map(str::to_owned), address.unwrap_or_default()))
        })
        .collect()
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut list = Self::parse_all(text)?.into_iter();
        let address = list.next().ok_or(AddressError::Incomplete)?;
        match list.next() {
            None => Ok(address),
            Some(_) => Err(AddressError::Several),
        }
    }
}

/// As it can be read again: a name that would not be one by itself is quoted.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) if parse::is_phrase(name) => write!(formatter, "{name} <{}>", self.address),
            Some(name) => write!(formatter, "{} <{}>", parse::quoted(name), self.address),
            None => formatter.write_str(&self.address),
        }
    }
}
