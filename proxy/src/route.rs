//! Where a call may go: the model's name to a plan.
//!
//! Owns models and the order in which a call tries their targets. Knows targets by their place alone: never what one is,
//! how it is reached, nor whether it is well.

use std::collections::HashMap;

/// A model as clients name it. Never without a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub name: String,
    /// Of each target, in the operator's order: how often it goes first, relative to the others; 0 keeps it as a fallback
    /// alone.
    pub weights: Vec<u32>,
    /// What a call may answer that does not say, in tokens.
    pub output_tokens_max: u64,
}

/// The order in which one call tries a model's targets, as indices into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Vec<usize>);

/// Why a call has nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("the model `{0}` does not exist")]
    Unknown(String),
    #[error("this key may not use the model `{0}`")]
    Forbidden(String),
}

/// Finds what `name` means, in a table of models, for a caller that may or may not use it.
///
/// # Errors
/// [`RouteError::Forbidden`] for a name that exists and is not the caller's: that a model exists is no secret, and the
/// operator who forgot to allow it is told so.
pub fn find<'a, M>(models: &'a HashMap<String, M>, name: &str, may_use: bool) -> Result<&'a M, RouteError> {
    match models.get(name) {
        Some(model) if may_use => Ok(model),
        Some(_) => Err(RouteError::Forbidden(name.to_owned())),
        None => Err(RouteError::Unknown(name.to_owned())),
    }
}

impl Model {
    /// The order for one call: one target drawn by weight, then the others as the operator wrote them. Equal weights
    /// all around mean the operator's order, without a draw.
    pub fn plan(&self, seed: u64) -> Plan {
        let weights = self.weights.iter().copied().map(u64::from);
        let total: u64 = weights.clone().sum();
        let equal = self.weights.windows(2).all(|pair| pair[0] == pair[1]);
        let mut order: Vec<usize> = (0..self.weights.len()).collect();
        if equal || total == 0 {
            return Plan(order);
        }
        let mut drawn = seed % total;
        let first = weights
            .enumerate()
            .find(|(_, weight)| {
                let here = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                here
            })
            .map_or(0, |(index, _)| index);
        order.remove(first);
        order.insert(0, first);
        Plan(order)
    }
}

impl Plan {
    pub fn targets(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(weights: &[u32]) -> Model {
        Model { name: "m".into(), weights: weights.into(), output_tokens_max: 1 }
    }

    fn order(weights: &[u32], seed: u64) -> Vec<usize> {
        model(weights).plan(seed).targets().collect()
    }

    #[test]
    fn equal_targets_are_tried_in_the_operators_order() {
        for seed in 0..10 {
            assert_eq!(order(&[1, 1, 1], seed), [0, 1, 2]);
        }
    }

    #[test]
    fn the_first_target_is_drawn_by_weight_and_the_rest_follow_in_order() {
        let firsts: Vec<usize> = (0..10).map(|seed| order(&[7, 0, 3], seed)[0]).collect();
        assert_eq!(firsts.iter().filter(|first| **first == 0).count(), 7);
        assert_eq!(firsts.iter().filter(|first| **first == 2).count(), 3);
        assert_eq!(order(&[7, 0, 3], 9), [2, 0, 1]);
    }

    #[test]
    fn a_model_is_found_refused_or_unknown() {
        let models = HashMap::from([("a".to_owned(), 1)]);
        assert_eq!(find(&models, "a", true), Ok(&1));
        assert_eq!(find(&models, "a", false), Err(RouteError::Forbidden("a".into())));
        assert_eq!(find(&models, "b", false), Err(RouteError::Unknown("b".into())));
    }
}
