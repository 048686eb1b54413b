//! The models that a client may use.

use crate::call::json::{push_quoted, push_u64};

/// The answer to `GET /models`, from ids, their times of creation in Unix seconds and their owners.
pub fn models_list<'a>(models: impl Iterator<Item = (&'a str, u64, &'a str)>) -> Vec<u8> {
    let mut list = b"{\"object\":\"list\",\"data\":[".to_vec();
    for (index, (id, created_s, owned_by)) in models.enumerate() {
        if index > 0 {
            list.push(b',');
        }
        push_model(id, created_s, owned_by, &mut list);
    }
    list.extend_from_slice(b"]}");
    list
}

/// The answer to `GET /models/{id}`.
pub fn model_body(id: &str, created_s: u64, owned_by: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(80 + id.len());
    push_model(id, created_s, owned_by, &mut body);
    body
}

fn push_model(id: &str, created_s: u64, owned_by: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    push_quoted(id, out);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":");
    push_u64(created_s, out);
    out.extend_from_slice(b",\"owned_by\":");
    push_quoted(owned_by, out);
    out.push(b'}');
}
