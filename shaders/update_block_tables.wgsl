// Writes the step's new block ids into the block tables.
@group(0) @binding(0) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> block_tables: array<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) num_groups: vec3<u32>,
  @builtin(local_invocation_index) lid: u32,
) {
  let index = 64u * grid_index(group, num_groups) + lid;
  if (index >= step[2].x) {
    return;
  }
  let update = step_block_table_update(index);
  block_tables[update.x] = update.y;
}
