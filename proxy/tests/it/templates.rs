//! Prompts with variables, rendered in the sandbox.

use serde_json::{Value, json};

use crate::support::*;

const TEMPLATES: &str = r#"
[templates.greet]
source = "Be {manner} to {name}."

[templates.ask]
role = "user"
source = "What is {thing}?"
"#;

fn sent(provider: &Provider) -> Value {
    serde_json::from_str(&provider.sent()).expect("it is JSON")
}

fn named(name: &str, variables: Value) -> Value {
    json!({ "name": name, "variables": variables })
}

#[test]
fn a_template_becomes_a_message_before_or_after_the_others() {
    let provider = openai();
    let gateway = gateway(&provider).with(TEMPLATES).run();
    let kind = json!({ "manner": "kind", "name": "Ada" });
    gateway.call(&chat("gpt").with("template", named("greet", kind))).is_good();
    let greeted = sent(&provider);
    assert_eq!(greeted["messages"][0], json!({ "role": "system", "content": "Be kind to Ada." }));
    assert_eq!(greeted["messages"][1]["content"], "hi");
    assert_eq!(greeted.get("template"), None);

    gateway.call(&chat("gpt").with("template", named("ask", json!({ "thing": "\"love\"\n" })))).is_good();
    assert_eq!(sent(&provider)["messages"][1], json!({ "role": "user", "content": "What is \"love\"\n?" }));

    // A template may be all there is to say.
    let alone = json!({ "model": "gpt", "template": named("ask", json!({ "thing": 7 })) });
    gateway.call(&chat("gpt").body(alone.to_string())).is_good();
    assert_eq!(sent(&provider)["messages"], json!([{ "role": "user", "content": "What is 7?" }]));
}

#[test]
fn a_missing_variable_is_named_and_costs_nothing() {
    let provider = openai();
    let gateway = gateway(&provider).with(TEMPLATES).limits("concurrent = 1, tokens_total = 5000").run();
    let call = chat("gpt").with("template", named("greet", json!({ "manner": "kind" })));
    let refused = gateway.call(&call);
    refused.is_refused(400, "template_variable_missing").for_its("template.variables.name");
    assert!(refused.text().contains("`name`"), "{refused}");
    gateway.call(&chat("gpt").with("template", named("nobody", json!({})))).is_refused(404, "template_not_found");
    for bad in [json!(7), json!({ "variables": {} }), json!({ "name": "greet", "variables": 3 })] {
        assert_eq!(gateway.call(&chat("gpt").with("template", bad)).status(), 400);
    }
    assert_eq!(provider.calls(), 0);
    gateway.still_serves();
    assert_eq!(gateway.stop().failed_rows().len(), 5);
}

#[test]
fn a_value_that_is_repeated_too_often_is_the_clients_to_mend() {
    let provider = openai();
    let repeats = format!("[templates.repeats]\nsource = \"{}\"", "{a}".repeat(1000));
    let gateway = gateway(&provider).with(&repeats).run();
    let with = |bytes: usize| chat("gpt").with("template", named("repeats", json!({ "a": "v".repeat(bytes) })));
    gateway.call(&with(1000)).is_good();
    let refused = gateway.call(&with(100_000));
    assert!(refused.is_refused(400, "template_invalid").text().contains("too long"), "{refused}");
    assert_eq!(provider.calls(), 1);
    gateway.still_serves();
}

#[test]
fn a_value_is_never_itself_expanded() {
    let provider = openai();
    let gateway = gateway(&provider).with(TEMPLATES).run();
    let sly = json!({ "manner": "{name} {{name}} ${name}", "name": "Eve" });
    gateway.call(&chat("gpt").with("template", named("greet", sly))).is_good();
    assert_eq!(sent(&provider)["messages"][0]["content"], "Be {name} {{name}} ${name} to Eve.");
}

#[test]
fn a_template_is_held_for_and_counted() {
    let provider = openai();
    let long = format!("[templates.long]\nsource = \"{}\"", "word ".repeat(4000));
    let gateway = gateway(&provider).with(&long).limits("tokens_total = 2000").run();
    let call = chat("gpt").with("max_tokens", 10).with("template", named("long", json!({})));
    gateway.call(&call).is_refused(429, "tokens_total_exceeded");
    assert_eq!(provider.calls(), 0);
}

#[test]
fn templates_reach_a_provider_of_another_dialect() {
    let provider = anthropic();
    let gateway = gateway(&provider).with(TEMPLATES).run();
    let kind = json!({ "manner": "kind", "name": "Ada" });
    gateway.call(&chat("gpt").with("template", named("greet", kind))).is_good();
    assert!(sent(&provider)["system"].to_string().contains("Be kind to Ada."));
}
