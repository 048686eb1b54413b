//! Whether the kit's own JSON reader is worth having: the same work beside serde_json.
//!
//! `read` builds a document of borrowed values, `translate` reads one and writes it anew as an adapter does, `head` finds
//! the top-level fields of a request. What came of it is in `docs/decisions/json-in-plugins.md`.

use std::{collections::BTreeMap, hint::black_box};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use tollgate_plugin::json::{self, Value, Writer};

/// A chat request with a prompt of about `bytes` and two tools.
fn request(bytes: usize) -> String {
    let sentence = "The quick brown fox said: \\\"jump\\\" over the lazy dog, and it did, 你好. ";
    let prompt = sentence.repeat((bytes / sentence.len()).max(1));
    let tool = r#"{"type":"function","function":{"name":"get_weather","description":"Weather of a city","parameters":
        {"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["c","f"]}},"required":["city"]}}}"#;
    format!(
        r#"{{"model":"m","temperature":0.7,"max_tokens":512,"stream":true,"tools":[{tool},{tool}],"messages":[
        {{"role":"system","content":"Be brief."}},{{"role":"user","content":"{prompt}"}},
        {{"role":"assistant","content":null,"tool_calls":[{{"id":"c1","type":"function","function":
        {{"name":"get_weather","arguments":"{{\"city\":\"Oslo\"}}"}}}}]}},
        {{"role":"tool","tool_call_id":"c1","content":"3 degrees"}}]}}"#
    )
}

fn sizes(c: &mut Criterion) {
    for bytes in [1 << 10, 64 << 10] {
        let text = request(bytes);
        read(c, &text);
        translate(c, &text);
        head(c, &text);
    }
}

fn read(c: &mut Criterion, text: &str) {
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_with_input(BenchmarkId::new("kit", text.len()), text, |b, text| {
        b.iter(|| black_box(Value::parse(text)).is_ok());
    });
    group.bench_with_input(BenchmarkId::new("serde_json", text.len()), text, |b, text| {
        b.iter(|| black_box(serde_json::from_str::<serde_json::Value>(text)).is_ok());
    });
}

fn translate(c: &mut Criterion, text: &str) {
    let mut group = c.benchmark_group("translate");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_with_input(BenchmarkId::new("kit", text.len()), text, |b, text| {
        b.iter(|| {
            let value = Value::parse(text).expect("it is JSON");
            let mut writer = Writer::with_capacity(text.len());
            writer.object(|w| {
                for (name, value) in value.as_object().into_iter().flat_map(|object| object.iter()) {
                    w.key(name).value(value);
                }
            });
            writer.finish()
        });
    });
    group.bench_with_input(BenchmarkId::new("serde_json", text.len()), text, |b, text| {
        b.iter(|| {
            let value: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
            let mut out = Vec::with_capacity(text.len());
            serde_json::to_writer(&mut out, &value).expect("a vector takes all");
            out
        });
    });
}

fn head(c: &mut Criterion, text: &str) {
    let mut group = c.benchmark_group("head");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_with_input(BenchmarkId::new("kit", text.len()), text, |b, text| {
        b.iter(|| json::fields(text).map(|field| (field.name, field.value)).collect::<Vec<_>>());
    });
    group.bench_with_input(BenchmarkId::new("serde_json", text.len()), text, |b, text| {
        b.iter(|| serde_json::from_str::<BTreeMap<&str, &RawValue>>(text).map(|fields| fields.len()));
    });
}

criterion_group!(benches, sizes);
criterion_main!(benches);
