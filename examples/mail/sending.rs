//! `send`, `reply` and `forward`. What is sent is noted in the outbox first, so that nothing goes out twice.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};
use indicatif::ProgressBar;
use postroom::reply::{Forward, Reply};
use postroom::{
    Address, Content, Delivery, DraftId, Mailbox, MessageId, Outgoing, OutgoingAttachment, SendKey,
    Sent,
};

use crate::Failure;
use crate::output::Output;

/// What is written.
#[derive(Debug, Args)]
pub(crate) struct Written {
    /// The text
    #[arg(long)]
    text: Option<String>,
    /// A file with the text as HTML
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A file to attach; may be repeated
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// A picture that the HTML shows as `cid:ID`; may be repeated
    #[arg(long, value_name = "ID=FILE")]
    inline: Vec<String>,
}

/// When and under which name it is sent.
#[derive(Debug, Args)]
pub(crate) struct When {
    /// A name for this send: however often the command is repeated with it, the message is sent once
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Let the service send it at this time, such as 2026-12-01T08:00:00Z; Outlook only
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
pub(crate) struct Recipients {
    /// A recipient, as `address` or `Name <address>`; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) to: Vec<Address>,
    /// Another recipient; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) cc: Vec<Address>,
    /// A recipient that the others do not see; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) bcc: Vec<Address>,
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    #[command(flatten)]
    recipients: Recipients,
    /// The subject
    #[arg(long, default_value = "")]
    subject: String,
    #[command(flatten)]
    written: Written,
    #[command(flatten)]
    when: When,
}

#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// The id of the message to answer
    id: String,
    /// Answer everyone who has the message, not its author alone
    #[arg(long)]
    all: bool,
    /// Do not quote the message
    #[arg(long)]
    no_quote: bool,
    #[command(flatten)]
    written: Written,
    #[command(flatten)]
    when: When,
}

#[derive(Debug, Args)]
pub(crate) struct Pass {
    /// The id of the message to forward
    id: String,
    /// A recipient; may be repeated
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<Address>,
    /// Attach the message as it is, rather than quote it
    #[arg(long)]
    as_attachment: bool,
    #[command(flatten)]
    written: Written,
    #[command(flatten)]
    when: When,
}

impl Send {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        if self.recipients.to.is_empty()
            && self.recipients.cc.is_empty()
            && self.recipients.bcc.is_empty()
        {
            return Err(Failure::Usage(
                "say to whom with --to, --cc or --bcc".into(),
            ));
        }
        let outgoing = self.written.message(self.recipients, self.subject).await?;
        self.when.send(mailbox, outgoing, output).await
    }
}

impl Answer {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let mut reply = if self.all {
            Reply::to_everyone()
        } else {
            Reply::to_author()
        };
        if let Some(text) = &self.written.text {
            reply = reply.text(text);
        }
        if let Some(html) = self.written.html()? {
            reply = reply.html(html);
        }
        if self.no_quote {
            reply = reply.without_quotation();
        }
        let outgoing = mailbox.reply(&MessageId::new(self.id), &reply).await?;
        let outgoing = self.written.attached_to(outgoing).await?;
        self.when.send(mailbox, outgoing, output).await
    }
}

impl Pass {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let mut forward = if self.as_attachment {
            Forward::as_attachment()
        } else {
            Forward::inline()
        };
        for address in self.to {
            forward = forward.to(address);
        }
        if let Some(text) = &self.written.text {
            forward = forward.text(text);
        }
        if let Some(html) = self.written.html()? {
            forward = forward.html(html);
        }
        let outgoing = mailbox.forward(&MessageId::new(self.id), &forward).await?;
        let outgoing = self.written.attached_to(outgoing).await?;
        self.when.send(mailbox, outgoing, output).await
    }
}

impl Written {
    /// A message of its own.
    pub(crate) async fn message(
        &self,
        recipients: Recipients,
        subject: String,
    ) -> Result<Outgoing, Failure> {
        let mut outgoing = Outgoing::new().subject(subject);
        outgoing.to = recipients.to;
        outgoing.cc = recipients.cc;
        outgoing.bcc = recipients.bcc;
        outgoing.text.clone_from(&self.text);
        outgoing.html = self.html()?;
        self.attached_to(outgoing).await
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(crate) fn html(&self) -> Result<Option<String>, Failure> {
        let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(cannot_read(path));
        self.html.as_ref().map(read).transpose()
    }

    async fn attached_to(&self, mut outgoing: Outgoing) -> Result<Outgoing, Failure> {
        for file in self.files().await? {
            outgoing = outgoing.attach(file);
        }
        Ok(outgoing)
    }

    /// The files to attach. None is read before it is sent.
    pub(crate) async fn files(&self) -> Result<Vec<OutgoingAttachment>, Failure> {
        let mut files = Vec::new();
        for path in &self.attach {
            files.push(file(path).await?);
        }
        for inline in &self.inline {
            let (id, path) = inline.split_once('=').ok_or_else(|| {
                Failure::Usage(format!("--inline takes ID=FILE, which {inline:?} is not"))
            })?;
            files.push(file(Path::new(path)).await?.inline(id));
        }
        Ok(files)
    }
}

async fn file(path: &Path) -> Result<OutgoingAttachment, Failure> {
    let content = Content::from_file(path).await.map_err(cannot_read(path))?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    let media_type = media_type(path);
    Ok(OutgoingAttachment::new(
        name.to_string_lossy(),
        media_type,
        content,
    ))
}

impl When {
    fn key(&self) -> SendKey {
        // Otherwise the moment, which no other send of this mailbox's has.
        let moment = || Utc::now().format("%Y%m%d-%H%M%S-%6f").to_string();
        SendKey::new(self.key.clone().unwrap_or_else(moment))
    }

    async fn send(
        self,
        mailbox: &Mailbox,
        mut outgoing: Outgoing,
        output: &Output,
    ) -> Result<(), Failure> {
        let key = self.key();
        if self.at.is_some() {
            outgoing.send_at = self.at;
        }
        let progress = watched(&mut outgoing.attachments, output, "Sending");
        let sent = mailbox.send_once(&key, &outgoing).await;
        progress.finish_and_clear();
        told(sent, &key, self.at, output)
    }

    /// Sends a draft.
    pub(crate) async fn send_draft(
        self,
        mailbox: &Mailbox,
        draft: &DraftId,
        output: &Output,
    ) -> Result<(), Failure> {
        if self.at.is_some() {
            return Err(Failure::Usage(
                "a draft is sent at once, without --at".into(),
            ));
        }
        let key = self.key();
        let progress = output.spinner("Sending");
        let sent = mailbox.send_draft_once(&key, draft, None).await;
        progress.finish_and_clear();
        told(sent, &key, None, output)
    }
}

/// Shows how far the reading of files is that are sent: they are read as they go up.
pub(crate) fn watched(
    files: &mut [OutgoingAttachment],
    output: &Output,
    what: &'static str,
) -> ProgressBar {
    let length = files.iter().map(|file| file.content.len()).sum();
    if length == 0 {
        return output.spinner(what);
    }
    let bar = output.bar_of_bytes(what, length);
    let mut before = 0;
    for file in files {
        let (whole, bar) = (file.content.clone(), bar.clone());
        let start = before;
        before += whole.len();
        file.content = Content::new(whole.len(), move |offset| {
            let (whole, bar) = (whole.clone(), bar.clone());
            async move {
                // One after the other; what has to be repeated goes back.
                bar.set_position(start + offset);
                let stream = whole.read_from(offset).await?;
                let counted = stream.inspect_ok(move |chunk| bar.inc(chunk.len() as u64));
                Ok(counted.boxed())
            }
        });
    }
    bar
}

/// Says what became of a send, and what can be done about it.
pub(crate) fn told(
    sent: postroom::Result<Sent>,
    key: &SendKey,
    at: Option<DateTime<Utc>>,
    output: &Output,
) -> Result<(), Failure> {
    match sent {
        Ok(sent) => {
            output.sent(&sent, at);
            Ok(())
        }
        Err(error) => {
            let key = key.as_str();
            if error.delivery() == Delivery::Unknown {
                eprintln!(
                    "It is not known whether the message was sent. `mail outbox settle {key}` finds out; do not send it again."
                );
            } else if error.is_transient() {
                eprintln!("The message was not sent. `mail outbox retry {key}` tries again.");
            }
            Err(error.into())
        }
    }
}

fn cannot_read(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let what = format!("cannot read {}", path.display());
    move |error| Failure::Usage(format!("{what}: {error}"))
}

/// By its extension, for the files that people mostly attach.
fn media_type(path: &Path) -> &'static str {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("txt" | "log") => "text/plain",
        Some("csv") => "text/csv",
        Some("html" | "htm") => "text/html",
        Some("pdf") => "application/pdf",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("ics") => "text/calendar",
        Some("json") => "application/json",
        Some("zip") => "application/zip",
        _ => "application/octet-stream",
    }
}
