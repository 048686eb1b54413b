//! `tollgate serve`: the gateway itself.

use std::{
    fmt::Write as _,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::Context as _;
use tollgate::{
    config::Config,
    server::{self, ServeOptions, Started},
};

use super::{args::ServeArgs, check, context::Context, load::load, log};

pub(super) fn run(args: ServeArgs, context: &Context) -> anyhow::Result<()> {
    serve(load(context)?, !args.no_fakes, greeting, context)
}

/// Serves until a signal ends it. `greeting` is what is printed once the doors are open.
pub(super) fn serve(
    config: Config,
    fakes: bool,
    greeting: fn(&Started) -> String,
    context: &Context,
) -> anyhow::Result<()> {
    // The allocator asks for huge pages: each touched by a few bytes, they tripled the idle process. Without leave to
    // refuse them the process is merely larger.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    log::start(&config.log)?;
    let program =
        std::env::current_exe().context("cannot find the program that compiles plugins, which is this one")?;
    let given = ServeOptions { master_key: context.master_key(), program, collect: context.collect, fakes };
    let announce = |started: &Started| {
        // Nobody may be reading, and the gateway serves all the same.
        let _ = io::stdout().write_all(greeting(started).as_bytes());
    };
    Ok(server::serve(config, &given, announce)?)
}

/// What a newcomer needs: the URL, why providers are fakes, a key, and a line to paste.
pub(super) fn greeting(started: &Started) -> String {
    let mut text = doors(started);
    for (provider, variables) in &started.faked {
        let _ = writeln!(text, "Provider `{provider}` is a built-in fake, because {}.", check::unset(variables));
    }
    text + &first_call(started)
}

/// The same for the demo, whatever the environment holds.
pub(super) fn demo_greeting(started: &Started) -> String {
    let names: Vec<String> = started.faked.iter().map(|(provider, _)| format!("`{provider}`")).collect();
    let fakes = format!("All providers of the demo are built-in fakes: {}.\n", names.join(", "));
    doors(started) + &fakes + &first_call(started)
}

/// Where the process listens.
fn doors(started: &Started) -> String {
    let mut text = format!("\nTollgate listens on http://{}/v1\n", reachable(started.listen));
    let shown = |at: Option<SocketAddr>, path: &str| {
        at.map_or("off".to_owned(), |at| format!("http://{}{path}", reachable(at)))
    };
    let (admin, metrics) = (shown(started.admin_listen, ""), shown(started.metrics_listen, "/metrics"));
    let _ = writeln!(text, "Admin: {admin}   Metrics: {metrics}");
    if let Some(address) = started.admin_listen.filter(|address| !address.ip().is_loopback()) {
        let _ = writeln!(
            text,
            "Warning: the admin API listens on {address}, which other machines can reach. Who has its token can make \
             keys: let it listen on 127.0.0.1, or shut the port to others."
        );
    }
    text
}

/// A key, and a line to paste.
fn first_call(started: &Started) -> String {
    let base = format!("http://{}", reachable(started.listen));
    let mut text = String::new();
    let key = match &started.client_key {
        Some(key) => {
            let file = key.file.display();
            if let Some(generated) = &key.generated {
                let _ =
                    writeln!(text, "\nA client key was made for you and kept in {file}:\n\n  {}", generated.expose());
            }
            key.generated.as_ref().map_or_else(|| format!("$(cat '{file}')"), |generated| generated.expose().to_owned())
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
