//! The contract of `wit/` as Rust types. Generated; nothing else in the room names the wire types' layout.

/// The exported interface of adapters.
pub(super) const ADAPTER_INTERFACE: &str = "tollgate:plugin/adapter@0.1.0";

/// The world of provider adapters.
pub(super) mod adapter {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "provider-adapter",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The world of template renderers.
pub(super) mod renderer {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "template-renderer",
        with: { "tollgate:plugin/log": super::adapter::tollgate::plugin::log },
    });
}
