//! Messages to the kernel: one configuration, any number of verdicts in one buffer.

use super::*;

/// How a queue is configured, in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct Configuration {
    /// Bytes of each packet to copy; the kernel takes 0 for the most it can.
    pub(in crate::queue) copy_range: u16,
    /// The most packets held.
    pub(in crate::queue) max_length: u32,
    /// Accept what does not fit. The mask always names the flag, so that it is cleared otherwise.
    pub(in crate::queue) fail_open: bool,
}

/// Appends the message that binds `queue` and configures it whole, so that no packet finds the queue
/// bound and the copy mode unset. The kernel acknowledges it.
pub(in crate::queue) fn put_configuration(
    buffer: &mut Vec<u8>,
    sequence: u32,
    queue: u16,
    configuration: &Configuration,
) {
    let start = begin(buffer, CONFIG, REQUEST | ACK, sequence, queue);
    put_attribute(buffer, NFQA_CFG_CMD, &[CMD_BIND, 0, 0, 0]);
    put_settings(buffer, configuration);
    finish(buffer, start);
}

/// Appends the message that configures a bound `queue` anew. What waits in it stays. The kernel
/// acknowledges it where asked to; otherwise it replies only to refuse.
pub(in crate::queue) fn put_new_configuration(
    buffer: &mut Vec<u8>,
    (sequence, acknowledged): (u32, bool),
    queue: u16,
    configuration: &Configuration,
) {
    let kind = if acknowledged { REQUEST | ACK } else { REQUEST };
    let start = begin(buffer, CONFIG, kind, sequence, queue);
    put_settings(buffer, configuration);
    finish(buffer, start);
}

/// Appends the message that gives `queue` up: the kernel drops what it holds for it.
pub(in crate::queue) fn put_unbind(buffer: &mut Vec<u8>, sequence: u32, queue: u16) {
    let start = begin(buffer, CONFIG, REQUEST | ACK, sequence, queue);
    put_attribute(buffer, NFQA_CFG_CMD, &[CMD_UNBIND, 0, 0, 0]);
    finish(buffer, start);
}

fn put_settings(buffer: &mut Vec<u8>, configuration: &Configuration) {
    let [a, b, c, d] = u32::from(configuration.copy_range).to_be_bytes();
    put_attribute(buffer, NFQA_CFG_PARAMS, &[a, b, c, d, COPY_PACKET]);
    put_attribute(buffer, NFQA_CFG_QUEUE_MAXLEN, &configuration.max_length.to_be_bytes());
    let flags = if configuration.fail_open { GSO | FAIL_OPEN } else { GSO };
    put_attribute(buffer, NFQA_CFG_FLAGS, &flags.to_be_bytes());
    put_attribute(buffer, NFQA_CFG_MASK, &(GSO | FAIL_OPEN).to_be_bytes());
}

/// Appends the message that changes only whether the kernel accepts what finds no room. The kernel
/// acknowledges it where it has a sequence number; otherwise it replies only to refuse.
pub(in crate::queue) fn put_fail_open(
    buffer: &mut Vec<u8>,
    sequence: Option<u32>,
    queue: u16,
    fail_open: bool,
) {
    let kind = if sequence.is_some() { REQUEST | ACK } else { REQUEST };
    let start = begin(buffer, CONFIG, kind, sequence.unwrap_or(0), queue);
    let flags = if fail_open { FAIL_OPEN } else { 0 };
    put_attribute(buffer, NFQA_CFG_FLAGS, &flags.to_be_bytes());
    put_attribute(buffer, NFQA_CFG_MASK, &FAIL_OPEN.to_be_bytes());
    finish(buffer, start);
}

/// Appends a verdict that accepts packet `id` and sets its whole mark. The id is the sequence number.
pub(in crate::queue) fn put_accept(buffer: &mut Vec<u8>, queue: u16, id: u32, mark: u32) {
    let start = begin(buffer, VERDICT, REQUEST, id, queue);
    put_verdict_header(buffer, NF_ACCEPT, id);
    put_attribute(buffer, NFQA_MARK, &mark.to_be_bytes());
    finish(buffer, start);
}

/// Appends a verdict that drops packet `id`. The id is the sequence number.
pub(in crate::queue) fn put_drop(buffer: &mut Vec<u8>, queue: u16, id: u32) {
    let start = begin(buffer, VERDICT, REQUEST, id, queue);
    put_verdict_header(buffer, NF_DROP, id);
    finish(buffer, start);
}

/// Appends one answer for every packet still held in `queue` up to and with `id`: accepted with this mark, or dropped.
///
/// Only where all of them are judged so, or have their answer before it: it also hits what was read and not judged.
pub(in crate::queue) fn put_run(
    buffer: &mut Vec<u8>,
    sequence: u32,
    queue: u16,
    id: u32,
    mark: Option<u32>,
) {
    let start = begin(buffer, VERDICT_BATCH, REQUEST, sequence, queue);
    match mark {
        Some(mark) => {
            put_verdict_header(buffer, NF_ACCEPT, id);
            put_attribute(buffer, NFQA_MARK, &mark.to_be_bytes());
        }
        None => put_verdict_header(buffer, NF_DROP, id),
    }
    finish(buffer, start);
}

/// Appends a verdict that drops every packet still held in `queue` up to and with `id`.
///
/// Only for packets that nobody can judge any more: it also hits what was read and not yet answered.
pub(in crate::queue) fn put_drop_up_to(buffer: &mut Vec<u8>, queue: u16, id: u32) {
    let start = begin(buffer, VERDICT_BATCH, REQUEST, id, queue);
    put_verdict_header(buffer, NF_DROP, id);
    finish(buffer, start);
}

/// Like [`put_drop_up_to`], and the kernel answers under this sequence number: 0 if it dropped anything,
/// `ENOENT` if nothing was held.
pub(in crate::queue) fn ask_drop_up_to(buffer: &mut Vec<u8>, sequence: u32, queue: u16, id: u32) {
    let start = begin(buffer, VERDICT_BATCH, REQUEST | ACK, sequence, queue);
    put_verdict_header(buffer, NF_DROP, id);
    finish(buffer, start);
}

/// `struct nfqnl_msg_verdict_hdr`.
fn put_verdict_header(buffer: &mut Vec<u8>, verdict: u32, id: u32) {
    let [a, b, c, d] = verdict.to_be_bytes();
    let [e, f, g, h] = id.to_be_bytes();
    put_attribute(buffer, NFQA_VERDICT_HDR, &[a, b, c, d, e, f, g, h]);
}

/// Appends both headers with no length yet, and returns where the message starts.
pub(super) fn begin(
    buffer: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    queue: u16,
) -> usize {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(&flags.to_ne_bytes());
    buffer.extend_from_slice(&sequence.to_ne_bytes());
    buffer.extend_from_slice(&[0; 4]);
    // AF_UNSPEC, NFNETLINK_V0, and the queue number as the resource.
    let [high, low] = queue.to_be_bytes();
    buffer.extend_from_slice(&[0, 0, high, low]);
    start
}

/// Writes the length of the message that started at `start`.
pub(super) fn finish(buffer: &mut [u8], start: usize) {
    let length = u32::try_from(buffer.len().saturating_sub(start)).unwrap_or(u32::MAX);
    if let Some(field) = buffer.get_mut(start..start.saturating_add(4)) {
        field.copy_from_slice(&length.to_ne_bytes());
    }
}

/// Appends an attribute and its padding. Our values are all shorter than 64 KiB.
pub(super) fn put_attribute(buffer: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = ATTRIBUTE + value.len();
    buffer.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    buffer.extend_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(value);
    buffer.resize(buffer.len() + (aligned(length) - length), 0);
}
