use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::{
    count::{PIECE_BYTES_MAX, pieces},
    family::{BaseTokenizer, Family},
    *,
};
use crate::call::{Bounds, Call, Media, Operation, PromptSize, Tokens};

mod answer_text;
mod input_bound;
mod report;

const ENGLISH: &str = "The gateway keeps a ledger of every call that it has carried, and the ledger is never wrong: \
    a call ends in exactly one row, however it ends. When a client hangs up in the middle of an answer, what it has \
    received until then is counted, charged to its key and written down. Nobody pays for a provider's failure, and \
    nobody gets an answer for nothing. At the end of the month the sums agree with the provider's invoice.";
const CODE: &str = include_str!("estimate.rs");
const JSON: &str = r#"{"type":"function","function":{"name":"get_weather","description":"Current weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["celsius","fahrenheit"]},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["city"],"additionalProperties":false},"strict":true}}"#;
const CHINESE: &str = "网关为每一次调用记下一行账目,无论调用以何种方式结束。客户端中途断开连接时,已经收到的内容会被计数、\
    计费并写入账本。供应商的故障不由用户承担,用户也不会无偿得到回答。到了月底,账本上的总数与供应商的账单一致。\
    管理员可以按模型、按密钥、按小时查看用量,也可以为每个密钥设置每天、每月的上限,超过上限的请求会立即被拒绝。";
const JAPANESE: &str = "ゲートウェイはすべての呼び出しを台帳に一行ずつ記録します。クライアントが途中で切断した場合でも、\
    それまでに受け取った分は数えられ、料金が計算され、台帳に書き込まれます。";
const MIXED: &str =
    "部署步骤:先运行 `make run`,再打开 http://127.0.0.1:8080/v1/models 查看 model 列表,最后用 curl 发送请求。";
const SAMPLES: [&str; 6] = [ENGLISH, CODE, JSON, CHINESE, JAPANESE, MIXED];

fn price() -> Price {
    Price {
        currency: "USD".parse().unwrap(),
        input_per_million_nanos: 2_500_000_000,
        output_per_million_nanos: 10_000_000_000,
        cached_per_million_nanos: Some(1_250_000_000),
        cache_write_per_million_nanos: None,
        reasoning_per_million_nanos: None,
        version: 1,
    }
}

fn tokens(input: u64, output: u64, cached: u64, cache_write: u64, reasoning: u64) -> Tokens {
    Tokens { input, output, cached, cache_write, reasoning }
}

#[test]
fn amounts_are_read_exactly() {
    for (text, nanos) in [
        ("0", 0),
        ("2.50", 2_500_000_000),
        ("10.00", 10_000_000_000),
        ("0.000000001", 1),
        ("0.1000000000000", 100_000_000),
        ("007.5", 7_500_000_000),
        ("18446744073.709551615", u64::MAX),
    ] {
        assert_eq!(parse_amount(text), Ok(nanos), "{text}");
    }
}

#[test]
fn what_is_no_amount_is_refused() {
    for (text, bad) in [
        ("", AmountError::NotDecimal),
        (".5", AmountError::NotDecimal),
        ("5.", AmountError::NotDecimal),
        ("-1", AmountError::NotDecimal),
        ("+1", AmountError::NotDecimal),
        ("1e3", AmountError::NotDecimal),
        ("1,5", AmountError::NotDecimal),
        ("1.2.3", AmountError::NotDecimal),
        (" 1", AmountError::NotDecimal),
        ("$1", AmountError::NotDecimal),
        ("١", AmountError::NotDecimal),
        ("0.0000000001", AmountError::TooFine),
        ("18446744073.709551616", AmountError::TooLarge),
        ("18446744074", AmountError::TooLarge),
        ("99999999999999999999999", AmountError::TooLarge),
    ] {
        assert_eq!(parse_amount(text), Err(bad), "{text}");
    }
}

#[test]
fn a_currency_is_three_capital_letters() {
    assert_eq!("CNY".parse::<Currency>().unwrap().to_string(), "CNY");
    for text in ["", "usd", "US", "USDT", "U$D", "¥¥"] {
        assert!(text.parse::<Currency>().is_err(), "{text}");
    }
    let price: Price = serde_json::from_value(serde_json::to_value(price()).unwrap()).unwrap();
    assert_eq!(price.currency.as_str(), "USD");
    assert!(serde_json::from_value::<Currency>(json!("usd")).is_err());
}

#[test]
fn each_kind_of_token_has_its_price() {
    let mut price = price();
    // 12 of 20 at 2.5, 8 at 1.25, 9 at 10, per million.
    assert_eq!(charge(&tokens(20, 9, 8, 0, 4), &price), 30_000 + 10_000 + 90_000);
    price.cache_write_per_million_nanos = Some(3_000_000_000);
    price.reasoning_per_million_nanos = Some(20_000_000_000);
    assert_eq!(charge(&tokens(20, 9, 8, 2, 4), &price), 25_000 + 10_000 + 6_000 + 50_000 + 80_000);
    assert_eq!(charge(&Tokens::default(), &price), 0);
}

#[test]
fn a_charge_is_rounded_once_and_half_up() {
    let mut price = price();
    price.input_per_million_nanos = 1;
    price.output_per_million_nanos = 1;
    for (input, output, nanos) in
        [(499_999, 0, 0), (499_999, 1, 1), (500_000, 0, 1), (1_499_999, 0, 1), (750_000, 750_000, 2)]
    {
        assert_eq!(charge(&tokens(input, output, 0, 0, 0), &price), nanos, "{input} {output}");
    }
}

#[test]
fn parts_larger_than_their_whole_are_not_charged_twice() {
    assert_eq!(charge(&tokens(10, 5, 100, 100, 100), &price()), charge(&tokens(10, 5, 10, 0, 5), &price()));
    let most = Price { input_per_million_nanos: u64::MAX, output_per_million_nanos: u64::MAX, ..price() };
    assert_eq!(charge(&tokens(u64::MAX, u64::MAX, 0, 0, 0), &most), u64::MAX);
}

/// A chat call of this one text, and what a tokenizer says of it.
fn estimated_and_counted(counter: &Counter, model: &str, text: &str) -> (u64, u64) {
    let body = json!({"model": model, "messages": [{"role": "user", "content": text}]}).to_string();
    let call = Call::parse(Operation::Chat, Bytes::from(body), &Bounds::default()).unwrap();
    (
        estimate(&call.prompt_size, &MediaBounds::default()),
        counter.count(model, text) + overhead(&call.prompt_size, &MediaBounds::default()),
    )
}

#[test]
fn an_estimate_errs_high_but_not_far() {
    let counter = Counter::new();
    for model in ["gpt-4o", "gpt-4"] {
        for sample in SAMPLES {
            for text in [sample.to_owned(), sample.repeat(20)] {
                let (estimated, counted) = estimated_and_counted(&counter, model, &text);
                assert!(estimated >= counted, "{model}: {estimated} < {counted} for {sample}");
                assert!(estimated * 2 <= counted * 5, "{model}: {estimated} > 2.5 × {counted} for {sample}");
            }
        }
    }
}

#[test]
fn what_is_not_text_is_estimated_too() {
    let bounds = MediaBounds::default();
    let prompt_size = PromptSize {
        messages: 2,
        media: Media { images: 3, ..Media::default() },
        token_ids: 10,
        ..PromptSize::default()
    };
    assert_eq!(estimate(&prompt_size, &bounds), 2 * 6 + 3 + 3 * 1100 + 10);
    assert_eq!(estimate(&PromptSize { token_ids: 10, ..PromptSize::default() }, &bounds), 10);
    let most = PromptSize { ascii_bytes: u64::MAX, wide_chars: u64::MAX, token_ids: u64::MAX, ..prompt_size };
    assert_eq!(estimate(&most, &bounds), u64::MAX);
}

#[test]
fn openais_models_are_counted_as_tiktoken_does() {
    let counter = Counter::new();
    for (model, text, count) in [
        ("gpt-4o", "hello world", 2),
        ("gpt-4o", "", 0),
        ("gpt-4", "tiktoken is great!", 6),
        ("gpt-4o", "<|endoftext|>", 7),
        ("gpt-3.5-turbo", "お誕生日おめでとう", 9),
        ("o3-mini", "お誕生日おめでとう", 8),
    ] {
        assert_eq!(counter.count(model, text), count, "{model}: {text}");
    }
}

#[test]
fn tables_are_loaded_when_needed_and_given_back_when_told() {
    let counter = Counter::new();
    counter.count("gpt-4o", "");
    assert_eq!(counter.loaded(), []);
    counter.count("gpt-4o", "a");
    assert_eq!(counter.loaded(), [BaseTokenizer::O200k]);
    counter.count("gpt-4", "a");
    assert_eq!(counter.loaded(), [BaseTokenizer::O200k, BaseTokenizer::Cl100k]);
    counter.forget();
    assert_eq!(counter.loaded(), []);
    assert_eq!(counter.count("gpt-4o", "a"), 1);
}

#[test]
fn tables_are_kept_while_they_are_used_and_for_ten_seconds() {
    let counter = Counter::new();
    let loaded_at = |now_ms| {
        counter.rest(now_ms);
        !counter.loaded().is_empty()
    };
    counter.count("gpt-4o", "a");
    assert!(loaded_at(1_000) && loaded_at(11_000));
    counter.count("gpt-4o", "a");
    assert!(loaded_at(12_000) && loaded_at(22_000));
    assert!(!loaded_at(22_001));
    // Also those that a late count has loaded again.
    counter.count("gpt-4o", "a");
    assert!(loaded_at(23_000) && !loaded_at(33_001));
}

#[test]
fn models_are_told_apart_by_their_names() {
    for (model, base) in [
        ("gpt-4o-mini", BaseTokenizer::O200k),
        ("gpt-4.1", BaseTokenizer::O200k),
        ("gpt-4-turbo", BaseTokenizer::Cl100k),
        ("GPT-35-turbo", BaseTokenizer::Cl100k),
        ("ft:gpt-3.5-turbo:org", BaseTokenizer::Cl100k),
        ("openrouter/openai/gpt-4", BaseTokenizer::Cl100k),
        ("text-embedding-3-small", BaseTokenizer::Cl100k),
        ("o1", BaseTokenizer::O200k),
        ("gpt-5", BaseTokenizer::O200k),
        ("whatever", BaseTokenizer::O200k),
        ("", BaseTokenizer::O200k),
    ] {
        assert_eq!(Family::of(model).base, base, "{model}");
    }
}

#[test]
fn only_openais_own_embeddings_are_counted_by_its_tokenizer() {
    for (model, is_exact) in [
        ("text-embedding-3-large", true),
        ("text-embedding-ada-002", true),
        ("text-embedding-v3", false),
        ("text-embedding-004", false),
        ("text-embedding-bge-m3", false),
    ] {
        assert_eq!(Family::of(model).is_exact, is_exact, "{model}");
    }
}

#[test]
fn chinese_is_counted_as_the_vendors_say_within_a_fifth() {
    let counter = Counter::new();
    let chars = CHINESE.chars().count() as f64;
    for (model, stated) in [
        ("deepseek-chat", 0.6),
        ("Qwen/Qwen2.5-72B-Instruct", 1.0 / 1.65),
        ("glm-4", 1.0 / 1.7),
        ("moonshot-v1-8k", 1.0 / 1.75),
        ("spark-max", 1.0 / 1.5),
        ("ernie-4.0", 1.0),
    ] {
        let per_char = counter.count(model, CHINESE) as f64 / chars;
        assert!((stated * 0.8..stated * 1.2).contains(&per_char), "{model}: {per_char}");
    }
    assert_eq!(counter.count("qwq-32b", CHINESE), counter.count("qwen-max", CHINESE));
}

#[test]
fn a_correction_is_weighed_by_the_share_of_characters() {
    let family = Family::of("deepseek-chat");
    for (cjk, chars, corrected) in [(0, 10, 1040), (10, 10, 885), (5, 10, 963), (0, 0, 1040), (20, 10, 885)] {
        assert_eq!(family.corrected(1000, cjk, chars), corrected, "{cjk} of {chars}");
    }
    assert_eq!(Family::of("gpt-4o").corrected(u64::MAX, 1, 2), u64::MAX);
}

#[test]
fn no_text_makes_a_tokenizer_work_out_of_proportion() {
    for unit in ["a", " ", "\n", "中", "😀", "a ", "ab\n\n  ", "AB", "\u{301}"] {
        let text = unit.repeat(1_000_000 / unit.len());
        let (mut count, mut bytes) = (0, 0);
        for piece in pieces(&text) {
            assert!((1..=PIECE_BYTES_MAX).contains(&piece.len()));
            count += 1;
            bytes += piece.len();
        }
        assert_eq!(bytes, text.len());
        assert!(count * 9 <= 10 * (text.len() / PIECE_BYTES_MAX + 1), "{unit:?}: {count} pieces");
    }
}

#[test]
fn cutting_changes_a_count_by_next_to_nothing() {
    let counter = Counter::new();
    for sample in SAMPLES {
        let text = sample.repeat(50);
        let uncut = tiktoken_rs::o200k_base_singleton().count_ordinary(&text) as u64;
        let cut = counter.count("gpt-4o", &text);
        assert!(cut.abs_diff(uncut) * 200 <= uncut, "{cut} for {uncut}");
    }
}

proptest! {
    #[test]
    fn a_charge_is_the_exact_sum_to_the_nearest_nano(
        input in 0u64..10_000_000,
        output in 0u64..10_000_000,
        prices in any::<[u32; 5]>(),
        parts in any::<[u32; 3]>(),
    ) {
        let cached = u64::from(parts[0]) % (input + 1);
        let cache_write = u64::from(parts[1]) % (input - cached + 1);
        let reasoning = u64::from(parts[2]) % (output + 1);
        let [a, b, c, d, e] = prices.map(u64::from);
        let price = Price {
            input_per_million_nanos: a,
            output_per_million_nanos: b,
            cached_per_million_nanos: Some(c),
            cache_write_per_million_nanos: Some(d),
            reasoning_per_million_nanos: Some(e),
            ..price()
        };
        let millionths = [(input - cached - cache_write, a), (output - reasoning, b), (cached, c), (cache_write, d), (reasoning, e)]
            .map(|(count, price)| i128::from(count) * i128::from(price));
        let exact: i128 = millionths.iter().sum();
        let charged = i128::from(charge(&tokens(input, output, cached, cache_write, reasoning), &price)) * 1_000_000;
        prop_assert!((-500_000..500_000).contains(&(exact - charged)), "{} off", exact - charged);
    }

    #[test]
    fn an_amount_reads_as_it_is_written(nanos in any::<u64>()) {
        let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        prop_assert_eq!(parse_amount(&text), Ok(nanos));
    }

    #[test]
    fn pieces_are_the_text(text in "[a-z é中😀\n]{0,5000}") {
        prop_assert_eq!(pieces(&text).collect::<String>(), text);
    }
}

#[test]
fn an_amount_is_exact_and_has_two_places_at_least() {
    for (nanos, text) in [
        (0, "0.00"),
        (1, "0.000000001"),
        (10_000_000, "0.01"),
        (1_250_000_000, "1.25"),
        (1_234_500_000, "1.2345"),
        (u64::MAX, "18446744073.709551615"),
    ] {
        assert_eq!(decimal(nanos), text);
    }
}
