import type { ChatMessageParam, TextContent, TextPart } from "../openai-types";

/**
 * For each message the turn that it belongs to, counted from 0. A turn begins with what a user says, and what came before the
 * first one is a turn too; system messages belong to none: null.
 */
export function turnsOf(messages: readonly ChatMessageParam[]): readonly (number | null)[] {
  let turn = -1;
  return messages.map(({ role }) => {
    if (role === "system" || role === "developer") return null;
    if (role === "user" || turn < 0) turn++;
    return turn;
  });
}

/** Without the oldest turns, this many. */
export function withoutOldest(messages: readonly ChatMessageParam[], numTurns: number): readonly ChatMessageParam[] {
  const turns = turnsOf(messages);
  return messages.filter((_, index) => (turns[index] ?? numTurns) >= numTurns);
}

/** Turns that end before the message at this index, so that neither it nor those behind it are in one. */
export function numTurnsBefore(messages: readonly ChatMessageParam[], index: number): number {
  const turns = turnsOf(messages);
  const numTurns = Math.max(-1, ...turns.filter((turn) => turn !== null)) + 1;
  return Math.min(numTurns, ...turns.slice(index).filter((turn) => turn !== null));
}

/**
 * The least number of turns without which the rest fits, or `max` where that does not either. Whatever fits, fits with fewer turns
 * as well, so few are asked about.
 */
export async function fewestToDrop(max: number, fits: (numTurns: number) => Promise<boolean>): Promise<number> {
  if (max === 0 || (await fits(0))) return 0;
  let [low, high] = [1, max];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await fits(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * The conversation as it is sent: messages of a user that follow one another are one, each on lines of its own, for many templates
 * want turns to alternate.
 */
export function alternating(messages: readonly ChatMessageParam[]): readonly ChatMessageParam[] {
  const sent: ChatMessageParam[] = [];
  for (const message of messages) {
    const last = sent.at(-1);
    if (last?.role !== "user" || message.role !== "user" || last.name !== message.name) sent.push(message);
    else sent[sent.length - 1] = { ...last, content: [...partsOf(last.content), ...partsOf(message.content)] };
  }
  return sent;
}

/** What else it may hold is refused where the whole is checked. */
function partsOf(content: TextContent): readonly TextPart[] {
  return typeof content === "object" ? content : [{ type: "text", text: content }];
}
