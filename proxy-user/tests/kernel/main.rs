//! The kernel programs, run by `BPF_PROG_TEST_RUN`. Needs root.

mod clsact;
mod frames;
mod generations;
mod harness;
mod host;
mod life;
mod network;
mod odd;
mod verdicts;
