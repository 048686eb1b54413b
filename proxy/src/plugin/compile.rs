//! From WebAssembly to machine code: by a child process that can be killed, into a cache that is checked.
//!
//! The compiler is not hardened against its input (a bomb of a few megabytes takes gigabytes and seconds), so it
//! never runs in the gateway; the process that it runs in gives up files, network and other processes first. Machine
//! code is only ever taken from that child or from a folder that is ours alone.

mod cache;
mod child;
mod confine;

use std::path::PathBuf;

use wasmtime::{Engine, component::Component};

pub(super) use cache::Cache;
pub use child::compile_child;

use super::{LoadError, Settings, engine::Engines};

/// How to start the process that compiles: a program that runs [`compile_child`] with the arguments that follow
/// `args`. The gateway names itself.
#[derive(Debug, Clone)]
pub enum Compiler {
    Process {
        program: PathBuf,
        args: Vec<String>,
    },
    /// In this process, by this engine: for tests, which compile what they wrote themselves.
    #[cfg(test)]
    Here(Engine),
}

impl Compiler {
    /// For the tests of other rooms.
    #[cfg(test)]
    pub(crate) fn here(settings: &Settings) -> Compiler {
        Compiler::Here(super::engine::without_pool(settings).expect("an engine that only compiles can always be made"))
    }

    fn compile(&self, wasm: &[u8], settings: &Settings) -> Result<Vec<u8>, LoadError> {
        match self {
            Compiler::Process { program, args } => child::compile(program, args, wasm, settings),
            #[cfg(test)]
            Compiler::Here(engine) => {
                engine.precompile_component(wasm).map_err(|error| LoadError::Compile(error.to_string()))
            }
        }
    }
}

/// A component, in each of the engines.
pub(super) struct Compiled {
    pub(super) calls: Component,
    pub(super) streams: Component,
}

/// What `wasm` is, compiled now or earlier. Slow: hundreds of milliseconds when it is compiled now.
pub(super) fn component(
    engines: &Engines,
    cache: &Cache,
    compiler: &Compiler,
    wasm: &[u8],
    settings: &Settings,
) -> Result<Compiled, LoadError> {
    let key = cache.key(wasm);
    if let Some(compiled) = cache.find(&key).and_then(|code| deserialize_each(engines, &code).ok()) {
        return Ok(compiled);
    }
    let code = compiler.compile(wasm, settings)?;
    let compiled = deserialize_each(engines, &code)?;
    if let Err(error) = cache.keep(&key, &code) {
        // The plugin is there all the same; the next start compiles it again.
        tracing::warn!("{error}");
    }
    Ok(compiled)
}

fn deserialize_each(engines: &Engines, code: &[u8]) -> Result<Compiled, LoadError> {
    Ok(Compiled { calls: deserialize(&engines.calls, code)?, streams: deserialize(&engines.streams, code)? })
}

#[expect(unsafe_code, reason = "the engine cannot check machine code; the callers' only sources are ours")]
fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component, LoadError> {
    // SAFETY: `code` must be what this engine's compiler made, unchanged. It has two sources. One is the output of
    // our own program run as the compile child, over a pipe that nobody else holds. The other is `Cache::find`,
    // which returns only bytes whose digest under this engine's key it has just checked, from a folder that it
    // found to be owned by us and closed to others; nobody who can forge that needs to, for they are us. The bytes
    // are copied from here, so no file that changes later is mapped.
    unsafe { Component::deserialize(engine, code) }.map_err(|error| LoadError::Compile(error.to_string()))
}

#[cfg(test)]
mod tests;
