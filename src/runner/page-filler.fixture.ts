import type { TransferRig } from "./kv-transfers.fixture";

/** Takes its time before it writes: a copy that does not wait for it sees what was there before. */
const FILL = /* wgsl */ `
struct Params { first_word: u32, num_words: u32, word: u32, zero: u32 }
@group(0) @binding(0) var<storage, read_write> words: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.num_words) { return; }
  var noise = params.word;
  for (var i = 0u; i < 2000u; i++) { noise = noise * 1664525u + 1013904223u; }
  words[params.first_word + id.x] = params.word | (noise & params.zero);
}`;

/** Submits a compute pass a plane that sets every byte of a block's page to `byte`. */
export function fillPages({ gpu: { device }, buffers, pool }: TransferRig, blockId: number, byte: number): void {
  const module = device.createShaderModule({ code: FILL });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  for (const { plane, buffer } of pool.planes) {
    const numWords = plane.pageBytes / 4;
    const params = buffers.uniform("fill.params", Uint32Array.of(blockId * numWords, numWords, byte * 0x01010101, 0));
    const entries = [buffer, params].map((resource, binding) => ({ binding, resource: { buffer: resource } }));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(Math.ceil(numWords / 64));
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
}
