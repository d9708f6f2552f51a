//! Sign-in, as far as it hangs on the configuration.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{Daemon, Place, free_port};
use crate::daemon::core::domains;

fn services(place: &Place, callback: &str) -> String {
    let secret = place.path("sso.secret");
    fs::write(&secret, "s3cret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let (secret, port) = (secret.display(), free_port());
    format!(
        "[sso.corp]\nissuer = 'https://idp.example.com'\nclient_id = 'weir'\n\
         client_secret_file = '{secret}'\n{callback}\n\
         [service.app]\ndomain = 'app.example.com'\nlisten = '127.0.0.1:{port}'\n\
         target = 'http://127.0.0.1:9'\nredirect_http = false\nsso = 'corp'\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_common_callback_host_has_a_certificate_and_is_known_until_a_reload() {
    let callback = "callback = 'https://login.example.com'";
    let daemon = Daemon::start(|place| services(place, callback)).await;
    let core = &daemon.core;
    assert_eq!(domains(&core.config.load()), ["app.example.com", "login.example.com"]);
    assert!(core.auth.is_callback_host("login.example.com"));
    daemon.reload(&services(&daemon.place, ""), None).await.unwrap();
    assert_eq!(domains(&core.config.load()), ["app.example.com"]);
    assert!(!core.auth.is_callback_host("login.example.com"));
}
