//! What is wrong is said, all of it, and where.

use super::*;

/// The faults of `text` as `line: path: message`.
fn faults(text: &str) -> Vec<String> {
    match build(text, env) {
        Ok(_) => Vec::new(),
        Err(ConfigError(faults)) => faults.iter().map(|fault| format!("{}: {fault}", fault.line)).collect(),
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(faults(text), expected, "{text}");
}

#[test]
fn every_fault_of_a_file_is_reported_at_once_with_its_path() {
    let text = r#"
[server]
listen = "localhost"
admin_listen = "127.0.0.1:9464"
body_byte_max = 1
threads = 0

[providers.openai]
adapter = "antropic"
base_url = "api.openai.com"
keys = ["${OPENAI_API_KEY}", 3]
retry.network.backoff = "random"

[models."gpt-4o"]
targets = [{ provider = "opnai", model = "gpt-4o" }, { provider = "openai" }]
price = { currency = "usd", input_per_million = 2.5 }

[keys.short]
key = "short"
models = ["gtp-4o"]
limits = { token_per_day = 1, concurrent = -1 }
expires = "tomorrow"

[templates.t]
renderer = "openai"

[unknown]
"#;
    check(
        text,
        &[
            "3: server.listen: `localhost` is not an address and port such as `127.0.0.1:8080`",
            "5: server.body_byte_max: unknown key (did you mean `body_bytes_max`?)",
            "6: server.threads: must be 1 to 1024",
            "9: providers.openai.adapter: unknown adapter `antropic` (did you mean `anthropic`?)",
            "10: providers.openai.base_url: must begin with `https://` or `http://`",
            "11: providers.openai.keys[1]: must be text, not a whole number",
            "12: providers.openai.retry.network.backoff: must be one of `fixed`, `linear`, `exponential`, not `random`",
            "15: models.\"gpt-4o\".targets[0].provider: unknown provider `opnai` (did you mean `openai`?)",
            "15: models.\"gpt-4o\".targets[1].model: is missing",
            "16: models.\"gpt-4o\".price.output_per_million: is missing",
            "16: models.\"gpt-4o\".price.currency: `usd` is not a currency: expected three capital letters, such as `USD`",
            "16: models.\"gpt-4o\".price.input_per_million: must be text, not a number with a fraction",
            "19: keys.short.key: must have 16 to 512 visible ASCII characters, without spaces",
            "20: keys.short.models[0]: `gtp-4o` matches no model (did you mean `gpt-4o`?)",
            "21: keys.short.limits.concurrent: must be 0 to 4294967295",
            "21: keys.short.limits.token_per_day: unknown key (did you mean `tokens_per_day`?)",
            "22: keys.short.expires: `tomorrow` is not a date and time such as `2027-01-31T00:00:00Z`",
            "24: templates.t.source: is missing",
            "25: templates.t.renderer: `openai` is not a renderer, it is an adapter",
            "27: unknown: unknown key",
        ],
    );
}

#[test]
fn every_fault_of_syntax_is_reported_and_those_of_meaning_with_them() {
    let found = faults("[server]\nlisten = 127.0.0.1\nthreads = 0\nh2c = yes\n[log]\nformat = \"xml\"\n");
    let lines: Vec<&str> = found.iter().filter_map(|fault| fault.split(':').next()).collect();
    for line in ["2", "3", "4", "6"] {
        assert!(lines.contains(&line), "no fault in line {line}: {found:#?}");
    }
}

#[test]
fn what_broken_syntax_may_hide_is_not_called_missing() {
    let found =
        faults("[providers.p]\nadapter = openai\nbase_url = \"http://x\"\n[models.m]\ntargets = [{ provider = p }]");
    assert!(!found.is_empty());
    assert!(found.iter().all(|fault| !fault.contains("missing") && !fault.contains("unknown provider")), "{found:#?}");
}

#[test]
fn a_key_given_twice_is_a_fault() {
    let found = faults("[server]\nh2c = true\nh2c = false\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("3: "), "{found:?}");
}

#[test]
fn a_value_of_the_wrong_kind_says_both_kinds() {
    check("server = 1", &["1: server: must be a table, not a whole number"]);
    check("[server]\nlisten = 8080", &["2: server.listen: must be text, not a whole number"]);
    check("[server]\nh2c = 'yes'", &["2: server.h2c: must be true or false, not text"]);
    check("[server]\nthreads = '4'", &["2: server.threads: must be a whole number, not text"]);
    check("[keys.k]\nmodels = '*'", &["2: keys.k.models: must be a list of texts, not text"]);
    check("[keys.k]\nexpires = 5", &["2: keys.k.expires: must be a date and time, not a whole number"]);
    check(
        &format!("{PROVIDER}[models.m]\ntargets = ['p']"),
        &["4: models.m: has no target that can be used", "5: models.m.targets[0]: must be a table, not text"],
    );
    check("models = ['m']", &["1: models: must be a table, not a list"]);
}

#[test]
fn an_entry_that_should_be_a_table_is_an_unknown_key() {
    check("[providers]\np = 1", &["2: providers.p: unknown key"]);
}

#[test]
fn variables_that_cannot_be_replaced_are_faults() {
    check("[log]\nlevel = '${UNSET} ${EMPTY}'", &["2: log.level: `UNSET` and `EMPTY` are not set in the environment"]);
    check("[log]\nlevel = '${SET'", &["2: log.level: `${` is not closed by `}`"]);
    check("[log]\nlevel = '${}'", &["2: log.level: `` is not the name of an environment variable"]);
    check("[log]\nlevel = '${1A}'", &["2: log.level: `1A` is not the name of an environment variable"]);
}

#[test]
fn an_unset_variable_among_several_keys_of_a_provider_is_a_fault() {
    let end = "not set in the environment, and other keys of the provider are: set it, or remove this key";
    check(
        &format!("{PROVIDER}keys = ['${{SET}}', '${{UNSET}}', 'a-${{UNSET}}-${{EMPTY}}']"),
        &[
            &format!("4: providers.p.keys[1]: `UNSET` is {end}"),
            &format!("4: providers.p.keys[2]: `UNSET` and `EMPTY` are {end}"),
        ],
    );
}

#[test]
fn a_providers_key_that_is_too_short_to_be_redacted_is_a_fault() {
    let fault =
        "4: providers.p.keys[0]: is not a key: a key must have 8 or more visible ASCII characters, without spaces";
    for key in ["", "sk-1234", "sk 12345", "sk-\u{e9}12345"] {
        check(&format!("{PROVIDER}keys = ['{key}']"), &[fault]);
    }
    check(&format!("{PROVIDER}keys = ['sk-12345']"), &[]);
}

#[test]
fn no_secret_of_the_environment_reaches_a_plugin() {
    check(
        &format!("{PROVIDER}config = {{ a = ['${{SET}}'] }}"),
        &["4: providers.p.config: an adapter's settings take no environment variables"],
    );
    check(&format!("{PROVIDER}config = 'x'"), &["4: providers.p.config: must be a table, not text"]);
    check(
        &format!("{PROVIDER}config = {{ a = nan }}"),
        &["4: providers.p.config: holds a number that JSON cannot write"],
    );
}

#[test]
fn a_fault_never_shows_a_key() {
    let text = "[providers.p]\nadapter = 'openai'\nbase_url = 'https://user:hunter2@x/'\nkeys = ['hunter2 hunter2']\n\
                [keys.k]\nkey = 'hunter2'";
    let found = faults(text);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|fault| !fault.contains("hunter2")), "{found:?}");
}

#[test]
fn two_clients_cannot_have_one_key() {
    check(
        "[keys.a]\nkey = '0123456789abcdef'\n[keys.b]\nkey = '0123456789abcdef'\n[keys.c]\n[keys.d]",
        &["3: keys.b: has the same `key` as `keys.a`"],
    );
}

#[test]
fn the_main_listener_cannot_be_off() {
    check(
        "[server]\nlisten = 'off'",
        &["2: server.listen: must be an address and port: only the other listeners can be \"off\""],
    );
}

#[test]
fn two_listeners_cannot_have_one_address() {
    check(
        "[server]\nlisten = '127.0.0.1:1'\ntls = { listen = '127.0.0.1:1', cert = 'c', key = 'k' }",
        &["3: server.tls.listen: `127.0.0.1:1` is taken by another listener"],
    );
    check("[server]\nlisten = '127.0.0.1:0'\nmetrics_listen = '127.0.0.1:0'", &[]);
}

#[test]
fn half_a_tls_listener_is_a_fault() {
    check("[server.tls]\ncert = 'c'", &["1: server.tls.listen: is missing", "1: server.tls.key: is missing"]);
}

#[test]
fn names_that_could_not_be_labels_are_faults() {
    let name = "a name must have 1 to 64 letters, digits, `_`, `-` or `.`";
    check("[keys.'a b']", &[&format!("1: keys.\"a b\": {name}")]);
    check("[keys.'']", &[&format!("1: keys.\"\": {name}")]);
    for dots in [".", ".."] {
        check(&format!("[keys.'{dots}']"), &[&format!("1: keys.\"{dots}\": a name must not be dots alone")]);
    }
    check(&format!("[keys.{}]", "x".repeat(65)), &[&format!("1: keys.{}: {name}", "x".repeat(65))]);
    check(
        &format!("{PROVIDER}[models.'a b']\ntargets = [{{ provider = 'p', model = 'm*' }}]"),
        &[
            "4: models.\"a b\": a model's name must have 1 to 200 bytes, none of them a space or `*`",
            "5: models.\"a b\".targets[0].model: a model's name must have 1 to 200 bytes, none of them a space or `*`",
        ],
    );
}

#[test]
fn weights_are_given_to_all_targets_or_to_none() {
    let targets = |one: &str, other: &str| {
        format!(
            "{PROVIDER}[models.m]\ntargets = [{{ provider = 'p', model = 'a'{one} }}, {{ provider = 'p', model = 'b'{other} }}]"
        )
    };
    check(&targets("", ""), &[]);
    check(&targets(", weight = 1", ", weight = 2"), &[]);
    check(&targets(", weight = 1", ""), &["4: models.m: give every target a `weight`, or none"]);
    check(
        &targets(", weight = 1", ", weight = 0"),
        &["4: models.m: give every target a `weight`, or none", "5: models.m.targets[1].weight: must be 1 to 1000000"],
    );
}

#[test]
fn a_user_plugin_must_be_whole_and_have_a_name_of_its_own() {
    check("[plugins.openai]\nfile = 'x.wasm'", &["1: plugins.openai: `openai` is built in: choose another name"]);
    check(
        "[plugins.x]\nsha256 = 'abc'\ncapabilities = ['net', 'lag']",
        &[
            "1: plugins.x.file: is missing",
            "2: plugins.x.sha256: must be 64 hexadecimal digits",
            "3: plugins.x.capabilities[0]: unknown capability `net`",
            "3: plugins.x.capabilities[1]: unknown capability `lag` (did you mean `log`?)",
        ],
    );
}

#[test]
fn a_reference_to_a_table_with_faults_is_no_fault_of_its_own() {
    check(
        "[providers.p]\nadapter = 'openai'\nbase_url = 'x'\n[models.m]\ntargets = [{ provider = 'p', model = 'm' }]\n\
         [keys.k]\nmodels = ['m']",
        &["3: providers.p.base_url: must begin with `https://` or `http://`"],
    );
}

#[test]
fn faults_of_a_price_file_are_reported_too() {
    let found =
        config("").add_prices("[prices.'a*b']\ncurrency = 'USD'\ninput_per_million = '1'\n[price]").unwrap_err();
    assert_eq!(
        found.to_string(),
        "line 1: prices.\"a*b\": may have a `*` at its end only\n\
         line 1: prices.\"a*b\".output_per_million: is missing\n\
         line 4: price: unknown key (did you mean `prices`?)"
    );
}

#[test]
fn any_bytes_of_text_are_answered() {
    for text in ["\0", "=", "[", "[[models]]", "a.b.c", "'''", "[keys.k]\nlimits = {", "\u{feff}[server]", "[a]\n[a]"] {
        let _ = build(text, env);
    }
    let deep = "[".repeat(10_000);
    assert!(build(&format!("a = {deep}"), env).is_err());
}

#[test]
fn bounds_that_contradict_each_other_are_faults_where_both_were_meant() {
    check(
        "[limits]\nanswer_bytes_max = 2048\nframe_bytes_max = 4096\n[plugins]\nrest_ms = 9000\nrest_ms_max = 8000\n\
         memory_bytes_max = 33554432\nmemory_total_bytes_max = 16777216",
        &[
            "3: limits.frame_bytes_max: must be at most `answer_bytes_max`, which is 2048",
            "5: plugins.rest_ms: must be at most `rest_ms_max`, which is 8000",
            "7: plugins.memory_bytes_max: must be at most `memory_total_bytes_max`, which is 16777216",
        ],
    );
    let config = config("[limits]\nanswer_bytes_max = 2048");
    assert_eq!(config.limits.frame_bytes_max, 2048, "a default gives way");
}

#[test]
fn a_data_directory_has_a_name_and_a_key_no_id_for_one() {
    check("[server]\ndata_dir = ''", &["2: server.data_dir: must name a directory"]);
    check("[keys.key_a]", &["1: keys.key_a: a name does not begin with `key_`, as ids do"]);
}

#[test]
fn a_base_url_that_servers_may_read_differently_is_refused() {
    for path in ["/v1/../x", "/./v1", "/%2E%2e/v1", "/v1/..", "/a%zz", "/a%4"] {
        let refused = format!("http://localhost:1{path}").parse::<BaseUrl>();
        assert_eq!(refused, Err(BaseUrlError::Path), "{path}");
    }
    assert!("http://localhost:1/a..b/.well-known/%2Fc".parse::<BaseUrl>().is_ok());
}

#[test]
fn what_shows_outside_of_the_file_has_its_line() {
    let (config, faults) = examine("[server]\ndata_dir = 'x'\nthreads = 0\n[plugins.\"a-b\"]\nfile = 'y'", env);
    assert_eq!((faults.0.len(), config.fault("server.data_dir", "m").line), (1, 2));
    assert_eq!(config.fault("plugins.a-b.file", "m").line, 5);
    assert_eq!(config.fault("server.listen", "m").line, 0, "it is not there");
}
