//! `sync`: a copy of a mailbox in SQLite that is kept in step and can be audited. Its tables are `mirror/database.rs`'s, what it
//! shows `synced.rs`'s.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{NaiveDate, NaiveTime};
use clap::{Args, ValueEnum};
use futures_util::TryStreamExt;
use postroom::{
    Audit, AuditWindow, Detail, ErrorKind, Mailbox, MessageId, Scope, SyncChange, SyncPage,
};

use crate::database::Database;
use crate::listening::{Ears, Listening};
use crate::messages::find;
use crate::output::Output;
use crate::setup::Registration;
use crate::synced::{Mended, Progress, Round};
use crate::{Failure, Interrupted};

/// How many missing messages are fetched at once.
const FETCHED: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// The SQLite file with the copy; it is made if need be
    database: PathBuf,
    /// Go on until Ctrl-C: ask again and again what happened, or have the service tell it as well, with --listen
    #[arg(long, conflicts_with_all = ["audit", "mend"])]
    follow: bool,
    /// How many seconds lie between two rounds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        requires = "follow"
    )]
    interval: u64,
    /// Afterwards compare every message with the service, and say what differs; exit code 6 if anything does
    #[arg(long)]
    audit: bool,
    /// The same, and mend what differs
    #[arg(long)]
    mend: bool,
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    covered: Covered,
}

/// What the copy covers. What is not given stays as it was the last time.
#[derive(Debug, Args)]
struct Covered {
    /// Only messages received on this day or later
    #[arg(long, value_name = "DAY")]
    since: Option<NaiveDate>,
    /// Only this folder, and others given so: their ids, names, or what they are for
    #[arg(long)]
    folder: Vec<String>,
    /// How much of each message
    #[arg(long, value_enum)]
    detail: Option<HowMuch>,
    /// Unwanted mail and what was thrown away, too
    #[arg(long)]
    junk_and_trash: bool,
    /// All there is but junk and trash, whatever was asked for the last time
    #[arg(long)]
    whole: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HowMuch {
    /// Which messages there are
    Ids,
    /// What a list shows
    Headers,
    /// Their texts as well
    Full,
}

impl Sync {
    /// Whether it has something to do before it ends, and waits for Ctrl-C itself.
    pub(crate) fn tidies_up(&self) -> bool {
        self.listening.is_wanted()
    }

    pub(crate) async fn run(
        self,
        mailbox: &Mailbox,
        registration: Option<&Registration>,
        output: &Output,
    ) -> Result<(), Failure> {
        let address = mailbox.profile().await?.address;
        let copy = Copy::open(&self.database, &address).await?;
        let scope = self.covered.scope(&copy, mailbox).await?;
        if self.follow {
            let ears = self.listening.begin(mailbox, registration).await?;
            let Some(ears) = ears else {
                return self.follow(mailbox, &copy, &scope, None, output).await;
            };
            let ended = tokio::select! {
                ended = self.follow(mailbox, &copy, &scope, Some(&ears), output) => ended,
                Ok(()) = tokio::signal::ctrl_c() => Err(Failure::Stopped(Interrupted::Syncing)),
            };
            ears.close(mailbox).await;
            return ended;
        }
        let round = copy.round(mailbox, &scope).await?;
        let counts = copy.counts().await?;
        if !self.audit && !self.mend {
            round.show(counts, output);
            return Ok(());
        }
        let audit = copy.audit(mailbox, &scope, output).await?;
        let (mended, is_whole) = if self.mend {
            let (mended, is_whole) = copy.mend_all(mailbox, &scope, &audit, output).await?;
            (Some(mended), is_whole)
        } else {
            (None, audit.is_clean())
        };
        round.show_audited(counts, &audit, mended.as_ref(), output);
        if is_whole {
            Ok(())
        } else {
            Err(Failure::Different)
        }
    }

    /// Round after round. What passes by itself is waited for.
    async fn follow(
        &self,
        mailbox: &Mailbox,
        copy: &Copy,
        scope: &Scope,
        ears: Option<&Ears>,
        output: &Output,
    ) -> Result<(), Failure> {
        let interval = Duration::from_secs(self.interval.max(1));
        let seconds = match interval.as_secs() {
            1 => "second".to_owned(),
            many => format!("{many} seconds"),
        };
        eprintln!("Asking every {seconds} what happened, until Ctrl-C.");
        let mut first = true;
        loop {
            if let Some(ears) = ears {
                ears.keep_open(mailbox).await;
            }
            let mut pause = interval;
            match copy.round(mailbox, scope).await {
                Ok(round) => {
                    if first || round.is_news() {
                        round.show_line(copy.counts().await?, output);
                    }
                    first = false;
                }
                Err(Failure::Mail(error)) if error.is_transient() => {
                    pause = error.retry_after().unwrap_or_default().max(interval);
                    let seconds = pause.as_secs();
                    eprintln!("error: {error}; trying again in {seconds} seconds");
                }
                Err(failure) => return Err(failure),
            }
            until_something_may_have_happened(pause, ears).await;
        }
    }
}

/// A service that is asked at intervals says everything, only later than one that is listened to: what it tells ends this wait
/// early, and does nothing else.
async fn until_something_may_have_happened(interval: Duration, ears: Option<&Ears>) {
    let pause = tokio::time::sleep(interval);
    match ears {
        None => pause.await,
        Some(ears) => tokio::select! {
            () = pause => {}
            () = ears.news() => {}
        },
    }
}

impl Covered {
    /// What the copy is to cover from now on.
    async fn scope(&self, copy: &Copy, mailbox: &Mailbox) -> Result<Scope, Failure> {
        let mut scope = match copy.scope().await? {
            Some(scope) if !self.whole => scope,
            _ => Scope::default(),
        };
        if let Some(day) = self.since {
            scope.since = Some(day.and_time(NaiveTime::MIN).and_utc());
        }
        if !self.folder.is_empty() {
            let folders = mailbox.folders().await?;
            let found = self.folder.iter().map(|wanted| find(&folders, wanted));
            scope.folders = found.collect::<Result<_, _>>()?;
        }
        match self.detail {
            Some(HowMuch::Ids) => scope.detail = Detail::Ids,
            Some(HowMuch::Headers) => scope.detail = Detail::Headers,
            Some(HowMuch::Full) => scope.detail = Detail::Full,
            None => {}
        }
        scope.junk_and_trash |= self.junk_and_trash;
        copy.keep_scope(&scope).await?;
        Ok(scope)
    }
}

/// The copy, and what the program says when its file is no good.
struct Copy {
    database: Arc<Database>,
    path: String,
}

impl Copy {
    async fn open(path: &Path, address: &str) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let database = match Database::open(path, address).await {
            Ok(database) => Arc::new(database),
            Err(sqlx::Error::Protocol(message)) => {
                return Err(Failure::Usage(format!("{shown}: {message}")));
            }
            Err(error) => return Err(unusable(&shown, error)),
        };
        let copy = Self {
            database,
            path: shown,
        };
        let table = "CREATE TABLE IF NOT EXISTS scope (one INTEGER PRIMARY KEY CHECK (one = 1), scope TEXT NOT NULL)";
        let made = sqlx::query(table).execute(&copy.database.pool).await;
        made.map_err(|error| unusable(&copy.path, error))?;
        Ok(copy)
    }

    /// What it covered the last time.
    async fn scope(&self) -> Result<Option<Scope>, Failure> {
        let scope: Option<String> = sqlx::query_scalar("SELECT scope FROM scope")
            .fetch_optional(&self.database.pool)
            .await
            .map_err(|error| unusable(&self.path, error))?;
        Ok(scope.and_then(|scope| serde_json::from_str(&scope).ok()))
    }

    async fn keep_scope(&self, scope: &Scope) -> Result<(), Failure> {
        let text = serde_json::json!(scope).to_string();
        sqlx::query("INSERT OR REPLACE INTO scope VALUES (1, ?)")
            .bind(text)
            .execute(&self.database.pool)
            .await
            .map_err(|error| unusable(&self.path, error))?;
        Ok(())
    }

    async fn counts(&self) -> Result<(i64, i64), Failure> {
        let counts = self.database.counts().await;
        counts.map_err(|error| unusable(&self.path, error))
    }

    /// Tells all that there is to tell, and stores it page by page.
    async fn round(&self, mailbox: &Mailbox, scope: &Scope) -> Result<Round, Failure> {
        let began = Instant::now();
        let unusable = |error| unusable(&self.path, error);
        let cursor = self.database.cursor().await.map_err(unusable)?;
        let known = Arc::clone(&self.database);
        let mut pages = mailbox.sync(cursor, scope.clone(), known);
        let mut round = Round::default();
        let progress = Progress::new();
        while let Some(page) = pages.try_next().await? {
            let had = self.had(&page).await.map_err(unusable)?;
            if !self.database.store(&page).await.map_err(unusable)? {
                return Err(self.overtaken());
            }
            round.note(&page, &had);
            if page.more {
                progress.show(page.progress, &round);
            }
        }
        progress.finish();
        round.seconds = began.elapsed().as_secs_f64();
        Ok(round)
    }

    /// Which of the messages of a page the copy has.
    async fn had(&self, page: &SyncPage) -> sqlx::Result<BTreeSet<MessageId>> {
        let messages = page.changes.iter().filter_map(SyncChange::message);
        let ids: Vec<&str> = messages.map(|message| message.id.as_str()).collect();
        let had = "SELECT id FROM messages WHERE id IN (SELECT value FROM json_each(?))";
        let had: Vec<String> = sqlx::query_scalar(had)
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&self.database.pool)
            .await?;
        Ok(had.into_iter().map(MessageId::new).collect())
    }

    /// Compares every message with the service.
    async fn audit(
        &self,
        mailbox: &Mailbox,
        scope: &Scope,
        output: &Output,
    ) -> Result<Audit, Failure> {
        let progress = output.spinner("Comparing every message");
        let database = self.database.as_ref();
        let audit = mailbox.audit(scope, AuditWindow::all(), database).await;
        progress.finish_and_clear();
        Ok(audit?)
    }

    /// Mends all that differs, audit by audit: one tells only so much. Gives whether nothing is left, as far as is known: of a
    /// mailbox in which more happens than is mended there is always something.
    async fn mend_all(
        &self,
        mailbox: &Mailbox,
        scope: &Scope,
        audit: &Audit,
        output: &Output,
    ) -> Result<(Mended, bool), Failure> {
        let mut mended = self.mend(mailbox, scope, audit).await?;
        let mut left = audit.untold.total();
        while left > 0 {
            let further = self.audit(mailbox, scope, output).await?;
            mended.add(self.mend(mailbox, scope, &further).await?);
            if further.untold.total() >= left {
                return Ok((mended, false));
            }
            left = further.untold.total();
        }
        Ok((mended, true))
    }

    /// Does what an audit found to be missing. What it found only here it has asked the service for, one by one, so that it is not
    /// in the mailbox, or not within the scope. Where that has changed since, the next round says so.
    async fn mend(
        &self,
        mailbox: &Mailbox,
        scope: &Scope,
        audit: &Audit,
    ) -> Result<Mended, Failure> {
        let mut mended = Mended {
            removed: audit.extra.len(),
            corrected: audit.stale.len(),
            fetched: 0,
        };
        let extra = audit.extra.iter().cloned().map(SyncChange::OutOfScope);
        let stale = audit.stale.iter().cloned().map(SyncChange::Updated);
        self.change(&extra.chain(stale).collect::<Vec<_>>()).await?;
        for ids in audit.missing.chunks(FETCHED) {
            let mut changes = Vec::new();
            let messages = mailbox.messages_by_id(ids, scope.detail).await?;
            for (id, message) in ids.iter().zip(messages) {
                match message {
                    Ok(message) => changes.push(SyncChange::Message(Box::new(message))),
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::Content | ErrorKind::InvalidRequest | ErrorKind::Protocol
                        ) =>
                    {
                        changes.push(SyncChange::Unreadable(id.clone(), error));
                        continue;
                    }
                    // Not of this message, but of the account or the service.
                    Err(error) => return Err(error.into()),
                }
                mended.fetched += 1;
            }
            self.change(&changes).await?;
        }
        Ok(mended)
    }

    /// Makes changes that no page told, and leaves the cursor where it is.
    async fn change(&self, changes: &[SyncChange]) -> Result<(), Failure> {
        let unusable = |error| unusable(&self.path, error);
        let cursor = self.database.cursor().await.map_err(unusable)?;
        let moves = (cursor.as_ref(), cursor.as_ref());
        let made = self.database.apply(changes, moves).await;
        if made.map_err(unusable)? {
            Ok(())
        } else {
            Err(self.overtaken())
        }
    }

    fn overtaken(&self) -> Failure {
        let what = format!("{} was changed meanwhile", self.path);
        let why = std::io::Error::other("another process keeps this copy, too, and was faster");
        Failure::Local(what, why)
    }
}

fn unusable(path: &str, error: sqlx::Error) -> Failure {
    Failure::Local(format!("cannot use {path}"), std::io::Error::other(error))
}
