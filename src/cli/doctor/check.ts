import { harmless } from '../../core/harmless.js';

export type CheckStatus = 'ok' | 'warning' | 'error';

/** One line of the doctor: what was looked at and found, and what to do about it. */
export interface Check {
  readonly status: CheckStatus;
  /** Stays the same from run to run, for machines: `redis.version`. */
  readonly name: string;
  readonly message: string;
  /** What to do. */
  readonly advice?: string | undefined;
}

export interface CheckGroup {
  readonly title: string;
  /** What was looked at. */
  readonly target?: string | undefined;
  readonly checks: readonly Check[];
}

/** Servers have their say in it. */
const check = (status: CheckStatus, name: string, message: string, advice?: string): Check => {
  return { status, name, message: harmless(message), advice: advice && harmless(advice) };
};

export const ok = (name: string, message: string) => check('ok', name, message);
export const warning = (name: string, message: string, advice?: string) =>
  check('warning', name, message, advice);
export const error = (name: string, message: string, advice?: string) =>
  check('error', name, message, advice);

/** At least `wanted`, both of the form `1.2.3`. */
export function isAtLeast(version: string, wanted: string): boolean {
  const [have, want] = [version, wanted].map((text) => (text.match(/\d+/g) ?? []).map(Number));
  for (const [i, number] of (want ?? []).entries()) {
    const difference = (have?.[i] ?? 0) - number;
    if (difference !== 0) return difference > 0;
  }
  return true;
}
