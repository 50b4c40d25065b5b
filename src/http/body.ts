import { HttpProblem } from './problem.js';

export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly bodyTimeoutMs: number;
}

/** The JSON of a request's body, undefined if it is empty. Never reads more than the limits allow. */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
  requireUncompressed(request);
  const bytes = await readBytes(request, limits);
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new HttpProblem('INVALID_INPUT', 'The body is not JSON in UTF-8');
  }
}

/** `Accept-Encoding` tells the caller that it is the coding that is not taken, not the type (RFC 9110, 12.5.3). */
function requireUncompressed(request: Request): void {
  const codings = (request.headers.get('content-encoding') ?? '').split(',').map((coding) => coding.trim());
  if (codings.every((coding) => coding === '' || coding.toLowerCase() === 'identity')) return;
  throw new HttpProblem('UNSUPPORTED_MEDIA_TYPE', 'A body may not be compressed', {
    'accept-encoding': 'identity',
  });
}

async function readBytes(request: Request, { maxBodyBytes, bodyTimeoutMs }: BodyLimits): Promise<Buffer> {
  const tooLarge = () => new HttpProblem('BODY_TOO_LARGE', `A body may have ${maxBodyBytes} bytes`);
  if (Number(request.headers.get('content-length') ?? 0) > maxBodyBytes) throw tooLarge();
  if (request.body === null) return Buffer.alloc(0);
  const reader = request.body.getReader();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const tooLate = () =>
      reject(new HttpProblem('BODY_TIMEOUT', `The body did not arrive within ${bodyTimeoutMs} ms`));
    timer = setTimeout(tooLate, bodyTimeoutMs);
  });
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for (;;) {
      const { done, value } = await Promise.race([reader.read().catch(brokenOff), late]);
      if (done) return Buffer.concat(chunks);
      size += value.length;
      if (size > maxBodyBytes) throw tooLarge();
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The caller hung up: nobody's fault, and nobody will read the answer. */
function brokenOff(): never {
  throw new HttpProblem('INVALID_INPUT', 'The body broke off');
}
