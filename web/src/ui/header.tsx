/** The bar on top of every page. */

import type { ComponentChildren } from "preact";
import { session } from "../net/account";
import { api } from "../net/api";
import { Avatar } from "./basics";
import { Logo } from "./logo";
import { Menu } from "./menu";
import { go } from "./router";

export function Header({ children, actions }: { children?: ComponentChildren; actions?: ComponentChildren }) {
  const user = session.value?.user;
  return (
    <header class="top">
      <a class="brand" href="/" aria-label="Matinee, to the front page">
        <Logo />
        <span>Matinee</span>
      </a>
      <div class="top-middle">{children}</div>
      <div class="top-actions">
        {actions}
        {user && (
          <>
            <a class="me" href="/account" title={`${user.username}${user.guest ? " (guest)" : ""}`}>
              <Avatar id={user.id} name={user.username} small />
              <span class="me-name">{user.username}</span>
            </a>
            <Menu
              label="Account menu"
              icon="more"
              entries={[
                { label: "Account", act: () => go("/account") },
                { label: "All rooms", act: () => go("/") },
                {
                  label: user.guest ? "Forget me" : "Log out",
                  act: () => void api.logout().then(() => go("/")),
                },
              ]}
            />
          </>
        )}
      </div>
    </header>
  );
}
