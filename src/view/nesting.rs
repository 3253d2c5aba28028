//! Whether HTML can be parsed in reasonable time. Elements in one another, and formatting that is never closed, make a
//! parser that follows the standard take time and memory by the square of the text: a megabyte written for it is minutes of
//! work (<https://html.spec.whatwg.org/multipage/parsing.html#reconstruct-the-active-formatting-elements>). Nobody writes
//! mail like that who wants it read.
//!
//! Only the parser itself knows how deep its tree gets, so it is asked: it builds no tree here, and is stopped where the tree
//! would be too deep or too large.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{
    Attribute, ExpandedName, ParseOpts, Parser, QualName, local_name, ns, parse_document,
    parse_fragment,
};

/// How many elements may lie in one another. Browsers stop here too; mail laid out with tables gets to a hundred or two.
const DEEPEST: usize = 512;

/// How many bytes are parsed before depth and size are looked at again.
const CHUNK: usize = 4096;

/// How many elements a text may make beyond those that its length explains.
const SPARE: usize = 5_000;

/// How HTML will be parsed: the two ways differ in what they take for text.
#[derive(Clone, Copy)]
pub(super) enum Parsing {
    /// As a part of a page in which scripts may run.
    Fragment,
    /// As a page without scripts.
    Document,
}

/// Whether a parser would take too long over this.
pub(super) fn is_unreasonable(html: &str, parsing: Parsing) -> bool {
    let sink = Depths::default();
    let mut parser = match parsing {
        Parsing::Fragment => {
            let context = QualName::new(None, ns!(html), local_name!("div"));
            parse_fragment(sink, ParseOpts::default(), context, Vec::new(), false)
        }
        Parsing::Document => {
            let tree_builder = TreeBuilderOpts {
                scripting_enabled: false,
                ..TreeBuilderOpts::default()
            };
            let options = ParseOpts {
                tree_builder,
                ..ParseOpts::default()
            };
            parse_document(sink, options)
        }
    };
    let mut read = 0;
    let mut rest = html;
    while !rest.is_empty() {
        let mut end = rest.len().min(CHUNK);
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (chunk, after) = rest.split_at(end);
        parser.process(StrTendril::from_slice(chunk));
        read += chunk.len();
        rest = after;
        if seen(&parser).exceed(read) {
            return true;
        }
    }
    parser.finish().exceed(read)
}

fn seen(parser: &Parser<Depths>) -> &Depths {
    &parser.tokenizer.sink.sink
}

/// A place in the tree: where it hangs, and what hangs on it, as long as the parser still has it in hand.
struct Node {
    name: QualName,
    parent: RefCell<Option<Rc<Self>>>,
    children: RefCell<Vec<Weak<Self>>>,
}

impl Node {
    fn new(name: QualName) -> Rc<Self> {
        Rc::new(Self {
            name,
            parent: RefCell::new(None),
            children: RefCell::new(Vec::new()),
        })
    }

    fn unnamed() -> Rc<Self> {
        Self::new(QualName::new(None, ns!(), local_name!("")))
    }

    /// How many nodes lie above this one, as far as it matters.
    fn depth(&self) -> usize {
        let mut depth = 0;
        let mut above = self.parent.borrow().clone();
        while let Some(node) = above {
            depth += 1;
            if depth > DEEPEST {
                break;
            }
            above = node.parent.borrow().clone();
        }
        depth
    }
}

/// What a parser tells of the tree that it would build.
struct Depths {
    document: Rc<Node>,
    elements: Cell<usize>,
    too_deep: Cell<bool>,
}

impl Default for Depths {
    fn default() -> Self {
        Self {
            document: Node::unnamed(),
            elements: Cell::new(0),
            too_deep: Cell::new(false),
        }
    }
}

impl Depths {
    fn exceed(&self, read: usize) -> bool {
        self.too_deep.get() || self.elements.get() > read + SPARE
    }

    fn hang(&self, parent: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        let NodeOrText::AppendNode(child) = child else {
            return;
        };
        parent.children.borrow_mut().push(Rc::downgrade(&child));
        *child.parent.borrow_mut() = Some(Rc::clone(parent));
        if child.depth() > DEEPEST {
            self.too_deep.set(true);
        }
    }
}

impl TreeSink for Depths {
    type Handle = Rc<Node>;
    type Output = Self;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> Rc<Node> {
        Rc::clone(&self.document)
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<Node>) -> ExpandedName<'a> {
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, _: Vec<Attribute>, _: ElementFlags) -> Rc<Node> {
        self.elements.set(self.elements.get() + 1);
        Node::new(name)
    }

    fn create_comment(&self, _text: StrTendril) -> Rc<Node> {
        Node::unnamed()
    }

    fn create_pi(&self, _target: StrTendril, _data: StrTendril) -> Rc<Node> {
        Node::unnamed()
    }

    fn append(&self, parent: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        self.hang(parent, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Rc<Node>,
        previous: &Rc<Node>,
        child: NodeOrText<Rc<Node>>,
    ) {
        let parent = element.parent.borrow().clone();
        self.hang(parent.as_ref().unwrap_or(previous), child);
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Rc<Node>) -> Rc<Node> {
        Rc::clone(target)
    }

    fn same_node(&self, one: &Rc<Node>, other: &Rc<Node>) -> bool {
        Rc::ptr_eq(one, other)
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Rc<Node>, child: NodeOrText<Rc<Node>>) {
        let parent = sibling.parent.borrow().clone();
        if let Some(parent) = parent {
            self.hang(&parent, child);
        }
    }

    fn add_attrs_if_missing(&self, _target: &Rc<Node>, _attributes: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &Rc<Node>) {
        if let Some(parent) = target.parent.borrow_mut().take() {
            let mut children = parent.children.borrow_mut();
            let is_target = |child: &Weak<Node>| child.as_ptr() == Rc::as_ptr(target);
            if let Some(at) = children.iter().rposition(is_target) {
                children.remove(at);
            }
        }
    }

    fn reparent_children(&self, node: &Rc<Node>, new_parent: &Rc<Node>) {
        let children = std::mem::take(&mut *node.children.borrow_mut());
        for child in children.iter().filter_map(Weak::upgrade) {
            self.hang(new_parent, NodeOrText::AppendNode(child));
        }
    }
}
