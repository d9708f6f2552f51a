//! gRPC through Weir, to targets that speak HTTP/2 with TLS and without.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{iter, poll_fn},
};
use hyper::http::uri::PathAndQuery;
use rustls::ClientConfig;
use tokio::{runtime, sync::mpsc};
use tonic::{Code, Request, Status};
use weir_tests::{
    grpc::{Client, Raw, Server, connect},
    lab::{self, Lab},
    scenario::BACKEND,
    trusting::{self, certify},
    wait::SOON,
    weir::Weir,
};

const SAY: &str = "/test.Echo/Say";
const WAIT: &str = "/test.Echo/Wait";
const COUNT: &str = "/test.Echo/Count";
const CHAT: &str = "/test.Echo/Chat";

/// Weir with the services `plain` and `tls`, their targets, and a client's TLS.
struct Scene<'a> {
    lab: &'a Lab,
    weir: Weir<'a>,
    trusting: Arc<ClientConfig>,
    _targets: [Server; 2],
}

impl<'a> Scene<'a> {
    fn start(lab: &'a Lab) -> Result<Self> {
        let mut weir = Weir::install(&lab.server)?;
        let trusting = certify(&weir, &["h2"])?;
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let own = weir.path("target");
        std::fs::create_dir(&own)?;
        let tls = trusting::server(&own, &["h2"])?;
        let targets = [
            Server::start(&lab.server, loopback(BACKEND), None)?,
            Server::start(&lab.server, loopback(BACKEND + 1), Some(tls))?,
        ];
        let site = |name: &str, target: &str| {
            format!(
                "[service.{name}]\ndomain = '{name}.example.com'\n[[service.{name}.route]]\n\
                 path = '/'\ntarget = '{target}'\nskip_tls_verify = true\n"
            )
        };
        let plain = site("plain", &format!("h2c://127.0.0.1:{BACKEND}"));
        let tls = site("tls", &format!("https://127.0.0.1:{}", BACKEND + 1));
        weir.configure("", &(plain + &tls))?;
        weir.launch()?;
        Ok(Self { lab, weir, trusting, _targets: targets })
    }

    async fn client(&self, service: &str) -> Result<Client> {
        let to = SocketAddr::new(lab::SERVER4, 443);
        let host = format!("{service}.example.com");
        let mut client = connect((&self.lab.clients, lab::DE4), to, &host, &self.trusting).await?;
        client.ready().await?;
        Ok(client)
    }

    /// Asserts what is recorded of a call: bytes are messages with 5 more for each.
    fn has_recorded(&self, service: &str, method: &str, up: u64, down: u64) -> Result<()> {
        let query = format!("service_id={service}&path={method}");
        let record = self.weir.wait_for_event(&query, SOON)?;
        assert_eq!(record["status_code"], 200, "{record}");
        assert_eq!(record["verdict"], "allowed", "{record}");
        assert_eq!(record["http_version"], "2", "{record}");
        assert_eq!(record["bytes_upload"], up, "{record}");
        assert_eq!(record["bytes_download"], down, "{record}");
        Ok(())
    }
}

const fn path(method: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(method)
}

/// Makes the same calls of both services.
fn for_each(calls: &impl AsyncFn(&Scene<'_>, &str, &mut Client) -> Result<()>) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let scene = Scene::start(&lab)?;
    // Connections have a thread of their own: the test's waits for records.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for service in ["plain", "tls"] {
        runtime
            .block_on(async { calls(&scene, service, &mut scene.client(service).await?).await })?;
    }
    Ok(())
}

#[test]
fn calls_of_each_kind_pass_and_are_recorded() -> Result<()> {
    for_each(&async |scene, service, client| {
        let answer = client.unary(Request::new("hello".into()), path(SAY), Raw).await?;
        assert_eq!(answer.into_inner(), Bytes::from("hello"));
        scene.has_recorded(service, SAY, 10, 10)?;
        ends_with_a_status_in_trailers(client).await?;
        scene.has_recorded(service, COUNT, 6, 18)?;
        talk_in_turn(client).await?;
        scene.has_recorded(service, CHAT, 10_050, 10_050)?;
        much_passes_whole(client).await
    })
}

async fn ends_with_a_status_in_trailers(client: &mut Client) -> Result<()> {
    let answer = client.server_streaming(Request::new("3".into()), path(COUNT), Raw).await?;
    let heard: Vec<Result<Bytes, Status>> = answer.into_inner().collect().await;
    let (messages, end) = heard.split_at(3);
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(message.as_ref().ok(), Some(&Bytes::from(number.to_string())));
    }
    let end = end.first().and_then(|end| end.as_ref().err());
    let end = end.map(|end| (end.code(), end.message()));
    assert_eq!(end, Some((Code::DataLoss, "all is lost")));
    Ok(())
}

/// Each message is heard before the next is said: nothing is held back on the way.
async fn talk_in_turn(client: &mut Client) -> Result<()> {
    let (say, mut said) = mpsc::unbounded_channel::<Bytes>();
    let said = poll_fn(move |cx| said.poll_recv(cx));
    let mut heard = client.streaming(Request::new(said), path(CHAT), Raw).await?.into_inner();
    for number in 0..10 {
        let message = Bytes::from(vec![number; 1_000]);
        say.send(message.clone())?;
        assert_eq!(heard.message().await?, Some(message));
    }
    drop(say);
    assert_eq!(heard.message().await?, None);
    Ok(())
}

/// 8 MiB each way, of which no window holds more than a part.
async fn much_passes_whole(client: &mut Client) -> Result<()> {
    let messages = iter((0..64u8).map(|number| Bytes::from(vec![number; 128 << 10])));
    let answer = client.streaming(Request::new(messages), path(CHAT), Raw).await?;
    let heard: Vec<Result<Bytes, Status>> = answer.into_inner().collect().await;
    let firsts: Vec<_> = heard.iter().flatten().map(|message| message[0]).collect();
    assert_eq!(firsts, (0..64).collect::<Vec<u8>>());
    Ok(())
}

#[test]
fn failures_deadlines_and_clients_that_give_up_are_told() -> Result<()> {
    for_each(&async |scene, service, client| {
        let answer = client.server_streaming(Request::new("x".into()), path(COUNT), Raw).await;
        let status = answer.err().map(|status| (status.code(), status.message().to_owned()));
        assert_eq!(status, Some((Code::FailedPrecondition, "no number".to_owned())));

        // The server is told of the deadline, and ends the call itself.
        let status = wait(client, Duration::from_millis(100)).await.err();
        assert_eq!(status.map(|status| status.code()), Some(Code::DeadlineExceeded));

        let call = wait(client, Duration::from_secs(90));
        assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
        let query = format!("service_id={service}&reason=client_aborted");
        let record = scene.weir.wait_for_event(&query, SOON)?;
        assert_eq!(record["status_code"], 499, "{record}");
        Ok(())
    })
}

async fn wait(client: &mut Client, deadline: Duration) -> Result<(), Status> {
    let mut request = Request::new(Bytes::new());
    request.set_timeout(deadline);
    client.unary(request, path(WAIT), Raw).await.map(drop)
}
