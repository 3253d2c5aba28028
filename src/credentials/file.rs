//! A store in a directory: one file per record, replaced as a whole, shared by the processes of one machine.
//! The files are as secret as what is in them and are not encrypted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::store::{
    CredentialStore, RecordKey, Revision, Save, Saved, StoreError, StoredRecord, hexadecimal,
};
use crate::clock::{Clock, SystemClock};
use crate::model::AccountId;
use crate::secret::{Secret, exposed};

/// Records in a directory.
///
/// * A record is written to a new file, which then takes the old one's place: whoever is interrupted at any moment, by
///   Ctrl-C or by a power cut, leaves the old record or the new one, and at worst a file `.writing-…` that nobody reads
///   and that goes with the next account that is removed.
/// * Files are readable by their owner only, and so is the directory where the store creates it.
/// * Processes exclude each other with a lock on the file `.lock`; threads likewise. It must be a file system whose
///   locks hold between all that use it: a local one.
#[derive(Clone, Debug)]
pub struct FileStore {
    directory: Arc<Path>,
    clock: Arc<dyn Clock>,
}

impl FileStore {
    /// The store in `directory`, which is created when something is first saved.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self::with_clock(directory, Arc::new(SystemClock::new()))
    }

    /// The store in `directory`, whose leases end by this clock.
    #[must_use]
    pub fn with_clock(directory: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            directory: directory.into().into(),
            clock,
        }
    }

    /// Runs file work where it may block. It runs to its end even if the caller is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let directory = Directory(Arc::clone(&self.directory));
        tokio::task::spawn_blocking(move || work(&directory))
            .await
            .map_err(|error| StoreError::new("file work was cut off").with_source(error))?
    }
}

#[async_trait]
impl CredentialStore for FileStore {
    async fn load(&self, key: &RecordKey) -> Result<Option<StoredRecord>, StoreError> {
        let key = key.clone();
        self.blocking(move |directory| {
            let loaded = directory.read(&key)?;
            Ok(loaded.map(|file| StoredRecord::new(file.record, Revision::new(file.revision))))
        })
        .await
    }

    async fn save(
        &self,
        key: &RecordKey,
        record: &Secret,
        save: Save,
    ) -> Result<Saved, StoreError> {
        let key = key.clone();
        let record = record.clone();
        self.blocking(move |directory| directory.save(&key, record, &save))
            .await
    }

    async fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.blocking(move |directory| directory.remove(&key)).await
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let namespace = namespace.map(str::to_owned);
        self.blocking(move |directory| directory.list(namespace.as_deref()))
            .await
    }

    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.clock.now())
    }
}

/// What is in a file. It says whose it is, so that a file that was renamed or copied is not taken for another's.
#[derive(Serialize, Deserialize)]
struct RecordFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    account: AccountId,
    kind: String,
    revision: String,
    #[serde(serialize_with = "exposed")]
    record: Secret,
}

struct Directory(Arc<Path>);

impl Directory {
    fn folder(&self, namespace: Option<&str>) -> PathBuf {
        match namespace {
            None => self.0.to_path_buf(),
            Some(namespace) => self.0.join(format!("namespace={}", file_name(namespace))),
        }
    }

    fn path(&self, key: &RecordKey) -> PathBuf {
        // The sign between them is in neither.
        let kind = file_name(&key.kind.name());
        let name = format!("{kind}={}.json", file_name(key.account.as_str()));
        self.folder(key.namespace.as_deref()).join(name)
    }

    fn read(&self, key: &RecordKey) -> Result<Option<RecordFile>, StoreError> {
        let path = self.path(key);
        let Some(file) = read_file(&path)? else {
            return Ok(None);
        };
        let its_own = file.account == key.account
            && file.namespace == key.namespace
            && file.kind == key.kind.name();
        if its_own {
            Ok(Some(file))
        } else {
            Err(StoreError::unreadable(format!(
                "{} holds the record of another account",
                path.display()
            )))
        }
    }

    fn save(&self, key: &RecordKey, record: Secret, save: &Save) -> Result<Saved, StoreError> {
        let path = self.path(key);
        let folder = self.folder(key.namespace.as_deref());
        create_private(&folder).map_err(|error| failure("create", &folder, error))?;
        let _lock = self.lock()?;
        if *save != Save::Always {
            let current = self.read(key)?.map(|file| Revision::new(file.revision));
            if !save.allows(current.as_ref()) {
                return Ok(Saved::Superseded);
            }
        }
        let revision = Revision::random()?;
        let file = RecordFile {
            namespace: key.namespace.clone(),
            account: key.account.clone(),
            kind: key.kind.name().into_owned(),
            revision: revision.as_str().to_owned(),
            record,
        };
        replace(&folder, &path, &file).map_err(|error| failure("write", &path, error))?;
        Ok(Saved::Written(revision))
    }

    fn remove(&self, key: &RecordKey) -> Result<(), StoreError> {
        let path = self.path(key);
        let folder = self.folder(key.namespace.as_deref());
        if !folder.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        // What interrupted writers left behind may hold what is to be forgotten. Under the lock nobody else is writing.
        remove_unfinished(&folder).map_err(|error| failure("clean up", &folder, error))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failure("remove", &path, error)),
            Ok(()) => sync_folder(&folder).map_err(|error| failure("remove", &path, error)),
        }
    }

    fn list(&self, namespace: Option<&str>) -> Result<Vec<AccountId>, StoreError> {
        let folder = self.folder(namespace);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failure("list", &folder, error)),
            Ok(entries) => entries,
        };
        let mut accounts = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failure("list", &folder, error))?;
            let name = entry.file_name();
            let encoded = name
                .to_str()
                .and_then(|name| name.strip_prefix("account=")?.strip_suffix(".json"));
            let Some(encoded) = encoded else { continue };
            match account_name(encoded) {
                Some(account) => accounts.push(AccountId::new(account)),
                // A long name is in the file only. One that vanished meanwhile is gone.
                None => accounts.extend(read_file(&entry.path())?.map(|file| file.account)),
            }
        }
        Ok(accounts)
    }

    /// The store's lock, held until the file is dropped.
    fn lock(&self) -> Result<File, StoreError> {
        let path = self.0.join(".lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(&path)
            .map_err(|error| failure("open", &path, error))?;
        file.lock().map_err(|error| failure("lock", &path, error))?;
        Ok(file)
    }
}

fn read_file(path: &Path) -> Result<Option<RecordFile>, StoreError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failure("read", path, error)),
        Ok(text) => Secret::new(text),
    };
    serde_json::from_str(text.expose())
        .map(Some)
        .map_err(|error| {
            // A parser's message quotes what it found, and that may be a token: only the place is told.
            StoreError::unreadable(format!(
                "{} is damaged (line {}, column {}); restore or remove it",
                path.display(),
                error.line(),
                error.column()
            ))
        })
}

/// How the names of files begin that are being written.
const UNFINISHED: &str = ".writing-";

fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.starts_with(UNFINISHED))
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a new file and lets it take the old one's place in one step, both on the disk before it returns.
fn replace(folder: &Path, path: &Path, file: &RecordFile) -> io::Result<()> {
    // `tempfile` creates files that only their owner can read.
    let mut writing = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)?;
    let text = Secret::new(serde_json::to_string_pretty(file)?);
    writing.write_all(text.expose().as_bytes())?;
    writing.as_file().sync_all()?;
    writing.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Puts a rename or a removal on the disk. Elsewhere than on Unix a directory cannot be opened for that, nor need it be.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn failure(action: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::new(format!("cannot {action} {}", path.display())).with_source(error)
}

/// The longest encoded name that still leaves room for kind and ending in a name of 255 bytes.
const LONGEST_NAME: usize = 180;

/// Any text as part of a file name, in characters that every file system keeps apart: lower case letters, digits and
/// a few signs; everything else as `%` and its bytes. What would be too long is `~` and a digest.
pub(super) fn file_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'@' | b'+' => {
                name.push(char::from(byte));
            }
            _ => {
                name.push('%');
                name.push_str(&hexadecimal(&[byte]));
            }
        }
    }
    if name.len() <= LONGEST_NAME {
        name
    } else {
        format!("~{}", hexadecimal(&Sha256::digest(text)))
    }
}

/// The text that [`file_name`] was given, if the name still says it.
fn account_name(encoded: &str) -> Option<String> {
    if encoded.starts_with('~') {
        return None;
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
