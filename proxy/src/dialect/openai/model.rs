//! The models that a client may use.

use crate::{
    call::json::{push_quoted, push_u64},
    dialect::ListedModel,
};

/// The answer to `GET /models`.
pub(in crate::dialect) fn models_list<'a>(models: impl Iterator<Item = ListedModel<'a>>) -> Vec<u8> {
    let mut list = b"{\"object\":\"list\",\"data\":[".to_vec();
    for (index, model) in models.enumerate() {
        if index > 0 {
            list.push(b',');
        }
        push_model(&model, &mut list);
    }
    list.extend_from_slice(b"]}");
    list
}

/// The answer to `GET /models/{id}`.
pub(in crate::dialect) fn model_body(model: &ListedModel<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(80 + model.id.len());
    push_model(model, &mut body);
    body
}

fn push_model(model: &ListedModel<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    push_quoted(model.id, out);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":");
    push_u64(model.created_s, out);
    out.extend_from_slice(b",\"owned_by\":");
    push_quoted(model.owner, out);
    out.push(b'}');
}
