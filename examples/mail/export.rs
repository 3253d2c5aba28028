//! Writing messages into files: one each, or all into one mbox.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use futures_util::TryStreamExt;
use postroom::{Detail, Mailbox, Message, PageRequest, Query};
use sha2::{Digest, Sha256};

use crate::Failure;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// What to export, such as `from:billing@shop.example`; every message but junk and trash by default
    query: Vec<String>,
    /// The mbox file, or the folder for one file per message
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// One file for all messages, or one file each
    #[arg(long, value_enum, default_value_t = Format::Eml)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One file in which every message follows a line that begins with "From "
    Mbox,
    /// A folder with one .eml file per message; those that are there already are not fetched again
    Eml,
}

/// What became of an export.
#[derive(Default)]
struct Done {
    written: u64,
    there_already: u64,
    failed: Vec<postroom::Error>,
}

impl Export {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let text = self.query.join(" ");
        let query = if text.is_empty() {
            Query::All
        } else {
            text.parse()
                .map_err(|error| Failure::Usage(format!("the query: {error}")))?
        };
        // Before anything is asked of the service: what cannot be written need not be read.
        let target = Target::open(&self.out, self.format)?;
        let messages = self.list(mailbox, query, output).await?;
        let done = target.fill(mailbox, &messages, output).await?;
        output.exported(&self.out, done.written, done.there_already);
        match done.failed.first() {
            Some(error) => Err(Failure::Some(error.kind())),
            None => Ok(()),
        }
    }

    /// The messages to export, oldest first.
    async fn list(
        &self,
        mailbox: &Mailbox,
        query: Query,
        output: &Output,
    ) -> Result<Vec<Message>, Failure> {
        let page = PageRequest::first().with_size(100);
        let mut stream = mailbox.messages_with(query, Detail::Headers, page);
        let progress = output.spinner("Listing");
        let mut messages = Vec::new();
        while let Some(message) = stream.try_next().await? {
            messages.push(message);
            progress.inc(1);
        }
        progress.finish_and_clear();
        messages.reverse();
        Ok(messages)
    }
}

/// Where messages go.
enum Target<'a> {
    /// It gets its name when it is whole.
    Mbox(tempfile::NamedTempFile, &'a Path),
    Folder(&'a Path),
}

impl<'a> Target<'a> {
    fn open(path: &'a Path, format: Format) -> Result<Self, Failure> {
        let unusable = |error| Failure::Usage(format!("cannot write {}: {error}", path.display()));
        match format {
            Format::Eml => {
                std::fs::create_dir_all(path).map_err(unusable)?;
                Ok(Self::Folder(path))
            }
            Format::Mbox if path.exists() => Err(Failure::Usage(format!(
                "{} exists already; choose another name with --out",
                path.display()
            ))),
            Format::Mbox => {
                let folder = match path.parent() {
                    Some(folder) if folder != Path::new("") => folder,
                    _ => Path::new("."),
                };
                let file = tempfile::NamedTempFile::new_in(folder).map_err(unusable)?;
                Ok(Self::Mbox(file, path))
            }
        }
    }

    async fn fill(
        self,
        mailbox: &Mailbox,
        messages: &[Message],
        output: &Output,
    ) -> Result<Done, Failure> {
        let progress = output.bar("Exporting", messages.len() as u64);
        let mut done = Done::default();
        for message in messages {
            let outcome = match &self {
                Self::Folder(folder) => write_file(mailbox, message, folder).await,
                Self::Mbox(file, _) => append(mailbox, message, file).await,
            };
            match outcome {
                Ok(true) => done.written += 1,
                Ok(false) => done.there_already += 1,
                // One message that cannot be had does not stop the others.
                Err(Stop::Message(error)) => {
                    progress.suspend(|| eprintln!("{}: {error}", message.id));
                    done.failed.push(error);
                }
                Err(Stop::Disk(error)) => {
                    return Err(Failure::Local("cannot write".to_owned(), error));
                }
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        if let Self::Mbox(file, path) = self {
            file.persist_noclobber(path)
                .map_err(|error| Failure::Local("cannot write".to_owned(), error.error))?;
        }
        Ok(done)
    }
}

/// Why a message was not written.
enum Stop {
    Message(postroom::Error),
    Disk(io::Error),
}

/// Writes a message into a file of its own, unless it is there: then it was written whole.
async fn write_file(mailbox: &Mailbox, message: &Message, folder: &Path) -> Result<bool, Stop> {
    let path = folder.join(file_name(message));
    if path.exists() {
        return Ok(false);
    }
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Stop::Disk)?;
    let mut stream = mailbox.raw(&message.id).await.map_err(Stop::Message)?;
    while let Some(chunk) = stream.try_next().await.map_err(broken)? {
        file.write_all(&chunk).map_err(Stop::Disk)?;
    }
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Stop::Disk(error.error)),
    }
}

/// The same for the same message. Ids differ in case only and hold signs that file systems do not, so their hash stands
/// for them.
fn file_name(message: &Message) -> String {
    let hash = Sha256::digest(message.id.as_str());
    let hash: String = hash
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    match message.received_at {
        Some(received) => format!("{}-{hash}.eml", received.format("%Y%m%dT%H%M%SZ")),
        None => format!("{hash}.eml"),
    }
}

/// Adds a message to an mbox. It is fetched whole before, so that one that breaks off leaves nothing of it there.
async fn append(
    mailbox: &Mailbox,
    message: &Message,
    mbox: &tempfile::NamedTempFile,
) -> Result<bool, Stop> {
    let mut spool = tempfile::tempfile().map_err(Stop::Disk)?;
    let mut stream = mailbox.raw(&message.id).await.map_err(Stop::Message)?;
    while let Some(chunk) = stream.try_next().await.map_err(broken)? {
        spool.write_all(&chunk).map_err(Stop::Disk)?;
    }
    io::Seek::rewind(&mut spool).map_err(Stop::Disk)?;
    let mut writer = Mboxrd::new(BufWriter::new(mbox));
    writer.begin(message).map_err(Stop::Disk)?;
    io::copy(&mut spool, &mut writer).map_err(Stop::Disk)?;
    writer.end().map_err(Stop::Disk)?;
    Ok(true)
}

fn broken(error: io::Error) -> Stop {
    let kind = postroom::ErrorKind::Network;
    let message = "the message broke off while it was read";
    Stop::Message(postroom::Error::new(kind, message).with_source(error))
}

/// Writes a message as mboxrd: a line that would look like the beginning of another message gets one more `>`, however
/// many it has, so that reading takes exactly one away (<https://www.rfc-editor.org/rfc/rfc4155#appendix-A> describes
/// the family). Lines end in a line feed alone.
struct Mboxrd<W> {
    writer: W,
    /// The beginning of a line, as long as it may still become such a line.
    start: Option<Vec<u8>>,
    /// Whether a carriage return waits for its line feed.
    carriage_return: bool,
}

impl<W: Write> Mboxrd<W> {
    fn new(writer: W) -> Self {
        Self {
            writer,
            start: Some(Vec::new()),
            carriage_return: false,
        }
    }

    fn begin(&mut self, message: &Message) -> io::Result<()> {
        let sender = message.from.first().map(|from| from.address());
        let sender: String = sender.unwrap_or_default().split_whitespace().collect();
        let sender = if sender.is_empty() {
            "MAILER-DAEMON"
        } else {
            &sender
        };
        let received = message.received_at.or(message.sent_at);
        let received: DateTime<Utc> = received.unwrap_or_default();
        let received = received.format("%a %b %e %H:%M:%S %Y");
        writeln!(self.writer, "From {sender} {received}")
    }

    fn end(mut self) -> io::Result<()> {
        if self.carriage_return {
            self.put(b'\r')?;
        }
        let unfinished = match self.start.take() {
            Some(start) => {
                self.writer.write_all(&start)?;
                !start.is_empty()
            }
            None => true,
        };
        self.writer
            .write_all(if unfinished { b"\n\n" } else { b"\n" })?;
        self.writer.flush()
    }

    fn put(&mut self, byte: u8) -> io::Result<()> {
        const MARK: &[u8] = b"From ";
        let Some(start) = &mut self.start else {
            if byte == b'\n' {
                self.start = Some(Vec::new());
            }
            return self.writer.write_all(&[byte]);
        };
        start.push(byte);
        let quotes = start.iter().take_while(|byte| **byte == b'>').count();
        let word = start.get(quotes..).unwrap_or_default();
        if MARK.starts_with(word) && word.len() < MARK.len() {
            return Ok(());
        }
        let start = self.start.take().unwrap_or_default();
        if start.get(quotes..) == Some(MARK) {
            self.writer.write_all(b">")?;
        }
        if byte == b'\n' {
            self.start = Some(Vec::new());
        }
        self.writer.write_all(&start)
    }
}

impl<W: Write> Write for Mboxrd<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            if self.carriage_return && *byte != b'\n' {
                self.put(b'\r')?;
            }
            self.carriage_return = *byte == b'\r';
            if !self.carriage_return {
                self.put(*byte)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
