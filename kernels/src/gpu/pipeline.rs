//! Shaders made ready to run.

use spacetime_shaders::{MAX_GROUPS, Shader, WORKGROUP};

use crate::bulk::BulkError;
use crate::gpu::device::Device;

/// A shader's entry points with the layout of their bindings.
#[derive(Debug)]
pub(crate) struct Pipeline {
    layout: wgpu::BindGroupLayout,
    entries: Vec<wgpu::ComputePipeline>,
}

/// How a shader uses a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    Params,
    Read,
    Write,
}

impl Pipeline {
    /// `uses` has every binding; entry points are numbered as in `entries`.
    pub(crate) fn new(
        device: &Device,
        shader: Shader,
        uses: &[(u32, Use)],
        entries: &[&'static str],
    ) -> Result<Self, BulkError> {
        let module = device.module(shader)?;
        let bindings: Vec<_> = uses.iter().map(|(binding, usage)| binding_layout(*binding, *usage)).collect();
        let layout = device.raw().create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(shader.name()),
            entries: &bindings,
        });
        let pipeline_layout = device.raw().create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(shader.name()),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = |entry: &&'static str| {
            device.raw().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Every shader writes its shared memory before it reads it.
                    zero_initialize_workgroup_memory: false,
                    ..wgpu::PipelineCompilationOptions::default()
                },
                cache: None,
            })
        };
        let entries = entries.iter().map(pipeline).collect();
        device.check()?;
        Ok(Self { layout, entries })
    }

    /// Binds buffers, the parameters' first `params_bytes` among them.
    pub(crate) fn bind(
        &self,
        device: &Device,
        params: &wgpu::Buffer,
        params_bytes: usize,
        buffers: &[(u32, &wgpu::Buffer)],
    ) -> wgpu::BindGroup {
        let params = wgpu::BindGroupEntry {
            binding: spacetime_shaders::layout::PARAMS,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: params,
                offset: 0,
                size: wgpu::BufferSize::new(params_bytes as u64),
            }),
        };
        let buffers = buffers
            .iter()
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding: *binding, resource: buffer.as_entire_binding() });
        let entries: Vec<_> = std::iter::once(params).chain(buffers).collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &self.layout, entries: &entries };
        device.raw().create_bind_group(&descriptor)
    }

    /// Runs an entry point in so many workgroups along x and y, with the parameters at that offset.
    pub(crate) fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        entry: usize,
        group: &wgpu::BindGroup,
        params_offset_bytes: u64,
        [x, y]: [u32; 2],
    ) {
        pass.set_pipeline(&self.entries[entry]);
        let offset = u32::try_from(params_offset_bytes).expect("parameters lie in a small buffer");
        pass.set_bind_group(0, group, &[offset]);
        pass.dispatch_workgroups(x, y, 1);
    }
}

fn binding_layout(binding: u32, usage: Use) -> wgpu::BindGroupLayoutEntry {
    let ty = match usage {
        Use::Params => wgpu::BufferBindingType::Uniform,
        Use::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Use::Write => wgpu::BufferBindingType::Storage { read_only: false },
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: matches!(usage, Use::Params), min_binding_size: None },
        count: None,
    }
}

/// Workgroups for so many invocations, along x and y.
pub(crate) fn groups(invocations: u64) -> [u32; 2] {
    let groups = u32::try_from(invocations.div_ceil(u64::from(WORKGROUP))).expect("buffers hold fewer cells");
    if groups <= MAX_GROUPS { [groups, 1] } else { [MAX_GROUPS, groups.div_ceil(MAX_GROUPS)] }
}
