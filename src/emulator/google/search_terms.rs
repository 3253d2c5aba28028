//! Single terms of a search: what each operator looks at. How terms are combined is in `search`.

use chrono::{DateTime, Datelike as _, Duration, Months, NaiveDate, NaiveTime, Utc};

use super::super::message::{Address, Parsed};
use super::mailbox::{GmailMailbox, GmailMessage};

/// One condition.
#[derive(Debug)]
pub(crate) enum Term {
    /// Words in a row, in the subject, the text, names of people and files.
    Words(Vec<String>),
    From(String),
    To(String),
    Cc(String),
    Bcc(String),
    Subject(Vec<String>),
    /// A label by the name that searches use.
    Label(String),
    In(Place),
    Has(Content),
    FileName(String),
    List(String),
    DeliveredTo(String),
    MessageId(String),
    /// Received at this moment or later.
    After(DateTime<Utc>),
    /// Received before this moment.
    Before(DateTime<Utc>),
    NewerThan(Age),
    OlderThan(Age),
    AtLeast(usize),
    Smaller(usize),
    /// Understood, and true of no message here.
    Never,
}

/// Where messages are, as `in:` and `is:` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Anywhere,
    Archive,
    Unread,
    Read,
    /// Messages with this system label.
    Labelled(&'static str),
}

/// What messages have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Attachment,
    UserLabels,
    NoUserLabels,
}

/// A span back from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Hours(i64),
    Days(i64),
    Months(u32),
}

impl Term {
    /// The condition that an operator with a value, or a bare text, stands for. `None` if there is no
    /// such operator or it does not take the value.
    pub(crate) fn read(operator: Option<&str>, text: &str, quoted: bool) -> Option<Self> {
        let lower = text.to_lowercase();
        Some(match operator {
            None => {
                let words = words(text);
                // Punctuation alone says nothing.
                if words.is_empty() && !quoted {
                    return None;
                }
                Self::Words(words)
            }
            Some("from") => Self::From(lower),
            Some("to") => Self::To(lower),
            Some("cc") => Self::Cc(lower),
            Some("bcc") => Self::Bcc(lower),
            Some("subject") => Self::Subject(words(text)),
            Some("label") => Self::Label(label_name(text)),
            Some("in") => Self::In(match lower.as_str() {
                "anywhere" => Place::Anywhere,
                "archive" => Place::Archive,
                "inbox" => Place::Labelled("INBOX"),
                "sent" => Place::Labelled("SENT"),
                "draft" | "drafts" => Place::Labelled("DRAFT"),
                "trash" => Place::Labelled("TRASH"),
                "spam" => Place::Labelled("SPAM"),
                "unread" => Place::Unread,
                "read" => Place::Read,
                "starred" => Place::Labelled("STARRED"),
                "important" => Place::Labelled("IMPORTANT"),
                "snoozed" | "chats" => return Some(Self::Never),
                _ => Place::Labelled(category(&lower)?),
            }),
            Some("is") => Self::In(match lower.as_str() {
                "unread" => Place::Unread,
                "read" => Place::Read,
                "starred" => Place::Labelled("STARRED"),
                "important" => Place::Labelled("IMPORTANT"),
                "snoozed" | "muted" => return Some(Self::Never),
                _ => return None,
            }),
            Some("category") => match lower.as_str() {
                "reservations" | "purchases" => Self::Never,
                _ => Self::In(Place::Labelled(category(&lower)?)),
            },
            Some("has") => Self::Has(match lower.as_str() {
                "attachment" => Content::Attachment,
                "userlabels" => Content::UserLabels,
                "nouserlabels" => Content::NoUserLabels,
                "drive" | "document" | "spreadsheet" | "presentation" | "youtube" => {
                    return Some(Self::Never);
                }
                _ => return None,
            }),
            Some("filename") => Self::FileName(lower),
            Some("list") => Self::List(lower),
            Some("deliveredto") => Self::DeliveredTo(lower),
            Some("rfc822msgid") => Self::MessageId(text.trim_matches(['<', '>']).to_owned()),
            Some("after" | "newer") => Self::After(moment(text)?),
            Some("before" | "older") => Self::Before(moment(text)?),
            Some("newer_than") => Self::NewerThan(Age::read(&lower)?),
            Some("older_than") => Self::OlderThan(Age::read(&lower)?),
            Some("larger" | "size") => Self::AtLeast(size(&lower)?),
            Some("smaller") => Self::Smaller(size(&lower)?),
            Some(_) => return None,
        })
    }

    pub(crate) fn names_spam_or_trash(&self) -> bool {
        match self {
            Self::In(place) => matches!(place, Place::Anywhere | Place::Labelled("SPAM" | "TRASH")),
            Self::Label(name) => matches!(name.as_str(), "spam" | "trash"),
            _ => false,
        }
    }

    pub(crate) fn matches(
        &self,
        message: &GmailMessage,
        mailbox: &GmailMailbox,
        account: &str,
        now: DateTime<Utc>,
    ) -> bool {
        let parsed = message.mail.parsed();
        let has = |label: &str| message.labels.contains(label);
        let header = |name: &str| parsed.root.header(name).map(str::to_lowercase);
        let size = message.mail.raw().len();
        match self {
            Self::Words(wanted) => mentions(parsed, wanted),
            Self::From(wanted) => names(&parsed.from, wanted, account),
            // Other recipients are found too: <https://webapps.stackexchange.com/q/18713>.
            Self::To(wanted) => [&parsed.to, &parsed.cc, &parsed.bcc]
                .iter()
                .any(|people| names(people, wanted, account)),
            Self::Cc(wanted) => names(&parsed.cc, wanted, account),
            Self::Bcc(wanted) => names(&parsed.bcc, wanted, account),
            Self::Subject(wanted) => {
                contains_words(parsed.subject.as_deref().unwrap_or_default(), wanted)
            }
            Self::Label(wanted) => {
                let is_system = |label: &String| label.to_lowercase() == *wanted;
                let is_user = |label: &&super::mailbox::Label| label_name(&label.name) == *wanted;
                message.labels.iter().any(is_system) && !wanted.starts_with("label_")
                    || mailbox
                        .labels
                        .iter()
                        .filter(is_user)
                        .any(|label| has(&label.id))
            }
            Self::In(Place::Anywhere) => true,
            Self::In(Place::Archive) => !["INBOX", "SENT", "DRAFT", "TRASH", "SPAM"]
                .iter()
                .any(|label| has(label)),
            Self::In(Place::Unread) => has("UNREAD"),
            Self::In(Place::Read) => !has("UNREAD"),
            Self::In(Place::Labelled(label)) => has(label),
            Self::Has(Content::Attachment) => parsed
                .attachments()
                .iter()
                .any(|part| part.file_name.is_some() && !part.is_inline()),
            Self::Has(Content::UserLabels) => has_user_label(message),
            Self::Has(Content::NoUserLabels) => !has_user_label(message),
            Self::FileName(wanted) => parsed.attachments().iter().any(|part| {
                let name = part.file_name.as_deref().unwrap_or_default();
                name.to_lowercase().ends_with(&format!(".{wanted}"))
                    || contains_words(name, &words(wanted))
            }),
            Self::List(wanted) => header("List-Id").is_some_and(|list| list.contains(wanted)),
            Self::DeliveredTo(wanted) => {
                header("Delivered-To").is_some_and(|address| address == *wanted)
            }
            Self::MessageId(wanted) => parsed.message_id.as_deref() == Some(wanted),
            Self::After(moment) => message.received >= *moment,
            Self::Before(moment) => message.received < *moment,
            Self::NewerThan(age) => message.received >= age.before(now),
            Self::OlderThan(age) => message.received < age.before(now),
            Self::AtLeast(least) => size >= *least,
            Self::Smaller(limit) => size < *limit,
            Self::Never => false,
        }
    }
}

impl Age {
    fn read(text: &str) -> Option<Self> {
        let unit = text.chars().last()?;
        let number = text.strip_suffix(unit)?;
        Some(match unit {
            'h' => Self::Hours(number.parse().ok()?),
            'd' => Self::Days(number.parse().ok()?),
            'm' => Self::Months(number.parse().ok()?),
            'y' => Self::Months(number.parse::<u32>().ok()?.checked_mul(12)?),
            _ => return None,
        })
    }

    /// Days and hours count back from this instant, months and years to the start of a day.
    fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let earliest = DateTime::<Utc>::MIN_UTC;
        match self {
            Self::Hours(hours) => Duration::try_hours(hours)
                .and_then(|span| now.checked_sub_signed(span))
                .unwrap_or(earliest),
            Self::Days(days) => Duration::try_days(days)
                .and_then(|span| now.checked_sub_signed(span))
                .unwrap_or(earliest),
            Self::Months(months) => now
                .checked_sub_months(Months::new(months))
                .map_or(earliest, |day| {
                    day.date_naive().and_time(NaiveTime::MIN).and_utc()
                }),
        }
    }
}

fn has_user_label(message: &GmailMessage) -> bool {
    message
        .labels
        .iter()
        .any(|label| label.starts_with("Label_"))
}

fn category(name: &str) -> Option<&'static str> {
    Some(match name {
        "primary" => "CATEGORY_PERSONAL",
        "social" => "CATEGORY_SOCIAL",
        "promotions" => "CATEGORY_PROMOTIONS",
        "updates" => "CATEGORY_UPDATES",
        "forums" => "CATEGORY_FORUMS",
        _ => return None,
    })
}

/// A label's name as searches write it.
fn label_name(name: &str) -> String {
    name.to_lowercase().replace([' ', '/'], "-")
}

/// A date, which is its midnight in UTC, or seconds since 1970.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return DateTime::from_timestamp(text.parse().ok()?, 0);
    }
    let text = text.replace('-', "/");
    let date = NaiveDate::parse_from_str(&text, "%Y/%m/%d")
        .or_else(|_| NaiveDate::parse_from_str(&text, "%m/%d/%Y"))
        .ok()
        .filter(|date| date.year() >= 1970)?;
    Some(date.and_time(NaiveTime::MIN).and_utc())
}

fn size(text: &str) -> Option<usize> {
    let (number, factor) = match text.chars().last()? {
        'k' => (text.strip_suffix('k')?, 1_024),
        'm' => (text.strip_suffix('m')?, 1_024 * 1_024),
        _ => (text, 1),
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// The words of a text, lower case. Where writing has no spaces, every character is one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut continues = false;
    for character in text.to_lowercase().chars() {
        let alone = has_no_spaces(character);
        match words.last_mut() {
            _ if !character.is_alphanumeric() => {}
            Some(word) if continues && !alone => word.push(character),
            _ => words.push(character.to_string()),
        }
        continues = character.is_alphanumeric() && !alone;
    }
    words
}

/// Writing without spaces: Thai and Lao, Burmese, Khmer, Japanese, Chinese.
fn has_no_spaces(character: char) -> bool {
    const BLOCKS: [(u32, u32); 11] = [
        (0xe00, 0xeff),
        (0x1000, 0x109f),
        (0x1780, 0x17ff),
        (0x3005, 0x3007),
        (0x3040, 0x30ff),
        (0x31f0, 0x31ff),
        (0x3400, 0x4dbf),
        (0x4e00, 0x9fff),
        (0xf900, 0xfaff),
        (0xff66, 0xff9f),
        (0x20000, 0x3ffff),
    ];
    let code = character as u32;
    BLOCKS
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&code))
}

/// Whether the words stand in a row in the text. Gmail finds whole words only.
fn contains_words(text: &str, wanted: &[String]) -> bool {
    wanted.is_empty()
        || words(text)
            .windows(wanted.len())
            .any(|window| window == wanted)
}

fn mentions(parsed: &Parsed, wanted: &[String]) -> bool {
    let people = parsed
        .from
        .iter()
        .chain(&parsed.to)
        .chain(&parsed.cc)
        .chain(&parsed.bcc);
    contains_words(parsed.subject.as_deref().unwrap_or_default(), wanted)
        || contains_words(parsed.text.as_deref().unwrap_or_default(), wanted)
        || people.into_iter().any(|one| is_named(one, wanted))
        || parsed
            .attachments()
            .iter()
            .any(|part| contains_words(part.file_name.as_deref().unwrap_or_default(), wanted))
}

fn names(addresses: &[Address], wanted: &str, account: &str) -> bool {
    let wanted = if wanted == "me" { account } else { wanted };
    let wanted = words(wanted);
    addresses.iter().any(|address| is_named(address, &wanted))
}

fn is_named(address: &Address, wanted: &[String]) -> bool {
    contains_words(&address.address, wanted)
        || contains_words(address.name.as_deref().unwrap_or_default(), wanted)
}
