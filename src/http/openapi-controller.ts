import { type Call, jsonResponse, type Route } from './route.js';

/** What makes the document is not loaded before it is asked for. */
export const openApiController: readonly Route[] = [
  { method: 'GET', path: '/openapi.json', handle: openApi },
];

async function openApi({ mountedAt }: Call): Promise<Response> {
  const { openApiDocument } = await import('./openapi.js');
  return jsonResponse(200, openApiDocument(mountedAt));
}
