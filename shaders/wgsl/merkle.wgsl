// One level of a Merkle tree (PROTOCOL §3): nodes[k] = node(below[2k], below[2k+1]),
// all of them bytes as they lie in memory.

struct MerkleParams {
    nodes: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

@group(0) @binding(0) var<uniform> params: MerkleParams;
@group(0) @binding(1) var<storage, read> below: array<Cell>;
@group(0) @binding(2) var<storage, read_write> nodes: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn merkle(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let node = (group.y * MAX_GROUPS + group.x) * WORKGROUP + lane;
    if node >= params.nodes {
        return;
    }
    let left = swapped_cell(below[2u * node]);
    let right = swapped_cell(below[2u * node + 1u]);
    nodes[node] = swapped_cell(hash_pair(left, right));
}
