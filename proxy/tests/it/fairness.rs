//! Plugins that take what others need, and providers that show what they should not, in a running gateway.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    plugins::{
        evil,
        guest::{Guest, Request},
        root, with_guest,
    },
    support::*,
};

/// A key long enough to be told from ordinary text.
const SECRET: &str = "sk-provider-0123456789";

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
/// How often that is measured: a machine that others disturb only adds, so that the best time counts. Under an attack both
/// processors are taken, and a call's client, gateway and provider each may wait for a time slice of the system's.
const MEASURED: usize = 5;

/// Holds that a neighbour's median stays where it was while `attackers` clients make `attack` over and over, which
/// `guest` serves.
fn neighbours_stay_fast(guest: &Guest, attackers: usize, attack: &Call) {
    let (anthropic, provider) = (anthropic(), openai());
    // The plugin never rests: what is shown here is its share of the processors.
    let setup = gateway(&anthropic).with("[plugins]\nfaults_max = 1_000_000");
    let gateway = with_guest(setup, "evil", &root(&provider), guest).run();
    neighbours_of(&gateway, attackers, attack);
}

/// Holds that a neighbour's median stays where it was while `attackers` clients make `attack` over and over.
fn neighbours_of(gateway: &Gateway, attackers: usize, attack: &Call) {
    let mut seen = Vec::new();
    for _ in 0..MEASURED {
        let calm = median(gateway, &chat("gpt"), 300);
        let attacked = median_under(gateway, attackers, attack);
        if attacked <= calm * TIMES_SLOWER {
            return;
        }
        seen.push((calm, attacked));
    }
    panic!("a neighbour's median went from one to the other each time: {seen:?}");
}

/// The median of a neighbour's calls while `attackers` clients make `attack` for four seconds.
fn median_under(gateway: &Gateway, attackers: usize, attack: &Call) -> Duration {
    let until = Instant::now() + Duration::from_secs(4);
    thread::scope(|scope| {
        for _ in 0..attackers {
            scope.spawn(|| {
                while Instant::now() < until {
                    gateway.call(attack);
                }
            });
        }
        let mut medians = Vec::new();
        while Instant::now() < until {
            medians.push(median(gateway, &chat("gpt"), 20));
        }
        medians.sort_unstable();
        medians[medians.len() / 2]
    })
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
fn a_hundred_bodies_that_grow_when_decoded_leave_a_neighbour_its_speed() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    // Just beyond what a body may be.
    let bomb = vec![b' '; 33 << 20];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &bomb).expect("memory takes all");
    let attack = post("/v1/chat/completions").header("content-encoding", "gzip");
    let attack = attack.body(encoder.finish().expect("memory takes all"));
    gateway.call(&attack).is_refused(413, "request_too_large");
    neighbours_of(&gateway, 100, &attack);
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
