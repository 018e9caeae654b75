import fc from "fast-check";
import { expect, test } from "vitest";
import type { Request } from "./request";
import { RequestQueue } from "./request-queue";
import { makeRequest } from "./scheduler.fixture";

/** Requests in order of arrival, one for each priority. */
function arrivals(priorities: readonly number[]): Request[] {
  return priorities.map((priority, arrivalIndex) => {
    const request = makeRequest(String(arrivalIndex), 1, { priority });
    request.arrivalIndex = arrivalIndex;
    return request;
  });
}

function queueOf(requests: readonly Request[]): RequestQueue {
  const queue = new RequestQueue();
  for (const request of requests) queue.add(request);
  return queue;
}

function ids(queue: RequestQueue): string {
  return Array.from(queue, ({ requestId }) => requestId).join("");
}

test.each([
  { name: "equal priorities: by arrival", priorities: [0, 0, 0], expected: "012" },
  { name: "lower numbers first", priorities: [3, -1, 2], expected: "120" },
  { name: "ties within a priority: by arrival", priorities: [1, 0, 1, 0, 1], expected: "13024" },
])("$name", ({ priorities, expected }) => {
  const requests = arrivals(priorities);
  for (const order of [requests, requests.toReversed()]) expect(ids(queueOf(order))).toBe(expected);
});

test("first, last, at and length, of an empty queue too", () => {
  const queue = new RequestQueue();
  expect([queue.first, queue.last, queue.length]).toEqual([undefined, undefined, 0]);
  const [low, high] = arrivals([5, 1]);
  queue.add(low);
  queue.add(high);
  expect([queue.first, queue.at(0), queue.at(1), queue.last]).toEqual([high, high, low, low]);
  expect(queue.length).toBe(2);
});

test("who was taken out comes back at its old place", () => {
  const requests = arrivals([0, 0, 0, 0]);
  const queue = queueOf(requests);
  queue.remove(requests[1]);
  queue.remove(requests[3]);
  expect(ids(queue)).toBe("02");
  queue.add(requests[3]);
  queue.add(requests[1]);
  expect(ids(queue)).toBe("0123");
});

test("only a member can be taken out", () => {
  const [member, stranger] = arrivals([0, 0]);
  const queue = queueOf([member]);
  expect(() => queue.remove(stranger)).toThrow("request 1 is not in this queue");
  queue.remove(member);
  expect(() => queue.remove(member)).toThrow("request 0 is not in this queue");
});

test("agrees with a sorted array over random additions and removals", () => {
  const priorities = fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(priorities, fc.array(fc.nat(7), { maxLength: 40 }), (eight, toggled) => {
      const requests = arrivals(eight);
      const queue = new RequestQueue();
      const inQueue = new Set<Request>();
      for (const index of toggled) {
        const request = requests[index];
        if (inQueue.delete(request)) queue.remove(request);
        else {
          inQueue.add(request);
          queue.add(request);
        }
        const expected = [...inQueue].sort((a, b) => a.priority - b.priority || a.arrivalIndex - b.arrivalIndex);
        expect([...queue]).toEqual(expected);
      }
    }),
  );
});
