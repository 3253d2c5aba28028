//! RFC 5322 in both directions, for both providers: writing what is to be sent as a stream, and reading the headers and
//! text of what came. It sends nothing and knows no vendor.

#![cfg_attr(
    not(all(feature = "gmail", feature = "outlook")),
    allow(dead_code, unused_imports, reason = "each provider uses its own part")
)]

mod base64;
mod body;
mod charset;
mod compose;
mod edit;
mod fields;
mod outline;
mod parse;
mod read;
mod structure;
mod whole;

pub(crate) use base64::base64_text;
pub(crate) use charset::text;
pub(crate) use compose::{KEY_HEADER, compose, compose_draft, is_media_type, random_word};
pub(crate) use edit::{check as check_edit, edit, head, mark, marked};
pub(crate) use fields::usable_id;
pub(crate) use parse::parse;
pub(crate) use read::{decode_words, flowed, message_ids, parameter, read_headers};
pub(crate) use structure::{Bodies, Shape, Use, mark_inline, uses};
pub(crate) use whole::{WholeMessage, read_whole};

#[cfg(test)]
mod tests;
