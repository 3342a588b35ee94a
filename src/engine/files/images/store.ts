import type { ImageDescriptor } from '../../../formats/oci/image.ts';

/** A layer as a part of a file. Disposing lets go of what was fetched for it. */
export interface LayerFile extends AsyncDisposable {
  readonly file: string;
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/** Where the documents and layers of container images lie. */
export interface ImageStore extends AsyncDisposable {
  /** For messages. */
  readonly name: string;
  /** The index or manifest that everything begins with, proven where something proves it. */
  readonly top: Uint8Array;
  /** Another index or manifest, or the config of an image; proven. */
  document(ref: ImageDescriptor, kind: 'manifest' | 'config'): Promise<Uint8Array>;
  layer(ref: ImageDescriptor): Promise<LayerFile>;
}

/** What is taken for a document. */
export const MAX_DOCUMENT = 4 << 20;
