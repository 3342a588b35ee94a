import type { ProgressEvent } from '../../core/progress/progress.ts';

/**
 * The subject of an event, for people: `s390x qemu` if a run has several architectures; the subject alone
 * if there is only one, or if it already names the architecture (`s390x vm`).
 */
export function labelOf({
  subject,
  architecture,
}: Pick<ProgressEvent, 'subject' | 'architecture'>): string {
  if (architecture === undefined || subject.split(' ', 1)[0] === architecture) return subject;
  return `${architecture} ${subject}`;
}
