//! The paths of the admin API.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{AdminError, AdminState, Control, KeyShown, KeyUsage, NewKey, PluginShown};
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

/// The body of a wish for a key, which says when it expires as people write it.
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
    let desk = AdminState { control, token: Arc::new(token) };
    Router::new()
        .route("/api/admin/keys", get(list_keys).post(create_key))
        .route("/api/admin/keys/{id}", delete(revoke_key))
        .route("/api/admin/usage", get(usage))
        .route("/api/admin/plugins", get(plugins))
        .route(
            "/api/admin/plugins/check",
            post(move |desk: State<AdminState>, query: Query<Grants>, body: Body| {
                check_plugin(desk, query, body, component_bytes_max)
            }),
        )
        .route("/api/admin/health", get(health))
        .fallback(|| async { AdminError::NoPath })
        .method_not_allowed_fallback(|| async { AdminError::Method })
        .layer(middleware::from_fn_with_state(desk.clone(), authorize))
        .with_state(desk)
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let (code, status) = self.verdict();
        if status >= 500 {
            tracing::error!(code, "admin: {self}");
        }
        let status = StatusCode::from_u16(status).expect("the verdicts are statuses");
        json(status, &serde_json::json!({ "error": self.refusal() }))
    }
}

async fn authorize(State(desk): State<AdminState>, request: Request, next: Next) -> Response {
    if shows(request.headers(), &desk.token) {
        next.run(request).await
    } else {
        AdminError::Unauthorized.into_response()
    }
}

/// Whether the caller shows the token. Takes as long for a near miss as for a wild guess.
fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let header = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let (scheme, shown) = header.split_at_checked("bearer ".len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"bearer ") && equal(shown.trim_ascii(), token.expose().as_bytes())
}

async fn list_keys(State(desk): State<AdminState>) -> Result<Response, AdminError> {
    let (keys, now_ms) = work(&desk, |control| Ok((control.list_keys()?, control.now_ms()))).await?;
    let keys = keys.iter().map(|key| KeyShown::new(key, now_ms)).collect();
    Ok(json(StatusCode::OK, &KeyList { keys }))
}

async fn create_key(State(desk): State<AdminState>, body: Body) -> Result<Response, AdminError> {
    let body = read(body, BODY_BYTES_MAX).await?;
    let wish: CreateKey = serde_json::from_slice(&body).map_err(|error| AdminError::Invalid {
        param: None,
        message: format!("the body is no wish for a key: {error}"),
    })?;
    let expires_ms = match &wish.expires {
        None => None,
        Some(text) => {
            let at = parse_rfc3339(text);
            let refused =
                || AdminError::invalid("expires", format!("`{text}` is not a at such as `2027-01-31T00:00:00Z`"));
            Some(at.ok_or_else(refused)?)
        }
    };
    let models = wish.models.unwrap_or_else(|| vec!["*".to_owned()]);
    let new = NewKey { name: wish.name, models, limits: wish.limits, expires_ms, user: wish.user };
    let (entry, secret, now_ms) = work(&desk, move |control| {
        let (entry, secret) = control.create_key(new)?;
        Ok((entry, secret, control.now_ms()))
    })
    .await?;
    let created = Created { key: KeyShown::new(&entry, now_ms), secret: secret.expose().to_owned() };
    Ok(json(StatusCode::CREATED, &created))
}

async fn revoke_key(State(desk): State<AdminState>, Path(wanted): Path<String>) -> Result<Response, AdminError> {
    let (entry, now_ms) = work(&desk, move |control| Ok((control.revoke_key(&wanted)?, control.now_ms()))).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "key": KeyShown::new(&entry, now_ms) })))
}

async fn usage(State(desk): State<AdminState>) -> Result<Response, AdminError> {
    let usage = work(&desk, |control| control.usage()).await?;
    Ok(json(StatusCode::OK, &UsageList { usage }))
}

async fn plugins(State(desk): State<AdminState>) -> Result<Response, AdminError> {
    let plugins = work(&desk, |control| control.plugins()).await?;
    Ok(json(StatusCode::OK, &PluginList { plugins }))
}

async fn check_plugin(
    State(desk): State<AdminState>,
    Query(grants): Query<Grants>,
    body: Body,
    bytes_max: usize,
) -> Result<Response, AdminError> {
    let granted = grants.parse()?;
    let wasm = read(body, bytes_max).await?;
    let plugin = work(&desk, move |control| control.check_plugin(wasm, granted)).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "plugin": plugin })))
}

async fn health(State(desk): State<AdminState>) -> Response {
    json(StatusCode::OK, &desk.control.health())
}

/// Lets the gateway do something that may wait for the disk.
async fn work<T: Send + 'static>(
    desk: &AdminState,
    work: impl FnOnce(&dyn Control) -> Result<T, AdminError> + Send + 'static,
) -> Result<T, AdminError> {
    let control = Arc::clone(&desk.control);
    let done = tokio::task::spawn_blocking(move || work(&*control)).await;
    done.unwrap_or_else(|_| Err(AdminError::Unavailable("the gateway failed at this; its log says how".to_owned())))
}

async fn read(body: Body, bytes_max: usize) -> Result<Bytes, AdminError> {
    // A client that broke off gets this answer as little as any other.
    to_bytes(body, bytes_max).await.map_err(|_| AdminError::TooLarge { bytes_max })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("text, numbers and lists of them become JSON");
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}
