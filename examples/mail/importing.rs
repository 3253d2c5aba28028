//! `import`: messages from files into the mailbox. What a mailbox file is, is `export`'s to say.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use postroom::{ImportOptions, Imported, Keyword, Mailbox};
use serde_json::json;

use crate::Failure;
use crate::messages::find;
use crate::output::Output;

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
            let mut messages = Messages::open(path)?;
            while let Some(message) = messages.next().map_err(cannot_read(path))? {
                let size = message.len() as u64;
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
            output.done(&format!("Imported {imported} messages."));
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

/// The messages of a file, one after the other.
struct Messages {
    reader: BufReader<File>,
    /// The line that was read ahead.
    line: Vec<u8>,
    is_mailbox: bool,
    number: u64,
}

impl Messages {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(cannot_read(path))?;
        let mut messages = Self {
            reader: BufReader::new(file),
            line: Vec::new(),
            is_mailbox: false,
            number: 0,
        };
        messages.read_line().map_err(cannot_read(path))?;
        messages.is_mailbox = messages.line.starts_with(SEPARATOR);
        Ok(messages)
    }

    fn read_line(&mut self) -> std::io::Result<()> {
        self.line.clear();
        self.reader.read_until(b'\n', &mut self.line).map(drop)
    }

    fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.line.is_empty() {
            return Ok(None);
        }
        if self.is_mailbox {
            self.read_line()?;
        }
        let mut message = Vec::new();
        while !self.line.is_empty() {
            if self.is_mailbox && self.line.starts_with(SEPARATOR) {
                break;
            }
            let quotes = self.line.iter().take_while(|byte| **byte == b'>').count();
            let word = self.line.get(quotes..).unwrap_or_default();
            // Quoted where it would have separated.
            let skipped = usize::from(self.is_mailbox && quotes > 0 && word.starts_with(SEPARATOR));
            message.extend_from_slice(self.line.get(skipped..).unwrap_or_default());
            self.read_line()?;
        }
        if self.is_mailbox && message.ends_with(b"\n\n") {
            // The empty line before the next message.
            message.pop();
        }
        self.number += 1;
        Ok(Some(message))
    }
}
