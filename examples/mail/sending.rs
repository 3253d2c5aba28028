//! `send`.

use std::path::{Path, PathBuf};

use clap::Args;
use postroom::{Address, Content, Delivery, Mailbox, Outgoing, OutgoingAttachment};

use crate::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// A recipient, as `address` or `Name <address>`; may be repeated
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<Address>,
    /// Another recipient; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    cc: Vec<Address>,
    /// A recipient that the others do not see; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    bcc: Vec<Address>,
    /// The subject
    #[arg(long, default_value = "")]
    subject: String,
    /// The text
    #[arg(long)]
    text: Option<String>,
    /// A file with the text as HTML
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A file to attach; may be repeated
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
}

impl Send {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let mut outgoing = Outgoing::new().subject(self.subject);
        outgoing.to = self.to;
        outgoing.cc = self.cc;
        outgoing.bcc = self.bcc;
        outgoing.text = self.text;
        if let Some(path) = &self.html {
            outgoing.html = Some(std::fs::read_to_string(path).map_err(cannot_read(path))?);
        }
        for path in &self.attach {
            let content = Content::from_file(path).await.map_err(cannot_read(path))?;
            let name = path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy();
            outgoing = outgoing.attach(OutgoingAttachment::new(name, media_type(path), content));
        }
        let progress = output.spinner("Sending");
        let sent = mailbox.send(&outgoing).await;
        progress.finish_and_clear();
        match sent {
            Ok(sent) => output.sent(&sent),
            Err(error) => {
                if error.delivery() == Delivery::Unknown {
                    eprintln!(
                        "It is not known whether the message was sent: look for it before you send it again."
                    );
                }
                return Err(error.into());
            }
        }
        Ok(())
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
