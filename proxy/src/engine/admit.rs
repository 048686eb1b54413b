//! Before anything is sent: who asks, what, where it may go, and whether it may.

use std::{sync::Arc, time::Duration};

use http::header;
use tokio::time::timeout;

use super::{
    attempt_error::AttemptError,
    call_io::{CallIo, turn_before},
    call_state::CallState,
    client::{BodyError, Downstream, Interruption},
    large, via,
};
use crate::{
    auth,
    call::{Call, Operation, Place, Tokens},
    dialect::canonical,
    error::{Error, RequestError, TemplateError},
    gateway::{Gateway, UnreadyError},
    limit::{self, Amount, Claim, Time},
    plugin::{PluginError, RenderError},
    principal::Key,
    route,
    snapshot::Model,
    usage::{self, NonTextInput},
};

/// A call that may be served.
pub(super) struct Admitted {
    pub(super) call: Call,
    pub(super) model: Arc<Model>,
    /// What the prompt is taken to have used where nobody counts, in tokens: no more than is held for it.
    pub(super) input_estimate: u64,
    /// The most that it may use, which is held for it.
    pub(super) input_max: u64,
    /// The most that all answers together may hold, in tokens.
    pub(super) output_max: u64,
    /// The request says so.
    pub(super) is_output_told: bool,
    /// A cap counts on it.
    pub(super) is_output_capped: bool,
}

/// Authenticates, sees that there is room for a row, holds the request, reads, parses, routes, renders and holds the
/// tokens, in this order: a key that is bad or has made its calls is told before its body is read, and a refusal costs
/// no provider anything.
///
/// # Errors
/// The first of these to refuse.
pub(super) async fn admit<D: Downstream, P>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    operation: Operation,
) -> Result<Box<Admitted>, Box<Error>> {
    let gateway = io.gateway;
    let readiness = gateway.readiness();
    if readiness == Err(UnreadyError::Draining) {
        io.client.close_after();
        return Err(boxed(RequestError::Draining));
    }
    if gateway.in_flight() > gateway.bounds.calls_max {
        return Err(boxed(RequestError::Busy));
    }
    let key = authenticate(gateway, state, io.client)?;
    // Whose call it is must be known, so that the row that it cannot have is counted as lost.
    if readiness.is_err() {
        io.client.close_after();
        return Err(boxed(Error::Unrecorded));
    }
    if via::is_loop(io.client.headers(header::VIA), &gateway.via) {
        return Err(boxed(RequestError::Loop));
    }
    let time = Time { unix_ms: state.timing.started_ms, ..gateway.time() };
    state.reservation.hold = Some(limit::hold(&[claim(&key, 0)], time).map_err(boxed)?);
    let body = io.client.body().await.map_err(|fault| {
        boxed(match fault {
            BodyError::TooLarge(max) => RequestError::TooLarge(max),
            BodyError::NoRoom => RequestError::NoRoom,
            BodyError::Slow => RequestError::Slow,
            BodyError::Broken => RequestError::Broken,
            BodyError::UnsupportedEncoding => RequestError::UnsupportedEncoding,
            BodyError::InvalidEncoding => RequestError::InvalidEncoding,
        })
    })?;
    let key = recheck(gateway, state)?;
    let (dialect, bytes) = (state.identity.dialect, body.len());
    let parsed = large::scan(gateway, bytes, || dialect.parse(operation, body, &gateway.bounds.call)).await;
    let mut call = parsed.map_err(boxed)?;
    state.identity.model.clone_from(&call.model);
    state.identity.streamed = call.stream;

    let model = route::find(&state.snapshot.models, &call.model, key.may_use(&call.model)).map_err(boxed)?.clone();
    state.attempts.model = Some(model.clone());

    // Before the hold, which is for what is really sent.
    if call.template.is_some() {
        Box::pin(render(state, &mut call, io.client)).await?;
    }
    let is_output_capped = key.account.caps.bound_output() && operation == Operation::Chat;
    let (bytes, model_max) = (call.body().len(), model.route.output_tokens_max);
    let output_max = large::scan(gateway, bytes, || bound_output(&mut call, is_output_capped, model_max)).await?;
    let input_max = hold_tokens(io, state, &call, &model, output_max, time).await?;
    let input_estimate = usage::estimate(&call.prompt_size, &model.media).min(input_max);
    // From here on a crash leaves a row of its own.
    state.open(gateway, Tokens { input: input_max, output: output_max, ..Tokens::default() })?;
    let is_output_told = call.output_tokens_max.is_some();
    Ok(Box::new(Admitted { call, model, input_estimate, input_max, output_max, is_output_told, is_output_capped }))
}

/// What a call asks of its key's account.
fn claim(key: &Key, tokens: u64) -> Claim<'_> {
    Claim { account: &key.account.spending, caps: &key.account.caps, amount: Amount::tokens(tokens) }
}

/// Holds all that the call may use, and returns the most that its prompt may be.
///
/// No tokenizer makes more than one token of a byte: a call that fits with its bytes is admitted at once. The prompt of
/// one that might not is counted.
async fn hold_tokens<D: Downstream, P>(
    io: &mut CallIo<'_, D, P>,
    state: &mut CallState,
    call: &Call,
    model: &Model,
    output_max: u64,
    time: Time,
) -> Result<u64, Box<Error>> {
    let key = state.identity.key.as_ref().expect("a call is authenticated before it is held for");
    let hold = state.reservation.hold.as_mut().expect("a call is held for before its body is read");
    let has_tools = call.field("tools").is_some() || call.field("functions").is_some();
    let beside = NonTextInput { media: call.prompt_size.media, bounds: model.media, has_tools };
    let input_max = usage::input_bound(call.prompt_bytes(), &beside);
    let want = |input: u64| input.saturating_add(output_max);
    match hold.extend(&[claim(key, want(input_max))], time) {
        Ok(()) => Ok(input_max),
        // Where there is no room for the answer alone, no count makes any.
        Err(refused) if refused.remaining > output_max && tokens_left(key, time) > output_max => {
            let count = Box::pin(counted_input_max(io.gateway, key, call, model, beside));
            let counted = tokio::select! {
                biased;
                counted = count => counted?,
                why = io.client.interrupted() => return Err(boxed(match why {
                    Interruption::ClientGone => RequestError::ClientGone,
                    Interruption::Stopping => RequestError::Draining,
                })),
            };
            let input_max = counted.map_or(input_max, |counted| counted.min(input_max));
            hold.extend(&[claim(key, want(input_max))], time).map_err(boxed)?;
            Ok(input_max)
        }
        Err(refused) => Err(boxed(refused)),
    }
}

/// Holds anew what the attempts so far have used: the next one may need all that was held for the first.
///
/// # Errors
/// [`Error::Exceeded`] where there is no room for another attempt.
pub(super) fn hold_again(gateway: &Gateway, state: &mut CallState) -> Result<(), Box<Error>> {
    let used = state.attempts.spent().tokens.total();
    let more = used.saturating_sub(state.reservation.held_for_ended);
    let (Some(key), Some(hold)) = (&state.identity.key, &mut state.reservation.hold) else { return Ok(()) };
    if more > 0 {
        let time = Time { unix_ms: state.timing.started_ms, ..gateway.time() };
        hold.extend(&[claim(key, more)], time).map_err(boxed)?;
        state.reservation.held_for_ended = used;
    }
    Ok(())
}

/// What is left of the key's tokens: of several caps, by the one with the least.
fn tokens_left(key: &Key, time: Time) -> u64 {
    let limits = key.account.spending.rate_limits(&key.account.caps, time);
    limits.tokens.map_or(u64::MAX, |tokens| tokens.remaining)
}

/// How long a call waits for the place to have its prompt counted.
const COUNTING_WAIT: Duration = Duration::from_secs(10);

/// The most input tokens that the call may use, counted away from the workers, a few calls at a time. None where counting
/// failed.
///
/// # Errors
/// [`RequestError::Busy`] where too much waits to be counted.
async fn counted_input_max(
    gateway: &Gateway,
    key: &Key,
    call: &Call,
    model: &Model,
    beside: NonTextInput,
) -> Result<Option<u64>, Box<Error>> {
    let place = timeout(COUNTING_WAIT, gateway.counting.place(key.account.spending.id())).await;
    let place = place.map_err(|_| boxed(RequestError::Busy))?;
    let (counter, body) = (gateway.counter(), call.body().clone());
    let models: Vec<String> = model.counted_as().map(str::to_owned).collect();
    let counting = tokio::task::spawn_blocking(move || {
        // Nothing ends a count early: the place is taken until it is done, also where nobody waits for it any more.
        let _place = place;
        let (text, left_out) = canonical::whole_prompt_text(&body);
        // What looks like media and is none is text that was not counted.
        let uncounted = left_out.saturating_sub(beside.media.payload_bytes);
        counter.input_bound(models.iter().map(String::as_str), &text, &beside).saturating_add(uncounted)
    });
    Ok(counting.await.ok())
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

/// The most that a call may answer, in tokens of all its choices. Where a cap counts on it, it is told to the provider
/// also where the client did not: only so is the cap hard.
fn bound_output(call: &mut Call, is_capped: bool, model_max: u64) -> Result<u64, Box<Error>> {
    if call.operation == Operation::Embeddings {
        return Ok(0);
    }
    call.bound_output(is_capped.then_some(model_max)).map_err(boxed)?;
    if !is_capped {
        return Ok(call.output_tokens_max.unwrap_or(model_max).saturating_mul(u64::from(call.choices)));
    }
    let bound = call.output_bound();
    let tokens = call.output_tokens_max.unwrap_or(model_max).max(bound.tokens.unwrap_or(0));
    Ok(bound.total(tokens))
}

/// Adds the message of the template that the call names, if it names one.
async fn render<D: Downstream>(state: &CallState, call: &mut Call, client: &mut D) -> Result<(), Box<Error>> {
    let Some(wanted) = call.template.take() else { return Ok(()) };
    let template =
        state.snapshot.templates.get(&wanted.name).ok_or_else(|| boxed(TemplateError::Unknown(wanted.name.clone())))?;
    let failed = |fault: PluginError| {
        let (plugin, kind, detail) = (&template.renderer_name, fault.kind(), fault.detail().unwrap_or_default());
        tracing::warn!(plugin, kind, detail, "a template plugin failed: {fault}");
        boxed(Error::Renderer { plugin: plugin.clone(), fault })
    };
    let (renderer, caller) = (&template.renderer, state.identity.caller());
    let turn = renderer.turn(caller, template.source.len() + wanted.variables_json.len());
    let turn = turn_before(None, client, turn).await.map_err(|error| match error {
        AttemptError::Plugin(fault) => failed(fault),
        AttemptError::Stopping => boxed(RequestError::Draining),
        _ => boxed(RequestError::ClientGone),
    })?;
    let rendered = turn.run(|| renderer.render(caller, &template.source, &wanted.variables_json)).map_err(failed)?;
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
