//! A store and its master key belong together: with another one, or with none, nothing starts.

use super::*;

const ONE: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const OTHER: &str = "0202020202020202020202020202020202020202020202020202020202020202";

fn with_key(place: &Place, key: Option<&str>, args: &str) -> Said {
    let mut command = place.command(args);
    command.envs(key.map(|key| ("TOLLGATE_MASTER_KEY", key)));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
}

/// Every command that opens the store says no, with a sentence, and changes nothing.
fn all_refuse(place: &Place, key: Option<&str>) {
    for args in ["serve", "key list", "key create --name b", "key revoke a", "usage", "dump"] {
        let said = with_key(place, key, args);
        assert_eq!(said.code, 1, "{args}: {} {}", said.stdout, said.stderr);
        assert!(said.stderr.contains("master key"), "{args}: {}", said.stderr);
        assert!(!said.stderr.contains(OTHER) && !said.stderr.contains(ONE), "{}", said.stderr);
    }
}

#[test]
fn a_store_opens_with_its_own_master_key_alone() {
    let place = Place::new("");
    assert_eq!(with_key(&place, Some(ONE), "key create --name a").code, 0);
    all_refuse(&place, Some(OTHER));
    all_refuse(&place, None);
    let said = with_key(&place, Some("short"), "key list");
    assert_eq!(said.code, 1);
    assert!(with_key(&place, Some(ONE), "key list").stdout.contains("a"), "its own still opens it");
    let listed = with_key(&place, Some(ONE), "key list --json").stdout;
    assert!(!listed.contains("\"b\"") && listed.contains("active"), "{listed}");
}

#[test]
fn a_store_whose_master_key_file_is_gone_makes_no_new_one() {
    let place = Place::new("");
    place.ok("key create --name a");
    let file = place.dir.path().join("data/master-key");
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    all_refuse(&place, None);
    assert!(!file.exists());
    put_private(&file, ONE.as_bytes());
    all_refuse(&place, None);
    put_private(&file, &kept);
    assert!(place.ok("key list").contains("active"));
}

/// Writes a file that its owner alone may read, as the gateway asks of a secret.
fn put_private(file: &std::path::Path, bytes: &[u8]) {
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
