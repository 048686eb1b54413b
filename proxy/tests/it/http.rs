//! HTTP itself, in all the ways in which clients speak it.

use std::{fs, io::Write};

use tollgate_fakes::fingerprint;

use crate::support::*;

/// A chat whose message has this many bytes, in words: the fake repeats only the first of them.
fn long_chat(bytes: usize) -> Call {
    chat("gpt").saying(&"0123456789abcde ".repeat(bytes / 16))
}

/// What the provider is to be sent for it: the same bytes, as the model keeps its name.
fn sent_whole(provider: &Provider, call: &Call) {
    let sent = provider.last().expect("there was a call");
    let expected = call.payload();
    assert_eq!((sent.body_bytes(), sent.body_hash()), (expected.len(), fingerprint(&expected)));
}

#[test]
fn many_calls_share_a_connection() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = gateway.client();
    for turn in 0..100 {
        let call = chat("gpt").saying(&format!("turn {turn}"));
        let answer = client.call(&if turn % 2 == 0 { call } else { call.streamed() });
        assert_eq!(answer.is_good().said(), format!("You said: turn {turn}"));
    }
    let last = client.call(&chat("gpt").header("connection", "close"));
    assert_eq!(last.is_good().header("connection"), Some("close"));
    client.is_closed();
    assert_eq!(gateway.stop().rows().len(), 101);
}

#[test]
fn a_body_may_come_in_chunks_or_byte_by_byte() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let call = chat("gpt").saying("in pieces, naïvely");
    let body = call.payload();
    let mut client = gateway.client();
    for size in [1, 2, 7, 1000] {
        client.write(format!("{}transfer-encoding: chunked\r\n\r\n", call.head("HTTP/1.1")).as_bytes());
        for piece in body.chunks(size) {
            client.write(format!("{:x};extension=1\r\n", piece.len()).as_bytes());
            client.write(piece);
            client.write(b"\r\n");
        }
        client.write(b"0\r\n\r\n");
        assert_eq!(client.answer().is_good().said(), "You said: in pieces, naïvely");
    }
    for byte in call.bytes() {
        client.write(&[byte]);
    }
    client.answer().is_good();
    sent_whole(&provider, &call);
}

#[test]
fn bodies_of_megabytes_go_through_whole() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = gateway.client();
    for bytes in [65_536, 3 << 20, 31 << 20] {
        let call = long_chat(bytes);
        client.call(&call).is_good();
        sent_whole(&provider, &call);
        client.call(&call.clone().streamed()).is_good();
    }
    let mut client = H2Client::to(gateway.address);
    let call = long_chat(3 << 20);
    client.call(&call).is_good();
    sent_whole(&provider, &call);
}

#[test]
fn pipelined_calls_are_answered_in_order() {
    let provider = openai();
    let slow = "fake:slow?first_ms=100&frames=3";
    let gateway = gateway(&provider).serves(slow).run();
    let calls = [chat(slow), chat(slow).streamed(), chat("gpt").saying("three"), chat("nothing"), chat("gpt")];
    let mut client = gateway.client();
    client.write(&calls.iter().flat_map(Call::bytes).collect::<Vec<u8>>());
    assert_eq!(client.answer().is_good().said(), "1 2 3");
    assert_eq!(client.answer().is_good().said(), "1 2 3");
    assert_eq!(client.answer().is_good().said(), "You said: three");
    client.answer().is_refused(404, "model_not_found");
    client.answer().is_good();
    let rows = gateway.stop().rows();
    assert_eq!(rows.len(), 5);
    assert!(!rows.iter().any(|row| row.client_gone), "a client that pipelines has not left");
}

#[test]
fn a_client_that_pipelines_and_leaves_is_settled() {
    let provider = openai();
    let gateway = gateway(&provider).serves("fake:hang").first("first_byte_timeout_ms = 1000").run();
    let mut client = gateway.client();
    client.write(&[chat("fake:hang").bytes(), chat("gpt").bytes()].concat());
    assert!(provider.wait(PATIENCE, |it| it.in_flight() == 1));
    client.leave();
    gateway.still_serves();
    let hung = &gateway.stop().failed_rows()[0];
    assert_eq!(hung.upstream_model, "fake:hang");
}

#[test]
fn the_first_version_of_http_is_answered_and_closed() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    for call in [chat("gpt"), chat("gpt").streamed(), chat("nothing")] {
        let body = call.payload();
        let mut client = gateway.client();
        client.write(format!("{}content-length: {}\r\n\r\n", call.head("HTTP/1.0"), body.len()).as_bytes());
        client.write(&body);
        let answer = client.answer();
        assert_eq!(answer.header("transfer-encoding"), None, "{answer}");
        if call.payload() == chat("nothing").payload() {
            answer.is_refused(404, "model_not_found");
        } else {
            answer.is_good();
        }
        client.is_closed();
    }
    assert_eq!(gateway.stop().rows().len(), 3);
}

#[test]
fn a_client_that_waits_for_leave_to_send_gets_it() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let call = long_chat(100_000);
    let body = call.payload();
    let mut client = gateway.client();
    let expecting = |call: &Call| {
        format!("{}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", call.head("HTTP/1.1"), call.payload().len())
    };
    for _ in 0..2 {
        client.write(expecting(&call).as_bytes());
        assert_eq!(client.head().status, 100);
        client.write(&body);
        client.answer().is_good();
    }
    // One that is refused anyway is told so at once, and need not send.
    client.write(expecting(&call.clone().with_key("sk-tg-nobody-knows-this")).as_bytes());
    client.answer().is_refused(401, "invalid_api_key");
    client.is_closed();
    let mut client = gateway.client();
    client.write(expecting(&call.path("/v1/nowhere")).as_bytes());
    client.answer().is_refused(404, "path_not_found");
}

#[test]
fn an_early_answer_leaves_the_connection_usable() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = gateway.client();
    let long = long_chat(3 << 20);
    client.call(&long.clone().with_key("sk-tg-nobody-knows-this")).is_refused(401, "invalid_api_key");
    client.call(&chat("gpt")).is_good();
    client.call(&long.clone().path("/v1/nowhere")).is_refused(404, "path_not_found");
    client.call(&chat("gpt")).is_good();
    client.call(&long.clone().method("PUT")).is_refused(405, "method_not_allowed");
    client.call(&chat("gpt")).is_good();
    client.call(&long_chat(33 << 20)).is_refused(413, "request_too_large");
    client.call(&chat("gpt")).is_good();
}

#[test]
fn a_head_that_could_hide_another_request_is_refused_and_ends_its_connection() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let hidden = chat("gpt").saying("smuggled").bytes();
    let framings = [
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: -5\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: \x0bchunked\r\n",
    ];
    for framing in framings {
        let mut client = gateway.client();
        let head = chat("gpt").head("HTTP/1.1");
        client.write(&[format!("{head}{framing}\r\n0\r\n\r\n").as_bytes(), &hidden].concat());
        client.half_close();
        client.answer().is_refused(400, "head_invalid");
        assert!(client.try_answer().is_err(), "{framing:?}: what it hid was answered");
    }
    gateway.still_serves();
}

#[test]
fn a_head_without_a_host_is_refused() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let hostless = |version: &str, host: &str| {
        let call = chat("gpt");
        let head = call.head(version).replace("host: tollgate.test\r\n", host);
        let body = call.payload();
        let mut client = gateway.client();
        client.write(&[format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat());
        client.answer()
    };
    hostless("HTTP/1.1", "").is_refused(400, "head_invalid");
    hostless("HTTP/1.1", "host: a.test\r\nhost: b.test\r\n").is_refused(400, "head_invalid");
    hostless("HTTP/1.0", "").is_good();
}

#[test]
fn an_encoded_body_is_decoded_within_its_bound_or_refused_by_name() {
    let provider = openai();
    let gateway = gateway(&provider).server("body_bytes_max = 100000").run();
    let gzip = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |body: &[u8]| zstd::encode_all(body, 3).unwrap();
    let encoded =
        |call: &Call, encoding: &str, body: Vec<u8>| call.clone().header("content-encoding", encoding).body(body);
    let call = long_chat(50_000);
    let mut client = gateway.client();
    for (encoding, body) in [("gzip", gzip(&call.payload())), ("zstd", zstd(&call.payload()))] {
        assert!(body.len() < 10_000);
        client.call(&encoded(&call, encoding, body.clone())).is_good();
        sent_whole(&provider, &call);
        client
            .call(&encoded(&call, encoding, body[..body.len() / 2].to_vec()))
            .is_refused(400, "content_encoding_invalid");
    }
    let (bomb, other) = (vec![b' '; 10 << 20], vec![0; 1000]);
    client.call(&encoded(&call, "gzip", gzip(&bomb))).is_refused(413, "request_too_large");
    client.call(&encoded(&call, "zstd", zstd(&bomb))).is_refused(413, "request_too_large");
    for encoding in ["br", "deflate", "gzip, gzip", "nonsense"] {
        client.call(&encoded(&call, encoding, other.clone())).is_refused(415, "unsupported_content_encoding");
    }
    client.call(&encoded(&call, "identity", call.payload())).is_good();
}

#[test]
fn a_provider_is_sent_each_header_once() {
    for adapter in ["openai", "anthropic"] {
        let provider = ByHand::listen();
        let gateway = gateway_before(adapter, &provider.base_url()).run();
        let _client = gateway.begin(&chat("gpt"));
        let request = provider.accept().request().to_lowercase();
        let head = request.split("\r\n\r\n").next().expect("a request has a head");
        let mut names: Vec<&str> = head.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
        names.sort_unstable();
        let mut once = names.clone();
        once.dedup();
        assert_eq!(names, once, "{head}");
        for name in ["host", "content-type", "content-length", "user-agent"] {
            assert!(names.contains(&name), "{name} is not in {head}");
        }
    }
}

#[test]
fn a_provider_without_keys_is_called_without_any() {
    for adapter in ["openai", "anthropic"] {
        let (provider, local) = (openai(), ByHand::listen());
        let gateway = gateway(&provider).keyless("local", adapter, &local.base_url()).run();
        let mut client = gateway.begin(&chat("local"));
        let mut taken = local.accept();
        let request = taken.request().to_lowercase();
        assert!(!request.contains("authorization:") && !request.contains("x-api-key:"), "{request}");
        if adapter == "openai" {
            taken.answer_well();
            client.answer().is_good();
        }
    }
}

#[test]
fn the_probes_answer_without_a_key() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = gateway.client();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(client.call(&get(path).without("authorization")).status(), 200, "{path}");
    }
    assert!(gateway.stop().rows().is_empty());
}

#[test]
fn http2_without_tls_serves_many_calls_at_once() {
    let provider = openai();
    let (gate, slow) = ("fake:gate?id=all", "fake:slow?frame_ms=1&frames=40");
    let gateway = gateway(&provider).serves(gate).serves(slow).run();
    let mut client = H2Client::to(gateway.address);
    let waiting: Vec<_> = (0..20).map(|_| client.begin(&chat(gate))).collect();
    let streams: Vec<_> = (0..20).map(|_| client.begin(&chat(slow).streamed_with_usage())).collect();
    // Others are served while these wait.
    assert_eq!(client.call(&chat("gpt")).is_good().said(), "You said: hi");
    client.call(&chat("nothing")).is_refused(404, "model_not_found");
    client.call(&chat("gpt").with_key("sk-tg-nobody-knows-this")).is_refused(401, "invalid_api_key");
    assert!(provider.wait(PATIENCE, |it| it.in_flight_most() >= 20));
    provider.open_gate("all");
    for call in waiting {
        client.answer(call).is_good();
    }
    for call in streams {
        let answer = client.answer(call);
        assert!(answer.is_good().said().ends_with(" 40") && answer.usage().is_some(), "{answer}");
    }
    let rows = gateway.stop().rows();
    assert_eq!((rows.len(), rows.iter().filter(|row| row.is_ok()).count()), (42, 41));
}

#[test]
fn a_call_reset_in_http2_stops_its_provider_and_no_other() {
    let provider = openai();
    let slow = "fake:slow?frame_ms=5&frames=400";
    let gateway = gateway(&provider).serves("fake:hang").serves(slow).run();
    let mut client = H2Client::to(gateway.address);
    let mut stays = client.begin(&chat(slow).streamed());
    client.head(&mut stays);
    for (call, aborted) in [(chat("fake:hang"), 1), (chat(slow).streamed(), 2)] {
        let mut leaves = client.begin(&call);
        if aborted == 2 {
            client.head(&mut leaves);
            client.piece(&mut leaves).expect("the stream goes on");
        }
        assert!(provider.wait(PATIENCE, |it| it.in_flight() == 2));
        let left = leaves.reset();
        assert!(provider.wait(PATIENCE, |it| it.aborted() == aborted));
        let after = provider.last_abort().expect("there was one").at.saturating_duration_since(left);
        assert!(after < AT_ONCE, "the provider was left after {after:?}");
    }
    assert!(client.piece(&mut stays).expect("the other stream goes on").is_some());
    drop(stays);
    gateway.becomes_idle();
    assert_eq!(gateway.calls_ended("client_gone"), 3);
}

#[test]
fn a_listener_with_tls_speaks_both_versions() {
    let provider = openai();
    let made = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).expect("a certificate can be made");
    let setup = gateway(&provider);
    let house = setup.clone().house();
    let (cert, key) = (house.dir().join("cert.pem"), house.dir().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let address = house.another_address();
    house.rewrite(&setup.with(&format!("[server.tls]\nlisten = \"{address}\"\ncert = {cert:?}\nkey = {key:?}")));
    let gateway = Gateway::start(house);

    let mut client = H2Client::over_tls(address, made.cert.der());
    assert_eq!(client.call(&chat("gpt")).is_good().said(), "You said: hi");
    client.call(&chat("gpt").streamed()).is_good();
    let answer = http1_over_tls(address, made.cert.der(), &chat("gpt"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("You said: hi"), "{answer}");
    assert_eq!(gateway.stop().rows().len(), 3);
}

#[test]
fn a_provider_may_speak_http2() {
    let provider = H2Provider::listen();
    let gateway = gateway_before("openai", &provider.base_url()).first("http2 = \"on\"").run();
    let long = long_chat(3 << 20);
    for call in [&chat("gpt"), &long] {
        gateway.call(call).is_good();
        let (head, body) = provider.request();
        assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/v1/chat/completions"));
        assert_eq!(head.uri.scheme_str(), Some("http"));
        assert_eq!(head.headers["authorization"], "Bearer sk-good-key");
        assert!(body == call.payload());
    }
    // A client that leaves resets its call.
    let client = gateway.begin(&chat("gpt").saying("hang"));
    provider.request();
    let left = client.leave();
    assert!(provider.reset().saturating_duration_since(left) < AT_ONCE);

    let mut client = gateway.begin(&chat("gpt").saying("slow").streamed());
    client.head();
    client.events(1);
    let left = client.leave();
    assert!(provider.reset().saturating_duration_since(left) < AT_ONCE);
    gateway.call(&chat("gpt")).is_good();
    gateway.becomes_idle();
    let rows = gateway.stop().rows();
    assert_eq!((rows.len(), rows.iter().filter(|row| row.client_gone).count()), (5, 2));
}
