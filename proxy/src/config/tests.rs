use super::*;
use crate::{plugin::Kind, secret::Secret};

mod faults;
mod files;

/// As the environment of a test: `SET` and `OTHER` are set, `EMPTY` is empty.
fn env(name: &str) -> Option<String> {
    match name {
        "SET" => Some("value-of-set-0123".into()),
        "OTHER" => Some("value-of-other-456".into()),
        "EMPTY" => Some(String::new()),
        "NESTED" => Some("${SET}".into()),
        _ => None,
    }
}

fn config(text: &str) -> Config {
    build(text, env).unwrap_or_else(|faults| panic!("{faults}"))
}

const PROVIDER: &str = "[providers.p]\nadapter = \"openai\"\nbase_url = \"http://localhost:1\"\n";

fn provider(more: &str) -> Provider {
    config(&format!("{PROVIDER}{more}")).providers.remove("p").unwrap()
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = config("");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.metrics_listen.unwrap().to_string(), "127.0.0.1:9464");
    assert_eq!(config.server.admin_listen.unwrap().to_string(), "127.0.0.1:9465");
    assert_eq!(config.server.body_bytes_max, 32 << 20);
    assert_eq!(config.server.threads, None);
    assert!(config.providers.is_empty() && config.models.is_empty() && config.keys.is_empty());
}

#[test]
fn the_operators_listeners_can_be_off() {
    let server = config("[server]\nmetrics_listen = \"off\"\nadmin_listen = \"off\"").server;
    assert_eq!((server.metrics_listen, server.admin_listen), (None, None));
}

#[test]
fn a_variable_is_replaced_once_and_not_expanded_again() {
    for (written, meant) in [
        ("${SET}", "value-of-set-0123"),
        ("a-${SET}-${OTHER}.", "a-value-of-set-0123-value-of-other-456."),
        ("$${SET}", "${SET}"),
        ("${NESTED}", "${SET}"),
        ("$ {} $}", "$ {} $}"),
    ] {
        assert_eq!(config(&format!("[log]\nlevel = {written:?}")).log.level, meant, "{written}");
    }
}

#[test]
fn a_provider_whose_variables_are_all_unset_has_no_key() {
    let secret = |text: &str| Secret::new(text);
    for (keys, meant) in [
        ("", ProviderKeys::Unneeded),
        ("keys = []", ProviderKeys::Unneeded),
        ("keys = ['${UNSET}', '${EMPTY}']", ProviderKeys::Unset(vec!["UNSET".into(), "EMPTY".into()])),
        ("keys = ['plain-01', '${SET}']", ProviderKeys::Given(vec![secret("plain-01"), secret("value-of-set-0123")])),
    ] {
        assert_eq!(provider(keys).keys, meant, "{keys}");
    }
    let config = config(&format!("{PROVIDER}keys = ['${{UNSET}}']"));
    assert_eq!(config.lacking_keys().map(|(name, _)| name).collect::<Vec<_>>(), ["p"]);
}

#[test]
fn a_client_key_that_is_not_given_is_to_be_drawn() {
    for (key, meant) in [
        ("", ClientKey::Generate),
        ("key = '${UNSET}'", ClientKey::Generate),
        ("key = '${SET}'", ClientKey::Given(Secret::new("value-of-set-0123"))),
        ("key = 'sixteen-letters-'", ClientKey::Given(Secret::new("sixteen-letters-"))),
    ] {
        assert_eq!(config(&format!("[keys.k]\n{key}")).keys["k"].key, meant, "{key}");
    }
}

#[test]
fn a_client_key_without_models_may_use_all() {
    let config = config("[keys.k]");
    assert!(config.keys["k"].models.iter().any(|pattern| pattern.matches("anything")));
}

#[test]
fn an_adapters_settings_become_json() {
    let json = provider("config = { a = 1, b = [true, 'x'], c.d = 1.5, e = 0x10, at = 2026-01-01 }").config_json;
    let expected = serde_json::json!({"a": 1, "b": [true, "x"], "c": {"d": 1.5}, "e": 16, "at": "2026-01-01"});
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), expected);
    assert_eq!(provider("").config_json, "{}");
}

#[test]
fn a_class_of_retries_keeps_the_defaults_that_are_not_written() {
    let retry = provider("retry.network.retries = 0\nretry.wait_max_ms = 1").retry;
    let default = Retry::default();
    assert_eq!(retry.network, Retries { retries: 0, ..default.network });
    assert_eq!((retry.server, retry.rate_limit, retry.wait_max_ms), (default.server, default.rate_limit, 1));
}

#[test]
fn a_targets_own_price_goes_before_its_models_and_that_before_the_files() {
    let price =
        |amount: &str| format!("{{ currency = 'USD', input_per_million = '{amount}', output_per_million = '0' }}");
    let targets = format!(
        "{PROVIDER}[models.m]\ntargets = [{{ provider = 'p', model = 'a', price = {} }}, {{ provider = 'p', model = 'b' }}]\n",
        price("1")
    );
    let mut with = config(&format!("{targets}price = {}", price("2")));
    let mut without = config(&targets);
    let nanos = |config: &Config| -> Vec<_> {
        let targets = &config.models["m"].targets;
        targets.iter().map(|target| target.price.as_ref().map(|price| price.input_per_million_nanos)).collect()
    };
    assert_eq!(nanos(&with), [Some(1_000_000_000), Some(2_000_000_000)]);
    assert_eq!(nanos(&without), [Some(1_000_000_000), None]);

    let file = format!("prices.b = {}\nprices.a = {}", price("3"), price("4"));
    with.add_prices(&file).unwrap();
    without.add_prices(&file).unwrap();
    assert_eq!(nanos(&with), [Some(1_000_000_000), Some(2_000_000_000)]);
    assert_eq!(nanos(&without), [Some(1_000_000_000), Some(3_000_000_000)]);
}

#[test]
fn of_several_prices_that_match_the_longest_counts() {
    let mut prices = Vec::new();
    for (name, version) in [("*", 1), ("gpt-*", 2), ("gpt-4o", 3), ("gpt-4o*", 4)] {
        let text = format!(
            "[prices.{name:?}]\ncurrency = 'USD'\ninput_per_million = '1'\noutput_per_million = '1'\nversion = {version}"
        );
        let (reading, table) = Reading::new(&text, &env);
        prices.extend(price::read_file(reading.root(&table)));
        assert_eq!(reading.finish().0, ConfigError(Vec::new()));
    }
    for (model, version) in [("gpt-4o", 3), ("gpt-4o-2024", 4), ("gpt-5", 2), ("claude", 1)] {
        assert_eq!(price::find(&prices, model).map(|price| price.version), Some(version), "{model}");
    }
    assert_eq!(price::find(&[], "gpt-4o"), None);
}

#[test]
fn a_user_plugin_is_found_below_its_directory() {
    let config = config(&format!(
        "[plugins]\ndir = '/srv/plugins'\n[plugins.mine]\nfile = 'm.wasm'\nsha256 = '{}'\ncapabilities = ['log']\n\
         [plugins.other]\nfile = '/o.wasm'\nkind = 'renderer'\n[templates.t]\nsource = '{{x}}'\nrenderer = 'other'",
        "aB".repeat(32)
    ));
    let mine = &config.plugins.user["mine"];
    assert_eq!((mine.file.to_str(), mine.kind), (Some("/srv/plugins/m.wasm"), Kind::Adapter));
    assert_eq!(mine.sha256, Some([0xab; 32]));
    assert!(mine.capabilities.log && !mine.capabilities.sign);
    assert_eq!(config.plugins.user["other"].file.to_str(), Some("/o.wasm"));
}

#[test]
fn a_templates_source_is_taken_as_it_stands() {
    let config = config("[templates.t]\nsource = 'Dear ${SET} and {name}'");
    let expected = Template { renderer: "braces".into(), source: "Dear ${SET} and {name}".into(), role: Role::System };
    assert_eq!(config.templates["t"], expected);
}

#[test]
fn a_base_url_is_taken_apart() {
    for (text, shown, authority, path) in [
        ("https://api.openai.com/v1", "https://api.openai.com/v1", "api.openai.com", "/v1"),
        ("https://API.openai.com:443/", "https://api.openai.com", "api.openai.com", ""),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434", "127.0.0.1:11434", ""),
        ("http://[::1]:80/a/b//", "http://[::1]/a/b", "[::1]", "/a/b"),
    ] {
        let url: BaseUrl = text.parse().unwrap();
        assert_eq!((url.to_string().as_str(), url.authority().as_str(), url.path.as_str()), (shown, authority, path));
    }
    for (text, fault) in [
        ("api.openai.com", BaseUrlError::Scheme),
        ("ftp://x", BaseUrlError::Scheme),
        ("https://", BaseUrlError::Host),
        ("https:///v1", BaseUrlError::Host),
        ("https://:80/", BaseUrlError::Host),
        ("https://user:pass@x/", BaseUrlError::Userinfo),
        ("https://x/?a=b", BaseUrlError::Query),
        ("https://x/#a", BaseUrlError::Query),
        ("https://x y/", BaseUrlError::Other),
        ("https://x:0/", BaseUrlError::Other),
        ("https://x:70000/", BaseUrlError::Other),
    ] {
        assert_eq!(text.parse::<BaseUrl>(), Err(fault), "{text}");
    }
}

#[test]
fn moments_are_read_and_written() {
    for (text, unix_ms) in [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:34:56Z", 951_827_696_000),
        ("2000-02-29 12:34:56.789z", 951_827_696_789),
        ("2026-12-31T23:59:60Z", 1_798_761_599_999),
        ("2026-11-21T10:00:00+08:00", 1_795_226_400_000),
        ("2026-11-20T21:30:00-04:30", 1_795_226_400_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000),
    ] {
        assert_eq!(parse_rfc3339(text), Some(unix_ms), "{text}");
    }
    for text in [
        "",
        "2026",
        "2026-13-01",
        "2026-02-29",
        "1900-02-29",
        "2026-00-10",
        "2026-1-1",
        "1969-12-31",
        "2026-01-01T",
        "2026-01-01T00:00:00",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00+8",
        "1970-01-01T00:00:00+01:00",
        "2026-01-01x",
        "2026-01-01T00:00:00Zé",
        "2026-01-01T12:00:60Z",
        "２０２６-01-01",
    ] {
        assert_eq!(parse_rfc3339(text), None, "{text}");
    }
    for unix_ms in [0, 951_827_696_000, 1_795_226_400_000, 253_402_300_799_000] {
        assert_eq!(parse_rfc3339(&format_rfc3339(unix_ms)), Some(unix_ms));
    }
    assert_eq!(format_rfc3339(951_827_696_789), "2000-02-29T12:34:56Z");
    assert_eq!(format_rfc3339(u64::MAX), "9999-12-31T23:59:59Z");
}

#[test]
fn every_day_of_four_centuries_comes_back() {
    for day in 0..146_097u64 {
        let text = format_rfc3339(day * 86_400_000);
        assert_eq!(parse_rfc3339(&text[..10]), Some(day * 86_400_000), "{text}");
    }
}

#[test]
fn media_of_a_model_that_nobody_knows_are_those_of_the_one_that_counts_for_it() {
    let images = |model: &str, count_as: &str| {
        let target = format!("targets = [{{ provider = 'p', model = '{model}' }}]");
        config(&format!("{PROVIDER}[models.m]\n{target}\n{count_as}")).models["m"].media.image_tokens_max
    };
    assert_eq!(images("deployment-7", ""), 49_152);
    assert_eq!(images("deployment-7", "count_as = 'gpt-4o-mini'"), 48_169);
    assert_eq!(images("deployment-7", "count_as = 'gpt-4o'"), 1_445);
    assert_eq!(images("deployment-7", "count_as = 'another'"), 49_152);
    assert_eq!(images("gpt-4o-mini", "count_as = 'gpt-4o'"), 48_169, "its own name says more");
}
