//! Processes: on which CPU they run, what they have used of it, and how much memory they hold.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use rustix::{
    process::getppid,
    thread::{CpuSet, sched_setaffinity},
};

/// Where the process under measurement runs, with all of its threads.
pub(crate) const SUBJECT_CPU: usize = 0;
/// Where the load and the fakes run.
pub(crate) const LOAD_CPU: usize = 1;

/// A child that is killed when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` on `cpus`, with nothing on its standard output and input.
    pub(crate) fn start(command: &mut Command, cpus: &[usize]) -> anyhow::Result<Process> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // A child inherits the CPUs of the thread that starts it.
        let child = std::thread::scope(|scope| {
            let starter = scope.spawn(|| {
                pin(cpus)?;
                Ok(command.spawn()?)
            });
            starter.join().expect("starting a process does not panic")
        });
        let child = child.map_err(|fault: anyhow::Error| fault.context(format!("starting {command:?}")))?;
        Ok(Process { child })
    }

    /// CPU time of all its threads so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        cpu_ns(Path::new(&format!("/proc/{}/task", self.child.id())))
    }

    /// Fails unless every thread of it is confined to `cpus`: what ran elsewhere would be left out of the account.
    pub(crate) fn ensure_confined(&self, cpus: &[usize]) -> anyhow::Result<()> {
        let wanted: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let Ok(status) = fs::read_to_string(task?.path().join("status")) else { continue };
            let list =
                status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no CPU list")?;
            let list = list.trim().replace('-', ",");
            anyhow::ensure!(list == wanted.join(","), "a thread may run on the CPUs {list}, not on {wanted:?}");
        }
        Ok(())
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes << 10)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that has ended already needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of this process so far, in nanoseconds.
pub(crate) fn own_cpu_ns() -> anyhow::Result<u64> {
    cpu_ns(Path::new("/proc/self/task"))
}

fn cpu_ns(tasks: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(tasks)? {
        // A thread that ended between the listing and here takes its time with it.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().unwrap_or_default().parse::<u64>().context("schedstat")?;
    }
    Ok(sum)
}

/// Confines the calling thread, and what it starts, to `cpus`.
pub(crate) fn pin(cpus: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    sched_setaffinity(None, &set).with_context(|| format!("pinning to the CPUs {cpus:?}"))
}

/// Keeps both CPUs from sleeping for as long as the result lives, in the scheduler's idle class, so that anything else
/// goes first at once.
pub(crate) fn keep_awake() -> anyhow::Result<Vec<Process>> {
    let program = std::env::current_exe()?;
    let spinner = |cpu: usize| {
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(&program).args(["spin", &cpu.to_string()]);
        Process::start(&mut command, &[cpu])
    };
    [SUBJECT_CPU, LOAD_CPU].into_iter().map(spinner).collect()
}

/// Spins on `cpu` until the parent ends.
pub(crate) fn spin(cpu: usize) -> anyhow::Result<()> {
    pin(&[cpu])?;
    let parent = getppid();
    while getppid() == parent {
        for _ in 0..1_000_000 {
            std::hint::spin_loop();
        }
    }
    Ok(())
}
