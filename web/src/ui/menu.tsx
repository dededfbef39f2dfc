/** What opens at a button: menus, and the rule by which such things close. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { IconButton } from "./basics";
import type { IconName } from "./icons";

export interface MenuEntry {
  label: string;
  act: () => void;
  disabled?: boolean;
  /** Why it is disabled. */
  why?: string;
  danger?: boolean;
}

const EDGE_PX = 8;
const GAP_PX = 4;

/** A button with a menu under it, or over it where there is no room below: no panel that scrolls cuts it off. */
export function Menu({ label, icon, entries }: { label: string; icon: IconName; entries: MenuEntry[] }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useOutside(box, open, () => setOpen(false));
  const list = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (!open || box.current === null || list.current === null) return;
    place(list.current, box.current.getBoundingClientRect());
    list.current.querySelector<HTMLButtonElement>("[role=menuitem]:not(:disabled)")?.focus();
    const off = new AbortController();
    const close = () => setOpen(false);
    addEventListener("scroll", close, { capture: true, signal: off.signal });
    addEventListener("resize", close, { signal: off.signal });
    return () => off.abort();
  }, [open]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Tab") setOpen(false);
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const all = [
      ...(box.current?.querySelectorAll<HTMLButtonElement>("[role=menuitem]:not(:disabled)") ?? []),
    ];
    const index = all.indexOf(document.activeElement as HTMLButtonElement);
    all[(index + (event.key === "ArrowDown" ? 1 : all.length - 1)) % all.length]?.focus();
  };
  return (
    <div class="menu" ref={box}>
      <IconButton
        icon={icon}
        label={label}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      />
      {open && (
        <div class="menu-list" ref={list} role="menu" tabIndex={-1} onKeyDown={onKeyDown}>
          {entries.map((entry) => (
            <button
              type="button"
              role="menuitem"
              key={entry.label}
              class={entry.danger ? "danger" : ""}
              disabled={entry.disabled}
              title={entry.disabled ? entry.why : undefined}
              onClick={() => {
                setOpen(false);
                // What opens now gives the focus back to here when it closes.
                box.current?.querySelector("button")?.focus();
                entry.act();
              }}
            >
              {entry.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

function place(list: HTMLElement, anchor: DOMRect): void {
  const { clientWidth, clientHeight } = document.documentElement;
  const below = anchor.bottom + GAP_PX;
  const above = anchor.top - GAP_PX - list.offsetHeight;
  const down = below + list.offsetHeight <= clientHeight - EDGE_PX || above < EDGE_PX;
  list.style.top = `${down ? below : above}px`;
  list.style.right = `${Math.max(EDGE_PX, clientWidth - anchor.right)}px`;
}

/** Close on a press elsewhere or Escape. */
export function useOutside(box: { current: HTMLElement | null }, active: boolean, close: () => void): void {
  useEffect(() => {
    if (!active) return;
    const onDown = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) close();
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close();
      box.current?.querySelector("button")?.focus();
    };
    document.addEventListener("pointerdown", onDown);
    document.addEventListener("keydown", onKey, true);
    return () => {
      document.removeEventListener("pointerdown", onDown);
      document.removeEventListener("keydown", onKey, true);
    };
  }, [active, close, box]);
}
