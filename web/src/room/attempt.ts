import { sentenceOf } from "../net/problem";
import { toast } from "../ui/toasts";

/** Do it, and say so in words when it does not work. Whether it worked. */
export async function attempt(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    toast(sentenceOf(error), "error");
    return false;
  }
}
