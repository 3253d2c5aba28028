//! Which declarations of a `style` attribute are kept when HTML is made safe: an allowlist of properties, and of what their
//! values may be made of.

/// How an element looks, but not where it lies: nothing here takes it out of its place in the page.
const PROPERTIES: &[&str] = &[
    "background",
    "background-color",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-bottom-left-radius",
    "border-bottom-right-radius",
    "border-bottom-style",
    "border-bottom-width",
    "border-collapse",
    "border-color",
    "border-left",
    "border-left-color",
    "border-left-style",
    "border-left-width",
    "border-radius",
    "border-right",
    "border-right-color",
    "border-right-style",
    "border-right-width",
    "border-spacing",
    "border-style",
    "border-top",
    "border-top-color",
    "border-top-left-radius",
    "border-top-right-radius",
    "border-top-style",
    "border-top-width",
    "border-width",
    "caption-side",
    "clear",
    "color",
    "direction",
    "display",
    "empty-cells",
    "float",
    "font",
    "font-family",
    "font-size",
    "font-style",
    "font-variant",
    "font-weight",
    "height",
    "letter-spacing",
    "line-height",
    "list-style-position",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-height",
    "max-width",
    "min-height",
    "min-width",
    "overflow-wrap",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "table-layout",
    "text-align",
    "text-decoration",
    "text-transform",
    "unicode-bidi",
    "vertical-align",
    "visibility",
    "white-space",
    "width",
    "word-break",
    "word-spacing",
    "word-wrap",
];

/// Functions that only compute. Everything that fetches (`url`, `image-set`, `src`, …) is not among them.
const FUNCTIONS: &[&str] = &["rgb", "rgba", "hsl", "hsla"];

/// Properties by which an element could be pulled over others.
const NOT_NEGATIVE: &[&str] = &[
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
];

/// The declarations that are harmless.
pub(super) fn harmless(style: &str) -> String {
    // With these, the end of a declaration is not where it seems to be.
    if style.contains(['\\', '{', '}', '<', '@']) || style.contains("/*") {
        return String::new();
    }
    let mut kept = String::new();
    for declaration in declarations(style) {
        let Some((property, value)) = declaration.split_once(':') else {
            continue;
        };
        let property = property.trim().to_ascii_lowercase();
        let value = value.trim();
        if PROPERTIES.contains(&property.as_str()) && is_harmless(&property, value) {
            if !kept.is_empty() {
                kept.push_str("; ");
            }
            kept.push_str(&property);
            kept.push_str(": ");
            kept.push_str(value);
        }
    }
    kept
}

/// What stands between semicolons, those in quotation marks and parentheses left alone.
fn declarations(style: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut quote = None;
    let mut depth = 0_usize;
    for (at, character) in style.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ';') if depth == 0 => {
                found.extend(style.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(style.get(start..));
    found
}

fn is_harmless(property: &str, value: &str) -> bool {
    let known = value
        .chars()
        .all(|character| character.is_alphanumeric() || " #.,%()'\"!+-/_".contains(character));
    let negative = NOT_NEGATIVE.contains(&property) && value.contains('-');
    // A parenthesis belongs to the word before it.
    let mut functions = value.split('(');
    functions.next_back();
    let harmless = functions.all(|before| {
        let word = before
            .rsplit(|c: char| !c.is_alphanumeric() && c != '-')
            .next();
        word.is_some_and(|word| FUNCTIONS.contains(&word.to_ascii_lowercase().as_str()))
    });
    let closed = |open: char| value.matches(open).count().is_multiple_of(2);
    let balanced = value.matches('(').count() == value.matches(')').count();
    !value.is_empty()
        && value.len() <= 300
        && known
        && !negative
        && harmless
        && balanced
        && closed('"')
        && closed('\'')
}
