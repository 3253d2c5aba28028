//! Changes that mail servers make to the header of a message in transit: fields removed, replaced or
//! put in front. The body is never touched. Reading messages is `message`'s task.

/// The message without any field of this name.
pub(crate) fn remove_field(raw: &[u8], name: &str) -> Vec<u8> {
    let (fields, rest) = split(raw);
    let mut result = Vec::with_capacity(raw.len());
    for field in fields {
        if !is_named(field, name) {
            result.extend_from_slice(field);
        }
    }
    result.extend_from_slice(rest);
    result
}

/// The message with exactly one field of this name, which takes the place of the first that was there,
/// or comes last in the header.
pub(crate) fn set_field(raw: &[u8], name: &str, value: &str) -> Vec<u8> {
    let (fields, rest) = split(raw);
    let line = format!("{name}: {value}\r\n");
    let mut result = Vec::with_capacity(raw.len() + line.len());
    let mut placed = false;
    for field in fields {
        if !is_named(field, name) {
            result.extend_from_slice(field);
        } else if !placed {
            result.extend_from_slice(line.as_bytes());
            placed = true;
        }
    }
    if !placed {
        if result.last().is_some_and(|last| *last != b'\n') {
            result.extend_from_slice(b"\r\n");
        }
        result.extend_from_slice(line.as_bytes());
    }
    result.extend_from_slice(rest);
    result
}

/// The message with a field put in front of all others, as each server on the way does with its trace.
pub(crate) fn prepend_field(raw: &[u8], name: &str, value: &str) -> Vec<u8> {
    let mut result = format!("{name}: {value}\r\n").into_bytes();
    if split(raw).0.is_empty() && !raw.starts_with(b"\r\n") && !raw.starts_with(b"\n") {
        result.extend_from_slice(b"\r\n");
    }
    result.extend_from_slice(raw);
    result
}

/// Whether the header has a field of this name.
pub(crate) fn has_field(raw: &[u8], name: &str) -> bool {
    split(raw).0.iter().any(|field| is_named(field, name))
}

/// The header's fields, each with its continuation lines and line end, and what follows them: the empty
/// line and the body. A line in the header that is no field is kept as one, without a name: what comes
/// after it is still header. A message whose first line is no field has no header.
fn split(raw: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut fields: Vec<&[u8]> = Vec::new();
    let mut rest = raw;
    if name(raw).is_none() {
        return (fields, rest);
    }
    while !rest.is_empty() && !rest.starts_with(b"\r\n") && !rest.starts_with(b"\n") {
        let mut end = line_length(rest);
        while let Some(next) = rest.get(end..) {
            if !next.starts_with(b" ") && !next.starts_with(b"\t") {
                break;
            }
            end += line_length(next);
        }
        let (field, after) = rest.split_at(end);
        fields.push(field);
        rest = after;
    }
    (fields, rest)
}

/// The length of the first line with its end.
fn line_length(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| *byte == b'\n')
        .map_or(text.len(), |end| end + 1)
}

/// The name of the field that `text` begins with.
fn name(text: &[u8]) -> Option<&str> {
    let line = text.get(..line_length(text))?;
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(line.get(..colon)?).ok()?.trim_end();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then_some(name)
}

fn is_named(field: &[u8], wanted: &str) -> bool {
    name(field).is_some_and(|found| found.eq_ignore_ascii_case(wanted))
}
