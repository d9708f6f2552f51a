//! Packets counted and lost by nftables, independently of Weir.

use std::{io::Write, process::Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::ns::Namespace;

/// Loads a ruleset into a namespace.
pub fn load(namespace: &Namespace, ruleset: &str) -> Result<()> {
    let mut command = namespace.command("nft");
    let mut child = command
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("nft")?;
    // Dropped at the end of the statement: nft sees the end of its input.
    child.stdin.take().context("nft's input")?.write_all(ruleset.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("nft: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Counts what reaches the input hook and matches `rule` (nft syntax), as `name`.
pub fn count_input(namespace: &Namespace, name: &str, rule: &str) -> Result<()> {
    count(namespace, "input", name, rule)
}

/// Counts what leaves by the output hook and matches `rule`, as `name`.
pub fn count_output(namespace: &Namespace, name: &str, rule: &str) -> Result<()> {
    count(namespace, "output", name, rule)
}

fn count(namespace: &Namespace, hook: &str, name: &str, rule: &str) -> Result<()> {
    load(
        namespace,
        &format!(
            "table inet lab {{
                counter count-{name} {{ }}
                chain count-{name} {{
                    type filter hook {hook} priority -300; policy accept;
                    {rule} counter name count-{name}
                }}
            }}"
        ),
    )
}

/// Packets that a counter has seen.
pub fn counted(namespace: &Namespace, name: &str) -> Result<u64> {
    packets(namespace, &format!("lab count-{name}"))
}

/// Packets that [`lose_one_percent`] has lost.
pub fn lost(namespace: &Namespace) -> Result<u64> {
    packets(namespace, "loss lost")
}

/// What a counter of a table holds.
fn packets(namespace: &Namespace, counter: &str) -> Result<u64> {
    let text = namespace.run(&format!("nft -j list counter inet {counter}"))?;
    let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    let objects = answer["nftables"].as_array().context("nft's answer")?;
    let packets = objects.iter().find_map(|object| object["counter"]["packets"].as_u64());
    packets.with_context(|| format!("no counter {counter} in {text}"))
}

/// Loses one in a hundred of the packets that arrive and match `rule`, after the
/// hooks of TC and XDP and before the sockets.
pub fn lose_one_percent(namespace: &Namespace, rule: &str) -> Result<()> {
    load(
        namespace,
        &format!(
            "table inet loss {{
                counter lost {{ }}
                chain arriving {{
                    type filter hook prerouting priority -300; policy accept;
                    {rule} numgen random mod 100 == 0 counter name lost drop
                }}
            }}"
        ),
    )
}
