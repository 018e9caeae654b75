import { defineConfig } from "vitest/config";
import { mutant } from "./scripts/mutants/mutant-plugin.ts";
import { workerSource } from "./scripts/worker-source-plugin.ts";

const GPU_TESTS = "src/**/*.gpu.test.ts";

export default defineConfig({
  test: {
    projects: [
      {
        plugins: [workerSource(), mutant()],
        test: {
          name: "unit",
          environment: "node",
          include: ["src/**/*.test.ts", "scripts/**/*.test.ts"],
          exclude: [GPU_TESTS],
          // A thread loads a module once for all files, not once for each.
          isolate: false,
          setupFiles: "src/testing/leave-no-trace.ts",
          testTimeout: 30_000,
        },
      },
      {
        plugins: [workerSource(), mutant()],
        test: {
          // One file at a time: every file makes GPU devices of its own, and a software adapter uses all cores by itself.
          name: "kernels",
          environment: "node",
          include: [GPU_TESTS],
          pool: "forks",
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
