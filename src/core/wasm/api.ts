/** The part that we need of an API that TypeScript declares only in its DOM library. */
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
