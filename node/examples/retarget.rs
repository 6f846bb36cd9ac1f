//! Draws docs/retarget.svg: how the rate of winning leaves comes back after the space changes.
//!
//! `cargo run --release -p spacetime-node --no-default-features --example retarget [FILE.svg]`

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use simulation::quantile;
use simulation::settling::{Change, settling};

/// Chains a panel.
const SEEDS: u64 = 1000;
/// What is drawn before and after the change, in hours.
const BEFORE: f64 = 0.5;
const AFTER: f64 = 4.0;
/// Epochs between two points.
const STEP: u64 = 6;

const LINE: RGBColor = RGBColor(0x2f, 0x6d, 0xa8);
const FONT: &str = "sans-serif";

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "docs/retarget.svg".to_owned());
    let area = SVGBackend::new(&path, (1080, 800)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = "Winning leaves an epoch at the base in force, as a multiple of those wanted (main chain)";
    let below = area.titled(title, (FONT, 20))?;
    for (panel, change) in below.split_evenly((2, 2)).iter().zip(Change::ALL) {
        draw(panel, change)?;
    }
    area.present()?;
    Ok(())
}

/// Median and the middle nine tenths of the rate, by hours since the change.
fn rates(change: Change) -> Vec<(f64, [f64; 3])> {
    let mut chains: Vec<_> = (0..SEEDS).map(|seed| change.before(seed)).collect();
    let (mut hours, mut rates) = (-BEFORE, Vec::new());
    let step = chains[0].hours(STEP);
    let mut struck = false;
    while hours < AFTER {
        if !struck && hours >= 0.0 {
            chains.iter_mut().for_each(|chain| change.strike(chain));
            struck = true;
        }
        let now: Vec<_> = chains.iter().map(|chain| chain.rate()).collect();
        rates.push((hours, [0.05, 0.5, 0.95].map(|share| quantile(&now, share))));
        for chain in &mut chains {
            chain.run(STEP);
        }
        hours += step;
    }
    rates
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, change: Change) -> Result<(), Box<dyn Error>> {
    let rates = rates(change);
    let all = rates.iter().flat_map(|(_, at)| *at);
    let (least, most) = all.fold((0.5_f64, 2.0_f64), |(least, most), rate| (least.min(rate), most.max(rate)));
    let settled = settling(change, 0..SEEDS);
    let [median, late] = [0.5, 0.95].map(|share| quantile(&settled, share));
    let caption = format!("{}: within a quarter after {median:.1} h, {late:.1} h at p95", change.name());
    let mut chart = ChartBuilder::on(area)
        .caption(caption, (FONT, 16))
        .margin(8)
        .set_label_area_size(LabelAreaPosition::Left, 52)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        .build_cartesian_2d(-BEFORE..AFTER, (least * 0.8..most * 1.25).log_scale())?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("hours since the change").label_style((FONT, 13)).light_line_style(TRANSPARENT);
    mesh.y_label_formatter(&|rate| format!("{rate}")).draw()?;
    let goal = Rectangle::new([(-BEFORE, 0.75), (AFTER, 1.25)], GREEN.mix(0.15).filled());
    chart.plotting_area().draw(&goal)?;
    let lower = rates.iter().map(|&(hours, [low, ..])| (hours, low));
    let upper = rates.iter().rev().map(|&(hours, [.., high])| (hours, high));
    let band: Vec<_> = lower.chain(upper).collect();
    chart.plotting_area().draw(&Polygon::new(band, LINE.mix(0.2)))?;
    let middle: Vec<_> = rates.iter().map(|&(hours, [_, median, _])| (hours, median)).collect();
    chart.plotting_area().draw(&PathElement::new(middle, LINE.stroke_width(2)))?;
    Ok(())
}
