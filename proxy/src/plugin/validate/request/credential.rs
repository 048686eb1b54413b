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
    "password",
    "secret",
    "session",
    "sessionid",
    "sig",
    "signature",
    "token",
];

/// Whether a header of this lower-case name carries a credential: `x-api-key`, `x-amz-security-token`.
pub(super) fn is_header(name: &str) -> bool {
    is_credential(name.as_bytes()) && name != "idempotency-key"
}

/// Whether a query's `name=value`, decoded, carries a credential.
pub(super) fn is_parameter(parameter: &[u8]) -> bool {
    let name = parameter.split(|&byte| byte == b'=').next().unwrap_or_default();
    is_credential(&name.to_ascii_lowercase())
}

fn is_credential(name: &[u8]) -> bool {
    let mut parts = name.split(|&byte| !byte.is_ascii_alphanumeric());
    // `key` is a credential as a name's last part alone: `key-id` and `keywords` are none.
    let ends_in_key =
        name.rsplit(|&byte| !byte.is_ascii_alphanumeric()).next().is_some_and(|last| last.ends_with(b"key"));
    ends_in_key || parts.any(|part| WORDS.iter().any(|word| word.as_bytes() == part))
}

#[cfg(test)]
mod tests;
