//! Every command, with the help that it gives.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Where a configuration is looked for if nobody names one.
pub(super) const USUAL_CONFIG: &str = "config/tollgate.toml";

/// A reverse proxy for large language models whose providers are sandboxed plugins.
#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    arg_required_else_help = true,
    after_help = "Begin with `tollgate demo`: a gateway with fake providers that needs no configuration and no key.\n\
                  Then `tollgate serve --config config/tollgate.toml`. All keys of a configuration are explained in\n\
                  config/reference.toml."
)]
pub(super) struct Args {
    /// The configuration [default: config/tollgate.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C
    #[command(after_help = "Providers whose keys are unset variables are served by built-in fakes, and the start \
                            says so.\n\nExample:\n  OPENAI_API_KEY=sk-... tollgate serve --config config/tollgate.toml")]
    Serve(ServeArgs),
    /// Say whether a configuration is good, or everything that is wrong with it
    #[command(after_help = "Every fault is printed with its line and path, and the exit code is 2.\n\n\
                            Example:\n  tollgate check --config config/tollgate.toml")]
    Check,
    /// Run a gateway with fake providers, to try things out
    #[command(after_help = "Needs no configuration and no key. Its data is gone when it ends, unless --data-dir is \
                            given. Where a usual port is taken it takes a free one, and says which.\n\n\
                            Example:\n  tollgate demo --listen 127.0.0.1:8080")]
    Demo(DemoArgs),
    /// Make, list and revoke client keys
    #[command(after_help = "Works beside a running gateway, whose next call sees the change, and without one.\n\n\
                            Examples:\n  tollgate key create --name app --models 'gpt-*' --tokens-per-day 100000\n  \
                            tollgate key list\n  tollgate key revoke app")]
    Key(KeyArgs),
    /// Show what each key has used
    #[command(
        after_help = "Examples:\n  tollgate usage\n  tollgate usage --json | jq '.usage[] | {name, input_tokens}'"
    )]
    Usage(UsageArgs),
    /// List plugins, and check whether a component can be one
    #[command(
        after_help = "Examples:\n  tollgate plugin list\n  tollgate plugin check mine.wasm --capabilities log,tokenize"
    )]
    Plugin(PluginArgs),
    /// Write keys, rows and sums as JSON lines: a backup, or the way to another build
    #[command(after_help = "The gateway must not run. The dump holds no key, only keyed hashes: keep the master key \
                            beside it.\n\nExample:\n  tollgate dump --file backup.jsonl")]
    Dump(DumpArgs),
    /// Fill an empty store from a dump
    #[command(after_help = "The gateway must not run, and the data directory must hold no store yet, and no journal \
                            of another. Put the master\nkey there too: another one is refused. A dump that is not \
                            whole is refused, and leaves nothing behind.\n\nExample:\n  tollgate load backup.jsonl")]
    Load(LoadArgs),
    /// Compile the component on stdin; the gateway calls this of itself
    #[command(hide = true)]
    CompilePlugin { bounds: Vec<String> },
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Refuse to start where a provider has no key, rather than serve it from a fake
    #[arg(long)]
    pub(super) no_fakes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Where to listen for calls [default: 127.0.0.1:8080, or a free port where that is taken]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<std::net::SocketAddr>,
    /// Keep keys and usage here [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    pub(super) command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key and print it alone on stdout. It cannot be shown again
    #[command(after_help = "Examples:\n  tollgate key create --name app\n  \
                            KEY=$(tollgate key create --name ci --models 'gpt-*,claude-sonnet' --expires 30d)\n  \
                            tollgate key create --name trial --tokens-total 50000 --requests-per-minute 10")]
    Create(CreateArgs),
    /// List keys; never the keys themselves
    List {
        /// As one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key for good: the next call with it is refused. A name revokes all keys of that name
    Revoke {
        /// The key's id (`key_...`) or its name
        #[arg(value_name = "ID|NAME")]
        wanted: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// What to call it: letters, digits, `_`, `-`, `.`
    #[arg(long)]
    pub(super) name: String,
    /// Models it may use: names, or beginnings of names that end in `*`
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "*")]
    pub(super) models: Vec<String>,
    /// Tokens in a UTC day, prompts and answers together
    #[arg(long, value_name = "N")]
    pub(super) tokens_per_day: Option<u64>,
    /// Tokens in a UTC month
    #[arg(long, value_name = "N")]
    pub(super) tokens_per_month: Option<u64>,
    /// Tokens for as long as the key exists
    #[arg(long, value_name = "N")]
    pub(super) tokens_total: Option<u64>,
    /// Calls in any 60 seconds
    #[arg(long, value_name = "N")]
    pub(super) requests_per_minute: Option<u32>,
    /// Calls at one time
    #[arg(long, value_name = "N")]
    pub(super) concurrent: Option<u32>,
    /// When it ends: 2027-01-31, 2027-01-31T12:00:00Z, or after 90m, 12h, 30d, 4w
    #[arg(long, value_name = "T")]
    pub(super) expires: Option<String>,
    /// The user to whom the ledger adds this key's calls
    #[arg(long, default_value = "")]
    pub(super) user: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct DumpArgs {
    /// Write to this new file, for its owner alone; `-` is stdout [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct LoadArgs {
    /// The dump; `-` is stdin
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct UsageArgs {
    /// As one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    pub(super) command: PluginCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// List the plugins of the running gateway, or those that it would load
    List {
        /// As one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Load a component as the gateway would, and say what it is or why it is refused
    Check {
        /// The component
        file: PathBuf,
        /// What it may import: log, sign, tokenize
        #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = ["log", "sign", "tokenize"])]
        capabilities: Vec<String>,
    },
}
