//! `WebSocket`s through Weir: what they say, what is recorded, and what ends them.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::Value;
use tungstenite::{Error, Message};
use weir_tests::{
    lab::{self, Lab},
    scenario::BACKEND,
    trusting::certify,
    wait::SOON,
    web::site,
    websocket::{Client, Echo, connect},
    weir::Weir,
};

const HOST: &str = "chat.example.com";

/// A site with a WebSocket, and an open one of a client.
struct Scene<'a> {
    client: Client,
    weir: Weir<'a>,
    _echo: Echo,
}

impl<'a> Scene<'a> {
    fn start(lab: &'a Lab, lines: &str) -> Result<Self> {
        let echo = Echo::start(&lab.server, ([127, 0, 0, 1], BACKEND).into())?;
        let mut weir = Weir::install(&lab.server)?;
        let trusting = certify(&weir, &["http/1.1"])?;
        weir.configure("", &site("chat", HOST, lines))?;
        weir.launch()?;
        let to = SocketAddr::new(lab::SERVER4, 443);
        let client = connect((&lab.clients, lab::DE4), to, HOST, &trusting)?;
        Ok(Self { weir, client, _echo: echo })
    }

    /// Says something, and hears it.
    fn says(&mut self, message: &Message) -> Result<()> {
        self.client.send(message.clone())?;
        assert_eq!(&self.client.read()?, message);
        Ok(())
    }

    /// Its record, which there is only now that it has ended.
    fn record(self, close_reason: &str) -> Result<Value> {
        drop(self.client);
        let record = self.weir.wait_for_event("service_id=chat", SOON)?;
        assert_eq!(record["status_code"], 101, "{record}");
        assert_eq!(record["verdict"], "allowed", "{record}");
        assert_eq!(record["close_reason"], close_reason, "{record}");
        Ok(record)
    }
}

#[test]
fn texts_and_bytes_pass_and_are_counted_and_the_record_comes_at_the_end() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let mut scene = Scene::start(&lab, "")?;
    scene.says(&Message::text("hello"))?;
    scene.says(&Message::binary(vec![7; 100_000]))?;
    assert_eq!(scene.weir.events("service_id=chat")?, Vec::<Value>::new());
    scene.client.close(None)?;
    let end = loop {
        match scene.client.read() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(end, Error::ConnectionClosed), "{end}");
    let record = scene.record("client_closed")?;
    // Frames of 5 and of 100,000 bytes, and one that closes, have headers of 2, 10 and 2
    // bytes, those of clients with 4 for the mask (RFC 6455, 5.2).
    assert_eq!(record["bytes_download"], 5 + 100_000 + 14, "{record}");
    assert_eq!(record["bytes_upload"], 5 + 100_000 + 14 + 12, "{record}");
    assert_eq!(record["path"], "/socket", "{record}");
    Ok(())
}

#[test]
fn a_silent_one_ends_after_the_idle_timeout() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let mut scene = Scene::start(&lab, "idle_timeout = '1s'")?;
    scene.says(&Message::text("hello"))?;
    let heard = scene.client.read();
    assert!(heard.is_err(), "{heard:?}");
    let record = scene.record("idle_timeout")?;
    assert!(record["duration_ms"].as_u64() >= Some(1_000), "{record}");
    Ok(())
}

#[test]
fn a_policy_that_denies_its_client_cuts_it() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let mut scene = Scene::start(&lab, "")?;
    scene.says(&Message::text("hello"))?;
    scene.weir.configure("", &site("chat", HOST, &format!("block = ['{}']", lab::DE4)))?;
    scene.weir.reload()?;
    let heard = scene.client.read();
    assert!(heard.is_err(), "{heard:?}");
    scene.record("policy_changed")?;
    Ok(())
}

#[test]
fn a_site_that_is_taken_down_cuts_it() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let mut scene = Scene::start(&lab, "")?;
    scene.says(&Message::text("hello"))?;
    scene.weir.configure("", &site("other", "other.example.com", ""))?;
    scene.weir.reload()?;
    let heard = scene.client.read();
    assert!(heard.is_err(), "{heard:?}");
    let record = scene.record("service_removed")?;
    assert_eq!(record["metadata"]["cut"], "service_removed", "{record}");
    Ok(())
}
