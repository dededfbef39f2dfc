/** The page's one socket, made for whoever is signed in. */

import { session } from "../net/account";
import { accessToken } from "../net/api";
import { Socket } from "../net/socket";
import { localNow } from "../sync/engine";

const PROTOCOL = "matinee.v1";

export function openSocket(): { socket: Socket; close: () => void } {
  const url = new URL("/ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new Socket({
    open: (token) => new WebSocket(url, [PROTOCOL, `bearer.${token}`]),
    token: accessToken,
    now: localNow,
    wall: Date.now,
    random: Math.random,
  });
  const off = new AbortController();
  addEventListener("online", () => socket.reconnectNow(), { signal: off.signal });
  document.addEventListener("visibilitychange", () => !document.hidden && socket.wake(), {
    signal: off.signal,
  });
  // Signing in again after the session was lost brings the connection back.
  const unsubscribe = session.subscribe((value) => {
    if (value !== null && socket.state.peek() === "signed_out") socket.reconnectNow();
  });
  return {
    socket,
    close: () => {
      off.abort();
      unsubscribe();
      socket.close();
    },
  };
}
