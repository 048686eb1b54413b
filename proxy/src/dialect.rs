//! The client's wire format, in and out.
//!
//! Canonical and the OpenAI dialect are the same on the way in; on the way out events become chunks here. Never knows
//! who is asking or which provider answered.

pub mod openai;
