//! What was there before a sync began, newest first: one listing for each of the scope's searches, a page at a time. What is
//! listed waits to be read; reading it is `sync.rs`'s.

use super::place::Listing;
use super::{MOST_RESTARTS, Step, census, expired, is_refusal, message};
use crate::error::Result;
use crate::gmail::api::Api;
use crate::gmail::query::Search;
use crate::gmail::reading::Listed;
use crate::gmail::wire;
use crate::http::protocol;
use crate::model::{AuditWindow, Detail};
use crate::provider::SyncChange;
use crate::sync::SyncRule;

impl Step<'_> {
    /// The next page of what was there before.
    pub(super) async fn list(&mut self) -> Result<()> {
        let Some(listing) = &mut self.place.listing else {
            return Ok(());
        };
        let searches = census::searches(&self.place.scope, AuditWindow::all())?;
        let Some(search) = searches.get(listing.search) else {
            self.place.listing = None;
            return Ok(());
        };
        let page = match list_page(self.api, search, listing.token.as_deref()).await {
            // A token that rots in a long walk. What is still missing is found by comparing.
            Err(error) if is_refusal(&error) && listing.token.is_some() => {
                self.place.listing = match &*listing {
                    listing if !listing.again => None,
                    listing if listing.restarts < MOST_RESTARTS => Some(Listing {
                        restarts: listing.restarts + 1,
                        ..Listing::again()
                    }),
                    _ => {
                        let message = "Gmail refuses the later pages of a listing again and again";
                        return Err(expired(error, message).with_operation(census::LIST));
                    }
                };
                self.place.compare_later();
                return Ok(());
            }
            Err(error)
                if (is_refusal(&error) && !self.guards.hold(SyncRule::UnknownIsNotAbsent))
                    || census::is_of_no_label(self.api, search, &error).await? =>
            {
                wire::MessageList::default()
            }
            page => page?,
        };
        let next = page.next_page_token.filter(|token| !token.is_empty());
        if next.is_some() && next == listing.token {
            return Err(protocol("a page of a listing leads to itself"));
        }
        let listed = page.messages.into_iter().flatten().flatten();
        let listed: Vec<Listed> = listed.filter_map(super::listed).collect();
        let is_over = next.is_none();
        let again = listing.again;
        listing.search += usize::from(is_over);
        listing.token = next;
        // One that reads everything again is over once all of it was read: if the history is lost before, it begins again.
        if is_over && !again {
            self.place.listing = None;
        }
        if is_over && !again && searches.len() > 1 {
            // What others of the scope's labels have beside this one is found by comparing, and nothing is read twice.
            self.place.compare_later();
        }
        if self.place.scope.detail == Detail::Ids {
            self.note_done(listed.len());
            let told = listed.into_iter().map(message);
            self.found
                .extend(told.map(|message| SyncChange::Message(Box::new(message))));
        } else {
            self.place.backlog.extend(listed);
        }
        Ok(())
    }
}

async fn list_page(api: &Api, search: &Search, token: Option<&str>) -> Result<wire::MessageList> {
    api.client.json(api.ids(search, token)?).await
}
