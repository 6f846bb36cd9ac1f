//! Every shader parses and validates, uses u32 arithmetic alone and no
//! extension, and agrees with the host about bindings and sizes.

use std::collections::BTreeMap;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, StorageAccess, TypeInner};
use spacetime_shaders::layout::{self, *};
use spacetime_shaders::{MAX_TABLES, Shader, WORKGROUP};

const ALL: [Shader; 11] = [
    Shader::Grow { tables: 1 },
    Shader::Grow { tables: 2 },
    Shader::Grow { tables: MAX_TABLES },
    Shader::Transpose { tables: 1 },
    Shader::Transpose { tables: 3 },
    Shader::Transpose { tables: MAX_TABLES },
    Shader::Gather { tables: 1 },
    Shader::Gather { tables: MAX_TABLES },
    Shader::Merkle,
    Shader::Score,
    Shader::Compress,
];

/// Parses and validates with nothing switched on that not every adapter has.
fn module(source: &str) -> Result<Module, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    Ok(module)
}

fn composed(shader: Shader) -> Module {
    module(&shader.source()).unwrap_or_else(|error| panic!("{shader:?}: {error}"))
}

/// Sizes of the structures by name.
fn struct_sizes(module: &Module) -> BTreeMap<String, u32> {
    let structs = module.types.iter().filter_map(|(_, ty)| match &ty.inner {
        TypeInner::Struct { span, .. } => Some((ty.name.clone()?, *span)),
        _ => None,
    });
    structs.collect()
}

/// Where the members of a structure lie.
fn members(module: &Module, name: &str) -> BTreeMap<String, u32> {
    let (_, ty) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).expect("it has that name");
    let TypeInner::Struct { members, .. } = &ty.inner else { panic!("{name} is no structure") };
    members.iter().map(|member| (member.name.clone().expect("members have names"), member.offset)).collect()
}

#[test]
fn every_shader_validates() {
    for shader in ALL {
        let module = composed(shader);
        let entries: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        let expected: &[&str] = match shader {
            Shader::Grow { .. } => &["expand", "mix"],
            Shader::Transpose { .. } => &["transpose"],
            Shader::Gather { .. } => &["gather"],
            Shader::Merkle => &["merkle"],
            Shader::Score => &["score"],
            Shader::Compress => &["compress_chains"],
        };
        assert_eq!(entries, expected, "{shader:?}");
        for entry in &module.entry_points {
            assert_eq!(entry.workgroup_size, [WORKGROUP, 1, 1], "{shader:?} {}", entry.name);
        }
    }
}

#[test]
fn a_broken_shader_does_not() {
    let source = Shader::Merkle.source();
    assert!(module(&source.replace("hash_pair(left, right)", "hash_pair(left)")).is_err());
    assert!(module(&source.replace("let left =", "let left: u32 =")).is_err());
}

#[test]
fn arithmetic_is_u32_alone() {
    for shader in ALL {
        let source = shader.source();
        assert!(!source.contains("enable ") && !source.contains("requires "), "{shader:?} asks for an extension");
        for (_, ty) in composed(shader).types.iter() {
            if let Some(scalar) = ty.inner.scalar() {
                let is_plain = matches!((scalar.kind, scalar.width), (ScalarKind::Uint, 4) | (ScalarKind::Bool, _));
                assert!(is_plain, "{shader:?} uses {scalar:?}");
            }
        }
    }
}

#[test]
fn bindings_are_the_host_s() {
    let read = StorageAccess::LOAD;
    let write = StorageAccess::LOAD | StorageAccess::STORE;
    for shader in ALL {
        let mut expected = BTreeMap::from([(PARAMS, None)]);
        let mut tables = |count: u32, access| {
            expected.extend((0..count).map(|table| (layout::FIRST_TABLE + table, Some(access))));
        };
        match shader {
            Shader::Grow { tables: count } => tables(count, write),
            Shader::Transpose { tables: count } | Shader::Gather { tables: count } => tables(count, read),
            Shader::Merkle | Shader::Score | Shader::Compress => (),
        }
        match shader {
            Shader::Grow { .. } => expected.extend([(FIRST_BUFFER, Some(read))]),
            Shader::Transpose { .. } | Shader::Compress => expected.extend([(FIRST_BUFFER, Some(write))]),
            Shader::Merkle | Shader::Score | Shader::Gather { .. } => {
                expected.extend([(FIRST_BUFFER, Some(read)), (SECOND_BUFFER, Some(write))])
            }
        }
        let module = composed(shader);
        let seen: BTreeMap<_, _> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let binding = variable.binding.as_ref()?;
                assert_eq!(binding.group, 0);
                let access = match variable.space {
                    AddressSpace::Uniform => None,
                    AddressSpace::Storage { access } => Some(access),
                    other => panic!("{shader:?}: a binding in {other:?}"),
                };
                Some((binding.binding, access))
            })
            .collect();
        assert_eq!(seen, expected, "{shader:?}");
    }
}

#[test]
fn sizes_are_the_host_s() {
    let all = [
        (Shader::Grow { tables: 1 }, "GrowParams", size_of::<GrowParams>()),
        (Shader::Grow { tables: 1 }, "Seed", size_of::<Seed>()),
        (Shader::Transpose { tables: 1 }, "TransposeParams", size_of::<TransposeParams>()),
        (Shader::Gather { tables: 1 }, "GatherParams", size_of::<GatherParams>()),
        (Shader::Merkle, "MerkleParams", size_of::<MerkleParams>()),
        (Shader::Score, "ScoreParams", size_of::<ScoreParams>()),
        (Shader::Score, "Found", size_of::<Found>()),
        (Shader::Compress, "CompressParams", size_of::<CompressParams>()),
        (Shader::Merkle, "Cell", 32),
    ];
    for (shader, name, bytes) in all {
        assert_eq!(struct_sizes(&composed(shader))[name] as usize, bytes, "{shader:?} {name}");
    }
}

/// Members by the host's offsets; a `vec4` holds four words of the host's arrays.
#[test]
fn members_are_where_the_host_puts_them() {
    macro_rules! check {
        ($shader:expr, $ty:ty, $name:literal, $($wgsl:literal => $($field:ident).+ $(+ $extra:literal)?),+) => {
            let members = members(&composed($shader), $name);
            $(assert_eq!(members[$wgsl] as usize, std::mem::offset_of!($ty, $($field).+) $(+ $extra)?, $wgsl);)+
        };
    }
    check!(Shader::Grow { tables: 1 }, GrowParams, "GrowParams", "rows" => rows,
        "table_rows" => table_rows, "first" => first, "steps" => steps, "columns" => columns);
    check!(Shader::Grow { tables: 1 }, Seed, "Seed", "cell" => cell, "key" => key, "number_high" => number, "number_low" => number + 4);
    check!(Shader::Transpose { tables: 1 }, TransposeParams, "TransposeParams", "first_row" => first_row, "rows" => rows,
        "padded_rows" => padded_rows, "table_rows" => table_rows, "first_column" => first_column, "cells" => cells);
    check!(Shader::Gather { tables: 1 }, GatherParams, "GatherParams", "rows" => rows, "table_rows" => table_rows);
    check!(Shader::Merkle, MerkleParams, "MerkleParams", "nodes" => nodes);
    check!(Shader::Score, ScoreParams, "ScoreParams", "challenges" => challenges, "cells" => cells);
    check!(Shader::Score, Found, "Found", "score" => score, "place" => place);
    check!(Shader::Compress, CompressParams, "CompressParams", "chains" => chains, "times" => times);
}
