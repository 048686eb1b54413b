//! Temporary door until the command line is here.
use std::io::Write;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("compile-plugin") {
        return tollgate::plugin::compile_child(&args[2..]).map_err(|e| anyhow::anyhow!(e));
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let text = std::fs::read_to_string(&args[2])?;
    #[expect(clippy::disallowed_methods, reason = "main")]
    let config = tollgate::config::build(&text, |n| std::env::var(n).ok()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let given = tollgate::server::Given { master_key: None, program: std::env::current_exe()?, fakes: true };
    tollgate::server::serve(config, &given, |s| {
        let key = s.client_key.as_ref().map(|k| k.file.display().to_string());
        let _ = writeln!(std::io::stdout(), "listening {} {:?} {:?}", s.listen, key, s.model);
    })?;
    Ok(())
}
