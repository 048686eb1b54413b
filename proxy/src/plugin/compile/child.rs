//! The compiler as a process of its own: bounded by the kernel from inside, and by a clock from outside.

use std::{
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{
    super::{LoadError, Settings, engine, printable::printable},
    confine::confine,
};

const CODE_BYTES_MAX: u64 = 256 << 20;
const COMPLAINT_BYTES_MAX: u64 = 4096;
/// Processor time is bounded in the child; this bounds a child that waits.
const WALL_FACTOR: u64 = 4;

/// Compiles `wasm` in a child. Blocks for as long as it takes, or as it may.
pub(super) fn compile(program: &Path, args: &[String], wasm: &[u8], settings: &Settings) -> Result<Vec<u8>, LoadError> {
    let mut child = Command::new(program)
        .args(args)
        .args([settings.compile_memory_bytes_max.to_string(), settings.compile_cpu_s_max.to_string()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("`{}` cannot be started: {error}", program.display())))?;
    let wait = Duration::from_secs(settings.compile_cpu_s_max.saturating_mul(WALL_FACTOR));
    let outcome = converse(&mut child, wasm, wait);
    // Whatever it answered, it must not outlive this call; both fail only where it is gone already.
    let _ = child.kill();
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let (code, complaint) = outcome?;
    if !status.success() {
        return Err(failed(reason(status, &complaint)));
    }
    if code.len() as u64 > CODE_BYTES_MAX {
        return Err(failed(format!("becomes more than {CODE_BYTES_MAX} bytes of machine code")));
    }
    Ok(code)
}

fn failed(reason: String) -> LoadError {
    LoadError::Compile(reason)
}

/// Writes the component to the child and reads what it makes of it, and its complaint, within `wait`.
fn converse(child: &mut Child, wasm: &[u8], wait: Duration) -> Result<(Vec<u8>, String), LoadError> {
    let piped = "the child was started with pipes";
    let (mut stdin, stdout, stderr) =
        (child.stdin.take().expect(piped), child.stdout.take().expect(piped), child.stderr.take().expect(piped));
    thread::scope(|scope| {
        // A child that dies early breaks this pipe; its exit says why, better than the write's error could.
        scope.spawn(move || stdin.write_all(wasm).is_ok());
        let (done, finished) = mpsc::channel();
        let complaint = scope.spawn(move || read(stderr, COMPLAINT_BYTES_MAX));
        let code = scope.spawn(move || {
            let code = read(stdout, CODE_BYTES_MAX + 1);
            // The receiver is gone when the child was too slow, and then nobody wants to know.
            let _ = done.send(());
            code
        });
        if finished.recv_timeout(wait).is_err() {
            // Its pipes close with it, which ends the threads above.
            let _ = child.kill();
            return Err(failed(format!("took more than {} s", wait.as_secs())));
        }
        let whole = "reading a pipe does not panic";
        let code = code.join().expect(whole).map_err(|error| failed(error.to_string()))?;
        if code.len() as u64 > CODE_BYTES_MAX {
            let _ = child.kill();
        }
        let complaint = complaint.join().expect(whole).unwrap_or_default();
        Ok((code, String::from_utf8_lossy(&complaint).into_owned()))
    })
}

fn read(from: impl Read, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn reason(status: ExitStatus, complaint: &str) -> String {
    match status.signal() {
        Some(signal) => format!("it is too expensive: the compiler was stopped by signal {signal}"),
        None if complaint.contains("memory allocation") => "it is too expensive: out of memory".to_owned(),
        None => printable(complaint.trim(), 512),
    }
}

/// What the compile child does: gives up what it does not need, reads a component from stdin, writes machine code to
/// stdout. `limits` are bytes of address space and seconds of processor time.
///
/// # Errors
/// A sentence for stderr, after which the process must exit with a failure.
pub fn compile_child(limits: &[String]) -> Result<(), String> {
    let [memory_bytes, cpu_s] = limits else {
        return Err("two limits are needed: bytes of memory and seconds of processor time".to_owned());
    };
    let number = |text: &String| text.parse::<u64>().map_err(|_| format!("`{text}` is not a number"));
    confine(number(memory_bytes)?, number(cpu_s)?)?;
    let mut wasm = Vec::new();
    io::stdin().lock().read_to_end(&mut wasm).map_err(|error| error.to_string())?;
    let engine = engine::without_pool(&Settings::default()).map_err(|error| error.to_string())?;
    let code = engine.precompile_component(&wasm).map_err(|error| format!("{error:#}"))?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&code).and_then(|()| stdout.flush()).map_err(|error| error.to_string())
}
