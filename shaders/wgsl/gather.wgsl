// Picks one cell of each row in flight, bytes as they lie in memory: what
// checking proofs takes of rows that were grown again.

struct GatherParams {
    rows: u32,
    table_rows: u32,
    unused_0: u32,
    unused_1: u32,
}

@group(0) @binding(0) var<uniform> params: GatherParams;
@group(0) @binding(1) var<storage, read> columns: array<u32>;
@group(0) @binding(2) var<storage, read_write> cells: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.y * MAX_GROUPS + group.x) * WORKGROUP + lane;
    if row >= params.rows {
        return;
    }
    let place = columns[row] * params.table_rows + row % params.table_rows;
    cells[row] = swapped_cell(load(row / params.table_rows, place));
}
