//! Several mailboxes read as one: their listings merged by when each message was received. What a listing is, is
//! [`Mailbox`]'s.

use std::cmp::Reverse;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, future, stream};

use super::{Mailbox, Messages};
use crate::error::Result;
use crate::model::{Detail, Message, PageRequest, Query};

/// The messages that `query` means in any of `mailboxes`, newest first, each with the place of its mailbox in the list.
///
/// Nothing is read before it is needed: a page of each mailbox first, then the next page of the one whose page came to its
/// end. A mailbox that fails is an error in the stream, and the others go on without it. To merge by date, messages are
/// read as far as [`Detail::Headers`] at least.
///
/// ```no_run
/// # async fn example(work: postroom::Mailbox, home: postroom::Mailbox) {
/// use futures_util::StreamExt;
/// use postroom::{Detail, Query};
///
/// let mailboxes = [work, home];
/// let mut newest = postroom::merged(&mailboxes, &Query::inbox(), Detail::Headers);
/// while let Some((place, message)) = newest.next().await {
///     match message {
///         Ok(message) => println!("{place}: {}", message.subject.unwrap_or_default()),
///         Err(error) => println!("mailbox {place} cannot be read: {error}"),
///     }
/// }
/// # }
/// ```
pub fn merged(mailboxes: &[Mailbox], query: &Query, detail: Detail) -> Merged {
    let detail = detail.max(Detail::Headers);
    let sources: Vec<Source> = mailboxes
        .iter()
        .map(|mailbox| Source {
            rest: Some(mailbox.messages_with(query.clone(), detail, PageRequest::first())),
            head: None,
        })
        .collect();
    let messages = stream::unfold(sources, |mut sources| async move {
        future::join_all(sources.iter_mut().map(Source::look)).await;
        let (place, _) = sources
            .iter()
            .enumerate()
            .filter_map(|(place, source)| Some((place, source.urgency()?)))
            .max_by_key(|(place, urgency)| (*urgency, Reverse(*place)))?;
        let message = sources.get_mut(place)?.head.take()?;
        Some(((place, message), sources))
    });
    Merged(messages.boxed())
}

/// The messages of one mailbox that were not told yet.
struct Source {
    rest: Option<Messages>,
    head: Option<Result<Message>>,
}

impl Source {
    /// Reads the next message, if it is not there already.
    async fn look(&mut self) {
        if let (None, Some(rest)) = (&self.head, &mut self.rest) {
            self.head = rest.next().await;
            if self.head.is_none() {
                self.rest = None;
            }
        }
    }

    /// What comes first: errors at once, then what has no date, since nothing tells how long it could wait.
    fn urgency(&self) -> Option<(bool, bool, i64)> {
        let head = self.head.as_ref()?;
        let Ok(message) = head else {
            return Some((true, true, 0));
        };
        let received = message.received_at.map(|at| at.timestamp_micros());
        Some((false, received.is_none(), received.unwrap_or_default()))
    }
}

/// The messages of several mailboxes; see [`merged`].
#[must_use = "streams do nothing unless polled"]
pub struct Merged(BoxStream<'static, (usize, Result<Message>)>);

impl Stream for Merged {
    type Item = (usize, Result<Message>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for Merged {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Merged")
    }
}
