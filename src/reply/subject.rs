//! The subject of an answer. What programs write before one is known to `facts`.

use crate::facts::{Relation, subject_prefix};

/// The subject of an answer: `Re: ` before it, unless it begins like an answer already, in whatever language (`AW:`, `SV:`,
/// `RE[2]:`, also behind the name of a list).
///
/// Such a beginning is kept as it is. Gmail keeps messages in one conversation only if their subjects match
/// (<https://developers.google.com/workspace/gmail/api/guides/threads>), and what it does not know for a prefix is a part of
/// the subject to it (<https://webapps.stackexchange.com/questions/965/how-does-gmail-decide-to-thread-email-messages>).
///
/// ```
/// use postroom::reply::reply_subject;
///
/// assert_eq!(reply_subject("Offer"), "Re: Offer");
/// assert_eq!(reply_subject("Re: Re: Offer"), "Re: Offer");
/// assert_eq!(reply_subject("AW: Offer"), "AW: Offer");
/// assert_eq!(reply_subject("Fwd: Offer"), "Re: Fwd: Offer");
/// ```
#[must_use]
pub fn reply_subject(subject: &str) -> String {
    prefixed("Re:", Relation::Reply, subject)
}

/// The subject of a message that forwards another one: `Fwd: ` before it, unless it begins so already, in whatever language.
///
/// ```
/// use postroom::reply::forward_subject;
///
/// assert_eq!(forward_subject("Re: Offer"), "Fwd: Re: Offer");
/// assert_eq!(forward_subject("WG: Offer"), "WG: Offer");
/// ```
#[must_use]
pub fn forward_subject(subject: &str) -> String {
    prefixed("Fwd:", Relation::Forward, subject)
}

fn prefixed(prefix: &str, relation: Relation, subject: &str) -> String {
    let mut subject = subject.trim();
    if subject_prefix(subject).is_none_or(|(found, _)| found != relation) {
        return format!("{prefix} {subject}").trim_end().to_owned();
    }
    // The same word twice is once to everyone.
    while let Some(rest) = without(prefix, subject).filter(|rest| without(prefix, rest).is_some()) {
        subject = rest;
    }
    subject.to_owned()
}

fn without<'a>(prefix: &str, subject: &'a str) -> Option<&'a str> {
    let (before, rest) = subject.split_at_checked(prefix.len())?;
    before
        .eq_ignore_ascii_case(prefix)
        .then(|| rest.trim_start())
}
