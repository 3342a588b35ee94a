/**
 * Why an HTTP exchange failed, in words for people. The callers know its purpose and turn it into
 * an error of their own.
 */
export class TransportError extends Error {
  /** Whether the same request may succeed later. */
  readonly transient: boolean;
  /** The peer was never reached and has not seen the request. */
  readonly unreached: boolean;
  /** How to fix it, if known. */
  readonly hint: string | undefined;

  constructor(
    message: string,
    {
      transient = true,
      unreached = false,
      hint,
      cause,
    }: { transient?: boolean; unreached?: boolean; hint?: string; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TransportError';
    this.transient = transient;
    this.unreached = unreached;
    this.hint = hint;
  }
}

interface Known {
  readonly text: string;
  readonly transient?: boolean;
  readonly unreached?: boolean;
}

const KNOWN: Readonly<Record<string, Known>> = {
  ECONNREFUSED: { text: 'connection refused', unreached: true },
  ENOTFOUND: { text: 'the host name is unknown', unreached: true },
  EAI_AGAIN: { text: 'the name server does not answer' },
  EHOSTUNREACH: { text: 'no route to the host', unreached: true },
  ENETUNREACH: { text: 'no route to the network', unreached: true },
  ECONNRESET: { text: 'the connection was broken' },
  EPIPE: { text: 'the connection was broken' },
  ERR_STREAM_PREMATURE_CLOSE: { text: 'the connection was broken' },
  ETIMEDOUT: { text: 'no answer in time', unreached: true },
  HPE_HEADER_OVERFLOW: { text: 'the headers of the answer are too long', transient: false },
  EPROTO: { text: 'the server does not speak TLS', transient: false, unreached: true },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    text: 'the server does not speak TLS',
    transient: false,
    unreached: true,
  },
};

/** OpenSSL's and Node's names for a certificate that is not accepted. */
const CERTIFICATE = /CERT|UNABLE_TO_|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_CERT/;

export function transportError(error: unknown): Error {
  if (error instanceof TransportError) return error;
  if (!(error instanceof Error)) return new TransportError(String(error), { transient: false });
  if (error instanceof AggregateError && error.errors.length > 0) {
    // One attempt per address of the name.
    return transportError(error.errors.at(-1));
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = KNOWN[code];
  if (known) {
    const { text, ...rest } = known;
    return new TransportError(text, { ...rest, cause: error });
  }
  if (CERTIFICATE.test(code)) {
    // Node's advice after the semicolon is for Node's command line.
    const [why] = error.message.split(';');
    return new TransportError(`its certificate is not trusted: ${why}`, {
      ...{ transient: false, unreached: true },
      hint: 'add its CA to the system, to SSL_CERT_FILE or NODE_EXTRA_CA_CERTS, or as /etc/containers/certs.d/HOST/ca.crt',
    });
  }
  if (code.startsWith('HPE_')) {
    return new TransportError(`the response is not valid HTTP: ${error.message}`, { cause: error });
  }
  if (code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS')) {
    return new TransportError(`TLS fails: ${error.message}`, { transient: false, cause: error });
  }
  return new TransportError(error.message, { cause: error });
}
