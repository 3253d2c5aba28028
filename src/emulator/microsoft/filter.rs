//! `$filter`: reading it and holding objects against it, with the limits that Exchange sets.
//! <https://learn.microsoft.com/en-us/graph/filter-query-parameter>

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, SubsecRound as _, Utc};
use serde_json::Value;

use super::error::GraphError;
use super::properties;
use super::query;

/// A filter that can be read.
#[derive(Debug)]
pub(crate) struct Filter {
    expression: Expression,
    /// The properties in the order in which they stand.
    paths: Vec<String>,
    has_contains: bool,
}

#[derive(Debug)]
enum Expression {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Compare(String, Comparison, Literal),
    Text(TextTest, String, String),
    /// Path of the collection, name of the variable, what one of its items must be.
    Any(String, String, Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug)]
enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Clone, Debug)]
enum Literal {
    Text(String),
    Number(f64),
    Truth(bool),
    Instant(DateTime<Utc>),
    Null,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Open,
    Close,
    Comma,
    Colon,
}

/// Properties that are instants, and that are true or false: literals of another kind are refused.
const INSTANTS: [&str; 4] = [
    "receivedDateTime",
    "sentDateTime",
    "createdDateTime",
    "lastModifiedDateTime",
];
const TRUTHS: [&str; 7] = [
    "isRead",
    "isDraft",
    "hasAttachments",
    "isReadReceiptRequested",
    "isDeliveryReceiptRequested",
    "isHidden",
    "isInline",
];
const NUMBERS: [&str; 4] = [
    "size",
    "childFolderCount",
    "totalItemCount",
    "unreadItemCount",
];

/// Lists of people, which messages are not filtered by, whatever the documentation shows:
/// <https://github.com/microsoftgraph/microsoft-graph-explorer-v4/issues/3957>.
const PEOPLE: [&str; 4] = ["toRecipients", "ccRecipients", "bccRecipients", "replyTo"];

/// Values that are compared to the letter; in others upper and lower case are the same.
const EXACT: [&str; 4] = [
    "id",
    "conversationId",
    "parentFolderId",
    "internetMessageId",
];

impl Filter {
    pub(crate) fn read(text: &str, properties: &[&str], what: &str) -> Result<Self, GraphError> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            position: 0,
            text,
            properties,
            what,
            variables: Vec::new(),
            paths: Vec::new(),
            has_contains: false,
        };
        let expression = parser.or()?;
        if parser.position < parser.tokens.len() {
            return Err(parser.syntax());
        }
        Ok(Self {
            expression,
            paths: parser.paths,
            has_contains: parser.has_contains,
        })
    }

    /// What is sorted by must come first in the filter, in the same order.
    /// <https://learn.microsoft.com/en-us/graph/api/user-list-messages#using-filter-and-orderby-in-the-same-query>
    pub(crate) fn goes_with_order(&self, order: &[(String, bool)]) -> bool {
        if order.is_empty() {
            return true;
        }
        let starts = self.paths.len() >= order.len()
            && order
                .iter()
                .zip(&self.paths)
                .all(|((sorted, _), filtered)| sorted.eq_ignore_ascii_case(filtered));
        starts && !self.has_contains
    }

    /// The properties that it looks at.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    pub(crate) fn accepts(&self, object: &Value) -> bool {
        holds(&self.expression, object, None)
    }

    /// Whether what was received then can be accepted, which is told without writing it out.
    pub(crate) fn may_accept(&self, received: DateTime<Utc>) -> bool {
        may_hold(&self.expression, received.trunc_subsecs(0))
    }
}

fn may_hold(expression: &Expression, received: DateTime<Utc>) -> bool {
    match expression {
        Expression::And(left, right) => may_hold(left, received) && may_hold(right, received),
        Expression::Compare(path, comparison, Literal::Instant(instant))
            if path.eq_ignore_ascii_case("receivedDateTime") =>
        {
            comparison.holds(Some(received.cmp(instant)))
        }
        _ => true,
    }
}

/// The value at a path such as `from/emailAddress/address`.
pub(crate) fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('/').fold(object, |value, name| {
        value
            .as_object()
            .and_then(|fields| {
                fields
                    .iter()
                    .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
            })
            .unwrap_or(&Value::Null)
    })
}

/// Orders two values of the same property. What is not there comes first.
pub(crate) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::String(left), Value::String(right)) => match (instant(left), instant(right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.to_lowercase().cmp(&right.to_lowercase()),
        },
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => left
            .as_f64()
            .partial_cmp(&right.as_f64())
            .unwrap_or(Ordering::Equal),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

fn holds(expression: &Expression, object: &Value, variable: Option<(&str, &Value)>) -> bool {
    let value = |path: &str| match variable {
        Some((name, item)) if path == name => item.clone(),
        Some((name, item)) => match path
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('/'))
        {
            Some(rest) => at(item, rest).clone(),
            None => at(object, path).clone(),
        },
        None => at(object, path).clone(),
    };
    match expression {
        Expression::And(left, right) => {
            holds(left, object, variable) && holds(right, object, variable)
        }
        Expression::Or(left, right) => {
            holds(left, object, variable) || holds(right, object, variable)
        }
        Expression::Not(inner) => !holds(inner, object, variable),
        Expression::Compare(path, comparison, literal) => {
            let exact = EXACT.iter().any(|name| name.eq_ignore_ascii_case(path));
            compares(&value(path), *comparison, literal, exact)
        }
        Expression::Text(test, path, wanted) => {
            let value = value(path);
            let text = value.as_str().unwrap_or_default().to_lowercase();
            let wanted = wanted.to_lowercase();
            match test {
                TextTest::StartsWith => text.starts_with(&wanted),
                TextTest::EndsWith => text.ends_with(&wanted),
                TextTest::Contains => text.contains(&wanted),
            }
        }
        Expression::Any(path, name, inner) => value(path).as_array().is_some_and(|items| {
            items
                .iter()
                .any(|item| holds(inner, object, Some((name, item))))
        }),
    }
}

fn compares(value: &Value, comparison: Comparison, literal: &Literal, exact: bool) -> bool {
    let ordering = match (value, literal) {
        (Value::Null, Literal::Null) => Some(Ordering::Equal),
        (Value::Null, _) | (_, Literal::Null) => None,
        (Value::String(value), Literal::Text(wanted)) if exact => Some(value.cmp(wanted)),
        (Value::String(value), Literal::Text(wanted)) => {
            Some(value.to_lowercase().cmp(&wanted.to_lowercase()))
        }
        (Value::String(value), Literal::Instant(wanted)) => {
            instant(value).map(|value| value.cmp(wanted))
        }
        (Value::Bool(value), Literal::Truth(wanted)) => Some(value.cmp(wanted)),
        (Value::Number(value), Literal::Number(wanted)) => {
            value.as_f64().and_then(|value| value.partial_cmp(wanted))
        }
        _ => None,
    };
    comparison.holds(ordering)
}

impl Comparison {
    /// Whether it holds of values that stand in this order; of what can't be compared only that it is not the same.
    fn holds(self, ordering: Option<Ordering>) -> bool {
        match (self, ordering) {
            (Self::NotEqual, ordering) => ordering != Some(Ordering::Equal),
            (_, None) => false,
            (Self::Equal, Some(ordering)) => ordering.is_eq(),
            (Self::Greater, Some(ordering)) => ordering.is_gt(),
            (Self::GreaterOrEqual, Some(ordering)) => ordering.is_ge(),
            (Self::Less, Some(ordering)) => ordering.is_lt(),
            (Self::LessOrEqual, Some(ordering)) => ordering.is_le(),
        }
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc());
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
}

fn tokens(text: &str) -> Result<Vec<Token>, GraphError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ' ' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let mut quoted = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.peek() == Some(&'\'') => {
                            rest.next();
                            quoted.push('\'');
                        }
                        Some('\'') => break,
                        Some(other) => quoted.push(other),
                        None => {
                            return Err(GraphError::query(format!(
                                "There is an unterminated string literal at position {} in '{text}'.",
                                text.len()
                            )));
                        }
                    }
                }
                tokens.push(Token::Quoted(quoted));
            }
            // A colon belongs to an instant, or separates a variable from what is said of it.
            ':' => tokens.push(Token::Colon),
            first => {
                let mut word = String::from(first);
                let is_instant = first.is_ascii_digit();
                while let Some(next) = rest.peek() {
                    if " (),'".contains(*next) || (*next == ':' && !is_instant) {
                        break;
                    }
                    word.push(*next);
                    rest.next();
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: Vec<Token>,
    position: usize,
    text: &'a str,
    properties: &'a [&'a str],
    what: &'a str,
    variables: Vec<String>,
    paths: Vec<String>,
    has_contains: bool,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.position).cloned();
        self.position += 1;
        token
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let taken =
            matches!(self.tokens.get(self.position), Some(Token::Word(word)) if word == wanted);
        if taken {
            self.position += 1;
        }
        taken
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), GraphError> {
        match self.next() {
            Some(token) if token == *wanted => Ok(()),
            _ => Err(self.syntax()),
        }
    }

    fn syntax(&self) -> GraphError {
        GraphError::bad_request(
            "BadRequest",
            format!("Invalid filter clause: syntax error in '{}'.", self.text),
        )
    }

    fn or(&mut self) -> Result<Expression, GraphError> {
        let mut left = self.and()?;
        while self.takes_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, GraphError> {
        let mut left = self.unary()?;
        while self.takes_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, GraphError> {
        if self.takes_word("not") {
            return Ok(Expression::Not(Box::new(self.unary()?)));
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.or()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(word)) => {
                if self.tokens.get(self.position) == Some(&Token::Open) {
                    self.call(&word)
                } else {
                    self.comparison(&word)
                }
            }
            _ => Err(self.syntax()),
        }
    }

    fn call(&mut self, name: &str) -> Result<Expression, GraphError> {
        self.expect(&Token::Open)?;
        if let Some((path, lambda)) = name.rsplit_once('/')
            && lambda.eq_ignore_ascii_case("any")
        {
            return self.any(path);
        }
        let test = match name {
            "startswith" => TextTest::StartsWith,
            "endswith" => TextTest::EndsWith,
            "contains" => TextTest::Contains,
            _ => {
                return Err(GraphError::bad_request(
                    "BadRequest",
                    format!(
                        "Invalid filter clause: an unknown function with name '{name}' was found."
                    ),
                ));
            }
        };
        self.has_contains |= matches!(test, TextTest::Contains);
        let Some(Token::Word(path)) = self.next() else {
            return Err(self.syntax());
        };
        let path = self.path(&path)?;
        self.expect(&Token::Comma)?;
        let Some(Token::Quoted(wanted)) = self.next() else {
            return Err(self.syntax());
        };
        self.expect(&Token::Close)?;
        Ok(Expression::Text(test, path, wanted))
    }

    fn any(&mut self, path: &str) -> Result<Expression, GraphError> {
        let path = self.path(path)?;
        let Some(Token::Word(variable)) = self.next() else {
            return Err(self.syntax());
        };
        self.expect(&Token::Colon)?;
        self.variables.push(variable.clone());
        let inner = self.or()?;
        self.variables.pop();
        self.expect(&Token::Close)?;
        if path == "singleValueExtendedProperties" {
            return self.extended(path, variable, inner);
        }
        Ok(Expression::Any(path, variable, Box::new(inner)))
    }

    /// An extended property is looked for by its id and its value, and by nothing less.
    /// <https://learn.microsoft.com/en-us/graph/api/singlevaluelegacyextendedproperty-get>
    fn extended(
        &self,
        path: String,
        variable: String,
        inner: Expression,
    ) -> Result<Expression, GraphError> {
        let refused = || {
            GraphError::bad_request(
                "ErrorInvalidUrlQueryFilter",
                "The query filter contains one or more invalid nodes.",
            )
        };
        let Expression::And(left, right) = inner else {
            return Err(refused());
        };
        let (Expression::Compare(of, Comparison::Equal, Literal::Text(id)), value) =
            (*left, *right)
        else {
            return Err(refused());
        };
        let is_about = |known: &str, part: &str| known == format!("{variable}/{part}");
        let has_value = match &value {
            Expression::Compare(of, ..) | Expression::Text(_, of, _) => is_about(of, "value"),
            _ => false,
        };
        if !is_about(&of, "id") || !has_value {
            return Err(refused());
        }
        let id = Literal::Text(properties::id(&id)?);
        let id = Expression::Compare(of, Comparison::Equal, id);
        let both = Expression::And(Box::new(id), Box::new(value));
        Ok(Expression::Any(path, variable, Box::new(both)))
    }

    fn comparison(&mut self, path: &str) -> Result<Expression, GraphError> {
        let path = self.path(path)?;
        let comparison = match self.next() {
            Some(Token::Word(word)) => match word.as_str() {
                "eq" => Comparison::Equal,
                "ne" => Comparison::NotEqual,
                "gt" => Comparison::Greater,
                "ge" => Comparison::GreaterOrEqual,
                "lt" => Comparison::Less,
                "le" => Comparison::LessOrEqual,
                _ => return Err(self.syntax()),
            },
            _ => return Err(self.syntax()),
        };
        let literal = match self.next() {
            Some(Token::Quoted(text)) => Literal::Text(text),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Literal::Truth(true),
                "false" => Literal::Truth(false),
                "null" => Literal::Null,
                other => instant(other)
                    .map(Literal::Instant)
                    .or_else(|| other.parse().ok().map(Literal::Number))
                    .ok_or_else(|| self.syntax())?,
            },
            _ => return Err(self.syntax()),
        };
        self.check_kind(&path, &literal)?;
        Ok(Expression::Compare(path, comparison, literal))
    }

    /// A literal of the wrong kind is refused, such as an instant in quotation marks.
    fn check_kind(&self, path: &str, literal: &Literal) -> Result<(), GraphError> {
        let is = |names: &[&str]| names.contains(&path);
        let fits = match literal {
            Literal::Null => true,
            Literal::Text(_) => !is(&INSTANTS) && !is(&TRUTHS) && !is(&NUMBERS),
            Literal::Instant(_) => is(&INSTANTS) || self.is_variable(path),
            Literal::Truth(_) => is(&TRUTHS) || self.is_variable(path),
            Literal::Number(_) => is(&NUMBERS) || self.is_variable(path),
        };
        if fits {
            return Ok(());
        }
        Err(GraphError::bad_request(
            "BadRequest",
            format!(
                "A binary operator with incompatible types was detected at '{path}' in '{}'.",
                self.text
            ),
        ))
    }

    fn is_variable(&self, path: &str) -> bool {
        let first = path.split('/').next().unwrap_or_default();
        self.variables.iter().any(|name| name == first)
    }

    /// A path with its first name as it is spelled in answers.
    fn path(&mut self, path: &str) -> Result<String, GraphError> {
        if self.is_variable(path) {
            return Ok(path.to_owned());
        }
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let first = query::property(first, self.properties, self.what)?;
        if PEOPLE.contains(&first.as_str()) {
            return Err(GraphError::bad_request(
                "ErrorInvalidUrlQueryFilter",
                "The query filter contains one or more invalid nodes.",
            ));
        }
        let path = if rest.is_empty() {
            first
        } else {
            format!("{first}/{rest}")
        };
        if !self.paths.contains(&path) {
            self.paths.push(path.clone());
        }
        Ok(path)
    }
}
