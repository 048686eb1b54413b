//! Values of headers.

/// A duration as OpenAI's `x-ratelimit-reset-*` headers and Go write it: `12ms`, `1s`, `6m0s`, `1h0m1.5s`.
pub(in crate::dialect) fn go_duration(duration_ms: u64) -> String {
    if (1..1000).contains(&duration_ms) {
        return format!("{duration_ms}ms");
    }
    let (seconds, ms) = (duration_ms / 1000, duration_ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = format!(".{ms:03}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}
