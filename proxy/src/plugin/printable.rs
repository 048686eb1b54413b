//! What guests and providers say in their own words, made fit for logs and terminals.

use std::fmt::Write as _;

/// `text` on one line without control characters, at most `bytes_max` bytes long (an ellipsis marks a cut).
pub(crate) fn printable(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars() {
        if line.len() + character.len_utf8() > bytes_max {
            line.push('…');
            break;
        }
        match character {
            '\n' | '\t' => line.push(' '),
            // Includes the C1 controls, and marks that reorder text or begin a line: all can forge what is shown.
            character if character.is_control() || forges(character) => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(character));
            }
            character => line.push(character),
        }
    }
    line
}

fn forges(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
