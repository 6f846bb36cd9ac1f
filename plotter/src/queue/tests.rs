use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

fn queue(plot_rows: u64, window: usize) -> Queue {
    Queue::new(Bounds { rows_done: 0, plot_rows, batch_rows: 16, window })
}

fn piece(start: u64, rows: u64) -> Piece {
    Piece { start, rows }
}

#[test]
fn pieces_are_aligned_and_only_the_last_is_odd() {
    for (free, wanted) in [(0..100, 1000), (48..100, 1000), (0..100, 40), (5..77, 1000), (5..77, 30), (96..100, 3)] {
        let pieces = cut(&free, wanted, usize::MAX, 16, free.end);
        let mut next = free.start;
        for Piece { start, rows } in &pieces {
            assert_eq!(*start, next);
            assert!(start.is_multiple_of(rows.next_power_of_two()) && *rows <= 16, "{pieces:?}");
            assert!(rows.is_power_of_two() || start + rows == free.end, "{pieces:?}");
            next += rows;
        }
        assert_eq!(next, free.end.min(free.start + wanted));
    }
    assert_eq!(cut(&(0..100), 100, 2, 16, 100), [piece(0, 16), piece(16, 16)]);
    // Rows that were given back do not end with the plot.
    assert_eq!(cut(&(32..45), 13, 9, 16, 100), [piece(32, 8), piece(40, 4), piece(44, 1)]);
}

#[test]
fn lots_are_multiples_of_their_grain() {
    for (most, batch_rows, expected) in [(1, 16, 1), (5, 16, 4), (500, 16, 16), (500, 1024, 16), (65_536, 4096, 256)] {
        assert_eq!(grain(most, batch_rows), expected);
    }
}

#[test]
fn the_window_bounds_what_is_ahead() {
    let queue = queue(1000, 4);
    let (first, second) = (queue.join(Kind::Card, 32, false), queue.join(Kind::Card, 320, false));
    assert_eq!(queue.take(first, 32), Some(vec![piece(0, 16), piece(16, 16)]));
    assert_eq!(queue.take(second, 320), Some(vec![piece(32, 16), piece(48, 16)]), "no more than the window holds");
    assert_eq!(queue.take(first, 32), None);
    // Written, but behind a gap: the two wait as one subtree.
    queue.written(0, 1);
    queue.written(0, 1);
    assert_eq!(queue.take(second, 320), Some(vec![piece(64, 16)]));
    assert_eq!(queue.take(second, 320), None);
    queue.written(16, 1);
    queue.written(64, 0);
    assert_eq!(queue.take(second, 320).map(|pieces| pieces.len()), Some(3));
}

#[test]
fn what_is_given_back_comes_first_even_if_the_window_is_full() {
    let queue = queue(1000, 4);
    let (lost, other) = (queue.join(Kind::Card, 32, false), queue.join(Kind::Card, 320, false));
    let held = queue.take(lost, 32).expect("rows");
    assert_eq!(queue.take(other, 320).map(|pieces| pieces.len()), Some(2));
    queue.written(0, 4);
    queue.written(0, 4);
    queue.lost(lost, held);
    assert_eq!(queue.take(other, 320), Some(vec![piece(0, 16)]), "everything waits for it");
    assert_eq!(queue.take(other, 320), None);
    queue.written(16, 4);
    assert_eq!(queue.take(other, 320), Some(vec![piece(16, 16)]));
}

#[test]
fn nobody_waits_for_a_queue_that_is_closed() {
    let queue = queue(16, 4);
    let who = queue.join(Kind::Card, 32, true);
    assert_eq!(queue.take(who, 32), None, "it is being measured");
    queue.measured(who, Some(Duration::from_secs(1)));
    assert!(queue.wait_for(who, 32));
    assert_eq!(queue.wait_and_take(who, 32), Some(vec![piece(0, 16)]));
    queue.written(16, 0);
    assert!(queue.is_closed() && !queue.wait_for(who, 32));
}

#[test]
fn lots_come_back_to_whole_grains() {
    for start in 0..40 {
        for grain in [1, 4, 16] {
            for most in grain..70 {
                for rows in 0..=most - most % grain {
                    let taken = up_to_a_grain(start, rows, most, grain);
                    assert_eq!(taken == 0, rows == 0);
                    assert!(taken == 0 || (start + taken).is_multiple_of(grain), "{start} {grain} {most} {rows}");
                    assert!(taken <= most && taken + grain > rows, "{start} {grain} {most} {rows}");
                }
            }
        }
    }
}

/// All who take rows and the one who writes them, a step at a time: without threads, so in any order.
struct Model {
    queue: Queue,
    window: usize,
    /// What each has in hand, lot by lot; none for who is lost.
    hands: Vec<Option<VecDeque<VecDeque<Piece>>>>,
    most: Vec<u64>,
    to_write: VecDeque<Piece>,
    written: BTreeMap<u64, u64>,
    rows_done: u64,
}

impl Model {
    fn take(&mut self, who: usize) -> bool {
        let Some(hand) = &mut self.hands[who] else { return false };
        let Some(pieces) = self.queue.take(who, self.most[who]) else { return false };
        assert!(pieces.iter().map(|piece| piece.rows).sum::<u64>() <= self.most[who]);
        assert!(pieces.iter().all(|piece| piece.start.is_multiple_of(piece.rows.next_power_of_two())));
        hand.push_back(pieces.into());
        let held: usize = self.hands.iter().flatten().flatten().map(VecDeque::len).sum();
        // One more is given out where everything waits for it.
        assert!(held + self.to_write.len() + self.written.len() <= self.window + 1);
        true
    }

    fn hand_over(&mut self, who: usize, time: Duration) -> bool {
        let Some(lot) = self.hands[who].as_mut().and_then(|hand| hand.front_mut()) else { return false };
        self.to_write.push_back(lot.pop_front().expect("no lot is empty"));
        if lot.is_empty() {
            self.hands[who].as_mut().expect("it is there").pop_front();
            self.queue.ended(who, time);
        }
        true
    }

    fn write(&mut self) -> bool {
        let Some(Piece { start, rows }) = self.to_write.pop_front() else { return false };
        assert!(start >= self.rows_done && self.written.insert(start, rows).is_none(), "written twice");
        while let Some(rows) = self.written.remove(&self.rows_done) {
            self.rows_done += rows;
        }
        self.queue.written(self.rows_done, self.written.len());
        true
    }

    fn lose(&mut self, who: usize) -> bool {
        let Some(hand) = self.hands[who].take() else { return false };
        self.queue.lost(who, hand.into_iter().flatten());
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever happens in whatever order: every row is written once, and nobody who is left waits for nothing.
    #[test]
    fn every_row_is_grown_once(
        rows_done in 0u64..50,
        rows in 1u64..500,
        log2_batch in 0u32..6,
        window in 1usize..20,
        cards in proptest::collection::vec((1u64..100, 0u64..10_000), 1..4),
        steps in proptest::collection::vec((0usize..4, 0u8..16, 0u64..1 << 40), 0..300),
    ) {
        let plot_rows = rows_done + rows;
        let queue = Queue::new(Bounds { rows_done, plot_rows, batch_rows: 1 << log2_batch, window });
        let mut most = vec![1 << log2_batch];
        queue.join(Kind::Cpu, 16, false);
        for (lot, micros) in &cards {
            let who = queue.join(Kind::Card, *lot, true);
            queue.measured(who, micros.checked_sub(1).map(Duration::from_micros));
            most.push(*lot);
        }
        let hands = most.iter().map(|_| Some(VecDeque::new())).collect();
        let mut model =
            Model { queue, window, hands, most, to_write: VecDeque::new(), written: BTreeMap::new(), rows_done };
        for (who, what, nanos) in steps {
            let who = who % model.most.len();
            match what {
                0..6 => model.take(who),
                6..11 => model.hand_over(who, Duration::from_nanos(nanos)),
                11..15 => model.write(),
                // The CPU is never lost.
                _ => who > 0 && model.lose(who),
            };
        }
        while !model.queue.is_closed() {
            let mut has_moved = false;
            for who in 0..model.most.len() {
                while model.hand_over(who, Duration::from_millis(1)) | model.write() {
                    has_moved = true;
                }
            }
            for who in 0..model.most.len() {
                has_moved |= model.take(who);
            }
            prop_assert!(has_moved, "all wait: {:?}", model.queue);
        }
        prop_assert_eq!(model.rows_done, plot_rows);
        prop_assert!(model.hands.iter().flatten().all(VecDeque::is_empty) && model.written.is_empty());
    }
}
