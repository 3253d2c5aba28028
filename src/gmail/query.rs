//! Says a [`Query`] in Gmail's search language (<https://support.google.com/mail/answer/7190>), with labels where those
//! are exact. What cannot be said is left over for [`Residue`], or refused with a reason. Single operators are in
//! `operators`.

mod operators;

use self::operators::Operators;
use super::convert::role_label;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{
    Exactness, FolderRole, Language, Query, QueryPlan, Residue, approximate, normal,
};

/// The name of Gmail's language among native queries.
pub(super) const LANGUAGE: &str = "gmail";

/// The labels that a listing leaves out, and how a query names them.
const HIDDEN: [(&str, &str); 2] = [("SPAM", "in:spam"), ("TRASH", "in:trash")];

/// A query as `messages.list` takes it, and what its answer is filtered by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// `q`.
    pub(super) text: Option<String>,
    /// `labelIds`: the message has all of them.
    pub(super) labels: Vec<String>,
    /// `includeSpamTrash`: without it neither is searched.
    pub(super) junk_and_trash: bool,
    /// What is filtered here.
    pub(super) residue: Residue,
}

/// What to ask for; `None` if the query means no message at all.
pub(super) fn compile(query: &Query) -> Result<Option<Search>> {
    let named: Vec<&str> = query
        .named_folders()
        .into_iter()
        .filter_map(label_of)
        .collect();
    let is_named = |label: &str| named.contains(&label);
    let replace = |term: &Query| match term {
        Query::InRole(FolderRole::Archive) => Some(archived(is_named)),
        term => local(term),
    };
    let mut conjuncts = normal(query, &replace)
        .ok_or_else(too_deep)?
        .into_conjuncts();
    let mut search = Search::default();
    conjuncts.retain(|conjunct| {
        let Query::InFolder(label) = conjunct else {
            return true;
        };
        search.labels.push(label.as_str().to_owned());
        false
    });
    let told = approximate(&Operators, &conjuncts)?;
    if told.nothing {
        return Ok(None);
    }
    search.residue = Residue::new(told.rest);
    check_residue(&search.residue)?;
    let mut texts: Vec<String> = told.texts.into_iter().flatten().collect();
    let is_wanted = |label: &str| search.labels.iter().any(|wanted| wanted == label);
    let hidden = || HIDDEN.into_iter();
    search.junk_and_trash = hidden().any(|(label, _)| is_named(label));
    if search.junk_and_trash && !hidden().any(|(label, _)| is_wanted(label)) {
        // Both are searched now; the one that was not named is still not meant.
        let other = hidden().find(|(label, _)| !is_named(label));
        let one = hidden().find(|(label, _)| is_named(label));
        if let (Some((_, other)), Some((_, one))) = (other, one) {
            texts.push(format!("(-{other} OR {one})"));
        }
    }
    search.text = (!texts.is_empty()).then(|| texts.join(Operators::AND));
    Ok(Some(search))
}

/// What is sent and what is filtered here.
pub(super) fn plan(query: &Query) -> Result<QueryPlan> {
    let search = match compile(query) {
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
    if let Some(text) = search.text {
        plan = plan.sending("q", text);
    }
    for label in search.labels {
        plan = plan.sending("labelIds", label);
    }
    if search.junk_and_trash {
        plan = plan.sending("includeSpamTrash", "true");
    }
    if matches!(plan.exactness, Exactness::Superset { .. }) {
        plan = plan.remarking("each message that the service finds costs 20 quota units to read");
    }
    Ok(plan)
}

/// Folders by their labels, and what is no folder here.
fn local(term: &Query) -> Option<Query> {
    match term {
        Query::InFolder(id) if id.as_str() == "UNREAD" => Some(Query::unread()),
        Query::InRole(role) => role_label(*role).map(|label| Query::InFolder(label.into())),
        _ => None,
    }
}

/// The label that a term names.
fn label_of(term: &Query) -> Option<&str> {
    match term {
        Query::InFolder(id) => Some(id.as_str()),
        Query::InRole(role) => role_label(*role),
        _ => None,
    }
}

/// Gmail has no label for the archive: it is what is left of the mail that was received. Spam and trash are left out
/// anyway; an operator that names them would bring them in.
fn archived(is_named: impl Fn(&str) -> bool) -> Query {
    let hidden = HIDDEN.into_iter().map(|(label, _)| label);
    let others = ["INBOX", "SENT", "DRAFT"].into_iter();
    let others = others.chain(hidden.filter(|label| is_named(label)));
    Query::And(
        others
            .map(|label| Query::InFolder(label.into()).negated())
            .collect(),
    )
}

/// A filter that only the service could apply cannot be applied here.
fn check_residue(residue: &Residue) -> Result<()> {
    let native = |term: &Query| matches!(term, Query::Native(_));
    match residue.query() {
        Some(query) if query.mentions(&native) => Err(Error::unsupported(
            "a native query can be combined only with what Gmail can be asked",
        )),
        _ => Ok(()),
    }
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidRequest, "the query is nested too deep")
}
