import type { ImageDescriptor } from '../../../formats/oci/image.ts';

/** A layer as a part of a file. Disposing removes the downloaded copy. */
export interface LayerFile extends AsyncDisposable {
  readonly file: string;
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/** A place that holds the documents and layers of container images. */
export interface ImageStore extends AsyncDisposable {
  /** For messages. */
  readonly name: string;
  /** The top index or manifest, proved if its digest is known. */
  readonly top: Uint8Array;
  /** Another index or manifest, or the config of an image; proved. */
  document(ref: ImageDescriptor, kind: 'manifest' | 'config'): Promise<Uint8Array>;
  layer(ref: ImageDescriptor): Promise<LayerFile>;
  /** A layer as it is read or arrives, written nowhere. */
  stream(ref: ImageDescriptor): AsyncIterable<Uint8Array>;
}

/** The largest accepted document. */
export const MAX_DOCUMENT = 4 << 20;
