//! Showing a message: its text without what it quotes, what it is, its HTML made safe.

use clap::Args;
use futures_util::TryStreamExt;
use postroom::facts::{
    Authentication, Automatic, DeliveryAction, Facts, ProtectionKind, RecipientStatus, Relation,
    Report,
};
use postroom::view::SafeHtml;
use postroom::{Mailbox, Message, MessageId};

use crate::Failure;
use crate::output::Output;

/// Larger pictures are left out of a page that is printed.
const LARGEST_PICTURE: usize = 4 * 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Read {
    /// Its id, as `list` shows it
    id: String,
    /// Show what it quotes, too
    #[arg(long)]
    all: bool,
    /// Print its HTML, made safe to show in a browser, with the pictures that are inside the message
    #[arg(long)]
    html: bool,
    /// Let the browser fetch pictures from elsewhere, which tells the sender that the message is read
    #[arg(long, requires = "html")]
    remote_images: bool,
}

impl Read {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let message = mailbox.message(&MessageId::new(self.id)).await?;
        if self.html {
            let page = page(mailbox, &message, self.remote_images).await?;
            output.text(&page.ok_or_else(|| {
                Failure::Usage("the message has no HTML; leave --html out".to_owned())
            })?);
            return Ok(());
        }
        let mut facts = message.facts();
        // What became of whom, and what an invitation says, stands in parts that were not read yet.
        if facts.report.is_some() || !facts.calendar.is_empty() {
            facts = mailbox.facts(&message.id).await?;
        }
        let server = mailbox.capabilities().authentication_server.as_ref();
        let found = server.and_then(|server| message.authentication(server));
        output.read(&message, &facts, found.as_ref(), self.all);
        Ok(())
    }
}

async fn page(
    mailbox: &Mailbox,
    message: &Message,
    remote_images: bool,
) -> Result<Option<String>, Failure> {
    let mut options = SafeHtml::new().with_remote_images(remote_images);
    let Some(first) = message.safe_html(&options) else {
        return Ok(None);
    };
    for attachment in &message.attachments {
        let Some(id) = &attachment.content_id else {
            continue;
        };
        let missing = |wanted: &String| wanted.eq_ignore_ascii_case(id);
        if !first.missing_images.iter().any(missing) {
            continue;
        }
        let mut bytes = Vec::new();
        let mut stream = mailbox.attachment(&message.id, &attachment.id).await?;
        while let Some(chunk) = stream
            .try_next()
            .await
            .map_err(|error| Failure::Local("a picture broke off".to_owned(), error))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST_PICTURE {
                break;
            }
        }
        if bytes.len() <= LARGEST_PICTURE {
            options = options.with_inline_image(id, &attachment.media_type, &bytes);
        }
    }
    Ok(message.safe_html(&options).map(|view| view.html))
}

/// What is worth telling of a message, beside its text: a name and what is told.
pub(crate) fn told(facts: &Facts, found: Option<&Authentication>) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    let mut kind: Vec<&str> = Vec::new();
    match facts.relation {
        Relation::Reply => kind.push("a reply"),
        Relation::Forward => kind.push("forwarded"),
        _ => {}
    }
    kind.extend(facts.automatic.map(|automatic| match automatic {
        Automatic::Replied => "an automatic reply",
        _ => "written by a machine",
    }));
    if facts.bulk {
        kind.push("sent to many");
    }
    told.push(("Kind", kind.join(", ")));
    if let Some(found) = found {
        let checks = found.results.iter().map(|result| {
            let domain = result.domain().map(|domain| format!(" ({domain})"));
            let name = |of: &dyn std::fmt::Debug| format!("{of:?}").to_lowercase();
            format!(
                "{} {}{}",
                name(&result.method),
                name(&result.verdict),
                domain.unwrap_or_default()
            )
        });
        told.push(("Checks", checks.collect::<Vec<_>>().join(", ")));
    }
    let list = facts.list.as_ref();
    let list = list.and_then(|list| list.name.clone().or_else(|| list.id.clone()));
    told.push(("List", list.unwrap_or_default()));
    if let Some(leave) = &facts.unsubscribe {
        let ways = leave.web.iter().map(ToString::to_string);
        let mail = leave
            .mail
            .iter()
            .flat_map(|mail| &mail.to)
            .map(ToString::to_string);
        let mut ways: Vec<String> = ways.chain(mail).collect();
        if leave.one_click.is_some() {
            ways.push("one click".to_owned());
        }
        told.push(("Leave by", ways.join(" or ")));
    }
    let protections = facts
        .protection
        .iter()
        .map(|protection| match protection.kind {
            ProtectionKind::Signed | ProtectionKind::SignedOpaque => "signed, not verified",
            ProtectionKind::Encrypted => "encrypted",
            _ => "signed or encrypted",
        });
    told.push(("Secured", protections.collect::<Vec<_>>().join(", ")));
    for part in &facts.calendar {
        let method = part
            .method
            .as_ref()
            .map(|method| format!("{method:?}").to_lowercase());
        let method = method.unwrap_or_else(|| "an event".to_owned());
        told.push((
            "Calendar",
            format!("{method} {}", part.uid.as_deref().unwrap_or_default()),
        ));
    }
    told.extend(
        facts
            .report
            .as_ref()
            .map(|report| ("Reports", reported(report))),
    );
    if facts.tnef {
        told.push(("Hidden", "attachments in a winmail.dat".to_owned()));
    }
    told.retain(|(_, what)| !what.trim().is_empty());
    told
}

fn reported(report: &Report) -> String {
    let (what, original) = match report {
        Report::Delivery(report) => {
            let recipients = report.recipients.iter().map(delivered);
            (recipients.collect::<Vec<_>>().join("; "), &report.original)
        }
        Report::Feedback(report) => (
            format!("a complaint ({})", report.feedback_type),
            &report.original,
        ),
        Report::Disposition(report) => {
            let what = report.disposition.as_deref().unwrap_or("received");
            (format!("it was {what}"), &report.original)
        }
        _ => return String::new(),
    };
    let about = original
        .message_id
        .as_deref()
        .map(|id| format!(" (about {id})"));
    format!("{what}{}", about.unwrap_or_default())
}

fn delivered(recipient: &RecipientStatus) -> String {
    let address = &recipient.address;
    let status = recipient
        .status
        .map(|status| format!(" {status}"))
        .unwrap_or_default();
    let diagnostic = recipient.diagnostic.as_deref().unwrap_or_default();
    let what = match recipient.action {
        DeliveryAction::Failed => "not delivered to",
        DeliveryAction::Delayed => "delayed for",
        _ => "delivered to",
    };
    format!("{what} {address}{status} {diagnostic}")
        .trim_end()
        .to_owned()
}
