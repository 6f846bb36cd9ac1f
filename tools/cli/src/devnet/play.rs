//! A network from its beginning to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spacetime_node::chain::{Address, Amount, BlockId};
use spacetime_node::consensus::{Parameters, Specification};
use spacetime_node::state;
use spacetime_plotter::Control;

use super::audit::audit;
use super::fleet::{Fleet, miner_name, node_name};
use super::follow::Follower;
use super::people::{Account, Miner};
use super::place::{Place, RECEIVER_KEY, TREASURY_KEY};
use super::screen::Screen;
use super::summary::{Outcome, Summary, Supply};
use super::transfers::Transfers;
use super::{Devnet, genesis, interrupted};
use crate::interrupt::Interrupt;
use crate::{Code, Failure, FailureExt};

/// What a network may take for so many blocks: so long to get going, and for each block four times what one takes on
/// average. So twenty are there within three minutes, with time to agree and to stop, or it is said that they are not.
const BEGINNING: Duration = Duration::from_secs(50);
const BLOCK: Duration = Duration::from_secs(5);
/// What nodes may take to have the same head: even if every epoch has two blocks, one of them is soon built upon.
const AGREEMENT: Duration = Duration::from_secs(20);
/// Epochs after which nothing is on its way any more that miners signed before they were stopped.
const SETTLING_EPOCHS: u64 = 2;

/// What a network begins with.
struct Prepared {
    specification: Specification,
    genesis_id: BlockId,
    treasury: Account,
    receiver: Address,
    miners: Vec<Miner>,
}

/// Makes, runs, stops and checks a network. Its processes have ended when this returns, however it does.
pub(super) fn play(devnet: &Devnet, place: &Place, screen: &mut Screen, interrupt: &Interrupt) -> Result<(), Failure> {
    let began = Instant::now();
    let prepared = prepare(devnet, place, screen, interrupt)?;
    let mut fleet = Fleet::new(place, &prepared.specification.parameters);
    let run = run(devnet, &prepared, (&mut fleet, place), screen, interrupt);
    let why = run.as_ref().map_or_else(Some, |(_, why)| why.as_ref());
    if why.is_some_and(|failure| failure.code() != Code::Interrupted) {
        fleet.last_words().iter().for_each(|line| screen.note(line));
    }
    screen.clear();
    let stopped = fleet.stop();
    let (mut summary, why) = run?;
    summary.memory = fleet.memory();
    let mut ended = why.map_or(stopped, Err);
    if ended.is_err() && summary.outcome == Outcome::Done {
        summary.outcome = Outcome::Failed;
    }
    if ended.is_ok() {
        ended = check_stores(&prepared, &summary, place, interrupt).map(|supply| summary.supply = Some(supply));
        match &ended {
            Ok(()) => {}
            Err(failure) if failure.code() == Code::Interrupted => summary.outcome = Outcome::Interrupted,
            Err(_) => summary.outcome = Outcome::Failed,
        }
    }
    summary.seconds = began.elapsed().as_secs_f64();
    summary.print(devnet.json)?;
    ended
}

/// Makes keys, plots and genesis.
fn prepare(devnet: &Devnet, place: &Place, screen: &Screen, interrupt: &Interrupt) -> Result<Prepared, Failure> {
    let control = Arc::new(Control::new(None, None));
    let at_interrupt = Arc::clone(&control);
    interrupt.then(move || at_interrupt.stop())?;
    let parameters = Parameters::local();
    screen.doing(&format!("growing the plots of {} miners in {}", devnet.miners, place.path().display()));
    let make = |number| {
        let name = miner_name(number);
        Miner::make(&name, &place.path().join(&name), &parameters, &control)
    };
    let miners = (1..=usize::from(devnet.miners)).map(make).collect::<Result<Vec<_>, _>>()?;
    let treasury = Account::make(&place.path().join(TREASURY_KEY))?;
    let receiver = Account::make(&place.path().join(RECEIVER_KEY))?.address;
    let specification = specification(devnet, &miners, treasury.address)?;
    genesis::write(&specification, &place.chain())?;
    let genesis_id = state::genesis(&specification).or_damaged()?.lineage.id;
    Ok(Prepared { specification, genesis_id, treasury, receiver, miners })
}

fn specification(devnet: &Devnet, miners: &[Miner], treasury: Address) -> Result<Specification, Failure> {
    let plots = miners.iter().flat_map(|miner| miner.genesis_plots.iter().map(|plot| (miner.key, plot.clone())));
    let processes = u32::from(devnet.nodes) + u32::from(devnet.miners);
    Ok(genesis::specification(&plots.collect::<Vec<_>>(), treasury, genesis::start_ms(processes)?))
}

/// Starts all and follows it to its end. Says how it ended, and if it did not end well, why.
fn run(
    devnet: &Devnet,
    prepared: &Prepared,
    (fleet, place): (&mut Fleet<'_>, &Place),
    screen: &mut Screen,
    interrupt: &Interrupt,
) -> Result<(Summary, Option<Failure>), Failure> {
    screen.doing(&format!("starting {} nodes and {} miners", devnet.nodes, devnet.miners));
    fleet.start_nodes(usize::from(devnet.nodes), interrupt)?;
    prepared.miners.iter().try_for_each(|miner| fleet.start_miner(miner))?;
    let transfers = Transfers::new(&prepared.treasury, prepared.receiver, prepared.genesis_id);
    let blocks = devnet.blocks.map(u64::from);
    let mut follower = Follower::new((fleet, &prepared.miners, place), transfers, blocks, (screen, interrupt));
    let epoch_ms = prepared.specification.parameters.epoch_ms;
    let (outcome, why) = match follow(&mut follower, blocks, epoch_ms) {
        Ok(true) => (Outcome::Done, None),
        Ok(false) => {
            let why = format!("the nodes do not agree: {}", follower.who_has_what());
            (Outcome::Disagreed, Some(Failure::failed(why)))
        }
        Err(failure) if failure.code() == Code::Interrupted => (Outcome::Interrupted, Some(interrupted())),
        Err(failure) => (Outcome::Failed, Some(failure)),
    };
    Ok((follower.summary(outcome), why))
}

/// Follows it until there are so many blocks and all nodes agree; for ever, if that is not said. Says whether they do.
fn follow(follower: &mut Follower<'_, '_>, blocks: Option<u64>, epoch_ms: u64) -> Result<bool, Failure> {
    let Some(blocks) = blocks else { return follower.until(None, |_| false) };
    let limit = BEGINNING + BLOCK * u32::try_from(blocks).unwrap_or(u32::MAX);
    let has_all = |follower: &Follower<'_, '_>| {
        let heads = follower.heads();
        heads.is_some_and(|heads| heads.iter().all(|head| head.height.0 >= blocks)) && follower.transfers.settled() > 0
    };
    if !follower.until(Some(limit), has_all)? {
        let state = follower.who_has_what();
        let (seconds, transfers) = (limit.as_secs(), follower.transfers.settled());
        return Err(Failure::failed(format!(
            "after {seconds} s there are not {blocks} blocks at all nodes, or no transfer: {state}, {transfers} transfers"
        )));
    }
    if !follower.until(Some(AGREEMENT), |follower| follower.common_head().is_some())? {
        return Ok(false);
    }
    let seen_at = follower.first_head().map_or(0, |head| head.clock_epoch.0);
    let stopping = Instant::now();
    follower.fleet.stop_miners()?;
    // The head was seen before they were told, and they went on until they had stopped.
    let epochs = (stopping.elapsed().as_millis() as u64).div_ceil(epoch_ms) + 1 + SETTLING_EPOCHS;
    let has_settled =
        |follower: &Follower<'_, '_>| follower.common_head().is_some_and(|head| head.clock_epoch.0 >= seen_at + epochs);
    follower.until(Some(AGREEMENT), has_settled)
}

/// Reads all that the nodes have left on disk. They have to have the head that they told, and the same money.
fn check_stores(
    prepared: &Prepared,
    summary: &Summary,
    place: &Place,
    interrupt: &Interrupt,
) -> Result<Supply, Failure> {
    let mut supply = None;
    for number in 1..=summary.nodes {
        let name = node_name(number);
        let found = audit(&name, &place.path().join(&name), &prepared.specification, &interrupt.flag())?;
        if found.tip != summary.head {
            return Err(Failure::failed(format!(
                "{name} has left {} at height {} on disk, and told of {} at height {}",
                found.tip, found.height, summary.head, summary.height
            )));
        }
        // What is held was counted, entry by entry, and compared with this.
        let held = Amount(found.issued.0 - found.burnt.0);
        supply = Some(Supply { issued: found.issued, burnt: found.burnt, held });
    }
    supply.ok_or_else(|| Failure::failed("there are no nodes"))
}
