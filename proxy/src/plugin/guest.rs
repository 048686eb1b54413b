//! A loaded component, and one instance to it: fresh memory, one unit of work, gone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, ComponentNamedList, HasSelf, InstancePre, Lift, Linker, Lower},
};

use super::{
    Called, Capabilities, Function, LoadError, PluginError, Scarce,
    bindings::adapter::tollgate::plugin::{log, sign, tokenize},
    health::Rest,
    place::Place,
    share::Kind,
    shared::HostShared,
    state::{Deadline, MemoryBound, PluginContext, ReservedMemory, State},
    turn::{Turn, Work, turn},
};

/// A component, compiled and linked with what it was granted.
pub(super) struct Guest {
    shared: Arc<HostShared>,
    pre: InstancePre<State>,
    context: Arc<PluginContext>,
    may_sign: bool,
}

impl Guest {
    /// # Errors
    /// [`LoadError::Refused`] if the component imports what the linker does not offer, or does not fit the pool.
    pub(super) fn link(
        shared: &Arc<HostShared>,
        context: &Arc<PluginContext>,
        component: &Component,
        granted: Capabilities,
    ) -> Result<Guest, LoadError> {
        let refused = |error: wasmtime::Error| LoadError::refused(&format!("does not fit this host: {error:#}"));
        component.initialize_copy_on_write_image().map_err(refused)?;
        let mut linker = Linker::new(component.engine());
        if granted.log {
            log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).map_err(refused)?;
        }
        if granted.tokenize {
            tokenize::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).map_err(refused)?;
        }
        if granted.sign {
            sign::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state).map_err(refused)?;
        }
        Ok(Guest {
            shared: Arc::clone(shared),
            pre: linker.instantiate_pre(component).map_err(refused)?,
            context: Arc::clone(context),
            may_sign: granted.sign,
        })
    }

    pub(super) fn shared(&self) -> &HostShared {
        &self.shared
    }

    /// The plugin's turn to do `work` on `bytes` of text.
    pub(super) async fn turn(&self, work: Work, bytes: usize) -> Result<Turn<'_>, PluginError> {
        turn(&self.shared, &self.context, work, bytes).await
    }

    /// The export `function` of the exported `interface`.
    pub(super) fn export(&self, interface: &str, function: &str) -> Result<ComponentExportIndex, LoadError> {
        let component = self.pre.component();
        component
            .get_export_index(None, interface)
            .and_then(|instance| component.get_export_index(Some(&instance), function))
            .ok_or_else(|| LoadError::refused(&format!("exports no function `{function}` in `{interface}`")))
    }

    /// The instance that a component is asked in who it is.
    pub(super) fn first_instance(&self) -> Result<Instance, PluginError> {
        let place = self.shared.calls.take().ok_or(PluginError::Busy(Scarce::Calls))?;
        self.enter(place, None, Instant::now(), self.shared.settings.describe_deadline_ms, CallInput::default())
    }

    /// Does `work` in a fresh instance, and reports how it went.
    pub(super) fn instance<R>(
        &self,
        function: Function,
        deadline_ms: u64,
        input: CallInput<'_>,
        work: impl FnOnce(&mut Instance) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        let began = Instant::now();
        let place = self.shared.calls.take().ok_or(PluginError::Busy(Scarce::Calls));
        let (mut memory_bytes, mut deadline) = (0, None);
        let entered = place.and_then(|place| self.enter(place, None, began, deadline_ms, input));
        // The instance ends here, so that clearing its memory is charged too.
        let result = entered.and_then(|mut instance| {
            let result = work(&mut instance);
            (memory_bytes, deadline) = (instance.memory_bytes(), Some(instance.deadline()));
            result
        });
        self.report(function, input.caller, Spent::since(began, deadline), memory_bytes, result.as_ref().err());
        result
    }

    /// Charges the plugin for a call, and tells whoever watches it how it went.
    pub(super) fn report(
        &self,
        function: Function,
        caller: u64,
        spent: Spent,
        memory_bytes: usize,
        fault: Option<&PluginError>,
    ) {
        let Spent { began, took, cost } = spent;
        let PluginContext { cpu, health, watch, .. } = &*self.context;
        let (kind, now_ns) = (function.kind(), self.shared.ns_at(began + took));
        cpu.charge(kind, now_ns, cost);
        let now_ms = now_ns / 1_000_000;
        let rest = match fault {
            Some(fault) if fault.is_plugins() => health.ended(kind, caller, now_ms, true),
            // A stream is good when it has come to its end.
            None if !matches!(function, Function::Open | Function::Push) => health.ended(kind, caller, now_ms, false),
            _ => None,
        };
        if let Some(rest) = rest {
            self.tell(function, rest);
        }
        watch.called(&Called { function, took, memory_bytes, fault: fault.map(PluginError::kind) });
    }

    fn tell(&self, function: Function, rest: Rest) {
        let (plugin, function) = (self.context.name.as_str(), function.as_str());
        match rest {
            Rest::OfCaller(rest_ms) => {
                tracing::warn!(
                    plugin,
                    function,
                    rest_ms,
                    "a plugin keeps failing one key's calls, and takes none of them for a while"
                );
            }
            Rest::OfAll(rest_ms) => {
                tracing::warn!(plugin, function, rest_ms, "a plugin keeps failing and is not called for a while");
            }
        }
    }

    /// `bytes` of memory for an instance to come, if they are to be had.
    pub(super) fn reserve_memory(&self, bytes: usize) -> Option<ReservedMemory> {
        ReservedMemory::take(&self.context, bytes)
    }

    /// A fresh instance whose clock has run since `began`, which begins with what was `reserved` for it.
    pub(super) fn enter(
        &self,
        place: Place,
        reserved: Option<ReservedMemory>,
        began: Instant,
        deadline_ms: u64,
        input: CallInput<'_>,
    ) -> Result<Instance, PluginError> {
        let settings = &self.shared.settings;
        let secret = input.secret.filter(|_| self.may_sign);
        let state = State::new(settings, &self.context, reserved, secret, began);
        let mut store = Store::try_new(self.pre.engine(), state).map_err(|error| PluginError::of(&error, false))?;
        store.limiter(|state| state);
        store.set_hostcall_fuel(fuel(settings.output_bytes_max, input.input_bytes));
        store.set_max_component_handles(settings.handles_max);
        store.epoch_deadline_callback(State::at_deadline);
        // Before instantiation: a start function runs there.
        let ticks = store.data_mut().begin(budget(deadline_ms, input.input_bytes), began);
        store.set_epoch_deadline(ticks);
        let instance = self.pre.instantiate(&mut store).map_err(|error| match store.data().limiter.refused {
            // Its memory was refused before it ran: others hold it.
            Some(MemoryBound::Total) => PluginError::Busy(Scarce::Memory),
            _ => fault(&error, &store),
        })?;
        Ok(Instance { store, instance, _place: place })
    }
}

impl Function {
    fn kind(self) -> Kind {
        match self {
            Function::Encode => Kind::Encode,
            Function::Decode => Kind::Decode,
            Function::Classify => Kind::Classify,
            Function::Open | Function::Push | Function::Finish => Kind::Stream,
            Function::Check | Function::Render => Kind::Template,
        }
    }
}

/// What a call has taken.
#[derive(Clone, Copy)]
pub(super) struct Spent {
    began: Instant,
    /// By the wall.
    took: Duration,
    /// Of processor time.
    pub(super) cost: Duration,
}

impl Spent {
    /// What a call that began at `began` has taken until now. `deadline` is its instance's.
    pub(super) fn since(began: Instant, deadline: Option<Deadline>) -> Spent {
        let took = began.elapsed();
        Spent { began, took, cost: deadline.map_or(took, |deadline| deadline.cost(took)) }
    }
}

/// What a unit of work begins with, as far as the sandbox needs to know.
#[derive(Clone, Copy, Default)]
pub(super) struct CallInput<'a> {
    /// What `sign` may sign with.
    pub(super) secret: Option<&'a [u8]>,
    /// Whose call it is.
    pub(super) caller: u64,
    /// The text that the guest is given to work on. Its deadline, and what it may answer, grow with it.
    pub(super) input_bytes: usize,
}

/// The processor time that a guest gets for `input_bytes` of text.
fn budget(deadline_ms: u64, input_bytes: usize) -> Duration {
    Duration::from_millis(deadline_ms)
        + Duration::from_millis(1) * u32::try_from(input_bytes / BYTES_PER_MS).unwrap_or(u32::MAX)
}

/// What may pass between host and guest for `input_bytes` of text, in bytes.
fn fuel(output_bytes_max: usize, input_bytes: usize) -> usize {
    output_bytes_max.saturating_add(input_bytes.saturating_mul(PASSES))
}

/// Text that a guest may read, translate and say for each further millisecond of its deadline, in bytes.
const BYTES_PER_MS: usize = 16 << 10;
/// How many times its input a guest may pass through the host, beside what any call may.
const PASSES: usize = 3;

/// One instance. Any error leaves it in an unknown state: whoever sees one must drop it.
pub(super) struct Instance {
    store: Store<State>,
    instance: wasmtime::component::Instance,
    /// After the store, which holds the slot that this stands for.
    _place: Place,
}

impl Instance {
    /// Starts the clock anew at `began`, for work on `input_bytes` of text.
    pub(super) fn renew(&mut self, began: Instant, deadline_ms: u64, output_bytes_max: usize, input_bytes: usize) {
        let ticks = self.store.data_mut().begin(budget(deadline_ms, input_bytes), began);
        self.store.set_epoch_deadline(ticks);
        self.store.set_hostcall_fuel(fuel(output_bytes_max, input_bytes));
    }

    pub(super) fn call<P, R>(&mut self, export: &ComponentExportIndex, params: P) -> Result<R, PluginError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        self.instance
            .get_typed_func::<P, R>(&mut self.store, export)
            .and_then(|function| function.call(&mut self.store, params))
            .map_err(|error| fault(&error, &self.store))
    }

    /// Whether `export` has the parameters and the result of the contract.
    pub(super) fn agrees<P, R>(&mut self, name: &str, export: &ComponentExportIndex) -> Result<(), LoadError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        match self.instance.get_typed_func::<P, R>(&mut self.store, export) {
            Ok(_) => Ok(()),
            Err(error) => Err(LoadError::refused(&format!("`{name}` is not the contract's: {error:#}"))),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    /// The deadline of the last call, as far as it was looked at.
    pub(super) fn deadline(&self) -> Deadline {
        self.store.data().deadline
    }
}

fn fault(error: &wasmtime::Error, store: &Store<State>) -> PluginError {
    PluginError::of(error, store.data().limiter.refused.is_some())
}
