//! What programs cost the verifier.

use proxy_user::datapath::load;

use crate::harness::{HOOKS, Result};

/// Instructions after which a verifier gives up (`BPF_COMPLEXITY_LIMIT_INSNS`).
const LIMIT: u32 = 1_000_000;

/// Each start waits for so much, and another kernel may count twice or three times as much.
#[test]
fn no_program_comes_near_the_verifiers_limit() -> Result {
    let (mut programs, _maps) = load(None, 1)?.take()?;
    for name in HOOKS.into_iter().chain(["weir_egress", "weir_egress_l3"]) {
        let info = if name.starts_with("weir_xdp") {
            programs.xdp(name)?.info()?
        } else {
            programs.classifier(name)?.info()?
        };
        let verified = info.verified_instruction_count().ok_or("the kernel does not say")?;
        assert!(verified < LIMIT / 3, "{name}: {verified} instructions verified");
    }
    Ok(())
}
