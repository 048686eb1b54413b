//! Names under which requests carry credentials. Those are the host's: a plugin that could set one would decide on
//! whose account the provider is called.

/// Parts of a name that mean a credential wherever they stand.
const WORDS: &[&str] = &[
    "apikey",
    "auth",
    "authentication",
    "authorization",
    "bearer",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "jwt",
    "passwd",
    "pwd",
    "session",
    "sessionid",
    "sig",
    "signature",
];

/// Ends of parts that mean a credential: `accesstoken`, `clientsecret`.
const ENDINGS: &[&str] = &["password", "secret", "token"];

/// Whether a header of this lower-case name carries a credential: `x-api-key`, `x-amz-security-token`.
pub(super) fn is_header(name: &str) -> bool {
    is_credential(name.as_bytes()) && name != "idempotency-key"
}

/// Whether a query's parameter of this name, decoded, carries a credential.
pub(super) fn is_parameter(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    // As a part of a name it is none: `country_code`.
    is_credential(&name) || name == b"code"
}

fn is_credential(name: &[u8]) -> bool {
    let numbered = |byte: &u8| byte.is_ascii_digit();
    let parts = name.split(|byte| !byte.is_ascii_alphanumeric());
    // A number tells one credential from another: `key2`, `token_1`.
    let unnumbered =
        parts.map(|part| &part[..part.iter().rposition(|byte| !numbered(byte)).map_or(0, |last| last + 1)]);
    let mut ends_in_key = false;
    for part in unnumbered.filter(|part| !part.is_empty()) {
        let is_word = WORDS.iter().any(|word| word.as_bytes() == part);
        if is_word || ENDINGS.iter().any(|ending| part.ends_with(ending.as_bytes())) {
            return true;
        }
        // A credential as a name's last part alone: `key-id` and `keywords` are none.
        ends_in_key = part.ends_with(b"key");
    }
    ends_in_key
}

#[cfg(test)]
mod tests;
