//! An adapter: one provider's dialect. Each call of a function gets an instance of its own.

use std::sync::Arc;

use wasmtime::component::ComponentExportIndex;

use super::{
    Answer, Capabilities, Function, LoadError, PluginError, Request, Stream, StreamPlace, Turn, Work,
    bindings::{
        ADAPTER_INTERFACE,
        adapter::{exports::tollgate::plugin::adapter as exported, tollgate::plugin::types as wire},
    },
    compile::Compiled,
    guest::{CallInput, Guest, Instance},
    shared::HostShared,
    stream::{StreamExports, Streamed},
    validate::{self, ValidateError},
};
use crate::call::{Failure, Operation};

const SCHEMA_BYTES_MAX: usize = 64 << 10;
const SCHEMA_DEPTH_MAX: usize = 32;

/// What a plugin may know of a call besides its text.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub request_id: &'a str,
    /// Whose call it is, as a number that no plugin sees: a plugin that fails one caller's calls may serve all others.
    pub caller: u64,
    pub operation: Operation,
    /// The model's name at the provider.
    pub model: &'a str,
    /// Whether the client asked for a stream.
    pub streaming: bool,
    /// The operator's settings for this provider: a JSON object without secrets.
    pub config: &'a str,
    pub now_ms: u64,
    /// Fresh randomness for this call.
    pub seed: u64,
    /// What `encode` returned as `state`.
    pub state: Option<&'a str>,
}

/// How much of the canonical request `encode` is to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Every top-level field but `messages` and `input`.
    Head,
    Whole,
}

/// What an adapter says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub operations: Vec<Operation>,
    pub view: View,
    /// A JSON Schema of the operator's settings.
    pub config_schema: String,
}

/// A loaded adapter. Cheap to clone; calls in progress keep it alive.
#[derive(Clone)]
pub struct Adapter(Arc<Loaded>);

struct Loaded {
    guest: Guest,
    exports: Exports,
    /// The same component, where streams live.
    streamed: Arc<Streamed>,
    description: Description,
}

struct Exports {
    describe: ComponentExportIndex,
    encode: ComponentExportIndex,
    decode: ComponentExportIndex,
    classify: ComponentExportIndex,
}

type Encode<'a> = (&'a wire::CallContext<'a>, &'a str);
type Encoded = (Result<wire::UpstreamRequest, wire::Failure>,);
type Reply<'a> = (&'a wire::CallContext<'a>, u16, &'a [wire::HeaderParam<'a>], &'a str);
type Decoded = (Result<wire::Answer, wire::Failure>,);
type Classified = (wire::Failure,);

impl Adapter {
    /// Links the component, checks each function against the contract, and asks it who it is.
    pub(super) fn load(
        shared: &Arc<HostShared>,
        name: &str,
        compiled: &Compiled,
        granted: Capabilities,
    ) -> Result<Adapter, LoadError> {
        let context = shared.context(name);
        let guest = Guest::link(shared, &context, &compiled.calls, granted)?;
        let exports = Exports::find(&guest)?;
        let first_call = |fault| LoadError::FirstCall { function: "describe", fault };
        let mut instance = guest.first_instance().map_err(first_call)?;
        let initial_bytes = instance.memory_bytes();
        exports.agree(&mut instance)?;
        // It is the same component where streams live, and their places are theirs.
        StreamExports::find(&guest)?.agree(&mut instance)?;
        let (described,) = instance.call::<(), (exported::Description,)>(&exports.describe, ()).map_err(first_call)?;
        let description = description(described).map_err(|invalid| first_call(invalid.into()))?;
        drop(instance);
        let streamed = Streamed::new(Guest::link(shared, &context, &compiled.streams, granted)?, initial_bytes)?;
        Ok(Adapter(Arc::new(Loaded { guest, exports, streamed: Arc::new(streamed), description })))
    }

    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// Waits until the plugin may do `work` on `bytes` of text. The work itself is then the turn's to run.
    ///
    /// # Errors
    /// [`PluginError::Resting`] if it failed too often lately, [`PluginError::Busy`] if too much waits for it already.
    pub async fn turn(&self, work: Work, bytes: usize) -> Result<Turn<'_>, PluginError> {
        self.0.guest.turn(work, bytes).await
    }

    /// The canonical `request`, or its head, as the provider wants it. `secret` is the attempt's credential: it
    /// reaches nothing but the host's side of `sign`, and that only for an adapter that was granted it.
    ///
    /// # Errors
    /// [`PluginError`] if the guest failed; the inner [`Failure`] if it refused.
    pub fn encode(
        &self,
        context: &Context<'_>,
        request: &str,
        secret: Option<&[u8]>,
    ) -> Result<Result<Request, Failure>, PluginError> {
        let context_in = lowered(context);
        let input = CallInput { secret, caller: context.caller, input_bytes: request.len() };
        let Loaded { guest, exports, .. } = &*self.0;
        guest.instance(Function::Encode, guest.shared().settings.encode_deadline_ms, input, |instance| {
            let (encoded,) = instance.call::<Encode<'_>, Encoded>(&exports.encode, (&context_in, request))?;
            admit(encoded, validate::request)
        })
    }

    /// A successful whole answer as canonical JSON.
    ///
    /// # Errors
    /// As [`Adapter::encode`].
    pub fn decode(
        &self,
        context: &Context<'_>,
        status: u16,
        headers: &[(String, String)],
        body: &str,
    ) -> Result<Result<Answer, Failure>, PluginError> {
        let (context_in, headers) = (lowered(context), lowered_headers(headers));
        let Loaded { guest, exports, .. } = &*self.0;
        let input = CallInput { secret: None, caller: context.caller, input_bytes: body.len() };
        guest.instance(Function::Decode, guest.shared().settings.decode_deadline_ms, input, |instance| {
            let reply = (&context_in, status, headers.as_slice(), body);
            let (decoded,) = instance.call::<Reply<'_>, Decoded>(&exports.decode, reply)?;
            admit(decoded, validate::answer)
        })
    }

    /// What an unsuccessful answer means.
    ///
    /// # Errors
    /// [`PluginError`] if the guest failed.
    pub fn classify(
        &self,
        context: &Context<'_>,
        status: u16,
        headers: &[(String, String)],
        body: &str,
    ) -> Result<Failure, PluginError> {
        let (context_in, headers) = (lowered(context), lowered_headers(headers));
        let Loaded { guest, exports, .. } = &*self.0;
        let input = CallInput { secret: None, caller: context.caller, input_bytes: body.len() };
        guest.instance(Function::Classify, guest.shared().settings.decode_deadline_ms, input, |instance| {
            let reply = (&context_in, status, headers.as_slice(), body);
            let (classified,) = instance.call::<Reply<'_>, Classified>(&exports.classify, reply)?;
            Ok(validate::failure(classified))
        })
    }

    /// A place for one streamed answer, and the memory that it begins with. To be had before the provider is sent
    /// anything.
    ///
    /// # Errors
    /// [`PluginError::Busy`] if all places are taken, or the memory is in use.
    pub fn reserve_stream(&self) -> Result<StreamPlace, PluginError> {
        self.0.streamed.reserve()
    }

    /// An instance for one streamed answer. To be made at the answer's first byte: it touches memory.
    ///
    /// # Errors
    /// [`PluginError`] if the guest failed.
    pub fn stream(&self, place: StreamPlace, context: &Context<'_>) -> Result<Stream, PluginError> {
        Stream::open(Arc::clone(&self.0.streamed), place, context.caller, &lowered(context))
    }
}

impl Exports {
    fn find(guest: &Guest) -> Result<Exports, LoadError> {
        let export = |function| guest.export(ADAPTER_INTERFACE, function);
        Ok(Exports {
            describe: export("describe")?,
            encode: export("encode")?,
            decode: export("decode")?,
            classify: export("classify")?,
        })
    }

    fn agree(&self, instance: &mut Instance) -> Result<(), LoadError> {
        instance.agrees::<(), (exported::Description,)>("describe", &self.describe)?;
        instance.agrees::<Encode<'_>, Encoded>("encode", &self.encode)?;
        instance.agrees::<Reply<'_>, Decoded>("decode", &self.decode)?;
        instance.agrees::<Reply<'_>, Classified>("classify", &self.classify)
    }
}

/// The guest's success through `admit`, or its refusal.
fn admit<W, T>(
    said: Result<W, wire::Failure>,
    admit: impl FnOnce(W) -> Result<T, ValidateError>,
) -> Result<Result<T, Failure>, PluginError> {
    match said {
        Ok(value) => Ok(Ok(admit(value)?)),
        Err(failure) => Ok(Err(validate::failure(failure))),
    }
}

fn lowered<'a>(context: &Context<'a>) -> wire::CallContext<'a> {
    wire::CallContext {
        request_id: context.request_id,
        operation: match context.operation {
            Operation::Chat => wire::Operation::Chat,
            Operation::Embeddings => wire::Operation::Embeddings,
        },
        model: context.model,
        streaming: context.streaming,
        config: context.config,
        now_unix_ms: context.now_ms,
        seed: context.seed,
        state: context.state,
    }
}

fn lowered_headers(headers: &[(String, String)]) -> Vec<wire::HeaderParam<'_>> {
    headers.iter().map(|(name, value)| wire::HeaderParam { name, value }).collect()
}

fn description(said: exported::Description) -> Result<Description, ValidateError> {
    validate::identity(&said.name, &said.version).map_err(ValidateError::Description)?;
    let mut operations: Vec<Operation> = Vec::new();
    for operation in said.operations {
        let operation = match operation {
            wire::Operation::Chat => Operation::Chat,
            wire::Operation::Embeddings => Operation::Embeddings,
        };
        if operations.contains(&operation) {
            return Err(ValidateError::Description("names an operation twice"));
        }
        operations.push(operation);
    }
    if operations.is_empty() {
        return Err(ValidateError::Description("names no operation"));
    }
    if said.config_schema.len() > SCHEMA_BYTES_MAX {
        return Err(ValidateError::Description("has a schema that is too long"));
    }
    if validate::object(&said.config_schema, SCHEMA_DEPTH_MAX).is_err() {
        return Err(ValidateError::Description("has a schema that is not a JSON object, or nests too deeply"));
    }
    let view = match said.view {
        exported::View::Head => View::Head,
        exported::View::Whole => View::Whole,
    };
    Ok(Description { name: said.name, version: said.version, operations, view, config_schema: said.config_schema })
}
