//! The binary `weir`.

use std::process::ExitCode;

fn main() -> ExitCode {
    proxy_user::cli::main()
}
