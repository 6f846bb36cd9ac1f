//! Every kernel on every backend, with `hashtree-rs` beside the Merkle pairs.

#![forbid(unsafe_code)]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spacetime_benches::workload::{Contender, Job, Workload};
use spacetime_kernels::{Backend, MAX_CHALLENGES, Shape};

fn bench(criterion: &mut Criterion, group: &str, job: Job, shape: Shape, challenges: usize) {
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(200));
    let mut contenders: Vec<_> = Backend::available().iter().copied().map(Contender::Ours).collect();
    if job == Job::Pairs {
        contenders.push(Contender::Hashtree);
    }
    for contender in contenders {
        let mut workload = Workload::new(contender, job, shape, challenges);
        group.throughput(Throughput::Elements(workload.units));
        group.bench_function(BenchmarkId::from_parameter(contender.name()), |bencher| bencher.iter(|| workload.run()));
    }
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    let shape = |p, rounds| Shape::new(p, rounds).expect("within bounds");
    bench(criterion, "compress", Job::Compress, shape(13, 31), 1);
    bench(criterion, "pairs", Job::Pairs, shape(13, 31), 1);
    for (p, rounds) in [(4, 1), (8, 5), (10, 7), (13, 31)] {
        bench(criterion, &format!("grow p={p} R={rounds}"), Job::Grow, shape(p, rounds), 1);
    }
    bench(criterion, "check p=13 R=31", Job::Check, shape(13, 31), 1);
    for challenges in [1, MAX_CHALLENGES] {
        bench(criterion, &format!("score {challenges}"), Job::Score, shape(13, 31), challenges);
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
