//! Says a [`Query`] in Graph's terms: as `$filter` for what can be compared exactly, as `$search` for words, and as the
//! folder's own path for a folder. What cannot be said is left over for [`Residue`], or refused with a reason. Single
//! terms are in `operators`, searches that find more than the service gives in `window`.
//!
//! The two do not mix: Graph refuses `$search` beside `$filter` or `$orderby` on messages
//! (<https://learn.microsoft.com/graph/search-query-parameter>). So a query goes out as one of them, and the other's
//! terms are filtered here.

mod operators;
mod window;

use self::operators::{Comparisons, Words};
pub(super) use self::window::Window;
use super::convert::{self, Roles, named_role, role_folder};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Detail, Exactness, FolderId, FolderRole, Keyword, Language, Query, QueryPlan, Residue,
    approximate, normal,
};

/// The names of the service's languages among native queries.
pub(super) const FILTER: &str = "outlook-filter";
pub(super) const SEARCH: &str = "outlook-search";

/// Every message was received after it. What `$orderby` names must come first in `$filter`, or the service finds the
/// query too complex (<https://learn.microsoft.com/graph/api/user-list-messages#using-filter-and-orderby-in-the-same-query>).
const RECEIVED_AT_ALL: &str = "receivedDateTime ge 1970-01-01T00:00:00Z";
const NEWEST_FIRST: &str = "receivedDateTime desc";

/// A query as `messages` takes it, and what its answer is filtered by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// The folder whose messages are listed, by id or well-known name; all folders if unset.
    pub(super) folder: Option<String>,
    /// `$filter`.
    filter: Option<String>,
    /// `$search`, as KQL. Its results come by themselves with what was sent last first.
    words: Option<String>,
    /// `$search`, as it is sent.
    quoted: Option<String>,
    /// Folders that the query asks for somewhere within: what lies there is meant, even if it is junk or trash.
    pub(super) named: Vec<FolderId>,
    /// What is filtered here.
    pub(super) residue: Residue,
}

impl Search {
    pub(super) fn parameters(&self) -> Vec<(&'static str, &str)> {
        match (&self.quoted, &self.filter) {
            (Some(words), _) => vec![("$search", words)],
            (None, Some(filter)) => vec![("$filter", filter), ("$orderby", NEWEST_FIRST)],
            (None, None) => vec![("$orderby", NEWEST_FIRST)],
        }
    }

    /// Whether it is a search for words, of which the service gives the first so many results only.
    pub(super) fn is_limited(&self) -> bool {
        self.words.is_some()
    }

    /// How far messages are read. Where a search for words has to go on is told by when messages were sent.
    pub(super) fn detail(&self, asked: Detail) -> Detail {
        let read = self.residue.detail(asked);
        if self.is_limited() {
            read.max(Detail::Headers)
        } else {
            read
        }
    }

    fn with_words(mut self, words: String) -> Self {
        self.quoted = Some(format!("\"{}\"", words.replace('"', "\\\"")));
        self.words = Some(words);
        self
    }
}

/// The query with folders by role, and what is no folder here.
fn local(term: &Query) -> Option<Query> {
    match term {
        Query::InFolder(id) => named_role(id.as_str()).map(Query::InRole),
        Query::InRole(FolderRole::Flagged) => Some(Query::Has(Keyword::Flagged)),
        Query::InRole(FolderRole::Important) => Some(Query::Has(Keyword::Important)),
        _ => None,
    }
}

/// A term that names a folder, by role where it has one.
fn local_folder(term: &Query) -> Query {
    local(term).unwrap_or_else(|| term.clone())
}

/// The folder whose path is asked, and the other terms that must all hold.
fn begin(query: &Query) -> Result<(Option<String>, Vec<Query>)> {
    let mut terms = normal(query, &local).ok_or_else(too_deep)?.into_conjuncts();
    let folder = |term: &Query| match term {
        Query::InFolder(id) => Some(id.as_str().to_owned()),
        Query::InRole(role) => role_folder(*role).map(str::to_owned),
        _ => None,
    };
    // The path says it exactly, whatever else is asked.
    let place = terms.iter().position(|term| folder(term).is_some());
    let path = place.and_then(|place| folder(&terms.remove(place)));
    Ok((path, terms))
}

/// Whether [`compile`] needs the ids of the service's own folders: neither `$filter` nor messages know well-known names
/// (<https://github.com/elie222/inbox-zero/issues/1844>).
pub(super) fn needs_roles(query: &Query) -> bool {
    let is_role = |term: &Query| matches!(term, Query::InRole(_));
    let names_role = || {
        query
            .named_folders()
            .into_iter()
            .map(local_folder)
            .any(|term| is_role(&term))
    };
    begin(query).is_ok_and(|(folder, terms)| {
        terms.iter().any(|term| term.mentions(&is_role)) || (folder.is_none() && names_role())
    })
}

/// What to ask for; `None` if the query means no message at all.
pub(super) fn compile(query: &Query, roles: &Roles) -> Result<Option<Search>> {
    let (folder, terms) = begin(query)?;
    let by_id = |term: &Query| match term {
        // A folder that the mailbox does not have holds nothing.
        Query::InRole(role) => Some(match roles.id(*role) {
            Some(id) => Query::InFolder(id.clone()),
            None => Query::All.negated(),
        }),
        _ => None,
    };
    let named = query.named_folders().into_iter().map(local_folder);
    let named = named.filter_map(|term| match term {
        Query::InFolder(id) => Some(id),
        Query::InRole(role) => roles.id(role).cloned(),
        _ => None,
    });
    let named = named.collect();
    let terms = normal(&Query::And(terms), &by_id)
        .ok_or_else(too_deep)?
        .into_conjuncts();
    let search = Search {
        folder,
        named,
        ..Search::default()
    };
    let filtered = filtered(&search, &terms);
    let searched = searched(&search, &terms);
    let chosen = match (filtered, searched) {
        // What is nothing in one language is nothing.
        (Ok(None), _) | (_, Ok(None)) => return Ok(None),
        (Ok(Some(filtered)), _) if filtered.search.residue.query().is_none() => filtered.search,
        (Ok(Some(filtered)), Ok(Some(searched))) => {
            // Only words narrow it down further than comparisons do, and only comparisons find without a limit.
            let both = filtered.said.iter().zip(&searched.said);
            let says_more = both.into_iter().any(|(filter, words)| !filter && *words);
            if says_more {
                searched.search
            } else {
                filtered.search
            }
        }
        (Ok(Some(attempt)), Err(_)) | (Err(_), Ok(Some(attempt))) => attempt.search,
        // A query that is none is that in any language.
        (Err(_), Err(error)) if error.kind() == ErrorKind::InvalidRequest => return Err(error),
        (Err(error), Err(_)) => return Err(error),
    };
    let asks = chosen.folder.is_some() || chosen.filter.is_some() || chosen.words.is_some();
    if !asks && chosen.residue.detail(Detail::Ids) == Detail::Full {
        return Err(Error::unsupported(
            "Outlook cannot be asked for this, and every message in the mailbox would have to be read whole: name a \
             folder, a time or a word that must be there",
        ));
    }
    Ok(Some(chosen))
}

/// A way to ask, with which of the terms it says.
struct Attempt {
    search: Search,
    said: Vec<bool>,
}

/// The query as `$filter`.
fn filtered(search: &Search, terms: &[Query]) -> Result<Option<Attempt>> {
    let told = approximate(&Comparisons, terms)?;
    if told.nothing {
        return Ok(None);
    }
    check_rest(&told.rest)?;
    let said = told.texts.iter().map(Option::is_some).collect();
    let mut search = search.clone();
    search.residue = Residue::new(told.rest);
    let mut texts: Vec<String> = told.texts.into_iter().flatten().collect();
    if !texts.is_empty() {
        let is_received = |text: &String| text.starts_with("receivedDateTime");
        if !texts.iter().any(is_received) {
            texts.push(RECEIVED_AT_ALL.to_owned());
        }
        texts.sort_by_key(|text| !is_received(text));
        search.filter = Some(texts.join(Comparisons::AND));
    }
    Ok(Some(Attempt { search, said }))
}

/// The query as `$search`.
fn searched(search: &Search, terms: &[Query]) -> Result<Option<Attempt>> {
    let told = approximate(&Words, terms)?;
    if told.nothing {
        return Ok(None);
    }
    check_rest(&told.rest)?;
    let said = told.texts.iter().map(Option::is_some).collect();
    let mut search = search.clone();
    search.residue = Residue::new(told.rest);
    let texts: Vec<String> = told.texts.into_iter().flatten().collect();
    if !texts.is_empty() {
        search = search.with_words(texts.join(Words::AND));
    }
    Ok(Some(Attempt { search, said }))
}

/// A filter that only the service could apply cannot be applied here.
fn check_rest(rest: &[Query]) -> Result<()> {
    let native = |term: &Query| matches!(term, Query::Native(_));
    let sized = |term: &Query| matches!(term, Query::Larger(_) | Query::Smaller(_));
    if rest.iter().any(|term| term.mentions(&native)) {
        return Err(Error::unsupported(
            "a native query can be combined only with what Outlook can be asked in the same language",
        ));
    }
    if rest.iter().any(|term| term.mentions(&sized)) {
        return Err(Error::unsupported(
            "Outlook searches by size and does not tell it, so that a size cannot be an alternative to a keyword or folder",
        ));
    }
    Ok(())
}

/// Whether the messages of a query can be asked for by when they were received, all of them.
pub(super) fn divides(query: &Query) -> bool {
    let search = compile(query, &unknown_roles());
    search.is_ok_and(|search| search.is_some_and(|search| !search.is_limited()))
}

/// Stand-ins for the ids of the service's own folders, where nothing is asked.
fn unknown_roles() -> Roles {
    let looked_up = |role| Some((role, FolderId::new(format!("{{{}}}", role_folder(role)?))));
    convert::roles().filter_map(looked_up).collect()
}

/// What is sent and what is filtered here.
pub(super) fn plan(query: &Query) -> Result<QueryPlan> {
    let search = match compile(query, &unknown_roles()) {
        Ok(Some(search)) => search,
        Ok(None) => return Ok(QueryPlan::new(Exactness::Nothing)),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            let why = error.to_string();
            return Ok(QueryPlan::new(Exactness::Unsupported { why }));
        }
        Err(error) => return Err(error),
    };
    let mut plan = QueryPlan::new(match search.residue.query() {
        None => Exactness::Exact,
        Some(filtered) => Exactness::Superset {
            filtered: filtered.clone(),
        },
    });
    if let Some(folder) = &search.folder {
        plan = plan.sending("folder", folder.as_str());
    }
    for (name, value) in search.parameters() {
        plan = plan.sending(name, value);
    }
    if search.folder.is_none() {
        plan = plan.remarking(
            "Graph lists junk and deleted items too: what is not named is left out here",
        );
    }
    if search.is_limited() {
        plan = plan.remarking(
            "a search gives what was sent last first, 1,000 at a time: it is asked again from where it ended",
        );
    }
    Ok(plan)
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidRequest, "the query is nested too deep")
}
