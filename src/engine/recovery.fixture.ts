import { afterEach, expect } from "vitest";
import { geometryWithWindows } from "../kv/geometry.fixture";
import { HostMemory } from "../offload/host-memory";
import type { GenerateEvent, GenerateRequest } from "../protocol/messages";
import type { SchedulerOptions } from "../scheduler/scheduler-options";
import { EOS, id, makeParts, makeRequest, makeScheduler, settle } from "../testing/engine-parts";
import { ScriptedDevices } from "../testing/scripted-devices";
import { ScriptedRunner } from "../testing/scripted-runner";
import { Engine } from "./engine";
import { DEFAULT_ENGINE_CONFIG } from "./engine-config";
import type { EngineParts } from "./engine-parts";
import { makeOffload } from "./make-offload";

/** Chunks of one block of 16 tokens. */
const geometry = geometryWithWindows([null]);
const NUM_BLOCKS = 17;

/** What every request of a test generates, and what its events then say. */
export const IDS = [id("a"), id("b"), id("c"), id("d"), EOS];
export const WHOLE = 'started "a" "b" "c" "d" "" done:stop';
/** A chunk, and more than two steps of 8 tokens. */
export const LONG = { input: { kind: "tokens", tokenIds: Array.from({ length: 18 }, (_, i) => (i % 3) + 2) } } as const;

export interface LossyOptions extends Partial<SchedulerOptions> {
  readonly maxDeviceLosses?: number;
  readonly constrain?: EngineParts["constrain"];
  readonly now?: () => number;
}

/** An engine over devices that can be lost, with a host tier; a step is in flight until `land`. */
export class LossyEngine {
  readonly devices: ScriptedDevices;
  readonly engine: Engine;
  readonly scheduler: EngineParts["scheduler"];

  constructor({ maxDeviceLosses = 100, constrain, now, ...options }: LossyOptions = {}) {
    const ids = (requestId: string) => [requestId, IDS] as const;
    this.devices = new ScriptedDevices(new ScriptedRunner(Object.fromEntries(["r", "s", "t", "u"].map(ids))));
    this.devices.script.hold();
    const memory = new HostMemory({ chunkBytes: geometry.pageBytes, maxBytes: 16 * geometry.pageBytes });
    const config = { ...DEFAULT_ENGINE_CONFIG, loadPolicy: "always" as const };
    const offload = makeOffload(memory, geometry, NUM_BLOCKS, config, "lru", () => performance.now());
    this.scheduler = makeScheduler({ geometry, numBlocks: NUM_BLOCKS, ...options }, [offload.connector]);
    const [runner] = this.devices.made;
    const { rebuildRunner } = this.devices;
    const parts = { scheduler: this.scheduler, geometry, offload, rebuildRunner, maxDeviceLosses };
    this.engine = new Engine(makeParts(runner, { ...parts, ...(constrain && { constrain }) }), now);
  }

  generate(requestId: string, fields: Partial<GenerateRequest> = {}): GenerateEvent[] {
    const events: GenerateEvent[] = [];
    this.engine.generate(makeRequest(requestId, fields), (event) => events.push(event));
    return events;
  }

  /** So many steps land, one after the other; the engine submits what it then can. */
  async land(numSteps = 1): Promise<void> {
    await settle();
    for (let i = 0; i < numSteps; i++) {
      this.devices.script.releaseOne();
      await settle();
    }
  }

  /** The device is lost, and the engine has followed. */
  async lose(): Promise<void> {
    this.devices.current.lose();
    await settle();
  }

  /** Ends what a test holds: rebuilds, steps, and copies as they would of themselves. */
  async finish(): Promise<void> {
    this.devices.holdsRebuilds = false;
    this.devices.held.clear();
    for (const rebuild of this.devices.rebuilds.splice(0)) rebuild.finish();
    this.devices.script.release();
    this.devices.script.hold();
    await settle();
    for (let isDone = false; !isDone; ) {
      const numSteps = this.devices.script.steps.length;
      for (const transfer of this.devices.transfers.splice(0))
        transfer.end(transfer.epoch === this.devices.current.epoch);
      this.devices.script.release();
      this.devices.script.hold();
      await settle();
      isDone = this.devices.script.steps.length === numSteps;
    }
  }

  get numLosses(): number {
    return this.engine.kvStats().numDeviceLosses;
  }
}

/** What samples with a penalty, so that a runner has to get ready for it. */
export const penalized = { sampling: { temperature: 0, presencePenalty: 1 } };

/** Engines whose books must be in order after each test, with nothing left in them, and every device but the last one freed. */
export function lossyEngines() {
  const open = new Set<LossyEngine>();
  afterEach(async () => {
    await settle();
    for (const { scheduler, devices } of open) {
      scheduler.checkIntegrity();
      expect(scheduler.hasUnfinished).toBe(false);
      expect(devices.made.map(({ numDisposals }) => numDisposals).slice(0, -1)).not.toContain(0);
    }
    open.clear();
  });
  const make = (options?: LossyOptions): LossyEngine => {
    const lossy = new LossyEngine(options);
    open.add(lossy);
    return lossy;
  };
  /** One that ends in its test holds requests that never end. */
  const forget = (lossy: LossyEngine) => open.delete(lossy);
  return { make, forget };
}
