/** The little that we need of an API whose types TypeScript has in its DOM library only. */
interface WebAssemblyApi {
  compile(bytes: Uint8Array): Promise<object>;
  /** Compiles, blocking. */
  Module: new (
    bytes: Uint8Array,
  ) => object;
  Instance: new (module: object, imports: object) => { readonly exports: unknown };
  /** A trap. */
  RuntimeError: new (
    message?: string,
  ) => Error;
}

export const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyApi };
