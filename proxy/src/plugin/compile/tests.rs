use std::{fs, os::unix::fs::PermissionsExt};

use super::{super::engine, *};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn compiler() -> Engine {
    engine::without_pool(&Settings::default()).unwrap()
}

fn engines(engine: &Engine) -> Engines {
    Engines { calls: engine.clone(), streams: engine.clone(), pooled: false }
}

fn only_file(dir: &std::path::Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

#[test]
fn compiled_code_is_found_again() {
    let (dir, engine) = (tempfile::tempdir().unwrap(), compiler());
    let dir = dir.path().join("cache");
    let cache = Cache::open(&dir, &engine).unwrap();
    component(&engines(&engine), &cache, &Compiler::Here(engine.clone()), COMPONENT, &Settings::default()).unwrap();
    let broken = Compiler::Process { program: "/nowhere".into(), args: vec![] };
    let again = Cache::open(&dir, &engine).unwrap();
    component(&engines(&engine), &again, &broken, COMPONENT, &Settings::default()).unwrap();
    assert_eq!(fs::metadata(only_file(&dir)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn code_that_changed_on_disk_is_never_used() {
    let (dir, engine) = (tempfile::tempdir().unwrap(), compiler());
    let dir = dir.path().join("cache");
    let cache = Cache::open(&dir, &engine).unwrap();
    component(&engines(&engine), &cache, &Compiler::Here(engine.clone()), COMPONENT, &Settings::default()).unwrap();
    let path = only_file(&dir);
    let whole = fs::read(&path).unwrap();
    for damaged in [
        [&whole[..whole.len() - 1], &[whole[whole.len() - 1] ^ 1]].concat(),
        whole[..whole.len() / 2].to_vec(),
        vec![],
        b"\x7fELF".to_vec(),
    ] {
        fs::write(&path, damaged).unwrap();
        assert!(cache.find(&cache.key(COMPONENT)).is_none());
        component(&engines(&engine), &cache, &Compiler::Here(engine.clone()), COMPONENT, &Settings::default()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn code_renamed_to_another_components_name_is_refused() {
    let (dir, engine) = (tempfile::tempdir().unwrap(), compiler());
    let dir = dir.path().join("cache");
    let cache = Cache::open(&dir, &engine).unwrap();
    cache.keep(&cache.key(b"good"), b"code of good").unwrap();
    let good = only_file(&dir);
    cache.keep(&cache.key(b"evil"), b"code of evil").unwrap();
    let evil = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).find(|path| *path != good).unwrap();
    fs::rename(evil, good).unwrap();
    assert!(cache.find(&cache.key(b"good")).is_none());
}

#[test]
fn a_folder_open_to_others_is_refused() {
    let (dir, engine) = (tempfile::tempdir().unwrap(), compiler());
    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = Cache::open(&open, &engine).err().unwrap().to_string();
    assert!(refused.contains("open to other users (mode 755)"), "{refused}");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&open, &link).unwrap();
    assert!(Cache::open(&link, &engine).is_err());
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Cache::open(&file, &engine).is_err());
}

#[test]
fn the_cache_is_bounded() {
    let (dir, engine) = (tempfile::tempdir().unwrap(), compiler());
    let dir = dir.path().join("cache");
    let cache = Cache::open(&dir, &engine).unwrap();
    for n in 0..300_u16 {
        cache.keep(&cache.key(&n.to_be_bytes()), b"code").unwrap();
    }
    // All plugins that there may be are found again.
    assert_eq!(fs::read_dir(&dir).unwrap().count(), super::super::settings::PLUGINS_MAX);
}

#[test]
fn a_compiler_that_cannot_start_is_named() {
    let (dir, engine) = (tempfile::tempdir().unwrap(), compiler());
    let cache = Cache::open(&dir.path().join("cache"), &engine).unwrap();
    let broken = Compiler::Process { program: "/nowhere".into(), args: vec![] };
    let failed = component(&engines(&engine), &cache, &broken, COMPONENT, &Settings::default()).err().unwrap();
    assert!(failed.to_string().contains("`/nowhere` cannot be started"), "{failed}");
}

#[test]
fn writers_of_the_same_code_do_not_meet() {
    let (dir, engine) = (tempfile::tempdir().unwrap(), compiler());
    let dir = dir.path().join("cache");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let cache = Cache::open(&dir, &engine).unwrap();
                for _ in 0..200 {
                    cache.keep(&cache.key(b"same"), b"code").unwrap();
                    assert_eq!(cache.find(&cache.key(b"same")).unwrap(), b"code");
                }
            });
        }
    });
    only_file(&dir);
}
