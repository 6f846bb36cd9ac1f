// Copies columns of a run of rows out of the tables into strips: one behind
// the other, each its rows in order and zero cells behind them.

struct TransposeParams {
    // The run's first row among those in flight, its rows, and as many with the padding.
    first_row: u32,
    rows: u32,
    padded_rows: u32,
    table_rows: u32,
    first_column: u32,
    // Cells of all the strips.
    cells: u32,
    unused_0: u32,
    unused_1: u32,
}

@group(0) @binding(0) var<uniform> params: TransposeParams;
@group(0) @binding(1) var<storage, read_write> strips: array<Cell>;

@compute @workgroup_size(WORKGROUP)
fn transpose(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let cell = (group.y * MAX_GROUPS + group.x) * WORKGROUP + lane;
    if cell >= params.cells {
        return;
    }
    let column = params.first_column + cell / params.padded_rows;
    let place = cell % params.padded_rows;
    if place < params.rows {
        let row = params.first_row + place;
        let cell_words = load(row / params.table_rows, column * params.table_rows + row % params.table_rows);
        strips[cell] = swapped_cell(cell_words);
    } else {
        strips[cell] = Cell(vec4<u32>(0u), vec4<u32>(0u));
    }
}
