//! What plugins may use.

/// Plugins at one time: so many compiled components are kept.
pub(super) const PLUGINS_MAX: usize = 256;

/// What plugins may use. The bounds hold for each call unless they say otherwise.
#[derive(Debug, Clone)]
pub struct Settings {
    /// All memories of one instance together.
    pub memory_bytes_max: usize,
    /// All memories of all instances together. None: a quarter of what this process may use.
    pub memory_total_bytes_max: Option<usize>,
    /// Single calls in guests at one time. Beyond it, [`PluginError::Busy`](super::PluginError::Busy).
    pub calls_max: u32,
    /// Streams at one time, beside the calls. Beyond it, [`PluginError::Busy`](super::PluginError::Busy).
    pub streams_max: u32,
    /// Long pieces of work at one time; others wait. None: one for every second processor, and at least one.
    pub long_work_max: Option<u32>,
    /// Calls whose beginning may wait for that. Beyond it, [`PluginError::Busy`](super::PluginError::Busy).
    pub long_work_queue_max: u32,
    /// What one plugin may use of one processor while another plugin wants to work, in percent.
    pub cpu_share_percent: u32,
    /// So many faults of one kind of work, without a success between them, and the plugin rests: for the caller that met
    /// them, and for all where so many callers did.
    pub faults_max: u32,
    pub rest_callers_min: u32,
    /// A plugin's first rest. Each further one is twice as long, up to `rest_ms_max`.
    pub rest_ms: u64,
    pub rest_ms_max: u64,
    /// Slots that stay mapped to a plugin while unused. A slot of calls holds up to 384 KiB, one of streams nothing.
    pub warm_slots_max: u32,
    pub stack_bytes_max: usize,
    /// Resource handles of one instance.
    pub handles_max: usize,
    /// Processor time, like all deadlines here; a millisecond more for each 16 KiB of text. Wall time is bounded at
    /// twenty times as much, and never at less than a second.
    pub encode_deadline_ms: u64,
    /// For `decode` and `classify`.
    pub decode_deadline_ms: u64,
    pub push_deadline_ms: u64,
    pub describe_deadline_ms: u64,
    /// All pushes of one stream together.
    pub stream_cpu_ms_max: u64,
    /// What one call may hand to the host, in all.
    pub output_bytes_max: usize,
    pub events_per_push_max: usize,
    /// What one stream may swallow without an event.
    pub silent_bytes_max: usize,
    /// Lines that one call or stream may log; those beyond it are dropped.
    pub log_lines_per_call_max: u32,
    /// Lines that all calls of one plugin may log in a second.
    pub log_lines_per_s_max: u32,
    pub component_bytes_max: usize,
    /// Address space of the compiling process.
    pub compile_memory_bytes_max: u64,
    pub compile_cpu_s_max: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            memory_bytes_max: 128 << 20,
            memory_total_bytes_max: None,
            calls_max: 256,
            streams_max: 2000,
            long_work_max: None,
            long_work_queue_max: 10_000,
            cpu_share_percent: 50,
            faults_max: 5,
            rest_callers_min: 3,
            rest_ms: 1000,
            rest_ms_max: 60_000,
            warm_slots_max: 16,
            stack_bytes_max: 256 << 10,
            handles_max: 64,
            encode_deadline_ms: 10,
            decode_deadline_ms: 50,
            push_deadline_ms: 5,
            describe_deadline_ms: 50,
            stream_cpu_ms_max: 2000,
            output_bytes_max: 8 << 20,
            events_per_push_max: 4096,
            silent_bytes_max: 8 << 20,
            log_lines_per_call_max: 16,
            log_lines_per_s_max: 50,
            component_bytes_max: 32 << 20,
            compile_memory_bytes_max: 2 << 30,
            compile_cpu_s_max: 60,
        }
    }
}
