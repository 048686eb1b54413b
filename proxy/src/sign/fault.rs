//! Why a request cannot be signed.

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("unknown authentication scheme `{0}`")]
    UnknownScheme(String),
    /// The parameters of the plan are not what its scheme takes.
    #[error("authentication scheme `{scheme}`: {fault}")]
    Params { scheme: &'static str, fault: String },
    /// The key has not the form that the scheme needs. Says nothing of the key itself.
    #[error("authentication scheme `{scheme}` needs a key of the form {form}")]
    KeyForm { scheme: &'static str, form: &'static str },
    /// A key with a line break would end its header early.
    #[error("the provider's key holds characters that a header cannot carry")]
    KeyText,
}
