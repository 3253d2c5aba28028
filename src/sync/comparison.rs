//! What the host has against what is there: one walk over both, sorted by id, which takes no more memory than what is
//! different. How what is there is listed is each provider's, how it is sorted `spool.rs`'s.

use std::collections::{BTreeSet, BinaryHeap};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{FolderId, Keyword, KnownMessage, MessageId, MessageUpdate, ThreadId};
use crate::provider::Known;

/// How many of the host's messages are read at once.
const KNOWN_PAGE: usize = 1_000;

/// A message that is there, as far as listings tell.
#[derive(Debug)]
pub(crate) struct There {
    pub(crate) id: MessageId,
    pub(crate) thread: Option<ThreadId>,
    /// The lower, the sooner it is read if the host does not have it.
    pub(crate) rank: u64,
    pub(crate) folders: BTreeSet<FolderId>,
    pub(crate) keywords: BTreeSet<Keyword>,
    /// Whether listings tell of the last two at all: what they are silent about is not nothing.
    pub(crate) told: bool,
}

/// What a service has, as far as complete listings tell: each message once, sorted by id.
pub(crate) trait Census: Send {
    fn next(&mut self) -> impl Future<Output = Result<Option<There>>> + Send;
}

/// A message that the host does not have.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Missing {
    rank: u64,
    pub(crate) id: MessageId,
    pub(crate) thread: Option<ThreadId>,
}

/// How what the host has differs from a census.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// How many messages are there.
    pub(crate) checked: u64,
    /// What the host does not have, the lowest rank first.
    pub(crate) missing: Vec<Missing>,
    /// What only the host has.
    pub(crate) extra: Vec<KnownMessage>,
    /// What is different of those that both have.
    pub(crate) stale: Vec<MessageUpdate>,
    /// How many more there are of any kind than were asked for.
    pub(crate) more: usize,
}

impl Differences {
    pub(crate) fn count(&self) -> usize {
        self.missing.len() + self.extra.len() + self.stale.len() + self.more
    }
}

/// What of the differences is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How many of each kind at most: of what is missing those with the lowest ranks.
    pub(crate) most: usize,
    /// Whether the host has more than ids, so that what it has can be stale.
    pub(crate) states: bool,
    /// Whether messages of which no more than the id is told are to be read, as what is missing is.
    pub(crate) reads: bool,
}

/// What is different. Of what the host has, only what the census is about is compared with it.
pub(crate) async fn compare<C: Census>(
    known: &dyn Known,
    census: &mut C,
    is_about: impl Fn(&KnownMessage) -> bool + Send,
    terms: Terms,
) -> Result<Differences> {
    let mut comparison = Comparison {
        differences: Differences::default(),
        missing: BinaryHeap::new(),
        terms,
    };
    let mut there = census.next().await?;
    let mut last: Option<MessageId> = None;
    loop {
        let page = known.page(last.as_ref(), KNOWN_PAGE).await?;
        let is_last = page.len() < KNOWN_PAGE;
        for message in page {
            if last.as_ref().is_some_and(|last| *last >= message.id) {
                return Err(Error::new(
                    ErrorKind::InvalidRequest,
                    "what the host says it has is not sorted by id",
                ));
            }
            last = Some(message.id.clone());
            if !is_about(&message) {
                continue;
            }
            while let Some(lacking) = there.take_if(|there| there.id < message.id) {
                comparison.miss(lacking);
                there = census.next().await?;
            }
            match there.take_if(|there| there.id == message.id) {
                Some(found) => {
                    comparison.find(&message, found);
                    there = census.next().await?;
                }
                None => comparison.exceed(message),
            }
        }
        if is_last {
            break;
        }
    }
    while let Some(lacking) = there {
        comparison.miss(lacking);
        there = census.next().await?;
    }
    let mut differences = comparison.differences;
    differences.missing = comparison.missing.into_sorted_vec();
    Ok(differences)
}

struct Comparison {
    differences: Differences,
    missing: BinaryHeap<Missing>,
    terms: Terms,
}

impl Comparison {
    fn miss(&mut self, there: There) {
        self.differences.checked += 1;
        self.missing.push(Missing {
            rank: there.rank,
            id: there.id,
            thread: there.thread,
        });
        if self.missing.len() > self.terms.most {
            self.missing.pop();
            self.differences.more += 1;
        }
    }

    fn find(&mut self, known: &KnownMessage, there: There) {
        if self.terms.states && self.terms.reads && !there.told {
            return self.miss(there);
        }
        self.differences.checked += 1;
        let update = update(known, &there).filter(|_| self.terms.states && there.told);
        let Some(update) = update else {
            return;
        };
        if self.differences.stale.len() < self.terms.most {
            self.differences.stale.push(update);
        } else {
            self.differences.more += 1;
        }
    }

    fn exceed(&mut self, known: KnownMessage) {
        if self.differences.extra.len() < self.terms.most {
            self.differences.extra.push(known);
        } else {
            self.differences.more += 1;
        }
    }
}

/// What makes the host's state of a message the service's.
fn update(known: &KnownMessage, there: &There) -> Option<MessageUpdate> {
    let known_folders: BTreeSet<FolderId> = known.folders.iter().cloned().collect();
    let known_keywords: BTreeSet<Keyword> = known.keywords.iter().cloned().collect();
    let (folders, keywords) = (&there.folders, &there.keywords);
    if known_folders == *folders && known_keywords == *keywords {
        return None;
    }
    let mut update = MessageUpdate::new(known.id.clone());
    update.into = folders.difference(&known_folders).cloned().collect();
    update.out_of = known_folders.difference(folders).cloned().collect();
    update.set = keywords.difference(&known_keywords).cloned().collect();
    update.cleared = known_keywords.difference(keywords).cloned().collect();
    Some(update)
}
