import type { Broker } from './broker.js';
import type { OrderSessions } from './order-events.js';

/** What happened in one step of the demo: in words for a person, in facts for a program. */
export interface Scene {
  readonly step: string;
  readonly title: string;
  readonly lines: readonly Line[];
  readonly facts: Readonly<Record<string, unknown>>;
}

export type Line =
  /** A call, as it stands in a program. */
  | { readonly call: string }
  /** What it answered. */
  | { readonly answer: string }
  /** The error it threw instead. */
  | { readonly refusal: string }
  /** What to make of it. */
  | { readonly note: string }
  | { readonly table: readonly (readonly string[])[] };

/** What the scenes work with. The session ids of earlier scenes are there for later ones. */
export interface Stage {
  readonly sessions: OrderSessions;
  readonly broker: Broker;
  orderId: string;
}

export type PlayScene = (stage: Stage) => Promise<Scene>;

export const call = (text: string): Line => ({ call: text });
export const answer = (text: string): Line => ({ answer: text });
export const refusal = (text: string): Line => ({ refusal: text });
export const note = (text: string): Line => ({ note: text });
export const table = (...rows: readonly (readonly string[])[]): Line => ({ table: rows });

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Ids are 22 characters; eight are enough to tell them apart by eye. */
export const short = (id: string): string => (id.length > 12 ? `${id.slice(0, 8)}…` : id);
