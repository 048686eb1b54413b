//! Every case in `golden/`: what goes in, and what has to come out. Streams are replayed whole, byte by byte, cut at
//! every byte and at random, with LF and with CRLF.

use tollgate_plugin::testkit;
use tollgate_plugin_anthropic::Anthropic;

#[test]
fn every_golden_case_comes_out_as_written() {
    testkit::golden::<Anthropic>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
}
