//! The `fields` parameter: a selection of what an answer holds, such as
//! `nextPageToken,messages(id,threadId)` or `payload/headers`. Which names exist is in `schema`.
//!
//! <https://developers.google.com/workspace/gmail/api/guides/performance#partial-response>

use serde_json::{Map, Value};

use super::error::Failure;
use super::schema::{Kind, Schema};

/// What is selected of one object.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Everything, because of `*`.
    all: bool,
    named: Vec<(String, Option<Self>)>,
}

impl Selection {
    /// Reads a selection and holds it against the answer's shape.
    pub(crate) fn read(text: &str, schema: &Schema) -> Result<Self, Failure> {
        let mut rest = text;
        let selection = Self::list(&mut rest, Some(schema), text)?;
        if rest.is_empty() {
            Ok(selection)
        } else {
            Err(Failure::invalid_fields(text))
        }
    }

    fn list(rest: &mut &str, schema: Option<&Schema>, whole: &str) -> Result<Self, Failure> {
        let mut selection = Self::default();
        loop {
            selection.item(rest, schema, whole)?;
            match rest.strip_prefix(',') {
                Some(after) => *rest = after,
                None => return Ok(selection),
            }
        }
    }

    fn item(
        &mut self,
        rest: &mut &str,
        schema: Option<&Schema>,
        whole: &str,
    ) -> Result<(), Failure> {
        let end = rest.find([',', '/', '(', ')']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        *rest = after;
        if name == "*" {
            self.all = true;
            return Ok(());
        }
        let kind = schema
            .and_then(|schema| schema.field(name))
            .ok_or_else(|| Failure::invalid_fields(if name.is_empty() { whole } else { name }))?;
        let inner = match kind {
            Kind::Object(schema) | Kind::Objects(schema) => Some(*schema),
            _ => None,
        };
        let below = if let Some(after) = rest.strip_prefix('/') {
            *rest = after;
            let mut below = Self::default();
            below.item(rest, inner, whole)?;
            Some(below)
        } else if let Some(after) = rest.strip_prefix('(') {
            *rest = after;
            let below = Self::list(rest, inner, whole)?;
            *rest = rest
                .strip_prefix(')')
                .ok_or_else(|| Failure::invalid_fields(whole))?;
            Some(below)
        } else {
            None
        };
        self.select(name.to_owned(), below);
        Ok(())
    }

    /// Adds a field to the selection: `a/b,a/c` is `a(b,c)`.
    fn select(&mut self, name: String, below: Option<Self>) {
        let known = self.named.iter_mut().find(|(known, _)| *known == name);
        match (known, below) {
            (None, below) => self.named.push((name, below)),
            (Some((_, known)), None) => *known = None,
            (Some((_, None)), Some(_)) => {}
            (Some((_, Some(known))), Some(below)) => {
                known.all |= below.all;
                for (name, below) in below.named {
                    known.select(name, below);
                }
            }
        }
    }

    /// What of the answer is selected.
    pub(crate) fn apply(&self, value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(|item| self.apply(item)).collect(),
            Value::Object(fields) if !self.all => {
                let mut kept = Map::new();
                for (name, value) in fields {
                    let wanted = self.named.iter().find(|(known, _)| *known == name);
                    if let Some((_, below)) = wanted {
                        let value = match below {
                            Some(below) => below.apply(value),
                            None => value,
                        };
                        kept.insert(name, value);
                    }
                }
                Value::Object(kept)
            }
            other => other,
        }
    }
}
