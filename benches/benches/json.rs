//! Whether our own JSON readers are worth their lines: the gateway's scanner and the plugin kit's reader beside
//! serde_json, over what they read on the path of a call. `docs/decisions/json.md` says what was concluded.

use std::{borrow::Cow, fmt, hint::black_box};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use tollgate::call::{
    Bounds, Call, Operation,
    json::{Scanner, TextSize},
};
use tollgate_plugin::json as kit;

/// The top-level members of an object, in order, each value as its text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(member) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((member.0.0, member.1));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Any value, read as strictly as the scanner does: its strings decoded, its depth bounded by serde_json's own limit.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        while items.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        while map.next_entry::<Strict, Strict>()?.is_some() {}
        Ok(Strict)
    }
}

/// A name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is counted of a message.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

/// A chat request whose messages hold about `bytes` bytes, in `messages` messages.
fn request(bytes: usize, messages: usize) -> String {
    let line = "What does a toll gate cost the \\\"cart\\\" that passes it?\\n";
    let text = line.repeat((bytes / messages / line.len()).max(1));
    let message = |index: usize| {
        let role = if index.is_multiple_of(2) { "user" } else { "assistant" };
        format!(r#"{{"role":"{role}","content":"{text}"}}"#)
    };
    let messages: Vec<String> = (0..messages).map(message).collect();
    format!(
        r#"{{"model":"gpt-4o","stream":true,"temperature":0.5,"max_tokens":512,"user":"u-17","messages":[{}]}}"#,
        messages.join(",")
    )
}

fn scanned(text: &str) -> usize {
    let mut scanner = Scanner::new(text, 127);
    scanner.enter_object().expect("the request is an object");
    let mut members = Vec::with_capacity(16);
    while let Some(key) = scanner.key().expect("the request is JSON") {
        members.push((key, scanner.value().expect("the request is JSON")));
    }
    scanner.end().expect("nothing follows the request");
    members.len()
}

fn raw_values(text: &str) -> usize {
    serde_json::from_str::<Members<'_>>(text).expect("the request is JSON").0.len()
}

fn strict_values(text: &str) -> usize {
    let members: Members<'_> = serde_json::from_str(text).expect("the request is JSON");
    for (_, value) in &members.0 {
        serde_json::from_str::<Strict>(value.get()).expect("the request is JSON");
    }
    members.0.len()
}

/// What `Call::parse` does, by serde_json: fields by name, each of them checked, and the size of the messages' text.
fn typed(text: &str) -> u64 {
    strict_values(text);
    let members: Members<'_> = serde_json::from_str(text).expect("the request is JSON");
    let messages = members.0.iter().find(|(name, _)| name == "messages").expect("there are messages").1;
    let messages: Vec<Message<'_>> = serde_json::from_str(messages.get()).expect("they are messages");
    let size = |text: &str| TextSize::of(text).ascii;
    let sizes = messages.iter().map(|message| match &message.content {
        Some(Content::Text(text)) => size(text),
        Some(Content::Parts(parts)) => parts.iter().filter_map(|part| part.text.as_deref()).map(size).sum(),
        None => 0,
    });
    sizes.sum()
}

fn bench(criterion: &mut Criterion) {
    for (name, bytes, messages) in
        [("1 KB", 1 << 10, 1), ("100 KB, 100 messages", 100 << 10, 100), ("1 MB", 1 << 20, 1)]
    {
        let text = request(bytes, messages);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut one = |what: &str, read: &dyn Fn(&str) -> u64| {
            group.bench_with_input(BenchmarkId::from_parameter(what), &text, |bencher, text| {
                bencher.iter(|| read(black_box(text)));
            });
        };
        one("members: scanner", &|text| scanned(text) as u64);
        one("members: serde_json, RawValue", &|text| raw_values(text) as u64);
        one("members: serde_json, as strict", &|text| strict_values(text) as u64);
        let body = Bytes::from(text.clone());
        let bounds = Bounds::default();
        one("call: Call::parse", &|_| {
            let call = Call::parse(Operation::Chat, black_box(body.clone()), &bounds).expect("the request is a call");
            u64::from(call.choices)
        });
        one("call: serde_json, typed", &typed);
        one("tree: plugin kit", &|text| {
            kit::Value::parse(text).expect("the request is JSON").as_object().map_or(0, |it| it.len() as u64)
        });
        one("tree: serde_json", &|text| {
            serde_json::from_str::<Value>(text)
                .expect("the request is JSON")
                .as_object()
                .map_or(0, |it| it.len() as u64)
        });
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
