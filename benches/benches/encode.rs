//! How long one sandboxed encode takes, in fresh memory: instance, call, checks and drop. Budget: 12 µs for a call of
//! one kibibyte.

mod sandbox;

use std::hint::black_box;

use criterion::Criterion;
use sandbox::Sandbox;
use tollgate::{
    call::{Bounds, Call, Operation},
    plugin::View,
};

fn encode(criterion: &mut Criterion, sandbox: &Sandbox) {
    let text = "What does a toll gate cost the cart that passes it? ".repeat(20);
    let body = format!(
        r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{text}"}}],"max_tokens":512,"temperature":0.5}}"#
    );
    let bounds = Bounds::default();
    let call = Call::parse(Operation::Chat, body.into(), &bounds).expect("the request above is valid");
    let whole = String::from_utf8(call.body().to_vec()).expect("the request above is UTF-8");
    for name in ["openai", "anthropic"] {
        let adapter = sandbox.adapter(name);
        let request = match adapter.description().view {
            View::Head => call.head(),
            View::Whole => whole.clone(),
        };
        let context = sandbox::context();
        criterion.bench_function(&format!("encode, {name}, {} bytes", request.len()), |bencher| {
            bencher.iter(|| {
                let encoded = adapter.encode(&context, black_box(&request), None);
                encoded.expect("the adapter works").expect("the adapter accepts the request")
            });
        });
    }
}

fn main() {
    sandbox::run(encode);
}
