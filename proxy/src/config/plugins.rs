//! `[plugins]`: the sandbox's settings, and the operator's own plugins.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    fault::guess,
    written::{Located, Section},
};
use crate::plugin::{self, Capabilities, Kind};

const MIB: u64 = 1 << 20;
const CAPABILITIES: &[&str] = &["log", "sign", "tokenize"];

/// The sandbox and what runs in it.
#[derive(Debug, Clone)]
pub struct Plugins {
    pub sandbox: plugin::Settings,
    /// Plugins beside the built-in ones, by the name that providers and templates use.
    pub user: BTreeMap<String, UserPlugin>,
    /// What each name stands for, the built-in ones included.
    kinds: BTreeMap<String, Kind>,
}

/// A plugin of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPlugin {
    pub kind: Kind,
    /// The component, below the plugin directory unless absolute.
    pub file: PathBuf,
    /// What the file must hash to.
    pub sha256: Option<[u8; 32]>,
    pub capabilities: Capabilities,
}

impl Plugins {
    /// Complains unless a plugin of this name and kind is built in or configured.
    pub(super) fn check(&self, section: &Section<'_, '_>, name: &Located<String>, kind: Kind) {
        if self.kinds.get(&name.value) == Some(&kind) {
            return;
        }
        let known = self.kinds.iter().filter(|(_, known)| **known == kind).map(|(name, _)| name.as_str());
        let message = match self.kinds.get(&name.value) {
            Some(other) => format!("`{}` is not {}, it is {}", name.value, called(kind).1, called(*other).1),
            None => format!("unknown {} `{}`{}", called(kind).0, name.value, guess(&name.value, known)),
        };
        section.reading().absent(name, message);
    }
}

fn called(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Adapter => ("adapter", "an adapter"),
        Kind::Renderer => ("renderer", "a renderer"),
    }
}

pub(super) fn read(root: &Section<'_, '_>) -> Plugins {
    let section = root.section("plugins");
    let dir = section.text("dir").map_or(PathBuf::from("plugins"), |at| at.value.into());
    let sandbox = read_sandbox(&section);
    let mut kinds: BTreeMap<String, Kind> =
        plugin::builtins().map(|builtin| (builtin.name.to_owned(), builtin.kind)).collect();
    let mut user = BTreeMap::new();
    for (name, entry) in section.named() {
        let at = entry.at().with(name.clone());
        entry.check_name(&at);
        let (kind, plugin) = read_user(entry, &dir);
        if kinds.insert(name.clone(), kind).is_some() {
            section.reading().fault(&at, format!("`{name}` is built in: choose another name"));
        }
        user.extend(plugin.map(|plugin| (name, plugin)));
    }
    section.finish();
    Plugins { sandbox, user, kinds }
}

fn read_sandbox(section: &Section<'_, '_>) -> plugin::Settings {
    let mut sandbox = plugin::Settings::default();
    let number = |name: &str, default: usize, range| section.number_or(name, default as u64, range) as usize;
    let count = |name: &str, default: u32, most| section.number_or(name, default.into(), 1..=most) as u32;
    let clock = |name: &str, default: u64| section.number_or(name, default, 1..=60_000);
    sandbox.memory_bytes_max = number("memory_bytes_max", sandbox.memory_bytes_max, MIB..=4096 * MIB);
    let memory_total = section.number("memory_total_bytes_max", 16 * MIB..=1_048_576 * MIB);
    sandbox.memory_total_bytes_max = memory_total.map(|bytes| bytes as usize);
    if let Some(total) = memory_total {
        let most = ("memory_total_bytes_max", total);
        let bytes = section.at_most("memory_bytes_max", sandbox.memory_bytes_max as u64, most);
        sandbox.memory_bytes_max = bytes as usize;
    }
    sandbox.calls_max = count("calls_max", sandbox.calls_max, 100_000);
    sandbox.streams_max = count("streams_max", sandbox.streams_max, 100_000);
    sandbox.long_work_max = section.number("long_work_max", 1..=1024).map(|most| most as u32);
    sandbox.long_work_queue_max = count("long_work_queue_max", sandbox.long_work_queue_max, 100_000);
    sandbox.cpu_share_percent = count("cpu_share_percent", sandbox.cpu_share_percent, 10_000);
    sandbox.faults_max = count("faults_max", sandbox.faults_max, 1_000_000);
    sandbox.rest_callers_min = count("rest_callers_min", sandbox.rest_callers_min, 64);
    sandbox.rest_ms = section.number_or("rest_ms", sandbox.rest_ms, 1..=3_600_000);
    sandbox.rest_ms_max = section.number_or("rest_ms_max", sandbox.rest_ms_max, 1..=86_400_000);
    sandbox.rest_ms = section.at_most("rest_ms", sandbox.rest_ms, ("rest_ms_max", sandbox.rest_ms_max));
    sandbox.log_lines_per_call_max = count("log_lines_per_call_max", sandbox.log_lines_per_call_max, 10_000);
    sandbox.log_lines_per_s_max = count("log_lines_per_s_max", sandbox.log_lines_per_s_max, 1_000_000);
    sandbox.warm_slots_max = count("warm_slots_max", sandbox.warm_slots_max, 10_000);
    sandbox.stack_bytes_max = number("stack_bytes_max", sandbox.stack_bytes_max, 65_536..=8 * MIB);
    sandbox.handles_max = number("handles_max", sandbox.handles_max, 1..=65_536);
    sandbox.encode_deadline_ms = clock("encode_deadline_ms", sandbox.encode_deadline_ms);
    sandbox.decode_deadline_ms = clock("decode_deadline_ms", sandbox.decode_deadline_ms);
    sandbox.push_deadline_ms = clock("push_deadline_ms", sandbox.push_deadline_ms);
    sandbox.describe_deadline_ms = clock("describe_deadline_ms", sandbox.describe_deadline_ms);
    sandbox.stream_cpu_ms_max = section.number_or("stream_cpu_ms_max", sandbox.stream_cpu_ms_max, 1..=600_000);
    sandbox.output_bytes_max = number("output_bytes_max", sandbox.output_bytes_max, 65_536..=1024 * MIB);
    sandbox.events_per_push_max = number("events_per_push_max", sandbox.events_per_push_max, 1..=1_000_000);
    sandbox.silent_bytes_max = number("silent_bytes_max", sandbox.silent_bytes_max, 65_536..=1024 * MIB);
    sandbox.component_bytes_max = number("component_bytes_max", sandbox.component_bytes_max, 65_536..=1024 * MIB);
    let (name, default) = ("compile_memory_bytes_max", sandbox.compile_memory_bytes_max);
    sandbox.compile_memory_bytes_max = section.number_or(name, default, 64 * MIB..=65_536 * MIB);
    sandbox.compile_cpu_s_max = section.number_or("compile_cpu_s_max", sandbox.compile_cpu_s_max, 1..=3600);
    sandbox
}

/// What the plugin is, and the plugin itself if its table is whole.
fn read_user(section: Section<'_, '_>, dir: &Path) -> (Kind, Option<UserPlugin>) {
    let kinds = [("adapter", Kind::Adapter), ("renderer", Kind::Renderer)];
    let kind = section.choice("kind", &kinds, Kind::Adapter);
    let file = section.text("file");
    if !section.has("file") {
        section.missing("file");
    }
    let sha256 = section.text("sha256").and_then(|at| {
        let mut hash = [0; 32];
        match hex::decode_to_slice(&at.value, &mut hash) {
            Ok(()) => Some(hash),
            Err(_) => {
                section.reading().fault(&at, "must be 64 hexadecimal digits");
                None
            }
        }
    });
    let mut capabilities = Capabilities::default();
    for at in section.texts("capabilities").unwrap_or_default() {
        match at.value.as_str() {
            "log" => capabilities.log = true,
            "sign" => capabilities.sign = true,
            "tokenize" => capabilities.tokenize = true,
            other => {
                let guess = guess(other, CAPABILITIES.iter().copied());
                section.reading().fault(&at, format!("unknown capability `{other}`{guess}"));
            }
        }
    }
    section.finish();
    (kind, file.map(|file| UserPlugin { kind, file: dir.join(file.value), sha256, capabilities }))
}
