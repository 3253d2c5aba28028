//! What `sync` shows: how far it has got, what a round told, what an audit found.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use postroom::{Audit, MessageId, SyncChange, SyncPage, SyncProgress};
use serde::Serialize;
use serde_json::json;

use crate::output::{Output, clean, target};

/// How many ids a person is shown.
const NAMED: usize = 10;

/// How often the progress shows that the program is alive.
const TICK: Duration = Duration::from_millis(120);

/// What a round told.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Round {
    /// Messages that came whole: those that are new, have changed, or were moved in a way that says nothing of the rest.
    messages: usize,
    new: usize,
    changed: usize,
    moved: usize,
    marked: usize,
    gone: usize,
    unreadable: usize,
    folders: usize,
    pages: usize,
    units: u64,
    requests: u64,
    pub(crate) seconds: f64,
    /// Whether the service had forgotten something, and it was made up for.
    uncertain: bool,
}

/// What was done about what an audit found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Mended {
    pub(crate) fetched: usize,
    pub(crate) removed: usize,
    pub(crate) corrected: usize,
}

impl Mended {
    pub(crate) fn add(&mut self, further: Self) {
        self.fetched += further.fetched;
        self.removed += further.removed;
        self.corrected += further.corrected;
    }
}

impl Round {
    /// Notes a page, of whose messages the copy had these before.
    pub(crate) fn note(&mut self, page: &SyncPage, had: &BTreeSet<MessageId>) {
        self.pages += 1;
        self.units += page.progress.units;
        self.requests += page.progress.requests;
        self.uncertain |= page.uncertain.is_some();
        for change in &page.changes {
            match change {
                SyncChange::Message(message) | SyncChange::Moved { message, .. } => {
                    self.messages += 1;
                    match (had.contains(&message.id), change.is_move()) {
                        (false, _) => self.new += 1,
                        (true, true) => self.moved += 1,
                        (true, false) => self.changed += 1,
                    }
                }
                SyncChange::Updated(_) if change.is_move() => self.moved += 1,
                SyncChange::Updated(_) => self.marked += 1,
                SyncChange::Unreadable(..) => self.unreadable += 1,
                SyncChange::OutOfScope(_) | SyncChange::Deleted(_) => self.gone += 1,
                SyncChange::Folder(_) | SyncChange::FolderDeleted(_) => self.folders += 1,
                _ => {}
            }
        }
    }

    /// Whether it told anything.
    pub(crate) fn is_news(&self) -> bool {
        !self.told().is_empty()
    }

    /// What happened, for people.
    fn told(&self) -> Vec<String> {
        let counts = [
            (self.new, "new", "new"),
            (self.moved, "moved", "moved"),
            (self.marked, "marked", "marked"),
            (self.changed, "changed", "changed"),
            (self.gone, "gone", "gone"),
            (
                self.folders,
                "folder is new or changed",
                "folders are new or changed",
            ),
            (self.unreadable, "unreadable", "unreadable"),
        ];
        let some = counts.into_iter().filter(|(count, ..)| *count > 0);
        some.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
            .collect()
    }

    fn sentence(&self, (messages, folders): (i64, i64)) -> String {
        let mut told = self.told().join(", ");
        if told.is_empty() {
            "Nothing happened".clone_into(&mut told);
        }
        let uncertain = if self.uncertain {
            " The service had forgotten what happened, or gives nothing of a folder for now: what it does give was compared."
        } else {
            ""
        };
        let cost = cost(self.requests, self.units);
        let seconds = self.seconds;
        format!(
            "{told}.{uncertain} The copy has {messages} messages in {folders} folders ({cost}, {seconds:.1} s)."
        )
    }

    fn document(
        &self,
        (messages, folders): (i64, i64),
        more: serde_json::Value,
    ) -> serde_json::Value {
        let mut document = json!(self);
        if let (Some(document), serde_json::Value::Object(more)) = (document.as_object_mut(), more)
        {
            let copy = json!({ "messages": messages, "folders": folders });
            document.insert("copy".to_owned(), copy);
            document.extend(more);
        }
        document
    }

    /// What it told, and how many messages and folders the copy has now.
    pub(crate) fn show(&self, counts: (i64, i64), output: &Output) {
        if output.is_json() {
            output.document(&self.document(counts, json!({})));
        } else {
            output.line(&self.sentence(counts));
        }
    }

    /// The same on one line, of one round of many.
    pub(crate) fn show_line(&self, counts: (i64, i64), output: &Output) {
        if output.is_json() {
            output.line(&self.document(counts, json!({})).to_string());
        } else {
            output.line(&self.sentence(counts));
        }
    }

    /// The same with what an audit found after it, and what was done about that.
    pub(crate) fn show_audited(
        &self,
        counts: (i64, i64),
        audit: &Audit,
        mended: Option<&Mended>,
        output: &Output,
    ) {
        if output.is_json() {
            let found = json!({
                "checked": audit.checked,
                "missing": audit.missing,
                "extra": audit.extra,
                "stale": audit.stale,
                "untold": audit.untold,
                "units": audit.units,
                "requests": audit.requests,
            });
            let more = json!({ "audit": found, "mended": mended });
            return output.document(&self.document(counts, more));
        }
        output.line(&self.sentence(counts));
        let cost = cost(audit.requests, audit.units);
        output.line(&format!(
            "Compared {} messages with the service ({cost}).",
            audit.checked
        ));
        if audit.is_clean() {
            return output.line("The copy is just what the mailbox is.");
        }
        let stale: Vec<MessageId> = audit.stale.iter().map(|update| update.id.clone()).collect();
        let untold = audit.untold;
        for (what, ids, untold) in [
            ("missing from the copy", &audit.missing, untold.missing),
            ("only in the copy", &audit.extra, untold.extra),
            ("with other folders or marks", &stale, untold.stale),
        ] {
            if !ids.is_empty() {
                let named = ids.iter().take(NAMED).map(|id| clean(id.as_str()));
                let named: Vec<String> = named.collect();
                let all = untold.saturating_add(ids.len() as u64);
                let more = if ids.len() > NAMED { ", …" } else { "" };
                output.line(&format!("{all} {what}: {}{more}", named.join(", ")));
            }
        }
        output.line(&match mended {
            Some(mended) => format!(
                "Mended: {} fetched, {} removed, {} corrected.",
                mended.fetched, mended.removed, mended.corrected
            ),
            None => "`mail sync --mend` brings them up to date.".to_owned(),
        });
    }
}

fn cost(requests: u64, units: u64) -> String {
    let requests = match requests {
        1 => "1 request".to_owned(),
        many => format!("{many} requests"),
    };
    if units == 0 {
        requests
    } else {
        format!("{requests}, {units} units")
    }
}

/// How far a long round has got: how much of what is expected, how fast, for what, and for how much longer.
pub(crate) struct Progress {
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, target());
        bar.set_style(ProgressStyle::default_spinner());
        bar.set_message("Asking what happened");
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            began: Instant::now(),
        }
    }

    /// A page came, and there is more.
    pub(crate) fn show(&self, progress: SyncProgress, round: &Round) {
        let bar = &self.bar;
        let template = if progress.expected.is_some() {
            "{spinner} {wide_bar} {msg}"
        } else {
            "{spinner} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let expected = progress.expected.unwrap_or_default().max(progress.done);
        bar.set_length(expected);
        bar.set_position(progress.done);
        let messages = u32::try_from(round.messages).unwrap_or(u32::MAX);
        // What earlier calls of the program did says nothing of how fast this one is.
        let each = self.began.elapsed().checked_div(messages);
        let left = u32::try_from(expected - progress.done).unwrap_or(u32::MAX);
        let mut said = format!("{} of about {expected} messages", progress.done);
        if let Some(each) = each.filter(|each| !each.is_zero()) {
            let rate = each.as_secs_f64().recip();
            let left = HumanDuration(each.saturating_mul(left));
            said = format!("{said}, {rate:.0}/s, another {left}");
        }
        if round.units > 0 {
            said = format!("{said}, {} units", round.units);
        }
        bar.set_message(said);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
