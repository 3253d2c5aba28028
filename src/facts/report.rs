//! Reports about other messages: bounces (<https://www.rfc-editor.org/rfc/rfc3464>), complaints
//! (<https://www.rfc-editor.org/rfc/rfc5965>) and receipts (<https://www.rfc-editor.org/rfc/rfc8098>).

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::fields::{Group, address, after_type, groups};
use super::source::Source;
use crate::mime;

/// What a message reports of another one. Anyone can write such a message: a report is a hint, not a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Report {
    /// What became of it: a bounce, a delay, a confirmation of delivery.
    Delivery(DeliveryReport),
    /// A complaint: its recipient called it junk.
    Feedback(FeedbackReport),
    /// What its recipient did with it: a receipt that it was read or deleted.
    Disposition(DispositionReport),
}

/// The message that a report is about, as far as the report says.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReportedMessage {
    /// Its `Message-ID`, without angle brackets: [`Message::message_id`](crate::Message::message_id) of what was sent.
    pub message_id: Option<String>,
    /// Its subject.
    pub subject: Option<String>,
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// The server that reports.
    pub reporting_server: Option<String>,
    /// When the message reached that server.
    pub arrived_at: Option<DateTime<Utc>>,
    /// What became of it for each recipient.
    pub recipients: Vec<RecipientStatus>,
    /// The message that was sent.
    pub original: ReportedMessage,
}

/// What became of a message for one recipient.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecipientStatus {
    /// The address that was tried last.
    pub address: String,
    /// The address that the sender wrote to, where it is another one.
    pub original_address: Option<String>,
    /// What was done.
    pub action: DeliveryAction,
    /// The status code.
    pub status: Option<EnhancedStatus>,
    /// What the other server answered, in its words.
    pub diagnostic: Option<String>,
    /// The server that answered.
    pub remote_server: Option<String>,
    /// Until when delivery will be tried, if it is delayed.
    pub will_retry_until: Option<DateTime<Utc>>,
}

/// What was done for a recipient.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryAction {
    /// It could not be delivered, and will not be tried again.
    Failed,
    /// It could not be delivered yet.
    Delayed,
    /// It was delivered.
    Delivered,
    /// It was handed to a server that sends no reports.
    Relayed,
    /// It was delivered to an address that stands for several.
    Expanded,
    /// Something else, in lower case; empty if the report does not say.
    Other(String),
}

/// A status code such as `5.1.1` (<https://www.rfc-editor.org/rfc/rfc3463>): class, subject, detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedStatus(pub u8, pub u16, pub u16);

/// A complaint about a message.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FeedbackReport {
    /// The kind of complaint, in lower case: `abuse`, `fraud`, `virus`, `not-spam`, …
    pub feedback_type: String,
    /// Who complained, where the service tells; most hide it.
    pub recipients: Vec<String>,
    /// The address that the message was sent from.
    pub original_sender: Option<String>,
    /// When the message was received.
    pub arrived_at: Option<DateTime<Utc>>,
    /// The machine that sent it.
    pub source_ip: Option<String>,
    /// The message that was complained about.
    pub original: ReportedMessage,
}

/// What a recipient did with a message.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DispositionReport {
    /// The recipient.
    pub recipient: Option<String>,
    /// What was done, in lower case: `displayed`, `deleted`, `dispatched`, `processed`.
    pub disposition: Option<String>,
    /// Whether a program did it, not a person.
    pub automatic: bool,
    /// The message that was sent.
    pub original: ReportedMessage,
}

opaque_debug!(
    ReportedMessage,
    DeliveryReport,
    RecipientStatus,
    FeedbackReport,
    DispositionReport
);

impl RecipientStatus {
    /// Whether writing to this address again is of no use. A failure whose status does not say that it lasts
    /// (class 4: tried too long; or none) is not called so.
    #[must_use]
    pub fn is_permanent_failure(&self) -> bool {
        self.action == DeliveryAction::Failed
            && self
                .status
                .is_some_and(|EnhancedStatus(class, ..)| class == 5)
    }
}

impl DeliveryReport {
    /// Reads a `message/delivery-status` part alone, for hosts that fetched only that attachment. Which message it is
    /// about is told by other parts.
    #[must_use]
    pub fn parse(status: &[u8]) -> Self {
        let text = String::from_utf8_lossy(status);
        let groups = groups(&text);
        let is_recipient = |group: &Group| {
            group
                .field("Final-Recipient")
                .or(group.field("Original-Recipient"))
                .is_some()
        };
        let about = groups.iter().find(|group| !is_recipient(group));
        let field = |name: &str| {
            // Some servers leave out the blank line between what is about the message and the first recipient.
            about.or(groups.first()).and_then(|group| group.field(name))
        };
        Self {
            reporting_server: field("Reporting-MTA").map(|value| after_type(value).to_owned()),
            arrived_at: field("Arrival-Date").and_then(instant),
            recipients: groups
                .iter()
                .filter(|group| is_recipient(group))
                .filter_map(recipient)
                .collect(),
            original: ReportedMessage::default(),
        }
    }
}

fn recipient(group: &Group) -> Option<RecipientStatus> {
    let last = group.field("Final-Recipient").map(address);
    let first = group.field("Original-Recipient").map(address);
    let address = last
        .or_else(|| first.clone())
        .filter(|address| !address.is_empty())?;
    Some(RecipientStatus {
        original_address: first.filter(|first| !first.eq_ignore_ascii_case(&address)),
        address,
        action: action(group.field("Action").unwrap_or_default()),
        status: group.field("Status").and_then(EnhancedStatus::parse),
        diagnostic: group
            .field("Diagnostic-Code")
            .map(|value| after_type(value).to_owned()),
        remote_server: group
            .field("Remote-MTA")
            .map(|value| after_type(value).to_owned()),
        will_retry_until: group.field("Will-Retry-Until").and_then(instant),
    })
}

fn action(word: &str) -> DeliveryAction {
    // Some write `failed (mailbox full)`.
    let word = word.split([' ', '(', ';']).next().unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "failed" => DeliveryAction::Failed,
        "delayed" => DeliveryAction::Delayed,
        "delivered" => DeliveryAction::Delivered,
        "relayed" => DeliveryAction::Relayed,
        "expanded" => DeliveryAction::Expanded,
        other => DeliveryAction::Other(other.to_owned()),
    }
}

pub(super) fn report(source: &Source<'_>) -> Option<Report> {
    let claimed = source
        .multiparts
        .first()
        .filter(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("multipart/report")
        })
        .and_then(|value| mime::parameter(value, "report-type"))
        .unwrap_or_default()
        .to_ascii_lowercase();
    let content = |types: &[&str]| {
        source
            .of_type(types)
            .find_map(|part| part.content.as_deref())
            .map(|content| String::from_utf8_lossy(content).into_owned())
    };
    let has =
        |kind: &str, types: &[&str]| claimed == kind || source.of_type(types).next().is_some();

    const DELIVERY: &[&str] = &["message/delivery-status", "message/global-delivery-status"];
    const FEEDBACK: &[&str] = &["message/feedback-report"];
    const DISPOSITION: &[&str] = &[
        "message/disposition-notification",
        "message/global-disposition-notification",
    ];
    if has("feedback-report", FEEDBACK) {
        let text = content(FEEDBACK).unwrap_or_default();
        return Some(Report::Feedback(feedback(&text, original(source))));
    }
    if has("disposition-notification", DISPOSITION) {
        let text = content(DISPOSITION).unwrap_or_default();
        return Some(Report::Disposition(disposition(&text, original(source))));
    }
    // Servers that write no report still name the recipients, such as Exim's
    // (<https://www.exim.org/exim-html-current/doc/html/spec_html/ch-customizing_messages.html>).
    let failed = failed_recipients(source);
    if !has("delivery-status", DELIVERY) && failed.is_empty() {
        return None;
    }
    let mut report = DeliveryReport::parse(content(DELIVERY).unwrap_or_default().as_bytes());
    if report.recipients.is_empty() {
        report.recipients = failed;
    }
    report.original = original(source);
    Some(Report::Delivery(report))
}

fn failed_recipients(source: &Source<'_>) -> Vec<RecipientStatus> {
    let lines = source.all("X-Failed-Recipients");
    let addresses = lines.flat_map(|value| value.split(',').map(str::trim));
    addresses
        .filter(|address| address.contains('@'))
        .map(|address| RecipientStatus {
            address: address.to_owned(),
            original_address: None,
            action: DeliveryAction::Failed,
            status: None,
            diagnostic: None,
            remote_server: None,
            will_retry_until: None,
        })
        .collect()
}

/// The message that was sent: from the copy of it or of its header, or else the message that the report answers.
fn original(source: &Source<'_>) -> ReportedMessage {
    const COPIES: &[&str] = &[
        "message/rfc822",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global",
        "message/global-headers",
    ];
    let copy = source
        .of_type(COPIES)
        .find_map(|part| part.content.as_deref());
    let mut original = ReportedMessage::default();
    if let Some(parsed) =
        copy.and_then(|copy| mail_parser::MessageParser::new().parse_headers(copy))
    {
        original.message_id = parsed.message_id().map(str::to_owned);
        original.subject = parsed.subject().map(str::to_owned);
    }
    if original.message_id.is_none() {
        original.message_id = ["In-Reply-To", "References"].iter().find_map(|name| {
            source
                .header(name)
                .and_then(|value| mime::message_ids(value).pop())
        });
    }
    original
}

fn feedback(text: &str, original: ReportedMessage) -> FeedbackReport {
    let groups = groups(text);
    let field = |name: &str| groups.iter().find_map(|group| group.field(name));
    FeedbackReport {
        feedback_type: field("Feedback-Type")
            .unwrap_or_default()
            .to_ascii_lowercase(),
        recipients: groups
            .iter()
            .flat_map(|group| group.fields("Original-Rcpt-To").map(address))
            .collect(),
        original_sender: field("Original-Mail-From").map(address),
        arrived_at: field("Arrival-Date")
            .or_else(|| field("Received-Date"))
            .and_then(instant),
        source_ip: field("Source-IP").map(str::to_owned),
        original,
    }
}

fn disposition(text: &str, mut original: ReportedMessage) -> DispositionReport {
    let groups = groups(text);
    let field = |name: &str| groups.iter().find_map(|group| group.field(name));
    if let Some(id) = field("Original-Message-ID").and_then(|value| mime::message_ids(value).pop())
    {
        original.message_id = Some(id);
    }
    // `manual-action/MDN-sent-manually; displayed/error`
    let (mode, kind) = field("Disposition")
        .and_then(|value| value.split_once(';'))
        .unwrap_or_default();
    let kind = kind.split(['/', ',']).next().unwrap_or_default().trim();
    DispositionReport {
        recipient: field("Final-Recipient").map(address),
        disposition: (!kind.is_empty()).then(|| kind.to_ascii_lowercase()),
        automatic: mode
            .trim()
            .to_ascii_lowercase()
            .starts_with("automatic-action"),
        original,
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    let header = format!("Date: {text}\r\n\r\n");
    let parsed = mail_parser::MessageParser::new().parse_headers(header.as_bytes())?;
    let date = parsed.date().filter(|date| date.is_valid())?;
    DateTime::from_timestamp(date.to_timestamp(), 0)
}

impl EnhancedStatus {
    /// Reads the code at the beginning of a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code = text.trim_start().split([' ', '(', '\t']).next()?;
        let mut numbers = code.splitn(3, '.').map(|number| number.parse::<u16>().ok());
        let mut next = || numbers.next().flatten();
        let class = u8::try_from(next()?).ok()?;
        let status = Self(class, next()?, next()?);
        [2, 4, 5].contains(&class).then_some(status)
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Serialize for EnhancedStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
