//! A plugin host with the built-in adapters, for benches that call them.

use std::sync::Arc;

use criterion::Criterion;
use tempfile::TempDir;
use tollgate::{
    call::Operation,
    plugin::{Adapter, Compiler, Context, Host, Settings, builtins, compile_child},
};

/// The argument with which a bench starts itself as its own compiler.
const COMPILE: &str = "compile-plugin";

pub(crate) struct Sandbox {
    host: Host,
    /// Holds the compiled code.
    _cache: TempDir,
}

impl Sandbox {
    fn new() -> Sandbox {
        let cache = tempfile::tempdir().expect("a temporary folder can be made");
        let program = std::env::current_exe().expect("a running program has a path");
        let compiler = Compiler::Process { program, args: vec![COMPILE.to_owned()] };
        let host = Host::new(Settings::default(), &cache.path().join("code"), compiler, Arc::new(()), Arc::new(()));
        Sandbox { host: host.expect("this machine can run plugins"), _cache: cache }
    }

    /// The built-in adapter of this name.
    pub(crate) fn adapter(&self, name: &str) -> Adapter {
        let source = builtins().find(|it| it.name == name).expect("the name is that of a built-in adapter");
        self.host.load_adapter(name, &source.wasm, source.granted).expect("built-in adapters load")
    }
}

/// A call as the host would describe it.
pub(crate) fn context() -> Context<'static> {
    Context {
        request_id: "req_00000000000000000000000000",
        caller: 1,
        operation: Operation::Chat,
        model: "model-x",
        streaming: true,
        config: "{}",
        now_ms: 1_763_600_000_000,
        seed: 1,
        state: None,
    }
}

/// Runs `bench` under criterion, or compiles a plugin where the host has started this program to do so.
pub(crate) fn run(bench: fn(&mut Criterion, &Sandbox)) {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some(COMPILE) {
        compile_child(&arguments[2..]).expect("built-in components compile");
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, &Sandbox::new());
    criterion.final_summary();
}
