//! Model families, and how their tokenizers differ from the two that we have.

/// The tokenizer that a count begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BaseTokenizer {
    O200k,
    Cl100k,
}

impl BaseTokenizer {
    pub(super) const ALL: [BaseTokenizer; 2] = [BaseTokenizer::O200k, BaseTokenizer::Cl100k];
}

/// A family of models, by how their names begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    prefix: &'static str,
    pub(super) base: BaseTokenizer,
    /// The family's tokens for each thousand of the base's, in text without Chinese, Japanese or Korean.
    other_per_mille: u64,
    /// The same in text of nothing else.
    cjk_per_mille: u64,
    /// The base is the family's own tokenizer.
    pub(super) is_exact: bool,
}

const fn family(prefix: &'static str, base: BaseTokenizer, other_per_mille: u64, cjk_per_mille: u64) -> Family {
    Family { prefix, base, other_per_mille, cjk_per_mille, is_exact: false }
}

/// A family that counts with one of our tokenizers.
const fn own(prefix: &'static str, base: BaseTokenizer) -> Family {
    Family { prefix, base, other_per_mille: 1000, cjk_per_mille: 1000, is_exact: true }
}

/// The first match counts, so longer prefixes stand before shorter ones.
///
/// Factors are what vendors state of characters a token (DeepSeek 0.6 tokens a Chinese character, Qwen 1.5 to 1.8
/// characters a token, GLM 1.6 to 1.8, Kimi 1.5 to 2, Hunyuan 1.8, Spark 1.5, ERNIE 1) over o200k's 0.68 tokens a
/// character in ordinary prose. Families without such a statement keep the base's count.
const FAMILIES: [Family; 25] = [
    own("gpt-4o", BaseTokenizer::O200k),
    own("gpt-4.1", BaseTokenizer::O200k),
    own("gpt-4.5", BaseTokenizer::O200k),
    own("gpt-5", BaseTokenizer::O200k),
    own("gpt-oss", BaseTokenizer::O200k),
    own("chatgpt-4o", BaseTokenizer::O200k),
    own("o1", BaseTokenizer::O200k),
    own("o3", BaseTokenizer::O200k),
    own("o4-mini", BaseTokenizer::O200k),
    own("gpt-4", BaseTokenizer::Cl100k),
    own("gpt-3.5", BaseTokenizer::Cl100k),
    own("gpt-35", BaseTokenizer::Cl100k),
    own("text-embedding-3-", BaseTokenizer::Cl100k),
    own("text-embedding-ada-", BaseTokenizer::Cl100k),
    family("claude", BaseTokenizer::O200k, 1150, 1300),
    family("deepseek", BaseTokenizer::O200k, 1040, 885),
    family("qwen", BaseTokenizer::O200k, 1030, 895),
    family("qwq", BaseTokenizer::O200k, 1030, 895),
    family("glm", BaseTokenizer::O200k, 1030, 870),
    family("chatglm", BaseTokenizer::O200k, 1030, 870),
    family("kimi", BaseTokenizer::O200k, 1020, 845),
    family("moonshot", BaseTokenizer::O200k, 1020, 845),
    family("hunyuan", BaseTokenizer::O200k, 1030, 820),
    family("spark", BaseTokenizer::O200k, 1000, 985),
    family("ernie", BaseTokenizer::O200k, 1000, 1475),
];

/// Counted as if it were OpenAI's newest.
const OTHER: Family = family("", BaseTokenizer::O200k, 1000, 1000);

impl Family {
    /// The family of a model, given its name with or without a vendor's prefix.
    pub(super) fn of(model: &str) -> Family {
        let name = Family::bare_name(model);
        FAMILIES.into_iter().find(|family| name.starts_with(family.prefix)).unwrap_or(OTHER)
    }

    /// A model's name in small letters, without a vendor's prefix.
    pub(super) fn bare_name(model: &str) -> String {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        name.strip_prefix("ft:").map(str::to_owned).unwrap_or(name)
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
