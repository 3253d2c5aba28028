//! What a host wants to know of a message beside its text: whether it is an answer, a machine's work, a newsletter that can
//! be left, signed, an invitation, a bounce. All of it is computed from what was read, nothing is asked of any service and
//! nothing is believed that the message says of its own safety; fetching what is to be examined is `Mailbox`'s.

/// Prints a type without what is in it: it came by mail, and debug texts end in logs.
macro_rules! opaque_debug {
    ($($name:ty),+ $(,)?) => {
        $(impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })+
    };
}

mod authentication;
mod automatic;
mod calendar;
mod fields;
mod list;
mod protection;
mod relation;
mod report;
mod source;

use std::fmt;

use serde::Serialize;

pub use authentication::{
    Authentication, AuthenticationMethod, AuthenticationProperty, AuthenticationResult, Verdict,
};
pub use automatic::Automatic;
pub use calendar::{CalendarMethod, CalendarPart};
pub use list::{MailingList, OneClick, Unsubscribe, UnsubscribeMail};
pub use protection::{Protection, ProtectionKind, ProtectionStandard};
pub(crate) use relation::subject_prefix;
pub use relation::{Relation, base_subject};
pub use report::{
    DeliveryAction, DeliveryReport, DispositionReport, EnhancedStatus, FeedbackReport,
    RecipientStatus, Report, ReportedMessage,
};

use crate::mime;
use crate::model::{AttachmentId, AuthenticationServer, Message};
use source::Source;

/// What is known of a message.
///
/// [`Message::facts`] computes it from a message that was read with [`Detail::Full`](crate::Detail::Full), which holds the
/// header and a list of the parts, but not their bytes; [`Facts::from_raw`] from the message itself, which holds
/// everything. What differs:
///
/// | | [`Message::facts`] | [`Facts::from_raw`] |
/// |---|---|---|
/// | [`relation`](Self::relation), [`automatic`](Self::automatic), [`list`](Self::list), [`unsubscribe`](Self::unsubscribe) | yes | yes |
/// | [`protection`](Self::protection) | of the whole message, and where parts give it away | yes |
/// | [`calendar`](Self::calendar) | that there is one; Gmail tells which part it is | with method and text |
/// | [`report`](Self::report) | that it is one, and the recipients and message that the header names | what happened to whom, and why |
/// | [`tnef`](Self::tnef) | yes, with ids to fetch them by | that there are some |
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// Whether it answers or forwards another message.
    pub relation: Relation,
    /// Whether it was forwarded by a machine or passed on as it was (`Resent-` lines), so that its recipients are not whom
    /// its author wrote to.
    pub redirected: bool,
    /// Whether a machine wrote it, and why.
    pub automatic: Option<Automatic>,
    /// Whether it went to very many (`Precedence: bulk`), or says so.
    pub bulk: bool,
    /// Whether an automatic answer to it, such as an out-of-office reply, would be wrong
    /// ([RFC 3834 §2](https://www.rfc-editor.org/rfc/rfc3834#section-2)).
    pub answer_suppressed: bool,
    /// The mailing list it came by.
    pub list: Option<MailingList>,
    /// How to leave the list or newsletter it belongs to.
    pub unsubscribe: Option<Unsubscribe>,
    /// How it is signed or encrypted, the outermost first. Nothing is verified.
    pub protection: Vec<Protection>,
    /// Its iCalendar parts, such as an invitation to a meeting.
    pub calendar: Vec<CalendarPart>,
    /// What it reports of another message: a bounce, a complaint, a receipt.
    pub report: Option<Report>,
    /// Whether it has a `winmail.dat`, in which Outlook hides attachments from other programs. What is within is not read.
    pub tnef: bool,
    /// The ids of such parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tnef_attachments: Vec<AttachmentId>,
}

impl Facts {
    /// Everything, from a message as [`Mailbox::raw`](crate::Mailbox::raw) streams it. The beginning of a long message is
    /// enough for what the beginning says.
    #[must_use]
    pub fn from_raw(raw: &[u8]) -> Self {
        mime::parse(raw)
            .map(|parsed| Self::of(&Source::from_raw(&parsed)))
            .unwrap_or_default()
    }

    fn of(source: &Source<'_>) -> Self {
        let unsubscribe = list::unsubscribe(source);
        let list = list::list(source);
        let automatic = automatic::automatic(source);
        let bulk = automatic::is_bulk(source);
        let report = report::report(source);
        let listed = list.is_some() || unsubscribe.is_some();
        let tnef = || source.parts.iter().filter(|part| part.is_tnef());
        Self {
            relation: relation::relation(source),
            redirected: relation::is_redirected(source),
            answer_suppressed: automatic.is_some()
                || bulk
                || listed
                || report.is_some()
                || automatic::asks_for_no_answer(source),
            automatic,
            bulk,
            list,
            unsubscribe,
            protection: protection::protection(source),
            calendar: calendar::calendar(source),
            report,
            tnef: tnef().next().is_some(),
            tnef_attachments: tnef().filter_map(|part| part.attachment.clone()).collect(),
        }
    }
}

impl Message {
    /// What is known of it beside its text. [`Detail::Full`](crate::Detail::Full) is needed: with less there are no header
    /// lines and no parts to tell from, and only the subject speaks.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts::of(&Source::from_message(self))
    }

    /// What the receiving service found when it checked who sent the message, from the topmost `Authentication-Results`
    /// line that is the service's own. [`Capabilities::authentication_server`](crate::Capabilities::authentication_server)
    /// says how Gmail's and Outlook's are known; a host that puts a gateway of its own before them names that.
    ///
    /// Lines by other names are never believed: anyone can write them
    /// ([RFC 8601 §7.1](https://www.rfc-editor.org/rfc/rfc8601#section-7.1)). A service is relied upon to remove lines
    /// that come in under its own name (§5), and mail that it did not receive from outside may have none.
    #[must_use]
    pub fn authentication(&self, server: &AuthenticationServer) -> Option<Authentication> {
        authentication::authentication(&self.headers, server)
    }
}

/// What is in a mail is not printed: debug texts end in logs.
impl fmt::Debug for Facts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Facts")
            .field("relation", &self.relation)
            .field("redirected", &self.redirected)
            .field("automatic", &self.automatic)
            .field("bulk", &self.bulk)
            .field("list", &self.list.is_some())
            .field("unsubscribe", &self.unsubscribe.is_some())
            .field("protection", &self.protection)
            .field("calendar", &self.calendar.len())
            .field("report", &self.report)
            .field("tnef", &self.tnef)
            .finish_non_exhaustive()
    }
}
