//! What happened in a mailbox's folders, and which tokens were given out for it. What is told of it is `delta`'s business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::delta::{Options, Told};

/// How many tokens are remembered. How many the service remembers is not published: as many as its cache has room for.
/// <https://learn.microsoft.com/en-us/graph/delta-query-overview#token-duration>
const MOST_TOKENS: usize = 20_000;

/// What happened, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    events: Vec<Event>,
    folders: Vec<(usize, String)>,
    steps: usize,
    /// What is not told yet: changes reach what answers only after a while.
    held: Option<usize>,
    tokens: BTreeMap<String, (bool, Token)>,
    given: std::collections::VecDeque<String>,
    /// Whether the next first walk through a folder tells no more than its first page.
    pub(crate) ends_walk_early: bool,
}

/// Something that happened to a message in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    step: usize,
    folder: String,
    pub(crate) key: u64,
    /// The ids that it had in this folder.
    pub(crate) id: String,
    pub(crate) immutable_id: String,
    pub(crate) kind: Kind,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Entered,
    Left,
    /// These properties changed; any may have if none are named.
    Changed(Option<BTreeSet<&'static str>>),
}

/// What a token stands for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Token {
    /// Empty for the tree of folders.
    pub(crate) folder: String,
    pub(crate) options: Options,
    /// Up to where everything is told, or waits to be.
    pub(crate) reached: usize,
    /// Whether nothing was told yet.
    pub(crate) begun: bool,
    /// All that the round tells, and how much of it was told: one list for all of the round's tokens.
    pub(crate) told: Arc<[Told]>,
    pub(crate) done: usize,
    /// What the last page ended with, which the next one begins with.
    pub(crate) again: Vec<Told>,
    pub(crate) number: usize,
    /// What is there and forgotten.
    pub(crate) forgotten: BTreeSet<u64>,
}

impl Token {
    /// What is still to be told in this round.
    pub(crate) fn waiting(&self) -> &[Told] {
        self.told.get(self.done..).unwrap_or_default()
    }

    /// Whether its round is over and it begins the next.
    pub(crate) fn is_over(&self) -> bool {
        !self.begun && self.waiting().is_empty()
    }
}

impl Event {
    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.folder == folder
    }
}

impl Journal {
    pub(crate) fn note(&mut self, folder: &str, key: u64, ids: (&str, &str), kind: Kind) {
        self.steps += 1;
        self.events.push(Event {
            step: self.steps,
            folder: folder.to_owned(),
            key,
            id: ids.0.to_owned(),
            immutable_id: ids.1.to_owned(),
            kind,
        });
    }

    /// Says which properties the last change was about.
    pub(crate) fn narrow(&mut self, changed: BTreeSet<&'static str>) {
        if let Some(Event {
            kind: Kind::Changed(names),
            ..
        }) = self.events.last_mut()
        {
            *names = Some(changed);
        }
    }

    pub(crate) fn note_folder(&mut self, id: &str) {
        self.steps += 1;
        self.folders.push((self.steps, id.to_owned()));
    }

    /// Up to where what happened is told.
    pub(crate) fn visible(&self) -> usize {
        self.held.unwrap_or(self.steps)
    }

    /// From now on what happens is not told, until it is.
    pub(crate) fn hold(&mut self, hold: bool) {
        self.held = hold.then_some(self.steps);
    }

    /// How much has happened, told or not.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// What happened in all folders.
    pub(crate) fn all_since(&self, after: usize) -> impl Iterator<Item = &Event> {
        let from = self.events.partition_point(|event| event.step <= after);
        self.events.iter().skip(from)
    }

    pub(crate) fn since(
        &self,
        folder: &str,
        after: usize,
        until: usize,
    ) -> impl Iterator<Item = &Event> {
        let from = self.events.partition_point(|event| event.step <= after);
        let later = self.events.iter().skip(from);
        later.filter(move |event| event.step <= until && event.folder == folder)
    }

    /// The folders that something happened to, each once.
    pub(crate) fn folders_since(&self, after: usize) -> Vec<String> {
        let until = self.visible();
        let later = self.folders.iter();
        let ids: BTreeSet<&String> = later
            .filter(|(step, _)| *step > after && *step <= until)
            .map(|(_, id)| id)
            .collect();
        ids.into_iter().cloned().collect()
    }

    pub(crate) fn token(&self, text: &str) -> Option<&Token> {
        self.tokens.get(text).map(|(_, token)| token)
    }

    pub(crate) fn remember(&mut self, text: String, token: Token, ends_round: bool) {
        self.given.push_back(text.clone());
        self.tokens.insert(text, (ends_round, token));
        while self.given.len() > MOST_TOKENS {
            if let Some(oldest) = self.given.pop_front() {
                self.tokens.remove(&oldest);
            }
        }
    }

    /// The messages that any token has forgotten.
    pub(crate) fn forgotten(&self) -> BTreeSet<u64> {
        let tokens = self.tokens.values();
        tokens
            .flat_map(|(_, token)| token.forgotten.iter().copied())
            .collect()
    }

    /// Forgets tokens: of one folder or of all, and those within rounds only if asked.
    pub(crate) fn forget(&mut self, folder: Option<&str>, only_within_rounds: bool) {
        self.tokens.retain(|_, (ends_round, token)| {
            folder.is_some_and(|folder| token.folder != folder)
                || (only_within_rounds && *ends_round)
        });
    }
}
