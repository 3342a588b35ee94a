import type { ProgressEvent } from '../../core/progress/progress.ts';

/**
 * Whom an event is about, for people: `s390x qemu` where a run has several architectures; the subject
 * alone where there is one, or where the subject says it itself (`s390x vm`).
 */
export function labelOf({
  subject,
  architecture,
}: Pick<ProgressEvent, 'subject' | 'architecture'>): string {
  if (architecture === undefined || subject.split(' ', 1)[0] === architecture) return subject;
  return `${architecture} ${subject}`;
}
