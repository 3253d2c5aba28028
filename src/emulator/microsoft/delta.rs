//! Changes of one folder's messages, and of the folders themselves, since a token was given out: `messages/delta` and
//! `mailFolders/delta`. What happened is noted in `journal`.
//!
//! <https://learn.microsoft.com/en-us/graph/delta-query-messages>, <https://learn.microsoft.com/en-us/graph/delta-query-overview>

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::super::Emulator;
use super::call::{Answer, Call, Reply, unsupported_option};
use super::error::GraphError;
use super::journal::{Event, Journal, Kind, Token};
use super::mailbox::{OutlookMailbox, OutlookMessage, new_id};
use super::query::{self, Listing};
use super::{folders, represent};

/// How long a page is if nothing is said.
const DEFAULT_PAGE: usize = 10;

/// With a filter no more messages are told of, without a word about the others.
/// <https://learn.microsoft.com/en-us/graph/api/message-delta#odata-query-parameters>
const FILTERED: usize = 5_000;

/// What a round was begun with. It is frozen into its tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    select: Option<Vec<String>>,
    since: Option<(DateTime<Utc>, bool)>,
    change_types: Vec<String>,
    /// `$top`, which is no size of a page but an end of the whole round, while pages stay at ten:
    /// <https://github.com/microsoftgraph/msgraph-sdk-java/issues/536>.
    top: Option<usize>,
}

/// One thing that a round tells.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// The message with this key is in the folder.
    Whole(u64),
    /// These properties of it changed.
    Part(u64, Option<BTreeSet<&'static str>>),
    /// What had this id left the folder.
    Removed(String),
}

impl Emulator {
    /// The next walk through one of the mailbox's folders, of those that begin to tell of its changes, ends after its first page
    /// as if that were all.
    pub fn end_next_walk_early(&self, address: &str) {
        let mut world = self.state.world();
        if let Some((mailbox, _)) = world.outlook(address) {
            mailbox.journal.ends_walk_early = true;
        }
    }

    /// Which of the mailbox's messages, by the ids that stay, lie in a folder whose changes do not tell of them any more, by
    /// one of the tokens that were given out: they left it and came back within a round.
    /// <https://github.com/microsoftgraph/microsoft-graph-docs/issues/21752>
    #[must_use]
    pub fn forgotten_by_deltas(&self, address: &str) -> Vec<String> {
        let mut world = self.state.world();
        let Some((mailbox, _)) = world.outlook(address) else {
            return Vec::new();
        };
        let keys = mailbox.journal.forgotten();
        let messages = keys.iter().filter_map(|key| mailbox.messages.get(key));
        messages
            .map(|message| message.immutable_id.clone())
            .collect()
    }
}

/// `GET …/mailFolders/{id}/messages/delta`. Only folders tell what changed in them:
/// <https://github.com/microsoftgraph/microsoft-graph-docs/issues/6576>.
pub(crate) fn messages(call: &Call<'_>, folder: Option<&str>) -> Answer {
    call.need(&["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])?;
    let Some(folder) = folder else {
        return Err(GraphError::bad_request(
            "BadRequest",
            "Change tracking is not supported against 'microsoft.graph.message'.",
        ));
    };
    call.mailbox(|mailbox, random| {
        let folder = mailbox
            .folder(folder)
            .ok_or_else(GraphError::folder_not_found)?
            .id
            .clone();
        let token = match given(call)? {
            Some(text) => known(&mailbox.journal, text, &folder)?,
            None => {
                let options = read_options(call)?;
                begin(mailbox, &folder, options)
            }
        };
        Ok(page(call, mailbox, random, token))
    })
}

/// `GET …/mailFolders/delta`: all folders, however deep they lie.
pub(crate) fn folders(call: &Call<'_>) -> Answer {
    call.need(&["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"])?;
    call.mailbox(|mailbox, random| {
        let token = match given(call)? {
            Some(text) => known(&mailbox.journal, text, "")?,
            None => {
                let select = query::select(call, &folders::PROPERTIES, folders::TYPE)?;
                let options = Options {
                    select,
                    ..Options::default()
                };
                Token {
                    reached: mailbox.journal.visible(),
                    options,
                    begun: true,
                    ..Token::default()
                }
            }
        };
        let listing = Listing::selecting(token.options.select.clone());
        let mut items: Vec<Value> = Vec::new();
        if token.begun {
            let all = mailbox
                .folders
                .iter()
                .filter(|folder| folder.parent.is_some());
            items.extend(all.map(|folder| folders::show(mailbox, folder, &listing)));
        } else {
            for id in mailbox.journal.folders_since(token.reached) {
                let folder = mailbox.folders.iter().find(|folder| folder.id == id);
                items.push(match folder {
                    Some(folder) => folders::show(mailbox, folder, &listing),
                    None => removed(&id),
                });
            }
        }
        let next = Token {
            reached: mailbox.journal.visible(),
            begun: false,
            ..token
        };
        let link = link(call, &mut mailbox.journal, random, next, true);
        Ok(Reply::json(json!({
            "@odata.context": call.context("mailFolders"),
            "value": items,
            "@odata.deltaLink": link,
        })))
    })
}

/// The token that the request carries. A link is used as it is or not at all.
fn given<'a>(call: &'a Call<'_>) -> Result<Option<&'a str>, GraphError> {
    let is_token = |name: &str| matches!(name, "$deltatoken" | "$skiptoken");
    let Some((_, text)) = call.query.iter().find(|(name, _)| is_token(name)) else {
        return Ok(None);
    };
    // <https://github.com/microsoftgraph/microsoft-graph-docs/issues/18889>
    if call.query.len() > 1 || text == "latest" {
        return Err(GraphError::bad_request(
            "ErrorInvalidUrlQuery",
            "The following parameters are not supported with change tracking over the 'Messages' resource: \
             '$deltatoken'.",
        ));
    }
    Ok(Some(text))
}

/// What the service remembers of a token. What it does not remember it says in more than one way:
/// <https://github.com/microsoftgraph/microsoft-graph-docs/issues/2350>,
/// <https://learn.microsoft.com/en-us/graph/delta-query-overview#synchronization-reset>.
fn known(journal: &Journal, text: &str, folder: &str) -> Result<Token, GraphError> {
    match journal.token(text) {
        Some(token) if token.folder == folder => Ok(token.clone()),
        Some(_) => Err(GraphError::bad_request(
            "SyncStateInvalid",
            "The sync state is not valid for this folder.",
        )),
        None if text.len() < 40 => Err(GraphError::bad_request(
            "ErrorInvalidUrlQuery",
            "The provided delta token is not valid.",
        )),
        None => Err(match text.bytes().map(u32::from).sum::<u32>() % 3 {
            0 => GraphError::new(
                StatusCode::GONE,
                "SyncStateNotFound",
                "The sync state generation is not found; generation=12.",
            ),
            1 => GraphError::new(
                StatusCode::GONE,
                "resyncRequired",
                "Resync required. Replace any local items with the server's version.",
            ),
            _ => GraphError::new(
                StatusCode::BAD_REQUEST,
                "syncStateNotFound",
                "The sync state generation is not found; generation=12.",
            ),
        }),
    }
}

fn read_options(call: &Call<'_>) -> Result<Options, GraphError> {
    let mut options = Options::default();
    for (name, value) in &call.query {
        match name.as_str() {
            "$select" => {
                let listing = query::listing(
                    call,
                    &represent::PROPERTIES,
                    represent::TYPE,
                    &["changeType"],
                )?;
                options.select = listing.select;
            }
            "$filter" => options.since = Some(read_filter(value)?),
            "$orderby" if value.eq_ignore_ascii_case("receivedDateTime desc") => {}
            "$top" => {
                options.top = Some(value.parse().map_err(|_| unsupported_option(name))?);
            }
            "changeType" if matches!(value.as_str(), "created" | "updated" | "deleted") => {
                options.change_types.push(value.clone());
            }
            _ => {
                return Err(GraphError::bad_request(
                    "ErrorInvalidUrlQuery",
                    format!(
                        "The following parameters are not supported with change tracking over the 'Messages' \
                         resource: '{name}'."
                    ),
                ));
            }
        }
    }
    Ok(options)
}

/// `receivedDateTime ge|gt` an instant, and nothing else.
/// <https://github.com/microsoftgraph/microsoft-graph-docs/issues/18636>
fn read_filter(text: &str) -> Result<(DateTime<Utc>, bool), GraphError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let read = match words.as_slice() {
        [name, operator, instant] if name.eq_ignore_ascii_case("receivedDateTime") => {
            let inclusive = match *operator {
                "ge" => Some(true),
                "gt" => Some(false),
                _ => None,
            };
            DateTime::parse_from_rfc3339(instant)
                .ok()
                .map(|at| at.to_utc())
                .zip(inclusive)
        }
        _ => None,
    };
    read.ok_or_else(|| {
        GraphError::bad_request(
            "ErrorInvalidUrlQuery",
            "The filter is not supported with change tracking over the 'Messages' resource.",
        )
    })
}

/// The first round: everything that lies in the folder.
fn begin(mailbox: &OutlookMailbox, folder: &str, options: Options) -> Token {
    let mut told: Vec<(DateTime<Utc>, u64)> = mailbox
        .messages
        .values()
        .filter(|message| message.folder == folder && is_wanted(&options, message))
        .map(|message| (message.received, message.key))
        .collect();
    told.sort_unstable();
    told.reverse();
    let most = options.top.unwrap_or(usize::MAX);
    let most = if options.since.is_some() {
        most.min(FILTERED)
    } else {
        most
    };
    Token {
        folder: folder.to_owned(),
        reached: mailbox.journal.visible(),
        told: told
            .into_iter()
            .take(most)
            .map(|(_, key)| Told::Whole(key))
            .collect(),
        options,
        begun: true,
        ..Token::default()
    }
}

fn is_wanted(options: &Options, message: &OutlookMessage) -> bool {
    match options.since {
        Some((since, true)) => message.received >= since,
        Some((since, false)) => message.received > since,
        None => true,
    }
}

/// What happened in the folder since a round ended.
fn gather(call: &Call<'_>, mailbox: &OutlookMailbox, token: &mut Token) {
    let until = mailbox.journal.visible();
    let mut by_key: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in mailbox.journal.since(&token.folder, token.reached, until) {
        by_key.entry(event.key).or_default().push(event);
    }
    let options = token.options.clone();
    let wants = |kind: &str| {
        options.change_types.is_empty() || options.change_types.iter().any(|wanted| wanted == kind)
    };
    let mut told = Vec::new();
    for (key, events) in by_key {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            continue;
        };
        let was_there = !matches!(first.kind, Kind::Entered);
        let is_there = !matches!(last.kind, Kind::Left);
        let left = events
            .iter()
            .rfind(|event| matches!(event.kind, Kind::Left));
        let id = |event: &Event| {
            if call.prefer.immutable_ids {
                event.immutable_id.clone()
            } else {
                event.id.clone()
            }
        };
        if token.forgotten.contains(&key) {
            // It is there and the service does not know: not even that it goes is told.
            if !is_there {
                token.forgotten.remove(&key);
            }
            continue;
        }
        let message = mailbox
            .messages
            .get(&key)
            .filter(|message| is_wanted(&options, message));
        match (was_there, is_there) {
            // With ids that never change, what left and came back has only left:
            // <https://github.com/microsoftgraph/microsoft-graph-docs/issues/21752>
            (true, true) if left.is_some() && call.prefer.immutable_ids => {
                token.forgotten.insert(key);
                told.extend(left.map(|left| Told::Removed(id(left))));
            }
            (true, true) if left.is_none() => {
                let parts = events.iter().map(|event| match &event.kind {
                    Kind::Changed(names) => names.clone(),
                    Kind::Entered | Kind::Left => None,
                });
                let names = parts.reduce(|one, other| Some(&one? | &other?)).flatten();
                if message.is_some() && wants("updated") {
                    told.push(Told::Part(key, names));
                }
            }
            (_, true) => {
                told.extend(
                    left.filter(|_| was_there)
                        .map(|left| Told::Removed(id(left))),
                );
                if message.is_some() && wants("created") {
                    told.push(Told::Whole(key));
                }
            }
            (_, false) if wants("deleted") => {
                told.extend(left.map(|left| Told::Removed(id(left))));
            }
            (_, false) => {}
        }
    }
    token.told = told.into();
    token.done = 0;
    token.reached = until;
}

/// One page. Of several, every third is empty, and each begins with what the one before ended with
/// (<https://github.com/microsoftgraph/microsoft-graph-docs/issues/3611>). On request the first is also the last, though there is
/// more.
fn page(
    call: &Call<'_>,
    mailbox: &mut OutlookMailbox,
    random: &mut fastrand::Rng,
    mut token: Token,
) -> Reply {
    if token.is_over() {
        gather(call, mailbox, &mut token);
        token.number = 0;
    }
    let begins = std::mem::take(&mut token.begun);
    let size = match token.options.top {
        Some(_) => DEFAULT_PAGE,
        None => call
            .prefer
            .page_size
            .unwrap_or(DEFAULT_PAGE)
            .clamp(1, 1_000),
    }
    .min(call.state.settings.longest_page.max(1));
    let left = token.waiting().len();
    let count = if left > size && token.number % 3 == 1 {
        0
    } else {
        left.min(size)
    };
    let shown: Vec<Told> = token.waiting().iter().take(count).cloned().collect();
    token.done += count;
    let mut again = std::mem::take(&mut token.again);
    again.truncate(if count > 0 { again.len() } else { 0 });
    let mut items: Vec<Value> = Vec::new();
    for told in again.iter().chain(&shown) {
        items.extend(show(call, mailbox, &token.options, told));
    }
    let repeated = call.state.settings.repeated.of(shown.len(), 1, random);
    let told_again = shown.len() - repeated..;
    token.again = shown.get(told_again).unwrap_or_default().to_vec();
    token.number += 1;
    if begins && left > count && mailbox.journal.ends_walk_early {
        mailbox.journal.ends_walk_early = false;
        token.done = token.told.len();
    }
    let is_last = token.waiting().is_empty();
    if is_last {
        token.again.clear();
    }
    let context = call.context(&format!("mailFolders('{}')/messages", token.folder));
    let link = link(call, &mut mailbox.journal, random, token, is_last);
    let name = if is_last {
        "@odata.deltaLink"
    } else {
        "@odata.nextLink"
    };
    Reply::json(json!({"@odata.context": context, "value": items, name: link}))
}

fn show(
    call: &Call<'_>,
    mailbox: &OutlookMailbox,
    options: &Options,
    told: &Told,
) -> Option<Value> {
    let (key, names) = match told {
        Told::Removed(id) => return Some(removed(id)),
        Told::Whole(key) => (key, None),
        Told::Part(key, names) => (key, names.as_ref()),
    };
    // What is gone by now is told in the next round.
    let message = mailbox.messages.get(key)?;
    let select = match names {
        None => options.select.clone(),
        Some(names) => {
            let asked = |name: &&str| {
                let select = options.select.as_ref();
                select.is_none_or(|select| select.iter().any(|known| known == *name))
            };
            let always = ["lastModifiedDateTime", "changeKey"];
            let told = always.iter().chain(names).filter(|name| asked(name));
            Some(told.map(|name| (*name).to_owned()).collect())
        }
    };
    let listing = Listing::selecting(select);
    Some(represent::message(call, message, &listing))
}

/// That something left the folder. Whether it is deleted or moved is not told.
fn removed(id: &str) -> Value {
    json!({"id": id, "@removed": {"reason": "deleted"}})
}

/// Remembers a token, and writes the address that carries it.
fn link(
    call: &Call<'_>,
    journal: &mut Journal,
    random: &mut fastrand::Rng,
    token: Token,
    is_last: bool,
) -> String {
    let text = new_id("", random);
    journal.remember(text.clone(), token, is_last);
    let name = if is_last { "$deltatoken" } else { "$skiptoken" };
    let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    call.url(&format!("{}?{name}={text}", call.raw_path))
}
