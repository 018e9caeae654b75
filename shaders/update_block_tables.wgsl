// Writes the step's new block ids into the block tables.
@group(0) @binding(0) var<storage, read> step: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> block_tables: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= step[2].x) {
    return;
  }
  let update = step_block_table_update(id.x);
  block_tables[update.x] = update.y;
}
