//! How long a host waits for its answer.

use proxy_common::udp::Question;

const SECOND: u64 = 1_000_000_000;

#[test]
fn an_answer_is_let_in_for_two_minutes_after_the_host_spoke() {
    let mut question = Question::at(50 * SECOND);
    // The coarse clock of another CPU.
    assert!(question.admits(49 * SECOND));
    assert!(question.admits(169 * SECOND));
    assert!(!question.admits(170 * SECOND));
    question.again(160 * SECOND);
    assert!(question.admits(279 * SECOND));
}

#[test]
fn what_is_sent_to_a_client_is_no_question() {
    let mut question = Question::NONE;
    question.again(50 * SECOND);
    assert!(!question.admits(50 * SECOND));
}
