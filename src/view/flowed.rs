//! Undoes the wrapping of `format=flowed` (<https://www.rfc-editor.org/rfc/rfc3676#section-4>). It reads one text and writes
//! another; whether a text was wrapped so is told by its part.

use crate::model::Flowed;

/// Text that was wrapped with `format=flowed`, with each paragraph in one line.
///
/// Quoted lines keep their marks, one `>` for each level and a space. Lines of different levels are never joined, and neither
/// is the line before a signature, whatever their spaces say: some programs get that wrong, and RFC 3676 §4.5 decides so.
///
/// ```
/// use postroom::{Flowed, view};
///
/// let text = "One paragraph of \nseveral lines.\n> a \n> quotation\n From here on\n";
/// let shown = view::unwrapped(text, Flowed::new(false));
/// assert_eq!(shown, "One paragraph of several lines.\n> a quotation\nFrom here on\n");
/// ```
#[must_use]
pub fn unwrapped(text: &str, flowed: Flowed) -> String {
    let mut shown = String::with_capacity(text.len());
    // The level of the paragraph that goes on in the next line.
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let ended = line.ends_with('\n');
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let content = line.trim_start_matches('>');
        let level = line.len() - content.len();
        // A space is put before what would otherwise look like a quotation or like the line of a mailbox file.
        let content = content.strip_prefix(' ').unwrap_or(content);
        let is_separator = content == "-- ";
        if open.is_some_and(|open| open != level || is_separator) {
            shown.push('\n');
            open = None;
        }
        if open.is_none() && level > 0 {
            shown.extend(std::iter::repeat_n('>', level));
            shown.push(' ');
        }
        match content.strip_suffix(' ').filter(|_| !is_separator) {
            Some(shorter) => {
                shown.push_str(if flowed.delete_space {
                    shorter
                } else {
                    content
                });
                open = Some(level);
            }
            None => {
                shown.push_str(content);
                open = None;
                if ended {
                    shown.push('\n');
                }
            }
        }
    }
    shown
}
