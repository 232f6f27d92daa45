// How fast the page may ask: it stays below the limits that the service tells in each answer.

const remaining = new Map();
/** The part of a limit that polling leaves for what the user does. */
const RESERVE = 20;

/** Remember what is left of each limit: `"requests";r=92;t=3600` (draft-ietf-httpapi-ratelimit-headers). */
export function noteLimits(header) {
  for (const [, name, left, seconds] of (header ?? "").matchAll(/"([\w-]+)";r=(\d+);t=(\d+)/g)) {
    remaining.set(name, { left: Number(left), until: Date.now() + Number(seconds) * 1000 });
  }
}

/** Return the milliseconds until one more request counts as allowed. */
export function waitFor(name) {
  const limit = remaining.get(name);
  return limit === undefined || limit.left > 0 ? 0 : Math.max(0, limit.until - Date.now());
}

/** Return the milliseconds until the next poll: `wanted`, or longer so that the limit lasts. */
export function pollDelay(wanted) {
  const limit = remaining.get("requests");
  if (limit === undefined) return wanted;
  const time = Math.max(0, limit.until - Date.now());
  const polls = limit.left - RESERVE;
  return polls > 0 ? Math.max(wanted, time / polls) : Math.max(wanted, time);
}

/** Return after a time; an aborted signal ends it with its reason. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/**
 * Call `look` again and again until it returns true, less and less often, and only while the page
 * is visible. Aborting the signal ends it.
 */
export async function poll(look, signal) {
  let wanted = 1000;
  do {
    await pause(pollDelay(wanted), signal);
    while (document.hidden) await pause(1000, signal);
    wanted = Math.min(60_000, wanted * 1.5);
  } while (!(await look()));
}
