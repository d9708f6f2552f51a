//! The kernel's verifier takes every program.

#[test]
fn verifier_takes_every_program() {
    proxy_user::datapath::load(None, 1024)
        .map_err(|e| {
            let mut s = format!("{e}");
            let mut src = std::error::Error::source(&e);
            while let Some(x) = src {
                s += &format!("\n{x}");
                src = x.source();
            }
            panic!("{s}")
        })
        .ok();
}
