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
    Called, Capabilities, Function, HostShared, LoadError, PluginError,
    bindings::adapter::tollgate::plugin::{log, sign, tokenize},
    permit::Permit,
    state::{PluginContext, State},
};

/// A component, compiled and linked with what it was granted.
pub(super) struct Guest {
    room: Arc<HostShared>,
    pre: InstancePre<State>,
    context: Arc<PluginContext>,
    may_sign: bool,
}

impl Guest {
    /// # Errors
    /// [`LoadError::Refused`] if the component imports what the linker does not offer, or does not fit the pool.
    pub(super) fn link(
        room: &Arc<HostShared>,
        context: &Arc<PluginContext>,
        component: &Component,
        granted: Capabilities,
    ) -> Result<Guest, LoadError> {
        let refused = |error: wasmtime::Error| LoadError::Refused(format!("does not fit this host: {error:#}"));
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
            room: Arc::clone(room),
            pre: linker.instantiate_pre(component).map_err(refused)?,
            context: Arc::clone(context),
            may_sign: granted.sign,
        })
    }

    pub(super) fn room(&self) -> &HostShared {
        &self.room
    }

    /// The export `function` of the exported `interface`.
    pub(super) fn export(&self, interface: &str, function: &str) -> Result<ComponentExportIndex, LoadError> {
        let component = self.pre.component();
        component
            .get_export_index(None, interface)
            .and_then(|instance| component.get_export_index(Some(&instance), function))
            .ok_or_else(|| LoadError::Refused(format!("exports no function `{function}` in `{interface}`")))
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
        let mut memory_bytes = 0;
        let result = self.enter(deadline_ms, input).and_then(|mut instance| {
            let result = work(&mut instance);
            memory_bytes = instance.memory_bytes();
            result
        });
        self.report(function, began.elapsed(), memory_bytes, result.as_ref().err());
        result
    }

    pub(super) fn report(&self, function: Function, took: Duration, memory_bytes: usize, fault: Option<&PluginError>) {
        self.context.watch.called(&Called { function, took, memory_bytes, fault: fault.map(PluginError::kind) });
    }

    /// A fresh instance whose clock runs.
    pub(super) fn enter(&self, deadline_ms: u64, input: CallInput<'_>) -> Result<Instance, PluginError> {
        let settings = &self.room.settings;
        let permit = self.room.permits.take().ok_or(PluginError::Busy)?;
        let secret = input.secret.filter(|_| self.may_sign);
        let state = State::new(settings, &self.context, secret, input.now_ms);
        let mut store = Store::try_new(self.pre.engine(), state).map_err(|error| PluginError::of(&error, false))?;
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(settings.output_bytes_max + input.input_bytes.saturating_mul(PASSES));
        store.set_max_component_handles(settings.handles_max);
        store.epoch_deadline_callback(State::at_deadline);
        // Before instantiation: a start function runs there.
        let ticks = store.data_mut().begin(deadline_ms + (input.input_bytes / BYTES_PER_MS) as u64);
        store.set_epoch_deadline(ticks);
        let instance = self.pre.instantiate(&mut store).map_err(|error| fault(&error, &store))?;
        Ok(Instance { store, instance, _permit: permit })
    }
}

/// What a instance is for, as far as the guest's imports need to know.
#[derive(Clone, Copy, Default)]
pub(super) struct CallInput<'a> {
    /// What `sign` may sign with.
    pub(super) secret: Option<&'a [u8]>,
    pub(super) now_ms: u64,
    /// The text that the guest is given to work on. What it may take and say grows with it.
    pub(super) input_bytes: usize,
}

/// Text that a guest may read, translate and say for each further millisecond of its deadline, in bytes.
const BYTES_PER_MS: usize = 64 << 10;
/// How many times its input a guest may pass through the host, beside what any call may.
const PASSES: usize = 3;

/// One instance. Any error leaves it in an unknown state: whoever sees one must drop it.
pub(super) struct Instance {
    store: Store<State>,
    instance: wasmtime::component::Instance,
    /// After the store, which holds the slot that this stands for.
    _permit: Permit,
}

impl Instance {
    /// Starts the clock anew.
    pub(super) fn renew(&mut self, deadline_ms: u64) {
        let ticks = self.store.data_mut().begin(deadline_ms);
        self.store.set_epoch_deadline(ticks);
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
            Err(error) => Err(LoadError::Refused(format!("`{name}` is not the contract's: {error:#}"))),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    /// The most processor time the last call can have had, having taken `took` by the wall.
    pub(super) fn charge(&self, took: Duration) -> Duration {
        took.min(self.store.data().charged_at_most())
    }
}

fn fault(error: &wasmtime::Error, store: &Store<State>) -> PluginError {
    PluginError::of(error, store.data().limiter.starved)
}
