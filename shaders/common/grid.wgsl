// The linear index of a workgroup in a grid that may have been folded to two dimensions.
fn grid_index(group: vec3<u32>, num_groups: vec3<u32>) -> u32 {
  return group.y * num_groups.x + group.x;
}
