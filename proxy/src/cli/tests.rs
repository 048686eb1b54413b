use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    thread,
};

use clap::CommandFactory;
use tollgate::{
    admin::{ChargeShown, KeyState, KeyUsage, NewKey, Used},
    config,
    limit::Caps,
    secret::{self, Secret},
    server::{ClientKey, Started},
};

use super::{
    administrator::Keys,
    args::{CreateArgs, KeyCommand},
    backend,
    http::{self, Request},
    offline::Offline,
    remote::{Remote, RemoteError},
    *,
};

fn parsed(line: &str) -> Args {
    Args::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_commands_are_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn every_command_has_help_to_learn_from() {
    fn walk(command: &clap::Command, names: &str) {
        let name = format!("{names} {}", command.get_name()).trim_start().to_owned();
        assert!(command.get_about().is_some(), "{name} says nothing of itself");
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            let hidden = command.is_hide_set() || argument.get_id() == "version";
            assert!(hidden || argument.get_help().is_some(), "{name}: {} says nothing", argument.get_id());
        }
        let leaf = command.get_subcommands().next().is_none();
        let explains = command.get_after_help().is_some() || command.is_hide_set() || names.contains(' ');
        assert!(!leaf || explains, "{name} shows no example");
        command.get_subcommands().for_each(|below| walk(below, &name));
    }
    walk(&Args::command(), "");
}

#[test]
fn the_configuration_may_be_named_before_or_after_the_command() {
    for line in ["tollgate --config a.toml serve", "tollgate serve --config a.toml"] {
        assert_eq!(parsed(line).config, Some(PathBuf::from("a.toml")), "{line}");
    }
}

#[test]
fn a_key_is_asked_for_in_full() {
    let line = "tollgate key create --name app --models gpt-*,claude --tokens-per-day 1 --tokens-per-month 2 \
                --tokens-total 3 --requests-per-minute 4 --concurrent 5 --expires 30d --user ada";
    let Command::Key(args) = parsed(line).command else { panic!("not a key command") };
    let KeyCommand::Create(CreateArgs { name, models, tokens_per_day, concurrent, expires, .. }) = args.command else {
        panic!("not a create command")
    };
    assert_eq!(
        (name.as_str(), models, expires.as_deref()),
        ("app", vec!["gpt-*".into(), "claude".into()], Some("30d"))
    );
    assert_eq!((tokens_per_day, concurrent), (Some(1), Some(5)));
}

#[test]
fn mistakes_are_refused() {
    for line in [
        "tollgate key create",
        "tollgate key create --name a --tokens-per-day many",
        "tollgate plugin check x.wasm --capabilities net",
        "tollgate demo --listen nowhere",
        "tollgate sreve",
    ] {
        assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

#[test]
fn a_key_ends_at_a_moment_or_after_a_span() {
    let now_ms = 1_000_000;
    for (text, end_ms) in [
        ("90s", 1_090_000),
        ("10m", 1_600_000),
        ("2h", 8_200_000),
        ("1d", 87_400_000),
        ("1w", 605_800_000),
        ("1970-01-02", 86_400_000),
        ("1970-01-02T00:00:01Z", 86_401_000),
    ] {
        assert_eq!(duration::parse_end(text, now_ms).unwrap(), end_ms, "{text}");
    }
    for text in ["", "d", "5", "-1d", "1.5d", "5y", "99999999999999w", "9999999d", "tomorrow"] {
        assert!(duration::parse_end(text, now_ms).is_err(), "{text}");
    }
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let line = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let text = table::table(&[line(["NAME", "CALLS", "X"]), line(["é", "10", ""]), line(["longer", "9", "y"])], &[1]);
    assert_eq!(text, "NAME    CALLS  X\né          10\nlonger      9  y\n");
}

#[test]
fn counts_are_grouped() {
    for (count, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (12_345_678, "12 345 678")] {
        assert_eq!(table::grouped(count), text);
    }
}

fn usage_of(calls: u64, unpriced_calls: u64) -> KeyUsage {
    KeyUsage {
        id: "key_1".into(),
        name: "app".into(),
        user: String::new(),
        state: KeyState::Active,
        calls,
        errors: 0,
        unpriced_calls,
        input_tokens: 1234,
        output_tokens: 5,
        cached_tokens: 0,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        overrun_tokens: 0,
        charges: vec![ChargeShown { currency: "USD".into(), amount: "1.25".into() }],
        limits: Caps { tokens_per_day: Some(100_000), concurrent: Some(8), ..Caps::default() },
        used: Used::default(),
    }
}

#[test]
fn usage_says_what_was_charged_and_what_was_not() {
    let text = usage::shown(&[usage_of(10, 0), usage_of(10, 2)]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[1].ends_with("1 234       5      0  1.25 USD                     100 000 tokens/day, 8 at once"),
        "{text}"
    );
    assert!(lines[2].contains("1.25 USD + 2 calls unpriced"), "{text}");
}

#[test]
fn the_greeting_has_a_line_to_paste() {
    let started = |generated: Option<&str>| Started {
        listen: "0.0.0.0:8080".parse().unwrap(),
        admin_listen: Some("127.0.0.1:9465".parse().unwrap()),
        metrics_listen: None,
        client_key: Some(ClientKey { generated: generated.map(Secret::new), file: "data/client-keys/example".into() }),
        model: Some("it's".into()),
        faked: vec![("openai".into(), vec!["OPENAI_API_KEY".into()])],
    };
    let first = serve::greeting(&started(Some("sk-tg-x")));
    assert!(first.contains("http://127.0.0.1:8080/v1\n") && first.contains("  sk-tg-x\n"), "{first}");
    assert!(first.contains("Provider `openai` is a built-in fake, because OPENAI_API_KEY is not set."), "{first}");
    assert!(first.contains("Metrics: off\n") && !first.contains("Warning"), "{first}");
    let open = Started { admin_listen: Some("0.0.0.0:9465".parse().unwrap()), ..started(None) };
    assert!(serve::greeting(&open).contains("Warning: the admin API listens on 0.0.0.0:9465"));
    let demo = serve::demo_greeting(&started(None));
    assert!(demo.contains("All providers of the demo are built-in fakes: `openai`.") && !demo.contains("not set"));
    assert!(first.contains(r#"curl http://127.0.0.1:8080/v1/chat/completions -H "Authorization: Bearer sk-tg-x""#));
    assert!(first.contains(r#"-d '{"model":"it'\''s","messages":"#), "{first}");
    let second = serve::greeting(&started(None));
    assert!(second.contains("Bearer $(cat 'data/client-keys/example')"), "{second}");
}

/// Answers one request after the other with `answers`, and returns what was asked.
fn listener(answers: Vec<&'static str>) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = thread::spawn(move || {
        let mut heard = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            heard.push(String::from_utf8(request).unwrap());
        }
        heard
    });
    (address, heard)
}

const HEALTHY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

#[test]
fn a_request_shows_the_token() {
    let (address, heard) = listener(vec![HEALTHY]);
    let request =
        Request { method: "GET", path: "/x", token: "tg-admin-1", content_type: "application/json", body: b"" };
    assert_eq!(http::exchange(address, &request).unwrap().status, 200);
    let heard = heard.join().unwrap().remove(0);
    assert!(
        heard.starts_with("GET /x HTTP/1.1\r\n") && heard.contains("authorization: Bearer tg-admin-1\r\n"),
        "{heard}"
    );
}

#[test]
fn the_running_gateways_refusal_is_shown_in_its_own_words() {
    let refusal = "HTTP/1.1 404 Not Found\r\n\r\n\
                   {\"error\":{\"message\":\"there is none\",\"code\":\"key_not_found\",\"param\":null}}";
    let (address, heard) = listener(vec![HEALTHY, refusal]);
    let remote = Remote::connect(address, Secret::new("t")).unwrap();
    assert_eq!(remote.revoke("a/../b?c é").unwrap_err().to_string(), "there is none");
    assert!(heard.join().unwrap()[1].starts_with("DELETE /api/admin/keys/a%2F%2E%2E%2Fb%3Fc%20%C3%A9 HTTP/1.1\r\n"));
}

#[test]
fn whoever_does_not_take_the_token_is_not_our_gateway() {
    for answer in ["HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let (address, heard) = listener(vec![answer]);
        assert!(matches!(Remote::connect(address, Secret::new("t")), Err(RemoteError::WrongToken)));
        heard.join().unwrap();
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(Remote::connect(nobody, Secret::new("t")), Err(RemoteError::Unreachable(_))));
}

fn offline(dir: &Path) -> config::Config {
    let text = format!("[server]\ndata_dir = {:?}\nadmin_listen = \"off\"", dir.join("data"));
    config::build(&text, |_| None).unwrap()
}

#[test]
fn keys_are_made_listed_and_revoked_without_a_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let config = offline(dir.path());
    let open = || Offline::open(&config, None).unwrap();
    let made = open().create(NewKey { name: "app".into(), models: vec!["*".into()], ..NewKey::default() }).unwrap();
    assert!(made.secret.starts_with("sk-tg-") && made.secret.len() == 49);
    assert_eq!(open().list().unwrap(), std::slice::from_ref(&made.key));
    assert_eq!(open().usage().unwrap()[0].name, "app");
    assert_eq!(open().revoke("app").unwrap().keys[0].state, KeyState::Revoked);
    assert_eq!(open().list().unwrap()[0].state, KeyState::Revoked);
    assert!(open().revoke("other").is_err());
}

#[test]
fn a_store_in_use_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let config = offline(dir.path());
    let _running = Offline::open(&config, None).unwrap();
    let context = Context { env: |_| None, collect: || {}, config: None };
    let Err(error) = backend::keys(&config, &context) else { panic!("the store is in use") };
    assert!(error.to_string().contains("its admin listener is off"), "{error}");
}

#[test]
fn the_admin_token_is_shown_to_nobody_while_no_gateway_has_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = offline(dir.path());
    config.server.admin_listen = Some(stranger.local_addr().unwrap());
    drop(Offline::open(&config, None).unwrap());
    secret::keep(&config.server.admin_token_file(), &mut |bytes| bytes.fill(7), |fill| secret::admin_token(fill))
        .unwrap();
    let context = Context { env: |_| None, collect: || {}, config: None };
    assert!(backend::keys(&config, &context).unwrap().list().unwrap().is_empty());
    stranger.set_nonblocking(true).unwrap();
    assert_eq!(stranger.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn what_a_killed_gateway_left_is_said() {
    let left = tollgate::journal::Recovered { rows_replayed: 3, calls_crashed: 1, bytes_damaged: 20 };
    let note = offline::recovered_note(&left).unwrap();
    assert!(note.contains("3 rows of the journal, 1 calls that its end cut short, 20 damaged bytes"), "{note}");
    assert_eq!(offline::recovered_note(&tollgate::journal::Recovered::default()), None);
}

#[test]
fn a_configuration_is_loaded_with_its_prices() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.toml");
    let context = Context { env: |_| None, collect: || {}, config: Some(file.clone()) };
    std::fs::write(&file, "[prices]\nfile = \"p.toml\"\n[log]\nlevel = \"info\"").unwrap();
    assert!(load::load(&context).unwrap_err().to_string().contains("cannot read"));

    std::fs::write(dir.path().join("p.toml"), "[prices.m]\ncurency = 'USD'").unwrap();
    let error = load::load(&context).unwrap_err();
    assert!(error.is::<FaultyConfigError>() && error.to_string().contains("p.toml:2: prices.m.curency"), "{error}");

    std::fs::write(&file, "[log]\nlevel = \"=loud=\"").unwrap();
    let error = load::load(&context).unwrap_err();
    assert!(error.is::<FaultyConfigError>() && error.to_string().contains("t.toml:2: log.level"), "{error}");
}

#[test]
fn the_summary_says_what_may_be_overlooked() {
    let config = config::build(include_str!("../../../config/tollgate.toml"), |_| None).unwrap();
    let text = check::summary(&config);
    assert!(text.starts_with("2 providers, 2 models, 1 client key, 0 templates\n"), "{text}");
    assert!(text.contains("provider `openai` has no key, because OPENAI_API_KEY is not set"), "{text}");
    assert!(text.contains("model `claude-sonnet` has no price") && !text.contains("`gpt-4o` has no price"), "{text}");
}

#[test]
fn files_that_are_not_there_are_faults() {
    let text = "[server]\ntls = { listen = '127.0.0.1:1', cert = '/none/c.pem', key = '/none/k.pem' }\n\
                [plugins.mine]\nfile = '/none/m.wasm'";
    let faults = check::outside(&config::build(text, |_| None).unwrap());
    let places: Vec<(usize, &str)> = faults.iter().map(|fault| (fault.line, fault.path.as_str())).collect();
    assert_eq!(places, [(4, "plugins.mine.file"), (2, "server.tls.cert"), (2, "server.tls.key")]);
    let faults = faults.into_iter().map(|fault| ("t.toml".into(), fault)).collect();
    let shown = FaultyConfigError { file: "t.toml".into(), faults }.to_string();
    assert!(shown.contains("\nt.toml:4: plugins.mine.file: `/none/m.wasm` cannot be read"), "{shown}");
}

#[test]
fn what_other_crates_say_of_requests_is_not_logged() {
    use tracing::Level;
    for (target, most) in [
        ("tollgate::engine", Level::TRACE),
        ("tollgate_fakes", Level::TRACE),
        ("pingora_core::protocols::http::v1::client", Level::INFO),
        ("h2::codec", Level::INFO),
        ("sled::pagecache", Level::DEBUG),
    ] {
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            assert_eq!(log::is_harmless(target, level), level <= most, "{target} at {level}");
        }
    }
}

#[test]
fn a_terminal_is_shown_no_control_characters() {
    assert_eq!(printable("a\n  because: b\u{e9}"), "a\n  because: b\u{e9}");
    assert_eq!(printable("a\u{1b}[2J\rb"), "a\\u{1b}[2J\\rb");
}

#[test]
fn an_empty_master_key_is_none() {
    let context = |env| Context { env, collect: || (), config: None };
    assert_eq!(context(|_| Some(String::new())).master_key(), None);
    assert_eq!(context(|_| Some("key".into())).master_key().as_deref(), Some("key"));
}

#[test]
fn what_killed_demos_left_is_removed_and_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let dir = parent.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        dir
    };
    let dead = make("tollgate-demo-0000000000000001");
    std::fs::write(dead.join("alive"), "").unwrap();
    let alive = make("tollgate-demo-0000000000000002");
    let locked = std::fs::File::create(alive.join("alive")).unwrap();
    locked.lock().unwrap();
    let beginning = make("tollgate-demo-0000000000000003");
    let other = make("tollgate-demo-of-mine");
    let link = parent.path().join("tollgate-demo-0000000000000004");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let now = std::time::SystemTime::now();
    demo::remove_left(parent.path(), now);
    assert!(!dead.exists());
    assert!([&alive, &beginning, &other, &link].iter().all(|dir| dir.exists()));
    demo::remove_left(parent.path(), now + std::time::Duration::from_secs(7200));
    assert!(!beginning.exists() && [&alive, &other, &link].iter().all(|dir| dir.exists()));
}
