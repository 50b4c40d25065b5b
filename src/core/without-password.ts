/** A text without the password that it has if it is a URL, or was meant to be one. */
export function withoutPassword(text: string): string {
  return text
    .replace(/^(\w[\w+.-]*:\/+[^:@/]*):.*@/s, '$1:***@')
    .replace(/([?&]\w*password=)[^&#]*/gi, '$1***');
}
