//! `[models."x"]`: the names that clients use, and who can serve them.

use std::collections::BTreeSet;

use super::{
    fault::guess,
    limits::Limits,
    price,
    written::{Located, Section},
};
use crate::usage::{MediaBounds, Price};

const NAME_BYTES_MAX: usize = 200;

/// One model, as clients name it.
#[derive(Debug, Clone)]
pub struct Model {
    /// Who can serve it, in the order in which they are tried; at least one.
    pub targets: Vec<Target>,
    /// What a call is taken to produce at most if it does not say.
    pub output_tokens_max: u64,
    /// The model whose tokenizer, and rule of media, counts for this one, if its own name says nothing.
    pub count_as: Option<String>,
    /// What images, sounds, documents and videos count at most.
    pub media: MediaBounds,
}

/// A provider's model that can serve a call.
#[derive(Debug, Clone)]
pub struct Target {
    /// Names a provider of the same configuration.
    pub provider: String,
    /// The model's name at the provider.
    pub model: String,
    /// The share of calls that begin here. Either every target of a model has one, or none.
    pub weight: Option<u32>,
    /// None: the calls are reported as unpriced.
    pub price: Option<Price>,
}

pub(super) fn read(
    name: &Located<String>,
    section: Section<'_, '_>,
    providers: &BTreeSet<String>,
    limits: &Limits,
) -> Option<Model> {
    check_name(&section, name);
    let own_price = price::read(&section);
    let mut targets = Vec::new();
    for entry in section.list("targets") {
        let target = read_target(entry, providers);
        targets.extend(target.map(|target| Target { price: target.price.or_else(|| own_price.clone()), ..target }));
    }
    if !section.has("targets") {
        section.missing("targets");
    } else if targets.is_empty() {
        section.reading().absent(name, "has no target that can be used");
    }
    let weighted = targets.iter().filter(|target| target.weight.is_some()).count();
    if weighted > 0 && weighted < targets.len() {
        section.reading().fault(name, "give every target a `weight`, or none");
    }
    let output_tokens_max = section.number_or("output_tokens_max", limits.output_tokens_max, 1..=100_000_000);
    let count_as = section.text("count_as").map(|at| at.value);
    let media = read_media(&section, &targets, count_as.as_deref());
    section.finish();
    Some(Model { targets, output_tokens_max, count_as, media })
}

/// What the operator says of media, and else what bounds all targets: each by its own name, or by that of the model that
/// counts for it where its own says nothing.
fn read_media(model: &Section<'_, '_>, targets: &[Target], count_as: Option<&str>) -> MediaBounds {
    let known = targets.iter().map(|target| {
        let by_name = MediaBounds::of_model(&target.model).or_else(|| MediaBounds::of_model(count_as?));
        by_name.unwrap_or_default()
    });
    let known = known.reduce(MediaBounds::or_larger).unwrap_or_default();
    let section = model.section("media");
    let number = |name: &str, default| section.number_or(name, default, 0..=100_000_000);
    let media = MediaBounds {
        image_tokens_max: number("image_tokens_max", known.image_tokens_max),
        audio_tokens_per_second_max: number("audio_tokens_per_second_max", known.audio_tokens_per_second_max),
        audio_seconds_max: number("audio_seconds_max", known.audio_seconds_max),
        pdf_page_tokens_max: number("pdf_page_tokens_max", known.pdf_page_tokens_max),
        pdf_pages_max: number("pdf_pages_max", known.pdf_pages_max),
        video_tokens_max: number("video_tokens_max", known.video_tokens_max),
    };
    section.finish();
    media
}

fn read_target(section: Section<'_, '_>, providers: &BTreeSet<String>) -> Option<Target> {
    for needed in ["provider", "model"].into_iter().filter(|needed| !section.has(needed)) {
        section.missing(needed);
    }
    let provider = section.text("provider");
    if let Some(provider) = provider.as_ref().filter(|provider| !providers.contains(&provider.value)) {
        let guess = guess(&provider.value, providers.iter().map(String::as_str));
        section.reading().absent(provider, format!("unknown provider `{}`{guess}", provider.value));
    }
    let model = section.text("model");
    if let Some(model) = &model {
        check_name(&section, model);
    }
    let weight = section.number("weight", 1..=1_000_000).map(|weight| weight as u32);
    let price = price::read(&section);
    section.finish();
    Some(Target { provider: provider?.value, model: model?.value, weight, price })
}

/// Models have all kinds of names: `openrouter/x:y`.
fn check_name(section: &Section<'_, '_>, name: &Located<String>) {
    let hidden = |letter: char| letter.is_control() || letter.is_whitespace() || letter == '*';
    if name.value.is_empty() || name.value.len() > NAME_BYTES_MAX || name.value.contains(hidden) {
        let message = format!("a model's name must have 1 to {NAME_BYTES_MAX} bytes, none of them a space or `*`");
        section.reading().fault(name, message);
    }
}
