//! Looks for the copy of a sent message, by the mark in its header. The `Message-ID` is no help in that: Gmail replaces it
//! (<https://github.com/FlowCrypt/flowcrypt-browser/issues/4273>).

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::ticket::Mark;
use crate::error::{ErrorKind, Result};
use crate::gmail::api::{Api, Format};
use crate::gmail::query::Search;
use crate::gmail::{batch, convert, wire};
use crate::model::{Confirmation, MessageId, Sent, ThreadId};

/// How long after a send asking again may help, and how long to wait in between: sent copies can appear late, and those
/// that are missing for long appear less and less likely.
const SOONEST: Duration = Duration::from_secs(30);
const LATEST: Duration = Duration::from_secs(60 * 60);
const WORTHWHILE: Duration = Duration::from_secs(24 * 60 * 60);

/// How many sent messages are looked at together, at 20 quota units each, and how often before the search is given up: the
/// newest come first, and a campaign may have sent many since.
const PAGE: u32 = 50;
const PAGES: usize = 20;

/// How many seconds the host's clock may be ahead of Gmail's.
const CLOCK_ERROR: i64 = 3_600;

/// What the sent copy says, if there is one. That there is none is no proof of anything: it may come later.
pub(super) async fn find_sent(
    api: &Api,
    thread: Option<&str>,
    mark: &Mark,
) -> Result<Confirmation> {
    let mut copy = match thread {
        Some(thread) => in_thread(api, thread, &mark.key).await?,
        None => None,
    };
    if copy.is_none() {
        copy = among_newest(api, mark).await?;
    }
    Ok(match copy {
        Some(copy) => Confirmation::Sent(Sent::new(
            copy.id.map(MessageId::from),
            copy.thread_id.map(ThreadId::from),
        )),
        None => Confirmation::StillUnknown {
            ask_again_at: ask_again_at(mark.prepared_at, api.client.clock.now()),
        },
    })
}

/// When a copy that is missing now may be there; `None` once that is no longer to be expected.
pub(super) fn ask_again_at(prepared_at: i64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // A clock that was set back since then makes it no older than it is.
    let age = now.timestamp().saturating_sub(prepared_at).max(0);
    let age = Duration::from_secs(age.unsigned_abs());
    (age < WORTHWHILE).then(|| now + age.clamp(SOONEST, LATEST))
}

/// The sent copy, if it is in the conversation that the draft was in.
async fn in_thread(api: &Api, thread: &str, key: &str) -> Result<Option<wire::Message>> {
    let request = api.thread(thread, Format::Mark)?;
    let messages = match api.client.json::<wire::Thread>(request).await {
        Ok(thread) => thread.messages.unwrap_or_default(),
        // It had nothing in it but the draft.
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut messages = messages.into_iter().flatten();
    Ok(messages.find(|message| convert::is_sent_as(message, key)))
}

/// The sent copy, if it is among those that were sent since, or the last of them: Gmail does not promise that a sent draft
/// stays in its conversation.
async fn among_newest(api: &Api, mark: &Mark) -> Result<Option<wire::Message>> {
    let since = mark.prepared_at.saturating_sub(CLOCK_ERROR);
    let search = Search {
        text: Some(format!("after:{since}")),
        labels: vec!["SENT".to_owned()],
        junk_and_trash: true,
        ..Search::default()
    };
    let mut page: Option<String> = None;
    for _ in 0..PAGES {
        let list = api.messages(&search, PAGE, page.as_deref()).await?;
        let listed = list.messages.into_iter().flatten().flatten();
        let calls = listed
            .filter_map(|message| message.id)
            .map(|id| api.message(&id, Format::Mark))
            .collect();
        for answer in batch::send(api, calls).await {
            let message: wire::Message = match answer {
                Ok(answer) => answer.json().unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if convert::is_sent_as(&message, &mark.key) {
                return Ok(Some(message));
            }
        }
        page = list.next_page_token.filter(|token| !token.is_empty());
        if page.is_none() {
            break;
        }
    }
    Ok(None)
}
