//! The fake providers, each with the adapter that speaks to it.

use std::ops::Deref;

use tollgate_fakes::{Counters, Dialect, Fake};

/// A fake provider.
pub(crate) struct Provider {
    fake: Fake,
    dialect: Dialect,
    /// The plugin that speaks its dialect.
    pub(crate) adapter: &'static str,
}

/// A fake OpenAI.
pub(crate) fn openai() -> Provider {
    Provider::start(Dialect::OpenAi, "openai")
}

/// A fake Anthropic.
pub(crate) fn anthropic() -> Provider {
    Provider::start(Dialect::Anthropic, "anthropic")
}

impl Provider {
    fn start(dialect: Dialect, adapter: &'static str) -> Provider {
        let fake = Fake::start(dialect, "127.0.0.1:0").expect("loopback has free ports");
        Provider { fake, dialect, adapter }
    }

    pub(crate) fn base_url(&self) -> String {
        self.fake.base_url(self.dialect)
    }

    /// The scenario in this dialect's own words: where OpenAI says 503, Anthropic says 529.
    pub(crate) fn called(&self, scenario: &str) -> String {
        match self.dialect {
            Dialect::OpenAi => scenario.to_owned(),
            Dialect::Anthropic => scenario.replace("code=503", "code=529"),
        }
    }

    /// The body of the last call.
    #[track_caller]
    pub(crate) fn sent(&self) -> String {
        String::from_utf8(self.last().expect("there was a call").body().to_vec()).expect("a call is text")
    }

    pub(crate) fn address(&self) -> String {
        self.fake.address().to_string()
    }
}

/// What it has seen.
impl Deref for Provider {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        self.fake.counters()
    }
}
