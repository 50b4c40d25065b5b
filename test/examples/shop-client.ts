/** Calls the shop as the user, over HTTP. */
export interface ShopClient {
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  get(path: string): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the tests say what must be in it
  readonly body: any;
}

export function shopClient(baseUrl: string, user: string | undefined): ShopClient {
  async function send(method: string, path: string, body: string | undefined, headers = {}): Promise<Answer> {
    const response = await fetch(baseUrl + path, {
      method,
      headers: {
        ...(user === undefined ? {} : { 'x-user': user }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  return {
    get: (path) => send('GET', path, undefined),
    /** Text is sent as it is, so that it may be broken. */
    post: (path, body, headers) =>
      send(
        'POST',
        path,
        typeof body === 'string' || body === undefined ? body : JSON.stringify(body),
        headers,
      ),
  };
}

export const address = { street: '1 Main Street', city: 'Springfield', country: 'US' };
