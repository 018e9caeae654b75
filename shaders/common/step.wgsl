// The step buffer (binding `step`): all that a step brings, in words of four u32. See runner/step-buffer.ts.
//   step[0]  numbers of: tokens, decode tokens, prefill tiles, logit rows
//   step[1]  first word of: decode tokens, prefill tiles, logit rows, block table updates
//   step[2]  number of block table updates, 0, 0, 0
//   step[3 + t]  token t: id or STEP_LAST_SAMPLED, position, row, 0

const STEP_FIRST_TOKEN = 3u;
const STEP_LAST_SAMPLED = 0xffffffffu;

const STEP_NUM_TOKENS = 0u;
const STEP_NUM_LOGIT_ROWS = 3u;

fn step_token(index: u32) -> vec4<u32> {
  return step[STEP_FIRST_TOKEN + index];
}

// (token index, 0, 0, 0)
fn step_decode_token(index: u32) -> vec4<u32> {
  return step[step[1].x + index];
}

// (first token index, number of tokens, 0, 0)
fn step_prefill_tile(index: u32) -> vec4<u32> {
  return step[step[1].y + index];
}

// (token index, row, position of the id to be sampled, 0)
fn step_logit_row(index: u32) -> vec4<u32> {
  return step[step[1].z + index];
}

// (index into the block tables, block id, 0, 0)
fn step_block_table_update(index: u32) -> vec4<u32> {
  return step[step[1].w + index];
}
