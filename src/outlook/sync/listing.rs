//! What was there before, newest first: one page of the service's for each page of a sync, so that it takes no more memory
//! however many messages there are. What happens meanwhile is told by the folders, in `round.rs`.

use chrono::{DateTime, SecondsFormat, SubsecRound as _, TimeDelta, Utc};

use super::backlog::Waiting;
use super::census::Area;
use super::place::Listing;
use super::{Step, is_closed, is_refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::http::protocol;
use crate::model::{Detail, FolderId, Message, MessageId};
use crate::outlook::reading::{self, no_list};
use crate::outlook::{attachments, wire};
use crate::provider::SyncChange;

pub(super) const LIST: &str = "outlook.messages.list";

/// How many messages of one second are remembered while a listing goes on from there.
const MOST_AT_ONCE: usize = 250;

/// How often one second is begun again because the address of what follows in it is refused.
const MOST_AGAIN: u32 = 3;

/// How many such addresses are followed within one second: none has as many messages, unless they lead round and round.
const MOST_FURTHER: u32 = 20_000;

/// A message of a listing, and its id if it has no more than that.
pub(super) type Listed = (Option<MessageId>, Result<Message>);

impl Step<'_> {
    /// The next page of what was there before. It goes on from when the last message was received: a place counted from the
    /// top, which is all that the service's addresses of further pages say, would leave out as many messages as were deleted
    /// meanwhile. Only what was received in one second and does not fit onto a page is gone through by such addresses.
    pub(super) async fn list(&mut self) -> Result<()> {
        let Some(mut listing) = self.place.listing.take() else {
            return Ok(());
        };
        let area = self.place.area();
        let named = self.place.scope.names_folders();
        // The one that was being listed may be covered no longer.
        let mut open = area
            .covered()
            .filter(|id| listing.folder.as_ref().is_none_or(|at| *id >= at))
            .cloned();
        let folder = open.next().filter(|_| named);
        let following = open.next().filter(|_| named);
        if listing.over || (named && folder.is_none()) {
            self.end_listing(&listing, &area);
            return Ok(());
        }
        if folder != listing.folder {
            listing = listing.of(folder);
        }
        let detail = self.place.scope.detail;
        let mut page = self.list_page(&listing, detail).await;
        // Perhaps it is one message of them at which the service fails: they are read one by one.
        let one_by_one = detail != Detail::Ids && page.as_ref().is_err_and(Error::is_failure);
        if one_by_one {
            listing.link = None;
            page = self.list_page(&listing, Detail::Ids).await;
        }
        let (mut messages, next) = match page {
            Ok(page) => page,
            Err(error)
                if listing.link.is_some()
                    && (is_refusal(error.kind()) || error.kind() == ErrorKind::CursorExpired) =>
            {
                self.begin_second_again(listing);
                return Ok(());
            }
            // What the host has already is to be read again, which no comparison does. If it is gone, the tree tells.
            Err(error)
                if listing.folder.is_some()
                    && is_refusal(error.kind())
                    && listing.anew
                    && listing.refused < MOST_AGAIN =>
            {
                listing.refused += 1;
                self.place.listing = Some(listing);
                return Ok(());
            }
            // Whether it is not there any longer the tree tells.
            Err(error) if listing.folder.is_some() && is_closed(error.kind()) => {
                self.list_later(listing.folder.as_ref());
                (Vec::new(), None)
            }
            Err(error) => return Err(error),
        };
        if next.is_some() && next == listing.link {
            return Err(protocol("a page of a listing leads to itself").with_operation(LIST));
        }
        if !one_by_one {
            self.name_attachments(&mut messages).await;
        }
        let times = messages.iter().filter_map(|(_, message)| second(message));
        let (newest, oldest) = (times.clone().max(), times.min());
        let until = oldest.or(listing.until);
        let is_within = until == listing.until;
        let edge = self.tell_listed(messages, &listing, until, &area, one_by_one);
        let Some(link) = next else {
            self.go_on_listing(&listing, following, &area);
            return Ok(());
        };
        // A page may also be empty.
        let is_of_one_second = newest == oldest;
        let listing = Listing {
            until,
            edge,
            link: is_of_one_second.then_some(link),
            further: if is_within { listing.further + 1 } else { 0 },
            again: if is_within { listing.again } else { 0 },
            counted: listing.counted || is_of_one_second,
            refused: 0,
            ..listing
        };
        // Where only ids were asked for, the address of what follows tells no more than ids, either.
        if listing.further > MOST_FURTHER || (one_by_one && is_of_one_second) {
            self.pass_over_second(listing);
        } else {
            self.place.listing = Some(listing);
        }
        Ok(())
    }

    async fn list_page(
        &self,
        listing: &Listing,
        detail: Detail,
    ) -> Result<(Vec<Listed>, Option<String>)> {
        let call = match &listing.link {
            Some(link) => self.api.following(LIST, link)?,
            None => {
                let size = if detail == Detail::Full { "50" } else { "250" };
                let filter = filter(self.place.scope.since, listing.until);
                let folder = listing.folder.as_ref().map(FolderId::as_str);
                self.api.newest(folder, filter.as_deref(), detail, size)?
            }
        };
        read(self.api.client.json(call).await?, detail)
    }

    pub(super) async fn name_attachments(&self, messages: &mut Vec<Listed>) {
        let (ids, mut read): (Vec<_>, Vec<_>) = std::mem::take(messages).into_iter().unzip();
        attachments::name_items(self.api, &mut read).await;
        *messages = ids.into_iter().zip(read).collect();
    }

    /// Tells of what was listed, or has it read, and says which were told of the second that the listing goes on from.
    fn tell_listed(
        &mut self,
        messages: Vec<Listed>,
        listing: &Listing,
        until: Option<DateTime<Utc>>,
        area: &Area,
        one_by_one: bool,
    ) -> Vec<MessageId> {
        let mut edge = if until == listing.until {
            listing.edge.clone()
        } else {
            Vec::new()
        };
        for (id, message) in messages {
            let time = second(&message);
            let message = match (message.and_then(super::placed), id) {
                (Ok(message), _) => message,
                (Err(error), Some(id)) => {
                    self.place.unreadable.note(&id);
                    self.found.push(SyncChange::Unreadable(id, error));
                    continue;
                }
                // What has not even an id cannot be told of.
                (Err(_), None) => continue,
            };
            self.place.note_turn(&message.id);
            if listing.edge.contains(&message.id) || !area.covers(&message) {
                continue;
            }
            if time == until && edge.len() < MOST_AT_ONCE {
                edge.push(message.id.clone());
            }
            if one_by_one {
                self.place.backlog.put_last(Waiting::new(message.id));
            } else {
                let told = self.told(message, area);
                self.found.push(told);
            }
        }
        edge
    }

    /// The address of what follows within a second has rotted: the second is begun again.
    fn begin_second_again(&mut self, listing: Listing) {
        let listing = Listing {
            link: None,
            again: listing.again + 1,
            ..listing
        };
        if listing.again > MOST_AGAIN {
            self.pass_over_second(listing);
        } else {
            self.place.listing = Some(listing);
        }
    }

    /// What is left of a second is found by comparing what the host has with what is there, and the listing goes on with the
    /// one before.
    fn pass_over_second(&mut self, listing: Listing) {
        self.place.compare_all_later();
        self.place.listing = listing.until.map(|until| Listing {
            folder: listing.folder,
            until: Some(until - TimeDelta::seconds(1)),
            counted: listing.counted,
            shifted: listing.shifted,
            anew: listing.anew,
            ..Listing::default()
        });
    }

    /// All of a folder was listed, or all of the mailbox.
    fn go_on_listing(&mut self, listing: &Listing, following: Option<FolderId>, area: &Area) {
        if following.is_some() {
            self.place.listing = Some(listing.of(following));
        } else if listing.counted {
            // What left before the last page was asked for may be told only now.
            self.place.listing = Some(Listing {
                over: true,
                ..listing.of(None)
            });
        } else {
            self.end_listing(listing, area);
        }
    }

    /// What left while places were counted may have shifted others out of the listing, which a comparison tells. Of what
    /// leaves folders that are not covered nothing is known.
    fn end_listing(&mut self, listing: &Listing, area: &Area) {
        let knows_all = self.place.scope.names_folders()
            || self.place.folders.keys().all(|id| area.contains(id));
        if listing.counted && (listing.shifted || !knows_all) {
            self.place.compare_all_later();
        }
    }
}

/// The messages of a page, and the address of what follows.
pub(super) fn read(
    page: wire::Collection,
    detail: Detail,
) -> Result<(Vec<Listed>, Option<String>)> {
    let items = page.value.ok_or_else(|| no_list(LIST))?.into_iter();
    let messages = items.map(|item| {
        let item = item.get().as_bytes();
        let named: Option<wire::Removal> = wire::salvage(item);
        let id = named.and_then(|named| named.id).map(MessageId::from);
        (id, reading::message(item, detail))
    });
    Ok((messages.collect(), page.next_link))
}

/// In which second a message was received.
pub(super) fn second(message: &Result<Message>) -> Option<DateTime<Utc>> {
    let received = message.as_ref().ok()?.received_at?;
    Some(received.trunc_subsecs(0))
}

/// A listing's part that is still to come: what was received in the second that it stopped at, or before.
pub(super) fn filter(since: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Option<String> {
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let since = since.map(|since| format!("receivedDateTime ge {}", instant(since)));
    let until = until.map(|until| {
        let end = until + TimeDelta::seconds(1);
        format!("receivedDateTime lt {}", instant(end))
    });
    let terms: Vec<String> = since.into_iter().chain(until).collect();
    (!terms.is_empty()).then(|| terms.join(" and "))
}
