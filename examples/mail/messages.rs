//! Reading and organising.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt};
use postroom::{
    AttachmentId, Change, Folder, FolderId, FolderRole, Keyword, Mailbox, Message, MessageId,
    PageRequest, Query,
};

use crate::Failure;
use crate::output::{Output, file_name};

#[derive(Debug, Args)]
pub(crate) struct List {
    /// What to look for, such as `from:billing@shop.example is:unread`; the inbox by default
    query: Vec<String>,
    /// How many messages at most
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

impl List {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let query = self.query()?;
        let page = PageRequest::first().with_size(self.limit.clamp(1, 100));
        let mut stream = mailbox
            .messages_with(query, postroom::Detail::Headers, page)
            .take(self.limit as usize);
        let progress = output.spinner("Listing");
        let mut messages: Vec<Message> = Vec::new();
        while let Some(message) = stream.try_next().await? {
            messages.push(message);
            progress.inc(1);
        }
        progress.finish_and_clear();
        output.messages(&messages);
        Ok(())
    }

    pub(crate) fn query(&self) -> Result<Query, Failure> {
        let text = self.query.join(" ");
        if text.is_empty() {
            return Ok(Query::inbox());
        }
        text.parse()
            .map_err(|error| Failure::Usage(format!("the query: {error}")))
    }
}

pub(crate) async fn folders(mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
    output.folders(&mailbox.folders().await?);
    Ok(())
}

#[derive(Debug, Args)]
pub(crate) struct Conversation {
    /// The id of any message of it, as `list` shows it
    id: String,
    /// What to do with all of its messages, instead of showing them
    #[arg(long, value_enum)]
    apply: Option<Whole>,
}

/// What can be done with a whole conversation.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Whole {
    Read,
    Unread,
    Starred,
    Unstarred,
    Archive,
    Trash,
}

impl Whole {
    fn change(self) -> Change {
        match self {
            Self::Read => Mark::Read.change(),
            Self::Unread => Mark::Unread.change(),
            Self::Starred => Mark::Starred.change(),
            Self::Unstarred => Mark::Unstarred.change(),
            Self::Archive => Change::Archive,
            Self::Trash => Change::Trash,
        }
    }
}

impl Conversation {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let id = MessageId::new(self.id);
        let found = mailbox
            .messages_by_id(std::slice::from_ref(&id), postroom::Detail::Ids)
            .await?;
        let message = found.into_iter().next();
        let thread = message.transpose()?.and_then(|message| message.thread);
        let thread = thread.ok_or_else(|| {
            Failure::Usage("the message belongs to no conversation that is known".to_owned())
        })?;
        match self.apply {
            None => output.thread(&mailbox.thread(&thread).await?),
            Some(whole) => {
                let outcomes = mailbox.apply_to_threads(&[thread], &whole.change()).await?;
                output.outcomes(&[id], &outcomes);
                if let Some(error) = outcomes.into_iter().find_map(Result::err) {
                    return Err(Failure::Some(error.kind()));
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(crate) struct Attachment {
    /// The message's id
    id: String,
    /// The attachment's id or name, as `read` shows it
    part: String,
    /// Where to save it; `-` is standard output, the attachment's own name the default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Attachment {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let id = MessageId::new(self.id);
        let attachments = mailbox.message(&id).await?.attachments;
        let by_id = |attachment: &&postroom::Attachment| attachment.id.as_str() == self.part;
        let by_name = |attachment: &&postroom::Attachment| {
            attachment.name.as_deref() == Some(self.part.as_str())
        };
        let attachment = attachments
            .iter()
            .find(by_id)
            .or_else(|| attachments.iter().find(by_name));
        let out = self.out.unwrap_or_else(|| {
            let name = attachment.and_then(|attachment| attachment.name.as_deref());
            PathBuf::from(file_name(name))
        });
        let failed = |error| Failure::Local(format!("cannot write {}", out.display()), error);
        let mut writer = Destination::open(&out)?;
        // What is no part of the message is the service's to refuse.
        let part = attachment.map_or_else(
            || AttachmentId::new(self.part.as_str()),
            |attachment| attachment.id.clone(),
        );
        let mut stream = mailbox.attachment(&id, &part).await?;
        let progress = output.bytes("Saving");
        let mut length = 0;
        while let Some(chunk) = stream
            .try_next()
            .await
            .map_err(|error| Failure::Local("the attachment broke off".to_owned(), error))?
        {
            writer.write_all(&chunk).map_err(failed)?;
            length += chunk.len() as u64;
            progress.set_position(length);
        }
        writer.finish().map_err(failed)?;
        progress.finish_and_clear();
        if out != Path::new("-") {
            output.saved(&out, length);
        }
        Ok(())
    }
}

/// Where an attachment goes. A file has its name only once it is whole, and mail never overwrites one of the user's.
enum Destination<'a> {
    StandardOutput(std::io::Stdout),
    File(tempfile::NamedTempFile, &'a Path),
}

impl<'a> Destination<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::StandardOutput(std::io::stdout()));
        }
        if path.exists() {
            return Err(Failure::Usage(format!(
                "{} exists already; choose another name with --out",
                path.display()
            )));
        }
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let file = tempfile::NamedTempFile::new_in(directory)
            .map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self::File(file, path))
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::StandardOutput(output) => output.write_all(bytes),
            Self::File(file, _) => file.write_all(bytes),
        }
    }

    fn finish(self) -> std::io::Result<()> {
        match self {
            Self::StandardOutput(mut output) => output.flush(),
            Self::File(file, path) => {
                file.persist_noclobber(path)?;
                Ok(())
            }
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Mark {
    Read,
    Unread,
    Starred,
    Unstarred,
}

impl Mark {
    pub(crate) fn change(self) -> Change {
        match self {
            Self::Read => Change::Set(Keyword::Seen),
            Self::Unread => Change::Clear(Keyword::Seen),
            Self::Starred => Change::Set(Keyword::Flagged),
            Self::Unstarred => Change::Clear(Keyword::Flagged),
        }
    }
}

pub(crate) async fn move_to(
    mailbox: &Mailbox,
    folder: &str,
    ids: &[String],
    output: &Output,
) -> Result<(), Failure> {
    let folders = mailbox.folders().await?;
    let change = match find(&folders, folder) {
        Ok(to) => Change::MoveTo { to, from: None },
        // Gmail has an archive, but no folder for it.
        Err(_) if folder.eq_ignore_ascii_case(FolderRole::Archive.as_str()) => Change::Archive,
        Err(failure) => return Err(failure),
    };
    apply(mailbox, ids, &change, output).await
}

/// A folder by its id, by what it is for, or by its name.
pub(crate) fn find(folders: &[Folder], wanted: &str) -> Result<FolderId, Failure> {
    let by_id = |folder: &&Folder| folder.id.as_str() == wanted;
    let by_role = |folder: &&Folder| {
        folder
            .role
            .is_some_and(|role| role.as_str().eq_ignore_ascii_case(wanted))
    };
    let exact = folders
        .iter()
        .find(by_id)
        .or_else(|| folders.iter().find(by_role));
    let by_name = |folder: &&Folder| folder.name.to_lowercase() == wanted.to_lowercase();
    let named: Vec<&Folder> = folders.iter().filter(by_name).collect();
    match exact.or(named.first().copied()) {
        None => Err(Failure::Usage(format!(
            "there is no folder {wanted}; see `mail folders`"
        ))),
        Some(_) if exact.is_none() && named.len() > 1 => Err(Failure::Usage(format!(
            "several folders are named {wanted}; use the id"
        ))),
        Some(folder) => Ok(folder.id.clone()),
    }
}

pub(crate) async fn apply(
    mailbox: &Mailbox,
    ids: &[String],
    change: &Change,
    output: &Output,
) -> Result<(), Failure> {
    let ids: Vec<MessageId> = ids.iter().map(|id| MessageId::new(id.as_str())).collect();
    let outcomes = mailbox.apply(&ids, change).await?;
    output.outcomes(&ids, &outcomes);
    match outcomes.into_iter().find_map(Result::err) {
        Some(error) => Err(Failure::Some(error.kind())),
        None => Ok(()),
    }
}
