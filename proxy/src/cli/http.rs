//! One HTTP exchange with the admin listener, on a connection of its own.

use std::{net::SocketAddr, time::Duration};

use ureq::{Agent, http};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A plugin may take a minute to compile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const BODY_BYTES_MAX: u64 = 64 << 20;

pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) path: &'a str,
    pub(super) token: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Sends `request` to `address` and waits for the answer to it, whatever its status.
///
/// # Errors
/// The connection, the protocol, a clock or the bound on the answer's length.
pub(super) fn exchange(address: SocketAddr, request: &Request<'_>) -> Result<Response, ureq::Error> {
    let settings = Agent::config_builder()
        // A proxy that the environment names must not see the token.
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(ANSWER_TIMEOUT));
    let agent: Agent = settings.build().into();
    let head = http::Request::builder()
        .method(request.method)
        .uri(format!("http://{address}{}", request.path))
        .header(http::header::AUTHORIZATION, format!("Bearer {}", request.token))
        .header(http::header::CONTENT_TYPE, request.content_type);
    let mut answer =
        if request.body.is_empty() { agent.run(head.body(())?) } else { agent.run(head.body(request.body)?) }?;
    let body = answer.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec()?;
    Ok(Response { status: answer.status().as_u16(), body })
}
