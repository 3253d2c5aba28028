//! `import`: messages from files into the mailbox. What a mailbox file is, is `export`'s to say.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use postroom::{Content, ImportOptions, Imported, Keyword, Mailbox};
use serde_json::json;

use crate::Failure;
use crate::messages::find;
use crate::output::{Output, messages};

/// What a line begins with that separates messages.
const SEPARATOR: &[u8] = b"From ";

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Files with one message each, or mailbox files with many
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The folder to put them into, by its id, its name, or what it is for
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// Leave them unread
    #[arg(long)]
    unread: bool,
}

impl Import {
    pub(crate) async fn run(self, mailbox: &Mailbox, output: &Output) -> Result<(), Failure> {
        let mut options = ImportOptions::new();
        if let Some(folder) = &self.folder {
            options = options.folder(find(&mailbox.folders().await?, folder)?);
        }
        if !self.unread {
            options = options.keyword(Keyword::Seen);
        }
        let mut length = 0;
        for path in &self.files {
            length += std::fs::metadata(path).map_err(cannot_read(path))?.len();
        }
        let bar = output.bar("Importing", length);
        let (mut imported, mut lost, mut failed) = (0_u64, 0_u64, None);
        for path in &self.files {
            let mut messages = Messages::open(path).await?;
            while let Some(message) = messages.next().map_err(cannot_read(path))? {
                let size = message.len();
                match mailbox.import(message, &options).await {
                    Ok(Imported { lost: nothing, .. }) if nothing.is_empty() => imported += 1,
                    Ok(_) => {
                        imported += 1;
                        lost += 1;
                    }
                    Err(error) => {
                        let number = messages.number;
                        bar.suspend(|| {
                            eprintln!("{}, message {number}: {error}", path.display());
                        });
                        failed = Some(error.kind());
                    }
                }
                bar.inc(size);
            }
        }
        bar.finish_and_clear();
        if output.is_json() {
            output.document(&json!({ "imported": imported, "not_quite": lost }));
        } else {
            output.done(&format!("Imported {}.", messages(imported)));
            if lost > 0 {
                output.done(&format!(
                    "Of {lost} of them the service did not keep everything as it was."
                ));
            }
        }
        failed.map_or(Ok(()), |kind| Err(Failure::Some(kind)))
    }
}

fn cannot_read(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let what = format!("cannot read {}", path.display());
    move |error| Failure::Local(what, error)
}

/// The messages of a file, one after the other. Each is a part of the file, and is read as it goes up.
struct Messages {
    file: Content,
    reader: BufReader<File>,
    /// The line that was read ahead, and where it begins.
    line: Vec<u8>,
    at: u64,
    is_mailbox: bool,
    number: u64,
}

impl Messages {
    async fn open(path: &Path) -> Result<Self, Failure> {
        let content = Content::from_file(path).await.map_err(cannot_read(path))?;
        let file = File::open(path).map_err(cannot_read(path))?;
        let mut messages = Self {
            file: content,
            reader: BufReader::new(file),
            line: Vec::new(),
            at: 0,
            is_mailbox: false,
            number: 0,
        };
        messages.read_line().map_err(cannot_read(path))?;
        messages.is_mailbox = messages.line.starts_with(SEPARATOR);
        Ok(messages)
    }

    fn read_line(&mut self) -> std::io::Result<()> {
        self.at += self.line.len() as u64;
        self.line.clear();
        self.reader.read_until(b'\n', &mut self.line).map(drop)
    }

    fn next(&mut self) -> std::io::Result<Option<Content>> {
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if !self.is_mailbox {
            self.line.clear();
            return Ok(Some(self.file.clone()));
        }
        self.read_line()?;
        let (mut parts, mut start) = (Vec::new(), self.at);
        // Whether what was read so far ends in an empty line.
        let mut is_blank = false;
        while !self.line.is_empty() && !self.line.starts_with(SEPARATOR) {
            let quotes = self.line.iter().take_while(|byte| **byte == b'>').count();
            let word = self.line.get(quotes..).unwrap_or_default();
            if quotes > 0 && word.starts_with(SEPARATOR) {
                // Quoted where it would have separated.
                parts.push(self.file.range(start, self.at));
                start = self.at + 1;
            }
            is_blank = self.line == b"\n";
            self.read_line()?;
        }
        // The empty line before the next message.
        let end = self.at - u64::from(is_blank);
        parts.push(self.file.range(start, end));
        Ok(Some(Content::concatenate(parts)))
    }
}
