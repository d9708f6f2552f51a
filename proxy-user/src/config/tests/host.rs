//! Configurations that are valid, on a host that they do not suit.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
};

use super::files;
use crate::config::{Host, HostFindings, host_checks, load, sockets_of};

/// A host on which no Weir runs. Its own address is a documentation one.
fn host() -> Host {
    Host {
        own_sockets: Ok(BTreeSet::new()),
        locals: vec!["192.0.2.1/32".parse().unwrap(), "2001:db8::1/128".parse().unwrap()],
        interfaces: vec!["lo".into(), "eth0".into()],
    }
}

/// An API port that nobody listens on, so that no test meets another's.
const API: &str = "[api]\nlisten = \"127.0.0.1:1\"\n";

fn check(text: &str, host: &Host) -> HostFindings {
    let (_dir, path) = files(text, &[]);
    host_checks(&load(&path).expect(text), host)
}

/// `LINE:COL: message` of each.
fn told(faults: &[crate::config::Fault]) -> Vec<String> {
    let place = |fault: &crate::config::Fault| {
        format!("{}:{}: {}", fault.line, fault.column, fault.message)
    };
    faults.iter().map(place).collect()
}

fn service(listener: &TcpListener, target: &str) -> String {
    let port = listener.local_addr().unwrap().port();
    format!("{API}[service.a]\nmode = \"tcp\"\nlisten = {port}\ntarget = {target:?}\n")
}

#[test]
fn a_port_that_is_held_is_a_fault_for_the_relay_and_right_for_a_guard() {
    for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let relay = check(&service(&listener, "192.0.2.7:1"), &host());
        let bound = listener.local_addr().unwrap();
        assert_eq!(
            told(&relay.faults),
            [format!("5:10: another process listens on {bound} already")]
        );
        let guard = check(&service(&listener, "host"), &host());
        assert!(guard.faults.is_empty());
        assert!(guard.warnings.iter().all(|w| !w.message.contains("nothing on this host")));
        let text = service(&listener, "host");
        drop(listener);
        let deaf = check(&text, &host()).warnings;
        assert!(deaf.iter().any(|w| w.message.contains("nothing on this host")), "{deaf:?}");
    }
}

#[test]
fn what_the_running_weir_holds_is_no_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own_sockets = Ok(sockets_of(std::process::id()).unwrap());
    let findings = check(&service(&listener, "192.0.2.7:1"), &Host { own_sockets, ..host() });
    assert_eq!(findings.faults, []);
}

#[test]
fn a_port_whose_holder_is_not_known_is_warned_about() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own_sockets = Err("not for you".to_owned());
    let findings = check(&service(&listener, "192.0.2.7:1"), &Host { own_sockets, ..host() });
    assert_eq!(findings.faults, []);
    assert!(findings.warnings.iter().any(|w| w.message.ends_with("is not known: not for you")));
}

#[test]
fn the_apis_port_is_looked_at_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = listener.local_addr().unwrap();
    let findings = check(&format!("[api]\nlisten = \"{bound}\"\n"), &host());
    assert_eq!(
        told(&findings.faults),
        [format!("2:1: another process listens on {bound} already")]
    );
}

#[test]
fn a_target_at_an_own_address_is_a_listener_of_ours() {
    let relay = |listen: &str, target: &str| {
        check(
            &format!(
                "{API}[service.a]\nmode = \"tcp\"\nlisten = {listen}\ntarget = \"{target}\"\n"
            ),
            &host(),
        )
    };
    let own = "192.0.2.1 is an address of this host";
    let message = format!("6:10: the target is a listener of service a: {own}");
    for listen in ["2", "\"0.0.0.0:2\""] {
        assert_eq!(told(&relay(listen, "192.0.2.1:2").faults), [message.as_str()]);
        assert_eq!(relay(listen, "192.0.2.1:3").faults, [], "another port");
        assert_eq!(relay(listen, "192.0.2.9:2").faults, [], "another host");
    }
    assert_eq!(relay("\"[::]:2\"", "192.0.2.1:2").faults, [], "IPv6 alone");
    assert_eq!(relay("\"[::]:2\"", "[2001:db8::1]:2").faults.len(), 1);
    let third = format!(
        "{API}[service.a]\nmode = \"tcp\"\nlisten = 2\n\
         targets = [\"192.0.2.9:2\", \"db:2\", \"192.0.2.1:2\"]\n"
    );
    let message = format!("6:35: the target is a listener of service a: {own}");
    assert_eq!(told(&check(&third, &host()).faults), [message]);
}

#[test]
fn a_hook_for_no_interface_is_warned_about() {
    let text = format!(
        "{API}[kernel]\ninterfaces = [\"wg0\"]\n\
         hook = {{ eth0 = \"tc\", etho0 = \"tc\", wg0 = \"tc\" }}\n"
    );
    let mut warnings = told(&check(&text, &host()).warnings);
    warnings.retain(|warning| warning.contains("hook"));
    assert_eq!(warnings, ["5:23: there is no interface \"etho0\"; its hook has no effect"]);
}

#[test]
fn a_file_that_others_write_is_warned_about() {
    let (_dir, path) = files(API, &[]);
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let findings = host_checks(&load(&path).unwrap(), &host());
    assert_eq!(told(&findings.warnings), ["1:1: others can write this file (mode 666)"]);
}

#[test]
fn a_port_80_that_is_held_costs_the_redirect_only() {
    let Ok(held) = TcpListener::bind("127.0.0.1:80") else {
        eprintln!("SKIPPED: a_port_80_that_is_held_costs_the_redirect_only: no right to bind it");
        return;
    };
    let site = format!(
        "{API}[service.a]\ndomain = \"a.org\"\nlisten = \"127.0.0.1:443\"\n\
         target = \"http://192.0.2.7\"\nallow = [\"::/0\"]\n"
    );
    let warned = |text: &str| {
        let found = check(text, &host());
        assert!(found.faults.iter().all(|fault| !fault.message.contains(":80 ")), "{found:?}");
        told(&found.warnings)
    };
    let message = "another process listens on 127.0.0.1:80 already, so that http://a.org is not \
                   redirected";
    assert_eq!(warned(&site), [format!("3:10: {message}")]);
    assert_eq!(warned(&format!("{site}redirect_http = true\n")), [format!("8:1: {message}")]);
    assert_eq!(warned(&format!("{site}redirect_http = false\n")), [""; 0]);
    let plain = site.replace(":443", ":80") + "tls = false\n";
    let faults = told(&check(&plain, &host()).faults);
    assert_eq!(faults, ["5:10: another process listens on 127.0.0.1:80 already"]);
    drop(held);
}

#[test]
fn hashes_that_others_can_read_are_warned_about() {
    let site = format!(
        "{API}[service.a]\ndomain = \"a.org\"\nlisten = \"127.0.0.1:2\"\n\
         target = \"http://192.0.2.7\"\npassword = \"HASH\"\npin = \"HASH\"\n"
    );
    let (dir, path) = files(&site, &[("conf.d/b.toml", "data_dir = \"/b\"\n")]);
    let warned = |mode| {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        told(&host_checks(&load(&path).unwrap(), &host()).warnings)
    };
    assert_eq!(warned(0o604), ["7:12: others can read the hashes in this file (mode 604)"]);
    assert_eq!(warned(0o640), [""; 0]);
    // What holds no hash may be read.
    let other = dir.path().join("conf.d/b.toml");
    fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(warned(0o600), [""; 0]);
}

#[test]
fn a_target_over_http_at_an_own_address_is_a_listener_of_ours() {
    let site = |target: &str| {
        let text = format!(
            "{API}[service.a]\ndomain = \"a.org\"\nlisten = 2\n\
             [[service.a.route]]\npath = \"/\"\ntarget = \"http://192.0.2.9:2\"\n\
             [[service.a.route]]\npath = \"/longer\"\ntarget = \"{target}\"\n"
        );
        told(&check(&text, &host()).faults)
    };
    assert_eq!(
        site("https://192.0.2.1:2"),
        ["11:10: the target is a listener of service a: 192.0.2.1 is an address of this host"]
    );
    assert_eq!(site("https://192.0.2.1:3"), [""; 0]);
}
