//! `${NAME}` in texts: the one way in which the environment reaches a configuration.

/// A text with its variables looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expanded {
    Text(String),
    /// The names of the variables that are unset or empty.
    Unset(Vec<String>),
}

/// Replaces each `${NAME}` by the variable's value. `$${` stands for `${`. A value is never itself expanded.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut unset = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(escaped) = before.strip_suffix('$') {
            expanded.push_str(escaped);
            expanded.push_str("${");
            rest = &from[2..];
            continue;
        }
        expanded.push_str(before);
        let (name, after) = from[2..].split_once('}').ok_or("`${` is not closed by `}`")?;
        if !is_name(name) {
            return Err(format!("`{name}` is not the name of an environment variable"));
        }
        // Container tools pass a variable nobody gave as an empty one.
        match env(name).filter(|value| !value.is_empty()) {
            Some(value) => expanded.push_str(&value),
            None => unset.push(name.to_owned()),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(if unset.is_empty() { Expanded::Text(expanded) } else { Expanded::Unset(unset) })
}

fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|byte| !byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
