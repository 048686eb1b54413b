//! `tollgate dump` and `tollgate load`: everything out, and everything in again.

use super::*;

/// A place with a key that was made and one that was revoked.
fn used() -> Place {
    let place = Place::new("");
    place.ok("key create --name app --models m --tokens-per-day 5");
    place.ok("key create --name old");
    place.ok("key revoke old");
    place
}

fn keys(place: &Place) -> Vec<(String, String)> {
    let listed = place.json("key list --json");
    let text = |key: &Value, field: &str| key[field].as_str().unwrap().to_owned();
    listed["keys"].as_array().unwrap().iter().map(|key| (text(key, "name"), text(key, "state"))).collect()
}

#[test]
fn a_dump_loads_into_another_place_with_its_keys_and_their_states() {
    let place = used();
    place.ok("dump --file all.jsonl");
    let other = Place::new("");
    fs::copy(place.dir.path().join("all.jsonl"), other.dir.path().join("all.jsonl")).unwrap();
    let said = other.ok("load all.jsonl");
    assert!(said.starts_with("Loaded 2 keys, "), "{said}");
    // The keyed hashes go with the master key.
    fs::copy(place.dir.path().join("data/master-key"), other.dir.path().join("data/master-key")).unwrap();
    assert_eq!(keys(&other), keys(&place));
    assert_eq!(keys(&other).len(), 2);
    assert_eq!(place.run("dump --file all.jsonl").code, 1, "a file that is there is not written over");
}

#[test]
fn a_dump_loads_into_no_store_that_has_something() {
    let place = used();
    place.ok("dump --file all.jsonl");
    let before = keys(&place);
    let said = place.run("load all.jsonl");
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("the store holds data already"), "{}", said.stderr);
    assert_eq!(keys(&place), before);
}

#[test]
fn a_dump_that_was_cut_is_refused_and_leaves_nothing_behind() {
    let place = used();
    let whole = place.ok("dump");
    let lines: Vec<&str> = whole.lines().collect();
    let other = Place::new("");
    for kept in [lines[..lines.len() - 1].join("\n"), whole[..whole.len() - 9].to_owned()] {
        fs::write(other.dir.path().join("cut.jsonl"), kept).unwrap();
        let said = other.run("load cut.jsonl");
        assert_eq!(said.code, 1);
        assert!(said.stderr.contains("the dump"), "{}", said.stderr);
    }
    fs::write(other.dir.path().join("all.jsonl"), whole).unwrap();
    assert!(other.ok("load all.jsonl").starts_with("Loaded 2 keys, "));
}

#[test]
fn a_running_gateway_is_neither_dumped_nor_loaded_into() {
    let place = Place::new("");
    let running = place.serve();
    for args in ["dump", "load all.jsonl"] {
        fs::write(place.dir.path().join("all.jsonl"), "").unwrap();
        let said = place.run(args);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""));
        assert!(
            said.stderr.contains("a gateway that runs on the store must be stopped first"),
            "{args}: {}",
            said.stderr
        );
    }
    assert_eq!(running.stop(), 0);
    assert!(place.ok("dump").lines().count() > 2);
}

#[test]
fn a_dump_is_private_whole_and_loads_once() {
    let place = Place::new("");
    assert!(place.run("dump").stderr.contains("there is no store"));
    assert!(!place.dir.path().join("data").exists(), "a dump makes no store");
    place.ok("key create --name app");
    let text = place.ok("dump --file -");
    assert!(!place.dir.path().join("-").exists());
    place.ok("dump --file d.jsonl");
    let file = place.dir.path().join("d.jsonl");
    // Each opening of the journal moves the position.
    let rows =
        |text: &str| text.lines().filter(|line| !line.contains("position")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows(&fs::read_to_string(&file).unwrap()), rows(&text));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let mut unread = place.command("dump").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(unread.stdout.take());
    let said = unread.wait_with_output().unwrap();
    let stderr = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.code() == Some(1) && stderr.contains("before the dump was whole"), "{stderr}");

    let data = place.dir.path().join("data");
    fs::rename(&data, place.dir.path().join("old")).unwrap();
    let (cut, _) = text.trim_end().rsplit_once('\n').unwrap();
    for (name, text) in [("cut", cut.to_owned()), ("empty", String::new()), ("doubled", text.repeat(2))] {
        fs::write(place.dir.path().join(name), text).unwrap();
        assert_eq!(place.run(&format!("load {name}")).code, 1, "{name}");
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "{name}");
    }
    assert!(place.run("load old").stderr.contains("it is a directory"));
    fs::copy(place.dir.path().join("old/master-key"), data.join("master-key")).unwrap();
    assert!(place.ok("load d.jsonl").starts_with("Loaded 1 keys"));
    assert_eq!(place.json("key list --json")["keys"][0]["name"], "app");
    assert_eq!(place.run("load d.jsonl").code, 1, "there is a store now");

    let mut wrong = place.command("dump");
    let said = wrong.env("TOLLGATE_MASTER_KEY", "ab".repeat(32)).output().unwrap();
    let stderr = String::from_utf8(said.stderr).unwrap();
    assert!(stderr.starts_with("error: TOLLGATE_MASTER_KEY is not the master key"), "{stderr}");
    let mut unset = place.command("key list");
    assert!(unset.env("TOLLGATE_MASTER_KEY", "").status().unwrap().success(), "an empty variable is none");
}

/// The journal's segment of a place whose gateway has ended.
fn segment(place: &Place) -> PathBuf {
    let entries = fs::read_dir(place.dir.path().join("data/journal")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "journal");
    paths.min().unwrap()
}

#[test]
fn a_dump_is_not_loaded_beside_the_journal_of_another_store() {
    let place = used();
    place.ok("dump --file all.jsonl");
    place.ok("key create --name late");
    let data = place.dir.path().join("data");
    fs::rename(data.join("store"), data.join("old-store")).unwrap();
    let before = fs::read(segment(&place)).unwrap();
    let said = place.run("load all.jsonl");
    assert!(said.code == 1 && said.stderr.contains("move it away first"), "{}", said.stderr);
    assert!(!data.join("store").exists() && fs::read(segment(&place)).unwrap() == before);
    fs::rename(data.join("journal"), data.join("old-journal")).unwrap();
    assert!(place.ok("load all.jsonl").starts_with("Loaded 2 keys, "));
}

#[test]
fn a_command_says_what_it_repairs() {
    let place = used();
    place.ok("key create --name late");
    let segment = segment(&place);
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at..at + 100].fill(0xff);
    fs::write(&segment, bytes).unwrap();
    let said = place.run("key list");
    assert_eq!(said.code, 0);
    assert!(said.stderr.contains("ERROR") && said.stderr.contains("the journal is damaged"), "{}", said.stderr);
    assert!(said.stderr.contains("note: took over what the last process left: 0 rows"), "{}", said.stderr);
    assert_eq!(place.run("key list").stderr, "");
}
