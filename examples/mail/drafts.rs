//! `drafts`: messages that are not sent yet.

use clap::Subcommand;
use postroom::{Detail, Draft, DraftEdit, DraftId, Mailbox, PageRequest};
use serde_json::json;

use crate::Failure;
use crate::output::Output;
use crate::sending::{Recipients, When, Written, watched};

#[derive(Debug, Subcommand)]
pub(crate) enum Drafts {
    /// Show a draft
    Show {
        /// Its id
        id: String,
    },
    /// Keep a message as a draft
    New {
        #[command(flatten)]
        recipients: Recipients,
        /// The subject
        #[arg(long, default_value = "")]
        subject: String,
        #[command(flatten)]
        written: Written,
    },
    /// Change a draft; what is not named stays, attachments too
    Edit {
        /// Its id
        id: String,
        #[command(flatten)]
        recipients: Recipients,
        /// The subject
        #[arg(long)]
        subject: Option<String>,
        #[command(flatten)]
        written: Written,
    },
    /// Send a draft
    Send {
        /// Its id
        id: String,
        #[command(flatten)]
        when: When,
    },
    /// Delete a draft for good
    Discard {
        /// Its id
        id: String,
    },
}

pub(crate) async fn run(
    action: Option<Drafts>,
    mailbox: &Mailbox,
    output: &Output,
) -> Result<(), Failure> {
    match action {
        None => list(mailbox, output).await,
        Some(Drafts::Show { id }) => {
            let draft = mailbox
                .drafts()?
                .get(&DraftId::new(id), Detail::Full)
                .await?;
            output.read(&draft.message, &draft.message.facts(), None, true);
            Ok(())
        }
        Some(Drafts::New {
            recipients,
            subject,
            written,
        }) => {
            let mut outgoing = written.message(recipients, subject).await?;
            let progress = watched(&mut outgoing.attachments, output, "Keeping it");
            let draft = mailbox.drafts()?.create(&outgoing).await;
            progress.finish_and_clear();
            kept(&draft?, output);
            Ok(())
        }
        Some(Drafts::Edit {
            id,
            recipients,
            subject,
            written,
        }) => {
            let mut edit = edit(recipients, subject, &written).await?;
            if edit.is_empty() {
                return Err(Failure::Usage("say what to change".to_owned()));
            }
            let drafts = mailbox.drafts()?;
            let id = DraftId::new(id);
            // Whoever changes it between the two is not overwritten.
            let before = drafts.get(&id, Detail::Ids).await?;
            let progress = watched(&mut edit.attach, output, "Changing it");
            let draft = drafts.update(&id, Some(&before.revision), &edit).await;
            progress.finish_and_clear();
            kept(&draft?, output);
            Ok(())
        }
        Some(Drafts::Send { id, when }) => {
            when.send_draft(mailbox, &DraftId::new(id), output).await
        }
        Some(Drafts::Discard { id }) => {
            mailbox.drafts()?.discard(&DraftId::new(id)).await?;
            output.done("Deleted.");
            Ok(())
        }
    }
}

async fn edit(
    recipients: Recipients,
    subject: Option<String>,
    written: &Written,
) -> Result<DraftEdit, Failure> {
    let mut edit = DraftEdit::new();
    let named = |addresses: Vec<_>| Some(addresses).filter(|addresses| !addresses.is_empty());
    edit.to = named(recipients.to);
    edit.cc = named(recipients.cc);
    edit.bcc = named(recipients.bcc);
    edit.subject = subject;
    if let Some(text) = written.text() {
        edit = edit.text(text);
    }
    if let Some(html) = written.html()? {
        edit = edit.html(html);
    }
    edit.attach = written.files().await?;
    Ok(edit)
}

fn kept(draft: &Draft, output: &Output) {
    if output.is_json() {
        return output.document(&json!({ "id": draft.id.as_str() }));
    }
    output.done(&format!("Kept as the draft {}.", draft.id));
}

async fn list(mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
    let drafts = mailbox.drafts()?;
    let mut page = PageRequest::first();
    let (mut rows, mut failed) = (Vec::new(), None);
    loop {
        let found = drafts.list(Detail::Headers, page).await?;
        for draft in found.items {
            match draft {
                Ok(draft) => {
                    let to = draft.message.to.first().map(|to| to.address().to_owned());
                    rows.push(json!({
                        "Id": draft.id.as_str(),
                        "To": to.unwrap_or_default(),
                        "Subject": draft.message.subject.as_deref().unwrap_or_default(),
                    }));
                }
                Err(error) => {
                    eprintln!("A draft cannot be read: {error}");
                    failed = Some(error.kind());
                }
            }
        }
        let Some(next) = found.next else { break };
        page = PageRequest::first().with_token(next);
    }
    output.rows("drafts", &["Id", "To", "Subject"], &rows);
    failed.map_or(Ok(()), |kind| Err(Failure::Some(kind)))
}
