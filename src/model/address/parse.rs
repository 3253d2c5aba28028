//! The grammar of addresses (<https://www.rfc-editor.org/rfc/rfc5322#section-3.4>), as strict as what is sent needs: nothing is
//! guessed, nothing is left out. Addresses of mail that came are read by the tolerant parser instead.

use super::{Address, AddressError};

/// How deep comments may lie in one another.
const COMMENTS: usize = 16;

/// Reads a list with groups, flattened.
pub(super) fn address_list(text: &str) -> Result<Vec<Address>, AddressError> {
    if text.contains(|character: char| character.is_control() && character != '\t') {
        return Err(AddressError::Forbidden);
    }
    let mut parser = Parser {
        rest: text,
        comment: None,
    };
    let mut list = Vec::new();
    let mut in_group = false;
    loop {
        parser.skip()?;
        // Between two commas may be nothing (§4.4).
        if parser.take(',') {
            continue;
        }
        if in_group && parser.take(';') {
            in_group = false;
            parser.skip()?;
            if !parser.rest.is_empty() && !parser.take(',') {
                return Err(AddressError::Several);
            }
            continue;
        }
        if parser.rest.is_empty() {
            break;
        }
        let words = parser.words()?;
        if !in_group && !words.is_empty() && parser.take(':') {
            in_group = true;
            continue;
        }
        list.push(parser.mailbox(words)?);
        parser.skip()?;
        let ended = parser.rest.is_empty()
            || parser.take(',')
            || (in_group && parser.rest.starts_with(';'));
        if !ended {
            return Err(AddressError::Several);
        }
    }
    if in_group {
        return Err(AddressError::Incomplete);
    }
    Ok(list)
}

/// An address's two parts: what is before the `@`, perhaps quoted, and what is after.
pub(super) fn split(address: &str) -> Option<(&str, &str)> {
    let (local, domain) = if address.starts_with('"') {
        let end = end_of_quoted(address)?;
        let (local, rest) = address.split_at_checked(end)?;
        (local, rest.strip_prefix('@')?)
    } else {
        address.split_once('@')?
    };
    (!local.is_empty() && !domain.is_empty()).then_some((local, domain))
}

/// What stands before the `@` must be ASCII and cannot end before it ends.
pub(super) fn check_local(local: &str) -> Result<(), AddressError> {
    if local.contains(char::is_control) {
        return Err(AddressError::Forbidden);
    }
    if !local.is_ascii() {
        return Err(AddressError::NotAscii);
    }
    if local.len() > 64 {
        return Err(AddressError::TooLong);
    }
    let quoted = local.starts_with('"') && end_of_quoted(local) == Some(local.len());
    // Dots that follow one another are in no grammar, but in addresses that Japanese carriers gave out.
    if quoted || local.chars().all(|c| is_atext(c) || c == '.') {
        Ok(())
    } else {
        Err(AddressError::Forbidden)
    }
}

/// Names of one or more labels (RFC 1035 §2.3.4). Underscores are in no host's name, but in some that mail is sent to.
pub(super) fn check_domain(domain: &str) -> Result<(), AddressError> {
    if domain.contains(|c: char| c.is_control() || c.is_whitespace() || "<>(),;:\\\"@".contains(c))
    {
        return Err(AddressError::Forbidden);
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if domain.split('.').all(label) {
        Ok(())
    } else {
        Err(AddressError::Domain)
    }
}

/// Whether a name is read back as it is without quotes.
pub(super) fn is_phrase(name: &str) -> bool {
    name.split(' ')
        .all(|word| !word.is_empty() && word.chars().all(|c| is_atext(c) || c == '.'))
}

/// As a quoted string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// What words outside of quotes are made of (§3.2.3; RFC 6532 §3.2 adds everything that is not ASCII).
fn is_atext(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(character)
        || (!character.is_ascii() && !character.is_control() && !character.is_whitespace())
}

/// Where the quoted string ends that a text begins with, behind its last quote.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A word of a name, or of what stands before the `@`.
enum Word {
    /// Outside of quotes, dots included.
    Plain(String),
    /// What is inside the quotes.
    Quoted(String),
}

impl Word {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Quoted(text) => text,
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// The last comment: where an address has no name, some programs wrote it there.
    comment: Option<String>,
}

impl Parser<'_> {
    fn take(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Passes over spaces and comments.
    fn skip(&mut self) -> Result<(), AddressError> {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('(') {
                return Ok(());
            }
            self.pass_comment()?;
        }
    }

    fn pass_comment(&mut self) -> Result<(), AddressError> {
        let mut comment = String::new();
        let mut depth = 0;
        let mut escaped = false;
        for (at, character) in self.rest.char_indices() {
            match character {
                _ if escaped => {
                    escaped = false;
                    comment.push(character);
                    continue;
                }
                '\\' => {
                    escaped = true;
                    continue;
                }
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth > COMMENTS {
                return Err(AddressError::Forbidden);
            }
            if depth == 0 {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                let comment = comment.trim().to_owned();
                self.comment = Some(comment).filter(|comment| !comment.is_empty());
                return Ok(());
            }
            if at > 0 {
                comment.push(character);
            }
        }
        Err(AddressError::Forbidden)
    }

    /// The words up to a character that is in none.
    fn words(&mut self) -> Result<Vec<Word>, AddressError> {
        let mut words = Vec::new();
        self.comment = None;
        loop {
            self.skip()?;
            if self.rest.starts_with('"') {
                let end = end_of_quoted(self.rest).ok_or(AddressError::Forbidden)?;
                let inside = self.rest.get(1..end - 1).unwrap_or_default();
                words.push(Word::Quoted(unescaped(inside)));
                self.rest = self.rest.get(end..).unwrap_or_default();
                continue;
            }
            let plain = |c: char| is_atext(c) || c == '.';
            let end = self.rest.find(|c| !plain(c)).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at_checked(end).unwrap_or_default();
            if word.is_empty() {
                return Ok(words);
            }
            words.push(Word::Plain(word.to_owned()));
            self.rest = rest;
        }
    }

    /// The mailbox that these words begin: they are its name, or what stands before its `@`.
    fn mailbox(&mut self, words: Vec<Word>) -> Result<Address, AddressError> {
        if self.take('<') {
            let inner = self.words()?;
            let address = self.address(inner)?;
            self.skip()?;
            if !self.take('>') {
                return Err(AddressError::Forbidden);
            }
            let name: Vec<&str> = words.iter().map(Word::text).collect();
            let name = name.join(" ");
            return Ok(Address::received(Some(name.trim().to_owned()), address));
        }
        let address = self.address(words)?;
        self.comment = None;
        self.skip()?;
        Ok(Address::received(self.comment.take(), address))
    }

    /// The address whose part before the `@` these words are.
    fn address(&mut self, words: Vec<Word>) -> Result<String, AddressError> {
        if !self.take('@') {
            return Err(match self.rest.chars().next() {
                None | Some(',' | ';' | '>') => AddressError::Incomplete,
                Some(_) => AddressError::Forbidden,
            });
        }
        let local = match words.as_slice() {
            [] => return Err(AddressError::Incomplete),
            [Word::Plain(word)] => word.clone(),
            [Word::Quoted(word)] if !word.is_empty() && word.chars().all(is_atext) => word.clone(),
            [Word::Quoted(word)] => quoted(word),
            _ => return Err(AddressError::Forbidden),
        };
        self.skip()?;
        let end = self.rest.find(|c: char| !is_atext(c) && c != '.');
        let (domain, rest) = self
            .rest
            .split_at_checked(end.unwrap_or(self.rest.len()))
            .unwrap_or_default();
        if domain.is_empty() {
            return Err(match rest.chars().next() {
                Some('[') => AddressError::Domain,
                _ => AddressError::Incomplete,
            });
        }
        self.rest = rest;
        Ok(format!("{local}@{domain}"))
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut escaped = false;
    for character in text.chars() {
        if character == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            plain.push(character);
        }
    }
    plain
}
