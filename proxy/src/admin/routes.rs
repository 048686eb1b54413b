//! The paths of the admin API.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{
        Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{AdminError, AdminState, Control, KeyShown, KeyUsage, NewKey, PluginShown, RevokedShown};
use crate::{
    config::parse_rfc3339,
    limit::Caps,
    plugin::Capabilities,
    secret::{Secret, equal},
};

const BODY_BYTES_MAX: usize = 64 << 10;

/// The answer to the creation of a key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Created {
    pub key: KeyShown,
    /// The key itself. It is shown here, now, and never again.
    pub secret: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct KeyList {
    pub keys: Vec<KeyShown>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct UsageList {
    pub usage: Vec<KeyUsage>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct PluginList {
    pub plugins: Vec<PluginShown>,
}

/// The body of a request to create a key. Its expiry is a date and time as RFC 3339 writes them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateKey {
    name: String,
    models: Option<Vec<String>>,
    #[serde(default)]
    limits: Caps,
    expires: Option<String>,
    #[serde(default)]
    user: String,
}

/// What a plugin is to be checked with: `?capabilities=log,sign`.
#[derive(Deserialize)]
struct Grants {
    #[serde(default)]
    capabilities: String,
}

impl Grants {
    fn parse(&self) -> Result<Capabilities, AdminError> {
        let mut granted = Capabilities::default();
        for name in self.capabilities.split(',').filter(|name| !name.is_empty()) {
            match name {
                "log" => granted.log = true,
                "sign" => granted.sign = true,
                "tokenize" => granted.tokenize = true,
                _ => return Err(AdminError::invalid("capabilities", format!("`{name}` is not log, sign or tokenize"))),
            }
        }
        Ok(granted)
    }
}

/// The admin API under `/api/admin`, for callers who show `token`. `component_bytes_max` bounds a plugin to check.
pub fn router(control: Arc<dyn Control>, token: Secret, component_bytes_max: usize) -> Router {
    let state = AdminState { control, token: Arc::new(token) };
    Router::new()
        .route("/api/admin/keys", get(list_keys).post(create_key))
        .route("/api/admin/keys/{id}", delete(revoke_key))
        .route("/api/admin/usage", get(usage))
        .route("/api/admin/plugins", get(plugins))
        .route(
            "/api/admin/plugins/check",
            post(move |state: State<AdminState>, query: Result<Query<Grants>, QueryRejection>, body: Body| {
                check_plugin(state, query, body, component_bytes_max)
            }),
        )
        .route("/api/admin/health", get(health))
        .fallback(|| async { AdminError::NoPath })
        .method_not_allowed_fallback(|| async { AdminError::Method })
        .layer(middleware::from_fn_with_state(state.clone(), authorize))
        .with_state(state)
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let (code, status) = self.verdict();
        let status = StatusCode::from_u16(status).expect("the verdicts are statuses");
        let refusal = self.refusal();
        let cause = Cause { code, param: refusal.param.clone(), failure: status.is_server_error().then_some(self) };
        let mut response = json(status, &serde_json::json!({ "error": refusal }));
        response.extensions_mut().insert(Arc::new(cause));
        response
    }
}

/// Why a request was refused, for the log.
struct Cause {
    code: &'static str,
    param: Option<String>,
    /// What failed here. Not kept of what the caller did wrong: its words may hold a key.
    failure: Option<AdminError>,
}

/// Lets through who shows the token, and logs why a change was refused.
async fn authorize(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let is_change = !request.method().is_safe();
    let response = if is_cross_site(request.headers()) {
        AdminError::CrossSite.into_response()
    } else if shows(request.headers(), &state.token) {
        next.run(request).await
    } else {
        AdminError::Unauthorized.into_response()
    };
    if let Some(cause) = response.extensions().get::<Arc<Cause>>() {
        let (code, param) = (cause.code, cause.param.as_deref().unwrap_or_default());
        match &cause.failure {
            Some(failure) => tracing::error!(code, "an admin request failed: {failure}"),
            None if is_change => tracing::warn!(code, param, "an admin request was refused"),
            None => {}
        }
    }
    response
}

/// Whether a browser sends the request for a page of another site. Programs send neither header.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.as_bytes());
    let site = text(SEC_FETCH_SITE);
    let origin = text(header::ORIGIN).map(|origin| {
        let scheme_end = origin.windows(3).position(|three| three == b"://").map_or(0, |at| at + 3);
        &origin[scheme_end..]
    });
    site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
        || (origin.is_some() && origin != text(header::HOST))
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the caller shows the token. Takes as long for a near miss as for a wild guess.
fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let header = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let (scheme, shown) = header.split_at_checked("bearer ".len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer ") && equal(shown.trim_ascii(), token.expose().as_bytes())
}

async fn list_keys(State(state): State<AdminState>) -> Result<Response, AdminError> {
    let (keys, now_ms) = work(&state, |control| Ok((control.list_keys(), control.now_ms()))).await?;
    let keys = keys.iter().map(|key| KeyShown::new(key, now_ms)).collect();
    Ok(json(StatusCode::OK, &KeyList { keys }))
}

async fn create_key(State(state): State<AdminState>, body: Body) -> Result<Response, AdminError> {
    let body = read(body, BODY_BYTES_MAX).await?;
    let asked: CreateKey = serde_json::from_slice(&body).map_err(|error| AdminError::Invalid {
        param: None,
        message: format!("the body does not describe a key to create: {error}"),
    })?;
    let expires_ms = match &asked.expires {
        None => None,
        Some(text) => {
            let at = parse_rfc3339(text);
            let refused = || {
                AdminError::invalid(
                    "expires",
                    format!("`{text}` is not a date and time such as `2027-01-31T00:00:00Z`"),
                )
            };
            Some(at.ok_or_else(refused)?)
        }
    };
    let models = asked.models.unwrap_or_else(|| vec!["*".to_owned()]);
    let new = NewKey { name: asked.name, models, limits: asked.limits, expires_ms, user: asked.user };
    let (entry, secret, now_ms) = work(&state, move |control| {
        let (entry, secret) = control.create_key(new)?;
        Ok((entry, secret, control.now_ms()))
    })
    .await?;
    let created = Created { key: KeyShown::new(&entry, now_ms), secret: secret.expose().to_owned() };
    Ok(json(StatusCode::CREATED, &created))
}

async fn revoke_key(
    State(state): State<AdminState>,
    wanted: Result<Path<String>, PathRejection>,
) -> Result<Response, AdminError> {
    let Path(wanted) = wanted.map_err(|_| AdminError::invalid("id", "the id or name in the path is not UTF-8"))?;
    let (revoked, now_ms) = work(&state, move |control| Ok((control.revoke_keys(&wanted)?, control.now_ms()))).await?;
    Ok(json(StatusCode::OK, &RevokedShown::new(&revoked, now_ms)))
}

async fn usage(State(state): State<AdminState>) -> Result<Response, AdminError> {
    let usage = work(&state, |control| control.usage()).await?;
    Ok(json(StatusCode::OK, &UsageList { usage }))
}

async fn plugins(State(state): State<AdminState>) -> Result<Response, AdminError> {
    let plugins = work(&state, |control| control.plugins()).await?;
    Ok(json(StatusCode::OK, &PluginList { plugins }))
}

async fn check_plugin(
    State(state): State<AdminState>,
    grants: Result<Query<Grants>, QueryRejection>,
    body: Body,
    bytes_max: usize,
) -> Result<Response, AdminError> {
    let Query(grants) = grants.map_err(|_| AdminError::invalid("capabilities", "the query cannot be read"))?;
    let granted = grants.parse()?;
    let wasm = read(body, bytes_max).await?;
    let plugin = work(&state, move |control| control.check_plugin(wasm, granted)).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "plugin": plugin })))
}

async fn health(State(state): State<AdminState>) -> Response {
    json(StatusCode::OK, &state.control.health())
}

/// Lets the gateway do something that may wait for the disk.
async fn work<T: Send + 'static>(
    state: &AdminState,
    work: impl FnOnce(&dyn Control) -> Result<T, AdminError> + Send + 'static,
) -> Result<T, AdminError> {
    let control = Arc::clone(&state.control);
    let done = tokio::task::spawn_blocking(move || work(&*control)).await;
    done.unwrap_or_else(|_| {
        Err(AdminError::Unavailable("the gateway failed while it did this; its log says why".to_owned()))
    })
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, AdminError> {
    to_bytes(body, bytes_max).await.map_err(|error| {
        let mut causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        // The connection's own errors are of this type, and the bound's is not.
        let broke_off = causes.any(|cause| cause.is::<std::io::Error>());
        if broke_off { AdminError::Incomplete } else { AdminError::TooLarge { bytes_max } }
    })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("text, numbers and lists of them become JSON");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}
