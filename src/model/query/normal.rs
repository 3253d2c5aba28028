//! Simpler trees of the same meaning: without needless nesting, and with `Not` only around single terms.

use super::Query;
use crate::model::Folder;

/// Nesting that no person types and no stack minds.
const DEEPEST: usize = 64;

impl Query {
    /// No message at all.
    fn nothing() -> Self {
        Self::Not(Box::new(Self::All))
    }

    /// Whether the query names a folder, other than by excluding it. What lies in spam or trash is meant only by a query
    /// that names that.
    ///
    /// ```
    /// use postroom::{Folder, FolderRole, Query};
    ///
    /// let mut trash = Folder::new("TRASH".into(), "Trash");
    /// trash.role = Some(FolderRole::Trash);
    /// assert!("in:trash OR is:starred".parse::<Query>()?.names(&trash));
    /// assert!(!"is:starred -in:trash".parse::<Query>()?.names(&trash));
    /// # Ok::<(), postroom::QueryError>(())
    /// ```
    #[must_use]
    pub fn names(&self, folder: &Folder) -> bool {
        self.named_folders().into_iter().any(|term| match term {
            Self::InFolder(id) => *id == folder.id,
            Self::InRole(role) => folder.role == Some(*role),
            _ => false,
        })
    }

    /// The folders that are named other than by excluding them, as the terms that name them.
    pub(crate) fn named_folders(&self) -> Vec<&Self> {
        let mut named = Vec::new();
        self.collect_folders(true, &mut named, 0);
        named
    }

    fn collect_folders<'a>(&'a self, wanted: bool, named: &mut Vec<&'a Self>, depth: usize) {
        match self {
            _ if depth > DEEPEST => {}
            Self::Not(term) => term.collect_folders(!wanted, named, depth + 1),
            Self::And(terms) | Self::Or(terms) => {
                for term in terms {
                    term.collect_folders(wanted, named, depth + 1);
                }
            }
            Self::InFolder(_) | Self::InRole(_) if wanted => named.push(self),
            _ => {}
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Not(term) if **term == Self::All)
    }

    /// The same query without needless nesting: `And` in `And`, lists of one, double negation, and what is always or
    /// never true. Whatever its text form is read as is simplified.
    #[must_use]
    pub fn simplified(self) -> Self {
        match self {
            Self::And(terms) => list(terms, true),
            Self::Or(terms) => list(terms, false),
            Self::Not(term) => match term.simplified() {
                Self::Not(term) => *term,
                term => Self::Not(Box::new(term)),
            },
            term => term,
        }
    }
}

/// All of the terms, or any of them.
fn list(terms: Vec<Query>, all: bool) -> Query {
    let mut kept = Vec::new();
    for term in terms {
        match term.simplified() {
            Query::All if all => {}
            Query::All => return Query::All,
            term if term.is_nothing() && all => return Query::nothing(),
            term if term.is_nothing() => {}
            Query::And(terms) if all => kept.extend(terms),
            Query::Or(terms) if !all => kept.extend(terms),
            term => kept.push(term),
        }
    }
    match (kept.len(), all) {
        (0, true) => Query::All,
        (0, false) => Query::nothing(),
        (1, _) => kept.swap_remove(0),
        (_, true) => Query::And(kept),
        (_, false) => Query::Or(kept),
    }
}

/// The same query with `Not` only around single terms, `replace` applied to each of these; `None` if it is nested too deep.
///
/// A term may be replaced by any query, which is taken as it is.
#[cfg(any(feature = "gmail", feature = "outlook"))]
pub(crate) fn normal(query: &Query, replace: &dyn Fn(&Query) -> Option<Query>) -> Option<Query> {
    Some(inwards(query, false, replace, 0)?.simplified())
}

#[cfg(any(feature = "gmail", feature = "outlook"))]
fn inwards(
    query: &Query,
    negated: bool,
    replace: &dyn Fn(&Query) -> Option<Query>,
    depth: usize,
) -> Option<Query> {
    if depth > DEEPEST {
        return None;
    }
    let each = |terms: &[Query]| -> Option<Vec<Query>> {
        let terms = terms.iter();
        terms
            .map(|term| inwards(term, negated, replace, depth + 1))
            .collect()
    };
    Some(match query {
        Query::Not(term) => inwards(term, !negated, replace, depth + 1)?,
        Query::And(terms) if !negated => Query::And(each(terms)?),
        Query::And(terms) => Query::Or(each(terms)?),
        Query::Or(terms) if !negated => Query::Or(each(terms)?),
        Query::Or(terms) => Query::And(each(terms)?),
        term => match (replace(term), negated) {
            (Some(other), _) => inwards(&other, negated, &|_| None, depth + 1)?,
            (None, false) => term.clone(),
            // Every message has an instant and a size, so that each of these is what the other is not.
            (None, true) => match term {
                Query::After(instant) => Query::Before(*instant),
                Query::Before(instant) => Query::After(*instant),
                Query::Larger(size) => Query::Smaller(*size),
                Query::Smaller(size) => Query::Larger(*size),
                term => Query::Not(Box::new(term.clone())),
            },
        },
    })
}

#[cfg(any(feature = "gmail", feature = "outlook"))]
impl Query {
    /// The terms that must all hold, of a query in normal form.
    pub(crate) fn into_conjuncts(self) -> Vec<Self> {
        match self {
            Self::All => Vec::new(),
            Self::And(terms) => terms,
            term => vec![term],
        }
    }

    /// Whether `test` holds for a single term somewhere within, negated or not.
    pub(crate) fn mentions(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        match self {
            Self::Not(term) => term.mentions(test),
            Self::And(terms) | Self::Or(terms) => terms.iter().any(|term| term.mentions(test)),
            term => test(term),
        }
    }
}
