//! A store as a year leaves it: many rows, of many keys, spread evenly.

use std::{
    collections::HashMap,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use tollgate::{
    call::Tokens,
    limit::{day_of, month_of},
    store::{Batch, Dimension, Record, Rollup, RollupKey, SledStore, Store, Sums},
    usage::Source,
};

const KEYS: u64 = 1_000;
const YEAR_MS: u64 = 365 * 86_400_000;
const HOUR_MS: u64 = 3_600_000;
/// Rows in one batch: many, so that a year is written in a minute.
const BATCH_ROWS: u64 = 50_000;
const MODELS: [(&str, &str, &str); 4] = [
    ("gpt", "openai", "gpt-4o-2024-08-06"),
    ("mini", "openai", "gpt-4o-mini-2024-07-18"),
    ("claude", "anthropic", "claude-sonnet-4-5-20250929"),
    ("local", "vllm", "qwen3-32b"),
];

/// Fills the store in `dir` with the rows of the year before `now_ms`.
///
/// # Errors
/// What the store says.
pub(crate) fn fill(dir: &Path, rows: u64, now_ms: u64) -> Result<(), tollgate::store::Error> {
    let store = SledStore::open(dir, &Default::default())?;
    let (at, mut chance) = (store.position()?, Chance(0x5eed));
    for begin in (0..rows).step_by(BATCH_ROWS as usize) {
        let end = (begin + BATCH_ROWS).min(rows);
        // No journal has had these rows.
        let mut batch = Batch { from: at, to: at, ..Batch::default() };
        for number in begin..end {
            batch.rows.push(row(number, now_ms - YEAR_MS + number * YEAR_MS / rows, &mut chance));
        }
        add_up(&mut batch);
        store.append(&batch)?;
        if store.opens_slowly() {
            store.reopen()?;
        }
    }
    store.flush()
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn row(number: u64, started_ms: u64, chance: &mut Chance) -> Record {
    let key = chance.below(KEYS);
    let (model, provider, upstream_model) = MODELS[chance.below(4) as usize];
    let (input, output) = (50 + chance.below(4_000), 10 + chance.below(1_000));
    let is_bad = chance.below(50) == 0;
    Record {
        request_id: request_id(started_ms, chance),
        started_ms,
        key_id: format!("key_{key:024}"),
        key_name: format!("team-{key}"),
        user: format!("user-{key}@example.com"),
        model: model.to_owned(),
        provider: provider.to_owned(),
        upstream_model: upstream_model.to_owned(),
        dialect: "openai".to_owned(),
        operation: "chat".to_owned(),
        status: if is_bad { 502 } else { 200 },
        error_class: if is_bad { "upstream_error".to_owned() } else { String::new() },
        tokens: Tokens { input, output, cached: chance.below(input), ..Tokens::default() },
        usage_source: Source::Provider,
        charge_nanos: input * 2_500 + output * 10_000,
        currency: "USD".to_owned(),
        priced: true,
        first_byte_us: Some(100_000 + chance.below(900_000)),
        total_us: 1_000_000 + chance.below(9_000_000),
        overhead_us: 60 + chance.below(100),
        attempts: 1,
        streamed: !number.is_multiple_of(3),
        admitted: true,
        ..Record::default()
    }
}

/// `req_` and a ULID.
fn request_id(ms: u64, chance: &mut Chance) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |value: u64| char::from(DIGITS[(value & 31) as usize]);
    let time = (0..10).rev().map(|at| digit(ms >> (5 * at)));
    let random: Vec<char> = (0..16).map(|_| digit(chance.below(32))).collect();
    "req_".chars().chain(time).chain(random).collect()
}

/// What the ledger adds up of rows, by everything that these have a name of.
fn add_up(batch: &mut Batch) {
    let mut rollups = HashMap::<RollupKey, Rollup>::new();
    let mut sums = HashMap::<String, Sums>::new();
    for row in &batch.rows {
        let hour = (row.started_ms / HOUR_MS) as u32;
        let mut usage = Rollup {
            calls: 1,
            errors: u64::from(!row.is_ok()),
            input: row.tokens.input,
            output: row.tokens.output,
            cached: row.tokens.cached,
            ..Rollup::default()
        };
        usage.add_charge(&row.currency, row.charge_nanos);
        let names = [
            (Dimension::Key, &row.key_id),
            (Dimension::Model, &row.model),
            (Dimension::User, &row.user),
            (Dimension::Provider, &row.provider),
        ];
        for (dimension, name) in names {
            rollups.entry(RollupKey { dimension, hour, name: name.clone() }).or_default().merge(&usage);
        }
        let (day, tokens) = (day_of(row.started_ms), row.tokens.total());
        let spent = Sums { day, day_tokens: tokens, month: month_of(day), month_tokens: tokens, total_tokens: tokens };
        sums.entry(row.key_id.clone()).or_default().merge(&spent);
    }
    batch.rollups = rollups.into_iter().collect();
    batch.sums = sums.into_iter().collect();
}

/// Numbers that differ, and are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}
