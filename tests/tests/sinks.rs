//! Copies of the records in other programs: a real rsyslog gets each, whichever of the two is
//! stopped meanwhile.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::{
    lab::{self, Lab},
    program::Program,
    scenario::{Servers, assert_both_serve, blocking},
    server::Behaviour,
    wait::{SOON, eventually, holds},
    weir::Weir,
};

const PORT: u16 = 5514;
/// How rsyslog gets the records, and the file that it writes them to.
const WAYS: [&str; 3] = ["udp", "tcp", "unix"];

/// An rsyslog that writes what comes to a file for each way.
fn rsyslog(lab: &Lab, dir: &Path) -> Result<Program> {
    let shown = dir.display();
    let config = dir.join("rsyslog.conf");
    let head = format!(
        "global(workDirectory=\"{shown}\")\n\
         module(load=\"imudp\")\nmodule(load=\"imtcp\")\n\
         module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imudp\" address=\"127.0.0.1\" port=\"{PORT}\" ruleset=\"udp\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{PORT}\" ruleset=\"tcp\")\n\
         input(type=\"imuxsock\" Socket=\"{shown}/log.sock\" UseSpecialParser=\"off\" \
         ruleset=\"unix\")\n\
         template(name=\"record\" type=\"string\" string=\"%app-name% %msgid% %msg%\\n\")\n"
    );
    let ruleset = |way: &str| {
        format!(
            "ruleset(name=\"{way}\") {{ action(type=\"omfile\" file=\"{shown}/{way}.log\" \
             template=\"record\") }}\n"
        )
    };
    fs::write(&config, head + &WAYS.map(ruleset).concat())?;
    let arguments = [
        "-n".into(),
        "-f".into(),
        config.display().to_string(),
        "-i".into(),
        dir.join("rsyslog.pid").display().to_string(),
    ];
    Program::start(&lab.server, "rsyslogd", &arguments, PORT, &dir.join("rsyslog.log"))
}

/// The records that came one way, in their order.
fn came(dir: &Path, way: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(dir.join(format!("{way}.log"))).unwrap_or_default();
    let record = |line: &str| {
        let json = line.split_once('{').with_context(|| format!("no record: {line}"))?;
        let record: Value = serde_json::from_str(&format!("{{{}", json.1))?;
        assert!(line.starts_with(&format!("weir {} ", record["verdict"].as_str().unwrap_or(""))));
        Ok(record)
    };
    text.lines().map(record).collect()
}

fn ids<'a>(records: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    records.into_iter().filter_map(|record| record["id"].as_str().map(str::to_owned)).collect()
}

/// Waits until every record that the API shows has come each way.
fn assert_all_came(weir: &Weir<'_>, dir: &Path, least: usize) -> Result<()> {
    let told = weir.wait_for_events(least, "", SOON)?;
    for way in WAYS {
        // A sink tries again after some seconds.
        let whole = holds(2 * SOON, || came(dir, way).is_ok_and(|came| ids(&came) == ids(&told)));
        assert!(whole, "{way}: {} of {} came", ids(&came(dir, way)?).len(), told.len());
    }
    Ok(())
}

#[test]
fn rsyslog_gets_every_record_however_often_it_or_weir_is_stopped() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("log.sock");
    let sinks: String = [
        format!("udp://127.0.0.1:{PORT}"),
        format!("tcp://127.0.0.1:{PORT}"),
        format!("unix://{}", socket.display()),
    ]
    .map(|address| format!("[[sink]]\nkind = \"syslog\"\naddress = \"{address}\"\n"))
    .concat();
    let mut weir = Weir::start(&lab.server, "", &format!("{}{sinks}", blocking()))?;
    let mut served = 0;
    let mut serve = |times: usize| -> Result<usize> {
        for _ in 0..times {
            assert_both_serve(&lab, lab::DE4)?;
            served += 2;
        }
        Ok(served)
    };
    let all = serve(3)?;
    weir.wait_for_events(all, "", SOON)?;
    let is_failing = |weir: &Weir<'_>| {
        let status = weir.status().ok()?;
        let sinks = status["sinks"].as_array()?.clone();
        let failing = sinks.iter().all(|sink| sink["failing_since"].is_string());
        (sinks.len() == WAYS.len() && failing).then_some(sinks)
    };
    let told = eventually(SOON, || is_failing(&weir)).context("nobody is told of the outage")?;
    assert!(told.iter().any(|sink| sink["error"].as_str().is_some_and(|e| e.contains("tcp://"))));

    let receiver = rsyslog(&lab, dir.path())?;
    let all = serve(3)?;
    assert_all_came(&weir, dir.path(), all)?;
    receiver.terminate()?;
    let all = serve(3)?;
    weir.wait_for_events(all, "", SOON)?;
    let receiver = rsyslog(&lab, dir.path())?;
    assert_all_came(&weir, dir.path(), serve(1)?)?;

    weir.kill()?;
    weir.launch()?;
    assert_all_came(&weir, dir.path(), serve(3)?)?;
    receiver.terminate()?;
    let order = came(dir.path(), "unix")?;
    let ids: Vec<&str> = order.iter().filter_map(|record| record["id"].as_str()).collect();
    assert!(ids.is_sorted(), "records are out of order: {ids:?}");
    Ok(())
}
