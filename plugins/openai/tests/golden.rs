//! Every golden case: what goes in, and what has to come out. Streams are replayed whole, byte by byte, cut at every
//! byte and at random, with LF and with CRLF.

use tollgate_plugin::testkit;
use tollgate_plugin_openai::OpenAi;

#[test]
fn every_case_of_its_own_comes_out_as_written() {
    testkit::golden::<OpenAi>(&testkit::cases(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")));
}

#[test]
fn every_case_shared_by_all_adapters_comes_out_as_written() {
    testkit::golden::<OpenAi>(&testkit::shared_cases("openai"));
}
