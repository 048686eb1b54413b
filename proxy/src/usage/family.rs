//! Model families, and how their tokenizers differ from the two that we have.

/// The tokenizer that a count begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    O200k,
    Cl100k,
}

/// A family of models, by how its names begin after any vendor's prefix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) prefix: &'static str,
    pub(super) base: Base,
    /// The family's tokens for each thousand of the base's, in text without Chinese, Japanese or Korean.
    pub(super) other_per_mille: u64,
    /// The same in text of nothing else.
    pub(super) cjk_per_mille: u64,
}

const fn family(prefix: &'static str, base: Base, other_per_mille: u64, cjk_per_mille: u64) -> Family {
    Family { prefix, base, other_per_mille, cjk_per_mille }
}

/// The first match counts, so longer prefixes stand before shorter ones.
const FAMILIES: [Family; 27] = [
    family("gpt-4o", Base::O200k, 1000, 1000),
    family("gpt-4.1", Base::O200k, 1000, 1000),
    family("gpt-4.5", Base::O200k, 1000, 1000),
    family("gpt-4", Base::Cl100k, 1000, 1000),
    family("gpt-3.5", Base::Cl100k, 1000, 1000),
    family("gpt-35", Base::Cl100k, 1000, 1000),
    family("text-embedding-", Base::Cl100k, 1000, 1000),
    family("claude", Base::O200k, 1200, 1450),
    family("gemini", Base::O200k, 1020, 950),
    family("gemma", Base::O200k, 1020, 950),
    family("qwen", Base::O200k, 1040, 870),
    family("qwq", Base::O200k, 1040, 870),
    family("deepseek", Base::O200k, 1050, 850),
    family("glm", Base::O200k, 1040, 860),
    family("chatglm", Base::O200k, 1040, 860),
    family("kimi", Base::O200k, 1020, 850),
    family("moonshot", Base::O200k, 1020, 850),
    family("ernie", Base::O200k, 1100, 900),
    family("spark", Base::O200k, 1100, 950),
    family("doubao", Base::O200k, 1050, 870),
    family("hunyuan", Base::O200k, 1050, 870),
    family("minimax", Base::O200k, 1050, 870),
    family("baichuan", Base::O200k, 1100, 880),
    family("yi-", Base::O200k, 1100, 900),
    family("llama", Base::O200k, 1020, 1250),
    family("mistral", Base::O200k, 1150, 1500),
    family("mixtral", Base::O200k, 1150, 1500),
];

/// What is counted as if it were OpenAI's newest.
const OTHER: Family = family("", Base::O200k, 1000, 1000);

impl Family {
    /// The family of a model, given the name that its provider or its users call it by.
    pub(super) fn of(model: &str) -> Family {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        FAMILIES.into_iter().find(|family| name.starts_with(family.prefix)).unwrap_or(OTHER)
    }

    /// The family's count of a text that has `base_tokens` and, of `chars`, `cjk_chars`; rounded half up.
    pub(super) fn corrected(&self, base_tokens: u64, cjk_chars: u64, chars: u64) -> u64 {
        // The factor is interpolated by the share of such characters: f_cjk × share + f_other × (1 − share).
        let chars = u128::from(chars.max(1));
        let cjk = u128::from(cjk_chars).min(chars);
        let factor = cjk * u128::from(self.cjk_per_mille) + (chars - cjk) * u128::from(self.other_per_mille);
        let scale = 1000 * chars;
        u64::try_from((u128::from(base_tokens) * factor + scale / 2) / scale).unwrap_or(u64::MAX)
    }
}
