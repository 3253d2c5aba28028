//! What listings tell, sorted by message in little memory: what is too much is sorted in parts, which wait in temporary files
//! without a name and are merged as they are read. What is compared with it is `comparison.rs`'s.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Seek as _, Write};
use std::vec::IntoIter;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{MessageId, ThreadId};

/// How many bytes are sorted in memory.
const MOST_HELD: usize = 256 * 1024;

/// How many files are merged at once.
const MOST_FILES: usize = 64;

/// How many messages are read from files at a time.
const AHEAD: usize = 1_000;

/// About what a sighting takes beside its texts and marks.
const OVERHEAD: usize = 160;

/// A message that was seen in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sighting {
    pub(crate) id: MessageId,
    /// Which of several of the same message comes first.
    pub(crate) order: u64,
    /// The lower, the sooner it is read if the host does not have it.
    pub(crate) rank: u64,
    pub(crate) thread: Option<ThreadId>,
    /// What was seen of it, by numbers that mean something to who listed it.
    pub(crate) marks: Vec<u32>,
}

/// Sightings as they come.
#[derive(Debug)]
pub(crate) struct Spool {
    held: Vec<Sighting>,
    bytes: usize,
    files: Vec<File>,
    /// How many of the files, from the first on, were merged from others.
    merged: usize,
    most_held: usize,
}

impl Spool {
    pub(crate) fn new() -> Self {
        Self::holding(MOST_HELD)
    }

    fn holding(most_held: usize) -> Self {
        Self {
            held: Vec::new(),
            bytes: 0,
            files: Vec::new(),
            merged: 0,
            most_held,
        }
    }

    pub(crate) async fn push(&mut self, sighting: Sighting) -> Result<()> {
        let thread = sighting.thread.as_ref().map_or(0, |id| id.as_str().len());
        self.bytes += OVERHEAD + sighting.id.as_str().len() + thread + 4 * sighting.marks.len();
        self.held.push(sighting);
        if self.bytes < self.most_held {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        self.bytes = 0;
        let mut files = std::mem::take(&mut self.files);
        let mut merged = self.merged;
        (self.files, self.merged) = apart(move || {
            held.sort_unstable();
            if files.len() >= MOST_FILES {
                // What was merged is left alone for long, so that nothing is written many times.
                merged = if merged < MOST_FILES / 2 { merged } else { 0 };
                let mut merge = Merge::new(files.split_off(merged), Vec::new())?;
                files.push(write_out(std::iter::from_fn(|| merge.next().transpose()))?);
                merged += 1;
            }
            files.push(write_out(held.into_iter().map(Ok))?);
            Ok((files, merged))
        })
        .await?;
        Ok(())
    }

    /// All of them, sorted.
    pub(crate) async fn sorted(self) -> Result<Sorted> {
        let (mut held, files) = (self.held, self.files);
        held.sort_unstable();
        let merge = if files.is_empty() {
            Merge::new(files, held).map_err(unkept)?
        } else {
            apart(move || Merge::new(files, held)).await?
        };
        Ok(Sorted {
            merge: Some(merge),
            ready: VecDeque::new(),
        })
    }
}

/// Sightings sorted by message.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// What is still to be read.
    merge: Option<Merge>,
    ready: VecDeque<Vec<Sighting>>,
}

impl Sorted {
    /// All sightings of the next message.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Sighting>>> {
        if self.ready.is_empty()
            && let Some(mut merge) = self.merge.take()
        {
            let (merge, ready) = if merge.is_in_memory {
                let ready = merge.some().map_err(unkept)?;
                (merge, ready)
            } else {
                apart(move || {
                    let ready = merge.some()?;
                    Ok((merge, ready))
                })
                .await?
            };
            self.merge = (!ready.is_empty()).then_some(merge);
            self.ready = ready;
        }
        Ok(self.ready.pop_front())
    }
}

/// One sorted part.
#[derive(Debug)]
enum Part {
    Held(IntoIter<Sighting>),
    File(BufReader<File>),
}

impl Part {
    fn next(&mut self) -> io::Result<Option<Sighting>> {
        match self {
            Self::Held(held) => Ok(held.next()),
            Self::File(file) => read(file),
        }
    }
}

/// Sorted parts as one.
#[derive(Debug)]
struct Merge {
    parts: Vec<Part>,
    /// The next of each part.
    heads: BinaryHeap<Reverse<(Sighting, usize)>>,
    is_in_memory: bool,
}

impl Merge {
    fn new(files: Vec<File>, held: Vec<Sighting>) -> io::Result<Self> {
        let is_in_memory = files.is_empty();
        let files = files
            .into_iter()
            .map(|file| Part::File(BufReader::new(file)));
        let mut merge = Self {
            parts: files.chain([Part::Held(held.into_iter())]).collect(),
            heads: BinaryHeap::new(),
            is_in_memory,
        };
        for part in 0..merge.parts.len() {
            merge.advance(part)?;
        }
        Ok(merge)
    }

    fn advance(&mut self, part: usize) -> io::Result<()> {
        if let Some(next) = self.parts.get_mut(part).map(Part::next).transpose()? {
            self.heads
                .extend(next.map(|sighting| Reverse((sighting, part))));
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<Option<Sighting>> {
        let Some(Reverse((sighting, part))) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(part)?;
        Ok(Some(sighting))
    }

    /// The next messages, with all sightings of each.
    fn some(&mut self) -> io::Result<VecDeque<Vec<Sighting>>> {
        let mut some = VecDeque::new();
        while some.len() < AHEAD
            && let Some(first) = self.next()?
        {
            let mut all = vec![first];
            while let Some(Reverse((next, _))) = self.heads.peek()
                && all.first().is_some_and(|first| first.id == next.id)
            {
                all.extend(self.next()?);
            }
            some.push_back(all);
        }
        Ok(some)
    }
}

fn write_out(sightings: impl Iterator<Item = io::Result<Sighting>>) -> io::Result<File> {
    let mut file = BufWriter::new(tempfile::tempfile()?);
    for sighting in sightings {
        let Sighting {
            id,
            order,
            rank,
            thread,
            marks,
        } = sighting?;
        file.write_all(&order.to_le_bytes())?;
        file.write_all(&rank.to_le_bytes())?;
        write_text(&mut file, id.as_str())?;
        // Ids are never empty.
        write_text(&mut file, thread.as_ref().map_or("", ThreadId::as_str))?;
        file.write_all(&length(marks.len())?.to_le_bytes())?;
        for mark in marks {
            file.write_all(&mark.to_le_bytes())?;
        }
    }
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn write_text(file: &mut impl Write, text: &str) -> io::Result<()> {
    file.write_all(&length(text.len())?.to_le_bytes())?;
    file.write_all(text.as_bytes())
}

fn length(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(io::Error::other)
}

fn read(file: &mut BufReader<File>) -> io::Result<Option<Sighting>> {
    if file.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let order = u64::from_le_bytes(read_bytes(file)?);
    let rank = u64::from_le_bytes(read_bytes(file)?);
    let id = MessageId::new(read_text(file)?);
    let thread = Some(read_text(file)?).filter(|thread| !thread.is_empty());
    let count = u32::from_le_bytes(read_bytes(file)?);
    let marks = (0..count).map(|_| read_bytes(file).map(u32::from_le_bytes));
    Ok(Some(Sighting {
        id,
        order,
        rank,
        thread: thread.map(ThreadId::new),
        marks: marks.collect::<io::Result<_>>()?,
    }))
}

fn read_bytes<const LENGTH: usize>(file: &mut impl Read) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_text(file: &mut impl Read) -> io::Result<String> {
    let length = u32::from_le_bytes(read_bytes(file)?);
    let mut text = String::new();
    file.take(u64::from(length)).read_to_string(&mut text)?;
    Ok(text)
}

/// Does work on files where it keeps nobody waiting.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).flatten().map_err(unkept)
}

fn unkept(error: io::Error) -> Error {
    let message = "what the service lists could not be kept in a temporary file";
    Error::new(ErrorKind::Content, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(number: u64, order: u64) -> Sighting {
        Sighting {
            id: MessageId::new(format!("{:04}", number * 7_919 % 1_000)),
            order,
            rank: number,
            thread: number
                .is_multiple_of(3)
                .then(|| ThreadId::new(number.to_string())),
            marks: (0..u32::try_from(number % 4).unwrap_or_default()).collect(),
        }
    }

    async fn all(most_held: usize) -> Vec<Vec<Sighting>> {
        let mut spool = Spool::holding(most_held);
        for order in 0..3 {
            for number in 0..1_000 {
                let pushed = spool.push(sighting(number, order)).await;
                assert!(pushed.is_ok());
            }
        }
        let mut all = Vec::new();
        if let Ok(mut sorted) = spool.sorted().await {
            while let Ok(Some(sightings)) = sorted.next().await {
                all.push(sightings);
            }
        }
        all
    }

    #[tokio::test]
    async fn what_went_through_files_is_what_stayed_in_memory() {
        let in_memory = all(usize::MAX).await;
        assert_eq!(in_memory.len(), 1_000);
        assert!(in_memory.iter().all(|sightings| sightings.len() == 3));
        assert!(in_memory.is_sorted());
        // So many files that they are merged on the way.
        assert_eq!(all(8_000).await, in_memory);
    }
}
