//! Plugins that come and go while calls run. Row 42, and what metrics see.

use std::sync::{Arc, Mutex};

use tollgate::plugin::{Called, Function, Host, Kind, Observer, Registry, Settings, Source, Watch};

use super::{evil, guest::Guest, support::*};

fn source<'a>(name: &'a str, guest: &Guest) -> Source<'a> {
    Source { name, kind: Kind::Adapter, wasm: guest.component().into(), granted: ALL }
}

#[test]
fn a_stream_ends_on_the_generation_it_began_with() {
    let old = Registry::empty().next(host(), [source("a", &Guest::good())]).unwrap();
    let mut stream = open(old.adapter("a").unwrap()).unwrap();
    let new = old.next(host(), [source("a", &evil::traps("unreachable"))]).unwrap();
    drop(old);
    assert_eq!(new.generation(), 2);
    assert!(encode(new.adapter("a").unwrap()).is_err());
    assert_eq!(stream.push(&[frame("a")]).unwrap().unwrap().len(), 1);
    assert_eq!(stream.finish().unwrap().unwrap().len(), 1);
}

#[test]
fn a_generation_with_bad_plugins_is_none_and_names_them_all() {
    let old = Registry::empty().next(host(), [source("a", &Guest::good())]).unwrap();
    let sources = [
        source("a", &Guest::good()),
        source("b", &evil::loops_in_start()),
        source("c", &evil::describes("[]")),
        source("a", &Guest::good()),
    ];
    let faults = old.next(host(), sources).err().unwrap();
    let names: Vec<_> = faults.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names, ["b", "c", "a"]);
    assert_eq!(faults[2].to_string(), "plugin `a` is configured twice");
    assert!(encode(old.adapter("a").unwrap()).is_ok());
}

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Notes {
    fn watch(&self, plugin: &str) -> Arc<dyn Watch> {
        self.0.lock().unwrap().push(format!("watch {plugin}"));
        Arc::new(self.clone())
    }
}

impl Watch for Notes {
    fn called(&self, called: &Called) {
        assert!(called.took > std::time::Duration::ZERO);
        if called.function == Function::Encode && called.fault.is_none() {
            assert_eq!(called.memory_bytes, 128 << 10);
        }
        let note = format!("{} {}", called.function.as_str(), called.fault.unwrap_or("ok"));
        self.0.lock().unwrap().push(note);
    }
}

fn watched() -> (Host, Notes) {
    let notes = Notes::default();
    let settings = Settings { calls_max: 2, streams_max: 2, ..Settings::default() };
    let host = Host::new(settings, &cache_dir(), compiler(), Arc::new(()), Arc::new(notes.clone())).unwrap();
    (host, notes)
}

#[test]
fn what_did_not_change_is_not_loaded_again() {
    let (host, notes) = watched();
    let first = Registry::empty().next(&host, [source("a", &Guest::good()), source("b", &Guest::good())]).unwrap();
    assert_eq!(notes.take(), ["watch a", "watch b"]);
    let narrower = Source { granted: Default::default(), ..source("b", &Guest::good()) };
    first.next(&host, [source("a", &Guest::good()), narrower]).unwrap();
    assert_eq!(notes.take(), ["watch b"]);
}

#[test]
fn every_call_is_told_of_with_what_came_of_it() {
    let (host, notes) = watched();
    let good = host.load_adapter("good", &Guest::good().component(), ALL).unwrap();
    encode(&good).unwrap().unwrap();
    let mut stream = open(&good).unwrap();
    stream.push(&[frame("a")]).unwrap().unwrap();
    stream.finish().unwrap().unwrap();
    assert_eq!(notes.take(), ["watch good", "encode ok", "open ok", "push ok", "finish ok"]);
    let evil = host.load_adapter("evil", &evil::traps("unreachable").component(), ALL).unwrap();
    encode(&evil).unwrap_err();
    assert_eq!(notes.take(), ["watch evil", "encode trap_unreachable"]);
}
