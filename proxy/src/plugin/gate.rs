//! The first look at a component: its sections are read, nothing is compiled or run.
//!
//! Refuses what this host never runs, and says in a sentence what differs from the contract. What passes is not yet
//! valid; the compiler, in a process of its own, finds that out.

use wasmparser::{CanonicalFunction, CanonicalOption, Encoding, MemoryType, Parser, Payload, TableType};

use super::{Capabilities, LoadError, Settings, engine, printable::printable};

const FUNCTIONS_MAX: u32 = 50_000;
const CODE_BYTES_MAX: u32 = 24 << 20;
const CORE_MODULES_MAX: u32 = engine::CORE_INSTANCES_MAX;
/// The encoder wraps each exported interface in a component that only renames types; deeper ones are composed.
const COMPONENTS_MAX: u32 = 8;
/// Bytes of an import's name that are shown.
const IMPORT_BYTES_MAX: usize = 256;
const PAGE_BYTES: u64 = 64 << 10;
/// What this host speaks. Before 1.0 the minor version is the track that promises compatibility.
const PACKAGE: &str = "tollgate:plugin/";
const TRACK: &str = "0.1";

/// What a component is loaded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum World {
    Adapter,
    Renderer,
}

impl World {
    fn noun(self) -> &'static str {
        match self {
            World::Adapter => "adapter",
            World::Renderer => "renderer",
        }
    }
}

/// Admits `wasm` to the compiler.
pub(super) fn inspect(wasm: &[u8], world: World, granted: Capabilities, settings: &Settings) -> Result<(), LoadError> {
    if wasm.len() > settings.component_bytes_max {
        let max = settings.component_bytes_max;
        return Err(refused(format!("has {} bytes; a component may have {max}", wasm.len())));
    }
    if wasm.starts_with(b"\x7fELF") {
        return Err(refused("is compiled code; only WebAssembly is accepted".to_owned()));
    }
    if !wasm.starts_with(b"\0asm") {
        return Err(refused("is not WebAssembly".to_owned()));
    }
    let mut survey = Survey { memory_bytes_max: settings.memory_bytes_max as u64, ..Survey::default() };
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| refused(format!("is damaged: {error}")))?;
        survey.see(payload).map_err(refused)?;
    }
    survey.imports.iter().try_for_each(|import| admit_import(import, granted))?;
    admit_exports(&survey.exports, world).map_err(refused)
}

fn refused(reason: String) -> LoadError {
    LoadError::refused(&reason)
}

fn admit_import(import: &str, granted: Capabilities) -> Result<(), LoadError> {
    let Some((interface, version)) = interface_of(import) else {
        return Err(refused(format!("imports `{import}`, which this host does not have")));
    };
    if !in_track(version) {
        return Err(refused(format!("imports `{import}`; this host speaks {TRACK}")));
    }
    match interface {
        "types" => Ok(()),
        "log" if granted.log => Ok(()),
        "tokenize" if granted.tokenize => Ok(()),
        "sign" if granted.sign => Ok(()),
        "log" | "tokenize" | "sign" => Err(LoadError::NotGranted { import: printable(import, IMPORT_BYTES_MAX) }),
        _ => Err(refused(format!("imports `{import}`, which this host does not have"))),
    }
}

fn admit_exports(exports: &[String], world: World) -> Result<(), String> {
    let wanted = world.noun();
    let ours: Vec<_> = exports.iter().filter_map(|export| interface_of(export)).collect();
    if ours.iter().any(|&(interface, version)| interface == wanted && in_track(version)) {
        return Ok(());
    }
    if let Some((_, version)) = ours.iter().find(|(interface, _)| *interface == wanted) {
        return Err(format!("exports `{PACKAGE}{wanted}@{version}`; this host speaks {TRACK}"));
    }
    let found = match exports {
        [] => "nothing".to_owned(),
        exports => exports.iter().map(|export| format!("`{export}`")).collect::<Vec<_>>().join(", "),
    };
    Err(format!("does not export `{PACKAGE}{wanted}@{TRACK}`, as this host asks of it; it exports {found}"))
}

/// `tollgate:plugin/log@0.1.0` → (`log`, `0.1.0`)
fn interface_of(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.split_once('@')
}

fn in_track(version: &str) -> bool {
    version.strip_prefix(TRACK).is_some_and(|rest| rest.starts_with('.'))
}

/// What is counted while the sections go by.
#[derive(Default)]
struct Survey {
    /// Encodings of the modules and components that are open now, outermost first.
    open: Vec<Encoding>,
    functions: u32,
    code_bytes: u32,
    core_modules: u32,
    components: u32,
    memories: u32,
    memory_bytes_max: u64,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Survey {
    fn see(&mut self, payload: Payload<'_>) -> Result<(), String> {
        match payload {
            Payload::Version { encoding, .. } => return self.enter(encoding),
            Payload::End(_) => {
                self.open.pop();
            }
            Payload::CodeSectionStart { count, size, .. } => return self.code(count, size),
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memory(&memory.map_err(damaged)?)?;
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    self.table(&table.map_err(damaged)?.ty)?;
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    canonical(&function.map_err(damaged)?)?;
                }
            }
            Payload::ComponentImportSection(imports) if self.open.len() == 1 => {
                for import in imports {
                    self.imports.push(import.map_err(damaged)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if self.open.len() == 1 => {
                for export in exports {
                    self.exports.push(export.map_err(damaged)?.name.name.to_owned());
                }
            }
            Payload::ComponentStartSection { .. } => return Err("has a component start function".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self, encoding: Encoding) -> Result<(), String> {
        match (encoding, self.open.as_slice()) {
            (Encoding::Module, []) => return Err("is a core module; it must be made a component first".to_owned()),
            (Encoding::Module, [_]) => self.core_modules += 1,
            (Encoding::Module, _) => return Err("is composed of several components; link them into one".to_owned()),
            (Encoding::Component, _) => self.components += 1,
        }
        if self.core_modules > CORE_MODULES_MAX || self.components > COMPONENTS_MAX {
            return Err(format!(
                "has {} core modules and {} components; it may have {CORE_MODULES_MAX} and {COMPONENTS_MAX}",
                self.core_modules, self.components,
            ));
        }
        self.open.push(encoding);
        Ok(())
    }

    fn code(&mut self, functions: u32, bytes: u32) -> Result<(), String> {
        self.functions = self.functions.saturating_add(functions);
        self.code_bytes = self.code_bytes.saturating_add(bytes);
        if self.functions > FUNCTIONS_MAX || self.code_bytes > CODE_BYTES_MAX {
            return Err(format!(
                "has {} functions of {} bytes; it may have {FUNCTIONS_MAX} of {CODE_BYTES_MAX}",
                self.functions, self.code_bytes,
            ));
        }
        Ok(())
    }

    fn memory(&mut self, memory: &MemoryType) -> Result<(), String> {
        self.memories += 1;
        if self.memories > engine::MEMORIES_MAX {
            return Err(format!("has more than {} memories", engine::MEMORIES_MAX));
        }
        if memory.shared || memory.memory64 || memory.page_size_log2.is_some() {
            return Err("has a memory that is shared, 64-bit or of an unusual page size".to_owned());
        }
        let bytes = memory.initial.saturating_mul(PAGE_BYTES);
        if bytes > self.memory_bytes_max {
            return Err(format!("starts with {bytes} bytes of memory; it may have {}", self.memory_bytes_max));
        }
        Ok(())
    }

    fn table(&self, table: &TableType) -> Result<(), String> {
        if table.initial > engine::TABLE_ELEMENTS_MAX as u64 || table.shared || table.table64 {
            let max = engine::TABLE_ELEMENTS_MAX;
            return Err(format!("has a table of {} elements; it may have {max}", table.initial));
        }
        Ok(())
    }
}

fn damaged(error: wasmparser::Error) -> String {
    format!("is damaged: {error}")
}

/// Other encodings of strings are slow and have had holes of their own; asynchronous functions are not run here.
fn canonical(function: &CanonicalFunction) -> Result<(), String> {
    let options = match function {
        CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => options,
        CanonicalFunction::ResourceNew { .. }
        | CanonicalFunction::ResourceDrop { .. }
        | CanonicalFunction::ResourceRep { .. } => return Ok(()),
        _ => return Err("uses threads or asynchronous functions".to_owned()),
    };
    for option in options.iter() {
        match option {
            CanonicalOption::UTF16 | CanonicalOption::CompactUTF16 => {
                return Err("passes strings that are not UTF-8".to_owned());
            }
            CanonicalOption::Async | CanonicalOption::Callback(_) | CanonicalOption::Gc => {
                return Err("uses threads, asynchronous functions or a collector".to_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
