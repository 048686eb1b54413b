//! The memory of all instances together, and each plugin's part of it.
//!
//! Charged by the size that a guest asks for, whether or not it touches it: what was granted can be touched later.
//! Invariant: a plugin can only take as much as is left for the others, so that no plugin takes everything.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Up to this size an instance counts as small: every plugin needs that much to serve at all.
const SMALL_INSTANCE_BYTES: usize = 1 << 20;
/// Small instances of one plugin may hold this many times what is left.
const SMALL_FACTOR: usize = 7;

/// The bound on the memories of all instances of the process.
pub(super) struct MemoryBudget {
    used_bytes: AtomicUsize,
    bytes_max: usize,
}

impl MemoryBudget {
    pub(super) fn new(bytes_max: usize) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget { used_bytes: AtomicUsize::new(0), bytes_max })
    }

    /// What all instances hold now, in bytes.
    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

/// What the instances of one plugin hold.
pub(super) struct MemoryShare {
    budget: Arc<MemoryBudget>,
    used_bytes: AtomicUsize,
}

impl MemoryShare {
    pub(super) fn new(budget: &Arc<MemoryBudget>) -> MemoryShare {
        MemoryShare { budget: Arc::clone(budget), used_bytes: AtomicUsize::new(0) }
    }

    /// Charges `bytes` more for an instance that then holds `instance_bytes`. Nothing is charged if it is refused.
    pub(super) fn take(&self, bytes: usize, instance_bytes: usize) -> bool {
        let more = |total: usize| {
            let total = total.saturating_add(bytes);
            let own = self.used_bytes.load(Ordering::Acquire).saturating_add(bytes);
            admits(total, own, self.budget.bytes_max, instance_bytes).then_some(total)
        };
        // What is refused is never added: another plugin would be refused for it.
        let granted = self.budget.used_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok();
        if granted {
            self.used_bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        granted
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.budget.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Whether a plugin may hold `own` bytes of the `total` in use.
fn admits(total: usize, own: usize, bytes_max: usize, instance_bytes: usize) -> bool {
    let Some(left) = bytes_max.checked_sub(total) else { return false };
    let most = if instance_bytes <= SMALL_INSTANCE_BYTES { left.saturating_mul(SMALL_FACTOR) } else { left };
    own <= most
}

/// A quarter of the memory that this process may use.
pub(super) fn default_bytes_max() -> usize {
    usable_memory_bytes() / 4
}

/// The memory that this process may use: the machine's, or its control group's where that is less.
pub fn usable_memory_bytes() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine_bytes(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    let bytes = limits.chain(machine).min().unwrap_or(FALLBACK_BYTES);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Taken for the machine's memory where the kernel does not tell.
const FALLBACK_BYTES: u64 = 4 << 30;

/// `MemTotal` of `/proc/meminfo`.
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The files that limit the groups of `/proc/self/cgroup`, and those above them. Not all of them need be there.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for group in groups.lines() {
        let mut parts = group.splitn(3, ':');
        let (root, file) = match (parts.next(), parts.next()) {
            (Some("0"), Some("")) => ("/sys/fs/cgroup", "memory.max"),
            (Some(_), Some("memory")) => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let below = Path::new(parts.next().unwrap_or_default().trim_start_matches('/'));
        files.extend(below.ancestors().map(|folder| Path::new(root).join(folder).join(file)));
    }
    files
}

#[cfg(test)]
mod tests;
