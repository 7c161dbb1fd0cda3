//! How many packets a queue may hold, and how large a receive buffer may be beside that.
//!
//! The buffer is to overflow before the queue does: only then is a loss seen, in the kernel's count and as a
//! gap in the packet ids. What finds a full queue gets no id, and is counted where only root can read it.

/// What one held packet may weigh in the kernel: a full aggregate.
const AGGREGATE_BYTES: u64 = 65_536;
/// The fewest packets that a queue must be able to hold: below that there is no room to lose visibly.
const SHORTEST_QUEUE: u64 = 256;
/// The least that all queues together may be allowed to hold.
pub(super) const LEAST_HELD: u64 = SHORTEST_QUEUE * AGGREGATE_BYTES;
/// The least that a 64-bit kernel charges a socket for one queued message: 256 bytes for the `sk_buff`, and
/// 512, because a message and the 320 bytes that end each buffer need more than 256 (measured on Linux 6.18: 832
/// for copy ranges up to 128, 1,280 from 160 to 512).
pub(super) const MESSAGE_CHARGE: u64 = 768;
/// The most packets that a packet thread has in hand.
pub(super) const BATCH: u64 = 64;
/// By how much a takeover enlarges a socket's buffer for a moment.
pub(super) const TAKEOVER_ROOM: u64 = 64 << 10;
/// The largest buffer: the kernel keeps twice what it is told in an `int`.
pub(super) const LARGEST_BUFFER: u64 = 1 << 30;

/// The length of each of `count` queues that share `held` bytes, and its receive buffer: as large as may be, or
/// as asked.
///
/// # Errors
/// What is wrong with the keys, in words.
pub(super) fn sizes(held: u64, count: u16, asked: Option<u64>) -> Result<(u32, usize), String> {
    let length = held / AGGREGATE_BYTES / u64::from(count);
    if length < SHORTEST_QUEUE {
        return Err(format!(
            "queue.max_held_bytes = {held} is too small for {count} queues: at least {} MiB \
             ({SHORTEST_QUEUE} aggregates of 64 KiB each)",
            (LEAST_HELD * u64::from(count)) >> 20
        ));
    }
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let largest = largest_buffer(u64::from(length));
    let buffer = asked.unwrap_or(largest);
    if buffer > largest {
        let least = least_length(buffer) * AGGREGATE_BYTES * u64::from(count);
        return Err(format!(
            "queue.buffer_bytes = {buffer} is too large: a queue within queue.max_held_bytes = {held}, shared out \
             among {count}, is full before it, and what is lost then is not counted; at most {largest}, or \
             queue.max_held_bytes of at least {} MiB",
            least.div_ceil(1 << 20)
        ));
    }
    Ok((length, buffer as usize))
}

/// The largest receive buffer for a queue of this length.
///
/// Besides what waits in the buffer, a packet thread may hold a batch, and the kernel takes one message more
/// than fits (`netlink_attachskb`, net/netlink/af_netlink.c).
fn largest_buffer(length: u64) -> u64 {
    let waiting = length.saturating_sub(BATCH + 2);
    (waiting * MESSAGE_CHARGE).saturating_sub(TAKEOVER_ROOM).min(LARGEST_BUFFER)
}

/// The length of the shortest queue for such a buffer.
fn least_length(buffer: u64) -> u64 {
    (buffer + TAKEOVER_ROOM).div_ceil(MESSAGE_CHARGE) + BATCH + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_buffer_overflows_before_the_queue_does() {
        for (held, count) in [(16, 1), (256, 2), (2 << 10, 4), (60 << 10, 1), (1 << 20, 2)] {
            let (length, buffer) = sizes(held * MIB, count, None).unwrap();
            // While a takeover enlarges it, and with a batch in hand.
            let fit = (buffer as u64 + TAKEOVER_ROOM) / MESSAGE_CHARGE + 1;
            assert!(fit + BATCH < u64::from(length), "{held} MiB over {count}: {length}, {buffer}");
        }
        assert_eq!((BATCH as usize, TAKEOVER_ROOM as usize), {
            use crate::queue;
            (queue::BATCH, queue::TAKEOVER_ROOM)
        });
    }

    #[test]
    fn buffer_that_the_queue_is_too_short_for_is_refused_with_both_ways_out() {
        for (held, count) in [(16, 1), (256, 2), (2 << 10, 4)] {
            let (_, largest) = sizes(held * MIB, count, None).unwrap();
            let with = |held: u64, buffer: usize| sizes(held * MIB, count, Some(buffer as u64));
            assert_eq!(with(held, largest).map(|(_, buffer)| buffer), Ok(largest));
            assert_eq!(with(held, 65_536).map(|(_, buffer)| buffer), Ok(65_536));
            for buffer in [largest + 1, 2 * largest, 10 * largest] {
                let refused = with(held, buffer).unwrap_err();
                assert!(refused.contains(&format!("at most {largest}, ")), "{refused}");
                let least = refused.rsplit("at least ").next().unwrap();
                let least: u64 = least.strip_suffix(" MiB").unwrap().parse().unwrap();
                assert!(with(least, buffer).is_ok(), "{refused}");
                assert!(with(least - 1, buffer).is_err(), "{refused}");
            }
        }
    }
}
