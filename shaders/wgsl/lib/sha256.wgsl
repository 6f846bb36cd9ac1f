// SHA-256's compression function (FIPS 180-4 §6.2.2), unrolled by inlining:
// every word is a value of its own, none is indexed, so that all of them
// can lie in registers. K0 to K3, PAD0 to PAD3 and START are generated.

// Eight words: a cell, a node, a chaining value.
struct Cell {
    a: vec4<u32>,
    b: vec4<u32>,
}

// Sixteen words: a message block, or what sixteen rounds add.
struct Words {
    w0: u32, w1: u32, w2: u32, w3: u32, w4: u32, w5: u32, w6: u32, w7: u32,
    w8: u32, w9: u32, w10: u32, w11: u32, w12: u32, w13: u32, w14: u32, w15: u32,
}

// The working variables.
struct Working {
    a: u32, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32,
}

fn rotated(x: u32, n: u32) -> u32 {
    return (x >> n) | (x << (32u - n));
}

fn round(v: Working, kw: u32) -> Working {
    let choose = v.g ^ (v.e & (v.f ^ v.g));
    let t = v.h + (rotated(v.e, 6u) ^ rotated(v.e, 11u) ^ rotated(v.e, 25u)) + choose + kw;
    let majority = (v.a & v.b) | (v.c & (v.a | v.b));
    let u = (rotated(v.a, 2u) ^ rotated(v.a, 13u) ^ rotated(v.a, 22u)) + majority;
    return Working(t + u, v.a, v.b, v.c, v.d + t, v.e, v.f, v.g);
}

fn sixteen_rounds(start: Working, kw: Words) -> Working {
    var v = start;
    v = round(v, kw.w0);
    v = round(v, kw.w1);
    v = round(v, kw.w2);
    v = round(v, kw.w3);
    v = round(v, kw.w4);
    v = round(v, kw.w5);
    v = round(v, kw.w6);
    v = round(v, kw.w7);
    v = round(v, kw.w8);
    v = round(v, kw.w9);
    v = round(v, kw.w10);
    v = round(v, kw.w11);
    v = round(v, kw.w12);
    v = round(v, kw.w13);
    v = round(v, kw.w14);
    v = round(v, kw.w15);
    return v;
}

fn sums(w: Words, k: Words) -> Words {
    return Words(
        w.w0 + k.w0, w.w1 + k.w1, w.w2 + k.w2, w.w3 + k.w3, w.w4 + k.w4, w.w5 + k.w5, w.w6 + k.w6, w.w7 + k.w7,
        w.w8 + k.w8, w.w9 + k.w9, w.w10 + k.w10, w.w11 + k.w11,
        w.w12 + k.w12, w.w13 + k.w13, w.w14 + k.w14, w.w15 + k.w15,
    );
}

fn scheduled(w16: u32, w15: u32, w7: u32, w2: u32) -> u32 {
    let s0 = rotated(w15, 7u) ^ rotated(w15, 18u) ^ (w15 >> 3u);
    let s1 = rotated(w2, 17u) ^ rotated(w2, 19u) ^ (w2 >> 10u);
    return w16 + s0 + w7 + s1;
}

// The sixteen words of the message schedule that follow `w`.
fn next_words(w: Words) -> Words {
    let n0 = scheduled(w.w0, w.w1, w.w9, w.w14);
    let n1 = scheduled(w.w1, w.w2, w.w10, w.w15);
    let n2 = scheduled(w.w2, w.w3, w.w11, n0);
    let n3 = scheduled(w.w3, w.w4, w.w12, n1);
    let n4 = scheduled(w.w4, w.w5, w.w13, n2);
    let n5 = scheduled(w.w5, w.w6, w.w14, n3);
    let n6 = scheduled(w.w6, w.w7, w.w15, n4);
    let n7 = scheduled(w.w7, w.w8, n0, n5);
    let n8 = scheduled(w.w8, w.w9, n1, n6);
    let n9 = scheduled(w.w9, w.w10, n2, n7);
    let n10 = scheduled(w.w10, w.w11, n3, n8);
    let n11 = scheduled(w.w11, w.w12, n4, n9);
    let n12 = scheduled(w.w12, w.w13, n5, n10);
    let n13 = scheduled(w.w13, w.w14, n6, n11);
    let n14 = scheduled(w.w14, w.w15, n7, n12);
    let n15 = scheduled(w.w15, n0, n8, n13);
    return Words(n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12, n13, n14, n15);
}

fn working(h: Cell) -> Working {
    return Working(h.a.x, h.a.y, h.a.z, h.a.w, h.b.x, h.b.y, h.b.z, h.b.w);
}

fn fed_forward(h: Cell, v: Working) -> Cell {
    return Cell(h.a + vec4<u32>(v.a, v.b, v.c, v.d), h.b + vec4<u32>(v.e, v.f, v.g, v.h));
}

fn words(l: Cell, r: Cell) -> Words {
    return Words(
        l.a.x, l.a.y, l.a.z, l.a.w, l.b.x, l.b.y, l.b.z, l.b.w,
        r.a.x, r.a.y, r.a.z, r.a.w, r.b.x, r.b.y, r.b.z, r.b.w,
    );
}

// C(h, block) of PROTOCOL §2.
fn compress(h: Cell, block: Words) -> Cell {
    var w = block;
    var v = sixteen_rounds(working(h), sums(w, K0));
    w = next_words(w);
    v = sixteen_rounds(v, sums(w, K1));
    w = next_words(w);
    v = sixteen_rounds(v, sums(w, K2));
    w = next_words(w);
    v = sixteen_rounds(v, sums(w, K3));
    return fed_forward(h, v);
}

// sha256(l || r): the second block is padding alone, its schedule a constant.
fn hash_pair(l: Cell, r: Cell) -> Cell {
    let h = compress(START, words(l, r));
    var v = sixteen_rounds(working(h), PAD0);
    v = sixteen_rounds(v, PAD1);
    v = sixteen_rounds(v, PAD2);
    v = sixteen_rounds(v, PAD3);
    return fed_forward(h, v);
}

fn swapped(x: vec4<u32>) -> vec4<u32> {
    let halves = (x << vec4<u32>(16u)) | (x >> vec4<u32>(16u));
    return ((halves & vec4<u32>(0x00ff00ffu)) << vec4<u32>(8u)) | ((halves >> vec4<u32>(8u)) & vec4<u32>(0x00ff00ffu));
}

// Between words as they are computed with and words as their bytes lie in memory.
fn swapped_cell(cell: Cell) -> Cell {
    return Cell(swapped(cell.a), swapped(cell.b));
}
