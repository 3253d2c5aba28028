//! The subject of an answer. What programs write before one is known to `facts`.

use crate::facts::{Relation, subject_prefix};

/// The subject of an answer: `Re: ` before it, once. What programs in other languages write there (`AW:`, `SV:`, `RE[2]:`)
/// is replaced; where a list has put its name before it (`[forum] Re: …`), it stays as it is.
///
/// ```
/// use postroom::reply::reply_subject;
///
/// assert_eq!(reply_subject("Offer"), "Re: Offer");
/// assert_eq!(reply_subject("AW: RE[2]: Offer"), "Re: Offer");
/// assert_eq!(reply_subject("Fwd: Offer"), "Re: Fwd: Offer");
/// assert_eq!(reply_subject("[forum] Re: Offer"), "[forum] Re: Offer");
/// ```
#[must_use]
pub fn reply_subject(subject: &str) -> String {
    prefixed("Re:", Relation::Reply, subject)
}

/// The subject of a message that forwards another one: `Fwd: ` before it, once.
///
/// ```
/// use postroom::reply::forward_subject;
///
/// assert_eq!(forward_subject("Re: Offer"), "Fwd: Re: Offer");
/// assert_eq!(forward_subject("WG: Offer"), "Fwd: Offer");
/// ```
#[must_use]
pub fn forward_subject(subject: &str) -> String {
    prefixed("Fwd:", Relation::Forward, subject)
}

fn prefixed(prefix: &str, relation: Relation, subject: &str) -> String {
    let mut rest = subject.trim();
    while let Some((found, after)) = subject_prefix(rest) {
        if found != relation {
            break;
        }
        if rest.starts_with('[') {
            return rest.to_owned();
        }
        rest = after;
    }
    format!("{prefix} {rest}").trim_end().to_owned()
}
