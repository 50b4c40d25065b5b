import { createHash, timingSafeEqual } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import { HttpError } from './problem.js';

/** What `authenticate` has found out. */
export interface ShopRequest<Params = Request['params']> extends Request<Params> {
  user?: string;
  isOperator?: boolean;
}

const USER = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * A STAND-IN for real authentication: anybody can send the header `x-user`. Put your session cookie or token check here.
 * Operators show their token as `Authorization: Bearer …`.
 */
export function authenticate(operatorToken: string | undefined): RequestHandler {
  return (request: ShopRequest, _response, next) => {
    const user = request.get('x-user') ?? '';
    if (USER.test(user)) request.user = user;
    request.isOperator =
      operatorToken !== undefined && isSame(request.get('authorization') ?? '', `Bearer ${operatorToken}`);
    next();
  };
}

export function userOf({ user }: ShopRequest): string {
  if (user === undefined) throw unauthorized();
  return user;
}

export function unauthorized(): HttpError {
  return new HttpError(401, 'The header x-user must name the user.', { 'www-authenticate': 'Bearer' });
}

/** Compares digests, so that neither the time nor the length of a guess tells anything. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
