//! Changing the hook of an interface, and interfaces that do not take theirs.

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::{
    kernel,
    lab::{self, Lab, assign},
    ns::link,
    scenario,
    wait::{SOON, eventually, holds},
    weir::Weir,
};

/// The hook of an interface and why, as the daemon tells.
fn told(weir: &Weir<'_>, interface: &str) -> Result<(String, String)> {
    let status = weir.status()?;
    let all = status["interfaces"].as_array().context("interfaces")?;
    let found = all.iter().find(|known| known["name"] == interface);
    let field = |name| Some(found?[name].as_str()?.to_owned());
    field("hook").zip(field("why")).with_context(|| format!("no {interface} in {all:?}"))
}

fn hook(weir: &Weir<'_>, interface: &str) -> Result<String> {
    Ok(told(weir, interface)?.0)
}

/// The mode of the XDP program on `wan`, as the kernel tells.
fn mode(lab: &Lab) -> Result<Option<String>> {
    let attached = kernel::attachments(&lab.server)?;
    let all = attached[0]["xdp"].as_array().context("XDP programs")?.clone();
    let on_wan = all.iter().find(|program| program["devname"] == lab::WAN);
    Ok(on_wan.and_then(|program| program["mode"].as_str().map(ToOwned::to_owned)))
}

#[test]
fn the_hook_of_an_interface_changes_by_reload_and_after_a_crash() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let mut weir = Weir::install(&lab.server)?;
    let configure = |weir: &Weir<'_>, hook: &str| {
        weir.configure(
            &format!("interfaces = ['wan']\nhook = '{hook}'"),
            &scenario::guarded("blocked_cidrs = ['0.0.0.0/0']"),
        )
    };
    configure(&weir, "xdp-native")?;
    weir.launch()?;
    let modes = [
        ("xdp-generic", Some("generic")),
        ("xdp-native", Some("driver")),
        ("tc", None),
        ("xdp-generic", Some("generic")),
    ];
    for (wanted, expected) in modes {
        configure(&weir, wanted)?;
        weir.reload()?;
        let (hook, why) = told(&weir, lab::WAN)?;
        assert_eq!(hook, wanted);
        // A program that is still attached costs the next one its better form.
        assert!(wanted == "tc" || why.contains("packets in fragments too"), "{why}");
        assert_eq!(mode(&lab)?.as_deref(), expected);
    }
    weir.kill()?;
    configure(&weir, "xdp-native")?;
    weir.launch()?;
    assert_eq!(hook(&weir, lab::WAN)?, "xdp-native");
    assert_eq!(mode(&lab)?.as_deref(), Some("driver"));
    Ok(())
}

#[test]
fn a_fallback_is_told_once() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = Weir::start(&lab.server, "hook = 'xdp-native'", &scenario::guarded(""))?;
    assert_eq!(hook(&weir, "lo")?, "tc");
    let times = || weir.log().matches("lo takes no xdp-native").count();
    assert_eq!(times(), 1);
    for n in 0..3 {
        let name = format!("more{n}");
        link((&lab.server, &name), (&lab.clients, &name))?;
        assign(&lab.server, &name, &[&format!("198.18.{}.1/24", n + 1)])?;
        assert!(holds(SOON, || hook(&weir, &name).is_ok()), "{name} is not watched");
    }
    assert_eq!(times(), 1);
    Ok(())
}

#[test]
fn an_interface_of_unknown_frames_is_named() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    if lab.server.ip("link add gre1 type gre local 192.0.2.1 key 1").is_err() {
        weir_tests::skip::skip("this kernel has no GRE");
        return Ok(());
    }
    lab.server.ip("link set gre1 up")?;
    assign(&lab.server, "gre1", &["198.18.9.1/24"])?;
    let weir = Weir::start(&lab.server, "", &scenario::guarded(""))?;
    let warning = eventually(SOON, || {
        let status = weir.status().ok()?;
        let all: Vec<Value> = status["warnings"].as_array()?.clone();
        all.iter().find_map(|warning| Some(warning.as_str()?.to_owned()))
    });
    let warning = warning.context("no warning")?;
    assert!(warning.starts_with("interface gre1: its frames"), "{warning}");
    assert!(hook(&weir, "gre1").is_err());
    Ok(())
}
