//! What a call used and what it cost, whoever counted it.

use serde_json::Value;

use crate::support::*;

const PRICE: &str = r#"price = { currency = "USD", input_per_million = "2.50", output_per_million = "10.00", cached_per_million = "1.25" }"#;

#[test]
fn tokens_that_the_provider_does_not_report_are_counted_and_said_to_be() {
    let provider = openai();
    let gateway = gateway(&provider).serves("fake:no-usage").run();
    let call = chat("fake:no-usage").saying("The quick brown fox jumps over the lazy dog.");
    let whole = gateway.call(&call);
    assert_eq!(whole.is_good().usage(), None);
    let streamed = gateway.call(&call.clone().streamed());
    assert_eq!(streamed.is_good().usage(), None);
    // A client that asks for usage gets what was counted.
    let asked = gateway.call(&call.streamed_with_usage()).is_good().usage().expect("usage was asked for");

    for row in gateway.stop().rows() {
        assert_eq!(row.usage_source.as_str(), "counted", "{row:?}");
        // Ten tokens of prompt and nine around it; three more than the prompt in the answer.
        assert_eq!((row.tokens.input, row.tokens.output), (19, 13), "{row:?}");
        assert_eq!((&asked["prompt_tokens"], &asked["completion_tokens"]), (&19.into(), &13.into()));
    }
}

#[test]
fn embeddings_without_usage_are_counted_too() {
    let provider = openai();
    let gateway = gateway(&provider).serves("fake:no-usage").run();
    gateway.call(&embeddings("fake:no-usage").with("input", "The quick brown fox.")).is_good();
    let row = gateway.stop().only_row();
    assert_eq!((row.tokens.input, row.tokens.output, row.usage_source.as_str()), (5, 0, "counted"));
}

#[test]
fn each_kind_of_token_is_charged_at_its_own_price() {
    let provider = openai();
    let model = "fake:usage?input=1000&cached=400&output=200&reasoning=50";
    let gateway = gateway(&provider)
        .model("plain", &[("first", model)], PRICE)
        .model("reasoning", &[("first", model)], &PRICE.replace(" }", r#", reasoning_per_million = "40" }"#))
        .model(
            "tiny",
            &[("first", "fake:usage?input=1&output=1")],
            r#"price = { currency = "EUR", input_per_million = "0.0005", output_per_million = "0" }"#,
        )
        .run();
    let mut client = gateway.client();
    for model in ["plain", "reasoning", "tiny"] {
        client.call(&chat(model)).is_good();
        client.call(&chat(model).streamed()).is_good();
    }
    // 600 at 2.50 and 400 at 1.25 and 200 at 10 a million; 50 of those 200 at 40 instead; half a nano is one.
    let expected = [("plain", 4_000_000, "USD"), ("reasoning", 5_500_000, "USD"), ("tiny", 1, "EUR")];
    let stopped = gateway.stop();
    for (row, (model, nanos, currency)) in stopped.rows().iter().zip(expected.iter().flat_map(|it| [it, it])) {
        assert_eq!((row.model.as_str(), row.charge_nanos, row.currency.as_str()), (*model, *nanos, *currency));
        assert!(row.priced);
    }
    let row = &stopped.rows()[0];
    assert_eq!((row.tokens.cached, row.tokens.reasoning), (400, 50));
}

#[test]
fn a_target_with_a_price_of_its_own_is_charged_at_that() {
    let provider = openai();
    let targets = r#"[models."m"]
        targets = [
          { provider = "first", model = "fake:status?code=500" },
          { provider = "first", model = "fake:usage?input=1000000&output=1", price = { currency = "USD", input_per_million = "7", output_per_million = "9" } },
        ]
        price = { currency = "USD", input_per_million = "1", output_per_million = "1" }"#;
    let gateway = gateway(&provider).with(targets).run();
    gateway.call(&chat("m")).is_good();
    assert_eq!(gateway.stop().only_row().charge_nanos, 7_000_009_000);
}

#[test]
fn a_model_without_a_price_is_reported_and_never_free_in_silence() {
    let provider = openai();
    let gateway = gateway(&provider).model("priced", &[("first", "gpt")], PRICE).run();
    gateway.call(&chat("gpt")).is_good();
    gateway.call(&chat("priced")).is_good();
    assert_eq!(gateway.metric("tollgate_unpriced_calls_total", &[("model", "gpt")]), 1.0);
    assert_eq!(gateway.metric("tollgate_unpriced_calls_total", &[("model", "priced")]), 0.0);
    let rows = gateway.stop().rows();
    assert_eq!((rows[0].priced, rows[0].charge_nanos, rows[0].currency.as_str()), (false, 0, ""));
    assert!(rows[1].priced && rows[1].charge_nanos > 0);
}

#[test]
fn a_broken_stream_is_charged_for_what_came_of_it() {
    let provider = openai();
    let model = "fake:end+slow?after=6&frame_ms=5";
    let gateway = gateway(&provider).model("m", &[("first", model)], PRICE).run();
    let call = chat("m").saying("one two three four five six seven eight nine ten");
    assert!(gateway.call(&call.streamed()).broke_off_with().is_some());
    let row = gateway.stop().only_row();
    assert_eq!(row.charge_nanos, row.tokens.input * 2_500 + row.tokens.output * 10_000);
    assert!(row.tokens.output > 0 && row.priced);
}

#[test]
fn usage_is_shown_beside_the_gateway_and_without_it() {
    let provider = openai();
    let gateway =
        gateway(&provider).model("m", &[("first", "fake:usage?input=100&output=10")], PRICE).key("idle", "").run();
    for _ in 0..3 {
        gateway.call(&chat("m")).is_good();
    }
    let row_of = |printed: String, name: &str| -> Value {
        let document: Value = serde_json::from_str(&printed).expect("one JSON document");
        let rows = document["usage"].as_array().expect("a list of keys").clone();
        rows.into_iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {printed}"))
    };
    let holds = |row: &Value| {
        assert_eq!(
            (&row["calls"], &row["input_tokens"], &row["output_tokens"]),
            (&3.into(), &300.into(), &30.into()),
            "{row}"
        );
    };
    let arguments = ["usage", "--json"];
    eventually("the rows are in the store", || {
        (row_of(gateway.command(&arguments), "main")["calls"] == 3).then_some(())
    });
    holds(&row_of(gateway.command(&arguments), "main"));
    assert_eq!(row_of(gateway.command(&arguments), "idle")["calls"], 0);
    let stopped = gateway.stop();
    holds(&row_of(command(&stopped.house, &arguments), "main"));
}

#[test]
fn what_is_counted_is_in_the_metrics_too() {
    let provider = openai();
    let gateway = gateway(&provider).serves("fake:no-usage").run();
    gateway.call(&chat("gpt")).is_good();
    gateway.call(&chat("fake:no-usage").streamed()).is_good();
    gateway.call(&chat("made-up-by-the-client")).is_refused(404, "model_not_found");
    assert_eq!(gateway.calls_ended("ok"), 2);
    assert_eq!(gateway.calls_ended("model_not_found"), 1);
    assert_eq!(gateway.metric("tollgate_tokens_total", &[("kind", "input"), ("source", "provider")]), 1.0);
    assert!(gateway.metric("tollgate_tokens_total", &[("kind", "output"), ("source", "counted")]) > 0.0);
    let page = Client::to(gateway.house().metrics_listen()).call(&get("/metrics"));
    assert!(!page.text().contains("made-up-by-the-client"), "a label that any client can invent");
}

#[test]
fn usage_beyond_reason_is_set_aside_and_counted_here() {
    absurd_usage_is_set_aside(&openai());
}

#[test]
fn usage_beyond_reason_that_an_adapter_reads_is_set_aside_too() {
    absurd_usage_is_set_aside(&anthropic());
}

fn absurd_usage_is_set_aside(provider: &Provider) {
    let models = [
        "fake:usage?output=99999999999999999999",
        "fake:usage?output=1099511627776",
        "fake:usage?input=99999999999999999999&output=1",
        "fake:usage?input=5&output=1&cached=99999999999999999999",
        "fake:usage?input=5&output=-3",
        "fake:usage?input=-1&output=2",
    ];
    let mut setup = gateway(provider).limits("tokens_total = 100000");
    for model in models {
        setup = setup.model(model, &[("first", model)], PRICE);
    }
    let gateway = setup.run();
    for model in models {
        gateway.call(&chat(model).with("max_tokens", 100)).is_good();
        gateway.call(&chat(model).with("max_tokens", 100).streamed()).is_good();
    }
    assert_eq!(gateway.metric("tollgate_usage_set_aside_total", &[]), 2.0 * models.len() as f64);
    let gateway = gateway.stop().restart();
    // The key is not locked, after a restart either.
    gateway.call(&chat(models[0]).with("max_tokens", 100)).is_good();
    for row in gateway.stop().rows() {
        assert_eq!((row.usage_source.as_str(), row.tokens.cached), ("counted", 0), "{row:?}");
        assert!(row.tokens.total() < 100 && row.charge_nanos < 1_000_000, "{row:?}");
    }
}
