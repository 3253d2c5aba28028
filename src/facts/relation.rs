//! Whether a message answers or forwards another one, as its header and what is attached say. Which messages belong to one
//! conversation is the service's to say.

use serde::Serialize;

use super::source::Source;

/// What a message is to the one it is about.
///
/// Mail has no field for it, and programs put `In-Reply-To` into forwarded messages as well, so this is the rule, first
/// match wins:
///
/// 1. a forwarding prefix before the subject (`Fwd:`, `FW:`, `WG:`, `TR:`, `转发：` and their kin in other languages; the
///    first prefix counts), or a line `X-Forwarded-Message-Id`, means [`Forward`](Self::Forward);
/// 2. a line `In-Reply-To` or `References` means [`Reply`](Self::Reply);
/// 3. a reply prefix (`Re:`, `AW:`, `SV:`, …) means `Reply`;
/// 4. an attached message whose subject this one has too means `Forward`;
/// 5. anything else is [`Original`](Self::Original).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Relation {
    /// It begins a conversation.
    #[default]
    Original,
    /// It answers a message.
    Reply,
    /// It forwards a message.
    Forward,
}

/// What programs write before the subject of a reply, in lower case, without the colon. From the lists of
/// <https://en.wikipedia.org/wiki/List_of_email_subject_abbreviations>.
const REPLY: &[&str] = &[
    "re",
    "aw",
    "antw",
    "antwort",
    "sv",
    "vs",
    "svar",
    "rif",
    "r",
    "res",
    "odp",
    "ynt",
    "yan",
    "yanıt",
    "vá",
    "válasz",
    "atb",
    "απ",
    "ανταπ",
    "отв",
    "ответ",
    "відп",
    "bls",
    "trả lời",
    "回复",
    "回覆",
    "答复",
    "答覆",
    "返信",
    "回信",
    "답장",
    "회신",
    "רי",
    "תגובה",
    "رد",
    "ตอบ",
    "ตอบกลับ",
    "ответить",
];

/// The same for forwarding.
const FORWARD: &[&str] = &[
    "fwd",
    "fw",
    "wg",
    "weitergeleitet",
    "tr",
    "rv",
    "enc",
    "i",
    "doorst",
    "vb",
    "vl",
    "vs fwd",
    "vidarebefordrat",
    "videresendt",
    "videre",
    "välitetty",
    "pd",
    "pdal",
    "podaj dalej",
    "i̇lt",
    "ilt",
    "ilet",
    "továbbítás",
    "továbbított",
    "πρθ",
    "προώθ",
    "πρ",
    "пересл",
    "пер",
    "переслать",
    "trs",
    "terusan",
    "chuyển tiếp",
    "转发",
    "轉寄",
    "轉發",
    "转寄",
    "転送",
    "전달",
    "הועבר",
    "إعادة توجيه",
    "ส่งต่อ",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Reply,
    Forward,
}

pub(super) fn relation(source: &Source<'_>) -> Relation {
    let subject = source.subject.as_deref().unwrap_or_default();
    let prefix = first_prefix(subject).map(|(prefix, _)| prefix);
    if prefix == Some(Prefix::Forward) || source.header("X-Forwarded-Message-Id").is_some() {
        return Relation::Forward;
    }
    let refers = |name: &str| {
        source
            .header(name)
            .is_some_and(|value| !value.trim().is_empty())
    };
    if prefix.is_some() || refers("In-Reply-To") || refers("References") {
        return Relation::Reply;
    }
    let attached = source
        .of_type(&["message/rfc822", "message/global"])
        .any(|part| {
            let name = part.name.as_deref().unwrap_or_default();
            let name = name.strip_suffix(".eml").unwrap_or(name);
            !subject.trim().is_empty() && name.trim() == subject.trim()
        });
    if attached {
        Relation::Forward
    } else {
        Relation::Original
    }
}

/// `Resent-` lines (<https://www.rfc-editor.org/rfc/rfc5322#section-3.6.6>), and those of mailboxes that forward by rule.
pub(super) fn is_redirected(source: &Source<'_>) -> bool {
    [
        "Resent-From",
        "Resent-To",
        "X-Forwarded-To",
        "X-Forwarded-For",
    ]
    .iter()
    .any(|name| source.header(name).is_some())
}

/// A subject without the prefixes of replies and forwards, for showing. Two messages with the same one need not belong
/// together: threads are the service's to tell.
///
/// ```
/// assert_eq!(postroom::facts::base_subject("AW: Fwd: Re[2]: Window"), "Window");
/// ```
#[must_use]
pub fn base_subject(subject: &str) -> &str {
    let mut rest = subject.trim();
    while let Some((_, after)) = first_prefix(rest) {
        rest = after;
    }
    rest
}

/// What the prefix that a subject begins with says, and what comes after it, as [`base_subject`] finds it.
pub(crate) fn subject_prefix(subject: &str) -> Option<(Relation, &str)> {
    let (prefix, after) = first_prefix(subject)?;
    let relation = match prefix {
        Prefix::Reply => Relation::Reply,
        Prefix::Forward => Relation::Forward,
    };
    Some((relation, after))
}

/// The prefix that a subject begins with, and what comes after it. Programs count (`Re[2]:`, `Re^2:`, `RE(3):`) and some
/// lists put their name before it (`[forum] Re:`).
fn first_prefix(subject: &str) -> Option<(Prefix, &str)> {
    let mut subject = subject.trim_start();
    while let Some((_, after)) = subject
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        // A tag is passed over only where a prefix follows it.
        if read_prefix(after.trim_start()).is_none() && !after.trim_start().starts_with('[') {
            break;
        }
        subject = after.trim_start();
    }
    read_prefix(subject)
}

fn read_prefix(subject: &str) -> Option<(Prefix, &str)> {
    let (before, after) = subject.split_once([':', '：'])?;
    let word = before
        .trim_end()
        .trim_end_matches(|c: char| c.is_ascii_digit() || "[]()^*".contains(c));
    // Counters stand in brackets or after a hat: `Re 2:` would be somebody's own words.
    let word = word.trim().to_lowercase();
    let prefix = if REPLY.contains(&word.as_str()) {
        Prefix::Reply
    } else if FORWARD.contains(&word.as_str()) {
        Prefix::Forward
    } else {
        return None;
    };
    Some((prefix, after.trim_start()))
}
