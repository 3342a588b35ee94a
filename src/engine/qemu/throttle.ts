/** Limits how fast a guest can print, because all its output is searched; a boot prints far less. */
const BYTES_PER_TURN = 1 << 20;
const TURN_MS = 250;

export interface Throttle {
  /** Counts bytes that came. */
  took(bytes: number): void;
  stop(): void;
}

/** Pauses a stream for the rest of a turn in which too much came. */
export function createThrottle(stream: { pause(): unknown; resume(): unknown }): Throttle {
  let room = BYTES_PER_TURN;
  const turns = setInterval(() => {
    if (room <= 0) stream.resume();
    room = BYTES_PER_TURN;
  }, TURN_MS);
  return {
    took(bytes) {
      room -= bytes;
      if (room <= 0) stream.pause();
    },
    stop: () => clearInterval(turns),
  };
}
