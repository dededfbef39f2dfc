/** Four pages by path; links inside the page do not reload it. */

import { signal } from "@preact/signals";

export type Route =
  | { page: "landing" }
  | { page: "room"; id: string }
  | { page: "stream"; id: string }
  | { page: "account" }
  | { page: "missing" };

const ID = /^[A-Za-z0-9_-]+$/;

export function routeOf(path: string): Route {
  const [first = "", second, ...rest] = path.split("/").filter(Boolean);
  if (first === "") return { page: "landing" };
  if (rest.length === 0 && second !== undefined && ID.test(second)) {
    if (first === "r") return { page: "room", id: second };
    if (first === "s") return { page: "stream", id: second };
  }
  if (first === "account" && second === undefined) return { page: "account" };
  return { page: "missing" };
}

export const route = signal<Route>(routeOf(globalThis.location?.pathname ?? "/"));

/** `path` may carry a query. */
export function go(path: string): void {
  history.pushState(null, "", path);
  route.value = routeOf(path.split("?", 1)[0] ?? path);
  scrollTo(0, 0);
}

/** The code that a link of ours carries, into a room or to an account; null without one. */
export function invitationIn(query: string): string | null {
  const code = new URLSearchParams(query).get("invitation");
  return code !== null && ID.test(code) ? code : null;
}

/** The page stays, its address carries no invitation any more. */
export function forgetInvitation(): void {
  if (invitationIn(location.search) !== null) history.replaceState(null, "", location.pathname);
}

/** Follow links to our own pages without a reload. */
export function followLinks(): void {
  addEventListener("popstate", () => {
    route.value = routeOf(location.pathname);
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey)
      return;
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link || link.target || link.origin !== location.origin || link.hasAttribute("download")) return;
    if (routeOf(link.pathname).page === "missing") return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
