//! Header-like fields inside report parts: groups of `Name: value` lines with blank lines between them
//! (<https://www.rfc-editor.org/rfc/rfc3464#section-2>).

/// One group of fields.
#[derive(Default)]
pub(super) struct Group(Vec<(String, String)>);

impl Group {
    /// The first value of a field, unfolded.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).next()
    }

    pub(super) fn fields<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The groups of a part. Lines that are no fields are left out.
pub(super) fn groups(text: &str) -> Vec<Group> {
    let mut groups = vec![Group::default()];
    for line in text.lines() {
        let line = line.trim_end();
        let Some(group) = groups.last_mut() else {
            break;
        };
        if line.is_empty() {
            if !group.is_empty() {
                groups.push(Group::default());
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = group.0.last_mut() {
                value.push(' ');
                value.push_str(line.trim_start());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            group
                .0
                .push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// The value after a type, as in `rfc822; nobody@shop.example`.
pub(super) fn after_type(value: &str) -> &str {
    value
        .split_once(';')
        .map_or(value, |(_, value)| value)
        .trim()
}

/// An address after its type, without angle brackets.
pub(super) fn address(value: &str) -> String {
    let address = after_type(value);
    let address = address.strip_prefix('<').unwrap_or(address);
    address
        .strip_suffix('>')
        .unwrap_or(address)
        .trim()
        .to_owned()
}
