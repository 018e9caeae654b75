import { type Buffers, MAP_MODE_READ, USAGE } from "../gpu/buffers";
import type { GpuDevice } from "../gpu/device";
import { Encoder } from "../gpu/encoder";
import type { ComputePipeline } from "../gpu/kernel";
import type { PipelineCache } from "../gpu/pipeline-cache";
import type { Profiler } from "../gpu/profiler";
import { updateBlockTables, updateBlockTablesGrid, updateBlockTablesVariant } from "../kernels/update-block-tables";
import type { DeviceVariant } from "../kernels/variants";
import { logitsStride } from "../models/scratch";
import type { Op, StepShape } from "../models/step-shape";
import type { StepTransfers, TransferResult } from "../offload/transfer-job";
import type { SamplingParams } from "../sampling/sampling-params";
import type { SchedulerOutput, StepResult } from "../scheduler/scheduler-output";
import { assert, CairnError, reasonOf } from "../util/errors";
import { failTransfers, type KvTransfers } from "./kv-transfers";
import type { LogitStages } from "./logit-stages";
import { ReadbackRing } from "./readback-ring";
import { needsLogitStages, Sampler, type StepMasks, type StepSampling } from "./sampler";
import { packStep, type StepBufferSizes } from "./step-buffer";
import type { StepState } from "./step-state";
import type { drawStep, StepObserver } from "./step-trace";
import { SubmitPacer } from "./submit-pacer";

const NO_MASKS: StepMasks = new Map();

/** Sees the logits of every step that samples, before its result is known: [logit rows, vocab], in batch order. For tests. */
export type LogitsObserver = (output: SchedulerOutput, logits: Float32Array) => void;

export interface GpuModelRunnerParts {
  readonly gpu: GpuDevice;
  readonly buffers: Buffers;
  readonly pipelines: PipelineCache;
  readonly variant: DeviceVariant;
  readonly sizes: StepBufferSizes;
  readonly state: StepState;
  /** The forward pass: scratch.logits from the step buffer. */
  readonly stages: readonly Op[];
  /** scratch.logits. */
  readonly logits: GPUBuffer;
  readonly vocabSize: number;
  readonly submitTargetMs: number;
  readonly maxInFlightSteps: number;
  /** Null where nothing is offloaded: no step has transfers then. */
  readonly transfers: KvTransfers | null;
  readonly profiler: Profiler | null;
  /** Shows each step in the performance panel; null where nothing is profiled. */
  readonly drawStep: typeof drawStep | null;
  /** Null where no request needs them. */
  readonly loadLogitStages: (() => Promise<typeof LogitStages>) | null;
  readonly observeLogits: LogitsObserver | null;
  readonly observeSteps: StepObserver | null;
}

/**
 * SchedulerOutput -> GPU commands -> ids, and what became of its transfers. Up to `maxInFlightSteps` steps may be in
 * flight. They run in the order of their submits, and so do the writes of step buffer and rows between them, so one buffer
 * of each kind serves all steps.
 */
export class GpuModelRunner {
  readonly #parts: GpuModelRunnerParts;
  readonly #updateTables: { readonly pipeline: ComputePipeline; readonly bindGroup: GPUBindGroup };
  readonly #sampler: Sampler;
  readonly #readback: ReadbackRing;
  readonly #pacer: SubmitPacer;
  /** Of the step that was submitted last. */
  #landing: Promise<unknown> = Promise.resolve();
  /** While the logit stages are loaded. */
  #preparing: Promise<void> | null = null;
  #isDisposed = false;

  static async create(parts: GpuModelRunnerParts): Promise<GpuModelRunner> {
    const { gpu, sizes } = parts;
    const [tables, sampler] = await Promise.all([
      parts.pipelines.get(updateBlockTables, updateBlockTablesVariant),
      Sampler.create({ ...parts, device: gpu.device, maxRows: sizes.maxRows }),
    ]);
    return new GpuModelRunner(parts, tables, sampler);
  }

  private constructor(
    parts: GpuModelRunnerParts,
    tables: ComputePipeline<typeof updateBlockTables.bindings>,
    sampler: Sampler,
  ) {
    const { buffers, state } = parts;
    this.#parts = parts;
    this.#sampler = sampler;
    this.#readback = new ReadbackRing(buffers, "sampled.readback", sampler.sampled.size, parts.maxInFlightSteps);
    this.#pacer = new SubmitPacer(parts.submitTargetMs);
    this.#updateTables = {
      pipeline: tables,
      bindGroup: tables.bind("update_block_tables", {
        step: state.step,
        block_tables: state.blockTables,
      }),
    };
  }

  /** See ModelRunner. Throws `internal` for transfers that cannot be: without offload, or with too few free staging slots. */
  submit(
    output: SchedulerOutput,
    masks: StepMasks = NO_MASKS,
  ): { landed: Promise<StepResult>; transfers: Promise<TransferResult>[] } {
    // Ahead of everything that the step writes.
    const transfers = this.#transfer(output.transfers);
    const landed = this.#run(output, masks, this.#landing);
    this.#landing = landed;
    return { landed, transfers };
  }

  #transfer(step: StepTransfers): Promise<TransferResult>[] {
    if (this.#failure) return failTransfers(step);
    const { transfers } = this.#parts;
    if (transfers) return transfers.submit(step);
    assert(step.stores.length + step.loads.length === 0, "transfers, but no offload");
    return [];
  }

  /** Synchronous up to the submit. Every step is read back, also one that samples nothing: that is how its end is known. */
  async #run(output: SchedulerOutput, masks: StepMasks, previousLanding: Promise<unknown>): Promise<StepResult> {
    this.#throwIfFailed();
    const { profiler, observeLogits } = this.#parts;
    const submittedMs = performance.now();
    const { shape, sampling, slot } = this.#encode(output, masks);
    this.#observe("submitted", output);
    const needsLogits = observeLogits !== null && shape.numLogitRows > 0;
    const logits = needsLogits ? this.#readLogits(shape.numLogitRows) : null;
    const rest = Promise.all([logits, profiler?.collect(), previousLanding]);
    rest.catch(() => {}); // A step that fails says why below.

    const sampled = await this.#settle(this.#readback.read(slot, sampling.bytes));
    this.#landed(output, shape, submittedMs);
    const [rows] = await rest.catch((cause) => this.#explainUnread(cause));
    if (rows) observeLogits?.(output, rows);
    return { stepIndex: output.stepIndex, sampled: this.#sampler.unpack(sampling, new Uint32Array(sampled)) };
  }

  /** Submits a step whole; its ids will be in the slot. */
  #encode(output: SchedulerOutput, masks: StepMasks): { shape: StepShape; sampling: StepSampling; slot: GPUBuffer } {
    const { gpu, state, sizes, profiler } = this.#parts;
    for (const row of output.newRows) this.#sampler.writeRow(row);
    const { words, shape, numBlockTableUpdates } = packStep(output, sizes);
    gpu.device.queue.writeBuffer(state.step, 0, words);

    const encoder = new Encoder(gpu.device, profiler);
    if (numBlockTableUpdates > 0) {
      const { pipeline, bindGroup } = this.#updateTables;
      encoder.dispatch(pipeline, bindGroup, updateBlockTablesGrid(numBlockTableUpdates));
    }
    if (shape.numTokens > 0) this.#encodeStages(encoder, shape);
    const sampling = this.#sampler.encode(encoder, output, masks);
    const slot = this.#readback.take();
    encoder.copy(this.#sampler.sampled, slot, sampling.bytes);
    encoder.submit();
    return { shape, sampling, slot };
  }

  #encodeStages(encoder: Encoder, shape: StepShape): void {
    const { stages } = this.#parts;
    const stagesPerSubmit = this.#pacer.stagesPerSubmit(stages.length, shape.numTokens);
    stages.forEach((stage, index) => {
      if (index > 0 && index % stagesPerSubmit === 0) encoder.submit();
      stage(encoder, shape);
    });
  }

  #landed(output: SchedulerOutput, { numTokens }: StepShape, submittedMs: number): void {
    const landedMs = performance.now();
    this.#pacer.finished({ numStages: this.#parts.stages.length, numTokens, submittedMs, landedMs });
    this.#parts.drawStep?.(output, submittedMs, landedMs);
    this.#observe("landed", output);
  }

  #observe(kind: "submitted" | "landed", { stepIndex }: SchedulerOutput): void {
    this.#parts.observeSteps?.({ kind, stepIndex, timeMs: performance.now() });
  }

  /** See ModelRunner. */
  prepare(sampling: SamplingParams): Promise<void> | null {
    const { loadLogitStages } = this.#parts;
    if (!loadLogitStages || !needsLogitStages(sampling) || this.#sampler.hasLogitStages) return null;
    this.#preparing ??= loadLogitStages()
      .then((make) => this.#addLogitStages(make))
      .finally(() => {
        this.#preparing = null;
      });
    return this.#preparing;
  }

  async #addLogitStages(make: typeof LogitStages): Promise<void> {
    try {
      await this.#sampler.addLogitStages(make);
    } catch (error) {
      await this.#throwIfFailedSoon();
      throw error;
    }
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#parts.buffers.destroyAll();
    this.#parts.gpu.device.destroy();
  }

  get #failure(): CairnError | null {
    if (this.#isDisposed) return new CairnError("disposed", "The engine was disposed.");
    return this.#parts.gpu.health.failure;
  }

  #throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }

  async #settle<T>(readback: Promise<T>): Promise<T> {
    const value = await readback.catch((cause) => this.#explainUnread(cause));
    this.#throwIfFailed();
    return value;
  }

  async #explainUnread(cause: unknown): Promise<never> {
    await this.#throwIfFailedSoon();
    const reason = reasonOf(cause);
    const message = `The step's result could not be read: ${reason}`;
    throw new CairnError("gpu_error", message, { label: "sampled.readback" }, { cause });
  }

  /** The device's failure, where there was one, tells more than what it refused. */
  async #throwIfFailedSoon(): Promise<void> {
    await this.#parts.gpu.health.failureBehind();
    this.#throwIfFailed();
  }

  async #readLogits(numRows: number): Promise<Float32Array> {
    const { gpu, buffers, logits, vocabSize } = this.#parts;
    const stride = logitsStride(vocabSize);
    const staging = buffers.create("logits.readback", numRows * stride * 4, USAGE.MAP_READ | USAGE.COPY_DST);
    const encoder = new Encoder(gpu.device, null);
    encoder.copy(logits, staging, numRows * stride * 4);
    encoder.submit();
    await staging.mapAsync(MAP_MODE_READ);
    const padded = new Float32Array(staging.getMappedRange().slice(0));
    buffers.destroy(staging);
    const rows = new Float32Array(numRows * vocabSize);
    for (let row = 0; row < numRows; row++) {
      rows.set(padded.subarray(row * stride, row * stride + vocabSize), row * vocabSize);
    }
    return rows;
  }
}
