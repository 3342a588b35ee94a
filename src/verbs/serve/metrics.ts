/** Counters of a server, as Prometheus reads them: text format 0.0.4. */
export interface Metrics {
  answered(status: number, bytes: number): void;
  made(outcome: 'made' | 'failed', seconds: number): void;
  render(now: Gauges): string;
}

/** Current values. */
export interface Gauges {
  readonly files: number;
  readonly kept: number;
  readonly making: number;
  /** Of all kept files. */
  readonly keptBytes: number;
}

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function createMetrics(started = Date.now()): Metrics {
  const answers = new Map<string, number>();
  const outcomes = new Map<string, number>([
    ['made', 0],
    ['failed', 0],
  ]);
  let sent = 0;
  let making = 0;
  const add = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
  return {
    answered(status, bytes) {
      add(answers, String(status));
      sent += bytes;
    },
    made(outcome, seconds) {
      add(outcomes, outcome);
      making += seconds;
    },
    render({ files, kept, making: underWay, keptBytes }) {
      const codes = [...answers].sort(([a], [b]) => (a < b ? -1 : 1));
      return [
        metric('requests_total', 'counter', 'Answered requests.', labelled('code', codes)),
        metric('sent_bytes_total', 'counter', 'Bytes of bodies that clients took.', [['', sent]]),
        metric('images_total', 'counter', 'Files made, or not.', labelled('result', outcomes)),
        metric('making_seconds_total', 'counter', 'Time spent on that.', [['', making]]),
        metric('files', 'gauge', 'Files that can be requested.', [['', files]]),
        metric('files_kept', 'gauge', 'Of these, on disk.', [['', kept]]),
        metric('files_making', 'gauge', 'Of these, being made.', [['', underWay]]),
        metric('kept_bytes', 'gauge', 'Size of the files on disk.', [['', keptBytes]]),
        metric('start_time_seconds', 'gauge', 'Unix time of the start.', [['', started / 1000]]),
      ].join('');
    },
  };
}

type Samples = Iterable<readonly [labels: string, value: number]>;

const labelled = (name: string, values: Iterable<readonly [string, number]>): Samples =>
  [...values].map(([value, count]) => [`{${name}="${value}"}`, count] as const);

function metric(name: string, type: 'counter' | 'gauge', help: string, samples: Samples): string {
  const full = `iso_rehydrate_${name}`;
  const lines = [...samples].map(([labels, value]) => `${full}${labels} ${value}`);
  return [`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`, ...lines, ''].join('\n');
}
