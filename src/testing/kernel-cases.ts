import type { KernelCase } from "./kernel-case";

const modules = import.meta.glob<Record<string, readonly KernelCase[]>>("../**/*.cases.ts", { eager: true });

/** The cases of every `*.cases.ts` file. */
export const kernelCases: readonly KernelCase[] = Object.values(modules).flatMap((module) =>
  Object.values(module).flat(),
);
