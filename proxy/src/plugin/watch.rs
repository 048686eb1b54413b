//! Who is told of calls into guests, and what.

use std::{sync::Arc, time::Duration};

/// A guest's function, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    Encode,
    Decode,
    Classify,
    /// A stream's instance and constructor.
    Open,
    Push,
    Finish,
    Check,
    Render,
}

impl Function {
    pub fn as_str(self) -> &'static str {
        match self {
            Function::Encode => "encode",
            Function::Decode => "decode",
            Function::Classify => "classify",
            Function::Open => "open",
            Function::Push => "push",
            Function::Finish => "finish",
            Function::Check => "check",
            Function::Render => "render",
        }
    }

    /// Whether each call makes an instance.
    pub fn instantiates(self) -> bool {
        !matches!(self, Function::Push | Function::Finish)
    }
}

/// One call into a guest.
#[derive(Debug, Clone, Copy)]
pub struct Called {
    pub function: Function,
    /// Wall time, instance and all.
    pub took: Duration,
    /// The most memory the instance has held.
    pub memory_bytes: usize,
    /// [`PluginError::kind`](super::PluginError::kind), unless the call was answered.
    pub fault: Option<&'static str>,
}

/// Who wants to know of calls into guests.
pub trait Observer: Send + Sync {
    /// Asked once for each plugin loaded, so that a call looks nothing up.
    fn watch(&self, plugin: &str) -> Arc<dyn Watch>;
}

/// Told of each call into one plugin. On the call's path: must be quick.
pub trait Watch: Send + Sync {
    fn called(&self, called: &Called);
}

/// Nobody.
impl Observer for () {
    fn watch(&self, _plugin: &str) -> Arc<dyn Watch> {
        Arc::new(())
    }
}

impl Watch for () {
    fn called(&self, _called: &Called) {}
}
