//! What a panic is in a component without std: a trap. The host reports it, and the call fails; nothing is formatted.

#[cfg(all(target_family = "wasm", not(feature = "std")))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
