// The step buffer (binding `step`): all that a step brings, in words of four u32. See runner/step-buffer.ts.
//   step[0]  numbers of: tokens, decode tokens, prefill tiles, logit rows
//   step[1]  first word of: decode tokens, prefill tiles, logit rows, block table updates
//   step[2]  number of block table updates, number of tokens that go through GEMV, 0, 0
//   step[3 + t]  token t: id or STEP_LAST_SAMPLED, position, row, 0; those that go through GEMV come first

const STEP_FIRST_TOKEN = 3u;
const STEP_LAST_SAMPLED = 0xffffffffu;

const STEP_NUM_TOKENS = 0u;
const STEP_NUM_LOGIT_ROWS = 3u;

// The input rows that a kernel serves: the params member `part`.
const STEP_PART_TOKENS = 0u;
const STEP_PART_GEMV = 1u;        // the tokens that go through GEMV
const STEP_PART_GEMM = 2u;        // the other tokens
const STEP_PART_LOGIT_ROWS = 3u;

// First and one past the last row of a part.
fn step_rows(part: u32) -> vec2<u32> {
  switch (part) {
    case STEP_PART_GEMV: {
      return vec2(0u, step[2].y);
    }
    case STEP_PART_GEMM: {
      return vec2(step[2].y, step[0][STEP_NUM_TOKENS]);
    }
    case STEP_PART_LOGIT_ROWS: {
      return vec2(0u, step[0][STEP_NUM_LOGIT_ROWS]);
    }
    default: {
      return vec2(0u, step[0][STEP_NUM_TOKENS]);
    }
  }
}

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
