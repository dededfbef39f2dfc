/** What somebody pasted, read as videos: a link, many lines of links, or an M3U playlist. Pure. */

import { titleOfUrl } from "../format";

export interface Pasted {
  url: string;
  title: string;
  /** Seconds, where the text says so. */
  duration?: number;
}

export interface Reading {
  videos: Pasted[];
  /** Numbers (from 1) of the lines in which no address was found. */
  unread: number[];
}

const TITLE_MAX = 200;
const ADDRESS = /https?:\/\/[^\s<>"']+/i;
/** What stands between a title and its address. */
const EDGES = /^[\s|,;:–—-]+|[\s|,;:–—-]+$/g;

/** One video a line: its address, and the rest of the line is its title; `#EXTINF` says both for the next one. */
export function readPasted(text: string): Reading {
  const videos: Pasted[] = [];
  const unread: number[] = [];
  let said: { title: string; duration: number } | null = null;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    const extinf = /^#EXTINF:\s*(-?[\d.]+)[^,]*,(.*)$/i.exec(line);
    if (extinf) {
      said = { title: (extinf[2] ?? "").trim(), duration: Number(extinf[1]) };
      continue;
    }
    if (line === "" || line.startsWith("#")) continue;
    const url = ADDRESS.exec(line)?.[0];
    if (url === undefined) {
      unread.push(index + 1);
      continue;
    }
    const rest = line.replace(url, " ").replaceAll(EDGES, "");
    const video: Pasted = { url, title: (rest || said?.title || titleOfUrl(url)).slice(0, TITLE_MAX) };
    if (said !== null && said.duration > 0) video.duration = said.duration;
    videos.push(video);
    said = null;
  }
  return { videos, unread };
}

/** What is wrong with it, or null: a sentence that names the lines. */
export function problemOf({ videos, unread }: Reading): string | null {
  if (unread.length === 0) return null;
  if (videos.length === 0 && unread.length === 1)
    return "That is no web address. It begins with https:// or http://.";
  const shown = unread.slice(0, 5).join(", ");
  const more = unread.length > 5 ? " and others" : "";
  const many = unread.length > 1;
  return `Line${many ? "s" : ""} ${shown}${more} ${many ? "hold" : "holds"} no web address: one begins with https:// or http://.`;
}
