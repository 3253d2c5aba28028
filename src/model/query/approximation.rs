//! Compiling a query for a service that cannot be asked all of it: what can be said is, so that no message that is meant
//! is missed, and what is left over is held against each message that the service finds.

use super::Query;
use crate::model::{Body, Detail, Message};

/// What a service can be asked about one term.
#[derive(Debug)]
pub(crate) enum Told {
    /// It finds just these.
    Exactly(String),
    /// It finds these and others.
    Roughly(String),
    /// It cannot be asked.
    Not,
    /// It need not be asked.
    Everything,
    Nothing,
}

/// A service's language.
pub(crate) trait Language {
    /// Why a query is refused.
    type Refusal;

    /// What stands between terms that must all hold.
    const AND: &'static str;
    /// What stands between alternatives.
    const OR: &'static str;

    /// One term that is neither `And`, `Or` nor `Not`.
    ///
    /// # Errors
    /// When not even this crate could tell whether it holds.
    fn term(&self, term: &Query, negated: bool) -> Result<Told, Self::Refusal>;
}

/// What a service is asked, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Approximation {
    /// One for each of the terms that must all hold; `None` where the service is not asked.
    pub(crate) texts: Vec<Option<String>>,
    /// The terms that are not said exactly.
    pub(crate) rest: Vec<Query>,
    /// No message can be meant.
    pub(crate) nothing: bool,
}

/// Says the terms that must all hold, which are in normal form.
pub(crate) fn approximate<L: Language>(
    language: &L,
    terms: &[Query],
) -> Result<Approximation, L::Refusal> {
    let mut approximation = Approximation::default();
    for term in terms {
        let (told, exact) = match say(language, term)? {
            Told::Exactly(text) => (Some(text), true),
            Told::Roughly(text) => (Some(text), false),
            Told::Not => (None, false),
            Told::Everything => (None, true),
            Told::Nothing => {
                approximation.nothing = true;
                (None, true)
            }
        };
        approximation.texts.push(told);
        if !exact {
            approximation.rest.push(term.clone());
        }
    }
    Ok(approximation)
}

fn say<L: Language>(language: &L, query: &Query) -> Result<Told, L::Refusal> {
    match query {
        Query::All => Ok(Told::Everything),
        Query::Not(term) if **term == Query::All => Ok(Told::Nothing),
        Query::Not(term) => language.term(term, true),
        Query::And(terms) => list(language, terms, true),
        Query::Or(terms) => list(language, terms, false),
        term => language.term(term, false),
    }
}

/// All of the terms, or any of them. Every term is looked at, so that one that cannot be told is refused wherever it
/// stands.
fn list<L: Language>(language: &L, terms: &[Query], all: bool) -> Result<Told, L::Refusal> {
    let mut texts = Vec::new();
    let mut settled = None;
    let (mut exact, mut open) = (true, false);
    for term in terms {
        match (say(language, term)?, all) {
            (Told::Exactly(text), _) => texts.push(text),
            (Told::Roughly(text), _) => {
                exact = false;
                texts.push(text);
            }
            (Told::Not, _) => (exact, open) = (false, true),
            (Told::Everything, true) | (Told::Nothing, false) => {}
            (Told::Nothing, true) => settled = Some(Told::Nothing),
            (Told::Everything, false) => settled = Some(Told::Everything),
        }
    }
    if let Some(settled) = settled {
        return Ok(settled);
    }
    if open && !all {
        return Ok(Told::Not);
    }
    let text = match texts.len() {
        0 if open => return Ok(Told::Not),
        0 if all => return Ok(Told::Everything),
        0 => return Ok(Told::Nothing),
        1 => texts.swap_remove(0),
        _ => format!("({})", texts.join(if all { L::AND } else { L::OR })),
    };
    Ok(if exact {
        Told::Exactly(text)
    } else {
        Told::Roughly(text)
    })
}

/// What a service was not asked, and what its answer is filtered by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Residue(Option<Query>);

impl Residue {
    pub(crate) fn new(rest: Vec<Query>) -> Self {
        Self((!rest.is_empty()).then(|| Query::And(rest).simplified()))
    }

    pub(crate) fn query(&self) -> Option<&Query> {
        self.0.as_ref()
    }

    /// How far messages are read that are to be shown as far as `asked`.
    pub(crate) fn detail(&self, asked: Detail) -> Detail {
        let needed = self.0.as_ref().map(Query::detail);
        needed.map_or(asked, |needed| needed.max(asked))
    }

    /// The messages that are meant, of those that the service found, without what was read for this alone: texts are
    /// long. What a message does not tell is the service's word.
    pub(crate) fn filtered<E>(
        &self,
        items: Vec<Result<Message, E>>,
        asked: Detail,
    ) -> Vec<Result<Message, E>> {
        let Some(query) = &self.0 else {
            return items;
        };
        let is_meant = |item: &Result<Message, E>| {
            item.as_ref()
                .map_or(true, |message| query.matches(message, &[]) != Some(false))
        };
        let items = items.into_iter().filter(is_meant);
        items
            .map(|item| item.map(|message| shown(message, asked)))
            .collect()
    }
}

fn shown(mut message: Message, asked: Detail) -> Message {
    if asked < Detail::Full && message.detail == Detail::Full {
        message.detail = Detail::Headers;
        message.headers.clear();
        message.body = Body::default();
        message.attachments.clear();
    }
    message
}
