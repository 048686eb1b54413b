//! `tollgate serve`: the gateway itself.

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::Context as _;
use tollgate::{
    config::Config,
    server::{self, Given, Started},
};

use super::{args::ServeArgs, check, context::Context, load::load, log};

pub(super) const MASTER_KEY: &str = "TOLLGATE_MASTER_KEY";

pub(super) fn run(args: ServeArgs, context: &Context) -> anyhow::Result<()> {
    serve(load(context)?, !args.no_fakes, context)
}

/// Serves until a signal ends it.
pub(super) fn serve(config: Config, fakes: bool, context: &Context) -> anyhow::Result<()> {
    // The allocator asks for huge pages: each touched by a few bytes, they tripled the idle process. Without leave to
    // refuse them the process is merely larger.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    log::start(&config.log)?;
    let program =
        std::env::current_exe().context("cannot find the program that compiles plugins, which is this one")?;
    let given = Given { master_key: (context.env)(MASTER_KEY), program, fakes };
    let announce = |started: &Started| {
        // Nobody may be reading, and the gateway serves all the same.
        let _ = io::stdout().write_all(greeting(started).as_bytes());
    };
    Ok(server::serve(config, &given, announce)?)
}

/// What a newcomer needs: the URL, a key, and a line to paste.
pub(super) fn greeting(started: &Started) -> String {
    let base = format!("http://{}", reachable(started.listen));
    let mut text = format!("\nTollgate listens on {base}/v1\n");
    let shown = |at: Option<SocketAddr>| at.map_or("off".to_owned(), |at| format!("http://{}", reachable(at)));
    let _ =
        writeln!(text, "Admin: {}   Metrics: {}/metrics", shown(started.admin_listen), shown(started.metrics_listen));
    for (provider, variables) in &started.faked {
        let _ = writeln!(text, "Provider `{provider}` is a built-in fake, because {}.", check::unset(variables));
    }
    let key = match &started.client_key {
        Some(key) => {
            let file = key.file.display();
            if let Some(drawn) = &key.drawn {
                let _ = writeln!(text, "\nA client key was made for you and kept in {file}:\n\n  {}", drawn.expose());
            }
            key.drawn.as_ref().map_or_else(|| format!("$(cat '{file}')"), |drawn| drawn.expose().to_owned())
        }
        None => "$TOLLGATE_CLIENT_KEY".to_owned(),
    };
    if let Some(model) = &started.model {
        let body = serde_json::json!({"model": model, "messages": [{"role": "user", "content": "Hello!"}]});
        let _ = write!(
            text,
            "\nTry it:\n\n  curl {base}/v1/chat/completions -H \"Authorization: Bearer {key}\" \
             -H 'Content-Type: application/json' -d '{}'\n\n",
            body.to_string().replace('\'', r"'\''")
        );
    }
    text
}

/// An address that a client on this machine can call.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
