/** How much a caller wants a media type, from 0 to 1: by the range that fits it best (RFC 9110, 12.5.1). */
export function preferenceFor(type: string, accept: string | null): number {
  if (accept === null || accept.trim() === '') return 1;
  const ranges = accept.split(',').map((range) => {
    const [name, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    return { name, weight: weight === undefined ? 1 : Number(weight.slice(2)) || 0 };
  });
  for (const covering of [type, `${type.split('/', 1)[0]}/*`, '*/*']) {
    const fitting = ranges.filter(({ name }) => name === covering);
    if (fitting.length > 0) return Math.max(...fitting.map(({ weight }) => weight));
  }
  return 0;
}
