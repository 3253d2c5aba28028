//! Bytes that can be read more than once: a length, and a function from an offset to a stream. Request bodies and
//! attachments are made of it, so that they never need to be in memory whole and can be repeated or resumed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_core::future::BoxFuture;
use futures_core::stream::{BoxStream, Stream};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// A stream of bytes that may fail while it is read.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

type Open = dyn Fn(u64) -> BoxFuture<'static, io::Result<ByteStream>> + Send + Sync;

/// How much is read from a file at a time.
const CHUNK: usize = 64 * 1024;

/// Bytes of known length that can be read from any offset, any number of times.
///
/// ```
/// use postroom::Content;
///
/// let content = Content::from_bytes("hello");
/// assert_eq!(content.len(), 5);
/// ```
#[derive(Clone)]
pub struct Content {
    length: u64,
    open: Arc<Open>,
    /// Whether it was seen to be lines of ASCII that can stand in a message as they are.
    plain_lines: bool,
}

impl Content {
    /// Content of `length` bytes; `open` gives the bytes from an offset (at most `length`) to the end. A stream that
    /// ends early or goes on too long makes the request that carries it fail.
    pub fn new<F, Fut>(length: u64, open: F) -> Self
    where
        F: Fn(u64) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<ByteStream>> + Send + 'static,
    {
        Self {
            length,
            open: Arc::new(move |offset| Box::pin(open(offset))),
            plain_lines: false,
        }
    }

    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_bytes(Bytes::new())
    }

    /// Bytes in memory.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(bytes.len() as u64, move |offset| {
            let rest = usize::try_from(offset)
                .ok()
                .filter(|offset| *offset <= bytes.len())
                .map_or_else(Bytes::new, |offset| bytes.slice(offset..));
            async move { Ok(stream::iter((!rest.is_empty()).then_some(Ok(rest))).boxed()) }
        })
    }

    /// A file, opened anew for each reading. Its length is taken now and must not change until the content was used.
    ///
    /// # Errors
    /// When the file's length cannot be read.
    pub async fn from_file(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path: Arc<Path> = path.into().into();
        let length = tokio::fs::metadata(&path).await?.len();
        Ok(Self::new(length, move |offset| {
            let path = Arc::clone(&path);
            async move {
                let mut file = tokio::fs::File::open(&path).await?;
                file.seek(io::SeekFrom::Start(offset)).await?;
                Ok(read_chunks(file))
            }
        }))
    }

    /// Everything a reader of unknown length gives, kept in a temporary file without a name that disappears with the
    /// last clone.
    ///
    /// # Errors
    /// When the reader fails or the temporary file cannot be written.
    pub async fn spool(reader: impl AsyncRead + Send + Unpin) -> io::Result<Self> {
        let chunks = stream::try_unfold(reader, |mut reader| async move {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let read = reader.read_buf(&mut chunk).await?;
            Ok((read > 0).then(|| (chunk.freeze(), reader)))
        });
        let spooled = Self::spool_stream(std::pin::pin!(chunks)).await;
        spooled.map_err(|error| match error {
            SpoolError::Source(error) | SpoolError::File(error) => error,
        })
    }

    /// The same with everything that a stream gives.
    pub(crate) async fn spool_stream(
        mut source: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    ) -> Result<Self, SpoolError> {
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
        let file = file.map_err(io::Error::other).flatten();
        let mut file = tokio::fs::File::from_std(file.map_err(SpoolError::File)?);
        let mut length = 0;
        while let Some(chunk) = source.try_next().await.map_err(SpoolError::Source)? {
            file.write_all(&chunk).await.map_err(SpoolError::File)?;
            length += chunk.len() as u64;
        }
        file.flush().await.map_err(SpoolError::File)?;
        let file = Arc::new(tokio::sync::Mutex::new(file));
        Ok(Self::new(length, move |offset| {
            let file = Arc::clone(&file);
            // One file position is shared by all readers, so each chunk is read at its own offset under the lock.
            async move {
                Ok(
                    stream::try_unfold((file, offset), |(file, offset)| async move {
                        let mut guard = file.lock().await;
                        guard.seek(io::SeekFrom::Start(offset)).await?;
                        let mut chunk = BytesMut::with_capacity(CHUNK);
                        let read = guard.read_buf(&mut chunk).await?;
                        drop(guard);
                        Ok((read > 0).then(|| (chunk.freeze(), (file, offset + read as u64))))
                    })
                    .boxed(),
                )
            }
        }))
    }

    /// The bytes of all `parts`, one after the other.
    #[must_use]
    pub fn concatenate(parts: Vec<Self>) -> Self {
        let length = parts.iter().map(Self::len).sum();
        let parts: Arc<[Self]> = parts.into();
        Self::new(length, move |offset| {
            let mut skip = offset;
            // Parts that lie before the offset as a whole are never opened.
            let rest: Vec<(Self, u64)> = parts
                .iter()
                .filter_map(|part| {
                    let start = skip.min(part.len());
                    skip -= start;
                    (start < part.len()).then(|| (part.clone(), start))
                })
                .collect();
            let opened = stream::iter(rest)
                .then(|(part, start)| async move { part.read_from(start).await })
                .try_flatten();
            async move { Ok(opened.boxed()) }
        })
    }

    /// The bytes from `start` up to `end`, both within the content.
    #[must_use]
    pub fn range(&self, start: u64, end: u64) -> Self {
        let start = start.min(self.length);
        let length = end.min(self.length).saturating_sub(start);
        let whole = self.clone();
        Self::new(length, move |offset| {
            let whole = whole.clone();
            async move {
                let left = length.saturating_sub(offset);
                let stream = whole.read_from(start + offset).await?;
                Ok(
                    stream::try_unfold((stream, left), |(mut stream, left)| async move {
                        if left == 0 {
                            return Ok(None);
                        }
                        let Some(mut chunk) = stream.try_next().await? else {
                            return Ok(None);
                        };
                        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                        let left = left - chunk.len() as u64;
                        Ok(Some((chunk, (stream, left))))
                    })
                    .boxed(),
                )
            }
        })
    }

    /// Reads all of it to see whether it can stand in a message as it is: lines of at most 998 octets (RFC 5322 §2.1.1), in
    /// ASCII and without NUL, each ended by CR and LF, and neither of them anywhere else.
    pub(crate) async fn examined(mut self) -> io::Result<Self> {
        let mut stream = self.read_from(0).await?;
        let mut lines = PlainLines::default();
        let mut length = 0;
        while let Some(chunk) = stream.try_next().await? {
            length += chunk.len() as u64;
            lines.read(&chunk);
        }
        if length != self.length {
            return Err(io::Error::other(
                "the content does not have the promised length",
            ));
        }
        self.plain_lines = lines.are_plain();
        Ok(self)
    }

    /// Whether [`examined`](Self::examined) found that it can stand in a message as it is.
    pub(crate) fn is_plain_lines(&self) -> bool {
        self.plain_lines
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads from `offset` to the end.
    ///
    /// # Errors
    /// When the source cannot be opened; the stream itself fails when reading does.
    pub async fn read_from(&self, offset: u64) -> io::Result<ByteStream> {
        (self.open)(offset).await
    }

    /// Everything, in memory. Fails rather than exceed `limit` bytes.
    ///
    /// # Errors
    /// When the source cannot be read, is longer than `limit`, or does not have the promised length.
    pub async fn to_bytes(&self, limit: u64) -> io::Result<Bytes> {
        if self.length > limit {
            return Err(io::Error::other("the content is longer than allowed here"));
        }
        let mut stream = self.read_from(0).await?;
        let mut all = BytesMut::new();
        while let Some(chunk) = stream.try_next().await? {
            all.extend_from_slice(&chunk);
            if all.len() as u64 > self.length {
                break;
            }
        }
        if all.len() as u64 == self.length {
            Ok(all.freeze())
        } else {
            Err(io::Error::other(
                "the content does not have the promised length",
            ))
        }
    }
}

/// Why something could not be kept in a temporary file.
#[derive(Debug)]
pub(crate) enum SpoolError {
    /// It could not be read.
    Source(io::Error),
    /// It could not be written.
    File(io::Error),
}

/// What was seen of lines so far.
#[derive(Default)]
struct PlainLines {
    broken: bool,
    /// Octets of the line that has not ended.
    line: usize,
    after_return: bool,
}

impl PlainLines {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let ends = self.after_return;
            self.after_return = *byte == b'\r';
            match byte {
                b'\n' if ends => self.line = 0,
                b'\n' => self.broken = true,
                // Whatever else follows a return, and a NUL or an octet beyond ASCII anywhere.
                _ if ends => self.broken = true,
                b'\r' => {}
                0 | 128.. => self.broken = true,
                _ => self.line += 1,
            }
            self.broken |= self.line > 998;
        }
    }

    fn are_plain(&self) -> bool {
        !self.broken && !self.after_return
    }
}

fn read_chunks(file: tokio::fs::File) -> ByteStream {
    stream::try_unfold(file, |mut file| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok((read > 0).then(|| (chunk.freeze(), file)))
    })
    .boxed()
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::from_bytes(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_bytes(bytes)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Content")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
