// Scores cells (PROTOCOL §4) and keeps the best of each workgroup and challenge:
// the lowest score, of equal ones the first.

struct ScoreParams {
    // The challenges, as words.
    challenges: array<array<vec4<u32>, 2>, MAX_CHALLENGES>,
    cells: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

struct Found {
    score: Cell,
    place: u32,
    unused_0: u32,
    unused_1: u32,
    unused_2: u32,
}

@group(0) @binding(0) var<uniform> params: ScoreParams;
@group(0) @binding(1) var<storage, read> strip: array<Cell>;
// A row of workgroups for each challenge.
@group(0) @binding(2) var<storage, read_write> found: array<Found>;

var<workgroup> scores: array<Cell, WORKGROUP>;
var<workgroup> places: array<u32, WORKGROUP>;

// Words compare as the 256-bit number that they are.
fn is_lower(x: Cell, y: Cell) -> bool {
    if x.a.x != y.a.x { return x.a.x < y.a.x; }
    if x.a.y != y.a.y { return x.a.y < y.a.y; }
    if x.a.z != y.a.z { return x.a.z < y.a.z; }
    if x.a.w != y.a.w { return x.a.w < y.a.w; }
    if x.b.x != y.b.x { return x.b.x < y.b.x; }
    if x.b.y != y.b.y { return x.b.y < y.b.y; }
    if x.b.z != y.b.z { return x.b.z < y.b.z; }
    return x.b.w < y.b.w;
}

@compute @workgroup_size(WORKGROUP)
fn score(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let challenge = Cell(params.challenges[group.y][0], params.challenges[group.y][1]);
    let first = group.x * WORKGROUP * CELLS_EACH + lane;
    // A place behind the last cell means none; the score beside it is the highest there is.
    var best = Cell(vec4<u32>(0xffffffffu), vec4<u32>(0xffffffffu));
    var best_place = params.cells;
    for (var each = 0u; each < CELLS_EACH; each += 1u) {
        let place = first + each * WORKGROUP;
        if place >= params.cells {
            break;
        }
        let score = hash_pair(challenge, swapped_cell(strip[place]));
        if best_place == params.cells || is_lower(score, best) {
            best = score;
            best_place = place;
        }
    }
    scores[lane] = best;
    places[lane] = best_place;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            let other = scores[lane + half];
            let other_place = places[lane + half];
            // Of equal scores the lower place; no cell has the highest place.
            if is_lower(other, scores[lane]) || (!is_lower(scores[lane], other) && other_place < places[lane]) {
                scores[lane] = other;
                places[lane] = other_place;
            }
        }
    }
    if lane == 0u {
        found[group.y * groups.x + group.x] = Found(scores[0], places[0], 0u, 0u, 0u);
    }
}
