/** How long an open session lives, in milliseconds: 24 hours. */
export const DEFAULT_TTL_MS = 86_400_000;
/** Milliseconds between two recovery passes. */
export const DEFAULT_RECOVERY_MS = 30_000;
