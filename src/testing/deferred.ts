/** A promise that a test settles. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  const settling = { resolve: (_: T) => {}, reject: (_: unknown) => {} };
  const promise = new Promise<T>((resolve, reject) => Object.assign(settling, { resolve, reject }));
  promise.catch(() => {});
  return { promise, resolve: (value) => settling.resolve(value), reject: (error) => settling.reject(error) };
}
