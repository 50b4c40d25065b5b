import * as z from 'zod/mini';
import { type Codec, cloudEvents } from '../../core/codecs.js';
import { timerMs, validate, wholeNumber, withMethods } from '../../core/validate.js';
import { type NsqdAddress, parseNsqdAddress } from './nsqd-address.js';

export interface NsqReconnectOptions {
  /**
   * Milliseconds between an attempt that worked and the next one. After a round in which no nsqd could be reached,
   * doubled for each further round, less up to half of it at random. Default 100.
   */
  readonly minMs?: number | undefined;
  /** The longest pause, in milliseconds. Default 2,000. Keep it below `deadlineMs`. */
  readonly maxMs?: number | undefined;
}

export interface NsqPublisherOptions {
  /**
   * TCP address of nsqd, `host:port` (IPv6 in brackets), or several. One is used at a time, beginning with the first;
   * when it fails, the next one is used from then on. Default `127.0.0.1:4150`.
   */
  readonly nsqd?: string | readonly string[] | undefined;
  /** How events become message bodies. Default {@link cloudEvents}. */
  readonly codec?: Codec | undefined;
  /** Milliseconds for a whole `publish`: waiting its turn, connecting, sending, acknowledgement. Default 5,000. */
  readonly deadlineMs?: number | undefined;
  /** Milliseconds in which an nsqd must have accepted a connection and identified itself. Default 2,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** nsqd's `--max-msg-size`. Default 1,048,576, as there. */
  readonly maxMessageBytes?: number | undefined;
  /** nsqd's `--max-body-size`, the largest body of one MPUB. Default 5,242,880, as there. */
  readonly maxRequestBytes?: number | undefined;
  /** Messages in one MPUB, all of which are sent again if it gets lost. Default 1,000. */
  readonly maxRequestMessages?: number | undefined;
  /**
   * Bytes sent that nsqd has not acknowledged. Beyond it requests wait, within their deadline; a single request is
   * always let through. Default 32 MiB: eight commit batches of 4 MiB.
   */
  readonly maxInFlightBytes?: number | undefined;
  /** The pauses between attempts to connect, after every nsqd has been tried once. */
  readonly reconnect?: NsqReconnectOptions | undefined;
}

export interface NsqSettings {
  readonly nsqd: readonly NsqdAddress[];
  readonly codec: Codec;
  readonly deadlineMs: number;
  readonly connectTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly maxRequestBytes: number;
  readonly maxRequestMessages: number;
  readonly maxInFlightBytes: number;
  readonly reconnect: { readonly minMs: number; readonly maxMs: number };
}

const ADDRESS = "an address 'host:port' (IPv6 as '[::1]:4150'), or an array of them";
const CODEC = 'a codec, such as cloudEvents() or json()';

const isAddress = (value: unknown) => typeof value === 'string' && parseNsqdAddress(value) !== undefined;

const isAddressOrAddresses = (value: unknown) =>
  Array.isArray(value) ? value.length > 0 && value.every(isAddress) : isAddress(value);

const optionsSchema = z.strictObject({
  nsqd: z.optional(z.custom<string | readonly string[]>(isAddressOrAddresses, { error: ADDRESS })),
  codec: z.optional(withMethods<Codec>(CODEC, 'encode')),
  deadlineMs: z.optional(timerMs()),
  connectTimeoutMs: z.optional(timerMs()),
  maxMessageBytes: z.optional(wholeNumber(1)),
  maxRequestBytes: z.optional(wholeNumber(1)),
  maxRequestMessages: z.optional(wholeNumber(1)),
  maxInFlightBytes: z.optional(wholeNumber(1)),
  reconnect: z.optional(z.strictObject({ minMs: z.optional(timerMs()), maxMs: z.optional(timerMs()) })),
});

/**
 * The options with their defaults.
 *
 * @throws `INVALID_INPUT` naming every invalid option.
 */
export function nsqSettings(options: NsqPublisherOptions): NsqSettings {
  const given = validate(optionsSchema, options, 'The options of nsqPublisher');
  const nsqd = given.nsqd ?? '127.0.0.1:4150';
  const minMs = given.reconnect?.minMs ?? 100;
  return {
    nsqd: [nsqd].flat().flatMap((text) => parseNsqdAddress(text) ?? []),
    codec: given.codec ?? cloudEvents(),
    deadlineMs: given.deadlineMs ?? 5_000,
    connectTimeoutMs: given.connectTimeoutMs ?? 2_000,
    maxMessageBytes: given.maxMessageBytes ?? 1_048_576,
    maxRequestBytes: given.maxRequestBytes ?? 5_242_880,
    maxRequestMessages: given.maxRequestMessages ?? 1_000,
    maxInFlightBytes: given.maxInFlightBytes ?? 32 * 1_048_576,
    reconnect: { minMs, maxMs: Math.max(minMs, given.reconnect?.maxMs ?? 2_000) },
  };
}
