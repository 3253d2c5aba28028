//! What a word is, and where words are found.

use crate::model::Address;

/// The words of a text, in lower case: see [`Query`](super::Query).
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for character in text.to_lowercase().chars() {
        if !character.is_alphanumeric() || is_word_alone(character) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if is_word_alone(character) {
            words.push(character.to_string());
        } else if character.is_alphanumeric() {
            word.push(character);
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Whether a character is of a script that is written without spaces: Thai, Lao, Burmese, Khmer, Japanese, Chinese.
fn is_word_alone(character: char) -> bool {
    let spaceless = matches!(
        u32::from(character),
        0x0e00..=0x0eff
            | 0x1000..=0x109f
            | 0x1780..=0x17ff
            | 0x3005..=0x3007
            | 0x3040..=0x30ff
            | 0x31f0..=0x31ff
            | 0x3400..=0x4dbf
            | 0x4e00..=0x9fff
            | 0xf900..=0xfaff
            | 0xff66..=0xff9f
            | 0x2_0000..=0x3_ffff
    );
    spaceless && character.is_alphanumeric()
}

/// Whether the words stand in the text one directly after the other.
pub(super) fn has_words(text: &str, wanted: &[String]) -> bool {
    !wanted.is_empty()
        && words(text)
            .windows(wanted.len())
            .any(|window| window == wanted)
}

/// Whether a value names a whole address, which is compared as a whole.
pub(crate) fn is_address(value: &str) -> bool {
    Address::new(value).is_ok()
}

/// Whether one of these people is meant.
pub(super) fn is_among(people: &[Address], value: &str) -> bool {
    if is_address(value) {
        let wanted = value.to_lowercase();
        return people
            .iter()
            .any(|person| person.address().to_lowercase() == wanted);
    }
    let wanted = words(value);
    people.iter().any(|person| is_named(person, &wanted))
}

/// Whether a person's name or address has these words.
pub(super) fn is_named(person: &Address, wanted: &[String]) -> bool {
    has_words(person.address(), wanted) || has_words(person.name().unwrap_or_default(), wanted)
}
