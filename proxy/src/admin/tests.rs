use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    journal::Revoked,
    ledger::Ledger,
    limit::{Amount, Caps, Spent},
    plugin::Capabilities,
    secret::{KeyHasher, MasterKey},
    store::{Batch, Charge, Dimension, Origin, Rollup, RollupKey, Settings, SledStore, Store},
};

const TOKEN: &str = "tg-admin-0123456789";
const NOW_MS: u64 = 1_800_000_000_000;

/// A gateway with a ledger and nothing else.
struct Small {
    ledger: Ledger,
    store: Arc<SledStore>,
    hasher: KeyHasher,
    drawn: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Small {
    fn new() -> Arc<Small> {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SledStore::open(&dir.path().join("store"), &Settings::default()).unwrap());
        let journal = dir.path().join("journal");
        let (ledger, _) = Ledger::open(&journal, store.clone(), Default::default(), crate::gateway::clock()).unwrap();
        let hasher = KeyHasher::new(&MasterKey::parse(&"ab".repeat(32)).unwrap());
        Arc::new(Small { ledger, store, hasher, drawn: AtomicU64::new(1), _dir: dir })
    }

    fn fill(&self, buffer: &mut [u8]) {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        for (at, byte) in buffer.iter_mut().enumerate() {
            *byte = (drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(at as u32 * 5) >> 56) as u8;
        }
    }
}

impl Control for Small {
    fn list_keys(&self) -> Vec<Arc<KeyEntry>> {
        self.ledger.journal().keys()
    }

    fn create_key(&self, new: NewKey) -> Result<(KeyEntry, Secret), AdminError> {
        let hash = |key: &[u8]| self.hasher.hash(key).0;
        let (entry, secret) = new_key(new, NOW_MS, &mut |buffer| self.fill(buffer), hash)?;
        self.ledger.journal().create_key(entry.clone(), |_| {})?;
        Ok((entry, secret))
    }

    fn revoke_keys(&self, wanted: &str) -> Result<Revoked, AdminError> {
        Ok(self.ledger.journal().revoke_keys(wanted, NOW_MS, |_| {})?)
    }

    fn usage(&self) -> Result<Vec<KeyUsage>, AdminError> {
        let spent = |_: &KeyEntry| Spent { day: Amount::tokens(17), concurrent: 1, ..Spent::default() };
        usage_of(self.store.as_ref(), &self.list_keys(), NOW_MS, spent)
    }

    fn plugins(&self) -> Result<Vec<PluginShown>, AdminError> {
        self.check_plugin(Bytes::from_static(b"\0asm"), Capabilities::default()).map(|plugin| vec![plugin])
    }

    fn check_plugin(&self, wasm: Bytes, granted: Capabilities) -> Result<PluginShown, AdminError> {
        if !wasm.starts_with(b"\0asm") || granted.sign {
            return Err(AdminError::Plugin("is not a component".into()));
        }
        Ok(PluginShown {
            name: "openai".into(),
            kind: "adapter".into(),
            version: "0.1.0".into(),
            built_in: true,
            operations: vec!["chat".into()],
            view: "head".into(),
            config_schema: None,
        })
    }

    fn health(&self) -> Health {
        Health {
            status: "ok".into(),
            version: "0.1.0".into(),
            calls_in_flight: 0,
            ledger_lag_rows: 0,
            ledger_lost_rows: 0,
        }
    }

    fn now_ms(&self) -> u64 {
        NOW_MS
    }
}

/// What the API answers to an administrator.
async fn ask(small: &Arc<Small>, method: Method, path: &str, body: impl Into<Body>) -> (u16, Value) {
    ask_as(small, &format!("Bearer {TOKEN}"), method, path, body).await
}

async fn ask_as(
    small: &Arc<Small>,
    authorization: &str,
    method: Method,
    path: &str,
    body: impl Into<Body>,
) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("authorization", authorization);
    let router = router(Arc::clone(small) as Arc<dyn Control>, Secret::new(TOKEN), 1000);
    let response = router.oneshot(request.body(body.into()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or("no code"))
}

#[tokio::test]
async fn a_key_is_made_shown_and_revoked() {
    let small = Small::new();
    let wish = json!({
        "name": "app", "models": ["gpt-*"], "limits": {"tokens_per_day": 100},
        "expires": "2030-01-01T00:00:00Z", "user": "ada",
    });
    let (status, created) = ask(&small, Method::POST, "/api/admin/keys", wish.to_string()).await;
    assert_eq!(status, 201);
    let secret = created["secret"].as_str().unwrap();
    let key = &created["key"];
    assert_eq!(key["prefix"], secret[..12]);
    assert_eq!((&key["name"], &key["user"], &key["state"]), (&json!("app"), &json!("ada"), &json!("active")));
    assert_eq!((&key["models"], &key["limits"]["tokens_per_day"]), (&json!(["gpt-*"]), &json!(100)));
    assert_eq!((&key["created"], &key["expires"]), (&json!("2027-01-15T08:00:00Z"), &json!("2030-01-01T00:00:00Z")));
    let stored = &small.list_keys()[0];
    assert_eq!(stored.hash, small.hasher.hash(secret.as_bytes()).0);

    let (status, listed) = ask(&small, Method::GET, "/api/admin/keys", "").await;
    assert_eq!((status, &listed), (200, &json!({"keys": [key]})));
    assert!(!listed.to_string().contains(&secret[12..]), "the key is shown once");

    let path = format!("/api/admin/keys/{}", key["id"].as_str().unwrap());
    for _ in 0..2 {
        let (status, revoked) = ask(&small, Method::DELETE, &path, "").await;
        assert_eq!((status, &revoked["keys"][0]["state"], &revoked["durable"]), (200, &json!("revoked"), &json!(true)));
    }
}

#[tokio::test]
async fn a_key_needs_no_more_than_a_name() {
    let small = Small::new();
    let (status, created) = ask(&small, Method::POST, "/api/admin/keys", r#"{"name":"app"}"#).await;
    assert_eq!((status, &created["key"]["models"]), (201, &json!(["*"])));
    assert_eq!((&created["key"]["expires"], &created["key"]["limits"]["concurrent"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_refused_by_field() {
    let small = Small::new();
    for (wish, param) in [
        ("", Value::Null),
        ("{", Value::Null),
        ("[]", Value::Null),
        (r#"{"name":1}"#, Value::Null),
        (r#"{"name":"a","limit":{}}"#, Value::Null),
        (r#"{"name":"a","limits":{"tokens":1}}"#, Value::Null),
        (r#"{"name":""}"#, json!("name")),
        (r#"{"name":"a b"}"#, json!("name")),
        (r#"{"name":".."}"#, json!("name")),
        (r#"{"name":"key_a"}"#, json!("name")),
        (r#"{"name":"a","models":[]}"#, json!("models")),
        (r#"{"name":"a","models":["g*t"]}"#, json!("models")),
        (r#"{"name":"a","expires":"soon"}"#, json!("expires")),
        (r#"{"name":"a","expires":"2020-01-01"}"#, json!("expires")),
        (r#"{"name":"a","user":"a\nb"}"#, json!("user")),
    ] {
        let answer = ask(&small, Method::POST, "/api/admin/keys", wish).await;
        assert_eq!(code(&answer), (400, "invalid_request"), "{wish}");
        assert_eq!(answer.1["error"]["param"], param, "{wish}");
    }
    assert!(small.list_keys().is_empty());
}

#[tokio::test]
async fn a_name_belongs_to_one_active_key() {
    let small = Small::new();
    let make = || ask(&small, Method::POST, "/api/admin/keys", r#"{"name":"app"}"#);
    assert_eq!(make().await.0, 201);
    assert_eq!(code(&make().await), (409, "key_exists"));
    assert_eq!(ask(&small, Method::DELETE, "/api/admin/keys/app", "").await.0, 200);
    assert_eq!(make().await.0, 201);
    assert_eq!(ask(&small, Method::DELETE, "/api/admin/keys/app", "").await.0, 200);
    let (status, again) = ask(&small, Method::DELETE, "/api/admin/keys/app", "").await;
    assert_eq!((status, again["keys"].as_array().map(Vec::len)), (200, Some(2)), "both keys of that name");
    assert_eq!(code(&ask(&small, Method::DELETE, "/api/admin/keys/other", "").await), (404, "key_not_found"));
}

#[tokio::test]
async fn nobody_gets_in_without_the_token() {
    let small = Small::new();
    for authorization in ["", "Bearer", "Bearer ", "Bearer tg-admin-0123456788", "Basic tg-admin-0123456789", TOKEN] {
        for path in ["/api/admin/keys", "/api/admin/health", "/nowhere"] {
            let answer = ask_as(&small, authorization, Method::GET, path, "").await;
            assert_eq!(code(&answer), (401, "admin_token_invalid"), "{authorization} {path}");
        }
    }
    let answer = ask_as(&small, &format!("bearer  {TOKEN}"), Method::GET, "/api/admin/health", "").await;
    assert_eq!((answer.0, &answer.1["status"]), (200, &json!("ok")));
}

#[tokio::test]
async fn unknown_paths_and_methods_have_their_names() {
    let small = Small::new();
    assert_eq!(code(&ask(&small, Method::GET, "/", "").await), (404, "not_found"));
    assert_eq!(code(&ask(&small, Method::PUT, "/api/admin/keys", "").await), (405, "method_not_allowed"));
}

#[tokio::test]
async fn bodies_are_bounded() {
    let small = Small::new();
    let answer = ask(&small, Method::POST, "/api/admin/keys", vec![b' '; (64 << 10) + 1]).await;
    assert_eq!(code(&answer), (413, "body_too_large"));
    let answer = ask(&small, Method::POST, "/api/admin/plugins/check", vec![0; 1001]).await;
    assert_eq!(code(&answer), (413, "body_too_large"));
}

#[tokio::test]
async fn plugins_are_listed_and_checked() {
    let small = Small::new();
    let (status, listed) = ask(&small, Method::GET, "/api/admin/plugins", "").await;
    assert_eq!((status, &listed["plugins"][0]["name"]), (200, &json!("openai")));
    let (status, checked) = ask(&small, Method::POST, "/api/admin/plugins/check", "\0asm").await;
    assert_eq!((status, &checked["plugin"]["kind"]), (200, &json!("adapter")));
    for (path, body, refused) in [
        ("/api/admin/plugins/check", "text", (422, "plugin_refused")),
        ("/api/admin/plugins/check?capabilities=log,sign", "\0asm", (422, "plugin_refused")),
        ("/api/admin/plugins/check?capabilities=net", "\0asm", (400, "invalid_request")),
    ] {
        assert_eq!(code(&ask(&small, Method::POST, path, body).await), refused, "{path}");
    }
}

#[tokio::test]
async fn usage_is_told_by_key() {
    let small = Small::new();
    for name in ["two", "one"] {
        ask(&small, Method::POST, "/api/admin/keys", json!({ "name": name }).to_string()).await;
    }
    let id = small.list_keys().into_iter().find(|key| key.name == "one").unwrap().id.clone();
    let hour = |dimension, hour| {
        let key = RollupKey { dimension, hour, name: id.clone() };
        let charges = vec![Charge { currency: "USD".into(), nanos: 1_250_000_000 }];
        (
            key,
            Rollup { calls: 2, errors: 1, unpriced: 1, input: 30, output: 4, cached: 5, charges, ..Rollup::default() },
        )
    };
    assert!(small.ledger.catch_up(std::time::Duration::from_secs(20)));
    let at = small.store.position().unwrap();
    let rollups = vec![hour(Dimension::Key, 1), hour(Dimension::Key, 2), hour(Dimension::Overrun, 2)];
    small.store.append(&Batch { from: at, to: at, rollups, ..Batch::default() }).unwrap();
    let (status, answer) = ask(&small, Method::GET, "/api/admin/usage", "").await;
    let usage: UsageList = serde_json::from_value(answer).unwrap();
    assert_eq!((status, usage.usage.len()), (200, 2));
    let one = &usage.usage[0];
    assert_eq!((one.name.as_str(), one.calls, one.errors, one.unpriced_calls), ("one", 4, 2, 2));
    assert_eq!((one.input_tokens, one.output_tokens, one.cached_tokens, one.overrun_tokens), (60, 8, 10, 4));
    assert_eq!(one.charges, [ChargeShown { currency: "USD".into(), amount: "2.50".into() }]);
    assert_eq!((one.used.tokens_today, one.used.concurrent), (17, 1));
    assert_eq!((usage.usage[1].name.as_str(), usage.usage[1].calls), ("two", 0));
}

#[test]
fn every_refusal_has_a_name_of_its_own() {
    let all = [
        AdminError::Unauthorized,
        AdminError::CrossSite,
        AdminError::Invalid { param: None, message: String::new() },
        AdminError::Exists(String::new()),
        AdminError::Full(1),
        AdminError::NoKey(String::new()),
        AdminError::NoPath,
        AdminError::Method,
        AdminError::TooLarge { bytes_max: 1 },
        AdminError::Incomplete,
        AdminError::Plugin(String::new()),
        AdminError::Unavailable(String::new()),
    ];
    let names: std::collections::BTreeSet<&str> = all.iter().map(|refused| refused.verdict().0).collect();
    assert_eq!(names.len(), all.len());
}

#[test]
fn a_key_is_shown_in_its_state() {
    let entry = |expires_ms, revoked_ms| KeyEntry {
        id: "key_1".into(),
        name: "n".into(),
        hash: [0; 32],
        prefix: "sk-tg-abcdef".into(),
        models: vec![],
        caps: Caps::default(),
        created_ms: 0,
        expires_ms,
        revoked_ms,
        user: String::new(),
        origin: Origin::Config,
    };
    for (expires_ms, revoked_ms, state) in [
        (None, None, KeyState::Active),
        (Some(NOW_MS + 1), None, KeyState::Active),
        (Some(NOW_MS), None, KeyState::Expired),
        (Some(NOW_MS), Some(1), KeyState::Revoked),
    ] {
        assert_eq!(KeyShown::new(&entry(expires_ms, revoked_ms), NOW_MS).state, state);
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let small = Small::new();
    let asked_with = async |headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(Method::GET).uri("/api/admin/health");
        request = request.header("authorization", format!("Bearer {TOKEN}")).header("host", "127.0.0.1:9465");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let router = router(small.clone(), Secret::new(TOKEN), 1000);
        router.oneshot(request).await.unwrap().status().as_u16()
    };
    for headers in [
        &[][..],
        &[("origin", "http://127.0.0.1:9465")],
        &[("origin", "http://127.0.0.1:9465"), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
    ] {
        assert_eq!(asked_with(headers).await, 200, "{headers:?}");
    }
    for headers in [
        &[("origin", "https://evil.test")][..],
        &[("origin", "http://127.0.0.1:9466")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(asked_with(headers).await, 403, "{headers:?}");
    }
}

/// A body that breaks off after its first piece.
struct Torn(bool);

impl http_body::Body for Torn {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        let first = !std::mem::replace(&mut self.0, true);
        let piece = Bytes::from_static(b"{\"name\":\"app\"");
        std::task::Poll::Ready(Some(match first {
            true => Ok(http_body::Frame::data(piece)),
            false => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }))
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_one_form() {
    let small = Small::new();
    let (status, said) = ask(&small, Method::POST, "/api/admin/keys", Body::new(Torn(false))).await;
    assert_eq!((status, &said["error"]["code"]), (400, &json!("body_incomplete")));
    let (status, said) = ask(&small, Method::POST, "/api/admin/keys", vec![b' '; 70_000]).await;
    assert_eq!((status, &said["error"]["code"]), (413, &json!("body_too_large")));
    let (status, said) = ask(&small, Method::DELETE, "/api/admin/keys/%ff", "").await;
    assert_eq!((status, &said["error"]["param"]), (400, &json!("id")));
    let path = "/api/admin/plugins/check?capabilities=log&capabilities=log";
    let (status, said) = ask(&small, Method::POST, path, "").await;
    assert_eq!((status, &said["error"]["param"]), (400, &json!("capabilities")));
    for (models, shown) in [("[\"a\\u001b[2Jb\"]", "`a\\u{1b}[2Jb` has a control character"), ("[\"\"]", "has no name")]
    {
        let body = format!("{{\"name\":\"app\",\"models\":{models}}}");
        let (status, said) = ask(&small, Method::POST, "/api/admin/keys", body).await;
        assert_eq!((status, &said["error"]["param"]), (400, &json!("models")));
        assert!(said["error"]["message"].as_str().unwrap().contains(shown), "{said}");
    }
}
