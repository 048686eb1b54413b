//! The row of a call.

use serde::{Deserialize, Serialize};

use crate::{call::Tokens, usage::Source};

/// Longest text of a row, in bytes; longer ones are cut.
const TEXT_BYTES_MAX: usize = 256;
pub(super) const DAY_MS: u64 = 86_400_000;
/// Texts in a row.
pub(super) const TEXTS: usize = 14;

/// How a call ended: its one row in the ledger. Empty texts mean that there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub request_id: String,
    /// When the call was admitted, the moment its hold was reserved at; else when it was refused. Unix milliseconds.
    pub started_ms: u64,
    pub key_id: String,
    pub key_name: String,
    pub user: String,
    /// The model as the client named it.
    pub model: String,
    pub provider: String,
    pub upstream_model: String,
    pub dialect: String,
    pub operation: String,
    /// What the client was answered.
    pub status: u16,
    /// The stable name of what went wrong; empty if nothing did.
    pub error_class: String,
    #[serde(with = "TokensRow")]
    pub tokens: Tokens,
    /// Who counted the tokens.
    pub usage_source: Source,
    /// What all tokens that have a price cost, in billionths of a unit of `currency`.
    pub charge_nanos: u64,
    pub currency: String,
    /// Whether every token has a price; if not, the charge lacks some.
    pub priced: bool,
    pub first_byte_us: Option<u64>,
    pub total_us: u64,
    /// The part of `total_us` that the gateway took itself.
    pub overhead_us: u64,
    /// Attempts at providers.
    pub attempts: u32,
    pub streamed: bool,
    pub client_gone: bool,
    /// Whether the call was opened, and so counts against the limits. The ledger sets it.
    pub admitted: bool,
    pub config: String,
    pub group: String,
    pub agent: String,
    /// Tokens that providers reported beyond what was held for the call; they are part of `tokens`.
    #[serde(default, with = "beside")]
    pub overrun_tokens: u64,
}

/// A number that is spelled out where people read it. Elsewhere few rows have one: it takes no byte of them, and whoever
/// packs rows keeps it beside them, so that rows of builds without it are read as well.
mod beside {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { number.serialize(serializer) } else { serializer.serialize_unit() }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if deserializer.is_human_readable() {
            return u64::deserialize(deserializer);
        }
        <()>::deserialize(deserializer).map(|()| 0)
    }
}

/// [`Tokens`] as they are stored.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Tokens")]
struct TokensRow {
    input: u64,
    output: u64,
    cached: u64,
    cache_write: u64,
    reasoning: u64,
}

impl Default for Record {
    fn default() -> Record {
        Record {
            request_id: String::new(),
            started_ms: 0,
            key_id: String::new(),
            key_name: String::new(),
            user: String::new(),
            model: String::new(),
            provider: String::new(),
            upstream_model: String::new(),
            dialect: String::new(),
            operation: String::new(),
            status: 0,
            error_class: String::new(),
            tokens: Tokens::default(),
            usage_source: Source::Estimated,
            charge_nanos: 0,
            currency: String::new(),
            priced: false,
            first_byte_us: None,
            total_us: 0,
            overhead_us: 0,
            attempts: 0,
            streamed: false,
            client_gone: false,
            admitted: false,
            config: String::new(),
            group: String::new(),
            agent: String::new(),
            overrun_tokens: 0,
        }
    }
}

impl Record {
    /// When the call ended, in Unix milliseconds.
    pub fn ended_ms(&self) -> u64 {
        self.started_ms.saturating_add(self.total_us / 1000)
    }

    /// The UTC day in which the call ended, since 1970.
    pub(super) fn ended_day(&self) -> u64 {
        self.ended_ms() / DAY_MS
    }

    /// Whether the call ended as it should.
    pub fn is_ok(&self) -> bool {
        self.error_class.is_empty()
    }

    /// Cuts what a client or a provider may have made too long to keep.
    pub fn clip(&mut self) {
        self.texts_mut().into_iter().for_each(clip);
    }

    /// Every text of the row, in the order of the fields.
    pub(super) fn texts_mut(&mut self) -> [&mut String; TEXTS] {
        [
            &mut self.request_id,
            &mut self.key_id,
            &mut self.key_name,
            &mut self.user,
            &mut self.model,
            &mut self.provider,
            &mut self.upstream_model,
            &mut self.dialect,
            &mut self.operation,
            &mut self.error_class,
            &mut self.currency,
            &mut self.config,
            &mut self.group,
            &mut self.agent,
        ]
    }
}

fn clip(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.shrink_to_fit();
    }
}
