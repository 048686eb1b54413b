//! Every committed input, among them all that a target once did not bear, and the layout that cargo-fuzz expects.

use std::{fs, path::Path};

use tollgate_fuzz::{
    search::{Until, corpus, search},
    targets::TARGETS,
};

#[test]
fn targets_bear_the_committed_inputs_and_their_neighbours() {
    for target in &TARGETS {
        let inputs = corpus(target).expect("the corpus can be read");
        assert!(inputs.len() >= 3, "{} has too little to begin with", target.name);
        for input in &inputs {
            (target.run)(input);
        }
        let searched = search(target, Until::Runs(2000), 7).expect("files can be written");
        assert!(searched.found.is_none(), "{}: {searched:?}", target.name);
        assert!(searched.kept > 3, "{}: nearly all inputs are the same to it: {searched:?}", target.name);
    }
}

#[test]
fn cargo_fuzz_finds_every_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the driver lies in `fuzz`");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("there is a manifest");
    for target in &TARGETS {
        let path = format!("fuzz_targets/{}.rs", target.name);
        assert!(manifest.contains(&format!("name = \"{}\"\npath = \"{path}\"", target.name)), "{path}");
        let text = fs::read_to_string(root.join(&path)).expect("there is a target");
        assert!(text.contains(&format!("tollgate_fuzz::targets::{}::run(data)", target.name)), "{path}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    assert_eq!(fs::read_dir(root.join("corpus")).expect("there is a corpus").count(), TARGETS.len());
}
