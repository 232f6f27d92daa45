// Uploads that have begun: the same file goes on after the page was loaded again. Kept by the tab
// until it is closed or its user signs out. The name of a file is kept as a part of a hash only.
const PREFIX = "healthingest-upload-";

/** Return the key of a file that is sent about `about`; null if the browser computes no hashes. */
export async function keyOf(file, about) {
  if (crypto.subtle === undefined) return null; // without TLS
  const named = JSON.stringify([file.name, file.size, file.lastModified, about.study, about.subject]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(named));
  return PREFIX + Array.from(new Uint8Array(digest), (one) => one.toString(16).padStart(2, "0")).join("");
}

/** Return the id of the upload that has begun; null if there is none. */
export const keptId = (key) => (key === null ? null : sessionStorage.getItem(key));

/** Keep the id of the upload that has begun; null forgets it. */
export function keep(key, id) {
  if (key === null) return;
  if (id === null) sessionStorage.removeItem(key);
  else sessionStorage.setItem(key, id);
}

/** Forget all uploads: another user may sign in. */
export function forgetUploads() {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
  }
}
