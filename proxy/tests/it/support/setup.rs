//! What the operator writes, and where a gateway lives.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, DirBuilder},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

use tempfile::TempDir;

use super::{Gateway, Provider};

/// The text of the client key that a configuration calls `name`.
pub(crate) fn key_of(name: &str) -> String {
    format!("sk-tg-integration-{name}")
}

/// A gateway before a fake, serving the model `gpt` to the key `main`.
pub(crate) fn gateway(provider: &Provider) -> Setup {
    gateway_before(provider.adapter, &provider.base_url())
}

/// A gateway before whatever answers at `base_url`, spoken to through `adapter`.
pub(crate) fn gateway_before(adapter: &str, base_url: &str) -> Setup {
    let setup = Setup::default().provider("first", adapter, base_url, "");
    setup.serves("gpt").key("main", "")
}

/// A configuration in the making. Whatever is said twice holds as it was said last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    server: String,
    providers: BTreeMap<String, String>,
    models: BTreeMap<String, String>,
    keys: BTreeMap<String, String>,
    /// Components of the operator's own.
    plugins: BTreeMap<String, Vec<u8>>,
    more: String,
    files_max: Option<u32>,
}

impl Setup {
    /// A provider called `name`. Without `keys` in `lines` it has one good key, without `retry` none is tried twice.
    pub(crate) fn provider(mut self, name: &str, adapter: &str, base_url: &str, lines: &str) -> Setup {
        let mut text = format!("adapter = {adapter:?}\nbase_url = {base_url:?}\n{lines}\n");
        if !lines.contains("keys =") {
            text.push_str("keys = [\"sk-good-key\"]\n");
        }
        if !lines.contains("retry") {
            text.push_str("retry = { attempts_max = 1 }\n");
        }
        self.providers.insert(name.to_owned(), text);
        self
    }

    /// A model served by a provider of its own, which asks for no key.
    pub(crate) fn keyless(mut self, model: &str, adapter: &str, base_url: &str) -> Setup {
        let text = format!("adapter = {adapter:?}\nbase_url = {base_url:?}\nretry = {{ attempts_max = 1 }}\n");
        self.providers.insert("keyless".to_owned(), text);
        self.model(model, &[("keyless", model)], "")
    }

    /// Says more about the provider called `first`.
    pub(crate) fn first(mut self, lines: &str) -> Setup {
        let text = self.providers.get_mut("first").expect("every gateway has a first provider");
        if lines.contains("retry") {
            *text = text.replace("retry = { attempts_max = 1 }\n", "");
        }
        if lines.contains("keys =") {
            *text = text.replace("keys = [\"sk-good-key\"]\n", "");
        }
        text.push_str(lines);
        text.push('\n');
        self
    }

    /// A model that the first provider knows by the same name, which may be a fake's scenario.
    pub(crate) fn serves(self, model: &str) -> Setup {
        self.model(model, &[("first", model)], "")
    }

    /// A model with these targets: providers, and its names there.
    pub(crate) fn model(mut self, name: &str, targets: &[(&str, &str)], lines: &str) -> Setup {
        let target = |(provider, model): &(&str, &str)| format!("{{ provider = {provider:?}, model = {model:?} }}");
        let targets: Vec<String> = targets.iter().map(target).collect();
        self.models.insert(name.to_owned(), format!("targets = [{}]\n{lines}\n", targets.join(", ")));
        self
    }

    /// A client key, whose text is [`key_of`] its name.
    pub(crate) fn key(mut self, name: &str, lines: &str) -> Setup {
        self.keys.insert(name.to_owned(), lines.to_owned());
        self
    }

    /// The limits of the key `main`.
    pub(crate) fn limits(self, limits: &str) -> Setup {
        self.key("main", &format!("limits = {{ {limits} }}"))
    }

    /// A plugin called `name`, whose file is in the gateway's house.
    pub(crate) fn plugin(mut self, name: &str, wasm: Vec<u8>) -> Setup {
        self.plugins.insert(name.to_owned(), wasm);
        self
    }

    /// Lines of `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Setup {
        self.server.push_str(lines);
        self.server.push('\n');
        self
    }

    /// How many files the process may open.
    pub(crate) fn files_max(mut self, files_max: u32) -> Setup {
        self.files_max = Some(files_max);
        self
    }

    /// Whole tables, as they stand.
    pub(crate) fn with(mut self, tables: &str) -> Setup {
        self.more.push_str(tables);
        self.more.push('\n');
        self
    }

    /// Starts the gateway and waits until it is ready.
    pub(crate) fn run(self) -> Gateway {
        Gateway::start(House::new(self))
    }

    /// A house for the gateway, which does not start yet.
    pub(crate) fn house(self) -> House {
        House::new(self)
    }

    fn text(&self, house: &House) -> String {
        let mut text = format!(
            "[server]\nlisten = \"{}\"\nmetrics_listen = \"{}\"\nadmin_listen = \"{}\"\ndata_dir = {:?}\n{}\n",
            house.listen(),
            house.metrics_listen(),
            house.admin_listen(),
            house.data_dir(),
            self.server
        );
        let mut table = |heading: &str, name: &str, lines: &str| {
            write!(text, "[{heading}.{name:?}]\n{lines}\n").expect("a string takes all that is written to it");
        };
        self.providers.iter().for_each(|(name, lines)| table("providers", name, lines));
        self.models.iter().for_each(|(name, lines)| table("models", name, lines));
        for name in self.plugins.keys() {
            table("plugins", name, &format!("file = {:?}", house.plugin(name)));
        }
        self.keys.iter().for_each(|(name, lines)| table("keys", name, &format!("key = {:?}\n{lines}", key_of(name))));
        text.push_str(&self.more);
        text
    }
}

/// Where a gateway lives: a folder, and an address of its own on loopback, so that no two tests meet.
#[derive(Debug)]
pub(crate) struct House {
    dir: TempDir,
    address: Ipv4Addr,
    /// For calls, metrics and the admin API.
    ports: [u16; 3],
    pub(crate) files_max: Option<u32>,
}

impl House {
    fn new(setup: Setup) -> House {
        static HOUSES: AtomicU16 = AtomicU16::new(1);
        let house = HOUSES.fetch_add(1, Ordering::Relaxed);
        // Test processes that run at once must not meet either: the address is of the process, then of the house.
        let [.., high, low] = process::id().to_be_bytes();
        let street = [2 + high % 250, low.wrapping_add((house / 250) as u8), 1 + (house % 250) as u8];
        let dir = tempfile::Builder::new().prefix("tollgate-it-").tempdir().expect("there is room for a folder");
        let address = Ipv4Addr::new(127, street[0], street[1], street[2]);
        let house = House { dir, address, ports: free_ports(address), files_max: setup.files_max };
        house.rewrite(&setup);
        DirBuilder::new().mode(0o700).create(house.data_dir()).expect("the folder is fresh");
        DirBuilder::new().mode(0o700).create(house.data_dir().join("compiled")).expect("the folder is fresh");
        house
    }

    /// Changes the configuration that the next start reads.
    pub(crate) fn rewrite(&self, setup: &Setup) {
        fs::write(self.config(), setup.text(self)).expect("the folder takes a file");
        for (name, wasm) in &setup.plugins {
            fs::write(self.plugin(name), wasm).expect("the folder takes a file");
        }
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.wasm"))
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("tollgate.toml")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.path().join("gateway.log")
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        SocketAddr::from((self.address, self.ports[0]))
    }

    pub(crate) fn metrics_listen(&self) -> SocketAddr {
        SocketAddr::from((self.address, self.ports[1]))
    }

    pub(crate) fn admin_listen(&self) -> SocketAddr {
        SocketAddr::from((self.address, self.ports[2]))
    }

    /// Where one more listener may be.
    pub(crate) fn another_address(&self) -> SocketAddr {
        let [port] = free_ports(self.address);
        SocketAddr::from((self.address, port))
    }

    /// Brings in the code that other tests' gateways have compiled already.
    pub(crate) fn take_compiled(&self) {
        link_all(&compiled(), &self.data_dir().join("compiled"));
    }

    /// Leaves the code that this gateway has compiled to other tests.
    pub(crate) fn leave_compiled(&self) {
        link_all(&self.data_dir().join("compiled"), &compiled());
    }
}

/// Ports that are free at `address`, which is nobody else's, so that they stay free.
fn free_ports<const N: usize>(address: Ipv4Addr) -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((address, 0)).expect("loopback has free ports"));
    listeners.map(|listener| listener.local_addr().expect("it listens").port())
}

/// Compiled code, kept beside the build's other output from one run of the tests to the next.
fn compiled() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it-compiled");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).expect("the build's folder can be written");
    dir
}

fn link_all(from: &Path, to: &Path) {
    DirBuilder::new().recursive(true).mode(0o700).create(to).expect("the folder can be made");
    for entry in fs::read_dir(from).expect("the folder is there").flatten() {
        let file = entry.path();
        if file.extension().is_some_and(|it| it == "cwasm") {
            let to = to.join(entry.file_name());
            // Across file systems a link cannot be made, and one that is there already is as good.
            if fs::hard_link(&file, &to).is_err() && !to.exists() {
                fs::copy(&file, &to).expect("the folder takes a file");
            }
        }
    }
}
