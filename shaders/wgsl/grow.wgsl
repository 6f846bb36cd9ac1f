// Grows rows (PROTOCOL §2), one an invocation, all in step.
//
// A dispatch does `steps` steps of every row from step `first` on: the cells of
// the table are all the state there is, so the next dispatch goes on from them.
// Tables hold whole cells, column by column with the rows side by side: what all
// rows read in step is contiguous, and what each reads at random is one piece.

struct GrowParams {
    // Rows in flight, and rows that each table has room for.
    rows: u32,
    table_rows: u32,
    // Step 0 writes V[0], step i cell i; behind the expansion, a round has as many as there are columns.
    first: u32,
    steps: u32,
    columns: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

// What a row begins with: its first cell, its plot's key, and its number in the plot.
struct Seed {
    cell: Cell,
    key: Cell,
    number_high: u32,
    number_low: u32,
    unused_0: u32,
    unused_1: u32,
}

@group(0) @binding(0) var<uniform> params: GrowParams;
@group(0) @binding(1) var<storage, read> seeds: array<Seed>;

// The expansion: V[0] to V[P-1].
@compute @workgroup_size(WORKGROUP)
fn expand(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let table = group.y;
    let place = group.x * WORKGROUP + lane;
    let row = table * params.table_rows + place;
    if place >= params.table_rows || row >= params.rows {
        return;
    }
    let seed = seeds[row];
    var index = params.first;
    var cell = seed.cell;
    if index > 0u {
        cell = load(table, (index - 1u) * params.table_rows + place);
    }
    for (var step = 0u; step < params.steps; step += 1u) {
        if index > 0u {
            let rest = Cell(vec4<u32>(seed.number_high, seed.number_low, index, 0u), vec4<u32>(0u));
            cell = compress(cell, words(seed.key, rest));
        }
        store(table, index * params.table_rows + place, cell);
        index += 1u;
    }
}

// The rounds. What a step reads is fetched while the one before computes.
@compute @workgroup_size(WORKGROUP)
fn mix(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let table = group.y;
    let place = group.x * WORKGROUP + lane;
    if place >= params.table_rows || table * params.table_rows + place >= params.rows {
        return;
    }
    let last_column = params.columns - 1u;
    var index = params.first & last_column;
    var before = load(table, ((index - 1u) & last_column) * params.table_rows + place);
    // j comes from the cell before the chaining value.
    let chosen = load(table, ((index - 2u) & last_column) * params.table_rows + place).a.x & last_column;
    var own = load(table, index * params.table_rows + place);
    var other = load(table, chosen * params.table_rows + place);
    for (var step = 0u; step < params.steps; step += 1u) {
        let next = (index + 1u) & last_column;
        let next_chosen = before.a.x & last_column;
        let next_own = load(table, next * params.table_rows + place);
        let next_other = load(table, next_chosen * params.table_rows + place);
        before = compress(before, words(own, other));
        store(table, index * params.table_rows + place, before);
        own = next_own;
        // The cell that was fetched too early is the one just written.
        other = next_other;
        if next_chosen == index {
            other = before;
        }
        index = next;
    }
}
