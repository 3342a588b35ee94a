import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * First what takes longest: all machines and then all images of the release, while the other worker
 * goes through the other files. The release's bundle is made meanwhile, so what needs none comes next.
 */
const FIRST = [
  'architectures',
  'engine-faults',
  'quickstart',
  'main-job',
  'release-jobs',
  'native-engine',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const index = FIRST.findIndex((name) => moduleId.endsWith(`/test/e2e/${name}.test.ts`));
      return index < 0 ? FIRST.length : index;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,vm,images,scripts}/**/*.test.ts', 'test/unit/**/*.test.ts'],
          // Only for what hangs: other work may run beside.
          testTimeout: 180_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          // Real VMs under TCG, several at a time on two cores: generous ceilings.
          testTimeout: 2_700_000,
          hookTimeout: 3_600_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
