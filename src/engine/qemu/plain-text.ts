/** ECMA-48 control sequences: CSI, then string controls (OSC, DCS, APC, PM, SOS), then short ones. */
const CONTROL_SEQUENCES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they match terminal control sequences
  /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-OQ-WYZ\\`-~]/g;
/** A sequence whose end has not arrived. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const UNFINISHED = /\x1b(?:\[[0-?]*[ -/]*|[\]P_^X][^\x07\x1b]*\x1b?|[ -/]*)$/;
/** C0 without tab and line feed, DEL, C1, and the characters that reorder text on a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above
const UNPRINTABLE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** An unfinished sequence longer than this is treated as text. */
const MAX_HELD = 256;

/**
 * Turns console bytes into text that is safe to search, to log and to show on the user's terminal,
 * whatever a guest prints: no escape sequences, no control characters but tab and line feed. Chunks
 * may end anywhere.
 */
export function createPlainText(): (chunk: Uint8Array) => string {
  const decoder = new TextDecoder();
  let held = '';
  return (chunk) => {
    let text = held + decoder.decode(chunk, { stream: true });
    held = '';
    text = text.replace(CONTROL_SEQUENCES, '');
    const cut = UNFINISHED.exec(text)?.index ?? (text.endsWith('\r') ? text.length - 1 : -1);
    if (cut >= 0 && text.length - cut <= MAX_HELD) {
      held = text.slice(cut);
      text = text.slice(0, cut);
    }
    return text.replace(/\r+\n|\r/g, '\n').replace(UNPRINTABLE, '');
  };
}
