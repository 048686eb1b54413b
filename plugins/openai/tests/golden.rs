//! Every case in `golden/`: what goes in, and what has to come out.

use tollgate_plugin::testkit;
use tollgate_plugin_openai::OpenAi;

#[test]
fn every_golden_case_comes_out_as_written() {
    testkit::golden::<OpenAi>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
}
