import { describe, expect, test } from "vitest";
import { defaultHostBytes, HostMemory } from "./host-memory";

const MIB = 2 ** 20;

/** Slots of 10 bytes, 3 a slab; `allocated` grows with each slab. */
function makeMemory(maxBytes: number, maxAllocated = Number.POSITIVE_INFINITY) {
  const allocated: number[] = [];
  const allocate = (bytes: number) => {
    if (allocated.length === maxAllocated) throw new RangeError("Array buffer allocation failed");
    allocated.push(bytes);
    return new Uint8Array(bytes);
  };
  return { allocated, memory: new HostMemory({ chunkBytes: 10, maxBytes, slabBytes: 39, allocate }) };
}

describe("reserve", () => {
  test("allocates a slab with its first slot, and never more than the budget", () => {
    const { memory, allocated } = makeMemory(75);
    expect([memory.numSlots, memory.bytes, allocated]).toEqual([7, 0, []]);
    const sizes = Array.from({ length: 7 }, (_, slotId) => [memory.reserve(slotId), memory.bytes]);
    expect(sizes).toEqual([30, 30, 30, 60, 60, 60, 70].map((bytes) => [true, bytes]));
    expect(allocated).toEqual([30, 30, 10]);
  });

  test("is false where the allocation throws, and what there is stays; it may be tried again", () => {
    const { memory, allocated } = makeMemory(100, 1);
    expect([0, 1, 2, 3, 3].map((slotId) => memory.reserve(slotId))).toEqual([true, true, true, false, false]);
    expect([memory.bytes, memory.slot(2).byteLength]).toEqual([30, 10]);
    expect(() => memory.slot(3)).toThrow("slot 3 has no memory: 3 of 10 were reserved");
    allocated.pop();
    expect([memory.reserve(3), memory.bytes]).toEqual([true, 60]);
  });

  test("a slot that has its memory keeps it, for whoever asks", () => {
    const { memory, allocated } = makeMemory(60);
    memory.reserve(0);
    memory.slot(0).fill(7);
    expect([memory.reserve(0), memory.slot(0)[9], allocated]).toEqual([true, 7, [30]]);
    expect([memory.reserve(1), memory.reserve(2), allocated]).toEqual([true, true, [30]]);
  });

  test("slots are reserved in order, within the budget", () => {
    const { memory } = makeMemory(20);
    expect(() => memory.reserve(1)).toThrow("slot 1 is reserved after 0 of 2");
    memory.reserve(0);
    memory.reserve(1);
    expect(() => memory.reserve(2)).toThrow("slot 2 is reserved after 2 of 2");
  });
});

describe("slot", () => {
  test("gives each slot bytes of its own, across slabs", () => {
    const { memory } = makeMemory(70);
    const slotIds = Array.from({ length: 7 }, (_, slotId) => slotId);
    for (const slotId of slotIds) {
      memory.reserve(slotId);
      memory.slot(slotId).fill(slotId + 1);
    }
    for (const slotId of slotIds) expect([...memory.slot(slotId)]).toEqual(Array(10).fill(slotId + 1));
  });

  test.each([-1, 1, 3])("%i was not reserved: an error", (slotId) => {
    const { memory } = makeMemory(70);
    memory.reserve(0);
    expect(() => memory.slot(slotId)).toThrow(`slot ${slotId} has no memory: 1 of 7 were reserved`);
  });
});

describe("sizes", () => {
  test("a slab is of about 16 MiB in whole chunks, and of one chunk where that is larger", () => {
    const slabBytes = (chunkBytes: number) => {
      const sizes: number[] = [];
      const allocate = (bytes: number) => {
        sizes.push(bytes);
        return new Uint8Array(0);
      };
      new HostMemory({ chunkBytes, maxBytes: 100 * MIB, allocate }).reserve(0);
      return sizes;
    };
    expect(slabBytes(0.5 * MIB)).toEqual([16 * MIB]);
    expect(slabBytes(3 * MIB)).toEqual([15 * MIB]);
    expect(slabBytes(20 * MIB)).toEqual([20 * MIB]);
  });

  test("memory of the platform is used unless told otherwise", () => {
    const memory = new HostMemory({ chunkBytes: 4, maxBytes: 9 });
    expect([memory.numSlots, memory.reserve(0), memory.bytes]).toEqual([2, true, 8]);
    expect(memory.slot(0)).toEqual(new Uint8Array(4));
  });

  test("a budget under one chunk has no slot; a chunk has bytes", () => {
    expect(new HostMemory({ chunkBytes: 10, maxBytes: 9 }).numSlots).toBe(0);
    expect(() => new HostMemory({ chunkBytes: 0, maxBytes: 9 })).toThrow("a chunk cannot have 0 bytes");
  });

  test.each([
    { deviceMemoryGiB: undefined, mib: 512 },
    { deviceMemoryGiB: 0.25, mib: 32 },
    { deviceMemoryGiB: 2, mib: 256 },
    { deviceMemoryGiB: 8, mib: 1024 },
    { deviceMemoryGiB: 32, mib: 1024 },
  ])("$deviceMemoryGiB GiB of device memory: $mib MiB by default", ({ deviceMemoryGiB, mib }) => {
    expect(defaultHostBytes(deviceMemoryGiB)).toBe(mib * MIB);
  });
});
