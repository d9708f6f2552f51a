//! The kernel programs, run by `BPF_PROG_TEST_RUN`. Needs root.

mod frames;
mod harness;
mod life;
mod odd;
mod verdicts;
