//! Runs the fake providers by themselves, for SDKs to be pointed at: prints one JSON line with their base URLs, and
//! stops when its standard input ends.

use std::io::{Read, Write};

use tollgate_fakes::{Dialect, Fake};

fn main() -> std::io::Result<()> {
    let openai = Fake::start(Dialect::OpenAi, "127.0.0.1:0")?;
    let anthropic = Fake::start(Dialect::Anthropic, "127.0.0.1:0")?;
    let mut stdout = std::io::stdout();
    let urls = (openai.base_url(Dialect::OpenAi), anthropic.base_url(Dialect::Anthropic));
    writeln!(stdout, r#"{{"openai":"{}","anthropic":"{}"}}"#, urls.0, urls.1)?;
    stdout.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
