//! A renderer: one template language.

use std::sync::Arc;

use wasmtime::component::ComponentExportIndex;

use super::{
    Capabilities, Function, LoadError, PluginError, Turn, Work,
    bindings::renderer::exports::tollgate::plugin::renderer as exported,
    compile::Compiled,
    guest::{CallInput, Guest},
    printable::printable,
    shared::HostShared,
    validate::{self, ValidateError},
};

const INTERFACE: &str = "tollgate:plugin/renderer@0.1.0";
const VARIABLES_MAX: usize = 1024;
const VARIABLE_BYTES_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 1024;

/// Why a template was not rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The template uses a variable that was not given.
    #[error("variable `{0}` is missing")]
    Missing(String),
    #[error("{0}")]
    Invalid(TemplateSyntaxError),
}

/// Where a template is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct TemplateSyntaxError {
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    pub message: String,
}

/// A loaded renderer. Cheap to clone; calls in progress keep it alive.
#[derive(Clone)]
pub struct Renderer(Arc<Loaded>);

struct Loaded {
    guest: Guest,
    check: ComponentExportIndex,
    render: ComponentExportIndex,
    name: String,
    version: String,
}

type Check<'a> = (&'a str,);
type Checked = (Result<Vec<String>, exported::Fault>,);
type Render<'a> = (&'a str, &'a str);
type Rendered = (Result<String, exported::RenderError>,);

impl Renderer {
    /// Links the component, checks each function against the contract, and asks it who it is.
    pub(super) fn load(
        shared: &Arc<HostShared>,
        name: &str,
        compiled: &Compiled,
        granted: Capabilities,
    ) -> Result<Renderer, LoadError> {
        let guest = Guest::link(shared, &shared.context(name), &compiled.calls, granted)?;
        let export = |function| guest.export(INTERFACE, function);
        let (describe, check, render) = (export("describe")?, export("check")?, export("render")?);
        let first_call = |fault| LoadError::FirstCall { function: "describe", fault };
        let mut instance = guest.first_instance().map_err(first_call)?;
        instance.agrees::<(), (exported::Description,)>("describe", &describe)?;
        instance.agrees::<Check<'_>, Checked>("check", &check)?;
        instance.agrees::<Render<'_>, Rendered>("render", &render)?;
        let (said,) = instance.call::<(), (exported::Description,)>(&describe, ()).map_err(first_call)?;
        drop(instance);
        validate::identity(&said.name, &said.version)
            .map_err(|reason| first_call(ValidateError::Description(reason).into()))?;
        Ok(Renderer(Arc::new(Loaded { guest, check, render, name: said.name, version: said.version })))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// Waits until the plugin may work on `bytes` of a `caller`'s text. The work itself is then the turn's to run.
    ///
    /// # Errors
    /// As [`Adapter::turn`](super::Adapter::turn).
    pub async fn turn(&self, caller: u64, bytes: usize) -> Result<Turn<'_>, PluginError> {
        self.0.guest.turn(Work::Template { caller }, bytes).await
    }

    /// The names of the variables that `source` uses, each once, in order of appearance.
    ///
    /// # Errors
    /// [`PluginError`] if the guest failed; the inner [`TemplateSyntaxError`] if `source` is no template.
    pub fn check(&self, source: &str) -> Result<Result<Vec<String>, TemplateSyntaxError>, PluginError> {
        let Loaded { guest, check, .. } = &*self.0;
        let input = CallInput { input_bytes: source.len(), ..CallInput::default() };
        guest.instance(Function::Check, guest.shared().settings.encode_deadline_ms, input, |instance| {
            let (checked,) = instance.call::<Check<'_>, Checked>(check, (source,))?;
            let names = match checked {
                Ok(names) => names,
                Err(fault) => return Ok(Err(template_fault(fault))),
            };
            if names.len() > VARIABLES_MAX || names.iter().any(|name| name.len() > VARIABLE_BYTES_MAX) {
                return Err(ValidateError::Renderer("names too many variables, or too long ones").into());
            }
            Ok(Ok(names))
        })
    }

    /// `source` with each variable replaced by its value of a `caller`'s `variables`, a JSON object.
    ///
    /// # Errors
    /// [`PluginError`] if the guest failed; the inner [`RenderError`] if the template or its variables do not do.
    pub fn render(
        &self,
        caller: u64,
        source: &str,
        variables: &str,
    ) -> Result<Result<String, RenderError>, PluginError> {
        let Loaded { guest, render, .. } = &*self.0;
        let input = CallInput { secret: None, caller, input_bytes: source.len() + variables.len() };
        guest.instance(Function::Render, guest.shared().settings.encode_deadline_ms, input, |instance| {
            let (rendered,) = instance.call::<Render<'_>, Rendered>(render, (source, variables))?;
            Ok(rendered.map_err(|error| match error {
                exported::RenderError::Missing(name) => RenderError::Missing(printable(&name, VARIABLE_BYTES_MAX)),
                exported::RenderError::Invalid(fault) => RenderError::Invalid(template_fault(fault)),
            }))
        })
    }
}

fn template_fault(fault: exported::Fault) -> TemplateSyntaxError {
    let message = printable(&fault.message, MESSAGE_BYTES_MAX);
    TemplateSyntaxError { line: fault.line, column: fault.column, message }
}
