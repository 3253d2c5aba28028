//! The mail that every emulated mailbox starts with: a varied set of real RFC 5322 messages, well formed and
//! not, with when each arrived and where it lies. What a mailbox makes of them is its own business.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};

use super::message::Mail;
use super::world::{Arrival, Place, World};

/// The address that stands for the mailbox's owner in the stored messages.
const OWNER: &str = "you@mailbox.example";

/// The date that stands for the moment of arrival in the stored messages. Messages whose date is missing
/// or malformed on purpose do not have it.
const ARRIVAL: &str = "Thu, 01 Jan 2026 09:00:00 +0000";

/// Bytes of the attachment that is made up while loading instead of being stored.
const LARGE_ATTACHMENT: usize = 300 * 1024;

/// One row of the corpus: the stored text, how long before now it arrived, and its state.
struct Row {
    raw: &'static [u8],
    minutes_ago: i64,
    place: Place,
    seen: bool,
    starred: bool,
}

macro_rules! row {
    ($name:literal, $minutes_ago:literal, $place:ident $(, $flag:ident)*) => {{
        let (mut seen, mut starred) = (false, false);
        $( match stringify!($flag) { "seen" => seen = true, _ => starred = true } )*
        // A row that names no flag leaves both as they are.
        let _ = (&mut seen, &mut starred);
        Row {
            raw: include_bytes!(concat!("seed/", $name, ".eml")),
            minutes_ago: $minutes_ago,
            place: Place::$place,
            seen,
            starred,
        }
    }};
}

/// Fills every mailbox with the corpus, as if it had arrived over the weeks before now.
pub(crate) fn corpus(world: &mut World) {
    let now = world.clock.now();
    let owners: Vec<String> = world
        .accounts
        .iter()
        .map(|account| account.address.clone())
        .collect();
    for owner in owners {
        for arrival in made_out(&owner, now) {
            world.store(&owner, arrival);
        }
    }
}

/// The corpus for one mailbox, oldest first, so that answers come after what they answer.
fn made_out(owner: &str, now: DateTime<Utc>) -> Vec<Arrival> {
    let mut arrivals: Vec<Arrival> = rows()
        .into_iter()
        .map(|row| make_out(row.raw, &row, owner, now))
        .collect();
    arrivals.push(large(owner, now));
    arrivals.sort_by_key(|arrival| arrival.received);
    arrivals
}

fn rows() -> Vec<Row> {
    vec![
        row!("welcome", 40_321, Inbox, seen),
        row!("groups", 38_113, Archive, seen),
        row!("latin-1", 36_007, Archive, seen),
        row!("koi8-r", 33_411, Inbox, seen),
        row!("utf-16", 31_902, Archive, seen),
        row!("sent-order", 30_550, Sent, seen),
        row!("invoice", 29_880, Inbox, seen, starred),
        row!("gb18030", 27_345, Inbox, seen),
        row!("malformed-headers", 26_001, Inbox, seen),
        row!("iso-2022-jp", 24_770, Inbox, seen),
        row!("duplicate-headers", 23_450, Archive, seen),
        row!("bounce", 21_960, Inbox, seen),
        row!("long-lines", 20_222, Archive, seen),
        row!("continued-filename", 18_800, Inbox, seen, starred),
        row!("truncated-base64", 17_005, Inbox, seen),
        row!("encoded-names", 15_433, Inbox),
        row!("broken-boundary", 14_190, Inbox, seen),
        row!("windows-1252", 12_960, Inbox, seen),
        row!("no-headers", 11_700, Inbox),
        row!("forwarded", 10_333, Inbox, seen),
        row!("raw-8bit-headers", 7_777, Inbox),
        row!("signed", 7_100, Archive, seen),
        row!("junk", 6_450, Junk),
        row!("trashed", 6_130, Trash, seen),
        row!("address-oddities", 5_901, Inbox, seen),
        row!("flowed", 5_003, Inbox),
        row!("thread-1", 4_490, Inbox, seen),
        row!("thread-2", 4_371, Sent, seen),
        row!("empty-body", 3_600, Inbox),
        row!("attachment-only", 2_950, Inbox, seen),
        row!("html-only", 2_222, Inbox),
        row!("inline-image", 1_733, Inbox, seen, starred),
        row!("thread-3", 1_502, Inbox),
        row!("invitation", 980, Inbox),
        row!("report-with-chart", 377, Inbox, seen),
        row!("newsletter", 95, Inbox),
    ]
}

fn make_out(raw: &[u8], row: &Row, owner: &str, now: DateTime<Utc>) -> Arrival {
    let received = now - Duration::minutes(row.minutes_ago);
    let raw = replace(raw, OWNER.as_bytes(), owner.as_bytes());
    let raw = replace(&raw, ARRIVAL.as_bytes(), received.to_rfc2822().as_bytes());
    Arrival {
        mail: Arc::new(Mail::new(raw)),
        received,
        place: row.place,
        seen: row.seen,
        flagged: row.starred,
    }
}

/// Replaces bytes, since not every message is text in any one charset.
fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len() + to.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            replaced.extend_from_slice(to);
            rest = after;
        } else {
            replaced.push(*first);
            rest = after;
        }
    }
    replaced
}

/// A message with an attachment too large for anyone to want it in a page of a listing.
fn large(owner: &str, now: DateTime<Utc>) -> Arrival {
    static ENCODED: LazyLock<String> = LazyLock::new(large_attachment);

    let received = now - Duration::minutes(6 * 24 * 60 + 75);
    let raw = format!(
        "From: Picture Archive <pictures@archive.example>\r\nTo: {owner}\r\n\
         Subject: The photographs you ordered\r\nDate: {}\r\n\
         Message-ID: <pictures-300@archive.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"pictures\"\r\n\r\n\
         --pictures\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         All photographs in one archive of 300 KB.\r\n\
         --pictures\r\nContent-Type: application/zip; name=\"photographs.zip\"\r\n\
         Content-Disposition: attachment; filename=\"photographs.zip\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}--pictures--\r\n",
        received.to_rfc2822(),
        *ENCODED
    );
    Arrival {
        mail: Arc::new(Mail::new(raw)),
        received,
        place: Place::Inbox,
        seen: true,
        flagged: false,
    }
}

/// The attachment in lines of base64.
fn large_attachment() -> String {
    // A linear congruential generator is enough for bytes that do not compress and are the same each time.
    let mut state = 0x2545_f491_u32;
    let bytes: Vec<u8> = (0..LARGE_ATTACHMENT)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes().first().copied().unwrap_or_default()
        })
        .collect();
    let encoded = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / 30);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(76));
        lines.push_str(line);
        lines.push_str("\r\n");
        rest = after;
    }
    lines
}
