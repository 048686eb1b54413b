//! What is written in a dialect, before it is.

/// What an answer calls itself, whoever gave it.
#[derive(Debug, Clone, Copy)]
pub struct AnswerName<'a> {
    /// The gateway's id of the call.
    pub request_id: &'a str,
    /// When the call began. Unix seconds.
    pub created_s: u64,
    /// The model as the client named it.
    pub model: &'a str,
}

/// A refusal, before it is written in a dialect.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    /// A whole sentence.
    pub message: &'a str,
    /// OpenAI's `error.type`.
    pub kind: &'a str,
    pub code: &'a str,
    /// The field of the request at fault.
    pub param: Option<&'a str>,
}

/// A model as lists show it.
#[derive(Debug, Clone, Copy)]
pub struct ListedModel<'a> {
    pub id: &'a str,
    /// Unix seconds.
    pub created_s: u64,
    pub owner: &'a str,
}
