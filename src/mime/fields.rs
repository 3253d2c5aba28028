//! Header lines of a message that is written: short, ASCII, and unable to become two. What they say is `compose`'s.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, ErrorKind, Result};
use crate::model::Address;

/// How long a line is, where it can be broken (RFC 5322 §2.1.1, RFC 2047 §2).
const LINE: usize = 76;

/// How long a word without spaces may be, which cannot be broken: with its header's name it must fit into 998 octets.
const LONGEST_WORD: usize = 900;

/// A line of any text (RFC 5322 §3.2.5), encoded after RFC 2047 where it would not be read back as it is.
pub(super) fn unstructured(head: &mut String, name: &str, text: &str) {
    let text = one_line(text);
    head.push_str(name);
    head.push(':');
    let plain = text.is_ascii()
        && !text.contains("=?")
        && text
            .split(' ')
            .all(|word| !word.is_empty() && word.len() <= LONGEST_WORD);
    let used = name.len() + 1;
    if text.is_empty() {
        // Nothing is said, and nothing has to be encoded.
    } else if plain {
        fold(head, used, text.split(' '));
    } else {
        encoded_words(head, used, &text);
    }
    head.push_str("\r\n");
}

/// A line of addresses, one a line; none if there are none.
pub(super) fn addresses(head: &mut String, name: &str, list: &[Address]) -> Result<()> {
    for (index, address) in list.iter().enumerate() {
        let begins = index == 0;
        if begins {
            head.push_str(name);
            head.push(':');
        } else {
            head.push_str(",\r\n");
        }
        mailbox(head, if begins { name.len() + 1 } else { 0 }, address)?;
    }
    if !list.is_empty() {
        head.push_str("\r\n");
    }
    Ok(())
}

fn mailbox(head: &mut String, used: usize, address: &Address) -> Result<()> {
    let unusable = |error| invalid("an address cannot be used").with_source(error);
    address.validate().map_err(unusable)?;
    let mailbox = address.to_ascii().map_err(unusable)?;
    let Some(name) = address.name() else {
        head.push(' ');
        head.push_str(&mailbox);
        return Ok(());
    };
    // Encoded words within quotes are none (RFC 2047 §5), but some readers take them for some.
    if name.is_ascii() && name.len() <= 60 && !name.contains("=?") {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        head.push_str(&format!(" \"{escaped}\""));
    } else {
        encoded_words(head, used, name);
    }
    head.push_str(&format!("\r\n <{mailbox}>"));
    Ok(())
}

/// A line of ids in angle brackets, each of which stays whole.
pub(super) fn ids<'a>(
    head: &mut String,
    name: &str,
    ids: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let ids = ids
        .into_iter()
        .map(|id| bare_id(id).map(|id| format!("<{id}>")))
        .collect::<Result<Vec<_>>>()?;
    if !ids.is_empty() {
        head.push_str(name);
        head.push(':');
        fold(head, name.len() + 1, ids.iter().map(String::as_str));
        head.push_str("\r\n");
    }
    Ok(())
}

/// Words, with a line break before each that would make its line too long.
fn fold<'a>(head: &mut String, used: usize, words: impl Iterator<Item = &'a str>) {
    let mut used = used;
    for (index, word) in words.enumerate() {
        if index > 0 && used + 1 + word.len() > LINE {
            head.push_str("\r\n");
            used = 0;
        }
        head.push(' ');
        head.push_str(word);
        used += 1 + word.len();
    }
}

/// A text as RFC 2047 words, each of whole characters and on a line within 76 characters.
fn encoded_words(head: &mut String, used: usize, text: &str) {
    const FRAME: usize = "=?utf-8?B??=".len() + 1;
    // What base64 makes of three bytes are four characters.
    let room = |used: usize| LINE.saturating_sub(used + FRAME) / 4 * 3;
    let mut left = room(used);
    if left < 12 {
        head.push_str("\r\n");
        left = room(0);
    }
    let mut word = String::new();
    for character in text.chars() {
        if word.len() + character.len_utf8() > left {
            push_word(head, &word);
            head.push_str("\r\n");
            word.clear();
            left = room(0);
        }
        word.push(character);
    }
    push_word(head, &word);
}

fn push_word(head: &mut String, word: &str) {
    head.push_str(" =?utf-8?B?");
    STANDARD.encode_string(word, head);
    head.push_str("?=");
}

/// A parameter of a structured line, such as a file name, on a line of its own: as it is where that is plain and short, else
/// after RFC 2231 §3 and §4. Never both: readers differ in which one they believe.
pub(super) fn parameter(head: &mut String, name: &str, value: &str) {
    let value = one_line(value);
    let plain =
        |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\';
    if value.len() <= 60 && value.bytes().all(plain) && !value.contains("=?") {
        head.push_str(&format!(";\r\n {name}=\"{value}\""));
        return;
    }
    let mut pieces = vec![String::from("utf-8''")];
    for character in value.chars() {
        let mut bytes = [0; 4];
        let mut encoded = String::new();
        for byte in character.encode_utf8(&mut bytes).bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        match pieces.last_mut() {
            // No character is cut in two.
            Some(piece) if piece.len() + encoded.len() <= 56 => piece.push_str(&encoded),
            _ => pieces.push(encoded),
        }
    }
    if let [piece] = pieces.as_slice() {
        head.push_str(&format!(";\r\n {name}*={piece}"));
        return;
    }
    for (index, piece) in pieces.iter().enumerate() {
        head.push_str(&format!(";\r\n {name}*{index}*={piece}"));
    }
}

/// A message or content id without its brackets, safe to stand in a header.
pub(super) fn bare_id(id: &str) -> Result<&str> {
    usable_id(id).ok_or_else(|| invalid("a message or content id may hold printable ASCII only"))
}

/// The same, of an id that came with mail and may hold anything.
pub(crate) fn usable_id(id: &str) -> Option<&str> {
    let bare = id.trim().trim_start_matches('<').trim_end_matches('>');
    let safe = |byte: u8| byte.is_ascii_graphic() && byte != b'<' && byte != b'>';
    (!bare.is_empty() && bare.len() <= LONGEST_WORD && bare.bytes().all(safe)).then_some(bare)
}

/// Line breaks and other control characters become spaces: a header cannot be broken out of.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

pub(super) fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
