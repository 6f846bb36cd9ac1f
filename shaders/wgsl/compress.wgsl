// Bare compression, to measure it: a chain in each invocation, all in
// registers. `times` compressions, each upon the chaining value and
// the sixteen words that follow from it and the one before.

struct CompressParams {
    chains: u32,
    times: u32,
    unused_0: u32,
    unused_1: u32,
}

@group(0) @binding(0) var<uniform> params: CompressParams;
@group(0) @binding(1) var<storage, read_write> chains: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn compress_chains(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let chain = (group.y * MAX_GROUPS + group.x) * WORKGROUP + lane;
    if chain >= params.chains {
        return;
    }
    var before = Cell(vec4<u32>(0u), vec4<u32>(0u));
    var cell = chains[chain];
    for (var time = 0u; time < params.times; time += 1u) {
        let next = compress(cell, words(cell, before));
        before = cell;
        cell = next;
    }
    chains[chain] = cell;
}
