//! The JSON of everything but records, for the API and for who reads it.

mod audit;
mod certificate;
mod envelope;
mod flow;
mod reload;
pub mod rfc3339;
mod session;
mod status;
mod token;

pub use audit::*;
pub use certificate::*;
pub use envelope::*;
pub use flow::*;
pub use reload::*;
pub use session::*;
pub use status::*;
pub use token::*;
