//! What the host has against what is there: one walk over both, sorted by id, which holds no more of what is different than
//! is asked for and counts the rest. How what is there is listed is each provider's, how it is sorted `spool.rs`'s.

use std::collections::{BTreeSet, BinaryHeap};

use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    FolderId, Keyword, KnownMessage, MessageId, MessageUpdate, ThreadId, UntoldDifferences,
};
use crate::provider::Known;

/// How many of the host's messages are read at once.
const KNOWN_PAGE: usize = 1_000;

/// How many messages that only the host has are asked for at once: as many as fill batches of either service.
const PROBED: usize = 500;

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

/// Asks for what no listing had before it is said to be only the host's: a message that moves while folders are listed one
/// after the other may be in none of the lists.
pub(crate) trait Probe: Sync {
    /// Those that are really not there, or not within what is compared.
    fn gone(
        &self,
        extra: Vec<KnownMessage>,
    ) -> impl Future<Output = Result<Vec<KnownMessage>>> + Send;
}

/// Asks for nothing: whoever compares does that.
pub(crate) struct Unprobed;

impl Probe for Unprobed {
    async fn gone(&self, extra: Vec<KnownMessage>) -> Result<Vec<KnownMessage>> {
        Ok(extra)
    }
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
    /// What only the host has, as far as it was probed.
    pub(crate) extra: Vec<KnownMessage>,
    /// What is different of those that both have.
    pub(crate) stale: Vec<MessageUpdate>,
    /// Drafts that both have, whether their states differ or not.
    pub(crate) drafts: Vec<MessageId>,
    /// How many more there are than were asked for.
    pub(crate) more: UntoldDifferences,
}

impl Differences {
    pub(crate) fn count(&self) -> u64 {
        let told = self.missing.len() + self.extra.len() + self.stale.len();
        self.more.total() + u64::try_from(told).unwrap_or(u64::MAX)
    }
}

/// What of the differences is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How many of each kind at most: of what is missing those with the lowest ranks. What only the host has is probed until
    /// there are so many.
    pub(crate) most: usize,
    /// Whether the host has more than ids, so that what it has can be stale.
    pub(crate) states: bool,
    /// Whether messages of which no more than the id is told are to be read, as what is missing is.
    pub(crate) reads: bool,
    /// Whether drafts that both have are told, too: one that is rewritten keeps its id and its state.
    pub(crate) drafts: bool,
}

/// What is different. Of what the host has, only what the census is about is compared with it.
pub(crate) async fn compare<C: Census, P: Probe>(
    known: &dyn Known,
    census: &mut C,
    is_about: impl Fn(&KnownMessage) -> bool + Send,
    terms: Terms,
    probe: &P,
) -> Result<Differences> {
    let mut comparison = Comparison {
        differences: Differences::default(),
        missing: BinaryHeap::new(),
        suspected: Vec::new(),
        terms,
        probe,
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
                None => comparison.exceed(message).await?,
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
    comparison.probe().await?;
    let mut differences = comparison.differences;
    differences.missing = comparison.missing.into_sorted_vec();
    Ok(differences)
}

struct Comparison<'a, P> {
    differences: Differences,
    missing: BinaryHeap<Missing>,
    /// What no listing had, and was not probed yet.
    suspected: Vec<KnownMessage>,
    terms: Terms,
    probe: &'a P,
}

impl<P: Probe> Comparison<'_, P> {
    fn miss(&mut self, there: There) {
        self.differences.checked += 1;
        self.missing.push(Missing {
            rank: there.rank,
            id: there.id,
            thread: there.thread,
        });
        if self.missing.len() > self.terms.most {
            self.missing.pop();
            self.differences.more.missing += 1;
        }
    }

    fn find(&mut self, known: &KnownMessage, there: There) {
        if self.terms.states && self.terms.reads && !there.told {
            return self.miss(there);
        }
        self.differences.checked += 1;
        let drafts = &mut self.differences.drafts;
        let is_draft = there.keywords.contains(&Keyword::Draft);
        if self.terms.drafts && self.terms.states && is_draft && drafts.len() < self.terms.most {
            drafts.push(there.id);
            return;
        }
        let update = update(known, &there).filter(|_| self.terms.states && there.told);
        let Some(update) = update else {
            return;
        };
        if self.differences.stale.len() < self.terms.most {
            self.differences.stale.push(update);
        } else {
            self.differences.more.stale += 1;
        }
    }

    async fn exceed(&mut self, known: KnownMessage) -> Result<()> {
        if self.differences.extra.len() >= self.terms.most {
            self.differences.more.extra += 1;
            return Ok(());
        }
        self.suspected.push(known);
        if self.suspected.len() >= PROBED.min(self.terms.most) {
            self.probe().await?;
        }
        Ok(())
    }

    async fn probe(&mut self) -> Result<()> {
        if self.suspected.is_empty() {
            return Ok(());
        }
        let suspected = std::mem::take(&mut self.suspected);
        for gone in self.probe.gone(suspected).await? {
            if self.differences.extra.len() < self.terms.most {
                self.differences.extra.push(gone);
            } else {
                self.differences.more.extra += 1;
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// Messages that are there, as many as there are numbers.
    struct Numbers(std::ops::Range<u64>);

    impl Census for Numbers {
        async fn next(&mut self) -> Result<Option<There>> {
            Ok(self.0.next().map(|number| There {
                id: id(number),
                thread: None,
                // The later ones are the newer ones.
                rank: u64::MAX - number,
                folders: BTreeSet::new(),
                keywords: BTreeSet::new(),
                told: true,
            }))
        }
    }

    /// A host that has these numbers, each with a keyword.
    #[derive(Debug)]
    struct Host(std::ops::Range<u64>);

    #[async_trait]
    impl Known for Host {
        async fn page(&self, after: Option<&MessageId>, limit: usize) -> Result<Vec<KnownMessage>> {
            let all = self.0.clone().map(id);
            let following = all.filter(|id| after.is_none_or(|after| id > after));
            let known = following.map(|id| KnownMessage::new(id, Vec::new(), vec![Keyword::Seen]));
            Ok(known.take(limit).collect())
        }
    }

    /// A service on which the messages up to a number are there, whatever listings say.
    struct Moving(u64);

    impl Probe for Moving {
        async fn gone(&self, mut extra: Vec<KnownMessage>) -> Result<Vec<KnownMessage>> {
            extra.retain(|extra| extra.id > id(self.0));
            Ok(extra)
        }
    }

    fn id(number: u64) -> MessageId {
        MessageId::new(format!("{number:08}"))
    }

    fn terms(most: usize) -> Terms {
        Terms {
            most,
            states: true,
            reads: false,
            drafts: false,
        }
    }

    #[tokio::test]
    async fn what_differs_beyond_what_is_asked_for_is_counted() {
        let (host, mut census) = (Host(0..5_000), Numbers(2_000..9_000));
        let compared = compare(&host, &mut census, |_| true, terms(10), &Unprobed).await;
        let differences = compared.unwrap_or_default();
        assert_eq!(differences.checked, 7_000);
        let missing: Vec<_> = differences
            .missing
            .iter()
            .map(|missing| &missing.id)
            .collect();
        let newest: Vec<_> = (8_990..9_000).rev().map(id).collect();
        assert_eq!(missing, newest.iter().collect::<Vec<_>>());
        assert_eq!(differences.extra.len(), 10);
        assert_eq!(differences.stale.len(), 10);
        let more = differences.more;
        assert_eq!(
            (more.missing, more.extra, more.stale),
            (3_990, 1_990, 2_990)
        );
        assert_eq!(differences.count(), 9_000);
    }

    #[tokio::test]
    async fn what_is_there_all_the_same_takes_nobodys_place() {
        for (there, extra, more) in [(2_999, 0, 0), (2_994, 5, 0), (2_899, 10, 90)] {
            let (host, mut census) = (Host(0..3_000), Numbers(0..0));
            let compared = compare(&host, &mut census, |_| true, terms(10), &Moving(there)).await;
            let differences = compared.unwrap_or_default();
            assert_eq!(differences.extra.len(), extra);
            assert!(differences.extra.iter().all(|extra| extra.id > id(there)));
            assert_eq!(differences.more.extra, more);
        }
    }
}
