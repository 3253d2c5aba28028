//! Lists of messages, threads and drafts: which messages a query selects, and a page of them. What an
//! entry looks like is the methods' business, what search words mean is in `search`.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use super::call::Call;
use super::error::Failure;
use super::labels;
use super::mailbox::{GmailMailbox, GmailMessage};
use super::search::Search;

/// Pages are of 100 entries unless asked otherwise, and of 500 at most.
const DEFAULT_PAGE: usize = 100;
const MAXIMUM_PAGE: usize = 500;

/// Where an entry stands in a list: newest first, by the time in milliseconds and the id.
pub(crate) type Position = (i64, u64);

/// The messages that a list's parameters select, newest first.
pub(crate) fn selected<'a>(
    call: &Call<'_>,
    mailbox: &'a GmailMailbox,
) -> Result<Vec<&'a GmailMessage>, Failure> {
    let query = call.parameter("q").unwrap_or_default();
    if !query.is_empty() && call.is_metadata_only() {
        return Err(Failure::metadata_scope(
            "Metadata scope does not support 'q' parameter",
        ));
    }
    let wanted = call.parameters("labelIds");
    for label in &wanted {
        if !labels::exists(mailbox, label) {
            return Err(Failure::invalid_argument(format!("Invalid label: {label}")));
        }
    }
    let search = Search::read(query);
    let shows_all = call.is_set("includeSpamTrash")
        || search.names_spam_or_trash()
        || wanted
            .iter()
            .any(|label| matches!(*label, "SPAM" | "TRASH"));
    let now = call.state.clock.now();
    let mut messages: Vec<&GmailMessage> = mailbox
        .messages
        .values()
        // Ids grow with time, so that there is little to sort.
        .rev()
        .filter(|message| {
            let is_hidden = message.labels.contains("SPAM") || message.labels.contains("TRASH");
            (shows_all || !is_hidden)
                && wanted.iter().all(|label| message.labels.contains(*label))
                && search.matches(message, mailbox, &call.account, now)
        })
        .collect();
    messages.sort_by_key(|message| std::cmp::Reverse(position(message)));
    Ok(messages)
}

pub(crate) fn position(message: &GmailMessage) -> Position {
    (message.received.timestamp_millis(), message.id)
}

/// One page of `entries`, which come newest first, under the list's own `name`. Only what is on it is written out by `show`:
/// there may be very many.
///
/// A page may be shorter than asked without being the last. Its token holds for the same query only.
pub(crate) fn page<T>(
    call: &Call<'_>,
    random: &mut fastrand::Rng,
    name: &str,
    entries: Vec<(Position, T)>,
    show: impl Fn(T) -> Value,
) -> Result<Value, Failure> {
    let asked = call
        .parameter("maxResults")
        .and_then(|text| text.parse::<usize>().ok())
        .filter(|number| *number > 0)
        .unwrap_or(DEFAULT_PAGE)
        .min(MAXIMUM_PAGE)
        .min(call.state.settings.longest_page.max(1));
    let fingerprint = fingerprint(call);
    let mut rest = entries;
    if let Some(token) = call.parameter("pageToken") {
        let after = read_token(token, fingerprint)
            .ok_or_else(|| Failure::invalid_argument("Invalid pageToken"))?;
        rest.retain(|(position, _)| *position < after);
    }
    let mut length = asked.min(rest.len());
    if rest.len() > length && length >= 4 && random.u8(0..3) == 0 {
        length -= random.usize(1..=length / 4);
    }
    let more = rest.len() > length;
    rest.truncate(length);
    let mut answer = Map::new();
    // The estimate says nothing: 201 for any small number, as measured on the real service.
    let estimate = match rest.len() {
        0 => 0,
        MAXIMUM_PAGE => 501,
        _ => 201,
    };
    if let (true, Some((last, _))) = (more, rest.last()) {
        let token = write_token(*last, fingerprint);
        answer.insert("nextPageToken".to_owned(), json!(token));
    }
    if !rest.is_empty() {
        let items: Vec<Value> = rest.into_iter().map(|(_, item)| show(item)).collect();
        answer.insert(name.to_owned(), Value::Array(items));
    }
    answer.insert("resultSizeEstimate".to_owned(), json!(estimate));
    Ok(Value::Object(answer))
}

/// What the query is, apart from the size and place of the page.
fn fingerprint(call: &Call<'_>) -> u32 {
    let mut hasher = DefaultHasher::new();
    call.method.id.hash(&mut hasher);
    call.account.hash(&mut hasher);
    call.parameter("q").unwrap_or_default().hash(&mut hasher);
    call.parameters("labelIds").hash(&mut hasher);
    call.is_set("includeSpamTrash").hash(&mut hasher);
    let hash = hasher.finish();
    u32::try_from(hash >> 32).unwrap_or_default()
}

fn write_token((time, id): Position, fingerprint: u32) -> String {
    format!("{fingerprint:010}{:013}{id:020}", time.max(0))
}

fn read_token(token: &str, fingerprint: u32) -> Option<Position> {
    if token.len() != 43 || !token.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if token.get(..10)?.parse::<u32>().ok()? != fingerprint {
        return None;
    }
    Some((
        token.get(10..23)?.parse().ok()?,
        token.get(23..)?.parse().ok()?,
    ))
}
