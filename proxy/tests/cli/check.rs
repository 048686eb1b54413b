//! `tollgate check`: what it finds, all at once.

use super::*;

#[test]
fn check_finds_what_serve_would_refuse_and_all_at_once() {
    let place = Place::new("");
    for name in ["junk.pem", "config/junk.wasm", "file"] {
        fs::write(place.dir.path().join(name), "junk").unwrap();
    }
    let text = fs::read_to_string(place.config_file()).unwrap();
    let more = "[prices]\nfile = \"none.toml\"\n[plugins]\ndir = \"config\"\n[plugins.mine]\nfile = \"junk.wasm\"\n\
                [plugins.away]\nfile = \"away.wasm\"\n[log]\nlevel = \"=loud=\"\n";
    let text = text.replace("data_dir = \"data\"", "data_dir = \"file\"\nthread = 1").replace(
        "[providers.openai]",
        "[server.tls]\nlisten = \"127.0.0.1:0\"\ncert = \"junk.pem\"\nkey = \"junk.pem\"\n[providers.openai]",
    );
    fs::write(place.config_file(), format!("{text}{more}")).unwrap();
    let said = place.run("check");
    assert_eq!(said.code, 2, "{}", said.stderr);
    for fault in [
        "server.data_dir: `file` is not a directory",
        "server.thread: unknown key",
        "server.tls.cert: the certificate or key of the TLS listener cannot be used",
        "prices.file: cannot read `config/none.toml`",
        "plugins.mine.file: plugin `mine` is not WebAssembly",
        "plugins.away.file: `config/away.wasm` cannot be read",
        "log.level: `=loud=` is not a log level",
    ] {
        let line = said.stderr.lines().find(|line| line.contains(fault));
        let line = line.unwrap_or_else(|| panic!("no `{fault}` in\n{}", said.stderr));
        let number = line.strip_prefix("config/tollgate.toml:").and_then(|rest| rest.split(':').next());
        assert!(number.is_some_and(|number| number.parse::<u32>().is_ok()), "no line in {line}");
    }
}

#[test]
fn check_renders_templates_and_reads_only_text() {
    let place = Place::new("");
    let text = fs::read_to_string(place.config_file()).unwrap();
    fs::write(place.config_file(), format!("{text}[templates.t]\nsource = \"a {{b\"\n")).unwrap();
    let said = place.run("check");
    assert!(said.code == 2 && said.stderr.contains("templates.\"t\".source: line 1, column"), "{}", said.stderr);
    fs::write(place.config_file(), b"[server]\n# \xff\n").unwrap();
    let said = place.run("check");
    assert!(said.code == 2 && said.stderr.contains("config/tollgate.toml:2: is not UTF-8"), "{}", said.stderr);
}

#[test]
fn mistakes_that_would_go_unnoticed_are_refused() {
    let place = Place::new("");
    let said = place.run("demo --config config/tollgate.toml");
    assert!(said.code == 2 && said.stderr.contains("takes no --config"), "{}", said.stderr);
    let Output { status, stderr, .. } = place.command("key revoke").arg("").output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.code() == Some(1) && stderr.contains("name the key to revoke"), "{stderr}");
    let Output { stderr, .. } = place.command("key create --name a --models").arg("a\u{1b}[2J").output().unwrap();
    assert!(!stderr.contains(&0x1b) && !stderr.is_empty());
    fs::write(place.dir.path().join("data/admin-token"), "").unwrap();
    fs::set_permissions(place.dir.path().join("data/admin-token"), fs::Permissions::from_mode(0o600)).unwrap();
    let said = place.run("serve");
    assert!(said.code == 1 && said.stderr.contains("holds no admin token"), "{}", said.stderr);
}
