//! The three things that are measured: a fake by itself, plain Pingora before it, and Tollgate before both fakes.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tempfile::TempDir;
use tollgate_fakes::{Dialect, Fake};

use crate::{
    fill::{fill, now_ms},
    load::{Call, answers},
    process::{LOAD_CPU, Process, SUBJECT_CPU, pin},
};

const START_PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = "sk-tg-0000000000000000000000000000000000000000benches";
/// A stream of 50 words.
const STREAM: &str = "fake:slow?frames=50";
/// The same, 20 ms apart.
const PACED: &str = "fake:slow?frames=50&frame_ms=20";
/// Words of a stream that is held open, the last of which are missing.
pub(crate) const WORDS_HELD: usize = 1000;
const HELD: &str = "fake:stall?frames=2000&after=1010";

/// What a call goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Floor,
    OpenAi,
    Anthropic,
}

/// Which answer a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Whole,
    Stream,
    Paced,
    /// A stream that says [`WORDS_HELD`] words and a few, and then no more.
    Held,
}

/// Which CPUs whose threads run on.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// One worker thread for each.
    pub(crate) subject: Vec<usize>,
    pub(crate) load: Vec<usize>,
}

impl Placement {
    /// One CPU for the process under measurement, another for all else.
    pub(crate) fn alone() -> Placement {
        Placement { subject: vec![SUBJECT_CPU], load: vec![LOAD_CPU] }
    }
}

/// All processes of a measurement.
pub(crate) struct Bench {
    openai: Fake,
    anthropic: Fake,
    floor: (Process, SocketAddr),
    gateway: Option<(Process, SocketAddr)>,
    placement: Placement,
    /// Holds the gateway's configuration and data.
    home: TempDir,
}

impl Bench {
    /// Starts the fakes and the floor, and confines the calling thread to the load's CPUs. The gateway is not started
    /// yet.
    pub(crate) fn start(placement: Placement) -> anyhow::Result<Bench> {
        pin(&placement.load)?;
        let openai = Fake::start(Dialect::OpenAi, "127.0.0.1:0")?;
        let anthropic = Fake::start(Dialect::Anthropic, "127.0.0.1:0")?;
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        let threads = placement.subject.len().to_string();
        command.args(["floor", &address.to_string(), &openai.address().to_string(), &threads]);
        let mut floor = Process::start(&mut command, &placement.subject)?;
        await_answer(&mut floor, address, &Call::new(address, KEY, "gpt-4o", false))?;
        floor.ensure_confined(&placement.subject)?;
        let home = tempfile::tempdir()?;
        Ok(Bench { openai, anthropic, floor: (floor, address), gateway: None, placement, home })
    }

    /// Ends the gateway, and fills its ledger with the rows of a year.
    pub(crate) fn fill(&mut self, rows: u64) -> anyhow::Result<()> {
        self.gateway = None;
        Ok(fill(&self.home.path().join("data/store"), rows, now_ms())?)
    }

    /// Starts `binary`, or starts it again, and returns how long its first answer took.
    pub(crate) fn start_gateway(&mut self, binary: &Path) -> anyhow::Result<Duration> {
        self.gateway = None;
        let address = free_address()?;
        let config = self.home.path().join("tollgate.toml");
        fs::write(&config, self.configuration([address, free_address()?, free_address()?])?)?;
        let mut command = Command::new(binary);
        command.args(["serve", "--config"]).arg(&config).current_dir(self.home.path());
        command.stderr(fs::File::create(self.home.path().join("log"))?);
        let begun = Instant::now();
        let mut process = Process::start(&mut command, &self.placement.subject)?;
        let first = await_answer(&mut process, address, &Call::new(address, KEY, "gpt-whole", false));
        if first.is_err() {
            let log = fs::read_to_string(self.home.path().join("log"))?;
            return first.with_context(|| format!("the gateway did not answer; it wrote:\n{log}"));
        }
        let taken = begun.elapsed();
        process.ensure_confined(&self.placement.subject)?;
        self.gateway = Some((process, address));
        Ok(taken)
    }

    /// Confines the calling thread to the load's CPUs.
    pub(crate) fn pin_load(&self) -> anyhow::Result<()> {
        pin(&self.placement.load)
    }

    /// The process that is measured on this way.
    pub(crate) fn process(&self, way: Way) -> anyhow::Result<&Process> {
        match way {
            Way::Direct => bail!("no process stands between the load and the fake"),
            Way::Floor => Ok(&self.floor.0),
            Way::OpenAi | Way::Anthropic => Ok(&self.gateway.as_ref().context("the gateway is not started")?.0),
        }
    }

    /// Where calls on this way go, and what they say.
    pub(crate) fn call(&self, way: Way, kind: Kind) -> anyhow::Result<(SocketAddr, Call)> {
        let address = match way {
            Way::Direct => self.openai.address(),
            Way::Floor => self.floor.1,
            Way::OpenAi | Way::Anthropic => self.gateway.as_ref().context("the gateway is not started")?.1,
        };
        let model = match (way, kind) {
            (Way::Direct | Way::Floor, Kind::Whole) => "gpt-4o",
            (Way::Direct | Way::Floor, Kind::Stream) => STREAM,
            (Way::Direct | Way::Floor, Kind::Paced) => PACED,
            (Way::Direct | Way::Floor, Kind::Held) => HELD,
            (Way::OpenAi, Kind::Whole) => "gpt-whole",
            (Way::OpenAi, Kind::Stream) => "gpt-stream",
            (Way::OpenAi, Kind::Paced) => "gpt-paced",
            (Way::OpenAi, Kind::Held) => "gpt-held",
            (Way::Anthropic, Kind::Whole) => "claude-whole",
            (Way::Anthropic, Kind::Stream) => "claude-stream",
            (Way::Anthropic, Kind::Paced) => "claude-paced",
            (Way::Anthropic, Kind::Held) => "claude-held",
        };
        Ok((address, Call::new(address, KEY, model, kind != Kind::Whole)))
    }

    /// Every feature on: keys, caps, ledger, metrics.
    fn configuration(&self, [address, metrics, admin]: [SocketAddr; 3]) -> anyhow::Result<String> {
        let threads = self.placement.subject.len();
        let data = self.home.path().join("data");
        let data = data.to_str().context("the temporary folder's name is not UTF-8")?;
        let (openai, anthropic) = (self.openai.base_url(Dialect::OpenAi), self.anthropic.base_url(Dialect::Anthropic));
        let mut text = format!(
            r#"
[server]
listen = "{address}"
metrics_listen = "{metrics}"
admin_listen = "{admin}"
data_dir = "{data}"
threads = {threads}

[providers.openai]
adapter = "openai"
base_url = "{openai}"
keys = ["sk-fake-openai"]

[providers.claude]
adapter = "anthropic"
base_url = "{anthropic}"
keys = ["sk-fake-anthropic"]

[keys.benches]
key = "{KEY}"
models = ["*"]
limits = {{ tokens_per_day = 1000000000000, requests_per_minute = 100000000, concurrent = 100000 }}
"#
        );
        for (provider, prefix, whole) in [("openai", "gpt", "gpt-4o"), ("claude", "claude", "claude-sonnet-4")] {
            for (kind, model) in [("whole", whole), ("stream", STREAM), ("paced", PACED), ("held", HELD)] {
                text += &format!(
                    r#"
[models."{prefix}-{kind}"]
targets = [{{ provider = "{provider}", model = "{model}" }}]
price = {{ currency = "USD", input_per_million = "2.50", output_per_million = "10.00" }}
"#
                );
            }
        }
        Ok(text)
    }
}

/// Tries `call` until it is answered.
fn await_answer(process: &mut Process, address: SocketAddr, call: &Call) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    loop {
        let fault = match answers(address, call) {
            Ok(()) => return Ok(begun.elapsed()),
            Err(fault) => fault,
        };
        if process.has_ended() {
            return Err(fault.context("the process ended before its first answer"));
        }
        if begun.elapsed() > START_PATIENCE {
            return Err(fault.context("no answer in time"));
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
