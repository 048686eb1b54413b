//! The admin listener, as an operator's programs and a browser meet it.

use crate::support::*;

#[test]
fn a_change_that_is_refused_says_why_in_the_log_and_shows_no_key() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    fails(gateway.house(), &["key", "create", "--name", "main"], 1);
    let mistaken = key_of("main");
    fails(gateway.house(), &["key", "revoke", &mistaken], 1);
    let token = gateway.admin_token();
    let mut client = Client::to(gateway.house().admin_listen());
    let create = post("/api/admin/keys").body(r#"{"name": "a", "models": []}"#);
    let answer = client.call(&create.header("authorization", &format!("Bearer {token}")));
    assert_eq!(answer.status(), 400, "{answer}");
    let log = gateway.log();
    for said in ["key_exists", "key_not_found", "models"] {
        assert!(log.contains(said), "the log does not say {said}: {log}");
    }
    assert!(!log.contains(&mistaken) && !log.contains(&token), "{log}");
}

#[test]
fn a_body_is_read_only_for_who_shows_the_token() {
    let provider = openai();
    let gateway = gateway(&provider).run();
    let mut client = Client::to(gateway.house().admin_listen());
    let expecting = |token: &str| {
        let call = post("/api/admin/plugins/check").header("authorization", &format!("Bearer {token}"));
        format!("{}expect: 100-continue\r\ncontent-length: 4\r\n\r\n", call.head("HTTP/1.1"))
    };
    client.write(expecting("tg-admin-guessed").as_bytes());
    assert_eq!(client.head().status, 401);
    let mut client = Client::to(gateway.house().admin_listen());
    client.write(expecting(&gateway.admin_token()).as_bytes());
    assert_eq!(client.head().status, 100);
    client.write(b"\0asm");
    assert_eq!(client.answer().status(), 422);
    // The connection serves on.
    let health = get("/api/admin/health").header("authorization", &format!("Bearer {}", gateway.admin_token()));
    assert_eq!(client.call(&health).status(), 200);
}
