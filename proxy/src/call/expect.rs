//! Values of the types that fields must have.

use super::{
    ParseError,
    json::{Kind, Scanner},
};

/// Refuses the next value unless it is of one of the `kinds`.
pub(super) fn expect(
    scanner: &mut Scanner<'_>,
    kinds: &[Kind],
    expected: &'static str,
    param: impl FnOnce() -> String,
) -> Result<Kind, ParseError> {
    let found = scanner.kind()?;
    if kinds.contains(&found) { Ok(found) } else { Err(ParseError::Type { param: param(), expected, found }) }
}

/// A boolean, or null for false.
pub(super) fn flag(scanner: &mut Scanner<'_>, param: &str) -> Result<bool, ParseError> {
    expect(scanner, &[Kind::Bool, Kind::Null], "a boolean", || param.to_owned())?;
    Ok(scanner.value()? == "true")
}

/// A non-negative integer, or null for none.
pub(super) fn integer(scanner: &mut Scanner<'_>, param: &str) -> Result<Option<u64>, ParseError> {
    let kind = expect(scanner, &[Kind::Number, Kind::Null], "an integer", || param.to_owned())?;
    let text = scanner.value()?;
    if kind == Kind::Null {
        return Ok(None);
    }
    let why = match text.parse() {
        Ok(number) => return Ok(Some(number)),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => "expected at most 18446744073709551615",
        Err(_) => "expected a non-negative integer",
    };
    Err(ParseError::Value { param: param.to_owned(), why })
}
