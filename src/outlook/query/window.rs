//! Searches that find more than the service gives: 1,000 messages and no more
//! (<https://learn.microsoft.com/graph/search-query-parameter>). They are asked again for what was sent no later than the
//! last of these, and so on: [`Window`] is where such a search has got to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Search;
use super::operators::day_near;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Message, MessageId, PageToken};

/// The most that one search gives.
const MOST: usize = 1_000;

/// Where a search has got to. It is the page token of such a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::outlook) struct Window {
    /// The service's own address of the next page; none where the search is asked anew.
    pub(in crate::outlook) link: Option<String>,
    /// How many messages this window has given.
    seen: usize,
    /// When the last message of the windows before was sent: what comes is not later.
    until: Option<DateTime<Utc>>,
    /// The messages that were sent at that moment and have been seen.
    at_until: Vec<MessageId>,
    /// When the last message of this window so far was sent, and all that were sent at that moment.
    last: Option<DateTime<Utc>>,
    at_last: Vec<MessageId>,
}

impl Window {
    /// Where the token says, or the beginning.
    pub(in crate::outlook) fn read(token: Option<&PageToken>) -> Result<Self> {
        let Some(token) = token else {
            return Ok(Self::default());
        };
        serde_json::from_str(token.as_str()).map_err(|_| {
            let message = "the page token is not one of this search's";
            Error::new(ErrorKind::InvalidRequest, message)
        })
    }

    /// The search for what is left.
    pub(in crate::outlook) fn narrowed(&self, search: Search) -> Search {
        match (self.until, &search.words) {
            // Days begin in whatever time zone the service takes for the mailbox's.
            (Some(until), Some(words)) => {
                let words = format!("({words}) AND sent<={}", day_near(until, 2));
                search.with_words(words)
            }
            _ => search,
        }
    }

    /// Takes in a page as the service gave it, leaves what is new in it, and gives where to go on. Where that is not
    /// possible, an error stands at the end of the page.
    pub(in crate::outlook) fn advance(
        mut self,
        items: &mut Vec<Result<Message>>,
        link: Option<String>,
    ) -> Result<Option<PageToken>> {
        self.seen += items.len();
        if let Some(until) = self.until {
            items.retain(|item| {
                let Ok(message) = item else { return true };
                let known = self.at_until.contains(&message.id);
                !known && message.sent_at.is_none_or(|sent| sent <= until)
            });
        }
        for message in items.iter().flatten() {
            if message.sent_at.is_some() && message.sent_at != self.last {
                self.last = message.sent_at;
                self.at_last.clear();
            }
            self.at_last.push(message.id.clone());
        }
        if link.is_some() {
            self.link = link;
            return Ok(Some(self.token()?));
        }
        if self.seen < MOST {
            return Ok(None);
        }
        let moved = |last: &DateTime<Utc>| self.until.is_none_or(|until| *last < until);
        let Some(last) = self.last.filter(moved) else {
            items.push(Err(Error::unsupported(
                "Outlook's search gives 1,000 messages at a time, and more were sent within three days: search for less",
            )));
            return Ok(None);
        };
        let next = Self {
            until: Some(last),
            at_until: self.at_last,
            ..Self::default()
        };
        Ok(Some(next.token()?))
    }

    fn token(&self) -> Result<PageToken> {
        let text = serde_json::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Protocol, "the search's place cannot be written")
                .with_source(error)
        })?;
        Ok(PageToken::new(text))
    }
}
