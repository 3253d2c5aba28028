//! Whether HTML can be parsed in reasonable time. Elements in one another, and formatting that is never closed, make a
//! parser that follows the standard take time and memory by the square of the text: a megabyte written for it is minutes of
//! work (<https://html.spec.whatwg.org/multipage/parsing.html#reconstruct-the-active-formatting-elements>). Nobody writes
//! mail like that who wants it read.

use super::tags::Tag;

/// How many elements may be open at a time. Browsers stop at 512; mail laid out with tables reaches a hundred.
const DEEPEST: usize = 300;

/// How many times formatting elements may be opened again because an element around them ended.
const REOPENED: usize = 50_000;

/// Elements that go on after an element around them ended.
const FORMATTING: &[&str] = &[
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
];

/// Elements whose end is understood without a tag; those in tables are looked after on their own.
const IMPLIED: &[&str] = &[
    "p", "option", "optgroup", "tr", "tbody", "thead", "tfoot", "colgroup", "html", "head", "body",
];

/// Elements that no closing tag inside them reaches beyond.
const BARRIERS: &[&str] = &[
    "applet", "button", "caption", "marquee", "object", "select", "table", "td", "template", "th",
];

/// Drawings close their elements themselves.
const SHAPES: &[&str] = &[
    "circle",
    "ellipse",
    "fecolormatrix",
    "image",
    "line",
    "path",
    "polygon",
    "polyline",
    "rect",
    "stop",
    "use",
];

/// Whether a parser would take too long over these tags. It follows the standard's tree building as far as that can make
/// trees deep, and counts too much where it is not exact.
pub(super) fn is_unreasonable(tags: &[Tag<'_>]) -> bool {
    let mut open = Open::default();
    for tag in tags {
        if tag.closes {
            open.end(&tag.name);
        } else if !(tag.is_void() || tag.closes_itself() && SHAPES.contains(&tag.name.as_str())) {
            open.begin(&tag.name);
        }
        if open.elements.len() > DEEPEST || open.reopened > REOPENED {
            return true;
        }
    }
    false
}

#[derive(Default)]
struct Open<'a> {
    elements: Vec<&'a str>,
    reopened: usize,
}

impl<'a> Open<'a> {
    fn begin(&mut self, name: &'a str) {
        match name {
            "td" | "th" | "caption" => {
                if let Some(table) = self.last("table") {
                    self.leave_cells(table);
                    self.elements.push(name);
                }
                return;
            }
            "tr" | "tbody" | "thead" | "tfoot" | "colgroup" => {
                if let Some(table) = self.last("table") {
                    self.leave_cells(table);
                }
                return;
            }
            "li" => self.end_item(&["li"]),
            "dd" | "dt" => self.end_item(&["dd", "dt"]),
            "a" | "nobr" => self.end(name),
            _ => {}
        }
        if !IMPLIED.contains(&name) {
            self.elements.push(name);
        }
    }

    fn end(&mut self, name: &str) {
        if name == "table" {
            if let Some(table) = self.last("table") {
                self.leave_cells(table);
                self.elements.remove(table);
            }
            return;
        }
        let mut above = self.elements.iter().enumerate().rev();
        let found = above.find(|(_, open)| **open == name || BARRIERS.contains(open));
        if let Some((at, open)) = found
            && *open == name
        {
            if FORMATTING.contains(&name) {
                self.elements.remove(at);
            } else {
                self.leave(at, BARRIERS.contains(&name));
            }
        }
    }

    /// An item ends where the next one begins, unless a list lies between them.
    fn end_item(&mut self, names: &[&str]) {
        let passed = |open: &str| {
            FORMATTING.contains(&open) || matches!(open, "span" | "div" | "address" | "label")
        };
        let mut above = self.elements.iter().enumerate().rev();
        let found = above.find(|(_, open)| names.contains(open) || !passed(open));
        if let Some((at, open)) = found
            && names.contains(open)
        {
            self.leave(at, false);
        }
    }

    /// Ends the element at this place and those in it. Formatting goes on, unless it is kept inside.
    fn leave(&mut self, at: usize, keeps_formatting: bool) {
        let inside = self.elements.split_off(at);
        if !keeps_formatting {
            let formatting = inside.into_iter().filter(|open| FORMATTING.contains(open));
            self.elements.extend(formatting);
        }
        let formatting = self
            .elements
            .iter()
            .filter(|open| FORMATTING.contains(open));
        self.reopened += formatting.count();
    }

    /// Ends the cell of a table that is open. Formatting between the table and its cells goes on before the table.
    fn leave_cells(&mut self, table: usize) {
        let inside = self.elements.iter().skip(table + 1);
        let is_cell = |open: &&str| matches!(*open, "td" | "th" | "caption");
        let before_cells = inside.take_while(|open| !is_cell(open));
        let kept: Vec<&str> = before_cells
            .copied()
            .filter(|open| FORMATTING.contains(open))
            .collect();
        self.elements.truncate(table + 1);
        self.elements.extend(kept);
    }

    /// Where the last element of this name is.
    fn last(&self, name: &str) -> Option<usize> {
        self.elements.iter().rposition(|open| *open == name)
    }
}
