import { jsonResponse, type Route } from './route.js';

/** The document is made when it is first asked for: what makes it is not loaded before. */
export function openApiController(basePath: string): readonly Route[] {
  let document: Promise<object> | undefined;

  async function openApi(): Promise<Response> {
    document ??= import('./openapi.js').then(({ openApiDocument }) => openApiDocument(basePath));
    return jsonResponse(200, await document);
  }

  return [{ method: 'GET', path: '/openapi.json', handle: openApi }];
}
