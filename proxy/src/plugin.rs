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
mod compile;
mod engine;
mod fault;
mod gate;
mod guest;
mod health;
mod memory;
mod place;
mod registry;
mod renderer;
mod share;
mod state;
mod stream;
mod turn;
mod validate;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

pub use adapter::{Adapter, Context, Description, View};
pub use builtin::builtins;
pub use compile::{Compiler, compile_child};
pub use engine::warm_thread;
pub use fault::{LoadError, PluginError};
pub use place::StreamPlace;
pub use registry::{Kind, NotLoadedError, Registry, Source};
pub use renderer::{RenderError, Renderer, TemplateSyntaxError};
pub use stream::Stream;
pub use turn::{Turn, Work};
pub use validate::{Answer, Auth, Body, EditError, GuestJsonError, Request, SCHEMES, ValidateError};

use compile::{Cache, Compiled};
use engine::Engines;
use gate::World;
use memory::MemoryBudget;
use place::Places;
use share::Demand;
use state::PluginContext;

/// What plugins may use. The bounds hold for each call unless they say otherwise.
#[derive(Debug, Clone)]
pub struct Settings {
    /// All memories of one instance together.
    pub memory_bytes_max: usize,
    /// All memories of all instances together. None: a quarter of what this process may use.
    pub memory_total_bytes_max: Option<usize>,
    /// Single calls in guests at one time. Beyond it, [`PluginError::Busy`].
    pub calls_max: u32,
    /// Streams at one time, beside the calls. Beyond it, [`PluginError::Busy`].
    pub streams_max: u32,
    /// Long pieces of work at one time; others wait. None: one for every second processor, and at least one.
    pub long_work_max: Option<u32>,
    /// What one plugin may use of one processor while another plugin wants to work, in percent.
    pub cpu_share_percent: u32,
    /// So many faults of one kind of work, without a success between them, and the plugin rests.
    pub faults_max: u32,
    /// A plugin's first rest. Each further one is twice as long, up to `rest_ms_max`.
    pub rest_ms: u64,
    pub rest_ms_max: u64,
    /// Slots that stay mapped to a plugin while unused. A slot of calls holds up to 384 KiB, one of streams nothing.
    pub warm_slots_max: u32,
    pub stack_bytes_max: usize,
    /// Resource handles of one instance.
    pub handles_max: usize,
    /// Processor time, like all deadlines here; a millisecond more for each 64 KiB of text. Wall time is bounded at
    /// twenty times as much, and never at less than a second.
    pub encode_deadline_ms: u64,
    /// For `decode` and `classify`.
    pub decode_deadline_ms: u64,
    pub push_deadline_ms: u64,
    pub describe_deadline_ms: u64,
    /// All pushes of one stream together.
    pub stream_cpu_ms_max: u64,
    /// What one call may hand to the host, in all.
    pub output_bytes_max: usize,
    pub events_per_push_max: usize,
    /// What one stream may swallow without an event.
    pub silent_bytes_max: usize,
    /// Lines that one call or stream may log; those beyond it are dropped.
    pub log_lines_per_call_max: u32,
    /// Lines that all calls of one plugin may log in a second.
    pub log_lines_per_s_max: u32,
    pub component_bytes_max: usize,
    /// Address space of the compiling process.
    pub compile_memory_bytes_max: u64,
    pub compile_cpu_s_max: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            memory_bytes_max: 128 << 20,
            memory_total_bytes_max: None,
            calls_max: 256,
            streams_max: 2000,
            long_work_max: None,
            cpu_share_percent: 50,
            faults_max: 5,
            rest_ms: 1000,
            rest_ms_max: 60_000,
            warm_slots_max: 16,
            stack_bytes_max: 256 << 10,
            handles_max: 64,
            encode_deadline_ms: 10,
            decode_deadline_ms: 50,
            push_deadline_ms: 5,
            describe_deadline_ms: 50,
            stream_cpu_ms_max: 2000,
            output_bytes_max: 8 << 20,
            events_per_push_max: 4096,
            silent_bytes_max: 8 << 20,
            log_lines_per_call_max: 16,
            log_lines_per_s_max: 50,
            component_bytes_max: 32 << 20,
            compile_memory_bytes_max: 2 << 30,
            compile_cpu_s_max: 60,
        }
    }
}

/// The imports that an operator grants a plugin. None, unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub log: bool,
    pub tokenize: bool,
    pub sign: bool,
}

/// The host's tokenizers, for guests that were granted them.
pub trait Tokenize: Send + Sync {
    /// Tokens of `text` for `model`; none if they cannot be counted. `text` has at most 64 KiB.
    fn count(&self, model: &str, text: &str) -> Option<u32>;
}

/// No tokenizer.
impl Tokenize for () {
    fn count(&self, _model: &str, _text: &str) -> Option<u32> {
        None
    }
}

/// A guest's function, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    Encode,
    Decode,
    Classify,
    /// A stream's instance and constructor.
    Open,
    Push,
    Finish,
    Check,
    Render,
}

impl Function {
    pub fn as_str(self) -> &'static str {
        match self {
            Function::Encode => "encode",
            Function::Decode => "decode",
            Function::Classify => "classify",
            Function::Open => "open",
            Function::Push => "push",
            Function::Finish => "finish",
            Function::Check => "check",
            Function::Render => "render",
        }
    }

    /// Whether each call makes an instance.
    pub fn instantiates(self) -> bool {
        !matches!(self, Function::Push | Function::Finish)
    }
}

/// One call into a guest.
#[derive(Debug, Clone, Copy)]
pub struct Called {
    pub function: Function,
    /// Wall time, instance and all.
    pub took: Duration,
    /// The most memory the instance has held.
    pub memory_bytes: usize,
    /// [`PluginError::kind`], unless the call was answered.
    pub fault: Option<&'static str>,
}

/// Who wants to know of calls into guests.
pub trait Observer: Send + Sync {
    /// Asked once for each plugin loaded, so that a call looks nothing up.
    fn watch(&self, plugin: &str) -> Arc<dyn Watch>;
}

/// Told of each call into one plugin. On the call's path: must be quick.
pub trait Watch: Send + Sync {
    fn called(&self, called: &Called);
}

/// Nobody.
impl Observer for () {
    fn watch(&self, _plugin: &str) -> Arc<dyn Watch> {
        Arc::new(())
    }
}

impl Watch for () {
    fn called(&self, _called: &Called) {}
}

/// What all guests of the process share.
struct HostShared {
    settings: Settings,
    engines: Engines,
    calls: Arc<Places>,
    streams: Arc<Places>,
    memory: Arc<MemoryBudget>,
    long_work: Semaphore,
    demand: Demand,
    began: Instant,
    plugins: AtomicU32,
    tokenize: Arc<dyn Tokenize>,
    observer: Arc<dyn Observer>,
}

impl HostShared {
    fn new(
        settings: Settings,
        engines: Engines,
        tokenize: Arc<dyn Tokenize>,
        observer: Arc<dyn Observer>,
    ) -> HostShared {
        let processors = thread::available_parallelism().map_or(1, |processors| processors.get());
        let long_work = settings.long_work_max.map_or((processors / 2).max(1), |most| most as usize);
        HostShared {
            engines,
            calls: Places::new(settings.calls_max),
            streams: Places::new(settings.streams_max),
            memory: MemoryBudget::new(settings.memory_total_bytes_max.unwrap_or_else(memory::default_bytes_max)),
            long_work: Semaphore::new(long_work),
            demand: Demand::default(),
            began: Instant::now(),
            plugins: AtomicU32::new(0),
            settings,
            tokenize,
            observer,
        }
    }

    fn context(&self, name: &str) -> Arc<PluginContext> {
        let id = self.plugins.fetch_add(1, Ordering::Relaxed) + 1;
        let watch = self.observer.watch(name);
        PluginContext::new(id, name, &self.settings, &self.memory, Arc::clone(&self.tokenize), watch)
    }

    /// `now` as the shares of the processors count it.
    fn ns_at(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}

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
