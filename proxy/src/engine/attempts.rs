//! The accounts of a call's attempts, and their sum.

use std::sync::Arc;

use crate::{
    call::Tokens,
    journal::Attempt,
    metrics,
    snapshot::{Model, ModelTarget, Snapshot},
    usage::{self, Currency, Source},
};

/// What the attempts of one call used and cost, added up as each of them ends.
#[derive(Default)]
pub(super) struct Attempts {
    count: u32,
    /// The model that the call asks for, once it is known.
    pub(super) model: Option<Arc<Model>>,
    /// The target tried last, as an index into the model's.
    target: Option<usize>,
    progress: Progress,
    spent: Spent,
}

/// How far the attempt under way has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Progress {
    /// Nothing has gone to the provider: the attempt costs nothing.
    #[default]
    Unsent,
    /// The provider may be at work: the attempt costs, whatever becomes of it.
    Sent,
    /// The provider has refused: the attempt costs nothing.
    Refused,
}

/// What the attempts that have ended used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) tokens: Tokens,
    /// Of several, the least certain; none where nothing was used.
    pub(super) source: Option<Source>,
    pub(super) charge_nanos: u64,
    /// Of the attempt that cost money last.
    pub(super) currency: Option<Currency>,
    /// An attempt used tokens that have no price.
    pub(super) is_unpriced: bool,
    /// Tokens that providers reported beyond what was held.
    pub(super) overrun_tokens: u64,
}

impl Attempts {
    /// An attempt at a target of the model begins.
    pub(super) fn begin(&mut self, target: usize) {
        self.count += 1;
        self.target = Some(target);
        self.progress = Progress::Unsent;
    }

    pub(super) fn sent(&mut self) {
        self.progress = Progress::Sent;
    }

    /// The provider had closed the connection before it took the request.
    pub(super) fn unsent(&mut self) {
        self.progress = Progress::Unsent;
    }

    pub(super) fn refused(&mut self) {
        self.progress = Progress::Refused;
    }

    /// Whether the attempt under way costs, although its provider brought no verdict.
    pub(super) fn is_without_verdict(&self) -> bool {
        self.progress == Progress::Sent
    }

    /// Adds what the attempt under way used.
    pub(super) fn add(&mut self, tokens: &Tokens, source: Source) {
        let price = self.target().and_then(|target| target.price.clone());
        self.spent.add(tokens, source, price.as_ref());
    }

    /// Adds what a provider reported beyond what was held, which is part of what was added.
    pub(super) fn add_overrun(&mut self, tokens: u64) {
        self.spent.overrun_tokens = self.spent.overrun_tokens.saturating_add(tokens);
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The target tried last.
    pub(super) fn target(&self) -> Option<&ModelTarget> {
        self.model.as_ref()?.targets.get(self.target?)
    }

    pub(super) fn spent(&self) -> &Spent {
        &self.spent
    }

    /// The call as its row tells of it where nobody else can: the attempt under way used all that is `held` for it, and
    /// those before it what they were found to have used.
    pub(super) fn under_way(&self, held: &Tokens) -> Attempt {
        let mut all = self.spent;
        let price = self.target().and_then(|target| target.price.as_ref());
        all.add(held, Source::Estimated, price);
        Attempt { output_tokens_held: held.output, ..self.costing(&all) }
    }

    /// The same while no attempt is under way.
    pub(super) fn so_far(&self) -> Attempt {
        Attempt { is_over: true, ..self.costing(&self.spent) }
    }

    /// The attempts so far, where all of them cost what `all` says.
    fn costing(&self, all: &Spent) -> Attempt {
        let Some(target) = self.target() else { return Attempt::default() };
        let currency = all.currency.or(target.price.as_ref().map(|price| price.currency));
        Attempt {
            provider: target.provider.name.to_string(),
            upstream_model: target.upstream_model.clone(),
            currency: currency.map_or_else(String::new, |currency| currency.to_string()),
            charge_nanos: all.charge_nanos,
            priced: target.price.is_some() && !all.is_unpriced,
            attempts: self.count,
            input_tokens_spent: self.spent.tokens.input,
            output_tokens_spent: self.spent.tokens.output,
            ..Attempt::default()
        }
    }

    /// The series that the call counts in.
    pub(super) fn metrics<'a>(&'a self, snapshot: &'a Snapshot) -> &'a metrics::TargetMetrics {
        self.target().map_or(&snapshot.unknown_target, |target| &target.metrics)
    }
}

impl Spent {
    fn add(&mut self, tokens: &Tokens, source: Source, price: Option<&usage::Price>) {
        let sum = &mut self.tokens;
        for (sum, more) in [
            (&mut sum.input, tokens.input),
            (&mut sum.output, tokens.output),
            (&mut sum.cached, tokens.cached),
            (&mut sum.cache_write, tokens.cache_write),
            (&mut sum.reasoning, tokens.reasoning),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.source = Some(self.source.map_or(source, |before| less_certain(before, source)));
        let Some(price) = price else {
            self.is_unpriced |= tokens.total() > 0;
            return;
        };
        let charge_nanos = usage::charge(tokens, price);
        if self.currency.is_some_and(|currency| currency != price.currency) && self.charge_nanos > 0 {
            // A row has one currency; the tokens are in it whatever they cost.
            tracing::warn!(
                charge_nanos = self.charge_nanos,
                "an attempt in another currency than the one after it is left out of the charge"
            );
            self.charge_nanos = 0;
        }
        self.currency = Some(price.currency);
        self.charge_nanos = self.charge_nanos.saturating_add(charge_nanos);
    }
}

/// Of two ways to know, the one to trust less.
fn less_certain(one: Source, other: Source) -> Source {
    let doubt = |source| match source {
        Source::Provider => 0,
        Source::Counted => 1,
        Source::Estimated => 2,
    };
    if doubt(one) >= doubt(other) { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Price;

    fn price(currency: &str) -> Price {
        Price {
            currency: currency.parse().unwrap(),
            input_per_million_nanos: 1_000_000,
            output_per_million_nanos: 2_000_000,
            cached_per_million_nanos: None,
            cache_write_per_million_nanos: None,
            reasoning_per_million_nanos: None,
            version: 1,
        }
    }

    fn tokens(input: u64, output: u64) -> Tokens {
        Tokens { input, output, ..Tokens::default() }
    }

    #[test]
    fn attempts_add_up_and_the_least_certain_source_names_them() {
        let mut spent = Spent::default();
        spent.add(&tokens(10, 0), Source::Estimated, Some(&price("USD")));
        spent.add(&tokens(10, 5), Source::Provider, Some(&price("USD")));
        assert_eq!((spent.tokens, spent.source), (tokens(20, 5), Some(Source::Estimated)));
        assert_eq!((spent.charge_nanos, spent.is_unpriced), (30, false));
    }

    #[test]
    fn tokens_without_a_price_are_said_to_be() {
        let mut spent = Spent::default();
        spent.add(&tokens(0, 0), Source::Provider, None);
        assert!(!spent.is_unpriced);
        spent.add(&tokens(1, 0), Source::Provider, None);
        spent.add(&tokens(1, 0), Source::Provider, Some(&price("USD")));
        assert!(spent.is_unpriced);
    }

    #[test]
    fn a_row_has_the_currency_of_the_last_attempt() {
        let mut spent = Spent::default();
        spent.add(&tokens(10, 0), Source::Provider, Some(&price("CNY")));
        spent.add(&tokens(0, 5), Source::Provider, Some(&price("USD")));
        assert_eq!((spent.charge_nanos, spent.currency), (10, "USD".parse().ok()));
        assert_eq!(spent.tokens, tokens(10, 5));
    }

    #[test]
    fn sums_never_wrap() {
        let mut spent = Spent::default();
        spent.add(&tokens(u64::MAX, 1), Source::Provider, Some(&price("USD")));
        spent.add(&tokens(u64::MAX, 1), Source::Provider, Some(&price("USD")));
        assert_eq!(spent.tokens.input, u64::MAX);
    }
}
