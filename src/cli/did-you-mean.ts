/** The known word that was probably meant, or undefined if none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, distance: distanceOf(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  const near = best !== undefined && best.distance <= Math.max(1, Math.floor(best.candidate.length / 3));
  if (near) return best.candidate;
  return word.length < 3 ? undefined : known.find((candidate) => candidate.startsWith(word));
}

/** ` (did you mean X?)`, or nothing. */
export function didYouMean(word: string, known: readonly string[], show = (name: string) => name): string {
  const found = nearest(word, known);
  return found === undefined ? '' : ` (did you mean ${show(found)}?)`;
}

/** Levenshtein. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const replaced = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
