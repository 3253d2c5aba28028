//! Mail addresses: strict when we send them, tolerant when we read them.

use std::fmt;
use std::str::FromStr;

use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};

/// One mailbox of a header such as `To`: an address and perhaps a name.
///
/// Addresses read from mail may hold anything; those that a message is sent with are checked with
/// [`validate`](Self::validate) before a header is written.
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
    /// Longer than the 254 octets that RFC 5321 §4.5.3.1.3 leaves for a path.
    #[error("an address is at most 254 octets long")]
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
        let forbidden = |character: char| {
            character.is_control()
                || character.is_whitespace()
                || "<>(),;:\\\"[]".contains(character)
        };
        if self
            .name
            .as_deref()
            .is_some_and(|name| name.contains(char::is_control))
        {
            return Err(AddressError::Forbidden);
        }
        if self.address.len() > 254 {
            return Err(AddressError::TooLong);
        }
        if self.address.chars().any(forbidden) {
            return Err(AddressError::Forbidden);
        }
        match self.address.rsplit_once('@') {
            Some((local, domain))
                if !local.is_empty() && !domain.is_empty() && !local.contains('@') =>
            {
                Ok(())
            }
            _ => Err(AddressError::Incomplete),
        }
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
        if text.contains(char::is_control) {
            return Err(AddressError::Forbidden);
        }
        let mut list = Self::parse_list(text).into_iter();
        let address = list.next().ok_or(AddressError::Incomplete)?;
        if list.next().is_some() {
            return Err(AddressError::Several);
        }
        address.validate()?;
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "{name} <{}>", self.address),
            None => formatter.write_str(&self.address),
        }
    }
}
