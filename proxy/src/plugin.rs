//! The provider's dialect: adapters and renderers, each a WebAssembly component in a sandbox. The only door to
//! wasmtime.
//!
//! A component is looked at (`gate`), compiled in a process of its own (`compile`), linked with what its operator
//! granted (`guest`) and asked who it is, before it is anybody's adapter. A call waits for its plugin's turn (`turn`),
//! then runs in fresh memory, within bounds of time, memory and words, and what it says is checked (`validate`) before
//! the host acts on it.
//!
//! Invariants
//! - A guest sees values: no clock, file, socket or secret; and none of another call's.
//! - Any error drops the instance; the process and every other call go on.
//! - Nothing a guest says names a host, splits a header or reaches a log unescaped.

mod adapter;
mod bindings;
mod builtin;
mod capability;
mod compile;
mod engine;
mod fault;
mod gate;
mod guest;
mod health;
mod memory;
mod place;
mod printable;
mod registry;
mod renderer;
mod settings;
mod share;
mod shared;
mod state;
mod stream;
mod turn;
mod validate;
mod watch;

use std::{path::Path, sync::Arc};

pub use adapter::{Adapter, Context, Description, View};
pub use builtin::builtins;
pub use capability::{Capabilities, Tokenize};
pub use compile::{Compiler, compile_child};
pub use fault::{LoadError, PluginError, Scarce};
pub use memory::usable_memory_bytes;
pub(crate) use printable::printable;
pub use registry::{Kind, NotLoadedError, Registry, Source};
pub use renderer::{RenderError, Renderer, TemplateSyntaxError};
pub use settings::Settings;
pub use stream::{Stream, StreamPlace};
pub use turn::{Turn, Work};
pub use validate::{Answer, Auth, Body, EditError, GuestJsonError, Request, SCHEMES, ValidateError};
pub use watch::{Called, Function, Observer, Watch};

use compile::{Cache, Compiled};
use gate::World;
use shared::HostShared;

/// The sandbox. One for a process, made after its last fork: it starts a thread and maps terabytes of addresses.
pub struct Host {
    shared: Arc<HostShared>,
    cache: Cache,
    compiler: Compiler,
}

impl Host {
    /// `cache_dir` keeps compiled code; it is made if absent, and must be ours alone.
    ///
    /// # Errors
    /// [`LoadError::Engine`] if this machine cannot run guests, [`LoadError::Cache`] if the folder will not do.
    pub fn new(
        settings: Settings,
        cache_dir: &Path,
        compiler: Compiler,
        tokenize: Arc<dyn Tokenize>,
        observer: Arc<dyn Observer>,
    ) -> Result<Host, LoadError> {
        let engines = engine::start(&settings)?;
        if !engines.pooled {
            tracing::warn!("too little address space for pooled sandboxes; plugin calls will be slower");
        }
        let cache = Cache::open(cache_dir, &engines.calls)?;
        Ok(Host { shared: Arc::new(HostShared::new(settings, engines, tokenize, observer)), cache, compiler })
    }

    /// Makes `wasm` the adapter that its operator calls `name`. Slow when `wasm` was not compiled before.
    ///
    /// # Errors
    /// [`LoadError`], which says in a sentence what is wrong.
    pub fn load_adapter(&self, name: &str, wasm: &[u8], granted: Capabilities) -> Result<Adapter, LoadError> {
        let component = self.component(wasm, World::Adapter, granted)?;
        Adapter::load(&self.shared, name, &component, granted)
    }

    /// Makes `wasm` the renderer that its operator calls `name`.
    ///
    /// # Errors
    /// As [`Host::load_adapter`].
    pub fn load_renderer(&self, name: &str, wasm: &[u8], granted: Capabilities) -> Result<Renderer, LoadError> {
        let component = self.component(wasm, World::Renderer, granted)?;
        Renderer::load(&self.shared, name, &component, granted)
    }

    /// Instances in use now.
    pub fn instances(&self) -> u32 {
        self.shared.calls.taken() + self.shared.streams.taken()
    }

    /// The memories of all instances in use now, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.shared.memory.used_bytes()
    }

    /// Memory that unused sandboxes keep, in bytes.
    pub fn idle_bytes(&self) -> usize {
        self.shared.engines.idle_bytes()
    }

    fn component(&self, wasm: &[u8], world: World, granted: Capabilities) -> Result<Compiled, LoadError> {
        gate::inspect(wasm, world, granted, &self.shared.settings)?;
        compile::component(&self.shared.engines, &self.cache, &self.compiler, wasm, &self.shared.settings)
    }
}
