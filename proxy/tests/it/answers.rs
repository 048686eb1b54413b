//! Answers that are none, or say more than a client may be shown.

use crate::support::*;

const WHOLE: &str = "content-length: 2\r\ncontent-type: application/json\r\n\r\n{}";

/// A gateway whose first target is played by hand, and whose second is well.
fn two(first: &ByHand, second: &Provider) -> Gateway {
    gateway_before("openai", &first.base_url())
        .provider("second", "openai", &second.base_url(), "")
        .model("m", &[("first", "m"), ("second", "gpt")], "")
        .run()
}

#[test]
fn an_answer_without_anything_in_it_gives_way_to_the_next_target() {
    let (first, second) = (ByHand::listen(), openai());
    let gateway = two(&first, &second);
    let no_type = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{GOOD_ANSWER}", GOOD_ANSWER.len());
    let done = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 14\r\n\r\ndata: [DONE]\n\n";
    let empty = format!("HTTP/1.1 200 OK\r\n{WHOLE}");
    let no_choices = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\ncontent-type: application/json\r\n\r\n{\"choices\":[]}";
    let cases = [
        (chat("m"), &*empty),
        (chat("m"), no_choices),
        (chat("m").streamed(), done),
        (chat("m").streamed(), &*no_type),
    ];
    for (call, answer) in cases {
        let mut client = gateway.begin(&call);
        let mut taken = first.accept();
        taken.request();
        taken.write(answer);
        drop(taken);
        assert_eq!(client.answer().is_good().said(), "You said: hi", "{answer}");
    }
    let rows = gateway.stop().rows();
    assert!(rows.iter().all(|row| row.attempts == 2 && row.provider == "second"), "{rows:#?}");
}

#[test]
fn a_status_of_the_way_to_the_provider_gives_way_to_the_next_target() {
    let (first, second) = (ByHand::listen(), openai());
    let gateway = two(&first, &second);
    for status in
        ["405 Method Not Allowed", "407 Proxy Authentication Required", "421 Misdirected Request", "425 Early"]
    {
        let mut client = gateway.begin(&chat("m"));
        let mut taken = first.accept();
        taken.request();
        taken.answer(status, "connection: close\r\n", r#"{"error":{"message":"not here"}}"#);
        assert_eq!(client.answer().is_good().said(), "You said: hi", "{status}");
    }
}

#[test]
fn a_key_that_a_provider_writes_in_another_way_is_not_shown() {
    const KEY: &str = "sk-SECRET/abc+def/0123456789==";
    let provider = ByHand::listen();
    let gateway = gateway_before("openai", &provider.base_url()).first(&format!("keys = [{KEY:?}]")).run();
    let ways = [KEY.replace('/', "\\/"), KEY.replace('=', "\\u003d"), KEY.replace("SECRET", "\\u0053ECRET")];
    for way in &ways {
        let refusal = format!(r#"{{"error":{{"message":"m {way}","param":"p {way}","code":"c {way}"}}}}"#);
        let mut client = gateway.begin(&chat("gpt"));
        let mut taken = provider.accept();
        taken.request();
        taken.answer("400 Bad Request", "connection: close\r\n", &refusal);
        let answer = client.answer();
        assert_eq!(answer.status(), 400, "{answer}");
        assert!(!answer.text().contains("abc+def") && !answer.text().contains("ECRET"), "{answer}");

        let mut client = gateway.begin(&chat("gpt"));
        let mut taken = provider.accept();
        taken.request();
        taken.answer("200 OK", "connection: close\r\n", &GOOD_ANSWER.replace("\"ok\"", &format!("\"{way}\"")));
        let said = client.answer().is_good().said();
        assert!(said.starts_with("**") && !said.contains("abc"), "{said}");
    }
}

#[test]
fn what_nobody_can_read_is_said_to_be_so() {
    let provider = ByHand::listen();
    let gateway = gateway_before("openai", &provider.base_url()).run();
    let bodies: [(&[u8], &str); 2] = [
        (b"\x1f\x8b\x08\x00\xff\xfe\xfd", "binary or compressed"),
        (br#"{"error":{"message":"","type":"x","param":null,"code":null}}"#, "without saying why"),
    ];
    for (body, words) in bodies {
        let mut client = gateway.begin(&chat("gpt"));
        let mut taken = provider.accept();
        taken.request();
        taken.write(format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len()));
        taken.write(body);
        let answer = client.answer();
        assert!(answer.text().contains(words), "{answer}");
    }
}

#[test]
fn a_stream_is_no_longer_than_an_answer_may_be() {
    let provider = ByHand::listen();
    let gateway = gateway_before("openai", &provider.base_url()).with("[limits]\nanswer_bytes_max = 4096").run();
    let mut client = gateway.begin(&chat("gpt").streamed());
    let mut taken = provider.accept();
    taken.request();
    taken.begin_stream();
    taken.events(&[&chunk("one")]);
    client.head();
    client.events(1);
    let words = chunk(&"x".repeat(200));
    taken.events(&[&*words; 40]);
    let events: Vec<String> = std::iter::from_fn(|| client.event()).collect();
    assert!(events.last().is_some_and(|last| last.contains("upstream_error")), "{events:?}");
    assert!(events.iter().map(String::len).sum::<usize>() < 5000);
}

#[test]
fn a_provider_that_is_the_gateway_itself_is_found_out_at_the_first_turn() {
    let house = gateway_before("openai", "http://127.0.0.1:1/v1").house();
    let itself = format!("http://{}/v1", house.listen());
    let setup = gateway_before("openai", &itself).first(&format!("keys = [{:?}]", key_of("main")));
    house.rewrite(&setup);
    let gateway = Gateway::start(house);
    gateway.call(&chat("gpt")).is_refused(502, "upstream_error");
    let rows = gateway.stop().rows();
    let mut classes: Vec<&str> = rows.iter().map(|row| row.error_class.as_str()).collect();
    classes.sort_unstable();
    assert_eq!(classes, ["loop_detected", "upstream_error"]);
}
