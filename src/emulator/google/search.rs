//! Gmail's search language: reading a query and holding messages against it. Evaluated here by itself,
//! so that what the crate's provider writes is understood by something that did not write it.
//!
//! <https://support.google.com/mail/answer/7190>,
//! <https://developers.google.com/workspace/gmail/api/guides/filtering>

use chrono::{DateTime, Utc};

use super::mailbox::{GmailMailbox, GmailMessage};
use super::search_terms::Term;

/// A query that was read.
#[derive(Debug)]
pub(crate) struct Search {
    root: Node,
}

#[derive(Debug)]
enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Term(Term),
}

/// The query as a sequence of these.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    OpenAny,
    CloseAny,
    Or,
    Minus,
    /// `name:` directly before a value or a group.
    Operator(String),
    Text {
        text: String,
        quoted: bool,
    },
}

/// The query cannot be understood: the service finds nothing then, and says nothing.
#[derive(Debug)]
struct Malformed;

impl Search {
    pub(crate) fn read(query: &str) -> Self {
        let root = tokens(query)
            .and_then(|tokens| {
                let mut parser = Parser {
                    tokens: &tokens,
                    position: 0,
                };
                let root = parser.sequence(None)?;
                if parser.peek().is_some() {
                    return Err(Malformed);
                }
                Ok(root)
            })
            // Any of nothing: no message matches.
            .unwrap_or(Node::Any(Vec::new()));
        Self { root }
    }

    pub(crate) fn matches(
        &self,
        message: &GmailMessage,
        mailbox: &GmailMailbox,
        account: &str,
        now: DateTime<Utc>,
    ) -> bool {
        self.root.matches(message, mailbox, account, now)
    }

    /// Whether the query itself asks for spam or trash, which are left out otherwise.
    pub(crate) fn names_spam_or_trash(&self) -> bool {
        self.root.names_spam_or_trash()
    }
}

impl Node {
    fn matches(
        &self,
        message: &GmailMessage,
        mailbox: &GmailMailbox,
        account: &str,
        now: DateTime<Utc>,
    ) -> bool {
        let holds = |node: &Self| node.matches(message, mailbox, account, now);
        match self {
            Self::All(nodes) => nodes.iter().all(holds),
            Self::Any(nodes) => nodes.iter().any(holds),
            Self::Not(node) => !holds(node),
            Self::Term(term) => term.matches(message, mailbox, account, now),
        }
    }

    fn names_spam_or_trash(&self) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(Self::names_spam_or_trash),
            Self::Not(_) => false,
            Self::Term(term) => term.names_spam_or_trash(),
        }
    }
}

fn tokens(query: &str) -> Result<Vec<Token>, Malformed> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let single = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '{' => Some(Token::OpenAny),
            '}' => Some(Token::CloseAny),
            '|' => Some(Token::Or),
            '-' => Some(Token::Minus),
            _ => None,
        };
        if let Some(token) = single {
            tokens.push(token);
            rest = rest.get(1..).unwrap_or_default().trim_start();
            continue;
        }
        if first == '"' {
            let inner = rest.get(1..).unwrap_or_default();
            let end = inner.find('"').ok_or(Malformed)?;
            tokens.push(Token::Text {
                text: inner.get(..end).unwrap_or_default().to_owned(),
                quoted: true,
            });
            rest = inner.get(end + 1..).unwrap_or_default().trim_start();
            continue;
        }
        let ends = |character: char| {
            character.is_whitespace() || matches!(character, '(' | ')' | '{' | '}' | '"' | '|')
        };
        let end = rest.find(ends).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let word = word.strip_prefix('+').unwrap_or(word);
        match word.split_once(':') {
            Some((name, value)) if !name.is_empty() => {
                tokens.push(Token::Operator(name.to_lowercase()));
                if !value.is_empty() {
                    tokens.push(Token::Text {
                        text: value.to_owned(),
                        quoted: false,
                    });
                } else if after.starts_with(char::is_whitespace) || after.is_empty() {
                    return Err(Malformed);
                }
            }
            _ if word == "OR" => tokens.push(Token::Or),
            // What stands side by side is joined anyway.
            _ if word == "AND" || word.is_empty() => {}
            _ => tokens.push(Token::Text {
                text: word.to_owned(),
                quoted: false,
            }),
        }
        rest = after.trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    position: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.position += 1;
        token
    }

    /// Terms side by side, all of which must hold; `OR` binds its two neighbours more tightly. With an
    /// operator, each text is a value of it.
    fn sequence(&mut self, operator: Option<&str>) -> Result<Node, Malformed> {
        let mut all = Vec::new();
        while !matches!(self.peek(), None | Some(Token::Close | Token::CloseAny)) {
            let mut any = vec![self.term(operator)?];
            while self.peek() == Some(&Token::Or) {
                self.position += 1;
                any.push(self.term(operator)?);
            }
            match (any.pop(), any.is_empty()) {
                (Some(only), true) => all.push(only),
                (Some(last), false) => {
                    any.push(last);
                    all.push(Node::Any(any));
                }
                (None, _) => {}
            }
        }
        Ok(Node::All(all))
    }

    fn term(&mut self, operator: Option<&str>) -> Result<Node, Malformed> {
        match self.take().ok_or(Malformed)? {
            Token::Minus => Ok(Node::Not(Box::new(self.term(operator)?))),
            Token::Open => {
                let inner = self.sequence(operator)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Token::OpenAny => {
                let mut any = Vec::new();
                while !matches!(self.peek(), None | Some(Token::CloseAny)) {
                    // OR may stand between alternatives, and changes nothing.
                    if self.peek() == Some(&Token::Or) {
                        self.position += 1;
                        continue;
                    }
                    any.push(self.term(operator)?);
                }
                self.expect(&Token::CloseAny)?;
                Ok(Node::Any(any))
            }
            Token::Operator(name) if operator.is_none() => match self.peek() {
                Some(Token::Text { .. } | Token::Open | Token::OpenAny) => {
                    self.term(Some(name.as_str()))
                }
                _ => Err(Malformed),
            },
            Token::Text { text, quoted } => Term::read(operator, &text, quoted)
                .map(Node::Term)
                .ok_or(Malformed),
            Token::Operator(_) | Token::Close | Token::CloseAny | Token::Or => Err(Malformed),
        }
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), Malformed> {
        match self.take() {
            Some(token) if token == *wanted => Ok(()),
            _ => Err(Malformed),
        }
    }
}
