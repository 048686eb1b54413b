//! Plugins that take what others need, and providers that show what they should not, in a running gateway.

use std::{
    fs,
    path::Path,
    process, thread,
    time::{Duration, Instant},
};

use crate::{
    plugins::{
        evil,
        guest::{Guest, Request},
    },
    support::*,
};

/// A key long enough to be told from ordinary text.
const SECRET: &str = "sk-provider-0123456789";

/// A setup with a provider and a model called `name`, served by this guest.
pub(crate) fn with_guest(setup: Setup, name: &str, base_url: &str, guest: &Guest) -> Setup {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guests-{}", process::id()));
    fs::create_dir_all(&folder).expect("the build's folder can be written");
    let file = folder.join(format!("{name}.wasm"));
    fs::write(&file, guest.component()).expect("the folder takes a file");
    setup
        .with(&format!("[plugins.{name}]\nfile = {file:?}"))
        .provider(name, name, base_url, &format!("keys = [{SECRET:?}]"))
        .model(name, &[(name, "m")], "")
}

/// Where a fake's paths begin: guests name theirs from there.
pub(crate) fn root(provider: &Provider) -> String {
    format!("http://{}", provider.address())
}

/// Asks its provider for a stream, whatever the client asked for: it reads either.
fn asking() -> Guest {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    Guest::requesting(&Request { body, ..Request::default() })
}

#[test]
fn a_stream_without_a_place_is_refused_before_anything_is_sent() {
    let (good, other, by_hand) = (openai(), openai(), ByHand::listen());
    let setup = gateway(&good).with("[plugins]\nstreams_max = 1");
    let setup = with_guest(setup, "first-in", &by_hand.base_url(), &Guest::good());
    let gateway = with_guest(setup, "innocent", &root(&other), &asking()).run();
    let mut open = gateway.begin(&chat("first-in").streamed());
    let mut taken = by_hand.accept();
    taken.request();
    taken.begin_stream();
    taken.events(&["words"]);
    open.head();
    let refused = gateway.call(&chat("innocent").streamed());
    refused.is_refused(503, "plugin_busy").should_retry(None);
    assert!(!refused.text().contains("innocent"), "{refused}");
    assert_eq!(other.calls(), 0, "something was sent");
    // Calls, and streams that need no plugin, have places of their own.
    gateway.call(&chat("innocent")).is_good();
    gateway.call(&chat("gpt").streamed()).is_good();
    taken.events(&["words"]);
    taken.write("0\r\n\r\n");
    while let Some(event) = open.event() {
        assert!(!event.contains("\"error\""), "{event}");
    }
    gateway.becomes_idle();
    gateway.call(&chat("innocent").streamed()).is_good();
}

#[test]
fn a_plugin_that_keeps_failing_is_not_called_for_a_while() {
    let (good, provider) = (openai(), openai());
    let setup = gateway(&good).with("[plugins]\nfaults_max = 3\nrest_ms = 60_000");
    let guest = Guest { decode: "unreachable".into(), ..asking() };
    let gateway = with_guest(setup, "evil", &root(&provider), &guest).run();
    for _ in 0..3 {
        gateway.call(&chat("evil")).is_refused(502, "plugin_failed");
    }
    let refused = gateway.call(&chat("evil"));
    refused.is_refused(503, "plugin_resting").should_retry(None);
    assert!(refused.header("retry-after").is_some(), "{refused}");
    assert_eq!(provider.calls(), 3);
    // Its streams were never seen to fail.
    gateway.call(&chat("evil").streamed()).is_good();
    gateway.still_serves();
}

/// The median of the times that `calls` calls of `call` take, one after the other.
fn median(gateway: &Gateway, call: &Call, calls: usize) -> Duration {
    let mut client = gateway.client();
    let mut times: Vec<_> = (0..calls)
        .map(|_| {
            let began = Instant::now();
            client.call(call).is_good();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[calls / 2]
}

/// What the median of a neighbour's call may grow to under an attack.
const TIMES_SLOWER: u32 = 3;
/// A median that small is the machine's own unrest, whatever it was before.
const UNREST: Duration = Duration::from_millis(8);

/// Holds that a neighbour's median stays where it was while `attackers` clients make `call` over and over.
fn neighbours_stay_fast(guest: &Guest, attackers: usize, attack: &Call) {
    let (anthropic, provider) = (anthropic(), openai());
    // The plugin never rests: what is shown here is its share of the processors.
    let setup = gateway(&anthropic).with("[plugins]\nfaults_max = 1_000_000");
    let gateway = with_guest(setup, "evil", &root(&provider), guest).run();
    let neighbour = chat("gpt");
    let calm = median(&gateway, &neighbour, 300);
    let until = Instant::now() + Duration::from_secs(4);
    let attacked = thread::scope(|scope| {
        for _ in 0..attackers {
            scope.spawn(|| {
                while Instant::now() < until {
                    gateway.call(attack);
                }
            });
        }
        let mut medians = Vec::new();
        while Instant::now() < until {
            medians.push(median(&gateway, &neighbour, 20));
        }
        medians.sort_unstable();
        medians[medians.len() / 2]
    });
    let most = (calm * TIMES_SLOWER).max(UNREST);
    assert!(attacked <= most, "a neighbour's median went from {calm:?} to {attacked:?}");
}

#[test]
fn sixteen_endless_loops_leave_a_neighbour_its_speed() {
    let guest = Guest { decode: evil::FOREVER.into(), ..asking() };
    neighbours_stay_fast(&guest, 16, &chat("evil"));
}

#[test]
fn sixty_spinning_streams_leave_a_neighbour_its_speed() {
    let guest = Guest { push: evil::FOREVER.into(), ..asking() };
    neighbours_stay_fast(&guest, 60, &chat("evil").streamed());
}

#[test]
fn a_provider_that_echoes_the_request_shows_our_key_to_nobody() {
    let by_hand = ByHand::listen();
    let setup = gateway_before("openai", &by_hand.base_url()).first(&format!("keys = [{SECRET:?}]"));
    let gateway = setup.run();
    let mut client = gateway.begin(&chat("gpt"));
    let mut taken = by_hand.accept();
    let request = taken.request();
    assert!(request.contains(&format!("Bearer {SECRET}\r\n")), "{request}");
    let echo = GOOD_ANSWER.replace("\"ok\"", &format!("\"you sent Bearer {SECRET}\""));
    taken.answer("200 OK", &format!("x-request-id: {SECRET}\r\n"), &echo);
    let answer = client.answer();
    answer.is_good();
    assert!(answer.text().contains("you sent Bearer *****") && !answer.text().contains(SECRET), "{answer}");

    // The key comes in two pieces, which are two writes and two chunks.
    client.send(&chat("gpt").streamed());
    taken.request();
    taken.begin_stream();
    let event = format!("data: {}\n\n", chunk(&format!("you sent {SECRET}")));
    let (one, two) = event.split_at(event.find(SECRET).unwrap() + 7);
    taken.write(format!("{:x}\r\n{one}\r\n", one.len()));
    taken.write(format!("{:x}\r\n{two}\r\n", two.len()));
    taken.events(&["[DONE]"]);
    taken.write("0\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.is_good().said(), format!("you sent {}", "*".repeat(SECRET.len())));
    let house = gateway.stop().house;
    assert!(!fs::read_to_string(house.log()).unwrap().contains(SECRET));
}

#[test]
fn content_type_and_user_agent_go_out_once() {
    let (good, by_hand) = (openai(), ByHand::listen());
    let headers = vec![("Content-Type", "application/vnd.own+json"), ("User-Agent", "own/1")];
    let guest = Guest::requesting(&Request { headers, ..Request::default() });
    let gateway = with_guest(gateway(&good), "own", &by_hand.base_url(), &guest).run();
    let mut client = gateway.begin(&chat("own"));
    let mut taken = by_hand.accept();
    let request = taken.request().to_lowercase();
    for header in ["content-type: application/vnd.own+json\r\n", "user-agent: own/1\r\n"] {
        let name = header.split_once(':').unwrap().0;
        assert!(request.contains(header) && request.matches(&format!("\r\n{name}:")).count() == 1, "{request}");
    }
    taken.answer_well();
    client.answer().is_good();
}

#[test]
fn a_provider_without_keys_is_called_without_a_credential() {
    let by_hand = ByHand::listen();
    let gateway = gateway_before("openai", &by_hand.base_url()).first("keys = []").run();
    let mut client = gateway.begin(&chat("gpt"));
    let mut taken = by_hand.accept();
    let request = taken.request().to_lowercase();
    assert!(!request.contains("authorization"), "{request}");
    taken.answer_well();
    client.answer().is_good();
}

#[test]
fn frames_that_an_adapter_forwards_are_read_and_shown_as_a_passthrough_would() {
    let (good, by_hand) = (openai(), ByHand::listen());
    let finish = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#;
    let mut setup = gateway(&good);
    let framings = [("sse", 1), ("ndjson", 2), ("json-array", 3)];
    for (name, framing) in framings {
        let asking = Guest::requesting(&Request { framing, ..Request::default() });
        let mut guest = Guest { push: evil::floods(1).push, ..asking };
        let silence = guest.image.events(&[]);
        guest.finish = format!("i32.const {silence}");
        setup = with_guest(setup, name, &by_hand.base_url(), &guest);
    }
    let gateway = setup.run();
    for (name, _) in framings {
        for asks in [false, true] {
            let call = chat(name);
            let mut client = gateway.begin(&if asks { call.streamed_with_usage() } else { call.streamed() });
            let mut taken = by_hand.accept();
            taken.request();
            taken.begin_stream();
            for (index, frame) in [chunk("one"), chunk("two"), finish.to_owned(), usage.to_owned()].iter().enumerate() {
                let piece = match name {
                    "sse" => format!("data: {frame}\n\n"),
                    "ndjson" => format!("{frame}\n"),
                    _ => format!("{}{frame}", if index == 0 { "[" } else { "," }),
                };
                taken.write(format!("{:x}\r\n{piece}\r\n", piece.len()));
                if index == 0 {
                    assert_eq!(client.head().status, 200);
                }
                // One frame at a time reaches the adapter, which forwards the first of each push.
                if let Some(mark) = ["one", "two", r#""finish_reason":"stop""#].get(index) {
                    while !client.event().expect("the stream goes on").contains(mark) {}
                }
            }
            taken.write(if name == "json-array" { "1\r\n]\r\n0\r\n\r\n" } else { "0\r\n\r\n" });
            let rest: Vec<String> = std::iter::from_fn(|| client.event()).collect();
            let counted = rest.iter().filter(|event| event.contains(r#""completion_tokens":5"#)).count();
            assert_eq!(counted, usize::from(asks), "{name}: {rest:?}");
            assert_eq!(rest.last().map(String::as_str), Some("[DONE]"), "{name}");
        }
    }
    let rows = gateway.stop().rows();
    assert_eq!(rows.len(), 6);
    for row in rows {
        assert_eq!((row.usage_source.as_str(), row.tokens.input, row.tokens.output), ("provider", 7, 5));
    }
}
