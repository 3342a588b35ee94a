/** What a task function returns: its result and the buffers of it to move. */
export interface Done<T> {
  readonly output: T;
  readonly transfer: readonly ArrayBuffer[];
}

export type Task<T extends { readonly input: unknown; readonly output: unknown }> = (
  input: T['input'],
) => Promise<Done<T['output']>>;
