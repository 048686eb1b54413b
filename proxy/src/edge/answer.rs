//! The head of an answer, as HTTP writes it, and the time that a client has to take each piece.

use std::{future::Future, time::Duration};

use http::{HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use tokio::time::timeout;

use crate::engine::{ClientGoneError, Head};

/// CORS: what any page may do, since a key is asked for all the same.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id, retry-after, retry-after-ms, x-should-retry, x-ratelimit-limit-requests, x-ratelimit-limit-tokens, \
     x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, x-ratelimit-reset-tokens",
);
const ORIGIN: (HeaderName, HeaderValue) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));

/// A head to write. `is_old`: the client speaks HTTP/1.0. `cors`: pages of other origins may read the answer, and whether the request
/// names its origin.
pub(super) fn response(head: Head, is_old: bool, cors: Option<bool>) -> pingora::Result<ResponseHeader> {
    let mut response = ResponseHeader::build_no_case(head.status, Some(head.headers.len() + 5))?;
    match head.length {
        Some(_) if head.status == 204 => {}
        Some(length) => response.insert_header(header::CONTENT_LENGTH, length)?,
        // HTTP/2 strips it; HTTP/1.0 reads to the end of the connection.
        None if !is_old => response.insert_header(header::TRANSFER_ENCODING, "chunked")?,
        None => {}
    }
    if head.status != 204 {
        response.insert_header(header::CONTENT_TYPE, head.content_type)?;
    }
    for (name, value) in head.headers {
        response.insert_header(name, value)?;
    }
    if let Some(names_origin) = cors {
        response.insert_header(ORIGIN.0, ORIGIN.1)?;
        if names_origin {
            response.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)?;
        }
    }
    Ok(response)
}

/// Waits for the client to take what is written, for no longer than `time`.
///
/// # Errors
/// [`ClientGoneError`] where it does not. What was written of it is not known.
pub(super) async fn taken(
    time: Duration,
    write: impl Future<Output = pingora::Result<()>>,
) -> Result<(), ClientGoneError> {
    match timeout(time, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(ClientGoneError),
    }
}
