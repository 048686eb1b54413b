//! Before anything is sent: who asks, what, where it may go, and whether it may.

use std::sync::Arc;

use http::header;

use super::{
    call_io::CallIo,
    call_state::CallState,
    client::{BodyFault, Downstream},
};
use crate::{
    auth,
    call::{Call, Operation, Place},
    error::{Error, RequestError, TemplateError},
    gateway::Gateway,
    limit::Caps,
    plugin::RenderError,
    principal::Key,
    route,
    snapshot::Model,
    usage,
};

/// A call that may be served.
pub(super) struct Admitted {
    pub(super) call: Call,
    pub(super) model: Arc<Model>,
    /// What the prompt is estimated to hold, in tokens.
    pub(super) input_estimate: u64,
}

/// Authenticates, reads, parses, routes, renders and reserves, in this order: a bad key is told before its body is
/// read, and a refusal costs no provider anything.
///
/// # Errors
/// The first of these to refuse.
pub(super) async fn admit<D: Downstream, P>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    operation: Operation,
) -> Result<Admitted, Box<Error>> {
    let gateway = io.gateway;
    if gateway.readiness().is_err() {
        io.client.close_after();
        return Err(boxed(RequestError::Draining));
    }
    if gateway.in_flight() > gateway.bounds.calls_max {
        return Err(boxed(RequestError::Busy));
    }
    authenticate(gateway, state, io.client)?;
    let body = io.client.body().await.map_err(|fault| {
        boxed(match fault {
            BodyFault::TooLarge(max) => RequestError::TooLarge(max),
            BodyFault::Slow => RequestError::Slow,
            BodyFault::Broken => RequestError::Broken,
        })
    })?;
    let key = recheck(gateway, state)?;
    let mut call = state.identity.dialect.parse(operation, body, &gateway.bounds.call).map_err(boxed)?;
    state.identity.model.clone_from(&call.model);
    state.identity.streamed = call.stream;

    let model = route::find(&state.snapshot.models, &call.model, key.may_use(&call.model)).map_err(boxed)?.clone();
    state.attempts.model = Some(model.clone());

    // Before the hold, which is for what is really sent.
    render(state, &mut call)?;
    let input_estimate = usage::estimate(&call.prompt_size);
    let output = bound_output(&mut call, &key.account.caps, model.route.output_tokens_max)?;
    let want = input_estimate.saturating_add(output);
    let started_ms = state.timing.started_ms;
    let hold = key.account.spending.reserve(&key.account.caps, want, started_ms).map_err(boxed)?;
    state.reservation.hold = Some(hold);
    // From here on a crash leaves a row of its own.
    state.open(gateway, want);
    Ok(Admitted { call, model, input_estimate })
}

/// Finds out whose call this is, by its headers.
///
/// # Errors
/// [`Error::Denied`]
pub(super) fn authenticate<D: Downstream>(
    gateway: &Gateway,
    state: &mut CallState,
    client: &D,
) -> Result<Arc<Key>, Box<Error>> {
    let key = auth::authenticate(
        &gateway.directory,
        |key| gateway.hash_key(key),
        client.header(header::AUTHORIZATION),
        client.header(X_API_KEY),
        state.timing.started_ms,
    )
    .map_err(boxed)?;
    state.identity.key = Some(key.clone());
    Ok(key)
}

const X_API_KEY: http::HeaderName = http::HeaderName::from_static("x-api-key");

/// The caller's key as it is now: it may have changed while the body arrived.
fn recheck(gateway: &Gateway, state: &mut CallState) -> Result<Arc<Key>, Box<Error>> {
    let shown = state.identity.key.as_ref().expect("a call is authenticated before its body is read");
    let key = auth::recheck(&gateway.directory, shown, gateway.now_ms()).map_err(boxed)?;
    state.identity.key = Some(key.clone());
    Ok(key)
}

/// The most that a call may answer, in tokens. Under a token cap it is told to the provider where the client did not:
/// only so is the cap hard.
fn bound_output(call: &mut Call, caps: &Caps, model_max: u64) -> Result<u64, Box<Error>> {
    if call.operation == Operation::Embeddings {
        return Ok(0);
    }
    let capped = caps.tokens_per_day.is_some() || caps.tokens_per_month.is_some() || caps.tokens_total.is_some();
    if call.output_tokens_max.is_none() && capped {
        call.set_default("max_tokens", &model_max.to_string()).map_err(boxed)?;
    }
    Ok(call.output_tokens_max.unwrap_or(model_max).saturating_mul(u64::from(call.choices)))
}

/// Adds the message of the template that the call names, if it names one.
fn render(state: &CallState, call: &mut Call) -> Result<(), Box<Error>> {
    let Some(wanted) = call.template.take() else { return Ok(()) };
    let template =
        state.snapshot.templates.get(&wanted.name).ok_or_else(|| boxed(TemplateError::Unknown(wanted.name.clone())))?;
    let rendered = template
        .renderer
        .render(&template.source, &wanted.variables_json)
        .map_err(|fault| boxed(Error::Plugin { provider: template.renderer_name.clone(), fault }))?;
    let text = rendered.map_err(|error| match error {
        RenderError::Missing(name) => TemplateError::Missing(name),
        RenderError::Invalid(fault) => {
            TemplateError::Broken(format!("line {}, column {}: {}", fault.line, fault.column, fault.message))
        }
    });
    let text = text.map_err(boxed)?;
    let place = if template.role == "system" { Place::First } else { Place::Last };
    call.with_message(template.role, &text, place);
    Ok(())
}

/// Errors travel boxed: they are rare, and a call's future stays small.
pub(super) fn boxed(error: impl Into<Error>) -> Box<Error> {
    Box::new(error.into())
}
