//! What the compiling process gives up before it reads a component: memory and time without end, files, network and
//! other processes. A component that took the compiler over could not read the master key, nor tell anyone of it.

use std::{fs, os::fd::RawFd};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// stdin, stdout and stderr.
const FILES: u64 = 3;

/// Gives everything up for good.
///
/// # Errors
/// A sentence that says what could not be given up. Nothing may then be compiled.
pub(super) fn confine(memory_bytes: u64, cpu_s: u64) -> Result<(), String> {
    // A compiler whose gateway is gone works for nobody.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| format!("death signal not set: {error}"))?;
    close_files()?;
    for (resource, max) in [
        (Resource::As, memory_bytes),
        (Resource::Cpu, cpu_s),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, FILES),
    ] {
        let limit = Rlimit { current: Some(max), maximum: Some(max) };
        setrlimit(resource, limit).map_err(|error| format!("limit not taken: {error}"))?;
    }
    filter_calls()
}

/// Closes whatever the gateway may have left open for its children.
fn close_files() -> Result<(), String> {
    let open = fs::read_dir("/proc/self/fd").map_err(|error| format!("open files not found: {error}"))?;
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    let numbers: Vec<RawFd> = numbers.filter(|number| *number >= FILES as RawFd).collect();
    for number in numbers {
        close(number);
    }
    Ok(())
}

#[expect(unsafe_code, reason = "descriptors that nobody in this process owns can only be closed by number")]
fn close(number: RawFd) {
    // SAFETY: this process has begun a moment ago and owns no descriptor beyond the three of its pipes: what else is
    // open was inherited, so nothing here will use or close `number` again. The folder that was listed is closed
    // already; its number may be among them, and closing it once more is an error that does nothing.
    unsafe { libc::close(number) };
}

/// Leaves this thread, and those that it starts, the calls that a compiler needs. To any other, the kernel answers that
/// it does not have it: C libraries then fall back to older calls, which are looked at more closely.
///
/// # Errors
/// A sentence, if this kernel or this kind of processor has no filters.
pub(super) fn filter_calls() -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("filter of system calls not taken: {error}");
    let program: BpfProgram = filter().and_then(TryInto::try_into).map_err(|error| failed(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| failed(&error))
}

fn filter() -> Result<SeccompFilter, seccompiler::BackendError> {
    let threads = (libc::CLONE_VM | libc::CLONE_THREAD) as u64;
    let any = ALLOWED.iter().map(|call| (*call, vec![]));
    let some = [
        (libc::SYS_clone, vec![SeccompRule::new(vec![only(0, SeccompCmpOp::MaskedEq(threads), threads)?])?]),
        (libc::SYS_prctl, vec![SeccompRule::new(vec![only(0, SeccompCmpOp::Eq, libc::PR_SET_NAME as u64)?])?]),
    ];
    SeccompFilter::new(
        any.chain(some).collect(),
        SeccompAction::Errno(libc::ENOSYS as u32),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )
}

fn only(argument: u8, is: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, is, value)
}

/// Memory, threads, clocks, and the pipes that are open. None of them opens a file or a socket, or reaches another
/// process.
const ALLOWED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_write,
    libc::SYS_writev,
];

#[cfg(test)]
mod tests;
