//! Cards and CPUs of known speeds, on a clock that only counts.

use super::*;

/// Somebody as they are, and how far off the first guess of it is.
#[derive(Clone, Copy)]
struct Sham {
    kind: Kind,
    truth: Pace,
    guess: f64,
}

fn card(lot: u64, rate: f64, floor: f64) -> Sham {
    Sham { kind: Kind::Card, truth: Pace { lot, time: lot as f64 / rate, floor }, guess: 1.0 }
}

fn cpu(rate: f64) -> Sham {
    Sham { kind: Kind::Cpu, truth: Pace::lockstep(32, 32.0 / rate), guess: 1.0 }
}

/// The earliest time at which all can be done.
fn ideal(shams: &[Sham], rows: u64) -> f64 {
    let mut shares = Shares::default();
    for sham in shams {
        let who = shares.add(sham.kind, sham.truth.lot);
        shares.members[who].pace = Some(sham.truth);
    }
    shares.all_done(0.0, rows)
}

/// Who did how many rows, and when all were done. One that is `lost_at` gives back what it has.
fn run(shams: &[Sham], rows: u64, lost_at: Option<(usize, f64)>) -> (Vec<u64>, f64) {
    const BATCH_ROWS: u64 = 1024;
    let mut shares = Shares::default();
    for sham in shams {
        let who = shares.add(sham.kind, sham.truth.lot);
        if sham.kind == Kind::Card {
            shares.expect(who, sham.truth.time * sham.guess);
        }
    }
    // What each has in hand: its rows, when it began and when it ends.
    let mut hands: Vec<Option<(u64, f64, f64)>> = vec![None; shams.len()];
    let (mut now, mut left, mut done) = (0.0, rows, vec![0; shams.len()]);
    loop {
        for (who, sham) in shams.iter().enumerate() {
            if lost_at.is_some_and(|(lost, at)| lost == who && at <= now) {
                left += hands[who].take().map_or(0, |(rows, ..)| rows);
                shares.lose(who);
            } else if hands[who].is_none() && left > 0 {
                let most = if sham.kind == Kind::Cpu { BATCH_ROWS } else { sham.truth.lot };
                let taken = shares.rows_for(who, now, left, most);
                assert!(taken <= left.min(most));
                if taken > 0 {
                    shares.give(who, taken, now);
                    left -= taken;
                    hands[who] = Some((taken, now, now + sham.truth.time_of(taken)));
                }
            }
        }
        let ends = hands.iter().flatten().map(|(.., end)| *end);
        let rethink = if left > 0 { now + 1.0 } else { f64::MAX };
        let loss = lost_at.map_or(f64::MAX, |(_, at)| if at > now { at } else { f64::MAX });
        let next = ends.fold(rethink, f64::min);
        if next == f64::MAX {
            return (done, now);
        }
        now = next.min(loss);
        for (who, hand) in hands.iter_mut().enumerate() {
            if let Some((rows, began, _)) = hand.take_if(|(.., end)| *end <= now) {
                shares.end(who, now - began, now);
                done[who] += rows;
            }
        }
    }
}

/// Everything is grown, and not later than it can be by more than `slack` seconds.
fn check(shams: &[Sham], rows: u64, slack: f64) {
    let (done, time) = run(shams, rows, None);
    assert_eq!(done.iter().sum::<u64>(), rows);
    let ideal = ideal(shams, rows);
    assert!(
        time <= ideal * 1.01 + slack,
        "{rows} rows took {time} s, {ideal} s are enough: {done:?} with floors {:?}",
        shams.iter().map(|sham| sham.truth.floor).collect::<Vec<_>>()
    );
}

#[test]
fn one_takes_all() {
    for sham in [cpu(10.0), card(512, 10.0, 1.0)] {
        let (done, time) = run(&[sham], 10_000, None);
        assert_eq!(done, [10_000]);
        assert!(time >= 10_000.0 / 10.0);
    }
}

#[test]
fn one_ten_and_thirty_seven_end_together() {
    for rows in [100, 5_000, 60_000, 1_000_000] {
        // A lot takes its time however few its rows: nobody ends before the slowest lot that is needed does.
        check(&[cpu(10.0), card(1024, 100.0, 1.0), card(2048, 370.0, 1.0)], rows, 4.0);
        for floor in [0.0, 0.1, 0.5] {
            // Until the first small lot is seen, all are taken for such: that may cost part of one.
            check(&[cpu(10.0), card(1024, 100.0, floor), card(2048, 370.0, floor)], rows, 8.0);
        }
    }
}

#[test]
fn wrong_guesses_are_corrected() {
    for guess in [0.3, 3.0] {
        let wrong = |sham: Sham| Sham { guess, ..sham };
        let shams = [cpu(10.0), wrong(card(1024, 100.0, 1.0)), wrong(card(2048, 370.0, 1.0))];
        check(&shams, 200_000, 8.0);
    }
}

#[test]
fn a_slow_one_takes_nothing_that_others_end_sooner() {
    // Its one unit would take ten seconds, the card's lot takes one.
    let mut shares = Shares::default();
    let (slow, fast) = (shares.add(Kind::Cpu, 32), shares.add(Kind::Card, 1024));
    shares.expect(fast, 1.0);
    shares.expect(slow, 10.0);
    assert_eq!(shares.rows_for(slow, 0.0, 1024, 1024), 0);
    assert_eq!(shares.rows_for(fast, 0.0, 1024, 1024), 1024);
    // With twelve lots to do, there is time for one unit.
    assert_eq!(shares.rows_for(slow, 0.0, 12 * 1024, 1024), 32);
}

#[test]
fn what_a_lost_one_had_is_done_by_others() {
    let shams = [cpu(10.0), card(1024, 100.0, 1.0), card(2048, 370.0, 1.0)];
    for at in [0.1, 50.0, 130.0] {
        let (done, time) = run(&shams, 60_000, Some((2, at)));
        assert_eq!(done.iter().sum::<u64>(), 60_000);
        let rest = 60_000 - done[2];
        assert!(time <= at + ideal(&shams[..2], rest) + 15.0, "{done:?} in {time} s");
    }
}

#[test]
fn a_late_one_does_not_hold_the_rest_up() {
    // It was given a lot and never ends it: the CPU does not wait for it to do the rest.
    let mut shares = Shares::default();
    let (slow, stuck) = (shares.add(Kind::Cpu, 32), shares.add(Kind::Card, 1024));
    shares.expect(slow, 1.0);
    shares.expect(stuck, 1.0);
    shares.give(stuck, 1024, 0.0);
    assert_eq!(shares.rows_for(slow, 0.9, 32, 1024), 32, "a unit ends when the next lot would");
    assert!(shares.rows_for(slow, 100.0, 1000, 1024) > 0);
}

#[test]
fn a_pause_does_not_bar_a_card() {
    let mut shares = Shares::default();
    let (slow, fast) = (shares.add(Kind::Cpu, 32), shares.add(Kind::Card, 1024));
    shares.expect(slow, 3.2);
    shares.expect(fast, 2.0);
    shares.give(fast, 1024, 0.0);
    // All work was held back for an hour meanwhile.
    shares.end(fast, 3600.0, 3600.0);
    assert!(shares.rows_for(fast, 3600.0, 4096, 1024) > 0, "the CPU alone needs seven minutes");
}

#[test]
fn a_card_that_needs_no_time_gets_rows() {
    let mut shares = Shares::default();
    let (other, fast) = (shares.add(Kind::Card, 1024), shares.add(Kind::Card, 1024));
    shares.expect(other, 1.0);
    shares.expect(fast, 0.0);
    assert!(shares.rows_for(fast, 0.0, 4096, 1024) > 0);
}

/// The control of the tests above: who is told that all are equally fast shares badly.
#[test]
fn bad_shares_are_seen() {
    let shams = [card(1024, 10.0, 0.0), card(1024, 370.0, 0.0)];
    let halves = shams.iter().map(|sham| sham.truth.time_of(30_000)).fold(0.0, f64::max);
    assert!(halves > ideal(&shams, 60_000) * 1.01 + 8.0);
}
