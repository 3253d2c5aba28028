//! Query options of a request: what may be said, how a list is cut into pages and linked together. What a
//! filter or a search means is in `filter` and `search`.
//! <https://learn.microsoft.com/en-us/graph/query-parameters>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::call::{Call, unsupported_option};
use super::error::GraphError;
use super::filter::Filter;
use super::search::Search;

/// How long a page is if nothing is said.
const DEFAULT_PAGE: usize = 10;

/// How long a page may be.
const LARGEST_PAGE: usize = 1000;

/// The options of a list.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) select: Option<Vec<String>>,
    pub(crate) expand: Vec<Expansion>,
    pub(crate) filter: Option<Filter>,
    /// Property path and whether it falls.
    pub(crate) order: Vec<(String, bool)>,
    pub(crate) count: bool,
    pub(crate) search: Option<Search>,
    size: usize,
    /// Where the page begins, and which one it is.
    offset: usize,
    number: usize,
}

/// A navigation property to bring along, with what stands in its parentheses.
#[derive(Debug)]
pub(crate) struct Expansion {
    pub(crate) name: String,
    pub(crate) options: String,
}

/// One page.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: usize,
    next: Option<String>,
}

impl<T> Page<T> {
    /// The same page with each item as it is shown.
    pub(crate) fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(show).collect(),
            total: self.total,
            next: self.next,
        }
    }
}

/// Reads the options of a list of `what`. `further` are options beyond those that all lists have.
pub(crate) fn listing(
    call: &Call<'_>,
    properties: &[&str],
    what: &str,
    further: &[&str],
) -> Result<Listing, GraphError> {
    let mut listing = Listing {
        size: DEFAULT_PAGE,
        ..Listing::default()
    };
    let mut seen: Vec<&str> = Vec::new();
    let mut skips = false;
    let mut sized = false;
    for (name, value) in &call.query {
        if seen.contains(&name.as_str()) {
            return Err(GraphError::query(format!(
                "Query option '{name}' was specified more than once, but it must be specified at most once."
            )));
        }
        seen.push(name);
        match name.as_str() {
            "$select" => listing.select = Some(read_select(value, properties, what)?),
            "$expand" => listing.expand = read_expand(value)?,
            "$filter" => listing.filter = Some(Filter::read(value, properties, what)?),
            "$orderby" => listing.order = read_order(value, properties, what)?,
            "$search" => listing.search = Some(Search::read(value)?),
            "$top" => {
                sized = true;
                listing.size = number(name, value)?;
                if listing.size == 0 || listing.size > LARGEST_PAGE {
                    return Err(GraphError::bad_request(
                        "ErrorInvalidUrlQuery",
                        format!(
                            "The limit of '{LARGEST_PAGE}' for Top query has been exceeded. The value from the \
                             incoming request is '{value}'."
                        ),
                    ));
                }
            }
            "$skip" => {
                skips = true;
                listing.offset = number(name, value)?;
            }
            "$count" => {
                listing.count = match value.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => {
                        return Err(GraphError::query(format!(
                            "Invalid value '{value}' for $count query option found. Valid values are 'false', \
                             'true'."
                        )));
                    }
                }
            }
            "$skiptoken" => (listing.offset, listing.number) = read_token(value)?,
            other if further.contains(&other) => {}
            other => return Err(unsupported_option(other)),
        }
    }
    if let (Some(size), false) = (call.prefer.page_size, sized) {
        listing.size = size.clamp(1, LARGEST_PAGE);
    }
    if listing.search.is_some() {
        // <https://learn.microsoft.com/en-us/graph/search-query-parameter#using-search-on-message-collections>
        let excluded = [
            (listing.filter.is_some(), "SearchWithFilter", "$filter"),
            (!listing.order.is_empty(), "SearchWithOrderBy", "$orderBy"),
            (skips, "SearchWithSkip", "$skip"),
        ];
        if let Some((_, code, option)) = excluded.iter().find(|(present, _, _)| *present) {
            let message =
                format!("The query parameter '{option}' is not supported with '$search'.");
            return Err(GraphError::bad_request(code, message));
        }
    }
    if let Some(filter) = &listing.filter
        && !filter.goes_with_order(&listing.order)
    {
        return Err(GraphError::bad_request(
            "InefficientFilter",
            "The restriction or sort order is too complex for this operation.",
        ));
    }
    Ok(listing)
}

/// Reads the options of a single object: `$select`, and `$expand` where it may be.
pub(crate) fn single(
    call: &Call<'_>,
    properties: &[&str],
    what: &str,
    further: &[&str],
) -> Result<Listing, GraphError> {
    let unfit = call.query.iter().find(|(name, _)| {
        !matches!(name.as_str(), "$select" | "$expand") && !further.contains(&name.as_str())
    });
    if let Some((name, _)) = unfit {
        return Err(unsupported_option(name));
    }
    listing(call, properties, what, further)
}

/// Reads `$select` alone.
pub(crate) fn select(
    call: &Call<'_>,
    properties: &[&str],
    what: &str,
) -> Result<Option<Vec<String>>, GraphError> {
    if let Some((name, _)) = call.query.iter().find(|(name, _)| name != "$select") {
        return Err(unsupported_option(name));
    }
    Ok(listing(call, properties, what, &[])?.select)
}

/// The canonical spelling of a property, whose case does not matter in a request.
pub(crate) fn property(name: &str, properties: &[&str], what: &str) -> Result<String, GraphError> {
    properties
        .iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .map(|known| (*known).to_owned())
        .ok_or_else(|| {
            GraphError::query(format!(
                "Could not find a property named '{name}' on type '{what}'."
            ))
        })
}

fn read_select(value: &str, properties: &[&str], what: &str) -> Result<Vec<String>, GraphError> {
    value
        .split(',')
        .map(|name| {
            // A property of a derived type is written behind the type's name.
            let name = name.trim();
            let name = match name.split_once('/') {
                Some((cast, rest)) if cast.starts_with("microsoft.graph.") => rest,
                Some((first, _)) => first,
                None => name,
            };
            property(name, properties, what)
        })
        .collect()
}

fn read_order(
    value: &str,
    properties: &[&str],
    what: &str,
) -> Result<Vec<(String, bool)>, GraphError> {
    value
        .split(',')
        .map(|term| {
            let mut words = term.split_whitespace();
            let path = words.next().unwrap_or_default();
            let falls = match words.next() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(_) => {
                    return Err(GraphError::query(format!(
                        "Syntax error at position {} in '{value}'.",
                        term.len()
                    )));
                }
            };
            let (root, rest) = path.split_once('/').unwrap_or((path, ""));
            let root = property(root, properties, what)?;
            let path = if rest.is_empty() {
                root
            } else {
                format!("{root}/{rest}")
            };
            Ok((path, falls))
        })
        .collect()
}

fn read_expand(value: &str) -> Result<Vec<Expansion>, GraphError> {
    let mut terms = vec![String::new()];
    let mut depth = 0_usize;
    for character in value.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(term) = terms.last_mut() {
            term.push(character);
        }
    }
    if depth != 0 {
        return Err(GraphError::query(format!(
            "Found an unbalanced bracket expression in '{value}'."
        )));
    }
    Ok(terms
        .into_iter()
        .map(|term| match term.trim().split_once('(') {
            Some((name, options)) => Expansion {
                name: name.trim().to_owned(),
                options: options.trim_end_matches(')').to_owned(),
            },
            None => Expansion {
                name: term.trim().to_owned(),
                options: String::new(),
            },
        })
        .collect())
}

fn number(name: &str, value: &str) -> Result<usize, GraphError> {
    value.parse().map_err(|_| {
        GraphError::query(format!(
            "Invalid value '{value}' for {name} query option found. The {name} query option requires a \
             non-negative integer value."
        ))
    })
}

fn read_token(value: &str) -> Result<(usize, usize), GraphError> {
    let invalid = || {
        GraphError::bad_request(
            "ErrorInvalidUrlQuery",
            "The provided skip token is not valid.",
        )
    };
    let decoded = URL_SAFE_NO_PAD.decode(value).map_err(|_| invalid())?;
    let token: Value = serde_json::from_slice(&decoded).map_err(|_| invalid())?;
    let part = |name: &str| {
        let number = token.get(name)?.as_u64()?;
        usize::try_from(number).ok()
    };
    part("o").zip(part("n")).ok_or_else(invalid)
}

impl Listing {
    /// A list that shows these properties.
    pub(crate) fn selecting(select: Option<Vec<String>>) -> Self {
        Self {
            select,
            ..Self::default()
        }
    }

    /// How many items a page needs to know of, from the first: those that it shows or passes over, and whether there is another.
    pub(crate) fn reach(&self, call: &Call<'_>) -> usize {
        if self.count {
            return usize::MAX;
        }
        self.offset
            .saturating_add(self.size(call))
            .saturating_add(1)
    }

    fn size(&self, call: &Call<'_>) -> usize {
        let longest = self.size.min(call.state.settings.longest_page.max(1));
        match self.number {
            1 if longest > 1 => longest - 1,
            2 => 0,
            _ => longest,
        }
    }

    /// Cuts a page out of everything that is asked for, and links to the next.
    ///
    /// Only a page without a link is the last: the second is one item short, the third is empty.
    /// <https://learn.microsoft.com/en-us/graph/paging>
    pub(crate) fn page<T>(&self, call: &Call<'_>, items: Vec<T>) -> Page<T> {
        let total = items.len();
        let size = self.size(call);
        let end = self.offset.saturating_add(size);
        let next = (end < total).then(|| {
            let token = json!({"o": end, "n": self.number + 1}).to_string();
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in &call.query {
                if !matches!(name.as_str(), "$skip" | "$skiptoken") {
                    query.append_pair(name, value);
                }
            }
            query.append_pair("$skiptoken", &URL_SAFE_NO_PAD.encode(token));
            call.url(&format!("{}?{}", call.raw_path, query.finish()))
        });
        Page {
            items: items.into_iter().skip(self.offset).take(size).collect(),
            total,
            next,
        }
    }

    /// The answer for a page whose items are ready.
    pub(crate) fn answer(&self, context: Value, page: Page<Value>) -> Value {
        let mut answer = json!({"@odata.context": context});
        if let Some(fields) = answer.as_object_mut() {
            // A search does not count what it finds:
            // <https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/4673>
            if self.count && self.search.is_none() {
                fields.insert("@odata.count".to_owned(), json!(page.total));
            }
            fields.insert("value".to_owned(), Value::Array(page.items));
            if let Some(next) = page.next {
                fields.insert("@odata.nextLink".to_owned(), json!(next));
            }
        }
        answer
    }

    /// What is asked for of `name`, if it is to be brought along.
    pub(crate) fn expansion(&self, name: &str) -> Option<&Expansion> {
        self.expand
            .iter()
            .find(|expansion| expansion.name.eq_ignore_ascii_case(name))
    }

    /// Refuses to bring along anything but `names`.
    pub(crate) fn expands_only(&self, names: &[&str], what: &str) -> Result<(), GraphError> {
        for expansion in &self.expand {
            property(&expansion.name, names, what)?;
        }
        Ok(())
    }

    /// Whether an object's property is wanted, given whether it comes unasked.
    pub(crate) fn wants(&self, name: &str, unasked: bool) -> bool {
        match &self.select {
            Some(selected) => selected.iter().any(|known| known == name),
            None => unasked,
        }
    }

    /// Whether the filter or the order looks at a property.
    pub(crate) fn is_about(&self, name: &str) -> bool {
        let is_at = |path: &str| path.split('/').next() == Some(name);
        self.order.iter().any(|(path, _)| is_at(path))
            || self
                .filter
                .as_ref()
                .is_some_and(|filter| filter.paths().any(is_at))
    }

    /// Whether the order is the one that messages have anyway: the newest first.
    pub(crate) fn is_newest_first(&self) -> bool {
        match self.order.as_slice() {
            [] => true,
            [(path, falls)] => *falls && path.eq_ignore_ascii_case("receivedDateTime"),
            _ => false,
        }
    }

    /// Sorts by the order that was asked for; what is equal keeps its place.
    pub(crate) fn sort<T>(&self, items: &mut [(Value, T)]) {
        items.sort_by(|(left, _), (right, _)| {
            for (path, falls) in &self.order {
                let ordering = super::filter::compare(
                    super::filter::at(left, path),
                    super::filter::at(right, path),
                );
                let ordering = if *falls { ordering.reverse() } else { ordering };
                if ordering.is_ne() {
                    return ordering;
                }
            }
            std::cmp::Ordering::Equal
        });
    }
}
